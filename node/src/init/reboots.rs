//! Reboots because agents hang, counted in STATE: the next boot tells of them, and where they do not help they become
//! rare. Forgotten once an agent is ready.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::machine::{HANGING_REBOOT_AFTER_MS, Millis};

/// The phase that tells of it.
pub const PHASE: &str = "reboot";
const WAIT_MS_MAX: Millis = 60 * 60 * 1000;

pub struct Reboots {
    file: PathBuf,
    in_a_row: u32,
}

impl Reboots {
    /// What is not there or not understood is none.
    pub fn read(state: &Path) -> Self {
        let file = state.join("agent-hangs");
        let in_a_row = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        Self { file, in_a_row: in_a_row.unwrap_or(0) }
    }

    /// What the board says; `None` if there is nothing to say.
    pub fn note(&self) -> Option<String> {
        let count = self.in_a_row;
        (count > 0)
            .then(|| format!("failed: AGENTS HUNG, AND THE NODE WAS REBOOTED FOR IT ({count} in a row)"))
    }

    /// How long the node has to be up before the next one: the first comes at once, each further one waits twice as long.
    pub fn wait_ms(&self) -> Millis {
        match self.in_a_row.checked_sub(1) {
            Some(doublings) => (HANGING_REBOOT_AFTER_MS << doublings.min(10)).min(WAIT_MS_MAX),
            None => 0,
        }
    }

    /// One more. What is written back to the disk on the way down takes it along.
    pub fn count(&mut self) -> io::Result<()> {
        self.in_a_row = self.in_a_row.saturating_add(1);
        fs::write(&self.file, format!("{}\n", self.in_a_row))
    }

    pub fn forget(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.in_a_row) == 0 {
            return Ok(());
        }
        fs::remove_file(&self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_in_a_row_waits_longer_and_a_good_agent_clears_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut reboots = Reboots::read(dir.path());
        assert_eq!((reboots.note(), reboots.wait_ms()), (None, 0));
        let minutes = [10, 20, 40, 60, 60];
        for (before, minutes) in minutes.into_iter().enumerate() {
            reboots.count().expect("written");
            reboots = Reboots::read(dir.path());
            assert_eq!(reboots.wait_ms(), minutes * 60 * 1000);
            let count = format!("({} in a row)", before + 1);
            assert!(reboots.note().is_some_and(|note| note.contains(&count)));
        }
        reboots.forget().expect("removed");
        reboots.forget().expect("nothing is left");
        assert_eq!(Reboots::read(dir.path()).wait_ms(), 0);
        fs::write(dir.path().join("agent-hangs"), "torn\u{0}").expect("written");
        assert_eq!(Reboots::read(dir.path()).note(), None);
    }
}
