//! The machine beneath a node, as rows: disks, file systems, links, and records of the kernel's log.

use super::words;
use crate::inspect::{Counters, Disk, FileSystem, Hardware, KernelLine, Link, Route};
use crate::strings as t;

pub struct MachineView {
    pub facts: Vec<(&'static str, String)>,
    pub disks: Vec<DiskRow>,
    pub file_systems: Vec<SpaceRow>,
    pub links: Vec<LinkRow>,
    pub routes: Vec<Route>,
}

pub struct DiskRow {
    pub name: String,
    pub what: String,
    pub size: String,
    pub parts: Vec<String>,
}

pub struct SpaceRow {
    pub mount: String,
    pub source: String,
    pub kind: String,
    pub read_only: bool,
    pub text: String,
    pub percent: u64,
    pub inodes: String,
}

pub struct LinkRow {
    pub name: String,
    pub class: &'static str,
    pub state: String,
    pub mac: String,
    pub addresses: String,
    pub received: String,
    pub sent: String,
    pub faults: String,
}

pub struct KernelRow {
    pub time: String,
    pub level: &'static str,
    pub is_grave: bool,
    pub text: String,
}

pub fn view(machine: Hardware) -> MachineView {
    let facts = vec![
        (t::FACT_LOAD, machine.load.join("  ")),
        (t::FACT_PROCESSES, machine.processes.to_string()),
        (t::FACT_RESOLVERS, machine.resolvers.join(", ")),
        (t::FACT_SEARCH, machine.search_domains.join(", ")),
    ];
    MachineView {
        facts: facts.into_iter().filter(|(_, text)| !text.is_empty()).collect(),
        disks: machine.disks.iter().map(disk).collect(),
        file_systems: machine.file_systems.iter().map(space).collect(),
        links: machine.links.iter().map(link).collect(),
        routes: machine.routes,
    }
}

fn disk(disk: &Disk) -> DiskRow {
    let kind = if disk.rotational { t::DISK_ROTATES } else { "" };
    let flags = [(disk.removable, t::DISK_REMOVABLE), (disk.read_only, t::READ_ONLY)];
    let words = [disk.model.as_str(), kind].into_iter();
    let words = words.chain(flags.iter().filter(|(is, _)| *is).map(|(_, word)| *word));
    let part = |part: &crate::inspect::Partition| {
        format!("{} {} {}", part.name, part.label, words::bytes(part.bytes)).replace("  ", " ")
    };
    DiskRow {
        name: disk.name.clone(),
        what: words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", "),
        size: words::bytes(disk.bytes),
        parts: disk.partitions.iter().map(part).collect(),
    }
}

fn space(found: &FileSystem) -> SpaceRow {
    let used = found.total_bytes.saturating_sub(found.free_bytes);
    let inodes_used = found.total_inodes.saturating_sub(found.free_inodes);
    let inodes = (inodes_used.saturating_mul(100)).checked_div(found.total_inodes);
    SpaceRow {
        mount: found.mount.clone(),
        source: found.source.clone(),
        kind: found.kind.clone(),
        read_only: found.read_only,
        text: t::used_of(&words::bytes(used), &words::bytes(found.total_bytes)),
        percent: (used.saturating_mul(100)).checked_div(found.total_bytes).unwrap_or_default(),
        inodes: inodes.map(|percent| format!("{percent} %")).unwrap_or_default(),
    }
}

fn link(link: &Link) -> LinkRow {
    let (class, state) = match (link.up, link.carrier) {
        (false, _) => ("suspended", t::LINK_DOWN.to_owned()),
        (true, false) => ("waiting", t::LINK_NO_CARRIER.to_owned()),
        (true, true) => ("running", link.speed_mbit.map_or(t::LINK_UP.to_owned(), t::speed)),
    };
    let traffic = |c: &Counters| t::link_traffic(&words::bytes(c.bytes), c.packets);
    let sum = |pick: fn(&Counters) -> u64| pick(&link.received) + pick(&link.sent);
    let (errors, dropped) = (sum(|c| c.errors), sum(|c| c.dropped));
    LinkRow {
        name: link.name.clone(),
        class,
        state,
        // All zeros where there is no hardware.
        mac: if link.mac.starts_with("00:00:00:00") { String::new() } else { link.mac.clone() },
        addresses: link.addresses.join(", "),
        received: traffic(&link.received),
        sent: traffic(&link.sent),
        faults: if errors + dropped == 0 { String::new() } else { t::link_faults(errors, dropped) },
    }
}

pub fn kernel_row(line: &KernelLine) -> KernelRow {
    KernelRow {
        time: format!("{}.{:03}", line.at_ms / 1000, line.at_ms % 1000),
        level: t::LEVELS[usize::from(line.level.min(7))],
        is_grave: line.level <= 3,
        text: line.text.chars().map(crate::sandbox::visible).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_words() {
        let up = Link { name: "eth0".into(), up: true, carrier: true, ..Link::default() };
        let told = |link: &Link| super::link(link).state;
        assert_eq!(told(&Link { speed_mbit: Some(10_000), ..up.clone() }), "10 Gbit/s");
        assert_eq!(told(&Link { speed_mbit: Some(100), ..up.clone() }), "100 Mbit/s");
        assert_eq!(told(&up), "connected");
        assert_eq!(told(&Link { carrier: false, ..up.clone() }), "no carrier");
        assert_eq!(told(&Link { up: false, ..up.clone() }), "off");
        let dropped = Counters { dropped: 2, ..Counters::default() };
        assert_eq!(super::link(&Link { received: dropped, ..up.clone() }).faults, "0 errors, 2 dropped");
        assert_eq!(super::link(&up).faults, "");
    }

    #[test]
    fn disks_and_space() {
        let partition = crate::inspect::Partition { name: "sda1".into(), label: String::new(), bytes: 1024 };
        let given = Disk {
            name: "sda".into(),
            model: "ACME".into(),
            bytes: 1 << 30,
            rotational: true,
            partitions: vec![partition],
            ..Disk::default()
        };
        let row = disk(&given);
        assert_eq!((row.what.as_str(), row.size.as_str()), ("ACME, rotates", "1.0 GiB"));
        assert_eq!(row.parts, ["sda1 1.0 KiB"]);
        let full = FileSystem { total_bytes: 1000, free_bytes: 250, ..FileSystem::default() };
        assert_eq!((space(&full).percent, space(&full).inodes.as_str()), (75, ""));
    }
}
