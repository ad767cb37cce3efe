//! TCP as programs may ask for it without knowing of a mesh: Multipath TCP (RFC 8684) on either side, and TCP Fast
//! Open (RFC 7413) with data in the first packet. What is carried is TCP; nobody is refused, and nothing escapes.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Machine, SECONDS_5, Start, programs};
use suites::traffic::routes::{self, Kind};
use suites::traffic::{PATIENCE, eventually_opened, get, url};

/// Where the server listens that speaks Multipath TCP; nginx does not, at [`routes::PORT`].
const MULTIPATH: u16 = 7001;

/// `net.ipv4.tcp_fastopen`: as a client, and data in the first packet without a cookie.
const FAST_OPEN: &str = "5";

/// A counter of the namespace's TCP, as `nstat` prints it.
fn counted(machine: &Machine, name: &str) -> Result<u64> {
    let text = machine.run(|| fs::read_to_string("/proc/thread-self/net/netstat"))??;
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    let mut pairs = lines
        .chunks(2)
        .flat_map(|pair| pair[0].iter().zip(&pair[1]));
    let (_, value) = pairs
        .find(|(found, _)| **found == name)
        .with_context(|| format!("{name} in {text}"))?;
    Ok(value.parse()?)
}

fn talk(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = routes::lab("transports", capture)?;
    let routes = routes::all(&lab);
    let mut servers = BTreeMap::new();
    for route in &routes {
        if servers.contains_key(route.at.name()) {
            continue;
        }
        let nginx = programs::nginx(&route.at, routes::PORT)?;
        let port = MULTIPATH.to_string();
        let listens = ["python3", "-um", "http.server", "--bind", "::", &port];
        let multipath = ["mptcpize", "run"].into_iter().chain(listens);
        let multipath = route.at.spawn(multipath)?;
        route.at.wait_listens(MULTIPATH, PATIENCE)?;
        let listeners = route.at.exec(["ss", "-HlnM"])?.ok()?;
        ensure!(listeners.contains(&format!(":{port}")), "{listeners}");
        servers.insert(route.at.name().to_owned(), (nginx, multipath));
        route.at.sysctl(&[("net.ipv4.tcp_fastopen", FAST_OPEN)])?;
    }
    let ztunnels = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        for (number, route) in routes.iter().enumerate() {
            let asked = |line: &[&str], counters: &[&str]| -> Result<()> {
                let sum = || -> Result<u64> {
                    let each = counters.iter().map(|name| counted(&route.from, name));
                    each.sum()
                };
                let before = sum()?;
                let whoami = url(route.to.ip(), route.to.port(), "/whoami");
                let line = line.iter().copied();
                let said = route
                    .from
                    .exec(line.chain(["-sS", "-m", "15", &whoami]))?
                    .ok()?;
                ensure!(
                    said == format!("{}\n", route.client),
                    "the server saw {said}"
                );
                ensure!(sum()? > before, "none of {counters:?} was counted");
                Ok(())
            };
            asked(&["mptcpize", "run", "curl"], &["MPCapableSYNTX"])
                .with_context(|| format!("Multipath TCP, {}", route.name))?;
            asked(
                &["curl", "--tcp-fastopen"],
                &["TCPFastOpenActive", "TCPFastOpenActiveFail"],
            )
            .with_context(|| format!("TCP Fast Open, {}", route.name))?;
            // To a server of Multipath TCP; no service offers it.
            let server = route.own(MULTIPATH);
            let path = format!("/?{number}");
            get(&route.from, &url(server.ip(), server.port(), &path))
                .with_context(|| format!("a server of Multipath TCP, {}", route.name))?;
            let line = servers[route.at.name()].1.wait_log(&path, SECONDS_5)?;
            let client = line.split(' ').next().unwrap_or_default();
            ensure!(
                client.trim_start_matches("::ffff:") == route.client.to_string(),
                "{}: {line}",
                route.name
            );
        }
        // Nothing that belongs into a tunnel escaped it, or was sent twice.
        let tunnelled = routes.iter().filter(|route| route.kind == Kind::Hbone);
        let expected = 3 * u32::try_from(tunnelled.count())?;
        for ztunnel in &ztunnels {
            let mutual = [("connection_security_policy", "mutual_tls")];
            eventually_opened(ztunnel, expected, &mutual)?;
        }
        Ok(())
    })
}

#[test]
fn programs_of_multipath_tcp_and_fast_open_talk_under_agent_capture() -> Result<()> {
    talk(Capture::Agent)
}

#[test]
fn programs_of_multipath_tcp_and_fast_open_talk_under_iptables_capture() -> Result<()> {
    talk(Capture::Iptables)
}

#[test]
fn programs_of_multipath_tcp_and_fast_open_talk_under_ebpf_capture() -> Result<()> {
    talk(Capture::Ebpf)
}
