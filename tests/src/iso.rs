//! A small ISO 9660 volume, as a cloud hands one to a machine. Written here, so that tests need no program for it.

use std::fs;
use std::path::Path;

const SECTOR: usize = 2048;
const DESCRIPTOR: usize = 16;
const ROOT: usize = 18;
const FIRST_FILE: usize = 19;

/// Writes a volume with files at its top. Their names are given as Linux shows them.
pub fn write(path: &Path, label: &str, files: &[(&str, &str)]) {
    let mut image = vec![0; FIRST_FILE * SECTOR];
    let mut root = [record(&[0], ROOT, SECTOR, true), record(&[1], ROOT, SECTOR, true)].concat();
    for (name, text) in files {
        let stored = format!("{}.;1", name.to_ascii_uppercase());
        root.extend(record(stored.as_bytes(), image.len() / SECTOR, text.len(), false));
        image.extend(text.as_bytes());
        image.resize(image.len().next_multiple_of(SECTOR), 0);
    }
    assert!(root.len() <= SECTOR, "too many files");
    let sectors = image.len() / SECTOR;
    put(&mut image, ROOT * SECTOR, &root);
    let descriptor = &mut image[DESCRIPTOR * SECTOR..(DESCRIPTOR + 1) * SECTOR];
    put(descriptor, 0, b"\x01CD001\x01");
    put(descriptor, 40, format!("{label:<32}").as_bytes());
    put(descriptor, 80, &both_32(sectors));
    for at in [120, 124] {
        put(descriptor, at, &both_16(1));
    }
    put(descriptor, 128, &both_16(SECTOR));
    put(descriptor, 156, &record(&[0], ROOT, SECTOR, true));
    descriptor[881] = 1;
    put(&mut image, (DESCRIPTOR + 1) * SECTOR, b"\xffCD001\x01");
    // A disk must not be shorter than what is looked at for a label.
    image.resize(image.len().next_multiple_of(1024 * 1024), 0);
    fs::write(path, image).expect("a file of the test");
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    bytes[at..at + what.len()].copy_from_slice(what);
}

/// A directory's entry.
fn record(name: &[u8], sector: usize, bytes: usize, is_folder: bool) -> Vec<u8> {
    let length = (33 + name.len()).next_multiple_of(2);
    let mut out = vec![0; length];
    out[0] = length as u8;
    put(&mut out, 2, &both_32(sector));
    put(&mut out, 10, &both_32(bytes));
    // The first of January 2000.
    put(&mut out, 18, &[100, 1, 1, 0, 0, 0, 0]);
    out[25] = if is_folder { 2 } else { 0 };
    put(&mut out, 28, &both_16(1));
    out[32] = name.len() as u8;
    put(&mut out, 33, name);
    out
}

/// Little-endian, then big-endian.
fn both_32(number: usize) -> [u8; 8] {
    let number = number as u32;
    let mut out = [0; 8];
    put(&mut out, 0, &number.to_le_bytes());
    put(&mut out, 4, &number.to_be_bytes());
    out
}

fn both_16(number: usize) -> [u8; 4] {
    let number = number as u16;
    let mut out = [0; 4];
    put(&mut out, 0, &number.to_le_bytes());
    put(&mut out, 2, &number.to_be_bytes());
    out
}
