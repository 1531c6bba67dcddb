//! No space on STATE: writes are refused with the reason before the log fills it, everything else goes on.

use std::fs;

use serde_json::json;
use tests::node::{Node, Options};

const STATE_MIB: u64 = 64;
const RESERVE_MIB: u64 = 24;

#[test]
fn a_full_state_refuses_writes_and_nothing_else() {
    let node = Node::start_with(Options {
        state_mib: Some(STATE_MIB),
        agent_args: vec!["--state-reserve".into(), RESERVE_MIB.to_string()],
        ..Options::default()
    });
    node.post_app(&json!({ "id": "steady", "cmd": "echo here; sleep 1000", "cpus": 0.1, "mem": 16 }));
    let task = node.wait_running("steady", 1);
    let pid = node.task_pid(&task[0]);

    // Into the reserve, but not to the last byte: it is the reserve that must speak.
    let ballast = node.state().join("ballast");
    let free = nix::sys::statvfs::statvfs(&node.state()).unwrap();
    let free_bytes = free.blocks_available() * free.fragment_size();
    let size = free_bytes - RESERVE_MIB * 1024 * 1024 / 2;
    fs::write(&ballast, vec![1; usize::try_from(size).unwrap()]).unwrap();

    // The space is looked at now and then, not before every write: a few may still pass.
    let mut tries = 0;
    let (id, refused_app, refused) = node.wait_for("a write is refused", || {
        tries += 1;
        let id = format!("/refused-{tries}");
        let app =
            json!({ "id": id, "cmd": "sleep 1000", "instances": 0, "cpus": 0.1, "mem": 16 }).to_string();
        let answer = node.http.post("/v2/apps", &app).map_err(|e| e.to_string())?;
        match answer.status {
            507 => Ok((id, app, answer)),
            201 => Err(answer.to_string()),
            _ => panic!("neither done nor refused for space: {answer}"),
        }
    });
    assert!(refused.text().contains("space"), "{refused}");
    assert_eq!(node.http.get(&format!("/v2/apps{id}")).unwrap().status, 404);

    // Reads and tasks go on.
    assert_eq!(node.running("steady").unwrap(), task);
    assert_eq!(node.task_pid(&task[0]), pid);
    assert_eq!(node.output(&task[0], "stdout", 0).unwrap().1, b"here\n");

    fs::remove_file(&ballast).unwrap();
    node.wait_for("writes are taken again", || {
        let answer = node.http.post("/v2/apps", &refused_app).map_err(|e| e.to_string())?;
        if answer.status == 201 { Ok(()) } else { Err(answer.to_string()) }
    });
    assert!(node.app(&id[1..]).is_ok());
}
