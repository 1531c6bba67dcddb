//! Processes of ours that die: no task notices, no exit and no byte is lost.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tests::node::Node;

/// Runs until the file `go` lies in its working directory, then ends with 7.
const GATED: &str = "echo up; while [ ! -e go ]; do sleep 0.05; done; exit 7";

/// Pids of this node's processes whose command line holds `meseta <role> `.
fn role_pids(node: &Node, role: &str) -> Vec<i32> {
    let wanted = format!("meseta {role} ");
    node.census().processes.into_iter().filter(|(_, c)| c.contains(&wanted)).map(|(pid, _)| pid).collect()
}

fn kill_hard(pid: i32) {
    // It may have ended by itself since it was listed.
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

#[test]
fn the_agent_dies_and_the_task_does_not_notice() {
    let node = Node::start();
    node.post_app(&json!({ "id": "calm", "cmd": GATED, "cpus": 0.1, "mem": 16 }));
    let task = node.wait_running("calm", 1);
    let pid = node.task_pid(&task[0]).expect("a process");

    node.kill_role("agent");
    assert_eq!(node.wait_running("calm", 1), task);
    assert_eq!(node.task_pid(&task[0]), Some(pid));
    // It is watched again: its end is seen, too.
    fs::write(node.sandbox_file(&task[0], "go"), "").unwrap();
    let failure = node.wait_failure("calm", "");
    assert_eq!(failure["taskId"], task[0].as_str(), "{failure:#}");
}

#[test]
fn an_agent_that_hangs_is_started_anew() {
    let node = Node::start();
    node.post_app(&json!({ "id": "calm", "cmd": GATED, "cpus": 0.1, "mem": 16 }));
    let task = node.wait_running("calm", 1);
    let pid = node.task_pid(&task[0]).expect("a process");
    let hung = role_pids(&node, "agent");
    assert_eq!(hung.len(), 1);
    kill(Pid::from_raw(hung[0]), Signal::SIGSTOP).expect("it runs");
    node.wait_for("another agent answers", || {
        let agents = role_pids(&node, "agent");
        if agents.len() == 1 && agents != hung { Ok(()) } else { Err(format!("{agents:?}")) }
    });
    assert_eq!(node.wait_running("calm", 1), task);
    assert_eq!(node.task_pid(&task[0]), Some(pid));
}

#[test]
fn an_exit_while_the_agent_is_dead_is_recorded() {
    let node = Node::start();
    node.post_app(&json!({ "id": "unseen", "cmd": GATED, "cpus": 0.1, "mem": 16, "backoffSeconds": 60 }));
    let task = node.wait_running("unseen", 1).remove(0);
    // Keep killing the agent until the task is gone: then no agent has lived long enough to see it end.
    fs::write(node.sandbox_file(&task, "go"), "").unwrap();
    node.wait_for("the task ends while the agent is dead", || {
        role_pids(&node, "agent").into_iter().for_each(kill_hard);
        match node.task_pid(&task) {
            None => Ok(()),
            Some(pid) => Err(format!("pid {pid} is there")),
        }
    });
    let failure = node.wait_failure("unseen", "");
    assert_eq!(failure["taskId"], task.as_str(), "{failure:#}");
    assert_eq!(failure["state"], "TASK_FAILED", "{failure:#}");
    assert!(failure["message"].as_str().unwrap().contains('7'), "{failure:#}");
}

#[test]
fn the_logger_dies_and_no_byte_is_lost() {
    const KILLS: usize = 3;
    let node = Node::start();
    node.post_app(&json!({
        "id": "talker", "cpus": 0.5, "mem": 16,
        "cmd": "i=0; while [ ! -e go ]; do for n in 0 1 2 3 4 5 6 7 8 9; do echo line $i; i=$((i+1)); done; \
                usleep 2000; done; echo end; sleep 1000",
    }));
    let task = node.wait_running("talker", 1).remove(0);
    let mut read_up_to = 0;
    for _ in 0..KILLS {
        // Each logger must have moved something before it dies, and the task writes all the time.
        read_up_to = node.wait_for("further output arrives", || {
            let (begin, bytes) = node.output(&task, "stdout", read_up_to)?;
            if bytes.len() > 4_096 {
                Ok(begin + bytes.len() as u64)
            } else {
                Err(format!("{} bytes", bytes.len()))
            }
        });
        node.kill_role("log");
    }
    fs::write(node.sandbox_file(&task, "go"), "").unwrap();
    let text = node.wait_output(&task, "stdout", |text| text.ends_with("end\n"));
    let lines: Vec<&str> = text.lines().collect();
    for (number, line) in lines[..lines.len() - 1].iter().enumerate() {
        assert_eq!(*line, format!("line {number}"), "line {number} of {}", lines.len());
    }
}

#[test]
fn the_helper_dies_amid_creates_and_the_tasks_are_tried_again() {
    const INSTANCES: usize = 8;
    const HELPERS_KILLED: usize = 12;
    let node = Node::start();
    let calm = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut killed = 0;
            // A helper lives some 20 ms: looking all the time hits it at ever different moments.
            while killed < HELPERS_KILLED && !calm.load(Ordering::Relaxed) {
                for pid in role_pids(&node, "oci") {
                    kill_hard(pid);
                    killed += 1;
                }
            }
            killed
        });
        node.post_app(&json!({
            "id": "hard-birth", "cmd": "echo born; sleep 1000", "instances": INSTANCES, "cpus": 0.01, "mem": 16,
            "backoffSeconds": 0.1, "backoffFactor": 1,
        }));
        let tasks = node.wait_running("hard-birth", INSTANCES);
        calm.store(true, Ordering::Relaxed);
        assert!(killer.join().unwrap() > 0, "no helper was hit");
        for task in &tasks {
            node.wait_output(task, "stdout", |text| text == "born\n");
        }
        node.wait_for("only the living have processes", || {
            let pids = node.task_pids("");
            let of_tasks: usize = tasks.iter().map(|t| node.task_pids(t).len()).sum();
            if pids.len() == of_tasks {
                Ok(())
            } else {
                Err(format!("{of_tasks} of {pids:?}\n{}", node.census()))
            }
        });
    });
    node.delete_app("hard-birth");
}
