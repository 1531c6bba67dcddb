//! Commands and their answers, as the API and the nodes rely on them.

mod accounts;
mod apps;
mod backups;
mod health;
mod limits;
mod losses;
mod membership;
mod nodes;
mod requests;
mod restore;
mod succession;

use crate::app::AppSpec;
use crate::command::{Outcome, PutMode, Reject};
use crate::event::{EventId, EventKind, TaskStatus};
use crate::state::App;
use crate::testing::{self, Lab};
use crate::{AppId, Timestamp};

fn app_id(id: &str) -> AppId {
    AppId::parse(id).expect("a valid app id")
}

fn spec(instances: u32, cmd: &str) -> AppSpec {
    AppSpec { instances, cmd: Some(cmd.to_owned()), ..testing::spec("/a") }
}

fn app(lab: &Lab) -> &App {
    lab.state.app(&app_id("/a")).expect("/a is there")
}

fn put(lab: &mut Lab, spec: AppSpec, mode: PutMode, force: bool) -> Result<Outcome, Reject> {
    let command = lab.put_command(spec, mode, force);
    lab.run(command)
}

/// Version, created, changed.
fn deployed(outcome: Outcome) -> (Timestamp, bool, bool) {
    match outcome {
        Outcome::Deployed { version, created, changed, .. } => (version, created, changed),
        other => panic!("{other:?}"),
    }
}

/// Short names of the events since `index`.
fn events_since(lab: &Lab, index: u64) -> Vec<String> {
    let name = |kind: &EventKind| match kind {
        EventKind::TaskStatus { status: TaskStatus::Live(state), .. } => format!("{state:?}"),
        EventKind::TaskStatus { status: TaskStatus::Ended(state), .. } => format!("{state:?}"),
        other => format!("{other:?}").split([' ', '{']).next().unwrap_or_default().to_owned(),
    };
    let after = EventId { index, n: u32::MAX };
    lab.state.events_after(Some(after)).map(|event| name(&event.kind)).collect()
}
