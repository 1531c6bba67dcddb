//! `meseta ctl` against the API behind a real listener.

use super::*;
use crate::Exit;
use crate::api::listen::{Listeners, Ports};
use crate::ctl::{self, CtlError};
use clap::Parser;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Mutex;
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ctl::Args,
}

/// What was printed.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("alone").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Terminal<'a> {
    url: String,
    folder: &'a Path,
}

impl Terminal<'_> {
    /// Runs `ctl LINE` and gives what it printed.
    async fn run(&self, line: &str) -> Result<String, CtlError> {
        let file = self.folder.join("password");
        let fixed = ["ctl", "--url", &self.url, "--password-file", file.to_str().expect("text")];
        let parsed = Line::try_parse_from(fixed.into_iter().chain(line.split(' '))).expect(line);
        let sink = Sink::default();
        ctl::dispatch(parsed.args, Box::new(sink.clone())).await?;
        let printed = sink.0.lock().expect("alone").clone();
        Ok(String::from_utf8(printed).expect("text"))
    }

    async fn shows(&self, line: &str, parts: &[&str]) -> String {
        let printed = self.run(line).await.unwrap_or_else(|error| panic!("{line}: {error}"));
        for part in parts {
            assert!(printed.contains(part), "{line}\nexpected {part}\nin {printed}");
        }
        printed
    }

    async fn fails(&self, line: &str, exit: Exit, part: &str) {
        let error = self.run(line).await.expect_err(line);
        assert_eq!(error.exit(), exit, "{line}: {error}");
        assert!(error.to_string().contains(part), "{line}\nexpected {part}\nin {error}");
    }
}

#[tokio::test]
async fn from_the_claim_to_the_deletion() {
    let server = Server::unclaimed();
    let folder = tempfile::tempdir().expect("a folder");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let ports = Ports { http: any, https: any, https_public: 8443 };
    let listeners = Listeners::bind(&ports, &folder.path().join("tls"), &[]).await.expect("bound");
    let (http, _) = listeners.local_addrs().expect("bound");
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(listeners.serve(server.router.clone(), shutdown.clone()));
    std::fs::write(folder.path().join("password"), format!("{}\n", fake::PASSWORD)).expect("written");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let terminal = Terminal { url: format!("http://{http}"), folder: folder.path() };

    terminal.fails("apps list", Exit::Failure, "not claimed").await;
    terminal.fails("claim AAAA-AAAA", Exit::Failure, "the claim code is wrong").await;
    terminal.shows(&format!("claim {}", fake::CODE), &["log in as admin"]).await;

    let broken = write("broken.json", "{\n  \"id\" \"x\"\n}");
    terminal.fails(&format!("apps put {broken}"), Exit::Failure, "line 2").await;
    let wrong = write("wrong.json", r#"{"id": "x", "cmd": "y", "mem": -1}"#);
    terminal.fails(&format!("apps put {wrong}"), Exit::Failure, "/mem").await;
    terminal.fails("apps put /nowhere/at-all.json", Exit::BadConfig, "/nowhere/at-all.json").await;
    let hello = write("hello2.json", HELLO);
    terminal.shows(&format!("apps put {hello}"), &["deployment ", " version 20"]).await;
    terminal.fails("apps scale hello2 2", Exit::Failure, "locked").await;
    server.node.settle();

    terminal.shows("apps list", &["ID ", "/hello2  1 of 1", "echo hello; sleep 10"]).await;
    terminal.shows("apps scale hello2 2", &["deployment"]).await;
    server.node.settle();
    terminal.shows("apps show hello2", &["running    2 of 2", "TASK_RUNNING"]).await;
    let task = server.node.tasks().remove(0);
    terminal.shows("tasks list", &[task.as_str(), "10.0.0.1"]).await;
    assert_eq!(terminal.shows(&format!("tasks log {task}"), &[]).await, "56789abcdefghij");
    let followed = terminal.shows(&format!("tasks log {task} --follow --offset 8"), &[]).await;
    assert_eq!(followed, "89abcdefghij");
    terminal.shows(&format!("tasks kill {task}"), &["killing"]).await;
    server.node.settle();
    terminal.shows(&format!("tasks kill {task}"), &["there is no such task"]).await;
    terminal.shows("apps restart hello2 --force", &["deployment"]).await;
    let json = terminal.shows("--json apps show hello2", &[]).await;
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON")["id"], "/hello2");
    terminal.shows("tokens create ci --days 1", &["meseta_"]).await;
    terminal.shows("tokens list", &["NAME ", "ci ", "20"]).await;
    terminal.shows("tokens revoke ci", &["revoked ci"]).await;
    terminal.fails("tokens revoke ci", Exit::Failure, "no token named").await;
    terminal.shows("node show", &["node1", "SERVICE"]).await;
    terminal.shows("node power-off", &["accepted"]).await;
    assert_eq!(*server.node.powered.lock().expect("alone"), Some(console::Power::Off));
    terminal.shows("apps delete hello2", &["deployment"]).await;
    server.node.settle();
    terminal.fails("apps show hello2", Exit::Failure, "App '/hello2' does not exist").await;

    *server.node.fault.lock().expect("alone") = Some(console::Unavailable::NoLeader("an election".into()));
    terminal.fails("apps list", Exit::TryAgain, "no leader").await;
    shutdown.cancel();
    served.await.expect("ended");
    terminal.fails("apps list", Exit::TryAgain, "cannot be reached").await;
}
