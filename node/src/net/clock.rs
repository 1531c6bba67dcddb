//! The saved clock: `STATE/clock` holds seconds since 1970 in decimal. Machines without a battery start in 1970; init
//! sets the clock to at least this value at boot, so that certificates and version stamps do not go back for long.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far a machine that loses power can fall behind.
pub const SAVE_EVERY: Duration = Duration::from_secs(600);

pub struct SavedClock {
    path: PathBuf,
}

impl SavedClock {
    pub fn new(state: &Path) -> SavedClock {
        SavedClock { path: state.join("clock") }
    }

    /// Never goes back: a clock set to the past by mistake must not lower the floor.
    pub fn save(&self) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let saved = fs::read_to_string(&self.path).ok().and_then(|text| text.trim().parse::<u64>().ok());
        if saved.is_some_and(|saved| saved >= now) {
            return Ok(());
        }
        let partial = self.path.with_extension("partial");
        let mut file = File::create(&partial)?;
        writeln!(file, "{now}")?;
        file.sync_data()?;
        fs::rename(&partial, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_goes_forward() {
        let dir = tempfile::tempdir().unwrap();
        let clock = SavedClock::new(dir.path());
        clock.save().unwrap();
        let read = || fs::read_to_string(dir.path().join("clock")).unwrap().trim().parse::<u64>().unwrap();
        assert!(read() > 1_700_000_000);
        fs::write(dir.path().join("clock"), "99999999999\n").unwrap();
        clock.save().unwrap();
        assert_eq!(read(), 99_999_999_999);
        fs::write(dir.path().join("clock"), "rubbish").unwrap();
        clock.save().unwrap();
        assert!(read() < 99_999_999_999);
    }
}
