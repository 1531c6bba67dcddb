//! When agents that hang one after the other are a matter of the node. Pure.

use std::collections::VecDeque;

use super::{Machine, Millis};

/// So many agents ended for their silence, without one that became ready in between.
const HANGS_MAX: usize = 3;
const WITHIN_MS: Millis = 10 * 60 * 1000;
/// The node is up for so long at least before it is started anew for that a second time in a row.
pub const REBOOT_AFTER_MS: Millis = WITHIN_MS;

#[derive(Debug, Default)]
pub(super) struct Hangs {
    at: VecDeque<Millis>,
    /// Before that the node is not started anew; `None` if it never is.
    reboot_after: Option<Millis>,
}

impl Hangs {
    /// One more agent hung; true if the node is to be started anew.
    pub fn one_more(&mut self, now: Millis) -> bool {
        self.at.retain(|at| now < at + WITHIN_MS);
        self.at.push_back(now);
        self.at.len() >= HANGS_MAX && self.reboot_after.is_some_and(|after| after <= now)
    }

    /// An agent is ready.
    pub fn forget(&mut self) {
        self.at.clear();
    }
}

impl Machine {
    /// Agents that hang one after the other may cost a reboot, after that point of time.
    pub fn reboot_if_agents_hang(&mut self, after: Millis) {
        self.hangs.reboot_after = Some(after);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Action, GiveUp, Input, PowerKind, RoleName, ToInit};
    use super::*;

    const SILENCE_MS: Millis = 30_000;
    const GIVES_UP: Action = Action::GiveUp(GiveUp::AgentHangs);

    fn say(message: ToInit) -> Input {
        Input::Message { from: 1, message }
    }

    fn machine(reboot_after: Option<Millis>) -> Machine {
        let mut machine = Machine::new(&[RoleName::Agent]);
        if let Some(after) = reboot_after {
            machine.reboot_if_agents_hang(after);
        }
        machine
    }

    /// An agent starts at `now`, says so and then nothing more, and is ended; whether the node gives up.
    fn hang(machine: &mut Machine, now: Millis) -> bool {
        machine.step(now, Input::RoleStarted { role: RoleName::Agent, pid: 7 });
        machine.step(now, say(ToInit::Hello { role: "agent".to_owned() }));
        let actions = machine.step(now + SILENCE_MS, Input::Tick);
        assert!(actions.contains(&Action::SignalRole { role: RoleName::Agent, pid: 7, kill: true }));
        machine.step(now + SILENCE_MS, Input::RoleEnded { role: RoleName::Agent, how: String::new() });
        actions.contains(&GIVES_UP)
    }

    fn hang_each(machine: &mut Machine, times: &[Millis]) -> Vec<bool> {
        times.iter().map(|now| hang(machine, *now)).collect()
    }

    #[test]
    fn one_hanging_agent_after_the_other_costs_a_reboot() {
        let mut machine = machine(Some(0));
        assert_eq!(hang_each(&mut machine, &[0, 100_000, 200_000]), [false, false, true]);
    }

    #[test]
    fn an_agent_that_became_ready_in_between_is_a_new_beginning() {
        let mut machine = machine(Some(0));
        assert_eq!(hang_each(&mut machine, &[0, 100_000]), [false, false]);
        machine.step(150_000, say(ToInit::Ready));
        assert_eq!(hang_each(&mut machine, &[200_000, 300_000, 400_000]), [false, false, true]);
    }

    #[test]
    fn hangs_that_are_far_apart_cost_nothing() {
        let times: Vec<Millis> = (0..20).map(|n| n * WITHIN_MS / 2).collect();
        assert!(!hang_each(&mut machine(Some(0)), &times).contains(&true));
    }

    #[test]
    fn a_machine_that_is_not_ours_is_never_rebooted_for_it() {
        let times: Vec<Millis> = (0..20).map(|n| n * SILENCE_MS).collect();
        assert!(!hang_each(&mut machine(None), &times).contains(&true));
    }

    #[test]
    fn a_reboot_that_did_not_help_is_not_tried_again_at_once() {
        let mut machine = machine(Some(REBOOT_AFTER_MS));
        let times: Vec<Millis> =
            (0..).map(|n| n * SILENCE_MS).take_while(|at| *at < REBOOT_AFTER_MS).collect();
        let given_up = hang_each(&mut machine, &times);
        assert!(given_up.iter().position(|up| *up) == Some(given_up.len() - 1), "{given_up:?}");
    }

    /// Stuck in the kernel, say, at a disk that answers no more.
    #[test]
    fn an_agent_that_cannot_be_killed_costs_a_reboot_and_does_not_hold_it_up() {
        let mut machine = machine(Some(0));
        machine.step(0, Input::Tick);
        machine.step(0, Input::RoleStarted { role: RoleName::Agent, pid: 7 });
        machine.step(0, say(ToInit::Hello { role: "agent".to_owned() }));
        let mut seen = Vec::new();
        while let Some(due) =
            machine.next_deadline().filter(|_| !seen.contains(&Action::Finish(PowerKind::Reboot)))
        {
            assert!(due <= 4 * SILENCE_MS, "{seen:?}");
            seen.extend(machine.step(due, Input::Tick));
        }
        assert_eq!(seen.iter().filter(|action| **action == GIVES_UP).count(), 1);
        assert_eq!(seen.last(), Some(&Action::Finish(PowerKind::Reboot)));
    }

    #[derive(Debug, Clone, Copy)]
    enum Event {
        Hangs,
        Ready,
        Passes(Millis),
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            4 => Just(Event::Hangs),
            1 => Just(Event::Ready),
            2 => (0..WITHIN_MS).prop_map(Event::Passes),
        ];
        proptest::collection::vec(event, 0..40)
    }

    proptest! {
        #[test]
        fn the_node_gives_up_exactly_when_enough_hung_in_a_row(events in events(), after in 0..2 * WITHIN_MS) {
            let mut machine = machine(Some(after));
            let mut now = 0;
            let mut in_a_row: Vec<Millis> = Vec::new();
            for event in events {
                match event {
                    Event::Passes(ms) => now += ms,
                    Event::Ready => {
                        machine.step(now, say(ToInit::Ready));
                        in_a_row.clear();
                    }
                    Event::Hangs => {
                        let given_up = hang(&mut machine, now);
                        now += SILENCE_MS;
                        in_a_row.push(now);
                        let recent = in_a_row.iter().filter(|at| now - **at < WITHIN_MS).count();
                        prop_assert_eq!(given_up, recent >= HANGS_MAX && now >= after);
                        if given_up {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
}
