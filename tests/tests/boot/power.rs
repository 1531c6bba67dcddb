//! Power: cut amid writes, and taken away in an orderly manner.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::json;
use tests::vm::Vm;

/// Writes to see acknowledged before the cut.
const WRITES_BEFORE_CUT: u32 = 25;

/// An app that never starts a task, so that only the log is written.
fn marker(number: u32) -> String {
    json!({ "id": format!("/marker/m{number}"), "cmd": "true", "instances": 0 }).to_string()
}

fn long_app() -> String {
    json!({ "id": "/long", "cmd": "echo up; sleep 100000", "cpus": 0.1, "mem": 16, "instances": 1 })
        .to_string()
}

#[test]
fn a_power_cut_amid_writes_loses_nothing_acknowledged() {
    let vm = Vm::boot();
    assert_eq!(vm.http.post("/v2/apps", long_app()).unwrap().status, 201);
    let before = vm.wait_task("long", "");
    let (acknowledged, stop) = (AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // The writer asks one after the other, so the numbers below the count are what was acknowledged.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let number = acknowledged.load(Ordering::Relaxed);
                match vm.http.post("/v2/apps", marker(number)) {
                    Ok(answer) if answer.status == 201 => acknowledged.store(number + 1, Ordering::Relaxed),
                    // The cut: nobody answers any more.
                    _ => return,
                }
            }
        });
        vm.wait_for("writes are acknowledged", || match acknowledged.load(Ordering::Relaxed) {
            count if count >= WRITES_BEFORE_CUT => Ok(()),
            count => Err(format!("{count} so far")),
        });
        vm.power_cut();
        stop.store(true, Ordering::Relaxed);
    });
    vm.start();
    for number in 0..acknowledged.load(Ordering::Relaxed) {
        let answer = vm.http.get(&format!("/v2/apps/marker/m{number}")).unwrap();
        assert_eq!(answer.status, 200, "acknowledged before the cut, then gone: m{number}: {answer}");
    }
    // Without a hand, and as a new task: the old one died with the machine.
    vm.wait_task("long", &before);
}

#[test]
fn a_clean_stop_and_a_reboot_bring_the_app_back() {
    let vm = Vm::boot();
    assert_eq!(vm.http.post("/v2/apps", long_app()).unwrap().status, 201);
    let first = vm.wait_task("long", "");
    vm.stop();
    vm.start();
    let second = vm.wait_task("long", &first);
    let answer = vm.http.post("/meseta/v1/node/power", json!({ "action": "reboot" }).to_string()).unwrap();
    assert!((200..300).contains(&answer.status), "{answer}");
    vm.wait_task("long", &second);
}
