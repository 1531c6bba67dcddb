//! Questions about a definition that others would otherwise answer each in their own way.

use std::collections::BTreeMap;

use super::{AppSpec, Constraint, ConstraintOperator, KILL_GRACE_MS_DEFAULT, Network, Port};
use crate::Timestamp;

/// An app of which two instances must never run at once (Marathon's name for it).
pub(super) const SINGLE_INSTANCE_LABEL: &str = "MARATHON_SINGLE_INSTANCE_APP";
/// The same for apps with several instances: each of them at most once.
const EXCLUSIVE_LABEL: &str = "MESETA_EXCLUSIVE";

/// True if the label's value is `true`, in any case.
pub(super) fn is_set(labels: &BTreeMap<String, String>, label: &str) -> bool {
    labels.get(label).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

impl AppSpec {
    /// True if no instance may be started anew before its last task is known to have ended.
    pub fn is_exclusive(&self) -> bool {
        is_set(&self.labels, SINGLE_INSTANCE_LABEL) || is_set(&self.labels, EXCLUSIVE_LABEL)
    }

    /// True if changing from one to the other needs no task to be replaced: versions and the number of instances do
    /// not count, nor do keys that were dropped. Compare after service ports were assigned.
    pub fn is_same_config(&self, other: &Self) -> bool {
        self.without_stamps() == other.without_stamps()
    }

    /// True if an update from one to the other is a scaling and nothing else.
    pub fn only_instances_differ(&self, other: &Self) -> bool {
        self.instances != other.instances && self.is_same_config(other)
    }

    fn without_stamps(&self) -> Self {
        Self {
            version: Timestamp(0),
            last_scaling_at: Timestamp(0),
            last_config_change_at: Timestamp(0),
            instances: 0,
            unknown_keys: Vec::new(),
            ..self.clone()
        }
    }

    /// Milliseconds between SIGTERM and SIGKILL.
    pub fn kill_grace_ms(&self) -> u64 {
        self.kill_grace_ms.unwrap_or(KILL_GRACE_MS_DEFAULT)
    }

    /// The command line. A `cmd` needs a shell and replaces an image's entry point; `args` follow the image's entry
    /// point, or are the command line themselves when there is none; empty means that the image says what to run.
    pub fn argv(&self) -> Vec<String> {
        match (&self.cmd, &self.args) {
            (Some(cmd), _) => vec!["/bin/sh".to_owned(), "-c".to_owned(), cmd.clone()],
            (None, Some(args)) => args.clone(),
            (None, None) => Vec::new(),
        }
    }

    pub fn needs_shell(&self) -> bool {
        self.cmd.is_some()
    }

    /// The number the node must give to `port`, `None` if any will do.
    pub fn demanded_host_port(&self, port: &Port) -> Option<u16> {
        let demanded = match self.network {
            Network::Host if self.require_ports => port.service_port,
            Network::Host => 0,
            Network::Bridge | Network::Container { .. } => port.host_port.unwrap_or(0),
        };
        (demanded > 0).then_some(demanded)
    }
}

impl ConstraintOperator {
    /// As definitions spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unique => "UNIQUE",
            Self::Cluster => "CLUSTER",
            Self::GroupBy => "GROUP_BY",
            Self::Like => "LIKE",
            Self::Unlike => "UNLIKE",
            Self::MaxPer => "MAX_PER",
            Self::Is => "IS",
        }
    }
}

impl std::fmt::Display for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.field, self.operator.as_str())?;
        self.value.as_deref().map_or(Ok(()), |value| write!(f, ":{value}"))
    }
}
