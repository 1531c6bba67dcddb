//! `config.json`: what an app asks for, as an OCI runtime specification. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::app::{AppSpec, Network};
use serde_json::{Value, json};

use super::user::User;
use super::{caps, devices};

/// Where a task finds its sandbox; also its working directory.
pub const SANDBOX_IN_TASK: &str = "/mnt/mesos/sandbox";
/// Processes and threads of one task.
const PIDS_MAX: u64 = 4096;
/// Below this the C library alone does not start.
const MEMORY_MIB_MIN: u64 = 4;
const CPU_PERIOD_US: u64 = 100_000;
/// 10 ms a period: the smallest share with which a shell still answers.
const CPU_MILLI_MIN: u64 = 100;
const SHARES_PER_CPU: u64 = 1024;
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the specification depends on beside the app.
pub struct Inputs<'a> {
    pub app: &'a AppSpec,
    pub env: &'a BTreeMap<String, String>,
    pub user: User,
    pub rootfs: &'a Path,
    /// Absolute: a relative one would ask for systemd.
    pub cgroup: &'a Path,
    pub sandbox: &'a Path,
    /// Files bound read-only into the task: path on the node, path in the task.
    pub files: &'a [(PathBuf, &'static str)],
    /// Open files of one process.
    pub files_max: u64,
    /// Pure cgroup v2: then the task gets its own cgroup namespace and v2-only settings.
    pub unified: bool,
}

pub fn build(inputs: &Inputs<'_>) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "root": { "path": inputs.rootfs, "readonly": false },
        "process": process(inputs),
        "mounts": mounts(inputs),
        "linux": {
            "cgroupsPath": inputs.cgroup,
            "namespaces": namespaces(inputs),
            "resources": resources(inputs),
            "rootfsPropagation": "private",
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
                "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
                "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

/// `cmd` is a line for the shell, `args` is a program with its arguments. An app with neither runs what its image
/// says; without an image the parser has refused it.
pub fn arguments(app: &AppSpec) -> Vec<String> {
    match (&app.cmd, &app.args) {
        (Some(cmd), _) => vec!["/bin/sh".to_owned(), "-c".to_owned(), cmd.clone()],
        (None, Some(args)) => args.clone(),
        (None, None) => Vec::new(),
    }
}

fn process(inputs: &Inputs<'_>) -> Value {
    let mut env: Vec<String> = inputs.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if !inputs.env.contains_key("PATH") {
        env.push(format!("PATH={PATH_DEFAULT}"));
    }
    // Another user than root keeps no capability across exec; it must not hold any before either.
    let held: &[&str] = if inputs.user.uid == 0 { &caps::DEFAULT } else { &[] };
    json!({
        "terminal": false,
        "user": { "uid": inputs.user.uid, "gid": inputs.user.gid, "additionalGids": [] },
        "args": arguments(inputs.app),
        "env": env,
        "cwd": SANDBOX_IN_TASK,
        "capabilities": {
            "bounding": caps::DEFAULT, "effective": held, "permitted": held, "inheritable": [], "ambient": [],
        },
        "noNewPrivileges": true,
        // Init and the agent protect themselves from the out-of-memory killer; a task must not inherit that.
        "oomScoreAdj": 0,
        "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": inputs.files_max, "hard": inputs.files_max }],
    })
}

fn namespaces(inputs: &Inputs<'_>) -> Value {
    let mut kinds = vec!["pid", "mount", "ipc", "uts"];
    if inputs.unified {
        kinds.push("cgroup");
    }
    if inputs.app.network != Network::Host {
        kinds.push("network");
    }
    kinds.iter().map(|kind| json!({ "type": kind })).collect()
}

fn resources(inputs: &Inputs<'_>) -> Value {
    let wanted = inputs.app.resources;
    let cpu_milli = wanted.cpu_milli.max(CPU_MILLI_MIN);
    let memory = wanted.mem_mib.max(MEMORY_MIB_MIN) * 1024 * 1024;
    let mut resources = json!({
        // Shares divide a busy node in proportion, the quota is the limit that was asked for.
        "cpu": {
            "shares": (cpu_milli * SHARES_PER_CPU / 1000).max(2),
            "quota": cpu_milli * CPU_PERIOD_US / 1000,
            "period": CPU_PERIOD_US,
        },
        "memory": { "limit": memory, "swap": memory },
        "pids": { "limit": PIDS_MAX },
        "devices": device_rules(),
    });
    if inputs.unified {
        // One process too big ends the whole task, rather than leave it crippled.
        resources["unified"] = json!({ "memory.oom.group": "1" });
    }
    resources
}

/// For cgroup v1; on v2 the same list becomes a program, see [`devices`].
fn device_rules() -> Value {
    let mut rules = vec![json!({ "allow": false, "access": "rwm" })];
    for (major, minor) in devices::ALLOWED {
        let mut rule = json!({ "allow": true, "type": "c", "major": major, "access": "rwm" });
        if let Some(minor) = minor {
            rule["minor"] = json!(minor);
        }
        rules.push(rule);
    }
    rules.into()
}

fn mounts(inputs: &Inputs<'_>) -> Value {
    let mount = |target: &str, kind: &str, source: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": source, "options": options });
    let quiet = ["nosuid", "noexec", "nodev"];
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &quiet),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &quiet),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ];
    if inputs.unified {
        mounts.push(mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"]));
    }
    let bind = |source: &Path, target: &str, options: &[&str]| json!({ "destination": target, "type": "none", "source": source, "options": options });
    mounts.push(bind(inputs.sandbox, SANDBOX_IN_TASK, &["rbind", "rw", "nosuid", "nodev"]));
    for (source, target) in inputs.files {
        mounts.push(bind(source, target, &["bind", "ro", "nosuid", "nodev", "noexec"]));
    }
    mounts.into()
}
