//! Routes of the main table, from `/proc/net/route` and `/proc/net/ipv6_route`.

use std::net::{Ipv4Addr, Ipv6Addr};

use console::inspect::Route;

use super::links::prefix;

/// RTF_UP and RTF_GATEWAY of linux/route.h.
const UP: u32 = 1;
const GATEWAY: u32 = 2;
/// RTF_LOCAL and RTF_ANYCAST of linux/ipv6_route.h: the node's own addresses.
const OWN: u32 = 0x8010_0000;
const ROUTES_MAX: usize = 200;

pub fn parse_ipv4(text: &str) -> Vec<Route> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let hex = |n: usize| u32::from_str_radix(fields.get(n)?, 16).ok();
        // As the machine has it in memory; all of ours have the low byte first.
        let address = |n: usize| hex(n).map(|bits| Ipv4Addr::from(bits.to_le_bytes()));
        let (destination, mask, flags) = (address(1)?, address(7)?, hex(3)?);
        let gateway = address(2).filter(|_| flags & GATEWAY != 0);
        (flags & UP != 0).then(|| Route {
            destination: named(&destination.to_string(), prefix(mask)),
            gateway: gateway.map(|ip| ip.to_string()).unwrap_or_default(),
            link: fields[0].to_owned(),
            metric: fields.get(6).and_then(|n| n.parse().ok()).unwrap_or_default(),
        })
    };
    text.lines().skip(1).filter_map(line).take(ROUTES_MAX).collect()
}

pub fn parse_ipv6(text: &str) -> Vec<Route> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let hex = |n: usize| u32::from_str_radix(fields.get(n)?, 16).ok();
        let address = |n: usize| u128::from_str_radix(fields.get(n)?, 16).ok().map(Ipv6Addr::from_bits);
        let (destination, length, next, flags) = (address(0)?, hex(1)?, address(4)?, hex(8)?);
        let link = *fields.get(9)?;
        let is_shown = flags & UP != 0 && flags & OWN == 0 && link != "lo" && !destination.is_multicast();
        is_shown.then(|| Route {
            destination: named(&destination.to_string(), length),
            gateway: if flags & GATEWAY != 0 { next.to_string() } else { String::new() },
            link: link.to_owned(),
            metric: hex(5).map(u64::from).unwrap_or_default(),
        })
    };
    text.lines().filter_map(line).take(ROUTES_MAX).collect()
}

fn named(address: &str, prefix: u32) -> String {
    if prefix == 0 { "default".to_owned() } else { format!("{address}/{prefix}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(routes: &[Route]) -> Vec<String> {
        routes.iter().map(|r| format!("{} {} {} {}", r.destination, r.gateway, r.link, r.metric)).collect()
    }

    #[test]
    fn both_tables() {
        let ipv4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t101\t00000000\t0\t0\t0\n\
            eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
            eth1\t000300C0\t00000000\t0000\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
            nonsense\n";
        assert_eq!(told(&parse_ipv4(ipv4)), ["default 192.0.2.1 eth0 101", "192.0.2.0/24  eth0 0"]);
        let zero = "0".repeat(32);
        let ipv6 = format!(
            "fd000000000000000000000000000000 40 {zero} 00 {zero} 00000100 1 0 00000001 eth0\n\
             {zero} 00 {zero} 00 fd000000000000000000000000000001 00000400 2 0 00000003 eth0\n\
             ff000000000000000000000000000000 08 {zero} 00 {zero} 00000100 3 0 00000001 eth0\n\
             fd000000000000000000000000000002 80 {zero} 00 {zero} 00000000 4 0 80200001 lo\n\
             short line\n"
        );
        assert_eq!(told(&parse_ipv6(&ipv6)), ["fd00::/64  eth0 256", "default fd00::1 eth0 1024"]);
    }
}
