//! Who a task runs as: `name`, `uid`, `name:group` or `uid:gid`, looked up in the task's own root.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// More of a passwd or group file is not read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    #[error("user `{0}` is not in /etc/passwd of the task's root")]
    NoSuchUser(String),
    #[error("group `{0}` is not in /etc/group of the task's root")]
    NoSuchGroup(String),
}

/// `layers` are the layers of the root, best first.
pub fn resolve(user: Option<&str>, layers: &[PathBuf]) -> Result<User, UserError> {
    match user.filter(|user| !user.is_empty()) {
        None => Ok(User::default()),
        Some(user) => parse(user, &read(layers, "etc/passwd"), &read(layers, "etc/group")),
    }
}

fn parse(user: &str, passwd: &str, group: &str) -> Result<User, UserError> {
    let (name, group_name) = user.split_once(':').map_or((user, None), |(name, group)| (name, Some(group)));
    // name:password:uid:gid:…
    let entry = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let number = |i: usize| fields.get(i)?.parse::<u32>().ok();
        Some((fields[0].to_owned(), number(2)?, number(3).unwrap_or_default()))
    };
    let numeric = name.parse::<u32>().ok();
    let known = passwd.lines().filter_map(entry).find(|(n, uid, _)| n == name || Some(*uid) == numeric);
    let (uid, own_gid) = match (known, numeric) {
        (Some((_, uid, gid)), _) => (uid, gid),
        (None, Some(uid)) => (uid, 0),
        (None, None) => return Err(UserError::NoSuchUser(name.to_owned())),
    };
    let gid = match group_name {
        None => own_gid,
        Some(text) => match text.parse() {
            Ok(gid) => gid,
            Err(_) => group
                .lines()
                .filter_map(entry)
                .find(|(name, ..)| name == text)
                .map(|(_, gid, _)| gid)
                .ok_or_else(|| UserError::NoSuchGroup(text.to_owned()))?,
        },
    };
    Ok(User { uid, gid })
}

/// The file of the first layer that has it; empty if none has. A link is not followed: it could lead to the node's
/// own files.
fn read(layers: &[PathBuf], name: &str) -> String {
    let file = layers.iter().find_map(|layer| open_plain(layer, name));
    let mut text = String::new();
    if let Some(file) = file
        && file.take(FILE_BYTES_MAX).read_to_string(&mut text).is_err()
    {
        text.clear();
    }
    text
}

/// A plain file below the layer, reached without any link.
fn open_plain(layer: &Path, name: &str) -> Option<File> {
    let folder = File::open(layer).ok()?;
    let how = OpenHow::new()
        // Whatever else stands there must not make us wait.
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let file = File::from(openat2(folder, name, how).ok()?);
    file.metadata().is_ok_and(|meta| meta.is_file()).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:34::/:/bin/false\n";
    const GROUP: &str = "root:x:0:\nstaff:x:50:web\n";

    #[test]
    fn names_and_numbers() {
        let user = |uid, gid| Ok(User { uid, gid });
        for (text, expected) in [
            ("root", user(0, 0)),
            ("web", user(33, 34)),
            ("33", user(33, 34)),
            ("1000", user(1000, 0)),
            ("web:staff", user(33, 50)),
            ("1000:1001", user(1000, 1001)),
            ("nobody", Err(UserError::NoSuchUser("nobody".to_owned()))),
            ("web:wheel", Err(UserError::NoSuchGroup("wheel".to_owned()))),
        ] {
            assert_eq!(parse(text, PASSWD, GROUP), expected, "{text}");
        }
        assert_eq!(resolve(None, &[]), user(0, 0));
    }
}
