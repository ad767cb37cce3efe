//! New versions brought out: by weight, by header, all at once; and what is said where there is none.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use suites::traffic::steady::Steady;
use suites::waypoint::{ANY, Ground, HTTP, destination_rule, virtual_service};

const SUBSETS: &str = "
    subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
    - {name: v3, labels: {version: v3}}
";

#[test]
fn a_canary_gets_its_share_and_whoever_asks_for_it() -> Result<()> {
    let Some(ground) = Ground::builder("canary").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        // Without a rule: everybody answers.
        let all = ground.get("/").count(60)?;
        ensure!(all.kinds() == 4, "{all:?}");

        ground.apply("subsets", &destination_rule("web", SUBSETS))?;
        let rules = "
            http:
            - name: tester
              match: [{headers: {x-canary: {exact: 'yes'}}}]
              route: [{destination: {host: web, subset: v2}}]
            - name: split
              route:
              - {destination: {host: web, subset: v1}, weight: 90}
              - {destination: {host: web, subset: v2}, weight: 10}
        ";
        ground.apply("web", &virtual_service("web", rules))?;
        // 50 of 500 are expected; farther off than this is one run in 100,000.
        let split = ground.get("/").count(500)?;
        ensure!((20..=85).contains(&split.of("v2")), "{split:?}");
        ensure!(split.of("v1") + split.of("v2") == 500, "{split:?}");
        for header in ["x-canary: yes", "X-Canary: yes"] {
            let asked = ground.get("/").header(header).count(40)?;
            ensure!(asked.of("v2") == 40 && asked.kinds() == 2, "{asked:?}");
        }
        let other = ground.get("/").header("x-canary: yes!").count(100)?;
        ensure!(other.of("v1") > 60, "{other:?}");

        // On the port without a declared protocol the same holds, and on HTTP/2.
        let any = ground.get("/").to("web", ANY).header("x-canary: yes");
        ensure!(any.count(20)?.of("v2") == 20);
        ensure!(any.http2().count(20)?.of("v2") == 20);

        // What the log says of both.
        ground
            .get("/log?who=tester")
            .header("x-canary: yes")
            .send()?;
        let line = ground.access("who=tester")?;
        ensure!(line.status == 200 && line.flags == "-", "{line:?}");
        ensure!(
            line.details == "via_upstream" && line.route == "tester",
            "{line:?}"
        );
        let cluster = format!("inbound-vip|{HTTP}|http/v2|web.shop.svc.cluster.local");
        ensure!(line.cluster == cluster, "{line:?}");
        ensure!(line.authority == "web.shop.svc.cluster.local", "{line:?}");
        ensure!(line.request == "GET /log?who=tester HTTP/1.1", "{line:?}");
        let client = ground.pod("client").ip4().to_string();
        ensure!(line.remote.starts_with(&format!("{client}:")), "{line:?}");
        ensure!(
            line.local == format!("{}:{HTTP}", ground.vip("web")?),
            "{line:?}"
        );
        let backends = ["v2a", "v2b"].map(|pod| format!("{}:8080", ground.pod(pod).ip4()));
        ensure!(
            backends.iter().any(|it| line.upstream_host.contains(it)),
            "{line:?}"
        );
        Ok(())
    })
}

#[test]
fn blue_becomes_green_without_a_failed_request() -> Result<()> {
    let Some(ground) = Ground::builder("green").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let to = |subset: &str| {
            let rules =
                format!("http: [{{route: [{{destination: {{host: web, subset: {subset}}}}}]}}]");
            ground.apply("web", &virtual_service("web", &rules))
        };
        ground.apply("subsets", &destination_rule("web", SUBSETS))?;
        to("v1")?;
        let target = SocketAddr::new(ground.vip("web")?.into(), HTTP);
        let steady = Steady::start(&ground.pod("client"), [target])?;
        for subset in ["v2", "v1", "v2"] {
            steady.wait_for(20)?;
            to(subset)?;
            let now = ground.get("/").count(20)?;
            ensure!(
                now.of(subset) == 20,
                "after {subset} was published: {now:?}"
            );
        }
        steady.wait_for(20)?;
        let failures = steady.end()?;
        ensure!(failures.is_empty(), "{failures:#?}");
        Ok(())
    })
}

#[test]
fn what_is_not_there_is_answered_as_istio_answers_it() -> Result<()> {
    let Some(ground) = Ground::builder("absent").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("subsets", &destination_rule("web", SUBSETS))?;
        let rules = "
            http:
            - match: [{uri: {prefix: /unknown}}]
              route: [{destination: {host: web, subset: v9}}]
            - match: [{uri: {prefix: /empty}}]
              route: [{destination: {host: web, subset: v3}}]
            - match: [{uri: {prefix: /nowhere}}]
              route: [{destination: {host: nowhere.shop.svc.cluster.local}}]
            - match: [{uri: {prefix: /half}}]
              route:
              - {destination: {host: web, subset: v1}, weight: 50}
              - {destination: {host: web, subset: v9}, weight: 50}
            - match: [{uri: {prefix: /none}}]
              route:
              - {destination: {host: web, subset: v1}, weight: 100}
              - {destination: {host: web, subset: v2}, weight: 0}
            - match: [{uri: {prefix: /there}}]
              route: [{destination: {host: web}}]
        ";
        // The controller warns of what does not exist; that is not what is asked here.
        ground.try_apply("web", &virtual_service("web", rules))?;
        let expected = [
            ("/unknown", 503, "NC", "cluster_not_found", ""),
            (
                "/empty",
                503,
                "UH",
                "no_healthy_upstream",
                "no healthy upstream",
            ),
            ("/nowhere", 503, "NC", "cluster_not_found", ""),
            ("/thereabouts?", 200, "-", "via_upstream", "v"),
            ("/elsewhere", 404, "NR", "route_not_found", ""),
        ];
        for (path, status, flags, details, body) in expected {
            let answer = ground.get(&format!("{path}?of={status}")).send()?;
            let line = ground.access(&format!("{path}?of="))?;
            ensure!(
                answer.status == status && line.status == status,
                "{path}: {answer:?}"
            );
            ensure!(
                line.flags == flags && line.details == details,
                "{path}: {line:?}"
            );
            ensure!(status == 200 || answer.text() == body, "{path}: {answer:?}");
            ensure!(
                (status == 200) != answer.pod().is_empty(),
                "{path}: {answer:?}"
            );
        }
        let half = ground.get("/half").count(100)?;
        ensure!(
            (20..=80).contains(&half.of("503")) && half.of("v1") + half.of("503") == 100,
            "{half:?}"
        );
        let none = ground.get("/none").count(60)?;
        ensure!(none.of("v1") == 60, "weight 0 is nothing: {none:?}");

        // A gRPC client is told by its own status, not by HTTP's.
        let kind = "content-type: application/grpc";
        for (path, grpc) in [("/empty", "14"), ("/elsewhere", "12")] {
            let answer = ground
                .get(path)
                .http2()
                .header(kind)
                .header("te: trailers")
                .body("")
                .send()?;
            ensure!(answer.status == 200, "{answer:?}");
            ensure!(
                answer.header("grpc-status").as_deref() == Some(grpc),
                "{answer:?}"
            );
        }

        // Without rules the service answers again.
        ground.withdraw(&["web", "subsets"])?;
        ensure!(ground.get("/unknown").send()?.status == 200);
        Ok(())
    })
}
