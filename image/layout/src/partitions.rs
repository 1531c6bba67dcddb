//! Which partitions a node's disk has, and how they take up a new or grown disk.
//!
//! ```text
//!  BIOS boot │ ESP: loader, slots A and B │ META │ STATE │ DATA ──▶ grows
//! ```
//! The image brings the first three. A disk that only holds data (the kernel came another way) has the last three.

use crate::{ALIGNMENT, Entry, Guid, SECTOR_BYTES, Table};

pub const MIB_SECTORS: u64 = 1024 * 1024 / SECTOR_BYTES;
/// Room for two slots of four times today's size: it can never grow.
pub const ESP_SECTORS: u64 = 384 * MIB_SECTORS;
pub const META_SECTORS: u64 = 8 * MIB_SECTORS;
/// STATE gets a sixteenth of the disk, within these bounds.
const STATE_SECTORS_MIN: u64 = 192 * MIB_SECTORS;
const STATE_SECTORS_MAX: u64 = 4096 * MIB_SECTORS;
/// What mkfs.xfs accepts.
const DATA_SECTORS_MIN: u64 = 304 * MIB_SECTORS;

/// A kind of partition: the type in the table, and the name given to new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub kind: Guid,
    pub name: &'static str,
}

/// Where the BIOS loader's second part lies.
pub const BIOS_BOOT: Part = Part {
    kind: Guid::new(0x2168_6148, 0x6449, 0x6E6F, [0x74, 0x4E, 0x65, 0x65, 0x64, 0x45, 0x46, 0x49]),
    name: "meseta-bios",
};
/// The loader of UEFI, its memory, and both slots.
pub const ESP: Part = Part {
    kind: Guid::new(0xC12A_7328, 0xF81F, 0x11D2, [0xBA, 0x4B, 0x00, 0xA0, 0xC9, 0x3E, 0xC9, 0x3B]),
    name: "meseta-esp",
};
/// Kept free for what must outlive a wipe of STATE.
pub const META: Part = Part {
    kind: Guid::new(0x6D65_7365, 0x7461, 0x4D01, [0x90, 0x00, 0x6D, 0x65, 0x74, 0x61, 0x00, 0x01]),
    name: "meseta-meta",
};
/// The cluster's log and this node's identity, and nothing that an app can fill.
pub const STATE: Part = Part {
    kind: Guid::new(0x6D65_7365, 0x7461, 0x4D02, [0x90, 0x00, 0x73, 0x74, 0x61, 0x74, 0x65, 0x02]),
    name: "meseta-state",
};
/// Images, sandboxes, volumes, logs.
pub const DATA: Part = Part {
    kind: Guid::new(0x6D65_7365, 0x7461, 0x4D03, [0x90, 0x00, 0x64, 0x61, 0x74, 0x61, 0x00, 0x03]),
    name: "meseta-data",
};

/// Attribute of a partition that was made and not formatted yet. Its absence is what keeps a damaged file system,
/// even one that reads as zeros, from being taken for an empty partition.
pub const MARK_NEW: u64 = 1 << 48;

/// What [`settle`] did to a partition, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Added(u32),
    Extended(u32),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk has {has} MiB, at least {needs} are needed")]
pub struct TooSmall {
    pub has: u64,
    pub needs: u64,
}

impl Table {
    /// The first partition of this kind.
    pub fn find(&self, part: Part) -> Option<(u32, &Entry)> {
        let mut all = self.entries.iter().map(|(number, entry)| (*number, entry));
        all.find(|(_, entry)| entry.kind == part.kind)
    }

    /// Puts a partition behind all others; the answer is its number.
    pub fn append(&mut self, part: Part, sectors: u64, id: Guid, attributes: u64) -> u32 {
        let number = self.entries.keys().max().map_or(1, |last| last + 1);
        let first = self.next_free();
        let last = first + sectors - 1;
        let name = part.name.to_owned();
        self.entries.insert(number, Entry { kind: part.kind, id, first, last, attributes, name });
        number
    }

    fn next_free(&self) -> u64 {
        let behind = self.entries.values().map(|entry| entry.last + 1).max().unwrap_or(0);
        behind.next_multiple_of(ALIGNMENT).max(ALIGNMENT)
    }
}

/// A disk that holds a node's data, or will once the node has booted from it.
pub fn is_ours(table: &Table) -> bool {
    [META, STATE, DATA].iter().any(|part| table.find(*part).is_some())
}

/// Adds what is missing and lets DATA have the rest of the disk. Nothing there is moved or made smaller.
pub fn settle(
    table: &mut Table,
    sectors: u64,
    mut fresh_id: impl FnMut() -> Guid,
) -> Result<Vec<Change>, TooSmall> {
    let mut changes = Vec::new();
    let end = Table::last_usable(sectors) + 1;
    let state_sectors =
        (sectors / 16 / MIB_SECTORS * MIB_SECTORS).clamp(STATE_SECTORS_MIN, STATE_SECTORS_MAX);
    let missing = |table: &Table, part: Part| table.find(part).is_none();
    let parts = [(META, META_SECTORS), (STATE, state_sectors), (DATA, DATA_SECTORS_MIN)];
    let wanted: u64 = parts.iter().filter(|(part, _)| missing(table, *part)).map(|(_, size)| size).sum();
    if table.next_free() + wanted > end && wanted > 0 {
        let needs = table.next_free() + wanted + ALIGNMENT;
        return Err(TooSmall { has: sectors / MIB_SECTORS, needs: needs.div_ceil(MIB_SECTORS) });
    }
    for (part, size) in parts {
        if missing(table, part) {
            let attributes = if part == META { 0 } else { MARK_NEW };
            changes.push(Change::Added(table.append(part, size, fresh_id(), attributes)));
        }
    }
    let is_last = |entry: &Entry| table.entries.values().all(|other| other.last <= entry.last);
    let data = table.find(DATA).filter(|(_, entry)| entry.last + 1 < end && is_last(entry));
    if let Some(number) = data.map(|(number, _)| number)
        && let Some(entry) = table.entries.get_mut(&number)
    {
        entry.last = end - 1;
        if !changes.contains(&Change::Added(number)) {
            changes.push(Change::Extended(number));
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * MIB_SECTORS;

    fn image() -> Table {
        let mut table = Table::new(Guid::random([1; 16]));
        table.append(BIOS_BOOT, MIB_SECTORS, Guid::random([2; 16]), 0);
        table.append(ESP, ESP_SECTORS, Guid::random([3; 16]), 0);
        table.append(META, META_SECTORS, Guid::random([4; 16]), 0);
        table
    }

    fn settled(table: &Table, sectors: u64) -> (Table, Vec<Change>) {
        let mut table = table.clone();
        let changes = settle(&mut table, sectors, || Guid::random([9; 16])).unwrap();
        (table, changes)
    }

    fn check_disjoint(table: &Table, sectors: u64) {
        let mut entries: Vec<&Entry> = table.entries.values().collect();
        entries.sort_by_key(|entry| entry.first);
        for pair in entries.windows(2) {
            assert!(pair[0].last < pair[1].first, "{pair:?}");
        }
        assert!(
            entries
                .iter()
                .all(|e| e.first.is_multiple_of(ALIGNMENT) && (e.last + 1).is_multiple_of(ALIGNMENT))
        );
        assert!(entries.last().is_some_and(|e| e.last + 34 <= sectors));
    }

    #[test]
    fn the_image_takes_up_its_disk() {
        for sectors in [GIB, 2 * GIB, 20 * GIB + 17, 4096 * GIB] {
            let (table, changes) = settled(&image(), sectors);
            assert_eq!(changes, [Change::Added(4), Change::Added(5)]);
            check_disjoint(&table, sectors);
            let (state, data) = (table.find(STATE).unwrap().1, table.find(DATA).unwrap().1);
            assert_eq!((state.attributes, data.attributes), (MARK_NEW, MARK_NEW));
            assert!(sectors - data.last < 2 * ALIGNMENT + 34);
            assert!((STATE_SECTORS_MIN..=STATE_SECTORS_MAX).contains(&state.sectors()));
            assert_eq!(settled(&table, sectors), (table.clone(), vec![]), "settled is settled");
        }
    }

    #[test]
    fn an_empty_disk_gets_what_holds_data() {
        let (table, changes) = settled(&Table::new(Guid::NONE), 16 * GIB);
        assert_eq!(changes, [Change::Added(1), Change::Added(2), Change::Added(3)]);
        check_disjoint(&table, 16 * GIB);
        assert_eq!(table.find(STATE).unwrap().1.sectors(), GIB);
        assert!(is_ours(&table));
    }

    #[test]
    fn only_data_grows_and_nothing_is_new_again() {
        let (mut before, _) = settled(&image(), GIB);
        before.entries.values_mut().for_each(|entry| entry.attributes = 0);
        let (after, changes) = settled(&before, 20 * GIB);
        assert_eq!(changes, [Change::Extended(5)]);
        check_disjoint(&after, 20 * GIB);
        let mut expected = before.clone();
        expected.entries.get_mut(&5).unwrap().last = after.entries[&5].last;
        assert_eq!(after, expected);
        // A partition of somebody else behind it is not run over.
        let mut fenced = before;
        fenced.append(Part { kind: Guid::random([8; 16]), name: "other" }, MIB_SECTORS, Guid::NONE, 0);
        assert_eq!(settled(&fenced, 20 * GIB), (fenced.clone(), vec![]));
    }

    #[test]
    fn a_small_disk_is_refused_with_numbers() {
        let mut table = image();
        let fault = settle(&mut table, GIB / 2, || Guid::NONE).unwrap_err();
        assert_eq!(fault, TooSmall { has: 512, needs: 891 });
        assert_eq!(table, image());
        assert!(settle(&mut table, 891 * MIB_SECTORS, || Guid::NONE).is_ok());
    }

    #[test]
    fn other_disks_are_not_ours() {
        let mut table = Table::new(Guid::NONE);
        table.append(ESP, ESP_SECTORS, Guid::NONE, 0);
        assert!(!is_ours(&table));
        assert!(is_ours(&image()));
    }
}
