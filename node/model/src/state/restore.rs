//! What of a state is worth keeping outside the cluster, and a blank node that goes on from it.

use std::sync::Arc;

use super::{App, State};
use crate::auth::{Role, SessionKey, User};
use crate::backup::{BackupNote, Schedule};
use crate::command::{Outcome, Reject};
use crate::event::EventKind;
use crate::{ClusterId, Timestamp, limits};

impl State {
    /// What people asked for, without what was made of it: machines, tasks and their past belong to the nodes that have
    /// them. Neither does the cluster's authority go along: whoever has it can pose as any member. Without `secrets`
    /// nothing that opens a door is kept. Doing it twice changes nothing more.
    pub fn for_backup(&self, secrets: bool) -> Self {
        // Each field by its name, so that nobody adds one without deciding whether it is kept.
        let Self {
            format,
            feature_level,
            index,
            now,
            cluster,
            session_key: _,
            users,
            tokens,
            secrets: values,
            nodes: _,
            authority: _,
            members: _,
            removed: _,
            join_tokens: _,
            settings,
            apps,
            deployments: _,
            task_apps: _,
            requests: _,
            request_order: _,
            events: _,
            last_backup: _,
            backup_schedule,
            scheduled_at: _,
        } = self.clone();
        let wanted = apps.into_iter().filter(|(_, app)| !app.deleted);
        let wanted = wanted.map(|(id, app)| {
            let kept = App { versions: app.versions.clone(), ..App::new(app.spec.clone()) };
            (id, Arc::new(kept))
        });
        let mut kept =
            Self { format, feature_level, index, now, cluster, apps: wanted.collect(), ..Self::default() };
        kept.settings = settings;
        if secrets {
            (kept.users, kept.tokens, kept.secrets) = (users, tokens, values);
            // Its passphrase is one of them.
            kept.backup_schedule = backup_schedule;
        } else {
            // Addresses of that kind often bear a key.
            kept.settings.fence_hook.clear();
        }
        kept
    }

    /// This node, which nobody has claimed, becomes a cluster of one with the apps and accounts of `backup`. It is a
    /// cluster of its own: with another id and, soon, another authority, so that nodes of the old one are strangers.
    pub(super) fn restore(
        &mut self,
        cluster: ClusterId,
        backup: &Self,
        admin: Option<&User>,
        session_key: &SessionKey,
    ) -> Result<Outcome, Reject> {
        if self.is_claimed() {
            return Err(Reject::AlreadyClaimed);
        }
        let (needed, level) = (backup.feature_level, self.feature_level);
        if needed > level {
            return Err(Reject::FeatureLevel { needed, level });
        }
        let made_at = backup.now;
        let Self { users, tokens, secrets, apps, settings, backup_schedule, .. } = backup.for_backup(true);
        (self.settings, self.backup_schedule) = (settings, backup_schedule);
        self.now = self.now.max(made_at.min(Timestamp::MAX));
        (self.users, self.tokens, self.secrets, self.apps) = (users, tokens, secrets, apps);
        if let Some(admin) = admin {
            self.put_administrator(admin)?;
        }
        if !self.users.values().any(|user| user.role == Role::Administrator) {
            return Err(invalid("/password", "is needed: there is no account in the backup"));
        }
        self.cluster = Some(cluster);
        self.session_key = Some(session_key.clone());
        self.events.clear();
        self.emit(EventKind::ClusterRestored { made_at });
        // It was read from a file: nothing in it is taken on trust.
        self.invariants().map_err(|broken| invalid("/file", &format!("holds no sound state: {broken}")))?;
        Ok(Outcome::Done)
    }

    pub(super) fn note_backup(&mut self, note: &BackupNote) -> Result<Outcome, Reject> {
        let error = note.error.clone().map(|mut error| {
            error.truncate(error.floor_char_boundary(limits::MESSAGE_BYTES_MAX));
            error
        });
        self.emit(match &error {
            None => EventKind::BackupMade { secrets: note.secrets },
            Some(error) => EventKind::BackupFailed { error: error.clone() },
        });
        if note.scheduled {
            self.scheduled_at = Some(self.now);
        }
        self.last_backup = Some(BackupNote { at: self.now, error, ..note.clone() });
        Ok(Outcome::Done)
    }

    pub(super) fn set_backup_schedule(&mut self, schedule: Option<&Schedule>) -> Result<Outcome, Reject> {
        if let Some(Schedule { every_hours, keep, passphrase }) = schedule {
            if !(1..=limits::BACKUP_HOURS_MAX).contains(every_hours) {
                let max = limits::BACKUP_HOURS_MAX;
                return Err(invalid("/every_hours", &format!("must be 1 to {max}")));
            }
            if !(1..=limits::BACKUPS_KEPT_MAX).contains(keep) {
                let max = limits::BACKUPS_KEPT_MAX;
                return Err(invalid("/keep", &format!("must be 1 to {max}")));
            }
            let lengths = limits::PASSPHRASE_BYTES_MIN..=limits::PASSPHRASE_BYTES_MAX;
            if passphrase.as_ref().is_some_and(|text| !lengths.contains(&text.len())) {
                let (min, max) = (lengths.start(), lengths.end());
                return Err(invalid("/passphrase", &format!("must have {min} to {max} characters")));
            }
        }
        self.backup_schedule = schedule.cloned();
        self.scheduled_at = None;
        Ok(Outcome::Done)
    }

    /// When the next backup by schedule is to be made; `None` without a schedule.
    pub fn backup_due(&self) -> Option<Timestamp> {
        let schedule = self.backup_schedule.as_ref()?;
        let period_ms = u64::from(schedule.every_hours) * 3_600_000;
        Some(self.scheduled_at.map_or(Timestamp::default(), |last| last.plus_ms(period_ms)))
    }
}

fn invalid(path: &str, message: &str) -> Reject {
    Reject::Invalid { path: path.to_owned(), message: message.to_owned() }
}
