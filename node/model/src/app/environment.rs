//! The environment a task is given (spec/marathon.md §3.8).

use std::collections::BTreeMap;

use super::{AppSpec, Port};
use crate::task::Task;

/// Where a task finds its sandbox, inside its root.
pub const SANDBOX_PATH: &str = "/mnt/mesos/sandbox";
/// Characters of a label's key and of its value from which on it is not put into the environment.
const LABEL_CHARS_MAX: usize = 512;

/// The variables of `task`, an incarnation of `spec`, on the node that others reach as `host`. What the app's author
/// sets wins over everything.
pub fn environment(spec: &AppSpec, task: &Task, host: &str) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let mut set = |name: &str, value: String| drop(env.insert(name.to_owned(), value));
    set("MESOS_TASK_ID", task.id.to_string());
    set("MESOS_SANDBOX", SANDBOX_PATH.to_owned());
    set("MESOS_DIRECTORY", SANDBOX_PATH.to_owned());
    set("MESOS_CONTAINER_NAME", format!("mesos-{}.{}", task.node, task.id));
    set("HOST", host.to_owned());
    set("MARATHON_APP_ID", spec.id.to_string());
    set("MARATHON_APP_VERSION", task.version.to_string());
    if let Some(image) = spec.container.as_ref().and_then(|c| c.image.as_ref()) {
        set("MARATHON_APP_DOCKER_IMAGE", image.reference.clone());
    }
    // Marathon writes these three as floats ("128.0") and scripts cut at the point; `{:?}` keeps it.
    set("MARATHON_APP_RESOURCE_CPUS", format!("{:?}", spec.resources.cpu_milli as f64 / 1000.0));
    set("MARATHON_APP_RESOURCE_MEM", format!("{:?}", spec.resources.mem_mib as f64));
    set("MARATHON_APP_RESOURCE_DISK", format!("{:?}", spec.resources.disk_mib as f64));
    set("MARATHON_APP_RESOURCE_GPUS", spec.gpus.to_string());
    if spec.is_exclusive() && task.epoch > 0 {
        set("MESETA_EPOCH", task.epoch.to_string());
    }
    env.extend(label_variables(&spec.labels));
    env.extend(port_variables(spec, &task.ports));
    env.extend(spec.env.clone());
    env
}

fn label_variables(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_short = |text: &str| text.chars().count() < LABEL_CHARS_MAX;
    let short: BTreeMap<String, &String> = labels
        .iter()
        .filter(|(key, value)| is_short(key) && is_short(value))
        .map(|(key, value)| (as_variable(key), value))
        .collect();
    let names: Vec<&str> = short.keys().map(String::as_str).collect();
    let list = ("MARATHON_APP_LABELS".to_owned(), names.join(" "));
    let each = short.iter().map(|(name, value)| (format!("MARATHON_APP_LABEL_{name}"), (*value).clone()));
    each.chain([list]).collect()
}

/// Upper case, and one `_` for each run of characters that a variable's name cannot hold.
fn as_variable(name: &str) -> String {
    let mut variable = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            variable.push(c.to_ascii_uppercase());
        } else if !variable.ends_with('_') {
            variable.push('_');
        }
    }
    variable
}

fn port_variables(spec: &AppSpec, host_ports: &[u16]) -> BTreeMap<String, String> {
    // A port that is not mapped to the node (0 in its place) is reached where it listens.
    let number = |(at, port): (usize, &Port)| match host_ports.get(at).copied().unwrap_or(0) {
        0 => port.container_port.unwrap_or(0),
        host => host,
    };
    let numbers: Vec<u16> = spec.ports.iter().enumerate().map(number).collect();
    let mut env = BTreeMap::new();
    for (i, (port, number)) in spec.ports.iter().zip(&numbers).enumerate() {
        env.insert(format!("PORT{i}"), number.to_string());
        let requested = port.container_port.unwrap_or(port.service_port);
        let requested = if requested == 0 { *number } else { requested };
        env.insert(format!("PORT_{requested}"), number.to_string());
        if let Some(name) = &port.name {
            env.insert(format!("PORT_{}", as_variable(name)), number.to_string());
        }
    }
    if let Some(first) = numbers.first() {
        env.insert("PORT".to_owned(), first.to_string());
    }
    let all: Vec<String> = numbers.iter().map(u16::to_string).collect();
    env.insert("PORTS".to_owned(), all.join(","));
    env
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
