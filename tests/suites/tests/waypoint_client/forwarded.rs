//! `x-forwarded-for`, `x-envoy-external-address` and `x-forwarded-client-cert`: whose word counts, and what the application is told (IN-03 to
//! IN-05, IN-07, ID-12).

use std::net::IpAddr;

use anyhow::{Result, ensure};
use suites::balancer::{Balancer, Front, Visit};
use suites::waypoint::{Ground, HTTP, authorization_policy};

use crate::yard::{self, WEB, addresses, annotated, at, edge, host, yard};

/// A gateway that reads HTTP and appends to `x-forwarded-for`.
const APPENDS: u16 = 8001;
/// A balancer that passes bytes on behind a header.
const BYTES: u16 = 8002;

/// What a content network before the gateway has written.
const FAR: &str = "198.51.100.7";
const NEAR: &str = "203.0.113.9";

const EXTERNAL: &str = "x-envoy-external-address";
const FORWARDED: &str = "x-forwarded-for";

/// Lets in by one field of addresses.
fn only(field: &str, block: &str) -> String {
    let spec =
        format!("targetRefs: [{WEB}]\nrules:\n- from: [{{source: {{{field}: [{block}]}}}}]\n");
    authorization_policy("only", &spec)
}

#[test]
fn the_client_is_found_as_many_proxies_back_as_are_trusted() -> Result<()> {
    let Some(ground) = yard(Ground::builder("hops")).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        addresses(&ground)?;
        let fronts = [
            Front::http(APPENDS, at(&ground, "web", HTTP)?).line("option forwardfor"),
            Front::tcp(BYTES, at(&ground, "web", HTTP)?).v2(),
        ];
        let balancer = Balancer::start(&ground.pod("edge"), &fronts)?;
        let home: IpAddr = ground.lab.outside_addresses().ip4.into();
        let peer: IpAddr = ground.pod("edge").ip4().into();
        let (far, near): (IpAddr, IpAddr) = (FAR.parse()?, NEAR.parse()?);
        let visit = |port| {
            Visit::new(ground.lab.outside(), edge(&ground, port))
                .header(&format!("{FORWARDED}: {FAR}"))
                .header(&format!("{FORWARDED}: {NEAR}"))
                .header(&format!("{EXTERNAL}: 192.0.2.66"))
        };
        let all = format!("{FAR}, {NEAR}, {home}");

        // The gateway's own last word, and those before it; a list that is too short makes the peer the client.
        for (hops, client) in [(0, home), (1, near), (2, far), (3, peer), (100, peer)] {
            ground.apply(
                "clients",
                &yard::trust(WEB, &format!(", numTrustedProxies: {hops}")),
            )?;
            ground.apply("only", &only("remoteIpBlocks", &client.to_string()))?;
            let path = format!("/hops/{hops}");
            let seen = visit(APPENDS).send(&path)?;
            ensure!(seen.status == 200, "{hops}: {seen:?}");
            ensure!(
                seen.saw(FORWARDED).as_ref() == Some(&all),
                "{hops}: {seen:?}"
            );
            ensure!(
                seen.saw(EXTERNAL) == Some(client.to_string()),
                "{hops}: {seen:?}"
            );
            // One line, for those who look at the first alone.
            let lines = seen.json()["headers"][FORWARDED].as_array().map(Vec::len);
            ensure!(lines == Some(1), "{hops}: {seen:?}");
            let line = ground.access(&path)?;
            ensure!(host(&line.remote) == Some(client), "{hops}: {line:?}");
            // All others are somebody else.
            for other in [home, near, far, peer]
                .into_iter()
                .filter(|it| *it != client)
            {
                ground.apply("only", &only("remoteIpBlocks", &other.to_string()))?;
                ensure!(
                    visit(APPENDS).send("/other")?.status == 403,
                    "{hops}: {other}"
                );
            }
            // And the other field is about the tunnel, whatever the list says.
            ground.apply("only", &only("ipBlocks", &peer.to_string()))?;
            ensure!(visit(APPENDS).send("/peer")?.status == 200, "{hops}");
            ground.apply("only", &only("ipBlocks", &client.to_string()))?;
            let expected = if client == peer { 200 } else { 403 };
            ensure!(visit(APPENDS).send("/peer")?.status == expected, "{hops}");
            ground.withdraw(&["only"])?;
        }

        // Behind a PROXY header: its source is the last word, and without trusted proxies the only one.
        for (hops, client, told) in [
            (0, home, home.to_string()),
            (1, near, all.clone()),
            (2, far, all.clone()),
            (3, home, all),
        ] {
            let rest = format!(", numTrustedProxies: {hops}, proxyProtocol: true");
            ground.apply("clients", &yard::trust(WEB, &rest))?;
            ground.apply("only", &only("remoteIpBlocks", &client.to_string()))?;
            let seen = visit(BYTES).send("/behind")?;
            ensure!(seen.status == 200, "{hops}: {seen:?}");
            ensure!(seen.saw(FORWARDED) == Some(told), "{hops}: {seen:?}");
            ensure!(
                seen.saw(EXTERNAL) == Some(client.to_string()),
                "{hops}: {seen:?}"
            );
            ground.withdraw(&["only"])?;
        }
        balancer.stop()
    })
}

#[test]
fn what_a_pod_writes_of_itself_never_counts() -> Result<()> {
    let Some(ground) = yard(Ground::builder("spoofed")).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        addresses(&ground)?;
        let claims = [
            format!("{FORWARDED}: {NEAR}"),
            format!("{EXTERNAL}: {NEAR}"),
            format!("x_forwarded_for: {NEAR}"),
            format!("X_Envoy_External-Address: {NEAR}"),
        ];
        let gone = [
            FORWARDED,
            EXTERNAL,
            "x_forwarded_for",
            "x_envoy_external-address",
        ];
        let get = |from: &str, http2: bool| {
            let request = claims
                .iter()
                .fold(ground.get("/claims").from(from), |it, claim| {
                    it.header(claim)
                });
            if http2 { request.http2() } else { request }
        };
        ground.apply("only", &only("remoteIpBlocks", NEAR))?;
        // Without a policy, and with one that lists others.
        for trusted in [false, true] {
            if trusted {
                ground.apply("clients", &yard::trust(WEB, ", numTrustedProxies: 0"))?;
            }
            for (from, http2) in [
                ("client", false),
                ("client", true),
                ("guest", false),
                ("neighbour", true),
            ] {
                let answer = get(from, http2).send()?;
                ensure!(answer.status == 403, "{trusted} {from}: {answer:?}");
            }
        }
        // What the application is told: with the policy nothing, without one what an ingress may have said.
        ground.withdraw(&["only"])?;
        for http2 in [false, true] {
            let answer = get("client", http2).send()?;
            for name in gone {
                ensure!(answer.saw(name).is_none(), "{name}: {answer:?}");
            }
        }
        ground.withdraw(&["clients"])?;
        let answer = get("client", false).send()?;
        ensure!(answer.saw(FORWARDED).as_deref() == Some(NEAR), "{answer:?}");
        ensure!(answer.saw(EXTERNAL).as_deref() == Some(NEAR), "{answer:?}");
        let client = IpAddr::from(ground.pod("client").ip4());
        let lines = ground.access_lines("/claims", 1)?;
        ensure!(
            lines
                .iter()
                .all(|line| host(&line.remote) != Some(NEAR.parse().unwrap_or(client))),
            "{lines:?}"
        );

        // The policy of a Gateway is for all of its services; a service's own takes its place.
        let gateway = "{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}";
        ground.apply(
            "gateway-clients",
            &yard::trust(gateway, "").replace("name: clients", "name: gateway-clients"),
        )?;
        for service in ["web", "web-v1"] {
            let answer = get("client", false).to(service, HTTP).send()?;
            ensure!(answer.saw(FORWARDED).is_none(), "{service}: {answer:?}");
        }
        let by_client =
            yard::trust(WEB, "").replace(yard::BALANCER, "cluster.local/ns/shop/sa/client");
        ground.apply("clients", &by_client)?;
        let answer = get("client", false).send()?;
        ensure!(answer.saw(EXTERNAL).as_deref() == Some(NEAR), "{answer:?}");
        let answer = get("client", false).to("web-v1", HTTP).send()?;
        ensure!(answer.saw(EXTERNAL).is_none(), "{answer:?}");
        Ok(())
    })
}

#[test]
fn the_certified_client_is_told_in_the_place_of_what_it_says() -> Result<()> {
    let Some(ground) = yard(Ground::builder("xfcc")).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        const NAME: &str = "x-forwarded-client-cert";
        let spoofed =
            "By=spiffe://cluster.local/ns/shop/sa/web;URI=spiffe://cluster.local/ns/shop/sa/admin";
        let get = |from: &str| {
            let request = ground
                .get("/cert")
                .from(from)
                .header(&format!("{NAME}: {spoofed}"));
            request.header(&format!("x_forwarded_client_cert: {spoofed}"))
        };
        for request in [get("client"), get("client").http2()] {
            let answer = request.send()?;
            ensure!(
                answer.saw(NAME).is_none() && answer.saw("x_forwarded_client_cert").is_none(),
                "{answer:?}"
            );
        }
        let annotated = annotated("ambient.istio.io/xfcc-include-client-identity: \"true\"");
        ground.apply("gateway", &annotated)?;
        for from in ["client", "guest", "neighbour", "edge"] {
            let expected = format!("URI={}", ground.pod(from).identity());
            for request in [get(from), get(from).http2()] {
                let answer = request.send()?;
                ensure!(
                    answer.saw(NAME).as_ref() == Some(&expected),
                    "{from}: {answer:?}"
                );
                ensure!(
                    answer.saw("x_forwarded_client_cert").is_none(),
                    "{from}: {answer:?}"
                );
            }
        }
        // Request ids and the scheme are kept as they come (IN-07).
        let answer = get("client")
            .header("x-request-id: mine")
            .header("x-forwarded-proto: https")
            .send()?;
        ensure!(
            answer.saw("x-request-id").as_deref() == Some("mine"),
            "{answer:?}"
        );
        ensure!(
            answer.saw("x-forwarded-proto").as_deref() == Some("https"),
            "{answer:?}"
        );
        // Anything but "true" is no.
        ground.try_apply("gateway", &annotated.replace("\"true\"", "\"yes\""))?;
        let answer = get("client").send()?;
        ensure!(answer.saw(NAME).is_none(), "{answer:?}");
        Ok(())
    })
}
