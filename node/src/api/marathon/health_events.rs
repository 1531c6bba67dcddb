//! What health checks bring about, in Marathon's words.

use model::State;
use model::event::EventKind;
use serde_json::{Value, json};

use super::view::host;

/// Type and body of a health event; an empty body for any other event.
pub fn frame(kind: &EventKind, state: &State) -> (&'static str, Value) {
    match kind {
        EventKind::HealthChanged { app, task, version, alive } => {
            let body = json!({
                "appId": app, "instanceId": task.instance(), "taskId": task, "version": version.to_string(),
                "alive": alive,
            });
            ("health_status_changed_event", body)
        }
        EventKind::HealthCheckFailed { app, task, version, check, cause: _ } => {
            let spec = state.apps.get(app).and_then(|app| app.spec_of(*version));
            let checks = spec.and_then(|spec| serde_json::to_value(super::definition::view(spec)).ok());
            let check = checks.map_or(Value::Null, |view| view["healthChecks"][*check as usize].clone());
            let body = json!({
                "appId": app, "instanceId": task.instance(), "taskId": task, "healthCheck": check,
            });
            ("failed_health_check_event", body)
        }
        EventKind::UnhealthyTask { app, task, node, version, reason } => {
            let body = json!({
                "appId": app, "instanceId": task.instance(), "taskId": task, "version": version.to_string(),
                "reason": reason, "host": host(state, *node), "slaveId": node.to_string(),
            });
            ("unhealthy_instance_kill_event", body)
        }
        _ => ("", Value::Null),
    }
}
