//! From a planned task to the bundle that init is told to create.

use std::path::PathBuf;
use std::sync::Arc;

use model::{NodeId, State, TaskId, app};

use super::Parts;
use crate::config::Paths;
use crate::images::Wanted;
use crate::oci::bundle::{self, Launch};

/// What came of an attempt to make a task ready.
pub enum Made {
    Bundle(PathBuf),
    /// Its image is on its way; in words for people.
    Waits(String),
    /// A sentence for the task's history.
    Failed(String),
}

/// Writes the bundle of `task`, once its image is here.
pub async fn bundle(parts: &Parts, state: &Arc<State>, task: &TaskId) -> Made {
    let Some(mut launch) = launch(state, parts.node, task) else {
        return Made::Failed("it is no longer planned".to_owned());
    };
    if let Some(image) = launch.app.container.as_ref().and_then(|c| c.image.as_ref()) {
        match parts.images.want(task, image) {
            Wanted::Ready(ready) => {
                launch.layers = ready.folders.clone();
                launch.image = Some(ready.config().clone());
            }
            Wanted::Pending(message) => return Made::Waits(message),
            Wanted::Failed(message) => return Made::Failed(message),
        }
    }
    match write(&parts.paths, launch).await {
        Ok(bundle) => Made::Bundle(bundle),
        Err(message) => Made::Failed(message),
    }
}

async fn write(paths: &Paths, launch: Launch) -> Result<PathBuf, String> {
    let paths = paths.clone();
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
        layers: Vec::new(),
        image: None,
    })
}

/// The error with everything beneath it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |e| e.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
