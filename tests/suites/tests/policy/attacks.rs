//! Ways around a policy that must not be any.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use http::StatusCode;
use lab::{Capture, Start};
use serde_json::{Value, json};
use suites::policy::{Call, Fields, Mark, PATIENCE, Seen, Town, liar, policy};

const EVIL: &str = "spiffe://cluster.local/ns/evil/sa/evil";

/// The liar's CONNECT to `server`, from the pod that is not in the mesh.
fn ask(
    town: &Town,
    peer: IpAddr,
    authority: &str,
    headers: &[(&str, String)],
) -> Result<StatusCode> {
    liar::connect(
        &town.lab,
        &town.pod("legacy"),
        EVIL,
        peer,
        authority,
        headers,
    )
}

fn deny(name: &str, one: Value) -> Value {
    policy(name, "Deny", json!([[[one]]]))
}

fn allow(name: &str, one: Value) -> Value {
    policy(name, "Allow", json!([[[one]]]))
}

pub(crate) fn spoofed(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "spoofed", &Start::default(), &Start::default())?
    else {
        return Ok(());
    };
    let (server, client) = (town.pod("server"), town.pod("client"));
    let (peer, authority) = (server.ip4().into(), format!("{}:8080", server.ip4()));
    let headers = [
        ("baggage", "k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.deployment.name=client,service.name=client,service.version=latest".to_owned()),
        ("forwarded", format!("for=\"{}:40000\"", client.ip4())),
        ("x-forwarded-for", client.ip4().to_string()),
        ("x-forwarded-client-cert", format!("URI={}", client.identity())),
        ("x-istio-source", "waypoint".to_owned()),
        ("authorization", "Bearer let-me-in".to_owned()),
    ];
    // The lies are told to a destination that has no policy first: the request itself is a good one.
    assert_eq!(ask(&town, peer, &authority, &headers)?, StatusCode::OK);
    lab::until("the application to have accepted it", PATIENCE, || {
        town.server.accepted() == 1
    })?;
    let reached = 1;
    for (name, condition) in [
        (
            "by-principal",
            json!({"principals": ["cluster.local/ns/default/sa/client"]}),
        ),
        ("by-namespace", json!({"namespaces": ["default"]})),
        ("by-account", json!({"serviceAccounts": ["default/client"]})),
        ("by-address", json!({"sourceIps": [client.ip4()]})),
    ] {
        town.enforce(&[allow(name, condition)])?;
        assert_eq!(
            town.probe("client", town.at("server", 8080))?.0,
            Seen::Answered,
            "{name}"
        );
        let far = Mark::now(&town.far);
        assert_eq!(
            ask(&town, peer, &authority, &headers)?,
            StatusCode::UNAUTHORIZED,
            "{name}"
        );
        let line = far.wait(&town.far, &["allow policies exist, but none allowed"], 1)?;
        let line = Fields::parse(&line[0])?;
        assert_eq!(line.get("src.identity")?, EVIL);
        assert!(
            line.get("src.workload").is_err(),
            "somebody else's name for a stranger: {line:?}"
        );
    }
    // Neither do lies make a metric of somebody else's.
    let of_evil = lab::eventually("a metric of the liar", PATIENCE, || {
        let metrics = town.far.metrics()?;
        let lines: Vec<_> = metrics.lines().filter(|line| line.contains(EVIL)).collect();
        ensure!(
            lines.iter().any(|line| line.contains("\"DENY\"")),
            "{lines:#?}"
        );
        Ok(lines.join("\n"))
    })?;
    for line in of_evil.lines() {
        assert!(
            line.contains("source_workload=\"unknown\",source_canonical_service=\"unknown\""),
            "{line}"
        );
    }
    // As the gateway of another network it may say whose connection it forwards, for people to read; the identity
    // that is written beside that, and judged, stays its own.
    let as_gateway: Vec<_> = headers
        .iter()
        .cloned()
        .chain([("x-forwarded-network", "elsewhere".to_owned())])
        .collect();
    let far = Mark::now(&town.far);
    assert_eq!(
        ask(&town, peer, &authority, &as_gateway)?,
        StatusCode::UNAUTHORIZED
    );
    let line = far.wait(&town.far, &["allow policies exist, but none allowed"], 1)?;
    assert_eq!(Fields::parse(&line[0])?.get("src.identity")?, EVIL);
    assert_eq!(
        town.server.accepted() - reached,
        4,
        "only the client has reached the application"
    );
    Ok(())
}

#[test]
fn what_a_client_says_of_itself_opens_nothing() -> Result<()> {
    spoofed(Capture::Agent)
}

pub(crate) fn authorities(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "authority", &Start::default(), &Start::default())?
    else {
        return Ok(());
    };
    let (server, neighbour) = (town.pod("server"), town.pod("neighbour"));
    let peer: IpAddr = server.ip4().into();
    // The neighbour refuses everybody; perhaps the server's ztunnel, which is the same, leads there.
    town.enforce(&[deny(
        "no-neighbour",
        json!({"destinationIps": [neighbour.ip4()]}),
    )])?;
    for (authority, status) in [
        (format!("{}:8080", server.ip4()), StatusCode::OK),
        (format!("{}:8080", neighbour.ip4()), StatusCode::BAD_REQUEST),
        (
            format!("[::ffff:{}]:8080", neighbour.ip4()),
            StatusCode::BAD_REQUEST,
        ),
        (
            format!("[{}]:8080", neighbour.ip6()),
            StatusCode::BAD_REQUEST,
        ),
        (format!("{}:80", town.vip()?), StatusCode::BAD_REQUEST),
        ("127.0.0.1:8080".to_owned(), StatusCode::BAD_REQUEST),
        ("[::1]:8080".to_owned(), StatusCode::BAD_REQUEST),
        ("0.0.0.0:8080".to_owned(), StatusCode::BAD_REQUEST),
        ("169.254.169.254:80".to_owned(), StatusCode::BAD_REQUEST),
        (
            "neighbour.prod.svc.cluster.local:8080".to_owned(),
            StatusCode::BAD_REQUEST,
        ),
        ("localhost:8080".to_owned(), StatusCode::BAD_REQUEST),
        // Its own listeners, and those that only the pod itself may use.
        (format!("{}:15001", server.ip4()), StatusCode::BAD_REQUEST),
        (format!("{}:15006", server.ip4()), StatusCode::BAD_REQUEST),
        (format!("{}:15008", server.ip4()), StatusCode::BAD_REQUEST),
        (format!("{}:15053", server.ip4()), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(ask(&town, peer, &authority, &[])?, status, "{authority}");
    }
    assert_eq!(town.neighbour.accepted(), 0);
    for port in [15001, 15006, 15053] {
        let seen = town.probe("legacy", SocketAddr::new(peer, port))?.0;
        assert_eq!(seen, Seen::Closed, "plain text to port {port}");
    }
    Ok(())
}

#[test]
fn a_request_for_any_other_address_than_the_pods_is_refused() -> Result<()> {
    authorities(Capture::Agent)
}

pub(crate) fn mapped(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "mapped", &Start::default(), &Start::default())?
    else {
        return Ok(());
    };
    let (server, legacy) = (town.pod("server"), town.pod("legacy"));
    let mapped = |port| SocketAddr::new(server.ip4().to_ipv6_mapped().into(), port);
    let peer: IpAddr = server.ip4().into();
    let authorities = [
        format!("{}:8080", server.ip4()),
        format!("[::ffff:{}]:8080", server.ip4()),
        "server.prod.svc.cluster.local:80".to_owned(),
        "SERVER.prod.svc.Cluster.Local:80".to_owned(),
    ];
    for authority in &authorities {
        assert_eq!(
            ask(&town, peer, authority, &[])?,
            StatusCode::OK,
            "{authority}"
        );
    }
    assert_eq!(Call::open(&legacy, mapped(8080))?.ping()?, Seen::Answered);
    for (name, condition) in [
        ("by-source", json!({"sourceIps": [legacy.ip4()]})),
        ("by-destination", json!({"destinationIps": [server.ip4()]})),
        ("by-port", json!({"destinationPorts": [8080]})),
        ("by-not-v6", json!({"notSourceIps": ["::/0"]})),
    ] {
        town.enforce(&[deny(name, condition)])?;
        for authority in &authorities {
            let status = ask(&town, peer, authority, &[])?;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}: {authority}");
        }
        assert_eq!(
            Call::open(&legacy, mapped(8080))?.ping()?,
            Seen::Closed,
            "{name}: plain text"
        );
    }
    Ok(())
}

#[test]
fn another_way_to_write_an_address_is_the_same_address() -> Result<()> {
    mapped(Capture::Agent)
}

pub(crate) fn own_service(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "own-vip", &Start::default(), &Start::default())?
    else {
        return Ok(());
    };
    let vip = SocketAddr::new(town.vip()?, 80);
    let own = town.at("server", 8080);
    assert_eq!(
        town.probe("server", vip)?.0,
        Seen::Answered,
        "before there is a policy"
    );
    town.enforce(&[deny("not-me", json!({"serviceAccounts": ["server"]}))])?;
    let far = Mark::now(&town.far);
    let (seen, local) = town.probe("server", vip)?;
    assert_eq!(seen, Seen::Closed);
    far.wait(
        &town.far,
        &["inbound", "explicitly denied by: prod/not-me"],
        1,
    )?;
    far.wait(
        &town.far,
        &[
            &format!("src.addr={local} "),
            "outbound",
            "http status: 401 Unauthorized",
        ],
        1,
    )?;
    // Its own address stays within the pod: nobody sees that, as without a mesh.
    assert_eq!(town.probe("server", own)?.0, Seen::Answered);
    assert_eq!(
        town.probe("client", own)?.0,
        Seen::Answered,
        "others are not meant"
    );
    // Nor can it enter through its own listeners.
    // (15008 speaks TLS to whoever comes, and believes nobody without a certificate.)
    for port in [15001, 15006] {
        let to = SocketAddr::new(own.ip(), port);
        if capture == Capture::Ebpf {
            // It has none there.
            let found = Call::open(&town.pod("server"), to);
            ensure!(found.is_err(), "somebody listens on {port}");
            continue;
        }
        let seen = town.probe("server", to)?.0;
        ensure!(
            seen == Seen::Closed,
            "port {port} of the pod itself answered"
        );
    }
    Ok(())
}

#[test]
fn a_pod_that_calls_its_own_service_is_judged_and_one_that_calls_itself_is_not() -> Result<()> {
    own_service(Capture::Agent)
}
