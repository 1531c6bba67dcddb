//! Commands of people about apps: create, change, restart, delete.

use std::sync::Arc;

use super::apply::{check_limit, unknown};
use super::{App, Backoff, Deployment, DeploymentKind, State};
use crate::app::AppSpec;
use crate::command::{Origin, Outcome, PutMode, Reject};
use crate::event::EventKind;
use crate::task::KillReason;
use crate::{AppId, DeploymentId, Timestamp, limits};

impl State {
    /// Creates or changes an app (spec §2.9 end): nothing differs ⇒ nothing happens; only the number of instances
    /// differs ⇒ it is scaled; else every instance is replaced.
    ///
    /// A deleted app whose tasks still end counts as absent but keeps its name locked; with `force` the new app takes
    /// the name over at once and the remaining tasks end beside it.
    pub(super) fn put_app(
        &mut self,
        wanted: &AppSpec,
        mode: PutMode,
        deployment: DeploymentId,
        force: bool,
        origin: &Origin,
    ) -> Result<Outcome, Reject> {
        check_spec(wanted)?;
        let id = &wanted.id;
        let existing = self.app(id).cloned();
        match (mode, &existing) {
            (PutMode::Create, Some(_)) => return Err(Reject::AppExists { app: id.clone() }),
            (PutMode::Update, None) => return Err(unknown(id)),
            _ => {}
        }
        let mut spec = wanted.clone();
        self.assign_service_ports(&mut spec)?;
        let old = existing.as_ref().map(|app| &*app.spec);
        let same_config = old.is_some_and(|old| is_same_config(old, &spec));
        let same_instances = old.is_some_and(|old| old.instances == spec.instances);
        if let (true, true, Some(old)) = (same_config, same_instances, old) {
            return Ok(deployed(deployment, old.version, false, false));
        }
        self.unlock(id, force)?;
        let version = self.next_version(id);
        spec.version = version;
        spec.last_scaling_at = version;
        spec.last_config_change_at = match old {
            Some(old) if same_config => old.last_config_change_at,
            _ => version,
        };
        let spec = Arc::new(spec);
        self.emit_api_post(origin, &spec);
        self.store_spec(&spec)?;
        let kind = match old {
            None => DeploymentKind::Start,
            Some(_) if same_config => DeploymentKind::Scale,
            Some(_) => DeploymentKind::Restart,
        };
        self.start_deployment(deployment, id, version, kind)?;
        Ok(deployed(deployment, version, old.is_none(), true))
    }

    pub(super) fn restart_app(
        &mut self,
        id: &AppId,
        deployment: DeploymentId,
        force: bool,
        origin: &Origin,
    ) -> Result<Outcome, Reject> {
        let old = self.app(id).ok_or_else(|| unknown(id))?.spec.clone();
        self.unlock(id, force)?;
        let version = self.next_version(id);
        let spec = Arc::new(AppSpec {
            version,
            last_scaling_at: version,
            last_config_change_at: version,
            ..(*old).clone()
        });
        self.emit_api_post(origin, &spec);
        self.store_spec(&spec)?;
        self.start_deployment(deployment, id, version, DeploymentKind::Restart)?;
        Ok(deployed(deployment, version, false, true))
    }

    /// Sentences all tasks. The app and its `Stop` deployment end with the last of them, at once if there is none.
    pub(super) fn delete_app(
        &mut self,
        id: &AppId,
        deployment: DeploymentId,
        force: bool,
        origin: &Origin,
    ) -> Result<Outcome, Reject> {
        let spec = self.app(id).ok_or_else(|| unknown(id))?.spec.clone();
        self.unlock(id, force)?;
        let version = self.next_version(id);
        self.emit_api_post(origin, &spec);
        self.start_deployment(deployment, id, version, DeploymentKind::Stop)?;
        let app = self.app_mut(id).ok_or_else(|| unknown(id))?;
        app.deleted = true;
        app.waiting.clear();
        let tasks: Vec<_> = app.tasks.keys().cloned().collect();
        for task in tasks {
            app.sentence(&task, KillReason::ScaledDown);
        }
        self.remove_if_gone(id);
        Ok(deployed(deployment, version, false, true))
    }

    pub(super) fn reset_delay(&mut self, id: &AppId) -> Result<Outcome, Reject> {
        self.app(id).ok_or_else(|| unknown(id))?;
        self.app_mut(id).ok_or_else(|| unknown(id))?.backoff = Backoff::default();
        Ok(Outcome::Done)
    }

    /// A deleted app goes away with its last task, and its `Stop` deployment has then succeeded.
    pub(super) fn remove_if_gone(&mut self, id: &AppId) {
        let is_gone = self.apps.get(id).is_some_and(|app| app.deleted && app.tasks.is_empty());
        if !is_gone {
            return;
        }
        self.apps.remove(id);
        let done: Vec<DeploymentId> = self.deployments_of(id).map(|d| d.id).collect();
        for deployment in done {
            self.finish_deployment(deployment);
        }
        self.emit(EventKind::AppDeleted { app: id.clone() });
    }

    pub(super) fn app_mut(&mut self, id: &AppId) -> Option<&mut App> {
        self.apps.get_mut(id).map(Arc::make_mut)
    }

    /// Versions of one name strictly increase, whatever the clocks say.
    pub(super) fn next_version(&self, id: &AppId) -> Timestamp {
        let newest = self.apps.get(id).and_then(|app| app.versions.back()).map(|spec| spec.version);
        newest.map_or(self.now, |newest| self.now.max(newest.plus_ms(1)))
    }

    /// Makes `spec` its app's definition. A changed configuration starts with a clean back-off.
    pub(super) fn store_spec(&mut self, spec: &Arc<AppSpec>) -> Result<(), Reject> {
        if !self.apps.contains_key(&spec.id) {
            check_limit(self.apps.len() + 1, limits::APPS_MAX, "apps")?;
            self.apps.insert(spec.id.clone(), Arc::new(App::new(spec.clone())));
            return Ok(());
        }
        let app = self.app_mut(&spec.id).ok_or_else(|| unknown(&spec.id))?;
        if spec.last_config_change_at == spec.version {
            app.backoff = Backoff::default();
        }
        app.deleted = false;
        app.push_version(spec.clone())
    }

    fn emit_api_post(&mut self, origin: &Origin, spec: &Arc<AppSpec>) {
        self.emit(EventKind::ApiPost {
            client_ip: origin.client_ip.clone(),
            uri: origin.uri.clone(),
            app: spec.clone(),
        });
    }
}

// === deployments ===

impl State {
    /// A running deployment locks its app; `force` cancels it.
    pub(super) fn unlock(&mut self, app: &AppId, force: bool) -> Result<(), Reject> {
        let running: Vec<Arc<Deployment>> = self.deployments_of(app).cloned().collect();
        if !running.is_empty() && !force {
            return Err(Reject::AppLocked { deployments: running.iter().map(|d| d.id).collect() });
        }
        for deployment in running {
            self.deployments.remove(&deployment.id);
            let (app, version) = (deployment.app.clone(), deployment.version);
            self.emit(EventKind::DeploymentCancelled { deployment: deployment.id, app, version });
        }
        Ok(())
    }

    pub(super) fn start_deployment(
        &mut self,
        id: DeploymentId,
        app: &AppId,
        version: Timestamp,
        kind: DeploymentKind,
    ) -> Result<(), Reject> {
        if self.deployments.contains_key(&id) {
            return Err(Reject::Invalid {
                path: "/deployment".to_owned(),
                message: format!("{id} is already the id of a running deployment"),
            });
        }
        check_limit(self.deployments.len() + 1, limits::DEPLOYMENTS_MAX, "running deployments")?;
        let app = app.clone();
        let deployment = Deployment { id, app: app.clone(), version, kind, started_at: self.now };
        self.deployments.insert(id, Arc::new(deployment));
        self.emit(EventKind::DeploymentStarted { deployment: id, app, version });
        Ok(())
    }

    pub(super) fn finish_deployment(&mut self, id: DeploymentId) {
        if let Some(done) = self.deployments.remove(&id) {
            let (app, version) = (done.app.clone(), done.version);
            self.emit(EventKind::DeploymentSucceeded { deployment: id, app, version });
        }
    }
}

fn deployed(deployment: DeploymentId, version: Timestamp, created: bool, changed: bool) -> Outcome {
    Outcome::Deployed { deployment, version, created, changed }
}

/// True if the two differ at most in instances, versions, and keys that mean nothing here.
fn is_same_config(old: &AppSpec, new: &AppSpec) -> bool {
    let comparable = AppSpec {
        version: old.version,
        last_scaling_at: old.last_scaling_at,
        last_config_change_at: old.last_config_change_at,
        instances: old.instances,
        unknown_keys: old.unknown_keys.clone(),
        ..new.clone()
    };
    comparable == *old
}

/// The limits that keep one definition from filling the state. The parser reports them with more detail; this is for
/// every other way a definition may come in.
fn check_spec(spec: &AppSpec) -> Result<(), Reject> {
    let instances_max = limits::INSTANCES_PER_APP_MAX as usize;
    check_limit(spec.instances as usize, instances_max, "instances of one app")?;
    check_limit(spec.labels.len(), limits::LABELS_PER_APP_MAX, "labels of one app")?;
    check_limit(spec.env.len(), limits::ENV_PER_APP_MAX, "environment variables of one app")?;
    check_limit(spec.ports.len(), limits::PORTS_PER_APP_MAX, "ports of one app")?;
    let bytes = serde_json::to_vec(spec).map_or(usize::MAX, |json| json.len());
    check_limit(bytes, limits::APP_BYTES_MAX, "bytes of one app definition")
}
