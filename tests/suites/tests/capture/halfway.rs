//! A ztunnel that is killed in the middle of taking pods on: each pod is captured in both directions, or in none, or takes nothing in;
//! never is it open to those whom a policy keeps out while it takes itself for protected. The successor mends all of it.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use lab::{Capture, Lab, Machine, Pod, PodSpec, Start, Ztunnel, eventually, until};
use serde_json::json;
use suites::policy::{Echo, scoped};
use suites::traffic::{PATIENCE, is_served};

/// Pods that join one after the other.
const PODS: usize = 4;
/// Where the applications of all pods listen, and the one outside.
const PORT: u16 = 8080;
/// Long enough to see that nobody answers.
const DROPPED: Duration = Duration::from_secs(2);

/// A sign of how far a ztunnel has come with a pod.
#[derive(Clone, Copy, Debug)]
enum Sign {
    /// Listeners are there: with rules nothing of capture stands.
    Listener,
    /// Routing leads somewhere.
    Routing,
    /// It says that the pod is served.
    Served,
}

/// When it is killed: at a sign of one of the pods.
const MOMENTS: [(usize, Sign); 6] = [
    (0, Sign::Listener),
    (0, Sign::Routing),
    (1, Sign::Listener),
    (2, Sign::Routing),
    (2, Sign::Served),
    (3, Sign::Listener),
];

impl Sign {
    fn is_there(self, pod: &Pod, served: usize, ztunnel: &Ztunnel, capture: Capture) -> bool {
        match self {
            Self::Listener => is_served(pod, capture),
            Self::Routing => rules(pod).is_ok_and(|rules| rules.contains("fwmark")),
            Self::Served => ztunnel.log_lines(&["pod added"]).len() > served,
        }
    }
}

/// The routing rules of a pod, of both families.
fn rules(pod: &Pod) -> Result<String> {
    let mut all = String::new();
    for family in ["-4", "-6"] {
        all += &pod.exec(["ip", family, "rule", "show"])?.ok()?;
    }
    Ok(all)
}

/// Whether an application answers.
fn answers(from: &Machine, to: SocketAddr) -> Result<bool> {
    from.run(|| {
        let Ok(mut stream) = TcpStream::connect_timeout(&to, DROPPED) else {
            return Ok(false);
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut echo = [0; 4];
        let asked = stream.write_all(b"ping");
        Ok(asked.and_then(|()| stream.read_exact(&mut echo)).is_ok())
    })?
}

/// Of one pod and one family: whether it reaches the one outside, and whether that one reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ways {
    out: bool,
    inside: bool,
}

/// All pods' ways, those of IPv4 first.
fn ways(lab: &Lab, pods: &[Arc<Pod>]) -> Result<Vec<[Ways; 2]>> {
    let outside = lab.outside_addresses().both();
    let one = |pod: &Pod, own: IpAddr, outside: IpAddr| -> Result<Ways> {
        Ok(Ways {
            out: answers(pod, SocketAddr::new(outside, PORT))?,
            inside: answers(lab.outside(), SocketAddr::new(own, PORT))?,
        })
    };
    thread::scope(|scope| {
        let looks: Vec<_> = pods
            .iter()
            .map(|pod| {
                let [ip4, ip6] = pod.addresses().both();
                [(ip4, outside[0]), (ip6, outside[1])]
                    .map(|(own, outside)| scope.spawn(move || one(pod, own, outside)))
            })
            .collect();
        let seen = |look: thread::ScopedJoinHandle<'_, Result<Ways>>| {
            look.join().map_err(|_| anyhow!("a thread panicked"))?
        };
        looks
            .into_iter()
            .map(|[ip4, ip6]| Ok([seen(ip4)?, seen(ip6)?]))
            .collect()
    })
}

fn killed_halfway(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let mut builder = Lab::builder("halfway").capture(capture).outside();
    for number in 0..PODS {
        builder = builder.pod(PodSpec::new(format!("pod-{number}")).not_enrolled());
    }
    let lab = builder.build()?;
    let pods: Vec<_> = (0..PODS)
        .map(|number| lab.pod(&format!("pod-{number}")))
        .collect();
    let mut applications = vec![Echo::start(lab.outside(), &[PORT])?];
    for pod in &pods {
        applications.push(Echo::start(pod, &[PORT])?);
    }
    // Nobody without an identity, where there is a proxy to ask.
    let rules_of_policy = json!([[[{"notPrincipals": ["*"]}]]]);
    lab.change(|mesh| {
        mesh.policy(scoped(
            "strict",
            "default",
            "Namespace",
            "Deny",
            rules_of_policy,
        ));
    })?;
    let ztunnel = lab.start_ztunnel(0, &Start::default())?;
    let before = leavings(&lab, &pods)?;
    lab.scenario(|| {
        for (index, sign) in MOMENTS {
            let moment = format!("killed at {sign:?} of pod {index}");
            let served = ztunnel.log_lines(&["pod added"]).len() + index;
            thread::scope(|scope| {
                let joining = scope.spawn(|| {
                    pods.iter()
                        .try_for_each(|pod| lab.enrol(pod.name()).map(drop))
                });
                // As fast as one can look: what comes after the sign is what is to be cut off.
                let deadline = std::time::Instant::now() + PATIENCE;
                while !sign.is_there(&pods[index], served, &ztunnel, capture) {
                    ensure!(
                        std::time::Instant::now() < deadline,
                        "{moment}: it never came"
                    );
                    std::hint::spin_loop();
                }
                ztunnel.kill()?;
                joining.join().map_err(|_| anyhow!("a thread panicked"))?
            })?;
            for (pod, ways) in pods.iter().zip(ways(&lab, &pods)?) {
                for way in ways {
                    ensure!(
                        way.out || !way.inside,
                        "{moment}: {} is half captured: {way:?}",
                        pod.name()
                    );
                }
            }
            ztunnel.restart()?;
            ztunnel.wait_ready()?;
            eventually(&format!("{moment}, and mended"), PATIENCE, || {
                let protected = Ways {
                    out: true,
                    inside: false,
                };
                let found = ways(&lab, &pods)?;
                ensure!(
                    found.iter().flatten().all(|way| *way == protected),
                    "{found:?}"
                );
                Ok(())
            })?;
            for pod in &pods {
                lab.unenrol(pod.name())?;
            }
            let after = leavings(&lab, &pods)?;
            ensure!(
                after == before,
                "{moment}: left is\n{after}\nand before it was\n{before}"
            );
            let found = ways(&lab, &pods)?;
            let free = Ways {
                out: true,
                inside: true,
            };
            ensure!(
                found.iter().flatten().all(|way| *way == free),
                "{moment}: {found:?}"
            );
        }
        Ok(())
    })
}

/// What stands of capture: rules, routes, listeners of every pod, and pins.
fn leavings(lab: &Lab, pods: &[Arc<Pod>]) -> Result<String> {
    let mut all = String::new();
    for pod in pods {
        all += &rules(pod)?;
        for tool in ["iptables-save", "ip6tables-save"] {
            let text = pod.exec([tool])?.ok()?;
            // Tables that were looked at stay, empty; the heads of chains have counters.
            all.extend(
                text.lines()
                    .filter(|line| line.starts_with('-'))
                    .map(|line| format!("{line}\n")),
            );
        }
        for family in ["-4", "-6"] {
            for table in ["100", "101", "4919"] {
                // A table that nobody has written to is an error to ip.
                all += &pod
                    .exec(["ip", family, "route", "show", "table", table])?
                    .text();
            }
        }
        until(
            "the listeners of a pod that has left are closed",
            PATIENCE,
            || !is_served(pod, lab.capture()),
        )?;
        let sockets = pod.exec(["ss", "-Hltn"])?.ok()?;
        all += &format!("{} listeners\n", sockets.lines().count());
    }
    let pins = lab.folder().join("bpf").join(lab.node(0).name());
    for generation in std::fs::read_dir(&pins).into_iter().flatten().flatten() {
        let of_pods = std::fs::read_dir(generation.path().join("pods"));
        for pin in of_pods.into_iter().flatten().flatten() {
            all += &format!("pinned: {}\n", pin.path().display());
        }
    }
    Ok(all)
}

#[test]
fn ztunnel_killed_while_pods_join_leaves_none_half_captured_with_agent_capture() -> Result<()> {
    killed_halfway(Capture::Agent).context("agent")
}

#[test]
fn ztunnel_killed_while_pods_join_leaves_none_half_captured_with_iptables_capture() -> Result<()> {
    killed_halfway(Capture::Iptables).context("iptables")
}

#[test]
fn ztunnel_killed_while_pods_join_leaves_none_half_captured_with_ebpf_capture() -> Result<()> {
    killed_halfway(Capture::Ebpf).context("ebpf")
}
