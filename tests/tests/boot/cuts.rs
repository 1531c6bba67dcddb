//! The power cut at random moments, from the firmware's first instruction to amid writes: it always boots, and nothing
//! acknowledged is lost.
//!
//! `MESETA_POWER_CUTS=20 scripts/test random_moments` is the long form, `MESETA_SEED` replays one.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tests::vm::{Hardware, Vm};
use tests::wait;

const HARDWARE: Hardware = Hardware { uefi: false, devices: "virtio", memory_mib: 512, disk: "2G" };
const CUTS: u64 = 3;
/// A boot takes about half of it where these tests run.
const LAST_MOMENT_MS: u64 = 25_000;

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, expected a number")))
}

/// Creates one app after the other until it is stopped; those that were acknowledged are remembered.
fn write(vm: &Vm, cut: u64, acknowledged: &Mutex<BTreeSet<String>>, stop: &AtomicBool) {
    for number in 0.. {
        let id = format!("c{cut}n{number}");
        let app = json!({ "id": format!("/marker/{id}"), "cmd": "true", "instances": 0 }).to_string();
        loop {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            match vm.http.post("/v2/apps", &app) {
                Ok(answer) if answer.status == 201 => break,
                _ => wait::pause(),
            }
        }
        acknowledged.lock().unwrap().insert(id);
    }
}

#[test]
fn power_cut_at_random_moments() {
    let seed = from_environment("MESETA_SEED").unwrap_or_else(|| rand::rng().random());
    let cuts = from_environment("MESETA_POWER_CUTS").unwrap_or(CUTS);
    println!("MESETA_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let vm = Vm::boot_from_disk(&HARDWARE);
    let app = json!({ "id": "/long", "cmd": "sleep 100000", "cpus": 0.1, "mem": 16, "instances": 1 });
    vm.http.post("/v2/apps", app.to_string()).unwrap().expect(201);
    let first = vm.wait_task("long", "");
    vm.power_cut();

    let acknowledged = Mutex::new(BTreeSet::new());
    let mut moments = Vec::new();
    for cut in 0..cuts {
        let moment = random.random_range(0..LAST_MOMENT_MS);
        let stop = AtomicBool::new(false);
        let before = acknowledged.lock().unwrap().len();
        std::thread::scope(|scope| {
            let boot = vm.power_on();
            scope.spawn(|| write(&vm, cut, &acknowledged, &stop));
            // The moment itself is what is tested; nothing is waited for.
            std::thread::sleep(Duration::from_millis(moment));
            vm.power_cut();
            stop.store(true, Ordering::Relaxed);
            boot.ended();
        });
        moments.push((moment, acknowledged.lock().unwrap().len() - before));
        println!("cut after {moment} ms: {} acknowledged", moments[cut as usize].1);
    }
    vm.start();
    for id in acknowledged.lock().unwrap().iter() {
        let answer = vm.http.get(&format!("/v2/apps/marker/{id}")).unwrap();
        assert_eq!(answer.status, 200, "acknowledged, then gone: {id} of {moments:?}, seed {seed}: {answer}");
    }
    vm.wait_task("long", &first);
    let status = vm.http.get("/meseta/v1/node").unwrap().json();
    assert_eq!(status["last_error"], "", "{moments:?}, seed {seed}");
}
