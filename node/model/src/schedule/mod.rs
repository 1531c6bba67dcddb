//! Decides what to launch and kill: pure, from a state and a time. Called by the leader whenever the state changes or
//! a back-off ends. It never changes the state: its actions do, once they are in the log.

mod constraints;
mod kill;
pub mod lost;
mod place;
pub mod ports;
mod usage;
mod waiting;

pub use usage::{NodeUsage, Usage};

use crate::command::Action;
use crate::ids::IdSource;
use crate::state::{App, DeploymentKind};
use crate::task::KillReason;
use crate::{AppId, State, Timestamp, deploy, limits};

/// What should happen next, and when to look again if nothing else happens before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// Cluster time of the next back-off expiry; `now` if more is to be done than one plan may hold.
    pub wake_at: Option<Timestamp>,
}

/// Compares what the apps want with what lives at cluster time `now`. An empty plan means that all is as wanted, or
/// waits for something that will change the state.
pub fn plan(state: &State, now: Timestamp, ids: &mut IdSource) -> Plan {
    let (given_up, wake_at) = lost::give_up(state, now);
    if !given_up.is_empty() {
        // What follows from their loss is planned on the state without them.
        let actions = given_up.into_iter().take(limits::PLAN_ACTIONS_MAX).collect();
        return Plan { actions, wake_at };
    }
    let mut planner = Planner { state, now, ids, usage: None, plan: Plan { actions: Vec::new(), wake_at } };
    planner.finish_deployments();
    for (id, app) in &state.apps {
        if planner.is_full() {
            break;
        }
        if !app.deleted {
            planner.plan_app(id, app);
        }
    }
    planner.done()
}

struct Planner<'a> {
    state: &'a State,
    now: Timestamp,
    ids: &'a mut IdSource,
    /// What nodes have left. Made at the first launch: it walks all tasks, and most plans launch nothing.
    usage: Option<Usage>,
    plan: Plan,
}

impl Planner<'_> {
    fn is_full(&self) -> bool {
        self.plan.actions.len() >= limits::PLAN_ACTIONS_MAX
    }

    fn done(mut self) -> Plan {
        if self.is_full() {
            self.plan.actions.truncate(limits::PLAN_ACTIONS_MAX);
            self.plan.wake_at = Some(self.now);
        }
        self.plan
    }

    fn finish_deployments(&mut self) {
        for deployment in self.state.deployments.values() {
            let app = self.state.app(&deployment.app);
            // `Stop` ends by itself with the app's last task.
            if deployment.kind != DeploymentKind::Stop && app.is_some_and(|app| deploy::is_reached(app)) {
                self.plan.actions.push(Action::FinishDeployment { deployment: deployment.id });
            }
        }
    }

    fn plan_app(&mut self, id: &AppId, app: &App) {
        let next = deploy::next(app, self.state.is_exclusive(app));
        let surplus = kill::surplus(self.state, app, &next);
        let surplus = surplus.into_iter().map(|task| (task, KillReason::ScaledDown));
        let victims = kill::outdated(app, &next).into_iter().chain(surplus);
        self.plan.actions.extend(victims.map(|(task, reason)| Action::Kill { task, reason }));
        let waiting = self.launch(id, app, next.start);
        if waiting != app.waiting {
            self.plan.actions.push(Action::Waiting { app: id.clone(), reason: waiting });
        }
    }

    /// Places up to `count` new tasks. Returns why not all of them have a place; empty if they have, or if the app's
    /// launch delay runs, which is another thing than waiting for a place.
    fn launch(&mut self, id: &AppId, app: &App, count: u32) -> String {
        if count == 0 {
            return String::new();
        }
        let until = app.backoff.until();
        if until > self.now {
            self.plan.wake_at = Some(self.plan.wake_at.map_or(until, |at| at.min(until)));
            return String::new();
        }
        let room = limits::PLAN_ACTIONS_MAX.saturating_sub(self.plan.actions.len());
        let usage = self.usage.get_or_insert_with(|| Usage::of(self.state));
        let mut placing = place::Placing::new(self.state, app, usage);
        for _ in 0..(count as usize).min(room) {
            match placing.place_one(self.ids) {
                Ok(action) => self.plan.actions.push(action),
                Err(refusals) => return waiting::sentence(&app.spec, id, &refusals),
            }
        }
        String::new()
    }
}

#[cfg(test)]
mod tests;
