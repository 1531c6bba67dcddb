//! From the bytes of a layer to a folder that overlayfs can take, trusting nothing in them.
//!
//! Runs in a thread that may block. Whatever goes wrong, everything it wrote lies below the one folder it was given.

mod archive;
mod error;
mod place;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::MultiGzDecoder;
use nix::sys::statvfs::fstatvfs;
use sha2::{Digest as _, Sha256};

#[cfg(test)]
pub use error::Problem;
pub use error::UnpackError;

use self::archive::{Archive, Entry};
use self::place::{NewFile, Place};
use super::reference::Digest;

/// Memory that a zstd stream may ask for, as a power of two: 32 MiB, four times what encoders use at their best.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;
const CHUNK: usize = 64 * 1024;
/// How much is written between two looks at the free space.
const SPACE_EVERY: u64 = 16 * 1024 * 1024;

/// What a layer may at most be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub entries: u64,
    /// Of the whole archive, unpacked.
    pub bytes: u64,
    /// Space of the file system that is not touched.
    pub reserve: u64,
}

/// Unpacks `blob` into `root`, an empty folder. Returns the bytes of the archive once its digest is `expected`.
pub fn unpack(
    blob: impl Read,
    root: &Path,
    expected: &Digest,
    limits: Limits,
    cancelled: &Arc<AtomicBool>,
) -> Result<u64, UnpackError> {
    let mut place =
        Place::new(root).map_err(|source| UnpackError::Io { step: "the new layer's folder", source })?;
    let meter = Meter {
        inner: decompress(BufReader::with_capacity(CHUNK, blob))?,
        hash: Sha256::new(),
        bytes: 0,
        looked_at: 0,
        limits,
        root: place
            .root()
            .try_clone()
            .map_err(|source| UnpackError::Io { step: "the new layer's folder", source })?,
        cancelled: cancelled.clone(),
    };
    let mut archive = Archive::new(meter);
    let mut entries = 0;
    while let Some(entry) = archive.next()? {
        entries += 1;
        if entries > limits.entries {
            return Err(UnpackError::Entries(limits.entries));
        }
        if let Some(file) = place.put(&entry)? {
            fill(file, &entry, &mut archive)?;
        }
    }
    let meter = archive.finish()?;
    let got = Digest::from_hash(&meter.hash.finalize());
    if got != *expected {
        return Err(UnpackError::Digest { expected: expected.to_string(), got: got.to_string() });
    }
    place.finish()?;
    Ok(meter.bytes)
}

/// Writes the content; blocks of zeros become holes.
fn fill<R: Read>(file: NewFile, entry: &Entry, archive: &mut Archive<R>) -> Result<(), UnpackError> {
    let failed = |error: io::Error| UnpackError::write(&entry.path, error);
    let mut out = File::from(file.0.try_clone().map_err(failed)?);
    let mut buffer = vec![0; CHUNK];
    let mut hole_at_end = false;
    loop {
        let mut filled = 0;
        while filled < CHUNK {
            match archive.read(&mut buffer[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        if filled == 0 {
            break;
        }
        hole_at_end = filled == CHUNK && buffer.iter().all(|b| *b == 0);
        match hole_at_end {
            true => drop(out.seek(SeekFrom::Current(CHUNK as i64)).map_err(failed)?),
            false => io::Write::write_all(&mut out, &buffer[..filled]).map_err(failed)?,
        }
    }
    if hole_at_end {
        out.set_len(entry.size).map_err(failed)?;
    }
    file.finish(entry)
}

/// The archive's bytes, by what the blob begins with: media types are often wrong.
fn decompress<'a>(mut blob: BufReader<impl Read + 'a>) -> Result<Box<dyn Read + 'a>, UnpackError> {
    let head = io::BufRead::fill_buf(&mut blob)
        .map_err(|source| UnpackError::Io { step: "reading the layer", source })?;
    Ok(match head {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(blob)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let no_zstd = |error| UnpackError::Compression("zstd", error);
            let mut decoder = zstd::stream::read::Decoder::with_buffer(blob).map_err(no_zstd)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(no_zstd)?;
            Box::new(decoder)
        }
        _ => Box::new(blob),
    })
}

/// Counts, hashes and bounds what is read through it.
struct Meter<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
    looked_at: u64,
    limits: Limits,
    root: std::os::fd::OwnedFd,
    cancelled: Arc<AtomicBool>,
}

impl<R> Meter<R> {
    fn look(&mut self) -> Result<(), UnpackError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(UnpackError::Cancelled);
        }
        if self.bytes > self.limits.bytes {
            return Err(UnpackError::Bytes(self.limits.bytes));
        }
        if self.bytes >= self.looked_at {
            self.looked_at = self.bytes + SPACE_EVERY;
            check_space(&self.root, self.limits.reserve)?;
        }
        Ok(())
    }
}

/// An error if less than `reserve` is free where `at` lies.
pub fn check_space(at: &impl AsFd, reserve: u64) -> Result<(), UnpackError> {
    let stat =
        fstatvfs(at).map_err(|e| UnpackError::Io { step: "asking for free space", source: e.into() })?;
    let free = stat.blocks_available() * stat.fragment_size();
    if free < reserve { Err(UnpackError::NoSpace { free, reserve }) } else { Ok(()) }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.look().map_err(io::Error::other)?;
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
#[path = "../unpack_tests.rs"]
mod tests;
