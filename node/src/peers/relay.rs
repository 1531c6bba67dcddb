//! What another node must answer, about itself or a task of its, is answered by that node: the whole request goes there
//! and its answer comes back.
//!
//! Credentials and sessions are looked at there, by the same state; the member that hands a request on only vouches for
//! the client's address. A request is handed on once: it carries `X-Marathon-Via` from then on.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State as Extract};
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cluster::{Cluster, Target};
use model::{NodeId, State, TaskId};
use tower::ServiceExt;

use super::wire::TlsWire;

/// Who handed it on, as Marathon names it.
pub const VIA: HeaderName = HeaderName::from_static("x-marathon-via");
const CLIENT: HeaderName = HeaderName::from_static("x-meseta-client");
const TLS: HeaderName = HeaderName::from_static("x-meseta-tls");
/// Of one connection and not of the request (RFC 9110 §7.6.1); HTTP/2 refuses them.
const HOP_BY_HOP: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

pub struct Relay {
    pub cluster: Cluster,
    pub wire: Arc<TlsWire>,
}

/// Before every route: hands on what another node must answer, everything else goes on here.
pub async fn layer(Extract(relay): Extract<Arc<Relay>>, request: Request, next: Next) -> Response {
    let own = relay.cluster.node();
    let state = relay.cluster.state();
    let elsewhere = home(&state, request.uri()).filter(|node| *node != own);
    let (Some(node), false) = (elsewhere, request.headers().contains_key(VIA)) else {
        return next.run(request).await;
    };
    let Some(member) = state.members.get(&node) else { return next.run(request).await };
    let target = Target { node, addresses: member.peers() };
    // Where it cannot be reached the page of a task still says what the state knows.
    let Ok(mut connection) = relay.wire.relay(&target).await else { return next.run(request).await };
    let request = match outgoing(request, own) {
        Ok(request) => request,
        Err(reason) => return (StatusCode::BAD_REQUEST, reason).into_response(),
    };
    match connection.send_request(request).await {
        Ok(answer) => incoming(answer.map(Body::new)),
        Err(error) => {
            tracing::warn!(%node, %error, "a request was handed on and not answered");
            let reason = format!("node {node}, which this is about, does not answer: {error}");
            (StatusCode::BAD_GATEWAY, reason).into_response()
        }
    }
}

/// The node that the request is about, or whose task.
fn home(state: &State, uri: &Uri) -> Option<NodeId> {
    let mut segments = uri.path().trim_start_matches('/').split('/');
    let id = match (segments.next()?, segments.next(), segments.next()) {
        ("nodes", Some(id), _) => return member(state, id),
        ("meseta", Some("v1"), Some("nodes")) => {
            let (id, what) = (segments.next()?, segments.next()?);
            return member(state, id).filter(|_| what == "power");
        }
        ("tasks", Some(id), _) => id.to_owned(),
        ("meseta", Some("v1"), Some("tasks")) => segments.next()?.to_owned(),
        ("live", None, _) => uri.query()?.split('&').find_map(|pair| pair.strip_prefix("task="))?.to_owned(),
        _ => return None,
    };
    let id = TaskId::parse(&id).ok()?;
    match state.task(&id) {
        Some((_, task)) => Some(task.node),
        None => ended(state, &id),
    }
}

fn member(state: &State, id: &str) -> Option<NodeId> {
    state.members.keys().find(|node| node.to_string() == id).copied()
}

fn ended(state: &State, id: &TaskId) -> Option<NodeId> {
    let of = |flat: &str| id.as_str().strip_prefix(flat).is_some_and(|rest| rest.starts_with('.'));
    let apps = state.apps.iter().filter(|(app, _)| of(&app.flat()));
    apps.flat_map(|(_, app)| &app.history).find(|ended| ended.task.id == *id).map(|ended| ended.task.node)
}

/// The request as it is sent to a member: by HTTP/2, with who asked.
fn outgoing(request: Request, own: NodeId) -> Result<axum::http::Request<Body>, String> {
    let (mut parts, body) = request.into_parts();
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority: Authority = match (host, parts.uri.authority()) {
        (Some(host), _) => host.parse().map_err(|error| text(&error))?,
        (None, Some(authority)) => authority.clone(),
        (None, None) => Authority::from_static("meseta"),
    };
    let path = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let uri = Uri::builder().scheme(Scheme::HTTPS).authority(authority).path_and_query(path).build();
    parts.uri = uri.map_err(|error| text(&error))?;
    parts.version = Version::HTTP_2;
    strip(&mut parts.headers);
    parts.headers.remove(header::HOST);
    let client = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let via_tls = parts.extensions.get::<console::ViaTls>().is_some_and(|via| via.0);
    let value = |text: String| HeaderValue::from_str(&text).map_err(|error| error.to_string());
    parts.headers.insert(VIA, value(own.to_string())?);
    parts.headers.insert(CLIENT, value(client.unwrap_or(IpAddr::from([0, 0, 0, 0])).to_string())?);
    parts.headers.insert(TLS, HeaderValue::from_static(if via_tls { "1" } else { "0" }));
    Ok(axum::http::Request::from_parts(parts, body))
}

fn incoming(answer: axum::http::Response<Body>) -> Response {
    let mut answer = answer;
    strip(answer.headers_mut());
    *answer.version_mut() = Version::HTTP_11;
    answer
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// At the other end: the request as this node's own front door would have got it. Only members get here.
pub async fn answer(doors: &Router, mut request: axum::http::Request<Body>) -> Response {
    let headers = request.headers_mut();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let client: Option<IpAddr> = text(CLIENT).and_then(|ip| ip.parse().ok());
    let via_tls = text(TLS) == Some("1");
    if let Some(host) = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    let client = SocketAddr::new(client.unwrap_or(IpAddr::from([0, 0, 0, 0])), 0);
    request.extensions_mut().insert(ConnectInfo(client));
    request.extensions_mut().insert(console::ViaTls(via_tls));
    match doors.clone().oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use model::testing::{self, Lab};

    use super::*;

    #[track_caller]
    fn check(lab: &Lab, uri: &str, expected: Option<u64>) {
        let uri: Uri = uri.parse().expect("a target");
        assert_eq!(home(&lab.state, &uri), expected.map(NodeId), "{uri}");
    }

    #[test]
    fn a_request_about_a_node_belongs_to_it_and_one_about_the_cluster_to_all() {
        let mut lab = Lab::new();
        lab.must(model::Command::RaiseFeatureLevel { level: 2 });
        lab.must(testing::found());
        let id = NodeId(1);
        for own in ["", "/kernel?level=3", "/services/agent/log.txt"] {
            check(&lab, &format!("/nodes/{id}{own}"), Some(1));
        }
        check(&lab, &format!("/meseta/v1/nodes/{id}/power"), Some(1));
        let others = ["/nodes", "/nodes?change=n0000000000000001", "/nodes/n1", "/nodes/n0000000000000002"];
        let of_all = [format!("/meseta/v1/nodes/{id}"), format!("/meseta/v1/nodes/{id}/key")];
        for other in others.into_iter().chain(of_all.iter().map(String::as_str)) {
            check(&lab, other, None);
        }
    }

    #[test]
    fn a_request_about_a_task_belongs_to_its_node() {
        let mut lab = Lab::new();
        lab.must(model::Command::RegisterNode { node: testing::node(2) });
        lab.put(model::app::AppSpec { instances: 2, ..testing::spec("/a/b") });
        lab.settle();
        for task in lab.tasks() {
            let (id, node) = (&task.id, Some(task.node.0));
            check(&lab, &format!("/tasks/{id}"), node);
            check(&lab, &format!("/tasks/{id}/files/stdout?x=1"), node);
            check(&lab, &format!("/meseta/v1/tasks/{id}/logs/stdout"), node);
            check(&lab, &format!("/live?task={id}&stdout=7"), node);
        }
        let ended = lab.tasks()[0].clone();
        lab.ended(&ended.id, model::task::Exit::Code(1));
        check(&lab, &format!("/tasks/{}", ended.id), Some(ended.node.0));
        for other in
            ["/", "/live", "/live?app=/a/b", "/v2/tasks", "/tasks/x", "/meseta/v1/node", "/tasks/%2e%2e"]
        {
            check(&lab, other, None);
        }
    }
}
