//! The event stream: greeting, order, filter, resumption, the end of a client that sleeps.

use super::*;
use axum::body::BodyDataStream;
use futures::StreamExt;
use model::auth::Actor;
use model::{Command, limits};

struct Stream {
    body: BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(server: &Server, path: &str, headers: &[(&str, String)]) -> Self {
        let mut all = vec![("authorization", basic("admin", fake::PASSWORD))];
        all.extend(headers.iter().cloned());
        let response = server.router.clone().oneshot(request(path, "", &all)).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("content-encoding"));
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next frame as (type, data, id); `None` at the end.
    async fn next(&mut self) -> Option<(String, Value, String)> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = frame.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or("").to_owned()
                };
                let data = serde_json::from_str(&field("data: ")).expect("JSON");
                let parsed = (field("event: "), data, field("id: "));
                self.text = rest.to_owned();
                return Some(parsed);
            }
            let chunk = tokio::time::timeout(std::time::Duration::from_secs(5), self.body.next()).await;
            let chunk = chunk.expect("a frame in time")?.expect("never fails");
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    /// Types of frames up to and including the first of type `last`.
    async fn until(&mut self, last: &str) -> Vec<(String, Value, String)> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            let done = frame.0 == last;
            frames.push(frame);
            if done {
                return frames;
            }
        }
        panic!("the stream ended before {last}");
    }
}

#[tokio::test]
async fn the_life_of_an_app() {
    let server = Server::new();
    let mut stream = Stream::open(&server, "GET /v2/events", &[]).await;
    let (kind, greeting, _) = stream.next().await.expect("a greeting");
    assert_eq!(kind, "event_stream_attached");
    assert_eq!(greeting["eventType"], kind);
    server.running(HELLO).await;
    let frames = stream.until("deployment_success").await;
    let kinds: Vec<&str> = frames.iter().map(|(kind, _, _)| kind.as_str()).collect();
    for kind in ["api_post_event", "deployment_info", "status_update_event", "instance_changed_event"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    for (kind, data, _) in &frames {
        assert_eq!(data["eventType"], **kind);
        assert!(data["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{data}");
    }
    let find = |wanted: &str| &frames.iter().rfind(|(kind, _, _)| kind == wanted).expect(wanted).1;
    assert_eq!(find("api_post_event")["appDefinition"]["id"], "/hello2");
    assert_eq!(find("api_post_event")["uri"], "/v2/apps");
    assert_eq!(find("status_update_event")["taskStatus"], "TASK_RUNNING");
    assert_eq!(find("status_update_event")["host"], "10.0.0.1");
    assert_eq!(find("instance_changed_event")["condition"], "Running");
    let plan = &find("deployment_info")["plan"];
    assert_eq!(plan["target"]["apps"][0]["id"], "/hello2");
    assert_eq!(plan["original"]["apps"], Value::Array(Vec::new()));
    assert_eq!(plan["steps"][0]["actions"][0]["action"], "StartApplication");
}

#[tokio::test]
async fn filter_and_light_plans() {
    let server = Server::new();
    let path = "GET /v2/events?event_type=deployment_success&event_type=deployment_info&plan-format=light";
    let mut stream = Stream::open(&server, path, &[]).await;
    server.running(HELLO).await;
    let frames = stream.until("deployment_success").await;
    let kinds: Vec<&str> = frames.iter().map(|(kind, _, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["event_stream_attached", "deployment_info", "deployment_success"]);
    assert!(frames[1].1["plan"].get("original").is_none());
}

#[tokio::test]
async fn a_client_that_comes_back_misses_nothing() {
    let server = Server::new();
    let mut stream = Stream::open(&server, "GET /v2/events", &[]).await;
    server.running(HELLO).await;
    let seen = stream.until("deployment_success").await;
    drop(stream);
    let (middle, id) = seen
        .iter()
        .enumerate()
        .find_map(|(n, (kind, _, id))| (kind == "deployment_info").then(|| (n, id.clone())))
        .expect("a frame with an id");
    let mut resumed = Stream::open(&server, "GET /v2/events", &[("last-event-id", id)]).await;
    let again = resumed.until("deployment_success").await;
    assert_eq!(again[1..], seen[middle + 1..], "the greeting, then exactly the rest");

    let bad = server.ask_with("GET /v2/events", "", &[("last-event-id", "yesterday")]).await;
    assert_eq!(bad.status.as_u16(), 400);
    let json = server.ask_with("GET /v2/events", "", &[("accept", "application/json")]).await;
    assert_eq!(json.status.as_u16(), 405);
}

#[tokio::test]
async fn a_client_a_whole_ring_behind_is_disconnected() {
    let server = Server::new();
    server.running(HELLO).await;
    let mut stream = Stream::open(&server, "GET /v2/events", &[]).await;
    assert_eq!(stream.next().await.expect("a greeting").0, "event_stream_attached");
    let app = model::AppId::parse("hello2").expect("an id");
    // Each forced restart makes at least one event; the client reads none of them.
    for n in 0..limits::EVENTS_KEPT_MAX {
        let deployment = model::DeploymentId(1 << 64 | n as u128);
        server.node.apply(Actor::System, Command::RestartApp { app: app.clone(), deployment, force: true });
    }
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn clients_are_counted() {
    let server = Server::new();
    let mut streams = Vec::new();
    for _ in 0..limits::EVENT_CLIENTS_MAX {
        streams.push(Stream::open(&server, "GET /v2/events", &[]).await);
    }
    server.check("GET /v2/events", "", 503, &["limit of 256 event clients"]).await;
    streams.pop();
    Stream::open(&server, "GET /v2/events", &[]).await;
}
