//! What a task is, seen from inside.

use serde_json::{Value, json};
use tests::init::Init;

fn app(cmd: &str) -> Value {
    json!({ "cmd": cmd, "cpus": 0.5, "mem": 64 })
}

#[test]
fn a_task_says_hello_and_ends() {
    let init = Init::start();
    let mut agent = init.agent();
    let (exit, stdout, stderr) =
        init.run_to_end(&mut agent, "hello.1", &app("echo hello; echo oops >&2; exit 3"));
    assert_eq!(exit, json!({ "code": 3 }));
    assert_eq!((stdout.as_str(), stderr.as_str()), ("hello\n", "oops\n"));
}
