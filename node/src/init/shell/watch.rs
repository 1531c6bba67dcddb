//! What watches over init, and what init does about agents that hang.

use super::Shell;
use crate::init::clock;
use crate::init::machine::GiveUp;
use crate::init::reboots::{self, Reboots};
use crate::init::watchdog::{self, Watchdog};
use crate::watchdog::Watchdog as Setting;

impl Shell {
    /// The watchdog is pinged from now on, by every turn of the loop that is due.
    pub fn keep_quiet(&mut self, watchdog: Watchdog) {
        self.watchdog = watchdog;
        self.watchdog.be_strict();
        self.machine.ping_every(clock::now(), self.watchdog.ping_every());
    }

    pub(super) fn watch_as(&mut self, setting: Setting) {
        let outcome = self.watchdog.want(setting);
        self.watchdog_changed(outcome);
    }

    fn watchdog_changed(&mut self, outcome: Option<Result<String, String>>) {
        let Some(outcome) = outcome else { return };
        if let Err(fault) = &outcome {
            self.complain(&format!("the watchdog: {fault}"));
        }
        self.machine.ping_every(clock::now(), self.watchdog.ping_every());
        let note = outcome.unwrap_or_else(|fault| format!("failed: {fault}"));
        self.tell_of_watchdog(&note);
    }

    pub(super) fn ping(&mut self) {
        if let Err(fault) = self.watchdog.ping() {
            self.complain(&format!("the watchdog: {fault}"));
            self.machine.ping_every(clock::now(), None);
            self.tell_of_watchdog(&format!("failed: {fault}"));
        }
    }

    fn tell_of_watchdog(&mut self, note: &str) {
        let now = clock::now();
        // It began with the machine; what is told is of this moment.
        self.board.phase(now, watchdog::PHASE, false, "");
        self.board.phase(now, watchdog::PHASE, true, note);
        self.tell_node();
    }

    /// Agents that hang one after the other cost a reboot from now on; those before this boot are told of.
    pub fn expect_good_agents(&mut self, reboots: Reboots) {
        if let Some(note) = reboots.note() {
            eprintln!("meseta init: {note}");
            self.board.phase(clock::now(), reboots::PHASE, true, &note);
        }
        self.machine.reboot_if_agents_hang(reboots.wait_ms());
        self.reboots = Some(reboots);
    }

    pub(super) fn agent_is_good(&mut self) {
        let outcome = self.watchdog.or_the_kernels();
        self.watchdog_changed(outcome);
        let forgotten = self.reboots.as_mut().map_or(Ok(()), Reboots::forget);
        if let Err(error) = forgotten {
            self.complain(&format!("the reboots for agents that hung cannot be forgotten: {error}"));
        }
        // Those before are over; should agents hang again, the first reboot comes at once.
        if self.reboots.is_some() {
            self.machine.reboot_if_agents_hang(0);
        }
    }

    pub(super) fn give_up(&mut self, why: GiveUp) {
        self.complain(&why.to_string());
        let counted = match why {
            GiveUp::AgentHangs => self.reboots.as_mut().map_or(Ok(()), Reboots::count),
            GiveUp::NotReady => Ok(()),
        };
        if let Err(error) = counted {
            self.complain(&format!("the reboot cannot be counted: {error}"));
        }
    }
}
