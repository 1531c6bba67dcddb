//! Asks the operator's webhook to power off a lost node, so that nobody has to wait for the end of its lease.
//!
//! `POST` with `{"node", "name", "addresses", "lost_since"}`. A status below 300 says that the node is off, and its
//! exclusive tasks are started elsewhere at once; anything else is told as an event, and the lease is waited for.

use std::time::Duration;

use bytes::Bytes;
use hyper::Uri;
use model::{Command, NodeId, State, Timestamp};
use serde_json::json;

use crate::images::{Ask, exchange};

/// Powering a machine off takes its time; by then the lease is long over.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be proposed once the hook has answered.
pub async fn ask(url: String, body: Bytes, node: NodeId, lost_since: Timestamp) -> Command {
    let error = post(&url, body).await.err();
    Command::HookAnswered { node, lost_since, error }
}

async fn post(url: &str, body: Bytes) -> Result<(), String> {
    let url: Uri = url.parse().map_err(|error| format!("its address is none: {error}"))?;
    let ask = Ask {
        method: "POST",
        url: &url,
        proxy: None,
        accept: None,
        authorization: None,
        from: 0,
        patience: PATIENCE,
        headers: &[("content-type", "application/json")],
        body,
    };
    let answer = exchange(&ask).await.map_err(|error| error.to_string())?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("HTTP status {}", answer.status())) }
}

/// Which node is meant, for whatever switches it off.
pub fn question(state: &State, node: NodeId, lost_since: Timestamp) -> Bytes {
    let name = state.nodes.get(&node).map(|node| node.name.clone()).unwrap_or_default();
    let addresses = state.members.get(&node).map(|member| member.addresses.clone()).unwrap_or_default();
    let lost_since = lost_since.to_string();
    let question =
        json!({ "node": node.to_string(), "name": name, "addresses": addresses, "lost_since": lost_since });
    question.to_string().into()
}
