//! Endpoints that have a name in the place of an address.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use lab::programs;
use lab::{Capture, Config, DnsCapture, Lab, PodSpec, ServiceSpec, Start};
use serde_json::json;
use suites::traffic::dig::dig;
use suites::traffic::nameserver::{NOWHERE, Nameserver};
use suites::traffic::{PATIENCE, change, eventually_opened, get, refused, url};

/// An endpoint outside of the mesh that has a name and no address.
fn names(capture: Capture) -> Result<()> {
    const DATABASE: &str = "db.example.com";
    const SERVICE: &str = "default/db.default.svc.cluster.local";
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("hostnames")
        .pod(PodSpec::new("client"))
        .service(ServiceSpec::new("db").port(80, 8080))
        .capture(capture)
        .dns_capture(DnsCapture::On)
        .config(Config::File)
        .outside()
        .build()?;
    let client = lab.pod("client");
    let outside = Nameserver::start(lab.outside())?;
    outside.set(DATABASE, lab.outside_addresses());
    let _nginx = programs::nginx(lab.outside(), 8080)?;
    let endpoint = |hostname: &str| {
        json!({
            "uid": "Kubernetes/networking.istio.io/ServiceEntry/default/db/db.example.com",
            "name": "db",
            "namespace": "default",
            "workloadIps": [],
            "hostname": hostname,
            "protocol": "TCP",
            "services": {SERVICE: {"80": 8080}},
        })
    };
    lab.change(|mesh| mesh.insert_workload("db", endpoint(DATABASE)))?;
    let near = lab.start_ztunnel(0, &Start::default())?;
    let vips = lab.vip("db").both();
    lab.scenario(|| {
        // Each family is reached in its own; the name is asked for once, by the pod itself.
        for _ in 0..3 {
            for (vip, own) in vips.into_iter().zip(client.addresses().both()) {
                let said = get(&client, &url(vip, 80, "/whoami"))?;
                ensure!(said == format!("{own}\n"), "{vip} came from {said}");
            }
        }
        let asked = outside.asked(DATABASE);
        // Both families at once; the first connection did not wait for the one that it did not need.
        let count = |kind| {
            asked
                .iter()
                .filter(|asked| asked.query_type == kind)
                .count()
        };
        ensure!(
            count(1) == 1 && (1..=2).contains(&count(28)) && asked.len() == count(1) + count(28),
            "{asked:?}"
        );
        ensure!(
            asked.iter().all(|asked| asked.from == client.ip4()),
            "{asked:?}"
        );
        let metric = near.metric("istio_on_demand_dns_total", &[("hostname", DATABASE)])?;
        ensure!((metric - 6.0).abs() < 0.5, "{metric}");
        eventually_opened(
            &near,
            6,
            &[("reporter", "source"), ("destination_service_name", "db")],
        )?;

        // Without VIP, the name of the service leads to where the endpoint's name leads.
        change(&lab, &[&near], |mesh| -> Result<()> {
            mesh.service_mut(SERVICE)?["vips"] = json!([]);
            Ok(())
        })??;
        for (kind, ip) in ["A", "AAAA"]
            .into_iter()
            .zip(lab.outside_addresses().both())
        {
            let answer = dig(
                &client,
                &["@10.96.0.10", "db.default.svc.cluster.local", kind],
            )?;
            ensure!(
                answer.status == "NOERROR" && answer.data(kind) == [ip.to_string()],
                "{answer:?}"
            );
        }

        // A name that does not exist.
        let nowhere = format!("db.{NOWHERE}");
        change(&lab, &[&near], |mesh| -> Result<()> {
            mesh.service_mut(SERVICE)?["vips"] = json!(vips.map(|vip| format!("/{vip}")));
            mesh.insert_workload("db", endpoint(&nowhere));
            Ok(())
        })??;
        for vip in vips {
            refused(&client, &url(vip, 80, "/"))?;
            near.wait_log(
                &[
                    "outbound",
                    &format!("dst.addr={}", SocketAddr::new(vip, 80)),
                    "dns response had no valid IP addresses",
                ],
                PATIENCE,
            )?;
        }
        Ok(())
    })
}

#[test]
fn endpoint_that_has_only_a_name_is_resolved_from_the_pod_under_agent_capture() -> Result<()> {
    names(Capture::Agent)
}

#[test]
fn endpoint_that_has_only_a_name_is_resolved_from_the_pod_under_iptables_capture() -> Result<()> {
    names(Capture::Iptables)
}

#[test]
fn endpoint_that_has_only_a_name_is_resolved_from_the_pod_under_ebpf_capture() -> Result<()> {
    names(Capture::Ebpf)
}
