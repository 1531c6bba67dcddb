//! What a task's page says beyond its row: the steps of its life, its environment without secrets, what it uses.

use model::app::{AppSpec, environment};
use model::state::App;
use model::task::{Ended, Exit, Task};
use model::{State, TaskId};

use super::task::{Moment, app_of};
use super::words;
use crate::sandbox::Usage;
use crate::strings as t;

/// Parts of a variable's name that say that its value is nobody's business.
const SECRETS: [&str; 6] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL"];

pub struct Details {
    pub steps: Vec<Step>,
    pub out_of_memory: bool,
    pub env: Vec<Variable>,
    pub env_title: String,
    /// What it was promised.
    pub cpu_milli: u64,
    pub mem_mib: u64,
}

/// One step of a task's life.
pub struct Step {
    pub word: String,
    pub moment: Moment,
    /// How long after the step before; empty for the first.
    pub after: String,
}

pub struct Variable {
    pub name: String,
    pub value: String,
    pub is_secret: bool,
}

impl Variable {
    /// Without its value if the name says that it is a secret.
    pub fn masked(name: String, value: String) -> Self {
        let is_secret = is_secret(&name);
        Variable { value: if is_secret { t::MASKED.to_owned() } else { value }, is_secret, name }
    }
}

/// A thing in use, and the part of its limit that it is.
pub struct Meter {
    pub word: &'static str,
    pub text: String,
    pub percent: Option<u64>,
}

pub fn find(state: &State, id: &TaskId) -> Option<Details> {
    if let Some((app, task)) = state.task(id) {
        return Some(details(state, app, task, None));
    }
    let app = app_of(state, id)?;
    let over = app.history.iter().find(|ended| ended.task.id == *id)?;
    Some(details(state, app, &over.task, Some(over)))
}

fn details(state: &State, app: &App, task: &Task, over: Option<&Ended>) -> Details {
    let spec = app.spec_of(task.version).unwrap_or(&app.spec);
    let env = variables(state, spec, task);
    Details {
        steps: steps(task, over),
        out_of_memory: over.is_some_and(|over| over.exit == Exit::OutOfMemory),
        env_title: t::env_title(env.len()),
        env,
        cpu_milli: spec.resources.cpu_milli,
        mem_mib: spec.resources.mem_mib,
    }
}

fn steps(task: &Task, over: Option<&Ended>) -> Vec<Step> {
    let ended = over.map(|over| (words::ending(over), over.ended_at));
    let staged = Some((t::STEP_STAGED.to_owned(), task.staged_at));
    let started = task.started_at.map(|at| (t::STEP_STARTED.to_owned(), at));
    let mut before = None;
    let step = |(word, at): (String, model::Timestamp)| {
        let after = before.map(|before| t::later(&words::duration(at.ms_since(before))));
        before = Some(at);
        Step { word, moment: at.into(), after: after.unwrap_or_default() }
    };
    [staged, started, ended].into_iter().flatten().map(step).collect()
}

fn variables(state: &State, spec: &AppSpec, task: &Task) -> Vec<Variable> {
    let host = state.nodes.get(&task.node).and_then(|node| node.addresses.first());
    let host = host.map(ToString::to_string).unwrap_or_default();
    environment(spec, task, &host).into_iter().map(|(name, value)| Variable::masked(name, value)).collect()
}

pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRETS.iter().any(|word| name.contains(word))
}

pub fn meters(usage: &Usage, details: &Details) -> Vec<Meter> {
    let share = |part: u64, whole: u64| (part.saturating_mul(100)).checked_div(whole).map(|n| n.min(100));
    let total = words::duration(usage.cpu_total_ms);
    let cpu = match usage.cpu_milli {
        Some(now) => t::cpu_now(&words::cpus(now), &words::cpus(details.cpu_milli), &total),
        None => t::cpu_total(&total),
    };
    let limit = usage.memory_limit_bytes.unwrap_or(details.mem_mib.saturating_mul(1024 * 1024));
    let processes = match usage.processes_limit {
        Some(limit) => t::used_of(&usage.processes.to_string(), &limit.to_string()),
        None => usage.processes.to_string(),
    };
    vec![
        Meter {
            word: t::METER_CPU,
            text: cpu,
            percent: usage.cpu_milli.and_then(|now| share(now, details.cpu_milli)),
        },
        Meter {
            word: t::METER_MEMORY,
            text: t::used_of(&words::bytes(usage.memory_bytes), &words::bytes(limit)),
            percent: share(usage.memory_bytes, limit),
        },
        Meter {
            word: t::METER_PROCESSES,
            text: processes,
            percent: usage.processes_limit.and_then(|limit| share(usage.processes, limit)),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_by_their_names() {
        for name in ["DB_PASSWORD", "api_token", "AWS_SECRET_ACCESS_KEY", "MYSQL_PASSWD", "key"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["HOST", "PORT0", "PASS_THROUGH", "MESOS_TASK_ID"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn meters_know_their_limits() {
        let details = Details {
            steps: vec![],
            out_of_memory: false,
            env: vec![],
            env_title: String::new(),
            cpu_milli: 500,
            mem_mib: 16,
        };
        let mut usage = Usage { memory_bytes: 4 << 20, processes: 3, ..Usage::default() };
        let told = |usage: &Usage| {
            meters(usage, &details).into_iter().map(|m| (m.text, m.percent)).collect::<Vec<_>>()
        };
        assert_eq!(
            told(&usage),
            [
                ("0 s in all".to_owned(), None),
                ("4.0 MiB of 16.0 MiB".to_owned(), Some(25)),
                ("3".to_owned(), None)
            ]
        );
        usage = Usage {
            cpu_milli: Some(250),
            cpu_total_ms: 2_000,
            memory_limit_bytes: Some(8 << 20),
            processes_limit: Some(6),
            ..usage
        };
        assert_eq!(
            told(&usage),
            [
                ("0.25 of 0.5 CPUs, 2 s in all".to_owned(), Some(50)),
                ("4.0 MiB of 8.0 MiB".to_owned(), Some(50)),
                ("3 of 6".to_owned(), Some(50))
            ]
        );
    }
}
