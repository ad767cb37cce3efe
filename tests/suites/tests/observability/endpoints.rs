//! Admin, readiness and metrics endpoints: what they show, what they change, and who reaches them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::agent::Mode;
use lab::{Capture, Lab, Machine, PodSpec, Start, eventually};
use serde_json::{Value, json};
use suites::policy::{Call, Fields, Mark, PATIENCE, Seen, Town, policy};
use suites::traffic::certified;

pub(crate) fn dump(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "dump", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    let rules = json!([[[{"notDestinationPorts": [1]}], [{"namespaces": ["o*"]}], [{"notSourceIps": ["10.0.0.0/30"]}]]]);
    town.enforce(&[policy("shown", "Deny", rules.clone())])?;
    let mut call = Call::open(&town.pod("client"), (town.vip()?, 80).into())?;
    assert_eq!(call.ping()?, Seen::Answered);
    let mut plain = Call::open(&town.pod("legacy"), town.at("server", 9090))?;
    assert_eq!(plain.ping()?, Seen::Answered);

    certified(&town.far)?;
    let response = town.far.admin("/config_dump")?;
    assert_eq!(response.header("content-type"), Some("application/json"));
    let dump: Value = serde_json::from_slice(&response.body)?;
    for key in ["workloads", "services", "policies", "certificates"] {
        assert!(dump[key].is_array(), "{key}");
    }
    for key in ["stagedServices", "workloadState", "staticConfig", "version"] {
        assert!(dump[key].is_object(), "{key}");
    }
    assert!(dump["config"].is_string() && dump["snapshotVersion"].is_u64());
    assert_eq!(dump["version"]["version"], env!("CARGO_PKG_VERSION"));

    // The mesh.
    let named = |key: &str, name: &str| -> Result<Value> {
        let found = dump[key]
            .as_array()
            .into_iter()
            .flatten()
            .find(|it| it["name"] == name);
        found
            .cloned()
            .with_context(|| format!("no {name} in {key}"))
    };
    let server = town.pod("server");
    let workload = named("workloads", "server")?;
    for (key, value) in [
        ("uid", json!("Kubernetes//Pod/prod/server")),
        ("namespace", json!("prod")),
        ("serviceAccount", json!("server")),
        ("trustDomain", json!("cluster.local")),
        ("workloadIps", json!([server.ip4(), server.ip6()])),
        ("protocol", json!("HBONE")),
        ("node", json!("node2")),
        ("clusterId", json!("Kubernetes")),
        (
            "services",
            json!({"prod/server.prod.svc.cluster.local": {"80": 8080}}),
        ),
    ] {
        assert_eq!(workload[key], value, "{key}");
    }
    assert_eq!(named("workloads", "legacy")?["protocol"], "TCP");
    let service = named("services", "server")?;
    assert_eq!(service["hostname"], "server.prod.svc.cluster.local");
    assert_eq!(service["ports"], json!({"80": 8080}));
    assert_eq!(service["vips"][0], format!("/{}", town.vip()?));
    let shown = named("policies", "shown")?;
    assert_eq!(
        (&shown["scope"], &shown["action"], &shown["rules"]),
        (&json!("Namespace"), &json!("Deny"), &rules)
    );
    let xds = &dump["xds"];
    assert_eq!(
        (&xds["connected"], &xds["types"][1]["resources"]),
        (&json!(true), &json!(1)),
        "{xds}"
    );

    // Its pods, and what is open in them.
    let pods = dump["workloadState"].as_object().context("workloadState")?;
    assert_eq!(pods.len(), 3, "those of node 2");
    let state = &pods[server.uid()];
    assert_eq!(state["state"], "Up");
    assert_eq!(
        state["info"],
        json!({"name": "server", "namespace": "prod", "serviceAccount": "server"})
    );
    let inbound = state["connections"]["inbound"]
        .as_array()
        .context("inbound")?;
    let of = |identity: &Value| {
        inbound
            .iter()
            .filter(|it| it["srcIdentity"] == *identity)
            .collect::<Vec<_>>()
    };
    let (mine, theirs) = (of(&json!(town.pod("client").identity())), of(&Value::Null));
    assert_eq!((inbound.len(), mine.len(), theirs.len()), (2, 1, 1));
    assert_eq!(mine[0]["dst"], town.at("server", 8080).to_string());
    assert_eq!(theirs[0]["src"], plain.local().to_string());
    let near = town.near.config_dump()?;
    let outbound = &near["workloadState"][town.pod("client").uid()]["connections"]["outbound"];
    let vip = SocketAddr::new(town.vip()?, 80);
    let tunnel = SocketAddr::new(server.ip4().into(), 15008);
    assert_eq!(
        *outbound,
        json!([{"src": call.local(), "originalDst": vip, "actualDst": tunnel, "via": "hbone"}])
    );

    // Certificates of its pods, and no private key in any spelling.
    let certificates = dump["certificates"].as_array().context("certificates")?;
    let mut identities: Vec<_> = certificates
        .iter()
        .filter_map(|it| it["identity"].as_str())
        .collect();
    identities.sort_unstable();
    let expected = ["prod/sa/neighbour", "prod/sa/server", "shop/sa/shop"]
        .map(|it| format!("spiffe://cluster.local/ns/{it}"));
    assert_eq!(identities, expected);
    for certificate in certificates {
        assert_eq!(certificate["state"], "Available");
        let chain = certificate["certChain"].as_array().context("certChain")?;
        for one in chain
            .iter()
            .chain(certificate["rootCerts"].as_array().context("rootCerts")?)
        {
            let fields: Vec<_> = one.as_object().context("certificate")?.keys().collect();
            assert_eq!(
                fields,
                ["expirationTime", "pem", "serialNumber", "validFrom"]
            );
            let pem = decode(one["pem"].as_str().context("pem")?)?;
            ensure!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"), "{pem}");
            ensure!(!pem.contains("PRIVATE"), "a private key");
        }
    }
    let (key, text) = (
        std::fs::read_to_string(town.lab.ca().key_path())?,
        response.text(),
    );
    let secret = key
        .lines()
        .find(|line| !line.starts_with("-----"))
        .context("the authority's key")?;
    for ztunnel in [
        text,
        near.to_string(),
        town.far.log(),
        town.near.log(),
        town.far.metrics()?,
    ] {
        assert!(!ztunnel.contains(secret) && !ztunnel.contains("PRIVATE KEY"));
    }

    // What has ended is not shown any more.
    drop((call, plain));
    eventually("no connection in the dump", PATIENCE, || {
        let dump = town.far.config_dump()?;
        let open = &dump["workloadState"][server.uid()]["connections"];
        ensure!(*open == json!({"inbound": [], "outbound": []}), "{open}");
        Ok(())
    })
}

#[test]
fn the_dump_shows_the_mesh_the_pods_their_connections_and_no_key() -> Result<()> {
    dump(Capture::Agent)
}

/// Base64, RFC 4648 section 4.
fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => bail!("{c} is not base64"),
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff)?);
        }
    }
    Ok(String::from_utf8(bytes)?)
}

#[test]
fn log_levels_change_and_come_back_while_it_runs() -> Result<()> {
    let Some(town) = Town::build("levels", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    let to = town.at("server", 8080);
    // The lines of one call: those that only debug shows, and how many.
    let debug_lines = || -> Result<usize> {
        let mark = Mark::now(&town.far);
        ensure!(town.probe("client", to)?.0 == Seen::Answered, "refused");
        mark.wait(&town.far, &["\tinfo\taccess\tconnection complete\t"], 1)?;
        Ok(mark.lines(&town.far, &["\tdebug\t"]).len())
    };
    assert_eq!(debug_lines()?, 0);
    let before = town.far.admin("/logging")?.text();
    let posted = town.far.admin_post("/logging?level=debug")?;
    assert_eq!(posted.status, 200);
    assert!(posted.text().contains("debug"), "{}", posted.text());
    assert!(debug_lines()? > 0);
    let posted = town.far.admin_post("/logging?reset")?;
    assert_eq!((posted.status, posted.text()), (200, before.clone()));
    assert_eq!(debug_lines()?, 0);
    // Of one part alone.
    assert_eq!(
        town.far.admin_post("/logging?level=access:debug")?.status,
        200
    );
    let mark = Mark::now(&town.far);
    assert!(debug_lines()? > 0);
    for line in mark.lines(&town.far, &["\tdebug\t"]) {
        assert_eq!(Fields::parse(&line)?.scope, "access", "{line}");
    }
    assert_eq!(town.far.admin_post("/logging?reset")?.status, 200);
    // Mistakes change nothing, nor does reading.
    for path in [
        "/logging?level=loud",
        "/logging?level=access:loud",
        "/logging?colour=red",
    ] {
        let response = town.far.admin_post(path)?;
        assert_eq!(response.status, 400, "{path}: {}", response.text());
    }
    assert_eq!(town.far.admin("/logging?level=debug")?.status, 405);
    assert_eq!(town.far.admin("/logging")?.text(), before);
    assert_eq!(debug_lines()?, 0);
    Ok(())
}

#[test]
fn ready_is_said_only_after_the_agent_has_sent_its_snapshot() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("ready").pod(PodSpec::new("client")).build()?;
    let (node, pod) = (lab.node(0), lab.pod("client"));
    node.agent().set_mode(Mode::Manual);
    let ztunnel = lab.spawn_ztunnel(0, &Start::default())?;
    let ready = || node.http("GET", (Ipv4Addr::LOCALHOST, 15021).into(), "/healthz/ready");
    let connection = node.agent().connection(PATIENCE)?;
    connection.receive_hello()?;
    ztunnel.wait_log(&["connected to the control plane"], PATIENCE)?;
    // The configuration is there; the agent has said nothing yet.
    eventually("only the agent to be missing", PATIENCE, || {
        let response = ready()?;
        ensure!(response.status == 503, "{}", response.status);
        let text = response.text();
        ensure!(
            text.contains("agent snapshot") && !text.contains("configuration"),
            "{text}"
        );
        Ok(())
    })?;
    let add = wire::zds::Request::Add {
        uid: pod.uid().to_owned(),
        pod: wire::zds::PodInfo {
            name: "client".to_owned(),
            namespace: "default".to_owned(),
            service_account: "client".to_owned(),
        },
    };
    let ack = connection.request(&add, &[pod.netns().as_fd()])?;
    assert_eq!(ack.error, None);
    assert_eq!(ready()?.status, 503, "one pod is no snapshot");
    connection.request(&wire::zds::Request::SnapshotSent, &[])?;
    assert_eq!(
        ready()?.status,
        200,
        "the answer to the snapshot comes after readiness"
    );
    // It stays ready when the agent goes: what it serves goes on.
    connection.close();
    ztunnel.wait_log(&["agent connection ended"], PATIENCE)?;
    assert_eq!(ready()?.status, 200);
    Ok(())
}

fn reaches(machine: &Machine, to: SocketAddr) -> Result<bool> {
    let connected = machine.run(|| TcpStream::connect_timeout(&to, Duration::from_secs(5)))?;
    match connected {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) => Err(error).with_context(|| format!("from {} to {to}", machine.name())),
    }
}

pub(crate) fn reach(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "reach", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    let legacy = town.pod("legacy");
    let node = town.lab.node(0);
    let local = |port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    for port in [15000, 15020, 15021] {
        assert!(reaches(node, local(port))?, "port {port} on its own node");
        assert!(
            !reaches(&legacy, local(port))?,
            "port {port} inside of a pod"
        );
        assert!(
            !reaches(&town.pod("client"), local(port))?,
            "port {port} inside of a captured pod"
        );
    }
    // Metrics and readiness are for others; admin is not, on any address of the node.
    let gateway: IpAddr = Ipv4Addr::new(10, 10, 1, 1).into();
    for ip in [
        node.addresses().ip4.into(),
        IpAddr::from(node.addresses().ip6),
        gateway,
    ] {
        for from in [&**legacy, &**town.lab.node(1), town.lab.outside()] {
            assert!(
                !reaches(from, SocketAddr::new(ip, 15000))?,
                "admin on {ip} from {}",
                from.name()
            );
        }
        assert!(
            !reaches(node, SocketAddr::new(ip, 15000))?,
            "admin on {ip} from the node itself"
        );
        for port in [15020, 15021] {
            assert!(
                reaches(&legacy, SocketAddr::new(ip, port))?,
                "port {port} on {ip}"
            );
        }
    }
    // A captured pod's connect succeeds, to its own ztunnel; but nothing is behind it.
    let mut call = Call::open(&town.pod("client"), SocketAddr::new(gateway, 15000))?;
    assert_eq!(
        call.exchange(b"GET /config_dump HTTP/1.1\r\nhost: x\r\n\r\n")?,
        Seen::Closed
    );
    Ok(())
}

#[test]
fn admin_is_reached_from_its_own_node_alone() -> Result<()> {
    reach(Capture::Agent)
}

#[test]
fn paths_and_methods_are_what_is_documented() -> Result<()> {
    let Some(town) = Town::build("paths", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    let node = town.lab.node(0);
    for (port, method, path, status) in [
        (15000, "GET", "/", 200),
        (15000, "GET", "/config_dump", 200),
        (15000, "POST", "/config_dump", 405),
        (15000, "GET", "/logging", 200),
        (15000, "GET", "/quitquitquit", 405),
        (15000, "GET", "/metrics", 404),
        (15000, "GET", "/../etc/passwd", 404),
        (15020, "GET", "/metrics", 200),
        (15020, "GET", "/stats/prometheus", 200),
        (15020, "POST", "/metrics", 405),
        (15020, "GET", "/config_dump", 404),
        (15020, "POST", "/quitquitquit", 404),
        (15021, "GET", "/healthz/ready", 200),
        (15021, "POST", "/quitquitquit", 404),
        (15021, "GET", "/", 404),
    ] {
        let response = node.http(method, (Ipv4Addr::LOCALHOST, port).into(), path)?;
        assert_eq!(
            response.status,
            status,
            "{method} {path} on {port}: {}",
            response.text()
        );
    }
    let index = town.near.admin("/")?;
    assert!(
        index
            .header("content-type")
            .is_some_and(|it| it.starts_with("text/html"))
    );
    for path in ["/config_dump", "/logging", "/quitquitquit"] {
        assert!(index.text().contains(path), "{path} in the index");
    }
    assert!(town.near.is_running() && town.near.ready());
    Ok(())
}

#[test]
fn quitquitquit_ends_it_in_order() -> Result<()> {
    let Some(town) = Town::build("quit", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    assert_eq!(
        town.probe("client", town.at("server", 8080))?.0,
        Seen::Answered
    );
    assert_eq!(town.near.admin_post("/quitquitquit")?.status, 200);
    lab::until("the end", PATIENCE, || !town.near.is_running())?;
    let status = town.near.terminate(PATIENCE)?;
    assert!(status.success(), "{status}");
    let log = town.near.log();
    for said in ["draining on request", "ztunnel ended"] {
        assert!(log.contains(said), "{said} in {log}");
    }
    // Its pods have no way out now, rather than one that nobody sees.
    assert!(!reaches(&town.pod("client"), town.at("server", 8080))?);
    assert!(town.far.is_running());
    Ok(())
}
