//! A pod with several addresses of its own that calls itself: by each of them, and by a service behind which there is nobody else.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Config, Lab, Pod, PodSpec, ServiceSpec, Start, eventually, programs};
use serde_json::json;
use suites::traffic::{PATIENCE, change, refused, url};

/// The further addresses.
const MORE: [&str; 2] = ["10.10.1.200", "fd00:10:1::c8"];
/// The service.
const OWN: &str = "default/own.default.svc.cluster.local";

/// What nginx says of who has called, from an address of choice.
fn whoami(pod: &Pod, from: IpAddr, to: IpAddr, port: u16) -> Result<IpAddr> {
    let (from, url) = (from.to_string(), url(to, port, "/whoami"));
    let line = [
        "curl",
        "-sS",
        "--fail",
        "-m",
        "5",
        "--interface",
        &from,
        &url,
    ];
    let said = pod.exec(line)?.ok()?;
    said.trim().parse().with_context(|| said.clone())
}

fn several(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("several")
        .pod(PodSpec::new("own"))
        .service(ServiceSpec::new("own").port(80, 8080).backend("own"))
        .capture(capture)
        .config(Config::File)
        .build()?;
    let own = lab.pod("own");
    let _nginx = programs::nginx(&own, 8080)?;
    let ztunnel = lab.start_ztunnel(0, &Start::default())?;
    lab.scenario(|| {
        let more: [IpAddr; 2] = [MORE[0].parse()?, MORE[1].parse()?];
        own.ip(&[
            format!("addr add {}/32 dev eth0", more[0]),
            format!("addr add {}/128 dev eth0 nodad", more[1]),
        ])?;
        if capture == Capture::Ebpf {
            eventually("both addresses known", PATIENCE, || {
                let lines = ztunnel.log_lines(&["captured again with other addresses"]);
                ensure!(!lines.is_empty());
                // What is not known yet is captured.
                for to in more {
                    whoami(&own, to, to, 8080)?;
                }
                Ok(())
            })?;
        }
        let families: Vec<[IpAddr; 2]> = own
            .addresses()
            .both()
            .into_iter()
            .zip(more)
            .map(|(first, second)| [first, second])
            .collect();
        let before = ztunnel.metric("istio_tcp_connections_opened_total", &[])?;
        let mut through = 0;
        for (ips, vip) in families.iter().zip(lab.vip("own").both()) {
            for from in ips {
                for to in ips {
                    let seen = whoami(&own, *from, *to, 8080);
                    let seen = seen.with_context(|| format!("{from} calls {to}"))?;
                    ensure!(seen == *from, "{from} calls {to} and is taken for {seen}");
                }
                // The service leads to the first address, through a tunnel to itself.
                let seen = whoami(&own, *from, vip, 80);
                let seen = seen.with_context(|| format!("{from} calls its service at {vip}"))?;
                ensure!(seen == *from, "{from} calls its service and is taken for {seen}");
                through += 2;
            }
        }
        // In the other family, where the service is in one alone.
        for (allowed, to) in [("IPv4Only", 0), ("IPv6Only", 1)] {
            change(&lab, &[&ztunnel], |mesh| -> Result<()> {
                mesh.service_mut(OWN)?["ipFamilies"] = json!(allowed);
                Ok(())
            })??;
            for (ips, vip) in families.iter().zip(lab.vip("own").both()) {
                for from in ips {
                    let seen = whoami(&own, *from, vip, 80);
                    let seen = seen.with_context(|| format!("{allowed}: {from} calls {vip}"))?;
                    let expected = if families[to].contains(from) { *from } else { families[to][0] };
                    ensure!(seen == expected, "{allowed}: {from} calls {vip} and is taken for {seen}");
                    through += 2;
                }
            }
        }
        // What went directly was not captured; and by the service a policy counts for itself, whichever address it calls from.
        let opened = format!("{}", before + f64::from(through));
        eventually("the metric of opened connections", PATIENCE, || {
            let now = ztunnel.metric("istio_tcp_connections_opened_total", &[])?;
            ensure!(format!("{now}") == opened, "{now} of {opened}");
            Ok(())
        })?;
        change(&lab, &[&ztunnel], |mesh| {
            mesh.policy(json!({
                "name": "not-oneself", "namespace": "default", "scope": "Namespace", "action": "Deny",
                "rules": [[[{"principals": ["cluster.local/ns/default/sa/own"]}]]],
            }));
        })?;
        for vip in lab.vip("own").both() {
            refused(&own, &url(vip, 80, "/"))?;
            for from in families.iter().flatten().filter(|from| from.is_ipv4() == vip.is_ipv4()) {
                ensure!(whoami(&own, *from, vip, 80).is_err(), "{from} got past the policy");
            }
        }
        Ok(())
    })
}

#[test]
fn pod_reaches_itself_from_and_at_each_of_its_addresses_with_agent_capture() -> Result<()> {
    several(Capture::Agent)
}

#[test]
fn pod_reaches_itself_from_and_at_each_of_its_addresses_with_iptables_capture() -> Result<()> {
    several(Capture::Iptables)
}

#[test]
fn pod_reaches_itself_from_and_at_each_of_its_addresses_with_ebpf_capture() -> Result<()> {
    several(Capture::Ebpf)
}
