//! What a task wrote: the end of it on its page, all of it as a file. Any part of it is [`super::log`]'s.
//!
//! Output is whatever a task cared to write. Here it is only ever text, never markup, and a download can run nothing.

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use model::TaskId;

use crate::context::{Console, Context};
use crate::view::{ansi, task};
use crate::{LogChunk, LogStream, SandboxError, strings as t};

/// Shown on a page at once.
pub const PAGE_BYTES: usize = 64 * 1024;
/// Read at once for a download.
const DOWNLOAD_BYTES: usize = 256 * 1024;

/// One stream's part of a page.
pub struct Pane {
    pub name: &'static str,
    pub text: String,
    /// Offset of the first byte that `text` does not hold: where following goes on.
    pub end: u64,
    /// Where more of what came before is shown, if there is any.
    pub older: Option<String>,
    pub error: String,
}

pub fn stream_of(name: &str) -> Option<LogStream> {
    match name {
        "stdout" => Some(LogStream::Stdout),
        "stderr" => Some(LogStream::Stderr),
        _ => None,
    }
}

/// As in addresses, events and file names: not a word of any language.
pub fn name_of(stream: LogStream) -> &'static str {
    match stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
    }
}

/// The last part of a stream.
pub async fn tail(context: &Context, id: &TaskId, stream: LogStream) -> Pane {
    match context.backend.read_log(id, stream, None, PAGE_BYTES).await {
        Ok(chunk) => pane(id, stream, &chunk),
        // A task that has not started yet has no files.
        Err(SandboxError::NotFound) => pane(id, stream, &EMPTY),
        Err(error) => Pane { error: error.to_string(), ..pane(id, stream, &EMPTY) },
    }
}

const EMPTY: LogChunk = LogChunk { offset: 0, first_offset: 0, data: Vec::new() };

/// An unfinished character at the end is left for whoever reads on.
fn pane(id: &TaskId, stream: LogStream, chunk: &LogChunk) -> Pane {
    let name = name_of(stream);
    let cut = unfinished(&chunk.data);
    let older = (chunk.offset > chunk.first_offset).then(|| {
        let from = chunk.offset.saturating_sub(PAGE_BYTES as u64).max(chunk.first_offset);
        format!("/tasks/{id}/log/{name}?offset={from}")
    });
    Pane {
        name,
        text: ansi::plain(&chunk.data[..chunk.data.len() - cut]),
        end: chunk.end() - cut as u64,
        older,
        error: String::new(),
    }
}

/// How many bytes at the end begin a UTF-8 character without ending it.
pub fn unfinished(data: &[u8]) -> usize {
    let last_start = data.iter().rev().take(4).position(|byte| byte & 0xc0 != 0x80);
    let Some(back) = last_start else { return 0 };
    let length = match data[data.len() - 1 - back] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    if back + 1 < length { back + 1 } else { 0 }
}

/// `GET /tasks/{id}/files/{stream}`: everything still kept, up to what is written while it is sent.
pub async fn download(context: Context, Path((id, stream)): Path<(String, String)>) -> Response {
    let (Ok(id), Some(stream)) = (TaskId::parse(&id), stream_of(&stream)) else {
        return context.not_found(t::NO_SUCH_TASK);
    };
    let first = match context.backend.read_log(&id, stream, Some(0), DOWNLOAD_BYTES).await {
        Ok(chunk) => chunk,
        Err(error) => return context.not_found(error.to_string()),
    };
    let name = format!("{}.{}.txt", task::short(&id), name_of(stream));
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
    ];
    (StatusCode::OK, headers, Body::from_stream(rest(context.backend, id, stream, first))).into_response()
}

/// `first` and what follows it, until there is no more.
fn rest(
    backend: Console,
    id: TaskId,
    stream: LogStream,
    first: LogChunk,
) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    stream::try_unfold(Some(first), move |chunk| {
        let (backend, id) = (backend.clone(), id.clone());
        async move {
            let Some(chunk) = chunk.filter(|chunk| !chunk.data.is_empty()) else { return Ok(None) };
            let next = backend.read_log(&id, stream, Some(chunk.end()), DOWNLOAD_BYTES).await;
            let next = next.map_err(std::io::Error::other)?;
            Ok(Some((Bytes::from(chunk.data), Some(next))))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::unfinished;

    #[test]
    fn unfinished_characters_are_held_back() {
        for (data, held) in [
            (&b""[..], 0),
            (b"abc", 0),
            ("é".as_bytes(), 0),
            (&"é".as_bytes()[..1], 1),
            (&"a→".as_bytes()[..3], 2),
            (&"🗻".as_bytes()[..3], 3),
            ("🗻".as_bytes(), 0),
            // Not UTF-8 at all: nothing to wait for.
            (b"\xff", 0),
            (b"\x80\x80\x80\x80\x80", 0),
        ] {
            assert_eq!(unfinished(data), held, "{data:?}");
        }
    }
}
