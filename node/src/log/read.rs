//! Reading a task's output, for whoever asks the agent.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use console::{LogChunk, LogStream, SandboxError};
use model::TaskId;
use nix::unistd::{Whence, lseek};

use super::output_file;
use super::index::{self, Index};
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
