//! What the operator tells the cluster to do by itself, and what came of asking for a lost node to be powered off.

use super::State;
use crate::command::{Outcome, Reject};
use crate::event::EventKind;
use crate::limits;
use crate::settings::SettingsChange;
use crate::{NodeId, Timestamp};

impl State {
    pub(super) fn change_settings(&mut self, change: &SettingsChange) -> Result<Outcome, Reject> {
        let invalid = |(path, message): (&str, &str)| Reject::Invalid {
            path: path.to_owned(),
            message: message.to_owned(),
        };
        let after = self.settings.changed(change).map_err(invalid)?;
        if after != self.settings {
            self.settings = after;
            self.emit(EventKind::SettingsChanged);
        }
        Ok(Outcome::Done)
    }

    /// The fence hook answered: without an error the node is off, and nothing runs there any more.
    pub(super) fn hook_answered(
        &mut self,
        node: NodeId,
        lost_since: Timestamp,
        error: Option<&str>,
    ) -> Result<Outcome, Reject> {
        let Some(error) = error else { return self.fence(node, lost_since) };
        let reason = error[..error.floor_char_boundary(limits::MESSAGE_BYTES_MAX)].to_owned();
        self.emit(EventKind::FenceHookFailed { node, reason });
        Ok(Outcome::Done)
    }
}
