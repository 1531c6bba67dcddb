//! The list of applications.

use model::state::App;
use model::{AppId, State, Timestamp};

use super::status::{Note, Status, running};
use super::words;
use crate::strings as t;

pub struct AppRow {
    pub id: String,
    pub href: String,
    pub status: Status,
    pub note: Note,
    pub running: usize,
    pub wanted: u32,
    pub cpus: String,
    pub memory: String,
    pub image: String,
}

/// Rows of one page of the list, and how many matched in all.
pub struct AppList {
    pub rows: Vec<AppRow>,
    pub matched: usize,
    pub total: usize,
}

impl AppRow {
    pub fn instances(&self) -> String {
        t::running_of(self.running, self.wanted)
    }
}

impl AppList {
    pub fn count(&self) -> String {
        t::apps_count(self.matched, self.total, self.rows.len())
    }
}

/// A page shows no more; the search narrows it.
pub const ROWS_MAX: usize = 500;

/// Apps whose id, image or a label holds `query`, in order of id.
pub fn list(state: &State, query: &str, now: Timestamp) -> AppList {
    let query = query.trim().to_lowercase();
    let shown = || state.apps.iter().filter(|(_, app)| !app.deleted);
    let mut matched = 0;
    let mut rows = Vec::new();
    for (id, app) in shown().filter(|(id, app)| matches(id, app, &query)) {
        matched += 1;
        if rows.len() < ROWS_MAX {
            rows.push(row(state, id, app, now));
        }
    }
    AppList { rows, matched, total: shown().count() }
}

fn row(state: &State, id: &AppId, app: &App, now: Timestamp) -> AppRow {
    let instances = u64::from(app.spec.instances);
    AppRow {
        id: id.to_string(),
        href: href(id),
        status: Status::of(state, id, app, now),
        note: Note::of(state, id, app, now),
        running: running(app),
        wanted: app.spec.instances,
        cpus: words::cpus(app.spec.resources.cpu_milli * instances),
        memory: words::mebibytes(app.spec.resources.mem_mib * instances),
        image: image(app).to_owned(),
    }
}

/// The page of an app.
pub fn href(id: &AppId) -> String {
    format!("/apps{id}")
}

pub fn image(app: &App) -> &str {
    app.spec.container.as_ref().and_then(|c| c.image.as_ref()).map_or("", |image| &image.reference)
}

fn matches(id: &AppId, app: &App, query: &str) -> bool {
    let label = |(key, value): (&String, &String)| format!("{key}={value}").to_lowercase().contains(query);
    id.as_str().contains(query)
        || image(app).to_lowercase().contains(query)
        || app.spec.labels.iter().any(label)
}
