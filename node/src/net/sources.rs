//! Where settings are looked for, and the file that keeps what a person saved.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::guestinfo;
use super::seed;
use super::settings::tree::{TEXT_BYTES_MAX, parse};
use super::settings::{Effective, Found, Origin, Settings, emit, kernel_line, layer, read_own};

/// QEMU: `-fw_cfg name=opt/meseta/config,file=…`; the kernel's module `qemu_fw_cfg` shows it here.
const FIRMWARE: &str = "/sys/firmware/qemu_fw_cfg/by_name/opt/meseta/config/raw";

pub struct Sources {
    saved: PathBuf,
    found: Vec<Found>,
}

impl Sources {
    /// What was saved only: for a machine that is not ours.
    pub fn saved_only(state: &Path) -> Sources {
        let saved = state.join("network.json");
        let found = read_file(&saved, Origin::Person).into_iter().collect();
        Sources { saved, found }
    }

    /// Everything that can be read now; disks may appear later, see [`Sources::seed_found`].
    pub fn all(state: &Path, kernel_words: &str) -> Sources {
        let mut sources = Self::saved_only(state);
        let (settings, faults) = kernel_line::read(kernel_words);
        let faults = faults.iter().map(|fault| format!("kernel line: {fault}")).collect();
        sources.add(Found { origin: Origin::KernelLine, settings, faults });
        if let Some(found) = read_file(Path::new(FIRMWARE), Origin::Firmware) {
            sources.add(found);
        }
        if let Some(text) = guestinfo::read() {
            sources.add(read_own_text(text, "guestinfo.meseta.config", Origin::Hypervisor));
        }
        sources
    }

    fn add(&mut self, found: Found) {
        if found.settings != Settings::default() || !found.faults.is_empty() {
            self.found.push(found);
        }
    }

    pub fn has_seed(&self) -> bool {
        self.found.iter().any(|found| found.origin == Origin::SeedDisk)
    }

    pub fn seed_found(&mut self, seed: seed::Seed) {
        let (settings, faults) = super::settings::read_seed(&seed.files);
        let faults = faults.into_iter().chain(seed.faults).map(|fault| format!("{}: {fault}", seed.place));
        // Also one that says nothing of the network is a source: nobody need look for another.
        self.found.push(Found { origin: Origin::SeedDisk, settings, faults: faults.collect() });
    }

    pub fn effective(&self) -> Effective {
        layer(&self.found)
    }

    /// As if `settings` were saved.
    pub fn effective_with(&self, settings: &Settings) -> Effective {
        let others = self.found.iter().filter(|found| found.origin != Origin::Person).cloned();
        let person = Found { origin: Origin::Person, settings: settings.clone(), faults: Vec::new() };
        layer(&others.chain([person]).collect::<Vec<_>>())
    }

    /// From now on, and after the next boot. Durable when it returns.
    pub fn save(&mut self, settings: Settings) -> io::Result<()> {
        let partial = self.saved.with_extension("partial");
        let mut file = File::create(&partial)?;
        file.write_all(emit(&settings).as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, &self.saved)?;
        if let Some(folder) = self.saved.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.found.retain(|found| found.origin != Origin::Person);
        self.found.push(Found { origin: Origin::Person, settings, faults: Vec::new() });
        Ok(())
    }
}

/// `None` if there is no such file.
fn read_file(path: &Path, origin: Origin) -> Option<Found> {
    let text = match read_text(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        text => text,
    };
    Some(read_own_text(text.map_err(|error| error.to_string()), &path.display().to_string(), origin))
}

fn read_own_text(text: Result<String, String>, place: &str, origin: Origin) -> Found {
    let read = text.and_then(|text| parse(&text).map_err(|fault| fault.to_string()));
    let (settings, faults) = match read {
        Ok(node) => {
            let (settings, faults) = read_own(&node);
            (settings, faults.iter().map(|fault| format!("{place}: {fault}")).collect())
        }
        Err(fault) => (Settings::default(), vec![format!("{place}: {fault}")]),
    };
    Found { origin, settings, faults }
}

/// At most [`TEXT_BYTES_MAX`] bytes and one more, which the parser then refuses.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(TEXT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    // The firmware's entry may end with NULs.
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not text"))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::net::settings::{Addressing, Interface, Which};

    #[test]
    fn what_is_saved_survives_and_wins() {
        let dir = tempfile::tempdir().unwrap();
        let mut sources = Sources::all(dir.path(), "quiet meseta.hostname=line ip=dhcp");
        assert_eq!(sources.effective().origin, Origin::KernelLine);
        let address = Ipv4Addr::new(10, 0, 0, 5);
        let addressing = Addressing::Static { address, prefix: 24, gateway: None };
        let settings = Settings {
            interfaces: vec![Interface { card: Which::First, addressing }],
            ..Settings::default()
        };
        assert_eq!(sources.effective_with(&settings).settings.hostname.as_deref(), Some("line"));
        sources.save(settings.clone()).unwrap();
        let again = Sources::all(dir.path(), "").effective();
        assert_eq!((again.settings, again.origin), (settings, Origin::Person));
    }

    #[test]
    fn a_damaged_file_is_a_fault_with_its_line_and_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("network.json"), "{\n\"dns\": [1.2.3.4.5]}").unwrap();
        let effective = Sources::all(dir.path(), "").effective();
        assert_eq!(effective.origin, Origin::Default);
        assert!(effective.faults[0].contains("network.json: line 2: dns is `1.2.3.4.5`"), "{effective:?}");
    }
}
