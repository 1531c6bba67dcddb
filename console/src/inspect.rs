//! What a node says of the machine beneath it, read from the kernel when it is asked for and kept nowhere. The node
//! implements [`Inspector`].

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    #[error("there is no such thing on this node")]
    NotFound,
    #[error("the kernel does not say: {0}")]
    Io(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hardware {
    /// Runnable processes on average over 1, 5 and 15 minutes, as the kernel writes them.
    pub load: Vec<String>,
    pub processes: u64,
    pub disks: Vec<Disk>,
    pub file_systems: Vec<FileSystem>,
    pub links: Vec<Link>,
    pub routes: Vec<Route>,
    pub resolvers: Vec<String>,
    pub search_domains: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Disk {
    pub name: String,
    pub model: String,
    pub bytes: u64,
    pub rotational: bool,
    pub removable: bool,
    pub read_only: bool,
    pub partitions: Vec<Partition>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Partition {
    pub name: String,
    pub label: String,
    pub bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileSystem {
    pub source: String,
    pub mount: String,
    pub kind: String,
    pub read_only: bool,
    pub total_bytes: u64,
    pub free_bytes: u64,
    pub total_inodes: u64,
    pub free_inodes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Link {
    pub name: String,
    pub mac: String,
    pub up: bool,
    pub carrier: bool,
    /// Only hardware that is connected has one.
    pub speed_mbit: Option<u64>,
    pub mtu: u64,
    /// With the length of their prefix.
    pub addresses: Vec<String>,
    pub received: Counters,
    pub sent: Counters,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    pub bytes: u64,
    pub packets: u64,
    pub errors: u64,
    pub dropped: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Route {
    /// With the length of its prefix; `default` if that is 0.
    pub destination: String,
    /// Empty if the destination is on the link itself.
    pub gateway: String,
    pub link: String,
    pub metric: u64,
}

/// One record of the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KernelLine {
    pub number: u64,
    /// Milliseconds since the kernel started.
    pub at_ms: u64,
    /// 0 (emergency) to 7 (debug), as syslog counts.
    pub level: u8,
    pub text: String,
}

/// Which records: of `level` or graver, before number `before`, the last `limit` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelQuery {
    pub level: u8,
    pub before: Option<u64>,
    pub limit: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KernelLog {
    pub lines: Vec<KernelLine>,
    /// Where to go on to older ones, if there are any.
    pub older: Option<u64>,
}

#[async_trait::async_trait]
pub trait Inspector: Send + Sync {
    async fn hardware(&self) -> Result<Hardware, InspectError>;
    async fn kernel_log(&self, query: KernelQuery) -> Result<KernelLog, InspectError>;
    /// The last `limit` bytes that a role of this program wrote, from the start of a line on.
    async fn service_log(&self, role: &str, limit: usize) -> Result<Vec<u8>, InspectError>;
}

/// A node without a machine: tests that are about something else.
pub struct NoInspector;

#[async_trait::async_trait]
impl Inspector for NoInspector {
    async fn hardware(&self) -> Result<Hardware, InspectError> {
        Err(InspectError::NotFound)
    }
    async fn kernel_log(&self, _: KernelQuery) -> Result<KernelLog, InspectError> {
        Err(InspectError::NotFound)
    }
    async fn service_log(&self, _: &str, _: usize) -> Result<Vec<u8>, InspectError> {
        Err(InspectError::NotFound)
    }
}
