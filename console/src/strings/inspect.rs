//! Words of the pages that look into tasks and into the node.

// Task
pub const STEP_STAGED: &str = "Planned";
pub const STEP_STARTED: &str = "Running";
pub const TIMELINE_TITLE: &str = "Timeline";
pub const OUT_OF_MEMORY: &str = "out of memory";
pub const MASKED: &str = "••••••••";
pub const MASKED_HINT: &str = "hidden, for its name says that it is a secret";
pub const USAGE_TITLE: &str = "In use now";
pub const METER_CPU: &str = "CPU";
pub const METER_MEMORY: &str = "Memory";
pub const METER_PROCESSES: &str = "Processes";
pub const FILES_TITLE: &str = "Files";
pub const BROWSE: &str = "Browse the sandbox";
pub const WHOLE_LOG: &str = "Search and browse";

pub fn later(duration: &str) -> String {
    format!("after {duration}")
}

pub fn cpu_now(now: &str, of: &str, total: &str) -> String {
    format!("{now} of {of} CPUs, {total} in all")
}

pub fn cpu_total(total: &str) -> String {
    format!("{total} in all")
}

pub fn oom_kills(count: u64) -> String {
    match count {
        1 => "The kernel has killed one of its processes because its memory limit was reached.".to_owned(),
        n => format!("The kernel has killed {n} of its processes because its memory limit was reached."),
    }
}

pub fn env_title(count: usize) -> String {
    format!("Environment ({count})")
}

// Sandbox
pub const SANDBOX: &str = "sandbox";
pub const SANDBOX_PATH: &str = "Path";
pub const COLUMN_NAME: &str = "Name";
pub const COLUMN_SIZE: &str = "Size";
pub const COLUMN_MODIFIED: &str = "Changed (UTC)";
pub const FOLDER_EMPTY: &str = "This folder is empty.";
pub const DOWNLOAD_FOLDER: &str = "Download as tar";
pub const PREVIOUS: &str = "Previous";
pub const NEXT: &str = "Next";
pub const KIND_LINK: &str = "link to";
pub const KIND_FIFO: &str = "FIFO";
pub const KIND_SOCKET: &str = "socket";
pub const KIND_DEVICE: &str = "device";
pub const NOT_TEXT: &str = "This is not text. Download it to look at it.";
pub const FILE_EMPTY: &str = "This file is empty.";
pub const SANDBOX_REFUSED: &str = "This cannot be shown";

pub fn entries(first: usize, last: usize, total: usize, truncated: bool) -> String {
    let more = if truncated { "more than " } else { "" };
    if first == 1 && last == total {
        format!("{more}{total}")
    } else {
        format!("{first}–{last} of {more}{total}")
    }
}

pub fn folder_truncated(max: usize) -> String {
    format!(
        "The folder holds more entries than are listed; these are {max} of them. The archive has no more either."
    )
}

pub fn beginning_of(shown: &str, size: &str) -> String {
    format!("The first {shown} of {size}.")
}

// Log
pub const SEARCH_OUTPUT: &str = "Search this output";
pub const SEARCH_BUTTON: &str = "Search";
pub const GO_BYTE: &str = "Byte";
pub const GO_TIME: &str = "Time (UTC)";
pub const GO: &str = "Go";
pub const FIRST_PAGE: &str = "Oldest";
pub const LAST_PAGE: &str = "Newest";
pub const WRAP_ON: &str = "Wrap lines";
pub const WRAP_OFF: &str = "Do not wrap";
pub const COLOURS_ON: &str = "Show colours";
pub const COLOURS_OFF: &str = "Hide colours";
pub const FINDS_TITLE: &str = "Finds";
pub const MORE_FINDS: &str = "Search on";
pub const TIME_NOT_READ: &str =
    "The time was not understood. It is a date and a time of day, as in 2026-11-22 13:05:00.";

pub fn finds_none(text: &str) -> String {
    format!("“{text}” is not in what was searched.")
}

pub fn finds_count(count: usize, is_all: bool) -> String {
    if is_all { count.to_string() } else { format!("first {count}") }
}

pub fn searched_to(offset: u64) -> String {
    format!("Searched up to byte {offset}.")
}

pub fn written_between(first: &str, last: &str) -> String {
    if first == last { format!("written {first} UTC") } else { format!("written {first} to {last} UTC") }
}

// Machine
pub const FACT_LOAD: &str = "Load";
pub const FACT_PROCESSES: &str = "Threads";
pub const FACT_RESOLVERS: &str = "Resolvers";
pub const FACT_SEARCH: &str = "Search domains";
pub const DISKS_TITLE: &str = "Disks";
pub const DISKS_EMPTY: &str = "No disk was found.";
pub const SPACE_TITLE: &str = "File systems";
pub const LINKS_TITLE: &str = "Network links";
pub const ROUTES_TITLE: &str = "Routes";
pub const ROUTES_EMPTY: &str = "There is no route.";
pub const MACHINE_FAILED: &str = "The machine could not be looked at";
pub const DISK_ROTATES: &str = "rotates";
pub const DISK_REMOVABLE: &str = "removable";
pub const READ_ONLY: &str = "read-only";
pub const LINK_DOWN: &str = "off";
pub const LINK_UP: &str = "connected";
pub const LINK_NO_CARRIER: &str = "no carrier";
pub const COLUMN_DISK: &str = "Disk";
pub const COLUMN_MODEL: &str = "Model";
pub const COLUMN_PARTITIONS: &str = "Partitions";
pub const COLUMN_MOUNT: &str = "Mounted at";
pub const COLUMN_SOURCE: &str = "Device";
pub const COLUMN_KIND: &str = "Kind";
pub const COLUMN_USED: &str = "Used";
pub const COLUMN_INODES: &str = "Inodes";
pub const COLUMN_LINK: &str = "Link";
pub const COLUMN_ADDRESSES: &str = "Addresses";
pub const COLUMN_RECEIVED: &str = "Received";
pub const COLUMN_SENT: &str = "Sent";
pub const COLUMN_DESTINATION: &str = "Destination";
pub const COLUMN_GATEWAY: &str = "Gateway";
pub const COLUMN_METRIC: &str = "Metric";
pub const ON_LINK: &str = "on the link";
pub const FACT_LOGS: &str = "Logs";
pub const KERNEL_LOG: &str = "Kernel log";
pub const KERNEL_EMPTY: &str = "The kernel has written nothing of this level.";
pub const LEVEL: &str = "Level";
pub const AND_GRAVER: &str = "and graver";
pub const SHOW: &str = "Show";
pub const SERVICE_LOG: &str = "Log";
pub const SERVICE_LOG_EMPTY: &str = "It has written nothing yet.";
/// As syslog numbers them, 0 to 7.
pub const LEVELS: [&str; 8] =
    ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];

pub fn kept_for_node(text: &str, kept: &str) -> String {
    format!("{text}, {kept} kept for the node")
}

pub fn speed(mbit: u64) -> String {
    if mbit >= 1000 && mbit.is_multiple_of(1000) {
        format!("{} Gbit/s", mbit / 1000)
    } else {
        format!("{mbit} Mbit/s")
    }
}

pub fn link_traffic(bytes: &str, packets: u64) -> String {
    format!("{bytes}, {packets} packets")
}

pub fn link_faults(errors: u64, dropped: u64) -> String {
    format!("{errors} errors, {dropped} dropped")
}

pub fn service_log_title(role: &str) -> String {
    format!("Log of {role}")
}
