//! The filter is run in a small interpreter of classic BPF, so that each verdict is checked without a container.

use super::*;

/// Runs `program` on a call; panics on a jump out of the program, which the kernel would refuse to load.
fn verdict(program: &[Instruction], architecture: u32, number: u32, argument: u32) -> u32 {
    let (mut accumulator, mut at) = (0, 0);
    loop {
        let i = program[at];
        at += 1;
        let branch = |taken: bool| usize::from(if taken { i.if_true } else { i.if_false });
        match i.code {
            LOAD_WORD => {
                accumulator = match i.value {
                    OFFSET_NUMBER => number,
                    OFFSET_ARCHITECTURE => architecture,
                    _ => argument,
                }
            }
            JUMP => at += i.value as usize,
            JUMP_EQUAL => at += branch(accumulator == i.value),
            JUMP_GREATER_EQUAL => at += branch(accumulator >= i.value),
            JUMP_BITS => at += branch(accumulator & i.value != 0),
            RETURN => return i.value,
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}

#[test]
fn every_number_of_both_architectures_has_the_verdict_of_the_table() {
    let program = build();
    assert!(program.len() < 4096, "the kernel's limit; is {}", program.len());
    for (architecture, special) in [(ARCHITECTURE_X86_64, SPECIAL_X86_64), (ARCHITECTURE_I386, SPECIAL_I386)]
    {
        for number in 0..1000 {
            let by_arguments =
                [special.clone, special.clone3, special.socket, special.personality].contains(&number);
            if by_arguments {
                continue;
            }
            let column =
                |row: &(&str, i32, i32)| if architecture == ARCHITECTURE_X86_64 { row.1 } else { row.2 };
            let listed = ALLOWED.iter().any(|row| column(row) == number as i32);
            let expected = if listed { ALLOW } else { errno(libc::EPERM) };
            assert_eq!(verdict(&program, architecture, number, 0), expected, "{architecture:#x} {number}");
        }
    }
}

#[test]
fn calls_decided_by_their_arguments() {
    let program = build();
    let x86_64 =
        |number: libc::c_long, argument| verdict(&program, ARCHITECTURE_X86_64, number as u32, argument);
    let eperm = errno(libc::EPERM);
    assert_eq!(x86_64(libc::SYS_clone, libc::CLONE_VM as u32), ALLOW);
    assert_eq!(x86_64(libc::SYS_clone, libc::CLONE_NEWUSER as u32), eperm);
    assert_eq!(x86_64(libc::SYS_clone, libc::CLONE_NEWNS as u32), eperm);
    assert_eq!(x86_64(libc::SYS_clone3, 0), errno(libc::ENOSYS));
    assert_eq!(x86_64(libc::SYS_socket, libc::AF_INET as u32), ALLOW);
    assert_eq!(x86_64(libc::SYS_socket, AF_VSOCK), eperm);
    for allowed in PERSONALITIES {
        assert_eq!(x86_64(libc::SYS_personality, allowed), ALLOW, "{allowed:#x}");
    }
    assert_eq!(x86_64(libc::SYS_personality, 1), eperm);
}

#[test]
fn names_and_numbers_agree_with_the_c_library() {
    let number = |name: &str| ALLOWED.iter().find(|row| row.0 == name).map(|row| i64::from(row.1));
    for (name, expected) in [
        ("read", libc::SYS_read),
        ("openat2", libc::SYS_openat2),
        ("futex_waitv", libc::SYS_futex_waitv),
        ("execve", libc::SYS_execve),
        ("landlock_add_rule", libc::SYS_landlock_add_rule),
        ("fchmodat2", libc::SYS_fchmodat2),
    ] {
        assert_eq!(number(name), Some(expected), "{name}");
    }
    for never in
        ["mount", "unshare", "setns", "bpf", "keyctl", "add_key", "kexec_load", "reboot", "io_uring_setup"]
    {
        assert_eq!(number(never), None, "{never}");
    }
}

#[test]
fn other_numberings_do_not_exist() {
    let program = build();
    let enosys = errno(libc::ENOSYS);
    assert_eq!(verdict(&program, ARCHITECTURE_X86_64, X32_BIT, 0), enosys);
    assert_eq!(verdict(&program, ARCHITECTURE_X86_64, X32_BIT + 512, 0), enosys);
    assert_eq!(verdict(&program, 0xc000_00b7, 0, 0), enosys, "aarch64");
}
