//! A part of a task's output as lines, each with the byte at which it begins: that is its name for ever.

use crate::LogChunk;
use crate::pages::output::unfinished;
use crate::sandbox::LogTimes;

use super::ansi::{Painter, Piece, without_return};

/// A page of empty lines would be a thousand times larger than what it shows.
const LINES_MAX: usize = 2_000;

pub struct Line {
    pub offset: u64,
    pub is_marked: bool,
    pub pieces: Vec<Piece>,
}

pub struct Part {
    pub lines: Vec<Line>,
    pub start: u64,
    /// The first byte that is not shown.
    pub end: u64,
}

/// The lines of `chunk`. `at`: the byte whose line is marked; lines before it that are not whole are left out.
/// `is_full`: more follows, so a last line that is not whole is left for the next page.
pub fn part(chunk: &LogChunk, at: Option<u64>, is_full: bool, colours: bool) -> Part {
    let data = chunk.data.as_slice();
    let begin = at.map_or(0, |at| first_whole_line(chunk, at));
    let mut end = data.len() - unfinished(data);
    if is_full && let Some(last) = data[begin..end].iter().rposition(|byte| *byte == b'\n') {
        end = begin + last + 1;
    }
    let (mut painter, mut lines, mut offset) = (Painter::new(colours), Vec::new(), begin);
    for line in data[begin..end].split_inclusive(|byte| *byte == b'\n').take(LINES_MAX) {
        let from = chunk.offset + offset as u64;
        offset += line.len();
        let to = chunk.offset + offset as u64;
        let text = without_return(line.strip_suffix(b"\n").unwrap_or(line));
        let is_marked = at.is_some_and(|at| (from..to).contains(&at));
        lines.push(Line { offset: from, is_marked, pieces: painter.line(text) });
    }
    Part { lines, start: chunk.offset + begin as u64, end: chunk.offset + offset as u64 }
}

/// Where in `chunk` the first line begins that is whole, at the latest the one with byte `at`.
fn first_whole_line(chunk: &LogChunk, at: u64) -> usize {
    let before = usize::try_from(at.saturating_sub(chunk.offset)).unwrap_or(usize::MAX).min(chunk.data.len());
    if chunk.offset == chunk.first_offset {
        return 0;
    }
    chunk.data[..before].iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

/// When a part was written, as far as that is known, as two times of one clock.
pub fn span(times: &LogTimes, part: &Part) -> Option<(u64, u64)> {
    let last = part.end.checked_sub(1)?;
    Some((times.time_of(part.start)?, times.time_of(last)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(part: &Part) -> Vec<(u64, String, bool)> {
        let text = |line: &Line| line.pieces.iter().map(|piece| piece.text.as_str()).collect::<String>();
        part.lines.iter().map(|line| (line.offset, text(line), line.is_marked)).collect()
    }

    fn chunk(offset: u64, first_offset: u64, data: &[u8]) -> LogChunk {
        LogChunk { offset, first_offset, data: data.to_vec() }
    }

    fn line(offset: u64, text: &str, is_marked: bool) -> (u64, String, bool) {
        (offset, text.to_owned(), is_marked)
    }

    #[test]
    fn lines_have_the_offset_at_which_they_begin() {
        let part = part(&chunk(100, 0, b"rest\r\ntwo\n\nlast"), None, false, false);
        let expected = [line(100, "rest", false), line(106, "two", false), line(110, "", false)];
        assert_eq!(lines(&part)[..3], expected);
        assert_eq!(lines(&part)[3], line(111, "last", false));
        assert_eq!((part.start, part.end), (100, 115));
    }

    #[test]
    fn a_full_page_ends_with_a_line() {
        let full = chunk(0, 0, b"one\ntwo\nthr");
        assert_eq!(part(&full, None, true, false).end, 8);
        assert_eq!(part(&full, None, false, false).end, 11);
        // A line longer than a page is shown in pieces, and never stops the way.
        assert_eq!(part(&chunk(0, 0, b"endless"), None, true, false).end, 7);
        let many = vec![b'\n'; 5_000];
        assert_eq!(part(&chunk(0, 0, &many), None, false, false).end, LINES_MAX as u64);
    }

    #[test]
    fn the_line_that_was_asked_for_is_marked() {
        let data = b"lf\none\ntwo\n";
        let found = part(&chunk(50, 0, data), Some(58), false, false);
        assert_eq!(lines(&found), [line(53, "one", false), line(57, "two", true)]);
        // At the very beginning nothing is cut.
        let found = part(&chunk(50, 50, data), Some(50), false, false);
        assert_eq!(lines(&found)[0], line(50, "lf", true));
        // In a line that began before the chunk.
        let found = part(&chunk(50, 0, data), Some(51), false, false);
        assert_eq!(lines(&found)[0], line(50, "lf", true));
    }

    #[test]
    fn times_of_a_part() {
        let times = LogTimes(vec![(1_000, 4), (2_000, 11)]);
        let part = |end| Part { lines: vec![], start: 0, end };
        assert_eq!(span(&times, &part(11)), Some((1_000, 2_000)));
        assert_eq!(span(&times, &part(0)), None);
        assert_eq!(span(&LogTimes::default(), &part(5)), None);
    }
}
