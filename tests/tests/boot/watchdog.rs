//! A machine whose kernel hangs is reset by its watchdog, and the node comes back without a hand.

use std::path::Path;

use serde_json::{Value, json};
use tests::gdb;
use tests::vm::Vm;

const SECONDS: u64 = 10;

/// What the node says of itself.
fn status(vm: &Vm) -> Result<Value, String> {
    let answer = vm.http.get("/meseta/v1/node").map_err(|error| error.to_string())?;
    if answer.status == 200 { Ok(answer.json()) } else { Err(answer.to_string()) }
}

/// Waits until the node says this of its watchdog.
#[track_caller]
fn watchdog_is(vm: &Vm, expected: &str) {
    vm.wait_for(&format!("the watchdog is `{expected}`"), || {
        let status = status(vm)?;
        let phases = status["phases"].as_array().cloned().unwrap_or_default();
        let phase = phases.iter().find(|phase| phase["name"] == "watchdog").cloned().unwrap_or_default();
        if phase["note"] == expected { Ok(()) } else { Err(format!("{phase}, {}", status["last_error"])) }
    });
}

#[test]
fn a_machine_whose_kernel_hangs_comes_back_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let door: &Path = &dir.path().join("gdb");
    let hardware = format!("-device i6300esb -gdb unix:{},server=on,wait=off", door.display());
    let vm = Vm::boot_on(&format!("meseta.watchdog={SECONDS}"), &hardware);
    let app = json!({ "id": "/long", "cmd": "echo up; sleep 100000", "cpus": 0.1, "mem": 16 });
    assert_eq!(vm.http.post("/v2/apps", app.to_string()).unwrap().status, 201);
    let before = vm.wait_task("long", "");
    watchdog_is(&vm, &format!("i6300ESB timer, {SECONDS} s"));

    // A node that is well outlives its timeout.
    vm.wait_for("three timeouts have passed", || match status(&vm)?["uptime_s"].as_u64() {
        Some(uptime) if uptime > 3 * SECONDS => Ok(()),
        uptime => Err(format!("up for {uptime:?} s")),
    });
    assert_eq!(vm.serial().matches("Run /init as init process").count(), 1, "{}", vm.serial_tail());
    assert_eq!(vm.running("long").unwrap(), [before.as_str()]);

    let said = vm.said();
    vm.wait_for("the kernel hangs", || gdb::hang_kernel(door));
    vm.wait_said(said, "Run /init as init process");
    vm.wait_task("long", &before);
    watchdog_is(&vm, &format!("i6300ESB timer, {SECONDS} s; IT RESET THE MACHINE BEFORE THIS BOOT"));
}

#[test]
fn without_hardware_the_kernel_watches_init_and_settings_that_come_later_count() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.json");
    std::fs::write(&config, "{\"watchdog\": 33}").unwrap();
    let hardware = format!("-fw_cfg name=opt/meseta/config,file={}", config.display());
    let vm = Vm::boot_on("meseta.watchdog=soon", &hardware);
    watchdog_is(&vm, "no hardware watchdog; the kernel resets after 33 s if init hangs");
    vm.wait_said(0, "watchdog is `soon`, expected off or a number of seconds from 5 to 600");
}
