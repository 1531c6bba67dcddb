//! The emulator's side door for debuggers (`-gdb`), as far as it takes to make a machine hang for real.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// `cli; jmp .`: no interrupt comes any more and nothing goes on.
const FOR_EVER: &str = "faebfe";
/// Where the instruction pointer stands among the registers: behind sixteen others of eight bytes, in hexadecimal.
const INSTRUCTION_POINTER: std::ops::Range<usize> = 16 * 16..17 * 16;
/// The kernel's half of all addresses begins here.
const KERNEL: u64 = 0xffff_8000_0000_0000;

/// Stops the machine where it is and makes the kernel's next instructions an endless loop without interrupts. An error if
/// it was amid a program, where that would hang nothing but the program: then nothing has changed.
pub fn hang_kernel(socket: &Path) -> Result<(), String> {
    try_hang(socket).map_err(|error| error.to_string())?
}

fn try_hang(socket: &Path) -> io::Result<Result<(), String>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
    // Whoever connects has stopped the machine.
    let registers = ask(&mut stream, "g")?;
    let register = registers.get(INSTRUCTION_POINTER).ok_or_else(|| io::Error::other(registers.clone()))?;
    let at = u64::from_str_radix(register, 16).map_err(io::Error::other)?.swap_bytes();
    let written = if at >= KERNEL {
        match ask(&mut stream, &format!("M{at:x},{:x}:{FOR_EVER}", FOR_EVER.len() / 2))?.as_str() {
            "OK" => Ok(()),
            refused => Err(format!("writing at {at:x}: {refused}")),
        }
    } else {
        Err(format!("a program runs, at {at:x}"))
    };
    // Lets it go on.
    ask(&mut stream, "D")?;
    Ok(written)
}

/// `$TEXT#SUM`, acknowledged by `+`, and the answer in the same form.
fn ask(stream: &mut UnixStream, text: &str) -> io::Result<String> {
    let sum = text.bytes().fold(0_u8, u8::wrapping_add);
    stream.write_all(format!("${text}#{sum:02x}").as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"#") {
        stream.read_exact(&mut byte)?;
        match byte[0] {
            b'$' => answer.clear(),
            other => answer.push(other),
        }
    }
    stream.read_exact(&mut [0; 2])?;
    stream.write_all(b"+")?;
    answer.pop();
    String::from_utf8(answer).map_err(io::Error::other)
}
