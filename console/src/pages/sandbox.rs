//! `/tasks/{id}/sandbox`: the files of a task, running or ended, as long as they are kept.
//!
//! Names and contents are a stranger's: shown as text only, sent as attachments only.

use askama::Template;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::{TaskId, Timestamp};
use serde::Deserialize;

use crate::attachment;
use crate::context::{Context, Frame, Query, Tab, render};
use crate::sandbox::{Entry, EntryKind, Listing, OpenFile, Opened, SandboxPath, path_of_query, shown};
use crate::view::{ansi, task, words};
use crate::{SandboxError, strings as t};

/// Entries on one page.
const PAGE_ENTRIES: usize = 200;
const PREVIEW_BYTES: usize = 64 * 1024;
/// Larger pictures are not fetched just because somebody looks at a page.
const PICTURE_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Template)]
#[template(path = "sandbox.html")]
struct FolderPage {
    frame: Frame,
    place: Place,
    rows: Vec<Row>,
    count: String,
    /// Why there is more than is listed, if there is.
    truncated: String,
    previous: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "file.html")]
struct FilePage {
    frame: Frame,
    place: Place,
    size: String,
    modified: String,
    preview: Preview,
}

enum Preview {
    Text { text: String, cut: String },
    Picture,
    Empty,
    None,
}

/// Where a page is: the task, and the way from its sandbox down.
struct Place {
    task_href: String,
    title: String,
    /// Name and address of each folder above.
    above: Vec<(String, String)>,
    name: String,
    /// The path as it goes into addresses.
    path: String,
}

struct Row {
    name: String,
    /// Empty for what cannot be opened.
    href: String,
    download: String,
    kind: &'static str,
    note: String,
    size: String,
    modified: String,
}

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    skip: usize,
}

impl Place {
    fn new(id: &TaskId, path: &SandboxPath) -> Self {
        let task_href = format!("/tasks/{id}");
        let name = |path: &SandboxPath| match path.is_root() {
            true => t::SANDBOX.to_owned(),
            false => shown(path.name()),
        };
        let mut way: Vec<(String, String)> = path
            .ancestors()
            .map(|above| (name(&above), format!("{task_href}/sandbox?path={}", above.encoded())))
            .collect();
        let (name, _) = way.pop().unwrap_or_default();
        Self { title: task::short(id), above: way, name, path: path.encoded(), task_href }
    }
}

/// The task and the path that were asked for, if they can be.
fn parse(
    context: &Context,
    id: &str,
    query: &Option<String>,
) -> Result<(TaskId, SandboxPath), Box<Response>> {
    let id = TaskId::parse(id).map_err(|_| Box::new(context.not_found(t::NO_SUCH_TASK)))?;
    let path = path_of_query(query.as_deref().unwrap_or_default());
    let bad = |error: crate::sandbox::PathError| {
        Box::new(context.problem(StatusCode::BAD_REQUEST, t::SANDBOX_REFUSED, error.to_string()))
    };
    Ok((id, path.map_err(bad)?))
}

fn refused(context: &Context, error: &SandboxError) -> Response {
    let text = words::sentence(&error.to_string());
    let status = match error {
        SandboxError::NotFound => return context.not_found(text),
        SandboxError::Refused(_) => StatusCode::FORBIDDEN,
        SandboxError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        SandboxError::Elsewhere(_) => StatusCode::MISDIRECTED_REQUEST,
        SandboxError::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    context.problem(status, t::SANDBOX_REFUSED, text)
}

/// `GET /tasks/{id}/sandbox?path=&skip=`: a folder, or what a file looks like.
pub async fn show(
    context: Context,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    Query(asked): Query<Asked>,
) -> Response {
    let (id, path) = match parse(&context, &id, &query) {
        Ok(asked) => asked,
        Err(answer) => return *answer,
    };
    match context.backend.sandboxes().open(&id, &path).await {
        Ok(Opened::File(file)) => file_page(&context, &id, &path, file).await,
        Ok(Opened::Folder) => folder_page(&context, &id, &path, asked.skip).await,
        Err(error) => refused(&context, &error),
    }
}

async fn folder_page(context: &Context, id: &TaskId, path: &SandboxPath, skip: usize) -> Response {
    let listing = match context.backend.sandboxes().list(id, path, skip, PAGE_ENTRIES).await {
        Ok(listing) => listing,
        Err(error) => return refused(context, &error),
    };
    let place = Place::new(id, path);
    let Listing { entries, total, truncated } = listing;
    let last = (skip + PAGE_ENTRIES).min(total);
    let page = |skip: usize| format!("{}/sandbox?path={}&skip={skip}", place.task_href, place.path);
    render(&FolderPage {
        frame: context.frame(task::short(id), Tab::Apps),
        rows: entries.iter().map(|entry| row(&place.task_href, path, entry)).collect(),
        count: t::entries((skip + 1).min(total), last, total, truncated),
        truncated: if truncated { t::folder_truncated(total) } else { String::new() },
        previous: (skip > 0).then(|| page(skip.saturating_sub(PAGE_ENTRIES))),
        next: (last < total).then(|| page(last)),
        place,
    })
}

fn row(task_href: &str, folder: &SandboxPath, entry: &Entry) -> Row {
    let path = folder.child(&entry.name).encoded();
    let (kind, note, opens) = match entry.kind {
        EntryKind::Folder => ("folder", String::new(), true),
        EntryKind::File => ("file", String::new(), true),
        EntryKind::Link => {
            let target = entry.target.as_deref().map(shown).unwrap_or_default();
            ("link", format!("{} {target}", t::KIND_LINK), true)
        }
        EntryKind::Fifo => ("other", t::KIND_FIFO.to_owned(), false),
        EntryKind::Socket => ("other", t::KIND_SOCKET.to_owned(), false),
        EntryKind::Device => ("other", t::KIND_DEVICE.to_owned(), false),
    };
    let is_file = entry.kind == EntryKind::File;
    Row {
        name: shown(&entry.name),
        href: if opens { format!("{task_href}/sandbox?path={path}") } else { String::new() },
        download: if is_file { format!("{task_href}/file?path={path}") } else { String::new() },
        kind,
        note,
        size: if is_file { words::bytes(entry.size) } else { String::new() },
        modified: words::clock(Timestamp(entry.modified_ms)),
    }
}

async fn file_page(context: &Context, id: &TaskId, path: &SandboxPath, file: OpenFile) -> Response {
    let preview = if file.size == 0 {
        Preview::Empty
    } else if attachment::picture_type(path.name()).is_some() && file.size <= PICTURE_BYTES_MAX {
        Preview::Picture
    } else {
        match attachment::read_chunk(file.content, 0, PREVIEW_BYTES).await {
            Ok(bytes) => text_preview(&bytes, file.size),
            Err(error) => return refused(context, &SandboxError::Io(error.to_string())),
        }
    };
    render(&FilePage {
        frame: context.frame(task::short(id), Tab::Apps),
        place: Place::new(id, path),
        size: words::bytes(file.size),
        modified: words::clock(Timestamp(file.modified_ms)),
        preview,
    })
}

fn text_preview(bytes: &[u8], size: u64) -> Preview {
    // As most programs tell: text has no zero bytes.
    if bytes.contains(&0) {
        return Preview::None;
    }
    let is_cut = size > bytes.len() as u64;
    let shown = &bytes[..bytes.len() - if is_cut { super::output::unfinished(bytes) } else { 0 }];
    let cut = t::beginning_of(&words::bytes(bytes.len() as u64), &words::bytes(size));
    Preview::Text { text: ansi::plain(shown), cut: if is_cut { cut } else { String::new() } }
}

/// `GET /tasks/{id}/file?path=`
pub async fn file(
    context: Context,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let (id, path) = match parse(&context, &id, &query) {
        Ok(asked) => asked,
        Err(answer) => return *answer,
    };
    match context.backend.sandboxes().open(&id, &path).await {
        Ok(Opened::File(file)) => attachment::file(file, path.name(), &headers),
        Ok(Opened::Folder) => refused(&context, &SandboxError::NotFound),
        Err(error) => refused(&context, &error),
    }
}

/// `GET /tasks/{id}/archive?path=`
pub async fn archive(context: Context, Path(id): Path<String>, RawQuery(query): RawQuery) -> Response {
    let (id, path) = match parse(&context, &id, &query) {
        Ok(asked) => asked,
        Err(answer) => return *answer,
    };
    match context.backend.sandboxes().archive(&id, &path).await {
        Ok(bytes) => attachment::archive(bytes, &archive_name(&id, &path)),
        Err(error) => refused(&context, &error),
    }
}

fn archive_name(id: &TaskId, path: &SandboxPath) -> Vec<u8> {
    let folder = if path.is_root() { t::SANDBOX.as_bytes() } else { path.name() };
    [task::short(id).as_bytes(), b".", folder, b".tar"].concat()
}
