//! Backups that the cluster makes by itself: how often, where to, and how it goes. Secrets come in and are never told.

use axum::Json;
use axum::extract::{Extension, State as Extract};
use console::{Passphrase, PlanError, PlanWish};
use model::backup::{BackupNote, Bucket, Schedule, Secret};
use model::{Command, State};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::body::{self, Text};
use crate::api::error::{ApiError, PathErrors};

/// GET /meseta/v1/backup/schedule: null if there is none.
pub async fn show(Extract(api): Extract<Api>) -> Json<Value> {
    Json(view(&api.backend.state()))
}

fn view(state: &State) -> Value {
    let course = state.backup_course.as_ref();
    let last = course.map(|course| &course.last);
    // Members that are older keep no course.
    let last = last.or(state.last_backup.as_ref().filter(|note| note.scheduled));
    json!({
        "schedule": state.backup_schedule.as_ref().map(schedule),
        "last": last.map(note),
        "last_good_at": course.and_then(|course| course.good_at).map(|at| at.to_string()),
        "failures": course.map_or(0, |course| course.failures),
        "next": state.backup_due().map(|due| due.max(state.now).to_string()),
    })
}

fn schedule(schedule: &Schedule) -> Value {
    let s3 = schedule.bucket.as_ref().map(|bucket| {
        let Bucket { endpoint, name, prefix, region, access_key, secret_key: _, path_style } = bucket;
        json!({
            "endpoint": endpoint,
            "bucket": name,
            "prefix": prefix,
            "region": region,
            "access_key": access_key,
            "path_style": path_style,
        })
    });
    json!({
        "every_hours": schedule.every_hours,
        "keep": schedule.keep,
        "locked": schedule.is_locked(),
        "s3": s3,
    })
}

fn note(note: &BackupNote) -> Value {
    json!({
        "at": note.at.to_string(),
        "index": note.index,
        "bytes": note.bytes,
        "secrets": note.secrets,
        "scheduled": note.scheduled,
        "object": note.object,
        "error": note.error,
        "left": note.left,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    every_hours: u32,
    keep: u32,
    /// Absent: as before; null: none.
    #[serde(default, deserialize_with = "given")]
    passphrase: Option<Option<String>>,
    s3: Option<S3>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct S3 {
    endpoint: String,
    bucket: String,
    #[serde(default)]
    prefix: String,
    #[serde(default = "region")]
    region: String,
    access_key: String,
    /// Absent: as before.
    #[serde(default)]
    secret_key: String,
    #[serde(default = "path_style")]
    path_style: bool,
}

fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

fn region() -> String {
    model::backup::REGION_DEFAULT.to_owned()
}

/// What servers of one's own mostly want, and Amazon's take.
fn path_style() -> bool {
    true
}

/// PUT /meseta/v1/backup/schedule
pub async fn set(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
    Text(text): Text,
) -> Result<Json<Value>, ApiError> {
    let Wish { every_hours, keep, passphrase, s3 } = body::json(&text)?;
    let passphrase = match passphrase {
        None => Passphrase::Keep,
        Some(None) => Passphrase::Without,
        Some(Some(text)) => Passphrase::New(text),
    };
    let bucket = s3.map(|s3| Bucket {
        endpoint: s3.endpoint,
        name: s3.bucket,
        prefix: s3.prefix,
        region: s3.region,
        access_key: s3.access_key,
        secret_key: Secret(s3.secret_key),
        path_style: s3.path_style,
    });
    let wish = PlanWish { every_hours, keep, passphrase, bucket };
    let command = wish.command(&*api.backend).await?;
    propose(&api, &caller, command).await
}

/// DELETE /meseta/v1/backup/schedule
pub async fn end(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, ApiError> {
    propose(&api, &caller, Command::SetBackupSchedule { schedule: None }).await
}

/// POST /meseta/v1/backup/schedule/run
pub async fn run_now(
    Extract(api): Extract<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, ApiError> {
    propose(&api, &caller, Command::BackUpNow).await
}

async fn propose(api: &Api, caller: &Caller, command: Command) -> Result<Json<Value>, ApiError> {
    let proposed = api.propose(caller, None, command).await?;
    Ok(Json(view(&proposed.state)))
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Unavailable(unavailable) => unavailable.into(),
            PlanError::Faults(faults) => {
                let path_errors = |fault: model::backup::Fault| PathErrors {
                    path: fault.path.into(),
                    errors: vec![fault.message],
                };
                Self::invalid(faults.into_iter().map(path_errors).collect())
            }
        }
    }
}
