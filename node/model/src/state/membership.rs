//! Nodes that come in, are lost, come back and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::State;
use super::apply::check_limit;
use super::keys::KEYS_FROM;
use crate::command::{Outcome, Reject};
use crate::event::EventKind;
use crate::membership::{
    Applicant, Authority, Availability, FLAP_WINDOW_MS, FLAPS_MAX, JoinToken, Member, NodeChange,
    is_fingerprint,
};
use crate::node::Node;
use crate::task::{Exit, Reach, Task};
use crate::{AppId, NodeId, TaskId, Timestamp, limits};

/// The feature level from which on leases are kept.
pub const LEASES_FROM: u32 = 4;
const HOW_TO_REMOVE: &str = "drain the node first, or power it off and wait until it is fenced";

impl State {
    /// The cluster becomes able to take in others; the node that leads is its first member.
    pub(super) fn found(&mut self, authority: &Authority, first: &Applicant) -> Result<Outcome, Reject> {
        if self.authority.is_some() {
            return Ok(Outcome::Done);
        }
        check_applicant(first)?;
        if self.nodes.keys().any(|node| *node != first.node) {
            return Err(invalid("/first", "is not the only node"));
        }
        self.authority = Some(Authority { number: 0, ..authority.clone() });
        self.admit(first);
        Ok(Outcome::Done)
    }

    /// Lets a node in that showed the secret behind `secret_sha256`. Asked again after a lost answer it is let in again
    /// without using up the token.
    pub(super) fn admit_node(
        &mut self,
        applicant: &Applicant,
        secret_sha256: &str,
    ) -> Result<Outcome, Reject> {
        check_applicant(applicant)?;
        if self.authority.is_none() {
            return Err(invalid("/token", "the cluster takes in no nodes yet: it has not been claimed"));
        }
        if self.removed.contains_key(&applicant.fingerprint) {
            return Err(invalid("/fingerprint", "is of a node that was removed; it has to be set up anew"));
        }
        match self.members.get(&applicant.node) {
            Some(member) if member.fingerprint == applicant.fingerprint => return Ok(Outcome::Done),
            Some(_) => return Err(invalid("/node", "is the id of another member")),
            None => {}
        }
        let Some(token) = self.join_tokens.get(secret_sha256).cloned() else {
            return Err(invalid("/token", "is unknown to this cluster, or was revoked"));
        };
        if token.expires_at <= self.now {
            return Err(invalid("/token", "has expired"));
        }
        if token.uses_left == 0 {
            return Err(invalid("/token", "is used up"));
        }
        check_limit(self.members.len() + 1, limits::NODES_MAX, "nodes")?;
        let used = JoinToken { uses_left: token.uses_left - 1, ..token };
        self.join_tokens.insert(secret_sha256.to_owned(), used);
        self.admit(applicant);
        Ok(Outcome::Done)
    }

    fn admit(&mut self, applicant: &Applicant) {
        let Applicant { node, fingerprint, addresses, port } = applicant.clone();
        // As an older program would have it, as long as there may be one.
        let key_since = if self.feature_level >= KEYS_FROM { self.now } else { Timestamp::default() };
        let member = Member {
            fingerprint,
            key_since,
            renews_key: false,
            addresses,
            port,
            admitted_at: self.now,
            lost_since: None,
            fenced_at: None,
            losses: Vec::new(),
            availability: Availability::Active,
            name: None,
            attributes: BTreeMap::new(),
        };
        self.members.insert(node, Arc::new(member));
        self.expect_of_newcomer(node);
        self.emit(EventKind::NodeAdmitted { node });
    }

    /// Forgets a member. Its tasks count as lost, its key is refused from now on.
    pub(super) fn remove_node(&mut self, node: NodeId) -> Result<Outcome, Reject> {
        let Some(member) = self.members.get(&node).cloned() else {
            return Err(Reject::NodeUnknown { node });
        };
        if self.members.len() == 1 {
            return Err(invalid("/node", "is the only member: without it there is no cluster"));
        }
        let is_exclusive = |(app, _): &(AppId, TaskId)| self.app(app).is_some_and(|app| app.is_exclusive());
        let may_run_on = self.feature_level >= LEASES_FROM && member.fenced_at.is_none();
        if let Some((_, task)) = self.tasks_on(node).into_iter().find(|at| may_run_on && is_exclusive(at)) {
            let message = format!("still runs {task}, which is exclusive: {HOW_TO_REMOVE}");
            return Err(Reject::Invalid { path: "/node".to_owned(), message });
        }
        self.forget(node, &member);
        Ok(Outcome::Done)
    }

    fn forget(&mut self, node: NodeId, member: &Member) {
        for (app, task) in self.tasks_on(node) {
            self.end_task(&app, &task, &Exit::Unknown, "its node was removed from the cluster");
        }
        self.members.remove(&node);
        self.nodes.remove(&node);
        self.removed.insert(member.fingerprint.clone(), node);
        self.emit(EventKind::NodeRemoved { node });
        self.expect_nothing_of(node);
    }

    /// Forgets every member but `survivor`, whose log is all that is left. Whoever orders this answers for it that nothing
    /// of the others runs any more, so what is exclusive is taken over at once. A log from before the cluster took in
    /// others has nobody to forget.
    pub(super) fn recover(&mut self, survivor: NodeId) -> Result<Outcome, Reject> {
        if self.authority.is_none() {
            return Ok(Outcome::Done);
        }
        if !self.members.contains_key(&survivor) {
            return Err(Reject::NodeUnknown { node: survivor });
        }
        for (node, member) in self.members.clone() {
            if node != survivor {
                self.forget(node, &member);
            }
        }
        self.set_lost(survivor, false)?;
        self.emit(EventKind::ClusterRecovered { node: survivor });
        Ok(Outcome::Done)
    }

    /// The leader hears of `node` no more, or again. What becomes of its tasks is the plan's matter.
    pub(super) fn set_lost(&mut self, node: NodeId, lost: bool) -> Result<Outcome, Reject> {
        let Some(member) = self.members.get(&node) else {
            return Err(Reject::NodeUnknown { node });
        };
        if member.lost_since.is_some() == lost {
            return Ok(Outcome::Done);
        }
        let mut after =
            Member { lost_since: lost.then_some(self.now), fenced_at: None, ..(**member).clone() };
        let flaps = lost && self.feature_level >= LEASES_FROM && self.count_loss(&mut after);
        self.members.insert(node, Arc::new(after));
        self.emit(if lost { EventKind::NodeLost { node } } else { EventKind::NodeBack { node } });
        if flaps {
            self.emit(EventKind::NodeQuarantined { node });
        }
        // Once it is back they count again, and the plan ends those that are too many then.
        let reach = if lost { Reach::Unreachable } else { Reach::Here };
        if self.feature_level >= LEASES_FROM || !lost {
            for (_, task) in self.tasks_on(node) {
                self.change_task(&task, |task| task.reach = reach);
            }
        }
        Ok(Outcome::Done)
    }

    /// True if `member` is quarantined by this loss.
    fn count_loss(&self, member: &mut Member) -> bool {
        member.losses.retain(|at| self.now.ms_since(*at) < FLAP_WINDOW_MS);
        member.losses.push(self.now);
        let flaps = member.losses.len() >= FLAPS_MAX && member.availability.is_active();
        if flaps {
            member.availability = Availability::Quarantined;
        }
        flaps
    }

    /// The lease of a lost node is over. A node that answered meanwhile, and was lost again, has to be waited for anew.
    pub(super) fn fence(&mut self, node: NodeId, lost_since: Timestamp) -> Result<Outcome, Reject> {
        let Some(member) = self.members.get(&node) else {
            return Err(Reject::NodeUnknown { node });
        };
        if member.lost_since != Some(lost_since) {
            return Err(invalid("/lost_since", "is not since when the node is lost"));
        }
        if member.fenced_at.is_none() {
            let after = Member { fenced_at: Some(self.now), ..(**member).clone() };
            self.members.insert(node, Arc::new(after));
            self.emit(EventKind::NodeFenced { node });
        }
        Ok(Outcome::Done)
    }

    /// What the operator wants of a member. A node that is drained no more keeps the tasks it still has.
    pub(super) fn change_node(&mut self, node: NodeId, change: &NodeChange) -> Result<Outcome, Reject> {
        let Some(before) = self.members.get(&node).cloned() else {
            return Err(Reject::NodeUnknown { node });
        };
        check_change(change)?;
        if change.availability == Some(Availability::Quarantined) {
            return Err(invalid(
                "/availability",
                "is for the cluster to say; expected active, cordoned or draining",
            ));
        }
        if let Some(name) = &change.name
            && self.nodes.values().any(|other| other.id != node && other.name == *name)
        {
            return Err(invalid("/name", "is the name of another node"));
        }
        let mut after = Member {
            availability: change.availability.unwrap_or(before.availability),
            name: change.name.clone().or(before.name.clone()),
            ..(*before).clone()
        };
        if change.availability.is_some() {
            // What was, is looked after now.
            after.losses.clear();
        }
        for (key, value) in &change.attributes {
            match value {
                Some(value) => after.attributes.insert(key.clone(), value.clone()),
                None => after.attributes.remove(key),
            };
        }
        check_limit(after.attributes.len(), limits::NODE_ATTRIBUTES_MAX, "attributes of a node")?;
        if after == *before {
            return Ok(Outcome::Done);
        }
        let drains = |member: &Member| member.availability == Availability::Draining;
        if drains(&before) != drains(&after) {
            for (_, task) in self.tasks_on(node) {
                self.set_displaced(&task, drains(&after));
            }
        }
        if let Some(known) = self.nodes.get(&node) {
            let mut known = (**known).clone();
            for key in change.attributes.keys() {
                known.attributes.remove(key);
            }
            self.nodes.insert(node, Arc::new(with_wishes(known, &after)));
        }
        let availability = after.availability;
        self.members.insert(node, Arc::new(after));
        self.emit(EventKind::NodeChanged { node, availability });
        Ok(Outcome::Done)
    }

    /// Tasks that people want elsewhere, or there after all.
    pub(crate) fn move_tasks(&mut self, tasks: &[TaskId], cancel: bool) -> Result<Outcome, Reject> {
        if let Some(unknown) = tasks.iter().find(|task| self.task(task).is_none()) {
            return Err(Reject::Invalid {
                path: "/tasks".to_owned(),
                message: format!("{unknown} does not live"),
            });
        }
        for task in tasks {
            self.set_displaced(task, !cancel);
        }
        Ok(Outcome::Done)
    }

    /// For plans: as if `task` ran on `node` already.
    pub(crate) fn relocate(&mut self, id: &TaskId, node: NodeId, ports: Vec<u16>) {
        self.change_task(id, |task| (task.node, task.ports, task.displaced) = (node, ports, false));
    }

    fn set_displaced(&mut self, id: &TaskId, displaced: bool) {
        self.change_task(id, |task| task.displaced = displaced);
    }

    fn change_task(&mut self, id: &TaskId, change: impl FnOnce(&mut Task)) {
        let Some(app) = self.task_apps.get(id).cloned() else { return };
        if let Some(task) = self.app_mut(&app).and_then(|app| app.tasks.get_mut(id)) {
            change(Arc::make_mut(task));
        }
    }

    /// `node` as it is known: with what the operator said of it.
    pub fn as_known(&self, node: Node) -> Node {
        match self.members.get(&node.id) {
            Some(member) => with_wishes(node, member),
            None => node,
        }
    }

    /// True if new tasks may be put on `node`.
    pub fn takes_tasks(&self, node: NodeId) -> bool {
        let takes = |member: &Arc<Member>| member.lost_since.is_none() && member.availability.is_active();
        self.members.get(&node).is_none_or(takes)
    }

    pub(super) fn put_join_token(&mut self, token: &JoinToken) -> Result<Outcome, Reject> {
        let (name, max) = (&token.name, limits::TOKEN_NAME_BYTES_MAX);
        if name.trim() != name || name.is_empty() || name.len() > max || name.chars().any(char::is_control) {
            let what = "a token's name has 1 to 64 bytes, no blanks around it and no control characters";
            return Err(invalid("/name", what));
        }
        if !is_fingerprint(&token.secret_sha256) {
            return Err(invalid("/secret_sha256", "is no SHA-256 in hexadecimal digits"));
        }
        if token.uses_left == 0 || token.uses_left > limits::JOIN_TOKEN_USES_MAX {
            return Err(Reject::Invalid {
                path: "/uses".to_owned(),
                message: format!("must be 1 to {}", limits::JOIN_TOKEN_USES_MAX),
            });
        }
        if token.expires_at <= self.now {
            return Err(invalid("/expires_at", "has passed already"));
        }
        // Those that let nobody in any more make room, also for their names.
        let now = self.now;
        let of_use = |token: &JoinToken| token.uses_left > 0 && token.expires_at > now;
        self.join_tokens = self.join_tokens.iter().filter(|(_, old)| of_use(old)).map(owned).collect();
        if self.join_tokens.values().any(|other| other.name == *name) {
            return Err(invalid("/name", "is the name of another join token"));
        }
        if self.join_tokens.contains_key(&token.secret_sha256) {
            return Err(invalid("/secret_sha256", "is the hash of another join token"));
        }
        check_limit(self.join_tokens.len() + 1, limits::JOIN_TOKENS_MAX, "join tokens")?;
        self.join_tokens.insert(token.secret_sha256.clone(), JoinToken { created_at: now, ..token.clone() });
        self.emit(EventKind::JoinTokenCreated { name: name.clone() });
        Ok(Outcome::Done)
    }

    pub(super) fn delete_join_token(&mut self, name: &str) -> Result<Outcome, Reject> {
        let named = self.join_tokens.iter().find(|(_, token)| token.name == name);
        let Some(hash) = named.map(|(hash, _)| hash.clone()) else {
            return Err(invalid("/name", "is of no join token"));
        };
        self.join_tokens.remove(&hash);
        self.emit(EventKind::JoinTokenRevoked { name: name.to_owned() });
        Ok(Outcome::Done)
    }
}

fn with_wishes(mut node: Node, member: &Member) -> Node {
    node.name = member.name.clone().unwrap_or(node.name);
    node.attributes.extend(member.attributes.clone());
    node
}

fn check_change(change: &NodeChange) -> Result<(), Reject> {
    let is_word = |text: &str| {
        (1..=limits::NODE_TEXT_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    if change.name.as_deref().is_some_and(|name| !is_word(name)) {
        return Err(invalid("/name", "has 1 to 255 letters, digits, dashes, underscores and dots"));
    }
    for (key, value) in &change.attributes {
        if !is_word(key) {
            let what =
                "names an attribute that is not 1 to 255 letters, digits, dashes, underscores and dots";
            return Err(invalid("/attributes", what));
        }
        let is_text =
            |text: &String| text.len() <= limits::NODE_TEXT_BYTES_MAX && !text.contains(char::is_control);
        if !value.as_ref().is_none_or(is_text) {
            return Err(invalid(
                "/attributes",
                "has a value longer than 255 bytes or with control characters",
            ));
        }
    }
    Ok(())
}

fn owned((hash, token): (&String, &JoinToken)) -> (String, JoinToken) {
    (hash.clone(), token.clone())
}

fn check_applicant(applicant: &Applicant) -> Result<(), Reject> {
    if !is_fingerprint(&applicant.fingerprint) {
        return Err(invalid("/fingerprint", "is no SHA-256 in hexadecimal digits"));
    }
    if applicant.port == 0 {
        return Err(invalid("/port", "must be 1 to 65535"));
    }
    if applicant.addresses.is_empty() {
        return Err(invalid("/addresses", "must name at least one address"));
    }
    check_limit(applicant.addresses.len(), limits::NODE_ADDRESSES_MAX, "addresses of a node")
}

pub(super) fn invalid(path: &str, message: &str) -> Reject {
    Reject::Invalid { path: path.to_owned(), message: message.to_owned() }
}
