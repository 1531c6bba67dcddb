//! What a handler works with: the backend, one state, the visitor, and the frame of the page it answers.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use model::auth::Actor;
use model::ids::RequestId;
use model::{Applied, Command, Origin, State, Timestamp};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::guard::Visit;
use crate::{Backend, Unavailable, assets, session, strings as t};

pub type Console = Arc<dyn Backend>;

pub struct Context {
    pub backend: Console,
    /// The state this answer is made of, taken once, so that a page never contradicts itself.
    pub state: Arc<State>,
    pub now: Timestamp,
    pub visit: Visit,
}

impl FromRequestParts<Console> for Context {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, StatusCode> {
        // The guard lets nothing through without a visit.
        let visit = parts.extensions.get::<Visit>().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        let backend = console.clone();
        Ok(Self { state: backend.state(), now: backend.now(), backend, visit })
    }
}

/// Which part of the console a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Apps,
    Dns,
    Node,
    Events,
    Settings,
    Search,
    Balancer,
    /// Pages before the login and errors.
    None,
}

/// What every page shares. `live` is the query of the page's event stream; `None` for pages that never move.
pub struct Frame {
    pub title: String,
    pub tab: Tab,
    pub who: Option<String>,
    pub csrf: String,
    pub live: Option<String>,
    pub node_name: String,
    /// Where the answering node's own pages are, on every node's console.
    pub node_path: String,
    /// What is to be known of the whole page: that it may be old.
    pub warning: String,
    pub product_version: String,
    pub now: u64,
    /// Path and query of this page, from which its moving part is fetched again.
    pub here: String,
    /// `light`, `dark`, or empty: as the system likes it.
    pub theme: &'static str,
    pub css: &'static str,
    pub js: &'static str,
}

impl Context {
    pub fn frame(&self, title: impl Into<String>, tab: Tab) -> Frame {
        let node = self.backend.node();
        Frame {
            title: title.into(),
            tab,
            who: self.visit.session.as_ref().map(|s| s.name.clone()),
            csrf: session::mask(&self.visit.csrf, rand::random()),
            live: None,
            warning: node.out_of_touch_s.map(t::out_of_touch).unwrap_or_default(),
            node_name: node.name,
            node_path: format!("/nodes/{}", node.id),
            product_version: node.product_version,
            now: self.now.0,
            here: self.visit.uri.path_and_query().map_or_else(|| "/".into(), ToString::to_string),
            theme: self.visit.theme,
            css: assets::css().url(),
            js: assets::js().url(),
        }
    }

    pub fn actor(&self) -> Actor {
        self.visit.session.as_ref().map_or(Actor::Claimant, |s| s.actor())
    }

    pub fn origin(&self) -> Origin {
        Origin { client_ip: self.visit.client_ip.clone(), uri: self.visit.uri.path().to_owned() }
    }

    /// Proposes `command` for the visitor. The same form sent twice is applied once.
    pub async fn propose(
        &self,
        fields: &Fields,
        expected_version: Option<Timestamp>,
        command: Command,
    ) -> Result<Applied, Unavailable> {
        self.propose_as(fields.request_id(), expected_version, command).await
    }

    /// As [`Context::propose`], under a request id of the caller's, or none.
    pub async fn propose_as(
        &self,
        request_id: Option<RequestId>,
        expected_version: Option<Timestamp>,
        command: Command,
    ) -> Result<Applied, Unavailable> {
        let request = crate::Request {
            actor: self.actor(),
            origin: self.origin(),
            request_id,
            expected_version,
            command,
        };
        self.backend.propose(request).await
    }

    /// A page that says what went wrong and where to go from here.
    pub fn problem(&self, status: StatusCode, title: &str, text: impl Into<String>) -> Response {
        let page = ProblemPage { frame: self.frame(title, Tab::None), text: text.into() };
        (status, render(&page)).into_response()
    }

    pub fn not_found(&self, text: impl Into<String>) -> Response {
        self.problem(StatusCode::NOT_FOUND, t::NOT_FOUND, text)
    }

    pub fn unavailable(&self, error: &Unavailable) -> Response {
        self.problem(status_of(error), t::UNAVAILABLE, t::unavailable(error))
    }
}

pub fn status_of(error: &Unavailable) -> StatusCode {
    match error {
        Unavailable::NoSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
        Unavailable::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Unavailable::NoLeader(_) | Unavailable::Unknown | Unavailable::Failed(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    text: String,
}

/// A filled template as an answer.
pub fn render(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A form that was sent by this browser from a page of ours.
#[derive(Debug)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first field of that name; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All fields but the form's token, to send the form once more.
    pub fn others(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(|(key, _)| key != "csrf").map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// From the form's own nonce `once` and everything in it: pressing twice is one request, changing the form and
    /// sending it again is another.
    fn request_id(&self) -> Option<RequestId> {
        if self.get("once").is_empty() {
            return None;
        }
        let mut hash = Sha256::new();
        for (key, value) in &self.0 {
            for part in [key, value] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        let first: [u8; 16] = hash.finalize()[..16].try_into().expect("SHA-256 has 32 bytes");
        Some(RequestId(u128::from_le_bytes(first)))
    }
}

/// A value for a form's hidden field `once`.
pub fn nonce() -> String {
    session::hex(&rand::random::<[u8; 16]>())
}

impl FromRequest<Console> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let context =
            Context::from_request_parts(&mut parts, console).await.map_err(IntoResponse::into_response)?;
        let form =
            Form::<Vec<(String, String)>>::from_request(Request::from_parts(parts, body), console).await;
        let fields = match form {
            Ok(Form(fields)) => Self(fields),
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(context.problem(StatusCode::PAYLOAD_TOO_LARGE, t::TOO_LARGE, t::too_large()));
            }
            Err(error) => return Err(context.problem(error.status(), t::BAD_FORM, error.body_text())),
        };
        if session::is_masked(fields.get("csrf"), &context.visit.csrf) {
            return Ok(fields);
        }
        Err(context.problem(StatusCode::FORBIDDEN, t::STALE_FORM, t::STALE_FORM_TEXT))
    }
}

/// The query of an address; what is wrong with it is said on a page.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Console> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let read = axum::extract::Query::try_from_uri(&parts.uri);
        let (status, fault) = match read {
            Ok(axum::extract::Query(query)) => return Ok(Self(query)),
            Err(error) => (error.status(), error.body_text()),
        };
        let context =
            Context::from_request_parts(parts, console).await.map_err(IntoResponse::into_response)?;
        Err(context.problem(status, t::BAD_ADDRESS, fault))
    }
}
