//! The entries of a tar stream, one after the other. Only reads; what an entry may do is decided elsewhere.
//!
//! Old, ustar, GNU long names and pax. Names and extended headers are bounded, because a stranger wrote them.

use std::io::{self, Read};

use super::error::{Problem, UnpackError};

const BLOCK: usize = 512;
/// Bytes of one extended header or long name: capabilities, long paths, and much reserve.
const EXTENDED_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    Fifo,
    /// A character or block device.
    Device,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub path: Vec<u8>,
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970 and nanoseconds.
    pub modified: (i64, u32),
    /// Bytes of content that follow.
    pub size: u64,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

pub struct Archive<R> {
    reader: R,
    /// Content of the current entry that was not read yet, and the filling behind it.
    left: u64,
    filling: u64,
}

impl<R: Read> Archive<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, left: 0, filling: 0 }
    }

    /// The next entry; `None` at the end of the archive. What was not read of the one before is skipped.
    pub fn next(&mut self) -> Result<Option<Entry>, UnpackError> {
        let mut extended = Extended::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            let size = number(&header.as_old().size)?;
            match kind.as_byte() {
                b'L' => extended.path = Some(until_nul(self.extended(size)?)),
                b'K' => extended.link = Some(until_nul(self.extended(size)?)),
                b'x' => extended.read(&self.extended(size)?)?,
                // What holds for all entries to come: comments, in practice.
                b'g' => drop(self.extended(size)?),
                _ => {
                    let entry = extended.complete(&header)?;
                    let has_content = entry.kind == Kind::File || !matches!(kind.as_byte(), b'1'..=b'6');
                    self.expect(if has_content { entry.size } else { 0 })?;
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// Reads on to the end of the stream, so that its digest is that of all its bytes.
    pub fn finish(mut self) -> Result<R, UnpackError> {
        self.skip()?;
        let mut buffer = vec![0; 64 * 1024];
        while read_some(&mut self.reader, &mut buffer)? > 0 {}
        Ok(self.reader)
    }

    fn expect(&mut self, size: u64) -> Result<(), UnpackError> {
        let block = BLOCK as u64;
        self.left = size;
        self.filling =
            size.checked_next_multiple_of(block).ok_or(UnpackError::Damaged("a size is absurd"))? - size;
        Ok(())
    }

    fn skip(&mut self) -> Result<(), UnpackError> {
        let mut buffer = [0; 8192];
        let mut left = self.left + self.filling;
        while left > 0 {
            let want = left.min(buffer.len() as u64) as usize;
            match read_some(&mut self.reader, &mut buffer[..want])? {
                0 => return Err(UnpackError::Cut),
                n => left -= n as u64,
            }
        }
        (self.left, self.filling) = (0, 0);
        Ok(())
    }

    /// The next header that is not empty. Some writers leave out the empty blocks at the end.
    fn header(&mut self) -> Result<Option<tar::Header>, UnpackError> {
        let mut header = tar::Header::new_old();
        if !self.block(header.as_mut_bytes())? || header.as_bytes().iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let sum = header.as_bytes().iter().enumerate();
        let sum = sum.map(|(i, b)| u32::from(if (148..156).contains(&i) { b' ' } else { *b })).sum::<u32>();
        match number(&header.as_old().cksum) {
            Ok(told) if told == u64::from(sum) => Ok(Some(header)),
            _ => Err(UnpackError::Damaged("a header's checksum is wrong")),
        }
    }

    /// False at the end of the stream.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, UnpackError> {
        let mut filled = 0;
        while filled < BLOCK {
            match read_some(&mut self.reader, &mut block[filled..])? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(UnpackError::Cut),
                n => filled += n,
            }
        }
        Ok(true)
    }

    fn extended(&mut self, size: u64) -> Result<Vec<u8>, UnpackError> {
        if size > EXTENDED_BYTES_MAX {
            return Err(UnpackError::Damaged("an extended header is absurdly long"));
        }
        self.expect(size)?;
        let mut bytes = vec![0; size as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read(&mut bytes[filled..])? {
                0 => return Err(UnpackError::Cut),
                n => filled += n,
            }
        }
        Ok(bytes)
    }

    /// Content of the current entry; 0 at its end.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, UnpackError> {
        let want = self.left.min(buffer.len() as u64) as usize;
        if want == 0 {
            return Ok(0);
        }
        match read_some(&mut self.reader, &mut buffer[..want])? {
            0 => Err(UnpackError::Cut),
            n => {
                self.left -= n as u64;
                Ok(n)
            }
        }
    }
}

/// Errors of our own come through the readers beneath as they are.
fn read_some(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, UnpackError> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(n) => return Ok(n),
            Err(error) => {
                return Err(match error.downcast::<UnpackError>() {
                    Ok(own) => own,
                    Err(other) => UnpackError::Compression("readable data", other),
                });
            }
        }
    }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

/// What came in extended headers before an entry's own; it wins.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    modified: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: bool,
}

impl Extended {
    /// Records of the form `LENGTH KEY=VALUE\n`; a value may hold anything, so only the length ends it.
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), UnpackError> {
        let damaged = || UnpackError::Damaged("an extended header cannot be read");
        while !bytes.is_empty() {
            let blank = bytes.iter().position(|b| *b == b' ').ok_or_else(damaged)?;
            let length: usize = text(&bytes[..blank]).and_then(|t| t.parse().ok()).ok_or_else(damaged)?;
            if length < blank + 2 || length > bytes.len() || bytes[length - 1] != b'\n' {
                return Err(damaged());
            }
            let record = &bytes[blank + 1..length - 1];
            bytes = &bytes[length..];
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(damaged)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            let number = || text(value).and_then(|t| t.parse::<u64>().ok()).ok_or_else(damaged);
            let id = || number().and_then(|n| u32::try_from(n).map_err(|_| damaged()));
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(number()?),
                b"uid" => self.uid = Some(id()?),
                b"gid" => self.gid = Some(id()?),
                b"mtime" => self.modified = text(value).and_then(seconds),
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        self.xattrs.push((name.to_vec(), value.to_vec()));
                    }
                    self.sparse |= key.starts_with(b"GNU.sparse.");
                }
            }
        }
        Ok(())
    }

    fn complete(self, header: &tar::Header) -> Result<Entry, UnpackError> {
        let own = header.as_old();
        let path = self.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = || {
            let own = || header.link_name_bytes().map(std::borrow::Cow::into_owned);
            self.link.clone().or_else(own).unwrap_or_default()
        };
        let byte = header.entry_type().as_byte();
        if self.sparse || byte == b'S' {
            return Err(UnpackError::hostile(&path, Problem::Sparse));
        }
        let kind = match byte {
            b'5' => Kind::Folder,
            b'2' => Kind::Symlink(link()),
            b'1' => Kind::HardLink(link()),
            b'3' | b'4' => Kind::Device,
            b'6' => Kind::Fifo,
            // Before ustar a folder was a file with a slash at the end.
            0 if path.ends_with(b"/") => Kind::Folder,
            0 | b'0' | b'7' => Kind::File,
            _ => return Err(UnpackError::Damaged("an entry is of an unknown kind")),
        };
        let own_id = |id: Option<u32>, field: &[u8]| match id {
            Some(id) => Ok(id),
            None => {
                u32::try_from(number(field)?).map_err(|_| UnpackError::Damaged("a user's number is absurd"))
            }
        };
        let own_time = || number(&own.mtime).ok().and_then(|time| i64::try_from(time).ok()).unwrap_or(0);
        Ok(Entry {
            kind,
            mode: (number(&own.mode)? & 0o7777) as u32,
            uid: own_id(self.uid, &own.uid)?,
            gid: own_id(self.gid, &own.gid)?,
            modified: self.modified.unwrap_or_else(|| (own_time(), 0)),
            size: match self.size {
                Some(size) => size,
                None => number(&own.size)?,
            },
            xattrs: self.xattrs,
            path,
        })
    }
}

/// A number of a header: octal digits, nothing at all for 0, or, where the first bit is set, its bytes themselves.
fn number(field: &[u8]) -> Result<u64, UnpackError> {
    let damaged = || UnpackError::Damaged("a number in a header cannot be read");
    if let [first @ 0x80..=0xff, rest @ ..] = field {
        // The second bit would make it negative.
        let bytes = [&[first & 0x7f][..], rest].concat();
        let (high, low) = bytes.split_at(bytes.len() - bytes.len().min(8));
        let is_small = first & 0x40 == 0 && high.iter().all(|byte| *byte == 0);
        return match is_small {
            true => Ok(low.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))),
            false => Err(damaged()),
        };
    }
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    match text(&field[..end]).ok_or_else(damaged)?.trim() {
        "" => Ok(0),
        digits => u64::from_str_radix(digits, 8).map_err(|_| damaged()),
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// `1700000000.25`, `-1.5`.
fn seconds(text: &str) -> Option<(i64, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanos: u32 = digits.parse().ok()?;
    match text.starts_with('-') && nanos > 0 {
        true => Some((whole.checked_sub(1)?, 1_000_000_000 - nanos)),
        false => Some((whole, nanos)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions_and_signs() {
        assert_eq!(seconds("1700000000.25"), Some((1_700_000_000, 250_000_000)));
        assert_eq!(seconds("7"), Some((7, 0)));
        assert_eq!(seconds("-1.5"), Some((-2, 500_000_000)));
        assert_eq!(seconds("x"), None);
        assert_eq!(seconds("1.x"), None);
    }

    #[test]
    fn numbers_are_octal_empty_or_bytes() {
        for (field, expected) in [
            (&b"0000644\0"[..], 0o644),
            (b"   644 \0", 0o644),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"        ", 0),
            (b"77777777777\0", 0o77_777_777_777),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", 0x2_0000_0000),
            (b"\x80\0\0\x01\0\0\0\0", 0x1_0000_0000),
        ] {
            assert_eq!(number(field).unwrap(), expected, "{field:?}");
        }
        for field in [
            &b"00x\0"[..],
            b"-1\0",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            b"9\0",
            b"\x80\x01\0\0\0\0\0\0\0\0\0\0",
        ] {
            assert!(number(field).is_err(), "{field:?}");
        }
    }

    #[test]
    fn values_of_extended_headers_may_hold_anything() {
        let mut extended = Extended::default();
        extended.read(b"30 SCHILY.xattr.user.a=\n\0=\n\xff\n\n").unwrap();
        assert_eq!(extended.xattrs, [(b"user.a".to_vec(), b"\n\0=\n\xff\n".to_vec())]);
        for broken in [&b"5 a=b"[..], b"3 a\n", b"99 a=b\n", b"a=b\n", b"0 a=b\n", b"6 a=bc", b" "] {
            assert!(Extended::default().read(broken).is_err(), "{broken:?}");
        }
    }
}
