//! Connections of which no request is read, behind a load balancer: redis, mariadb (which speaks first), HTTP on a port declared TCP.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use lab::PodSpec;
use lab::programs::{MariaDb, mariadb, redis};
use suites::balancer::{Balancer, Front, Visit};
use suites::waypoint::{Ground, TCP, authorization_policy, service};

use crate::yard::{self, LISTED, OTHER, addresses, at, edge, host, yard};

const CACHE: u16 = 8001;
const DATABASE: u16 = 8002;
const BYTES: u16 = 8003;

/// Lets in who comes from these addresses.
fn only(service: &str, field: &str, blocks: &str) -> String {
    let spec = format!(
        "targetRefs: [{{kind: Service, group: '', name: {service}}}]\nrules:\n- from: [{{source: {{{field}: [{blocks}]}}}}]\n"
    );
    authorization_policy(&format!("only-{service}"), &spec)
}

#[test]
fn connections_are_judged_by_the_address_in_their_header() -> Result<()> {
    let builder = yard(Ground::builder("tcp-lists"))
        .pod(PodSpec::new("cache-1").node(1).namespace("shop"))
        .pod(PodSpec::new("database-1").node(1).namespace("shop"))
        .service(
            service("cache")
                .named_port("tcp-redis", 6379, 6379)
                .backend("cache-1"),
        )
        .service(
            service("database")
                .named_port("mysql", 3306, 3306)
                .backend("database-1"),
        );
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        addresses(&ground)?;
        let _redis = redis(&ground.pod("cache-1"), 6379)?;
        let _mariadb = mariadb(&ground.pod("database-1"), 3306)?;
        let fronts = [
            Front::tcp(CACHE, at(&ground, "cache", 6379)?).v1(),
            Front::tcp(DATABASE, at(&ground, "database", 3306)?).v2(),
            Front::tcp(BYTES, at(&ground, "web", TCP)?).v2(),
        ];
        let balancer = Balancer::start(&ground.pod("edge"), &fronts)?;
        let outside = ground.lab.outside();
        let home = ground.lab.outside_addresses().ip4;
        let targets = ["web", "cache", "database"]
            .map(|name| format!("{{kind: Service, group: '', name: {name}}}"))
            .join(", ");
        ground.apply("clients", &yard::trust(&targets, ", proxyProtocol: true"))?;

        // HTTP as bytes: two addresses of one host.
        ground.apply("web", &only("web", "remoteIpBlocks", &LISTED.to_string()))?;
        let visit = |from| {
            let visit = Visit::new(outside, edge(&ground, BYTES)).as_address(from);
            visit.send("/bytes")
        };
        ensure!(visit(LISTED)?.status == 200);
        ensure!(visit(OTHER)?.status == 0);
        // The log is of connections; it has the client's address, port and all.
        let lines = ground.access_lines(&format!("{LISTED}:"), 1)?;
        ensure!(
            lines
                .iter()
                .any(|it| host(&it.remote) == Some(IpAddr::from(LISTED))),
            "{lines:?}"
        );
        let denied = ground.access_lines(&format!("{OTHER}:"), 1)?;
        ensure!(
            denied
                .iter()
                .all(|it| host(&it.remote) == Some(IpAddr::from(OTHER))),
            "{denied:?}"
        );
        // The other address is the balancer's, whoever it speaks for.
        let peer = ground.pod("edge").ip4();
        ground.apply("web", &only("web", "ipBlocks", &LISTED.to_string()))?;
        ensure!(visit(LISTED)?.status == 0);
        ground.apply("web", &only("web", "ipBlocks", &peer.to_string()))?;
        ensure!(visit(OTHER)?.status == 200);

        // Redis.
        let host = peer.to_string();
        let ping = || {
            let port = CACHE.to_string();
            let output = outside.exec(["redis-cli", "-h", &host, "-p", &port, "PING"])?;
            anyhow::Ok(output.text().trim() == "PONG")
        };
        for (block, expected) in [(LISTED, false), (home, true)] {
            ground.apply(
                "cache",
                &only("cache", "remoteIpBlocks", &block.to_string()),
            )?;
            ensure!(ping()? == expected, "redis for {block}");
        }
        // A database that speaks first: the header goes before that.
        for (block, expected) in [(LISTED, false), (home, true)] {
            ground.apply(
                "database",
                &only("database", "remoteIpBlocks", &block.to_string()),
            )?;
            let output = MariaDb::query(outside, peer.into(), DATABASE, "SELECT 6 * 7")?;
            ensure!(
                (output.text().trim() == "42") == expected,
                "mariadb for {block}: {output:?}"
            );
        }
        // A pod reaches it without a header, as long as its own address is let in.
        let client = ground.pod("client");
        let vip = ground.vip("database")?;
        let output = MariaDb::query(&client, vip.into(), 3306, "SELECT 6 * 7")?;
        ensure!(!output.status.success(), "{output:?}");
        ground.apply(
            "database",
            &only("database", "remoteIpBlocks", &client.ip4().to_string()),
        )?;
        let output = MariaDb::query(&client, vip.into(), 3306, "SELECT 6 * 7")?;
        ensure!(output.text().trim() == "42", "{output:?}");
        balancer.stop()
    })
}
