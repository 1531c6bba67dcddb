//! One node: killed and back.

use std::process::Command;
use std::time::Duration;

use tests::wait;

use crate::Lab;

#[test]
fn a_node_in_its_namespace_is_killed_and_comes_back() {
    let lab = Lab::up(1);
    assert_eq!(lab.run(&["ls"]).split_whitespace().collect::<Vec<_>>(), ["n1", "10.77.0.1", "leader", "up"]);
    let created = lab.node(1).post("/v2/apps", r#"{"id":"sleeper","cmd":"sleep 1000"}"#).expect("an answer");
    assert_eq!(created.status, 201, "{created}");

    lab.run(&["kill", "1"]);
    assert!(lab.run(&["ls"]).contains("down"));
    lab.run(&["start", "1"]);
    let tail = || lab.run(&["ls"]);
    wait::until("the app runs again", Duration::from_secs(60), || lab.runs(1, "sleeper", 1), tail);

    lab.run(&["down"]);
    assert_eq!(lab.run(&["ls"]), "");
    let spaces = Command::new("ip").arg("netns").output().expect("ip starts").stdout;
    assert!(!String::from_utf8_lossy(&spaces).contains("meseta"), "a namespace is left");
}
