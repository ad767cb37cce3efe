//! What the waypoint does with requests for the catalog: by header, and around a replica that fails.
//!
//! In: the stage, its servers, its proxies. Out: a [`Canary`]: what curl printed, what the waypoint's access log and metrics
//! say of it, what the ztunnels saw of the tunnels.
//! Never: takes an answer for done that the waypoint's log does not explain.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Waypoint, Ztunnel, eventually};

use crate::{
    line::Line,
    record::{Record, Search},
    stage::{Servers, Stage, WEB},
};

/// How many requests the catalog gets while one of its replicas fails.
const REQUESTS: usize = 40;
/// How long a sweep of the waypoint may take; it is told to make one each second.
const SWEEP: Duration = Duration::from_secs(20);
/// The backend of the rule for everybody, by the name that metrics have for it; the semicolon is Istio's.
const STABLE: &str = "inbound-vip|80|http/v1|catalog.default.svc.cluster.local;";

/// All of it.
#[derive(Debug)]
pub(crate) struct Canary {
    /// The same request without the header and with it.
    pub(crate) asked: [Asked; 2],
    /// How the second went.
    pub(crate) way: Way,
    pub(crate) failure: Failure,
}

/// Who carried a request.
#[derive(Debug)]
pub(crate) struct Way {
    /// What the client's ztunnel says of its tunnel.
    pub(crate) tunnel: Record,
    /// Of the client, the waypoint and the pod.
    pub(crate) identities: [String; 3],
    /// What the waypoint counted.
    pub(crate) metric: String,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) said: String,
    pub(crate) decided: Line,
}

/// What became of a replica that has crashed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) requests: usize,
    /// All of them answered by the other replica.
    pub(crate) answered_by: String,
    /// The last line of the log about them.
    pub(crate) last: Line,
    /// `envoy_cluster_upstream_rq_retry` and `.._retry_success` of the backend.
    pub(crate) retries: (u64, u64),
    /// `envoy_cluster_membership_healthy` and `.._total` of it, once it is one that is ejected.
    pub(crate) endpoints: (u64, u64),
}

/// Runs it.
pub(crate) fn watch(
    stage: &Stage,
    servers: &Servers,
    ztunnels: &[Ztunnel; 2],
    waypoint: &Waypoint,
) -> Result<Canary> {
    let stable = ask(stage, waypoint, "one", &[], "v1", "stable")?;
    let canary = ask(
        stage,
        waypoint,
        "two",
        &["-H", "x-canary: yes"],
        "v2",
        "canary",
    )?;
    let way = way(stage, ztunnels, waypoint)?;
    let failure = fail(stage, servers, waypoint)?;
    Ok(Canary {
        asked: [stable, canary],
        way,
        failure,
    })
}

/// One request, and what the waypoint says of it.
fn ask(
    stage: &Stage,
    waypoint: &Waypoint,
    mark: &str,
    more: &[&str],
    version: &str,
    rule: &str,
) -> Result<Asked> {
    let url = format!("http://{}/?{mark}", stage.lab.vip("catalog").ip4);
    let line: Vec<&str> = ["curl", "-sS", "-m", "10"]
        .into_iter()
        .chain(more.iter().copied())
        .chain([url.as_str()])
        .collect();
    let said = stage.lab.pod("shop").exec(line)?.ok()?.trim().to_owned();
    let pod = said.strip_prefix("hello from ").unwrap_or_default();
    ensure!(
        pod.starts_with(&format!("catalog-{version}")),
        "{url} {more:?}: {said:?}, expected an answer of {version}"
    );
    let decided = Line::wait_one(waypoint, &format!("/?{mark} "))?;
    ensure!(
        decided.route == rule && decided.status == "200",
        "expected a 200 by the rule {rule}: {}",
        decided.text
    );
    let host = format!("{}:{WEB}", stage.lab.pod(pod).ip4());
    ensure!(
        decided.host == host,
        "{pod} answered, which is at {host}: {}",
        decided.text
    );
    let header = match more {
        [] => String::new(),
        more => format!("-H '{}' ", more[1..].join(" ")),
    };
    Ok(Asked {
        line: format!("{header}{url}"),
        said,
        decided,
    })
}

/// The way of the request with the header: the client's tunnel to the waypoint by the ztunnel's log, the waypoint's to the pod
/// by a metric of the pod's ztunnel, for that tunnel is kept for further requests and not in the log yet.
fn way(stage: &Stage, ztunnels: &[Ztunnel; 2], waypoint: &Waypoint) -> Result<Way> {
    let lab = &stage.lab;
    let (shop, proxy, pod) = (lab.pod("shop"), lab.pod("waypoint"), lab.pod("catalog-v2"));
    let search = Search {
        client: shop.ip4().into(),
        hbone: (lab.vip("catalog").ip4, 80).into(),
    };
    let tunnel = search.find(&ztunnels[shop.node()], "outbound")?;
    for (key, expected) in [
        ("src.identity", shop.identity()),
        ("dst.identity", proxy.identity()),
    ] {
        let found = tunnel.get(key);
        ensure!(
            found == expected,
            "{key} is {found:?} in {tunnel:?}, expected {expected}"
        );
    }
    let (from, to) = (proxy.identity(), pod.identity());
    let labels = [
        ("reporter", "destination"),
        ("source_principal", from.as_str()),
        ("destination_principal", to.as_str()),
        ("destination_workload", pod.name()),
    ];
    let far = &ztunnels[pod.node()];
    let opened = far.metric("istio_tcp_connections_opened_total", &labels)?;
    ensure!(
        opened >= 1.0,
        "the ztunnel of {} has not seen {from} call {to}",
        pod.name()
    );
    let labels = [
        ("reporter", "waypoint"),
        ("source_workload", shop.name()),
        ("destination_workload", pod.name()),
        ("destination_version", "v2"),
        ("response_code", "200"),
    ];
    let counted = waypoint.metric("istio_requests_total", &labels)?;
    ensure!(
        counted >= 1.0,
        "the waypoint did not count a request of {labels:?}"
    );
    let labels = labels.map(|(key, value)| format!("{key}={value:?}"));
    Ok(Way {
        tunnel,
        identities: [shop.identity(), from, to],
        metric: format!("istio_requests_total{{{}}} {counted}", labels.join(",")),
    })
}

/// Ends one of the two replicas and goes on asking.
fn fail(stage: &Stage, servers: &Servers, waypoint: &Waypoint) -> Result<Failure> {
    let metric = |name: &str| -> Result<u64> {
        let value = waypoint.metric(name, &[("cluster_name", STABLE)])?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small count"
        )]
        Ok(value as u64)
    };
    servers.crash()?;
    let url = format!(
        "http://{}/?three-[1-{REQUESTS}]",
        stage.lab.vip("catalog").ip4
    );
    let said = stage
        .lab
        .pod("shop")
        .exec(["curl", "-sS", "-m", "10", &url])?
        .ok()?;
    let mut answers: Vec<&str> = said.lines().collect();
    ensure!(
        answers.len() == REQUESTS,
        "{} of {REQUESTS} requests were answered: {said}",
        answers.len()
    );
    answers.dedup();
    ensure!(
        answers == ["hello from catalog-v1a"],
        "a replica failed, and clients saw {answers:?}"
    );
    let lines = Line::wait(waypoint, "/?three-", REQUESTS)?;
    let bad = lines.iter().find(|line| line.status != "200");
    ensure!(bad.is_none(), "not all went well: {bad:?}");
    eventually("the failing replica is put aside", SWEEP, || {
        let active = metric("envoy_cluster_outlier_detection_ejections_active")?;
        ensure!(
            active == 1,
            "{active} replicas are ejected; the waypoint's metrics are\n{}",
            waypoint.metrics()?
        );
        Ok(())
    })?;
    let retries = (
        metric("envoy_cluster_upstream_rq_retry")?,
        metric("envoy_cluster_upstream_rq_retry_success")?,
    );
    ensure!(retries.0 > 0, "nothing was tried again");
    let endpoints = (
        metric("envoy_cluster_membership_healthy")?,
        metric("envoy_cluster_membership_total")?,
    );
    ensure!(endpoints == (1, 2), "{endpoints:?} endpoints are healthy");
    Ok(Failure {
        requests: REQUESTS,
        answered_by: "catalog-v1a".to_owned(),
        last: lines.into_iter().next_back().context("counted above")?,
        retries,
        endpoints,
    })
}
