//! When the watchdog is pinged: whenever so much time has passed, as long as the loop turns.

use super::{Action, Machine, Millis};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pings {
    every: Millis,
    next: Millis,
}

impl Pings {
    pub fn next_deadline(self) -> Millis {
        self.next
    }
}

impl Machine {
    /// From now on the watchdog wants to be pinged so often; `None` if there is none.
    pub fn ping_every(&mut self, now: Millis, every: Option<Millis>) {
        self.pings = every.map(|every| Pings { every, next: now });
    }

    pub(super) fn ping(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if let Some(pings) = self.pings.as_mut().filter(|pings| pings.next <= now) {
            pings.next = now + pings.every;
            actions.push(Action::Ping);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Input, PowerKind, RoleName, ToInit};
    use super::*;

    fn input(which: usize) -> Input {
        match which {
            0 => Input::RoleStarted { role: RoleName::Agent, pid: 7 },
            1 => Input::Message { from: 1, message: ToInit::Hello { role: "agent".to_owned() } },
            2 => Input::Message { from: 1, message: ToInit::Alive },
            3 => Input::RoleEnded { role: RoleName::Agent, how: String::new() },
            _ => Input::PowerRequested(PowerKind::Reboot),
        }
    }

    proptest! {
        #[test]
        fn a_loop_that_turns_pings_in_time_to_the_last(
            steps in proptest::collection::vec((0_u64..40_000, 0_usize..5), 1..60),
            every in 1_250_u64..=150_000,
        ) {
            let mut machine = Machine::new(&[RoleName::Log, RoleName::Agent]);
            machine.ping_every(0, Some(every));
            let (mut now, mut last) = (0, 0);
            for (wait, which) in steps {
                let until = now + wait;
                while let Some(due) = machine.next_deadline().filter(|due| *due <= until) {
                    now = now.max(due);
                    let actions = machine.step(now, Input::Tick);
                    if actions.contains(&Action::Ping) {
                        prop_assert!(now - last <= every, "{} ms without a ping", now - last);
                        last = now;
                    }
                    if actions.contains(&Action::Finish(PowerKind::Reboot)) {
                        return Ok(());
                    }
                }
                now = until;
                prop_assert!(now - last <= every, "{} ms without a ping", now - last);
                if machine.step(now, input(which)).contains(&Action::Finish(PowerKind::Reboot)) {
                    return Ok(());
                }
            }
        }
    }

    #[test]
    fn without_a_watchdog_nothing_wakes_the_loop() {
        let mut machine = Machine::new(&[]);
        machine.ping_every(0, Some(1_000));
        assert_eq!(machine.next_deadline(), Some(0), "at once: the timeout may have run for a while");
        assert_eq!(machine.step(5, Input::Tick), [Action::Ping]);
        assert_eq!(machine.next_deadline(), Some(1_005));
        machine.ping_every(6, None);
        assert_eq!(machine.next_deadline(), None);
        assert_eq!(machine.step(2_000, Input::Tick), []);
    }
}
