//! Ports and ranges that pass the mesh by: `EXCLUDE_*`.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use lab::{Capture, DnsCapture, Lab, PodSpec, Start, programs};
use serde_json::json;
use suites::traffic::dig::dig;
use suites::traffic::nameserver::{self, Nameserver};
use suites::traffic::{change, eventually_opened, get, refused, url};

/// In a range, and alone.
const IN: [u16; 2] = [9003, 9100];
const OUT: [u16; 2] = [9203, 9300];

fn excluded(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("excluded")
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("server").node(1))
        .capture(capture)
        .outside()
        .build()?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let outside = lab.outside_addresses();
    let mut running = Vec::new();
    for port in [8080, IN[0], IN[1]] {
        running.push(programs::nginx(&server, port)?);
    }
    for port in [8080, OUT[0], OUT[1]] {
        running.push(programs::nginx(lab.outside(), port)?);
    }
    let start = Start::default()
        .env("EXCLUDE_INBOUND_PORTS", "9000-9005, 9100")
        .env("EXCLUDE_OUTBOUND_PORTS", "9200-9205,9300")
        .env(
            "EXCLUDE_OUTBOUND_IP_RANGES",
            format!("{}/31,2001:db8::/32", outside.ip4),
        );
    let [near, far] = lab.start_ztunnels(&start)?;
    lab.scenario(|| {
        change(&lab, &[&near, &far], |mesh| {
            mesh.policy(json!({
                "name": "mesh-only", "namespace": "default", "scope": "Namespace", "action": "Allow",
                "rules": [[[{"principals": ["cluster.local/ns/default/sa/client"]}]]],
            }));
        })?;
        // Into the pod: what is excluded is not asked who it is.
        for (ip, own) in server.addresses().both().into_iter().zip(outside.both()) {
            for port in IN {
                ensure!(get(lab.outside(), &url(ip, port, "/whoami"))? == format!("{own}\n"));
            }
            refused(lab.outside(), &url(ip, 8080, "/"))?;
        }
        eventually_opened(&far, 2, &[])?;
        // Within the mesh an excluded port is one like any other, because the client's tunnel comes to 15008.
        for (ip, own) in server.addresses().both().into_iter().zip(client.addresses().both()) {
            for port in [8080, IN[0]] {
                ensure!(get(&client, &url(ip, port, "/whoami"))? == format!("{own}\n"));
            }
        }
        eventually_opened(&near, 4, &[("connection_security_policy", "mutual_tls")])?;
        eventually_opened(&near, 4, &[])?;
        // Out of it: by port to any address, by address to any port.
        let direct = outside.both().into_iter().flat_map(|ip| OUT.map(|port| (ip, port)));
        for (ip, port) in direct.chain([(IpAddr::from(outside.ip4), 8080)]) {
            ensure!(get(&client, &url(ip, port, "/"))?.starts_with("hello from outside"));
        }
        ensure!(get(&client, &url(outside.ip6, 8080, "/"))?.starts_with("hello from outside"));
        eventually_opened(&near, 5, &[])?;
        eventually_opened(&near, 1, &[("destination_service_name", "PassthroughCluster")])
    })
}

#[test]
fn excluded_ports_and_ranges_pass_the_mesh_by_with_iptables_capture() -> Result<()> {
    excluded(Capture::Iptables)
}

#[test]
fn excluded_ports_and_ranges_pass_the_mesh_by_with_ebpf_capture() -> Result<()> {
    excluded(Capture::Ebpf)
}

/// A server whose address is excluded is asked itself, although DNS is captured.
fn nameservers(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("excludeddns")
        .pod(PodSpec::new("client"))
        .capture(capture)
        .dns_capture(DnsCapture::On)
        .outside()
        .build()?;
    let client = lab.pod("client");
    let server = Nameserver::start(lab.outside())?;
    let outside = lab.outside_addresses();
    let range = format!("{}/32", outside.ip4);
    let ztunnel = lab.start_ztunnel(
        0,
        &Start::default().env("EXCLUDE_OUTBOUND_IP_RANGES", range),
    )?;
    lab.scenario(|| {
        for (ip, captured) in [
            (IpAddr::from(outside.ip4), false),
            (outside.ip6.into(), true),
        ] {
            for option in ["+notcp", "+tcp"] {
                let before = asked_of_us(&ztunnel.metrics()?);
                let answer = dig(
                    &client,
                    &[&format!("@{ip}"), option, "elsewhere.example", "A"],
                )?;
                ensure!(
                    answer.data("A") == [nameserver::IPV4.to_string()],
                    "{answer:?}"
                );
                let what = format!(
                    "a query of {ip} that is {}captured",
                    if captured { "" } else { "not " }
                );
                lab::until(&what, suites::traffic::PATIENCE, || {
                    let metrics = ztunnel.metrics().unwrap_or_default();
                    asked_of_us(&metrics) == before + u64::from(captured)
                })?;
            }
        }
        ensure!(!server.asked("elsewhere.example").is_empty());
        Ok(())
    })
}

fn asked_of_us(metrics: &str) -> u64 {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("istio_dns_requests_total "));
    line.and_then(|count| count.parse().ok())
        .unwrap_or_default()
}

#[test]
fn excluded_nameservers_are_asked_themselves_with_iptables_capture() -> Result<()> {
    nameservers(Capture::Iptables)
}

#[test]
fn excluded_nameservers_are_asked_themselves_with_ebpf_capture() -> Result<()> {
    nameservers(Capture::Ebpf)
}
