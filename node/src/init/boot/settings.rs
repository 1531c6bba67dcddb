//! Kernel settings that differ from the defaults, and init's own limits, which all its children inherit.

use std::fs;

use nix::sys::reboot::set_cad_enabled;
use nix::sys::resource::{Resource, setrlimit};

const SETTINGS: [(&str, &str); 9] = [
    // Console messages are for faults; the rest is in the kernel's log.
    ("kernel/printk", "4 4 1 7"),
    ("kernel/printk_devkmsg", "on"),
    ("kernel/panic", "10"),
    ("kernel/pid_max", "4194304"),
    // Search engines and the like refuse to start below.
    ("vm/max_map_count", "262144"),
    ("fs/inotify/max_user_instances", "8192"),
    ("fs/inotify/max_user_watches", "1048576"),
    // Tasks may not plant links that lead the node's own programs astray.
    ("fs/protected_symlinks", "1"),
    ("fs/protected_hardlinks", "1"),
];

const FILES_MAX: u64 = 1_048_576;

pub fn apply() -> super::Outcome {
    let mut faults: Vec<String> = SETTINGS
        .iter()
        .filter_map(|(name, value)| {
            // Some settings refuse a value without its newline.
            let result = fs::write(format!("/proc/sys/{name}"), format!("{value}\n"));
            result.err().map(|error| format!("{name}: {error}"))
        })
        .collect();
    let mut note =
        |what: &str, result: Result<(), String>| faults.extend(result.err().map(|e| format!("{what}: {e}")));
    // Ctrl-Alt-Del comes to us as SIGINT instead of resetting the machine at once.
    note("Ctrl-Alt-Del", set_cad_enabled(false).map_err(|error| error.to_string()));
    let limit = setrlimit(Resource::RLIMIT_NOFILE, FILES_MAX, FILES_MAX);
    note("open files", limit.map_err(|error| error.to_string()));
    // The node's own programs go last when memory runs out; tasks are set back to 0.
    note("out-of-memory score", fs::write("/proc/self/oom_score_adj", "-900").map_err(|e| e.to_string()));
    if faults.is_empty() { Ok(String::new()) } else { Err(faults.join("; ")) }
}
