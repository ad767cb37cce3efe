//! How pods are captured, and what is left alone.

use std::{net::IpAddr, num::NonZeroU32, ops::RangeInclusive};

use ipnet::IpNet;

use super::super::{Capture, CaptureMode, Dns, DnsListen, Exclusions, fault::Fault, raw::Raw};

/// Entries of one list: as many as the programs in the kernel hold of each pod.
pub(in crate::config) const MAX_EXCLUSIONS: usize = 16;
const PORTS: &str = "a list of at most 16 ports and ranges of ports, for example 3306,8000-8080";

pub(super) fn capture(
    raw: &mut Raw,
    ipv6: Option<bool>,
    mark: Option<NonZeroU32>,
) -> Option<Capture> {
    let mode = raw.parse(
        "CAPTURE",
        "agent, iptables, ebpf or auto",
        |text| match text {
            "agent" => Some(CaptureMode::Agent),
            "iptables" => Some(CaptureMode::Iptables),
            "ebpf" => Some(CaptureMode::Ebpf),
            "auto" => Some(CaptureMode::Auto),
            _ => None,
        },
    );
    let dns = raw.flag("DNS_CAPTURE");
    let exclusions = exclusions(raw);
    Some(Capture {
        mode: mode?,
        socket: raw.path("INPOD_UDS")?,
        ipv6: ipv6?,
        dns: dns?,
        mark: mark?,
        cgroup: raw.path("CGROUP_PATH"),
        pins: raw.path("PIN_PATH")?,
        exclusions: exclusions?,
    })
}

/// Programs in the kernel lead queries to loopback, of either family: there the DNS proxy has to be.
pub(super) fn check_dns(raw: &mut Raw, capture: Option<&Capture>, dns: Option<&Dns>) {
    let (Some(capture), Some(dns)) = (capture, dns) else {
        return;
    };
    let in_kernel = match capture.mode {
        CaptureMode::Ebpf | CaptureMode::Auto => true,
        CaptureMode::Agent | CaptureMode::Iptables => false,
    };
    let elsewhere = match dns.listen {
        DnsListen::Localhost { .. } => None,
        DnsListen::Address(address) => Some(address),
    };
    if let Some(address) = elsewhere.filter(|_| in_kernel && capture.dns) {
        raw.fault(Fault::Invalid {
            variable: "DNS_PROXY_ADDR".to_owned(),
            value: address.to_string(),
            expected: "localhost:PORT, as CAPTURE=ebpf and CAPTURE=auto need it for DNS_CAPTURE",
        });
    }
}

fn exclusions(raw: &mut Raw) -> Option<Exclusions> {
    let inbound_ports = list(raw, "EXCLUDE_INBOUND_PORTS", PORTS, ports);
    let outbound_ports = list(raw, "EXCLUDE_OUTBOUND_PORTS", PORTS, ports);
    let outbound_ranges = list(
        raw,
        "EXCLUDE_OUTBOUND_IP_RANGES",
        "a list of at most 16 addresses and ranges of addresses, for example 10.1.0.0/16,192.0.2.7",
        range,
    );
    Some(Exclusions {
        inbound_ports: inbound_ports?,
        outbound_ports: outbound_ports?,
        outbound_ranges: outbound_ranges?,
    })
}

/// Nothing where the variable is not set; `None` after noting the fault.
fn list<T>(
    raw: &mut Raw,
    name: &str,
    expected: &'static str,
    one: impl Fn(&str) -> Option<T>,
) -> Option<Vec<T>> {
    if raw.text(name).is_none() {
        return Some(Vec::new());
    }
    raw.parse(name, expected, |text| {
        let all: Option<Vec<T>> = text.split(',').map(|part| one(part.trim())).collect();
        all.filter(|all| all.len() <= MAX_EXCLUSIONS)
    })
}

fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (first > 0 && first <= last).then_some(first..=last)
}

fn range(text: &str) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(address.into()),
        Err(_range) => text.parse::<IpNet>().ok().map(|range| range.trunc()),
    }
}
