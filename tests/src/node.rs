//! A real node off the image: `meseta init` as a child of the test, with folders, ports and a cgroup of its own.
//!
//! Dropping it ends init and checks that nothing is left on the machine; a test that fails is swept up instead.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::http::Client;
use crate::leftovers::{self, Census, Scope};
use crate::network::Network;
use crate::{task_root, wait};

pub const PASSWORD: &str = "a-password-for-tests";
const LOG_TAIL_BYTES: u64 = 12_000;
const DNS_PORT: u16 = 53;

/// What a test may want different.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// STATE is a tmpfs of this many MiB, so that it can be filled.
    pub state_mib: Option<u64>,
    /// DATA likewise.
    pub data_mib: Option<u64>,
    /// Further flags of the agent.
    pub agent_args: Vec<String>,
    /// The node gets a network namespace and an address of its own.
    pub own_network: bool,
    /// Leave the claiming to the test.
    pub unclaimed: bool,
    /// Where DNS is answered: an address, loopback if empty, and a port, a free one if absent.
    pub dns_host: &'static str,
    pub dns_port: Option<u16>,
    /// HAProxy, if not the machine's own.
    pub haproxy: Option<PathBuf>,
}

#[derive(Debug)]
pub struct Node {
    dir: tempfile::TempDir,
    scope: Scope,
    address: String,
    https_port: u16,
    dns_port: u16,
    dns_http_port: u16,
    /// Where its balancer listens: an address that no other node has, so that it can have the real ports.
    pub balancer: Ipv4Addr,
    options: Options,
    network: Option<Network>,
    init: Option<Child>,
    /// With the administrator's credentials.
    pub http: Client,
}

impl Node {
    /// A claimed node that answers.
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    pub fn start_with(options: Options) -> Self {
        let network = options.own_network.then(Network::new);
        Self::start_on(network, options)
    }

    /// The same in a network that is there already.
    pub fn start_in(network: Network, options: Options) -> Self {
        Self::start_on(Some(network), options)
    }

    fn start_on(network: Option<Network>, options: Options) -> Self {
        // Short: sockets below it must fit into the 108 bytes of a unix address.
        let dir = tempfile::Builder::new().prefix("mn").tempdir().expect("a temporary folder");
        let scope = Scope { dir: dir.path().to_owned(), cgroup: fresh_cgroup() };
        let (address, https_port) = match &network {
            Some(network) => (format!("{}:8080", network.address), 8443),
            None => (format!("127.0.0.1:{}", free_port()), free_port()),
        };
        let dns_port = options.dns_port.unwrap_or_else(free_port);
        let dns_http_port = free_port();
        let http = Client::new(&address).with_password("admin", PASSWORD);
        let balancer = network.as_ref().map_or_else(fresh_loopback, |network| network.address);
        let mut node = Self {
            dir,
            scope,
            address,
            https_port,
            dns_port,
            dns_http_port,
            balancer,
            options,
            network,
            init: None,
            http,
        };
        node.prepare_state();
        node.launch();
        if !node.options.unclaimed {
            node.claim();
        }
        node
    }

    fn prepare_state(&self) {
        for (folder, mib) in self.folders() {
            fs::create_dir_all(&folder).expect("a folder of the node");
            if let Some(mib) = mib {
                let size = format!("size={mib}m");
                let flags = nix::mount::MsFlags::empty();
                nix::mount::mount(Some("tmpfs"), &folder, Some("tmpfs"), flags, Some(size.as_str()))
                    .expect("a tmpfs for the node; the tests need root");
            }
        }
    }

    /// STATE and DATA, with their size in MiB if they are in memory.
    fn folders(&self) -> [(PathBuf, Option<u64>); 2] {
        [(self.state(), self.options.state_mib), (self.data(), self.options.data_mib)]
    }

    /// Starts init and waits until the front door answers. The same folders and ports as before.
    pub fn launch(&mut self) {
        assert!(self.init.is_none(), "the node runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).expect("a log file");
        let host = self.address.split(':').next().unwrap_or_default();
        let namespace = self.network.as_ref().map(|n| File::open(n.path()).expect("its namespace"));
        let mut command = Command::new(binary());
        command
            .arg("init")
            .arg("--state")
            .arg(self.state())
            .arg("--data")
            .arg(self.data())
            .arg("--run")
            .arg(self.dir.path().join("run"))
            .arg("--task-root")
            .arg(task_root::path().expect("a root file system for tasks"))
            .args(self.options.haproxy.iter().flat_map(|path| ["--haproxy".as_ref(), path.as_os_str()]))
            .args(["--cgroup", &self.scope.cgroup, "--"])
            .args(["--http", &self.address, "--https", &format!("{host}:{}", self.https_port)])
            .args(["--dns", &self.dns_listen().to_string()])
            .args(["--peers", &format!("127.0.0.1:{}", free_port())])
            .args(["--dns-http", &format!("127.0.0.1:{}", self.dns_http_port)])
            .args(self.dns_upstream())
            .args(["--balancer-bind", &self.balancer.to_string()])
            .args(&self.options.agent_args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        // SAFETY: between fork and exec only setns(2) and prctl(2) are called, which allocate nothing and take no lock.
        unsafe {
            command.pre_exec(move || {
                if let Some(namespace) = &namespace {
                    nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET)?;
                }
                // A test that is killed must not leave its node behind.
                nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).map_err(Into::into)
            });
        }
        self.init = Some(command.spawn().expect("the program; scripts/test builds it"));
        self.wait_for("the node answers /ping", || match self.open().get("/ping") {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(answer.to_string()),
            Err(error) => Err(error.to_string()),
        });
    }

    fn claim(&self) {
        let body = json!({ "code": self.claim_code(), "password": PASSWORD }).to_string();
        self.wait_for("the node is claimed", || match self.open().post("/meseta/v1/claim", &body) {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(answer.to_string()),
            Err(error) => Err(error.to_string()),
        });
    }

    pub fn claim_code(&self) -> String {
        let bytes = fs::read(self.state().join("identity.json")).expect("the node's identity");
        let identity: Value = serde_json::from_slice(&bytes).expect("JSON");
        identity["claim_code"].as_str().expect("a claim code").to_owned()
    }

    // === Ways to end ===

    /// Orderly: SIGTERM to init, which must end by itself and with success.
    pub fn stop(&mut self) {
        let mut init = self.init.take().expect("the node runs");
        kill(pid_of(&init), Signal::SIGTERM).expect("init is ours");
        let ended = self.wait_for("init ends after SIGTERM", || match init.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}\n{}", self.census())),
        });
        assert!(ended.success(), "init ended with {ended}\n{}", self.log_tail());
    }

    /// As if the machine lost power: every process ends in the same moment, mounts, cgroups and RUN are gone.
    pub fn power_cut(&mut self) {
        self.kill_roles();
        // STATE on a tmpfs would not survive; a test that cuts the power keeps it on disk.
        assert!(self.options.state_mib.is_none(), "STATE is in memory");
        let left = leftovers::sweep(&self.scope);
        assert!(left.is_empty(), "the power cut left:\n{left}");
        let _ = fs::remove_dir_all(self.dir.path().join("run"));
    }

    /// SIGKILL to init and all other roles. The tasks live on without a parent, as they never would on the image.
    pub fn kill_roles(&mut self) {
        let mut init = self.init.take().expect("the node runs");
        kill(pid_of(&init), Signal::SIGKILL).expect("init is ours");
        let tasks = self.task_pids("");
        for (pid, command) in self.census().processes {
            if !tasks.contains(&pid) && command.contains(&*self.dir.path().to_string_lossy()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        init.wait().expect("init is our child");
    }

    // === Looking at it ===

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `host:port` of the front door without TLS.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The namespace of a node with [`Options::own_network`].
    #[track_caller]
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("a node with a network of its own")
    }

    /// No test's question leaves the machine: nobody listens there.
    fn dns_upstream(&self) -> &'static [&'static str] {
        let is_given = self.options.agent_args.iter().any(|arg| arg == "--dns-upstream");
        if is_given { &[] } else { &["--dns-upstream", "127.0.0.1:1"] }
    }

    /// In a network of its own the node answers where every node does.
    fn dns_listen(&self) -> SocketAddr {
        if self.network.is_some() {
            return SocketAddr::from(([0, 0, 0, 0], DNS_PORT));
        }
        let host = if self.options.dns_host.is_empty() { "127.0.0.1" } else { self.options.dns_host };
        SocketAddr::new(host.parse().expect("an address"), self.dns_port)
    }

    /// Where `dig` finds it.
    pub fn dns(&self) -> SocketAddr {
        match &self.network {
            Some(network) => SocketAddr::from((network.address, DNS_PORT)),
            None => SocketAddr::from(([127, 0, 0, 1], self.dns_port)),
        }
    }

    /// The HTTP API of its DNS server, with the administrator's credentials.
    pub fn dns_http(&self) -> Client {
        Client::new(&format!("127.0.0.1:{}", self.dns_http_port)).with_password("admin", PASSWORD)
    }

    pub fn https_port(&self) -> u16 {
        self.https_port
    }

    /// A client without credentials.
    pub fn open(&self) -> Client {
        Client::new(&self.address)
    }

    pub fn census(&self) -> Census {
        Census::take(&self.scope)
    }

    /// Pid of a role that init runs; 0 while it is down.
    pub fn role_pid(&self, role: &str) -> i32 {
        let Ok(answer) = self.http.get("/meseta/v1/node") else { return 0 };
        let Ok(status) = serde_json::from_slice::<Value>(&answer.body) else { return 0 };
        let services = status["services"].as_array().cloned().unwrap_or_default();
        let service = services.iter().find(|s| s["name"] == role);
        service.and_then(|s| s["pid"].as_i64()).unwrap_or_default().try_into().unwrap_or_default()
    }

    /// SIGKILL to a role; returns once init runs it anew and the node answers.
    pub fn kill_role(&self, role: &str) {
        let old = self.wait_for(&format!("role {role} runs"), || match self.role_pid(role) {
            0 => Err("no pid".to_owned()),
            pid => Ok(pid),
        });
        kill(Pid::from_raw(old), Signal::SIGKILL).expect("the role is a process of ours");
        self.wait_for(&format!("role {role} runs anew"), || match self.role_pid(role) {
            pid if pid != 0 && pid != old => Ok(()),
            pid => Err(format!("pid {pid}, was {old}")),
        });
    }

    /// Host pids of the processes of the task with that id, found by its cgroup; of all tasks if `task` is empty.
    pub fn task_pids(&self, task: &str) -> BTreeSet<i32> {
        let groups = leftovers::cgroups(&self.scope.cgroup);
        let of_task = groups.iter().filter(|g| g.to_string_lossy().contains(task));
        let texts = of_task.filter_map(|g| fs::read_to_string(g.join("cgroup.procs")).ok());
        texts.flat_map(|t| t.lines().filter_map(|l| l.parse().ok()).collect::<Vec<i32>>()).collect()
    }

    /// Host pid of the task's own first process: the one that is 1 in its namespace.
    pub fn task_pid(&self, task: &str) -> Option<i32> {
        self.task_pids(task).into_iter().find(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let inner = status.lines().find_map(|l| l.strip_prefix("NSpid:"));
            inner
                .is_some_and(|l| l.split_whitespace().count() > 1 && l.split_whitespace().last() == Some("1"))
        })
    }

    /// A file in the working directory of a task, as the node's machine sees it.
    pub fn sandbox_file(&self, task: &str, name: &str) -> PathBuf {
        self.dir.path().join("data/tasks").join(task).join("sandbox").join(name)
    }

    /// [`wait::until`] with the node's log in the message.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
        wait::until(what, wait::DEADLINE, probe, || self.log_tail())
    }

    /// The end of what init and the roles wrote.
    pub fn log_tail(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(self.log_path())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        format!("--- log of the node ---\n{}", read().unwrap_or_else(|error| error.to_string()))
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("node.log")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            eprintln!("{}", self.log_tail());
        }
        // Whatever comes of it, the machine is swept afterwards.
        let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            if self.init.is_some() && !failed {
                self.stop();
            }
            for (folder, _) in self.folders().into_iter().filter(|(_, mib)| mib.is_some()) {
                let _ = nix::mount::umount2(&folder, nix::mount::MntFlags::MNT_DETACH);
            }
        }));
        let left = self.census();
        let traces = self.network.as_ref().map(Network::traces).unwrap_or_default();
        leftovers::sweep(&self.scope);
        if let Some(mut init) = self.init.take() {
            let _ = init.wait();
        }
        if let Err(panic) = stopped {
            std::panic::resume_unwind(panic);
        }
        assert!(failed || left.is_empty(), "the node left behind:\n{left}\n{}", self.log_tail());
        assert!(failed || traces.is_empty(), "the node left in its network: {traces:?}\n{}", self.log_tail());
    }
}

/// The program under test: `MESETA_BIN`, else the one of the same build as this test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("MESETA_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a path of our own");
    let folder = own.parent().expect("a file has a folder");
    let profile = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    profile.join("meseta")
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Counts the nodes of this test program.
fn fresh_number() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

fn fresh_cgroup() -> String {
    format!("meseta-test-{}-{}", std::process::id(), fresh_number())
}

/// All of 127.0.0.0/8 is this machine.
fn fresh_loopback() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let [.., count] = fresh_number().to_be_bytes();
    Ipv4Addr::new(127, 64 + count % 128, high, low)
}

/// A port that was free a moment ago; the kernel hands out others before it comes round again.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound").port()
}
