//! Why a layer was not unpacked, in words for the app's author.

use std::io;

#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("it holds no {0}: {1}")]
    Compression(&'static str, #[source] io::Error),
    #[error("its archive ends too early")]
    Cut,
    #[error("its archive is damaged: {0}")]
    Damaged(&'static str),
    #[error("`{entry}`: {problem}")]
    Hostile { entry: String, problem: Problem },
    #[error("it has more than {0} entries")]
    Entries(u64),
    #[error("it unpacks to more than {0} bytes")]
    Bytes(u64),
    #[error("no space left: {free} bytes are free, {reserve} are kept in reserve")]
    NoSpace { free: u64, reserve: u64 },
    #[error("its content has the digest {got} where {expected} was announced")]
    Digest { expected: String, got: String },
    #[error("nobody needs it any more")]
    Cancelled,
    #[error("`{entry}` cannot be written: {source}")]
    Write {
        entry: String,
        #[source]
        source: io::Error,
    },
    #[error("{step}: {source}")]
    Io {
        step: &'static str,
        #[source]
        source: io::Error,
    },
}

/// What is wrong with one entry of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("its name leads out of the layer by `..`")]
    DotDot,
    #[error("its name begins with a slash")]
    Absolute,
    #[error("its name holds a NUL character")]
    Nul,
    #[error("its name is too long")]
    LongName,
    #[error("it has no name")]
    NoName,
    #[error("it goes through a symbolic link that leads out of the layer")]
    LinkOut,
    #[error("it goes through something that is no folder")]
    NoFolder,
    #[error("it is a hard link to something that is not in the layer")]
    HardLink,
    #[error("it replaces a folder that is not empty")]
    FullFolder,
    #[error("it is a sparse file; layers hold none")]
    Sparse,
    #[error("it removes something without a name")]
    Whiteout,
}

impl UnpackError {
    pub fn hostile(entry: &[u8], problem: Problem) -> Self {
        Self::Hostile { entry: shown(entry), problem }
    }

    pub fn write(entry: &[u8], error: impl Into<io::Error>) -> Self {
        Self::Write { entry: shown(entry), source: error.into() }
    }
}

/// A stranger's file name, fit to be shown.
fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(&name[..name.len().min(200)]).into_owned();
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
