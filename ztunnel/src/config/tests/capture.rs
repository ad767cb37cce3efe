//! Who captures, and what is left alone.

use super::*;

const PORTS: &str = "a list of at most 16 ports and ranges of ports, for example 3306,8000-8080";
const RANGES: &str =
    "a list of at most 16 addresses and ranges of addresses, for example 10.1.0.0/16,192.0.2.7";

#[test]
fn each_mode_has_its_word() {
    for (word, mode) in [
        ("agent", CaptureMode::Agent),
        ("iptables", CaptureMode::Iptables),
        ("ebpf", CaptureMode::Ebpf),
        ("auto", CaptureMode::Auto),
    ] {
        assert_eq!(config(&[("CAPTURE", word)]).capture.mode, mode);
    }
}

#[test]
fn paths_of_ebpf_are_those_that_are_given() {
    let unset = config(&[]).capture;
    assert_eq!(unset.cgroup, None);
    assert_eq!(unset.pins, PathBuf::from("/sys/fs/bpf/ambit"));
    let set = config(&[("CGROUP_PATH", "/host/cgroup"), ("PIN_PATH", "/host/bpf/a")]).capture;
    assert_eq!(set.cgroup, Some(PathBuf::from("/host/cgroup")));
    assert_eq!(set.pins, PathBuf::from("/host/bpf/a"));
}

#[test]
fn exclusions_are_lists_of_single_ones_and_ranges() {
    assert_eq!(config(&[]).capture.exclusions, Exclusions::default());
    let exclusions = config(&[
        ("EXCLUDE_INBOUND_PORTS", "9000"),
        ("EXCLUDE_OUTBOUND_PORTS", "25, 8000-8080,65535"),
        (
            "EXCLUDE_OUTBOUND_IP_RANGES",
            "10.1.2.3/16,192.0.2.7, 2001:db8::/32",
        ),
    ])
    .capture
    .exclusions;
    assert_eq!(exclusions.inbound_ports, [9000..=9000]);
    assert_eq!(
        exclusions.outbound_ports,
        [25..=25, 8000..=8080, 65535..=65535]
    );
    let ranges: Vec<String> = exclusions
        .outbound_ranges
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(ranges, ["10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32"]);
}

#[test]
fn what_is_no_list_of_exclusions_is_refused() {
    let too_many = vec!["1"; 17].join(",");
    for (name, value, expected) in [
        ("EXCLUDE_INBOUND_PORTS", "0", PORTS),
        ("EXCLUDE_INBOUND_PORTS", "80-79", PORTS),
        ("EXCLUDE_OUTBOUND_PORTS", "80,,81", PORTS),
        ("EXCLUDE_OUTBOUND_PORTS", "65536", PORTS),
        ("EXCLUDE_OUTBOUND_PORTS", "*", PORTS),
        ("EXCLUDE_OUTBOUND_PORTS", &too_many, PORTS),
        ("EXCLUDE_OUTBOUND_IP_RANGES", "10.0.0.0/33", RANGES),
        ("EXCLUDE_OUTBOUND_IP_RANGES", "example.org", RANGES),
    ] {
        assert_eq!(
            faults(&[(name, value)]),
            [format!("{name}={value:?} is not {expected}")]
        );
    }
}

#[test]
fn lists_hold_as_much_as_the_programs_in_the_kernel() {
    let max = read::MAX_EXCLUSIONS;
    assert_eq!(max, ebpf_loader::plan::MAX_RANGES);
    assert_eq!(max, ebpf_loader::plan::MAX_PORT_RANGES);
}

#[test]
fn dns_that_the_kernel_captures_is_served_on_loopback() {
    let elsewhere = ("DNS_PROXY_ADDR", "10.0.0.1:53");
    for mode in ["ebpf", "auto"] {
        assert_eq!(
            faults(&[("CAPTURE", mode), ("DNS_CAPTURE", "true"), elsewhere]),
            [
                "DNS_PROXY_ADDR=\"10.0.0.1:53\" is not localhost:PORT, as CAPTURE=ebpf and CAPTURE=auto need it for DNS_CAPTURE"
            ]
        );
        config(&[("CAPTURE", mode), elsewhere]);
    }
    config(&[("CAPTURE", "iptables"), ("DNS_CAPTURE", "true"), elsewhere]);
}
