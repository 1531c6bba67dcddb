//! `/dns`: the names of the cluster, what this node answers for one of them, and when they changed last.

use askama::Template;
use axum::response::Response;
use model::ids::IdSource;
use model::zone::label::NAME_BYTES_MAX;
use serde::Deserialize;

use crate::context::{Context, Frame, Query, Tab, render};
use crate::strings as t;
use crate::view::dns::{self, ChangeView, NameList, TYPES, Tested};

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    q: String,
    /// As text: a page that is no number is the first.
    #[serde(default)]
    page: String,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
}

#[derive(Template)]
#[template(path = "dns.html")]
struct DnsPage {
    frame: Frame,
    query: String,
    fault: String,
    name: String,
    kind: &'static str,
    tested: Option<Tested>,
    facts: Vec<(&'static str, String)>,
    change: ChangeView,
    list: NameList,
}

impl DnsPage {
    fn types(&self) -> [(&'static str, bool); TYPES.len()] {
        TYPES.map(|(word, _)| (word, word == self.kind))
    }
}

pub async fn show(context: Context, Query(asked): Query<Asked>) -> Response {
    let status = context.backend.dns();
    let name = asked.name.trim().chars().take(NAME_BYTES_MAX + 1).collect::<String>();
    let (kind, wanted) = TYPES.into_iter().find(|(word, _)| *word == asked.kind).unwrap_or(TYPES[0]);
    let tested =
        (!name.is_empty()).then(|| dns::test(&status, &name, wanted, &mut IdSource::new(rand::random())));
    render(&DnsPage {
        frame: Frame { live: Some(String::new()), ..context.frame(t::DNS_TITLE, Tab::Dns) },
        list: dns::list(&status.zone, &asked.q, asked.page.parse().unwrap_or(1)),
        query: asked.q,
        facts: dns::facts(&status),
        change: dns::change(&status.zone),
        fault: status.fault,
        name,
        kind,
        tested,
    })
}
