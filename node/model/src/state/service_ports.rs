//! Service ports for definitions that ask for any (spec/marathon.md §3.9).

use std::collections::BTreeSet;

use super::State;
use crate::app::{AppSpec, Port};
use crate::command::Reject;
use crate::limits::SERVICE_PORTS;

impl State {
    /// Replaces each service port 0: by what the app's current definition has in that place, else by the lowest port
    /// of the range that no app uses.
    pub(super) fn assign_service_ports(&self, spec: &mut AppSpec) -> Result<(), Reject> {
        if spec.ports.iter().all(|port| port.service_port != 0) {
            return Ok(());
        }
        let mut used: BTreeSet<u16> = spec.ports.iter().map(|port| port.service_port).collect();
        let old = self.app(&spec.id).map(|app| app.spec.clone());
        for at in 0..spec.ports.len() {
            let before = old.as_ref().and_then(|old| counterpart(&old.ports, &spec.ports[at], at));
            let reusable = before.map(|port| port.service_port).filter(|port| is_ours(*port));
            if spec.ports[at].service_port == 0
                && let Some(port) = reusable
                && used.insert(port)
            {
                spec.ports[at].service_port = port;
            }
        }
        let others = self.apps.values().filter(|app| app.spec.id != spec.id);
        used.extend(others.flat_map(|app| app.spec.ports.iter().map(|port| port.service_port)));
        let mut free = (SERVICE_PORTS.0..=SERVICE_PORTS.1).filter(|port| !used.contains(port));
        for port in spec.ports.iter_mut().filter(|port| port.service_port == 0) {
            port.service_port = free.next().ok_or_else(|| Reject::Invalid {
                path: "/ports".to_owned(),
                message: format!(
                    "All ports in the range [{}-{}] are already in use",
                    SERVICE_PORTS.0, SERVICE_PORTS.1
                ),
            })?;
        }
        Ok(())
    }
}

/// The old port that `port`, the one numbered `at`, continues: of the same name, else in the same place.
fn counterpart<'a>(old: &'a [Port], port: &Port, at: usize) -> Option<&'a Port> {
    let named = old.iter().find(|candidate| port.name.is_some() && candidate.name == port.name);
    named.or_else(|| old.get(at))
}

fn is_ours(port: u16) -> bool {
    (SERVICE_PORTS.0..=SERVICE_PORTS.1).contains(&port)
}
