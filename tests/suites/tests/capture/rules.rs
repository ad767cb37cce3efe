//! The rules themselves: written once, the same after every restart, gone with the pod.

use anyhow::{Result, ensure};
use lab::{Capture, Lab, Pod, PodSpec, Start, programs};
use suites::traffic::{eventually_opened, get, refused, url};

/// All that a namespace holds of rules and routes, without the counters.
fn rules(pod: &Pod) -> Result<String> {
    let mut all = String::new();
    for (save, family) in [("iptables-save", "-4"), ("ip6tables-save", "-6")] {
        for line in pod.exec([save])?.ok()?.lines() {
            // Comments hold the time; what follows the policy of a chain are counters.
            if !line.starts_with('#') {
                all.push_str(line.split(" [").next().unwrap_or_default());
                all.push('\n');
            }
        }
        for what in ["rule", "route"] {
            let tables: &[&[&str]] = if what == "route" {
                &[&["show", "table", "100"], &["show", "table", "4919"]]
            } else {
                &[&["show"]]
            };
            for table in tables {
                let line = ["ip", family, what]
                    .into_iter()
                    .chain(table.iter().copied());
                // A table that nobody has written to is an error to ip.
                all.push_str(&pod.exec(line)?.text());
            }
        }
    }
    Ok(all)
}

fn client_and_server(name: &str, capture: Capture) -> Result<Lab> {
    Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("server").node(1))
        .capture(capture)
        .build()
}

fn restarts(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = client_and_server("restarts", capture)?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _nginx = programs::nginx(&server, 8080)?;
    let [near, _far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let first = rules(&client)?;
        let wanted: &[&str] = if capture == Capture::Ebpf {
            &["fwmark 0x1337 lookup 4919", "local default"]
        } else {
            &[
                "--to-ports 15001",
                "--to-ports 15006",
                "ISTIO_OUTPUT",
                "0x111/0xfff lookup 100",
                "local default",
            ]
        };
        ensure!(first.contains("ISTIO") == (capture != Capture::Ebpf));
        for said in wanted {
            ensure!(
                first.matches(said).count() >= 2,
                "{said} is not there for both families:\n{first}"
            );
        }
        for _ in 0..2 {
            let snapshots = lab.node(0).agent().snapshots();
            near.restart()?;
            near.wait_ready()?;
            lab.node(0)
                .agent()
                .wait_snapshots(snapshots + 1, lab::SECONDS_5 * 4)?;
            let again = rules(&client)?;
            ensure!(again == first, "first\n{first}\nafter a restart\n{again}");
            for ip in server.addresses().both() {
                ensure!(get(&client, &url(ip, 8080, "/"))? == "hello from server\n");
            }
        }
        Ok(())
    })
}

#[test]
fn restarted_ztunnel_leaves_the_rules_as_they_are_with_agent_capture() -> Result<()> {
    restarts(Capture::Agent)
}

#[test]
fn restarted_ztunnel_leaves_the_rules_as_they_are_with_iptables_capture() -> Result<()> {
    restarts(Capture::Iptables)
}

#[test]
fn restarted_ztunnel_leaves_the_rules_as_they_are_with_ebpf_capture() -> Result<()> {
    restarts(Capture::Ebpf)
}

/// Who has written the rules takes them back, and a pod that comes back is captured as before.
fn come_and_go(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = client_and_server("comeandgo", capture)?;
    let client = lab.pod("client");
    let _ztunnels = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let first = rules(&client)?;
        for _ in 0..2 {
            lab.unenrol("client")?;
            let left = rules(&client)?;
            for said in [
                "ISTIO",
                "0x111",
                "0x539",
                "0x1337",
                "15001",
                "15006",
                "local default",
            ] {
                ensure!(!left.contains(said), "{said} is left:\n{left}");
            }
            lab.enrol("client")?;
            let again = rules(&client)?;
            ensure!(again == first, "first\n{first}\nwhen it came back\n{again}");
        }
        Ok(())
    })
}

#[test]
fn rules_go_with_the_pod_and_come_back_with_agent_capture() -> Result<()> {
    come_and_go(Capture::Agent)
}

#[test]
fn rules_go_with_the_pod_and_come_back_with_iptables_capture() -> Result<()> {
    come_and_go(Capture::Iptables)
}

#[test]
fn rules_go_with_the_pod_and_come_back_with_ebpf_capture() -> Result<()> {
    come_and_go(Capture::Ebpf)
}

/// `IPV6_ENABLED=false`: IPv4 goes through the mesh; ztunnel neither listens on nor captures IPv6.
fn without_ipv6(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = client_and_server("noipv6", capture)?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let nginx = programs::nginx(&server, 8080)?;
    let [near, far] = lab.start_ztunnels(&Start::default().env("IPV6_ENABLED", "false"))?;
    lab.scenario(|| {
        ensure!(
            get(&client, &url(server.ip4(), 8080, "/whoami"))? == format!("{}\n", client.ip4())
        );
        let of_ipv6 = server.exec(["ip6tables-save"])?.ok()?;
        let url = url(server.ip6(), 8080, "/whoami");
        match capture {
            Capture::Iptables | Capture::Ebpf | Capture::Auto => {
                ensure!(!of_ipv6.contains("ISTIO"), "{of_ipv6}");
                ensure!(get(&client, &url)? == format!("{}\n", client.ip6()));
            }
            // The lab's agent does not know; what it captures finds nobody.
            Capture::Agent | Capture::None => {
                refused(&client, &url)?;
                ensure!(
                    nginx.access_log().lines().count() == 1,
                    "{}",
                    nginx.access_log()
                );
            }
        }
        for ztunnel in [&near, &far] {
            eventually_opened(ztunnel, 1, &[("connection_security_policy", "mutual_tls")])?;
            eventually_opened(ztunnel, 1, &[])?;
        }
        Ok(())
    })
}

#[test]
fn mesh_works_over_ipv4_alone_with_agent_capture() -> Result<()> {
    without_ipv6(Capture::Agent)
}

#[test]
fn mesh_works_over_ipv4_alone_with_iptables_capture() -> Result<()> {
    without_ipv6(Capture::Iptables)
}

#[test]
fn mesh_works_over_ipv4_alone_with_ebpf_capture() -> Result<()> {
    without_ipv6(Capture::Ebpf)
}
