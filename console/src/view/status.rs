//! The one word for how an app is, and what is to be said about it.

use model::state::{App, DeploymentKind};
use model::task::TaskState;
use model::{AppId, State, Timestamp};

use super::words;
use crate::strings as t;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Deploying,
    Running,
    Suspended,
    /// The back-off after an end has not run out.
    Delayed,
    /// It may launch, but nothing takes it.
    Waiting,
}

impl Status {
    /// Deployments first, then what runs, then why nothing does (Marathon's rule).
    pub fn of(state: &State, id: &AppId, app: &App, now: Timestamp) -> Self {
        let running = running(app);
        if state.deployments_of(id).next().is_some() {
            Self::Deploying
        } else if app.spec.instances == 0 && running == 0 {
            Self::Suspended
        } else if running > 0 {
            Self::Running
        } else if app.backoff.until() > now {
            Self::Delayed
        } else {
            Self::Waiting
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Deploying => t::STATUS_DEPLOYING,
            Self::Running => t::STATUS_RUNNING,
            Self::Suspended => t::STATUS_SUSPENDED,
            Self::Delayed => t::STATUS_DELAYED,
            Self::Waiting => t::STATUS_WAITING,
        }
    }

    /// Name of the mark's shape and colour in the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Deploying => "deploying",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Delayed => "delayed",
            Self::Waiting => "waiting",
        }
    }
}

/// Tasks whose process runs.
pub fn running(app: &App) -> usize {
    app.tasks.values().filter(|task| task.state == TaskState::Running).count()
}

/// What is to be said beside the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub text: String,
    /// Cluster time in ms at which the next start is due; shown as a countdown after the text.
    pub until: Option<u64>,
}

impl Note {
    pub fn of(state: &State, id: &AppId, app: &App, now: Timestamp) -> Self {
        let plain = |text: &str| Self { text: text.to_owned(), until: None };
        let short = running(app) < app.spec.instances as usize;
        if short && app.backoff.until() > now {
            return Self { text: t::NEXT_START.to_owned(), until: Some(app.backoff.until().0) };
        }
        if short && !app.waiting.is_empty() {
            return plain(&words::sentence(&app.waiting));
        }
        match Status::of(state, id, app, now) {
            Status::Deploying => {
                let kind = state.deployments_of(id).next().map(|d| d.kind);
                plain(kind.map_or("", deployment))
            }
            Status::Waiting => plain(t::WAITING_FOR_PLAN),
            Status::Suspended => plain(t::SUSPENDED_NOTE),
            Status::Running | Status::Delayed => plain(""),
        }
    }
}

impl Note {
    /// What stands for the countdown until the script takes over.
    pub fn countdown(&self, now: &u64) -> String {
        match self.until.map_or(0, |until| until.saturating_sub(*now)) {
            0 => t::NOW.to_owned(),
            left => t::in_time(&words::duration(left.next_multiple_of(1000))),
        }
    }
}

fn deployment(kind: DeploymentKind) -> &'static str {
    match kind {
        DeploymentKind::Start => t::DEPLOYMENT_START,
        DeploymentKind::Scale => t::DEPLOYMENT_SCALE,
        DeploymentKind::Restart => t::DEPLOYMENT_RESTART,
        DeploymentKind::Stop => t::DEPLOYMENT_STOP,
    }
}
