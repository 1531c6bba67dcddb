//! PUT and PATCH: a body laid over the stored definition, then read like any other (spec/marathon.md §1.2, §9).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::fault::{AppFaults, FAULTS_MAX, Fault};
use super::parse::{json, read_app};
use super::{AppSpec, Millionths, Network, UpgradeStrategy};
use crate::{AppId, Timestamp};

/// What a PUT or PATCH of one app asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Make this the app's definition.
    Define(Box<AppSpec>),
    /// Go back to the stored definition of this version.
    RollBack(Timestamp),
}

/// Keys that say the same thing in different words; a body that uses one of a row replaces the whole row.
const SYNONYMS: [&[&str]; 3] =
    [&["uris", "fetch"], &["ports", "portDefinitions"], &["networks", "ipAddress"]];

impl AppSpec {
    /// Reads the body of an update of one app.
    ///
    /// With `partial`, top-level keys that the body has replace those of `current`, absent and null ones stay; without
    /// it, or without `current`, the body is the whole definition. `path_id` is the id of the request's path; the
    /// body's own, if given, must agree with it.
    pub fn parse_update(
        text: &str,
        current: Option<&Self>,
        path_id: Option<&AppId>,
        partial: bool,
    ) -> Result<Update, AppFaults> {
        update(json(text)?, "", current, path_id, partial)
    }

    /// Reads the body of PUT or PATCH `/v2/apps`: an array of apps, each with its id and at most once. `current`
    /// finds stored definitions. Faults carry paths as `/apps(0)/id`.
    pub fn parse_many<'a>(
        text: &str,
        current: impl Fn(&AppId) -> Option<&'a Self>,
        partial: bool,
    ) -> Result<Vec<Self>, AppFaults> {
        let Value::Array(items) = json(text)? else {
            return Err(fault(
                "/",
                ["error.expected.jsarray", "is no array; expected an array `[…]` of apps"],
            ));
        };
        let mut apps: Vec<Self> = Vec::new();
        let mut ids = BTreeSet::new();
        let mut faults = Vec::new();
        for (i, item) in items.into_iter().enumerate() {
            if faults.len() >= FAULTS_MAX {
                let errors = vec![format!("is not listed further: too many faults before item {i}")];
                faults.push(Fault { path: "/".to_owned(), errors });
                break;
            }
            let path = format!("/apps({i})");
            let id = item.get("id").and_then(Value::as_str).and_then(|id| AppId::parse(id).ok());
            match update(item, &path, id.as_ref().and_then(&current), None, partial) {
                Ok(Update::Define(app)) if !ids.insert(app.id.clone()) => {
                    let errors = vec![format!("is \"{}\" a second time; expected each app once", app.id)];
                    faults.push(Fault { path: path + "/id", errors });
                }
                Ok(Update::Define(app)) => apps.push(*app),
                Ok(Update::RollBack(_)) => {
                    let errors = vec!["holds only a version; a list of apps cannot roll back".to_owned()];
                    faults.push(Fault { path, errors });
                }
                Err(AppFaults::Invalid(found)) => faults.extend(found),
                Err(other) => return Err(other),
            }
        }
        if faults.is_empty() { Ok(apps) } else { Err(AppFaults::Invalid(faults)) }
    }
}

fn fault(path: &str, errors: [&str; 2]) -> AppFaults {
    AppFaults::Invalid(vec![Fault { path: path.to_owned(), errors: errors.map(str::to_owned).to_vec() }])
}

fn update(
    body: Value,
    path: &str,
    current: Option<&AppSpec>,
    path_id: Option<&AppId>,
    partial: bool,
) -> Result<Update, AppFaults> {
    let Value::Object(body) = body else {
        // Not an object: reading it as an app says so.
        return read_app(&body, path, path_id).map(|app| Update::Define(Box::new(app)));
    };
    if let Some(version) = only_version(&body) {
        return roll_back(&body, version, path, path_id);
    }
    let whole = match current {
        Some(current) if partial => merge(body, current),
        _ => body,
    };
    let app = read_app(&Value::Object(whole), path, path_id)?;
    Ok(Update::Define(Box::new(app)))
}

/// The version, if the body says nothing else (an id may stand beside it).
fn only_version(body: &Map<String, Value>) -> Option<&Value> {
    let version = body.get("version").filter(|v| !v.is_null())?;
    let others =
        body.iter().any(|(key, value)| !matches!(key.as_str(), "id" | "version") && !value.is_null());
    (!others).then_some(version)
}

fn roll_back(
    body: &Map<String, Value>,
    version: &Value,
    path: &str,
    path_id: Option<&AppId>,
) -> Result<Update, AppFaults> {
    let expected = "expected a version of the app, e.g. \"2026-01-31T12:00:00.000Z\"";
    let at = format!("{path}/version");
    let Some(text) = version.as_str() else {
        let found = super::fault::shown(version);
        return Err(fault(&at, ["error.expected.jsstring", &format!("is {found}; {expected}")]));
    };
    let id = body.get("id").filter(|id| !id.is_null());
    let same = |wanted: &AppId| {
        id.is_none_or(|id| id.as_str().and_then(|t| AppId::parse(t).ok()).as_ref() == Some(wanted))
    };
    if let Some(wanted) = path_id.filter(|wanted| !same(wanted)) {
        let errors =
            vec![format!("names another app than the request's path; expected \"{wanted}\" or no id")];
        return Err(AppFaults::Invalid(vec![Fault { path: format!("{path}/id"), errors }]));
    }
    Timestamp::parse(text).map(Update::RollBack).ok_or_else(|| {
        let errors = vec![format!("is {}; {expected}", super::fault::quoted(text))];
        AppFaults::Invalid(vec![Fault { path: at, errors }])
    })
}

/// The stored definition with the body's keys in place of its own.
fn merge(mut body: Map<String, Value>, current: &AppSpec) -> Map<String, Value> {
    body.retain(|_, value| !value.is_null());
    let Value::Object(stored) = current.emit() else { return body };
    drop_unchanged_synonyms(&mut body, &stored);
    if current.network != Network::Host {
        // Beside mappings these only repeat the service ports; sent back unchanged they ask for nothing.
        for key in ["ports", "portDefinitions"] {
            if body.get(key) == stored.get(key) {
                body.remove(key);
            }
        }
    }
    let mut base = stored;
    make_canonical(&mut base, current);
    if leaves_host(&body) {
        base.remove("portDefinitions");
    }
    for row in SYNONYMS {
        if row.iter().any(|key| has(&body, key)) {
            row.iter().for_each(|key| drop(base.remove(*key)));
        }
    }
    if body.get("container").is_some_and(|c| !c["docker"]["network"].is_null()) {
        base.remove("networks");
    }
    base.retain(|key, _| !has(&body, key));
    base.extend(body);
    base
}

/// True if the body puts the app on a network of its own, where the stored port definitions mean nothing.
fn leaves_host(body: &Map<String, Value>) -> bool {
    let old = body
        .get("container")
        .is_some_and(|c| matches!(c["docker"]["network"].as_str(), Some("BRIDGE" | "USER")));
    let new = body.get("networks").is_some_and(|n| n[0].is_object() && n[0]["mode"] != "host");
    old || new || body.contains_key("ipAddress")
}

/// True also for a key that differs by case: it will be refused, and must not be joined by the stored one.
fn has(body: &Map<String, Value>, key: &str) -> bool {
    body.keys().any(|k| k.eq_ignore_ascii_case(key))
}

/// A client that read the app, changed one of two keys that say the same and sends both back means the changed one.
fn drop_unchanged_synonyms(body: &mut Map<String, Value>, stored: &Map<String, Value>) {
    for [a, b] in [["uris", "fetch"], ["ports", "portDefinitions"]] {
        let (Some(body_a), Some(body_b)) = (body.get(a), body.get(b)) else { continue };
        let (same_a, same_b) = (*body_a == stored[a], *body_b == stored[b]);
        if same_a && !same_b {
            body.remove(a);
        } else if same_b && !same_a {
            body.remove(b);
        }
    }
    let stored_networks = stored["networks"].clone();
    let stored_container = stored["container"].clone();
    let Some(container) = body.get_mut("container") else { return };
    let [new, old] = ["/portMappings", "/docker/portMappings"];
    let differs = |container: &Value, at: &str| {
        container.pointer(at).map(|given| Some(given) != stored_container.pointer(at))
    };
    match (differs(container, new), differs(container, old)) {
        (Some(false), Some(true)) => remove(container, "", "portMappings"),
        (Some(true), Some(false)) => remove(container, "/docker", "portMappings"),
        _ => {}
    }
    let docker_differs = differs(container, "/docker/network");
    let networks_differ = body.get("networks").map(|given| *given != stored_networks);
    match (networks_differ, docker_differs) {
        (Some(false), Some(true)) => drop(body.remove("networks")),
        (Some(true), Some(false)) => remove(&mut body["container"], "/docker", "network"),
        _ => {}
    }
}

fn remove(value: &mut Value, at: &str, key: &str) {
    if let Some(Value::Object(object)) = value.pointer_mut(at) {
        object.remove(key);
    }
}

/// Takes from an emitted app what merely repeats or follows from something else, so that a body need not fight it.
fn make_canonical(base: &mut Map<String, Value>, current: &AppSpec) {
    base.remove("uris");
    base.remove("ports");
    if current.network != Network::Host {
        base.remove("portDefinitions");
    }
    if let Some(container) = base.get_mut("container") {
        remove(container, "/docker", "network");
        remove(container, "/docker", "portMappings");
    }
    // The default depends on a label that the body may bring.
    let default = UpgradeStrategy { minimum_health: Millionths::ONE, maximum_over: Millionths::ONE };
    if current.upgrade == default {
        base.remove("upgradeStrategy");
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
