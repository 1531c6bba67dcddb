//! Everything whose name holds a word: apps, instances, nodes.

use model::task::TaskState;
use model::{State, Timestamp};

use super::apps::{self, AppList};
use super::task;
use crate::strings as t;

pub struct Found {
    pub apps: AppList,
    pub tasks: Vec<Hit>,
    pub nodes: Vec<Hit>,
}

pub struct Hit {
    pub name: String,
    pub href: String,
    pub note: String,
}

impl Found {
    pub fn is_nothing(&self) -> bool {
        self.apps.rows.is_empty() && self.tasks.is_empty() && self.nodes.is_empty()
    }
}

/// Of each kind; a longer word finds the others.
const HITS_MAX: usize = 50;

pub fn search(state: &State, query: &str, now: Timestamp) -> Found {
    let word = query.trim().to_lowercase();
    let mut apps = apps::list(state, query, now);
    apps.rows.truncate(HITS_MAX);
    if word.is_empty() {
        apps.rows.clear();
        return Found { apps, tasks: Vec::new(), nodes: Vec::new() };
    }
    Found { apps, tasks: tasks(state, &word), nodes: nodes(state, &word) }
}

/// Live ones first, then those that ended and are remembered.
fn tasks(state: &State, word: &str) -> Vec<Hit> {
    let hit =
        |id: &model::TaskId, note: String| Hit { name: id.to_string(), href: format!("/tasks/{id}"), note };
    let node = |id| state.nodes.get(id).map_or("", |node| node.name.as_str());
    let live = state.apps.values().flat_map(|app| app.tasks.values()).map(|task| {
        let word = if task.state == TaskState::Running { t::TASK_RUNNING } else { t::TASK_STARTING };
        (&task.id, t::search_task(word, node(&task.node)))
    });
    let ended = state
        .apps
        .values()
        .flat_map(|app| app.history.iter())
        .map(|ended| (&ended.task.id, t::search_task(t::ENDED_TITLE, node(&ended.task.node))));
    let matches = |id: &model::TaskId| id.as_str().to_lowercase().contains(word) || task::short(id) == word;
    live.chain(ended).filter(|(id, _)| matches(id)).take(HITS_MAX).map(|(id, note)| hit(id, note)).collect()
}

fn nodes(state: &State, word: &str) -> Vec<Hit> {
    let matches = |node: &model::node::Node| {
        node.name.to_lowercase().contains(word)
            || node.id.to_string().contains(word)
            || node.addresses.iter().any(|address| address.to_string().contains(word))
    };
    let hit = |node: &model::node::Node| Hit {
        name: node.name.clone(),
        href: format!("/nodes/{}", node.id),
        note: node.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    state.nodes.values().filter(|node| matches(node)).take(HITS_MAX).map(|node| hit(node)).collect()
}
