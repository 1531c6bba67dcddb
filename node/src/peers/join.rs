//! Coming in by a token: what the new node asks, and what a member answers.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use cluster::{Cluster, Proposal};
use model::auth::Actor;
use model::membership::{Applicant, Member};
use model::{ClusterId, Command, NodeId, Origin, Timestamp};
use rcgen::PublicKeyData;
use serde::{Deserialize, Serialize};

use super::authority;
use super::connection::{Line, connect};
use super::key::{PublicKey, fingerprint, fingerprint_of};
use super::membership::{self, Contact, Membership, Trusted};
use super::token::Token;
use super::{ANY_MEMBER, tls};

const FORMAT: u32 = 1;
/// Between two rounds over all addresses of the token: at first, and at most.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(15);
/// Members that a new one is told of: more than may be lost at once.
const CONTACTS_MAX: usize = 8;
/// Bytes of a question to be let in.
pub const ASK_BYTES_MAX: usize = 64 * 1024;

/// What a node says that wants to come in.
#[derive(Serialize, Deserialize)]
struct Ask {
    format: u32,
    node: NodeId,
    /// An uncompressed point of P-256, in hexadecimal digits.
    public_key: String,
    addresses: Vec<IpAddr>,
    port: u16,
    secret: String,
}

#[derive(Serialize, Deserialize)]
struct Welcome {
    format: u32,
    cluster: ClusterId,
    certificate: String,
    authority: String,
    #[serde(default)]
    authority_number: u32,
    /// While one authority takes the place of another.
    #[serde(default)]
    also_trusted: Option<Trusted>,
    /// Some of the members, should nobody send it the log. Builds before workers send none.
    #[serde(default)]
    contacts: Vec<Contact>,
}

/// What this node brings.
pub struct Newcomer<'a> {
    pub node: NodeId,
    pub key: &'a PublicKey,
    /// Its addresses of now: at its first start it may have none yet.
    pub addresses: &'a (dyn Fn() -> Vec<IpAddr> + Sync),
    pub port: u16,
}

/// Why a node was not let in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("the cluster refuses this node: {0}")]
    Refused(String),
    #[error("no member of the cluster can be reached: {0}")]
    Unreachable(String),
    #[error("the cluster's answer cannot be used: {0}")]
    Odd(String),
}

/// Asks by each address of the token until one answers, again and again while none can be reached, telling why each
/// time. Writes down what it got: from then on this node is a member.
pub async fn join(
    token: &Token,
    newcomer: &Newcomer<'_>,
    state: &Path,
    mut told: impl FnMut(&str),
) -> anyhow::Result<Membership> {
    let mut wait = RETRY;
    loop {
        match join_once(token, newcomer, state).await {
            Err(JoinError::Unreachable(reason)) => told(&reason),
            outcome => return Ok(outcome?),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

/// Asks by each address once.
pub async fn join_once(
    token: &Token,
    newcomer: &Newcomer<'_>,
    state: &Path,
) -> Result<Membership, JoinError> {
    let membership = ask(token, newcomer).await?;
    membership::save(state, &membership).map_err(|error| JoinError::Odd(format!("{error:#}")))?;
    Ok(membership)
}

async fn ask(token: &Token, newcomer: &Newcomer<'_>) -> Result<Membership, JoinError> {
    let odd = |error: &dyn std::fmt::Display| JoinError::Odd(error.to_string());
    let addresses = (newcomer.addresses)();
    if addresses.iter().all(IpAddr::is_loopback) {
        return Err(JoinError::Unreachable("this node has no address yet".to_owned()));
    }
    let config = Arc::new(tls::stranger(&token.authority).map_err(|error| odd(&error))?);
    let question = Ask {
        format: FORMAT,
        node: newcomer.node,
        public_key: hex(newcomer.key.der_bytes()),
        addresses,
        port: newcomer.port,
        secret: token.secret.clone(),
    };
    let question: Bytes = serde_json::to_vec(&question).map_err(|error| odd(&error))?.into();
    let mut failed = Vec::new();
    for address in &token.addresses {
        let answer = async {
            let mut line: Line = connect(*address, ANY_MEMBER, config.clone(), Timestamp::default()).await?;
            line.ask("/join", question.clone()).await
        };
        match answer.await {
            Ok((StatusCode::OK, body)) => return welcomed(token, &body),
            Ok((status, body)) if status.is_client_error() => {
                return Err(JoinError::Refused(String::from_utf8_lossy(&body).into_owned()));
            }
            Ok((status, body)) => {
                failed.push(format!("{address}: {status} {}", String::from_utf8_lossy(&body)))
            }
            Err(reason) => failed.push(format!("{address}: {reason}")),
        }
    }
    Err(JoinError::Unreachable(failed.join("; ")))
}

fn welcomed(token: &Token, body: &[u8]) -> Result<Membership, JoinError> {
    let odd = |error: &dyn std::fmt::Display| JoinError::Odd(error.to_string());
    let welcome: Welcome = serde_json::from_slice(body).map_err(|error| odd(&error))?;
    if welcome.format != FORMAT {
        return Err(odd(&format!("it has format {}, this program knows {FORMAT}", welcome.format)));
    }
    let authority = authority::certificate(&welcome.authority).map_err(|error| odd(&error))?;
    if fingerprint_of(&authority) != token.authority {
        return Err(odd(&"it is of another authority than the token"));
    }
    let Welcome { cluster, certificate, also_trusted, contacts, .. } = welcome;
    let authority = Trusted { number: welcome.authority_number, certificate: welcome.authority };
    Ok(Membership::joined(cluster, certificate, authority, also_trusted, contacts))
}

/// What a member answers to a stranger's question: status, and a body for it or a reason for people.
pub async fn answer(cluster: &Cluster, from: IpAddr, question: &[u8]) -> (StatusCode, Bytes) {
    match admit(cluster, from, question).await {
        Ok(welcome) => (StatusCode::OK, welcome.into()),
        Err((status, reason)) => {
            tracing::warn!(%from, reason, "a node was not let in");
            (status, reason.into())
        }
    }
}

async fn admit(cluster: &Cluster, from: IpAddr, question: &[u8]) -> Result<Vec<u8>, (StatusCode, String)> {
    let bad = |reason: &dyn std::fmt::Display| (StatusCode::BAD_REQUEST, reason.to_string());
    let broken = |reason: &dyn std::fmt::Display| (StatusCode::INTERNAL_SERVER_ERROR, reason.to_string());
    let ask: Ask = serde_json::from_slice(question).map_err(|error| bad(&error))?;
    if ask.format != FORMAT {
        return Err(bad(&format!("the question has format {}, this program knows {FORMAT}", ask.format)));
    }
    let key = unhex(&ask.public_key).as_deref().and_then(PublicKey::parse);
    let key = key.ok_or_else(|| bad(&"`public_key` is no uncompressed point of P-256"))?;
    let node = ask.node;
    let applicant =
        Applicant { node, fingerprint: fingerprint(&key), addresses: ask.addresses, port: ask.port };
    let secret_sha256 = fingerprint_of(ask.secret.as_bytes());
    if !is_known(cluster, &secret_sha256).await? {
        let reason = "the token is unknown to this cluster, or was revoked";
        return Err((StatusCode::FORBIDDEN, reason.to_owned()));
    }
    let proposal = Proposal {
        actor: Actor::System,
        origin: Origin { client_ip: from.to_string(), uri: "/join".to_owned() },
        request_id: None,
        expected_version: None,
        command: Command::AdmitNode { applicant, secret_sha256 },
    };
    let applied = cluster.propose(proposal).await;
    let applied = applied.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    applied.result.map_err(|reject| (StatusCode::FORBIDDEN, reject.to_string()))?;
    let state = cluster.state();
    let contacts = contacts(cluster, node);
    let member = state.members.get(&node);
    let (Some(authority), Some(cluster), Some(member)) = (&state.authority, state.cluster, member) else {
        return Err(broken(&"this server has not caught up"));
    };
    let certificate =
        authority::issue(authority, node, &key, member.key_since).map_err(|error| broken(&error))?;
    tracing::info!(%node, %from, "a node was let in");
    let welcome = Welcome {
        format: FORMAT,
        cluster,
        certificate,
        authority: authority.certificate.clone(),
        authority_number: authority.number,
        also_trusted: state.succession.as_ref().map(|succession| Trusted::beside(authority, succession)),
        contacts,
    };
    serde_json::to_vec(&welcome).map_err(|error| broken(&error))
}

/// Those that hold the log first.
fn contacts(cluster: &Cluster, newcomer: NodeId) -> Vec<Contact> {
    let (state, holders) = (cluster.state(), cluster.members());
    let mut members: Vec<_> = state.members.iter().filter(|(node, _)| **node != newcomer).collect();
    members.sort_by_key(|(node, _)| holders.iter().all(|holder| holder.node != **node));
    let contact =
        |(node, member): (&NodeId, &Arc<Member>)| Contact { node: *node, addresses: member.peers() };
    members.into_iter().map(contact).take(CONTACTS_MAX).collect()
}

/// Looked at before anything is proposed: strangers must not be able to fill the log with what it refuses.
async fn is_known(cluster: &Cluster, secret_sha256: &str) -> Result<bool, (StatusCode, String)> {
    if cluster.state().join_tokens.contains_key(secret_sha256) {
        return Ok(true);
    }
    // This server may be behind by the moment in which the token was made.
    let fresh = cluster.read().await;
    let fresh = fresh.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    Ok(fresh.join_tokens.contains_key(secret_sha256))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    text.len().is_multiple_of(2).then(|| (0..text.len()).step_by(2).map(pair).collect()).flatten()
}
