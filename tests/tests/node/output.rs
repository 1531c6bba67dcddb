//! What tasks write: whole, in both streams, however much, live.

use std::io::{BufRead, BufReader};

use serde_json::json;
use tests::node::Node;

#[test]
fn more_than_a_mebibyte_arrives_whole() {
    const LINES: usize = 40_000;
    let node = Node::start();
    node.post_app(&json!({
        "id": "lengthy", "cpus": 0.5, "mem": 16,
        "cmd": format!("seq 1 {LINES} | sed 's/.*/line & of a long output/'; echo end; sleep 1000"),
    }));
    let task = node.wait_running("lengthy", 1).remove(0);
    let text = node.wait_output(&task, "stdout", |text| text.ends_with("end\n"));
    let expected: String =
        (1..=LINES).map(|n| format!("line {n} of a long output\n")).chain(["end\n".into()]).collect();
    assert!(expected.len() > 1024 * 1024);
    assert!(text == expected, "{} bytes, expected {}", text.len(), expected.len());
    // Any offset is a cursor, and it is told what the answer begins with and where it ends.
    let middle = 500_000;
    let path = format!("/meseta/v1/tasks/{task}/logs/stdout?offset={middle}");
    let part = node.http.get(&path).unwrap().expect(200);
    assert_eq!(part.header("X-Meseta-Offset"), middle.to_string());
    assert_eq!(part.header("X-Meseta-End"), (middle + part.body.len()).to_string());
    assert!(expected.as_bytes()[middle..].starts_with(&part.body));
    assert!(!part.body.is_empty());
}

#[test]
fn the_streams_are_apart_and_bytes_stay_bytes() {
    let node = Node::start();
    node.post_app(&json!({
        "id": "both", "cpus": 0.1, "mem": 16,
        "cmd": "printf 'to out \\377\\000\\n'; echo to err >&2; echo again > /dev/stdout; sleep 1000",
    }));
    let task = node.wait_running("both", 1).remove(0);
    node.wait_output(&task, "stderr", |text| text == "to err\n");
    let expected = b"to out \xff\0\nagain\n";
    node.wait_for("stdout is whole", || match node.output(&task, "stdout", 0)?.1 {
        bytes if bytes == expected => Ok(()),
        other => Err(format!("{:?}", String::from_utf8_lossy(&other))),
    });
}

#[test]
fn output_is_followed_while_it_is_written() {
    let node = Node::start();
    node.post_app(&json!({
        "id": "live", "cpus": 0.1, "mem": 16, "backoffSeconds": 60,
        "cmd": "echo first; while [ ! -e go ]; do sleep 0.05; done; echo second",
    }));
    let task = node.wait_running("live", 1).remove(0);
    let path = format!("/meseta/v1/tasks/{task}/logs/stdout?offset=0&follow=true");
    let mut lines = BufReader::new(node.http.stream(&path, &[]).unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    // Only now is the second line written: it cannot have been in the first answer.
    std::fs::write(node.sandbox_file(&task, "go"), "").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "second");
    assert!(lines.next().is_none(), "the stream ends with the task");
}
