//! From people's JSON to an [`AppSpec`], or to all that is wrong with it (spec/marathon.md §2).
//!
//! One file per part of an app; each reads its fields through `fields`, notes faults and returns its best guess.
//! Called by the API and the console for every definition that comes in; never by anything inside the cluster.

mod basics;
mod constraint;
mod container;
mod health;
mod keys;
mod network;
mod ports;
mod strategy;
#[cfg(test)]
mod tests;
mod unsupported;

use std::cell::RefCell;

use serde_json::Value;

use super::fault::{AppFaults, Collected};
use super::fields::{Field, Fields, Sink};
use super::{AppSpec, syntax};
use crate::{AppId, Timestamp, limits};

pub use constraint::whole_text_pattern;

impl AppSpec {
    /// Reads one app definition in any of Marathon's dialects. The version stamps stay zero; service ports 0 stay 0.
    pub fn parse(text: &str) -> Result<Self, AppFaults> {
        read_app(&json(text)?, "", None)
    }
}

/// The JSON tree of a request body within the limits of size and depth.
pub(super) fn json(text: &str) -> Result<Value, AppFaults> {
    if text.len() > limits::REQUEST_BODY_BYTES_MAX {
        return Err(AppFaults::TooLarge { bytes: text.len(), max: limits::REQUEST_BODY_BYTES_MAX });
    }
    syntax::check(text)?;
    serde_json::from_str(text).map_err(|e| {
        // Never seen: the scanner has the same verdict. Should they ever differ, this still says where.
        AppFaults::Syntax(syntax::SyntaxFault {
            line: e.line(),
            column: e.column(),
            expected: "JSON".to_owned(),
            found: e.to_string(),
        })
    })
}

/// Reads the definition `value` that stands at `path` (empty: the whole body). `id` is the one of the request's path.
pub(super) fn read_app(value: &Value, path: &str, id: Option<&AppId>) -> Result<AppSpec, AppFaults> {
    let collected = RefCell::new(Collected::default());
    let app = {
        let root = Field::root(value, path, Sink(&collected));
        root.object(keys::APP).and_then(|fields| read_fields(&fields, id))
    };
    let mut collected = collected.into_inner();
    let app = app.map(|mut app| {
        app.unknown_keys = std::mem::take(&mut collected.unknown_keys);
        app
    });
    if let (Some(app), true) = (&app, collected.is_empty()) {
        refuse_oversize(app, path, &mut collected);
    }
    collected.into_result(app)
}

fn read_fields(fields: &Fields, id: Option<&AppId>) -> Option<AppSpec> {
    unsupported::refuse(fields);
    let id = basics::id(fields, id);
    let run = basics::run(fields);
    let (network, ports) = network::read(fields);
    let container = container::read(fields, &network);
    basics::refuse_nothing_to_run(fields, &run, container.as_ref());
    let labels = basics::labels(fields);
    let instances = basics::instances(fields);
    let upgrade = strategy::upgrade(fields, &labels, instances);
    let app = AppSpec {
        version: Timestamp(0),
        last_scaling_at: Timestamp(0),
        last_config_change_at: Timestamp(0),
        cmd: run.cmd,
        args: run.args,
        user: fields.text("user").filter(|user| !user.is_empty()),
        env: basics::env(fields),
        labels,
        resources: basics::resources(fields),
        gpus: 0,
        instances,
        constraints: constraint::read(fields),
        accepted_resource_roles: basics::accepted_resource_roles(fields),
        require_ports: fields.flag("requirePorts", false) && network == super::Network::Host,
        health_checks: health::read(fields, ports.len()),
        network,
        ports,
        container,
        fetch: container::fetch(fields),
        dependencies: basics::dependencies(fields, id.as_ref()),
        upgrade,
        backoff: strategy::backoff(fields),
        kill_grace_ms: strategy::kill_grace_ms(fields),
        kill_selection: strategy::kill_selection(fields),
        unreachable: strategy::unreachable(fields),
        unknown_keys: Vec::new(),
        id: id?,
    };
    Some(app)
}

fn refuse_oversize(app: &AppSpec, path: &str, collected: &mut Collected) {
    let bytes = serde_json::to_vec(app).map_or(usize::MAX, |canonical| canonical.len());
    if bytes > limits::APP_BYTES_MAX {
        let max = limits::APP_BYTES_MAX;
        collected.add(path, [format!("has {bytes} bytes in its canonical form; at most {max} are accepted")]);
    }
}
