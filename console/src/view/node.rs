//! The node that answers: its boot, services, resources.

use crate::strings as t;
use crate::{NodeStatus, Service};

use super::words;

pub struct NodeView {
    pub name: String,
    pub facts: Vec<(&'static str, String)>,
    pub gauges: Vec<Gauge>,
    pub phases: Vec<PhaseBar>,
    /// The scale of the bars, in words.
    pub boot_total: String,
    pub services: Vec<Service>,
    pub last_error: String,
}

/// A part of a whole.
pub struct Gauge {
    pub word: &'static str,
    pub text: String,
    pub percent: u64,
}

/// One boot phase on a scale of 1000 units.
pub struct PhaseBar {
    pub name: String,
    pub time: String,
    pub note: String,
    pub is_running: bool,
    pub x: u64,
    pub width: u64,
}

const SCALE: u64 = 1000;

pub fn view(status: &NodeStatus) -> NodeView {
    let addresses = status.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let facts = vec![
        (t::FACT_VERSION, status.product_version.clone()),
        (t::FACT_KERNEL, status.kernel.clone()),
        (t::FACT_ADDRESSES, addresses),
        (t::FACT_UPTIME, words::duration(status.uptime_s * 1000)),
        (t::FACT_NODE_ID, status.id.to_string()),
    ];
    NodeView {
        name: status.name.clone(),
        facts: facts.into_iter().filter(|(_, text)| !text.is_empty()).collect(),
        gauges: gauges(status),
        phases: phases(status),
        boot_total: words::duration(boot_end(status)),
        services: status.services.clone(),
        last_error: status.last_error.clone(),
    }
}

fn gauges(status: &NodeStatus) -> Vec<Gauge> {
    let (has, used) = (status.resources, status.used);
    let memory_used_kib = status.memory_total_kib.saturating_sub(status.memory_available_kib);
    let state_used = status.state_bytes_total.saturating_sub(status.state_bytes_free);
    let gauge = |word, used: u64, of: u64, show: fn(u64) -> String| Gauge {
        word,
        text: t::used_of(&show(used), &show(of)),
        percent: (used * 100).checked_div(of).unwrap_or(0).min(100),
    };
    vec![
        gauge(t::GAUGE_CPUS, used.cpu_milli, has.cpu_milli, words::cpus),
        gauge(t::GAUGE_MEMORY, used.mem_mib, has.mem_mib, words::mebibytes),
        gauge(t::GAUGE_DISK, used.disk_mib, has.disk_mib, words::mebibytes),
        gauge(t::GAUGE_MEMORY_NOW, memory_used_kib, status.memory_total_kib, |kib| {
            words::mebibytes(kib / 1024)
        }),
        gauge(t::GAUGE_STATE, state_used, status.state_bytes_total, words::bytes),
    ]
}

/// When the last phase ended, or the latest moment known if one still runs. Milliseconds since the kernel started.
fn boot_end(status: &NodeStatus) -> u64 {
    let running = status.phases.iter().any(|phase| phase.end_ms.is_none());
    let known = status.phases.iter().map(|phase| phase.end_ms.unwrap_or(phase.start_ms)).max().unwrap_or(0);
    if running { known.max(status.uptime_s * 1000) } else { known }
}

fn phases(status: &NodeStatus) -> Vec<PhaseBar> {
    let end = boot_end(status).max(1);
    let bar = |phase: &crate::BootPhase| {
        let phase_end = phase.end_ms.unwrap_or(end);
        let x = phase.start_ms.min(end) * SCALE / end;
        PhaseBar {
            name: phase.name.clone(),
            time: words::duration(phase_end.saturating_sub(phase.start_ms)),
            note: phase.note.clone(),
            is_running: phase.end_ms.is_none(),
            x,
            // Shorter ones would not be seen.
            width: (phase_end.saturating_sub(phase.start_ms) * SCALE / end).clamp(4, SCALE),
        }
    };
    status.phases.iter().map(bar).collect()
}
