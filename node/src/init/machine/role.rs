//! The other roles of this program: started, and started again for ever.

use console::Service;

use super::super::backoff::Backoff;
use super::{Action, ConnectionId, GiveUp, Machine, Millis};

/// An agent that says nothing for this long hangs. It speaks every few seconds; the rest is for a machine that is
/// overloaded or whose disk is slow.
const SILENCE_MS_MAX: Millis = 30_000;
/// How late init's own wake-up may be.
const LATE_MS_MAX: Millis = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum RoleName {
    Log,
    Net,
    Agent,
    Screen,
    Balancer,
}

impl RoleName {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Net => "net",
            Self::Agent => "agent",
            Self::Screen => "screen",
            Self::Balancer => "balancer",
        }
    }
}

#[derive(Debug)]
pub(super) struct Role {
    name: RoleName,
    state: State,
    backoff: Backoff,
    restarts: u32,
    last_end: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting {
        until: Millis,
    },
    /// The spawn was asked for, the answer is not there yet.
    Starting {
        since: Millis,
    },
    Up {
        pid: i32,
        since: Millis,
        /// Until then it has to say that it is alive; `None` for a role that says nothing.
        speaks_by: Option<Millis>,
    },
    /// Not to be started again: the node goes down.
    Down,
}

impl Role {
    pub fn new(name: RoleName) -> Self {
        let state = State::Waiting { until: 0 };
        Self { name, state, backoff: Backoff::default(), restarts: 0, last_end: String::new() }
    }

    pub fn name(&self) -> RoleName {
        self.name
    }

    pub fn pid(&self) -> Option<i32> {
        if let State::Up { pid, .. } = self.state { Some(pid) } else { None }
    }

    pub fn is_down(&self) -> bool {
        self.state == State::Down
    }

    pub fn next_deadline(&self) -> Option<Millis> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Up { speaks_by, .. } => speaks_by,
            State::Starting { .. } | State::Down => None,
        }
    }

    pub fn service(&self) -> Service {
        Service {
            name: self.name.as_str().to_owned(),
            pid: self.pid(),
            restarts: self.restarts,
            last_end: self.last_end.clone(),
        }
    }

    /// From now on an end is final.
    pub fn retire(&mut self) -> Option<i32> {
        if matches!(self.state, State::Waiting { .. }) {
            self.state = State::Down;
        }
        self.pid()
    }
}

impl Machine {
    pub(super) fn tick_roles(&mut self, now: Millis, actions: &mut Vec<Action>) {
        for role in &mut self.roles {
            if matches!(role.state, State::Waiting { until } if until <= now) {
                role.state = State::Starting { since: now };
                actions.push(Action::SpawnRole { role: role.name });
            }
        }
    }

    pub(super) fn role_started(&mut self, now: Millis, name: RoleName, pid: i32, actions: &mut Vec<Action>) {
        let retiring = self.power.retires(name);
        if let Some(role) = self.roles.iter_mut().find(|role| role.name == name) {
            // Until it has said something it may be busy with a large log.
            role.state = State::Up { pid, since: now, speaks_by: None };
            if retiring {
                actions.push(Action::SignalRole { role: name, pid, kill: false });
            }
        }
        actions.push(Action::RolesChanged);
    }

    pub(super) fn agent_speaks(&mut self, now: Millis, from: ConnectionId) {
        if self.agent != Some(from) {
            return;
        }
        let agent = self.roles.iter_mut().find(|role| role.name == RoleName::Agent);
        if let Some(State::Up { speaks_by, .. }) = agent.map(|role| &mut role.state) {
            *speaks_by = Some(now + SILENCE_MS_MAX);
        }
    }

    /// An agent that hangs is as good as dead, and a new one is better: its end is seen like any other. If they hang one
    /// after the other, or cannot even be killed, it is the node that hangs.
    pub(super) fn end_a_silent_agent(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let mut is_silent = false;
        for role in &mut self.roles {
            let State::Up { pid, speaks_by, .. } = &mut role.state else { continue };
            let Some(late) = speaks_by.and_then(|by| now.checked_sub(by)) else { continue };
            *speaks_by = Some(now + SILENCE_MS_MAX);
            // Who looks late was frozen, and so was the agent.
            if late <= LATE_MS_MAX {
                actions.push(Action::SignalRole { role: role.name, pid: *pid, kill: true });
                is_silent = true;
            }
        }
        if is_silent && self.hangs.one_more(now) && self.power.is_up() {
            self.give_up(now, GiveUp::AgentHangs, actions);
        }
    }

    pub(super) fn role_ended(&mut self, now: Millis, name: RoleName, how: String, actions: &mut Vec<Action>) {
        let retiring = self.power.retires(name);
        if let Some(role) = self.roles.iter_mut().find(|role| role.name == name) {
            let alive_ms = match role.state {
                State::Up { since, .. } | State::Starting { since } => now.saturating_sub(since),
                State::Waiting { .. } | State::Down => 0,
            };
            role.last_end = how;
            role.state = if retiring {
                State::Down
            } else {
                role.restarts += 1;
                State::Waiting { until: now + role.backoff.delay_after(alive_ms) }
            };
        }
        actions.push(Action::RolesChanged);
    }
}
