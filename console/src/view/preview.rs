//! What a command would do, before it is done: tried on a copy of the state by the very code that would apply it.

use model::app::AppSpec;
use model::command::{self, Action, Envelope};
use model::ids::IdSource;
use model::state::{App, DeploymentKind};
use model::{AppId, Command, Outcome, Reject, State, Timestamp, deploy, schedule};

use super::diff::{Line, diff};
use super::words;
use crate::compose;
use crate::strings as t;

pub struct Preview {
    /// `Err`: the cluster would refuse it.
    pub result: Result<(), Reject>,
    /// Nothing differs from what is.
    pub is_idle: bool,
    /// The consequence, a sentence each.
    pub sentences: Vec<String>,
    /// What the cluster would do first.
    pub steps: Vec<String>,
    /// How the definition changes.
    pub diff: Vec<Line>,
    /// A deployment is in the way and would be given up.
    pub is_locked: bool,
}

/// `command` names `app`. A deployment in the way is said, not a reason to stop.
pub fn preview(state: &State, now: Timestamp, app: &AppId, command: Command) -> Preview {
    let is_locked = state.deployments_of(app).next().is_some();
    let before = state.app(app).cloned();
    let mut after = state.clone();
    let applied = after.apply(state.index + 1, &envelope(now, forced(command)));
    let mut preview = Preview {
        result: Ok(()),
        is_idle: false,
        sentences: Vec::new(),
        steps: Vec::new(),
        diff: Vec::new(),
        is_locked,
    };
    match applied.result {
        Err(reject) => preview.result = Err(reject),
        Ok(Outcome::Deployed { changed: false, .. }) => {
            preview.is_idle = true;
            preview.sentences.push(t::PREVIEW_IDLE.to_owned());
        }
        Ok(_) => {
            let kind = after.deployments_of(app).next().map(|deployment| deployment.kind);
            // An app without instances is gone at once.
            let kind = kind.unwrap_or(DeploymentKind::Stop);
            let new = after.app(app).cloned();
            preview.sentences = sentences(kind, before.as_deref(), new.as_deref());
            preview.steps = steps(&after, now, app);
            if let Some(new) = new {
                preview.diff = diff_of(before.as_ref().map(|app| &*app.spec), &new.spec);
            }
        }
    }
    preview
}

/// Line by line in the form that people edit. Without `old` there is nothing to compare with.
pub fn diff_of(old: Option<&AppSpec>, new: &AppSpec) -> Vec<Line> {
    let text = |spec| compose::pretty(&compose::compact(spec));
    old.map_or_else(Vec::new, |old| diff(&text(old), &text(new)))
}

fn forced(mut command: Command) -> Command {
    if let Command::PutApp { force, .. }
    | Command::RestartApp { force, .. }
    | Command::DeleteApp { force, .. } = &mut command
    {
        *force = true;
    }
    command
}

fn envelope(now: Timestamp, command: Command) -> Envelope {
    Envelope {
        format: command::FORMAT,
        request_id: None,
        actor: model::auth::Actor::System,
        origin: model::Origin::default(),
        at: now,
        expected_version: None,
        command,
    }
}

fn sentences(kind: DeploymentKind, before: Option<&App>, after: Option<&App>) -> Vec<String> {
    let live = before.map_or(0, |app| app.tasks.values().filter(|task| task.is_wanted()).count());
    let wanted = after.map_or(0, |app| app.spec.instances) as usize;
    match (kind, after) {
        (DeploymentKind::Stop, _) | (_, None) => vec![t::preview_stop(live)],
        (DeploymentKind::Start, _) => vec![t::preview_start(wanted)],
        (DeploymentKind::Scale, Some(_)) if wanted == 0 => {
            vec![t::preview_stop(live), t::PREVIEW_SUSPENDED.to_owned()]
        }
        (DeploymentKind::Scale, Some(app)) if wanted < live => {
            vec![t::preview_fewer(live - wanted, live), selection(app)]
        }
        (DeploymentKind::Scale, Some(_)) => vec![t::preview_more(wanted.saturating_sub(live), live)],
        (DeploymentKind::Restart, Some(app)) => restart(live, app),
    }
}

fn selection(app: &App) -> String {
    match app.spec.kill_selection {
        model::app::KillSelection::YoungestFirst => t::PREVIEW_YOUNGEST.to_owned(),
        model::app::KillSelection::OldestFirst => t::PREVIEW_OLDEST.to_owned(),
    }
}

fn restart(live: usize, app: &App) -> Vec<String> {
    let wanted = app.spec.instances as usize;
    let bounds = deploy::bounds(&app.spec);
    let mut sentences = vec![t::preview_replaced(live, wanted)];
    if live > 0 && wanted > 0 {
        sentences.push(t::preview_meanwhile(bounds.running_min, bounds.live_max));
    }
    sentences
}

/// The first plan on the changed state: so many starts and stops on each node, or why nothing starts.
fn steps(after: &State, now: Timestamp, app: &AppId) -> Vec<String> {
    let plan = schedule::plan(after, now, &mut IdSource::new(1));
    let name =
        |node: &model::NodeId| after.nodes.get(node).map_or_else(|| node.to_string(), |n| n.name.clone());
    let mut starts = std::collections::BTreeMap::<String, usize>::new();
    let mut stops = std::collections::BTreeMap::<String, usize>::new();
    let mut waiting = String::new();
    for action in &plan.actions {
        match action {
            Action::Launch { app: launched, node, .. } if launched == app => {
                *starts.entry(name(node)).or_default() += 1;
            }
            Action::Kill { task, .. } => {
                if let Some((_, task)) = after.task(task).filter(|(owner, _)| owner.spec.id == *app) {
                    *stops.entry(name(&task.node)).or_default() += 1;
                }
            }
            Action::Waiting { app: waits, reason } if waits == app => waiting.clone_from(reason),
            _ => {}
        }
    }
    let mut steps: Vec<String> =
        starts.iter().map(|(node, count)| t::preview_step_start(*count, node)).collect();
    steps.extend(stops.iter().map(|(node, count)| t::preview_step_stop(*count, node)));
    if !waiting.is_empty() {
        steps.push(words::sentence(&waiting));
    }
    steps
}
