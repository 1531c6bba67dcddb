//! `/nodes`: the nodes of the cluster, what may be lost, join tokens, and removing a node.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use model::membership::{JoinToken, Member};
use model::{Command, NodeId, limits, servers};
use serde::Deserialize;

use super::confirm::ConfirmPage;
use super::{authority, node_change, rebalance, recover};
use crate::adoption::{AdoptError, Adoption, CONSOLE_PORT, UnclaimedNode};
use crate::context::{Context, Fields, Frame, Query, Tab, render, status_of};
use crate::view::task::Moment;
use crate::view::words;
use crate::{Invitation, InviteError, MemberRole, MemberStatus, strings as t};

const HOUR_MS: u64 = 3_600_000;
const HOURS_MAX: u64 = 8_760;

#[derive(Deserialize)]
pub struct Asked {
    /// Id of a node whose removal is to be confirmed.
    #[serde(default)]
    remove: String,
    /// Id of a node that is to be changed.
    #[serde(default)]
    change: String,
    /// Anything: how load would be evened out.
    #[serde(default)]
    rebalance: String,
    /// Anything: what giving up a lost majority would cost.
    #[serde(default)]
    recover: String,
    /// Anything: the certificate authority, and replacing it.
    #[serde(default)]
    authority: String,
}

#[derive(Template)]
#[template(path = "nodes.html")]
struct NodesPage {
    frame: Frame,
    sentence: String,
    members: Vec<MemberRow>,
    unclaimed: Vec<UnclaimedRow>,
    tokens: Vec<TokenRow>,
    token_name_max: usize,
    uses_max: u32,
    said: Said,
}

struct MemberRow {
    id: String,
    name: String,
    addresses: String,
    role: &'static str,
    reach: &'static str,
    class: &'static str,
    since: Option<Moment>,
    tasks: usize,
    /// What it may not do, in words; empty if it may do all.
    availability: String,
    attributes: Vec<String>,
    version: String,
    is_self: bool,
}

/// A node that announces itself.
struct UnclaimedRow {
    name: String,
    address: String,
    others: usize,
    version: String,
}

struct TokenRow {
    name: String,
    uses_left: u32,
    expires: Moment,
    is_expired: bool,
}

/// What the page answers to a form of it.
#[derive(Default)]
struct Said {
    error: String,
    name: String,
    /// Shown this once.
    token: String,
    /// Why a node was not taken in, and which.
    adopt_error: String,
    address: String,
}

pub async fn show(context: Context, Query(asked): Query<Asked>) -> Response {
    if let Some((id, member)) = find(&context, &asked.change) {
        return node_change::show(&context, id, &member);
    }
    if !asked.rebalance.is_empty() {
        return rebalance::show(&context).await;
    }
    if !asked.recover.is_empty() {
        return recover::show(&context).await;
    }
    if !asked.authority.is_empty() {
        return authority::show(&context);
    }
    if asked.remove.is_empty() && asked.change.is_empty() {
        return page(&context, Said::default());
    }
    let members = context.backend.members();
    match members.iter().find(|member| member.id.to_string() == asked.remove) {
        Some(member) => render(&ConfirmPage {
            frame: context.frame(t::remove_title(&member.name), Tab::Node),
            text: t::remove_text(&member.name, member.tasks),
            action: "/nodes".to_owned(),
            fields: vec![("action".to_owned(), "remove".to_owned()), ("node".to_owned(), asked.remove)],
            button: t::NODE_REMOVE_BUTTON,
            back: "/nodes".to_owned(),
            back_word: t::CANCEL,
        }),
        None => context.not_found(t::NO_SUCH_PAGE),
    }
}

fn find(context: &Context, id: &str) -> Option<(NodeId, Arc<Member>)> {
    let state = context.backend.state();
    let found = state.members.iter().find(|(node, _)| node.to_string() == id);
    found.map(|(node, member)| (*node, member.clone()))
}

fn page(context: &Context, said: Said) -> Response {
    let members = context.backend.members();
    let state = context.backend.state();
    let mut tokens: Vec<TokenRow> =
        state.join_tokens.values().map(|token| token_row(token, context)).collect();
    tokens.sort_by(|a, b| a.name.cmp(&b.name));
    render(&NodesPage {
        frame: Frame { live: Some(String::new()), ..context.frame(t::NODES_TITLE, Tab::Node) },
        sentence: sentence(&members),
        members: members.into_iter().map(row).collect(),
        unclaimed: context.backend.unclaimed().into_iter().filter_map(unclaimed_row).collect(),
        tokens,
        token_name_max: limits::TOKEN_NAME_BYTES_MAX,
        uses_max: limits::JOIN_TOKEN_USES_MAX,
        said,
    })
}

fn sentence(members: &[MemberStatus]) -> String {
    let votes = |role| matches!(role, MemberRole::Leader | MemberRole::Voter);
    let voters = members.iter().filter(|member| votes(member.role)).count();
    match members.len() {
        0 => t::NODES_BEFORE.to_owned(),
        1 => t::NODES_ALONE.to_owned(),
        count => t::survives(count, voters, servers::losses_survived(voters)),
    }
}

fn row(member: MemberStatus) -> MemberRow {
    let (reach, class) = t::member_reach(member.reach, member.fenced_at.is_some());
    let addresses: Vec<String> = member.addresses.iter().map(ToString::to_string).collect();
    MemberRow {
        id: member.id.to_string(),
        name: member.name,
        addresses: addresses.join(", "),
        role: t::member_role(member.role),
        reach,
        class,
        since: member.lost_since.map(Into::into),
        tasks: member.tasks,
        availability: t::availability(member.availability, member.tasks),
        attributes: member.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        version: member.product_version,
        is_self: member.is_self,
    }
}

/// By its first address of IPv4, which is what its screen shows first.
fn unclaimed_row(node: UnclaimedNode) -> Option<UnclaimedRow> {
    let address = node.addresses.iter().find(|address| address.is_ipv4()).or(node.addresses.first())?;
    Some(UnclaimedRow {
        name: node.name,
        address: SocketAddr::new(*address, node.port).to_string(),
        others: node.addresses.len() - 1,
        version: node.version,
    })
}

fn token_row(token: &JoinToken, context: &Context) -> TokenRow {
    TokenRow {
        name: token.name.clone(),
        uses_left: token.uses_left,
        expires: token.expires_at.into(),
        is_expired: token.expires_at <= context.now,
    }
}

pub async fn act(context: Context, fields: Fields) -> Response {
    match fields.get("action") {
        "invite" => invite(&context, &fields).await,
        "recover" => recover::act(&context, &fields).await,
        "rebalance" => rebalance::act(&context, &fields).await,
        "replace-authority" => authority::act(&context).await,
        "adopt" => adopt(&context, &fields).await,
        "revoke" => {
            let command = Command::DeleteJoinToken { name: fields.get("name").to_owned() };
            send(&context, &fields, command).await
        }
        "remove" => match find(&context, fields.get("node")) {
            Some((node, _)) => send(&context, &fields, Command::RemoveNode { node }).await,
            None => context.not_found(t::NO_SUCH_PAGE),
        },
        "change" => match find(&context, fields.get("node")) {
            Some((node, member)) => node_change::act(&context, &fields, node, &member).await,
            None => context.not_found(t::NO_SUCH_PAGE),
        },
        "renew-key" => match find(&context, fields.get("node")) {
            Some((node, _)) => send(&context, &fields, Command::RenewKeys { nodes: vec![node] }).await,
            None => context.not_found(t::NO_SUCH_PAGE),
        },
        _ => context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION),
    }
}

async fn adopt(context: &Context, fields: &Fields) -> Response {
    let refuse = |status, adopt_error: String| {
        let said = Said { adopt_error, address: fields.get("address").to_owned(), ..Said::default() };
        (status, page(context, said)).into_response()
    };
    let text = fields.get("address").trim();
    let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, CONSOLE_PORT));
    let Ok(address) = text.parse::<SocketAddr>().or(alone) else {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, t::ADOPT_ADDRESS_ERROR.to_owned());
    };
    let (actor, origin) = (context.actor(), context.origin());
    let adoption = Adoption { address, code: fields.get("code").to_owned(), actor, origin };
    match context.backend.adopt(adoption).await {
        Ok(()) => back(),
        Err(error) => {
            let status = match &error {
                AdoptError::WrongCode => StatusCode::FORBIDDEN,
                AdoptError::TooManyTries { .. } => StatusCode::TOO_MANY_REQUESTS,
                AdoptError::AlreadyClaimed => StatusCode::CONFLICT,
                AdoptError::Invite(_) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_GATEWAY,
            };
            refuse(status, words::sentence(&error.to_string()))
        }
    }
}

async fn invite(context: &Context, fields: &Fields) -> Response {
    let name = fields.get("name").trim().to_owned();
    let Some(uses) = fields.get("uses").trim().parse::<u32>().ok() else {
        return refused(
            context,
            StatusCode::UNPROCESSABLE_ENTITY,
            t::NODE_TOKEN_USES_ERROR.to_owned(),
            fields,
        );
    };
    let Some(hours) = fields.get("hours").parse().ok().filter(|hours| (1..=HOURS_MAX).contains(hours)) else {
        return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION);
    };
    let expires_at = context.now.plus_ms(hours * HOUR_MS);
    let (actor, origin) = (context.actor(), context.origin());
    let invitation = Invitation { name: name.clone(), uses, expires_at, actor, origin };
    match context.backend.invite(invitation).await {
        Ok(token) => page(context, Said { token, name, ..Said::default() }),
        Err(InviteError::Rejected(reject)) => {
            refused(context, StatusCode::UNPROCESSABLE_ENTITY, reason(&reject), fields)
        }
        Err(InviteError::Unavailable(error)) => {
            refused(context, status_of(&error), t::unavailable(&error), fields)
        }
    }
}

async fn send(context: &Context, fields: &Fields, command: Command) -> Response {
    match change(context, command).await {
        Ok(()) => back(),
        Err((status, error)) => refused(context, status, error, fields),
    }
}

/// The error comes with the status of the page that shows it.
pub async fn change(context: &Context, command: Command) -> Result<(), (StatusCode, String)> {
    match context.propose_as(None, None, command).await {
        Ok(applied) => match applied.result {
            Ok(_) => Ok(()),
            Err(reject) => Err((StatusCode::CONFLICT, reason(&reject))),
        },
        Err(error) => Err((status_of(&error), t::unavailable(&error))),
    }
}

pub fn back() -> Response {
    Redirect::to("/nodes").into_response()
}

fn reason(reject: &model::Reject) -> String {
    match reject {
        model::Reject::Invalid { message, .. } => words::sentence(message),
        other => other.to_string(),
    }
}

fn refused(context: &Context, status: StatusCode, error: String, fields: &Fields) -> Response {
    let name = fields.get("name").to_owned();
    (status, page(context, Said { error, name, ..Said::default() })).into_response()
}
