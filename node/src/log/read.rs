//! Reading a task's output, for whoever asks the agent.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use console::sandbox::LogTimes;
use console::{LogChunk, LogStream, SandboxError};
use model::TaskId;
use nix::unistd::{Whence, lseek};

use super::index::{self, Index, Kind};
use super::output_file;
use crate::config::Paths;

/// At most `limit` bytes of `stream` from `offset`, or the last `limit` bytes. Bytes that were given up are skipped:
/// look at the chunk's `offset` to see where it really begins.
pub fn read(
    paths: &Paths,
    task: &TaskId,
    stream: LogStream,
    offset: Option<u64>,
    limit: usize,
) -> Result<LogChunk, SandboxError> {
    let index = read_index(paths, task)?;
    let first_offset = index.first(stream);
    let Some(file) = output_file::open_for_reading(&paths.sandbox(task), stream).map_err(fault)? else {
        return Ok(LogChunk { offset: first_offset, first_offset, data: Vec::new() });
    };
    let length = file.metadata().map_err(fault)?.len();
    let wanted = offset.unwrap_or(length.saturating_sub(limit as u64));
    let start = next_data(&file, wanted.max(first_offset).min(length)).map_err(fault)?.unwrap_or(length);
    let mut data = vec![0; limit.min(usize::try_from(length - start.min(length)).unwrap_or(limit))];
    let mut filled = 0;
    while filled < data.len() {
        match file.read_at(&mut data[filled..], start + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(fault(error)),
        }
    }
    data.truncate(filled);
    Ok(LogChunk { offset: start, first_offset, data })
}

/// Whether both streams have ended and all their bytes can be read.
pub fn has_ended(paths: &Paths, task: &TaskId) -> Result<bool, SandboxError> {
    let index = read_index(paths, task)?;
    Ok([LogStream::Stdout, LogStream::Stderr].iter().all(|stream| index.end(*stream).is_some()))
}

/// When which byte of `stream` was written.
pub fn times(paths: &Paths, task: &TaskId, stream: LogStream) -> Result<LogTimes, SandboxError> {
    let index = read_index(paths, task)?;
    let written = index.marks.iter().filter(|mark| mark.stream == stream && mark.kind == Kind::Written);
    Ok(LogTimes(written.map(|mark| (mark.at, mark.offset)).collect()))
}

/// The files that a follower watches: the stream's own, and the index, which tells that the stream has ended.
pub fn files(paths: &Paths, task: &TaskId, stream: LogStream) -> [PathBuf; 2] {
    [paths.sandbox(task).join(output_file::name(stream)), paths.task(task).join(index::FILE)]
}

fn read_index(paths: &Paths, task: &TaskId) -> Result<Index, SandboxError> {
    if !paths.sandbox(task).is_dir() {
        return Err(SandboxError::NotFound);
    }
    Index::read(&paths.task(task).join(index::FILE)).map_err(fault)
}

/// The first position from `offset` on that is not in a hole; `None` if there is none.
fn next_data(file: &File, offset: u64) -> io::Result<Option<u64>> {
    match lseek(file, offset as libc::off_t, Whence::SeekData) {
        Ok(position) => Ok(Some(position as u64)),
        Err(nix::errno::Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn fault(error: io::Error) -> SandboxError {
    SandboxError::Io(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::index::{Mark, Writer};
    use super::*;
    use std::fs;

    fn paths(folder: &std::path::Path) -> Paths {
        Paths {
            state: folder.join("state"),
            data: folder.join("data"),
            run: folder.join("run"),
            task_root: folder.join("root"),
            cgroup: "meseta".to_owned(),
            haproxy: folder.join("haproxy"),
        }
    }

    #[test]
    fn reads_from_a_cursor_from_the_end_and_over_what_was_given_up() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (paths, task) = (paths(folder.path()), TaskId::parse("read.1").expect("an id"));
        let read = |offset, limit| read(&paths, &task, LogStream::Stdout, offset, limit);
        assert_eq!(read(None, 10), Err(SandboxError::NotFound));
        fs::create_dir_all(paths.sandbox(&task)).expect("a sandbox");
        assert_eq!(read(None, 10).expect("empty").data, b"");

        let [path, _] = files(&paths, &task, LogStream::Stdout);
        fs::write(&path, [vec![b'a'; 8192], b"0123456789".to_vec()].concat()).expect("output");
        let tail = read(None, 4).expect("the end");
        assert_eq!((tail.offset, tail.data.as_slice()), (8198, b"6789".as_slice()));
        assert_eq!(read(Some(tail.end()), 4).expect("nothing yet").data, b"");
        assert_eq!(read(Some(1_000_000), 4).expect("beyond the end").offset, 8202);

        let (mut index, _) = Writer::open(paths.task(&task).join(index::FILE)).expect("an index");
        let first = Mark { kind: Kind::First, stream: LogStream::Stdout, at: 1, offset: 8192 };
        index.append(first).expect("append");
        let chunk = read(Some(0), 4).expect("what is left");
        assert_eq!(
            (chunk.first_offset, chunk.offset, chunk.data.as_slice()),
            (8192, 8192, b"0123".as_slice())
        );
    }
}
