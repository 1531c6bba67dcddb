//! `config.json`: what an app asks for, as an OCI runtime specification. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::app::{AppSpec, Network};
use serde_json::{Value, json};

use super::user::User;
use super::{caps, devices};
use crate::images::ImageConfig;

/// Where a task finds its sandbox; the working directory of tasks without an image.
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
    /// What the task's image says of itself; `None`: no image.
    pub image: Option<&'a ImageConfig>,
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

/// `cmd` is a line for the shell, in place of all that the image would run. `args` are a program with its arguments,
/// or what follows the image's entry point. An app with neither runs what its image says; without an image the parser
/// has refused it.
pub fn arguments(app: &AppSpec, image: Option<&ImageConfig>) -> Vec<String> {
    let entrypoint = image.map_or(&[][..], |image| &image.entrypoint);
    match (&app.cmd, &app.args) {
        (Some(cmd), _) => vec!["/bin/sh".to_owned(), "-c".to_owned(), cmd.clone()],
        (None, Some(args)) => [entrypoint, args].concat(),
        (None, None) => [entrypoint, image.map_or(&[][..], |image| &image.cmd)].concat(),
    }
}

/// Where the task begins: for an image where that says.
pub fn working_dir(image: Option<&ImageConfig>) -> String {
    match image {
        None => SANDBOX_IN_TASK.to_owned(),
        Some(image) if image.working_dir.starts_with('/') => image.working_dir.clone(),
        Some(image) => format!("/{}", image.working_dir),
    }
}

/// The image's variables, and over them the task's own.
fn environment(inputs: &Inputs<'_>) -> Vec<String> {
    let mut all: BTreeMap<&str, &str> = BTreeMap::from([("PATH", PATH_DEFAULT)]);
    let of_image = inputs.image.iter().flat_map(|image| &image.env);
    all.extend(of_image.chain(inputs.env).map(|(key, value)| (key.as_str(), value.as_str())));
    all.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

fn process(inputs: &Inputs<'_>) -> Value {
    // Another user than root keeps no capability across exec; it must not hold any before either.
    let held: &[&str] = if inputs.user.uid == 0 { &caps::DEFAULT } else { &[] };
    json!({
        "terminal": false,
        "user": { "uid": inputs.user.uid, "gid": inputs.user.gid, "additionalGids": [] },
        "args": arguments(inputs.app, inputs.image),
        "env": environment(inputs),
        "cwd": working_dir(inputs.image),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn app(fields: &str) -> AppSpec {
        AppSpec::parse(&format!(r#"{{"id": "a", "container": {{"docker": {{"image": "i"}}}} {fields}}}"#))
            .expect("a definition")
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn what_runs_is_the_apps_or_the_images() {
        let image = ImageConfig {
            entrypoint: words(&["/entry"]),
            cmd: words(&["-d", "x"]),
            working_dir: "/srv".to_owned(),
            ..ImageConfig::default()
        };
        let plain = ImageConfig { entrypoint: Vec::new(), working_dir: String::new(), ..image.clone() };
        for (fields, with, without) in [
            (r#", "cmd": "echo 1""#, &["/bin/sh", "-c", "echo 1"][..], &["/bin/sh", "-c", "echo 1"][..]),
            (r#", "args": ["a", "b"]"#, &["/entry", "a", "b"], &["a", "b"]),
            ("", &["/entry", "-d", "x"], &["-d", "x"]),
        ] {
            let app = app(fields);
            assert_eq!(arguments(&app, Some(&image)), words(with), "{fields}");
            assert_eq!(arguments(&app, Some(&plain)), words(without), "{fields}");
        }
        assert_eq!(working_dir(Some(&image)), "/srv");
        assert_eq!(working_dir(Some(&plain)), "/");
        assert_eq!(working_dir(None), SANDBOX_IN_TASK);
    }

    #[test]
    fn the_apps_variables_win_over_the_images() {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>()
        };
        let image = ImageConfig {
            env: pairs(&[("A", "image"), ("B", "image"), ("PATH", "/opt")]),
            ..ImageConfig::default()
        };
        let (app, env) = (app(""), pairs(&[("A", "app"), ("C", "app")]));
        let inputs = Inputs {
            app: &app,
            image: Some(&image),
            env: &env,
            user: User::default(),
            rootfs: Path::new("/r"),
            cgroup: Path::new("/c"),
            sandbox: Path::new("/s"),
            files: &[],
            files_max: 1,
            unified: true,
        };
        assert_eq!(environment(&inputs), words(&["A=app", "B=image", "C=app", "PATH=/opt"]));
        let bare = Inputs { image: None, ..inputs };
        assert_eq!(
            environment(&bare),
            [words(&["A=app", "C=app"]), vec![format!("PATH={PATH_DEFAULT}")]].concat()
        );
    }
}
