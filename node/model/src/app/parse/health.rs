//! Health checks (spec/marathon.md §2.6).

use super::super::fault::quoted;
use super::super::fields::{Amount, Field, Fields};
use super::super::{HealthCheck, HealthPort, HealthProtocol};
use super::keys;

const CHECKS_MAX: usize = 16;
/// A day: no check needs to be rarer, and sums of it stay far from overflow.
const DAY_MS: u64 = 86_400_000;
const DELAY: Amount = Amount::seconds(0, 365 * DAY_MS);
/// A check without a pause, or without time to answer, would be a busy loop or never pass.
const PERIOD: Amount = Amount::seconds(1, DAY_MS);

const PROTOCOLS: [(&str, HealthProtocol); 7] = [
    ("HTTP", HealthProtocol::Http),
    ("HTTPS", HealthProtocol::Https),
    ("TCP", HealthProtocol::Tcp),
    ("COMMAND", HealthProtocol::Command),
    ("MESOS_HTTP", HealthProtocol::MesosHttp),
    ("MESOS_HTTPS", HealthProtocol::MesosHttps),
    ("MESOS_TCP", HealthProtocol::MesosTcp),
];

/// `ports`: how many ports the app has, which a `portIndex` must stay below.
pub fn read(fields: &Fields, ports: usize) -> Vec<HealthCheck> {
    let Some(field) = fields.get("healthChecks") else { return Vec::new() };
    let items = field.list_up_to(CHECKS_MAX).unwrap_or_default();
    let checks: Vec<HealthCheck> = items.iter().filter_map(|item| read_one(item, ports)).collect();
    let on_node = |c: &&HealthCheck| {
        matches!(
            c.protocol,
            HealthProtocol::MesosHttp | HealthProtocol::MesosHttps | HealthProtocol::MesosTcp
        )
    };
    if checks.iter().filter(on_node).count() > 1 {
        field.rule("holds several checks of a MESOS_ protocol; expected at most one");
    }
    checks
}

fn read_one(item: &Field, ports: usize) -> Option<HealthCheck> {
    let check = item.object(keys::HEALTH_CHECK)?;
    let protocol = check.get("protocol").map_or(Some(HealthProtocol::Http), |f| f.word(&PROTOCOLS))?;
    if let Some(family) = check.get("ipProtocol")
        && family.word(&[("IPv4", false), ("IPv6", true)]) == Some(true)
    {
        family.rule("is \"IPv6\"; only \"IPv4\" is supported yet");
    }
    Some(HealthCheck {
        protocol,
        path: read_path(&check, protocol),
        port: read_port(&check, protocol, ports),
        command: read_command(&check, protocol),
        grace_ms: check.decimal("gracePeriodSeconds", &DELAY).unwrap_or(300_000),
        interval_ms: check.decimal("intervalSeconds", &PERIOD).unwrap_or(60_000),
        timeout_ms: check.decimal("timeoutSeconds", &PERIOD).unwrap_or(20_000),
        delay_ms: check.decimal("delaySeconds", &DELAY).unwrap_or(15_000),
        max_consecutive_failures: check
            .integer("maxConsecutiveFailures", 0..=u64::from(u32::MAX))
            .map_or(3, |n| n as u32),
        ignore_http_1xx: check.flag("ignoreHttp1xx", false),
    })
}

fn read_path(check: &Fields, protocol: HealthProtocol) -> Option<String> {
    use HealthProtocol::{Command, Http, Https, MesosHttp, MesosHttps, MesosTcp, Tcp};
    let field = check.get("path")?;
    let path = field.text()?;
    match protocol {
        Http | Https | MesosHttp | MesosHttps
            if path.contains(|c: char| c.is_whitespace() || c.is_control()) =>
        {
            field.rule(format!("is {}; expected a path without blanks, e.g. \"/health\"", quoted(path)));
            None
        }
        Http | Https | MesosHttp | MesosHttps => Some(path.to_owned()).filter(|path| !path.is_empty()),
        // Marathon's own form sends a path with every protocol; nothing reads it.
        Tcp | MesosTcp | Command => None,
    }
}

fn read_port(check: &Fields, protocol: HealthProtocol, ports: usize) -> Option<HealthPort> {
    let number = check.integer("port", 0..=65_535);
    let index = check.integer("portIndex", 0..=u64::from(u32::MAX));
    match (number, index) {
        _ if protocol == HealthProtocol::Command => None,
        (Some(number), _) => Some(HealthPort::Number(number as u16)),
        // An index that is there but cannot be read has its fault already.
        (None, None) if check.get("portIndex").is_some() || check.get("port").is_some() => None,
        (None, index) => {
            let index = index.unwrap_or(0);
            if index >= ports as u64 {
                let has = match ports {
                    0 => "the app has no port".to_owned(),
                    1 => "the app has one port, number 0".to_owned(),
                    count => format!("the app has {count} ports, numbered from 0"),
                };
                check.rule(
                    "portIndex",
                    format!(
                        "Health check port indices must address an element of the ports array or container port \
                         mappings: {index}, but {has}"
                    ),
                );
            }
            Some(HealthPort::Index(index as u32))
        }
    }
}

fn read_command(check: &Fields, protocol: HealthProtocol) -> Option<String> {
    if protocol != HealthProtocol::Command {
        if check.get("command").is_some_and(|f| !f.is_blank()) {
            check.rule("command", "is given; expected it only with the protocol COMMAND");
        }
        return None;
    }
    let command = check.require("command", "an object `{\"value\": \"…\"}` with the protocol COMMAND")?;
    let command = command.object(keys::HEALTH_COMMAND)?;
    let field = command.get("shell").or_else(|| command.require("value", "the command, a string"))?;
    let text = field.text()?;
    if text.is_empty() {
        field.rule("is empty; expected a command");
    }
    Some(text.to_owned())
}
