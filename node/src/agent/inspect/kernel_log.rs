//! The kernel's log from /dev/kmsg: one record a read, from the oldest that is still kept.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use console::inspect::{KernelLine, KernelLog, KernelQuery};

const DEVICE: &str = "/dev/kmsg";
/// The kernel refuses a buffer that is too short for a record; none is longer than this.
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// The kernel may write as fast as we read.
const RECORDS_MAX: usize = 200_000;

pub fn read(query: KernelQuery) -> io::Result<KernelLog> {
    let mut device = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(DEVICE)?;
    let mut tail = Tail::new(query);
    let mut buffer = vec![0; RECORD_BYTES_MAX];
    for _ in 0..RECORDS_MAX {
        match next(&mut device, &mut buffer)? {
            None => break,
            Some(length) => {
                if let Some(line) = parse(&buffer[..length])
                    && !tail.take(line)
                {
                    break;
                }
            }
        }
    }
    Ok(tail.finish())
}

/// Length of the next record; `None` at the end of the log.
fn next(device: &mut File, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match device.read(buffer) {
            Ok(0) => return Ok(None),
            Ok(length) => return Ok(Some(length)),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => return Ok(None),
                // The record was overwritten before we came; the next read goes on behind it.
                Some(libc::EPIPE | libc::EINTR) => {}
                _ => return Err(error),
            },
        }
    }
}

/// Keeps the last lines that the query wants.
struct Tail {
    query: KernelQuery,
    lines: VecDeque<KernelLine>,
    dropped: bool,
}

impl Tail {
    fn new(query: KernelQuery) -> Self {
        Self { query, lines: VecDeque::new(), dropped: false }
    }

    /// False once nothing more can be wanted.
    fn take(&mut self, line: KernelLine) -> bool {
        if self.query.before.is_some_and(|before| line.number >= before) {
            return false;
        }
        if line.level <= self.query.level && self.query.limit > 0 {
            if self.lines.len() == self.query.limit {
                self.lines.pop_front();
                self.dropped = true;
            }
            self.lines.push_back(line);
        }
        true
    }

    fn finish(self) -> KernelLog {
        let older = self.lines.front().filter(|_| self.dropped).map(|line| line.number);
        KernelLog { lines: self.lines.into(), older }
    }
}

/// `LEVEL_AND_FACILITY,NUMBER,MICROSECONDS,FLAGS[,…];TEXT\n` and lines of properties after it, which begin with a
/// blank. What the kernel would not print is written as `\xNN`.
fn parse(record: &[u8]) -> Option<KernelLine> {
    let record = String::from_utf8_lossy(record);
    let (head, body) = record.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u64 = fields.next()?.parse().ok()?;
    let (number, at_us): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let text = body.lines().next().unwrap_or_default();
    Some(KernelLine { number, at_ms: at_us / 1000, level: (priority & 7) as u8, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let line =
            parse(b"6,339,5140900,-;NET: Registered protocol family 10\n SUBSYSTEM=net\n").expect("read");
        let expected = KernelLine {
            number: 339,
            at_ms: 5_140,
            level: 6,
            text: "NET: Registered protocol family 10".into(),
        };
        assert_eq!(line, expected);
        // From user space: the facility is in the number, too.
        let user = parse(b"12,1,2000,-,caller=T1;a;b\\x1b[31m\n").expect("read");
        assert_eq!((user.level, user.text.as_str()), (4, "a;b\\x1b[31m"));
        for nonsense in [&b""[..], b"no head", b"x,1,2,-;text", b"6,1;text"] {
            assert_eq!(parse(nonsense), None);
        }
    }

    #[test]
    fn pages_from_the_newest_back() {
        let line = |number| KernelLine { number, at_ms: 0, level: (number % 8) as u8, text: String::new() };
        let ask = |level, before, limit| {
            let mut tail = Tail::new(KernelQuery { level, before, limit });
            (0..40).all(|number| tail.take(line(number)));
            let log = tail.finish();
            (log.lines.iter().map(|line| line.number).collect::<Vec<_>>(), log.older)
        };
        assert_eq!(ask(7, None, 3), (vec![37, 38, 39], Some(37)));
        assert_eq!(ask(7, Some(37), 3), (vec![34, 35, 36], Some(34)));
        assert_eq!(ask(7, Some(2), 3), (vec![0, 1], None));
        assert_eq!(ask(0, None, 3), (vec![16, 24, 32], Some(16)));
        assert_eq!(ask(0, Some(16), 3), (vec![0, 8], None));
    }
}
