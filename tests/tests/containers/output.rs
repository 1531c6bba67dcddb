//! Output: whatever a task does and whoever is killed, no byte of it is lost.

use nix::sys::signal::{Signal, kill};
use serde_json::json;
use tests::init::Init;

use crate::shell;

const LINES: usize = 20_000;

#[test]
fn no_byte_is_lost_when_the_logger_is_killed_again_and_again() {
    let init = Init::start();
    let mut agent = init.agent();
    let task = "lines.1";
    let cmd = format!("i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done");
    init.run(&mut agent, task, &shell(&cmd));
    let mut kills = 0;
    while !init.output(task, "stdout").contains(&format!("line {}\n", LINES - 1)) {
        kill(init.logger(), Signal::SIGKILL).expect("it is there");
        kills += 1;
        tests::wait::pause();
    }
    assert_eq!(agent.expect_exit(task), json!({ "code": 0 }));
    init.wait_drained(task);
    let output = init.output(task, "stdout");
    let expected: String = (0..LINES).map(|i| format!("line {i}\n")).collect();
    assert!(output == expected, "{} bytes instead of {} after {kills} kills", output.len(), expected.len());
    assert!(kills >= 2, "the logger was killed only {kills} times");
}

#[test]
fn output_written_while_nobody_listens_is_kept() {
    let init = Init::start();
    let mut agent = init.agent();
    let task = "unheard.1";
    let logger = init.logger();
    kill(logger, Signal::SIGSTOP).expect("it is there");
    init.run(&mut agent, task, &shell("echo first; echo second >&2"));
    agent.expect_exit(task);
    agent.say(json!({ "to_init": "acknowledge", "task": task }));
    kill(logger, Signal::SIGKILL).expect("it is there");
    init.wait_drained(task);
    assert_eq!(
        (init.output(task, "stdout").as_str(), init.output(task, "stderr").as_str()),
        ("first\n", "second\n")
    );
}

#[test]
fn programs_that_reopen_their_output_work_also_without_root() {
    let init = Init::start();
    let mut agent = init.agent();
    for (task, user) in [("reopen.1", "root"), ("reopen.2", "nobody")] {
        let mut app =
            shell("echo one; echo two > /dev/stdout; echo three >> /proc/self/fd/1; echo four > /dev/stderr");
        app["user"] = json!(user);
        let (exit, stdout, stderr) = init.run_to_end(&mut agent, task, &app);
        assert_eq!(exit, json!({ "code": 0 }), "{user}: {stderr}");
        assert_eq!((stdout.as_str(), stderr.as_str()), ("one\ntwo\nthree\n", "four\n"), "{user}");
    }
}

#[test]
fn a_task_that_plants_links_in_its_sandbox_reaches_nothing() {
    let init = Init::start();
    let mut agent = init.agent();
    let victim = init.path("victim");
    std::fs::write(&victim, "precious").expect("a file");
    let task = "planted.1";
    let target = victim.display();
    let cmd =
        format!("rm -f stdout; ln -s {target} stdout; rm -f stderr; mkfifo stderr; echo planted; sleep 1000");
    init.run(&mut agent, task, &shell(&cmd));
    let link = init.path("data/tasks").join(task).join("sandbox/stderr");
    let planted = || {
        let kind = link.symlink_metadata().map_err(|e| e.to_string())?.file_type();
        if kind.is_file() { Err("still a file".to_owned()) } else { Ok(()) }
    };
    tests::wait::until("the traps are set", tests::wait::DEADLINE, planted, || init.log());
    // A new logger opens the files anew, by name.
    kill(init.logger(), Signal::SIGKILL).expect("it is there");
    agent.stop(task, 0);
    agent.expect_exit(task);
    init.wait_drained(task);
    assert_eq!(std::fs::read_to_string(&victim).expect("the file"), "precious");
}

#[test]
fn a_chatty_task_does_not_fill_the_disk() {
    use std::os::unix::fs::MetadataExt;
    const LIMIT_BYTES: u64 = 10 * 1024 * 1024;
    let init = Init::start();
    let mut agent = init.agent();
    let task = "chatty.1";
    let mut app =
        shell("yes 0123456789012345678901234567890123456789 | head -c 40000000; echo; echo the end");
    app["cpus"] = json!(2);
    init.run(&mut agent, task, &app);
    agent.expect_exit(task);
    init.wait_drained(task);
    let file = init.path("data/tasks").join(task).join("sandbox/stdout");
    let meta = std::fs::metadata(&file).expect("the file");
    assert_eq!(meta.len(), 40_000_000 + "\nthe end\n".len() as u64, "offsets count every byte ever written");
    let on_disk = meta.blocks() * 512;
    assert!(on_disk < LIMIT_BYTES + 2 * 1024 * 1024, "{on_disk} bytes on disk");
    assert!(on_disk > LIMIT_BYTES / 2, "{on_disk} bytes on disk");
    let bytes = std::fs::read(&file).expect("the file");
    assert!(bytes.ends_with(b"\nthe end\n"));
}
