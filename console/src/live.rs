//! `GET /live`: the one event stream of an open page.
//!
//! `change` says that what the page shows may have moved: the page fetches its moving part again. `stdout` and
//! `stderr` carry a task's output as it is written, base64, with its offset; `end` names the one that is complete,
//! `absent` says that there is no output yet. `beat` shows that the line is alive.
//! The stream ends by itself after a while; the browser comes back, and its cookie is looked at again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::stream::{self, BoxStream, StreamExt};
use model::{AppId, State, TaskId};
use serde::Deserialize;
use tokio::sync::watch;

use crate::context::{Context, Query};
use crate::pages::output::name_of;
use crate::view::task;
use crate::{LogChunk, LogStream, Preparing};

/// Changes closer together than this reach the page as one.
const COALESCE: Duration = Duration::from_millis(50);
const BEAT: Duration = Duration::from_secs(10);
const LIFE: Duration = Duration::from_secs(15 * 60);

/// What a page shows: all apps, one app, or one task with its output from these offsets on.
#[derive(Debug, Default, Deserialize)]
pub struct Scope {
    app: Option<String>,
    /// The page shows events, which come with everything that happens.
    events: Option<u8>,
    /// The page shows the balancer, which moves some time after the state.
    balancer: Option<u8>,
    task: Option<String>,
    stdout: Option<u64>,
    stderr: Option<u64>,
}

type Events = BoxStream<'static, Event>;

pub async fn stream(context: Context, Query(scope): Query<Scope>) -> Response {
    let task = scope.task.as_deref().and_then(|id| TaskId::parse(id).ok());
    let app = match &task {
        Some(task) => task::find(&context.state, task).and_then(|view| AppId::parse(&view.app).ok()),
        None => scope.app.as_deref().and_then(|id| AppId::parse(id).ok()),
    };
    let about = match (&app, scope.events) {
        (Some(app), _) => About::App(app.clone()),
        (None, Some(_)) => About::Events,
        (None, None) => About::Everything,
    };
    let mut events: Vec<Events> = vec![changes(context.backend.watch(), about), beats()];
    if app.is_some() {
        events.push(preparations(context.backend.preparing()));
    }
    if (app.is_some() && task.is_none()) || scope.balancer.is_some() {
        events.push(context.backend.balancer_moves().map(|()| moved()).boxed());
    }
    if let Some(task) = task {
        for (stream, offset) in [(LogStream::Stdout, scope.stdout), (LogStream::Stderr, scope.stderr)] {
            events.push(match context.backend.follow_log(&task, stream, offset.unwrap_or(0)).await {
                Ok(chunks) => output(stream, chunks),
                // Nothing to follow yet; the page asks again once the task has moved on.
                Err(_) => {
                    let absent = Event::default().event("absent").data(name_of(stream));
                    stream::once(async { absent }).boxed()
                }
            });
        }
    }
    let events = stream::select_all(events).take_until(tokio::time::sleep(LIFE)).map(Ok::<_, Infallible>);
    Sse::new(events).into_response()
}

/// What a page is about, and so what moves it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    Everything,
    App(AppId),
    Events,
}

/// A `change` at once, so that nothing is missed between page and stream, and after each move of what the page is about.
fn changes(mut watch: watch::Receiver<Arc<State>>, about: About) -> Events {
    // A browser drops events without data; the log index tells whoever reads the stream where it stands.
    let event = |state: &State| Event::default().event("change").data(state.index.to_string());
    let shown = watch.borrow_and_update().clone();
    let first = event(&shown);
    let later = stream::unfold((watch, about, shown), move |(mut watch, about, mut shown)| async move {
        loop {
            watch.changed().await.ok()?;
            tokio::time::sleep(COALESCE).await;
            let state = watch.borrow_and_update().clone();
            let moved = differs(&shown, &state, &about);
            shown = state;
            if moved {
                return Some((event(&shown), (watch, about, shown)));
            }
        }
    });
    stream::once(async move { first }).chain(later).boxed()
}

/// A `change` whenever what tasks wait for reads differently: seldom, and only while something is being prepared.
fn preparations(watch: watch::Receiver<Arc<Preparing>>) -> Events {
    let later = stream::unfold(watch, |mut watch| async move {
        // The node ends: so does the page's stream, by itself.
        watch.changed().await.ok()?;
        Some((moved(), watch))
    });
    later.boxed()
}

/// A `change` of something that is not in the state.
fn moved() -> Event {
    Event::default().event("change").data("-")
}

/// Whether a page about this would look different. Compares by identity: unchanged parts of a state
/// are shared with the one before.
fn differs(old: &State, new: &State, about: &About) -> bool {
    let deployments = !old.deployments.ptr_eq(&new.deployments);
    let id = match about {
        About::Everything => {
            let nodes = !old.nodes.ptr_eq(&new.nodes)
                || !old.members.ptr_eq(&new.members)
                || !old.join_tokens.ptr_eq(&new.join_tokens);
            return deployments || nodes || !old.apps.ptr_eq(&new.apps);
        }
        About::Events => return old.events.back().map(|e| e.id) != new.events.back().map(|e| e.id),
        About::App(id) => id,
    };
    match (old.apps.get(id), new.apps.get(id)) {
        (Some(old), Some(new)) => deployments || !Arc::ptr_eq(old, new),
        (None, None) => false,
        _ => true,
    }
}

fn beats() -> Events {
    let beat = |()| async {
        tokio::time::sleep(BEAT).await;
        Some((Event::default().event("beat").data("-"), ()))
    };
    stream::unfold((), beat).boxed()
}

fn output(stream: LogStream, chunks: BoxStream<'static, LogChunk>) -> Events {
    let name = name_of(stream);
    let event = move |chunk: LogChunk| {
        // An offset, a blank, and bytes that may be anything, the middle of a character included.
        Event::default().event(name).data(format!("{} {}", chunk.offset, BASE64.encode(&chunk.data)))
    };
    let end = stream::once(async move { Event::default().event("end").data(name) });
    chunks.map(event).chain(end).boxed()
}

#[cfg(test)]
mod tests {
    use model::state::App;

    use super::*;

    fn app(definition: &str) -> Arc<App> {
        let spec = Arc::new(model::app::AppSpec::parse(definition).expect("a definition"));
        Arc::new(App {
            versions: [spec.clone()].into_iter().collect(),
            spec,
            tasks: Default::default(),
            history: Default::default(),
            last_failure: None,
            backoff: Default::default(),
            waiting: String::new(),
            deleted: false,
        })
    }

    #[test]
    fn only_what_a_page_shows_wakes_it() {
        let id = |text| AppId::parse(text).expect("an app id");
        let mut old = State::default();
        old.apps.insert(id("/a"), app(r#"{"id":"a","cmd":"true"}"#));
        old.apps.insert(id("/b"), app(r#"{"id":"b","cmd":"true"}"#));
        let about = |new: &State| {
            let app = |text| About::App(id(text));
            [About::Everything, app("/a"), app("/b"), app("/c")].map(|about| differs(&old, new, &about))
        };

        let another_entry = State { index: 7, ..old.clone() };
        assert_eq!(about(&another_entry), [false; 4]);
        let mut changed = old.clone();
        Arc::make_mut(changed.apps.get_mut(&id("/a")).expect("it is there")).waiting = "why".into();
        assert_eq!(about(&changed), [true, true, false, false]);
        let mut gone = old.clone();
        gone.apps.remove(&id("/b"));
        assert_eq!(about(&gone), [true, false, true, false]);
        let mut new = old.clone();
        new.apps.insert(id("/c"), app(r#"{"id":"c","cmd":"true"}"#));
        assert_eq!(about(&new), [true, false, false, true]);
    }
}
