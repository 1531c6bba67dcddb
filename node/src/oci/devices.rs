//! Which devices a task may open on cgroup v2: an eBPF program on its cgroup, loaded by raw bpf(2).
//!
//! libcontainer ignores device rules on v2 silently. On v1 it writes them to the devices hierarchy, and this file does
//! nothing. The filter is attached after the container was made (which needs mknod) and before it starts.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Character devices of a task: null, zero, full, random, urandom, tty, ptmx, and all pseudo terminals.
pub const ALLOWED: [(u32, Option<u32>); 8] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(2)),
    (136, None),
];

/// Attaches the filter to `cgroup`, given below the mount with a leading slash.
pub fn restrict(cgroup: &Path) -> io::Result<()> {
    if statfs(CGROUP_ROOT)?.filesystem_type() != CGROUP2_SUPER_MAGIC {
        return Ok(());
    }
    let relative = cgroup.strip_prefix("/").unwrap_or(cgroup);
    let folder = File::open(Path::new(CGROUP_ROOT).join(relative))?;
    let program = load(&program())?;
    attach(&folder, &program)
}

/// One eBPF instruction: opcode, registers (source in the upper half), jump offset, immediate.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    opcode: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const LOAD_WORD: u8 = 0x61;
const AND: u8 = 0x54;
const MOVE: u8 = 0xb7;
const JUMP_EQUAL: u8 = 0x15;
const JUMP_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

const TYPE_MASK: i32 = 0xffff;
const TYPE_CHARACTER: i32 = 2;

/// r1 is the context {access << 16 | type, major, minor}; r0 is the answer, 1 allows.
fn program() -> Vec<Instruction> {
    let op = |opcode, registers, offset, immediate| Instruction { opcode, registers, offset, immediate };
    let mut checks = Vec::new();
    for (major, minor) in ALLOWED {
        // Filled in below once the distance to the end is known.
        match minor {
            Some(minor) => {
                checks.push(op(JUMP_NOT_EQUAL, 3, 1, major as i32));
                checks.push(op(JUMP_EQUAL, 4, 0, minor as i32));
            }
            None => checks.push(op(JUMP_EQUAL, 3, 0, major as i32)),
        }
    }
    let count = checks.len();
    for (i, check) in checks.iter_mut().enumerate().filter(|(_, check)| check.opcode == JUMP_EQUAL) {
        // Over the remaining checks and the two instructions of the denial.
        check.offset = (count - i - 1 + 2) as i16;
    }
    let mut program = vec![
        op(LOAD_WORD, 0x12, 0, 0),
        op(AND, 2, 0, TYPE_MASK),
        op(LOAD_WORD, 0x13, 4, 0),
        op(LOAD_WORD, 0x14, 8, 0),
        op(JUMP_NOT_EQUAL, 2, count as i16, TYPE_CHARACTER),
    ];
    program.extend(checks);
    program.extend([op(MOVE, 0, 0, 0), op(EXIT, 0, 0, 0), op(MOVE, 0, 0, 1), op(EXIT, 0, 0, 0)]);
    program
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The head of `union bpf_attr` for loading; the kernel takes shorter structures and zeroes the rest.
#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    count: u32,
    instructions: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
struct AttachAttributes {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = LoadAttributes {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        licence: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: the attributes and the memory they point to live across the call.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attributes, size_of::<LoadAttributes>())
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the call has just made this descriptor, nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// ALLOW_MULTI: filters of parent groups stay in force, a device must pass them all.
fn attach(folder: &File, program: &OwnedFd) -> io::Result<()> {
    let attributes = AttachAttributes {
        target: folder.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the attributes live across the call and hold descriptors and numbers only.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attributes, size_of::<AttachAttributes>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program on one access in an interpreter of the few instructions it uses.
    fn allows(kind: i32, major: i32, minor: i32) -> bool {
        let program = program();
        let context = [2 << 16 | kind, major, minor];
        let mut registers = [0_i32; 5];
        let mut at = 0;
        loop {
            let i = program[at];
            at += 1;
            let (target, source) = (usize::from(i.registers & 15), usize::from(i.registers >> 4));
            let jump = i.offset as usize;
            match i.opcode {
                LOAD_WORD => {
                    assert_eq!(source, 1);
                    registers[target] = context[i.offset as usize / 4];
                }
                AND => registers[target] &= i.immediate,
                MOVE => registers[target] = i.immediate,
                JUMP_EQUAL if registers[target] == i.immediate => at += jump,
                JUMP_NOT_EQUAL if registers[target] != i.immediate => at += jump,
                JUMP_EQUAL | JUMP_NOT_EQUAL => {}
                EXIT => return registers[0] == 1,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn only_the_listed_character_devices_pass() {
        for (major, minor) in ALLOWED {
            assert!(allows(TYPE_CHARACTER, major as i32, minor.unwrap_or(77) as i32), "{major}:{minor:?}");
            assert!(!allows(1, major as i32, minor.unwrap_or(77) as i32), "block {major}:{minor:?}");
        }
        for (major, minor) in [(1, 1), (1, 2), (1, 11), (5, 1), (5, 3), (10, 200), (254, 0)] {
            assert!(!allows(TYPE_CHARACTER, major, minor), "{major}:{minor}");
        }
    }

    /// The kernel's own word: a process in a filtered group opens /dev/null, and no longer /dev/kmsg.
    #[test]
    fn the_kernel_enforces_it() {
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
        let root = mounts.lines().find_map(|line| match *line.split(' ').collect::<Vec<_>>() {
            [_, folder, "cgroup2", ..] => Some(Path::new(folder).to_owned()),
            _ => None,
        });
        let Some(root) = root.filter(|_| nix::unistd::geteuid().is_root()) else {
            eprintln!("skipped: needs root and a mounted cgroup2");
            return;
        };
        let group = root.join(format!("meseta-devices-{}", std::process::id()));
        std::fs::create_dir(&group).expect("a group");
        let folder = File::open(&group).expect("the group");
        let opens = |device: &str| {
            let script = format!("echo $$ > {}/cgroup.procs && exec 3< {device}", group.display());
            std::process::Command::new("sh")
                .args(["-c", &script])
                .stderr(std::process::Stdio::null())
                .status()
        };
        let before = opens("/dev/kmsg").expect("sh starts").success();
        let filtered = load(&program()).and_then(|program| attach(&folder, &program));
        let after = ["/dev/null", "/dev/urandom", "/dev/kmsg"]
            .map(|device| opens(device).expect("sh starts").success());
        std::fs::remove_dir(&group).expect("nobody is left in the group");
        filtered.expect("the kernel takes the program");
        assert!(before, "/dev/kmsg cannot be opened here at all");
        assert_eq!(after, [true, true, false]);
    }
}
