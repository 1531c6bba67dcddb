//! The files and the machine of the node that is not there.

use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use console::inspect::*;
use console::sandbox::*;
use console::{LogStream, SandboxError};
use futures::stream::{self, BoxStream, StreamExt};
use model::TaskId;

pub const NOW_MS: u64 = 1_795_356_000_000;

#[derive(Default)]
pub struct Inside;

/// Path, kind, content.
const FILES: [(&[u8], EntryKind, &[u8]); 8] = [
    (b"conf", EntryKind::Folder, b""),
    (b"conf/app.conf", EntryKind::File, b"colour = \x1b[31mred\x1b[0m\nlisten = 8080\n"),
    (b"<b>odd\nname\xff", EntryKind::File, b"odd"),
    (b"binary", EntryKind::File, b"\x00\x01\x02"),
    (b"latest", EntryKind::Link, b"conf/app.conf"),
    (b"notes.txt", EntryKind::File, b"<script>alert('file')</script>\n"),
    (b"picture.png", EntryKind::File, b"\x89PNG\r\n\x1a\n"),
    (b"pipe", EntryKind::Fifo, b""),
];

fn entry(found: &(&[u8], EntryKind, &[u8])) -> Entry {
    let (path, kind, content) = found;
    Entry {
        name: path.rsplit(|byte| *byte == b'/').next().unwrap_or(path).to_vec(),
        kind: *kind,
        size: content.len() as u64,
        modified_ms: NOW_MS,
        target: (*kind == EntryKind::Link).then(|| content.to_vec()),
    }
}

#[async_trait::async_trait]
impl Sandboxes for Inside {
    async fn list(
        &self,
        _: &TaskId,
        path: &SandboxPath,
        skip: usize,
        limit: usize,
    ) -> Result<Listing, SandboxError> {
        let wanted = if path.is_root() { Vec::new() } else { [path.to_bytes(), b"/".to_vec()].concat() };
        let below =
            |path: &[u8]| path.strip_prefix(wanted.as_slice()).is_some_and(|rest| !rest.contains(&b'/'));
        let all: Vec<Entry> = FILES.iter().filter(|(path, ..)| below(path)).map(entry).collect();
        let total = all.len();
        let entries = all.into_iter().skip(skip).take(limit).collect();
        Ok(Listing { entries, total, truncated: false })
    }

    async fn open(&self, _: &TaskId, path: &SandboxPath) -> Result<Opened, SandboxError> {
        if path.is_root() {
            return Ok(Opened::Folder);
        }
        let found = FILES.iter().find(|(name, ..)| *name == path.to_bytes()).ok_or(SandboxError::NotFound)?;
        match found.1 {
            EntryKind::Folder => Ok(Opened::Folder),
            EntryKind::File => {
                let content = Arc::new(found.2.to_vec());
                let size = found.2.len() as u64;
                Ok(Opened::File(OpenFile { size, modified_ms: NOW_MS, tag: "tag".into(), content }))
            }
            _ => Err(SandboxError::Refused("it is neither a file nor a folder")),
        }
    }

    async fn archive(
        &self,
        _: &TaskId,
        _: &SandboxPath,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, SandboxError> {
        Ok(stream::iter([Ok(Bytes::from_static(&[0; 1024]))]).boxed())
    }

    async fn search(&self, _: &TaskId, _: LogStream, search: &LogSearch) -> Result<LogHits, SandboxError> {
        let hit = |n: u64| LogHit {
            offset: search.from + n * 100,
            line: format!("<i>{n}</i> {}\x1b[2J", search.text).into(),
        };
        let hits = if search.text == "nothing" { Vec::new() } else { (1..4).map(hit).collect() };
        Ok(LogHits { hits, searched_to: search.from + 400, complete: search.from > 0 })
    }

    async fn log_times(&self, _: &TaskId, _: LogStream) -> Result<LogTimes, SandboxError> {
        Ok(LogTimes((1..=100).map(|n| (NOW_MS + n * 1_000, n * 1_000)).collect()))
    }

    async fn usage(&self, _: &TaskId) -> Result<Usage, SandboxError> {
        Ok(Usage {
            cpu_total_ms: 1_234_000,
            cpu_milli: Some(230),
            memory_bytes: 301 << 20,
            memory_limit_bytes: Some(512 << 20),
            processes: 7,
            processes_limit: None,
            out_of_memory_kills: 1,
        })
    }
}

#[async_trait::async_trait]
impl Inspector for Inside {
    async fn hardware(&self) -> Result<Hardware, InspectError> {
        let part =
            |name: &str, label: &str, bytes| Partition { name: name.into(), label: label.into(), bytes };
        let space = |mount: &str, kind: &str, total_bytes, free_bytes| FileSystem {
            source: "/dev/vda4".into(),
            mount: mount.into(),
            kind: kind.into(),
            total_bytes,
            free_bytes,
            total_inodes: 1_000,
            free_inodes: 900,
            ..FileSystem::default()
        };
        let traffic = |bytes, packets| Counters { bytes, packets, ..Counters::default() };
        let eth0 = Link {
            name: "eth0".into(),
            mac: "52:54:00:12:34:56".into(),
            up: true,
            carrier: true,
            speed_mbit: Some(1_000),
            mtu: 1500,
            addresses: vec!["192.168.7.21/24".into(), "fe80::5054:ff:fe12:3456/64".into()],
            received: traffic(73 << 20, 81_233),
            sent: traffic(12 << 20, 40_021),
        };
        let route = |destination: &str, gateway: &str, metric| Route {
            destination: destination.into(),
            gateway: gateway.into(),
            link: "eth0".into(),
            metric,
        };
        Ok(Hardware {
            load: vec!["0.20".into(), "0.18".into(), "0.12".into()],
            processes: 93,
            disks: vec![Disk {
                name: "vda".into(),
                model: "QEMU HARDDISK".into(),
                bytes: 20 << 30,
                partitions: vec![part("vda1", "STATE", 1 << 30), part("vda2", "DATA", 18 << 30)],
                ..Disk::default()
            }],
            file_systems: vec![space("/", "erofs", 40 << 20, 0), space("/data", "xfs", 18 << 30, 9 << 30)],
            links: vec![Link { name: "eth1".into(), up: true, ..Link::default() }, eth0],
            routes: vec![route("default", "192.168.7.1", 100), route("192.168.7.0/24", "", 0)],
            resolvers: vec!["192.168.7.1".into()],
            search_domains: vec![],
        })
    }

    async fn kernel_log(&self, query: KernelQuery) -> Result<KernelLog, InspectError> {
        let line = |number: u64| KernelLine {
            number,
            at_ms: number * 731,
            level: (number % 8) as u8,
            text: format!("record <{number}> of the kernel"),
        };
        let all = (0..query.before.unwrap_or(1_000)).rev().map(line);
        let mut lines: Vec<_> = all.filter(|line| line.level <= query.level).take(query.limit).collect();
        lines.reverse();
        let older = lines.first().map(|line| line.number).filter(|number| *number > 7);
        Ok(KernelLog { lines, older })
    }

    async fn service_log(&self, role: &str, _: usize) -> Result<Vec<u8>, InspectError> {
        match role {
            "agent" => Ok(b"INFO the agent starts\nWARN <odd>\x1b[2J\n".to_vec()),
            _ => Err(InspectError::NotFound),
        }
    }
}
