//! The only way a state changes. Called by the cluster crate for each committed entry, in log order, on every server.

use super::State;
use crate::command::{Applied, Command, Envelope, Outcome, Reject};
use crate::ids::RequestId;
use crate::{AppId, Timestamp, limits};

impl State {
    /// Applies the committed command at log index `index`. Total: every envelope of a known format
    /// ([`Envelope::check_format`], asked by the caller before) has an answer, and a rejected command changes nothing
    /// but index, time and the table of remembered answers.
    ///
    /// A request id that was seen before is answered as it was then, and nothing is applied.
    pub fn apply(&mut self, index: u64, envelope: &Envelope) -> Applied {
        self.index = index;
        self.now = self.now.max(envelope.at.min(Timestamp::MAX));
        // Only people and their tools retry; what the program itself proposes is idempotent and would fill the table.
        let request = envelope.request_id.filter(|_| envelope.actor.is_outside());
        if let Some(applied) = request.and_then(|id| self.requests.get(&id)) {
            return applied.clone();
        }
        // On a scratch copy (persistent maps: O(1)), so that a command fails as a whole wherever it fails.
        let mut next = self.clone();
        let result = next.run(envelope);
        if result.is_ok() {
            *self = next;
        }
        let applied = Applied { index, result };
        if let Some(id) = request {
            self.remember(id, &applied);
        }
        applied
    }

    fn run(&mut self, envelope: &Envelope) -> Result<Outcome, Reject> {
        self.check_feature_level(envelope)?;
        self.check_claimed(envelope)?;
        self.check_expected_version(envelope)?;
        let origin = &envelope.origin;
        match &envelope.command {
            Command::Claim { cluster, admin, session_key } => self.claim(*cluster, admin, session_key),
            Command::RaiseFeatureLevel { level } => self.raise_feature_level(*level),
            Command::SetPassword { user, password_hash } => self.set_password(user, password_hash),
            Command::PutToken { token } => self.put_token(token),
            Command::DeleteToken { name } => self.delete_token(name),
            Command::RotateSessionKey { session_key } => self.rotate_session_key(session_key),
            Command::RegisterNode { node } => self.register_node(node),
            Command::Found { authority, first } => self.found(authority, first),
            Command::AdmitNode { applicant, secret_sha256 } => self.admit_node(applicant, secret_sha256),
            Command::RemoveNode { node } => self.remove_node(*node),
            Command::SetLost { node, lost } => self.set_lost(*node, *lost),
            Command::Fence { node, lost_since } => self.fence(*node, *lost_since),
            Command::HookAnswered { node, lost_since, error } => {
                self.hook_answered(*node, *lost_since, error.as_deref())
            }
            Command::ChangeSettings { change } => self.change_settings(change),
            Command::RenewKeys { nodes } => self.renew_keys(nodes),
            Command::RegisterKey { node, fingerprint, since, authority } => {
                self.register_key(*node, fingerprint, *since, *authority)
            }
            Command::ReplaceAuthority { next } => self.replace_authority(next),
            Command::TrustAuthority { node, number } => self.trust_authority(*node, *number),
            Command::ChangeNode { node, change } => self.change_node(*node, change),
            Command::MoveTasks { tasks, cancel } => self.move_tasks(tasks, *cancel),
            Command::PutJoinToken { token } => self.put_join_token(token),
            Command::DeleteJoinToken { name } => self.delete_join_token(name),
            Command::Restore { cluster, backup, admin, session_key } => {
                self.restore(*cluster, backup, admin.as_ref(), session_key)
            }
            Command::Recover { survivor } => self.recover(*survivor),
            Command::NoteBackup { note } => self.note_backup(note),
            Command::SetBackupSchedule { schedule } => self.set_backup_schedule(schedule.as_ref()),
            Command::PlanBackups { plan } => self.plan_backups(plan),
            Command::BackUpNow => self.back_up_now(),
            Command::PutApp { app, mode, deployment, force } => {
                self.put_app(app, *mode, *deployment, *force, origin)
            }
            Command::RestartApp { app, deployment, force } => {
                self.restart_app(app, *deployment, *force, origin)
            }
            Command::DeleteApp { app, deployment, force } => {
                self.delete_app(app, *deployment, *force, origin)
            }
            Command::KillTasks { tasks, scale: false, .. } => self.kill_tasks(tasks),
            Command::KillTasks { tasks, scale: true, deployment, force } => {
                self.kill_tasks_and_scale(tasks, *deployment, *force)
            }
            Command::ResetDelay { app } => self.reset_delay(app),
            Command::ApplyPlan { based_on, actions } => self.apply_plan(*based_on, actions),
            Command::Report { node, updates } => self.report(*node, updates),
        }
    }

    fn check_feature_level(&self, envelope: &Envelope) -> Result<(), Reject> {
        let (needed, level) = (envelope.command.feature_level(), self.feature_level);
        if needed <= level { Ok(()) } else { Err(Reject::FeatureLevel { needed, level }) }
    }

    /// Before the claim there is nobody whose wishes count; the node may make itself known all the same.
    fn check_claimed(&self, envelope: &Envelope) -> Result<(), Reject> {
        let needs_owner = !matches!(
            envelope.command,
            Command::Claim { .. }
                | Command::Restore { .. }
                | Command::RegisterNode { .. }
                | Command::RaiseFeatureLevel { .. }
        );
        if needs_owner && !self.is_claimed() { Err(Reject::NotClaimed) } else { Ok(()) }
    }

    fn check_expected_version(&self, envelope: &Envelope) -> Result<(), Reject> {
        let Some(expected) = envelope.expected_version else { return Ok(()) };
        let Some(id) = envelope.command.app() else {
            return Err(Reject::Invalid {
                path: "/version".to_owned(),
                message: "this command names no app whose version could be expected".to_owned(),
            });
        };
        let current = self.app(id).ok_or_else(|| unknown(id))?.spec.version;
        if current == expected { Ok(()) } else { Err(Reject::VersionMoved { expected, current }) }
    }

    fn remember(&mut self, id: RequestId, applied: &Applied) {
        self.requests.insert(id, applied.clone());
        self.request_order.push_back(id);
        if self.request_order.len() > limits::REQUESTS_REMEMBERED_MAX
            && let Some(oldest) = self.request_order.pop_front()
        {
            self.requests.remove(&oldest);
        }
    }
}

pub(super) fn unknown(app: &AppId) -> Reject {
    Reject::AppUnknown { app: app.clone() }
}

/// `Err` naming `what` when `count` exceeds `limit`.
pub(super) fn check_limit(count: usize, limit: usize, what: &str) -> Result<(), Reject> {
    if count <= limit { Ok(()) } else { Err(Reject::Limit { limit: limit as u64, what: what.to_owned() }) }
}
