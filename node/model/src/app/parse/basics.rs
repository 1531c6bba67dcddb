//! Id, command, environment, labels, resources: the plain fields of an app.

use std::collections::BTreeMap;

use super::super::fault::quoted;
use super::super::fields::{Amount, Field, Fields};
use super::super::{Container, Resources};
use crate::{AppId, limits};

/// What the app runs; at most one of the two.
pub struct Run {
    pub cmd: Option<String>,
    pub args: Option<Vec<String>>,
}

/// The app's id: from the body, from the request's path, or from both when they agree.
pub fn id(fields: &Fields, from_path: Option<&AppId>) -> Option<AppId> {
    let field = match from_path {
        Some(_) => fields.get("id"),
        None => fields.require("id", "a string, the app's path, e.g. \"/shop/web\""),
    };
    let Some(field) = field else { return from_path.cloned() };
    match (AppId::parse(field.text()?), from_path) {
        (Err(error), _) => {
            field.rule(format!("is {}; expected {}", quoted(&error.value), error.expected));
            None
        }
        (Ok(id), Some(wanted)) if id != *wanted => {
            field.rule(format!("is \"{id}\", but the request's path names `{wanted}`; expected the same id"));
            None
        }
        (Ok(id), _) => Some(id),
    }
}

pub fn run(fields: &Fields) -> Run {
    let cmd = fields.text("cmd").filter(|cmd| !cmd.is_empty());
    let args = fields.get("args").and_then(|f| f.texts()).filter(|args| !args.is_empty());
    if cmd.is_some() && args.is_some() {
        fields.sink.rule(
            &fields.path,
            "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container': both `cmd` and `args` \
             are set; remove one of them (in an update: send the whole app with partialUpdate=false)",
        );
    }
    Run { cmd, args }
}

pub fn refuse_nothing_to_run(fields: &Fields, run: &Run, container: Option<&Container>) {
    let has_image = container.is_some_and(|c| c.image.is_some());
    // A fault inside the command or the container is already told; "nothing to run" would only confuse.
    let given = |key: &str| fields.get(key).is_some_and(|f| !f.is_blank());
    let image_given = fields.get("container").is_some() && container.is_none();
    if run.cmd.is_none()
        && run.args.is_none()
        && !has_image
        && !given("cmd")
        && !given("args")
        && !image_given
    {
        fields.sink.rule(
            &fields.path,
            "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container': nothing says what to run; \
             expected `cmd`, `args` or `container.docker.image`",
        );
    }
}

pub fn env(fields: &Fields) -> BTreeMap<String, String> {
    let Some(field) = fields.get("env") else { return BTreeMap::new() };
    let env = field.text_map(limits::ENV_PER_APP_MAX).unwrap_or_default();
    for name in env.keys().filter(|name| name.is_empty() || name.contains('=')) {
        field.rule(format!("names a variable {}; expected a name without `=`, not empty", quoted(name)));
    }
    env
}

pub fn labels(fields: &Fields) -> BTreeMap<String, String> {
    fields.get("labels").and_then(|f| f.text_map(limits::LABELS_PER_APP_MAX)).unwrap_or_default()
}

pub fn instances(fields: &Fields) -> u32 {
    let range = 0..=u64::from(limits::INSTANCES_PER_APP_MAX);
    fields.integer("instances", range).map_or(1, |n| n as u32)
}

const CPUS: Amount = Amount { scale: 1000, min: 0, max: limits::CPU_MILLI_PER_TASK_MAX, round_up: true };
const MIB: Amount = Amount { scale: 1, min: 0, max: limits::MIB_PER_TASK_MAX, round_up: true };

pub fn resources(fields: &Fields) -> Resources {
    Resources {
        cpu_milli: fields.decimal("cpus", &CPUS).unwrap_or(1000),
        mem_mib: fields.decimal("mem", &MIB).unwrap_or(128),
        disk_mib: fields.decimal("disk", &MIB).unwrap_or(0),
    }
}

pub fn accepted_resource_roles(fields: &Fields) -> Option<Vec<String>> {
    let field = fields.get("acceptedResourceRoles")?;
    let roles = field.texts()?;
    if roles.is_empty() {
        field.rule("is an empty array; expected at least one role, or no such key");
    }
    if roles.iter().any(String::is_empty) {
        field.rule("holds an empty role; expected names, e.g. \"*\"");
    }
    Some(roles)
}

pub fn dependencies(fields: &Fields, app: Option<&AppId>) -> Vec<AppId> {
    let items = fields.get("dependencies").and_then(|f| f.list_up_to(limits::LIST_PER_APP_MAX));
    let read = |item: &Field| {
        let text = item.text()?;
        match AppId::parse(&resolve(text, app)) {
            Ok(id) if Some(&id) == app => {
                item.rule(format!("is {}, the app itself; expected another app or group", quoted(text)));
                None
            }
            Ok(id) => Some(id),
            Err(error) => {
                item.rule(format!("is {}; expected {}", quoted(text), error.expected));
                None
            }
        }
    };
    items.unwrap_or_default().iter().filter_map(read).collect()
}

/// The absolute path of a dependency: `..` climbs from the app itself, a bare name is a sibling.
fn resolve(reference: &str, app: Option<&AppId>) -> String {
    let Some(app) = app.filter(|_| !reference.starts_with('/')) else { return reference.to_owned() };
    let mut path: Vec<&str> = app.as_str().split('/').filter(|s| !s.is_empty()).collect();
    if !reference.starts_with('.') {
        path.pop();
    }
    for segment in reference.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(path.pop()),
            name => path.push(name),
        }
    }
    path.join("/")
}
