//! The part of `/settings` on backups that the cluster makes by itself.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use model::backup::{BackupNote, Bucket, Fault, REGION_DEFAULT, Schedule, Secret};
use model::{Command, State, limits};

use super::settings;
use crate::context::{Context, Fields, status_of};
use crate::view::task::Moment;
use crate::view::words::sentence;
use crate::{Passphrase, PlanError, PlanWish, strings as t};

/// What the page shows of it.
pub struct Part {
    pub sentence: String,
    pub is_set: bool,
    pub last: Option<Last>,
    pub next: String,
    /// Of the whole form; those of its fields stand beside them.
    pub error: String,
    pub periods: Vec<Period>,
    pub hours_fault: String,
    pub keep: Field,
    pub passphrase: Field,
    pub is_locked: bool,
    pub wants_no_lock: bool,
    pub to_bucket: bool,
    pub by_host: bool,
    pub bucket: Vec<Field>,
}

/// How the last one went.
pub struct Last {
    pub at: Moment,
    pub outcome: String,
    pub is_failed: bool,
}

pub struct Period {
    pub hours: String,
    pub word: String,
    pub is_chosen: bool,
}

/// An input with its label, and what is wrong with it.
pub struct Field {
    pub name: &'static str,
    pub kind: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub value: String,
    pub max: usize,
    pub fault: String,
}

/// What the form answers.
#[derive(Default)]
pub struct Said {
    error: String,
    faults: Vec<Fault>,
    /// As it was filled in; empty: as the schedule is.
    typed: Vec<(String, String)>,
}

impl Said {
    fn typed(&self, name: &str) -> Option<&str> {
        self.typed.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn fault(&self, name: &str) -> String {
        let is_here = |fault: &&Fault| fault.path.rsplit('/').next() == Some(name);
        self.faults.iter().find(is_here).map(|fault| sentence(&fault.message)).unwrap_or_default()
    }
}

pub fn part(state: &State, said: &Said) -> Part {
    let schedule = state.backup_schedule.as_ref();
    let bucket = schedule.and_then(|schedule| schedule.bucket.as_ref());
    let was_sent = !said.typed.is_empty();
    let value = |name: &str, now: Option<&str>, first: &str| match said.typed(name) {
        Some(typed) => typed.to_owned(),
        None => now.unwrap_or(first).to_owned(),
    };
    let is = |name: &str, wanted: &str, now: bool| match was_sent {
        true => said.typed(name) == Some(wanted),
        false => now,
    };
    let field = |name, label, hint, value, max| Field {
        name,
        kind: "text",
        label,
        hint,
        value,
        max,
        fault: said.fault(name),
    };
    // What is secret is never shown again.
    let secret =
        |name, label, hint, max| Field { kind: "password", ..field(name, label, hint, String::new(), max) };
    let text = |name, label, hint, now: fn(&Bucket) -> &str, first: &str, max| {
        field(name, label, hint, value(name, bucket.map(now), first), max)
    };
    let keep = schedule.map(|schedule| schedule.keep.to_string());
    let keep = field("keep", t::SCHEDULE_KEEP, "", value("keep", keep.as_deref(), "7"), 4);
    let is_locked = schedule.is_some_and(Schedule::is_locked);
    let passphrase_hint = if is_locked { t::SCHEDULE_PASSPHRASE_KEPT } else { t::SCHEDULE_PASSPHRASE_HINT };
    let secret_hint = if bucket.is_some() { t::S3_SECRET_KEPT } else { t::S3_SECRET_HINT };
    let key_max = limits::S3_KEY_BYTES_MAX;
    Part {
        sentence: t::schedule(schedule),
        is_set: schedule.is_some(),
        last: state.backup_course.as_ref().map(|course| last(&course.last, course.failures)),
        next: state.backup_due().map(|due| t::schedule_next(due, state.now)).unwrap_or_default(),
        error: said.error.clone(),
        periods: periods(&value("hours", schedule.map(|s| s.every_hours.to_string()).as_deref(), "24")),
        hours_fault: said.fault("every_hours"),
        keep: Field { kind: "number", ..keep },
        passphrase: secret("passphrase", t::BACKUP_PASSPHRASE, passphrase_hint, limits::PASSPHRASE_BYTES_MAX),
        is_locked,
        wants_no_lock: is("open", "yes", false),
        to_bucket: is("target", "s3", bucket.is_some()),
        by_host: is("style", "host", bucket.is_some_and(|bucket| !bucket.path_style)),
        bucket: vec![
            text(
                "endpoint",
                t::S3_ENDPOINT,
                t::S3_ENDPOINT_HINT,
                |b| &b.endpoint,
                "",
                model::settings::URL_BYTES_MAX,
            ),
            text("bucket", t::S3_BUCKET, "", |b| &b.name, "", 63),
            text(
                "prefix",
                t::S3_PREFIX,
                t::S3_PREFIX_HINT,
                |b| &b.prefix,
                "meseta/",
                limits::S3_PREFIX_BYTES_MAX,
            ),
            text("region", t::S3_REGION, "", |b| &b.region, REGION_DEFAULT, limits::S3_REGION_BYTES_MAX),
            text("access_key", t::S3_ACCESS_KEY, "", |b| &b.access_key, "", key_max),
            secret("secret_key", t::S3_SECRET_KEY, secret_hint, key_max),
        ],
    }
}

/// Those that are offered, and the one that somebody set by API.
fn periods(chosen: &str) -> Vec<Period> {
    let offered = t::SCHEDULE_PERIODS.iter().map(|(hours, word)| ((*hours).to_owned(), (*word).to_owned()));
    let mut all: Vec<(String, String)> = offered.collect();
    if !all.iter().any(|(hours, _)| hours == chosen) {
        all.push((chosen.to_owned(), t::every_hours(chosen)));
    }
    let period = |(hours, word): (String, String)| Period { is_chosen: hours == chosen, hours, word };
    all.into_iter().map(period).collect()
}

fn last(note: &BackupNote, failures: u32) -> Last {
    let outcome = match &note.error {
        None => t::schedule_done(note),
        Some(error) => t::schedule_failed(error, failures),
    };
    Last { at: note.at.into(), outcome, is_failed: note.error.is_some() || note.left.is_some() }
}

pub async fn submit(context: Context, fields: Fields) -> Response {
    let command = match fields.get("action") {
        "end" => Command::SetBackupSchedule { schedule: None },
        "run" => Command::BackUpNow,
        "set" => {
            let Ok(every_hours) = fields.get("hours").trim().parse() else {
                return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION);
            };
            match wish(every_hours, &fields).command(&*context.backend).await {
                Ok(command) => command,
                Err(PlanError::Faults(faults)) => {
                    let said = Said { faults, ..Said::default() };
                    return refused(&context, StatusCode::UNPROCESSABLE_ENTITY, said, &fields);
                }
                Err(PlanError::Unavailable(error)) => {
                    let said = Said { error: t::unavailable(&error), ..Said::default() };
                    return refused(&context, status_of(&error), said, &fields);
                }
            }
        }
        _ => return context.problem(StatusCode::BAD_REQUEST, t::BAD_FORM, t::UNKNOWN_ACTION),
    };
    match settings::change(&context, command).await {
        Ok(()) => Redirect::to("/settings").into_response(),
        Err((status, error)) => refused(&context, status, Said { error, ..Said::default() }, &fields),
    }
}

fn wish(every_hours: u32, fields: &Fields) -> PlanWish {
    let text = |name| fields.get(name).trim().to_owned();
    let passphrase = match (fields.get("passphrase"), fields.get("open")) {
        ("", "yes") => Passphrase::Without,
        ("", _) => Passphrase::Keep,
        (phrase, _) => Passphrase::New(phrase.to_owned()),
    };
    let bucket = (fields.get("target") == "s3").then(|| Bucket {
        endpoint: text("endpoint"),
        name: text("bucket"),
        prefix: text("prefix"),
        region: text("region"),
        access_key: text("access_key"),
        secret_key: Secret(text("secret_key")),
        path_style: fields.get("style") != "host",
    });
    // What is no number is as wrong as none at all.
    PlanWish { every_hours, keep: text("keep").parse().unwrap_or_default(), passphrase, bucket }
}

fn refused(context: &Context, status: StatusCode, said: Said, fields: &Fields) -> Response {
    // The other buttons send no fields.
    let typed = fields.others().filter(|_| fields.get("action") == "set");
    let typed = typed.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (status, settings::page_with(context, settings::Said::default(), &Said { typed, ..said })).into_response()
}
