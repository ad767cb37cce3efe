//! Real programs that know nothing of a mesh, and whom each takes for its client.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::programs::{self, MariaDb};
use lab::{Capture, Lab, Pod, PodSpec, ServiceSpec, Start};
use suites::traffic::{get, opened, refused, routes, url};

/// What iperf3 is to carry each way.
const IPERF_BYTES: u64 = 32 << 20;

/// The clients and servers: across nodes, back, and on one node.
const PAIRS: [(&str, &str); 3] = [("client", "server"), ("server", "near"), ("client", "near")];

fn with_programs(name: &str, capture: Capture) -> Result<Lab> {
    let service = |name: &str| {
        let ports = ServiceSpec::new(name).port(80, 8080).port(6380, 6379);
        ports.port(3307, 3306).port(5301, 5201).backend(name)
    };
    Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("near"))
        .pod(PodSpec::new("server").node(1))
        .service(service("near"))
        .service(service("server"))
        .capture(capture)
        .build()
}

/// The address and the ports of HTTP, redis, MariaDB and iperf3: the pod's own and the service's.
fn doors(lab: &Lab, server: &Pod) -> Vec<(IpAddr, [u16; 4])> {
    let own = server
        .addresses()
        .both()
        .map(|ip| (ip, [8080, 6379, 3306, 5201]));
    let service = lab
        .vip(server.name())
        .both()
        .map(|ip| (ip, [80, 6380, 3307, 5301]));
    own.into_iter().chain(service).collect()
}

fn programs_talk(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = with_programs("programs", capture)?;
    let mut running = Vec::new();
    for name in ["near", "server"] {
        let pod = lab.pod(name);
        running.push((
            programs::nginx(&pod, 8080)?,
            programs::redis(&pod, 6379)?,
            programs::mariadb(&pod, 3306)?,
            programs::iperf3_server(&pod, 5201)?,
        ));
    }
    let ztunnels = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        for (client, server) in PAIRS {
            let (client, server) = (lab.pod(client), lab.pod(server));
            for (ip, ports) in doors(&lab, &server) {
                all_four(&client, &server, ip, ports).with_context(|| {
                    format!("{} calls {} at {ip}", client.name(), server.name())
                })?;
            }
        }
        // Every one of them went through a tunnel, at both its ends.
        for (ztunnel, reporter) in ztunnels.iter().zip(["source", "destination"]) {
            let count = |security| {
                let labels = [
                    ("reporter", reporter),
                    ("connection_security_policy", security),
                ];
                opened(ztunnel, &labels)
            };
            let least = 4.0 * 4.0;
            ensure!(
                count("mutual_tls")? >= least && count("unknown")? < 0.5,
                "{}",
                ztunnel.metrics()?
            );
        }
        Ok(())
    })
}

fn all_four(
    client: &Pod,
    server: &Pod,
    ip: IpAddr,
    [http, redis, mariadb, iperf]: [u16; 4],
) -> Result<()> {
    ensure!(get(client, &url(ip, http, "/"))? == format!("hello from {}\n", server.name()));
    let length = client
        .exec(["curl", "-sS", "-m", "15", &url(ip, http, "/bytes/1m")])?
        .stdout
        .len();
    ensure!(length == 1 << 20, "curl got {length} bytes");

    let (host, port) = (ip.to_string(), redis.to_string());
    let asked = ["redis-cli", "-h", &host, "-p", &port];
    let (key, value) = (format!("from {}", client.name()), format!("by way of {ip}"));
    ensure!(
        client
            .exec(asked.into_iter().chain(["set", &key, &value]))?
            .ok()?
            == "OK\n"
    );
    ensure!(client.exec(asked.into_iter().chain(["get", &key]))?.ok()? == format!("{value}\n"));

    // The server speaks first: what waits for the client's first bytes never gets this far.
    ensure!(
        MariaDb::query(
            client,
            ip,
            mariadb,
            "select 6*7, version() like '%MariaDB%'"
        )?
        .ok()?
            == "42\t1\n"
    );

    for direction in [None, Some("--reverse")] {
        let (port, bytes) = (iperf.to_string(), IPERF_BYTES.to_string());
        let line = [
            "iperf3", "--json", "--client", &host, "--port", &port, "--bytes", &bytes,
        ];
        let output = client
            .command(line.into_iter().chain(direction))
            .timeout(Duration::from_secs(60))
            .output()?;
        let report: serde_json::Value = serde_json::from_str(&output.text())?;
        let received = report["end"]["sum_received"]["bytes"].as_u64();
        // The receiver stops counting when the sender has written all, whatever is still on its way.
        ensure!(
            received.is_some_and(|bytes| bytes >= IPERF_BYTES / 2),
            "iperf3: {report}"
        );
    }
    Ok(())
}

#[test]
fn unmodified_programs_talk_across_nodes_and_on_one_node_under_agent_capture() -> Result<()> {
    programs_talk(Capture::Agent)
}

#[test]
fn unmodified_programs_talk_across_nodes_and_on_one_node_under_iptables_capture() -> Result<()> {
    programs_talk(Capture::Iptables)
}

#[test]
fn unmodified_programs_talk_across_nodes_and_on_one_node_under_ebpf_capture() -> Result<()> {
    programs_talk(Capture::Ebpf)
}

/// nginx in every machine says and logs whom it takes for its client: through tunnels, and plain both ways.
fn address_is_seen(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = routes::lab("address", capture)?;
    let routes = routes::all(&lab);
    let mut servers = std::collections::BTreeMap::new();
    for route in &routes {
        if !servers.contains_key(route.at.name()) {
            servers.insert(
                route.at.name().to_owned(),
                programs::nginx(&route.at, routes::PORT)?,
            );
        }
    }
    let [near, _far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        for (number, route) in routes.iter().enumerate() {
            let said = get(&route.from, &url(route.to.ip(), route.to.port(), "/whoami"))
                .with_context(|| route.name.clone())?;
            ensure!(
                said == format!("{}\n", route.client),
                "{}: the server saw {said}",
                route.name
            );
            let path = format!("/bytes/1k?{number}");
            get(&route.from, &url(route.to.ip(), route.to.port(), &path))?;
            let line = format!("{} 200 GET {path}", route.client);
            let log = servers[route.at.name()].access_log();
            ensure!(
                log.lines().any(|logged| logged == line),
                "{}: no line {line} in\n{log}",
                route.name
            );
        }
        // What leaves the mesh is logged as nobody's service (EG-01).
        for ip in lab.outside_addresses().both() {
            let to = format!("dst.addr={}", std::net::SocketAddr::new(ip, routes::PORT));
            let line = near.wait_log(&["connection complete", "outbound", &to], lab::SECONDS_5)?;
            ensure!(
                !line.contains("dst.service=") && !line.contains("dst.workload="),
                "{line}"
            );
            ensure!(!line.contains("dst.identity="), "{line}");
        }
        Ok(())
    })
}

#[test]
fn application_sees_its_clients_own_address_under_agent_capture() -> Result<()> {
    address_is_seen(Capture::Agent)
}

#[test]
fn application_sees_its_clients_own_address_under_iptables_capture() -> Result<()> {
    address_is_seen(Capture::Iptables)
}

#[test]
fn application_sees_its_clients_own_address_under_ebpf_capture() -> Result<()> {
    address_is_seen(Capture::Ebpf)
}

/// The mesh may ask for identities: then a pod still gets in, and the host outside does not (HB-06).
fn plaintext_is_taken_unless_denied(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = routes::lab("plaintext", capture)?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let nginx = programs::nginx(&server, routes::PORT)?;
    let [near, far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let own = server
            .addresses()
            .both()
            .map(|ip| url(ip, routes::PORT, "/"));
        for url in &own {
            ensure!(get(lab.outside(), url)? == "hello from server\n");
        }
        let inbound = [
            ("reporter", "destination"),
            ("connection_security_policy", "unknown"),
        ];
        ensure!(
            (opened(&far, &inbound)? - 2.0).abs() < 0.5,
            "{}",
            far.metrics()?
        );
        suites::traffic::change(&lab, &[&near, &far], |mesh| {
            mesh.policy(serde_json::json!({
                "name": "strict", "namespace": "default", "scope": "Namespace", "action": "Deny",
                "rules": [[[{"notPrincipals": [{"presence": {}}]}]]],
            }));
        })?;
        let before = nginx.access_log().lines().count();
        for url in &own {
            refused(lab.outside(), url)?;
            ensure!(get(&client, url)? == "hello from server\n");
        }
        ensure!(
            nginx.access_log().lines().count() == before + own.len(),
            "{}",
            nginx.access_log()
        );
        far.wait_log(
            &[
                "inbound",
                "policy rejection",
                "explicitly denied by: default/strict",
            ],
            lab::SECONDS_5,
        )?;
        Ok(())
    })
}

#[test]
fn plaintext_from_outside_is_taken_unless_a_policy_denies_it_under_agent_capture() -> Result<()> {
    plaintext_is_taken_unless_denied(Capture::Agent)
}

#[test]
fn plaintext_from_outside_is_taken_unless_a_policy_denies_it_under_iptables_capture() -> Result<()>
{
    plaintext_is_taken_unless_denied(Capture::Iptables)
}

#[test]
fn plaintext_from_outside_is_taken_unless_a_policy_denies_it_under_ebpf_capture() -> Result<()> {
    plaintext_is_taken_unless_denied(Capture::Ebpf)
}
