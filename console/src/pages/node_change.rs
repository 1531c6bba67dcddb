//! The form on which a node is renamed, given attributes, cordoned and drained: part of `/nodes`.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::membership::{Availability, Member, NodeChange};
use model::{Command, NodeId, limits};

use super::nodes;
use crate::context::{Context, Fields, Frame, Tab, render};
use crate::strings as t;
use crate::view::task::Moment;

#[derive(Template)]
#[template(path = "node_change.html")]
struct ChangePage {
    frame: Frame,
    id: String,
    /// Value, word, and whether it is chosen.
    choices: Vec<(&'static str, &'static str, bool)>,
    name: String,
    name_max: usize,
    /// `key=value`, one a line.
    attributes: String,
    error: String,
    key_since: Moment,
    renews_key: bool,
}

/// What stands in the form.
struct Filled {
    availability: Availability,
    name: String,
    attributes: String,
    error: String,
}

pub fn show(context: &Context, id: NodeId, member: &Member) -> Response {
    let lines = member.attributes.iter().map(|(key, value)| format!("{key}={value}\n"));
    let filled = Filled {
        availability: member.availability,
        name: name_of(context, id),
        attributes: lines.collect(),
        error: String::new(),
    };
    page(context, id, member, filled)
}

fn name_of(context: &Context, id: NodeId) -> String {
    context.state.nodes.get(&id).map_or_else(|| id.to_string(), |node| node.name.clone())
}

fn page(context: &Context, id: NodeId, member: &Member, filled: Filled) -> Response {
    let choice = |(value, key, word)| (key, word, filled.availability == value);
    render(&ChangePage {
        frame: context.frame(t::change_title(&name_of(context, id)), Tab::Node),
        id: id.to_string(),
        choices: t::AVAILABILITIES.map(choice).to_vec(),
        name: filled.name,
        name_max: limits::NODE_TEXT_BYTES_MAX,
        attributes: filled.attributes,
        error: filled.error,
        key_since: member.key_since.max(member.admitted_at).into(),
        renews_key: member.renews_key,
    })
}

pub async fn act(context: &Context, fields: &Fields, id: NodeId, member: &Member) -> Response {
    let asked = t::AVAILABILITIES.iter().find(|(_, key, _)| *key == fields.get("availability"));
    let Some((availability, ..)) = asked else {
        return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION);
    };
    let filled = |error| Filled {
        availability: *availability,
        name: fields.get("name").to_owned(),
        attributes: fields.get("attributes").to_owned(),
        error,
    };
    let attributes = match read_attributes(fields.get("attributes"), member) {
        Ok(attributes) => attributes,
        Err(error) => {
            return (StatusCode::UNPROCESSABLE_ENTITY, page(context, id, member, filled(error)))
                .into_response();
        }
    };
    let name = Some(fields.get("name").trim().to_owned()).filter(|name| *name != name_of(context, id));
    let change = NodeChange { availability: Some(*availability), name, attributes };
    let command = Command::ChangeNode { node: id, change };
    match nodes::change(context, command).await {
        Ok(()) => nodes::back(),
        Err((status, error)) => (status, page(context, id, member, filled(error))).into_response(),
    }
}

/// What the lines say, and that what the operator gave it before and does not stand there goes.
fn read_attributes(text: &str, member: &Member) -> Result<BTreeMap<String, Option<String>>, String> {
    let mut read: BTreeMap<_, _> = member.attributes.keys().map(|key| (key.clone(), None)).collect();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((key, value)) = line.split_once('=') else {
            return Err(format!("“{line}” {}", t::NODE_ATTRIBUTE_ERROR));
        };
        read.insert(key.trim().to_owned(), Some(value.trim().to_owned()));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_what_is_gone_is_taken_away() {
        let member = Member {
            fingerprint: String::new(),
            key_since: model::Timestamp(0),
            renews_key: false,
            addresses: Vec::new(),
            port: 1,
            admitted_at: model::Timestamp(0),
            lost_since: None,
            fenced_at: None,
            losses: Vec::new(),
            availability: Availability::Active,
            name: None,
            attributes: [("zone", "a"), ("rack", "r0")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        };
        let read = read_attributes("rack = r1\n\nssd=\n", &member).expect("readable");
        let expected = [("rack", Some("r1")), ("ssd", Some("")), ("zone", None)];
        assert_eq!(read, expected.map(|(k, v)| (k.to_owned(), v.map(str::to_owned))).into());
        assert_eq!(read_attributes("rack", &member), Err("“rack” has no “=”; expected key=value".to_owned()));
    }
}
