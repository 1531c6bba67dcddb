//! The ends that somebody wants.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::init::Init;

use crate::shell;

#[test]
fn a_task_may_clean_up_after_sigterm() {
    let init = Init::start();
    let mut agent = init.agent();
    let task = "polite.1";
    init.run(
        &mut agent,
        task,
        &shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done"),
    );
    ready(&init, task);
    agent.stop(task, 60_000);
    assert_eq!(agent.expect_exit(task), json!({ "code": 7 }));
    init.wait_drained(task);
    assert_eq!(init.output(task, "stdout"), "ready\nbye\n");
}

#[test]
fn a_shell_ends_with_the_command_it_waits_for() {
    let init = Init::start();
    let mut agent = init.agent();
    // Busybox's shell sleeps by itself but for the second, where it is a process of its own that is waited for.
    for (task, cmd) in
        [("waits.1", "echo ready; sleep 1000"), ("waits.2", "echo ready; env sleep 1000; exit 6")]
    {
        init.run(&mut agent, task, &shell(cmd));
        ready(&init, task);
        let start = Instant::now();
        agent.stop(task, 60_000);
        agent.expect_exit(task);
        assert!(start.elapsed() < Duration::from_secs(30), "{cmd} did not hear of the stop");
    }
}

#[test]
fn a_task_that_ignores_sigterm_is_killed_after_the_grace_and_not_before() {
    let init = Init::start();
    let mut agent = init.agent();
    let task = "stubborn.1";
    let cmd = "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo ready; while :; do sleep 1; done";
    init.run(&mut agent, task, &shell(cmd));
    ready(&init, task);
    let start = Instant::now();
    agent.stop(task, 1_500);
    // Asking again never gives it more time.
    agent.stop(task, 600_000);
    assert_eq!(agent.expect_exit(task), json!({ "signal": 9 }));
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1_500) && took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn an_exclusive_task_ends_at_its_deadline_unless_it_is_pushed_on() {
    let init = Init::start();
    let mut agent = init.agent();
    let (ends, stays) = ("exclusive.1", "exclusive.2");
    for task in [ends, stays] {
        init.run(&mut agent, task, &shell("exec sleep 1000"));
    }
    let deadline = |ms: u64| boottime_ms() + ms;
    agent.say(json!({ "to_init": "deadline", "task": stays, "at_boottime_ms": deadline(300) }));
    agent.say(json!({ "to_init": "deadline", "task": stays, "at_boottime_ms": deadline(3_600_000) }));
    agent.say(json!({ "to_init": "deadline", "task": ends, "at_boottime_ms": deadline(700) }));
    // The agent may be gone: the deadline is init's own.
    drop(agent);
    let mut agent = init.agent();
    let world = agent.expect_world();
    if !world["exits"].to_string().contains(ends) {
        assert_eq!(agent.expect_exit(ends), json!({ "signal": 9 }));
    }
    let tasks = init.agent().expect_world()["tasks"].clone();
    assert_eq!(tasks.as_array().map(Vec::len), Some(1), "{tasks}");
    assert_eq!(tasks[0]["task"], stays);
}

#[test]
fn init_takes_everything_down_with_it() {
    let mut init = Init::start();
    let mut agent = init.agent();
    init.run(
        &mut agent,
        "down.1",
        &shell("trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done"),
    );
    init.run(&mut agent, "down.2", &shell("sleep 1000 & sleep 1000"));
    ready(&init, "down.1");
    init.stop();
    assert!(init.census().is_empty(), "{}", init.census());
    assert_eq!(init.output("down.1", "stdout"), "ready\nsaved\n", "the logger leaves last");
}

#[test]
fn power_off_is_accepted_and_then_nothing_new_starts() {
    let mut init = Init::start();
    let mut agent = init.agent();
    let bundle = init.bundle("late.1", &shell("exec sleep 1000"));
    init.run(&mut agent, "early.1", &shell("trap '' TERM; echo ready; while :; do sleep 0.1; done"));
    ready(&init, "early.1");
    agent.say(json!({ "to_init": "power", "reboot": false }));
    agent.expect("acceptance", |m| m["from_init"] == "power_accepted");
    agent.create("late.1", &bundle);
    let answer = agent.expect_about("late.1");
    assert!(answer["message"].as_str().unwrap_or_default().contains("going down"), "{answer}");
    init.wait_end();
    assert!(init.census().is_empty(), "{}", init.census());
}

fn ready(init: &Init, task: &str) {
    let probe = || {
        let text = init.output(task, "stdout");
        if text.contains("ready") { Ok(()) } else { Err(text) }
    };
    tests::wait::until("the task is ready", tests::wait::DEADLINE, probe, || init.log());
}

fn boottime_ms() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).expect("a clock");
    Duration::from(now).as_millis() as u64
}
