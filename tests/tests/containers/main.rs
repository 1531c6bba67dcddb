//! Real containers, made by a real init; the tests speak the agent's part. Needs root and cgroups.

mod faults;
mod inside;
mod limits;
mod output;
mod stop;
mod watchdog;

use serde_json::{Value, json};

/// An app that runs one line of shell with small limits.
fn shell(cmd: &str) -> Value {
    json!({ "cmd": cmd, "cpus": 0.5, "mem": 64 })
}
