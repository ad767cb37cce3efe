//! NetworkPolicy in every shape that a cluster's network gives it: what it keeps apart is not joined, and nobody gets round it by
//! having been joined before, by another address, or by calling often.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Lab, Pod, PodSpec, ServiceSpec, Start, Ztunnel, eventually, until};
use suites::policy::{Call, Echo, Mark, PATIENCE, Seen, log};
use suites::traffic::{certified, opened};

/// How long it takes at most until a path is looked at again, and for the look.
const PROBES: Duration = Duration::from_secs(30);
/// The line that says that joined connections were cut.
const APART: &str = "does not let the pods reach each other";
/// Where the applications listen.
const PORT: u16 = 8080;

/// How a network keeps `client` from a pod.
#[derive(Clone, Copy, Debug)]
struct Wall {
    /// The pod, which is called by what its wall does.
    pod: &'static str,
    /// The rule in the pod's namespace: its chain, and what it says besides the client's address.
    chain: &'static str,
    rule: &'static [&'static str],
    /// What comes of a packet; the second is for IPv6.
    verdict: [&'static [&'static str]; 2],
}

const DROP: [&[&str]; 2] = [&["-j", "DROP"]; 2];
const REJECT: [&[&str]; 2] = [
    &["-j", "REJECT", "--reject-with", "icmp-port-unreachable"],
    &["-j", "REJECT", "--reject-with", "icmp6-adm-prohibited"],
];
const RESET: [&[&str]; 2] = [&["-j", "REJECT", "--reject-with", "tcp-reset"]; 2];

const WALLS: [Wall; 5] = [
    Wall {
        pod: "drops",
        chain: "INPUT",
        rule: &["-s", "-p", "tcp", "--dport", "15008"],
        verdict: DROP,
    },
    Wall {
        pod: "rejects",
        chain: "INPUT",
        rule: &["-s", "-p", "tcp", "--dport", "15008"],
        verdict: REJECT,
    },
    Wall {
        pod: "resets",
        chain: "INPUT",
        rule: &["-s", "-p", "tcp", "--dport", "15008"],
        verdict: RESET,
    },
    // Whoever may not be answered is not reached, although each of its packets arrives.
    Wall {
        pod: "mute",
        chain: "OUTPUT",
        rule: &["-d", "-p", "tcp", "--sport", "15008"],
        verdict: DROP,
    },
    // The whole of the other, and not only the mesh's port.
    Wall {
        pod: "isolated",
        chain: "INPUT",
        rule: &["-s"],
        verdict: DROP,
    },
];

impl Wall {
    /// Builds it (`-I`) or takes it down (`-D`), for both families.
    fn set(self, how: &str, at: &Pod, client: &Pod) -> Result<()> {
        let tools = ["iptables", "ip6tables"];
        for ((tool, ip), verdict) in tools
            .into_iter()
            .zip(client.addresses().both())
            .zip(self.verdict)
        {
            let ip = ip.to_string();
            let mut line = vec![tool, "-w", how, self.chain];
            let (end, rest) = self.rule.split_first().context("a rule")?;
            line.extend([*end, ip.as_str()]);
            line.extend(rest);
            line.extend(verdict);
            at.exec(line)?.ok()?;
        }
        Ok(())
    }
}

fn lab(name: &str, capture: Capture, pods: &[&str]) -> Result<Option<(Lab, Ztunnel)>> {
    if !lab::possible() {
        return Ok(None);
    }
    let mut builder = Lab::builder(name)
        .capture(capture)
        .pod(PodSpec::new("client"));
    for pod in pods {
        builder = builder
            .pod(PodSpec::new(*pod))
            .service(ServiceSpec::new(*pod).port(80, PORT).backend(*pod));
    }
    let lab = builder.build()?;
    let near = lab.start_ztunnel(0, &Start::default())?;
    certified(&near)?;
    Ok(Some((lab, near)))
}

/// How many connections to a pod were joined.
fn joined(near: &Ztunnel, pod: &str) -> Result<f64> {
    let labels = [
        ("reporter", "source"),
        ("connection_security_policy", "same_node"),
        ("destination_workload", pod),
    ];
    opened(near, &labels)
}

/// Every address at which a pod is reached: its own, and its service's.
fn targets(lab: &Lab, pod: &Pod) -> Vec<SocketAddr> {
    let own = pod.addresses().both().map(|ip| SocketAddr::new(ip, PORT));
    let vips = lab.vip(pod.name()).both().map(|ip| SocketAddr::new(ip, 80));
    own.into_iter().chain(vips).collect()
}

/// A connection is refused, whether at once or after a while.
fn refused(client: &Pod, to: SocketAddr) -> Result<()> {
    let mut call = Call::open(client, to)?;
    call.wait_end(PROBES)
        .with_context(|| format!("a call to {to}"))
}

/// Connections between `client` and `oneway`, each of which may call the other until the second may not begin any more. It is
/// answered still: a policy of Kubernetes is for connections.
struct OneWay {
    applications: [Echo; 2],
    allowed: (Call, SocketAddr),
    forbidden: (Call, SocketAddr),
}

impl OneWay {
    fn open(lab: &Lab) -> Result<Self> {
        let (client, oneway) = (lab.pod("client"), lab.pod("oneway"));
        let applications = [
            Echo::start(&client, &[PORT])?,
            Echo::start(&oneway, &[PORT])?,
        ];
        let call = |from: &Pod, to: &Pod| -> Result<(Call, SocketAddr)> {
            let to = SocketAddr::new(to.ip4().into(), PORT);
            let mut call = Call::open(from, to)?;
            ensure!(call.ping()? == Seen::Answered, "{} calls {to}", from.name());
            Ok((call, to))
        };
        Ok(Self {
            applications,
            allowed: call(&client, &oneway)?,
            forbidden: call(&oneway, &client)?,
        })
    }

    fn forbid(lab: &Lab) -> Result<()> {
        let (client, ip) = (lab.pod("client"), lab.pod("oneway").ip4().to_string());
        let rule = [
            "iptables",
            "-w",
            "-I",
            "INPUT",
            "-s",
            &ip,
            "-m",
            "conntrack",
            "--ctstate",
            "NEW",
            "-j",
            "DROP",
        ];
        client.exec(rule)?.ok()?;
        Ok(())
    }

    /// After the probes have found out.
    fn check(mut self, lab: &Lab) -> Result<()> {
        self.forbidden.0.wait_end(PROBES)?;
        let reached = self.applications[0].accepted();
        refused(&lab.pod("oneway"), self.forbidden.1)?;
        ensure!(self.applications[0].accepted() == reached);
        ensure!(
            self.allowed.0.ping()? == Seen::Answered,
            "the way back is not a way"
        );
        let mut again = Call::open(&lab.pod("client"), self.allowed.1)?;
        ensure!(again.ping()? == Seen::Answered);
        Ok(())
    }
}

fn walls(capture: Capture) -> Result<()> {
    let names = WALLS.map(|wall| wall.pod);
    let all: Vec<&str> = names.into_iter().chain(["oneway"]).collect();
    let Some((lab, near)) = lab("walls", capture, &all)? else {
        return Ok(());
    };
    let client = lab.pod("client");
    let pods: Vec<Arc<Pod>> = names.into_iter().map(|name| lab.pod(name)).collect();
    let echoes: Vec<Echo> = pods
        .iter()
        .map(|pod| Echo::start(pod, &[PORT]))
        .collect::<Result<_>>()?;
    lab.scenario(|| {
        let mut open = Vec::new();
        for pod in &pods {
            for to in targets(&lab, pod) {
                let mut call = Call::open(&client, to)?;
                ensure!(call.ping()? == Seen::Answered, "{to} of {}", pod.name());
                open.push((pod, to, call));
            }
        }
        let oneway = OneWay::open(&lab)?;
        for pod in &pods {
            eventually("joined", PATIENCE, || {
                let joined = joined(&near, pod.name())?;
                ensure!((joined - 4.0).abs() < 0.5, "{}: {joined}", pod.name());
                Ok(())
            })?;
        }
        let mark = Mark::now(&near);
        for (wall, pod) in WALLS.iter().zip(&pods) {
            wall.set("-I", pod, &client)?;
        }
        OneWay::forbid(&lab)?;
        // All walls at once: each path is walked again within the same ten seconds.
        for (pod, to, call) in &mut open {
            call.wait_end(PROBES)
                .with_context(|| format!("{}, {to}", pod.name()))?;
        }
        for (_, _, call) in &open {
            let lines = mark.wait(&near, &["access", APART, &log::source(call.local())], 2)?;
            ensure!(
                lines.iter().any(|line| line.contains("inbound")),
                "{lines:?}"
            );
        }

        // Nobody comes to the applications any more, by no address, and however often it is tried.
        let before: Vec<usize> = echoes.iter().map(Echo::accepted).collect();
        std::thread::scope(|scope| {
            let mut calls = Vec::new();
            for pod in &pods {
                for to in targets(&lab, pod) {
                    for _ in 0..3 {
                        let client = &client;
                        calls.push(scope.spawn(move || refused(client, to)));
                    }
                }
            }
            oneway.check(&lab)?;
            calls
                .into_iter()
                .try_for_each(|call| call.join().map_err(|_| anyhow::anyhow!("panicked"))?)
        })?;
        let after: Vec<usize> = echoes.iter().map(Echo::accepted).collect();
        ensure!(before == after, "{before:?} has become {after:?}");

        for (wall, pod) in WALLS.iter().zip(&pods) {
            wall.set("-D", pod, &client)?;
        }
        for pod in &pods {
            for to in targets(&lab, pod) {
                eventually(&format!("{to} answers again"), PROBES, || {
                    ensure!(Call::open(&client, to)?.ping()? == Seen::Answered);
                    Ok(())
                })?;
            }
            until("the pods joined again", PROBES, || {
                let to = SocketAddr::new(pod.ip4().into(), PORT);
                let call = Call::open(&client, to).and_then(|mut call| call.ping());
                call.is_ok_and(|seen| seen == Seen::Answered)
                    && joined(&near, pod.name()).is_ok_and(|joined| joined > 4.5)
            })?;
        }
        Ok(())
    })
}

#[test]
fn where_the_network_keeps_pods_apart_they_are_not_joined_with_agent_capture() -> Result<()> {
    walls(Capture::Agent)
}

#[test]
fn where_the_network_keeps_pods_apart_they_are_not_joined_with_iptables_capture() -> Result<()> {
    walls(Capture::Iptables)
}

#[test]
fn where_the_network_keeps_pods_apart_they_are_not_joined_with_ebpf_capture() -> Result<()> {
    walls(Capture::Ebpf)
}
