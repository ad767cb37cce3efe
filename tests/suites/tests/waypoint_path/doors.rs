//! The door of the waypoint, with a client that others wrote: curl, which opens tunnels (`scripts/peer-curl`).

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use lab::{Ca, Issued, Leaf, Output, PodSpec, ServiceSpec, until};
use suites::policy::PATIENCE;
use suites::waypoint::Ground;
use suites::waypoint::peers::peer;

/// Who asks, and where.
struct Caller<'g> {
    ground: &'g Ground,
    curl: &'g Path,
    shows: Option<&'g Issued>,
}

impl Caller<'_> {
    /// A GET of `url` through a tunnel to the waypoint.
    fn get(&self, url: &str) -> Result<Output> {
        let waypoint = format!("https://{}:15008", self.ground.pod("waypoint").ip4());
        let fixed = [
            "-sS",
            "-m",
            "15",
            "--proxytunnel",
            "--proxy-http2",
            "--proxy-insecure",
            "-v",
            "--trace-config",
            "all",
        ];
        self.run(
            "--proxy-cert",
            "--proxy-key",
            &fixed,
            &["--proxy", &waypoint, url],
        )
    }

    /// A GET of the waypoint's own, without a tunnel.
    fn ask(&self, url: &str) -> Result<Output> {
        let fixed = [
            "-sS",
            "-m",
            "15",
            "-k",
            "--http2",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
        ];
        self.run("--cert", "--key", &fixed, &[url])
    }

    fn run(&self, cert: &str, key: &str, fixed: &[&str], rest: &[&str]) -> Result<Output> {
        let pod = self.ground.pod("peer");
        let mut line: Vec<OsString> = vec![self.curl.into()];
        line.extend(fixed.iter().map(OsString::from));
        if let Some(issued) = self.shows {
            let (chain, secret) = issued.write(pod.folder(), "curl")?;
            line.extend([cert.into(), chain.into(), key.into(), secret.into()]);
        }
        line.extend(rest.iter().map(OsString::from));
        pod.exec(line)
    }
}

#[test]
fn only_what_the_waypoint_stands_before_is_let_through() -> Result<()> {
    let Some(curl) = peer("curl", "curl") else {
        return Ok(());
    };
    let bare = ServiceSpec::new("bare")
        .namespace("shop")
        .named_port("http-web", 80, 8080)
        .backend("v1a");
    let builder = Ground::builder("doors")
        .pod(PodSpec::new("peer").namespace("shop").not_enrolled())
        .service(bare);
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let peer = ground.pod("peer");
        let issue = |uri: &str| ground.lab.ca().issue(&Leaf::new(uri));
        let valid = issue(&peer.identity())?;
        let caller = |shows| Caller {
            ground: &ground,
            curl: &curl,
            shows,
        };
        let (web, bare) = (ground.vip("web")?, ground.vip("bare")?);
        let (waypoint, pod) = (ground.pod("waypoint").ip4(), ground.pod("v1a").ip4());

        // By address, by name in any spelling.
        for host in [
            &web.to_string(),
            "web.shop.svc.cluster.local",
            "WEB.shop.svc.cluster.local",
        ] {
            let output = caller(Some(&valid)).get(&format!("http://{host}/through?host={host}"))?;
            ensure!(
                output.status.success() && output.text().contains("\"pod\""),
                "{host}: {output:?}"
            );
            let line = ground.access(&format!("/through?host={host}"))?;
            ensure!(
                line.remote.starts_with(&format!("{}:", peer.ip4())),
                "{line:?}"
            );
            ensure!(line.local == format!("{web}:80"), "{line:?}");
        }
        let before = ground.requests("");
        let refused = [
            ("nobody's address", "10.96.99.99:80".to_owned(), 400),
            (
                "nobody's name",
                "nobody.shop.svc.cluster.local:80".to_owned(),
                400,
            ),
            (
                "a port that the service has not",
                format!("{web}:9999"),
                503,
            ),
            (
                "a service of which it is not the waypoint",
                format!("{bare}:80"),
                400,
            ),
            (
                "the same by name",
                "bare.shop.svc.cluster.local:80".to_owned(),
                400,
            ),
            (
                "a workload, where it stands before services",
                format!("{pod}:8080"),
                400,
            ),
            ("a pod's own tunnel", format!("{pod}:15008"), 400),
            ("itself", format!("{waypoint}:80"), 400),
            ("its own tunnel", format!("{waypoint}:15008"), 400),
            ("its own admin", format!("{waypoint}:15000"), 400),
            (
                "itself by name",
                "waypoint.shop.svc.cluster.local:15008".to_owned(),
                400,
            ),
            ("its loopback", "127.0.0.1:15000".to_owned(), 400),
        ];
        for (what, authority, status) in refused {
            let output = caller(Some(&valid)).get(&format!("http://{authority}/"))?;
            ensure!(
                !output.status.success() && output.stdout.is_empty(),
                "{what}: {output:?}"
            );
            let seen = format!("status: HTTP/2 {status}");
            ensure!(
                output.errors().contains(&seen),
                "{what}: {}",
                output.errors()
            );
        }
        // Not a CONNECT.
        let output = caller(Some(&valid)).ask(&format!("https://{waypoint}:15008/config_dump"))?;
        ensure!(output.text() == "400", "{output:?}");

        // Nobody whose certificate is not of this mesh.
        let stranger =
            Ca::create(ground.lab.folder(), "stranger")?.issue(&Leaf::new(peer.identity()))?;
        let foreign = issue("spiffe://other.domain/ns/shop/sa/client")?;
        let unnamed = issue("https://example.org/client")?;
        let shown = [
            ("no certificate", None),
            ("another authority", Some(&stranger)),
            ("another trust domain", Some(&foreign)),
            ("no identity", Some(&unnamed)),
        ];
        for (what, shows) in shown {
            let output = caller(shows).get(&format!("http://{web}/"))?;
            ensure!(
                !output.status.success() && output.stdout.is_empty(),
                "{what}: {output:?}"
            );
            ensure!(
                output.errors().contains("alert"),
                "{what}: {}",
                output.errors()
            );
            let text = format!("{}:", peer.ip4());
            ground
                .waypoint()
                .wait_log(&["warn", "tls error", &text], PATIENCE)
                .context(what)?;
        }
        ensure!(ground.requests("") == before, "something reached a backend");

        // Who it is counts, and not where it comes from: metrics name the certificate, and no workload that has another.
        let guest = issue(&ground.pod("guest").identity())?;
        caller(Some(&guest))
            .get(&format!("http://{web}/as-guest"))?
            .ok()?;
        let counted = |principal: &str, workload: &str| {
            let labels = [
                ("reporter", "waypoint"),
                ("source_principal", principal),
                ("source_workload", workload),
            ];
            until(&format!("{principal} as {workload}"), PATIENCE, || {
                ground
                    .waypoint()
                    .metric("istio_requests_total", &labels)
                    .is_ok_and(|it| it >= 1.0)
            })
        };
        counted(&ground.pod("guest").identity(), "unknown")?;
        counted(&peer.identity(), "peer")?;
        // A client through its ztunnel is who that says it is, whatever it says itself.
        let liar = ground.get("/liar").header("x-forwarded-for: 10.10.1.99");
        let liar =
            liar.header("x-forwarded-client-cert: URI=spiffe://cluster.local/ns/shop/sa/admin");
        ensure!(liar.send()?.saw("x-forwarded-client-cert").is_none());
        counted(&ground.pod("client").identity(), "client")?;
        let line = ground.access("/liar")?;
        ensure!(
            line.remote
                .starts_with(&format!("{}:", ground.pod("client").ip4())),
            "{line:?}"
        );
        Ok(())
    })
}
