//! The disk image by firmware: on the hardware that hypervisors have, on small, grown, cut off and damaged disks.

use layout::DATA;
use serde_json::{Value, json};
use tests::vm::{Hardware, Vm};

/// As the README says: the smallest machine that works.
const SMALLEST: Hardware = Hardware { uefi: false, devices: "virtio", memory_mib: 256, disk: "1G" };
const OTHERS: [Hardware; 4] = [
    Hardware { uefi: false, devices: "ahci", memory_mib: 512, disk: "16G" },
    Hardware { uefi: true, devices: "ahci", memory_mib: 512, disk: "16G" },
    Hardware { uefi: false, devices: "ide", memory_mib: 512, disk: "16G" },
    Hardware { uefi: true, devices: "ide", memory_mib: 512, disk: "16G" },
];
const MIB: u64 = 1024 * 1024;

fn phases(vm: &Vm) -> Vec<(String, String)> {
    let status = vm.http.get("/meseta/v1/node").expect("the node answers").json();
    let phases = status["phases"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    phases.iter().map(|phase| (text(&phase["name"]), text(&phase["note"]))).collect()
}

#[track_caller]
fn note(vm: &Vm, phase: &str) -> String {
    let all = phases(vm);
    let found = all.iter().find(|(name, _)| name == phase);
    found.unwrap_or_else(|| panic!("there is no phase {phase}: {all:?}")).1.clone()
}

#[track_caller]
fn wait_for_note(vm: &Vm, phase: &str, expected: &str) {
    vm.wait_for(&format!("{phase}: {expected}"), || {
        let all = phases(vm);
        let is_there = all.iter().any(|(name, note)| name == phase && note.contains(expected));
        if is_there { Ok(()) } else { Err(format!("{all:?}")) }
    });
}

fn last_error(vm: &Vm) -> String {
    let status = vm.http.get("/meseta/v1/node").expect("the node answers").json();
    status["last_error"].as_str().unwrap_or_default().to_owned()
}

fn app() -> String {
    json!({ "id": "/long", "cmd": "echo up; sleep 100000", "cpus": 0.1, "mem": 16, "instances": 1 })
        .to_string()
}

#[test]
fn a_small_disk_grows_survives_a_power_cut_and_tells_of_damage() {
    let vm = Vm::boot_from_disk(&SMALLEST);
    assert!(note(&vm, "state").contains("was new and has been formatted"), "{:?}", phases(&vm));
    // The cluster answers before DATA is there.
    wait_for_note(&vm, "data", "was new and has been formatted");
    wait_for_note(&vm, "boot slot", "A works");
    assert_eq!(last_error(&vm), "");
    assert_eq!(vm.http.post("/v2/apps", app()).unwrap().status, 201);
    let first = vm.wait_task("long", "");
    vm.stop();

    let before = vm.disk().partition(DATA);
    vm.start_with_disk("20G");
    let second = vm.wait_task("long", &first);
    assert!(note(&vm, "disk").contains("has grown"), "{:?}", phases(&vm));
    assert!(note(&vm, "data").contains("has grown"), "{:?}", phases(&vm));
    let status = vm.http.get("/meseta/v1/node").unwrap().json();
    let disk_mib = status["resources"]["disk_mib"].as_u64().unwrap_or(0);
    assert!(disk_mib > 18 * 1024, "DATA has {disk_mib} MiB on a disk of 20 GiB");

    vm.power_cut();
    let after = vm.disk().partition(DATA);
    assert_eq!(after.first, before.first);
    vm.start();
    vm.wait_task("long", &second);
    assert!(!note(&vm, "data").contains("formatted"), "{:?}", phases(&vm));
    wait_for_note(&vm, "boot slot", "A works");
    assert_eq!(last_error(&vm), "");
    vm.stop();

    // Zeros are no reason to believe that nothing was there.
    vm.disk().overwrite(DATA, &vec![0; MIB as usize]);
    vm.start();
    vm.wait_for("the node tells of the damage", || {
        let error = last_error(&vm);
        let tells = error.contains("is damaged and is left as it is") && error.contains("DATA IS IN MEMORY");
        if tells { Ok(()) } else { Err(error) }
    });
    vm.wait_for("the screen tells", || {
        let is_there = vm.serial().contains("is damaged and is left as it is");
        if is_there { Ok(()) } else { Err("not yet".to_owned()) }
    });
    vm.stop();
    assert!(vm.disk().read(DATA, MIB as usize).iter().all(|byte| *byte == 0), "damaged DATA was written to");
}

#[test]
fn every_firmware_boots_it_on_the_hardware_of_other_hypervisors() {
    for hardware in OTHERS {
        println!("{hardware:?}");
        let vm = Vm::boot_from_disk(&hardware);
        wait_for_note(&vm, "boot slot", "A works");
        assert_eq!(last_error(&vm), "", "{hardware:?}");
    }
}
