//! Writes the archive format the kernel unpacks as its first file system ("newc"): the same entries give the same
//! bytes, owned by root and dated 1970.

use std::io::{self, Write};

const FOLDER: u32 = 0o040755;
const PROGRAM: u32 = 0o100755;
const FILE: u32 = 0o100644;
const CHARACTER_DEVICE: u32 = 0o020600;

pub struct Cpio<W> {
    out: W,
    written: u64,
    inode: u32,
}

struct Entry<'a> {
    name: &'a str,
    mode: u32,
    device: (u32, u32),
    data: &'a [u8],
}

impl<W: Write> Cpio<W> {
    pub fn new(out: W) -> Cpio<W> {
        Cpio { out, written: 0, inode: 0 }
    }

    pub fn folder(&mut self, name: &str) -> io::Result<()> {
        self.entry(&Entry { name, mode: FOLDER, device: (0, 0), data: &[] })
    }

    pub fn program(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        self.entry(&Entry { name, mode: PROGRAM, device: (0, 0), data })
    }

    pub fn file(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        self.entry(&Entry { name, mode: FILE, device: (0, 0), data })
    }

    pub fn character_device(&mut self, name: &str, major: u32, minor: u32) -> io::Result<()> {
        self.entry(&Entry { name, mode: CHARACTER_DEVICE, device: (major, minor), data: &[] })
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.inode = 0;
        self.entry(&Entry { name: "TRAILER!!!", mode: 0, device: (0, 0), data: &[] })?;
        Ok(self.out)
    }

    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let too_large =
            || io::Error::new(io::ErrorKind::InvalidInput, format!("{} is too large", entry.name));
        let size = u32::try_from(entry.data.len()).map_err(|_| too_large())?;
        let name_size = u32::try_from(entry.name.len() + 1).map_err(|_| too_large())?;
        self.inode += 1;
        let links = if entry.mode & 0o170000 == 0o040000 { 2 } else { 1 };
        let (major, minor) = entry.device;
        // inode, mode, uid, gid, links, mtime, size, device, special device, name size, unused checksum
        let fields = [self.inode, entry.mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0];
        self.put(b"070701")?;
        for field in fields {
            self.put(format!("{field:08x}").as_bytes())?;
        }
        self.put(entry.name.as_bytes())?;
        self.put(&[0])?;
        self.align()?;
        self.put(entry.data)?;
        self.align()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn align(&mut self) -> io::Result<()> {
        let missing = (4 - self.written % 4) % 4;
        self.put(&[0; 3][..missing as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_the_kernel_looks() {
        let mut cpio = Cpio::new(Vec::new());
        cpio.folder("dev").unwrap();
        cpio.character_device("dev/console", 5, 1).unwrap();
        cpio.program("init", b"12345").unwrap();
        let bytes = cpio.finish().unwrap();
        let text = String::from_utf8_lossy(&bytes).replace('\0', ".");
        assert!(text.starts_with("070701" /* magic */), "{text}");
        assert_eq!(&text[14..22], "000041ed", "mode of a folder");
        let console = text.find("dev/console").unwrap() - 110;
        assert_eq!(&text[console + 78..console + 94], "0000000500000001", "device numbers");
        let init = text.find("init..").unwrap() - 110;
        assert_eq!(&text[init + 54..init + 62], "00000005", "size");
        assert_eq!(init % 4, 0);
        assert!(text.trim_end_matches('.').ends_with("TRAILER!!!"));
        assert_eq!(bytes.len() % 4, 0);
    }
}
