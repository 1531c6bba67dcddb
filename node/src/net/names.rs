//! Host names: which texts are one, and the one a node gives itself.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const LABEL_BYTES_MAX: usize = 63;
/// The kernel takes no longer one.
pub const HOST_NAME_BYTES_MAX: usize = 64;

pub fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_BYTES_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= HOST_NAME_BYTES_MAX && text.split('.').all(label)
}

/// The same at every boot of the same machine.
pub fn own_name(mac: Option<&[u8; 6]>) -> String {
    match mac {
        Some(mac) => format!("meseta-{:02x}{:02x}", mac[4], mac[5]),
        None => "meseta".to_owned(),
    }
}

/// Sets the name of the machine if it has another; the first label only, as programs expect.
pub fn apply(name: &str) -> io::Result<()> {
    let short = name.split('.').next().unwrap_or(name);
    if nix::unistd::gethostname()?.to_str() != Some(short) {
        nix::unistd::sethostname(short)?;
    }
    Ok(())
}

/// Replaces a file in one step, so that readers see the old or the new text and nothing between.
pub fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    replace(path, text, 0o644)
}

/// The same for what only this user may read.
pub fn replace_secret_file(path: &Path, text: &str) -> io::Result<()> {
    replace(path, text, 0o600)
}

fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let partial = path.with_extension("partial");
    let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(&partial)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_other_texts() {
        for good in ["a", "rock-1", "Rock1.example.com", "0x"] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a..b", ".", "a_b", "a b", "ä", &"a".repeat(64), &"ab.".repeat(30)] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_node_names_itself_after_its_card() {
        assert_eq!(own_name(Some(&[0x52, 0x54, 0, 0x12, 0x0a, 0xff])), "meseta-0aff");
    }
}
