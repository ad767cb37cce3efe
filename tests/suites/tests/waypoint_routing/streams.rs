//! What is no HTTP: Redis, MariaDB (whose server speaks first), TLS by server name; routed by TCPRoute, TLSRoute and
//! VirtualServices.

use anyhow::{Context as _, Result, ensure};
use lab::process::Process;
use lab::programs::{MariaDb, mariadb, redis};
use lab::{PodSpec, until};
use suites::policy::PATIENCE;
use suites::waypoint::{Ground, service, tcp_route, tls_route, virtual_service};

fn pod(name: &str, node: usize) -> PodSpec {
    PodSpec::new(name).node(node).namespace("shop")
}

/// Runs redis-cli in `client`.
fn ask(ground: &Ground, service: &str, port: u16, command: &[&str]) -> Result<String> {
    let (vip, port) = (ground.vip(service)?.to_string(), port.to_string());
    let mut line = vec!["redis-cli", "-h", &vip, "-p", &port];
    line.extend_from_slice(command);
    let output = ground.pod("client").exec(line)?;
    Ok(output.ok()?.trim().to_owned())
}

/// Which Redis answers on so many connections: how many were `two`.
fn twos(ground: &Ground, service: &str, port: u16, times: usize) -> Result<usize> {
    let mut twos = 0;
    for _ in 0..times {
        match ask(ground, service, port, &["GET", "who"])?.as_str() {
            "one" => {}
            "two" => twos += 1,
            other => anyhow::bail!("{other:?} answered"),
        }
    }
    Ok(twos)
}

#[test]
fn redis_and_mariadb_pass_and_are_routed() -> Result<()> {
    let builder = Ground::bare("tcp")
        .pod(pod("one", 0))
        .pod(pod("two", 1))
        .pod(pod("sql", 1))
        .service(
            service("cache")
                .named_port("tcp-redis", 6379, 6379)
                .named_port("any", 6380, 6379)
                .backend("one"),
        )
        .service(
            service("second")
                .named_port("redis", 6379, 6379)
                .backend("two"),
        )
        .service(
            service("sql")
                .named_port("mysql", 3306, 3306)
                .backend("sql"),
        );
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let _servers = ["one", "two"].map(|name| redis(&ground.pod(name), 6379));
        for server in &_servers {
            ensure!(server.is_ok(), "{server:?}");
        }
        for name in ["one", "two"] {
            ground.pod(name).exec(["redis-cli", "SET", "who", name])?.ok()?;
        }
        let database = mariadb(&ground.pod("sql"), 3306)?;

        // Declared TCP, not declared at all, and declared by the protocol's own name.
        ensure!(ask(&ground, "cache", 6379, &["GET", "who"])? == "one");
        ensure!(ask(&ground, "cache", 6380, &["GET", "who"])? == "one");
        ensure!(ask(&ground, "second", 6379, &["GET", "who"])? == "two");
        let pipe = "x".repeat(1 << 20);
        ensure!(ask(&ground, "cache", 6380, &["SET", "long", &pipe[..100_000]])? == "OK");
        ensure!(ask(&ground, "cache", 6380, &["STRLEN", "long"])? == "100000");
        let sql = |text: &str| MariaDb::query(&ground.pod("client"), ground.vip("sql")?.into(), 3306, text);
        ensure!(sql("SELECT 6 * 7")?.ok()?.trim() == "42");
        let table = "CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2), (3); SELECT SUM(a) FROM t";
        ensure!(sql(table)?.ok()?.trim() == "6");

        // The access log has a line per connection, without anything of HTTP.
        let vip = format!("{}:6379", ground.vip("second")?);
        let line = ground.access(&vip)?;
        ensure!(line.status == 0 && line.flags == "-" && line.request == "- - -", "{line:?}");
        ensure!(line.cluster == "inbound-vip|6379|tcp|second.shop.svc.cluster.local", "{line:?}");
        ensure!(line.received > 0 && line.sent > 0, "{line:?}");
        until("TCP metrics", PATIENCE, || {
            let labels = [("reporter", "waypoint"), ("destination_service_name", "second")];
            let opened = ground.waypoint().metric("istio_tcp_connections_opened_total", &labels);
            opened.is_ok_and(|opened| opened >= 1.0)
        })?;

        // By weight, of a TCPRoute and of a VirtualService.
        let spec = "
            parentRefs: [{group: '', kind: Service, name: cache, port: 6379}]
            rules: [{backendRefs: [{name: cache, port: 6379, weight: 1}, {name: second, port: 6379, weight: 1}]}]
        ";
        ground.apply("route", &tcp_route("cache", spec))?;
        let some = twos(&ground, "cache", 6379, 40)?;
        ensure!((6..=34).contains(&some), "{some} of 40");
        ensure!(twos(&ground, "cache", 6380, 5)? == 0, "the other port");
        let spec = "
            tcp:
            - match: [{port: 6379}]
              route: [{destination: {host: second, port: {number: 6379}}}]
        ";
        ground.withdraw(&["route"])?;
        ground.apply("route", &virtual_service("cache", spec))?;
        ensure!(twos(&ground, "cache", 6379, 5)? == 5);
        // Nothing matches the other port: its connections go to the service itself.
        ensure!(twos(&ground, "cache", 6380, 5)? == 0);

        // Nobody behind it: the connection ends, and the log says why.
        ground.withdraw(&["route"])?;
        drop(database);
        let refused = sql("SELECT 1")?;
        ensure!(!refused.status.success(), "{refused:?}");
        let vip = format!("{}:3306", ground.vip("sql")?);
        let lines = ground.access_lines(&vip, 3)?;
        let last = lines.last().context("counted")?;
        ensure!(["UF", "UF,URX", "URX,UF", "URX"].contains(&last.flags.as_str()), "{last:?}");
        Ok(())
    })
}

/// An openssl server with a certificate of its pod's name.
fn tls_server(ground: &Ground, name: &str) -> Result<Process> {
    let pod = ground.pod(name);
    let subject = format!("/CN={name}");
    let file = |kind: &str| pod.folder().join(kind).display().to_string();
    let (key, cert) = (file("key.pem"), file("cert.pem"));
    pod.exec([
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        &subject,
        "-keyout",
        &key,
        "-out",
        &cert,
        "-days",
        "2",
    ])?
    .ok()?;
    let server = pod.spawn([
        "openssl", "s_server", "-accept", "8443", "-key", &key, "-cert", &cert, "-www", "-quiet",
    ])?;
    pod.wait_listens(8443, PATIENCE)?;
    Ok(server)
}

/// The subject of the certificate that a client was shown; nothing where the connection ended.
fn shown(ground: &Ground, service: &str, server_name: Option<&str>) -> Result<String> {
    let to = format!("{}:443", ground.vip(service)?);
    let mut line = vec!["openssl", "s_client", "-brief", "-connect", &to];
    match server_name {
        Some(name) => line.extend(["-servername", name]),
        None => line.push("-noservername"),
    }
    let output = ground.pod("client").exec(line)?;
    let text = format!("{}{}", output.text(), output.errors());
    let subject = text
        .lines()
        .find_map(|line| line.split_once("CN = ").or_else(|| line.split_once("CN=")));
    Ok(subject
        .map(|(_, name)| name.trim().to_owned())
        .unwrap_or_default())
}

#[test]
fn tls_is_routed_by_server_name_and_not_opened() -> Result<()> {
    let builder = Ground::bare("tls")
        .pod(pod("one", 0))
        .pod(pod("two", 1))
        .service(
            service("secure")
                .named_port("tls-web", 443, 8443)
                .backend("one"),
        )
        .service(service("found").named_port("any", 443, 8443).backend("one"))
        .service(
            service("second")
                .named_port("https-web", 443, 8443)
                .backend("two"),
        );
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let _servers = [tls_server(&ground, "one")?, tls_server(&ground, "two")?];
        for (service, expected) in [("secure", "one"), ("found", "one"), ("second", "two")] {
            for name in [Some("a.example"), None] {
                let subject = shown(&ground, service, name)?;
                ensure!(subject == expected, "{service} {name:?}: {subject:?}");
            }
        }
        let lines = ground.access_lines("a.example", 3)?;
        for line in &lines {
            ensure!(
                line.server_name == "a.example" && line.status == 0,
                "{line:?}"
            );
        }

        let spec = "
            parentRefs: [{group: '', kind: Service, name: secure}]
            hostnames: [b.example, '*.b.example']
            rules: [{backendRefs: [{name: second, port: 443}]}]
        ";
        ground.apply("route", &tls_route("secure", spec))?;
        let cases = [
            ("b.example", "two"),
            ("x.b.example", "two"),
            ("B.Example", "two"),
            ("a.example", ""),
        ];
        for (name, expected) in cases {
            let subject = shown(&ground, "secure", Some(name))?;
            ensure!(subject == expected, "{name}: {subject:?}");
        }
        ensure!(
            shown(&ground, "found", Some("b.example"))? == "one",
            "another service"
        );

        ground.withdraw(&["route"])?;
        let spec = "
            tls:
            - match: [{sniHosts: [c.example], port: 443}]
              route: [{destination: {host: second, port: {number: 443}}}]
            - match: [{sniHosts: ['*.example'], port: 443}]
              route: [{destination: {host: secure, port: {number: 443}}}]
        ";
        ground.apply("route", &virtual_service("secure", spec))?;
        for (name, expected) in [
            ("c.example", "two"),
            ("d.example", "one"),
            ("elsewhere", ""),
        ] {
            let subject = shown(&ground, "secure", Some(name))?;
            ensure!(subject == expected, "{name}: {subject:?}");
        }
        Ok(())
    })
}
