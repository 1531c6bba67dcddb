//! Forms with a file (`multipart/form-data`, RFC 7578), read whole within a bound. For the few forms that have one.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use model::limits::{BACKUP_FILE_BYTES_MAX, REQUEST_BODY_BYTES_MAX};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A form with a backup: the file, and what stands around it.
pub const BACKUP_FORM_BYTES_MAX: usize = BACKUP_FILE_BYTES_MAX + REQUEST_BODY_BYTES_MAX;
/// Strangers may send such a form to a node that nobody has claimed: one at a time is held in memory.
static PLACES: Semaphore = Semaphore::const_new(1);
/// Whoever is slower than this gives up the place.
const PATIENCE: Duration = Duration::from_secs(60);

/// A form's fields in order; a file is a field as well.
pub struct Form {
    fields: Vec<(String, Vec<u8>)>,
    _place: SemaphorePermit<'static>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    #[error("expected a form with a file (multipart/form-data)")]
    NoForm,
    #[error("the form is larger than {limit} bytes, or it breaks off")]
    TooLarge { limit: usize },
    #[error("the form cannot be understood")]
    Malformed,
    #[error("the form took too long")]
    Slow,
    #[error("another file is being sent to this node; try again in a moment")]
    Busy,
}

impl Form {
    pub async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Self, FormError> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let boundary = kind.and_then(boundary).ok_or(FormError::NoForm)?;
        let place = PLACES.try_acquire().map_err(|_| FormError::Busy)?;
        let bytes = tokio::time::timeout(PATIENCE, to_bytes(body, limit)).await;
        let bytes = bytes.map_err(|_| FormError::Slow)?.map_err(|_| FormError::TooLarge { limit })?;
        let fields = parse(&boundary, &bytes).ok_or(FormError::Malformed)?;
        Ok(Self { fields, _place: place })
    }

    /// The first field of that name as text; empty if there is none, or if it is no text.
    pub fn text(&self, name: &str) -> &str {
        std::str::from_utf8(self.find(name)).unwrap_or_default()
    }

    /// The same as bytes, which are taken out.
    pub fn take(&mut self, name: &str) -> Vec<u8> {
        self.fields
            .iter_mut()
            .find(|(key, _)| key == name)
            .map(|(_, value)| std::mem::take(value))
            .unwrap_or_default()
    }

    fn find(&self, name: &str) -> &[u8] {
        self.fields.iter().find(|(key, _)| key == name).map_or(&[], |(_, value)| value)
    }
}

fn boundary(kind: &str) -> Option<String> {
    let (kind, parameters) = kind.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    (1..=70).contains(&value.len()).then_some(value)
}

fn parse(boundary: &str, bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let first = format!("--{boundary}");
    let delimiter = format!("\r\n{first}");
    let mut rest = bytes.strip_prefix(first.as_bytes())?;
    let mut fields = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(fields);
        }
        let part = rest.strip_prefix(b"\r\n")?;
        let head_end = find(part, b"\r\n\r\n")?;
        let name = name(std::str::from_utf8(&part[..head_end]).ok()?)?;
        let content = &part[head_end + 4..];
        let end = find(content, delimiter.as_bytes())?;
        fields.push((name, content[..end].to_vec()));
        rest = &content[end + delimiter.len()..];
    }
}

/// From a part's headers.
fn name(head: &str) -> Option<String> {
    let is_it = |line: &&str| line.to_ascii_lowercase().starts_with("content-disposition:");
    let parameters = head.split("\r\n").find(is_it)?.split(';').skip(1);
    parameters
        .filter_map(|parameter| parameter.trim().split_once('='))
        .find_map(|(key, value)| key.eq_ignore_ascii_case("name").then(|| value.trim_matches('"').to_owned()))
}

/// Looks for the first byte alone at first: files are large, and most of their bytes are another.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let (first, mut from) = (*wanted.first()?, 0);
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"--xyz\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\nAB-CD\r\n\
        --xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a; b.backup\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n\x00\r\n--xy\r\n\xff\r\n--xyz--\r\n";

    async fn read(kind: &str, body: &'static [u8], limit: usize) -> Result<Form, FormError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, kind.parse().expect("a header"));
        Form::read(&headers, Body::from(body), limit).await
    }

    #[tokio::test]
    async fn fields_and_files_come_as_they_are_and_what_is_no_form_is_refused() {
        for kind in ["multipart/form-data; boundary=xyz", "Multipart/Form-Data; x=y; Boundary=\"xyz\""] {
            let mut form = read(kind, BODY, 1_000).await.expect("a form");
            assert_eq!(form.text("code"), "AB-CD");
            assert_eq!(form.text("absent"), "");
            assert_eq!(form.text("file"), "", "it is no text");
            assert_eq!(read(kind, BODY, 1_000).await.err(), Some(FormError::Busy), "one at a time");
            assert_eq!(form.take("file"), b"\x00\r\n--xy\r\n\xff");
        }
        let error = |kind, body, limit| async move { read(kind, body, limit).await.err() };
        let form = "multipart/form-data; boundary=xyz";
        assert_eq!(error("application/json", BODY, 1_000).await, Some(FormError::NoForm));
        assert_eq!(error("multipart/form-data", BODY, 1_000).await, Some(FormError::NoForm));
        assert_eq!(error(form, BODY, 10).await, Some(FormError::TooLarge { limit: 10 }));
        for end in 0..BODY.len() - 4 {
            assert_eq!(error(form, &BODY[..end], 1_000).await, Some(FormError::Malformed), "{end}");
        }
        assert_eq!(error(form, b"--xyz\r\nX: y\r\n\r\n\r\n--xyz--", 1_000).await, Some(FormError::Malformed));
    }
}
