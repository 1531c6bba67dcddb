//! A slot that is damaged or never becomes ready: its tries are used up, the other slot runs, and the node shouts it.

use layout::{TRIES_MAX, environment};
use tests::disk::Disk;
use tests::vm::{Hardware, Vm};

const HARDWARE: Hardware = Hardware { uefi: true, devices: "virtio", memory_mib: 512, disk: "2G" };
const MEMORY: &str = "/grub/grubenv";
const INITRD: &str = "/slotA/initrd";
/// Where an erofs begins its superblock, and how.
const EROFS_OFFSET: usize = 1024;
const EROFS_MAGIC: [u8; 4] = 0xe0f5_e1e2_u32.to_le_bytes();
const SETTINGS: &str = "/slotA/slot.env";

/// What the boot loader is to remember: A is wanted, with so many tries; B is whole.
fn remember(disk: &Disk, tries_a: u8) {
    let values =
        [("active", "A".to_owned()), ("tries_A", tries_a.to_string()), ("tries_B", TRIES_MAX.to_string())];
    disk.put(MEMORY, &environment(&values.map(|(name, value)| (name.to_owned(), value))));
}

#[track_caller]
fn wait_for_error(vm: &Vm, expected: &str) {
    vm.wait_for(expected, || {
        let status = vm.http.get("/meseta/v1/node").map_err(|error| error.to_string())?.json();
        let error = status["last_error"].as_str().unwrap_or_default().to_owned();
        if error.contains(expected) { Ok(()) } else { Err(error) }
    });
    vm.wait_for("the screen tells", || {
        let is_there = vm.serial().contains(&format!("last error: {expected}"));
        if is_there { Ok(()) } else { Err("not yet".to_owned()) }
    });
    let page = vm.http.get("/ping").expect("the node answers");
    assert_eq!(page.status, 200);
}

/// The kernel prints its line twice, once under this name.
fn boots(vm: &Vm, slot: &str) -> usize {
    let slot = format!("meseta.slot={slot} ");
    vm.serial().lines().filter(|line| line.contains("Kernel command line: ") && line.contains(&slot)).count()
}

#[test]
fn a_slot_that_fails_leaves_the_machine_to_the_other() {
    let vm = Vm::boot_from_disk(&HARDWARE);
    vm.wait_for("slot A is confirmed", || {
        let is_there = vm.serial().contains("A works, B is empty");
        if is_there { Ok(()) } else { Err("not yet".to_owned()) }
    });
    vm.stop();
    let disk = vm.disk();
    let memory = String::from_utf8(disk.get(MEMORY)).unwrap();
    assert!(memory.contains("tries_A=3"), "the tries were not given back: {memory}");
    disk.make_folder("/slotB");
    let whole = ["kernel", "initrd", "slot.env"].map(|name| (name, disk.get(&format!("/slotA/{name}"))));
    for (name, content) in &whole {
        disk.put(&format!("/slotB/{name}"), content);
    }
    let [(_, kernel), (_, initrd), (_, settings)] = &whole;
    let line = String::from_utf8(settings.clone()).unwrap();
    let line = line.lines().find_map(|line| line.strip_prefix("kernel_line=")).unwrap().to_owned();

    // Its kernel: seen at once, no try is wasted.
    disk.put("/slotA/kernel", &vec![0x5a; 1024 * 1024]);
    remember(&disk, TRIES_MAX);
    vm.start();
    wait_for_error(&vm, "SLOT A WAS GIVEN UP: its kernel cannot be loaded. SLOT B RUNS IN ITS PLACE");
    vm.stop();
    let memory = String::from_utf8(disk.get(MEMORY)).unwrap();
    assert!(memory.contains("tries_A=0") && memory.contains("tries_B=3"), "{memory}");

    // Its initrd is cut short: the boot breaks off, every try of it.
    disk.put("/slotA/kernel", kernel);
    disk.put(INITRD, &initrd[..initrd.len() / 2]);
    disk.put(SETTINGS, &environment(&[("kernel_line".to_owned(), line.replace("panic=10", "panic=1"))]));
    remember(&disk, 2);
    vm.start();
    wait_for_error(&vm, "SLOT A WAS GIVEN UP: none of its boots became ready. SLOT B RUNS IN ITS PLACE");
    assert_eq!(boots(&vm, "A"), 2, "{}", vm.serial_tail());
    vm.stop();

    // All files of its initrd are there, but the root in it is none any more.
    let mut rootless = initrd.clone();
    let root = (0..rootless.len())
        .step_by(4)
        .find(|at| rootless.get(at + EROFS_OFFSET..).is_some_and(|from| from.starts_with(&EROFS_MAGIC)));
    let root = root.expect("the initrd holds the root as it is");
    rootless[root..root + 2 * EROFS_OFFSET].fill(0);
    disk.put(INITRD, &rootless);
    remember(&disk, 1);
    vm.start();
    wait_for_error(&vm, "SLOT A WAS GIVEN UP: none of its boots became ready. SLOT B RUNS IN ITS PLACE");
    assert_eq!(boots(&vm, "A"), 1, "{}", vm.serial_tail());
    vm.stop();

    // It starts, but is not ready in time: one second is never enough.
    disk.put(INITRD, initrd);
    disk.put(SETTINGS, &environment(&[("kernel_line".to_owned(), format!("{line} meseta.ready=1"))]));
    remember(&disk, 1);
    vm.start();
    wait_for_error(&vm, "SLOT A WAS GIVEN UP: none of its boots became ready. SLOT B RUNS IN ITS PLACE");
    assert!(boots(&vm, "A") >= 1, "slot A was not even tried");
}
