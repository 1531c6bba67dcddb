//! `meseta ctl events`

use axum::http::Method;
use http_body_util::BodyExt;
use serde_json::Value;

use super::Output;
use super::client::{Client, CtlError, path};
use super::table::cell;

/// Bytes of one event that are waited for.
const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

pub async fn run(client: &Client, output: &mut Output, kinds: &[String]) -> Result<(), CtlError> {
    let mut target = "/v2/events?plan-format=light".to_owned();
    for kind in kinds {
        // Event types are words; what else was typed is encoded and matches nothing.
        target.push_str(&format!("&event_type={}", path("", kind).trim_start_matches('/')));
    }
    let mut body = client.send(Method::GET, &target, None).await?;
    let mut lines = Lines::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| client.unreachable(error))?;
        let Some(data) = frame.data_ref() else { continue };
        for line in lines.push(data) {
            if let Some(data) = line.strip_prefix("data: ") {
                output.print(&render(output.json, data))?;
            }
        }
    }
    Err(client.unreachable("the server closed the stream"))
}

fn render(json: bool, data: &str) -> String {
    let event: Value = match (json, serde_json::from_str(data)) {
        (false, Ok(event)) => event,
        _ => return format!("{data}\n"),
    };
    let subject = ["taskId", "instanceId", "appId", "uri", "groupId", "id", "remoteAddress"];
    let subject =
        subject.iter().map(|key| cell(&event[*key])).find(|text| !text.is_empty()).unwrap_or_default();
    let status = ["taskStatus", "condition", "reason"].iter().map(|key| cell(&event[*key]));
    let status = status.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    let line = format!("{} {} {subject} {status}", cell(&event["timestamp"]), cell(&event["eventType"]));
    line.trim_end().to_owned() + "\n"
}

/// Whole lines of a stream that comes in pieces.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, data: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(data);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            // A line without an end is not an event of ours; what was kept of it is dropped.
            if self.rest.len() > EVENT_BYTES_MAX {
                self.rest.clear();
            }
            return Vec::new();
        };
        let whole = self.rest.drain(..=end).collect::<Vec<u8>>();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"event: a\nda"), ["event: a"]);
        assert_eq!(lines.push(b"ta: {}"), [""; 0]);
        assert_eq!(lines.push(b"\n\n"), ["data: {}", ""]);
    }

    #[test]
    fn one_line_an_event() {
        let data = r#"{"eventType":"status_update_event","timestamp":"T","taskId":"a.1","taskStatus":"TASK_RUNNING"}"#;
        assert_eq!(render(false, data), "T status_update_event a.1 TASK_RUNNING\n");
        assert_eq!(render(true, data), format!("{data}\n"));
    }
}
