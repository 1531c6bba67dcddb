//! The one table of limits. Every limit has an error that names it; none is silent.

/// Bytes of one HTTP request body on `/v2` and the console.
pub const REQUEST_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Brackets open at once in a JSON text of a request; the deepest app uses 8, group trees nest more.
pub const JSON_DEPTH_MAX: usize = 64;
/// Thousandths of a processor that one task may ask for: large enough for any machine, small enough to be summed.
pub const CPU_MILLI_PER_TASK_MAX: u64 = 1_000_000_000;
/// MiB of memory, and of disk, that one task may ask for.
pub const MIB_PER_TASK_MAX: u64 = 1_000_000_000;
/// Bytes of one app definition in its canonical form.
pub const APP_BYTES_MAX: usize = 256 * 1024;
pub const APP_ID_BYTES_MAX: usize = 255;
pub const TASK_ID_BYTES_MAX: usize = 320;
pub const APPS_MAX: usize = 10_000;
pub const INSTANCES_PER_APP_MAX: u32 = 10_000;
pub const LABELS_PER_APP_MAX: usize = 256;
pub const ENV_PER_APP_MAX: usize = 1_024;
/// Items of any other list in an app: constraints, dependencies, volumes, things to fetch.
pub const LIST_PER_APP_MAX: usize = 256;
pub const PORTS_PER_APP_MAX: usize = 128;
/// Stored definitions of one app, newest first (Marathon keeps 50).
pub const VERSIONS_PER_APP_MAX: usize = 50;
/// Ended tasks remembered per app: a task that ends every ten seconds makes 8,000 a day.
pub const HISTORY_PER_APP_MAX: usize = 25;
/// First and last port given to apps that ask for service port 0.
pub const SERVICE_PORTS: (u16, u16) = (10_000, 20_000);
/// tcp ports that every node needs itself, and for what: a task behind one would cut the node off. Names are asked by
/// udp, too.
pub const NODE_PORTS: [(u16, &str); 8] = [
    (53, "names"),
    (5050, "the API of a Mesos master"),
    (5051, "the API of a Mesos agent"),
    (7300, "other nodes"),
    (8080, "the console and the API"),
    (8123, "the API of Mesos-DNS"),
    (8443, "the console and the API"),
    (9090, "figures of the balancer"),
];
pub const NODES_MAX: usize = 1_000;
pub const NODE_ATTRIBUTES_MAX: usize = 256;
pub const NODE_ADDRESSES_MAX: usize = 64;
/// Bytes of a node's name, versions, and each attribute's key and value.
pub const NODE_TEXT_BYTES_MAX: usize = 255;
pub const USER_NAME_BYTES_MAX: usize = 128;
pub const USERS_MAX: usize = 1_000;
pub const TOKENS_MAX: usize = 10_000;
/// Tokens that let nodes in, at once.
pub const JOIN_TOKENS_MAX: usize = 1_000;
/// Nodes that one of them may let in.
pub const JOIN_TOKEN_USES_MAX: u32 = 1_000;
pub const TOKEN_NAME_BYTES_MAX: usize = 64;
/// Bytes of a password's PHC string.
pub const SECRET_HASH_BYTES_MAX: usize = 512;
/// Answers remembered so that a retried request is applied once.
pub const REQUESTS_REMEMBERED_MAX: usize = 4_096;
pub const DEPLOYMENTS_MAX: usize = 100;
/// Events kept for `Last-Event-ID`.
pub const EVENTS_KEPT_MAX: usize = 1_024;
/// Clients on the event streams of one node.
pub const EVENT_CLIENTS_MAX: usize = 256;
/// Task reports in one command.
pub const REPORT_UPDATES_MAX: usize = 1_000;
/// Launches and kills in one plan: bounds a log entry and the time `apply` takes.
pub const PLAN_ACTIONS_MAX: usize = 500;
/// Bytes of a state in JSON that a node can be restored from: one entry of its log.
pub const RESTORE_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Bytes of a backup file, which is compressed.
pub const BACKUP_FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Hours between two backups by schedule: a year.
pub const BACKUP_HOURS_MAX: u32 = 8_760;
/// Of them kept in one bucket, or on one node.
pub const BACKUPS_KEPT_MAX: u32 = 1_000;
/// Bytes of what the keys of objects begin with.
pub const S3_PREFIX_BYTES_MAX: usize = 512;
pub const S3_REGION_BYTES_MAX: usize = 64;
/// Bytes of an access key, and of a secret key.
pub const S3_KEY_BYTES_MAX: usize = 256;
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;
pub const PASSPHRASE_BYTES_MIN: usize = 8;
pub const MESSAGE_BYTES_MAX: usize = 1_024;
pub const PASSWORD_BYTES_MAX: usize = 1_024;
pub const PASSWORD_BYTES_MIN: usize = 8;
