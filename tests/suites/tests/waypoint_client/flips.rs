//! Downloads behind a load balancer while the list of addresses changes, and while the balancer's word stops to count.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use lab::{Process, until};
use suites::balancer::{Balancer, Front};
use suites::policy::PATIENCE;
use suites::waypoint::{Ground, H2, HTTP, TCP, authorization_policy};

use crate::yard::{self, LISTED, OTHER, WEB, addresses, at, edge, yard};

const BYTES: u16 = 8001;
const HTTP1: u16 = 8002;
const HTTP2: u16 = 8003;

/// Downloads that take minutes, one by each way.
struct Downloads(Vec<Process>);

impl Downloads {
    fn start(ground: &Ground, from: Ipv4Addr) -> Result<Self> {
        let interface = format!("host!{from}");
        let start = |port: u16| {
            let url = format!(
                "http://{}/stream?chunks=3000&every_ms=100&of={from}",
                edge(ground, port)
            );
            let line = ["curl", "-sSN", "-o", "/dev/null", "--interface", &interface];
            let more: &[&str] = match port {
                HTTP2 => &["--http2-prior-knowledge", &url],
                _ => &[&url],
            };
            let outside = ground.lab.outside();
            outside.spawn(line.iter().chain(more).copied())
        };
        let all: Result<Vec<Process>> = [BYTES, HTTP1, HTTP2].map(start).into_iter().collect();
        let of = format!("of={from}");
        until("three downloads", PATIENCE, || {
            let seen = ground.echoes.values().map(|echo| echo.seen(&of).len());
            seen.sum::<usize>() == 3
        })?;
        all.map(Self)
    }

    fn all_run(&self) -> bool {
        self.0.iter().all(Process::is_running)
    }

    fn end(&self) -> Result<()> {
        until("three downloads end", PATIENCE, || {
            !self.0.iter().any(Process::is_running)
        })
    }
}

#[test]
fn what_is_open_behind_a_balancer_ends_when_its_client_is_let_in_no_more() -> Result<()> {
    let Some(ground) = yard(Ground::builder("lists-flip")).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        addresses(&ground)?;
        let fronts = [
            Front::tcp(BYTES, at(&ground, "web", TCP)?).v2(),
            Front::tcp(HTTP1, at(&ground, "web", HTTP)?).v1(),
            Front::tcp(HTTP2, at(&ground, "web", H2)?).v2(),
        ];
        let balancer = Balancer::start(&ground.pod("edge"), &fronts)?;
        ground.apply("clients", &yard::trust(WEB, ", proxyProtocol: true"))?;
        let only = |blocks: &str| {
            let spec = format!(
                "targetRefs: [{WEB}]\nrules:\n- from: [{{source: {{remoteIpBlocks: [{blocks}]}}}}]\n"
            );
            authorization_policy("only", &spec)
        };
        ground.apply("only", &only(&format!("{LISTED}, {OTHER}")))?;
        let listed = Downloads::start(&ground, LISTED)?;
        let other = Downloads::start(&ground, OTHER)?;
        // A shorter list.
        ground.apply("only", &only(&LISTED.to_string()))?;
        other.end()?;
        ensure!(listed.all_run(), "a download of a listed address was cut");
        // The list is as it was, the balancer's word is not.
        let stranger = yard::trust(WEB, "").replace(yard::BALANCER, "cluster.local/ns/edge/sa/neighbour");
        ground.apply("clients", &stranger)?;
        listed.end()?;
        balancer.stop()
    })
}
