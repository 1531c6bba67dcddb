//! Backups that the cluster makes by itself, and how backups went.

use super::State;
use crate::backup::{BUCKETS_FROM, BackupNote, Course, Faults, Plan, Schedule};
use crate::command::{Outcome, Reject};
use crate::event::EventKind;
use crate::{Timestamp, limits};

impl State {
    pub(super) fn note_backup(&mut self, note: &BackupNote) -> Result<Outcome, Reject> {
        let cut = |text: &Option<String>| {
            let text = text.as_ref()?;
            Some(text[..text.floor_char_boundary(limits::MESSAGE_BYTES_MAX)].to_owned())
        };
        let (error, left) = (cut(&note.error), cut(&note.left));
        let note = BackupNote { at: self.now, error, left, ..note.clone() };
        self.emit(match &note.error {
            None => EventKind::BackupMade { secrets: note.secrets },
            Some(error) => EventKind::BackupFailed { error: error.clone() },
        });
        if let Some(reason) = &note.left {
            self.emit(EventKind::BackupsLeft { reason: reason.clone() });
        }
        if note.scheduled {
            self.follow(&note);
        }
        self.last_backup = Some(note);
        Ok(Outcome::Done)
    }

    /// The schedule was followed, well or not.
    fn follow(&mut self, note: &BackupNote) {
        if self.feature_level < BUCKETS_FROM {
            self.scheduled_at = Some(self.now);
            return;
        }
        // Of a schedule that is another by now: the new one's first is still due.
        if self.backup_schedule.as_ref().is_none_or(|schedule| note.index < schedule.since) {
            return;
        }
        let before = self.backup_course.take();
        let (failures, good_at) = before.map_or((0, None), |course| (course.failures, course.good_at));
        self.scheduled_at = Some(self.now);
        self.backup_course = Some(match note.error {
            None => Course { last: note.clone(), failures: 0, good_at: Some(self.now) },
            Some(_) => Course { last: note.clone(), failures: failures.saturating_add(1), good_at },
        });
    }

    /// As programs before [`BUCKETS_FROM`] ask for it: what they do not know is not taken.
    pub(super) fn set_backup_schedule(&mut self, schedule: Option<&Schedule>) -> Result<Outcome, Reject> {
        let schedule = schedule.cloned().map(|asked| Schedule { key: None, bucket: None, since: 0, ..asked });
        schedule.iter().try_for_each(Schedule::check)?;
        self.begin_schedule(schedule);
        Ok(Outcome::Done)
    }

    pub(super) fn plan_backups(&mut self, plan: &Plan) -> Result<Outcome, Reject> {
        let schedule = plan.schedule(self.backup_schedule.as_ref())?;
        self.begin_schedule(Some(Schedule { since: self.index, ..schedule }));
        self.emit(EventKind::SettingsChanged);
        Ok(Outcome::Done)
    }

    fn begin_schedule(&mut self, schedule: Option<Schedule>) {
        (self.backup_schedule, self.backup_course, self.scheduled_at) = (schedule, None, None);
    }

    pub(super) fn back_up_now(&mut self) -> Result<Outcome, Reject> {
        if self.backup_schedule.is_none() {
            let message = "there are no backups by themselves: say first how often".to_owned();
            return Err(Reject::Invalid { path: "/schedule".to_owned(), message });
        }
        self.scheduled_at = None;
        Ok(Outcome::Done)
    }

    /// When the next backup by schedule is to be made; `None` without a schedule.
    pub fn backup_due(&self) -> Option<Timestamp> {
        let schedule = self.backup_schedule.as_ref()?;
        let failures = self.backup_course.as_ref().map_or(0, |course| course.failures);
        let due = self.scheduled_at.map(|last| last.plus_ms(schedule.wait_ms(failures)));
        Some(due.unwrap_or_default())
    }
}

impl From<Faults> for Reject {
    /// A log's answer has room for the first.
    fn from(faults: Faults) -> Self {
        let (path, messages): (Vec<_>, Vec<_>) =
            faults.0.into_iter().take(1).map(|fault| (fault.path, fault.message)).unzip();
        Self::Invalid { path: path.concat(), message: messages.concat() }
    }
}
