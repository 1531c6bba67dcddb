//! Whether what clients wrote to one register and read from it can be told as one sequence, each step between its
//! question and its answer (linearizability). Every value is written once, so each read names its write, and the test
//! of zones by Gibbons and Korach ("Testing Shared Memories", 1997) decides in one pass over sorted values.

use std::collections::BTreeMap;

/// Units of one clock that all clients share, counted from before the first question.
pub type Time = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Write(u64),
    Read(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub what: What,
    pub asked: Time,
    /// `None` for a write of which nobody knows whether and when it took effect.
    pub answered: Option<Time>,
}

/// A write and the reads that saw it: from the first answer on the value was there, and at the last question it still was.
#[derive(Debug, Clone, Copy)]
struct Zone {
    value: u64,
    first_answer: Time,
    last_question: Time,
}

impl Zone {
    /// The value certainly held all that time; others hold it at some moment between.
    fn is_forward(&self) -> bool {
        self.first_answer < self.last_question
    }
}

/// `Err` names what contradicts what. Before the first step the register held `initial`.
pub fn check(steps: &[Step], initial: u64) -> Result<(), String> {
    let mut writes = BTreeMap::from([(initial, (0, Some(0)))]);
    for step in steps {
        if let What::Write(value) = step.what
            && writes.insert(value, (step.asked, step.answered)).is_some()
        {
            return Err(format!("{value} was written twice, so this cannot be decided"));
        }
    }
    let mut zones: BTreeMap<u64, Zone> = BTreeMap::new();
    for step in steps {
        let (What::Read(value), Some(answered)) = (step.what, step.answered) else { continue };
        let Some((write_asked, write_answered)) = writes.get(&value).copied() else {
            return Err(format!("{value} was read and never written: {step:?}"));
        };
        if answered < write_asked {
            return Err(format!("{value} was read before anybody asked for it: {step:?}"));
        }
        let first_answer = write_answered.unwrap_or(Time::MAX);
        let zone = zones.entry(value).or_insert(Zone { value, first_answer, last_question: write_asked });
        zone.first_answer = zone.first_answer.min(answered);
        zone.last_question = zone.last_question.max(step.asked);
    }
    // A write that nobody saw took some moment; one of unknown outcome need never have happened.
    for (value, (asked, answered)) in writes {
        if let (Some(first_answer), None) = (answered, zones.get(&value)) {
            zones.insert(value, Zone { value, first_answer, last_question: asked });
        }
    }
    judge(zones.into_values().collect())
}

fn judge(zones: Vec<Zone>) -> Result<(), String> {
    let (mut forward, backward): (Vec<Zone>, Vec<Zone>) = zones.into_iter().partition(Zone::is_forward);
    forward.sort_by_key(|zone| zone.first_answer);
    for pair in forward.windows(2) {
        if pair[1].first_answer < pair[0].last_question {
            return Err(format!("{} and {} both held at once: {pair:?}", pair[0].value, pair[1].value));
        }
    }
    for zone in backward {
        // The last that begins before it is the only one that can hold it whole, for they do not overlap.
        let at = forward.partition_point(|held| held.first_answer < zone.last_question);
        if let Some(held) = at.checked_sub(1).and_then(|at| forward.get(at))
            && zone.first_answer < held.last_question
        {
            let (lost, held_value) = (zone.value, held.value);
            return Err(format!("{lost} has no moment while {held_value} held: {zone:?}, {held:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step(what: What, asked: Time, answered: Time) -> Step {
        Step { what, asked, answered: Some(answered) }
    }

    #[test]
    fn what_is_right_and_what_is_not() {
        let write = |value, asked, answered| step(What::Write(value), asked, answered);
        let read = |value, asked, answered| step(What::Read(value), asked, answered);
        let lost = |value, asked| Step { what: What::Write(value), asked, answered: None };
        for (history, is_right) in [
            (vec![write(1, 10, 20), read(1, 30, 40)], true),
            (vec![write(1, 10, 20), read(0, 30, 40)], false),
            (vec![write(1, 10, 40), read(0, 20, 30)], true),
            (vec![write(1, 10, 60), read(1, 20, 30), read(0, 40, 50)], false),
            (vec![write(1, 10, 20), write(2, 30, 40), read(1, 50, 60)], false),
            (vec![write(1, 10, 40), write(2, 20, 50), read(1, 60, 70)], true),
            (vec![write(1, 10, 40), write(2, 20, 50), read(1, 60, 70), read(2, 80, 90)], false),
            (vec![lost(1, 10), read(0, 20, 30), read(1, 40, 50)], true),
            (vec![lost(1, 10), read(1, 20, 30), read(0, 40, 50)], false),
            (vec![lost(1, 10), read(0, 40, 50)], true),
            (vec![read(7, 10, 20)], false),
            (vec![read(1, 10, 20), write(1, 30, 40)], false),
        ] {
            assert_eq!(check(&history, 0).is_ok(), is_right, "{history:?}");
        }
    }

    /// Tries every order.
    fn is_linear(left: &[Step], value: u64) -> bool {
        let Some(end) = left.iter().filter_map(|step| step.answered).min() else { return true };
        left.iter().enumerate().filter(|(_, step)| step.asked <= end).any(|(at, step)| {
            let mut rest = left.to_vec();
            rest.remove(at);
            match step.what {
                What::Write(written) => is_linear(&rest, written),
                What::Read(read) => read == value && is_linear(&rest, value),
            }
        })
    }

    fn history() -> impl Strategy<Value = Vec<Step>> {
        let one = (any::<bool>(), 0..4u64, 1..200u64, 1..60u64, prop::bool::weighted(0.2));
        prop::collection::vec(one, 0..7).prop_map(|drawn| {
            let mut steps = Vec::new();
            for (n, (writes, value, asked, length, is_lost)) in drawn.into_iter().enumerate() {
                // Moments that no two steps share, so that it is clear which came first.
                let (asked, answered) = (asked * 10 + n as u64, (asked + length) * 10 + n as u64);
                let what = if writes { What::Write(n as u64 + 1) } else { What::Read(value) };
                let answered = Some(answered).filter(|_| !(writes && is_lost));
                steps.push(Step { what, asked, answered });
            }
            steps
        })
    }

    proptest! {
        #[test]
        fn says_the_same_as_trying_every_order(history in history()) {
            prop_assert_eq!(check(&history, 0).is_ok(), is_linear(&history, 0));
        }
    }
}
