//! Rules for every source file.

use crate::tree::{code, files, is_test_file, names, read, report, rust_files};

const LINES_MAX: usize = 500;
/// Longer lines are written by programs: minified scripts, data in disguise.
const LINE_BYTES_MAX: usize = 1_000;
const FILE_BYTES_MAX: usize = 200 * 1024;

/// Where the clock may be read outside tests, and why. Everywhere else time is a value that is handed in.
const CLOCKS: [(&str, &str); 8] = [
    ("node/cluster/examples/", "they measure"),
    ("node/cluster/src/clock", "the one source of cluster time and of deadlines in the cluster"),
    ("node/src/net/clock", "saves the machine's own clock over a power cut"),
    ("node/src/net/ntp/keeper", "compares the machine's own clock with others and sets it"),
    ("node/src/net/dhcp/client", "leases run out; the machine beside it gets the time handed in"),
    ("node/src/api/clock.rs", "guesses of passwords are limited per node, not per cluster"),
    ("node/src/s3/mod.rs", "servers compare the time in a request's signature with their own"),
    ("console/src/backend.rs", "sessions expire by the time of whoever serves them; tests hand in their own"),
];

#[test]
fn clocks_are_read_in_few_places() {
    let mut findings = Vec::new();
    let mut used = [false; CLOCKS.len()];
    for (path, text) in rust_files().filter(|(p, _)| !is_test_file(p)) {
        for (number, line) in code(&text) {
            if !names(line, "Instant::now") && !names(line, "SystemTime::now") {
                continue;
            }
            match CLOCKS.iter().position(|(place, _)| path.starts_with(place)) {
                Some(row) => used[row] = true,
                None => findings.push(format!("{path}:{number} {}", line.trim())),
            }
        }
    }
    report("The clock is read only in the places of CLOCKS", &findings);
    let idle: Vec<String> = CLOCKS
        .iter()
        .zip(used)
        .filter(|(_, used)| !used)
        .map(|((place, _), _)| (*place).to_owned())
        .collect();
    report("Rows of CLOCKS that no source needs any more", &idle);
}

#[test]
fn nothing_is_unfinished_or_switched_off() {
    // Put together here so that this file does not find itself.
    let marks = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ign", "ore"),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
    ];
    let mut findings = Vec::new();
    for path in files().iter().filter(|p| is_written_by_us(p)) {
        for (index, line) in read(path).lines().enumerate() {
            findings.extend(
                marks
                    .iter()
                    .filter(|mark| line.contains(**mark))
                    .map(|mark| format!("{path}:{} {mark}", index + 1)),
            );
        }
    }
    report("Nothing in the tree is left for later or switched off", &findings);
}

fn is_written_by_us(path: &str) -> bool {
    let kinds = [".rs", ".sh", ".html", ".css", ".js", ".toml", ".md", ".c", ".txt", ".py"];
    !path.starts_with("tests/seed/")
        && (kinds.iter().any(|k| path.ends_with(k)) || path.starts_with("scripts/"))
}

#[test]
fn files_hold_one_idea() {
    let mut findings = Vec::new();
    for path in files().iter().filter(|p| is_written_by_us(p) && !p.ends_with(".md")) {
        let lines = read(path).lines().count();
        if lines > LINES_MAX {
            findings.push(format!("{path} has {lines} lines"));
        }
    }
    report(&format!("Sources have at most {LINES_MAX} lines"), &findings);
}

#[test]
fn every_module_says_what_it_is_for() {
    let findings: Vec<String> = rust_files()
        .filter(|(path, text)| !is_test_file(path) && !text.starts_with("//!"))
        .map(|(path, _)| path)
        .collect();
    report("Every source begins with its purpose (//!)", &findings);
}

#[test]
fn nothing_of_others_is_committed() {
    let mut findings = Vec::new();
    for path in files() {
        if path.contains(".min.") || path.contains("vendor/") || path.contains("node_modules/") {
            findings.push(format!("{path}: third-party code is fetched at set-up, with a pinned checksum"));
            continue;
        }
        if path.ends_with(".png") || path.ends_with(".ico") || path == "Cargo.lock" {
            continue;
        }
        let bytes = std::fs::read(crate::tree::root().join(&path)).unwrap();
        match std::str::from_utf8(&bytes) {
            Err(_) => findings.push(format!("{path} is not text")),
            Ok(_) if bytes.len() > FILE_BYTES_MAX => {
                findings.push(format!("{path} has {} bytes", bytes.len()))
            }
            Ok(text) if is_written_by_us(&path) && text.lines().any(|l| l.len() > LINE_BYTES_MAX) => {
                findings.push(format!("{path} has a line of more than {LINE_BYTES_MAX} bytes"));
            }
            Ok(_) => {}
        }
    }
    report("The tree holds what people wrote for it", &findings);
}
