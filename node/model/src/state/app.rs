//! What an [`App`] knows about its own tasks and versions.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::{OrdMap, Vector};

use super::{App, Backoff};
use crate::app::AppSpec;
use crate::command::Reject;
use crate::node::Resources;
use crate::task::{KillReason, Task};
use crate::{TaskId, Timestamp, health, limits};

impl App {
    pub(super) fn new(spec: Arc<AppSpec>) -> Self {
        Self {
            versions: Vector::unit(spec.clone()),
            spec,
            tasks: OrdMap::new(),
            history: Vector::new(),
            last_failure: None,
            backoff: Backoff::default(),
            waiting: String::new(),
            deleted: false,
        }
    }

    /// True if a task of `version` runs what the app wants now: scaling makes a new version but changes no task.
    pub fn is_current(&self, version: Timestamp) -> bool {
        version >= self.spec.last_config_change_at
    }

    /// True if any of its tasks is one of which no second one may run: by the definition of now, or by one that a task
    /// still runs.
    pub fn is_exclusive(&self) -> bool {
        let is_so = |task: &Arc<Task>| self.spec_of(task.version).is_some_and(|spec| spec.is_exclusive());
        self.spec.is_exclusive() || self.tasks.values().any(is_so)
    }

    /// True if `task` is one of those that the app wants now, and where it wants them.
    pub fn stays(&self, task: &Task) -> bool {
        self.is_current(task.version) && !task.displaced
    }

    /// The definition that a task of `version` runs: that version, or a later one that differs in instances only.
    /// `Some` for every live task.
    pub fn spec_of(&self, version: Timestamp) -> Option<&Arc<AppSpec>> {
        let current = Some(&self.spec).filter(|_| self.is_current(version));
        current.or_else(|| self.versions.iter().rfind(|spec| runs(spec, version)))
    }

    /// True if `task` answers those it is there for, by the checks of the definition that it runs.
    pub fn serves(&self, task: &Task) -> bool {
        health::serves(self.spec_of(task.version).unwrap_or(&self.spec), task)
    }

    /// What the health checks say of `task`.
    pub fn verdict(&self, task: &Task) -> health::Verdict {
        health::verdict(self.spec_of(task.version).unwrap_or(&self.spec), &task.health)
    }

    /// What `task` holds of its node.
    pub fn resources_of(&self, task: &Task) -> Resources {
        self.spec_of(task.version).unwrap_or(&self.spec).resources
    }

    /// Makes `spec` the current definition. Of more than [`limits::VERSIONS_PER_APP_MAX`] the oldest goes that no live
    /// task runs; if there is none such, the app cannot take another definition now.
    pub(super) fn push_version(&mut self, spec: Arc<AppSpec>) -> Result<(), Reject> {
        self.versions.push_back(spec.clone());
        self.spec = spec;
        if self.versions.len() <= limits::VERSIONS_PER_APP_MAX {
            return Ok(());
        }
        let old_tasks = self.tasks.values().filter(|task| !self.is_current(task.version));
        let run_by = |task: &Arc<Task>| self.versions.iter().rposition(|spec| runs(spec, task.version));
        let in_use: BTreeSet<usize> = old_tasks.filter_map(run_by).collect();
        match (0..self.versions.len() - 1).find(|at| !in_use.contains(at)) {
            Some(unused) => {
                self.versions.remove(unused);
                Ok(())
            }
            None => Err(Reject::Limit {
                limit: limits::VERSIONS_PER_APP_MAX as u64,
                what: "versions of one app that still have tasks".to_owned(),
            }),
        }
    }

    /// Decides that the task must end. Returns false if it is unknown or was sentenced before.
    pub(super) fn sentence(&mut self, id: &TaskId, reason: KillReason) -> bool {
        match self.tasks.get_mut(id) {
            Some(task) if task.is_wanted() => {
                Arc::make_mut(task).kill = Some(reason);
                true
            }
            _ => false,
        }
    }
}

/// True if a task started as `version` runs exactly what `spec` says.
fn runs(spec: &AppSpec, version: Timestamp) -> bool {
    spec.last_config_change_at <= version && version <= spec.version
}
