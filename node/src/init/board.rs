//! What the node says of itself: boot phases, and the lines each role wants shown. Feeds the role `screen` and the agent.

use std::collections::BTreeMap;

use console::{BootPhase, Service};
use serde::{Deserialize, Serialize};

use super::machine::Millis;

/// Bounds against a role gone mad; what is beyond is not shown.
const PHASES_MAX: usize = 100;
const LINES_MAX: usize = 50;

#[derive(Debug, Default)]
pub struct Board {
    phases: Vec<BootPhase>,
    /// By role.
    statuses: BTreeMap<String, Status>,
    services: Vec<Service>,
    /// The newest fault of init itself.
    error: String,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Status {
    lines: Vec<(String, String)>,
    error: String,
}

/// All of the board, for whoever shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Of all roles, in the order of the roles' names.
    pub lines: Vec<(String, String)>,
    /// What failed while the node came up, every role's last error, and init's.
    pub errors: Vec<String>,
    pub phases: Vec<BootPhase>,
    pub services: Vec<Service>,
}

/// The phase in which the agent's console begins to answer.
pub const CONSOLE: &str = "console";
/// The phase in which the disk of the tasks is taken up; absent off the appliance, where it is there before us.
pub const DATA: &str = "data";

impl Board {
    /// A phase began or ended. One that is named again begins again.
    pub fn phase(&mut self, now: Millis, name: &str, done: bool, note: &str) {
        let end_ms = done.then_some(now);
        if let Some(phase) = self.phases.iter_mut().find(|phase| phase.name == name) {
            if phase.end_ms.is_some() && !done {
                phase.start_ms = now;
            }
            phase.end_ms = end_ms;
            phase.note = note.to_owned();
        } else if self.phases.len() < PHASES_MAX {
            self.phases.push(BootPhase {
                name: name.to_owned(),
                start_ms: now,
                end_ms,
                note: note.to_owned(),
            });
        }
    }

    pub fn status(&mut self, role: &str, mut lines: Vec<(String, String)>, error: String) {
        lines.truncate(LINES_MAX);
        self.statuses.insert(role.to_owned(), Status { lines, error });
    }

    pub fn set_services(&mut self, services: Vec<Service>) {
        self.services = services;
    }

    pub fn set_error(&mut self, error: String) {
        self.error = error;
    }

    pub fn phases(&self) -> &[BootPhase] {
        &self.phases
    }

    pub fn services(&self) -> &[Service] {
        &self.services
    }

    pub fn shown(&self) -> Shown {
        Shown {
            lines: self.statuses.values().flat_map(|status| &status.lines).cloned().collect(),
            errors: self.errors().map(str::to_owned).collect(),
            phases: self.phases.clone(),
            services: self.services.clone(),
        }
    }

    /// What failed while the node came up, every role's last error, and init's.
    fn errors(&self) -> impl Iterator<Item = &str> {
        let failures = self.phases.iter().filter_map(BootPhase::failure);
        let roles = self.statuses.values().map(|status| status.error.as_str());
        failures.chain(roles).chain([self.error.as_str()]).filter(|error| !error.is_empty())
    }
}
