//! The HTTP API of Mesos-DNS, on a port of its own (8123): names, services and whole lists as JSON.
//!
//! Behind the same gate as `/v2`. What Mesos-DNS shows that does not exist here (its poll of the master, credentials)
//! is given the value that comes nearest, or left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, State as Extract};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use console::Backend;
use model::ids::IdSource;
use model::zone::label::normalised;
use model::zone::{Kind, Record, RecordData, Zone};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::Api;
use super::auth::gate;
use super::error::ApiError;

/// As many as `dig` gets by TCP.
const RECORDS_MAX: usize = 4_096;

pub fn router(backend: Arc<dyn Backend>) -> Router {
    let api = Api { backend, verified: Arc::default(), event_clients: Arc::new(Semaphore::new(0)) };
    Router::new()
        .route("/v1/version", get(version))
        .route("/v1/config", get(config))
        .route("/v1/hosts/{host}", get(hosts))
        .route("/v1/hosts/{host}/ports", get(ports))
        .route("/v1/services/{service}", get(services))
        .route("/v1/enumerate", get(enumerate))
        .route("/v1/axfr", get(axfr))
        .fallback(|| async { ApiError::not_found("There is nothing here") })
        .layer(from_fn_with_state(api.clone(), gate))
        .with_state(api)
}

async fn version() -> Json<Value> {
    Json(json!({
        "Service": "Mesos-DNS",
        "Version": env!("CARGO_PKG_VERSION"),
        "URL": "https://github.com/mesosphere/mesos-dns",
    }))
}

async fn config(Extract(api): Extract<Api>) -> Json<Value> {
    let dns = api.backend.dns();
    let settings = dns.zone.settings();
    let (listener, port) = dns.address.rsplit_once(':').unwrap_or_default();
    let server = settings.server_name();
    Json(json!({
        "Domain": settings.domain,
        "TTL": settings.ttl_s,
        "SRVRecordDefaultWeight": settings.srv_weight,
        "Listener": listener,
        "Port": port.parse::<u16>().unwrap_or(0),
        "DnsOn": !dns.address.is_empty(),
        "HttpOn": true,
        "Resolvers": dns.upstreams,
        "ExternalOn": true,
        "RecurseOn": true,
        "SOAMname": format!("{server}."),
        "SOARname": format!("root.{server}."),
        "SOASerial": dns.zone.serial(),
        "SOARefresh": 60,
        "SOARetry": 600,
        "SOAExpire": 86_400,
        "SOAMinttl": settings.ttl_s,
        "IPSources": ["netinfo", "host"],
        "EnforceRFC952": false,
        "EnumerationOn": true,
        "SetTruncateBit": true,
        // Changes are followed as they happen.
        "RefreshSeconds": 0,
    }))
}

/// The records of a name, and those of their targets.
fn look_up(zone: &Zone, name: &str, kind: Kind) -> (Vec<Record>, Vec<Record>) {
    let answer = zone.answer(&normalised(name), kind, RECORDS_MAX, &mut IdSource::new(rand::random()));
    answer.map(|answer| (answer.answers, answer.additional)).unwrap_or_default()
}

fn address(record: &Record) -> Option<String> {
    match &record.data {
        RecordData::A(v4) => Some(v4.to_string()),
        RecordData::Aaaa(v6) => Some(v6.to_string()),
        _ => None,
    }
}

async fn hosts(Extract(api): Extract<Api>, Path(host): Path<String>) -> Json<Value> {
    let zone = api.backend.dns().zone;
    let shown = format!("{}.", normalised(&host));
    let records = [Kind::A, Kind::Aaaa].into_iter().flat_map(|kind| look_up(&zone, &host, kind).0);
    let found: Vec<Value> =
        records.filter_map(|r| Some(json!({ "host": shown, "ip": address(&r)? }))).collect();
    Json(or_one_empty(found, json!({ "host": "", "ip": "" })))
}

/// Unknown names are answered by one entry of empty texts; clients wait for it.
fn or_one_empty(found: Vec<Value>, empty: Value) -> Value {
    Value::Array(if found.is_empty() { vec![empty] } else { found })
}

async fn ports() -> Response {
    (StatusCode::NOT_IMPLEMENTED, "To be implemented...").into_response()
}

async fn services(Extract(api): Extract<Api>, Path(service): Path<String>) -> Json<Value> {
    let zone = api.backend.dns().zone;
    let (records, additional) = look_up(&zone, &service, Kind::Srv);
    let mut found = Vec::new();
    for record in &records {
        let RecordData::Srv { port, target, .. } = &record.data else { continue };
        for ip in additional.iter().filter(|r| r.owner == *target).filter_map(address) {
            let (host, port) = (format!("{target}."), port.to_string());
            found.push(json!({ "service": service, "host": host, "ip": ip, "port": port }));
        }
    }
    Json(or_one_empty(found, json!({ "service": "", "host": "", "ip": "", "port": "" })))
}

/// Type and value as Mesos-DNS writes them.
fn written(data: &RecordData) -> Option<(&'static str, String)> {
    match data {
        RecordData::A(v4) => Some(("A", v4.to_string())),
        RecordData::Aaaa(v6) => Some(("AAAA", v6.to_string())),
        RecordData::Srv { port, target, .. } => Some(("SRV", format!("{target}.:{port}"))),
        RecordData::Ns(_) | RecordData::Soa(_) => None,
    }
}

async fn enumerate(Extract(api): Extract<Api>) -> Json<Value> {
    let zone = api.backend.dns().zone;
    let mut told = BTreeSet::new();
    let mut frameworks: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for task in zone.by_task() {
        let mut records = Vec::new();
        for (name, data) in task.records {
            let Some((rtype, host)) = written(&data) else { continue };
            // What several tasks share is listed with the first.
            if told.insert((name.clone(), rtype, host.clone())) {
                records.push(json!({ "name": format!("{name}."), "host": host, "rtype": rtype }));
            }
        }
        let entry = json!({ "name": task.name, "id": task.id, "records": records });
        frameworks.entry(task.framework).or_default().push(entry);
    }
    let frameworks: Vec<Value> =
        frameworks.into_iter().map(|(name, tasks)| json!({ "name": name, "tasks": tasks })).collect();
    Json(json!({ "frameworks": frameworks }))
}

async fn axfr(Extract(api): Extract<Api>) -> Json<Value> {
    let zone = api.backend.dns().zone;
    let mut records: BTreeMap<&str, BTreeMap<String, Vec<String>>> =
        ["A", "AAAA", "SRV"].map(|kind| (kind, BTreeMap::new())).into();
    for (name, entry) in zone.names().iter() {
        for (kind, value) in zone.listed(entry).iter().filter_map(written) {
            records.entry(kind).or_default().entry(format!("{name}.")).or_default().push(value);
        }
    }
    let server = zone.settings().server_name();
    Json(json!({
        "TTL": zone.settings().ttl_s,
        "Serial": zone.serial(),
        "RefreshSeconds": 0,
        "Mname": format!("{server}."),
        "Rname": format!("root.{server}."),
        "Domain": zone.settings().domain,
        "Records": { "As": records["A"], "AAAAs": records["AAAA"], "SRVs": records["SRV"] },
    }))
}
