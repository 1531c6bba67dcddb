//! The map, the scripts, and the article's JSON.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::tree::{files, read, report, root};

/// The article's apps, byte for byte as people paste them. SHA-256.
const SEEDS: [(&str, &str); 8] = [
    ("bridged-webapp.json", "5fa0a267dcbc1fbd1059d651b0ef802edef775f45ef7b85c5f1cc4078089b9fc"),
    ("docker.json", "c194edc6ae190413d0cd94a494e98435de6961a55b4552449a5fd902b3adf49e"),
    ("hello2.json", "f8fa90965c6b056a7361104ea6b86c88f27f9124fcf8c4360409cd410268fa0e"),
    ("nginx-external.as-printed.txt", "ec6513919a4a07332f9cb3e357a0dc609ec1c17d1d460cdda5b9151d299b883a"),
    ("nginx-external.json", "3f8a9bf4d2def336f94a12206bf95747a1967eeb0aecab5341780690750ed113"),
    ("nginx-internal.json", "bc7565b9cdd40e3186162e120dfae6a3ef1ce29544f4c9068dd02e013f56d483"),
    ("nginx.json", "fc264ed51c0672473727ccf5dc7353217a699f90ebb374e9428549c67f289c6a"),
    ("python-app.json", "12c94fd5683356eea5a962d91785bd76da2de9ec29d2a60e56a21ccf0352a9cb"),
];

#[test]
fn the_seed_is_as_the_article_printed_it() {
    for (name, expected) in SEEDS {
        let bytes = fs::read(root().join("tests/seed").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let sum: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(sum, expected, "tests/seed/{name} was changed");
    }
    let count = fs::read_dir(root().join("tests/seed")).unwrap().count();
    assert_eq!(count, SEEDS.len(), "a file in tests/seed has no row here");
}

#[test]
fn the_map_names_every_crate_and_folder() {
    let map = read("ARCHITECTURE.md");
    let files = files();
    let crates = files.iter().filter_map(|f| f.strip_suffix("/Cargo.toml")).map(str::to_owned);
    let folders = files.iter().filter_map(|f| f.split_once('/')).map(|(folder, _)| folder.to_owned());
    let mut places: Vec<String> = crates.chain(folders).filter(|p| !p.starts_with('.')).collect();
    places.sort();
    places.dedup();
    assert!(places.len() >= 6, "{places:?}");
    places.retain(|place| !map.contains(&format!("`{place}`")) && !map.contains(&format!("`{place}/")));
    report("ARCHITECTURE.md does not name", &places);
}

#[test]
fn scripts_are_executable_and_parse() {
    let scripts: Vec<String> =
        files().into_iter().filter(|f| f.starts_with("scripts/") || f == ".ci/run").collect();
    let mut findings = Vec::new();
    for path in scripts {
        let text = read(&path);
        let is_library = path.ends_with(".sh");
        let mode = fs::metadata(root().join(&path)).unwrap().permissions().mode();
        if !is_library && mode & 0o111 == 0 {
            findings.push(format!("{path} is not executable"));
        }
        let shell = match text.lines().next().unwrap_or_default() {
            "#!/usr/bin/env bash" => "bash",
            "#!/bin/sh" => "sh",
            _ if is_library => "bash",
            other => {
                findings.push(format!("{path} begins with `{other}`"));
                continue;
            }
        };
        let parsed = Command::new(shell).arg("-n").arg(root().join(&path)).output().unwrap();
        if !parsed.status.success() {
            findings.push(format!("{path}: {}", String::from_utf8_lossy(&parsed.stderr)));
        }
    }
    report("Scripts run as they are", &findings);
}

#[test]
fn the_scripts_people_rely_on_are_there() {
    let names = ["run", "test", "lab", "ctl", "bench", "fix"];
    let missing: Vec<String> =
        names.iter().filter(|n| !root().join("scripts").join(n).exists()).map(|n| (*n).to_owned()).collect();
    report("Missing in scripts/", &missing);
    assert!(root().join(".ci/run").exists(), ".ci/run is missing");
}

#[test]
fn dependencies_are_locked() {
    let asked = ["ls-files", "--error-unmatch", "Cargo.lock"];
    let tracked = Command::new("git").args(asked).current_dir(root()).output().unwrap();
    assert!(tracked.status.success(), "Cargo.lock is not committed");
}
