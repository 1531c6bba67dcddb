//! Writes a form back into the JSON it was read from: only what was changed, where it stood.

use serde_json::{Map, Value, json};

use super::form::{self, Form, Row};
use super::schema::{BRIDGE, HOST, LISTS, SCALARS};

impl Form {
    /// `base` with what this form says differently.
    pub fn apply(&self, base: &Value) -> Value {
        let shown = Self::read(base);
        let mut json = base.clone();
        if !json.is_object() {
            json = Value::Object(Map::new());
        }
        let is_moved = self.scalar("network") != shown.scalar("network");
        for (at, field) in SCALARS.iter().enumerate() {
            let (new, old) = (self.scalars.get(at), shown.scalars.get(at));
            if new == old {
                continue;
            }
            let new = new.map_or("", String::as_str);
            match field.name {
                "network" => set_network(&mut json, new),
                name => set(&mut json, form::pointer(name), scalar(name, new)),
            }
        }
        for (at, list) in LISTS.iter().enumerate() {
            let rows = self.lists.get(at).map_or(&[][..], Vec::as_slice);
            let is_same = shown.lists.get(at).map(Vec::as_slice) == Some(rows);
            match list.name {
                "ports" if !is_same || (is_moved && !rows.is_empty()) => set_ports(&mut json, base, at, rows),
                _ if is_same => {}
                "env" | "labels" => set_pairs(&mut json, base, list.name, rows),
                "checks" => {
                    let items = merged(at, form::array(&base["healthChecks"]), rows, form::check, check);
                    set(&mut json, "/healthChecks", listed(items));
                }
                _ => {
                    let old = form::array(&base["constraints"]);
                    let items = merged(at, old, rows, form::constraint, constraint);
                    set(&mut json, "/constraints", listed(items));
                }
            }
        }
        json
    }

    /// What the form itself cannot mean: the name of its part, and why.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        for (at, list) in LISTS.iter().enumerate().filter(|(_, list)| matches!(list.name, "env" | "labels")) {
            let rows = self.lists.get(at).map_or(&[][..], Vec::as_slice);
            for (n, row) in rows.iter().enumerate() {
                let key = &row.cells[0];
                if key.is_empty() {
                    faults.push((list.name, crate::strings::form_nameless(&row.cells[1])));
                } else if rows[..n].iter().any(|other| other.cells[0] == *key) {
                    faults.push((list.name, crate::strings::form_twice(key)));
                }
            }
        }
        faults
    }
}

/// `Null` takes the key away.
fn scalar(name: &str, text: &str) -> Value {
    match name {
        _ if text.trim().is_empty() => Value::Null,
        "args" => text.lines().filter(|line| !line.is_empty()).collect(),
        "instances" | "cpus" | "mem" | "disk" => number(text),
        _ => text.into(),
    }
}

/// A text that is no number stays one, for the parser to refuse in its own words.
fn number(text: &str) -> Value {
    let text = text.trim();
    serde_json::from_str(text).ok().filter(Value::is_number).unwrap_or_else(|| text.into())
}

fn listed(items: Vec<Value>) -> Value {
    if items.is_empty() { Value::Null } else { Value::Array(items) }
}

/// Sets or, with `Null`, removes what `pointer` names. Objects on the way are made as they are needed.
fn set(json: &mut Value, pointer: &str, value: Value) {
    let mut keys: Vec<&str> = pointer.split('/').skip(1).collect();
    let Some(last) = keys.pop() else { return };
    let mut place = &mut *json;
    for key in keys {
        let Some(fields) = place.as_object_mut() else { return };
        let next = fields.entry(key).or_insert(Value::Null);
        if !next.is_object() {
            if value.is_null() {
                return;
            }
            *next = json!({});
        }
        place = next;
    }
    let Some(fields) = place.as_object_mut() else { return };
    if value.is_null() {
        fields.remove(last);
        return;
    }
    fields.insert(last.to_owned(), value);
    if pointer == "/container/docker/image" {
        let container = json.pointer_mut("/container").and_then(Value::as_object_mut);
        container.map(|fields| fields.entry("type").or_insert_with(|| "DOCKER".into()));
    }
}

/// The old words for a network go; named ones are not the form's to make.
fn set_network(json: &mut Value, network: &str) {
    if network != HOST && network != BRIDGE {
        return;
    }
    for old in ["/networks", "/ipAddress", "/container/docker/network"] {
        if json.pointer(old).is_some() {
            set(json, old, Value::Null);
        }
    }
    if network == BRIDGE {
        set(json, "/networks", json!([{ "mode": "container/bridge" }]));
    }
}

/// Ports stand where their network wants them, each with whatever else was said about it.
fn set_ports(json: &mut Value, base: &Value, list: usize, rows: &[Row]) {
    let (old_place, old) = form::ports(base);
    let (mut place, _) = form::ports(json);
    let on_host = form::network(json) == HOST;
    let is_moved = on_host != (form::network(base) == HOST);
    let kept: Vec<Value> = if is_moved { old.iter().map(labels_only).collect() } else { old.to_vec() };
    let bare = |row: &Row| row.cells[3] == "tcp" && row.cells[4].is_empty();
    if place == "/ports" && !rows.iter().all(bare) {
        place = "/portDefinitions";
    }
    let write = match (on_host, place) {
        (true, "/ports") => bare_port,
        (true, _) => definition,
        (false, _) => mapping,
    };
    let items = if is_moved {
        // What lost its row does not move.
        rows.iter().map(|row| write(row.at.and_then(|at| kept.get(at)), &row.cells)).collect()
    } else {
        merged(list, &kept, rows, form::port, write)
    };
    if place != old_place {
        set(json, old_place, Value::Null);
    }
    // An empty list says "none"; without a list there is one port by default.
    set(json, place, Value::Array(items));
    let container = &json["container"];
    if !on_host && container["type"].is_null() && container["docker"].is_null() {
        set(json, "/container/type", "MESOS".into());
    }
}

fn labels_only(item: &Value) -> Value {
    match &item["labels"] {
        Value::Null => json!({}),
        labels => json!({ "labels": labels }),
    }
}

/// Rows in their order, each written over the item it came from; items without a row stay where they were.
fn merged(
    list: usize,
    old: &[Value],
    rows: &[Row],
    read: fn(&Value) -> Option<Vec<String>>,
    write: fn(Option<&Value>, &[String]) -> Value,
) -> Vec<Value> {
    let mut items: Vec<Value> = rows
        .iter()
        .map(|row| match row.at.and_then(|at| old.get(at)) {
            Some(item) if read(item).as_ref() == Some(&row.cells) => item.clone(),
            item => write(item, &row.cells),
        })
        .collect();
    for (at, item) in old.iter().enumerate() {
        let has_row = |cells: Vec<String>| !Row { at: None, cells }.is_blank(list);
        let is_shown = read(item).is_some_and(has_row) || rows.iter().any(|row| row.at == Some(at));
        if !is_shown {
            items.insert(at.min(items.len()), item.clone());
        }
    }
    items
}

fn object(item: Option<&Value>) -> Map<String, Value> {
    item.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn put(fields: &mut Map<String, Value>, key: &str, value: Value) {
    if value.is_null() {
        fields.remove(key);
    } else {
        fields.insert(key.to_owned(), value);
    }
}

fn number_or_none(text: &str) -> Value {
    if text.trim().is_empty() { Value::Null } else { number(text) }
}

fn text_or_none(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

fn bare_port(_: Option<&Value>, cells: &[String]) -> Value {
    if cells[2].trim().is_empty() { 0.into() } else { number(&cells[2]) }
}

fn definition(item: Option<&Value>, cells: &[String]) -> Value {
    let mut fields = object(item);
    put(&mut fields, "port", bare_port(None, cells));
    put_protocol(&mut fields, &cells[3]);
    put(&mut fields, "name", text_or_none(&cells[4]));
    Value::Object(fields)
}

fn mapping(item: Option<&Value>, cells: &[String]) -> Value {
    let mut fields = object(item);
    let container = if cells[0].trim().is_empty() { 0.into() } else { number(&cells[0]) };
    put(&mut fields, "containerPort", container);
    put(&mut fields, "hostPort", number_or_none(&cells[1]));
    put(&mut fields, "servicePort", number_or_none(&cells[2]));
    put_protocol(&mut fields, &cells[3]);
    put(&mut fields, "name", text_or_none(&cells[4]));
    Value::Object(fields)
}

fn put_protocol(fields: &mut Map<String, Value>, protocol: &str) {
    if protocol != "tcp" || fields.contains_key("protocol") {
        put(fields, "protocol", text_or_none(protocol));
    }
}

fn check(item: Option<&Value>, cells: &[String]) -> Value {
    let mut fields = object(item);
    let protocol = if cells[0].is_empty() { "HTTP" } else { &cells[0] };
    put(&mut fields, "protocol", protocol.into());
    let target = text_or_none(&cells[1]);
    if protocol == "COMMAND" {
        fields.remove("path");
        put(&mut fields, "command", if target.is_null() { target } else { json!({ "value": target }) });
    } else {
        fields.remove("command");
        put(&mut fields, "path", target);
    }
    let numbers =
        ["portIndex", "intervalSeconds", "gracePeriodSeconds", "timeoutSeconds", "maxConsecutiveFailures"];
    for (key, cell) in numbers.into_iter().zip(&cells[2..]) {
        put(&mut fields, key, number_or_none(cell));
    }
    Value::Object(fields)
}

fn constraint(_: Option<&Value>, cells: &[String]) -> Value {
    let parts = if cells[2].is_empty() { &cells[..2] } else { &cells[..3] };
    parts.iter().map(String::as_str).collect()
}

fn set_pairs(json: &mut Value, base: &Value, name: &str, rows: &[Row]) {
    let mut fields = object(Some(&base[name]));
    fields.retain(|_, value| !value.is_string());
    for row in rows.iter().filter(|row| !row.cells[0].is_empty()) {
        fields.insert(row.cells[0].clone(), row.cells[1].as_str().into());
    }
    let value = if fields.is_empty() { Value::Null } else { Value::Object(fields) };
    set(json, &format!("/{name}"), value);
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
