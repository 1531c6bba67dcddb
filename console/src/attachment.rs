//! Files of a sandbox as answers. They are a stranger's: always attachments, of a type that nothing guesses, in a
//! sandbox without origin. Pictures of a few formats keep their type, so that a page can show them.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, BoxStream};

use crate::sandbox::{Content, OpenFile, encode_bytes};

const CHUNK_BYTES: u64 = 256 * 1024;
const UNKNOWN_TYPE: &str = "application/octet-stream";
/// SVG is missing on purpose: it is a document that runs scripts.
const PICTURES: [(&str, &str); 7] = [
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".gif", "image/gif"),
    (".webp", "image/webp"),
    (".bmp", "image/bmp"),
    (".ico", "image/x-icon"),
];

/// The type of a picture by its name; nothing else has one.
pub fn picture_type(name: &[u8]) -> Option<&'static str> {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    PICTURES.iter().find(|(end, _)| name.ends_with(end)).map(|(_, kind)| *kind)
}

/// The file, or the range of it that was asked for.
pub fn file(file: OpenFile, name: &[u8], asked: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", file.tag);
    let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    // A range of a file that has changed meanwhile would be glued to the wrong beginning.
    let is_same = text(header::IF_RANGE).is_none_or(|wanted| wanted == tag);
    let wanted = text(header::RANGE).filter(|_| is_same);
    let (status, from, to) = match wanted.map_or(Wanted::All, |text| parse_range(text, file.size)) {
        Wanted::All => (StatusCode::OK, 0, file.size),
        Wanted::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Wanted::Nothing => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{}", file.size))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, range).into_response();
        }
    };
    let kind = picture_type(name).unwrap_or(UNKNOWN_TYPE);
    let mut answer = (status, Body::from_stream(read(file.content, from, to))).into_response();
    let headers = answer.headers_mut();
    harmless(headers, kind, name);
    let mut set = |name: HeaderName, value: String| {
        headers.insert(name, HeaderValue::try_from(value).expect("digits and a tag of them"));
    };
    set(header::CONTENT_LENGTH, (to - from).to_string());
    set(header::ACCEPT_RANGES, "bytes".to_owned());
    set(header::ETAG, tag);
    if status == StatusCode::PARTIAL_CONTENT {
        set(header::CONTENT_RANGE, format!("bytes {from}-{}/{}", to - 1, file.size));
    }
    answer
}

pub fn archive(bytes: BoxStream<'static, io::Result<Bytes>>, name: &[u8]) -> Response {
    let mut answer = Body::from_stream(bytes).into_response();
    harmless(answer.headers_mut(), "application/x-tar", name);
    answer
}

/// A stranger's text, or any other bytes, as a file.
pub fn text(text: Vec<u8>, name: &[u8]) -> Response {
    let mut answer = text.into_response();
    harmless(answer.headers_mut(), UNKNOWN_TYPE, name);
    answer
}

fn harmless(headers: &mut HeaderMap, kind: &'static str, name: &[u8]) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, disposition(name));
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// The name as old programs read it, without anything but plain characters, and as it is.
fn disposition(name: &[u8]) -> HeaderValue {
    let plain: String = name
        .iter()
        .map(|b| if b.is_ascii_alphanumeric() || b"-_.+ ".contains(b) { *b as char } else { '_' })
        .collect();
    let exact = encode_bytes(name).replace('/', "%2F");
    HeaderValue::try_from(format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}"))
        .expect("plain characters and percent signs")
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    /// From, and the first byte that is not wanted any more.
    Part(u64, u64),
    Nothing,
}

/// One range of bytes; several, or what is not understood, means all (RFC 9110, 14.2).
fn parse_range(text: &str, size: u64) -> Wanted {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-'))
    else {
        return Wanted::All;
    };
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let (from, to) = match (number(first), number(last)) {
        (None, Some(count)) if first.is_empty() => (size - count.min(size), size),
        (Some(from), None) if last.is_empty() => (from, size),
        (Some(from), Some(last)) if from <= last => (from, last.saturating_add(1).min(size)),
        _ => return Wanted::All,
    };
    if from < to { Wanted::Part(from, to) } else { Wanted::Nothing }
}

/// Exactly the bytes that were promised; a file that is cut meanwhile breaks the answer off instead of ending it.
fn read(content: Arc<dyn Content>, from: u64, to: u64) -> impl stream::Stream<Item = io::Result<Bytes>> {
    stream::try_unfold(from, move |offset| {
        let content = content.clone();
        async move {
            if offset >= to {
                return Ok(None);
            }
            let chunk = read_chunk(content, offset, (to - offset).min(CHUNK_BYTES) as usize).await?;
            if chunk.is_empty() {
                return Err(io::Error::other("the file became shorter while it was sent"));
            }
            let next = offset + chunk.len() as u64;
            Ok(Some((Bytes::from(chunk), next)))
        }
    })
}

/// At most `limit` bytes; fewer only at the end.
pub async fn read_chunk(content: Arc<dyn Content>, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
    let read = move || {
        let (mut buffer, mut filled) = (vec![0; limit], 0);
        while filled < limit {
            match content.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(filled);
        Ok(buffer)
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-3", Wanted::Part(0, 4)),
            ("bytes=4-", Wanted::Part(4, 10)),
            ("bytes=-3", Wanted::Part(7, 10)),
            ("bytes=-30", Wanted::Part(0, 10)),
            ("bytes=8-99", Wanted::Part(8, 10)),
            ("bytes=9-18446744073709551615", Wanted::Part(9, 10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-4", Wanted::All),
            ("bytes=0-1,4-5", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("lines=1-2", Wanted::All),
        ] {
            assert_eq!(parse_range(text, 10), expected, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Wanted::Nothing);
    }

    #[test]
    fn names_break_no_header() {
        let text = disposition(b"a\"b\r\nset-cookie: x\xff/.txt");
        assert_eq!(
            text.to_str().expect("ascii"),
            "attachment; filename=\"a_b__set-cookie_ x__.txt\"; \
             filename*=UTF-8''a%22b%0D%0Aset-cookie%3A%20x%FF%2F.txt"
        );
    }

    #[test]
    fn only_pictures_have_a_type() {
        assert_eq!(picture_type(b"a/Photo.JPG"), Some("image/jpeg"));
        for name in ["a.svg", "a.html", "png", "a.png.txt", "a.pdf"] {
            assert_eq!(picture_type(name.as_bytes()), None, "{name}");
        }
    }

    async fn ask(headers: &[(HeaderName, &'static str)]) -> (StatusCode, String, Vec<u8>) {
        let content: Arc<dyn Content> = Arc::new(b"0123456789".to_vec());
        let given = OpenFile { size: 10, modified_ms: 0, tag: "t".into(), content };
        let asked = headers.iter().map(|(name, v)| (name.clone(), HeaderValue::from_static(v))).collect();
        let answer = file(given, b"x.html", &asked);
        assert!(answer.headers().get("content-type").is_none_or(|v| v == UNKNOWN_TYPE));
        let range = answer.headers().get("content-range").map(|v| v.to_str().expect("ascii").to_owned());
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("a body").to_bytes().to_vec();
        (status, range.unwrap_or_default(), body)
    }

    #[tokio::test]
    async fn a_part_is_a_part_only_of_the_same_file() {
        let range = (header::RANGE, "bytes=2-4");
        let part = (StatusCode::PARTIAL_CONTENT, "bytes 2-4/10".to_owned(), b"234".to_vec());
        let whole = (StatusCode::OK, String::new(), b"0123456789".to_vec());
        assert_eq!(ask(std::slice::from_ref(&range)).await, part);
        assert_eq!(ask(&[range.clone(), (header::IF_RANGE, "\"t\"")]).await, part);
        assert_eq!(ask(&[range, (header::IF_RANGE, "\"other\"")]).await, whole);
        assert_eq!(ask(&[]).await, whole);
        let beyond = ask(&[(header::RANGE, "bytes=10-")]).await;
        assert_eq!((beyond.0, beyond.1.as_str()), (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */10"));
    }

    #[tokio::test]
    async fn a_file_that_shrinks_breaks_the_answer_off() {
        let content: Arc<dyn Content> = Arc::new(b"short".to_vec());
        let given = OpenFile { size: 10, modified_ms: 0, tag: "t".into(), content };
        let answer = file(given, b"x", &HeaderMap::new());
        assert!(answer.into_body().collect().await.is_err());
    }
}
