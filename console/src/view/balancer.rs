//! The balancer of the node that answers.

use super::task::Moment;
use super::{apps, words};
use crate::strings as t;
use crate::{BackEnd, BalancerRun, BalancerStatus, BalancerStep, FrontEnd};

pub struct BalancerView {
    pub state: &'static str,
    pub class: &'static str,
    pub detail: String,
    pub error: String,
    pub change: Option<ChangeView>,
    pub reloads: u64,
    pub fronts: Vec<FrontView>,
    pub backs: Vec<BackView>,
    pub faults: Vec<FaultView>,
    pub configuration: String,
}

pub struct ChangeView {
    pub at: Moment,
    pub what: String,
    pub why: String,
}

pub struct FrontView {
    pub name: String,
    pub bind: String,
    pub sessions: u64,
    pub rate: u64,
    pub total: u64,
    pub traffic: String,
}

pub struct BackView {
    pub name: String,
    pub app: String,
    pub href: String,
    pub sessions: u64,
    pub rate: u64,
    pub total: u64,
    pub errors: u64,
    pub servers: Vec<ServerView>,
}

pub struct ServerView {
    pub short: String,
    pub href: String,
    pub address: String,
    pub state: String,
    pub class: &'static str,
    pub sessions: u64,
    pub rate: u64,
    pub total: u64,
}

pub struct FaultView {
    pub app: String,
    pub href: String,
    pub told: Vec<String>,
}

pub fn view(status: BalancerStatus) -> BalancerView {
    let (state, class, detail) = run(&status.run);
    BalancerView {
        state,
        class,
        detail,
        error: status.error,
        change: status.change.map(|change| ChangeView {
            at: Moment::from(change.at),
            what: step(change.step),
            why: change.why,
        }),
        reloads: status.reloads,
        fronts: status.front_ends.into_iter().map(front).collect(),
        backs: status.back_ends.into_iter().map(back).collect(),
        faults: status
            .faults
            .into_iter()
            .map(|(app, told)| FaultView { href: apps::href(&app), app: app.to_string(), told })
            .collect(),
        configuration: status.configuration,
    }
}

fn run(run: &BalancerRun) -> (&'static str, &'static str, String) {
    match run {
        BalancerRun::Missing { program } => (t::BALANCER_MISSING, "failed", t::balancer_missing(program)),
        BalancerRun::Idle => (t::BALANCER_IDLE, "suspended", t::BALANCER_IDLE_TEXT.to_owned()),
        BalancerRun::Down { why } => (t::BALANCER_DOWN, "failed", why.clone()),
        BalancerRun::Running { version, uptime_s } => {
            (t::BALANCER_RUNNING, "running", t::balancer_running(version, &words::duration(uptime_s * 1000)))
        }
    }
}

fn step(step: BalancerStep) -> String {
    match step {
        BalancerStep::Written => t::BALANCER_WRITTEN.to_owned(),
        BalancerStep::Servers(count) => t::balancer_servers(count),
        BalancerStep::Loaded => t::BALANCER_LOADED.to_owned(),
    }
}

fn front(front: FrontEnd) -> FrontView {
    FrontView {
        traffic: t::traffic(&words::bytes(front.bytes_in), &words::bytes(front.bytes_out)),
        name: front.name,
        bind: front.bind,
        sessions: front.sessions,
        rate: front.rate,
        total: front.total,
    }
}

fn back(back: BackEnd) -> BackView {
    let server = |server: crate::BalancedServer| ServerView {
        short: super::task::short(&server.task),
        href: format!("/tasks/{}", server.task),
        class: class_of(&server.state),
        address: server.address,
        state: server.state,
        sessions: server.sessions,
        rate: server.rate,
        total: server.total,
    };
    BackView {
        href: apps::href(&back.app),
        app: back.app.to_string(),
        name: back.name,
        sessions: back.sessions,
        rate: back.rate,
        total: back.total,
        errors: back.errors,
        servers: back.servers.into_iter().map(server).collect(),
    }
}

/// The mark for HAProxy's word: `UP 1/3` is on its way, `no check` is taken for well.
fn class_of(state: &str) -> &'static str {
    match state {
        "UP" | "no check" => "running",
        word if word.starts_with("DOWN") || word == "MAINT" => "failed",
        _ => "deploying",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haproxys_words_have_marks() {
        for (word, class) in [
            ("UP", "running"),
            ("no check", "running"),
            ("UP 1/3", "deploying"),
            ("DRAIN", "deploying"),
            ("DOWN", "failed"),
            ("DOWN 1/2", "failed"),
            ("MAINT", "failed"),
        ] {
            assert_eq!(class_of(word), class, "{word}");
        }
    }
}
