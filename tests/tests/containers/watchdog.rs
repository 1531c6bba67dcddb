//! Init and its watchdog: pinged by a loop that turns and by nothing else.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::json;
use tests::init::Init;
use tests::wait;

/// The shortest timeout there may be, in seconds; four pings fit into it.
const SECONDS: u64 = 5;

#[track_caller]
fn wait_for_pings(init: &Init, count: usize) {
    let probe = || match init.watchdog().len() {
        pings if pings >= count => Ok(()),
        pings => Err(format!("{pings} pings")),
    };
    wait::until(&format!("{count} pings"), wait::DEADLINE, probe, || init.log());
}

#[test]
fn an_init_that_hangs_pings_no_more_and_one_that_ends_says_farewell() {
    let mut init = Init::start_watched();
    let mut agent = init.agent();
    agent.say(json!({ "to_init": "watchdog", "setting": { "seconds": SECONDS } }));
    let told = agent.expect("change of the watchdog", |m| m["from_init"] == "node");
    let note = told["phases"].as_array().and_then(|phases| phases.iter().find(|p| p["name"] == "watchdog"));
    let expected = format!("a watchdog without a name, {SECONDS} s (its timeout is not known)");
    assert_eq!(note.map(|phase| &phase["note"]), Some(&json!(expected)), "{told}");
    wait_for_pings(&init, 4);

    kill(init.pid(), Signal::SIGSTOP).expect("it runs");
    let stat = format!("/proc/{}/stat", init.pid());
    let stopped = || match std::fs::read_to_string(&stat) {
        Ok(line) if line.contains(") T ") => Ok(()),
        other => Err(format!("{other:?}")),
    };
    wait::until("init stands", wait::DEADLINE, stopped, || init.log());
    let (pings, since) = (init.watchdog().len(), Instant::now());
    let timeout = Duration::from_secs(SECONDS);
    let is_over = || if since.elapsed() > timeout { Ok(()) } else { Err("not yet".to_owned()) };
    wait::until("the watchdog would bite", wait::DEADLINE, is_over, || init.log());
    assert_eq!(init.watchdog().len(), pings);

    kill(init.pid(), Signal::SIGCONT).expect("it is there");
    wait_for_pings(&init, pings + 2);
    init.stop();
    let given = init.watchdog();
    assert!(given.ends_with('V') && !given[..given.len() - 1].contains('V'), "{given}");
}

#[test]
fn a_watchdog_that_is_off_is_left_alone() {
    let mut init = Init::start_watched();
    wait_for_pings(&init, 1);
    let mut agent = init.agent();
    agent.say(json!({ "to_init": "watchdog", "setting": "off" }));
    let told = agent.expect("change of the watchdog", |m| m["from_init"] == "node");
    assert!(told.to_string().contains("off, as the settings say"), "{told}");
    init.stop();
    assert_eq!(init.watchdog(), ".V");
}
