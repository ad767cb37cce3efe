//! What is led to a waypoint: services and workloads, by labels of Gateway, namespace, service and pod.

use anyhow::{Context as _, Result, ensure};
use lab::{PodSpec, ServiceSpec};
use serde_json::Value;
use suites::waypoint::{Ground, backend};

/// A Gateway for this traffic, which every namespace may use.
fn gateway(traffic: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: waypoint\n  namespace: shop\n  \
         labels: {{istio.io/waypoint-for: {traffic}}}\nspec:\n  gatewayClassName: ambit-waypoint\n  listeners:\n  \
         - {{name: mesh, port: 15008, protocol: HBONE, allowedRoutes: {{namespaces: {{from: All}}}}}}\n"
    )
}

/// A namespace that is led to the waypoint of another. Its file comes before the lab's own, which has it without labels.
const LANE: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: lane\n  labels:\n    istio.io/use-waypoint: waypoint\n    \
                    istio.io/use-waypoint-namespace: shop\n";

/// Asks for a path at an address, and answers whether a waypoint was on the way, of which the backend sees traces.
fn through(ground: &Ground, host: &str, port: u16) -> Result<bool> {
    let url = format!("http://{host}:{port}/");
    let output = ground
        .pod("client")
        .exec(["curl", "-sS", "-m", "15", &url])?;
    let seen: Value = serde_json::from_str(&output.ok()?).with_context(|| url.clone())?;
    let headers = seen["headers"].as_object().context("headers")?;
    let traces = ["x-request-id", "x-envoy-attempt-count", "x-forwarded-proto"];
    let found = traces
        .iter()
        .filter(|it| headers.contains_key(**it))
        .count();
    ensure!(found == 0 || found == traces.len(), "{seen:#}");
    // Whoever was between: the client's own address arrives without one, the waypoint's with one.
    let client = seen["client"].as_str().unwrap_or_default();
    let of = |pod: &str| {
        let pod = ground.pod(pod);
        let (four, six) = (format!("{}]:", pod.ip4()), format!("[{}]:", pod.ip6()));
        client.contains(&four) || client.contains(&six)
    };
    let (direct, led) = (of("client"), of("waypoint"));
    ensure!((direct, led) == (found == 0, found != 0), "{seen:#}");
    Ok(found != 0)
}

#[test]
fn labels_say_what_is_led_to_a_waypoint() -> Result<()> {
    let web = |name: &str, namespace: &str, pod: &str| {
        let spec = ServiceSpec::new(name).namespace(namespace);
        spec.named_port("http-web", 80, 8080).backend(pod)
    };
    let label = "istio.io/use-waypoint";
    let builder = Ground::builder("targets")
        .echo(backend("labelled", 1, "v3").label(label, "waypoint"))
        .echo(PodSpec::new("walker").node(1).namespace("lane"))
        .echo(
            PodSpec::new("loner")
                .node(1)
                .namespace("lane")
                .label(label, "none"),
        )
        .service(web("bare", "shop", "v1a"))
        .service(web("walk", "lane", "walker"))
        .service(web("alone", "lane", "loner").label(label, "none"))
        .manifest("a-lane", LANE);
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let vip = |service: &str| Ok::<_, anyhow::Error>(ground.vip(service)?.to_string());
        let ip = |pod: &str| ground.pod(pod).ip4().to_string();
        // Services and workloads.
        let cases = [
            ("service", true, false),
            ("workload", false, true),
            ("all", true, true),
            ("none", false, false),
            ("service", true, false),
        ];
        for (traffic, services, workloads) in cases {
            ground.apply("gateway", &gateway(traffic))?;
            let told = |what: &str, found: Result<bool>, expected: bool| -> Result<()> {
                let found = found.with_context(|| format!("{traffic}: {what}"))?;
                ensure!(
                    found == expected,
                    "{traffic}: {what}: led to the waypoint: {found}"
                );
                Ok(())
            };
            told(
                "a service's own label",
                through(&ground, &vip("web")?, 80),
                services,
            )?;
            told(
                "a service of the namespace",
                through(&ground, &vip("lane/walk")?, 80),
                services,
            )?;
            told(
                "a pod's own label",
                through(&ground, &ip("labelled"), 8080),
                workloads,
            )?;
            told(
                "a pod of the namespace",
                through(&ground, &ip("walker"), 8080),
                workloads,
            )?;
            // Whoever has no label, or one that says none.
            told("no label", through(&ground, &vip("bare")?, 80), false)?;
            told(
                "a pod behind a service with one",
                through(&ground, &ip("v1a"), 8080),
                false,
            )?;
            told(
                "a service that wants none",
                through(&ground, &vip("lane/alone")?, 80),
                false,
            )?;
            told(
                "a pod that wants none",
                through(&ground, &ip("loner"), 8080),
                false,
            )?;
        }
        ground.apply("gateway", &gateway("all"))?;
        // By its own address nothing is routed, and the log says whose it was.
        ensure!(through(&ground, &ip("labelled"), 8080)?);
        let line = ground.access_lines(&format!("{}:8080", ip("labelled")), 1)?;
        let line = line.last().context("counted")?;
        ensure!(
            line.cluster == "encap" && line.flags == "-" && line.status == 200,
            "{line:?}"
        );
        ensure!(line.local == format!("{}:8080", ip("labelled")), "{line:?}");
        // IPv6 leads to the same.
        let six = format!(
            "[{}]",
            ground.lab.mesh().vip("shop", "web").context("web")?.ip6
        );
        ensure!(through(&ground, &six, 80)?);
        let six = format!("[{}]", ground.pod("labelled").ip6());
        ensure!(through(&ground, &six, 8080)?);
        // Other protocols, and ports that nothing is said of.
        let nobody = format!("{}:9", ip("labelled"));
        let client = ground.pod("client");
        let telnet = format!("telnet://{nobody}");
        let telnet = client
            .command(["curl", "-sS", "-m", "10", &telnet])
            .stdin("x");
        ensure!(
            !telnet.output()?.status.success(),
            "nobody listens on port 9"
        );
        let line = ground.access(&format!("{nobody} "))?;
        ensure!(line.flags.contains("UF") && line.status == 0, "{line:?}");

        // Led from one service to another before which it stands, too: it does not come back to itself.
        let rules = "http: [{route: [{destination: {host: web-v2}}]}]";
        ground.apply("web", &suites::waypoint::virtual_service("web", rules))?;
        let answer = ground.get("/once?of=all").send()?;
        ensure!(
            answer.status == 200 && answer.pod().starts_with("v2"),
            "{answer:?}"
        );
        ensure!(
            ground.access("/once?of=all")?.cluster
                == "inbound-vip|80|http|web-v2.shop.svc.cluster.local"
        );
        Ok(())
    })
}
