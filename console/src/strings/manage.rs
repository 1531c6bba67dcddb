//! Words of what changes the cluster: composing apps, versions, consequences, events, settings, search.

// Frame
pub const NAV_EVENTS: &str = "Events";
pub const NAV_SETTINGS: &str = "Settings";
pub const NAV_SEARCH: &str = "Search";
pub const FOOT_HELP: &str = "Keyboard";
pub const THEME: &str = "Colours";
pub const THEMES: &[(&str, &str)] = &[("system", "System"), ("light", "Light"), ("dark", "Dark")];
pub const COPY: &str = "Copy";
pub const COPIED: &str = "Copied";
pub const HELP_TITLE: &str = "Keyboard";
pub const HELP_LEAD: &str =
    "Every page can be used without a mouse: Tab moves on, Enter follows and presses.";

// Form and JSON
pub const FORM_TITLE: &str = "Form";
pub const FORM_ID: &str = "Id";
pub const FORM_ID_HINT: &str = "Lower case; folders by slashes.";
pub const FORM_COMMAND_HINT: &str = "Run by a shell.";
pub const FORM_ARGUMENTS_HINT: &str = "Instead of a command: one a line, no shell.";
pub const FORM_IMAGE_HINT: &str = "Empty: the node's own root file system.";
pub const FORM_INSTANCES: &str = "Instances";
pub const FORM_CPUS: &str = "CPUs";
pub const FORM_MEMORY: &str = "Memory (MiB)";
pub const FORM_DISK: &str = "Disk (MiB)";
pub const FORM_NETWORK_HOST: &str = "the node's own (host)";
pub const FORM_NETWORK_BRIDGE: &str = "a bridge of the node";
pub const FORM_NETWORK_NAMED: &str = "named networks, as in the JSON";
pub const FORM_KEY: &str = "Name";
pub const FORM_VALUE: &str = "Value";
pub const FORM_NAME: &str = "Name";
pub const FORM_PROTOCOL: &str = "Protocol";
pub const FORM_PORT_CONTAINER: &str = "Container";
pub const FORM_PORT_HOST: &str = "Host";
pub const FORM_PORT_SERVICE: &str = "Service";
pub const FORM_PORTS_HINT: &str = "0 or empty: any. On the node's own network only the service port counts.";
pub const FORM_CHECKS_HINT: &str = "Times in seconds.";
pub const FORM_CHECK_TARGET: &str = "Path or command";
pub const FORM_CHECK_PORT: &str = "Port no.";
pub const FORM_CHECK_INTERVAL: &str = "Each";
pub const FORM_CHECK_GRACE: &str = "Grace";
pub const FORM_CHECK_TIMEOUT: &str = "Timeout";
pub const FORM_CHECK_FAILURES: &str = "Failures";
pub const FORM_CONSTRAINTS_HINT: &str = "A node's hostname, zone or attribute decides who may run it.";
pub const FORM_CONSTRAINT_FIELD: &str = "Field";
pub const FORM_CONSTRAINT_OPERATOR: &str = "Operator";
pub const FORM_BROKEN: &str =
    "The JSON cannot be read yet. The form comes back once it can; nothing is lost.";
pub const SHOW_AS_JSON: &str = "Show as JSON";
pub const SHOW_AS_FORM: &str = "Show as form";
pub const BOTH_CHANGED_TITLE: &str = "The form and the JSON were both changed";
pub const BOTH_CHANGED_TEXT: &str = "They no longer say the same. “Show as JSON” takes what the form says, “Show as form” what the JSON says. Nothing was saved.";
pub const COMPOSE_LEAD: &str =
    "Fill in the form or paste a definition as Marathon knows it: both show the same app.";
pub const REVIEW: &str = "Review the change";
pub const REVIEW_CREATE: &str = "Review";
pub const SAVE: &str = "Save";
pub const GO_ON: &str = "Go on editing";
pub const EDIT: &str = "Edit";
pub const NOT_SAVED: &str = "Not saved";
pub const MOVED_TITLE: &str = "Somebody else changed this application meanwhile";
pub const MOVED_TEXT: &str = "Nothing was saved, and what you wrote is still here. Below is what they changed. Take over what you need; saving now replaces their definition by yours.";
pub const GONE_TITLE: &str = "This application was destroyed meanwhile";
pub const GONE_TEXT: &str = "Nothing was saved, and what you wrote is still here. “Create” makes it anew.";
pub const ONLY_A_VERSION: &str = "It names only a version. To go back to one, use the list of versions.";

pub fn edit_title(app: &str) -> String {
    format!("Edit {app}")
}

pub fn review_title(app: &str) -> String {
    format!("Change {app}?")
}

pub fn review_create_title(app: &str) -> String {
    format!("Create {app}?")
}

pub fn form_nameless(value: &str) -> String {
    format!("the value “{value}” has no name")
}

pub fn form_twice(key: &str) -> String {
    format!("`{key}` is given twice; only one of them can count")
}

// Consequences
pub const PREVIEW_TITLE: &str = "What happens";
pub const PREVIEW_FIRST: &str = "First";
pub const PREVIEW_DIFF: &str = "What changes in the definition";
pub const PREVIEW_IDLE: &str = "Nothing differs from the definition in force; nothing would happen.";
pub const PREVIEW_SUSPENDED: &str =
    "Nothing of it runs until it is scaled up again. Definition, versions and history stay.";
pub const PREVIEW_YOUNGEST: &str = "The youngest are stopped first.";
pub const PREVIEW_OLDEST: &str = "The oldest are stopped first.";
pub const PREVIEW_LOCKED: &str =
    "A deployment of this application is under way. This gives it up where it stands.";
pub const PREVIEW_GONE_FOR_GOOD: &str =
    "Its definition, versions and history are forgotten. There is no way back.";
pub const DESTROY_NAME_WRONG: &str = "This is not the application's name.";
pub const SUSPEND_ASK: &str = "Suspend…";
pub const RESTART_ASK: &str = "Restart…";
pub const SCALE_ASK: &str = "Scale…";

pub fn scale_title(app: &str, instances: u32) -> String {
    format!("Scale {app} to {instances}?")
}

pub fn suspend_title(app: &str) -> String {
    format!("Suspend {app}?")
}

pub fn restart_title(app: &str) -> String {
    format!("Restart {app}?")
}

pub fn destroy_name(app: &str) -> String {
    format!("Type {app} to destroy it")
}

fn instances(count: usize) -> String {
    if count == 1 { "1 instance".to_owned() } else { format!("{count} instances") }
}

fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

pub fn preview_start(wanted: usize) -> String {
    match wanted {
        0 => "It is stored and nothing is started: it wants no instances.".to_owned(),
        n => format!("{} {} started.", instances(n), are(n)),
    }
}

pub fn preview_stop(live: usize) -> String {
    match live {
        0 => "None of its instances runs.".to_owned(),
        1 => "Its one instance ends.".to_owned(),
        n => format!("All its {n} instances end."),
    }
}

pub fn preview_fewer(stopped: usize, live: usize) -> String {
    let verb = if stopped == 1 { "ends" } else { "end" };
    format!("{stopped} of {} {verb}; the others go on undisturbed.", instances(live))
}

pub fn preview_more(started: usize, live: usize) -> String {
    let what = match started {
        0 => "No instance is started or stopped.".to_owned(),
        n => format!("{} {} started.", instances(n), are(n)),
    };
    match live {
        0 => what,
        1 => format!("{what} The one that lives goes on undisturbed."),
        n => format!("{what} The {n} that live go on undisturbed."),
    }
}

pub fn preview_replaced(live: usize, wanted: usize) -> String {
    match (live, wanted) {
        (0, 0) => "No instance runs, and none is wanted.".to_owned(),
        (0, n) => format!("{} {} started with the new version.", instances(n), are(n)),
        (n, 0) => format!("{} {} stopped.", instances(n), are(n)),
        (n, wanted) => {
            let ends = if n == 1 { "ends" } else { "end" };
            format!("{} {ends}, replaced by {} of the new version.", instances(n), wanted)
        }
    }
}

pub fn preview_meanwhile(running_min: u32, live_max: u32) -> String {
    let least = match running_min {
        0 => "for a while none may run".to_owned(),
        n => format!("at least {n} of them serve at any moment, old or new"),
    };
    format!("Meanwhile {least}, and at most {live_max} live at once (its upgrade strategy).")
}

pub fn preview_step_start(count: usize, node: &str) -> String {
    format!("Start {} on {node}.", instances(count))
}

pub fn preview_step_stop(count: usize, node: &str) -> String {
    format!("Stop {} on {node}.", instances(count))
}

// Versions
pub const VERSIONS_ALL: &str = "All versions";
pub const VERSION_COMPARE: &str = "Compare";
pub const VERSION_FROM: &str = "From";
pub const VERSION_TO: &str = "To";
pub const VERSION_COLUMN: &str = "Version";
pub const VERSION_MADE: &str = "Made";
pub const VERSION_CHANGE: &str = "Against the one before";
pub const VERSION_FIRST: &str = "the first that is kept";
pub const VERSION_SAME: &str = "the same definition: a restart";
pub const VERSION_BACK: &str = "Go back to it…";
pub const VERSION_BACK_BUTTON: &str = "Go back to it";
pub const VERSION_NONE: &str = "There is no such version. Only the last ones are kept.";
pub const VERSION_EQUAL: &str = "The two say the same.";
pub const DIFF_ADDED: &str = "added";
pub const DIFF_REMOVED: &str = "removed";

pub fn versions_title(app: &str) -> String {
    format!("Versions of {app}")
}

pub fn version_title(app: &str, version: &str) -> String {
    format!("{app} as of {version}")
}

pub fn version_back_title(app: &str, version: &str) -> String {
    format!("Take {app} back to {version}?")
}

pub fn version_change(added: usize, removed: usize) -> String {
    let lines =
        |count: usize, what: &str| format!("{count} {} {what}", if count == 1 { "line" } else { "lines" });
    match (added, removed) {
        (0, n) => lines(n, DIFF_REMOVED),
        (n, 0) => lines(n, DIFF_ADDED),
        (a, r) => format!("{}, {r} {DIFF_REMOVED}", lines(a, DIFF_ADDED)),
    }
}

pub fn diff_gap(lines: usize) -> String {
    format!("… {lines} equal lines")
}

// Events
pub const EVENTS_TITLE: &str = "Events";
pub const EVENTS_FILTER: &str = "Filter";
pub const EVENTS_KIND: &str = "About";
pub const EVENTS_ALL: &str = "everything";
pub const EVENTS_APP: &str = "Application";
pub const EVENTS_NONE: &str = "No event matches.";
pub const EVENTS_EXPORT: &str = "Export";
pub const EVENTS_NEWEST: &str = "Newest";
pub const EVENTS_OLDER: &str = "Older";
pub const EVENTS_WHEN: &str = "When";
pub const EVENTS_WHAT: &str = "What happened";
pub const EVENT_APP: &str = "Definition";
pub const EVENT_TASK: &str = "Instance";
pub const EVENT_DEPLOYMENT: &str = "Deployment";
pub const EVENT_CLUSTER: &str = "Cluster";
pub const EVENT_CLAIMED: &str = "The cluster was claimed.";
pub const EVENT_NODE_REBOOTED: &str = "booted again.";
pub const EVENT_NODE_REGISTERED: &str = "made itself known.";
pub const EVENT_NODE_ADMITTED: &str = "was let into the cluster.";
pub const EVENT_NODE_REMOVED: &str = "was removed from the cluster.";
pub const EVENT_NODE_LOST: &str = "does not answer.";
pub const EVENT_NODE_KEY_CHANGED: &str = "has a new key; the one before is dead";
pub const EVENT_AUTHORITY_REPLACING: &str = "Another certificate authority is on its way.";
pub const EVENT_AUTHORITY_REPLACED: &str =
    "The cluster has another certificate authority; what the one before certified counts no more.";
pub const EVENT_NODE_FENCED: &str =
    "is fenced: its exclusive instances have ended, and may be started elsewhere.";
pub const EVENT_SETTINGS_CHANGED: &str = "The cluster's settings were changed.";
pub const EVENT_NODE_QUARANTINED: &str =
    "is quarantined: it was lost again and again. It is given no new instances until a person says so.";
pub const EVENT_NODE_BACK: &str = "answers again.";
pub const EVENT_SESSIONS: &str = "Everybody was logged out.";
pub const EVENT_APP_DELETED: &str = "is gone.";
pub const EVENT_DEPLOYMENT_STARTED: &str = "is being deployed.";
pub const EVENT_DEPLOYMENT_SUCCEEDED: &str = "is as wanted.";
pub const EVENT_DEPLOYMENT_CANCELLED: &str = "is no longer being deployed: the deployment was given up.";
pub const EVENT_HEALTHY: &str = "is healthy";
pub const EVENT_UNHEALTHY: &str = "is no longer healthy";
pub const EVENT_TASK_RUNNING: &str = "runs";
pub const EVENT_TASK_KILLING: &str = "is being stopped";
pub const EVENT_TASK_FINISHED: &str = "finished";
pub const EVENT_TASK_KILLED: &str = "was stopped";
pub const EVENT_TASK_LOST: &str = "was lost";
pub const EVENT_TASK_FAILED: &str = "failed";

pub fn events_kept() -> String {
    format!("The last {} events of the cluster are kept.", model::limits::EVENTS_KEPT_MAX)
}

pub fn event_changed(client_ip: &str) -> String {
    if client_ip.is_empty() { "was changed.".to_owned() } else { format!("was changed from {client_ip}.") }
}

pub fn event_check_failed(cause: &str) -> String {
    format!("failed a health check: {cause}")
}

pub fn event_ended_unhealthy(reason: &str) -> String {
    format!("is ended for its health: {reason}")
}

pub fn event_on_node(what: &str, node: &str) -> String {
    format!("{} on {node}", what.to_lowercase())
}

pub fn event_password(user: &str) -> String {
    format!("The password of {user} was changed.")
}

pub fn event_join_token_created(name: &str) -> String {
    format!("The join token “{name}” was created.")
}

pub fn event_join_token_revoked(name: &str) -> String {
    format!("The join token “{name}” was revoked.")
}

pub fn event_token_created(name: &str) -> String {
    format!("The API token “{name}” was created.")
}

pub fn event_token_revoked(name: &str) -> String {
    format!("The API token “{name}” was revoked.")
}

// Settings
pub const SETTINGS_TITLE: &str = "Settings";
pub const CLUSTER_TITLE: &str = "Cluster";
pub const CLUSTER_ID: &str = "Cluster id";
pub const CLUSTER_CLAIMED: &str = "Claimed";
pub const CLUSTER_USERS: &str = "Users";
pub const USERS_LATER: &str =
    "There is one, the administrator. More users with roles of their own come later.";
pub const PASSWORD_TITLE: &str = "Your password";
pub const PASSWORD_NOW: &str = "The password you have";
pub const PASSWORD_BUTTON: &str = "Change it";
pub const PASSWORD_CHANGED: &str =
    "Your password is changed. You stay logged in here; everywhere else you are logged out.";
pub const PASSWORD_NEW_HERE: &str = "The new password";
pub const PASSWORD_SAME: &str = "This is the password you have already.";
pub const TOKENS_TITLE: &str = "API tokens";
pub const TOKENS_LEAD: &str =
    "A token stands for you on the API: “Authorization: Bearer …”. It cannot change settings.";
pub const TOKENS_NONE: &str = "There are none.";
pub const TOKEN_NAME: &str = "Name";
pub const TOKEN_CREATED: &str = "Created";
pub const TOKEN_EXPIRES: &str = "Expires";
pub const TOKEN_NEVER: &str = "never";
pub const TOKEN_EXPIRED: &str = "expired";
pub const TOKEN_LASTS: &[(&str, &str)] =
    &[("1", "in a day"), ("30", "in 30 days"), ("90", "in 90 days"), ("365", "in a year"), ("0", "never")];
pub const TOKEN_CREATE: &str = "Create a token";
pub const TOKEN_REVOKE: &str = "Revoke";
pub const TOKEN_MADE_TITLE: &str = "Your new token";
pub const TOKEN_MADE_TEXT: &str = "Copy it now. It is shown this once; the cluster keeps only its hash.";
pub const SESSIONS_TITLE: &str = "Sessions";
pub const SESSIONS_TEXT: &str =
    "A lost laptop, a login on somebody else's machine: this ends every session but the one you are in.";
pub const SESSIONS_BUTTON: &str = "Log out everywhere else";
pub const SESSIONS_ENDED: &str = "All other sessions are ended.";
pub const NOT_ALLOWED: &str = "You may not do this";
pub const NOT_ALLOWED_TEXT: &str = "Your role does not allow it. Nothing was changed.";

pub fn password_error(error: &crate::PasswordError) -> String {
    use crate::PasswordError;
    match error {
        PasswordError::Wrong => "The password you have is another one. Nothing was changed.".to_owned(),
        PasswordError::TooManyTries { seconds } => {
            format!("Too many wrong passwords from your address. The next one is looked at in {seconds} s.")
        }
        PasswordError::BadPassword => format!(
            "The new password must have {} to {} characters.",
            model::limits::PASSWORD_BYTES_MIN,
            model::limits::PASSWORD_BYTES_MAX
        ),
        PasswordError::Unavailable(error) => super::unavailable(error),
    }
}

// Search
pub const SEARCH_TITLE: &str = "Search";
pub const SEARCH_ALL_HINT: &str = "Applications, instances, nodes";
pub const SEARCH_TASKS: &str = "Instances";
pub const SEARCH_NODES: &str = "Nodes";

pub fn search_nothing(query: &str) -> String {
    format!("Nothing matches “{query}”.")
}

pub fn search_task(state: &str, node: &str) -> String {
    if node.is_empty() { state.to_owned() } else { format!("{state}, {node}") }
}

pub fn event_hook_failed(reason: &str) -> String {
    format!("was not powered off by the fence hook: {reason}.")
}
