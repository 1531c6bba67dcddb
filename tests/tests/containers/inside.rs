//! What a task is, seen from inside.

use serde_json::json;
use tests::init::Init;

use crate::shell;

/// Docker's fourteen default capabilities without MKNOD (bit 27).
const CAPABILITIES: u64 = 0xa804_25fb & !(1 << 27);

#[test]
fn a_task_says_hello_and_ends() {
    let init = Init::start();
    let mut agent = init.agent();
    let (exit, stdout, stderr) =
        init.run_to_end(&mut agent, "hello.1", &shell("echo hello; echo oops >&2; exit 3"));
    assert_eq!(exit, json!({ "code": 3 }));
    assert_eq!((stdout.as_str(), stderr.as_str()), ("hello\n", "oops\n"));
}

#[test]
fn every_way_to_end_is_told_apart() {
    let init = Init::start();
    let mut agent = init.agent();
    for (n, (cmd, expected)) in [
        ("exit 0", json!({ "code": 0 })),
        ("exit 255", json!({ "code": 255 })),
        // The first process of a namespace cannot kill itself with a signal it does not handle, but by a fault.
        ("exec /bin/busybox sh -c 'ulimit -c 0; ulimit -t 1; while :; do :; done'", json!({ "signal": 9 })),
        ("no-such-program", json!({ "code": 127 })),
    ]
    .into_iter()
    .enumerate()
    {
        let (exit, _, stderr) = init.run_to_end(&mut agent, &format!("end.{n}"), &shell(cmd));
        assert_eq!(exit, expected, "{cmd}: {stderr}");
    }
}

#[test]
fn a_command_that_cannot_run_is_refused_with_its_name() {
    let init = Init::start();
    let mut agent = init.agent();
    for (n, (args, words)) in [
        (json!(["no-such-program"]), ["no-such-program", "does not exist in PATH"]),
        (json!(["/bin/nothing"]), ["/bin/nothing", "does not exist"]),
        (json!(["/etc/passwd"]), ["/etc/passwd", "not an executable file"]),
    ]
    .into_iter()
    .enumerate()
    {
        let task = format!("bad.{n}");
        let bundle = init.bundle(&task, &json!({ "args": args, "cpus": 0.1, "mem": 32 }));
        agent.create(&task, &bundle);
        let answer = agent.expect_about(&task);
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(words.iter().all(|word| message.contains(word)), "{answer}");
    }
    // A file that looks executable but is not: only the kernel finds out, after the start.
    let (exit, _, stderr) =
        init.run_to_end(&mut agent, "bad.format", &shell("printf '\\001\\002' > x; chmod +x x; exec ./x"));
    assert!(exit == json!({ "code": 126 }) || exit == json!({ "code": 127 }), "{exit}");
    assert!(!stderr.is_empty());
}

#[test]
fn rights_are_those_of_docker_without_mknod_also_for_an_exec() {
    let init = Init::start();
    let mut agent = init.agent();
    let task = "rights.1";
    init.run(&mut agent, task, &shell("cat /proc/self/status; exec sleep 1000"));
    let exec = init.exec(task, &["cat", "/proc/self/status"]);
    assert!(exec.status.success(), "{}", String::from_utf8_lossy(&exec.stderr));
    let inner = tests::wait::until(
        "the task prints its status",
        tests::wait::DEADLINE,
        || Some(init.output(task, "stdout")).filter(|text| text.contains("ctxt")).ok_or_else(String::new),
        || init.log(),
    );
    for (who, status) in [("task", inner), ("exec", String::from_utf8_lossy(&exec.stdout).into_owned())] {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{who} has no {name} in {status}")).trim().to_owned()
        };
        assert_eq!(field("Seccomp:"), "2", "{who}");
        assert_eq!(field("NoNewPrivs:"), "1", "{who}");
        for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
            let mask = u64::from_str_radix(&field(set), 16).expect("hexadecimal");
            assert_eq!(mask, CAPABILITIES, "{who} {set} {mask:x}");
        }
        for set in ["CapAmb:", "SigBlk:", "SigIgn:"] {
            assert_eq!(field(set), "0000000000000000", "{who} {set}");
        }
    }
    // An exec's exit code is the command's.
    assert_eq!(init.exec(task, &["sh", "-c", "exit 42"]).status.code(), Some(42));
    let missing = init.exec(task, &["no-such-program"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no-such-program"), "{missing:?}");
    agent.stop(task, 0);
    assert_eq!(agent.expect_exit(task), json!({ "signal": 9 }));
}

#[test]
fn what_is_forbidden_fails() {
    let init = Init::start();
    let mut agent = init.agent();
    let cmd = "
        mknod node b 8 0 && echo made a device
        mount -t tmpfs none /tmp && echo mounted
        unshare -m true && echo left the namespace
        echo 1 > /proc/sys/kernel/printk && echo wrote a setting
        echo b > /proc/sysrq-trigger && echo triggered
        touch /sys/x && echo wrote into sys
        cat /proc/kcore | head -c 1 | grep -q . && echo read memory
        head -c 1 /dev/vda 2>/dev/null && echo read the disk
        hostname hacked 2>/dev/null && echo renamed
        echo x > /etc/hosts && echo wrote the hosts
        for device in null zero full random urandom tty ptmx; do test -e /dev/$device || echo no $device; done
        head -c 4 /dev/urandom | wc -c
        echo done";
    let (exit, stdout, stderr) = init.run_to_end(&mut agent, "forbidden.1", &shell(cmd));
    assert_eq!(exit, json!({ "code": 0 }), "{stderr}");
    assert_eq!(stdout, "4\ndone\n", "{stderr}");
}

#[test]
fn a_task_finds_its_sandbox_environment_and_names() {
    let init = Init::start();
    let mut agent = init.agent();
    let mut app = shell(
        "pwd; echo $MESOS_TASK_ID; cat /etc/hostname; grep -c localhost /etc/hosts; ls /proc | grep -c '^1$'; echo kept > file; id -u; echo $HOME",
    );
    let (exit, stdout, stderr) = init.run_to_end(&mut agent, "sees.1", &app);
    assert_eq!(exit, json!({ "code": 0 }), "{stderr}");
    assert_eq!(stdout, "/mnt/mesos/sandbox\nsees.1\ntesthost\n2\n1\n0\n/root\n");
    assert_eq!(init.output("sees.1", "file"), "kept\n");

    app["user"] = json!("nobody");
    let (exit, stdout, stderr) = init.run_to_end(&mut agent, "sees.2", &app);
    assert_eq!(exit, json!({ "code": 0 }), "{stderr}");
    assert!(stdout.contains("\n65534\n"), "{stdout}");

    app["user"] = json!("nosuchuser");
    let refused = init.try_bundle("sees.3", &app);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("user `nosuchuser`"), "{refused:?}");
}

#[test]
fn two_tasks_do_not_see_each_others_root() {
    let init = Init::start();
    let mut agent = init.agent();
    let (exit, ..) = init.run_to_end(&mut agent, "root.1", &shell("echo mine > /root/secret; rm /bin/vi"));
    assert_eq!(exit, json!({ "code": 0 }));
    let (_, stdout, _) =
        init.run_to_end(&mut agent, "root.2", &shell("cat /root/secret; test -e /bin/vi && echo whole"));
    assert_eq!(stdout, "whole\n");
}
