//! The page of the balancer.

pub const BALANCER_TITLE: &str = "Balancer";
pub const BALANCER_RUNNING: &str = "Running";
pub const BALANCER_IDLE: &str = "Idle";
pub const BALANCER_DOWN: &str = "Not running";
pub const BALANCER_MISSING: &str = "Not installed";
pub const BALANCER_IDLE_TEXT: &str =
    "Nothing to balance yet. An application with the label HAPROXY_GROUP gets its service port here.";
pub const BALANCER_ERROR: &str = "Not as it should be:";
pub const BALANCER_FAULTS: &str = "Balancer";
pub const BALANCER_CHANGE: &str = "Last change";
pub const BALANCER_RELOADS: &str = "Reloads";
pub const BALANCER_WRITTEN: &str = "A configuration was written";
pub const BALANCER_LOADED: &str = "A new configuration was loaded";
pub const FRONTS_TITLE: &str = "Front ends";
pub const FRONTS_EMPTY: &str = "It listens nowhere.";
pub const BACKS_TITLE: &str = "Back ends";
pub const BACKS_EMPTY: &str = "None.";
pub const SERVERS_EMPTY: &str = "No instance is behind it.";
pub const COLUMN_FRONT: &str = "Front end";
pub const COLUMN_BIND: &str = "Listens on";
pub const COLUMN_SESSIONS: &str = "Sessions now";
pub const COLUMN_RATE: &str = "Per second";
pub const COLUMN_TOTAL: &str = "In all";
pub const COLUMN_TRAFFIC: &str = "In and out";
pub const COLUMN_ADDRESS: &str = "Address";
pub const CONFIGURATION_TITLE: &str = "Generated configuration";

pub fn balancer_missing(program: &str) -> String {
    format!(
        "There is no {program} on this node. Everything else works; install HAProxy and restart the node to balance."
    )
}

pub fn balancer_running(version: &str, since: &str) -> String {
    format!("HAProxy {version}, this configuration since {since}")
}

pub fn balancer_servers(count: usize) -> String {
    match count {
        1 => "One server was changed without a reload".to_owned(),
        count => format!("{count} servers were changed without a reload"),
    }
}

pub fn traffic(received: &str, sent: &str) -> String {
    format!("{received} / {sent}")
}

pub fn back_end(sessions: &u64, rate: &u64, total: &u64, errors: &u64) -> String {
    format!("{sessions} sessions now, {rate} per second, {total} in all, {errors} errors")
}
