//! `lab up`: two nodes, four pods, three servers, two ztunnels if there is a binary.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::out;
use crate::lab::{Lab, Start};
use crate::mesh::ServiceSpec;
use crate::pod::PodSpec;
use crate::programs;
use crate::proxy::Program;
use crate::rules::{Capture, DnsCapture};

/// The line by which the background process tells that the lab stands.
const READY: &str = "the lab is up";

/// What `lab up` is to build.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The lab's name
    #[arg(long, default_value = "lab")]
    name: String,
    /// Who captures: agent, iptables or ebpf (ztunnel), auto (it chooses), none (no mesh)
    #[arg(long, default_value = "agent")]
    capture: String,
    /// Captures port 53 too
    #[arg(long)]
    dns: bool,
    /// Starts no ztunnel
    #[arg(long)]
    no_ztunnel: bool,
    /// Returns when the lab stands; `lab down` ends it
    #[arg(long)]
    detach: bool,
    /// The background process of --detach
    #[arg(long, hide = true)]
    child: bool,
}

pub(super) fn up(options: &Options) -> Result<()> {
    if options.detach && !options.child {
        return detach();
    }
    if options.child {
        // No terminal whose end would end the lab.
        nix::unistd::setsid().context("leave the terminal")?;
    }
    let capture = match options.capture.as_str() {
        "agent" => Capture::Agent,
        "iptables" => Capture::Iptables,
        "ebpf" => Capture::Ebpf,
        "auto" => Capture::Auto,
        "none" => Capture::None,
        other => bail!("--capture: {other}, expected agent, iptables, ebpf, auto or none"),
    };
    let lab = Lab::builder(&options.name)
        .by_hand()
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("nginx").node(1))
        .pod(PodSpec::new("redis").node(1))
        .pod(PodSpec::new("mariadb"))
        .service(ServiceSpec::new("web").port(80, 8080).backend("nginx"))
        .service(ServiceSpec::new("cache").port(6379, 6379).backend("redis"))
        .service(ServiceSpec::new("db").port(3306, 3306).backend("mariadb"))
        .capture(capture)
        .dns_capture(if options.dns {
            DnsCapture::On
        } else {
            DnsCapture::Off
        })
        .outside()
        .build()?;
    let _servers = (
        programs::nginx(&lab.pod("nginx"), 8080)?,
        programs::redis(&lab.pod("redis"), 6379)?,
        programs::mariadb(&lab.pod("mariadb"), 3306)?,
    );
    let ztunnels = match (
        options.no_ztunnel || capture == Capture::None,
        Program::Ztunnel.binary(),
    ) {
        (true, _) => None,
        (false, Ok(_)) => Some(lab.start_ztunnels(&Start::default())?),
        (false, Err(error)) => {
            out::line(&format!("without ztunnels: {error:#}"));
            None
        }
    };
    tell(&lab, ztunnels.is_some());
    loop {
        // Ctrl-C, SIGTERM and `lab down` end the process, by way of the signal thread.
        std::thread::park();
    }
}

fn tell(lab: &Lab, meshed: bool) {
    for pod in lab.pods() {
        out::line(&format!(
            "  {:<8} node{}  {:<12} {}",
            pod.name(),
            pod.node() + 1,
            pod.ip4(),
            pod.ip6()
        ));
    }
    let outside = lab.outside_addresses();
    out::line(&format!(
        "  {:<8} -      {:<12} {}",
        "outside", outside.ip4, outside.ip6
    ));
    out::line(&format!(
        "\nlogs and configuration: {}\ntry:",
        lab.folder().display()
    ));
    let name = lab.name();
    let web = lab.pod("nginx");
    // Without a mesh nobody turns a service's address into a pod's.
    let (web4, web6, cache, db) = if meshed {
        let vips = (lab.vip("web"), lab.vip("cache"), lab.vip("db"));
        (
            format!("{}", vips.0.ip4),
            format!("[{}]", vips.0.ip6),
            vips.1.ip4,
            vips.2.ip4,
        )
    } else {
        let ports = (
            format!("{}:8080", web.ip4()),
            format!("[{}]:8080", web.ip6()),
        );
        (
            ports.0,
            ports.1,
            lab.pod("redis").ip4(),
            lab.pod("mariadb").ip4(),
        )
    };
    for line in [
        format!("client -- curl -s http://{web4}/"),
        format!("client -- curl -s http://{web6}/whoami"),
        format!("client -- redis-cli -h {cache} set color green"),
        format!("client -- mariadb -h {db} -ulab -plab -e 'select version()'"),
        "node1 -- tcpdump -n -i node-link".to_owned(),
    ] {
        out::line(&format!("  lab exec --lab {name} {line}"));
    }
    if meshed {
        out::line(&format!(
            "  lab exec --lab {name} node1 -- curl -s http://127.0.0.1:15000/config_dump"
        ));
    }
    out::line(&format!("{READY}; it ends with Ctrl-C or: lab down {name}"));
}

/// Starts this command again in the background and waits until its lab stands.
fn detach() -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--child")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start the background process")?;
    let stdout = child.stdout.take().context("no pipe")?;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        out::line(&line);
        if line.starts_with(READY) {
            return Ok(());
        }
    }
    let mut errors = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut errors)?;
    }
    let status = child.wait()?;
    bail!("the background process ended ({status}): {}", errors.trim())
}
