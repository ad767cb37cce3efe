//! Names, addresses and ports that are none.

use super::{check, check_match, check_service, check_workload, workload};

#[test]
fn names_are_validated() {
    for (field, bad, said) in [
        ("uid", "''", "a name that is unique in the mesh"),
        ("uid", "'a b'", "a name that is unique in the mesh"),
        ("name", "''", "a name of letters"),
        ("name", "a/b", "a name of letters"),
        (
            "namespace",
            "Default",
            "a namespace of at most 63 lower-case letters",
        ),
        ("namespace", "-a", "a namespace of at most 63"),
        ("namespace", "a.b", "a namespace of at most 63"),
        (
            "namespace",
            "[a]",
            "found a list of 1, expected a namespace",
        ),
        ("namespace", "", "found nothing, expected a namespace"),
    ] {
        let text: String = format!("workloads:\n{}", workload("a", "10.0.0.1"))
            .lines()
            .map(|line| match line.split_once(&format!("{field}: ")) {
                Some((before, _)) if before.trim_matches(['-', ' ']).is_empty() => {
                    format!("{before}{field}: {bad}\n")
                }
                Some(_) | None => format!("{line}\n"),
            })
            .collect();
        let line = match field {
            "uid" => 2,
            "name" => 3,
            _ => 4,
        };
        check(&text, line, &format!("workloads[0].{field}"), said);
    }
    check_workload(
        "serviceAccount: My_Account",
        "serviceAccount",
        "found \"My_Account\", expected a service account",
    );
    check_workload(
        "serviceAccount: ''",
        "serviceAccount",
        "expected a service account",
    );
    check_workload(
        "trustDomain: Cluster.Local",
        "trustDomain",
        "expected a trust domain of lower-case letters",
    );
    check_workload("trustDomain: a/b", "trustDomain", "expected a trust domain");
    check_workload(
        "network: a/b",
        "network",
        "expected a network's name without slashes",
    );
    check_workload(
        "node: \"a\\u0007b\"",
        "node",
        "expected at most 253 bytes of text without control characters",
    );
    check_workload(
        &format!("node: {}", "n".repeat(254)),
        "node",
        "nnn\"..., expected at most 253 bytes",
    );
    for bad in [
        "''",
        "a..b",
        "a b",
        "10.0.0.300",
        "-",
        "'*'",
        "a.*.b",
        &"a".repeat(64),
    ] {
        if bad != "-" {
            check_workload(
                &format!("hostname: {bad}"),
                "hostname",
                "expected a hostname such as",
            );
        }
    }
}

#[test]
fn addresses_are_validated() {
    for bad in [
        "10.0.0",
        "10.0.0.0/8",
        "0.0.0.0",
        "'::'",
        "224.0.0.1",
        "'::ffff:10.0.0.1'",
        "web",
        "''",
        "010.0.0.1",
    ] {
        let text = "workloads:\n- uid: a\n  name: a\n  namespace: ns\n  services: {}\n  workloadIps:\n  - 10.0.0.1\n  - ";
        check(
            &format!("{text}{bad}\n"),
            8,
            "workloads[0].workloadIps[1]",
            "expected the IP address of one host",
        );
    }
    for bad in [
        "10.0.0.1",
        "a/b",
        "/10.0.0.0/33",
        "/10.0.0.1/x",
        "a/b/10.0.0.1",
        "//10.0.0.1",
        "/0.0.0.0",
        "''",
    ] {
        let text = "services:\n- {name: s, namespace: ns, hostname: s.example, ports: {}, vips: [";
        check(
            &format!("{text}{bad}]}}\n"),
            2,
            "services[0].vips[0]",
            "expected \"network/ip\" or \"network/ip/prefix\"",
        );
    }
    for bad in [
        "10.0.0.1",
        "waypoint.ns.svc",
        "/10.0.0.0/8",
        "ns/10.0.0.300",
        "NS/a.example",
        "/a.example",
        "''",
        "[]",
    ] {
        check_workload(
            &format!("waypoint: {{destination: {bad}}}"),
            "waypoint.destination",
            "expected \"namespace/hostname\" or \"network/ip\"",
        );
        check_workload(
            &format!("networkGateway: {{destination: {bad}}}"),
            "networkGateway.destination",
            "expected",
        );
        check_service(
            &format!("waypoint: {{destination: {bad}}}"),
            "waypoint.destination",
            "expected",
        );
    }
    for bad in [
        "10.0.0.0/33",
        "10.0.0",
        "web",
        "'::ffff:10.0.0.1'",
        "10.0.0.0/8/8",
        "80",
    ] {
        for field in [
            "sourceIps",
            "notSourceIps",
            "destinationIps",
            "notDestinationIps",
        ] {
            check_match(
                &format!("{field}: [{bad}]"),
                &format!("{field}[0]"),
                "expected an IP address or range",
            );
        }
    }
}

#[test]
fn ports_are_validated() {
    for bad in [
        "0", "65536", "-1", "http", "0x50", "080", "+80", "80.0", "''", "null", "[80]",
    ] {
        check_match(
            &format!("destinationPorts: [{bad}]"),
            "destinationPorts[0]",
            "expected a port from 1 to 65535",
        );
        check_match(
            &format!("notDestinationPorts: [{bad}]"),
            "notDestinationPorts[0]",
            "expected a port from 1 to 65535",
        );
        check_workload(
            &format!("waypoint: {{destination: /10.0.0.9, hboneMtlsPort: {bad}}}"),
            "waypoint.hboneMtlsPort",
            "expected a port from 1 to 65535",
        );
    }
    let ports = |ports: &str| {
        format!(
            "services:\n- name: s\n  namespace: ns\n  hostname: s.example\n  vips: []\n  ports: {ports}\n"
        )
    };
    check(
        &ports("{0: 80}"),
        6,
        "services[0].ports.0",
        "found \"0\", expected a port from 1 to 65535",
    );
    check(
        &ports("{http: 80}"),
        6,
        "services[0].ports.http",
        "found \"http\", expected a port from 1 to 65535",
    );
    check(
        &ports("{80: 65536}"),
        6,
        "services[0].ports.80",
        "found \"65536\", expected a target port from 1 to 65535",
    );
    check(
        &ports("{80: http}"),
        6,
        "services[0].ports.80",
        "found \"http\", expected a target port",
    );
    check(
        &ports("[80]"),
        6,
        "services[0].ports",
        "found a list of 1, expected a mapping of service ports",
    );
    check(
        &ports(""),
        6,
        "services[0].ports",
        "found nothing, expected a mapping of service ports to target ports",
    );
    let services = |services: &str| {
        format!(
            "workloads:\n- uid: a\n  name: a\n  namespace: ns\n  workloadIps: [10.0.0.1]\n  services: {services}\n"
        )
    };
    check(
        &services("{a.example: {}}"),
        6,
        "workloads[0].services[\"a.example\"]",
        "expected \"namespace/hostname\"",
    );
    check(
        &services("{ns/a.example: {80: a}}"),
        6,
        "workloads[0].services[\"ns/a.example\"].80",
        "expected a target port",
    );
    check(
        &services("[ns/a.example]"),
        6,
        "workloads[0].services",
        "expected a mapping of \"namespace/hostname\"",
    );
}
