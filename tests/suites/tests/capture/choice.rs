//! `CAPTURE=auto`: the kernel's programs where a trial of them succeeds, else rules, and the reason is told.

use anyhow::{Result, ensure};
use lab::{Capture, Lab, PodSpec, Start, Ztunnel, programs};
use suites::traffic::{PATIENCE, get, url};

const METRIC: &str = "ambit_capture_mode{";

fn client_and_server(name: &str, capture: Capture) -> Result<Option<Lab>> {
    lab::possible()
        .then(|| {
            Lab::builder(name)
                .pod(PodSpec::new("client"))
                .pod(PodSpec::new("server").node(1))
                .capture(capture)
                .build()
        })
        .transpose()
}

/// The one line of the metric.
fn chosen(ztunnel: &Ztunnel) -> Result<String> {
    let metrics = ztunnel.metrics()?;
    let lines: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with(METRIC))
        .collect();
    ensure!(lines.len() == 1, "{lines:?}");
    Ok(lines.concat())
}

#[test]
fn auto_captures_with_programs_in_the_kernel_where_they_work() -> Result<()> {
    let Some(lab) = client_and_server("autoebpf", Capture::Auto)? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _nginx = programs::nginx(&server, 8080)?;
    let ztunnels = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        for (ip, own) in server
            .addresses()
            .both()
            .into_iter()
            .zip(client.addresses().both())
        {
            ensure!(get(&client, &url(ip, 8080, "/whoami"))? == format!("{own}\n"));
        }
        for ztunnel in &ztunnels {
            ensure!(chosen(ztunnel)? == "ambit_capture_mode{mode=\"ebpf\",reason=\"\"} 1");
            ztunnel.wait_log(&["connection complete", "client"], PATIENCE)?;
        }
        let rules = client.exec(["iptables-save"])?.ok()?;
        ensure!(!rules.contains("ISTIO"), "{rules}");
        Ok(())
    })
}

#[test]
fn auto_writes_rules_and_tells_why_where_programs_in_the_kernel_do_not_work() -> Result<()> {
    let Some(lab) = client_and_server("autorules", Capture::Auto)? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _nginx = programs::nginx(&server, 8080)?;
    // A folder, but of no cgroup2.
    let path = lab.folder().display().to_string();
    let ztunnels = lab.start_ztunnels(&Start::default().env("CGROUP_PATH", path))?;
    lab.scenario(|| {
        for (ip, own) in server
            .addresses()
            .both()
            .into_iter()
            .zip(client.addresses().both())
        {
            ensure!(get(&client, &url(ip, 8080, "/whoami"))? == format!("{own}\n"));
        }
        for ztunnel in &ztunnels {
            let line = chosen(ztunnel)?;
            ensure!(
                line.starts_with("ambit_capture_mode{mode=\"iptables\",reason=\""),
                "{line}"
            );
            ensure!(!line.contains("reason=\"\""), "{line}");
            ztunnel.wait_log(&["eBPF cannot capture here", "reason"], PATIENCE)?;
        }
        let rules = client.exec(["iptables-save"])?.ok()?;
        ensure!(rules.contains("--to-ports 15001"), "{rules}");
        Ok(())
    })
}

#[test]
fn ebpf_alone_does_not_start_where_it_does_not_work() -> Result<()> {
    let Some(lab) = client_and_server("noebpf", Capture::Ebpf)? else {
        return Ok(());
    };
    let path = lab.folder().display().to_string();
    let ztunnel = lab.spawn_ztunnel(0, &Start::default().env("CGROUP_PATH", path))?;
    lab.scenario(|| {
        lab::until("the end of ztunnel", PATIENCE, || !ztunnel.is_running())?;
        let log = ztunnel.log();
        ensure!(log.contains("CAPTURE=ebpf is not possible here"), "{log}");
        // Whoever captures nothing must not be handed pods.
        ensure!(!lab.node(0).agent().is_connected());
        Ok(())
    })
}

/// A ztunnel that captures in another way than its predecessor: what that one wrote is gone, and all is captured.
#[test]
fn another_mode_takes_over_from_the_one_before_in_both_directions() -> Result<()> {
    let Some(lab) = client_and_server("switch", Capture::Ebpf)? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _nginx = [
        programs::nginx(&server, 8080)?,
        programs::nginx(&client, 8080)?,
    ];
    lab.scenario(|| {
        for mode in ["iptables", "ebpf", "iptables", "ebpf"] {
            let ztunnels = lab.start_ztunnels(&Start::default().env("CAPTURE", mode))?;
            for (from, to) in [(&client, &server), (&server, &client)] {
                for (ip, own) in to
                    .addresses()
                    .both()
                    .into_iter()
                    .zip(from.addresses().both())
                {
                    let said =
                        lab::eventually(mode, PATIENCE, || get(from, &url(ip, 8080, "/whoami")))?;
                    ensure!(said == format!("{own}\n"), "{mode}: {said}");
                }
            }
            for (ztunnel, pod) in ztunnels.iter().zip([&client, &server]) {
                let rules = pod.exec(["iptables-save"])?.ok()?;
                ensure!(
                    rules.contains("ISTIO") == (mode == "iptables"),
                    "{mode}: {rules}"
                );
                let security = [("connection_security_policy", "mutual_tls")];
                suites::traffic::eventually_opened(ztunnel, 4, &security)?;
                ztunnel.kill()?;
            }
        }
        Ok(())
    })
}
