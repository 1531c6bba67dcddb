//! Looks for a text in a task's output, line by line, as it is read: bounded in what it reads, keeps and returns.

use console::sandbox::{LogHit, LogHits, LogSearch};
use console::{LogStream, SandboxError};
use model::TaskId;

use super::read::read;
use crate::config::Paths;

/// Read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Looked at in one search; more than all that is kept of a stream by default.
const SEARCHED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longer lines are looked at in pieces of this size.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Shown of a long line: this much, a third of it before what was found.
const SHOWN_BYTES: usize = 300;

/// Searches from `search.from` on.
pub fn search(
    paths: &Paths,
    task: &TaskId,
    stream: LogStream,
    search: &LogSearch,
) -> Result<LogHits, SandboxError> {
    let mut scanner = Scanner::new(search);
    let mut next = search.from;
    loop {
        let chunk = read(paths, task, stream, Some(next), CHUNK_BYTES)?;
        if chunk.data.is_empty() {
            return Ok(scanner.finish(true));
        }
        next = chunk.end();
        scanner.feed(chunk.offset, &chunk.data);
        if scanner.is_full() || next.saturating_sub(search.from) > SEARCHED_BYTES_MAX {
            return Ok(scanner.finish(false));
        }
    }
}

/// The search itself: bytes with their offsets go in, in order, lines that have the text come out.
struct Scanner {
    wanted: Vec<u8>,
    limit: usize,
    /// A line whose end has not come yet, and where it begins.
    line: Vec<u8>,
    line_offset: u64,
    hits: Vec<LogHit>,
    /// All before was looked at.
    done_to: u64,
}

impl Scanner {
    fn new(search: &LogSearch) -> Self {
        Self {
            wanted: search.text.to_ascii_lowercase().into_bytes(),
            limit: search.limit,
            line: Vec::new(),
            line_offset: search.from,
            hits: Vec::new(),
            done_to: search.from,
        }
    }

    fn is_full(&self) -> bool {
        self.hits.len() >= self.limit
    }

    fn feed(&mut self, offset: u64, data: &[u8]) {
        // Bytes between were given up: the line has lost its end.
        if offset != self.line_offset + self.line.len() as u64 {
            self.end_line();
            self.line_offset = offset;
            self.done_to = offset;
        }
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            if self.is_full() {
                return;
            }
            self.line.extend_from_slice(piece);
            while self.line.len() > LINE_BYTES_MAX && !self.is_full() {
                self.end_piece();
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// Looks at the first part of a line that is too long; its last bytes may begin the text and are kept.
    fn end_piece(&mut self) {
        let kept = self.wanted.len().saturating_sub(1);
        let rest = self.line.split_off(LINE_BYTES_MAX);
        let overlap = self.line[LINE_BYTES_MAX - kept.min(LINE_BYTES_MAX)..].to_vec();
        let begin = self.line_offset + (LINE_BYTES_MAX - overlap.len()) as u64;
        let found = self.look();
        self.line = if found { rest } else { [overlap, rest].concat() };
        self.line_offset = if found { self.line_offset + LINE_BYTES_MAX as u64 } else { begin };
        self.done_to = self.line_offset;
    }

    fn end_line(&mut self) {
        if !self.is_full() {
            self.look();
            self.line_offset += self.line.len() as u64;
            self.done_to = self.line_offset;
            self.line.clear();
        }
    }

    fn look(&mut self) -> bool {
        let Some(at) = find(&self.line, &self.wanted) else { return false };
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let begin = if line.len() > SHOWN_BYTES { at.saturating_sub(SHOWN_BYTES / 3) } else { 0 };
        let end = line.len().min(begin + SHOWN_BYTES);
        let offset = self.line_offset + begin as u64;
        self.hits.push(LogHit { offset, line: line[begin.min(end)..end].to_vec() });
        true
    }

    fn finish(mut self, complete: bool) -> LogHits {
        if complete && !self.is_full() {
            self.end_line();
        }
        // A full list may have been filled by the very last line.
        LogHits { complete: complete && !self.is_full(), searched_to: self.done_to, hits: self.hits }
    }
}

/// Where `wanted`, in small letters, first is in `line`.
fn find(line: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    let (small, capital) = (wanted[0], wanted[0].to_ascii_uppercase());
    let last = line.len().checked_sub(wanted.len())?;
    (0..=last).find(|at| {
        (line[*at] == small || line[*at] == capital)
            && line[*at..*at + wanted.len()].eq_ignore_ascii_case(wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str, limit: usize, chunks: &[(u64, &[u8])]) -> (Vec<(u64, String)>, u64) {
        let from = chunks.first().map_or(0, |(offset, _)| *offset);
        let mut scanner = Scanner::new(&LogSearch { text: text.to_owned(), from, limit });
        for (offset, data) in chunks {
            scanner.feed(*offset, data);
        }
        let found = scanner.finish(true);
        let hits = found.hits.iter().map(|h| (h.offset, String::from_utf8_lossy(&h.line).into_owned()));
        (hits.collect(), found.searched_to)
    }

    #[test]
    fn lines_are_found_by_their_offset() {
        let text = b"one\nTwo two\nthree\nno end TWO";
        let expected = vec![(4, "Two two".to_owned()), (18, "no end TWO".to_owned())];
        assert_eq!(scan("two", 10, &[(0, text)]), (expected.clone(), 28));
        // Cut anywhere, it is the same.
        for cut in 0..text.len() {
            let chunks = [(0, &text[..cut]), (cut as u64, &text[cut..])];
            assert_eq!(scan("tWo", 10, &chunks), (expected.clone(), 28), "{cut}");
        }
        assert_eq!(scan("four", 10, &[(0, text)]), (vec![], 28));
        assert_eq!(scan("", 10, &[(0, text)]), (vec![], 28));
    }

    #[test]
    fn a_full_list_says_where_to_go_on() {
        let text = b"x1\nx2\nx3\n";
        let (hits, next) = scan("x", 2, &[(100, text)]);
        assert_eq!(hits, [(100, "x1".to_owned()), (103, "x2".to_owned())]);
        assert_eq!(next, 106);
        let rest = scan("x", 2, &[(next, &text[6..])]);
        assert_eq!(rest, (vec![(106, "x3".to_owned())], 109));
    }

    #[test]
    fn what_was_given_up_joins_nothing() {
        let chunks: [(u64, &[u8]); 2] = [(0, b"begin nee"), (1_000, b"dle\nneedle\n")];
        assert_eq!(scan("needle", 9, &chunks).0, [(1_004, "needle".to_owned())]);
    }

    #[test]
    fn lines_without_end_are_looked_at_in_pieces() {
        // Across the edge of two pieces, in the middle of a large line.
        let mut line = vec![b'.'; LINE_BYTES_MAX * 3];
        let at = LINE_BYTES_MAX - 3;
        line[at..at + 6].copy_from_slice(b"NEEDLE");
        let (hits, end) = scan("needle", 9, &[(10, &line)]);
        assert_eq!(end, 10 + line.len() as u64);
        let [(offset, text)] = hits.as_slice() else { panic!("{hits:?}") };
        assert!(text.contains("NEEDLE") && text.len() <= SHOWN_BYTES, "{text}");
        let shown_at = *offset + text.find("NEEDLE").expect("it is there") as u64;
        assert_eq!(shown_at, 10 + at as u64);
    }
}
