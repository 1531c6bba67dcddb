//! From a planned task to the bundle that init is told to create.

use std::path::PathBuf;
use std::sync::Arc;

use model::app::Network;
use model::{NodeId, State, TaskId, app};

use super::Parts;
use crate::network::chain;
use crate::oci::bundle::{self, Launch};

/// Writes the bundle of `task`; the error is a sentence for the task's history.
pub async fn bundle(parts: &Parts, state: &Arc<State>, task: &TaskId) -> Result<PathBuf, String> {
    let mut launch = launch(state, parts.node, task).ok_or("it is no longer planned")?;
    if let Some(image) = launch.app.container.as_ref().and_then(|c| c.image.as_ref()) {
        return Err(format!("image {}: this version cannot pull images yet", image.reference));
    }
    if launch.app.network != Network::Host {
        let attachment = parts.network.attach(task).await;
        launch.network = Some(attachment.map_err(|error| format!("its network: {}", chain(&error)))?);
    }
    let paths = parts.paths.clone();
    let written = tokio::task::spawn_blocking(move || bundle::write(&paths, &launch)).await;
    written.map_err(|panic| panic.to_string())?.map_err(|error| chain(&error))
}

fn launch(state: &State, node: NodeId, id: &TaskId) -> Option<Launch> {
    let (app, task) = state.task(id)?;
    let spec = app.spec_of(task.version).unwrap_or(&app.spec);
    let me = state.nodes.get(&node)?;
    let host = me.addresses.first()?.to_string();
    Some(Launch {
        task: task.id.clone(),
        env: app::environment(spec, task, &host),
        app: (**spec).clone(),
        hostname: me.name.clone(),
        addresses: me.addresses.clone(),
        network: None,
        layers: Vec::new(),
    })
}
