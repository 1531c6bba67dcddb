//! Words of backups, of beginning from one, and of going on after a loss.

use model::Timestamp;
use model::backup::{BackupNote, Schedule};

use super::unavailable;
use crate::view::task::Moment;
use crate::view::words::sentence;
use crate::{BackupError, RestoreError};

pub const BACKUP_TITLE: &str = "Backup";
pub const BACKUP_LEAD: &str = "One file with everything you asked of this cluster: applications with their versions, and under a passphrase accounts, tokens and secrets as well. A blank node can begin from it. What tasks have written is not in it.";
pub const BACKUP_PASSPHRASE: &str = "Passphrase";
pub const BACKUP_PASSPHRASE_HINT: &str = "Without one the file is not locked, and accounts, tokens and secrets stay out of it. Environments of applications are in it either way. Nobody can open a locked file without its passphrase.";
pub const BACKUP_BUTTON: &str = "Back up now";
pub const BACKUP_LAST: &str = "Last backup";
pub const BACKUP_NEVER: &str = "There has been none.";
pub const SCHEDULE_TITLE: &str = "Backups by themselves";
pub const SCHEDULE_LEAD: &str = "The node that leads puts them into the folder “backups” on its data disk, or into a bucket elsewhere. Fetch them from the folder now and then: who loses every node loses those files as well.";
pub const SCHEDULE_HOURS: &str = "How often";
pub const SCHEDULE_PERIODS: &[(&str, &str)] =
    &[("1", "every hour"), ("6", "every 6 hours"), ("24", "every day"), ("168", "every week")];
pub const SCHEDULE_KEEP: &str = "Kept in the bucket, or on each node";
pub const SCHEDULE_PASSPHRASE_HINT: &str = "Without one, accounts, tokens and secrets stay out of the files. Note it elsewhere: the cluster keeps only a key made of it, and nobody can open the files without it.";
pub const SCHEDULE_PASSPHRASE_KEPT: &str = "Leave it empty to lock the files as before.";
pub const SCHEDULE_OPEN: &str = "No passphrase any more: without accounts, tokens and secrets";
pub const SCHEDULE_TARGET: &str = "Where to";
pub const SCHEDULE_FOLDER: &str = "The data disk of the node that leads";
pub const SCHEDULE_S3: &str = "A bucket of S3-compatible storage";
pub const SCHEDULE_LAST: &str = "Last one";
pub const SCHEDULE_BUTTON: &str = "Back up by itself";
pub const SCHEDULE_RUN: &str = "Back up by the schedule now";
pub const S3_ENDPOINT: &str = "Address of the storage";
pub const S3_ENDPOINT_HINT: &str = "Such as https://s3.eu-central-1.amazonaws.com or http://10.0.0.9:9000. By http:// anybody on the way reads what is not locked.";
pub const S3_BUCKET: &str = "Bucket";
pub const S3_PREFIX: &str = "What the names of the files begin with";
pub const S3_PREFIX_HINT: &str = "Such as a folder; may be empty. What else is in the bucket is not touched.";
pub const S3_REGION: &str = "Region";
pub const S3_ACCESS_KEY: &str = "Access key";
pub const S3_SECRET_KEY: &str = "Secret key";
pub const S3_SECRET_HINT: &str = "It needs to put, list and delete objects. It is not shown again.";
pub const S3_SECRET_KEPT: &str = "Leave it empty to keep the one there is.";
pub const S3_STYLE: &str = "Where the bucket stands in an address";
pub const S3_STYLE_PATH: &str = "In its path: host/bucket";
pub const S3_STYLE_HOST: &str = "Before its host: bucket.host";
pub const SCHEDULE_END: &str = "No more backups by themselves";
pub const RESTORE_TITLE: &str = "Begin from a backup instead";
pub const RESTORE_LEAD: &str = "This node becomes a cluster of its own with the applications and accounts of the backup; everything is launched anew. Nodes of the old cluster stay strangers to it: switch off what is left of it first, or applications run twice.";
pub const RESTORE_FILE: &str = "Backup file";
pub const RESTORE_PASSWORD: &str = "New password of admin";
pub const RESTORE_PASSWORD_HINT: &str =
    "Needed if the backup was made without a passphrase; else admin keeps the old one if this is left empty.";
pub const RESTORE_BUTTON: &str = "Begin from this backup";
pub const EVENT_RECOVERED: &str = "goes on alone: the majority of the cluster was lost.";

pub fn schedule(schedule: Option<&Schedule>) -> String {
    let Some(schedule) = schedule else { return "There are none.".to_owned() };
    let Schedule { every_hours, keep, .. } = schedule;
    let locked = if schedule.is_locked() { "locked" } else { "without accounts and secrets" };
    let place = match &schedule.bucket {
        Some(bucket) => format!(" in bucket {} at {}", bucket.name, bucket.endpoint),
        None => String::new(),
    };
    format!("Every {every_hours} h, {locked}; the last {keep} are kept{place}.")
}

pub fn every_hours(hours: &str) -> String {
    format!("every {hours} hours")
}

pub fn schedule_next(due: Timestamp, now: Timestamp) -> String {
    match due <= now {
        true => "The next one is due now.".to_owned(),
        false => format!("The next one is due at {} UTC.", Moment::from(due).clock),
    }
}

pub fn schedule_done(note: &BackupNote) -> String {
    let done = backup_done(note.bytes, note.index, note.secrets);
    let object = note.object.as_ref().map(|key| format!(", as {key}")).unwrap_or_default();
    let left = note.left.as_ref().map(|why| format!("; {}", left(why))).unwrap_or_default();
    format!("{done}{object}{left}")
}

pub fn schedule_failed(error: &str, failures: u32) -> String {
    match failures {
        0 | 1 => backup_failed(error),
        _ => format!("failed {failures} times in a row: {error}"),
    }
}

fn left(why: &str) -> String {
    format!("older ones could not be removed: {why}")
}

pub fn backup_done(bytes: u64, index: u64, secrets: bool) -> String {
    let secrets = if secrets { "locked, with accounts and secrets" } else { "without accounts and secrets" };
    format!("{} KiB up to change {index}, {secrets}", bytes.div_ceil(1024))
}

pub fn backup_failed(error: &str) -> String {
    format!("failed: {error}")
}

pub fn event_backup_made(secrets: bool) -> String {
    let secrets = if secrets { "" } else { " without accounts and secrets" };
    format!("A backup was made{secrets}.")
}

pub fn event_backup_failed(error: &str) -> String {
    format!("A backup failed: {error}")
}

pub fn event_backups_left(reason: &str) -> String {
    format!("A backup was made, but {}", left(reason))
}

pub fn event_restored(made: &str) -> String {
    format!("The cluster began from a backup of {made} UTC.")
}

pub fn backup_error(error: &BackupError) -> String {
    match error {
        BackupError::Unavailable(error) => unavailable(error),
        other => sentence(&other.to_string()),
    }
}

pub fn restore_error(error: &RestoreError) -> String {
    match error {
        RestoreError::WrongCode => "That is not the claim code on this node's screen.".to_owned(),
        RestoreError::Unavailable(error) => unavailable(error),
        other => sentence(&other.to_string()),
    }
}

// After the loss of a majority
pub const RECOVER_LINK: &str = "The majority is lost for good?";
pub const RECOVER_TITLE: &str = "Go on without the majority";
pub const RECOVER_LEAD: &str = "Most servers do not answer, so nothing can be changed. If they come back, everything goes on by itself and nothing is lost: wait for them if there is hope. If they are gone for good, this node can go on alone with what it holds.";
pub const RECOVER_UNHEARD: &str =
    "It has not heard of the others since it started: whatever they did after that change is lost.";
pub const RECOVER_CAUTION: &str = "Make sure first that the others are switched off and stay so: if they run on somewhere, there are two clusters from now on, and applications run twice. To use one of them again, set it up anew.";
pub const RECOVER_GONE: &str = "Removed for ever; their instances are launched here";
pub const RECOVER_BUTTON: &str = "Give them up and go on alone";
pub const RECOVERING_TITLE: &str = "This node goes on alone";
pub const RECOVERING_TEXT: &str = "It starts anew with what it holds, which takes a moment. Then let in other nodes, so that the next loss is none.";

pub fn recover_last(index: impl std::fmt::Display, at: impl std::fmt::Display) -> String {
    format!("The last change that this node has is number {index}, of {at} UTC.")
}

pub fn recover_heard(at: impl std::fmt::Display) -> String {
    format!("It last heard of the others at {at} UTC: what was acknowledged after that may be lost.")
}

pub fn recover_confirm(node: impl std::fmt::Display) -> String {
    format!("Type the name of this node, {node}, to confirm")
}
