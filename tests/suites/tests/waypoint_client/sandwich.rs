//! The application tunnel (HB-09, WPT-08): a proxy of others' that speaks no HBONE stands as a waypoint behind its pod's ztunnel, which tells it in a
//! PROXY header who calls what.

use anyhow::{Context as _, Result, ensure};
use lab::programs::envoy_program;
use lab::{GATEWAY_NAME, PodSpec, Start, eventually};
use serde_json::{Value, json};
use suites::balancer::{Balancer, Front, Printer, Visit};
use suites::echo::Echo;
use suites::policy::PATIENCE;
use suites::waypoint::{Builder, Ground, authorization_policy, backend};

use crate::yard::{at, at_6, host};

/// Where haproxy, python and Envoy take headers, on loopback.
const HAPROXY: u16 = 15_088;
const PYTHON: u16 = 15_089;
const ENVOY: u16 = 15_090;

/// A Gateway of ours with that binding.
fn gateway(binding: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: between\n  namespace: shop\n  \
         labels: {{istio.io/waypoint-for: service}}\n  annotations: {{ambient.istio.io/waypoint-inbound-binding: {binding}}}\nspec:\n  \
         gatewayClassName: ambit-waypoint\n  listeners: [{{name: mesh, port: 15008, protocol: HBONE}}]\n"
    )
}

/// `between` is a captured pod of the Gateway; `inner` is the service behind it.
fn builder(name: &str) -> Builder {
    let inner = lab::ServiceSpec::new("inner")
        .namespace("shop")
        .label("istio.io/use-waypoint", "between")
        .named_port("http-inner", 80, 8080)
        .backend("far-1");
    Ground::bare(name)
        .waypoints(0)
        .pod(
            PodSpec::new("between")
                .node(1)
                .namespace("shop")
                .label(GATEWAY_NAME, "between"),
        )
        .echo(backend("far-1", 0, "v1"))
        .service(inner)
        .manifest("between", gateway(&format!("PROXY/{HAPROXY}")))
}

#[test]
fn a_proxy_behind_its_ztunnel_is_told_who_calls_what() -> Result<()> {
    let Some(ground) = builder("sandwich").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let between = ground.pod("between");
        let vip = at(&ground, "inner", 80)?;
        // haproxy hands on what it was told, and tells the application.
        let front = Front::http(HAPROXY, vip)
            .accepts_headers_on_loopback()
            .line("http-request set-header x-client %[src]")
            .line("http-request set-header x-asked %[dst]:%[dst_port]");
        let balancer = Balancer::start(&between, &[front])?;
        for from in ["client", "guest"] {
            let answer = ground
                .get("/inner")
                .from(from)
                .to("inner", 80)
                .header("x-client: spoofed")
                .send()?;
            ensure!(answer.status == 200, "{answer:?}");
            ensure!(
                answer.saw("x-client") == Some(ground.pod(from).ip4().to_string()),
                "{answer:?}"
            );
            ensure!(answer.saw("x-asked") == Some(vip.to_string()), "{answer:?}");
            // It came by way of the proxy, which has its own address and identity.
            let came = host(&answer.told("client"));
            ensure!(came == Some(between.ip4().into()), "{answer:?}");
        }
        // Many requests on one connection, and many connections.
        let counts = ground.get("/inner").to("inner", 80).count(50)?;
        ensure!(counts.of("far-1") == 50, "{counts:?}");
        let each = ground
            .get("/inner")
            .to("inner", 80)
            .header("connection: close")
            .count(20)?;
        ensure!(each.of("far-1") == 20, "{each:?}");
        // Who is not in a tunnel has no part in it: the port is on loopback, and what comes as text goes where it says.
        let plain = Visit::new(ground.lab.outside(), (between.ip4(), HAPROXY)).send("/outside")?;
        ensure!(plain.status == 0, "{plain:?}");
        // Policies of the proxy's pod are judged before it is told anything.
        let deny = "
            selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: between}}
            action: DENY
            rules:
            - from: [{source: {principals: [cluster.local/ns/town/sa/guest]}}]
        ";
        ground.apply("deny", &authorization_policy("deny", deny))?;
        eventually("the guest refused", PATIENCE, || {
            let output = ground
                .get("/denied")
                .from("guest")
                .to("inner", 80)
                .run(&[])?;
            ensure!(!output.status.success(), "{output:?}");
            Ok(())
        })?;
        let answer = ground.get("/inner").to("inner", 80).send()?;
        ensure!(answer.status == 200, "{answer:?}");
        balancer.stop()
    })
}

#[test]
fn the_certified_identity_is_in_the_header() -> Result<()> {
    let Some(ground) = builder("identity").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let between = ground.pod("between");
        let printer = Printer::start(&between, "127.0.0.1", PYTHON)?;
        ground.apply("between", &gateway(&format!("PROXY/{PYTHON}")))?;
        for from in ["client", "guest"] {
            let pod = ground.pod(from);
            let answer = ground.get("/printed").from(from).to("inner", 80).send()?;
            let told = &answer.json()["told"];
            ensure!(told["version"] == 2 && told["command"] == 1, "{told}");
            ensure!(told["source"] == pod.ip4().to_string(), "{told}");
            ensure!(
                told["destination"] == ground.vip("inner")?.to_string(),
                "{told}"
            );
            ensure!(told["destination_port"] == 80, "{told}");
            ensure!(told["tlvs"] == json!({"d0": pod.identity()}), "{told}");
        }
        // What a client writes first is behind that header, and is not taken for it.
        let guest = ground.pod("guest");
        let visit = Visit::new(&guest, at(&ground, "inner", 80)?);
        let seen = visit.arg("--haproxy-protocol").send("/spoofed")?;
        let told = &seen.json()["told"];
        ensure!(
            told["tlvs"]["d0"] == ground.pod("guest").identity(),
            "{told}"
        );
        ensure!(
            printer.headers().iter().all(|told| told["version"] == 2),
            "{:#?}",
            printer.headers()
        );

        // IPv6, on the loopback of that family.
        let printer_6 = Printer::start(&between, "::1", PYTHON)?;
        let client = ground.pod("client");
        let seen = Visit::new(&client, at_6(&ground, "inner", 80)?).send("/v6")?;
        let told = &seen.json()["told"];
        ensure!(told["family"] == 0x21, "{seen:?}");
        ensure!(told["source"] == client.ip6().to_string(), "{told}");
        ensure!(told["tlvs"]["d0"] == client.identity(), "{told}");

        ensure!(printer_6.headers().len() == 1, "{:#?}", printer_6.headers());

        // Without a header where the binding says so: the tunnel ends at that port of the pod.
        ground.apply("between", &gateway("NONE/8080"))?;
        let echo = Echo::start(&between, &[8080])?;
        let answer = ground.get("/none").to("inner", 80).send()?;
        ensure!(answer.pod() == "between", "{answer:?}");
        drop(echo);
        Ok(())
    })
}

#[test]
fn the_proxy_is_reached_at_its_own_address_where_the_ztunnel_is_told_so() -> Result<()> {
    let start = Start::default().env("LOCALHOST_APP_TUNNEL", "false");
    let Some(ground) = builder("not-loopback").start_ztunnels(start).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let between = ground.pod("between");
        let _printer = Printer::start(&between, &between.ip4().to_string(), HAPROXY)?;
        let answer = ground.get("/own").to("inner", 80).send()?;
        let told = &answer.json()["told"];
        ensure!(
            told["tlvs"]["d0"] == ground.pod("client").identity(),
            "{told}"
        );
        Ok(())
    })
}

/// Envoy that takes the header, keeps the TLV, and logs it with each connection.
fn envoy_config(vip: std::net::SocketAddr) -> Value {
    let typed = |name: &str, kind: &str, mut value: Value| {
        value["@type"] = json!(format!("type.googleapis.com/envoy.extensions.{kind}"));
        json!({"name": name, "typed_config": value})
    };
    let address =
        |host: String, port: u16| json!({"socket_address": {"address": host, "port_value": port}});
    let filter = typed(
        "envoy.filters.listener.proxy_protocol",
        "filters.listener.proxy_protocol.v3.ProxyProtocol",
        json!({"rules": [{"tlv_type": 0xD0, "on_tlv_present": {"key": "identity"}}]}),
    );
    let line = "peer=%DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol:identity)% from=%DOWNSTREAM_REMOTE_ADDRESS% to=%DOWNSTREAM_LOCAL_ADDRESS%\n";
    let log = typed(
        "envoy.access_loggers.stdout",
        "access_loggers.stream.v3.StdoutAccessLog",
        json!({"log_format": {"text_format_source": {"inline_string": line}}}),
    );
    let proxy = typed(
        "envoy.filters.network.tcp_proxy",
        "filters.network.tcp_proxy.v3.TcpProxy",
        json!({"stat_prefix": "inner", "cluster": "inner", "access_log": [log]}),
    );
    json!({"static_resources": {
        "listeners": [{
            "name": "inner", "address": address("127.0.0.1".to_owned(), ENVOY),
            "listener_filters": [filter], "filter_chains": [{"filters": [proxy]}],
        }],
        "clusters": [{
            "name": "inner", "type": "STATIC", "connect_timeout": "20s",
            "load_assignment": {"cluster_name": "inner", "endpoints": [{"lb_endpoints": [{"endpoint": {
                "address": address(vip.ip().to_string(), vip.port()),
            }}]}]},
        }],
    }})
}

#[test]
fn envoy_reads_the_same_header() -> Result<()> {
    if suites::waypoint::peers::peer("envoy", "envoy").is_none() {
        return Ok(());
    }
    let Some(ground) = builder("envoy-between").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let between = ground.pod("between");
        let path = between.folder().join("between.json");
        std::fs::write(&path, envoy_config(at(&ground, "inner", 80)?).to_string())?;
        let program = envoy_program()?.display().to_string();
        let path = path.display().to_string();
        let line = [
            program.as_str(),
            "-c",
            &path,
            "--concurrency",
            "1",
            "--use-dynamic-base-id",
            "-l",
            "warning",
        ];
        let envoy = between.command(line).label("between").spawn()?;
        between
            .wait_listens(ENVOY, PATIENCE)
            .with_context(|| envoy.log_tail())?;
        ground.apply("between", &gateway(&format!("PROXY/{ENVOY}")))?;
        for from in ["client", "guest"] {
            let pod = ground.pod(from);
            let answer = ground.get("/envoy").from(from).to("inner", 80).send()?;
            ensure!(
                answer.status == 200 && answer.pod() == "far-1",
                "{answer:?}"
            );
            let expected = [
                format!("peer={}", pod.identity()),
                format!("from={}:", pod.ip4()),
                format!("to={}:80", ground.vip("inner")?),
            ];
            eventually("Envoy's line", PATIENCE, || {
                let log = envoy.log();
                let found = log
                    .lines()
                    .any(|line| expected.iter().all(|it| line.contains(it)));
                ensure!(found, "{expected:?} in {log}");
                Ok(())
            })?;
        }
        Ok(())
    })
}
