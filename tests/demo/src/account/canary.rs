//! What is told of the waypoint.

use std::fmt::{Result, Write as _};

use crate::canary::{Asked, Canary, Failure, Way};

pub(super) fn write(to: &mut String, canary: &Canary) -> Result {
    let Canary {
        asked,
        way,
        failure,
    } = canary;
    writeln!(
        to,
        "\nWHAT THE WAYPOINT DECIDED (from its access log, in Istio's format)"
    )?;
    for Asked {
        line,
        said,
        decided,
    } in asked
    {
        writeln!(to, "\n  curl      {line}")?;
        writeln!(to, "  answer    {said}")?;
        writeln!(
            to,
            "  decided   rule {:?} -> {} -> {}",
            decided.route, decided.cluster, decided.host
        )?;
        writeln!(to, "  its log   {}", decided.text)?;
    }
    let Way {
        tunnel,
        identities: [client, waypoint, pod],
        metric,
    } = way;
    writeln!(
        to,
        "\n  path      {} -> ztunnel of node1 == HBONE {} ==> waypoint == HBONE ==> ztunnel of node1 -> catalog-v2",
        tunnel.get("src.addr"),
        tunnel.get("dst.addr")
    )?;
    writeln!(to, "  identity  {client} -> {waypoint} -> {pod}")?;
    writeln!(to, "  metric    {metric}")?;
    write_failure(to, failure)
}

fn write_failure(to: &mut String, failure: &Failure) -> Result {
    let Failure {
        requests,
        answered_by,
        last,
        retries: (retries, successes),
        endpoints: (healthy, endpoints),
    } = failure;
    writeln!(
        to,
        "\nA REPLICA THAT FAILS (nginx in catalog-v1b was killed; its pod is still an endpoint)"
    )?;
    writeln!(
        to,
        "  clients   saw {requests} answers to {requests} requests, all of them 200 from {answered_by}"
    )?;
    writeln!(
        to,
        "  retries   {retries} requests were tried again, {successes} with success   (envoy_cluster_upstream_rq_retry, .._success)"
    )?;
    writeln!(
        to,
        "  ejection  {healthy} of {endpoints} endpoints of v1 is left   (envoy_cluster_membership_healthy, .._total, outlier_detection_ejections_active)"
    )?;
    writeln!(to, "  its log   {}", last.text)
}
