//! What the console and the API ask about one task beyond its place in the state: its files, its output as a whole,
//! what it uses right now. The node implements [`Sandboxes`].
//!
//! The owner of a task may be hostile, so a path is a value that was checked before anybody opens anything, and names
//! are bytes: they are shown only through [`shown`].

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use axum::body::Bytes;
use futures::stream::BoxStream;
use model::TaskId;

use crate::{LogStream, SandboxError};

const PATH_BYTES_MAX: usize = 4_096;

/// A path below a sandbox: no part of it is empty, `.` or `..`. Without parts it is the sandbox itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxPath(Vec<Vec<u8>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("path: `..` is not followed")]
    Upwards,
    #[error("path: a zero byte is in it")]
    Zero,
    #[error("path: at most {PATH_BYTES_MAX} bytes are accepted")]
    TooLong,
}

impl SandboxPath {
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        if bytes.contains(&0) {
            return Err(PathError::Zero);
        }
        let parts = bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
        let parts: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
        if parts.iter().any(|part| part == b"..") { Err(PathError::Upwards) } else { Ok(Self(parts)) }
    }

    /// As the kernel takes it: never empty, never absolute.
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.is_root() { b".".to_vec() } else { self.0.join(&b'/') }
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last part; empty for the sandbox itself.
    pub fn name(&self) -> &[u8] {
        self.0.last().map_or(b"", Vec::as_slice)
    }

    pub fn child(&self, name: &[u8]) -> Self {
        Self(self.0.iter().cloned().chain([name.to_vec()]).collect())
    }

    /// The sandbox, the folder below it, and so on to the path itself.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        (0..=self.0.len()).map(|count| Self(self.0[..count].to_vec()))
    }

    /// For the query of an address.
    pub fn encoded(&self) -> String {
        encode_bytes(&self.0.join(&b'/'))
    }
}

/// Percent-encodes everything but unreserved characters and `/`.
pub fn encode_bytes(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(*byte as char);
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

/// The field `path` of an address's query. Names are bytes, so it is read as bytes; without it the sandbox itself.
pub fn path_of_query(query: &str) -> Result<SandboxPath, PathError> {
    let field = query.split('&').find_map(|pair| pair.strip_prefix("path=")).unwrap_or_default();
    let (mut bytes, mut rest) = (Vec::new(), field.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    SandboxPath::parse(&bytes)
}

/// A stranger's text on one line: what would command a terminal, break the line or turn it around is made visible.
pub fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(visible).collect()
}

/// What stands for a character that would do something instead of being seen.
pub fn visible(c: char) -> char {
    match c {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
            '\u{fffd}'
        }
        _ => c,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    File,
    Folder,
    Link,
    Fifo,
    Socket,
    Device,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: Vec<u8>,
    pub kind: EntryKind,
    pub size: u64,
    /// Milliseconds since 1970; what lies before is 0.
    pub modified_ms: u64,
    /// Where a link points; nobody has looked whether that is there.
    pub target: Option<Vec<u8>>,
}

/// A part of a folder: folders first, then by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    pub entries: Vec<Entry>,
    /// All that were counted.
    pub total: usize,
    /// The folder holds more than anybody would page through; the rest was not counted.
    pub truncated: bool,
}

/// Bytes that can be read in any order.
pub trait Content: Send + Sync {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Content for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

impl Content for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|from| self.get(from..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// A plain file, opened: whatever its name leads to later, this stays the same.
#[derive(Clone)]
pub struct OpenFile {
    pub size: u64,
    pub modified_ms: u64,
    /// Differs once the file does.
    pub tag: String,
    pub content: Arc<dyn Content>,
}

#[derive(Clone)]
pub enum Opened {
    Folder,
    File(OpenFile),
}

/// Looks for `text` in lines of output from byte `from` on; capital letters of ASCII are like small ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSearch {
    pub text: String,
    pub from: u64,
    pub limit: usize,
}

/// A line that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHit {
    /// Byte position of the line.
    pub offset: u64,
    /// The line, or what is around the find in a long one.
    pub line: Vec<u8>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogHits {
    pub hits: Vec<LogHit>,
    /// Everything before was looked at: a search goes on here.
    pub searched_to: u64,
    /// Nothing more was there to be looked at.
    pub complete: bool,
}

/// When which byte was written: `(milliseconds since 1970, offset)`, in order; all before the offset was written by
/// then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogTimes(pub Vec<(u64, u64)>);

impl LogTimes {
    /// From where on everything was written at `ms` or later.
    pub fn offset_at(&self, ms: u64) -> u64 {
        self.0.iter().take_while(|(at, _)| *at < ms).last().map_or(0, |(_, offset)| *offset)
    }

    /// When the byte at `offset` was written, as far as that is known.
    pub fn time_of(&self, offset: u64) -> Option<u64> {
        self.0.iter().find(|(_, end)| *end > offset).map(|(at, _)| *at)
    }
}

/// What a task's cgroup says right now.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Processor time since the task began.
    pub cpu_total_ms: u64,
    /// Thousandths of a processor, on average since it was asked last; `None` the first time.
    pub cpu_milli: Option<u64>,
    /// Without file cache that the kernel can drop.
    pub memory_bytes: u64,
    pub memory_limit_bytes: Option<u64>,
    pub processes: u64,
    pub processes_limit: Option<u64>,
    /// Processes of it that the kernel killed because its memory limit was reached.
    pub out_of_memory_kills: u64,
}

#[async_trait::async_trait]
pub trait Sandboxes: Send + Sync {
    /// At most `limit` entries of a folder after the first `skip`.
    async fn list(
        &self,
        task: &TaskId,
        path: &SandboxPath,
        skip: usize,
        limit: usize,
    ) -> Result<Listing, SandboxError>;
    async fn open(&self, task: &TaskId, path: &SandboxPath) -> Result<Opened, SandboxError>;
    /// A folder as a tar archive, made while it is sent.
    async fn archive(
        &self,
        task: &TaskId,
        path: &SandboxPath,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, SandboxError>;
    async fn search(
        &self,
        task: &TaskId,
        stream: LogStream,
        search: &LogSearch,
    ) -> Result<LogHits, SandboxError>;
    async fn log_times(&self, task: &TaskId, stream: LogStream) -> Result<LogTimes, SandboxError>;
    async fn usage(&self, task: &TaskId) -> Result<Usage, SandboxError>;
}

/// A node without sandboxes: tests that are about something else.
pub struct NoSandboxes;

#[async_trait::async_trait]
impl Sandboxes for NoSandboxes {
    async fn list(&self, _: &TaskId, _: &SandboxPath, _: usize, _: usize) -> Result<Listing, SandboxError> {
        Err(SandboxError::NotFound)
    }
    async fn open(&self, _: &TaskId, _: &SandboxPath) -> Result<Opened, SandboxError> {
        Err(SandboxError::NotFound)
    }
    async fn archive(
        &self,
        _: &TaskId,
        _: &SandboxPath,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, SandboxError> {
        Err(SandboxError::NotFound)
    }
    async fn search(&self, _: &TaskId, _: LogStream, _: &LogSearch) -> Result<LogHits, SandboxError> {
        Err(SandboxError::NotFound)
    }
    async fn log_times(&self, _: &TaskId, _: LogStream) -> Result<LogTimes, SandboxError> {
        Err(SandboxError::NotFound)
    }
    async fn usage(&self, _: &TaskId) -> Result<Usage, SandboxError> {
        Err(SandboxError::NotFound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below() {
        let parse = |text: &str| SandboxPath::parse(text.as_bytes()).map(|path| path.encoded());
        for (text, expected) in [
            ("", Ok("")),
            ("/", Ok("")),
            ("a/b", Ok("a/b")),
            ("//a/./b//", Ok("a/b")),
            ("a b/…", Ok("a%20b/%E2%80%A6")),
            ("..", Err(PathError::Upwards)),
            ("a/../b", Err(PathError::Upwards)),
            ("a\0b", Err(PathError::Zero)),
        ] {
            assert_eq!(parse(text), expected.map(str::to_owned), "{text:?}");
        }
        assert_eq!(SandboxPath::parse(&[b'a'; 5_000]), Err(PathError::TooLong));
        let path = SandboxPath::parse(b"a/b").expect("a path");
        let above: Vec<String> = path.ancestors().map(|p| p.encoded()).collect();
        assert_eq!(above, ["", "a", "a/b"]);
        assert_eq!((path.name(), path.to_bytes()), (b"b".as_slice(), b"a/b".to_vec()));
        assert_eq!(SandboxPath::default().to_bytes(), b".");
    }

    #[test]
    fn a_query_holds_any_name() {
        for (query, bytes) in [
            ("", &b"."[..]),
            ("path=a%2Fb+c&x=1", b"a/b c"),
            ("skip=1&path=%ff%0A%", b"\xff\n%"),
            ("xpath=a", b"."),
        ] {
            assert_eq!(path_of_query(query).map(|path| path.to_bytes()), Ok(bytes.to_vec()), "{query}");
        }
        assert_eq!(path_of_query("path=a%2F%2e%2E"), Err(PathError::Upwards));
    }

    #[test]
    fn names_cannot_deceive() {
        assert_eq!(shown(b"a\x1b[31m\n\xff"), "a\u{241b}[31m\u{240a}\u{fffd}");
        assert_eq!(shown("gpj\u{202e}exe.png".as_bytes()), "gpj\u{fffd}exe.png");
        assert_eq!(shown("Ä → 🗻".as_bytes()), "Ä → 🗻");
    }

    #[test]
    fn times_and_offsets() {
        let times = LogTimes(vec![(1_000, 10), (2_000, 25), (5_000, 40)]);
        for (ms, offset) in [(0, 0), (1_000, 0), (1_001, 10), (2_000, 10), (3_000, 25), (9_000, 40)] {
            assert_eq!(times.offset_at(ms), offset, "{ms}");
        }
        for (offset, time) in [(0, Some(1_000)), (9, Some(1_000)), (10, Some(2_000)), (40, None)] {
            assert_eq!(times.time_of(offset), time, "{offset}");
        }
    }
}
