//! Rows 1 and 3: what is downloaded, and how long a machine needs to its console: from its first program on, and from
//! power on by firmware.

use super::{Row, Settings};
use crate::vm::{Hardware, Vm, build_images, disk_download_bytes, download_bytes};

/// Boots measured, after the one that formats the disk.
const BOOTS: usize = 5;

pub fn size(_: &Settings) -> anyhow::Result<Vec<Row>> {
    let image = tempfile::tempdir()?;
    build_images(image.path(), &["raw"]);
    let row = |what: &str, bytes: u64| Row {
        target: 1,
        what: what.into(),
        unit: "MB",
        must: Some(64.0),
        aim: Some(40.0),
        samples: vec![bytes as f64 / 1e6],
        note: "no Docker engine".into(),
    };
    Ok(vec![
        row("disk image to download, zstd -19", disk_download_bytes(image.path())),
        row("kernel + initrd to download, zstd -19", download_bytes(image.path())),
    ])
}

/// From power on, QEMU's own start included, by BIOS and by UEFI on virtio.
fn by_firmware() -> Vec<Row> {
    let firmwares = [("SeaBIOS", false), ("OVMF", true)];
    let rows = firmwares.map(|(name, uefi)| {
        let vm = Vm::boot_from_disk(&Hardware { uefi, devices: "virtio", memory_mib: 512, disk: "16G" });
        let samples = (0..BOOTS).map(|_| {
            vm.stop();
            vm.measure_power_on() as f64
        });
        Row {
            target: 3,
            what: format!("power on → console answers 200, disk image by {name}"),
            unit: "ms",
            must: None,
            aim: None,
            samples: samples.collect(),
            note: "QEMU, -smp 1".into(),
        }
    });
    rows.into()
}

/// Under whatever QEMU has here, TCG without KVM: one processor, disk formatted before.
pub fn boot(_: &Settings) -> anyhow::Result<Vec<Row>> {
    let vm = Vm::boot();
    let times: Vec<_> = (0..BOOTS)
        .map(|_| {
            vm.stop();
            vm.measure_start()
        })
        .collect();
    let row = |what: &str, must, aim, samples: Vec<u64>| Row {
        target: 3,
        what: what.into(),
        unit: "ms",
        must,
        aim,
        samples: samples.into_iter().map(|ms| ms as f64).collect(),
        note: "QEMU, -smp 1".into(),
    };
    let mut rows = vec![
        row(
            "init starts → console answers 200",
            Some(6_000.0),
            Some(2_000.0),
            times.iter().map(|t| t.init_to_console_ms).collect(),
        ),
        row("the guest's kernel before that", None, None, times.iter().map(|t| t.kernel_ms).collect()),
    ];
    drop(vm);
    rows.extend(by_firmware());
    Ok(rows)
}
