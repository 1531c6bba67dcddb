//! `log.index` beside a sandbox: when which byte was written, in which order the two streams came, where each begins.
//!
//! Binary records of 24 bytes, appended: `kind, stream, 6 zero bytes, time (ms since 1970), offset`, little endian,
//! after one header record. The logger alone writes it; the task cannot see it. A torn last record says nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use console::LogStream;

const RECORD_BYTES: usize = 24;
const HEADER: [u8; RECORD_BYTES] = *b"meseta log index 1\n\0\0\0\0\0";
/// At this size the index is thinned out: half of the times are dropped.
const INDEX_BYTES_MAX: u64 = 64 * 1024;

pub const FILE: &str = "log.index";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub kind: Kind,
    pub stream: LogStream,
    /// Milliseconds since 1970.
    pub at: u64,
    pub offset: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// All bytes before `offset` were written by this time.
    Written = 1,
    /// Bytes before `offset` are given up.
    First = 2,
    /// The stream ended at `offset`.
    End = 3,
}

/// What an index says as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    pub marks: Vec<Mark>,
}

impl Index {
    /// Reads an index; a missing one is empty.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => file.take(2 * INDEX_BYTES_MAX).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut records = bytes.chunks_exact(RECORD_BYTES);
        match records.next() {
            None => Ok(Self::default()),
            Some(header) if header == HEADER => Ok(Self { marks: records.filter_map(decode).collect() }),
            Some(_) => Err(io::Error::other("not an index of this format")),
        }
    }

    /// The first byte of `stream` that is still kept.
    pub fn first(&self, stream: LogStream) -> u64 {
        self.last_of(Kind::First, stream).unwrap_or(0)
    }

    /// Where the stream ended, if it did.
    pub fn end(&self, stream: LogStream) -> Option<u64> {
        self.last_of(Kind::End, stream)
    }

    /// A byte position that was reached for certain.
    pub fn written(&self, stream: LogStream) -> u64 {
        self.marks.iter().filter(|mark| mark.stream == stream).map(|mark| mark.offset).max().unwrap_or(0)
    }

    fn last_of(&self, kind: Kind, stream: LogStream) -> Option<u64> {
        self.marks
            .iter()
            .rev()
            .find(|mark| mark.kind == kind && mark.stream == stream)
            .map(|mark| mark.offset)
    }

    /// Drops times before the first kept byte and every second other one.
    fn thin_out(&mut self) {
        let first = [LogStream::Stdout, LogStream::Stderr].map(|stream| (stream, self.first(stream)));
        let mut n = 0;
        self.marks.retain(|mark| {
            let begins =
                first.iter().find(|(stream, _)| *stream == mark.stream).map_or(0, |(_, first)| *first);
            match mark.kind {
                Kind::Written => {
                    n += 1;
                    mark.offset > begins && n % 2 == 0
                }
                Kind::First => mark.offset == begins,
                Kind::End => true,
            }
        });
    }
}

/// The logger's side.
pub struct Writer {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Writer {
    /// Continues an index; one that cannot be read is begun anew.
    pub fn open(path: PathBuf) -> io::Result<(Self, Index)> {
        let index = Index::read(&path).unwrap_or_default();
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let mut writer = Self { path, file, bytes: 0 };
        writer.rewrite(&index)?;
        Ok((writer, index))
    }

    /// On an error nothing was appended: half a record would garble all that follow.
    pub fn append(&mut self, mark: Mark) -> io::Result<()> {
        if let Err(error) = self.file.write_all(&encode(mark)) {
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += RECORD_BYTES as u64;
        if self.bytes > INDEX_BYTES_MAX {
            let mut index = Index::read(&self.path)?;
            index.thin_out();
            self.rewrite(&index)?;
        }
        Ok(())
    }

    fn rewrite(&mut self, index: &Index) -> io::Result<()> {
        let next = self.path.with_extension("index.next");
        let mut bytes = HEADER.to_vec();
        bytes.extend(index.marks.iter().flat_map(|mark| encode(*mark)));
        fs::write(&next, &bytes)?;
        fs::rename(&next, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.bytes = bytes.len() as u64;
        Ok(())
    }
}

fn encode(mark: Mark) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record[0] = mark.kind as u8;
    record[1] = mark.stream as u8;
    record[8..16].copy_from_slice(&mark.at.to_le_bytes());
    record[16..].copy_from_slice(&mark.offset.to_le_bytes());
    record
}

/// `None` for a kind of a later format: it is no business of ours.
fn decode(record: &[u8]) -> Option<Mark> {
    let kind = match record[0] {
        1 => Kind::Written,
        2 => Kind::First,
        3 => Kind::End,
        _ => return None,
    };
    let stream = if record[1] == 0 { LogStream::Stdout } else { LogStream::Stderr };
    let number = |at: usize| Some(u64::from_le_bytes(record.get(at..at + 8)?.try_into().ok()?));
    Some(Mark { kind, stream, at: number(8)?, offset: number(16)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(kind: Kind, stream: LogStream, offset: u64) -> Mark {
        Mark { kind, stream, at: 1_700_000_000_000 + offset, offset }
    }

    #[test]
    fn continues_after_a_torn_record() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(FILE);
        let (mut writer, index) = Writer::open(path.clone()).expect("a new index");
        assert_eq!(index, Index::default());
        let marks = [
            mark(Kind::Written, LogStream::Stdout, 10),
            mark(Kind::First, LogStream::Stdout, 4),
            mark(Kind::End, LogStream::Stderr, 7),
        ];
        marks.into_iter().for_each(|m| writer.append(m).expect("append"));
        writer.file.write_all(&[1, 0, 0]).expect("a torn record");
        let (_, index) = Writer::open(path).expect("the index again");
        assert_eq!(index.marks, marks);
        assert_eq!((index.first(LogStream::Stdout), index.first(LogStream::Stderr)), (4, 0));
        assert_eq!((index.end(LogStream::Stdout), index.end(LogStream::Stderr)), (None, Some(7)));
        assert_eq!((index.written(LogStream::Stdout), index.written(LogStream::Stderr)), (10, 7));
    }

    #[test]
    fn stays_small_and_keeps_what_readers_need() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(FILE);
        let (mut writer, _) = Writer::open(path.clone()).expect("a new index");
        for n in 1..=20_000 {
            writer.append(mark(Kind::Written, LogStream::Stdout, n)).expect("append");
            if n % 1_000 == 0 {
                writer.append(mark(Kind::First, LogStream::Stdout, n - 500)).expect("append");
            }
        }
        assert!(fs::metadata(&path).expect("metadata").len() <= INDEX_BYTES_MAX + RECORD_BYTES as u64);
        let index = Index::read(&path).expect("read");
        assert_eq!(index.first(LogStream::Stdout), 19_500);
        assert_eq!(index.written(LogStream::Stdout), 20_000);
        assert!(index.marks.windows(2).all(|pair| pair[0].at <= pair[1].at || pair[1].kind == Kind::First));
    }
}
