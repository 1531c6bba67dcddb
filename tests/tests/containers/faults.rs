//! Whoever of the node's own programs is killed, and whenever: no task is lost track of, and nothing is left over.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tests::init::Init;
use tests::leftovers::Census;

use crate::shell;

#[test]
fn a_task_outlives_its_agent_and_its_exit_waits_for_the_next() {
    let init = Init::start();
    let mut agent = init.agent();
    let task = "survivor.1";
    let pid = init.run(&mut agent, task, &shell("while ! test -e go; do sleep 0.02; done; exit 5"));
    drop(agent);

    let mut agent = init.agent();
    let world = agent.expect_world();
    assert_eq!(world["tasks"], json!([{ "task": task, "pid": pid, "stopping": false }]));
    // Creating it again is answered, not done.
    agent.create(task, "/nowhere");
    assert_eq!(agent.expect_about(task)["pid"], pid);
    drop(agent);

    std::fs::write(init.path("data/tasks").join(task).join("sandbox/go"), "").expect("a file");
    // Nobody is there to be told; each new agent is told until one acknowledges.
    for _ in 0..2 {
        let exits = wait_for_exit(&init, task);
        assert_eq!(exits[0]["exit"], json!({ "code": 5 }), "{exits}");
    }
    let mut agent = init.agent();
    agent.say(json!({ "to_init": "acknowledge", "task": task }));
    let world = init.agent().expect_world();
    assert_eq!((&world["exits"], &world["tasks"]), (&json!([]), &json!([])));
    assert!(!init.path("run/bundles").join(task).exists(), "the bundle goes with the acknowledgement");
}

fn wait_for_exit(init: &Init, task: &str) -> Value {
    let probe = || {
        let world = init.agent().expect_world();
        let ended =
            world["exits"].as_array().is_some_and(|exits| exits.iter().any(|exit| exit["task"] == task));
        if ended { Ok(world["exits"].clone()) } else { Err(world.to_string()) }
    };
    tests::wait::until("the exit is known", tests::wait::DEADLINE, probe, || init.log())
}

/// Points in time over the whole length of a create, each with a fresh helper that is killed.
#[test]
fn a_helper_killed_at_any_moment_leaves_nothing() {
    const POINTS: u32 = 24;
    let init = Init::start();
    let mut agent = init.agent();
    let cmd = shell("echo ran; exec sleep 1000");
    // How long does it take undisturbed?
    let start = Instant::now();
    init.run(&mut agent, "timed.1", &cmd);
    let whole = start.elapsed().max(Duration::from_millis(10));
    agent.stop("timed.1", 0);
    agent.expect_exit("timed.1");
    agent.say(json!({ "to_init": "acknowledge", "task": "timed.1" }));
    let before = settled(&init);

    let (mut failed, mut created) = (0, 0);
    for point in 0..POINTS {
        let task = "killed.1";
        let bundle = init.bundle(task, &cmd);
        let start = Instant::now();
        agent.create(task, &bundle);
        let helper = find_helper(&init, &bundle);
        let moment = whole * point / POINTS;
        while start.elapsed() < moment {
            std::hint::spin_loop();
        }
        if let Some(helper) = helper {
            // It may have ended by now; then the create succeeded.
            let _ = kill(helper, Signal::SIGKILL);
        }
        let answer = agent.expect_about(task);
        if answer["from_init"] == "created" {
            created += 1;
            agent.stop(task, 0);
            agent.expect_exit(task);
            agent.say(json!({ "to_init": "acknowledge", "task": task }));
            let bundle = init.path("run/bundles").join(task);
            let gone = || if bundle.exists() { Err("its bundle is there".to_owned()) } else { Ok(()) };
            tests::wait::until("the end is acknowledged", tests::wait::DEADLINE, gone, || init.log());
        } else {
            failed += 1;
        }
        let after = settled(&init);
        assert_eq!(after, before, "killed {moment:?} into the create, answer {answer}; left:\n{after}");
        assert!(!init.path("run/containers").join(task).exists(), "state of the container");
    }
    assert!(failed >= 3, "only {failed} of {POINTS} kills met a helper, {created} creates succeeded");
    // And the same id can be had again.
    init.run(&mut agent, "killed.1", &cmd);
}

/// The census without the helper's last breath: what an answer of init promises is gone, but the test reads /proc
/// while the kernel still lets go of the zombie.
fn settled(init: &Init) -> Census {
    let init_pid = init.pid().as_raw();
    let logger = init.logger().as_raw();
    let probe = || {
        let census = init.census();
        let strangers: Vec<_> =
            census.processes.iter().filter(|(pid, _)| **pid != init_pid && **pid != logger).collect();
        if strangers.is_empty() { Ok(census.clone()) } else { Err(format!("{strangers:?}")) }
    };
    tests::wait::until("only init and its logger are left", tests::wait::DEADLINE, probe, || init.log())
}

fn find_helper(init: &Init, bundle: &str) -> Option<Pid> {
    let children = format!("/proc/{0}/task/{0}/children", init.pid());
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(500) {
        let pids = std::fs::read_to_string(&children).unwrap_or_default();
        let is_helper = |pid: &&str| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains("create") && line.contains(bundle)
        };
        if let Some(pid) = pids.split_whitespace().find(is_helper) {
            return pid.parse().ok().map(Pid::from_raw);
        }
    }
    None
}

#[test]
fn a_new_init_cleans_up_after_one_that_was_killed() {
    let mut init = Init::start();
    let mut agent = init.agent();
    init.run(&mut agent, "ended.1", &shell("exit 4"));
    agent.expect_exit("ended.1");
    let pid =
        init.run(&mut agent, "orphan.1", &shell("trap '' TERM; sleep 1000 & while :; do sleep 1; done"));
    drop(agent);
    init.kill();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "its task is an orphan");

    init.launch();
    let mut agent = init.agent();
    let world = agent.expect_world();
    let told = |task: &str| {
        world["exits"]
            .as_array()
            .and_then(|exits| exits.iter().find(|e| e["task"] == task))
            .map(|e| e["exit"].clone())
    };
    assert_eq!(told("ended.1"), Some(json!({ "code": 4 })), "{world}");
    let orphan = told("orphan.1").unwrap_or_else(|| agent.expect_exit("orphan.1"));
    assert_eq!(orphan, json!("unknown"));
    for task in ["ended.1", "orphan.1"] {
        agent.say(json!({ "to_init": "acknowledge", "task": task }));
    }
    settled(&init);
}

#[test]
fn nonsense_on_the_socket_costs_only_the_connection() {
    let init = Init::start();
    let mut good = init.agent();
    good.expect_world();
    for nonsense in [
        &b"not json"[..],
        b"{}",
        br#"{"format":2,"message":{"to_init":"power","reboot":true}}"#,
        br#"{"format":1,"message":{"to_init":"unheard of"}}"#,
        br#"{"format":1,"message":{"to_init":"stop","task":"../../etc","grace_ms":0}}"#,
    ] {
        let mut bad = init.agent();
        bad.expect_world();
        bad.say_raw(nonsense);
        assert!(bad.is_closed(), "{}", String::from_utf8_lossy(nonsense));
    }
    let mut agent = init.agent();
    let (exit, ..) = init.run_to_end(&mut agent, "after.1", &shell("exit 0"));
    assert_eq!(exit, json!({ "code": 0 }));
}

#[test]
fn a_bundle_that_is_not_there_fails_the_create() {
    let init = Init::start();
    let mut agent = init.agent();
    let before = settled(&init);
    agent.create("nothing.1", "/nowhere/at/all");
    let answer = agent.expect_about("nothing.1");
    assert!(answer["message"].as_str().unwrap_or_default().contains("/nowhere/at/all"), "{answer}");
    assert_eq!(settled(&init), before);
}
