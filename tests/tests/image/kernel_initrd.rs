//! Kernel and initrd: the same inputs give the same bytes, and few enough of them.

use std::fs;

use tests::vm::{build_image, download_bytes};

/// Must; the aim is 40 MiB.
const DOWNLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[test]
fn the_initrd_is_reproducible_and_small() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for dir in &dirs {
        build_image(dir.path());
    }
    for name in ["kernel", "initrd", "manifest.json"] {
        let [one, two] = dirs.each_ref().map(|dir| fs::read(dir.path().join(name)).unwrap());
        assert!(one == two, "{name} differs between two builds of the same inputs");
    }
    let bytes = download_bytes(dirs[0].path());
    println!("kernel and initrd: {:.1} MiB compressed", bytes as f64 / 1024.0 / 1024.0);
    assert!(bytes <= DOWNLOAD_BYTES_MAX, "{bytes} bytes to download, at most {DOWNLOAD_BYTES_MAX}");
}

#[test]
fn an_image_that_is_up_to_date_is_not_built_again() {
    let dir = tempfile::tempdir().unwrap();
    build_image(dir.path());
    let written = || fs::metadata(dir.path().join("initrd")).unwrap().modified().unwrap();
    let before = written();
    build_image(dir.path());
    assert_eq!(before, written());
    // Torn by a power cut of the builder's machine, say.
    fs::write(dir.path().join("initrd"), "torn").unwrap();
    build_image(dir.path());
    assert!(fs::metadata(dir.path().join("initrd")).unwrap().len() > 1024 * 1024);
}
