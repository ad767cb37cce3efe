//! Where a client is: what is believed, of whom, what the endpoint is told, and what the log shows.

use std::sync::Arc;

use http::{Request, Version};
use mesh::{
    Resource,
    access::{ClientAddress, authorization::TextMatch},
    route::RouteTable,
    settings::WaypointSettings,
};

use super::kit::*;
use crate::{body::Body, session::Proxied};

const PEER: &str = "cluster.local/ns/default/sa/client";

/// The peer may speak for others.
fn listed(trusted_proxies: u32) -> ClientAddress {
    ClientAddress {
        trusted_peers: vec![TextMatch::Exact(PEER.into())],
        trusted_proxies,
        proxy_protocol: false,
    }
}

/// Somebody else may.
fn unlisted() -> ClientAddress {
    ClientAddress {
        trusted_peers: vec![TextMatch::Prefix("cluster.local/ns/edge/".into())],
        ..listed(0)
    }
}

fn with_header(trusted_proxies: u32) -> ClientAddress {
    ClientAddress {
        proxy_protocol: true,
        ..listed(trusted_proxies)
    }
}

/// A waypoint before an endpoint that answers with the headers that it got.
async fn kit(policy: Option<ClientAddress>) -> Kit {
    let address = backend(Version::HTTP_11, |request| async move {
        let lines = request.headers().iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            format!("{name}: {value}\n")
        });
        Ok(text(&lines.collect::<String>()))
    })
    .await;
    let table = RouteTable {
        client_address: policy,
        ..table(vec![forward()])
    };
    let plan = Plan {
        table: Some(table),
        ..Plan::default()
    };
    Kit::new(&[address], plan)
}

fn proxied(kit: &mut Kit, source: &str) {
    let session = Arc::get_mut(&mut kit.session).unwrap();
    session.proxied = Some(Proxied {
        source: source.parse().unwrap(),
        destination: Some("198.51.100.1:443".parse().unwrap()),
    });
}

fn asking(headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = get("/");
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    request
}

/// What the endpoint got of a name, `None` where it is not there.
struct Got(Vec<(String, String)>);

impl Got {
    fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.0.iter().filter(|(found, _)| found == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// What the endpoint got and what the log calls the client.
async fn ask(kit: &Kit, headers: &[(&str, &str)]) -> (Got, String) {
    let answered = kit.ask(asking(headers)).await;
    assert_eq!(answered.status(), 200);
    let pairs = answered.body.lines().filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_owned(), value.to_owned()))
    });
    let line = kit.line();
    assert_eq!(line["direct"], "10.0.0.9:40000");
    (
        Got(pairs.collect()),
        line["remote"].as_str().unwrap().to_owned(),
    )
}

const SPOOFS: &[(&str, &str)] = &[
    ("x-forwarded-for", "203.0.113.5"),
    ("x-forwarded-for", "203.0.113.6, 203.0.113.7"),
    ("x_forwarded_for", "203.0.113.8"),
    ("x-envoy-external-address", "203.0.113.9"),
];

#[tokio::test]
async fn without_a_policy_headers_pass_and_nobody_acts_upon_them() {
    let kit = kit(None).await;
    let (got, remote) = ask(&kit, &SPOOFS[..2]).await;
    assert_eq!(
        got.all("x-forwarded-for"),
        ["203.0.113.5", "203.0.113.6, 203.0.113.7"]
    );
    assert_eq!(remote, "10.0.0.9:40000");
}

#[tokio::test]
async fn what_a_peer_says_that_is_not_listed_reaches_nobody() {
    for policy in [unlisted(), ClientAddress::default()] {
        let kit = kit(Some(policy)).await;
        let (got, remote) = ask(&kit, SPOOFS).await;
        let spoofed = |name: &&&str| name.contains("forwarded") && name.ends_with("for");
        assert_eq!(got.names().iter().filter(spoofed).count(), 0);
        assert!(got.all("x-envoy-external-address").is_empty());
        assert_eq!(remote, "10.0.0.9:40000");
    }
}

#[tokio::test]
async fn the_client_of_a_listed_peer_is_the_last_of_its_word_beyond_trusted_proxies() {
    for (proxies, expected) in [
        (0, "192.0.2.3"),
        (1, "192.0.2.2"),
        (2, "192.0.2.1"),
        // A list that is too short came around a proxy.
        (3, "10.0.0.9"),
        (u32::MAX, "10.0.0.9"),
    ] {
        let kit = kit(Some(listed(proxies))).await;
        let headers = [
            ("x-forwarded-for", "192.0.2.1, 192.0.2.2"),
            ("x-forwarded-for", "192.0.2.3"),
            ("x_forwarded_for", "203.0.113.8"),
            ("x-envoy-external-address", "203.0.113.9"),
        ];
        let (got, remote) = ask(&kit, &headers).await;
        assert_eq!(got.all("x-envoy-external-address"), [expected]);
        // In one line, as it came.
        assert_eq!(
            got.all("x-forwarded-for"),
            ["192.0.2.1, 192.0.2.2, 192.0.2.3"]
        );
        assert!(got.all("x_forwarded_for").is_empty());
        let port = if expected == "10.0.0.9" { 40000 } else { 0 };
        assert_eq!(remote, format!("{expected}:{port}"));
    }
}

#[tokio::test]
async fn what_is_no_address_makes_the_peer_the_client() {
    for line in [
        "203.0.113.5, unknown",
        "203.0.113.5, ",
        "203.0.113.5,10.0.0",
    ] {
        let kit = kit(Some(listed(0))).await;
        let (got, remote) = ask(&kit, &[("x-forwarded-for", line)]).await;
        assert_eq!(got.all("x-envoy-external-address"), ["10.0.0.9"]);
        assert_eq!(remote, "10.0.0.9:40000", "{line}");
    }
    let kit = kit(Some(listed(0))).await;
    let (got, remote) = ask(&kit, &[]).await;
    assert!(got.all("x-forwarded-for").is_empty());
    assert_eq!(remote, "10.0.0.9:40000");
}

#[tokio::test]
async fn the_source_of_a_proxy_header_is_the_client_and_what_it_said_itself_is_gone() {
    let mut kit = kit(Some(with_header(0))).await;
    proxied(&mut kit, "192.0.2.77:50000");
    let (got, remote) = ask(&kit, SPOOFS).await;
    assert_eq!(got.all("x-forwarded-for"), ["192.0.2.77"]);
    assert_eq!(got.all("x-envoy-external-address"), ["192.0.2.77"]);
    assert_eq!(remote, "192.0.2.77:50000");
}

#[tokio::test]
async fn behind_a_proxy_header_the_source_is_the_last_word() {
    for (proxies, expected) in [
        (1, "192.0.2.2:0"),
        (2, "192.0.2.1:0"),
        (3, "192.0.2.77:50000"),
    ] {
        let mut kit = kit(Some(with_header(proxies))).await;
        proxied(&mut kit, "192.0.2.77:50000");
        let (got, remote) = ask(&kit, &[("x-forwarded-for", "192.0.2.1, 192.0.2.2")]).await;
        assert_eq!(
            got.all("x-forwarded-for"),
            ["192.0.2.1, 192.0.2.2, 192.0.2.77"]
        );
        assert_eq!(remote, expected);
    }
}

#[tokio::test]
async fn a_header_counts_only_while_the_policy_lists_who_sent_it() {
    // It is not asked for any more: the word of the connection still goes before what its client wrote.
    let mut kit = kit(Some(listed(0))).await;
    proxied(&mut kit, "192.0.2.77:50000");
    let (_, remote) = ask(&kit, SPOOFS).await;
    assert_eq!(remote, "192.0.2.77:50000");
    for policy in [Some(unlisted()), None] {
        let table = RouteTable {
            client_address: policy,
            ..table(vec![forward()])
        };
        kit.publish(vec![Resource::RouteTable(Arc::new(table))]);
        let (_, remote) = ask(&kit, SPOOFS).await;
        assert_eq!(remote, "10.0.0.9:40000");
    }
}

#[tokio::test]
async fn a_connection_that_came_before_headers_were_asked_for_has_its_peer_for_a_client() {
    let kit = kit(Some(with_header(0))).await;
    let (got, remote) = ask(&kit, SPOOFS).await;
    assert_eq!(got.all("x-forwarded-for"), ["10.0.0.9"]);
    assert_eq!(remote, "10.0.0.9:40000");
}

fn settings(kit: &Kit, change: impl FnOnce(&mut WaypointSettings)) {
    let own = &kit.proxy.own;
    let mut settings = {
        let mesh = kit.proxy.view.borrow();
        let settings = mesh.waypoint_settings(&own.namespace, &own.gateway);
        settings.unwrap().as_ref().clone()
    };
    change(&mut settings);
    kit.publish(vec![Resource::WaypointSettings(Arc::new(settings))]);
}

#[tokio::test]
async fn a_policy_of_the_service_stands_in_the_place_of_the_waypoints() {
    let said = [("x-forwarded-for", "192.0.2.1")];
    let plain = kit(None).await;
    settings(&plain, |settings| settings.client_address = Some(listed(0)));
    let (_, remote) = ask(&plain, &said).await;
    assert_eq!(remote, "192.0.2.1:0");
    let own = kit(Some(unlisted())).await;
    settings(&own, |settings| settings.client_address = Some(listed(0)));
    let (got, remote) = ask(&own, &said).await;
    assert_eq!(remote, "10.0.0.9:40000");
    assert!(got.all("x-forwarded-for").is_empty());
}

#[tokio::test]
async fn who_is_certified_is_told_in_the_place_of_what_a_client_says_of_itself() {
    let spoofs = [
        (
            "x-forwarded-client-cert",
            "URI=spiffe://cluster.local/ns/a/sa/admin",
        ),
        ("x-forwarded-client-cert", "By=spiffe://x;URI=spiffe://y"),
        ("x_forwarded_client_cert", "URI=spiffe://z"),
        ("connection", "x-forwarded-client-cert"),
    ];
    for policy in [None, Some(listed(0)), Some(unlisted())] {
        let kit = kit(policy).await;
        let (got, _) = ask(&kit, &spoofs).await;
        assert!(!got.names().iter().any(|name| name.ends_with("cert")));
        settings(&kit, |settings| settings.include_client_certificate = true);
        let (got, _) = ask(&kit, &spoofs).await;
        assert_eq!(
            got.all("x-forwarded-client-cert"),
            ["URI=spiffe://cluster.local/ns/default/sa/client"]
        );
        assert!(got.all("x_forwarded_client_cert").is_empty());
    }
}

/// What is said of a client beside its address.
const WORDS: &[(&str, &str)] = &[
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "bank.example"),
    ("x-forwarded-port", "443"),
    ("x-forwarded-prefix", "/admin"),
    ("forwarded", "for=203.0.113.5;proto=https"),
    ("x-real-ip", "203.0.113.5"),
];
const ALIKE: &[(&str, &str)] = &[
    ("x_forwarded_proto", "https"),
    ("x-forwarded_host", "bank.example"),
    ("x_real-ip", "203.0.113.5"),
];

#[tokio::test]
async fn who_is_not_listed_says_nothing_of_clients_to_endpoints() {
    let kit = kit(Some(unlisted())).await;
    let (got, _) = ask(&kit, &[WORDS, ALIKE].concat()).await;
    // What it speaks with us, in the place of what it says.
    assert_eq!(got.all("x-forwarded-proto"), ["http"]);
    for (name, _) in [&WORDS[1..], ALIKE].concat() {
        assert!(got.all(name).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn an_id_and_a_scheme_that_came_are_passed_on() {
    let said = [("x-request-id", "mine"), ("x-forwarded-proto", "https")];
    for (policy, scheme) in [
        (None, "https"),
        (Some(listed(0)), "https"),
        (Some(unlisted()), "http"),
    ] {
        let (got, _) = ask(&kit(policy).await, &said).await;
        assert_eq!(got.all("x-request-id"), ["mine"]);
        assert_eq!(got.all("x-forwarded-proto"), [scheme]);
    }
}

#[tokio::test]
async fn who_is_listed_says_it_in_one_spelling_and_without_a_policy_everybody_does() {
    for (policy, alike) in [(Some(listed(0)), false), (None, true)] {
        let kit = kit(policy).await;
        let (got, _) = ask(&kit, &[WORDS, ALIKE].concat()).await;
        for (name, value) in WORDS {
            assert_eq!(got.all(name), [*value], "{name}");
        }
        for (name, _) in ALIKE {
            assert_eq!(!got.all(name).is_empty(), alike, "{name}");
        }
    }
}

#[tokio::test]
async fn behind_a_proxy_header_the_words_are_the_clients_own_unless_a_proxy_is_trusted() {
    for (proxies, heard) in [(0, false), (1, true)] {
        let mut kit = kit(Some(with_header(proxies))).await;
        proxied(&mut kit, "192.0.2.1:40001");
        let (got, _) = ask(&kit, &[WORDS, ALIKE].concat()).await;
        let scheme = if heard { "https" } else { "http" };
        assert_eq!(got.all("x-forwarded-proto"), [scheme]);
        assert_eq!(got.all("x-real-ip").is_empty(), !heard);
        assert_eq!(got.all("x-forwarded-host").is_empty(), !heard);
        assert!(got.all("x_real-ip").is_empty());
    }
}

#[tokio::test]
async fn a_scheme_that_is_made_up_meets_no_policy_where_its_peer_is_not_listed() {
    use crate::access::testkit::{header, policies, policy};
    use mesh::access::authorization::Action;
    for (client, code) in [(Some(unlisted()), 403), (Some(listed(0)), 200)] {
        let kit = kit(client).await;
        settings(&kit, |settings| {
            let rules = vec![header(":scheme", "https")];
            settings.policies = policies(vec![policy("tls", Action::Allow, rules)]);
        });
        let answered = kit.ask(asking(WORDS)).await;
        assert_eq!(answered.status(), code);
    }
}
