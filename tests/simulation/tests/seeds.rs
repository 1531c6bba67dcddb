//! The runs of each CI, and whether they would find what is wrong. Built in release, or they take minutes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use simulation::{Bug, Options, Report, run};

const SECONDS: u64 = 90;
const SEEDS: u64 = 40;
/// Within so many seeds a bug has to be found.
const FOUND_WITHIN: u64 = 120;

fn play(seed: u64, bug: Option<Bug>) -> Report {
    run(&Options { seed, bug, seconds: SECONDS })
}

/// Runs of the seeds from 1 on, in their order, on all processors; no more of them once one went wrong.
fn sweep(seeds: u64, bug: Option<Bug>) -> Vec<(u64, Report)> {
    let (next, went_wrong) = (AtomicU64::new(1), AtomicBool::new(false));
    let work = || {
        let mut reports = Vec::new();
        while !went_wrong.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > seeds {
                break;
            }
            let report = play(seed, bug);
            went_wrong.fetch_or(report.violation.is_some(), Ordering::Relaxed);
            reports.push((seed, report));
        }
        reports
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut reports: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no run panics")).collect()
    });
    reports.sort_by_key(|(seed, _)| *seed);
    reports
}

#[test]
fn no_seed_breaks_what_must_hold_and_every_one_heals() {
    let reports = sweep(SEEDS, None);
    for (seed, report) in &reports {
        let film = || report.film.join("\n");
        assert_eq!(report.violation, None, "seed {seed}; its film:\n{}", film());
    }
    let sum = |of: fn(&Report) -> u64| reports.iter().map(|(_, report)| of(report)).sum::<u64>();
    println!(
        "{} seeds of {SECONDS} s: {} faults, {} leaders, {} writes acknowledged, {} reads, {} exclusive tasks, {} fenced, {} machines replaced",
        reports.len(),
        sum(|report| report.counts.faults),
        sum(|report| report.counts.leaders),
        sum(|report| report.counts.acknowledged),
        sum(|report| report.counts.reads),
        sum(|report| report.counts.exclusive),
        sum(|report| report.counts.fenced),
        sum(|report| report.counts.removed),
    );
    assert!(sum(|report| report.counts.fenced) > 0, "no lease ever ended");
    assert!(sum(|report| report.counts.removed) > 0, "no machine was ever replaced");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (one, same, other) = (play(7, None), play(7, None), play(8, None));
    assert!(one.film == same.film, "two films of one seed");
    assert!(one.film != other.film);
}

#[test]
fn every_bug_is_found() {
    for bug in Bug::ALL {
        let reports = sweep(FOUND_WITHIN, Some(bug));
        let found = reports.iter().find_map(|(seed, report)| Some((seed, report.violation.as_ref()?)));
        let (seed, violation) =
            found.unwrap_or_else(|| panic!("{bug:?} is not found within {FOUND_WITHIN} seeds"));
        println!("{bug:?}: found by seed {seed}: {violation}");
    }
}
