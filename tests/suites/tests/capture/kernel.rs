//! Programs in the kernel: what outlives the ztunnel that attached them, who takes them over, what goes with a pod, and
//! what they must not let a pod do.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Lab, PodSpec, ServiceSpec, Start, programs};
use suites::traffic::steady::Steady;
use suites::traffic::{self, End, PATIENCE, dial, end, eventually_opened, get, nowhere, pair, url};

/// Requests that must pass before something is done, and after.
const REQUESTS: u64 = 50;

fn client_and_server(name: &str) -> Result<Option<Lab>> {
    lab::possible()
        .then(|| {
            Lab::builder(name)
                .pod(PodSpec::new("client"))
                .pod(PodSpec::new("near"))
                .pod(PodSpec::new("server").node(1))
                .service(ServiceSpec::new("server").port(80, 8080).backend("server"))
                .capture(Capture::Ebpf)
                .outside()
                .build()
        })
        .transpose()
}

/// What is pinned of pods, by node.
fn pinned_pods(lab: &Lab, node: usize) -> Result<Vec<PathBuf>> {
    let folder = |path: &PathBuf| -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    };
    let pins = lab.folder().join("bpf").join(lab.node(node).name());
    let mut pods = Vec::new();
    for generation in folder(&pins)? {
        // Beside generations stand what is noted for all of them.
        pods.extend(folder(&generation.join("pods")).unwrap_or_default());
    }
    Ok(pods)
}

#[test]
fn killed_ztunnel_leaves_pods_closed_and_its_successor_takes_them_over_under_load() -> Result<()> {
    let Some(lab) = client_and_server("takeover")? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let nginx = programs::nginx(&server, 8080)?;
    let ztunnels = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let direct: [IpAddr; 2] = server.addresses().both();
        let mut targets: Vec<_> = direct.map(|ip| SocketAddr::new(ip, 8080)).to_vec();
        targets.push(SocketAddr::new(lab.vip("server").ip4.into(), 80));
        let targets = || targets.clone();
        let outside = || targets()[..2].to_vec();
        for ztunnel in &ztunnels {
            // What was under way with the one that dies may fail.
            let load = [
                Steady::start(&client, targets())?,
                Steady::start(lab.outside(), outside())?,
            ];
            for steady in &load {
                steady.wait_for(REQUESTS)?;
            }
            ztunnel.kill()?;
            drop(load);
            let before = nginx.access_log();
            if ztunnel.id() == ztunnels[0].id() {
                nowhere(&client, &url(server.ip4(), 8080, "/"))?;
            } else {
                nowhere(lab.outside(), &url(server.ip6(), 8080, "/"))?;
            }
            ensure!(
                nginx.access_log() == before,
                "a request has gone round the ztunnel that is not there"
            );
            ztunnel.restart()?;
            ztunnel.wait_ready()?;
            ztunnel.wait_log(&["taken over from a predecessor"], PATIENCE)?;
            // And nothing of the successor's.
            let load = [
                Steady::start(&client, targets())?,
                Steady::start(lab.outside(), outside())?,
            ];
            for steady in &load {
                steady.wait_for(REQUESTS)?;
            }
            for steady in load {
                let failed = steady.end()?;
                ensure!(failed.is_empty(), "{failed:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn pins_go_with_the_pod_also_with_one_that_left_while_no_ztunnel_ran() -> Result<()> {
    let Some(lab) = client_and_server("pinsgo")? else {
        return Ok(());
    };
    let (client, near, server) = (lab.pod("client"), lab.pod("near"), lab.pod("server"));
    let _nginx = programs::nginx(&server, 8080)?;
    let [first, _second] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        ensure!(pinned_pods(&lab, 0)?.len() == 2 && pinned_pods(&lab, 1)?.len() == 1);
        lab.unenrol("near")?;
        ensure!(pinned_pods(&lab, 0)?.len() == 1);
        lab.enrol("near")?;
        ensure!(pinned_pods(&lab, 0)?.len() == 2);
        first.kill()?;
        lab.unenrol("near")?;
        nowhere(&near, &url(server.ip4(), 8080, "/"))?;
        first.restart()?;
        first.wait_ready()?;
        lab::until("its pins have gone", PATIENCE, || {
            pinned_pods(&lab, 0).is_ok_and(|pods| pods.len() == 1)
        })?;
        // One talks past the mesh, the other through it.
        for (pod, through) in [(&near, 0), (&client, 1)] {
            for ip in server.addresses().both() {
                ensure!(get(pod, &url(ip, 8080, "/"))? == "hello from server\n");
            }
            eventually_opened(&first, 2 * through, &[])?;
        }
        Ok(())
    })
}

#[test]
fn process_that_finds_a_listener_is_turned_away() -> Result<()> {
    let Some(lab) = client_and_server("listeners")? else {
        return Ok(());
    };
    let client = lab.pod("client");
    let [near, _far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let sockets = client.exec(["ss", "-Hltn"])?.ok()?;
        let listeners: Vec<SocketAddr> = sockets
            .lines()
            .filter_map(|line| line.split_whitespace().nth(3)?.parse().ok())
            .filter(|address: &SocketAddr| address.ip().is_loopback())
            .collect();
        // What goes out, what comes in, tunnels; of two families.
        ensure!(listeners.len() == 6, "{sockets}");
        for address in listeners {
            // The reset may come before the word that they are connected.
            if let Ok(mut stream) = dial(&client, address) {
                ensure!(end(&mut stream)? == End::Reset, "{address}");
            }
        }
        // By its own address nobody is there: loopback is not on the way.
        let own = SocketAddr::new(client.ip4().into(), 15001);
        ensure!(dial(&client, own).is_err());
        eventually_opened(&near, 0, &[])
    })
}

#[test]
fn pod_that_gets_another_address_is_captured_with_it_and_its_connections_live_on() -> Result<()> {
    let Some(lab) = client_and_server("readdressed")? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _nginx = [
        programs::nginx(&server, 8080)?,
        programs::nginx(&client, 8080)?,
    ];
    let [near, _far] = lab.start_ztunnels(&Start::default())?;
    let more: [IpAddr; 2] = [
        Ipv4Addr::new(10, 10, 1, 200).into(),
        "fd00:10:1::c8".parse()?,
    ];
    lab.scenario(|| {
        let listener = traffic::listen(&server, 7000)?;
        let mut open = pair(
            &client,
            SocketAddr::new(server.ip4().into(), 7000),
            &listener,
        )?;
        open.exchange("before")?;
        let steady = Steady::start(&client, [SocketAddr::new(server.ip6().into(), 8080)])?;
        steady.wait_for(REQUESTS)?;
        client.ip(&[
            format!("addr add {}/32 dev eth0", more[0]),
            format!("addr add {}/128 dev eth0 nodad", more[1]),
        ])?;
        near.wait_log(&["captured again with other addresses"], PATIENCE)?;
        // A call of itself, which is none of ours.
        let opened = [("destination_service_name", "PassthroughCluster")];
        for ip in more {
            lab::eventually("a call of its new address", PATIENCE, || {
                get(&client, &url(ip, 8080, "/"))
            })?;
        }
        eventually_opened(&near, 0, &opened)?;
        client.ip(&[format!("addr del {}/32 dev eth0", more[0])])?;
        steady.wait_for(REQUESTS)?;
        open.exchange("after")?;
        let failed = steady.end()?;
        ensure!(failed.is_empty(), "{failed:?}");
        Ok(())
    })
}
