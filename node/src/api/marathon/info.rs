//! `/v2/info`, `/v2/leader`, `/ping`, `/metrics`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::limits;
use model::task::{Task, TaskState};
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::accept::{accepts, prefers_text};
use crate::api::error::ApiError;
use crate::api::query::Query;

/// The release whose behaviour clients may expect; ours is in `buildref`.
const MARATHON_VERSION: &str = "1.10.26";

/// GET /v2/info: exactly the keys that strict clients know.
pub async fn info(Extract(api): Extract<Api>) -> Json<Value> {
    let state = api.backend.state();
    let leader = api.backend.leader();
    let framework = state.cluster.map(|cluster| format!("{cluster}-0000"));
    Json(json!({
        "name": "marathon",
        "version": MARATHON_VERSION,
        "buildref": concat!("meseta-", env!("CARGO_PKG_VERSION")),
        "elected": leader.as_ref().is_some_and(|leader| leader.is_self),
        "leader": leader.map(|leader| leader.address),
        "frameworkId": framework,
        "marathon_config": marathon_config(),
        "zookeeper_config": zookeeper_config(),
        "http_config": { "http_port": 8080, "https_port": 8443 },
    }))
}

fn marathon_config() -> Value {
    json!({
        "access_control_allow_origin": null, "checkpoint": true, "decline_offer_duration": 120_000,
        "default_network_name": null, "env_vars_prefix": null, "executor": "//cmd", "failover_timeout": 604_800,
        "features": [], "framework_name": "marathon", "ha": true, "hostname": null, "launch_token": 100,
        "launch_token_refresh_interval": 30_000, "leader_proxy_connection_timeout_ms": 5_000,
        "leader_proxy_read_timeout_ms": 10_000, "local_port_min": 10_000, "local_port_max": 20_000,
        "maintenance_mode": false, "master": null, "max_instances_per_offer": 5, "mesos_bridge_name": "mesos-bridge",
        "mesos_heartbeat_failure_threshold": 5, "mesos_heartbeat_interval": 15_000, "mesos_leader_ui_url": null,
        "mesos_role": null, "mesos_user": null, "min_revive_offers_interval": 5_000, "new_group_enforce_role": "off",
        "offer_matching_timeout": 3_000, "on_elected_prepare_timeout": 180_000, "reconciliation_initial_delay": 15_000,
        "reconciliation_interval": 600_000, "scale_apps_initial_delay": 15_000, "scale_apps_interval": 300_000,
        "store_cache": true, "task_launch_confirm_timeout": 300_000, "task_launch_timeout": 300_000,
        "task_lost_expunge_initial_delay": 300_000, "task_lost_expunge_interval": 30_000,
        "task_reservation_timeout": 20_000, "webui_url": null,
    })
}

/// There is no ZooKeeper; the keys are those that clients read.
fn zookeeper_config() -> Value {
    json!({
        "zk": "", "zk_compression": true, "zk_compression_threshold": 65_536, "zk_connection_timeout": 10_000,
        "zk_max_node_size": 1_024_000, "zk_max_versions": limits::VERSIONS_PER_APP_MAX, "zk_session_timeout": 10_000,
        "zk_timeout": 10_000,
    })
}

/// GET /v2/leader
pub async fn leader(Extract(api): Extract<Api>) -> Result<Json<Value>, ApiError> {
    let leader = api.backend.leader().ok_or_else(|| ApiError::not_found("There is no leader"))?;
    Ok(Json(json!({ "leader": leader.address })))
}

/// GET /ping: open to everybody, for load balancers and monitors.
pub async fn ping(headers: HeaderMap) -> Response {
    let plain = accepts(&headers, "text/plain") && !wants_json(&headers);
    if plain {
        ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "pong").into_response()
    } else if accepts(&headers, "application/json") {
        Json("pong").into_response()
    } else {
        StatusCode::NO_CONTENT.into_response()
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
    accept.contains("application/json") && !prefers_text(headers)
}

/// GET /metrics
pub async fn metrics(Extract(api): Extract<Api>, query: Query) -> Result<Json<Value>, ApiError> {
    let state = api.read(&query).await?;
    let apps: Vec<_> = state.apps.values().filter(|app| !app.deleted).collect();
    let is_running = |task: &&Arc<Task>| task.state == TaskState::Running;
    let running = apps.iter().map(|app| app.tasks.values().filter(is_running).count()).sum();
    let gauge = |value: usize| json!({ "value": value });
    Ok(Json(json!({
        "version": "4.0.0",
        "counters": {},
        "gauges": {
            "service.mesosphere.marathon.app.count": gauge(apps.len()),
            "service.mesosphere.marathon.task.running.count": gauge(running),
            "marathon.deployments.counter": gauge(state.deployments.len()),
            "meseta.log.index": { "value": state.index },
        },
        "histograms": {},
        "meters": {},
        "timers": {},
    })))
}
