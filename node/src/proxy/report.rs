//! Reading what HAProxy says of itself. Pure.

use std::collections::BTreeMap;

use model::balancer::{Running, Slot, SlotState, slot_name};

/// Bits of `srv_admin_state`: maintenance and draining that were asked for.
const FORCED_MAINTENANCE: u32 = 0x01;
const FORCED_DRAIN: u32 = 0x08;

/// `srv_op_state` of a server that is up.
const OPERATIONAL: &str = "2";

/// A field of `show info`, e.g. `Version`; empty if it is absent.
pub fn info<'a>(text: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    text.lines().find_map(value).unwrap_or("")
}

/// From the answers to `show info` and `show servers state`.
pub fn running(info_text: &str, servers: &str) -> Running {
    let mut backends: BTreeMap<String, Vec<Slot>> = BTreeMap::new();
    for row in Table::read(servers.trim_start_matches("1\n"), ' ').rows() {
        let slot = || {
            let admin: u32 = row.get("srv_admin_state").parse().ok()?;
            Some(Slot {
                address: row.get("srv_addr").parse().ok()?,
                port: row.get("srv_port").parse().ok()?,
                state: match admin {
                    bits if bits & FORCED_MAINTENANCE != 0 => SlotState::Maintenance,
                    bits if bits & FORCED_DRAIN != 0 => SlotState::Drain,
                    _ => SlotState::Ready,
                },
                well: row.get("srv_op_state") == OPERATIONAL,
            })
        };
        let row_of = backends.entry(row.get("be_name").to_owned()).or_default();
        // Slots come in order; one that is not as expected ends what can be used of its back end.
        if row.get("srv_name") == slot_name(row_of.len())
            && let Some(slot) = slot()
        {
            row_of.push(slot);
        }
    }
    Running { structure: info(info_text, "description").to_owned(), backends }
}

/// Rows of words beneath a line `# name name …`, as `show stat` and `show servers state` give them.
pub struct Table<'a> {
    names: Vec<&'a str>,
    rows: Vec<Vec<&'a str>>,
}

#[derive(Clone, Copy)]
pub struct Row<'a, 'b> {
    names: &'b [&'a str],
    fields: &'b [&'a str],
}

impl<'a> Table<'a> {
    pub fn read(text: &'a str, separator: char) -> Self {
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let head = lines.next().unwrap_or("");
        let names = head.trim_start_matches("# ").split(separator).collect();
        Self { names, rows: lines.map(|line| line.split(separator).collect()).collect() }
    }

    pub fn rows(&self) -> impl Iterator<Item = Row<'a, '_>> {
        self.rows.iter().map(|fields| Row { names: &self.names, fields })
    }
}

impl<'a> Row<'a, '_> {
    /// Empty if there is no such column.
    pub fn get(&self, name: &str) -> &'a str {
        let at = self.names.iter().position(|known| *known == name);
        at.and_then(|at| self.fields.get(at)).copied().unwrap_or("")
    }

    pub fn number(&self, name: &str) -> u64 {
        self.get(name).parse().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVERS: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port\n\
        5 app_10000 1 s1 10.0.0.7 2 0 31001\n5 app_10000 2 s2 127.0.0.1 0 5 1\n5 app_10000 3 s3 10.0.0.8 0 12 31002\n\
        6 other 1 foreign 10.0.0.9 2 0 80\n";

    #[test]
    fn a_running_haproxy_is_understood() {
        let running = running("Name: HAProxy\nVersion: 2.6.12\ndescription: abc\n", SERVERS);
        assert_eq!(running.structure, "abc");
        let slots = &running.backends["app_10000"];
        let states: Vec<SlotState> = slots.iter().map(|slot| slot.state).collect();
        assert_eq!(states, [SlotState::Ready, SlotState::Maintenance, SlotState::Drain]);
        assert_eq!(slots.iter().map(|slot| slot.well).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!((slots[2].address.to_string().as_str(), slots[2].port), ("10.0.0.8", 31_002));
        assert!(running.backends["other"].is_empty(), "not one of our slots");
    }

    #[test]
    fn tables_are_read_by_their_names() {
        let table = Table::read("# pxname,svname,scur,\nweb,FRONTEND,3,\n", ',');
        let row = table.rows().next().expect("a row");
        assert_eq!((row.get("svname"), row.number("scur"), row.get("absent")), ("FRONTEND", 3, ""));
        assert_eq!(info("Uptime_sec: 7\n", "Uptime_sec"), "7");
        assert_eq!(info("", "Version"), "");
    }
}
