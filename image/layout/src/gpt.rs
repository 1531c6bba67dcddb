//! The partition table (GPT, 128 entries of 128 bytes, sectors of 512 bytes): two copies, each with checksums.

use std::collections::BTreeMap;
use std::io;

use crate::Guid;

pub const SECTOR_BYTES: u64 = 512;
/// Partitions begin and end at multiples of this many sectors: 1 MiB.
pub const ALIGNMENT: u64 = 2048;
const ENTRIES: usize = 128;
const ENTRY_BYTES: usize = 128;
const ENTRY_SECTORS: u64 = (ENTRIES * ENTRY_BYTES) as u64 / SECTOR_BYTES;
const HEADER_BYTES: usize = 92;
const SIGNATURE: &[u8; 8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;
const NAME_UNITS: usize = 36;
const MBR_PARTITIONS: u64 = 446;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: Guid,
    pub id: Guid,
    /// First and last sector.
    pub first: u64,
    pub last: u64,
    pub attributes: u64,
    /// At most 36 characters.
    pub name: String,
}

impl Entry {
    pub fn sectors(&self) -> u64 {
        self.last + 1 - self.first
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub disk: Guid,
    /// By partition number, from 1.
    pub entries: BTreeMap<u32, Entry>,
}

/// A table as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub table: Table,
    /// Both copies are whole, alike, and where a disk of this size has them.
    pub is_sound: bool,
}

/// Bytes to put at a byte of the disk.
#[derive(Debug, PartialEq, Eq)]
pub struct Write {
    pub at: u64,
    pub bytes: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("there is no partition table")]
    Absent,
    #[error("the partition table is damaged: {0}")]
    Damaged(&'static str),
}

struct Header {
    own: u64,
    other: u64,
    disk: Guid,
    entries_at: u64,
    count: usize,
    entries_crc: u32,
}

impl Table {
    pub fn new(disk: Guid) -> Table {
        Table { disk, entries: BTreeMap::new() }
    }

    /// The last sector a partition may have, so that it ends aligned.
    pub fn last_usable(sectors: u64) -> u64 {
        (sectors.saturating_sub(ENTRY_SECTORS + 1) / ALIGNMENT * ALIGNMENT).saturating_sub(1)
    }

    /// Reads the first copy, or the second if the first is damaged. `read` gets a sector and a number of sectors.
    pub fn read(sectors: u64, mut read: impl FnMut(u64, u64) -> io::Result<Vec<u8>>) -> Result<Found, Fault> {
        let last = sectors.saturating_sub(1);
        let primary = read_copy(1, sectors, &mut read);
        let second_at = match &primary {
            Ok((header, _)) if header.other > 1 && header.other <= last => header.other,
            _ => last,
        };
        let backup = read_copy(second_at, sectors, &mut read);
        match (primary, backup) {
            (Ok((_, table)), Ok((_, second))) => {
                Ok(Found { is_sound: second_at == last && table == second, table })
            }
            (Ok((_, table)), Err(_)) | (Err(_), Ok((_, table))) => Ok(Found { table, is_sound: false }),
            (Err(first), Err(_)) => Err(first),
        }
    }

    /// What makes a disk of this size have the table, in the order of writing, each to be durable before the next:
    /// whenever the power goes, one copy is whole. Boot code in the first sector is left alone.
    pub fn writes(&self, sectors: u64) -> [Write; 3] {
        let entries = self.encode_entries();
        let last = sectors - 1;
        let mut backup = entries.clone();
        backup.extend(self.encode_header(&entries, sectors, last, 1, last - ENTRY_SECTORS));
        let mut primary = self.encode_header(&entries, sectors, 1, last, 2);
        primary.extend(&entries);
        [
            Write { at: (last - ENTRY_SECTORS) * SECTOR_BYTES, bytes: backup },
            Write { at: SECTOR_BYTES, bytes: primary },
            Write { at: MBR_PARTITIONS, bytes: protective_mbr(sectors) },
        ]
    }

    fn encode_entries(&self) -> Vec<u8> {
        let mut bytes = vec![0; ENTRIES * ENTRY_BYTES];
        for (number, entry) in &self.entries {
            let start = (*number as usize).saturating_sub(1) * ENTRY_BYTES;
            let Some(slot) = bytes.get_mut(start..start + ENTRY_BYTES) else { continue };
            slot[..16].copy_from_slice(&entry.kind.0);
            slot[16..32].copy_from_slice(&entry.id.0);
            slot[32..40].copy_from_slice(&entry.first.to_le_bytes());
            slot[40..48].copy_from_slice(&entry.last.to_le_bytes());
            slot[48..56].copy_from_slice(&entry.attributes.to_le_bytes());
            for (index, unit) in entry.name.encode_utf16().take(NAME_UNITS).enumerate() {
                slot[56 + index * 2..58 + index * 2].copy_from_slice(&unit.to_le_bytes());
            }
        }
        bytes
    }

    fn encode_header(&self, entries: &[u8], sectors: u64, own: u64, other: u64, entries_at: u64) -> Vec<u8> {
        let mut header = Vec::with_capacity(SECTOR_BYTES as usize);
        header.extend(SIGNATURE);
        header.extend(REVISION.to_le_bytes());
        header.extend((HEADER_BYTES as u32).to_le_bytes());
        header.extend([0; 8]);
        for place in [own, other, ENTRY_SECTORS + 2, sectors - ENTRY_SECTORS - 2] {
            header.extend(place.to_le_bytes());
        }
        header.extend(self.disk.0);
        header.extend(entries_at.to_le_bytes());
        header.extend((ENTRIES as u32).to_le_bytes());
        header.extend((ENTRY_BYTES as u32).to_le_bytes());
        header.extend(crc32(entries).to_le_bytes());
        let checksum = crc32(&header).to_le_bytes();
        header[16..20].copy_from_slice(&checksum);
        header.resize(SECTOR_BYTES as usize, 0);
        header
    }
}

fn read_copy(
    at: u64,
    sectors: u64,
    read: &mut impl FnMut(u64, u64) -> io::Result<Vec<u8>>,
) -> Result<(Header, Table), Fault> {
    let header = parse_header(&read(at, 1)?)?;
    if header.own != at {
        return Err(Fault::Damaged("its header belongs elsewhere"));
    }
    let bytes = header.count * ENTRY_BYTES;
    let length = (bytes as u64).div_ceil(SECTOR_BYTES);
    if header.entries_at.checked_add(length).is_none_or(|end| end > sectors) {
        return Err(Fault::Damaged("its entries lie beyond the disk"));
    }
    let entries = read(header.entries_at, length)?;
    let entries = entries.get(..bytes).ok_or(Fault::Damaged("its entries are cut off"))?;
    if crc32(entries) != header.entries_crc {
        return Err(Fault::Damaged("checksum of the entries"));
    }
    let mut table = Table::new(header.disk);
    for (number, bytes) in (1..).zip(entries.chunks_exact(ENTRY_BYTES)) {
        if let Some(entry) = parse_entry(bytes) {
            if entry.last < entry.first || entry.last >= sectors {
                return Err(Fault::Damaged("a partition lies beyond the disk"));
            }
            table.entries.insert(number, entry);
        }
    }
    Ok((header, table))
}

fn parse_header(sector: &[u8]) -> Result<Header, Fault> {
    let header = sector.get(..HEADER_BYTES).ok_or(Fault::Absent)?;
    if &header[..8] != SIGNATURE {
        return Err(Fault::Absent);
    }
    let mut unsigned = header.to_vec();
    unsigned[16..20].fill(0);
    if u32_at(header, 12) as usize != HEADER_BYTES || crc32(&unsigned) != u32_at(header, 16) {
        return Err(Fault::Damaged("checksum of the header"));
    }
    let count = u32_at(header, 80) as usize;
    if count > ENTRIES || u32_at(header, 84) as usize != ENTRY_BYTES {
        return Err(Fault::Damaged("number or size of the entries"));
    }
    Ok(Header {
        own: u64_at(header, 24),
        other: u64_at(header, 32),
        disk: guid_at(header, 56),
        entries_at: u64_at(header, 72),
        count,
        entries_crc: u32_at(header, 88),
    })
}

fn parse_entry(bytes: &[u8]) -> Option<Entry> {
    let kind = guid_at(bytes, 0);
    let units: Vec<u16> = bytes[56..]
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|unit| *unit != 0)
        .collect();
    (kind != Guid::NONE).then(|| Entry {
        kind,
        id: guid_at(bytes, 16),
        first: u64_at(bytes, 32),
        last: u64_at(bytes, 40),
        attributes: u64_at(bytes, 48),
        name: String::from_utf16_lossy(&units),
    })
}

/// The one partition of the old kind that keeps old tools off the disk, and the end mark of the first sector.
fn protective_mbr(sectors: u64) -> Vec<u8> {
    let mut bytes = vec![0; 66];
    bytes[1..5].copy_from_slice(&[0x00, 0x02, 0x00, 0xee]);
    bytes[5..8].copy_from_slice(&[0xff, 0xff, 0xff]);
    bytes[8..12].copy_from_slice(&1u32.to_le_bytes());
    let length = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    bytes[12..16].copy_from_slice(&length.to_le_bytes());
    bytes[64..].copy_from_slice(&[0x55, 0xaa]);
    bytes
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn guid_at(bytes: &[u8], at: usize) -> Guid {
    Guid(std::array::from_fn(|i| bytes[at + i]))
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

#[cfg(test)]
#[path = "gpt_tests.rs"]
mod tests;
