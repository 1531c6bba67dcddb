//! The node that answers: its boot, services, resources.

use crate::strings as t;
use crate::{NodeStatus, Service};

use super::words;

pub struct NodeView {
    pub name: String,
    pub facts: Vec<(&'static str, String)>,
    pub gauges: Vec<Gauge>,
    pub phases: Vec<PhaseBar>,
    /// How long all of it took, in words.
    pub boot_total: String,
    pub services: Vec<Service>,
    pub last_error: String,
    /// What in the sources of settings was not understood.
    pub config_errors: Vec<String>,
}

/// A part of a whole.
pub struct Gauge {
    pub word: &'static str,
    pub text: String,
    /// The whole, in whatever the gauge measures. What a node does not have is not shown.
    of: u64,
    pub percent: u64,
    /// Part of the whole that no task is given, in percent.
    pub kept: u64,
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
        (t::FACT_LOCAL_NAME, status.host.local_name.clone()),
        (t::FACT_SETTINGS, status.host.config_source.clone()),
        (t::FACT_PROXY, status.host.proxy.clone()),
        (t::FACT_MIRRORS, status.host.registry_mirrors.join(", ")),
        (t::FACT_CLOCK, clock(&status.host.clock)),
        (t::FACT_NODE_ID, status.id.to_string()),
    ];
    NodeView {
        name: status.name.clone(),
        facts: facts.into_iter().filter(|(_, text)| !text.is_empty()).collect(),
        gauges: gauges(status),
        phases: bars(&status.phases, boot_span(&status.phases, status.uptime_s)),
        boot_total: boot_took(status),
        services: status.services.clone(),
        last_error: status.last_error.clone(),
        config_errors: status.host.config_errors.clone(),
    }
}

fn clock(clock: &crate::ClockStatus) -> String {
    match (clock.source.as_str(), clock.fault.as_str()) {
        ("", "") => String::new(),
        ("", fault) => t::clock_unknown(fault),
        (source, fault) => t::clock_compared(source, clock.offset_ms, fault),
    }
}

fn gauges(status: &NodeStatus) -> Vec<Gauge> {
    let (has, used) = (status.resources, status.used);
    let memory_used_kib = status.memory_total_kib.saturating_sub(status.memory_available_kib);
    let state_used = status.state_bytes_total.saturating_sub(status.state_bytes_free);
    let gauge = |word, used: u64, of: u64, show: fn(u64) -> String| Gauge {
        word,
        text: t::used_of(&show(used), &show(of)),
        of,
        percent: (used * 100).checked_div(of).unwrap_or(0).min(100),
        kept: 0,
    };
    // What the node keeps for itself is part of the bar, but never given away.
    let all_mib = status.memory_total_kib / 1024;
    let kept_mib = all_mib.saturating_sub(has.mem_mib);
    let memory = gauge(t::GAUGE_MEMORY, used.mem_mib, has.mem_mib, words::mebibytes);
    let memory = match (kept_mib * 100).checked_div(all_mib) {
        Some(kept) if kept_mib > 0 => Gauge {
            text: t::kept_for_node(&memory.text, &words::mebibytes(kept_mib)),
            percent: (used.mem_mib * 100 / all_mib).min(100 - kept),
            kept,
            ..memory
        },
        _ => memory,
    };
    let gauges = vec![
        gauge(t::GAUGE_CPUS, used.cpu_milli, has.cpu_milli, words::cpus),
        memory,
        gauge(t::GAUGE_DISK, used.disk_mib, has.disk_mib, words::mebibytes),
        gauge(t::GAUGE_MEMORY_NOW, memory_used_kib, status.memory_total_kib, |kib| {
            words::mebibytes(kib / 1024)
        }),
        gauge(t::GAUGE_STATE, state_used, status.state_bytes_total, words::bytes),
    ];
    gauges.into_iter().filter(|gauge| gauge.of > 0).collect()
}

/// From the first phase's start to the last one's end, or to the latest moment known if one still runs. Milliseconds
/// since the kernel started; off the image a node starts long after it.
fn boot_span(phases: &[crate::BootPhase], uptime_s: u64) -> (u64, u64) {
    let running = phases.iter().any(|phase| phase.end_ms.is_none());
    let first = phases.iter().map(|phase| phase.start_ms).min().unwrap_or(0);
    let known = phases.iter().map(|phase| phase.end_ms.unwrap_or(phase.start_ms)).max().unwrap_or(0);
    (first, if running { known.max(uptime_s * 1000) } else { known })
}

fn boot_took(status: &NodeStatus) -> String {
    let (first, last) = boot_span(&status.phases, status.uptime_s);
    t::boot_took(&words::duration(last.saturating_sub(first)))
}

/// While a node starts nothing but its phases is known.
pub fn phase_bars(phases: &[crate::BootPhase]) -> Vec<PhaseBar> {
    bars(phases, boot_span(phases, 0))
}

fn bars(phases: &[crate::BootPhase], (first, last): (u64, u64)) -> Vec<PhaseBar> {
    let whole = last.saturating_sub(first).max(1);
    let bar = |phase: &crate::BootPhase| {
        let took = phase.end_ms.unwrap_or(last).saturating_sub(phase.start_ms);
        // Shorter ones would not be seen.
        let width = (took * SCALE / whole).clamp(4, SCALE);
        PhaseBar {
            name: phase.name.clone(),
            time: words::duration(took),
            note: phase.note.clone(),
            is_running: phase.end_ms.is_none(),
            x: ((phase.start_ms - first) * SCALE / whole).min(SCALE - width),
            width,
        }
    };
    phases.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(phases: &[(u64, Option<u64>)]) -> NodeStatus {
        let phase = |(start_ms, end_ms): &(u64, Option<u64>)| crate::BootPhase {
            name: "phase".into(),
            start_ms: *start_ms,
            end_ms: *end_ms,
            note: String::new(),
        };
        NodeStatus {
            id: Default::default(),
            name: String::new(),
            product_version: String::new(),
            kernel: String::new(),
            addresses: vec![],
            resources: Default::default(),
            used: Default::default(),
            uptime_s: 5_000,
            memory_total_kib: 0,
            memory_available_kib: 0,
            state_bytes_free: 0,
            state_bytes_total: 0,
            phases: phases.iter().map(phase).collect(),
            services: vec![],
            last_error: String::new(),
            out_of_touch_s: None,
            host: Default::default(),
        }
    }

    #[test]
    fn bars_begin_with_the_first_phase_and_stay_inside() {
        let bars =
            |phases| view(&status(phases)).phases.iter().map(|bar| (bar.x, bar.width)).collect::<Vec<_>>();
        assert_eq!(
            bars(&[(4_000_000, Some(4_000_500)), (4_000_500, Some(4_001_000))]),
            [(0, 500), (500, 500)]
        );
        assert_eq!(bars(&[(0, Some(1_000_000)), (1_000_000, Some(1_000_000))]), [(0, 1000), (996, 4)]);
        assert_eq!(bars(&[(0, Some(2_500_000)), (2_500_000, None)]), [(0, 500), (500, 500)]);
        assert_eq!(bars(&[]), []);
    }

    #[test]
    fn the_clock_is_told_in_words() {
        let check = |source: &str, offset_ms, fault: &str, expected: &str| {
            let status =
                crate::ClockStatus { source: source.into(), offset_ms, last_sync_s: 1, fault: fault.into() };
            assert_eq!(clock(&status), expected);
        };
        check("", 0, "", "");
        check("", 0, "no answer from a", "compared with no other: no answer from a");
        check("NTP a", -3, "", "3 ms behind when last compared, by NTP a");
        check(
            "NTP a",
            0,
            "no answer",
            "right to the millisecond when last compared, by NTP a; since then: no answer",
        );
    }
}
