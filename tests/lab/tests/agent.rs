//! The lab as the CNI agent: what a ztunnel at the other end of the socket is told.

use std::io::Read as _;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::agent::{Handover, Mode};
use lab::{Capture, DnsCapture, Lab, PodSpec, SECONDS_5, until};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use socket2::{Domain, SockAddr, Socket, Type};
use wire::zds::{Ack, Hello, Request};

/// A ztunnel that only speaks ZDS.
struct Proxy(Socket);

impl Proxy {
    fn connect(lab: &Lab, node: usize) -> Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.connect(&SockAddr::unix(lab.node(node).socket())?)?;
        socket.set_read_timeout(Some(SECONDS_5))?;
        Ok(Self(socket))
    }

    fn hello(&self) -> Result<()> {
        self.0.send(&Hello.encode())?;
        Ok(())
    }

    /// One packet and how many file descriptors came with it.
    fn receive(&self) -> Result<(Vec<u8>, usize)> {
        let mut buffer = vec![0; 4096];
        let mut control = nix::cmsg_space!([i32; 8]);
        let mut slices = [std::io::IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<()>(
            self.0.as_raw_fd(),
            &mut slices,
            Some(&mut control),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )?;
        let length = message.bytes;
        let mut descriptors = Vec::new();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(rights) = control {
                descriptors.extend(rights);
            }
        }
        for descriptor in &descriptors {
            nix::unistd::close(*descriptor)?;
        }
        buffer.truncate(length);
        Ok((buffer, descriptors.len()))
    }

    fn answer(&self, ack: &Ack) -> Result<(Request, usize)> {
        let (packet, descriptors) = self.receive()?;
        let request = Request::decode(&packet)?;
        self.0.send(&ack.encode())?;
        Ok((request, descriptors))
    }

    /// Answers until the snapshot has ended and returns the names of the pods in it.
    fn snapshot(&self) -> Result<Vec<String>> {
        let mut pods = Vec::new();
        loop {
            match self.answer(&Ack::ok())? {
                (Request::Add { pod, .. }, 1) => pods.push(pod.name),
                (Request::SnapshotSent, 0) => return Ok(pods),
                other => anyhow::bail!("unexpected: {other:?}"),
            }
        }
    }
}

fn lab(name: &str) -> Result<Lab> {
    Lab::builder(name)
        .pod(
            PodSpec::new("one")
                .namespace("shop")
                .service_account("buyer"),
        )
        .pod(PodSpec::new("two"))
        .pod(PodSpec::new("other").node(1))
        .pod(PodSpec::new("plain").not_enrolled())
        .build()
}

#[test]
fn a_snapshot_holds_the_nodes_enrolled_pods_each_with_its_namespace() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = lab("snapshot")?;
    let proxy = Proxy::connect(&lab, 0)?;
    proxy.hello()?;
    assert_eq!(proxy.snapshot()?, ["one", "two"]);
    lab.node(0).agent().wait_snapshots(1, SECONDS_5)?;
    assert_eq!(lab.node(0).agent().failures(), Vec::<String>::new());
    // A proxy that comes back gets the whole snapshot again.
    drop(proxy);
    let proxy = Proxy::connect(&lab, 0)?;
    proxy.hello()?;
    assert_eq!(proxy.snapshot()?, ["one", "two"]);
    lab.node(0).agent().wait_snapshots(2, SECONDS_5)
}

#[test]
fn pods_come_and_go_while_a_proxy_is_connected() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = lab("change")?;
    let proxy = Proxy::connect(&lab, 0)?;
    proxy.hello()?;
    proxy.snapshot()?;
    lab.node(0).agent().wait_snapshots(1, SECONDS_5)?;
    let (request, pod) = std::thread::scope(|scope| {
        let request = scope.spawn(|| proxy.answer(&Ack::ok()));
        let pod = lab.add_pod(
            PodSpec::new("late")
                .namespace("shop")
                .service_account("buyer"),
        );
        (request.join(), pod)
    });
    let (request, pod) = (request.ok().context("panic")??, pod?);
    let Request::Add { uid, pod: info } = request.0 else {
        anyhow::bail!("unexpected: {request:?}")
    };
    assert_eq!((uid.as_str(), request.1), (pod.uid(), 1));
    assert_eq!(
        (info.namespace.as_str(), info.service_account.as_str()),
        ("shop", "buyer")
    );
    assert!(lab.mesh().to_yaml().contains(&pod.ip6().to_string()));

    let failed = std::thread::scope(|scope| {
        let answer = scope.spawn(|| proxy.answer(&Ack::failed("no listener")));
        let handover = lab.enrol("plain");
        answer.join().ok().context("panic")??;
        handover
    })?;
    assert_eq!(failed, Handover::Failed("no listener".to_owned()));

    let (request, _) = std::thread::scope(|scope| {
        let request = scope.spawn(|| proxy.answer(&Ack::ok()));
        lab.remove_pod("late")?;
        request.join().ok().context("panic")?
    })?;
    assert_eq!(
        request,
        Request::Del {
            uid: pod.uid().to_owned()
        }
    );
    assert!(!pod.netns_path().exists());
    ensure!(lab.find_pod("late").is_err());
    Ok(())
}

#[test]
fn without_a_proxy_a_pod_waits_for_the_next_snapshot() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = lab("pending")?;
    assert_eq!(lab.enrol("plain")?, Handover::Pending);
    lab.unenrol("two")?;
    let proxy = Proxy::connect(&lab, 0)?;
    proxy.hello()?;
    assert_eq!(proxy.snapshot()?, ["one", "plain"]);
    Ok(())
}

#[test]
fn a_test_can_play_the_agent_with_wrong_packets_and_descriptors() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = lab("manual")?;
    let agent = lab.node(0).agent();
    agent.set_mode(Mode::Manual);
    let proxy = Proxy::connect(&lab, 0)?;
    proxy.hello()?;
    let connection = agent.connection(SECONDS_5)?;
    connection.receive_hello()?;
    let (one, two) = (lab.pod("one"), lab.pod("two"));
    for (packet, descriptors) in [
        (vec![0xff; 3000], vec![]),
        (b"garbage".to_vec(), vec![one.netns().as_fd()]),
        (
            Request::SnapshotSent.encode()?,
            vec![one.netns().as_fd(), two.netns().as_fd()],
        ),
    ] {
        connection.send_raw(&packet, &descriptors)?;
        assert_eq!(proxy.receive()?, (packet, descriptors.len()));
    }
    // Nothing else was sent, and a closed connection is seen from both sides.
    proxy.0.set_nonblocking(true)?;
    assert!(proxy.0.recv(&mut [MaybeUninit::uninit(); 8]).is_err());
    proxy.0.set_nonblocking(false)?;
    agent.disconnect();
    assert_eq!((&proxy.0).read(&mut [0; 8])?, 0);
    until("the agent sees that nobody is there", SECONDS_5, || {
        !agent.is_connected()
    })
}

#[test]
fn a_silent_proxy_is_given_up_and_told_about() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = lab("silent")?;
    let _silent = Proxy::connect(&lab, 0)?;
    let deadline = lab::agent::DEADLINE + SECONDS_5;
    until("the missing hello is noted", deadline, || {
        !lab.node(0).agent().failures().is_empty()
    })?;
    let proxy = Proxy::connect(&lab, 0)?;
    proxy.hello()?;
    assert_eq!(proxy.snapshot()?, ["one", "two"]);
    Ok(())
}

#[test]
fn the_agents_rules_stand_in_the_pod_and_go_when_it_leaves() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    for dns in [DnsCapture::Off, DnsCapture::On] {
        let lab = Lab::builder("rules")
            .pod(PodSpec::new("pod"))
            .dns_capture(dns)
            .build()?;
        let pod = lab.pod("pod");
        let nat = |program: &str| pod.exec([program, "-t", "nat"])?.ok();
        for (program, loopback) in [
            ("iptables-save", "127.0.0.1/32"),
            ("ip6tables-save", "::1/128"),
        ] {
            let rules = nat(program)?;
            for rule in [
                format!(
                    "-A ISTIO_OUTPUT ! -d {loopback} -p tcp -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15001"
                ),
                format!(
                    "-A ISTIO_PRERT ! -d {loopback} -p tcp -m tcp ! --dport 15008 -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15006"
                ),
            ] {
                assert!(
                    rules.lines().any(|line| line == rule),
                    "no {rule} in\n{rules}"
                );
            }
            assert_eq!(rules.contains("15053"), dns == DnsCapture::On, "{rules}");
        }
        for family in ["-4", "-6"] {
            assert!(
                pod.exec(["ip", family, "rule"])?
                    .ok()?
                    .contains("fwmark 0x111/0xfff lookup 100")
            );
            assert!(
                pod.exec(["ip", family, "route", "show", "table", "100"])?
                    .ok()?
                    .contains("local default dev lo")
            );
        }
        // Captured and nobody there to take it: refused, not passed through.
        let refused = pod.exec(["curl", "-sS", "-m", "3", "http://10.10.2.10/"])?;
        assert_eq!(refused.code(), Some(7), "{}", refused.errors());
        lab.unenrol("pod")?;
        for program in ["iptables-save", "ip6tables-save"] {
            assert!(!nat(program)?.contains("ISTIO"));
        }
        assert!(!pod.exec(["ip", "rule"])?.ok()?.contains("fwmark"));
    }
    Ok(())
}

#[test]
fn with_iptables_capture_the_lab_writes_no_rule() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("norules")
        .pod(PodSpec::new("pod"))
        .capture(Capture::Iptables)
        .build()?;
    let pod = lab.pod("pod");
    assert!(!pod.exec(["iptables-save"])?.ok()?.contains("REDIRECT"));
    assert_eq!(lab.ztunnel_env(0)?["CAPTURE"], "iptables");
    let proxy = Proxy::connect(&lab, 0)?;
    proxy.hello()?;
    assert_eq!(proxy.snapshot()?, ["pod"]);
    Ok(())
}

#[test]
fn a_node_probes_its_pods_from_the_probe_address() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("probe").pod(PodSpec::new("pod")).build()?;
    lab.node(0).snat_probes()?;
    let pod = lab.pod("pod");
    let _nginx = lab::programs::nginx(&pod, 8080)?;
    for (ip, probe) in pod
        .addresses()
        .both()
        .into_iter()
        .zip(["169.254.7.127", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff"])
    {
        let url = format!("http://{}/whoami", std::net::SocketAddr::new(ip, 8080));
        // The pod is captured, no ztunnel runs, and the probe gets through all the same.
        let seen = lab
            .node(0)
            .command(["curl", "-sS", "-m", "3", &url])
            .timeout(Duration::from_secs(5))
            .output()?
            .ok()?;
        assert_eq!(seen.trim(), probe);
    }
    Ok(())
}

#[test]
fn the_published_mesh_is_what_the_proxy_reads() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("mesh").config(lab::Config::File);
    let lab = ["one", "two", "three", "four"]
        .into_iter()
        .fold(lab, |lab, pod| lab.pod(PodSpec::new(pod)))
        .build()?;
    lab.change(|mesh| mesh.service(&lab::ServiceSpec::new("web").port(80, 8080).backend("one")))?;
    let text = std::fs::read_to_string(lab.mesh_path())?;
    let read = control::file::parse(&text, "mesh.yaml")?;
    assert_eq!((read.workloads.len(), read.services.len()), (4, 1));
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    Ok(())
}
