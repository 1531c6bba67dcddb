//! `/tasks/{id}/log/{stream}`: any part of what a task wrote: by page, by byte, by time, by search. Every line has an
//! address of its own that stays.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use model::{TaskId, Timestamp};
use serde::Deserialize;

use super::output::{PAGE_BYTES, name_of, stream_of};
use crate::context::{Context, Frame, Query, Tab, render};
use crate::sandbox::{LogHits, LogSearch, LogTimes, encode_bytes};
use crate::view::ansi::{self, Painter};
use crate::view::log::{self, Part};
use crate::view::{task, words};
use crate::{LogChunk, LogStream, strings as t};

/// Shown before the byte that was asked for.
const BEFORE_BYTES: u64 = 8 * 1024;
const FINDS_MAX: usize = 50;
const SEARCH_BYTES_MAX: usize = 200;

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    frame: Frame,
    task_href: String,
    stream: &'static str,
    other: &'static str,
    /// Address of this page without a query.
    base: String,
    /// The switches, to be put behind other fields of a query.
    switches: String,
    wrap: bool,
    colours: bool,
    wrap_href: String,
    colours_href: String,
    part: Part,
    range: String,
    written: String,
    older: Option<String>,
    newer: Option<String>,
    is_tail: bool,
    asked: Asked,
    time_wrong: bool,
    finds: Option<Finds>,
}

struct Finds {
    rows: Vec<Find>,
    count: String,
    none: String,
    /// Where the search goes on; `None` once all was searched.
    more: Option<String>,
    searched_to: String,
}

struct Find {
    offset: u64,
    text: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// The page begins with this byte.
    offset: String,
    /// The line with this byte is shown and marked.
    at: String,
    time: String,
    q: String,
    from: String,
    wrap: String,
    colours: String,
}

impl Asked {
    fn wraps(&self) -> bool {
        self.wrap != "no"
    }

    fn colours(&self) -> bool {
        self.colours == "yes"
    }

    fn switches(&self) -> String {
        let wrap = if self.wraps() { "" } else { "&wrap=no" };
        let colours = if self.colours() { "&colours=yes" } else { "" };
        format!("{wrap}{colours}")
    }

    /// Everything but the switches, as a query.
    fn place(&self) -> String {
        let fields = [
            ("offset", &self.offset),
            ("at", &self.at),
            ("time", &self.time),
            ("q", &self.q),
            ("from", &self.from),
        ];
        let given = fields.iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> =
            given.map(|(key, value)| format!("{key}={}", encode_bytes(value.as_bytes()))).collect();
        pairs.join("&")
    }
}

pub async fn page(
    context: Context,
    Path((id, stream)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Response {
    let (Ok(id), Some(stream)) = (TaskId::parse(&id), stream_of(&stream)) else {
        return context.not_found(t::NO_SUCH_TASK);
    };
    // Without an index there are no times; the output is there all the same.
    let times = context.backend.sandboxes().log_times(&id, stream).await.unwrap_or_default();
    let time = parse_time(&asked.time);
    let time_wrong = time.is_none() && !asked.time.is_empty();
    let at = asked.at.parse().ok().or_else(|| time.map(|ms| times.offset_at(ms)));
    let start = at.map(|at: u64| at.saturating_sub(BEFORE_BYTES)).or_else(|| asked.offset.parse().ok());
    let chunk = match context.backend.read_log(&id, stream, start, PAGE_BYTES).await {
        Ok(chunk) => chunk,
        Err(error) => return context.not_found(words::sentence(&error.to_string())),
    };
    // What was asked for may be given up by now: then the oldest line stands for it.
    let at = at.map(|at| at.max(chunk.first_offset));
    let finds = match asked.q.is_empty() {
        true => None,
        false => find(&context, &id, stream, &asked).await,
    };
    render(&build(
        &context,
        &id,
        stream,
        asked,
        Shown { chunk, at, times, time_wrong, finds, is_tail: start.is_none() },
    ))
}

/// What was read for a page.
struct Shown {
    chunk: LogChunk,
    at: Option<u64>,
    times: LogTimes,
    time_wrong: bool,
    finds: Option<Finds>,
    is_tail: bool,
}

fn build(context: &Context, id: &TaskId, stream: LogStream, asked: Asked, shown: Shown) -> LogPage {
    let Shown { chunk, at, times, time_wrong, finds, is_tail } = shown;
    let is_full = chunk.data.len() == PAGE_BYTES && !is_tail;
    let part = log::part(&chunk, at, is_full, asked.colours());
    let task_href = format!("/tasks/{id}");
    let base = format!("{task_href}/log/{}", name_of(stream));
    let switches = asked.switches();
    let clock = |ms| words::clock(Timestamp(ms));
    let written =
        log::span(&times, &part).map(|(first, last)| t::written_between(&clock(first), &clock(last)));
    let older = (part.start > chunk.first_offset).then(|| {
        let from = part.start.saturating_sub(PAGE_BYTES as u64).max(chunk.first_offset);
        format!("{base}?offset={from}{switches}")
    });
    let other_switch = |wrap, colours| {
        let asked = Asked { wrap, colours, ..asked.clone() };
        format!("{base}?{}{}", asked.place(), asked.switches())
    };
    let no_if = |is: bool| if is { "no".to_owned() } else { String::new() };
    let yes_if = |is: bool| if is { "yes".to_owned() } else { String::new() };
    LogPage {
        frame: context.frame(task::short(id), Tab::Apps),
        stream: name_of(stream),
        other: name_of(if stream == LogStream::Stdout { LogStream::Stderr } else { LogStream::Stdout }),
        wrap: asked.wraps(),
        colours: asked.colours(),
        wrap_href: other_switch(no_if(asked.wraps()), asked.colours.clone()),
        colours_href: other_switch(asked.wrap.clone(), yes_if(!asked.colours())),
        range: t::output_range(part.start, part.end),
        written: written.unwrap_or_default(),
        older,
        newer: Some(format!("{base}?offset={}{switches}", part.end)),
        is_tail,
        time_wrong,
        finds,
        part,
        asked,
        switches,
        base,
        task_href,
    }
}

async fn find(context: &Context, id: &TaskId, stream: LogStream, asked: &Asked) -> Option<Finds> {
    let text: String = asked.q.chars().take(SEARCH_BYTES_MAX).collect();
    let from = asked.from.parse().unwrap_or_default();
    let search = LogSearch { text: text.clone(), from, limit: FINDS_MAX };
    let LogHits { hits, searched_to, complete } =
        context.backend.sandboxes().search(id, stream, &search).await.ok()?;
    let more = Asked { from: searched_to.to_string(), ..asked.clone() };
    let row = |hit: &crate::sandbox::LogHit| {
        let line = Painter::new(false).line(ansi::without_return(&hit.line));
        Find { offset: hit.offset, text: line.into_iter().map(|piece| piece.text).collect() }
    };
    Some(Finds {
        count: t::finds_count(hits.len(), complete && from == 0),
        none: if hits.is_empty() { t::finds_none(&text) } else { String::new() },
        rows: hits.iter().map(row).collect(),
        more: (!complete).then(|| format!("?{}{}", more.place(), more.switches())),
        searched_to: t::searched_to(searched_to),
    })
}

/// `2026-11-22T13:05`, with seconds or without, with a blank or a T, of UTC.
fn parse_time(text: &str) -> Option<u64> {
    let mut text = text.trim().trim_end_matches('Z').replace(' ', "T");
    if text.len() == 16 {
        text.push_str(":00");
    }
    Timestamp::parse(&format!("{text}Z")).map(|at| at.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_and_browsers_write_them() {
        let expected = Some(1_795_352_700_000);
        for text in
            ["2026-11-22T13:05", "2026-11-22 13:05:00", " 2026-11-22T13:05:00Z", "2026-11-22T13:05:00.0"]
        {
            assert_eq!(parse_time(text), expected, "{text}");
        }
        for text in ["", "13:05", "2026-11-22", "tomorrow"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
