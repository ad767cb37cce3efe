//! PROXY headers to endpoints (IN-02): DestinationRule `trafficPolicy.proxyProtocol`, towards nginx and towards python that prints what it got.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use lab::{Process, until};
use serde_json::Value;
use suites::balancer::{Balancer, Front, Printer, Visit, told};
use suites::policy::PATIENCE;
use suites::waypoint::{Answer, Builder, Ground, backend, destination_rule, manifest, service};

use crate::yard::{self, LISTED, addresses, at, edge, yard};

/// What nginx's are reached by.
const TOLD: u16 = 80;
const TOLD_H2: u16 = 82;
/// What the printer's are.
const RAW: u16 = 80;
const RAW_TCP: u16 = 84;

struct Servers {
    nginx: Process,
    printer: Printer,
}

fn builder(name: &str) -> Builder {
    yard(Ground::bare(name))
        .pod(backend("told-1", 1, "v1"))
        .pod(backend("raw-1", 1, "v1"))
        .service(
            service("told")
                .named_port("http-told", TOLD, 8081)
                .named_port("http2-told", TOLD_H2, 8082)
                .backend("told-1"),
        )
        .service(
            service("raw")
                .named_port("http-raw", RAW, 8090)
                .named_port("tcp-raw", RAW_TCP, 8090)
                .backend("raw-1"),
        )
}

fn servers(ground: &Ground) -> Result<Servers> {
    Ok(Servers {
        nginx: told(&ground.pod("told-1"), 8081, 8082)?,
        printer: Printer::start(&ground.pod("raw-1"), "0.0.0.0", 8090)?,
    })
}

/// Asks for headers of a version to a service.
fn rule(service: &str, version: &str) -> String {
    destination_rule(
        service,
        &format!("trafficPolicy: {{proxyProtocol: {{version: {version}}}}}"),
    )
}

/// A text that nginx told.
fn said(answer: &Answer, key: &str) -> String {
    answer.told(key)
}

/// What the printer was told.
fn printed(answer: &Answer) -> Value {
    answer.json()["told"].clone()
}

#[test]
fn an_endpoint_is_told_where_the_client_is() -> Result<()> {
    let Some(ground) = builder("proxy-out").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        addresses(&ground)?;
        let servers = servers(&ground)?;
        // Nobody tells yet: python sees a request, nginx refuses.
        let answer = ground.get("/none").to("raw", RAW).send()?;
        ensure!(printed(&answer)["version"] == 0, "{answer:?}");
        let answer = ground.get("/none").to("told", TOLD).send()?;
        ensure!(answer.status >= 500, "{answer:?}");

        let client = ground.pod("client").ip4().to_string();
        for (version, number) in [("V1", 1), ("V2", 2)] {
            ground.apply("raw", &rule("raw", version))?;
            ground.apply("told", &rule("told", version))?;
            for port in [TOLD, TOLD_H2] {
                let request = ground.get("/told").to("told", port);
                for request in [request.clone(), request.http2()] {
                    let answer = request.send()?;
                    ensure!(answer.status == 200, "{version} {port}: {answer:?}");
                    ensure!(said(&answer, "client") == client, "{version}: {answer:?}");
                    let vip = ground.vip("told")?.to_string();
                    ensure!(said(&answer, "server") == vip, "{version}: {answer:?}");
                    ensure!(said(&answer, "server_port") == port.to_string(), "{version}: {answer:?}");
                }
            }
            // The header as it is: of that version, first of all, with nothing that was not asked for.
            for port in [RAW, RAW_TCP] {
                let answer = ground.get("/raw").to("raw", port).send()?;
                let told = printed(&answer);
                ensure!(told["version"] == number, "{version} {port}: {told}");
                ensure!(told["source"] == client.as_str(), "{version} {port}: {told}");
                ensure!(told["destination"] == ground.vip("raw")?.to_string(), "{version} {port}: {told}");
                ensure!(told["destination_port"] == port, "{version} {port}: {told}");
                ensure!(told["source_port"] != 0, "{version} {port}: {told}");
                ensure!(answer.json()["headers"].get("x-ambit-client-principal").is_none(), "{answer:?}");
                if number == 2 {
                    ensure!(told["command"] == 1 && told["family"] == 0x11, "{told}");
                }
            }
        }
        // A pod's own word is not in it, neither as a header of HTTP nor as bytes.
        let answer = ground
            .get("/spoofed")
            .to("told", TOLD)
            .header("x-forwarded-for: 203.0.113.9")
            .header("forwarded: for=203.0.113.9")
            .send()?;
        ensure!(said(&answer, "client") == client, "{answer:?}");
        let to = at(&ground, "raw", RAW_TCP)?;
        let first = Visit::new(&ground.pod("client"), to).arg("--haproxy-protocol").send("/bytes")?;
        // Ours comes first; the one of the pod is payload behind it, which python takes for the request.
        ensure!(first.json()["told"]["source"] == client.as_str(), "{first:?}");
        ensure!(first.json()["told"]["version"] == 2, "{first:?}");

        // The client behind a balancer that is trusted, from one header into the other.
        let targets = "{kind: Service, group: '', name: told}, {kind: Service, group: '', name: raw}";
        ground.apply("clients", &yard::trust(targets, ", proxyProtocol: true"))?;
        let fronts = [
            Front::tcp(8001, at(&ground, "told", TOLD)?).v1(),
            Front::tcp(8002, at(&ground, "raw", RAW_TCP)?).v2(),
            Front::tcp(8003, at(&ground, "raw", RAW)?).v2(),
        ];
        let balancer = Balancer::start(&ground.pod("edge"), &fronts)?;
        let visit = |port, path| {
            let visit = Visit::new(ground.lab.outside(), edge(&ground, port)).as_address(LISTED);
            visit.send(path)
        };
        let seen = visit(8001, "/through")?;
        ensure!(seen.json()["client"] == LISTED.to_string(), "{seen:?}");
        for port in [8002, 8003] {
            let seen = visit(port, "/through")?;
            ensure!(seen.json()["told"]["source"] == LISTED.to_string(), "{seen:?}");
        }
        balancer.stop()?;

        // Health checks are nobody's.
        let check = manifest(
            "ambit.dev/v1alpha1",
            "TrafficPolicy",
            "checks",
            "targetRefs: [{kind: Service, group: '', name: raw}]\nhealthCheck: {protocol: http, path: /checked, interval: 200ms, timeout: 200ms}\n",
        );
        ground.apply("checks", &check)?;
        until("a check that says LOCAL", PATIENCE, || {
            servers.printer.headers().iter().any(|told| told["version"] == 2 && told["command"] == 0)
        })?;
        ensure!(servers.nginx.is_running() && servers.printer.is_running());

        // Without the rule it is as before.
        ground.withdraw(&["raw", "told", "checks", "clients"])?;
        let answer = ground.get("/none").to("raw", RAW).send()?;
        ensure!(printed(&answer)["version"] == 0, "{answer:?}");
        Ok(())
    })
}

/// The numbers of nginx's connections on which a client's requests came; every answer must be about that client.
fn connections(
    ground: &Ground,
    from: &str,
    service: &str,
    rounds: usize,
) -> Result<BTreeSet<String>> {
    let own = ground.pod(from).ip4().to_string();
    let mut all = BTreeSet::new();
    for _round in 0..rounds {
        let answer = ground.get("/shared").to(service, TOLD).from(from).send()?;
        ensure!(
            said(&answer, "client") == own,
            "{from} was taken for another: {answer:?}"
        );
        all.insert(said(&answer, "connection"));
    }
    Ok(all)
}

#[test]
fn no_two_clients_share_a_connection_to_an_endpoint_that_is_told_of_them() -> Result<()> {
    let Some(ground) = builder("lanes").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        addresses(&ground)?;
        let _servers = servers(&ground)?;
        ground.apply("told", &rule("told", "V2"))?;
        let (mut of_client, mut of_guest) = (BTreeSet::new(), BTreeSet::new());
        for _turn in 0..5 {
            of_client.extend(connections(&ground, "client", "told", 3)?);
            of_guest.extend(connections(&ground, "guest", "told", 3)?);
        }
        ensure!(
            of_client.is_disjoint(&of_guest),
            "{of_client:?}, {of_guest:?}"
        );
        // They are used again: fifteen requests do not take fifteen.
        ensure!(
            of_client.len() < 15 && of_guest.len() < 15,
            "{of_client:?}, {of_guest:?}"
        );

        // Clients of one balancer have one identity and many addresses, on connections that both sides keep open.
        let target = "{kind: Service, group: '', name: told}";
        ground.apply("clients", &yard::trust(target, ", proxyProtocol: true"))?;
        let front = Front::http(8001, at(&ground, "told", TOLD)?)
            .v2()
            .line("http-request set-src req.hdr(x-client)");
        let balancer = Balancer::start(&ground.pod("edge"), &[front])?;
        let to: SocketAddr = edge(&ground, 8001);
        let mut of: Vec<BTreeSet<String>> = vec![BTreeSet::new(); 3];
        let clients = ["203.0.113.1", "203.0.113.2", "2001:db8::3"];
        for _turn in 0..6 {
            for (address, lanes) in clients.iter().zip(&mut of) {
                let visit =
                    Visit::new(ground.lab.outside(), to).header(&format!("x-client: {address}"));
                let seen = visit.send("/lane")?;
                let json = seen.json();
                ensure!(json["client"] == *address, "{address}: {seen:?}");
                lanes.insert(json["connection"].as_str().context("a number")?.to_owned());
            }
        }
        for (index, lanes) in of.iter().enumerate() {
            for other in of.iter().skip(index + 1) {
                ensure!(lanes.is_disjoint(other), "{of:?}");
            }
        }
        balancer.stop()
    })
}
