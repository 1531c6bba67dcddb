//! A node in a virtual machine, by `scripts/run` as people use it, with a state folder and ports of its own.
//!
//! Dropping it ends the machine and forgets its disk.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::disk::Disk;
use crate::http::Client;
use crate::wait;

pub const PASSWORD: &str = "a-password-for-tests";
/// Without hardware support, on cores that others use too.
const DEADLINE: Duration = Duration::from_secs(180);
/// scripts/run leads the first ten ports of the machine into the node; the last is free for a forward of a test's own.
const PORTS: u16 = 11;
/// As its help lists them.
const GUEST_PORTS: [u16; 10] = [8080, 8443, 80, 443, 53, 5050, 5051, 8123, 9090, 10_000];
const PORT_FIRST: u16 = 20_080;
const PORT_LAST: u16 = 28_080;
/// What the kernel prints when it starts the first program of the initrd.
const INIT_STARTS: &str = "Run /init as init process";

#[derive(Debug)]
pub struct Vm {
    home: tempfile::TempDir,
    port: u16,
    kernel_line: String,
    /// Further arguments of the emulator, separated by blanks.
    hardware: String,
    /// With the administrator's credentials.
    pub http: Client,
}

/// A machine that boots the disk image by its firmware.
#[derive(Debug, Clone, Copy)]
pub struct Hardware {
    pub uefi: bool,
    /// As `scripts/run --hardware` knows it.
    pub devices: &'static str,
    pub memory_mib: u32,
    /// The size its new disk has.
    pub disk: &'static str,
}

/// How a boot went. Milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct BootTimes {
    /// From the kernel starting the first program to the console's first answer 200, on the clock of this machine.
    pub init_to_console_ms: u64,
    /// What the kernel itself had taken until then, on the clock of the guest.
    pub kernel_ms: u64,
}

impl Vm {
    /// A claimed node whose console answers.
    pub fn boot() -> Self {
        Self::boot_with("")
    }

    /// The same, with further words on its kernel line.
    pub fn boot_with(kernel_line: &str) -> Self {
        Self::boot_on(kernel_line, "")
    }

    /// The same, with further hardware: arguments of the emulator, separated by blanks.
    pub fn boot_on(kernel_line: &str, hardware: &str) -> Self {
        let vm = Self::new(kernel_line, hardware);
        vm.script(&["--detach", "--port", &vm.port.to_string(), "--password", PASSWORD]);
        vm
    }

    /// The same with further flags of `scripts/run`, and a port of its own to `guest_port`.
    pub fn boot_with_flags(flags: &[&str], guest_port: u16) -> Self {
        let vm = Self::new("", "");
        let forward = format!("{}:{guest_port}", vm.port + PORTS - 1);
        let port = vm.port.to_string();
        let mut args = vec!["--detach", "--port", &port, "--password", PASSWORD, "--forward", &forward];
        args.extend(flags);
        vm.script(&args);
        vm
    }

    /// The same from the disk image.
    pub fn boot_from_disk(hardware: &Hardware) -> Self {
        let vm = Self::new("", "");
        let (port, memory) = (vm.port.to_string(), hardware.memory_mib.to_string());
        let mut args =
            vec!["--detach", "--port", &port, "--password", PASSWORD, "--disk", "--memory", &memory];
        args.extend(["--hardware", hardware.devices, "--disk-size", hardware.disk]);
        if hardware.uefi {
            args.push("--uefi");
        }
        vm.script(&args);
        vm
    }

    /// Boots what was stopped, its disk enlarged.
    pub fn start_with_disk(&self, size: &str) {
        let memory = fs::read_to_string(self.folder().join("memory")).expect("the machine was made");
        self.script(&["--detach", "--memory", memory.trim(), "--disk-size", size]);
    }

    /// The disk of a machine that is off.
    pub fn disk(&self) -> Disk {
        Disk::new(&self.folder().join("disk"))
    }

    fn new(kernel_line: &str, hardware: &str) -> Self {
        let home = tempfile::Builder::new().prefix("meseta-vm").tempdir().expect("a temporary folder");
        let port = free_ports(PORTS);
        let http = Client::new(&format!("127.0.0.1:{port}")).with_password("admin", PASSWORD);
        Self { home, port, kernel_line: kernel_line.to_owned(), hardware: hardware.to_owned(), http }
    }

    /// Where that port of [`Vm::boot_with_flags`] is reached.
    pub fn own_forward(&self) -> SocketAddr {
        self.address(PORTS - 1)
    }

    /// Where a port is reached that `scripts/run` leads in.
    #[track_caller]
    pub fn forward(&self, guest_port: u16) -> SocketAddr {
        self.address(guest_port_offset(guest_port))
    }

    fn address(&self, nth: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port + nth).into()
    }

    pub fn power_cut(&self) {
        self.script(&["--power-cut", "1"]);
    }

    /// Boots what was cut or stopped; returns when the console answers.
    pub fn start(&self) {
        self.script(&["--start", "1"]);
    }

    /// Boots it without waiting for anything.
    pub fn power_on(&self) -> Booting {
        let mut command = self.command(&["--start", "1"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Booting(child.expect("scripts/run starts"))
    }

    /// Shuts down cleanly; panics if the node had to be cut off.
    pub fn stop(&self) {
        let output = self.script(&["--stop"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("cutting its power"), "{said}\n{}", self.serial_tail());
    }

    /// Waits until the machine has powered itself off.
    #[track_caller]
    pub fn wait_off(&self) {
        self.wait_for("the machine is off", || {
            let listed = self.script(&["--ls"]);
            let listed = String::from_utf8_lossy(&listed.stdout);
            if listed.contains(" off ") { Ok(()) } else { Err(listed.into_owned()) }
        });
    }

    /// Everything the machine said since it was started last.
    pub fn serial(&self) -> String {
        let bytes = fs::read(self.folder().join("serial.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    pub fn serial_tail(&self) -> String {
        let serial = self.serial();
        let lines: Vec<&str> = serial.lines().collect();
        format!("--- serial log ---\n{}", lines[lines.len().saturating_sub(60)..].join("\n"))
    }

    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
        wait::until(what, DEADLINE, probe, || self.serial_tail())
    }

    /// Types on the serial console; returns once the machine has taken the keys.
    pub fn type_serial(&self, text: &str) {
        let typed = || -> std::io::Result<()> {
            let mut line = UnixStream::connect(self.folder().join("serial.sock"))?;
            line.write_all(text.as_bytes())?;
            // The emulator reads to the end and hangs up. A line that stays open would make it write parts of its log
            // twice.
            line.shutdown(Shutdown::Write)?;
            line.set_read_timeout(Some(DEADLINE))?;
            line.read_to_end(&mut Vec::new()).map(drop)
        };
        typed().unwrap_or_else(|error| panic!("typing: {error}\n{}", self.serial_tail()));
    }

    /// Presses a key of the keyboard; it is heard on the video console.
    pub fn press(&self, key: &str) {
        let keys = format!("[{{\"type\":\"qcode\",\"data\":\"{key}\"}}]");
        let commands = format!(
            "{{\"execute\":\"qmp_capabilities\"}}\n{{\"execute\":\"send-key\",\"arguments\":{{\"keys\":{keys}}}}}\n"
        );
        let input = fs::OpenOptions::new().write(true).open(self.folder().join("qmp.in"));
        input.and_then(|mut input| input.write_all(commands.as_bytes())).expect("the machine runs");
    }

    /// How many bytes the machine has said.
    pub fn said(&self) -> usize {
        fs::metadata(self.folder().join("serial.log")).map_or(0, |file| file.len() as usize)
    }

    /// Waits until the machine says `text` after its first `from` bytes; how many it has said then.
    #[track_caller]
    pub fn wait_said(&self, from: usize, text: &str) -> usize {
        self.wait_for(&format!("the serial console shows `{text}`"), || {
            let bytes = fs::read(self.folder().join("serial.log")).unwrap_or_default();
            let new = bytes.get(from..).unwrap_or_default();
            if new.windows(text.len()).any(|window| window == text.as_bytes()) {
                Ok(bytes.len())
            } else {
                Err("not yet".to_owned())
            }
        })
    }

    /// The ids of the app's running tasks.
    pub fn running(&self, id: &str) -> Result<Vec<String>, String> {
        let answer = self.http.get(&format!("/v2/apps/{id}")).map_err(|e| e.to_string())?;
        if answer.status != 200 {
            return Err(answer.to_string());
        }
        let body = answer.json();
        let tasks = body["app"]["tasks"].as_array().cloned().unwrap_or_default();
        let running = tasks.iter().filter(|task| task["state"] == "TASK_RUNNING");
        Ok(running.filter_map(|task| Value::as_str(&task["id"])).map(str::to_owned).collect())
    }

    /// Waits for a running task of the app that is not `before`.
    #[track_caller]
    pub fn wait_task(&self, id: &str, before: &str) -> String {
        self.wait_for(&format!("a task of {id} other than `{before}` runs"), || {
            let running = self.running(id)?;
            running.into_iter().find(|task| task != before).ok_or_else(|| "none".to_owned())
        })
    }

    /// Starts a machine that is off and measures its way to the console's first answer.
    pub fn measure_start(&self) -> BootTimes {
        let _ = fs::remove_file(self.folder().join("serial.log"));
        let mut starter =
            self.command(&["--start", "1"]).stdout(Stdio::null()).spawn().expect("scripts/run starts");
        let (began, kernel_ms) = self.wait_for("the first program starts", || {
            let serial = self.serial();
            let line = serial.lines().find(|line| line.contains(INIT_STARTS)).ok_or("not yet")?;
            Ok((Instant::now(), kernel_stamp_ms(line).ok_or_else(|| line.to_owned())?))
        });
        let open = Client::new(&format!("127.0.0.1:{}", self.port));
        self.wait_for("the console answers", || match open.get("/login") {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        });
        let init_to_console_ms = began.elapsed().as_millis() as u64;
        assert!(starter.wait().expect("scripts/run ends").success());
        BootTimes { init_to_console_ms, kernel_ms }
    }

    /// The same from power on: firmware, boot loader and kernel are part of it. Milliseconds.
    pub fn measure_power_on(&self) -> u64 {
        let began = Instant::now();
        self.start();
        began.elapsed().as_millis() as u64
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("meseta/nodes/1")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(root().join("scripts/run"));
        command
            .args(args)
            .env("XDG_STATE_HOME", self.home.path())
            .env("MESETA_KERNEL_LINE", &self.kernel_line)
            .env("MESETA_QEMU_ARGS", &self.hardware);
        command
    }

    #[track_caller]
    fn script(&self, args: &[&str]) -> Output {
        succeed(self.command(args), || self.serial_tail())
    }
}

/// Panics with what the script said, and with `explain`, unless it succeeds.
#[track_caller]
pub fn succeed(mut script: Command, explain: impl Fn() -> String) -> Output {
    let output = script.output().expect("the script starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script:?}: {}\n{said}{}", output.status, explain());
    output
}

/// A machine of which nobody knows yet whether it will answer.
#[derive(Debug)]
pub struct Booting(Child);

impl Booting {
    /// Returns once the machine answers, or was cut off before.
    pub fn ended(mut self) {
        self.0.wait().expect("scripts/run is our child");
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.serial_tail());
        }
        let reset = self.command(&["--reset"]).output();
        if !std::thread::panicking() {
            assert!(reset.is_ok_and(|output| output.status.success()), "scripts/run --reset failed");
        }
    }
}

/// Builds what a machine boots into `out`, if it is not there already.
#[track_caller]
pub fn build_image(out: &Path) {
    build_images(out, &["kernel-initrd"]);
}

/// The same in other forms.
#[track_caller]
pub fn build_images(out: &Path, kinds: &[&str]) {
    let output = Command::new(root().join("scripts/image"))
        .args(kinds)
        .arg("--out")
        .arg(out)
        .output()
        .expect("scripts/image starts");
    assert!(output.status.success(), "scripts/image: {}", String::from_utf8_lossy(&output.stderr));
}

/// Bytes of kernel and initrd together, compressed as a download would be.
pub fn download_bytes(image: &Path) -> u64 {
    compressed_bytes(image, "tar -C \"$0\" -c kernel initrd | zstd -q -19 --long -T0 | wc -c")
}

/// Bytes of the disk image, compressed so.
pub fn disk_download_bytes(image: &Path) -> u64 {
    compressed_bytes(image, "zstd -q -19 --long -T0 -c \"$0/meseta.raw\" | wc -c")
}

fn compressed_bytes(image: &Path, command: &str) -> u64 {
    let output = Command::new("bash").args(["-o", "pipefail", "-c", command]).arg(image).output();
    let output = output.expect("bash starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of bytes")
}

/// The top folder of the tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the tree").to_owned()
}

/// `[    2.912345] text` → 2912
fn kernel_stamp_ms(line: &str) -> Option<u64> {
    let stamp = line.split_once('[')?.1.split_once(']')?.0.trim();
    let seconds: f64 = stamp.parse().ok()?;
    Some((seconds * 1000.0) as u64)
}

/// How far behind a node's first port this port of the node is found.
#[track_caller]
pub(crate) fn guest_port_offset(guest_port: u16) -> u16 {
    let nth = GUEST_PORTS.iter().position(|port| *port == guest_port);
    nth.unwrap_or_else(|| panic!("port {guest_port} is not led in")) as u16
}

/// The first of so many free ports in a row. Nobody else of this process gets them.
pub(crate) fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let steps = count.div_ceil(PORTS);
    let all = (PORT_LAST - PORT_FIRST) / PORTS;
    for _ in 0..all {
        let step = NEXT.fetch_add(steps, Ordering::Relaxed).wrapping_add(std::process::id() as u16);
        let first = PORT_FIRST + step % all * PORTS;
        if (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
    panic!("no {count} free ports in a row between {PORT_FIRST} and {PORT_LAST}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_stamp_is_read() {
        assert_eq!(kernel_stamp_ms("[    2.912345] Run /init as init process"), Some(2912));
        assert_eq!(kernel_stamp_ms("no stamp"), None);
    }
}
