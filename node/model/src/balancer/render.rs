//! The text of the configuration: the same services and seats make the same text on every node.
//!
//! Profile *modern* of spec/marathon-lb.md: upstream's names and meaning, in words that HAProxy 2.6 and 3.0 know.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use super::quote::word;
use super::{Bind, Check, Mode, Server, Service, Services, Settings};

/// Slots of the back ends by name; `None` is an empty one.
pub type Seats = BTreeMap<String, Vec<Option<Server>>>;

/// What a request is answered with that matches nothing.
const UNMATCHED: &str = "No application answers to this name here.";

/// At a reload an idle connection is closed with its next answer, never under the client's hands.
const GENTLE: &str = "option idle-close-on-response";

/// The whole file. `structure` is written into it, so that a running HAProxy can be asked what it was made from.
pub fn render(services: &Services, settings: &Settings, seats: &Seats, structure: &str) -> String {
    let mut text = String::from("# Written by meseta from the cluster's state; changes are lost.\n");
    head(&mut text, services, settings, structure);
    let has_vhosts = services.list.iter().any(|service| !service.vhosts.is_empty());
    if has_vhosts {
        vhosts(&mut text, services, settings);
        app_ids(&mut text, services, settings);
    }
    for service in &services.list {
        front_end(&mut text, service, settings);
    }
    if has_vhosts {
        line(&mut text, "");
        line(&mut text, "backend unmatched");
        let answer =
            format!("http-request return status 503 content-type text/plain string \"{UNMATCHED}\\n\"");
        option(&mut text, &answer);
    }
    for service in &services.list {
        let none = Vec::new();
        back_end(&mut text, service, seats.get(&service.name).unwrap_or(&none));
    }
    text
}

/// Services in the order in which their rules are looked at.
pub fn by_weight(list: &[Service]) -> Vec<&Service> {
    let mut sorted: Vec<&Service> = list.iter().collect();
    sorted.sort_by_key(|service| std::cmp::Reverse(service.weight));
    sorted
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn option(text: &mut String, option: &str) {
    text.push_str("    ");
    line(text, option);
}

fn head(text: &mut String, services: &Services, settings: &Settings, structure: &str) {
    line(text, "global");
    let _ = writeln!(text, "    description {structure}");
    let _ = writeln!(text, "    stats socket {} mode 600 level admin expose-fd listeners", settings.socket);
    if let Some((user, folder)) = &settings.jail {
        let _ = writeln!(text, "    uid {user}\n    gid {user}\n    chroot {folder}");
    }
    // Bounds the tables that HAProxy makes for every descriptor it may open.
    for fixed in [
        "stats timeout 1h",
        "fd-hard-limit 32768",
        "hard-stop-after 30m",
        "ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets",
        "spread-checks 5",
    ] {
        option(text, fixed);
    }
    line(text, "");
    line(text, "defaults");
    for fixed in [
        "mode http",
        "retries 3",
        // Each try after a refused connection goes to another server.
        "option redispatch 1",
        "option dontlognull",
        "timeout connect 3s",
        "timeout client 30s",
        "timeout server 30s",
        "timeout tunnel 3600s",
        "timeout http-keep-alive 10s",
        "timeout http-request 15s",
        "timeout queue 30s",
    ] {
        option(text, fixed);
    }
    if let Some(key) = word(&services.cookie_key) {
        option(text, &format!("dynamic-cookie-key {key}"));
    }
}

fn vhosts(text: &mut String, services: &Services, settings: &Settings) {
    let certificate = format!(" ssl crt {} alpn h2,http/1.1", settings.certificate);
    let both = [("http", settings.http, ""), ("https", settings.https, certificate.as_str())];
    for (name, port, tls) in both {
        let Some(port) = port else { continue };
        let _ = write!(text, "\nfrontend {name}\n    bind {}{tls}\n", bind(settings.bind, port));
        option(text, GENTLE);
        option(text, "http-request set-var(txn.host) req.hdr(host),host_only,lower");
        for service in by_weight(&services.list) {
            for host in &service.vhosts {
                let condition = format!("{{ var(txn.host) -m str {host} }}{}", paths(service));
                route(text, service, &condition);
            }
        }
        if tls.is_empty() && settings.https.is_some() {
            for service in services.list.iter().filter(|s| s.redirect_to_https && !s.vhosts.is_empty()) {
                let rule = "http-request redirect scheme https code 301 if";
                option(text, &format!("{rule} {{ var(txn.to) -m str {} }}", service.name));
            }
        }
        chosen(text);
    }
}

/// The first rule that matches chooses; what follows looks at the choice.
fn route(text: &mut String, service: &Service, condition: &str) {
    let _ = writeln!(
        text,
        "    http-request set-var(txn.to) str({}) if !{{ var(txn.to) -m found }} {condition}",
        service.name
    );
}

fn chosen(text: &mut String) {
    option(text, "use_backend %[var(txn.to)] if { var(txn.to) -m found }");
    option(text, "default_backend unmatched");
}

fn paths(service: &Service) -> String {
    if service.paths.is_empty() {
        return String::new();
    }
    let case = if service.paths_ignore_case { "-i " } else { "" };
    format!(" {{ path_beg {case}{} }}", service.paths.join(" "))
}

/// One front end that chooses by the header `X-Marathon-App-Id`.
fn app_ids(text: &mut String, services: &Services, settings: &Settings) {
    let Some(port) = settings.app_id else { return };
    let _ = write!(text, "\nfrontend app_id\n    bind {}\n", bind(settings.bind, port));
    option(text, GENTLE);
    for service in services.list.iter().filter(|service| service.mode == Mode::Http) {
        route(text, service, &format!("{{ req.hdr(x-marathon-app-id) -m str -i {} }}", service.app));
    }
    chosen(text);
}

fn front_end(text: &mut String, service: &Service, settings: &Settings) {
    let Some(port) = service.listen else { return };
    let name = &service.name;
    let _ = write!(text, "\nfrontend {name}\n    bind {}\n", bind(settings.bind, port));
    option(text, mode(service));
    if service.mode == Mode::Http {
        option(text, GENTLE);
    }
    option(text, &format!("default_backend {name}"));
}

fn mode(service: &Service) -> &'static str {
    match service.mode {
        Mode::Http => "mode http",
        Mode::Tcp => "mode tcp",
    }
}

fn bind(bind: Bind, port: u16) -> String {
    match bind {
        Bind::All => format!("[::]:{port} v4v6"),
        Bind::AllV4 => format!("*:{port}"),
        Bind::Only(address) => endpoint(address, port),
    }
}

fn endpoint(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

fn back_end(text: &mut String, service: &Service, seats: &[Option<Server>]) {
    let _ = write!(text, "\nbackend {}\n", service.name);
    option(text, mode(service));
    option(text, &format!("balance {}", service.balance));
    let is_http = service.mode == Mode::Http;
    if is_http && service.hsts {
        option(
            text,
            "http-after-response set-header Strict-Transport-Security max-age=15768000 if { ssl_fc }",
        );
    }
    if is_http {
        for fixed in [
            "option forwardfor",
            "http-request set-header X-Forwarded-Port %[dst_port]",
            "http-request set-header X-Forwarded-Proto https if { ssl_fc }",
            "http-request set-header X-Forwarded-Proto http if !{ ssl_fc }",
        ] {
            option(text, fixed);
        }
    }
    if !service.allowed.is_empty() {
        let condition = format!("!{{ src {} }}", service.allowed.join(" "));
        let rule = if is_http { "http-request deny" } else { "tcp-request content reject" };
        option(text, &format!("{rule} if {condition}"));
    }
    if service.sticky {
        option(text, "cookie mesosphere_server_id insert indirect nocache dynamic");
    }
    let checked = service.check.as_ref().map_or_else(String::new, |check| health(text, check));
    for (at, seat) in seats.iter().enumerate() {
        let (address, disabled) = match seat {
            Some(server) if !server.draining => (endpoint(server.address, server.port), ""),
            // Nobody is ever sent there.
            _ => ("127.0.0.1:1".to_owned(), " disabled"),
        };
        let _ = writeln!(text, "    server {} {address}{disabled}{checked}", slot_name(at));
    }
}

/// Writes what all servers of the back end share, and gives what each one's line ends with.
fn health(text: &mut String, check: &Check) -> String {
    if let Some(path) = check.path.as_deref().and_then(word) {
        option(text, &format!("option httpchk GET {path}"));
    }
    let _ = writeln!(text, "    timeout check {}ms", check.timeout_ms.min(MS_MAX));
    let interval = check.interval_ms.clamp(1, MS_MAX);
    let port = check.port.map_or_else(String::new, |port| format!(" port {port}"));
    let tls = if check.tls { " check-ssl verify none" } else { "" };
    // A server that is not up yet is looked at often: one answer lets it in.
    let eager = interval.min(EAGER_MS);
    format!(
        " check{tls}{port} inter {interval}ms downinter {eager}ms fastinter {eager}ms rise 1 fall {}",
        check.fall
    )
}

const EAGER_MS: u64 = 200;
/// HAProxy's times end at 2^31 ms.
const MS_MAX: u64 = 86_400_000;

/// Slots are numbered from 1, as `server-template` would.
pub fn slot_name(at: usize) -> String {
    format!("s{}", at + 1)
}
