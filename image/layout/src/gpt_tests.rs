use super::*;

const SECTORS: u64 = 8 * 2048;

fn table() -> Table {
    let mut table = Table::new(Guid::random([7; 16]));
    let entry = Entry {
        kind: Guid::random([1; 16]),
        id: Guid::random([2; 16]),
        first: 2048,
        last: 4095,
        attributes: 1 << 48,
        name: "meseta-état".to_owned(),
    };
    table.entries.insert(1, entry.clone());
    table.entries.insert(3, Entry { first: 4096, last: 6143, ..entry });
    table
}

fn disk(table: &Table, sectors: u64) -> Vec<u8> {
    let mut disk = vec![0; (sectors * SECTOR_BYTES) as usize];
    for write in table.writes(sectors) {
        disk[write.at as usize..][..write.bytes.len()].copy_from_slice(&write.bytes);
    }
    disk
}

fn read(disk: &[u8]) -> Result<Found, Fault> {
    Table::read(disk.len() as u64 / SECTOR_BYTES, |sector, count| {
        let range = (sector * SECTOR_BYTES) as usize..((sector + count) * SECTOR_BYTES) as usize;
        Ok(disk.get(range).ok_or(io::ErrorKind::UnexpectedEof)?.to_vec())
    })
}

#[test]
fn checksum_of_the_standard() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn guids_are_stored_the_odd_way() {
    let esp = Guid::new(0xC12A_7328, 0xF81F, 0x11D2, [0xBA, 0x4B, 0x00, 0xA0, 0xC9, 0x3E, 0xC9, 0x3B]);
    assert_eq!(esp.to_string(), "C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
    assert_eq!(esp.0[..4], [0x28, 0x73, 0x2A, 0xC1]);
}

#[test]
fn what_is_written_reads_back() {
    assert_eq!(read(&disk(&table(), SECTORS)).unwrap(), Found { table: table(), is_sound: true });
}

#[test]
fn either_copy_is_enough() {
    let last = (SECTORS as usize - 1) * 512;
    // Headers, and the last byte of the entries of each.
    for at in [512 + 30, 2 * 512 + 128 * 128 - 1, last + 30, last - 1] {
        let mut disk = disk(&table(), SECTORS);
        disk[at] ^= 1;
        assert_eq!(read(&disk).unwrap(), Found { table: table(), is_sound: false }, "damage at {at}");
    }
    let mut disk = disk(&table(), SECTORS);
    disk[512 + 30] ^= 1;
    disk[last + 30] ^= 1;
    assert!(matches!(read(&disk), Err(Fault::Damaged(_))));
}

#[test]
fn a_grown_disk_is_seen() {
    let mut grown = disk(&table(), SECTORS);
    grown.resize(2 * grown.len(), 0);
    assert_eq!(read(&grown).unwrap(), Found { table: table(), is_sound: false });
    for write in table().writes(2 * SECTORS) {
        grown[write.at as usize..][..write.bytes.len()].copy_from_slice(&write.bytes);
    }
    assert!(read(&grown).unwrap().is_sound);
}

#[test]
fn whenever_the_power_goes_one_copy_is_whole() {
    let mut after = table();
    after.entries.remove(&3);
    let mut disk = disk(&table(), SECTORS);
    disk.resize(2 * disk.len(), 0);
    for write in after.writes(2 * SECTORS) {
        let half = write.bytes.len() / 2;
        disk[write.at as usize..][..half].copy_from_slice(&write.bytes[..half]);
        let found = read(&disk).unwrap().table;
        assert!(found == table() || found == after);
        disk[write.at as usize..][..write.bytes.len()].copy_from_slice(&write.bytes);
    }
    assert_eq!(read(&disk).unwrap(), Found { table: after, is_sound: true });
}

#[test]
fn other_contents_are_no_table() {
    assert!(matches!(read(&vec![0; 1 << 20]), Err(Fault::Absent)));
    assert!(matches!(read(&[0; 512]), Err(Fault::Io(_))));
}
