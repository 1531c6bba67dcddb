//! Where a node keeps its things: the same flags for every role, so that init passes them on as it got them.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Clone, Args)]
pub struct Paths {
    /// What must survive: the cluster's log, snapshots, this node's identity
    #[arg(long, default_value = "/var/meseta/state", value_name = "DIR")]
    pub state: PathBuf,
    /// What tasks fill: sandboxes, writable layers, output
    #[arg(long, default_value = "/var/meseta/data", value_name = "DIR")]
    pub data: PathBuf,
    /// What ends with the boot: sockets, bundles, exit journal (a tmpfs)
    #[arg(long, default_value = "/run/meseta", value_name = "DIR")]
    pub run: PathBuf,
    /// Root file system of tasks that name no image
    #[arg(long, default_value = "/usr/share/meseta/task-root", value_name = "DIR")]
    pub task_root: PathBuf,
    /// Cgroup below which this node's tasks live, relative to the mount of each hierarchy
    #[arg(long, default_value = "meseta", value_name = "NAME")]
    pub cgroup: String,
    /// HAProxy; where it is missing the node has no balancer
    #[arg(long, default_value = "/usr/sbin/haproxy", value_name = "FILE")]
    pub haproxy: PathBuf,
}

impl Paths {
    /// Where init listens for the other roles.
    pub fn init_socket(&self) -> PathBuf {
        self.run.join("init.sock")
    }

    /// Where the network role takes orders, see `net::control`.
    pub fn net_socket(&self) -> PathBuf {
        self.run.join("net.sock")
    }

    /// What the network role says of the machine: `console::HostStatus` in JSON.
    pub fn host_status(&self) -> PathBuf {
        self.run.join("host.json")
    }

    /// The join token that the machine's settings bring, as one line; absent if they bring none.
    pub fn join_token(&self) -> PathBuf {
        self.run.join("join")
    }

    /// A link to the partition of the boot loader; absent on a machine that was booted without one.
    pub fn esp(&self) -> PathBuf {
        self.run.join("esp")
    }

    /// Where the bundles of all tasks lie.
    pub fn bundles(&self) -> PathBuf {
        self.run.join("bundles")
    }

    /// The OCI bundle of a task: `config.json` and what `meseta oci` needs beside it.
    pub fn bundle(&self, task: &model::TaskId) -> PathBuf {
        self.bundles().join(task.as_str())
    }

    /// Images of tasks and their layers.
    pub fn images(&self) -> PathBuf {
        self.data.join("images")
    }

    /// Where libcontainer keeps the state of all running containers.
    pub fn containers(&self) -> PathBuf {
        self.run.join("containers")
    }

    /// What a task leaves on disk: `sandbox/` (its working directory with `stdout` and `stderr`), `upper/`, `work/`
    /// and `log.index`.
    pub fn task(&self, task: &model::TaskId) -> PathBuf {
        self.data.join("tasks").join(task.as_str())
    }

    pub fn sandbox(&self, task: &model::TaskId) -> PathBuf {
        self.task(task).join("sandbox")
    }

    /// The flags that hand these paths to another role.
    pub fn to_args(&self) -> Vec<std::ffi::OsString> {
        let pairs = [
            ("--state", self.state.as_os_str()),
            ("--data", self.data.as_os_str()),
            ("--run", self.run.as_os_str()),
            ("--task-root", self.task_root.as_os_str()),
            ("--cgroup", self.cgroup.as_ref()),
            ("--haproxy", self.haproxy.as_os_str()),
        ];
        pairs.iter().flat_map(|(flag, value)| [(*flag).into(), value.to_os_string()]).collect()
    }
}
