//! What a task's health checks found, and what follows from it. Pure: samples come in with their time.
//!
//! The node of a task takes the samples and keeps them to itself; only what they change in the verdict goes to the log
//! ([`is_news`]), so the counts in the state are those of the last change.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::app::{AppSpec, HealthCheck, HealthProtocol};
use crate::task::{Task, TaskState};

/// Bytes kept of why a check failed.
pub const CAUSE_BYTES_MAX: usize = 256;

/// What one check of one task has found so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CheckHealth {
    /// `None` until it passed for the first time or failed after the grace period.
    pub alive: Option<bool>,
    pub consecutive_failures: u32,
    pub first_success: Option<Timestamp>,
    pub last_success: Option<Timestamp>,
    pub last_failure: Option<Timestamp>,
    /// Of the last failure; empty if there was none.
    pub last_failure_cause: String,
}

/// One look at a task. `Err` is why it did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub at: Timestamp,
    pub result: Result<(), String>,
}

/// What all checks of a task say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Not every check has passed yet, and none has failed.
    Unknown,
    Healthy,
    Unhealthy,
}

impl CheckHealth {
    /// Takes in a sample of a task that started at `started_at`.
    pub fn observe(&mut self, check: &HealthCheck, started_at: Timestamp, sample: Sample) {
        let Err(mut cause) = sample.result else {
            self.alive = Some(true);
            self.consecutive_failures = 0;
            self.first_success.get_or_insert(sample.at);
            self.last_success = Some(sample.at);
            return;
        };
        cause.truncate(cause.floor_char_boundary(CAUSE_BYTES_MAX));
        self.last_failure = Some(sample.at);
        self.last_failure_cause = cause;
        let grace_ends = started_at.plus_ms(delay_ms(check)).plus_ms(check.grace_ms);
        // A task that is still starting up is not ill; one that was well once is.
        if self.first_success.is_none() && sample.at < grace_ends {
            return;
        }
        self.alive = Some(false);
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
    }

    /// It failed so often in a row that its task is to be replaced.
    pub fn gives_up(&self, check: &HealthCheck) -> bool {
        let most = check.max_consecutive_failures;
        self.alive == Some(false) && most > 0 && self.consecutive_failures >= most
    }
}

/// How long after the start of a task its check is first looked at: checks of Mesos' agents and commands wait.
pub fn delay_ms(check: &HealthCheck) -> u64 {
    match check.protocol {
        HealthProtocol::Http | HealthProtocol::Https | HealthProtocol::Tcp => 0,
        HealthProtocol::Command
        | HealthProtocol::MesosHttp
        | HealthProtocol::MesosHttps
        | HealthProtocol::MesosTcp => check.delay_ms,
    }
}

/// What `checks` say of a task of `spec`. An app without checks is never judged.
pub fn verdict(spec: &AppSpec, checks: &[CheckHealth]) -> Verdict {
    if checks.iter().any(|check| check.alive == Some(false)) {
        return Verdict::Unhealthy;
    }
    let passed = checks.iter().filter(|check| check.alive == Some(true)).count();
    let all = !spec.health_checks.is_empty() && passed == spec.health_checks.len();
    if all { Verdict::Healthy } else { Verdict::Unknown }
}

/// True if the task answers those it is there for: it runs where it can be reached, and its checks (if it has any) have all passed.
pub fn serves(spec: &AppSpec, task: &Task) -> bool {
    let is_well = || verdict(spec, &task.health) == Verdict::Healthy;
    task.reach.is_here() && task.state == TaskState::Running && (spec.health_checks.is_empty() || is_well())
}

/// True if `seen` is worth a word in the log, where `known` is what it says: a check turned, or is to end its task.
pub fn is_news(spec: &AppSpec, known: &[CheckHealth], seen: &[CheckHealth]) -> bool {
    let unseen = CheckHealth::default();
    spec.health_checks.iter().enumerate().any(|(at, check)| {
        let known = known.get(at).unwrap_or(&unseen);
        let seen = seen.get(at).unwrap_or(&unseen);
        known.alive != seen.alive || known.gives_up(check) != seen.gives_up(check)
    })
}

/// Why a task was given up, in a sentence's second half; empty if no check has failed.
pub fn complaint(checks: &[CheckHealth]) -> String {
    let worst =
        checks.iter().filter(|check| check.alive == Some(false)).max_by_key(|c| c.consecutive_failures);
    worst.map_or_else(String::new, |check| match check.consecutive_failures {
        1 => check.last_failure_cause.clone(),
        count => format!("{count} failures in a row, the last: {}", check.last_failure_cause),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const START: Timestamp = Timestamp(1_000_000);

    fn check(grace_ms: u64, max_consecutive_failures: u32) -> HealthCheck {
        HealthCheck { grace_ms, max_consecutive_failures, ..testing::health_check() }
    }

    /// Samples at seconds after the start; `expect` is alive, failures in a row and giving up after each.
    fn observe(check: &HealthCheck, samples: &[(u64, bool)], expect: &[(Option<bool>, u32, bool)]) {
        let mut health = CheckHealth::default();
        let mut seen = Vec::new();
        for &(second, passes) in samples {
            let result = if passes { Ok(()) } else { Err(format!("at {second}")) };
            health.observe(check, START, Sample { at: START.plus_ms(second * 1_000), result });
            seen.push((health.alive, health.consecutive_failures, health.gives_up(check)));
        }
        assert_eq!(seen, expect, "{samples:?}");
    }

    #[test]
    fn failures_within_the_grace_period_do_not_count() {
        let check = check(10_000, 2);
        let unknown = (None, 0, false);
        observe(
            &check,
            &[(1, false), (9, false), (10, false), (11, false)],
            &[unknown, unknown, (Some(false), 1, false), (Some(false), 2, true)],
        );
        // The grace period ends with the first success.
        observe(
            &check,
            &[(1, true), (2, false), (3, true), (4, false), (5, false)],
            &[
                (Some(true), 0, false),
                (Some(false), 1, false),
                (Some(true), 0, false),
                (Some(false), 1, false),
                (Some(false), 2, true),
            ],
        );
    }

    #[test]
    fn the_delay_of_checks_on_the_agent_comes_before_the_grace_period() {
        let late = HealthCheck { protocol: HealthProtocol::MesosHttp, delay_ms: 5_000, ..check(10_000, 3) };
        observe(&late, &[(14, false), (15, false)], &[(None, 0, false), (Some(false), 1, false)]);
        assert_eq!(delay_ms(&check(0, 1)), 0);
    }

    #[test]
    fn zero_failures_at_most_means_never_to_give_up() {
        let check = check(0, 0);
        let samples = [(1, false); 5];
        let expect: Vec<_> = (1..6).map(|n| (Some(false), n, false)).collect();
        observe(&check, &samples, &expect);
    }

    #[test]
    fn times_and_cause_are_kept() {
        let mut health = CheckHealth::default();
        let at = |second: u64| START.plus_ms(second * 1_000);
        let pass = |second| Sample { at: at(second), result: Ok(()) };
        health.observe(&check(0, 3), START, pass(1));
        health.observe(&check(0, 3), START, pass(2));
        health.observe(&check(0, 3), START, Sample { at: at(3), result: Err("ä".repeat(200)) });
        assert_eq!((health.first_success, health.last_success), (Some(at(1)), Some(at(2))));
        assert_eq!((health.last_failure, health.last_failure_cause), (Some(at(3)), "ä".repeat(128)));
    }

    #[test]
    fn one_check_that_fails_makes_a_task_unhealthy() {
        let of = |alive| CheckHealth { alive, ..CheckHealth::default() };
        let spec = AppSpec { health_checks: vec![check(0, 1); 2], ..testing::spec("/a") };
        for (checks, expect) in [
            (vec![], Verdict::Unknown),
            (vec![of(Some(true))], Verdict::Unknown),
            (vec![of(Some(true)), of(None)], Verdict::Unknown),
            (vec![of(Some(true)), of(Some(true))], Verdict::Healthy),
            (vec![of(Some(true)), of(Some(false))], Verdict::Unhealthy),
            (vec![of(None), of(Some(false))], Verdict::Unhealthy),
        ] {
            assert_eq!(verdict(&spec, &checks), expect, "{checks:?}");
        }
        assert_eq!(verdict(&testing::spec("/a"), &[]), Verdict::Unknown);
    }

    #[test]
    fn only_what_turns_is_news() {
        let spec = AppSpec { health_checks: vec![check(0, 3)], ..testing::spec("/a") };
        let failed = |consecutive_failures| CheckHealth {
            alive: Some(false),
            consecutive_failures,
            ..CheckHealth::default()
        };
        let well = CheckHealth { alive: Some(true), ..CheckHealth::default() };
        let later = CheckHealth { last_success: Some(START), ..well.clone() };
        assert!(is_news(&spec, &[], std::slice::from_ref(&well)));
        assert!(!is_news(&spec, std::slice::from_ref(&well), &[later]));
        assert!(is_news(&spec, &[well], &[failed(1)]));
        assert!(!is_news(&spec, &[failed(1)], &[failed(2)]));
        assert!(is_news(&spec, &[failed(1)], &[failed(3)]));
        assert!(!is_news(&spec, &[failed(3)], &[failed(4)]));
        assert!(!is_news(&spec, &[], &[]));
    }
}
