//! Kernel modules without udev: every device names itself in a `modalias`, `modules.alias` says whose it is.
//!
//! Devices behind a bus appear after the bus's driver is loaded, some seconds later: so the kernel's uevents are
//! subscribed to before the first walk, and served for as long as the node runs.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket,
    sockopt,
};

use super::pattern;

const UEVENT_GROUP_KERNEL: u32 = 1;
const UEVENT_BUFFER_BYTES: usize = 1024 * 1024;

/// Loads modules by their names.
pub struct ModuleLoader {
    folder: PathBuf,
    /// Name to its file and the files it depends on, nearest first.
    files: HashMap<String, Vec<String>>,
    loaded: HashSet<String>,
}

/// Loads what the devices of this machine ask for.
pub struct Modules {
    loader: ModuleLoader,
    /// Pattern and module.
    aliases: Vec<(String, String)>,
    seen: HashSet<String>,
    events: OwnedFd,
}

/// For features that no device asks for, at their first use. Off the image the kernel asks for its modules itself, so
/// a module that cannot be loaded is only told: what needs it says more.
pub fn load_by_name(names: &[&str]) {
    let Ok(mut loader) = ModuleLoader::open() else { return };
    for fault in names.iter().filter_map(|name| loader.load(name).err()) {
        tracing::warn!(fault, "a kernel module");
    }
}

impl ModuleLoader {
    pub fn open() -> io::Result<Self> {
        let release = nix::sys::utsname::uname()?;
        let folder = Path::new("/lib/modules").join(release.release());
        let dependencies = fs::read_to_string(folder.join("modules.dep"))?;
        let loaded = fs::read_to_string("/proc/modules").unwrap_or_default();
        Ok(Self {
            folder,
            files: dependencies.lines().filter_map(parse_dependencies).collect(),
            loaded: loaded.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect(),
        })
    }

    /// Loads a module by name with all it needs. Built into the kernel or loaded already is success.
    pub fn load(&mut self, name: &str) -> Result<(), String> {
        let name = name.replace('-', "_");
        let Some(files) = self.files.get(&name).cloned() else {
            let built_in = fs::read_to_string(self.folder.join("modules.builtin")).unwrap_or_default();
            let known = built_in.lines().any(|line| module_name(line) == name);
            return if known { Ok(()) } else { Err(format!("there is no module {name}")) };
        };
        for file in files.iter().rev() {
            let name = module_name(file);
            if self.loaded.contains(&name) {
                continue;
            }
            insert(&self.folder.join(file)).map_err(|error| format!("module {name}: {error}"))?;
            self.loaded.insert(name);
        }
        Ok(())
    }
}

impl Modules {
    pub fn open() -> io::Result<Self> {
        let loader = ModuleLoader::open()?;
        let aliases = fs::read_to_string(loader.folder.join("modules.alias"))?;
        let aliases = aliases.lines().filter_map(parse_alias).collect();
        Ok(Self { loader, aliases, seen: HashSet::new(), events: subscribe()? })
    }

    pub fn loaded(&self) -> usize {
        self.loader.loaded.len()
    }

    pub fn load(&mut self, name: &str) -> Result<(), String> {
        self.loader.load(name)
    }

    /// Walks all devices once. What their drivers bring announces itself, and is served from the announcements: another
    /// walk through some thousand folders would cost more than all the modules.
    pub fn load_for_devices(&mut self) {
        let mut found = Vec::new();
        collect(Path::new("/sys/devices"), &mut found);
        let new: Vec<String> = found.into_iter().filter(|alias| !self.seen.contains(alias)).collect();
        new.into_iter().for_each(|alias| {
            if !self.seen.contains(&alias) {
                self.serve(alias);
            }
        });
    }

    /// Serves what has been announced by now.
    pub fn catch_up(&mut self) {
        self.ready();
    }

    /// Waits for a new device and loads its driver; false if none came in time.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let mut fds = [PollFd::new(self.events.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let came = poll(&mut fds, timeout).is_ok_and(|count| count > 0);
        if came {
            self.ready();
        }
        came
    }

    fn serve(&mut self, alias: String) {
        let matching = self.aliases.iter().filter(|(pattern, _)| pattern::matches(pattern, &alias));
        let names: Vec<String> = matching.map(|(_, module)| module.clone()).collect();
        self.seen.insert(alias);
        for name in names {
            if let Err(error) = self.load(&name) {
                super::say(&error);
            }
        }
    }
}

impl Modules {
    /// Readable when devices appeared.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// Loads what they ask for.
    pub fn ready(&mut self) {
        let mut buffer = [0; 16 * 1024];
        loop {
            match recv(self.events.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => {
                    let alias = modalias_of(&buffer[..length]).filter(|alias| !self.seen.contains(alias));
                    alias.into_iter().for_each(|alias| self.serve(alias));
                }
                // Some were lost: everything is looked at anew.
                Err(nix::errno::Errno::ENOBUFS) => self.load_for_devices(),
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }
}

/// The kernel's announcements of devices, from now on.
pub fn subscribe() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let protocol = SockProtocol::NetlinkKObjectUEvent;
    let events = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)?;
    setsockopt(&events, sockopt::RcvBufForce, &UEVENT_BUFFER_BYTES)?;
    bind(events.as_raw_fd(), &NetlinkAddr::new(0, UEVENT_GROUP_KERNEL))?;
    Ok(events)
}

/// All `modalias` files below `folder`. Links are not followed: they lead to devices that are below it as well.
fn collect(folder: &Path, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            collect(&entry.path(), found);
        } else if entry.file_name() == "modalias"
            && let Ok(alias) = fs::read_to_string(entry.path())
        {
            found.push(alias.trim().to_owned());
        }
    }
}

fn insert(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    // SAFETY: the descriptor is open and the parameters are a NUL-terminated constant.
    let result = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
    match io::Error::last_os_error() {
        _ if result == 0 => Ok(()),
        error if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        error => Err(error),
    }
}

/// `kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko …` to the name and all its files, itself first.
fn parse_dependencies(line: &str) -> Option<(String, Vec<String>)> {
    let (file, dependencies) = line.split_once(':')?;
    let files = std::iter::once(file).chain(dependencies.split_whitespace()).map(str::to_owned).collect();
    Some((module_name(file), files))
}

fn parse_alias(line: &str) -> Option<(String, String)> {
    let mut fields = line.strip_prefix("alias ")?.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
}

fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

/// The kernel's message is a headline and `KEY=value` fields, each ended by a NUL.
fn modalias_of(event: &[u8]) -> Option<String> {
    let mut fields = event.split(|byte| *byte == 0);
    let value = fields.find_map(|field| field.strip_prefix(b"MODALIAS="))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_depmod() {
        let (name, files) =
            parse_dependencies("kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/lib/crc16.ko")
                .expect("a line");
        assert_eq!(name, "ext4");
        assert_eq!(files, ["kernel/fs/ext4/ext4.ko", "kernel/fs/jbd2/jbd2.ko", "kernel/lib/crc16.ko"]);
        let alias = parse_alias("alias virtio:d00000002v* virtio_blk").expect("a line");
        assert_eq!(alias, ("virtio:d00000002v*".to_owned(), "virtio_blk".to_owned()));
        assert_eq!(parse_alias("# Aliases extracted from modules themselves."), None);
        assert_eq!(module_name("kernel/drivers/net/virtio-net.ko.xz"), "virtio_net");
    }

    #[test]
    fn an_event_tells_its_alias() {
        let event = b"add@/devices/x\0ACTION=add\0MODALIAS=virtio:d00000001v00001AF4\0SEQNUM=1\0";
        assert_eq!(modalias_of(event).as_deref(), Some("virtio:d00000001v00001AF4"));
        assert_eq!(modalias_of(b"add@/devices/x\0ACTION=add\0"), None);
    }
}
