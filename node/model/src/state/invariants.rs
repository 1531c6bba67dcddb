//! What must hold of every state, in one place. Walked by the property tests, and by whoever doubts a state.

use std::collections::{BTreeMap, BTreeSet};

use super::{App, State};
use crate::node::Resources;
use crate::{NodeId, limits};

impl State {
    /// `Err` says which rule is broken and where. Costs a walk over the whole state.
    pub fn invariants(&self) -> Result<(), String> {
        self.check_sizes()?;
        self.check_accounts()?;
        self.check_members()?;
        self.check_tasks()?;
        self.check_nodes()?;
        self.check_deployments()?;
        self.check_events()?;
        self.apps.values().try_for_each(|app| check_app(app))
    }

    fn check_sizes(&self) -> Result<(), String> {
        for (what, count, limit) in [
            ("apps", self.apps.len(), limits::APPS_MAX),
            ("nodes", self.nodes.len(), limits::NODES_MAX),
            ("members", self.members.len(), limits::NODES_MAX),
            ("join tokens", self.join_tokens.len(), limits::JOIN_TOKENS_MAX),
            ("users", self.users.len(), limits::USERS_MAX),
            ("tokens", self.tokens.len(), limits::TOKENS_MAX),
            ("deployments", self.deployments.len(), limits::DEPLOYMENTS_MAX),
            ("remembered requests", self.requests.len(), limits::REQUESTS_REMEMBERED_MAX),
            ("events", self.events.len(), limits::EVENTS_KEPT_MAX),
        ] {
            check(count <= limit, || format!("{count} {what} exceed {limit}"))?;
        }
        let in_order = self.request_order.iter().all(|id| self.requests.contains_key(id));
        check(in_order && self.request_order.len() == self.requests.len(), || {
            "the order of remembered requests differs from their table".to_owned()
        })
    }

    fn check_accounts(&self) -> Result<(), String> {
        check(self.users.iter().all(|(name, user)| *name == user.name), || {
            "a user is stored under another name".to_owned()
        })?;
        let mut names = BTreeSet::new();
        for (hash, token) in &self.tokens {
            check(*hash == token.token_sha256, || {
                format!("token {} is stored under another hash", token.name)
            })?;
            check(names.insert(&token.name), || format!("two tokens are named {}", token.name))?;
        }
        Ok(())
    }

    fn check_members(&self) -> Result<(), String> {
        check(self.authority.is_some() != self.members.is_empty(), || {
            "there are members exactly if there is an authority".to_owned()
        })?;
        let strangers = self.nodes.keys().find(|node| !self.members.contains_key(*node));
        check(self.authority.is_none() || strangers.is_none(), || format!("{strangers:?} is no member"))?;
        if let Some(succession) = &self.succession {
            let pending = succession.pending();
            check(!pending.is_empty(), || "a step of the succession is over and goes on".to_owned())?;
            let stranger = pending.iter().find(|node| !self.members.contains_key(*node));
            check(stranger.is_none(), || format!("{stranger:?} holds up the succession and is no member"))?;
        }
        let mut keys = BTreeSet::new();
        for (node, member) in &self.members {
            let fingerprint = &member.fingerprint;
            check(!self.removed.contains_key(fingerprint), || format!("member {node} was removed"))?;
            check(keys.insert(fingerprint), || format!("member {node} has the key of another"))?;
        }
        Ok(())
    }

    fn check_tasks(&self) -> Result<(), String> {
        let mut live = 0;
        for (id, app) in &self.apps {
            for (task, value) in &app.tasks {
                live += 1;
                check(*task == value.id, || format!("task {task} is stored under another id"))?;
                check(self.task_apps.get(task) == Some(id), || {
                    format!("task {task} is not listed under {id}")
                })?;
                check(self.nodes.contains_key(&value.node), || format!("task {task} is on an unknown node"))?;
                let spec = app.spec_of(value.version);
                check(spec.is_some(), || format!("task {task} has no definition"))?;
                let checks = spec.map_or(0, |spec| spec.health_checks.len());
                check(value.health.len() <= checks, || format!("task {task} has more health than checks"))?;
            }
        }
        check(live == self.task_apps.len(), || "task_apps lists tasks that do not live".to_owned())
    }

    fn check_nodes(&self) -> Result<(), String> {
        let mut used: BTreeMap<NodeId, Resources> = BTreeMap::new();
        let mut ports = BTreeSet::new();
        for (app, task) in self.apps.values().flat_map(|app| app.tasks.values().map(move |task| (app, task)))
        {
            let sum = used.entry(task.node).or_default();
            *sum = *sum + app.resources_of(task);
            for port in task.ports.iter().filter(|port| **port != 0) {
                check(ports.insert((task.node, *port)), || {
                    format!("port {port} of node {} is given twice", task.node)
                })?;
            }
        }
        for (id, used) in used {
            let fits = self.nodes.get(&id).is_some_and(|node| node.resources.covers(&used));
            check(fits, || format!("node {id} is oversold: {used:?}"))?;
        }
        Ok(())
    }

    fn check_deployments(&self) -> Result<(), String> {
        let mut apps = BTreeSet::new();
        for (id, deployment) in &self.deployments {
            check(*id == deployment.id, || format!("deployment {id} is stored under another id"))?;
            check(self.apps.contains_key(&deployment.app), || format!("deployment {id} is of no app"))?;
            check(apps.insert(&deployment.app), || format!("two deployments of {}", deployment.app))?;
        }
        Ok(())
    }

    fn check_events(&self) -> Result<(), String> {
        let ids = || self.events.iter().map(|event| event.id);
        let ascend = ids().zip(ids().skip(1)).all(|(earlier, later)| earlier < later);
        check(ascend, || "event ids do not ascend".to_owned())?;
        let last = self.events.back().map_or(0, |event| event.id.index);
        check(last <= self.index, || "an event comes from the future".to_owned())
    }
}

fn check_app(app: &App) -> Result<(), String> {
    let id = &app.spec.id;
    let versions = || app.versions.iter().map(|spec| spec.version);
    let ascend = versions().zip(versions().skip(1)).all(|(earlier, later)| earlier < later);
    check(ascend, || format!("versions of {id} do not ascend"))?;
    check(app.versions.len() <= limits::VERSIONS_PER_APP_MAX, || format!("{id} has too many versions"))?;
    check(app.versions.back() == Some(&app.spec), || {
        format!("the last version of {id} is not its definition")
    })?;
    check(app.history.len() <= limits::HISTORY_PER_APP_MAX, || format!("{id} has too long a history"))?;
    check(app.spec.instances <= limits::INSTANCES_PER_APP_MAX, || format!("{id} wants too many instances"))?;
    check(app.waiting.len() <= limits::MESSAGE_BYTES_MAX, || format!("{id} waits too verbosely"))?;
    // No upgrade strategy lets an app have more than twice its instances, or one more than those.
    let tasks_max = 2 * limits::INSTANCES_PER_APP_MAX as usize;
    check(app.tasks.len() <= tasks_max, || format!("{id} has {} tasks", app.tasks.len()))?;
    let live_and_ended = app.history.iter().find(|ended| app.tasks.contains_key(&ended.task.id));
    check(live_and_ended.is_none(), || format!("a task of {id} lives and has ended"))?;
    check(!app.deleted || !app.tasks.is_empty(), || format!("{id} is deleted and empty, yet here"))?;
    check(!app.deleted || app.tasks.values().all(|task| !task.is_wanted()), || {
        format!("{id} is deleted, yet wants a task")
    })
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
