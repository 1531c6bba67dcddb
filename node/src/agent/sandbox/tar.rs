//! Writes tar archives (POSIX pax): long and odd names, large files, and holes, which are told instead of sent.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

const BLOCK: usize = 512;
const NAME_BYTES_MAX: usize = 100;
/// Largest number of eleven octal digits.
const OCTAL_MAX: u64 = 0o777_7777_7777;
/// Runs of data that are told apart; a file in more pieces is sent with the holes of its rest filled.
const RUNS_MAX: usize = 1_000;
const COPY_BYTES: usize = 64 * 1024;

pub struct Tar<W: Write> {
    out: W,
}

/// What a header says beside name and size.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Permissions; who could become somebody else by it cannot.
    mode: u32,
    modified_s: u64,
}

impl Facts {
    pub fn of(meta: &std::fs::Metadata) -> Self {
        Self { mode: meta.mode() & 0o777, modified_s: u64::try_from(meta.mtime()).unwrap_or_default() }
    }
}

impl<W: Write> Tar<W> {
    pub fn new(out: W) -> Self {
        Self { out }
    }

    pub fn folder(&mut self, name: &[u8], facts: Facts) -> io::Result<()> {
        let name = [name, b"/"].concat();
        self.header(&name, &name, b'5', 0, b"", facts, Vec::new())
    }

    pub fn link(&mut self, name: &[u8], target: &[u8], facts: Facts) -> io::Result<()> {
        self.header(name, name, b'2', 0, target, facts, Vec::new())
    }

    pub fn text(&mut self, name: &[u8], text: &str) -> io::Result<()> {
        let facts = Facts { mode: 0o444, modified_s: 0 };
        self.header(name, name, b'0', text.len() as u64, b"", facts, Vec::new())?;
        self.out.write_all(text.as_bytes())?;
        self.pad(text.len() as u64)
    }

    /// A plain file of `size` bytes; what it is shorter by then is zeros, what it is longer is left out.
    pub fn file(&mut self, name: &[u8], file: &File, size: u64, facts: Facts) -> io::Result<()> {
        let runs = runs(file, size)?;
        if runs == [(0, size)] || size == 0 {
            self.header(name, name, b'0', size, b"", facts, Vec::new())?;
            self.copy(file, 0, size)?;
            return self.pad(size);
        }
        let map = sparse_map(&runs, size);
        let stored = map.len() as u64 + runs.iter().map(|(_, length)| length).sum::<u64>();
        let records = vec![
            ("GNU.sparse.major", b"1".to_vec()),
            ("GNU.sparse.minor", b"0".to_vec()),
            ("GNU.sparse.name", name.to_vec()),
            ("GNU.sparse.realsize", size.to_string().into_bytes()),
        ];
        // What readers that know nothing of holes call it.
        let last = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
        let stand_in = [b"GNUSparseFile.0/", last].concat();
        self.header(
            &stand_in[..stand_in.len().min(NAME_BYTES_MAX)],
            name,
            b'0',
            stored,
            b"",
            facts,
            records,
        )?;
        self.out.write_all(&map)?;
        for (offset, length) in runs {
            self.copy(file, offset, length)?;
        }
        self.pad(stored)
    }

    /// The two empty blocks at the end.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of a header")]
    fn header(
        &mut self,
        name: &[u8],
        true_name: &[u8],
        kind: u8,
        size: u64,
        target: &[u8],
        facts: Facts,
        mut records: Vec<(&str, Vec<u8>)>,
    ) -> io::Result<()> {
        let is_sparse = !records.is_empty();
        if name.len() > NAME_BYTES_MAX && !is_sparse {
            records.push(("path", name.to_vec()));
        }
        if target.len() > NAME_BYTES_MAX {
            records.push(("linkpath", target.to_vec()));
        }
        if size > OCTAL_MAX {
            records.push(("size", size.to_string().into_bytes()));
        }
        if !records.is_empty() {
            if std::str::from_utf8(true_name).is_err() || std::str::from_utf8(target).is_err() {
                records.insert(0, ("hdrcharset", b"BINARY".to_vec()));
            }
            let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
            self.out.write_all(&block(b"pax", b'x', body.len() as u64, b"", facts))?;
            self.out.write_all(&body)?;
            self.pad(body.len() as u64)?;
        }
        self.out.write_all(&block(name, kind, size, target, facts))
    }

    fn copy(&mut self, file: &File, mut offset: u64, length: u64) -> io::Result<()> {
        let (end, mut buffer) = (offset + length, vec![0; COPY_BYTES]);
        while offset < end {
            let wanted = usize::try_from(end - offset).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            let got = match file.read_at(&mut buffer[..wanted], offset) {
                // Promised is promised.
                Ok(0) => {
                    buffer[..wanted].fill(0);
                    wanted
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.out.write_all(&buffer[..got])?;
            offset += got as u64;
        }
        Ok(())
    }

    fn pad(&mut self, written: u64) -> io::Result<()> {
        let over = (written % BLOCK as u64) as usize;
        if over == 0 { Ok(()) } else { self.out.write_all(&[0; BLOCK][over..]) }
    }
}

/// Where a file holds data, in order, up to `size`.
fn runs(file: &File, size: u64) -> io::Result<Vec<(u64, u64)>> {
    let seek = |offset: u64, whence| match lseek(file, offset as libc::off_t, whence) {
        Ok(position) => Ok(Some(position as u64)),
        Err(Errno::ENXIO) => Ok(None),
        Err(error) => Err(io::Error::from(error)),
    };
    let (mut found, mut offset) = (Vec::new(), 0);
    while offset < size {
        let Some(start) = seek(offset, Whence::SeekData)?.filter(|start| *start < size) else { break };
        let last = found.len() + 1 == RUNS_MAX;
        let end = if last { size } else { seek(start, Whence::SeekHole)?.unwrap_or(size).min(size) };
        // Never backwards, whatever the task does to the file meanwhile.
        let end = end.max(start + 1);
        found.push((start, end - start));
        offset = end;
    }
    Ok(found)
}

/// GNU's sparse map 1.0: number of runs, then offset and length of each, one number a line, in whole blocks.
fn sparse_map(runs: &[(u64, u64)], size: u64) -> Vec<u8> {
    // A hole at the end is told by an empty run behind it.
    let ends_in_hole = runs.last().is_none_or(|(offset, length)| offset + length < size);
    let last = ends_in_hole.then_some((size, 0));
    let mut map = format!("{}\n", runs.len() + usize::from(ends_in_hole));
    for (offset, length) in runs.iter().copied().chain(last) {
        map.push_str(&format!("{offset}\n{length}\n"));
    }
    let mut map = map.into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length += 1;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

fn block(name: &[u8], kind: u8, size: u64, target: &[u8], facts: Facts) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, room: usize, bytes: &[u8]| {
        let length = bytes.len().min(room);
        block[at..at + length].copy_from_slice(&bytes[..length]);
    };
    let octal = |number: u64, digits: usize| format!("{number:0digits$o}").into_bytes();
    put(0, NAME_BYTES_MAX, name);
    put(100, 7, &octal(facts.mode.into(), 7));
    // The owner is a number of this node: whoever unpacks it owns it.
    put(108, 7, &octal(0, 7));
    put(116, 7, &octal(0, 7));
    put(124, 11, &octal(if size > OCTAL_MAX { 0 } else { size }, 11));
    put(136, 11, &octal(facts.modified_s.min(OCTAL_MAX), 11));
    put(148, 8, b"        ");
    put(156, 1, &[kind]);
    put(157, NAME_BYTES_MAX, target);
    put(257, 8, b"ustar\x0000");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn records_count_themselves() {
        assert_eq!(record("path", b"x"), b"9 path=x\n");
        for length in 80..120 {
            let line = record("path", &vec![b'x'; length]);
            let said: usize = String::from_utf8_lossy(&line).split(' ').next().unwrap().parse().unwrap();
            assert_eq!(said, line.len());
        }
    }

    /// Read back by the machine's own tar.
    #[test]
    fn others_can_read_it() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let path = place.path().join("given");
        let facts = Facts { mode: 0o640, modified_s: 1_700_000_000 };
        let mut tar = Tar::new(Vec::new());
        tar.folder(b"top", facts).expect("folder");
        let long = [b"top/".as_slice(), &[b'l'; 150], b"\xff"].concat();
        std::fs::write(&path, "hello").expect("write");
        let file = File::open(&path).expect("open");
        tar.file(&long, &file, 5, facts).expect("file");
        tar.file(b"top/shrunk", &file, 8, facts).expect("file");
        tar.file(b"top/empty", &file, 0, facts).expect("file");
        tar.link(b"top/link", "long-target/".repeat(20).as_bytes(), facts).expect("link");
        // 3 TiB, nearly all of it holes.
        let sparse = File::create(place.path().join("sparse")).expect("create");
        sparse.write_all_at(b"begin", 0).expect("write");
        sparse.write_all_at(b"middle", 2 << 40).expect("write");
        sparse.set_len(3 << 40).expect("a length");
        let sparse = File::open(place.path().join("sparse")).expect("open");
        tar.file(b"top/sparse", &sparse, 3 << 40, facts).expect("file");
        tar.text(b"note.txt", "a note").expect("text");
        let bytes = tar.finish().expect("finish");
        assert!(bytes.len() < 100_000, "holes were sent: {} bytes", bytes.len());

        let out = place.path().join("out");
        std::fs::create_dir(&out).expect("a folder");
        let mut reader = Command::new("tar");
        reader.args(["-xf", "-", "-C"]).arg(&out);
        let mut reader = reader.stdin(Stdio::piped()).spawn().expect("tar is installed");
        reader.stdin.take().expect("piped").write_all(&bytes).expect("tar reads");
        assert!(reader.wait().expect("tar").success());
        use std::os::unix::ffi::OsStrExt;
        let at = |name: &[u8]| out.join(std::ffi::OsStr::from_bytes(name));
        assert_eq!(std::fs::read(at(&long)).expect("the long name"), b"hello");
        assert_eq!(std::fs::read(at(b"top/shrunk")).expect("shrunk"), b"hello\0\0\0");
        assert_eq!(std::fs::read(at(b"top/empty")).expect("empty"), b"");
        assert_eq!(std::fs::read(at(b"note.txt")).expect("note"), b"a note");
        assert_eq!(std::fs::read_link(at(b"top/link")).expect("link").as_os_str().len(), 240);
        let unpacked = File::open(at(b"top/sparse")).expect("sparse");
        assert_eq!(unpacked.metadata().expect("metadata").len(), 3 << 40);
        let mut middle = [0; 6];
        unpacked.read_exact_at(&mut middle, 2 << 40).expect("read");
        assert_eq!(&middle, b"middle");
    }
}
