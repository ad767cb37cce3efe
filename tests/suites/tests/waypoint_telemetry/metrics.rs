//! Metrics: every label of Istio's, every bucket, statistics under Envoy's names.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use lab::{eventually, until};
use suites::policy::PATIENCE;
use suites::waypoint::{GRPC, Ground, HTTP, Scenario, TCP, destination_rule, virtual_service};

type Labels = BTreeMap<String, String>;

/// The series of a metric with these labels among theirs: all labels, and the value.
fn series(ground: &Ground, name: &str, with: &[(&str, &str)]) -> Result<Vec<(Labels, f64)>> {
    let text = ground.waypoint().metrics()?;
    let mut found = Vec::new();
    for line in text.lines() {
        let Some(rest) = line
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('{'))
        else {
            continue;
        };
        let (labels, value) = rest.rsplit_once("} ").with_context(|| line.to_owned())?;
        let pairs = labels.split("\",").map(|pair| pair.split_once("=\""));
        let labels: Labels = pairs
            .map(|pair| {
                pair.map(|(key, value)| (key.to_owned(), value.trim_end_matches('"').to_owned()))
            })
            .collect::<Option<_>>()
            .with_context(|| line.to_owned())?;
        if with
            .iter()
            .all(|(key, value)| labels.get(*key).is_some_and(|it| it == value))
        {
            let value = value.split(' ').next().context("a value")?;
            found.push((labels, value.parse()?));
        }
    }
    Ok(found)
}

/// The only such series, once it is there.
fn one(ground: &Ground, name: &str, with: &[(&str, &str)]) -> Result<(Labels, f64)> {
    eventually(&format!("{name} with {with:?}"), PATIENCE, || {
        let mut found = series(ground, name, with)?;
        ensure!(found.len() == 1, "{found:#?}");
        found.pop().context("counted above")
    })
}

/// The buckets of Istio's histograms. Source: MT-02.
const BUCKETS: [&str; 20] = [
    "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000",
    "30000", "60000", "300000", "600000", "1800000", "3600000", "+Inf",
];

const SUBSETS: &str =
    "subsets: [{name: v1, labels: {version: v1}}, {name: v9, labels: {version: v9}}]";

#[test]
fn metrics_are_those_of_istio() -> Result<()> {
    let Some(ground) = Ground::builder("metrics").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("subsets", &destination_rule("web", SUBSETS))?;
        let scenarios: [(&str, Scenario); 6] = [
            ("labels", labels_of_requests),
            ("sizes", sizes_and_times),
            ("flags", flags_of_what_went_wrong),
            ("grpc", calls_and_messages_of_grpc),
            ("tcp", connections_of_tcp),
            ("envoy", statistics_under_the_names_of_envoy),
        ];
        for (name, scenario) in scenarios {
            scenario(&ground).context(name)?;
            ground.calm();
        }
        Ok(())
    })
}

fn labels_of_requests(ground: &Ground) -> Result<()> {
    let answer = ground.get("/").to("web-v1", HTTP).send()?;
    let pod = answer.pod();
    let (found, value) = one(
        ground,
        "istio_requests_total",
        &[("destination_service_name", "web-v1")],
    )?;
    let expected = [
        ("reporter", "waypoint"),
        ("source_workload", "client"),
        ("source_canonical_service", "client"),
        ("source_canonical_revision", "latest"),
        ("source_workload_namespace", "shop"),
        (
            "source_principal",
            "spiffe://cluster.local/ns/shop/sa/client",
        ),
        ("source_app", "client"),
        ("source_version", "latest"),
        ("source_cluster", "Kubernetes"),
        ("destination_workload", &pod),
        ("destination_workload_namespace", "shop"),
        ("destination_principal", &ground.pod(&pod).identity()),
        ("destination_app", "web"),
        ("destination_version", "v1"),
        ("destination_service", "web-v1.shop.svc.cluster.local"),
        ("destination_service_name", "web-v1"),
        ("destination_service_namespace", "shop"),
        ("destination_canonical_service", "web"),
        ("destination_canonical_revision", "v1"),
        ("destination_cluster", "Kubernetes"),
        ("request_protocol", "http"),
        ("response_code", "200"),
        ("grpc_response_status", ""),
        ("response_flags", "-"),
        ("connection_security_policy", "mutual_tls"),
    ];
    let expected: Labels = expected
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    ensure!(found == expected, "{found:#?}");
    ensure!(value == 1.0, "{value}");
    // Another client is another source.
    ground.get("/").from("guest").to("web-v1", HTTP).send()?;
    let guest = [
        ("destination_service_name", "web-v1"),
        ("source_workload_namespace", "town"),
    ];
    let (found, _) = one(ground, "istio_requests_total", &guest)?;
    ensure!(
        found["source_principal"] == "spiffe://cluster.local/ns/town/sa/guest",
        "{found:#?}"
    );
    ensure!(
        found["source_workload"] == "guest" && found["source_app"] == "guest",
        "{found:#?}"
    );
    // The service that a rule leads to is the one that counts.
    let rules = "http: [{match: [{uri: {prefix: /led}}], route: [{destination: {host: web-v2}}]}, {route: [{destination: {host: web}}]}]";
    ground.apply("web", &virtual_service("web", rules))?;
    ensure!(ground.get("/led").send()?.pod().starts_with("v2"));
    until("it counts for web-v2", PATIENCE, || {
        let labels = [
            ("destination_service_name", "web-v2"),
            ("destination_service", "web-v2.shop.svc.cluster.local"),
        ];
        ground
            .waypoint()
            .metric("istio_requests_total", &labels)
            .is_ok_and(|it| it == 1.0)
    })?;
    ground.withdraw(&["web"])?;
    // The other path, and who it is of.
    let client = ground.pod("waypoint");
    let other = client.http("GET", "127.0.0.1:15020".parse()?, "/stats/prometheus")?;
    ensure!(
        other.status == 200
            && other
                .text()
                .contains("istio_requests_total{reporter=\"waypoint\"")
    );
    ensure!(
        ground
            .waypoint()
            .metric("istio_build", &[("component", "proxy")])?
            == 1.0
    );
    Ok(())
}

fn sizes_and_times(ground: &Ground) -> Result<()> {
    let to = [
        ("destination_service_name", "web-v2"),
        ("response_code", "201"),
    ];
    for _ in 0..3 {
        ground
            .get("/status/201")
            .to("web-v2", HTTP)
            .body(vec![b'x'; 3000])
            .send()?;
    }
    eventually("all three are counted", PATIENCE, || {
        let count = ground.waypoint().metric("istio_requests_total", &to)?;
        ensure!(count == 3.0, "{count}");
        Ok(())
    })?;
    for name in [
        "istio_request_duration_milliseconds",
        "istio_request_bytes",
        "istio_response_bytes",
    ] {
        let buckets = series(ground, &format!("{name}_bucket"), &to)?;
        let mut by_pod: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
        for (mut labels, value) in buckets {
            let bound = labels.remove("le").context("le")?;
            by_pod
                .entry(labels["destination_workload"].clone())
                .or_default()
                .push((bound, value));
        }
        let mut whole = 0.0;
        for (pod, buckets) in by_pod {
            let bounds: Vec<&str> = buckets.iter().map(|(bound, _)| bound.as_str()).collect();
            // A bound may be written with its fraction.
            let same = bounds
                .iter()
                .zip(BUCKETS)
                .all(|(bound, expected)| *bound == expected || *bound == format!("{expected}.0"));
            ensure!(
                same && bounds.len() == BUCKETS.len(),
                "{name} of {pod}: {bounds:?}"
            );
            ensure!(
                buckets.is_sorted_by(|one, next| one.1 <= next.1),
                "{name} of {pod}: {buckets:?}"
            );
            whole += buckets.last().map_or(0.0, |(_, value)| *value);
        }
        ensure!(whole == 3.0, "{name}: {whole}");
        ensure!(
            ground.waypoint().metric(&format!("{name}_count"), &to)? == 3.0,
            "{name}"
        );
    }
    let sum = ground.waypoint().metric("istio_request_bytes_sum", &to)?;
    ensure!(sum >= 9000.0, "{sum} bytes in three requests of 3,000 each");
    let sum = ground.waypoint().metric("istio_response_bytes_sum", &to)?;
    ensure!(sum >= 300.0, "{sum} bytes in three responses");
    // In milliseconds.
    ground.get("/delay/300").to("web-v2", HTTP).send()?;
    eventually("a slow one", PATIENCE, || {
        let to = [
            ("destination_service_name", "web-v2"),
            ("response_code", "200"),
        ];
        let sum = ground
            .waypoint()
            .metric("istio_request_duration_milliseconds_sum", &to)?;
        ensure!((300.0..60_000.0).contains(&sum), "{sum}");
        Ok(())
    })
}

fn flags_of_what_went_wrong(ground: &Ground) -> Result<()> {
    let rules = "
        http:
        - match: [{uri: {prefix: /fault}}]
          fault: {abort: {httpStatus: 500, percentage: {value: 100}}}
          route: [{destination: {host: web}}]
        - match: [{uri: {prefix: /empty}}]
          route: [{destination: {host: web, subset: v9}}]
        - match: [{uri: {prefix: /unknown}}]
          route: [{destination: {host: web, subset: v10}}]
        - match: [{uri: {prefix: /late}}]
          rewrite: {uri: /delay/5000}
          timeout: 0.2s
          route: [{destination: {host: web}}]
        - match: [{uri: {prefix: /again}}]
          retries: {attempts: 1, retryOn: 5xx}
          rewrite: {uri: /status/500}
          route: [{destination: {host: web}}]
        - match: [{uri: {prefix: /fine}}]
          route: [{destination: {host: web}}]
    ";
    ground.try_apply("web", &virtual_service("web", rules))?;
    let cases = [
        ("/fault", 500, "FI"),
        ("/empty", 503, "UH"),
        ("/unknown", 503, "NC"),
        ("/late", 504, "UT"),
        ("/again", 500, "URX"),
        ("/nowhere", 404, "NR"),
    ];
    for (path, status, flags) in cases {
        let answer = ground.get(path).send()?;
        ensure!(answer.status == status, "{path}: {answer:?}");
        let code = status.to_string();
        let with = [
            ("response_flags", flags),
            ("response_code", &*code),
            ("source_workload", "client"),
        ];
        let (labels, value) = one(ground, "istio_requests_total", &with)?;
        ensure!(value == 1.0, "{path}: {value}");
        ensure!(
            labels["reporter"] == "waypoint" && labels["request_protocol"] == "http",
            "{labels:#?}"
        );
        ensure!(labels["destination_service_name"] == "web", "{labels:#?}");
        // Nobody has answered it, so nobody is named; but whoever was tried.
        let nobody = ["FI", "UH", "NC", "NR"].contains(&flags);
        ensure!(
            (labels["destination_workload"] == "unknown") == nobody,
            "{labels:#?}"
        );
    }
    // A client that does not wait.
    let impatient = ground.get("/fine").arg("-m").arg("2");
    for echo in ground.echoes.values() {
        echo.delay(std::time::Duration::from_secs(8));
    }
    ensure!(!impatient.run(&[])?.status.success());
    let (labels, value) = one(ground, "istio_requests_total", &[("response_flags", "DC")])?;
    ensure!(
        value == 1.0 && labels["response_code"] == "0",
        "{value}: {labels:#?}"
    );
    ground.withdraw(&["web"])
}

fn calls_and_messages_of_grpc(ground: &Ground) -> Result<()> {
    let grpc = |service: &str, body: &[u8]| {
        let call = ground
            .get("/shop.Cart/Add")
            .to(service, GRPC)
            .http2()
            .header("te: trailers");
        call.header("content-type: application/grpc")
            .body(body)
            .send()
    };
    // Three messages in one call, as many back.
    let message = b"\0\0\0\0\x02ab".repeat(3);
    ensure!(grpc("web-v1", &message)?.header("grpc-status").as_deref() == Some("0"));
    ground.echo("v1a").fail_grpc(Some(7));
    ground.echo("v1b").fail_grpc(Some(7));
    ensure!(
        grpc("web-v1", &message[..7])?
            .header("grpc-status")
            .as_deref()
            == Some("7")
    );
    for status in ["0", "7"] {
        let with = [
            ("request_protocol", "grpc"),
            ("grpc_response_status", status),
        ];
        let (labels, value) = one(ground, "istio_requests_total", &with)?;
        ensure!(
            value == 1.0 && labels["response_code"] == "200",
            "{value}: {labels:#?}"
        );
        ensure!(
            labels["destination_service_name"] == "web-v1" && labels["response_flags"] == "-",
            "{labels:#?}"
        );
    }
    eventually("messages", PATIENCE, || {
        let to = [
            ("destination_service_name", "web-v1"),
            ("request_protocol", "grpc"),
            ("reporter", "waypoint"),
        ];
        let request = ground
            .waypoint()
            .metric("istio_request_messages_total", &to)?;
        let response = ground
            .waypoint()
            .metric("istio_response_messages_total", &to)?;
        ensure!(
            (request, response) == (4.0, 3.0),
            "{request} and {response}"
        );
        Ok(())
    })?;
    // They have no code: they are counted while a call runs.
    let all = series(ground, "istio_request_messages_total", &[])?;
    ensure!(
        all.iter()
            .all(|(labels, _)| !labels.contains_key("response_code")),
        "{all:#?}"
    );
    Ok(())
}

fn connections_of_tcp(ground: &Ground) -> Result<()> {
    ground.get("/bytes/50000").to("web-v2", TCP).send()?;
    let to = [
        ("destination_service_name", "web-v2"),
        ("reporter", "waypoint"),
        ("request_protocol", "tcp"),
    ];
    for name in ["opened", "closed"] {
        let (labels, value) = one(ground, &format!("istio_tcp_connections_{name}_total"), &to)?;
        ensure!(
            value == 1.0 && labels["response_flags"] == "-",
            "{name}: {value}, {labels:#?}"
        );
        ensure!(
            labels["source_principal"] == "spiffe://cluster.local/ns/shop/sa/client",
            "{labels:#?}"
        );
        ensure!(
            labels["destination_workload"].starts_with("v2"),
            "{labels:#?}"
        );
        ensure!(
            labels["connection_security_policy"] == "mutual_tls",
            "{labels:#?}"
        );
    }
    let bytes = |name: &str| {
        Ok::<_, anyhow::Error>(one(ground, &format!("istio_tcp_{name}_bytes_total"), &to)?.1)
    };
    let (sent, received) = (bytes("sent")?, bytes("received")?);
    ensure!((50_000.0..51_000.0).contains(&sent), "{sent} sent");
    ensure!((50.0..1000.0).contains(&received), "{received} received");
    Ok(())
}

fn statistics_under_the_names_of_envoy(ground: &Ground) -> Result<()> {
    let rules = "http: [{route: [{destination: {host: web, subset: v1}}], retries: {attempts: 2, retryOn: 5xx}}]";
    ground.apply("web", &virtual_service("web", rules))?;
    ground.echo("v1a").fail_with(Some(500));
    ground.get("/").count(40)?;
    // Istio ends the names with a semicolon.
    let cluster = [(
        "cluster_name",
        "inbound-vip|80|http/v1|web.shop.svc.cluster.local;",
    )];
    let value = |name: &str| Ok::<_, anyhow::Error>(one(ground, name, &cluster)?.1);
    let tried = ground.echo("v1a").requests() as f64;
    ensure!(tried > 0.0);
    eventually("retries", PATIENCE, || {
        for name in [
            "envoy_cluster_upstream_rq_retry",
            "envoy_cluster_upstream_rq_retry_success",
        ] {
            let value = value(name)?;
            ensure!(value == tried, "{name}: {value} of {tried}");
        }
        Ok(())
    })?;
    for (name, expected) in [
        ("upstream_rq_retry_overflow", 0.0),
        ("upstream_rq_timeout", 0.0),
        ("upstream_rq_pending_overflow", 0.0),
        ("outlier_detection_ejections_total", 0.0),
        ("outlier_detection_ejections_active", 0.0),
        ("circuit_breakers_default_cx_open", 0.0),
        ("circuit_breakers_default_rq_open", 0.0),
        ("circuit_breakers_default_rq_pending_open", 0.0),
        ("circuit_breakers_default_rq_retry_open", 0.0),
        ("membership_total", 2.0),
        ("membership_healthy", 2.0),
    ] {
        let value = value(&format!("envoy_cluster_{name}"))?;
        ensure!(value == expected, "{name}: {value}");
    }
    let active = value("envoy_cluster_upstream_cx_active")?;
    ensure!((1.0..=2.0).contains(&active), "{active} connections");
    let text = ground.waypoint().metrics()?;
    ensure!(
        !text.contains("envoy_cluster_upstream_rq_retry_total"),
        "Envoy's counters have no _total"
    );
    ground.withdraw(&["web"])
}
