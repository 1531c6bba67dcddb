//! What of a state is worth keeping outside the cluster, and a blank node that goes on from it.

use std::sync::Arc;

use super::{App, State};
use crate::auth::{Role, SessionKey, User};
use crate::backup::Schedule;
use crate::command::{Outcome, Reject};
use crate::event::EventKind;
use crate::{ClusterId, Timestamp};

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
            succession: _,
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
            backup_course: _,
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
            // Its keys are some of them. Changes of another cluster have other numbers.
            kept.backup_schedule = backup_schedule.map(|schedule| Schedule { since: 0, ..schedule });
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
        if self.backup_schedule.iter().any(|schedule| schedule.check().is_err()) {
            return Err(invalid("/file", "holds no sound schedule of backups"));
        }
        self.invariants().map_err(|broken| invalid("/file", &format!("holds no sound state: {broken}")))?;
        Ok(Outcome::Done)
    }
}

fn invalid(path: &str, message: &str) -> Reject {
    Reject::Invalid { path: path.to_owned(), message: message.to_owned() }
}
