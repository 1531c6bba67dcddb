//! A booted node: claimed over the network, runs the article's first app, takes its address from the kernel line.

use std::collections::BTreeSet;
use std::fs;

use tests::vm::{Vm, root};

#[test]
fn the_first_app_runs_ends_and_is_started_again() {
    let vm = Vm::boot();
    let seed = fs::read_to_string(root().join("tests/seed/hello2.json")).unwrap();
    let created = vm.http.post("/v2/apps", &seed).unwrap();
    assert_eq!(created.status, 201, "{created}");
    let mut seen = BTreeSet::new();
    let mut last = String::new();
    for _ in 0..3 {
        last = vm.wait_task("hello2", &last);
        assert!(seen.insert(last.clone()), "{last} ran twice");
        let path = format!("/meseta/v1/tasks/{last}/logs/stdout?offset=0");
        vm.wait_for(&format!("{last} says hello"), || match vm.http.get(&path) {
            Ok(answer) if answer.status == 200 && answer.text() == "hello\n" => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
    let serial = vm.serial();
    for expected in ["Meseta", "URL:", "claim code:", "address: 10.0.2.15"] {
        assert!(serial.contains(expected), "`{expected}` is not on the screen\n{}", vm.serial_tail());
    }
}

#[test]
fn the_kernel_line_gives_address_and_name() {
    let vm = Vm::boot_with("ip=10.0.2.15::10.0.2.2:255.255.255.0:granite:eth0:off:10.0.2.3");
    // That it answers at all shows address and route: nobody else told it.
    assert_eq!(vm.http.get("/ping").unwrap().status, 200);
    vm.wait_for("the screen shows name and source", || {
        let serial = vm.serial();
        let both = serial.contains("name: granite") && serial.contains("kernel line");
        if both { Ok(()) } else { Err("not yet".to_owned()) }
    });
    // Reboot by the keyboard of the video console, whose dialogs are its own.
    let said = vm.said();
    vm.press("r");
    vm.press("y");
    let again = vm.wait_said(said, "Run /init as init process");
    vm.wait_said(again, "name: granite");
}
