//! Whole disks as the kernel shows them: reading and writing their table, telling the kernel of partitions.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use layout::{Entry, Fault, Found, SECTOR_BYTES, Table};

const BLOCKS: &str = "/sys/class/block";
/// Not disks that a node could live on.
const SKIPPED: [&str; 8] = ["loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd"];
/// What must be zero for a disk to count as empty.
const BLANK_BYTES: usize = 1024 * 1024;
const PARTITION_ADD: i32 = 1;
const PARTITION_RESIZE: i32 = 3;

/// `struct blkpg_partition` of the kernel: bytes, not sectors.
#[repr(C)]
struct PartitionCall {
    start: i64,
    length: i64,
    number: i32,
    names: [u8; 128],
}

/// `struct blkpg_ioctl_arg` of the kernel.
#[repr(C)]
struct PartitionArgument {
    operation: i32,
    flags: i32,
    length: i32,
    data: *mut PartitionCall,
}

nix::ioctl_write_ptr_bad!(blkpg, nix::request_code_none!(0x12, 105), PartitionArgument);

/// How the kernel knows a partition, in sectors.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    path: PathBuf,
    start: u64,
    sectors: u64,
}

#[derive(Debug)]
pub struct Device {
    name: String,
    file: File,
    pub sectors: u64,
}

/// All whole disks with the sectors we know.
pub fn all() -> Vec<Device> {
    let entries = fs::read_dir(BLOCKS).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !SKIPPED.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !Path::new(BLOCKS).join(name).join("partition").exists())
        .collect();
    names.sort();
    names.into_iter().filter_map(|name| Device::open(name).ok()).collect()
}

impl Device {
    fn open(name: String) -> io::Result<Self> {
        let sector = number(&Path::new(BLOCKS).join(&name).join("queue/logical_block_size"));
        if sector != Some(SECTOR_BYTES) {
            return Err(io::Error::other("its sectors do not have 512 bytes"));
        }
        let file = OpenOptions::new().read(true).write(true).open(Path::new("/dev").join(&name))?;
        let bytes = nix::unistd::lseek(&file, 0, nix::unistd::Whence::SeekEnd)? as u64;
        Ok(Self { name, file, sectors: bytes / SECTOR_BYTES })
    }

    pub fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// Only whole virtio disks are taken without being asked: a hypervisor gave them to this machine alone.
    pub fn is_virtio(&self) -> bool {
        self.name.strip_prefix("vd").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_lowercase()))
    }

    pub fn is_blank(&self) -> io::Result<bool> {
        let mut head = vec![0; BLANK_BYTES];
        self.file.read_exact_at(&mut head, 0)?;
        Ok(head.iter().all(|byte| *byte == 0))
    }

    pub fn read_table(&self) -> Result<Found, Fault> {
        Table::read(self.sectors, |sector, count| {
            let mut bytes = vec![0; (count * SECTOR_BYTES) as usize];
            self.file.read_exact_at(&mut bytes, sector * SECTOR_BYTES)?;
            Ok(bytes)
        })
    }

    /// Each part is on the disk before the next is begun.
    pub fn write_table(&self, table: &Table) -> io::Result<()> {
        for write in table.writes(self.sectors) {
            self.file.write_all_at(&write.bytes, write.at)?;
            self.file.sync_all()?;
        }
        Ok(())
    }

    /// Where the kernel shows the partition.
    pub fn partition(&self, number: u32) -> Option<PathBuf> {
        self.known(number).map(|known| known.path)
    }

    /// Makes the kernel know the partition as the table has it, also while it is in use. An error may mean that the
    /// kernel is about to find it by itself.
    pub fn tell_kernel(&self, number: u32, entry: &Entry) -> io::Result<()> {
        let operation = match self.known(number) {
            Some(known) if known.start == entry.first && known.sectors == entry.sectors() => return Ok(()),
            Some(_) => PARTITION_RESIZE,
            None => PARTITION_ADD,
        };
        let bytes = |sectors: u64| i64::try_from(sectors * SECTOR_BYTES).map_err(io::Error::other);
        let mut call = PartitionCall {
            start: bytes(entry.first)?,
            length: bytes(entry.sectors())?,
            number: number as i32,
            names: [0; 128],
        };
        let length = size_of::<PartitionCall>() as i32;
        let argument = PartitionArgument { operation, flags: 0, length, data: &mut call };
        // SAFETY: the argument and the call it points to have the kernel's form and live until it returns.
        unsafe { blkpg(self.file.as_raw_fd(), &argument)? };
        Ok(())
    }

    pub fn knows(&self, number: u32) -> bool {
        self.known(number).is_some()
    }

    fn known(&self, wanted: u32) -> Option<Known> {
        let folder = Path::new(BLOCKS).join(&self.name);
        fs::read_dir(&folder).ok()?.flatten().find_map(|entry| {
            let inner = entry.path();
            (number(&inner.join("partition"))? == u64::from(wanted)).then_some(())?;
            Some(Known {
                path: Path::new("/dev").join(entry.file_name()),
                start: number(&inner.join("start"))?,
                sectors: number(&inner.join("size"))?,
            })
        })
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
