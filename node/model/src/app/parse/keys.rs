//! The keys Marathon knows, level by level. What is not here is named to the author; what differs from one of these
//! only by case is refused.

/// Of an app: first what a person writes, then what only servers write and clients send back.
pub const APP: &[&str] = &[
    "id",
    "cmd",
    "args",
    "user",
    "env",
    "labels",
    "cpus",
    "mem",
    "disk",
    "gpus",
    "instances",
    "constraints",
    "acceptedResourceRoles",
    "networks",
    "ipAddress",
    "ports",
    "portDefinitions",
    "requirePorts",
    "container",
    "fetch",
    "uris",
    "storeUrls",
    "healthChecks",
    "dependencies",
    "upgradeStrategy",
    "backoffSeconds",
    "backoffFactor",
    "maxLaunchDelaySeconds",
    "taskKillGracePeriodSeconds",
    "killSelection",
    "unreachableStrategy",
    "executor",
    "executorResources",
    "resourceLimits",
    "role",
    "secrets",
    "readinessChecks",
    "residency",
    "check",
    "tty",
    "version",
    "versionInfo",
    "deployments",
    "tasks",
    "tasksStaged",
    "tasksRunning",
    "tasksHealthy",
    "tasksUnhealthy",
    "lastTaskFailure",
    "readinessCheckResults",
    "taskStats",
    "tasksStats",
];
pub const PORT_DEFINITION: &[&str] = &["port", "protocol", "name", "labels"];
pub const PORT_MAPPING: &[&str] =
    &["containerPort", "hostPort", "servicePort", "protocol", "name", "labels", "networkNames"];
pub const NETWORK: &[&str] = &["mode", "name", "labels"];
pub const IP_ADDRESS: &[&str] = &["networkName", "groups", "labels", "discovery"];
pub const DISCOVERY: &[&str] = &["ports"];
pub const DISCOVERY_PORT: &[&str] = &["number", "name", "protocol", "labels"];
pub const CONTAINER: &[&str] = &["type", "docker", "appc", "volumes", "portMappings", "linuxInfo"];
pub const DOCKER: &[&str] = &[
    "image",
    "network",
    "portMappings",
    "privileged",
    "parameters",
    "forcePullImage",
    "pullConfig",
    "credential",
];
pub const PARAMETER: &[&str] = &["key", "value"];
pub const VOLUME: &[&str] = &["containerPath", "hostPath", "mode", "persistent", "external", "secret"];
pub const FETCH: &[&str] = &["uri", "extract", "executable", "cache", "destPath"];
pub const HEALTH_CHECK: &[&str] = &[
    "protocol",
    "path",
    "portIndex",
    "port",
    "command",
    "gracePeriodSeconds",
    "intervalSeconds",
    "timeoutSeconds",
    "maxConsecutiveFailures",
    "ignoreHttp1xx",
    "delaySeconds",
    "ipProtocol",
];
pub const HEALTH_COMMAND: &[&str] = &["value", "shell"];
pub const UPGRADE: &[&str] = &["minimumHealthCapacity", "maximumOverCapacity"];
pub const UNREACHABLE: &[&str] = &["inactiveAfterSeconds", "expungeAfterSeconds"];
