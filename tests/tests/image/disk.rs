//! The disk image: the same inputs give the same bytes, whatever form they are brought in.

use std::fs;
use std::path::Path;
use std::process::Command;

use layout::{ESP, SECTOR_BYTES};
use tests::disk::Disk;
use tests::vm::build_images;

#[track_caller]
fn run(dir: &Path, command: &str) -> String {
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-c", command])
        .current_dir(dir)
        .output()
        .expect("bash starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// By tools of others: the table by gdisk, the boot loader's file system by dosfstools, the files by mtools.
#[test]
fn the_disk_image_is_reproducible_and_sound() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for dir in &dirs {
        build_images(dir.path(), &["raw"]);
    }
    let [one, two] = dirs.each_ref().map(|dir| dir.path().join("meseta.raw"));
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "two builds of the same inputs differ");
    let dir = dirs[0].path();
    let checked = run(dir, "sgdisk --verify meseta.raw");
    assert!(checked.contains("No problems found"), "{checked}");
    let disk = Disk::new(&one);
    let esp = disk.partition(ESP);
    fs::write(dir.join("esp"), disk.read(ESP, (esp.sectors() * SECTOR_BYTES) as usize)).unwrap();
    run(dir, "fsck.vfat -n esp");
    for name in ["kernel", "initrd"] {
        assert!(disk.get(&format!("/slotA/{name}")) == fs::read(dir.join(name)).unwrap(), "{name} differs");
    }
    run(dir, "sha256sum --check --strict SHA256SUMS && grep -q ' meseta.raw$' SHA256SUMS");
}

#[test]
fn the_forms_for_hypervisors_hold_the_same_disk() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    build_images(dir, &["raw", "qcow2", "vdi", "vmdk", "ova"]);
    run(dir, "sha256sum --check --strict SHA256SUMS");
    assert_eq!(run(dir, "tar -tf meseta.ova"), "meseta.ovf\nmeseta.mf\nmeseta-disk1.vmdk\n");
    run(
        dir,
        "tar -xf meseta.ova && sed 's/^SHA256(\\(.*\\))= \\(.*\\)$/\\2  \\1/' meseta.mf | sha256sum --check --strict",
    );
    let sizes = run(
        dir,
        "for f in meseta.{qcow2,vdi,vmdk} meseta-disk1.vmdk; do qemu-img info $f | grep 'virtual size'; done",
    );
    assert_eq!(sizes.matches("16 GiB").count(), 4, "{sizes}");
    for other in ["meseta.vdi", "meseta.vmdk", "meseta-disk1.vmdk"] {
        run(dir, &format!("qemu-img compare meseta.qcow2 {other}"));
    }
    run(dir, "qemu-img convert -O raw meseta.qcow2 back.raw");
    let [raw, back] = ["meseta.raw", "back.raw"].map(|name| Disk::new(&dir.join(name)));
    let bytes = (raw.partition(ESP).sectors() * SECTOR_BYTES) as usize;
    assert!(raw.read(ESP, bytes) == back.read(ESP, bytes), "the boot loader's partition differs");
}
