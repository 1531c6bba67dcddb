//! The machine itself: settings from a seed disk and from the firmware, and a person at its consoles.

use std::fs;

use serde_json::Value;
use tests::vm::Vm;

/// What the node says of how it was set up.
fn host(vm: &Vm) -> Result<Value, String> {
    let answer = vm.http.get("/meseta/v1/node").map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(answer.to_string());
    }
    Ok(answer.json()["host"].clone())
}

fn source_is(vm: &Vm, expected: &str) -> Value {
    vm.wait_for(&format!("the settings come from `{expected}`"), || {
        let host = host(vm)?;
        if host["config_source"] == expected { Ok(host) } else { Err(host.to_string()) }
    })
}

#[test]
fn a_seed_disk_gives_address_and_name_and_its_faults_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let seed = dir.path().join("seed.iso");
    let network = "version: 2\nethernets:\n  lan:\n    addresses: [10.0.2.15/24]\n    routes:\n      - {to: default, via: 10.0.2.2}\n";
    let files = [
        ("meta-data", "instance-id: i-1\nlocal-hostname: granite\n"),
        ("network-config", network),
        ("user-data", "#cloud-config\nmeseta:\n  proxy: http://10.0.2.9:3128\n  colour: red\n"),
    ];
    tests::iso::write(&seed, "cidata", &files);
    let hardware = format!(
        "-drive file={},format=raw,if=none,id=seed,readonly=on -device virtio-blk-pci,drive=seed",
        seed.display()
    );
    let vm = Vm::boot_on("", &hardware);
    let host = source_is(&vm, "seed disk");
    assert_eq!(
        (&host["local_name"], &host["proxy"]),
        (&"granite.local".into(), &"http://10.0.2.9:3128".into())
    );
    let faults = host["config_errors"].to_string();
    assert!(faults.contains("user-data line 4: `colour` is not a setting"), "{faults}");
    vm.wait_said(0, "settings: seed disk");
    vm.wait_said(0, "`colour` is not a setting");
    vm.wait_said(0, "(eth0, seed disk)");
}

#[test]
fn firmware_and_seed_share_the_say_and_a_person_at_the_consoles_has_the_last_word() {
    let dir = tempfile::tempdir().unwrap();
    let (config, seed) = (dir.path().join("config.json"), dir.path().join("seed"));
    fs::write(&config, "{\"hostname\": \"firm\", \"proxy\": \"http://10.0.2.9:3128\"}").unwrap();
    fs::create_dir(&seed).unwrap();
    fs::write(seed.join("meta-data"), "local-hostname: basalt\n").unwrap();
    // QEMU shows a folder as a FAT volume.
    let hardware = format!(
        "-fw_cfg name=opt/meseta/config,file={} -blockdev driver=vvfat,node-name=seed,dir={},label=CIDATA,read-only=on \
         -device virtio-blk-pci,drive=seed",
        config.display(),
        seed.display()
    );
    let vm = Vm::boot_on("", &hardware);
    // Each matter is the strongest source's that says something of it.
    let host = source_is(&vm, "seed disk");
    assert_eq!(
        (&host["local_name"], &host["proxy"]),
        (&"basalt.local".into(), &"http://10.0.2.9:3128".into())
    );

    // Serial: the form, what would change, and the change on trial. The address stays, or we would lose the node.
    let mut said = vm.said();
    let mut step = |keys: &str, shows: &str| {
        vm.type_serial(keys);
        said = vm.wait_said(said, shows);
    };
    step("n", "Network of this node");
    step("\x1b[B", "> Addressing");
    step(" ", "static");
    step("\x1b[B10.0.2.15/24\t10.0.2.2", "10.0.2.2_");
    step("\r", "eth0: DHCP → 10.0.2.15/24 via 10.0.2.2");
    step("y", "New network settings are in force");
    // Keyboard: heard on the video console, which knows of the trial as well. The trial's page goes away on both.
    vm.press("y");
    vm.wait_said(said, "r reboot");

    // What was kept is there after the power was cut.
    vm.power_cut();
    vm.start();
    let host = source_is(&vm, "saved on this node");
    assert_eq!(host["local_name"], "basalt.local");

    // Power off by its key; anything but yes goes back.
    let mut said = vm.said();
    for (key, shows) in [("o", "Power this node off?"), ("n", "r reboot"), ("o", "Power this node off?")] {
        vm.type_serial(key);
        said = vm.wait_said(said, shows);
    }
    vm.type_serial("y");
    vm.wait_off();
}
