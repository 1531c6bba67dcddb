//! Rows 1 and 3: what is downloaded, and how long a machine needs from its first program to the console.

use super::{Row, Settings};
use crate::vm::{Vm, build_image, download_bytes};

/// Boots measured, after the one that formats the disk.
const BOOTS: usize = 5;

pub fn size(_: &Settings) -> anyhow::Result<Vec<Row>> {
    let image = tempfile::tempdir()?;
    build_image(image.path());
    Ok(vec![Row {
        target: 1,
        what: "kernel + initrd to download, zstd -19".into(),
        unit: "MB",
        must: Some(64.0),
        aim: Some(40.0),
        samples: vec![download_bytes(image.path()) as f64 / 1e6],
        note: "no Docker engine, no HAProxy yet".into(),
    }])
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
    Ok(vec![
        row(
            "init starts → console answers 200",
            Some(6_000.0),
            Some(2_000.0),
            times.iter().map(|t| t.init_to_console_ms).collect(),
        ),
        row("the guest's kernel before that", None, None, times.iter().map(|t| t.kernel_ms).collect()),
    ])
}
