//! What a task may use.

use serde_json::json;
use tests::init::Init;

use crate::shell;

#[test]
fn a_task_beyond_its_memory_is_ended_and_it_is_said_why() {
    let init = Init::start();
    let mut agent = init.agent();
    // `tail` keeps what it reads until a line ends.
    let mut app = shell("exec tail -n 1 /dev/zero");
    app["mem"] = json!(16);
    let (exit, ..) = init.run_to_end(&mut agent, "memory.1", &app);
    assert_eq!(exit, json!("out_of_memory"));
    // A task that gets over the end of its child and ends well has not failed.
    app["cmd"] = json!("tail -n 1 /dev/zero; exit 0");
    let (exit, ..) = init.run_to_end(&mut agent, "memory.2", &app);
    assert_eq!(exit, json!({ "code": 0 }));
}

#[test]
fn a_fork_bomb_stays_in_its_bounds() {
    let init = Init::start();
    let mut agent = init.agent();
    let limit = "cat /sys/fs/cgroup/pids.max 2>/dev/null; i=0; while [ $i -lt 5000 ]; do sleep 100 & i=$((i+1)); done; echo all";
    let task = "bomb.1";
    let mut app = shell(limit);
    app["mem"] = json!(512);
    init.run(&mut agent, task, &app);
    tests::wait::until(
        "fork fails",
        tests::wait::DEADLINE,
        || {
            Some(init.output(task, "stderr"))
                .filter(|text| text.contains("can't fork"))
                .ok_or_else(String::new)
        },
        || init.log(),
    );
    agent.stop(task, 0);
    agent.expect_exit(task);
    assert!(!init.output(task, "stdout").contains("all"));
}

#[test]
fn the_processor_is_shared_as_asked() {
    let init = Init::start();
    let mut agent = init.agent();
    let mut app = shell("while :; do :; done");
    app["cpus"] = json!(0.2);
    let task = "busy.1";
    let pid = init.run(&mut agent, task, &app);
    // 0.2 processors: after a second of real time it has had about 0.2 of it. Far from one whole is enough to know.
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the task runs");
        let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
        fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
    };
    let start = std::time::Instant::now();
    let before = ticks();
    let span = std::time::Duration::from_secs(2);
    tests::wait::until(
        "two seconds pass",
        tests::wait::DEADLINE,
        || if start.elapsed() >= span { Ok(()) } else { Err(String::new()) },
        String::new,
    );
    let used_ms = (ticks() - before) * 10;
    let share = used_ms as f64 / start.elapsed().as_millis() as f64;
    assert!((0.02..0.35).contains(&share), "{share} of a processor");
    agent.stop(task, 0);
    agent.expect_exit(task);
}
