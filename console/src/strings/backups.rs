//! Words of backups, of beginning from one, and of going on after a loss.

use model::backup::Schedule;

use super::unavailable;
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
pub const SCHEDULE_LEAD: &str = "The node that leads writes them to the folder “backups” on its data disk. Fetch them from there now and then: who loses every node loses those files as well.";
pub const SCHEDULE_HOURS: &str = "How often";
pub const SCHEDULE_PERIODS: &[(&str, &str)] =
    &[("1", "every hour"), ("6", "every 6 hours"), ("24", "every day"), ("168", "every week")];
pub const SCHEDULE_KEEP: &str = "Kept on each node";
pub const SCHEDULE_PASSPHRASE_HINT: &str = "The cluster keeps it to lock the files with; without one, accounts, tokens and secrets stay out of them. Note it elsewhere: it is not shown again.";
pub const SCHEDULE_BUTTON: &str = "Back up by itself";
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
    let Some(Schedule { every_hours, keep, passphrase }) = schedule else {
        return "There are none.".to_owned();
    };
    let locked = if passphrase.is_some() { "locked" } else { "without accounts and secrets" };
    format!("Every {every_hours} h, {locked}; the last {keep} are kept.")
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
