//! The allow-list of S0: a load balancer that sends PROXY headers, a path that is open to some addresses outside only (IN-01, IN-05).

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use lab::until;
use suites::balancer::{Balancer, Front, Seen, Visit};
use suites::policy::PATIENCE;
use suites::waypoint::{ANY, Ground, H2, HTTP, authorization_policy, manifest};

use crate::yard::{
    self, LISTED, LISTED_6, OTHER, OTHER_6, WEB, addresses, at, at_6, edge, edge_6, host, yard,
};

/// `/admin` is for the listed addresses outside alone.
const ALLOW_LIST: &str = "
    targetRefs: [{kind: Service, group: '', name: web}]
    action: DENY
    rules:
    - from: [{source: {notRemoteIpBlocks: [172.19.0.10/32, 'fd00:19::10/128', 203.0.113.0/24]}}]
      to: [{operation: {paths: [/admin, '/admin/*']}}]
";

/// Ports of the balancer.
const V1: u16 = 8001;
const V2: u16 = 8002;
const SILENT: u16 = 8003;
const UNDECLARED: u16 = 8004;
const HTTP2: u16 = 8005;
const READS: u16 = 8006;
const CHECKS: u16 = 8007;
const V1_6: u16 = 8008;
const V2_6: u16 = 8009;

/// A ground with all of that.
fn built(name: &str) -> Result<Option<(Ground, Balancer)>> {
    let Some(ground) = yard(Ground::builder(name)).build()? else {
        return Ok(None);
    };
    let balancer = ground.lab.scenario(|| {
        addresses(&ground)?;
        let web = |port| at(&ground, "web", port);
        let web_6 = |port| at_6(&ground, "web", port);
        let fronts = [
            Front::tcp(V1, web(HTTP)?).v1(),
            Front::tcp(V2, web(HTTP)?).v2(),
            Front::tcp(SILENT, web(HTTP)?),
            Front::tcp(UNDECLARED, web(ANY)?).v1(),
            Front::tcp(HTTP2, web(H2)?).v2(),
            Front::http(READS, web(HTTP)?)
                .v2()
                .line("http-request set-src req.hdr(x-client)"),
            Front::tcp(V1_6, web_6(HTTP)?).v1(),
            Front::tcp(V2_6, web_6(HTTP)?).v2(),
        ];
        Balancer::start(&ground.pod("edge"), &fronts)
    })?;
    Ok(Some((ground, balancer)))
}

/// What a visitor from outside gets at a port of the balancer.
fn visit(ground: &Ground, from: impl Into<IpAddr>, port: u16, path: &str) -> Result<Seen> {
    let from = from.into();
    let to = match from {
        IpAddr::V4(_) => edge(ground, port),
        IpAddr::V6(_) => edge_6(ground, port),
    };
    let visit = Visit::new(ground.lab.outside(), to).as_address(from);
    let visit = if port == HTTP2 { visit.http2() } else { visit };
    visit.send(path)
}

#[test]
fn an_allow_list_holds_behind_a_load_balancer() -> Result<()> {
    let Some((ground, balancer)) = built("allow-list")? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("clients", &yard::trust(WEB, ", proxyProtocol: true"))?;
        ground.apply("list", &authorization_policy("list", ALLOW_LIST))?;
        let cases: [(u16, IpAddr, IpAddr); 6] = [
            (V1, LISTED.into(), OTHER.into()),
            (V2, LISTED.into(), OTHER.into()),
            (UNDECLARED, LISTED.into(), OTHER.into()),
            (HTTP2, LISTED.into(), OTHER.into()),
            (V1_6, LISTED_6.into(), OTHER_6.into()),
            (V2_6, LISTED_6.into(), OTHER_6.into()),
        ];
        for (port, listed, other) in cases {
            let path = format!("/admin/x?port={port}");
            let open = visit(&ground, listed, port, &path)?;
            ensure!(open.status == 200, "{port}: {open:?}");
            let said = Some(listed.to_string());
            ensure!(
                open.saw("x-envoy-external-address") == said,
                "{port}: {open:?}"
            );
            ensure!(open.saw("x-forwarded-for") == said, "{port}: {open:?}");
            let line = ground.access(&path)?;
            ensure!(host(&line.remote) == Some(listed), "{port}: {line:?}");

            for path in ["/admin", "/admin/x", "/x/../admin/x", "/%61dmin/"] {
                let refused = visit(&ground, other, port, path)?;
                ensure!(refused.status == 403, "{port} {path}: {refused:?}");
                ensure!(
                    refused.text == "RBAC: access denied",
                    "{port} {path}: {refused:?}"
                );
            }
            let line = visit(&ground, other, port, &format!("/admin?denied={port}"))
                .and_then(|_| ground.access(&format!("denied={port}")))?;
            ensure!(host(&line.remote) == Some(other), "{port}: {line:?}");
            // What the list is not about.
            let open = visit(&ground, other, port, "/public")?;
            ensure!(open.status == 200, "{port}: {open:?}");
        }
        // What an unlisted visitor claims of itself is not believed, with or without a header of haproxy's before it.
        for port in [V1, V2, UNDECLARED] {
            let spoofed = Visit::new(ground.lab.outside(), edge(&ground, port))
                .as_address(OTHER)
                .header(&format!("x-forwarded-for: {LISTED}"))
                .header(&format!("x-envoy-external-address: {LISTED}"))
                .header(&format!("x_forwarded_for: {LISTED}"));
            ensure!(spoofed.send("/admin")?.status == 403, "{port}");
            let open = spoofed.send("/public")?;
            let said = Some(OTHER.to_string());
            ensure!(open.saw("x-forwarded-for") == said, "{open:?}");
            ensure!(open.saw("x-envoy-external-address") == said, "{open:?}");
            ensure!(open.saw("x_forwarded_for").is_none(), "{open:?}");
        }
        // Pods call the same port without a header; their own addresses are not on the list, whatever they write.
        for from in ["client", "guest"] {
            let request = ground.get("/admin").from(from);
            ensure!(request.send()?.status == 403, "{from}");
            let spoofed = request.header(&format!("x-forwarded-for: {LISTED}"));
            ensure!(spoofed.send()?.status == 403, "{from}");
            ensure!(ground.get("/public").from(from).send()?.status == 200);
        }
        // A pod behind the balancer is where it is.
        let client = ground.pod("client");
        let path = "/public?behind";
        let open = Visit::new(&client, edge(&ground, V2)).send(path)?;
        ensure!(
            open.saw("x-forwarded-for") == Some(client.ip4().to_string()),
            "{open:?}"
        );
        let refused = Visit::new(&client, edge(&ground, V2)).send("/admin")?;
        ensure!(refused.status == 403, "{refused:?}");
        Ok(())
    })?;
    balancer.stop()
}

#[test]
fn each_client_of_a_balancer_is_judged_by_its_own_address() -> Result<()> {
    let Some((ground, balancer)) = built("many")? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("clients", &yard::trust(WEB, ", proxyProtocol: true"))?;
        ground.apply("list", &authorization_policy("list", ALLOW_LIST))?;
        // Several requests on one connection: one header for all of them.
        for (from, admin) in [(LISTED, 200), (OTHER, 403)] {
            let paths = [
                "/public", "/admin", "/public", "/admin/x", "/admin", "/public",
            ];
            let outside = ground.lab.outside();
            for port in [V1, V2] {
                let visit = Visit::new(outside, edge(&ground, port)).as_address(from);
                let all = visit.send_all(&paths)?;
                let statuses: Vec<u16> = all.iter().map(|seen| seen.status).collect();
                let expected = [200, admin, 200, admin, admin, 200];
                ensure!(statuses == expected, "{from} {port}: {statuses:?}");
                for seen in all.iter().filter(|seen| seen.status == 200) {
                    ensure!(
                        seen.saw("x-forwarded-for") == Some(from.to_string()),
                        "{seen:?}"
                    );
                }
            }
        }
        // A balancer that reads HTTP, with many clients on connections that it keeps open: a header each, of both families.
        let clients = [
            ("203.0.113.7", 200),
            ("198.51.100.7", 403),
            ("203.0.114.7", 403),
            ("fd00:19::10", 200),
            ("fd00:19::11", 403),
            ("::ffff:203.0.113.9", 200),
        ];
        for round in 0..3 {
            for (address, expected) in clients {
                let seen = Visit::new(ground.lab.outside(), edge(&ground, READS))
                    .header(&format!("x-client: {address}"))
                    .send(&format!("/admin?round={round}"))?;
                ensure!(seen.status == expected, "{address}: {seen:?}");
                if expected == 200 {
                    let said = address.trim_start_matches("::ffff:").to_owned();
                    ensure!(
                        seen.saw("x-forwarded-for") == Some(said),
                        "{address}: {seen:?}"
                    );
                }
            }
        }
        Ok(())
    })?;
    balancer.stop()
}

#[test]
fn a_listed_peer_must_send_a_header_and_its_checks_speak_for_itself() -> Result<()> {
    let Some((ground, balancer)) = built("required")? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let open = visit(&ground, OTHER, SILENT, "/before")?;
        ensure!(open.status == 200, "{open:?}");
        // Without a policy a header is no header: bytes that are no HTTP.
        let before = ground.requests("");
        let bad = visit(&ground, OTHER, V1, "/no-policy")?;
        ensure!(bad.status == 0 || bad.status == 400, "{bad:?}");
        ensure!(ground.requests("") == before, "it reached a backend");

        ground.apply("clients", &yard::trust(WEB, ", proxyProtocol: true"))?;
        let mark = ground.mark();
        let refused = visit(&ground, OTHER, SILENT, "/silent")?;
        ensure!(refused.status == 0, "{refused:?}");
        mark.wait(ground.waypoint(), &["no PROXY header"], 1)?;
        ensure!(ground.requests("") == before, "it reached a backend");
        ensure!(visit(&ground, OTHER, V2, "/header")?.status == 200);

        // A policy that lists the peer and asks for no header: its bytes are its own again.
        ground.apply("clients", &yard::trust(WEB, ""))?;
        ensure!(visit(&ground, OTHER, SILENT, "/again")?.status == 200);
        let bad = visit(&ground, OTHER, V2, "/again")?;
        ensure!(bad.status == 0 || bad.status == 400, "{bad:?}");
        ground.apply("clients", &yard::trust(WEB, ", proxyProtocol: true"))?;

        // haproxy's own checks say LOCAL: who asks is the balancer itself.
        let front = Front::tcp(CHECKS, at(&ground, "web", HTTP)?)
            .v2()
            .line("option httpchk")
            .line("http-check send meth GET uri /checked ver HTTP/1.1 hdr host web.shop")
            .server("check check-send-proxy inter 300ms");
        let checker = Balancer::start(&ground.pod("edge"), &[front])?;
        until("a check that arrived", PATIENCE, || {
            ground
                .echoes
                .values()
                .any(|echo| !echo.seen("/checked").is_empty())
        })?;
        let lines = ground.access_lines("/checked", 1)?;
        let line = lines.first().context("counted above")?;
        let expected = Some(IpAddr::from(ground.pod("edge").ip4()));
        ensure!(
            line.status == 200 && host(&line.remote) == expected,
            "{line:?}"
        );
        checker.stop()
    })?;
    balancer.stop()
}

#[test]
fn the_listener_filter_of_s0_holds_for_whom_a_policy_lists() -> Result<()> {
    let Some((ground, balancer)) = built("listener")? else {
        return Ok(());
    };
    // As it is written for Envoy, but for its target.
    let filter = manifest(
        "networking.istio.io/v1alpha3",
        "EnvoyFilter",
        "proxy-protocol",
        "
        targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}]
        configPatches:
        - applyTo: LISTENER
          match: {context: GATEWAY}
          patch:
            operation: MERGE
            value:
              listener_filters:
              - name: envoy.filters.listener.proxy_protocol
              - name: envoy.filters.listener.tls_inspector
        ",
    );
    let gateway = "{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}";
    ground.lab.scenario(|| {
        ground.apply("list", &authorization_policy("list", ALLOW_LIST))?;
        // Alone it would let every pod name any address: it is not in force.
        ground.try_apply("filter", &filter)?;
        ensure!(visit(&ground, LISTED, SILENT, "/admin")?.status == 403);
        ground.apply("clients", &yard::trust(gateway, ""))?;
        ensure!(visit(&ground, LISTED, V2, "/admin")?.status == 200);
        ensure!(visit(&ground, LISTED, V1, "/admin")?.status == 200);
        ensure!(visit(&ground, OTHER, V2, "/admin")?.status == 403);
        ensure!(visit(&ground, OTHER, SILENT, "/public")?.status == 0);
        // The pods of the mesh are as they were.
        ensure!(ground.get("/admin").send()?.status == 403);
        ensure!(ground.get("/public").send()?.status == 200);
        Ok(())
    })?;
    balancer.stop()
}

/// Whose connections begin with a header is the certificate's matter, and not the address's.
#[test]
fn an_edit_of_the_list_of_peers_counts_for_what_comes_next() -> Result<()> {
    let Some((ground, balancer)) = built("edits")? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let listed =
            |who: &str| yard::trust(WEB, ", proxyProtocol: true").replace(yard::BALANCER, who);
        ground.apply("list", &authorization_policy("list", ALLOW_LIST))?;
        ground.apply("clients", &listed(yard::BALANCER))?;
        ensure!(visit(&ground, LISTED, V2, "/admin")?.status == 200);
        // A wildcard that has it, one that has not, somebody else.
        for (who, expected) in [
            ("'cluster.local/ns/edge/*'", 200),
            ("'*/sa/balancer'", 200),
            ("'cluster.local/ns/shop/*'", 0),
            ("cluster.local/ns/edge/sa/neighbour", 0),
            ("other.domain/ns/edge/sa/balancer", 0),
        ] {
            ground.apply("clients", &listed(who))?;
            let seen = visit(&ground, LISTED, V2, "/admin")?;
            ensure!(seen.status == expected, "{who}: {seen:?}");
        }
        let edge: SocketAddr = edge(&ground, SILENT);
        let seen = Visit::new(ground.lab.outside(), edge)
            .as_address(LISTED)
            .send("/admin")?;
        ensure!(
            seen.status == 403,
            "who is not listed has the balancer's own address: {seen:?}"
        );
        Ok(())
    })?;
    balancer.stop()
}
