//! What the form shows of a definition, read from JSON in whatever dialect it is written.

use serde_json::Value;

use super::schema::{BRIDGE, HOST, LISTS, NAMED, SCALARS};

/// The form's fields as texts, exactly as typed. Two forms are equal if they say the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// In the order of [`SCALARS`].
    pub scalars: Vec<String>,
    /// In the order of [`LISTS`]; rows without a word are left out.
    pub lists: Vec<Vec<Row>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Place of this row's item in the definition; `None` for a new one.
    pub at: Option<usize>,
    /// In the order of the list's columns.
    pub cells: Vec<String>,
}

impl Row {
    pub fn is_blank(&self, list: usize) -> bool {
        let choice = |n: usize| LISTS[list].columns[n].widget.choices().first().map(|(value, _)| *value);
        self.cells.iter().enumerate().all(|(n, cell)| cell.is_empty() || choice(n) == Some(cell))
    }
}

impl Form {
    pub fn read(json: &Value) -> Self {
        let scalars = SCALARS.iter().map(|field| scalar(json, field.name)).collect();
        let lists = LISTS
            .iter()
            .enumerate()
            .map(|(at, list)| {
                let cells: Vec<(usize, Vec<String>)> = match list.name {
                    "env" | "labels" => pairs(&json[list.name]),
                    "ports" => items(ports(json).1, port),
                    "checks" => items(array(&json["healthChecks"]), check),
                    _ => items(array(&json["constraints"]), constraint),
                };
                let rows = cells.into_iter().map(|(item, cells)| Row { at: Some(item), cells });
                // An item of which no field would show a word has no row: an empty row means none.
                rows.filter(|row| !row.is_blank(at)).collect()
            })
            .collect();
        Self { scalars, lists }
    }

    /// The scalar of that name.
    pub fn scalar(&self, name: &str) -> &str {
        let at = SCALARS.iter().position(|field| field.name == name);
        at.and_then(|at| self.scalars.get(at)).map_or("", String::as_str)
    }

    /// What tells this form from another.
    pub fn mark(&self) -> String {
        super::posted::digest(&format!("{self:?}"))
    }
}

/// Where in JSON a scalar field stands.
pub fn pointer(name: &str) -> &'static str {
    match name {
        "id" => "/id",
        "cmd" => "/cmd",
        "args" => "/args",
        "image" => "/container/docker/image",
        "instances" => "/instances",
        "cpus" => "/cpus",
        "mem" => "/mem",
        _ => "/disk",
    }
}

fn scalar(json: &Value, name: &str) -> String {
    match name {
        "network" => network(json).to_owned(),
        "args" => json["args"].as_array().map(|args| lines(args)).unwrap_or_default(),
        name => json.pointer(pointer(name)).map(plain).unwrap_or_default(),
    }
}

/// One argument a line; empty, and so left alone, if they cannot be told apart that way.
fn lines(args: &[Value]) -> String {
    let simple = |arg: &Value| arg.as_str().is_some_and(|text| !text.is_empty() && !text.contains('\n'));
    if !args.iter().all(simple) {
        return String::new();
    }
    args.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

pub fn network(json: &Value) -> &'static str {
    match (json["networks"][0]["mode"].as_str(), json["container"]["docker"]["network"].as_str()) {
        (Some("host"), _) | (None, Some("HOST")) => HOST,
        (Some("container/bridge"), _) | (None, Some("BRIDGE")) => BRIDGE,
        (Some(_), _) | (None, Some(_)) => NAMED,
        (None, None) if json["networks"][0].is_object() || json["ipAddress"].is_object() => NAMED,
        (None, None) => HOST,
    }
}

/// Where the definition keeps its ports, and those.
pub fn ports(json: &Value) -> (&'static str, &[Value]) {
    let places: &[&'static str] = if network(json) == HOST {
        &["/portDefinitions", "/ports"]
    } else {
        &["/container/portMappings", "/container/docker/portMappings"]
    };
    let found = places.iter().find(|place| json.pointer(place).is_some_and(Value::is_array));
    let place = found.unwrap_or(&places[0]);
    (place, json.pointer(place).map_or(&[], array))
}

pub fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Scalars as typed; nothing for what has parts.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

fn items(items: &[Value], read: fn(&Value) -> Option<Vec<String>>) -> Vec<(usize, Vec<String>)> {
    items.iter().enumerate().filter_map(|(at, item)| Some((at, read(item)?))).collect()
}

/// Texts by name; what is no text, such as a reference to a secret, has no row.
fn pairs(value: &Value) -> Vec<(usize, Vec<String>)> {
    let Some(fields) = value.as_object() else { return Vec::new() };
    let shown = |(at, (key, value)): (usize, (&String, &Value))| {
        Some((at, vec![key.clone(), value.as_str()?.to_owned()]))
    };
    fields.iter().enumerate().filter_map(shown).collect()
}

/// A port definition, a mapping, or a bare service port.
pub fn port(item: &Value) -> Option<Vec<String>> {
    if item.is_u64() {
        return Some(vec![String::new(), String::new(), plain(item), "tcp".to_owned(), String::new()]);
    }
    item.as_object()?;
    let service = if item["port"].is_null() { &item["servicePort"] } else { &item["port"] };
    let protocol = if item["protocol"].is_null() { "tcp".to_owned() } else { plain(&item["protocol"]) };
    Some(vec![
        plain(&item["containerPort"]),
        plain(&item["hostPort"]),
        plain(service),
        protocol,
        plain(&item["name"]),
    ])
}

pub fn check(item: &Value) -> Option<Vec<String>> {
    item.as_object()?;
    let protocol = if item["protocol"].is_null() { "HTTP".to_owned() } else { plain(&item["protocol"]) };
    let target = if protocol == "COMMAND" { &item["command"]["value"] } else { &item["path"] };
    let target = plain(target);
    let numbers =
        ["portIndex", "intervalSeconds", "gracePeriodSeconds", "timeoutSeconds", "maxConsecutiveFailures"];
    Some([protocol, target].into_iter().chain(numbers.map(|key| plain(&item[key]))).collect())
}

pub fn constraint(item: &Value) -> Option<Vec<String>> {
    let parts: Vec<&str> = item.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
    let text = |n: usize| parts.get(n).map(|part| (*part).to_owned());
    (parts.len() <= 3)
        .then(|| vec![text(0), text(1), text(2)].into_iter().map(Option::unwrap_or_default).collect())
}
