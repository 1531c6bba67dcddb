//! Taking the cluster, and raising what its members may say to each other.

use super::State;
use crate::auth::{SessionKey, User};
use crate::command::{Outcome, Reject};
use crate::event::EventKind;
use crate::{ClusterId, limits};

impl State {
    pub(super) fn claim(
        &mut self,
        cluster: ClusterId,
        admin: &User,
        session_key: &SessionKey,
    ) -> Result<Outcome, Reject> {
        if self.is_claimed() {
            return Err(Reject::AlreadyClaimed);
        }
        self.put_administrator(admin)?;
        self.cluster = Some(cluster);
        self.session_key = Some(session_key.clone());
        self.emit(EventKind::ClusterClaimed);
        Ok(Outcome::Done)
    }

    /// Makes `admin` a user, whoever had that name before.
    pub(super) fn put_administrator(&mut self, admin: &User) -> Result<(), Reject> {
        if admin.name.is_empty() || admin.name.len() > limits::USER_NAME_BYTES_MAX || admin.name.contains(':')
        {
            return Err(Reject::Invalid {
                path: "/name".to_owned(),
                message: format!(
                    "a user name has 1 to {} bytes and no colon (Basic authentication splits there)",
                    limits::USER_NAME_BYTES_MAX
                ),
            });
        }
        self.users.insert(admin.name.clone(), User { created_at: self.now, ..admin.clone() });
        Ok(())
    }

    /// Raises the level if every member supports it. Asking for the present level again is no fault.
    pub(super) fn raise_feature_level(&mut self, level: u32) -> Result<Outcome, Reject> {
        let invalid = |message| Err(Reject::Invalid { path: "/level".to_owned(), message });
        if level < self.feature_level {
            return invalid(format!("the feature level is {} and never goes down", self.feature_level));
        }
        let supported =
            self.nodes.values().map(|node| node.feature_level).min().unwrap_or(self.feature_level);
        if level > supported.max(self.feature_level) {
            return invalid(format!("not every node supports level {level}; all support {supported}"));
        }
        self.feature_level = level;
        Ok(Outcome::Done)
    }
}
