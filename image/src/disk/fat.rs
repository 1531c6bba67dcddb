//! Writes a FAT32 file system: short names only, every file in one piece, the same files give the same bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, ensure};
use layout::SECTOR_BYTES;

const RESERVED_SECTORS: u32 = 32;
const SECTORS_A_CLUSTER: u32 = 8;
const CLUSTER_BYTES: usize = SECTORS_A_CLUSTER as usize * SECTOR_BYTES as usize;
/// With fewer the same bytes would mean FAT16.
const CLUSTERS_MIN: u32 = 65_525;
const END_OF_CHAIN: u32 = 0x0fff_ffff;
/// 1 January 1980, the first day there is.
const DATE: u16 = (1 << 5) | 1;
const FOLDER: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
const LABEL: u8 = 0x08;

/// Where the file system lies in the image, in sectors.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub first: u64,
    pub sectors: u64,
}

enum Node<'a> {
    Folder(BTreeMap<String, Node<'a>>),
    File(&'a [u8]),
}

/// `files` are paths with `/`, each part a name of 8.3 characters.
pub fn write(image: &File, place: Place, label: &str, files: &[(&str, &[u8])]) -> anyhow::Result<()> {
    let mut root = BTreeMap::new();
    for (path, bytes) in files {
        insert(&mut root, path, bytes).with_context(|| format!("placing {path}"))?;
    }
    let total = u32::try_from(place.sectors).context("the file system is too large")?;
    let fat_sectors = fat_sectors(total);
    let clusters = (total - RESERVED_SECTORS - 2 * fat_sectors) / SECTORS_A_CLUSTER;
    ensure!(clusters >= CLUSTERS_MIN, "FAT32 needs {CLUSTERS_MIN} clusters, here are {clusters}");
    let mut writer = Writer {
        image,
        data_at: (place.first + u64::from(RESERVED_SECTORS + 2 * fat_sectors)) * SECTOR_BYTES,
        // The first two are no clusters: media type, and the marks of a clean file system.
        fat: vec![0x0fff_fff8, END_OF_CHAIN],
        clusters,
    };
    let root_at = writer.allocate(folder_bytes(root.len() + 1))?;
    let label_entry = entry(&short_label(label)?, LABEL, 0, 0);
    writer.folder(root_at, &root, vec![label_entry], 0)?;

    let used = writer.fat.len() as u32;
    let fat: Vec<u8> = writer.fat.iter().flat_map(|next| next.to_le_bytes()).collect();
    let put = |sector: u32, bytes: &[u8]| {
        image.write_all_at(bytes, (place.first + u64::from(sector)) * SECTOR_BYTES).context("writing")
    };
    let boot = boot_sector(place, total, fat_sectors, label)?;
    let information = information_sector(clusters + 2 - used, used);
    // The second set is for repair tools.
    for at in [0, 6] {
        put(at, &boot)?;
        put(at + 1, &information)?;
    }
    put(RESERVED_SECTORS, &fat)?;
    put(RESERVED_SECTORS + fat_sectors, &fat)
}

/// A table entry is 4 bytes, so a sector of the table serves 128 clusters.
fn fat_sectors(total: u32) -> u32 {
    let served = 128 * SECTORS_A_CLUSTER + 2;
    (total - RESERVED_SECTORS + 2 * SECTORS_A_CLUSTER).div_ceil(served)
}

fn insert<'a>(folder: &mut BTreeMap<String, Node<'a>>, path: &str, bytes: &'a [u8]) -> anyhow::Result<()> {
    match path.split_once('/') {
        None => {
            ensure!(folder.insert(path.to_owned(), Node::File(bytes)).is_none(), "there twice");
            Ok(())
        }
        Some((name, rest)) => {
            let inner = folder.entry(name.to_owned()).or_insert_with(|| Node::Folder(BTreeMap::new()));
            let Node::Folder(inner) = inner else { anyhow::bail!("{name} is a file") };
            insert(inner, rest, bytes)
        }
    }
}

fn folder_bytes(entries: usize) -> usize {
    entries * 32
}

struct Writer<'a> {
    image: &'a File,
    data_at: u64,
    fat: Vec<u32>,
    clusters: u32,
}

impl Writer<'_> {
    /// The first of the clusters that hold so many bytes, in one piece.
    fn allocate(&mut self, bytes: usize) -> anyhow::Result<u32> {
        let (first, count) = (self.fat.len() as u32, bytes.div_ceil(CLUSTER_BYTES).max(1) as u32);
        ensure!(first + count <= self.clusters + 2, "the files do not fit");
        self.fat.extend((first + 1..first + count).chain([END_OF_CHAIN]));
        Ok(first)
    }

    fn put(&self, cluster: u32, bytes: &[u8]) -> anyhow::Result<()> {
        let at = self.data_at + u64::from(cluster - 2) * CLUSTER_BYTES as u64;
        self.image.write_all_at(bytes, at).context("writing")
    }

    /// `parent` is 0 for the root and what lies in it, as the format wants it.
    fn folder(
        &mut self,
        at: u32,
        nodes: &BTreeMap<String, Node<'_>>,
        mut entries: Vec<[u8; 32]>,
        own: u32,
    ) -> anyhow::Result<()> {
        for (name, node) in nodes {
            let short = short_name(name)?;
            match node {
                Node::File(bytes) => {
                    let first = if bytes.is_empty() { 0 } else { self.allocate(bytes.len())? };
                    if first != 0 {
                        self.put(first, bytes)?;
                    }
                    entries.push(entry(&short, ARCHIVE, first, u32::try_from(bytes.len())?));
                }
                Node::Folder(inner) => {
                    let first = self.allocate(folder_bytes(inner.len() + 2))?;
                    let dots =
                        vec![entry(b".          ", FOLDER, first, 0), entry(b"..         ", FOLDER, own, 0)];
                    self.folder(first, inner, dots, first)?;
                    entries.push(entry(&short, FOLDER, first, 0));
                }
            }
        }
        self.put(at, &entries.concat())
    }
}

fn entry(name: &[u8; 11], attributes: u8, cluster: u32, size: u32) -> [u8; 32] {
    let mut entry = [0; 32];
    entry[..11].copy_from_slice(name);
    entry[11] = attributes;
    for date_at in [16, 18, 24] {
        entry[date_at..date_at + 2].copy_from_slice(&DATE.to_le_bytes());
    }
    entry[20..22].copy_from_slice(&((cluster >> 16) as u16).to_le_bytes());
    entry[26..28].copy_from_slice(&(cluster as u16).to_le_bytes());
    entry[28..32].copy_from_slice(&size.to_le_bytes());
    entry
}

fn short_name(name: &str) -> anyhow::Result<[u8; 11]> {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = (1..=8).contains(&stem.len()) && extension.len() <= 3;
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') && !extension.contains('.');
    ensure!(fits && is_plain, "`{name}` is no name of 8.3 letters and digits");
    let mut short = [b' '; 11];
    short[..stem.len()].copy_from_slice(stem.to_ascii_uppercase().as_bytes());
    short[8..8 + extension.len()].copy_from_slice(extension.to_ascii_uppercase().as_bytes());
    Ok(short)
}

fn short_label(label: &str) -> anyhow::Result<[u8; 11]> {
    ensure!(label.len() <= 11 && label.is_ascii(), "`{label}` is no label of 11 characters");
    let mut short = [b' '; 11];
    short[..label.len()].copy_from_slice(label.as_bytes());
    Ok(short)
}

fn boot_sector(place: Place, total: u32, fat_sectors: u32, label: &str) -> anyhow::Result<Vec<u8>> {
    let mut sector = vec![0; SECTOR_BYTES as usize];
    let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0xeb, 0x58, 0x90]);
    put(3, b"MESETA  ");
    put(11, &(SECTOR_BYTES as u16).to_le_bytes());
    put(13, &[SECTORS_A_CLUSTER as u8]);
    put(14, &(RESERVED_SECTORS as u16).to_le_bytes());
    put(16, &[2]);
    put(21, &[0xf8]);
    // Sectors a track and heads: nobody counts in them any more, but they may not be zero.
    put(24, &63u16.to_le_bytes());
    put(26, &255u16.to_le_bytes());
    put(28, &u32::try_from(place.first)?.to_le_bytes());
    put(32, &total.to_le_bytes());
    put(36, &fat_sectors.to_le_bytes());
    // First cluster of the root, sector of the information, sector of the copies.
    put(44, &2u32.to_le_bytes());
    put(48, &1u16.to_le_bytes());
    put(50, &6u16.to_le_bytes());
    put(64, &[0x80, 0, 0x29]);
    put(67, b"MSTA");
    put(71, &short_label(label)?);
    put(82, b"FAT32   ");
    put(510, &[0x55, 0xaa]);
    Ok(sector)
}

fn information_sector(free: u32, next_free: u32) -> Vec<u8> {
    let mut sector = vec![0; SECTOR_BYTES as usize];
    sector[..4].copy_from_slice(b"RRaA");
    sector[484..488].copy_from_slice(b"rrAa");
    sector[488..492].copy_from_slice(&free.to_le_bytes());
    sector[492..496].copy_from_slice(&next_free.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short() {
        assert_eq!(&short_name("bootx64.efi").unwrap(), b"BOOTX64 EFI");
        assert_eq!(&short_name("kernel").unwrap(), b"KERNEL     ");
        for name in ["", ".a", "longername", "a.long", "a b", "a.b.c", "ä"] {
            assert!(short_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_table_serves_every_cluster() {
        for total in [600_000, 786_432, 4_000_001] {
            let fat = fat_sectors(total);
            let clusters = (total - RESERVED_SECTORS - 2 * fat) / SECTORS_A_CLUSTER;
            assert!(fat * 128 >= clusters + 2, "{total}: {clusters} clusters, {fat} sectors");
            assert!((fat - 2) * 128 < clusters, "{total}: the table is larger than needed");
        }
    }

    /// `fsck.vfat` and mtools agree on a real image in tests/tests/boot/disk.
    #[test]
    fn a_file_is_found_by_the_rules_of_the_format() {
        let file = tempfile::tempfile().unwrap();
        let place = Place { first: 2048, sectors: 600_000 };
        let content = vec![7; CLUSTER_BYTES + 1];
        write(&file, place, "LABEL", &[("a/b/file.bin", &content), ("a/empty", b"")]).unwrap();
        let read = |at: u64, n: usize| {
            let mut bytes = vec![0; n];
            file.read_exact_at(&mut bytes, place.first * 512 + at).unwrap();
            bytes
        };
        let boot = read(0, 512);
        let u16_at = |b: &[u8], at: usize| u64::from(u16::from_le_bytes([b[at], b[at + 1]]));
        let u32_at = |b: &[u8], at: usize| u16_at(b, at) | (u16_at(b, at + 2) << 16);
        let data = (u16_at(&boot, 14) + 2 * u32_at(&boot, 36)) * 512;
        let cluster = |n: u64| data + (n - 2) * u64::from(boot[13]) * 512;
        let mut at = cluster(u32_at(&boot, 44));
        let mut size = 0;
        for name in [b"A          ", b"B          ", b"FILE    BIN"] {
            let folder = read(at, 4096);
            let entry = folder.chunks(32).find(|e| &e[..11] == name).unwrap();
            at = cluster((u16_at(entry, 20) << 16) | u16_at(entry, 26));
            size = u32_at(entry, 28);
        }
        assert_eq!(read(at, size as usize), content);
    }
}
