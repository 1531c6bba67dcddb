//! From the table to classic BPF: one binary search over runs of numbers for each architecture.

use super::table::ALLOWED;

/// `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const JUMP_BITS: u16 = 0x45;
const RETURN: u16 = 0x06;

// Offsets into `struct seccomp_data`; arguments are 64-bit, low word first.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;
const fn offset_argument(n: u32) -> u32 {
    16 + 8 * n
}

const ARCHITECTURE_X86_64: u32 = 0xc000_003e;
const ARCHITECTURE_I386: u32 = 0x4000_0003;
const X32_BIT: u32 = 0x4000_0000;

const ALLOW: u32 = 0x7fff_0000;
const fn errno(number: i32) -> u32 {
    0x0005_0000 | number as u32
}

/// clone flags that make a namespace; only privileged programs may.
const CLONE_NAMESPACES: u32 = 0x7e02_0000;
const AF_VSOCK: u32 = 40;
/// The execution domains that Docker's profile lets a program choose.
const PERSONALITIES: [u32; 5] = [0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// What happens to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Return(u32),
    /// By the arguments, see [`Verdict::emit`].
    Clone,
    Socket,
    Personality,
}

/// Numbers of the calls that are decided by their arguments.
struct Special {
    clone: u32,
    clone3: u32,
    socket: u32,
    personality: u32,
}

const SPECIAL_X86_64: Special = Special { clone: 56, clone3: 435, socket: 41, personality: 135 };
const SPECIAL_I386: Special = Special { clone: 120, clone3: 435, socket: 359, personality: 136 };

/// The whole filter.
pub fn build() -> Vec<Instruction> {
    let number = |(_, x86_64, _): &(&str, i32, i32)| u32::try_from(*x86_64).ok();
    let x86_64 = search(&runs(ALLOWED.iter().filter_map(number), &SPECIAL_X86_64));
    let number = |(_, _, i386): &(&str, i32, i32)| u32::try_from(*i386).ok();
    let i386 = search(&runs(ALLOWED.iter().filter_map(number), &SPECIAL_I386));

    let mut program = vec![statement(LOAD_WORD, OFFSET_ARCHITECTURE)];
    program.push(jump(JUMP_EQUAL, ARCHITECTURE_X86_64, 1, 0));
    // The i386 part lies behind the x86-64 part, which has two instructions more than its search.
    program.push(statement(JUMP, x86_64.len() as u32 + 3));
    program.push(statement(LOAD_WORD, OFFSET_NUMBER));
    program.push(jump(JUMP_GREATER_EQUAL, X32_BIT, 0, 1));
    program.push(statement(RETURN, errno(libc::ENOSYS)));
    program.extend(x86_64);
    program.push(jump(JUMP_EQUAL, ARCHITECTURE_I386, 1, 0));
    program.push(statement(RETURN, errno(libc::ENOSYS)));
    program.push(statement(LOAD_WORD, OFFSET_NUMBER));
    program.extend(i386);
    program
}

/// Runs of equal verdicts over all numbers: each begins at its number and ends where the next begins.
fn runs(allowed: impl Iterator<Item = u32>, special: &Special) -> Vec<(u32, Verdict)> {
    let mut verdicts: std::collections::BTreeMap<u32, Verdict> =
        allowed.map(|number| (number, Verdict::Return(ALLOW))).collect();
    verdicts.insert(special.clone, Verdict::Clone);
    // Its flags lie in memory, where a filter cannot look: programs fall back to clone on ENOSYS.
    verdicts.insert(special.clone3, Verdict::Return(errno(libc::ENOSYS)));
    verdicts.insert(special.socket, Verdict::Socket);
    verdicts.insert(special.personality, Verdict::Personality);

    let denied = Verdict::Return(errno(libc::EPERM));
    let mut runs = vec![(0, denied)];
    let mut push = |number, verdict| match runs.last_mut() {
        Some(last) if last.0 == number => last.1 = verdict,
        _ => runs.push((number, verdict)),
    };
    for (number, verdict) in verdicts {
        push(number, verdict);
        push(number + 1, denied);
    }
    runs.dedup_by_key(|run| run.1);
    runs
}

/// Binary search for the run of the number in the accumulator, ending in its verdict.
fn search(runs: &[(u32, Verdict)]) -> Vec<Instruction> {
    let [(_, verdict)] = runs else {
        let (low, high) = runs.split_at(runs.len() / 2);
        let (below, above) = (search(low), search(high));
        // A conditional jump reaches 255 instructions, so the way over `below` is an unconditional one.
        let mut program = vec![jump(JUMP_GREATER_EQUAL, high[0].0, 0, 1)];
        program.push(statement(JUMP, below.len() as u32));
        program.extend(below);
        program.extend(above);
        return program;
    };
    verdict.emit()
}

impl Verdict {
    fn emit(self) -> Vec<Instruction> {
        let allow = statement(RETURN, ALLOW);
        let deny = statement(RETURN, errno(libc::EPERM));
        match self {
            Self::Return(value) => vec![statement(RETURN, value)],
            Self::Clone => {
                let load = statement(LOAD_WORD, offset_argument(0));
                vec![load, jump(JUMP_BITS, CLONE_NAMESPACES, 0, 1), deny, allow]
            }
            Self::Socket => {
                let load = statement(LOAD_WORD, offset_argument(0));
                vec![load, jump(JUMP_EQUAL, AF_VSOCK, 0, 1), deny, allow]
            }
            Self::Personality => {
                let mut program = vec![statement(LOAD_WORD, offset_argument(0))];
                for (i, value) in PERSONALITIES.iter().enumerate() {
                    program.push(jump(JUMP_EQUAL, *value, (PERSONALITIES.len() - i) as u8, 0));
                }
                program.extend([deny, allow]);
                program
            }
        }
    }
}

fn statement(code: u16, value: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, value }
}

fn jump(code: u16, value: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, value }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
