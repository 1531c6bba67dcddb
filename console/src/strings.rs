//! Every word the console says, in one place: English now, other languages by another such file.
//!
//! Sentences say what happened, why, and what to do next.

mod backups;
mod balancer;
mod inspect;
mod manage;
mod names;
mod nodes;

pub use backups::*;
pub use balancer::*;
pub use inspect::*;
pub use manage::*;
pub use names::*;
pub use nodes::*;

use crate::{ClaimError, LoginError, Unavailable};

pub const PRODUCT: &str = "Meseta";

// Frame
pub const NAV: &str = "Main";
pub const NAV_APPS: &str = "Applications";
pub const NAV_DNS: &str = "Names";
pub const NAV_NODE: &str = "Nodes";
pub const NAV_BALANCER: &str = "Balancer";
pub const SKIP: &str = "Skip to content";
pub const LOGOUT: &str = "Log out";
pub const STALE: &str = "The connection to this node is lost. What you see is as of";
pub const HELP: &str = "Keyboard";
pub const HELP_CLOSE: &str = "Close";
pub const HELP_KEYS: &[(&str, &str)] = &[
    ("/", "Search applications, instances and nodes"),
    ("c", "Create an application"),
    ("g a", "Go to the applications"),
    ("g d", "Go to the names"),
    ("g n", "Go to the nodes"),
    ("g b", "Go to the balancer"),
    ("g e", "Go to the events"),
    ("g s", "Go to the settings"),
    ("j k", "Go down or up the rows of a table; then the arrows do, too"),
    ("Enter", "Open the row you are at"),
    ("Ctrl Enter", "Send the form you are in"),
    ("?", "Show or hide this list"),
    ("Esc", "Close"),
];
pub const BACK: &str = "Back to the applications";

// Problems
pub const CROSS_SITE: &str = "This request came from another site and was refused.";
pub const NOT_FOUND: &str = "Not found";
pub const NO_SUCH_PAGE: &str =
    "There is no such page. The address may be mistyped, or what it named is gone.";
pub const UNAVAILABLE: &str = "The cluster cannot do this now";
pub const BAD_ADDRESS: &str = "The address asks for something that is not there";
pub const BAD_FORM: &str = "The form could not be read";
pub fn out_of_touch(seconds: u64) -> String {
    format!(
        "This node has heard nothing of a majority of its cluster for {seconds} s. What it shows may be old, and changes have to wait."
    )
}

pub const STALE_FORM: &str = "This form is out of date";
pub const STALE_FORM_TEXT: &str = "It was made for another login, or cookies are off. Nothing was changed. Go back, reload the page and send it again.";
pub const TOO_LARGE: &str = "That is too large";
pub const REFUSED: &str = "The cluster refused this";

pub fn too_large() -> String {
    format!(
        "A form may have at most {} KiB. Nothing was changed.",
        model::limits::REQUEST_BODY_BYTES_MAX / 1024
    )
}

pub fn unavailable(error: &Unavailable) -> String {
    match error {
        Unavailable::NoLeader(why) => {
            format!("No server leads the cluster right now ({why}). Nothing was changed. Try again in a moment.")
        }
        Unavailable::NoSpace(what) => format!(
            "The disk that holds the cluster's state is full ({what}). Nothing was changed. Running tasks go on; free space on the node, then try again."
        ),
        Unavailable::TooLarge { limit } => {
            format!("The change is larger than the cluster's log takes ({limit} bytes). Nothing was changed.")
        }
        Unavailable::Unknown => {
            "No answer came in time. The change may or may not have been made: look at the application before you try again."
                .to_owned()
        }
        Unavailable::Failed(why) => {
            format!("The cluster's log failed ({why}). Nothing was changed. See the node's page.")
        }
    }
}

// Claim
pub const CLAIM_TITLE: &str = "Claim this cluster";
pub const CLAIM_LEAD: &str = "This node belongs to nobody yet. Its screen or serial console shows a claim code; whoever enters it becomes the administrator.";
pub const CLAIM_CODE: &str = "Claim code";
pub const CLAIM_CODE_HINT: &str = "As shown on the node's screen. Wrong codes are counted and slow you down.";
pub const PASSWORD_NEW: &str = "Choose a password";
pub const PASSWORD_AGAIN: &str = "The password once more";
pub const CLAIM_BUTTON: &str = "Claim";
pub const PASSWORDS_DIFFER: &str = "The two passwords differ.";
pub const CODE_MISSING: &str = "Enter the claim code.";

pub fn password_rule() -> String {
    format!(
        "{} to {} characters. You log in as “admin” with it.",
        model::limits::PASSWORD_BYTES_MIN,
        model::limits::PASSWORD_BYTES_MAX
    )
}

pub fn claim_error(error: &ClaimError) -> String {
    match error {
        ClaimError::WrongCode => {
            "This is not the claim code of this node. Look at its screen and try again.".to_owned()
        }
        ClaimError::TooManyTries { seconds } => {
            format!("Too many wrong codes. The next one is looked at in {seconds} s.")
        }
        ClaimError::AlreadyClaimed => {
            "Somebody has claimed this cluster meanwhile. Log in instead.".to_owned()
        }
        ClaimError::BadPassword => format!(
            "The password must have {} to {} characters.",
            model::limits::PASSWORD_BYTES_MIN,
            model::limits::PASSWORD_BYTES_MAX
        ),
        ClaimError::Unavailable(error) => unavailable(error),
    }
}

// Login
pub const LOGIN_TITLE: &str = "Log in";
pub const LOGIN_NAME: &str = "Name";
pub const LOGIN_PASSWORD: &str = "Password";
pub const LOGIN_BUTTON: &str = "Log in";

pub fn login_error(error: &LoginError) -> String {
    match error {
        LoginError::Wrong => "Name or password is wrong.".to_owned(),
        LoginError::TooManyTries { seconds } => {
            format!("Too many wrong passwords from your address. The next one is looked at in {seconds} s.")
        }
    }
}

// List
pub const APPS_TITLE: &str = "Applications";
pub const SEARCH: &str = "Search";
pub const SEARCH_HINT: &str = "Search by id, image or label";
pub const CREATE: &str = "Create Application";
pub const COLUMN_APP: &str = "Application";
pub const COLUMN_STATUS: &str = "Status";
pub const COLUMN_INSTANCES: &str = "Running";
pub const COLUMN_CPUS: &str = "CPUs";
pub const COLUMN_MEMORY: &str = "Memory";
pub const EMPTY_TITLE: &str = "Nothing runs here yet";
pub const EMPTY_TEXT: &str = "An application is a command or an image, with how much of it you want. Describe one in JSON and the cluster keeps it running.";

pub fn running_of(running: usize, wanted: u32) -> String {
    format!("{running} of {wanted}")
}

pub fn apps_count(matched: usize, total: usize, shown: usize) -> String {
    match (matched == total, shown == matched) {
        (_, false) => format!("first {shown} of {matched}"),
        (true, true) => total.to_string(),
        (false, true) => format!("{matched} of {total}"),
    }
}

pub fn no_match(query: &str) -> String {
    format!("No application matches “{query}”.")
}

pub const SHOW_ALL: &str = "Show all";

// Status
pub const STATUS_DEPLOYING: &str = "Deploying";
pub const STATUS_RUNNING: &str = "Running";
pub const STATUS_SUSPENDED: &str = "Suspended";
pub const STATUS_DELAYED: &str = "Delayed";
pub const STATUS_WAITING: &str = "Waiting";
pub const NEXT_START: &str = "Next start";
pub const NOW: &str = "now";
pub const WAITING_FOR_PLAN: &str = "It may start; the cluster is about to place it.";
pub const SUSPENDED_NOTE: &str = "No instances are wanted.";
pub const DEPLOYMENT_START: &str = "Starting its first instances.";
pub const DEPLOYMENT_SCALE: &str = "Scaling.";
pub const DEPLOYMENT_RESTART: &str = "Replacing its instances by the new version.";
pub const DEPLOYMENT_STOP: &str = "Stopping.";

pub fn in_time(duration: &str) -> String {
    format!("in {duration}")
}

pub fn ago(duration: &str) -> String {
    format!("{duration} ago")
}

// Create
pub const CREATE_TITLE: &str = "Create an application";
pub const DEFINITION: &str = "Definition (JSON)";
pub const CREATE_BUTTON: &str = "Create";
pub const CANCEL: &str = "Cancel";
pub const EXAMPLE: &str = include_str!("../templates/example.json");
pub const FAULTS_TITLE: &str = "This is not a valid definition yet";
pub const FAULT_EXPECTED: &str = "expected";
pub const FAULT_FOUND: &str = "found";
pub const NOT_CREATED: &str = "Not created";

pub fn syntax_place(line: usize, column: usize) -> String {
    format!("Line {line}, column {column}")
}

pub fn faults_count(count: usize) -> String {
    if count == 1 { "One fault:".to_owned() } else { format!("{count} faults:") }
}

pub fn definition_too_large(bytes: usize, max: usize) -> String {
    format!("The definition has {bytes} bytes; at most {max} are accepted.")
}

// App
pub const ACTIONS: &str = "Actions";
pub const SCALE: &str = "Scale";
pub const SCALE_TO: &str = "Instances";
pub const RESTART: &str = "Restart";
pub const SUSPEND: &str = "Suspend";
pub const DESTROY: &str = "Destroy…";
pub const RESET_DELAY: &str = "Start now";
pub const KILL: &str = "Kill";
pub const KILL_SCALE: &str = "Kill and scale down";
pub const LIVE_TITLE: &str = "Running";
pub const LIVE_EMPTY: &str = "No instance runs right now.";
pub const ENDED_TITLE: &str = "Finished";
pub const ENDED_EMPTY: &str = "No instance has ended yet.";
pub const DEFINITION_TITLE: &str = "Definition";
pub const VERSIONS_TITLE: &str = "Versions";
pub const VERSION_CURRENT: &str = "current";
pub const ENV_TITLE: &str = "Environment";
pub const LABELS_TITLE: &str = "Labels";
pub const JSON_TITLE: &str = "JSON";
pub const SAME_BY_API: &str = "The same by the API";
pub const LAST_FAILURE: &str = "Last failure";
pub const UNKNOWN_KEYS: &str = "These keys of the definition mean nothing here and were left out:";
pub const COLUMN_TASK: &str = "Instance";
pub const COLUMN_STATE: &str = "State";
pub const COLUMN_NODE: &str = "Node";
pub const COLUMN_PORTS: &str = "Ports";
pub const COLUMN_STARTED: &str = "Started";
pub const COLUMN_ENDED: &str = "Ended";
pub const COLUMN_RAN: &str = "Ran for";
pub const COLUMN_HOW: &str = "How it ended";
pub const NONE: &str = "–";
pub const NO_SUCH_APP: &str = "There is no application of that name. It may have been destroyed.";
pub const SCALE_NOT_A_NUMBER: &str = "The number of instances was not understood";
pub const UNKNOWN_ACTION: &str = "The form asked for something this page does not do.";

pub fn scale_rule() -> String {
    format!(
        "It must be a whole number from 0 to {}. Nothing was changed.",
        model::limits::INSTANCES_PER_APP_MAX
    )
}

pub fn history_kept() -> String {
    format!("The last {} are remembered.", model::limits::HISTORY_PER_APP_MAX)
}

pub fn destroy_title(app: &str) -> String {
    format!("Destroy {app}?")
}

pub const DESTROY_BUTTON: &str = "Destroy it";
pub const KEEP: &str = "Keep it";
pub const LOCKED_TITLE: &str = "A deployment of this application is under way";
pub const LOCKED_TEXT: &str = "Nothing was changed. You can wait for it to finish, or do this now: the running deployment is then given up where it stands.";
pub const FORCE_BUTTON: &str = "Do it now";
pub const FACT_COMMAND: &str = "Command";
pub const FACT_ARGUMENTS: &str = "Arguments";
pub const FACT_IMAGE: &str = "Image";
pub const FACT_RESOURCES: &str = "Each instance";
pub const FACT_NETWORK: &str = "Network";
pub const FACT_PORTS: &str = "Ports";
pub const FACT_USER: &str = "User";
pub const FACT_HEALTH: &str = "Health checks";
pub const FACT_CONSTRAINTS: &str = "Constraints";
pub const FACT_BACK_OFF: &str = "Back-off";
pub const NETWORK_HOST: &str = "the node's own";
pub const NETWORK_BRIDGE: &str = "a bridge of the node";
pub const PORT_ANY: &str = "any host port";
pub const PORT_SERVICE: &str = "service port";

pub fn network_named(names: &str) -> String {
    format!("container networks {names}")
}

pub fn back_off(first: &str, factor: &str, max: &str) -> String {
    format!("first {first}, then × {factor}, at most {max}")
}

pub fn resources(cpus: &str, memory: &str) -> String {
    format!("{cpus} CPUs, {memory} memory")
}

pub fn resources_disk(disk: &str) -> String {
    format!(", {disk} disk")
}

pub const FACT_TASK_HEALTH: &str = "Health";
pub const HEALTH_UNKNOWN: &str = "Health not known yet";
pub const HEALTH_GOOD: &str = "Healthy";
pub const HEALTH_BAD: &str = "Unhealthy";
pub fn unhealthy(count: usize) -> String {
    format!("{count} unhealthy")
}
pub fn health_check(what: &str, interval: &str) -> String {
    format!("{what} each {interval}")
}

// Tasks
pub const TASK_UNREACHABLE: &str = "Its node does not answer";
pub const TASK_STAGING: &str = "Staging";
pub const TASK_STARTING: &str = "Starting";
pub const TASK_RUNNING: &str = "Running";
pub const TASK_KILLING: &str = "Stopping";
pub const KILL_SCALED_DOWN: &str = "Not wanted any more";
pub const KILL_REPLACED: &str = "Replaced by a newer version";
pub const KILL_MOVED: &str = "Moved to another node";
pub const MOVE: &str = "Move to another node";
pub const MOVE_CANCEL: &str = "Leave it on this node";
pub const KILL_REQUESTED: &str = "Killed on request";
pub const KILL_UNHEALTHY: &str = "Killed because its health check kept failing";
pub const EXIT_ZERO: &str = "Ended by itself with exit code 0";
pub const EXIT_OUT_OF_MEMORY: &str = "Killed because it ran out of its memory limit";
pub const EXIT_NEVER_RAN: &str = "It never ran";
pub const EXIT_UNKNOWN: &str = "The node went away beneath it; nobody saw the end";
pub const EXIT_HINT_NOT_EXECUTABLE: &str = "a shell says: not executable";
pub const EXIT_HINT_NOT_FOUND: &str = "a shell says: command not found";
pub const NO_SUCH_TASK: &str =
    "There is no such instance. Only the last ended ones of an application are remembered.";
pub const OUTPUT_EMPTY: &str = "Nothing was written yet.";
pub const DOWNLOAD: &str = "Download";
pub const OLDER: &str = "Older";
pub const NEWER: &str = "Newer";
pub const FOLLOWING: &str = "live";
pub const OUTPUT_TITLE: &str = "Output";
pub const FACT_TASK_ID: &str = "Task id";
pub const FACT_TASK_VERSION: &str = "App version";
pub const FACT_TASK_ADDRESSES: &str = "Addresses";

pub fn exit_code(code: i32, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("Failed with exit code {code} ({hint})"),
        None => format!("Failed with exit code {code}"),
    }
}

pub fn exit_hint_signal(signal: &str) -> String {
    format!("a shell says: ended by {signal}")
}

pub fn exit_signal(number: i32, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("Ended by signal {number} ({name})"),
        None => format!("Ended by signal {number}"),
    }
}

pub fn task_title(app: &str, short: &str) -> String {
    format!("{app} · {short}")
}

pub fn output_range(first: u64, end: u64) -> String {
    format!("bytes {first} to {end}")
}

// Before the console
pub const STARTING_TITLE: &str = "This node is starting";
pub const STARTING_LEAD: &str = "It opens its part of the cluster's state. This page becomes the console by itself; nothing need be done.";

// Node
pub const NODE_TITLE: &str = "Node";
pub const BOOT_TITLE: &str = "Boot";
pub const SERVICES_TITLE: &str = "Services";
pub const RESOURCES_TITLE: &str = "Resources";
pub const LAST_ERROR: &str = "Last error";
pub const FACT_VERSION: &str = "Version";
pub const FACT_KERNEL: &str = "Kernel";
pub const FACT_ADDRESSES: &str = "Addresses";
pub const FACT_UPTIME: &str = "Up for";
pub const FACT_NODE_ID: &str = "Node id";
pub const FACT_LOCAL_NAME: &str = "Local name";
pub const FACT_SETTINGS: &str = "Settings from";
pub const FACT_PROXY: &str = "Proxy";
pub const FACT_MIRRORS: &str = "Image mirrors";
pub const FACT_CLOCK: &str = "Clock";
pub const CONFIG_ERRORS: &str = "Not understood in the settings:";
pub const GAUGE_CPUS: &str = "CPUs given to tasks";
pub const GAUGE_MEMORY: &str = "Memory given to tasks";
pub const GAUGE_DISK: &str = "Disk given to tasks";
pub const GAUGE_MEMORY_NOW: &str = "Memory in use";
pub const GAUGE_STATE: &str = "State disk";
pub const COLUMN_SERVICE: &str = "Service";
pub const COLUMN_PID: &str = "Process";
pub const COLUMN_RESTARTS: &str = "Restarts";
pub const COLUMN_LAST_END: &str = "Ended last";
pub const PHASE_RUNNING: &str = "still runs";
pub const SERVICE_DOWN: &str = "not running";
pub const REBOOT: &str = "Reboot…";
pub const POWER_OFF: &str = "Power off…";
pub const REBOOT_BUTTON: &str = "Reboot it";
pub const POWER_OFF_BUTTON: &str = "Power it off";
pub const POWER_FAILED: &str = "The node did not accept this";
pub const REBOOTING: &str = "The node reboots";
pub const REBOOTING_TEXT: &str = "It answers again at the same address once it is up.";
pub const POWERING_OFF: &str = "The node powers off";
pub const POWERING_OFF_TEXT: &str = "It comes back when somebody switches it on.";

pub fn boot_took(total: &str) -> String {
    format!("{total} from the first step to the last")
}

pub fn clock_unknown(fault: &str) -> String {
    format!("compared with no other: {fault}")
}

/// `offset_ms`: how far the machine's clock is ahead.
pub fn clock_compared(source: &str, offset_ms: i64, fault: &str) -> String {
    let place = match offset_ms {
        0 => "right to the millisecond".to_owned(),
        ahead if ahead > 0 => format!("{ahead} ms ahead"),
        behind => format!("{} ms behind", -behind),
    };
    let fault = if fault.is_empty() { String::new() } else { format!("; since then: {fault}") };
    format!("{place} when last compared, by {source}{fault}")
}

pub fn used_of(used: &str, of: &str) -> String {
    format!("{used} of {of}")
}

pub fn reboot_title(node: &str) -> String {
    format!("Reboot {node}?")
}

pub fn power_off_title(node: &str) -> String {
    format!("Power off {node}?")
}

pub fn reboot_text(tasks: usize) -> String {
    format!("{} They are started again afterwards. The console is away meanwhile.", stopped(tasks))
}

pub fn power_off_text(tasks: usize) -> String {
    format!("{} The node stays off until somebody switches it on.", stopped(tasks))
}

fn stopped(tasks: usize) -> String {
    match tasks {
        0 => "No instances run on it.".to_owned(),
        1 => "The one instance on it is stopped.".to_owned(),
        n => format!("The {n} instances on it are stopped."),
    }
}

/// Counted by the script as time goes by; `{}` is replaced by a duration.
pub const SCRIPT_IN: &str = "in {}";
pub const SCRIPT_AGO: &str = "{} ago";
