//! Who may depend on whom, and what the pure crate may name.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::tree::{code, is_test_file, names, report, root, rust_files};

/// Crates of ours and those of ours they may use: console → model ← cluster; node → all three;
/// the disk's layout is shared by whoever writes it and whoever reads it; the rest alone.
const DIRECTIONS: [(&str, &[&str]); 10] = [
    ("base2histogram", &[]),
    ("model", &[]),
    ("cluster", &["model"]),
    ("console", &["model"]),
    ("meseta", &["cluster", "console", "layout", "model"]),
    ("image", &["layout"]),
    ("layout", &[]),
    ("early", &[]),
    ("simulation", &["cluster", "model"]),
    ("tests", &["layout", "model"]),
];

/// Crates without runtime, clock, randomness or I/O.
const PURE: [&str; 7] = ["imbl", "regex-lite", "serde", "serde_json", "sha1", "sha2", "thiserror"];

/// What `model` may not name outside its tests, and why.
const IMPURE: [(&str, &str); 17] = [
    ("Instant", "time comes in with commands"),
    ("SystemTime", "time comes in with commands"),
    ("std::fs", "no I/O"),
    // The traits of std::io do nothing by themselves: bytes are written into memory and hashes.
    ("std::io::stdin", "no I/O"),
    ("std::io::stdout", "no I/O"),
    ("std::io::stderr", "no I/O"),
    ("println!", "no I/O"),
    ("TcpStream", "no network"),
    ("TcpListener", "no network"),
    ("UdpSocket", "no network"),
    ("std::thread", "no threads"),
    ("std::process", "no processes"),
    ("std::env", "no environment: a node's settings are not the cluster's"),
    ("rand", "randomness comes in with commands"),
    ("HashMap", "its order differs from process to process; use BTreeMap"),
    ("HashSet", "its order differs from process to process; use BTreeSet"),
    ("f32", "floats differ; integers with a unit do not"),
];

/// The workspace as cargo understands it.
fn packages() -> BTreeMap<String, Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().clone();
    packages.into_iter().map(|p| (p["name"].as_str().unwrap().to_owned(), p)).collect()
}

/// Names of the dependencies of a package for which `keep` holds.
fn dependencies(package: &Value, keep: impl Fn(&Value) -> bool) -> BTreeSet<&str> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.filter(|d| keep(d)).map(|d| d["name"].as_str().unwrap()).collect()
}

#[test]
fn dependencies_point_one_way() {
    let packages = packages();
    let mut findings = Vec::new();
    for (name, package) in &packages {
        let Some((_, allowed)) = DIRECTIONS.iter().find(|(of, _)| of == name) else {
            findings.push(format!("crate {name} has no row in DIRECTIONS"));
            continue;
        };
        let ours = dependencies(package, |d| d["source"].is_null());
        findings
            .extend(ours.iter().filter(|d| !allowed.contains(d)).map(|d| format!("{name} depends on {d}")));
    }
    assert_eq!(packages.len(), DIRECTIONS.len(), "{:?}", packages.keys());
    report("Crates see only what lies below them", &findings);
}

#[test]
fn model_is_pure_by_its_manifest() {
    let packages = packages();
    let needed = dependencies(&packages["model"], |d| d["kind"].is_null() || d["kind"] == "build");
    assert!(needed.contains("serde"), "{needed:?}");
    let findings: Vec<String> =
        needed.iter().filter(|d| !PURE.contains(d)).map(|d| (*d).to_owned()).collect();
    report("model depends on pure crates only", &findings);
}

#[test]
fn model_is_pure_by_its_sources() {
    let mut findings = Vec::new();
    let mut files = 0;
    for (path, text) in rust_files().filter(|(p, _)| p.starts_with("node/model/src/") && !is_test_file(p)) {
        files += 1;
        for (number, line) in code(&text) {
            for (word, why) in IMPURE.iter().filter(|(word, _)| names(line, word)) {
                findings.push(format!("{path}:{number} names {word}: {why}"));
            }
        }
    }
    assert!(files > 10, "only {files} sources of model were found");
    report("model has no clock, randomness or I/O", &findings);
}
