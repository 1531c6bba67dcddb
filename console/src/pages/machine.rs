//! `/nodes/{node}/kernel` and `/nodes/{node}/services/{role}`: what the kernel and our own roles wrote.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::attachment;
use crate::context::{Context, Frame, Query, Tab, render};
use crate::inspect::{InspectError, KernelQuery};
use crate::strings as t;
use crate::view::machine::{KernelRow, kernel_row};
use crate::view::{ansi, words};

const PAGE_LINES: usize = 300;
/// More than any kernel keeps.
const FILE_LINES: usize = 200_000;
const SERVICE_PAGE_BYTES: usize = 64 * 1024;
const SERVICE_FILE_BYTES: usize = 1024 * 1024;
const LEVEL_DEFAULT: u8 = 6;

#[derive(Template)]
#[template(path = "kernel.html")]
struct KernelPage {
    frame: Frame,
    rows: Vec<KernelRow>,
    level: u8,
    /// Number, name, and whether it is the one shown.
    levels: Vec<(u8, &'static str, bool)>,
    older: Option<String>,
    is_newest: bool,
}

#[derive(Template)]
#[template(path = "service.html")]
struct ServicePage {
    frame: Frame,
    role: String,
    text: String,
}

#[derive(Deserialize)]
pub struct Service {
    role: String,
}

#[derive(Deserialize)]
pub struct Asked {
    level: Option<u8>,
    before: Option<u64>,
}

fn refused(context: &Context, error: &InspectError) -> Response {
    match error {
        InspectError::NotFound => context.not_found(words::sentence(&error.to_string())),
        InspectError::Io(_) => context.problem(
            StatusCode::SERVICE_UNAVAILABLE,
            t::MACHINE_FAILED,
            words::sentence(&error.to_string()),
        ),
    }
}

pub async fn kernel(context: Context, Query(asked): Query<Asked>) -> Response {
    let level = asked.level.unwrap_or(LEVEL_DEFAULT).min(7);
    let query = KernelQuery { level, before: asked.before, limit: PAGE_LINES };
    let log = match context.backend.inspector().kernel_log(query).await {
        Ok(log) => log,
        Err(error) => return refused(&context, &error),
    };
    // The newest page follows: it is fetched again with each beat.
    let is_newest = asked.before.is_none();
    let frame = context.frame(t::KERNEL_LOG, Tab::Node);
    let at = format!("{}/kernel?level={level}", frame.node_path);
    render(&KernelPage {
        frame: Frame { live: is_newest.then(String::new), ..frame },
        // What happened last is what people look for.
        rows: log.lines.iter().rev().map(kernel_row).collect(),
        levels: (0..).zip(t::LEVELS).map(|(number, name)| (number, name, number == level)).collect(),
        level,
        older: log.older.map(|number| format!("{at}&before={number}")),
        is_newest,
    })
}

pub async fn kernel_file(context: Context, Query(asked): Query<Asked>) -> Response {
    let level = asked.level.unwrap_or(7).min(7);
    let query = KernelQuery { level, before: None, limit: FILE_LINES };
    match context.backend.inspector().kernel_log(query).await {
        Ok(log) => {
            let rows = log.lines.iter().map(kernel_row);
            let text: String =
                rows.map(|row| format!("[{:>12}] {:<9} {}\n", row.time, row.level, row.text)).collect();
            attachment::text(text.into_bytes(), b"kernel.txt")
        }
        Err(error) => refused(&context, &error),
    }
}

pub async fn service(context: Context, Path(Service { role }): Path<Service>) -> Response {
    match context.backend.inspector().service_log(&role, SERVICE_PAGE_BYTES).await {
        Ok(bytes) => {
            let frame = context.frame(t::service_log_title(&role), Tab::Node);
            render(&ServicePage { frame, text: ansi::plain(&bytes), role })
        }
        Err(error) => refused(&context, &error),
    }
}

pub async fn service_file(context: Context, Path(Service { role }): Path<Service>) -> Response {
    match context.backend.inspector().service_log(&role, SERVICE_FILE_BYTES).await {
        Ok(bytes) => attachment::text(bytes, format!("{role}.log.txt").as_bytes()),
        Err(error) => refused(&context, &error),
    }
}
