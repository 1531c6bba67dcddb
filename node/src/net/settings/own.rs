//! Our own form of the settings: `meseta.json`, the `meseta` section of user data, fw_cfg, and the saved file.
//!
//! ```json
//! { "hostname": "rock", "dns": ["10.0.0.2"], "ntp": ["10.0.0.3"], "proxy": "http://10.0.0.9:3128",
//!   "registry_mirrors": ["docker.io=http://10.0.0.9:5000"], "watchdog": 60, "join": "meseta1.…",
//!   "interfaces": [{ "name": "eth0", "method": "static", "address": "10.0.0.5/24", "gateway": "10.0.0.1" }] }
//! ```
//! An interface is named by `name` or `mac`; with neither it is the first card.

use serde_json::{Value, json};

use super::tree::{Fault, Node};
use super::{
    Addressing, Interface, Settings, Which, device_name, dns_server, gateway, host_name, join_token, mac,
    proxy, registry_mirror, static_address, time_server,
};
use crate::watchdog::Watchdog;

/// Everything that is right counts; what is not is a fault with its line.
pub fn read_own(node: &Node) -> (Settings, Vec<Fault>) {
    let mut settings = Settings::default();
    let mut faults = Vec::new();
    match node.map("settings") {
        Ok(pairs) => {
            for (key, value) in pairs {
                if let Err(fault) = read_key(&mut settings, key, value) {
                    faults.push(fault);
                }
            }
        }
        Err(fault) => faults.push(fault),
    }
    if let Err(what) = settings.check() {
        faults.push(node.fault(what));
        settings = Settings::default();
    }
    (settings, faults)
}

fn read_key(settings: &mut Settings, key: &str, value: &Node) -> Result<(), Fault> {
    match key {
        "hostname" => settings.hostname = Some(one(value, key, host_name)?),
        "proxy" => settings.proxy = Some(one(value, key, proxy)?),
        "dns" => settings.dns = many(value, key, dns_server)?,
        "ntp" => settings.ntp = many(value, key, time_server)?,
        "watchdog" => settings.watchdog = Some(one(value, key, Watchdog::parse)?),
        "join" => settings.join = Some(Box::new(one(value, key, join_token)?)),
        "registry_mirrors" => settings.registry_mirrors = many(value, key, registry_mirror)?,
        "interfaces" => {
            settings.interfaces = value.list(key)?.iter().map(interface).collect::<Result<_, _>>()?;
        }
        other => return Err(value.fault(format!("`{other}` is not a setting"))),
    }
    Ok(())
}

fn one<T>(node: &Node, what: &str, read: fn(&str) -> Result<T, String>) -> Result<T, Fault> {
    read(node.text(what)?).map_err(|what| node.fault(what))
}

fn many<T>(node: &Node, what: &str, read: fn(&str) -> Result<T, String>) -> Result<Vec<T>, Fault> {
    node.items().iter().map(|item| one(item, what, read)).collect()
}

fn interface(node: &Node) -> Result<Interface, Fault> {
    let (mut card, mut method, mut address, mut router) = (Which::First, None, None, None);
    for (key, value) in node.map("an interface")? {
        match key.as_str() {
            "name" => card = Which::Name(one(value, key, device_name)?),
            "mac" => card = Which::Mac(one(value, key, mac)?),
            "method" => method = Some(value.text(key)?),
            "address" => address = Some(one(value, key, static_address)?),
            "gateway" => router = Some(one(value, key, gateway)?),
            other => return Err(value.fault(format!("`{other}` is not a setting of an interface"))),
        }
    }
    let addressing = match (method, address) {
        (None | Some("static"), Some((address, prefix))) => {
            Addressing::Static { address, prefix, gateway: router }
        }
        (Some("static"), None) => return Err(node.fault("an interface with method static has no address")),
        (None | Some("dhcp"), None) => Addressing::Dhcp,
        (Some("off"), None) => Addressing::Off,
        (Some(other), _) => {
            let what = format!("method is `{other}`, expected dhcp, off, or static with an address");
            return Err(node.fault(what));
        }
    };
    Ok(Interface { card, addressing })
}

/// The text that [`read_own`] reads back as the same settings.
pub fn emit(settings: &Settings) -> String {
    let interfaces: Vec<Value> = settings.interfaces.iter().map(emit_interface).collect();
    let mut out = json!({ "interfaces": interfaces, "dns": settings.dns, "ntp": settings.ntp });
    if let Some(name) = &settings.hostname {
        out["hostname"] = json!(name);
    }
    if let Some(url) = &settings.proxy {
        out["proxy"] = json!(url);
    }
    if !settings.registry_mirrors.is_empty() {
        out["registry_mirrors"] = json!(settings.registry_mirrors);
    }
    if let Some(token) = &settings.join {
        out["join"] = json!(token.to_line());
    }
    match settings.watchdog {
        Some(Watchdog::Seconds(seconds)) => out["watchdog"] = json!(seconds),
        Some(Watchdog::Off) => out["watchdog"] = json!("off"),
        None => {}
    }
    format!("{out:#}\n")
}

fn emit_interface(interface: &Interface) -> Value {
    let mut out = match &interface.addressing {
        Addressing::Dhcp => json!({ "method": "dhcp" }),
        Addressing::Off => json!({ "method": "off" }),
        Addressing::Static { address, prefix, .. } => {
            json!({ "method": "static", "address": format!("{address}/{prefix}") })
        }
    };
    if let Addressing::Static { gateway: Some(gateway), .. } = &interface.addressing {
        out["gateway"] = json!(gateway);
    }
    match &interface.card {
        Which::First => {}
        Which::Name(name) => out["name"] = json!(name),
        Which::Mac(mac) => out["mac"] = json!(mac.map(|byte| format!("{byte:02x}")).join(":")),
    }
    out
}
