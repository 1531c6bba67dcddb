//! Looks into the disk of a node that is off, and damages it, with tools that are not ours (mtools).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use layout::{ESP, Entry, Part, SECTOR_BYTES, Table};

#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub fn table(&self) -> Table {
        let file = File::open(&self.path).expect("the disk opens");
        let sectors = file.metadata().expect("the disk has a size").len() / SECTOR_BYTES;
        let read = |sector: u64, count: u64| {
            let mut bytes = vec![0; (count * SECTOR_BYTES) as usize];
            file.read_exact_at(&mut bytes, sector * SECTOR_BYTES)?;
            io::Result::Ok(bytes)
        };
        Table::read(sectors, read).expect("a partition table").table
    }

    #[track_caller]
    pub fn partition(&self, part: Part) -> Entry {
        let table = self.table();
        let (_, entry) = table.find(part).unwrap_or_else(|| panic!("there is no {}", part.name));
        entry.clone()
    }

    pub fn read(&self, part: Part, bytes: usize) -> Vec<u8> {
        let file = File::open(&self.path).expect("the disk opens");
        let mut content = vec![0; bytes];
        file.read_exact_at(&mut content, self.partition(part).first * SECTOR_BYTES).expect("readable");
        content
    }

    pub fn overwrite(&self, part: Part, content: &[u8]) {
        let file = OpenOptions::new().write(true).open(&self.path).expect("the disk opens");
        file.write_all_at(content, self.partition(part).first * SECTOR_BYTES).expect("written");
    }

    /// A file of the boot loader's partition.
    pub fn get(&self, path: &str) -> Vec<u8> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let target = dir.path().join("file");
        self.mtool("mcopy", &["-n", &format!("::{path}"), &target.to_string_lossy()]);
        fs::read(target).expect("mcopy wrote it")
    }

    pub fn put(&self, path: &str, content: &[u8]) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), content).expect("written");
        self.mtool("mcopy", &["-o", &file.path().to_string_lossy(), &format!("::{path}")]);
    }

    pub fn make_folder(&self, path: &str) {
        self.mtool("mmd", &[&format!("::{path}")]);
    }

    #[track_caller]
    fn mtool(&self, tool: &str, args: &[&str]) -> Output {
        let place = format!("{}@@{}", self.path.display(), self.partition(ESP).first * SECTOR_BYTES);
        let output =
            Command::new(tool).args(["-i", &place]).args(args).output().expect("mtools are installed");
        assert!(output.status.success(), "{tool} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}
