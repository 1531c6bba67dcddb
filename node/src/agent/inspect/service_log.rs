//! What a role of this program wrote, as init keeps it (see `init::role_log`): the file that is written and the one
//! before it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::init::role_log;

/// The last `limit` bytes, without a first line that is not whole.
pub fn tail(folder: &Path, role: &str, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = end_of(&role_log::file(folder, role), limit)?;
    if bytes.len() < limit {
        let before = end_of(&role_log::older_file(folder, role), limit - bytes.len());
        bytes = match before {
            Ok(before) => [before, bytes].concat(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(bytes),
            Err(error) => return Err(error),
        };
    }
    if bytes.len() == limit
        && let Some(end) = bytes.iter().position(|byte| *byte == b'\n')
    {
        bytes.drain(..=end);
    }
    Ok(bytes)
}

fn end_of(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit as u64)))?;
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_over_two_files() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tail =
            |limit| tail(folder.path(), "agent", limit).map(|b| String::from_utf8_lossy(&b).into_owned());
        assert_eq!(tail(10).map_err(|e| e.kind()), Err(io::ErrorKind::NotFound));
        std::fs::write(role_log::file(folder.path(), "agent"), "three\nfour\n").expect("a file");
        assert_eq!(tail(100).expect("read"), "three\nfour\n");
        std::fs::write(role_log::older_file(folder.path(), "agent"), "one\ntwo\n").expect("a file");
        assert_eq!(tail(100).expect("read"), "one\ntwo\nthree\nfour\n");
        assert_eq!(tail(13).expect("read"), "three\nfour\n");
        assert_eq!(tail(8).expect("read"), "four\n");
    }
}
