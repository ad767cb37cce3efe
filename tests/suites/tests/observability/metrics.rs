//! Metrics: exact names, labels in their order, values that equal what was sent.

use anyhow::{Result, ensure};
use lab::{Capture, Start, Ztunnel, eventually};
use serde_json::json;
use suites::policy::{Call, PATIENCE, Seen, Town};

/// The order in which the labels stand. Source: Istio's ztunnel.
const LABELS: [&str; 23] = [
    "reporter",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "destination_service",
    "destination_service_namespace",
    "destination_service_name",
    "destination_workload",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_cluster",
    "request_protocol",
    "response_flags",
    "connection_security_policy",
];

/// One side of a connection, as its eight labels say it; a principal of `unknown` is none.
fn workload(name: &str, namespace: &str, principal: &str) -> [String; 8] {
    [
        name,
        name,
        "latest",
        namespace,
        principal,
        name,
        "latest",
        "Kubernetes",
    ]
    .map(str::to_owned)
}

fn unknown() -> [String; 8] {
    ["unknown"; 8].map(str::to_owned)
}

fn principal(namespace: &str, account: &str) -> String {
    format!("spiffe://cluster.local/ns/{namespace}/sa/{account}")
}

/// `{reporter="source",...}` without the end, where locality may follow.
fn labels(
    reporter: &str,
    source: &[String; 8],
    service: [&str; 3],
    destination: &[String; 8],
    flag: &str,
    security: &str,
) -> String {
    let values = [reporter]
        .into_iter()
        .chain(source.iter().map(String::as_str))
        .chain(service)
        .chain(destination.iter().map(String::as_str))
        .chain(["tcp", flag, security]);
    let pairs: Vec<String> = LABELS
        .iter()
        .zip(values)
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    assert_eq!(pairs.len(), LABELS.len());
    format!("{{{}", pairs.join(","))
}

/// Waits until a metric has exactly these samples that mention `client`.
fn wait_samples(ztunnel: &Ztunnel, name: &str, mut expected: Vec<String>) -> Result<()> {
    expected.sort();
    eventually(&format!("{name} of a ztunnel"), PATIENCE, || {
        let text = ztunnel.metrics()?;
        let mut found: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with(&format!("{name}{{")))
            .map(str::to_owned)
            .collect();
        found.sort();
        ensure!(
            found == expected,
            "{name}: found {found:#?}\nexpected {expected:#?}"
        );
        Ok(())
    })
}

const SERVICE: [&str; 3] = ["server.prod.svc.cluster.local", "prod", "server"];
const NO_SERVICE: [&str; 3] = ["unknown"; 3];

pub(crate) fn counters(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "counters", &Start::default(), &Start::default())?
    else {
        return Ok(());
    };
    let (source, destination) = (
        workload("client", "default", &principal("default", "client")),
        workload("server", "prod", &principal("prod", "server")),
    );
    let ends = [(&town.near, "source"), (&town.far, "destination")];
    let series =
        |reporter: &str| labels(reporter, &source, SERVICE, &destination, "-", "mutual_tls");
    let check = |opened: u32, bytes: Option<usize>, closed: u32| -> Result<()> {
        for (ztunnel, reporter) in ends {
            let sample = |name: &str, value: String| -> Result<()> {
                wait_samples(
                    ztunnel,
                    name,
                    vec![format!("{name}{}}} {value}", series(reporter))],
                )
            };
            sample("istio_tcp_connections_opened_total", opened.to_string())?;
            if let Some(bytes) = bytes {
                sample("istio_tcp_received_bytes_total", bytes.to_string())?;
                sample("istio_tcp_sent_bytes_total", bytes.to_string())?;
            }
            match closed {
                0 => wait_samples(ztunnel, "istio_tcp_connections_closed_total", vec![])?,
                closed => sample("istio_tcp_connections_closed_total", closed.to_string())?,
            }
            wait_samples(ztunnel, "istio_tcp_connections_failed_total", vec![])?;
        }
        Ok(())
    };
    let to = (town.vip()?, 80).into();
    let mut call = Call::open(&town.pod("client"), to)?;
    assert_eq!(call.exchange(&[1; 1_000])?, Seen::Answered);
    check(1, Some(1_000), 0)?;
    // It is still open, and the counters have moved.
    assert_eq!(call.exchange(&[2; 30_001])?, Seen::Answered);
    check(1, Some(31_001), 0)?;
    for (ztunnel, reporter) in ends {
        wait_samples(ztunnel, "istio_tcp_sockets_open", sockets(reporter, 1))?;
    }
    assert_eq!(call.finish()?, b"");
    check(1, Some(31_001), 1)?;
    for _ in 0..5 {
        let mut call = Call::open(&town.pod("client"), to)?;
        assert_eq!(call.ping()?, Seen::Answered);
        assert_eq!(call.finish()?, b"");
    }
    check(6, Some(31_021), 6)?;
    wait_samples(&town.near, "istio_tcp_sockets_open", sockets("source", 0))
}

#[test]
fn both_ends_of_a_tunnel_count_what_was_sent_while_it_is_sent() -> Result<()> {
    counters(Capture::Agent)
}

/// The gauge of one ztunnel whose other direction is idle. A tunnel is one socket at its destination, and stays.
fn sockets(reporter: &str, open: u32) -> Vec<String> {
    ["source", "destination"]
        .map(|other| {
            let value = if other == reporter { open } else { 0 };
            format!("istio_tcp_sockets_open{{reporter=\"{other}\"}} {value}")
        })
        .to_vec()
}

pub(crate) fn ways(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "ways", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    let neighbour = town.pod("neighbour");
    let _nginx = lab::programs::nginx(&neighbour, 8000)?;
    let url = format!("http://{}:8000/bytes/1m", neighbour.ip4());
    let line = [
        "curl",
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{size_request} %{size_header} %{size_download}",
        &url,
    ];
    let said = town.pod("client").exec(line)?.ok()?;
    let sizes: Vec<u64> = said.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [request, header, body] = sizes[..] else {
        anyhow::bail!("curl said {said:?}");
    };
    assert_eq!(body, 1 << 20);
    for (ztunnel, reporter) in [(&town.near, "source"), (&town.far, "destination")] {
        for (name, bytes) in [("received", request), ("sent", header + body)] {
            let name = format!("istio_tcp_{name}_bytes_total");
            eventually(&format!("{name} of the {reporter}"), PATIENCE, || {
                let found = ztunnel.metric(&name, &[("reporter", reporter)])?;
                ensure!(
                    format!("{found}") == bytes.to_string(),
                    "{found} instead of {bytes}"
                );
                Ok(())
            })?;
        }
    }
    Ok(())
}

#[test]
fn what_sends_and_what_receives_are_not_mixed_up() -> Result<()> {
    ways(Capture::Agent)
}

pub(crate) fn strangers(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "strangers", &Start::default(), &Start::default())?
    else {
        return Ok(());
    };
    let _outside = suites::policy::Echo::start(town.lab.outside(), &[8080])?;
    let outside = (town.lab.outside_addresses().ip4, 8080).into();
    let call = |from: &str, to| -> Result<()> {
        let mut call = Call::open(&town.pod(from), to)?;
        ensure!(call.ping()? == Seen::Answered, "{from} to {to}");
        ensure!(call.finish()?.is_empty(), "more than was sent");
        Ok(())
    };
    let _legacy = suites::policy::Echo::start(&town.pod("legacy"), &[8080])?;
    call("client", outside)?;
    call("client", town.at("legacy", 8080))?;
    call("legacy", town.at("server", 8080))?;
    let client = workload("client", "default", "unknown");
    let legacy = workload("legacy", "default", "unknown");
    let passed_on = ["unknown", "unknown", "PassthroughCluster"];
    let of_near = [
        labels("source", &client, passed_on, &unknown(), "-", "unknown"),
        labels("source", &client, NO_SERVICE, &legacy, "-", "unknown"),
    ];
    let of_far = [labels(
        "destination",
        &legacy,
        SERVICE,
        &workload("server", "prod", "unknown"),
        "-",
        "unknown",
    )];
    for (ztunnel, series) in [(&town.near, &of_near[..]), (&town.far, &of_far[..])] {
        for (name, value) in [
            ("istio_tcp_connections_opened_total", 1),
            ("istio_tcp_connections_closed_total", 1),
            ("istio_tcp_received_bytes_total", 4),
            ("istio_tcp_sent_bytes_total", 4),
        ] {
            let expected = series
                .iter()
                .map(|series| format!("{name}{series}}} {value}"))
                .collect();
            wait_samples(ztunnel, name, expected)?;
        }
    }
    // Somebody whom the mesh does not know at all.
    let mut stranger = Call::open(town.lab.outside(), town.at("neighbour", 8080))?;
    assert_eq!(stranger.ping()?, Seen::Answered);
    let series = labels(
        "destination",
        &unknown(),
        NO_SERVICE,
        &workload("neighbour", "prod", "unknown"),
        "-",
        "unknown",
    );
    let name = "istio_tcp_connections_opened_total";
    wait_samples(
        &town.far,
        name,
        vec![
            format!("{name}{series}}} 1"),
            format!("{name}{}}} 1", of_far[0]),
        ],
    )
}

#[test]
fn who_is_outside_of_the_mesh_or_of_all_knowledge_is_labelled_so() -> Result<()> {
    strangers(Capture::Agent)
}

pub(crate) fn locality(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "locality", &Start::default(), &Start::default())?
    else {
        return Ok(());
    };
    town.lab.change(|mesh| -> Result<()> {
        mesh.workload("server")?["locality"] = json!({"region": "eu", "zone": "eu-1"});
        Ok(())
    })??;
    for ztunnel in [&town.near, &town.far] {
        eventually("the locality", PATIENCE, || {
            let dump = ztunnel.config_dump()?.to_string();
            ensure!(dump.contains("\"zone\":\"eu-1\""), "{dump}");
            Ok(())
        })?;
    }
    // Nobody listens there.
    let mut call = Call::open(&town.pod("client"), town.at("server", 7))?;
    assert_eq!(call.ping()?, Seen::Closed);
    let (source, destination) = (
        workload("client", "default", &principal("default", "client")),
        workload("server", "prod", &principal("prod", "server")),
    );
    let located = ",source_region=\"unknown\",source_zone=\"unknown\",destination_region=\"eu\",destination_zone=\"eu-1\"}";
    for (ztunnel, reporter) in [(&town.near, "source"), (&town.far, "destination")] {
        for (name, flag) in [
            ("opened", "-"),
            ("closed", "CONNECT"),
            ("failed", "CONNECT"),
        ] {
            let name = format!("istio_tcp_connections_{name}_total");
            let series = labels(
                reporter,
                &source,
                NO_SERVICE,
                &destination,
                flag,
                "mutual_tls",
            );
            wait_samples(ztunnel, &name, vec![format!("{name}{series}{located} 1")])?;
        }
    }
    Ok(())
}

#[test]
fn locality_is_labelled_where_it_is_known_and_a_failure_carries_its_flag() -> Result<()> {
    locality(Capture::Agent)
}

#[test]
fn the_build_is_told_and_scrapes_are_what_prometheus_asks_for() -> Result<()> {
    let Some(town) = Town::build("scrape", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    assert_eq!(
        town.probe("client", town.at("server", 8080))?.0,
        Seen::Answered
    );
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("istio_build{{component=\"ztunnel\",tag=\"{version}\"}}");
    wait_samples(&town.near, "istio_build", vec![format!("{build} 1")])?;
    let open_metrics = "application/openmetrics-text;charset=utf-8;version=1.0.0";
    for (path, accept, content_type) in [
        (
            "/metrics",
            "*/*",
            "text/plain; version=0.0.4; charset=utf-8",
        ),
        (
            "/stats/prometheus",
            "text/plain",
            "text/plain; version=0.0.4; charset=utf-8",
        ),
        (
            "/metrics",
            "application/openmetrics-text;version=1.0.0",
            open_metrics,
        ),
        (
            "/stats/prometheus",
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
            open_metrics,
        ),
    ] {
        let (url, accept) = (
            format!("http://127.0.0.1:15020{path}"),
            format!("accept: {accept}"),
        );
        let said = town
            .lab
            .node(0)
            .exec(["curl", "-sS", "-i", "-H", &accept, &url])?
            .ok()?;
        let (head, body) = said.split_once("\r\n\r\n").unwrap_or((&said, ""));
        let head = head.to_ascii_lowercase();
        ensure!(head.starts_with("http/1.1 200"), "{head}");
        ensure!(
            head.contains(&format!("\r\ncontent-type: {content_type}\r\n")),
            "{accept}: {head}"
        );
        ensure!(
            body.ends_with("# EOF\n") == (content_type == open_metrics),
            "{body}"
        );
        ensure!(
            body.contains(&build)
                && body.contains("istio_tcp_connections_opened_total{reporter=\"source\""),
            "{body}"
        );
        // Every sample belongs to a family that was announced.
        let mut family = "";
        for line in body.lines() {
            if let Some(announced) = line.strip_prefix("# TYPE ") {
                family = announced.split(' ').next().unwrap_or_default();
            } else if !line.starts_with('#') {
                ensure!(
                    line.starts_with(family) && !family.is_empty(),
                    "{line} under {family}"
                );
            }
        }
    }
    Ok(())
}
