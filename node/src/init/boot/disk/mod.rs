//! The disk of this node: found by its partition table, taken up whole, STATE and DATA mounted.
//!
//! Only what we made ourselves and have marked as new is ever formatted. Everything else that cannot be used is named
//! and left as it is: a disk of somebody else, and a file system of our own that is damaged.

mod device;
mod filesystem;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use layout::{Change, DATA, ESP, Entry, Guid, MARK_NEW, MIB_SECTORS, Part, SECTOR_BYTES, STATE, Table};

use super::modules::Modules;
use crate::config::Paths;
use device::Device;

/// How long a controller may take to show its disks.
const DISKS_QUIET: Duration = Duration::from_secs(3);
/// How long the kernel may take to find the partitions of a disk that it shows.
const PARTITIONS_QUIET: Duration = Duration::from_millis(300);
const PARTITIONS_TRIES: u32 = 10;

/// The disk with a table that has all we need.
pub struct Disk {
    device: Device,
    table: Table,
}

/// Finds the disk and takes it up; the note says what was done to it.
pub fn take_up(mut modules: Option<&mut Modules>) -> Result<(Disk, String), String> {
    let (device, found) = find(modules.as_deref_mut())?;
    let name = device.path().display().to_string();
    let fault = |error: io::Error| format!("the partition table of {name} cannot be written: {error}");
    let (was_sound, before) = match found {
        Some(found) => (found.is_sound, Some(found.table)),
        None => (false, None),
    };
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(random_id().map_err(fault)?);
    }
    let mut table = before.clone().unwrap_or_else(|| Table::new(ids[0]));
    let mut fresh = ids.into_iter().skip(1);
    let changes = layout::settle(&mut table, device.sectors, || fresh.next().unwrap_or(Guid::NONE))
        .map_err(|error| format!("{name}: {error}"))?;
    if !was_sound || !changes.is_empty() {
        device.write_table(&table).map_err(fault)?;
    }
    let disk = Disk { device, table };
    disk.await_partitions(before.as_ref(), modules)?;
    let grown = changes.iter().any(|change| matches!(change, Change::Extended(_)));
    let what = match (&before, was_sound) {
        (None, _) => " was empty and has been partitioned",
        (Some(_), _) if grown => " has grown",
        (Some(_), false) if changes.is_empty() => ": a damaged copy of its partition table was mended",
        _ => "",
    };
    Ok((disk, format!("{name}{what}")))
}

/// A disk of ours, else an empty one. Waits a little for one to appear.
fn find(mut modules: Option<&mut Modules>) -> Result<(Device, Option<layout::Found>), String> {
    loop {
        let mut devices = device::all();
        let tables: Vec<_> = devices.iter().map(|device| device.read_table().ok()).collect();
        let is_ours =
            |found: &Option<layout::Found>| found.as_ref().is_some_and(|found| layout::is_ours(&found.table));
        if let Some(index) = tables.iter().position(is_ours) {
            let found = tables.into_iter().nth(index).flatten();
            return Ok((devices.swap_remove(index), found));
        }
        if modules.as_mut().is_some_and(|modules| modules.wait(DISKS_QUIET)) {
            continue;
        }
        let is_free = |device: &Device| device.is_virtio() && device.is_blank().unwrap_or(false);
        if let Some(index) = devices.iter().position(is_free) {
            return Ok((devices.swap_remove(index), None));
        }
        let names: Vec<String> = devices.iter().map(|device| device.path().display().to_string()).collect();
        return Err(match names.as_slice() {
            [] => "there is no disk".to_owned(),
            names => format!("{} hold other data and are left alone", names.join(", ")),
        });
    }
}

impl Disk {
    /// Makes the kernel know all partitions. Those that were there before it finds itself, perhaps a moment later.
    fn await_partitions(
        &self,
        before: Option<&Table>,
        mut modules: Option<&mut Modules>,
    ) -> Result<(), String> {
        for (number, entry) in &self.table.entries {
            let was_there = before.is_some_and(|table| table.entries.contains_key(number));
            let mut tries = PARTITIONS_TRIES;
            loop {
                let told = if was_there && !self.device.knows(*number) && tries > 0 {
                    Err(io::ErrorKind::NotFound.into())
                } else {
                    self.device.tell_kernel(*number, entry)
                };
                match told {
                    Ok(()) => break,
                    Err(_) if tries > 0 => {
                        tries -= 1;
                        if let Some(modules) = modules.as_mut() {
                            modules.wait(PARTITIONS_QUIET);
                        }
                    }
                    Err(error) => return Err(format!("the kernel refuses {}: {error}", entry.name)),
                }
            }
        }
        Ok(())
    }

    /// The partition with the boot loader, if the machine has one.
    pub fn esp(&self) -> Option<PathBuf> {
        self.device.partition(self.table.find(ESP)?.0)
    }

    pub fn mount_state(&mut self, at: &Path) -> super::Outcome {
        let (number, device, _) = self.partition(STATE)?;
        let is_new = self.format_if_new(number, || filesystem::format_state(&device))?;
        let repaired = filesystem::check_state(&device)?;
        filesystem::mount_state(&device, at)?;
        let how = match (is_new, repaired) {
            (true, _) => " was new and has been formatted",
            (false, true) => " was repaired",
            (false, false) => "",
        };
        Ok(format!("{}{how}", device.display()))
    }

    pub fn mount_data(&mut self, at: &Path) -> super::Outcome {
        let (number, device, entry) = self.partition(DATA)?;
        let bytes = entry.sectors() * SECTOR_BYTES;
        let is_new = self.format_if_new(number, || filesystem::format_data(&device, bytes))?;
        filesystem::mount_data(&device, at)?;
        // It can be used as it is; the next boot tries again.
        let grew = filesystem::grow_data(at, bytes)
            .map_err(|error| format!("{} cannot be grown: {error}", device.display()))?;
        let how = match (is_new, grew) {
            (true, _) => " was new and has been formatted",
            (false, true) => " has grown",
            (false, false) => "",
        };
        Ok(format!("{}{how}, {} MiB", device.display(), entry.sectors() / MIB_SECTORS))
    }

    fn partition(&self, part: Part) -> Result<(u32, PathBuf, Entry), String> {
        let absent = || format!("there is no partition {}", part.name);
        let (number, entry) = self.table.find(part).ok_or_else(absent)?;
        let path = self.device.partition(number).ok_or_else(absent)?;
        Ok((number, path, entry.clone()))
    }

    /// The mark goes only when the file system is there: a power cut meanwhile begins it anew.
    fn format_if_new(
        &mut self,
        number: u32,
        format: impl Fn() -> Result<(), String>,
    ) -> Result<bool, String> {
        let Some(entry) = self.table.entries.get_mut(&number) else { return Ok(false) };
        if entry.attributes & MARK_NEW == 0 {
            return Ok(false);
        }
        format()?;
        entry.attributes &= !MARK_NEW;
        let written = self.device.write_table(&self.table);
        written.map_err(|error| format!("the partition table cannot be written: {error}"))?;
        Ok(true)
    }
}

/// Where others find the boot loader's partition: a link that is there only on a machine that has one.
pub fn publish_esp(disk: &Disk, paths: &Paths) -> io::Result<()> {
    let Some(esp) = disk.esp() else { return Ok(()) };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&paths.run)?;
    std::os::unix::fs::symlink(esp, paths.esp())
}

fn random_id() -> io::Result<Guid> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(Guid::random(bytes))
}
