//! `meseta init` alone, with the logger and without an agent: the test itself speaks the agent's part.
//!
//! Dropping it ends init and checks that nothing is left on the machine.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use model::app::AppSpec;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::leftovers::{self, Census, Scope};
use crate::{node, task_root, wait};

const PACKET_BYTES_MAX: usize = 256 * 1024;
const WATCHDOG: &str = "watchdog";
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

pub struct Init {
    dir: tempfile::TempDir,
    pub scope: Scope,
    child: Option<Child>,
}

impl Init {
    pub fn start() -> Self {
        let mut init = Self::new();
        init.launch();
        init
    }

    /// The file `watchdog` takes the place of such a device: it gets a byte a ping.
    pub fn start_watched() -> Self {
        let mut init = Self::new();
        fs::write(init.path(WATCHDOG), "").expect("a file");
        init.launch();
        init
    }

    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("mi").tempdir().expect("a temporary folder");
        let cgroup = format!("meseta-init-{}", dir.path().file_name().expect("a name").to_string_lossy());
        let scope = Scope { dir: dir.path().to_owned(), cgroup };
        Self { dir, scope, child: None }
    }

    /// Starts init with the same folders as before; returns once it listens.
    pub fn launch(&mut self) {
        let log =
            OpenOptions::new().create(true).append(true).open(self.path("init.log")).expect("a log file");
        let mut command = Command::new(node::binary());
        command.arg("init").args(self.paths()).args(["--roles", "log"]);
        let watchdog = self.path(WATCHDOG);
        if watchdog.exists() {
            command.arg("--watchdog").arg(watchdog);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        // SAFETY: between fork and exec only prctl(2) is called, which allocates nothing and takes no lock.
        unsafe {
            // A test that is killed must not leave its processes behind.
            command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).map_err(Into::into));
        }
        self.child = Some(command.spawn().expect("the program; scripts/test builds it"));
        let explain = || self.log();
        wait::until("init listens", wait::DEADLINE, || self.try_connect().map(drop), explain);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn paths(&self) -> Vec<String> {
        let root = task_root::path().expect("a root file system for tasks");
        let flag = |name: &str, path: PathBuf| [format!("--{name}"), path.display().to_string()];
        let mut flags = Vec::new();
        flags.extend(flag("state", self.path("state")));
        flags.extend(flag("data", self.path("data")));
        flags.extend(flag("run", self.path("run")));
        flags.extend(flag("task-root", root));
        flags.extend(["--cgroup".to_owned(), self.scope.cgroup.clone()]);
        flags
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.as_ref().expect("init runs").id().cast_signed())
    }

    /// All that its watchdog was given.
    pub fn watchdog(&self) -> String {
        fs::read_to_string(self.path(WATCHDOG)).expect("the file that was made for it")
    }

    /// Pid of the logger that init runs at this moment.
    pub fn logger(&self) -> Pid {
        let children = format!("/proc/{0}/task/{0}/children", self.pid());
        wait::until(
            "the logger runs",
            wait::DEADLINE,
            || {
                let pids = fs::read_to_string(&children).map_err(|e| e.to_string())?;
                let is_logger = |pid: &&str| {
                    fs::read(format!("/proc/{pid}/cmdline"))
                        .is_ok_and(|line| line.starts_with(b"meseta\0log\0"))
                };
                let pid = pids.split_whitespace().find(is_logger).ok_or(format!("children: {pids}"))?;
                Ok(Pid::from_raw(pid.parse().map_err(|_| pid.to_owned())?))
            },
            || self.log(),
        )
    }

    // === The agent's part ===

    /// A new agent: connected, with Hello said. Its first message is the world.
    pub fn agent(&self) -> Agent {
        let mut agent = self.try_connect().expect("init listens");
        agent.say(json!({ "to_init": "hello", "role": "agent" }));
        agent
    }

    fn try_connect(&self) -> Result<Agent, String> {
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)
            .map_err(|e| e.to_string())?;
        let address = UnixAddr::new(&self.path("run/init.sock")).map_err(|e| e.to_string())?;
        connect(fd.as_raw_fd(), &address).map_err(|e| e.to_string())?;
        Ok(Agent { fd, unread: VecDeque::new() })
    }

    /// Writes the bundle of a task that runs the app `app` (in Marathon's JSON); returns its folder.
    pub fn bundle(&self, task: &str, app: &Value) -> String {
        let output = self.try_bundle(task, app);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a path").trim().to_owned()
    }

    pub fn try_bundle(&self, task: &str, app: &Value) -> Output {
        let mut app = app.clone();
        app["id"] = json!("/test");
        let app = AppSpec::parse(&app.to_string()).expect("an app");
        let env = json!({ "MESOS_TASK_ID": task });
        let launch = json!({ "task": task, "app": app, "env": env, "hostname": "testhost", "addresses": [] });
        let mut command = Command::new(node::binary());
        command.args(["oci", "bundle"]).args(self.paths());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        child.stdin.take().expect("a pipe").write_all(launch.to_string().as_bytes()).expect("a launch");
        child.wait_with_output().expect("the program ends")
    }

    /// Creates a task and waits until it runs; its pid.
    pub fn run(&self, agent: &mut Agent, task: &str, app: &Value) -> i32 {
        let bundle = self.bundle(task, app);
        agent.create(task, &bundle);
        let answer = agent.expect_about(task);
        assert_eq!(answer["from_init"], "created", "{answer}\n{}", self.log());
        i32::try_from(answer["pid"].as_i64().expect("a pid")).expect("a small number")
    }

    /// Runs a task to its end: how it ended, stdout, stderr. All traces are acknowledged away.
    pub fn run_to_end(&self, agent: &mut Agent, task: &str, app: &Value) -> (Value, String, String) {
        self.run(agent, task, app);
        let exit = agent.expect_exit(task);
        agent.say(json!({ "to_init": "acknowledge", "task": task }));
        self.wait_drained(task);
        (exit, self.output(task, "stdout"), self.output(task, "stderr"))
    }

    /// What a task wrote to `stdout` or `stderr`, as it lies in its sandbox.
    pub fn output(&self, task: &str, stream: &str) -> String {
        let bytes =
            fs::read(self.path("data/tasks").join(task).join("sandbox").join(stream)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Until the logger has moved all of a task's output.
    pub fn wait_drained(&self, task: &str) {
        const RECORD_BYTES: usize = 24;
        const KIND_END: u8 = 3;
        let index = self.path("data/tasks").join(task).join("log.index");
        let probe = || {
            let bytes = fs::read(&index).map_err(|error| error.to_string())?;
            let ends =
                bytes.chunks_exact(RECORD_BYTES).skip(1).filter(|record| record[0] == KIND_END).count();
            if ends >= 2 { Ok(()) } else { Err(format!("{ends} streams ended")) }
        };
        wait::until("both streams end", wait::DEADLINE, probe, || self.log());
    }

    /// `meseta oci exec`, to its end.
    pub fn exec(&self, task: &str, command: &[&str]) -> Output {
        let mut exec = Command::new(node::binary());
        exec.args(["oci", "exec"]).args(self.paths()).arg(task).arg("--").args(command);
        exec.stdin(Stdio::null()).output().expect("the program")
    }

    // === Its end ===

    pub fn census(&self) -> Census {
        Census::take(&self.scope)
    }

    /// SIGKILL: what no supervisor can prepare for.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("init runs");
        child.kill().expect("init is our child");
        child.wait().expect("init is our child");
    }

    /// SIGTERM; it must bring down everything and end with success.
    pub fn stop(&mut self) {
        kill(self.pid(), Signal::SIGTERM).expect("init is our child");
        self.wait_end();
    }

    /// Until it has ended by itself, with success.
    pub fn wait_end(&mut self) {
        let mut child = self.child.take().expect("init runs");
        let ended = wait::until(
            "init ends",
            wait::DEADLINE,
            || child.try_wait().ok().flatten().ok_or_else(|| self.census().to_string()),
            || self.log(),
        );
        assert!(ended.success(), "{ended}\n{}", self.log());
    }

    pub fn log(&self) -> String {
        format!("--- log of init ---\n{}", fs::read_to_string(self.path("init.log")).unwrap_or_default())
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if self.child.is_some() && !failed {
            self.stop();
        }
        let left = self.census();
        leftovers::sweep(&self.scope);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
        assert!(failed || left.is_empty(), "init left behind:\n{left}\n{}", self.log());
    }
}

/// A connection to init. Messages nobody has asked for yet are kept.
pub struct Agent {
    fd: OwnedFd,
    unread: VecDeque<Value>,
}

impl Agent {
    pub fn say(&mut self, message: Value) {
        let packet = json!({ "format": 1, "message": message }).to_string();
        send(self.fd.as_raw_fd(), packet.as_bytes(), MsgFlags::MSG_NOSIGNAL).expect("init listens");
    }

    /// A packet as it is, for tests of what init makes of nonsense.
    pub fn say_raw(&mut self, bytes: &[u8]) {
        send(self.fd.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL).expect("init listens");
    }

    pub fn create(&mut self, task: &str, bundle: &str) {
        self.say(json!({ "to_init": "create", "task": task, "bundle": bundle }));
    }

    pub fn stop(&mut self, task: &str, grace_ms: u64) {
        self.say(json!({ "to_init": "stop", "task": task, "grace_ms": grace_ms }));
    }

    /// The next message that `wanted` accepts; others before it are kept.
    #[track_caller]
    pub fn expect(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + ANSWER_DEADLINE;
        loop {
            if let Some(i) = self.unread.iter().position(&wanted) {
                return self.unread.remove(i).expect("it is there");
            }
            let Some(message) = self.read(until.saturating_duration_since(Instant::now())) else {
                panic!("no {what} in time; unread: {:?}", self.unread);
            };
            self.unread.push_back(message);
        }
    }

    pub fn expect_world(&mut self) -> Value {
        self.expect("world", |m| m["from_init"] == "world")
    }

    /// The answer to a create.
    #[track_caller]
    pub fn expect_about(&mut self, task: &str) -> Value {
        let kinds = ["created", "create_failed"];
        self.expect(task, |m| {
            m["task"] == task && kinds.contains(&m["from_init"].as_str().unwrap_or_default())
        })
    }

    /// How the task ended.
    #[track_caller]
    pub fn expect_exit(&mut self, task: &str) -> Value {
        self.expect(task, |m| m["from_init"] == "exited" && m["task"] == task)["exit"].clone()
    }

    /// Whether init closed the connection.
    pub fn is_closed(&mut self) -> bool {
        let mut fds = [PollFd::new(std::os::fd::AsFd::as_fd(&self.fd), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(10_000_u16)).expect("poll");
        let mut buffer = [0; 16];
        recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty()).is_ok_and(|length| length == 0)
    }

    fn read(&mut self, timeout: Duration) -> Option<Value> {
        let mut fds = [PollFd::new(std::os::fd::AsFd::as_fd(&self.fd), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        if poll(&mut fds, timeout).expect("poll") == 0 {
            return None;
        }
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        let length = recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty()).expect("init is there");
        assert!(length > 0, "init closed the connection");
        let mut packet: Value = serde_json::from_slice(&buffer[..length]).expect("JSON");
        assert_eq!(packet["format"], 1);
        Some(packet["message"].take())
    }
}
