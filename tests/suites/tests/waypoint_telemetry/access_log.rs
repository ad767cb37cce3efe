//! Access logs: Istio's line field for field, as text and as JSON, in formats of one's own, and none where none is wanted.

use anyhow::{Context as _, Result, ensure};
use lab::eventually;
use serde_json::{Value, json};
use suites::policy::PATIENCE;
use suites::waypoint::{Ground, HTTP, TCP, virtual_service};

/// Fields of Istio's JSON, in their order. Source: LG-03.
const FIELDS: [&str; 24] = [
    "start_time",
    "route_name",
    "method",
    "path",
    "protocol",
    "response_code",
    "response_flags",
    "response_code_details",
    "connection_termination_details",
    "bytes_received",
    "bytes_sent",
    "duration",
    "upstream_service_time",
    "x_forwarded_for",
    "user_agent",
    "request_id",
    "authority",
    "upstream_host",
    "upstream_cluster",
    "upstream_local_address",
    "downstream_local_address",
    "downstream_remote_address",
    "requested_server_name",
    "upstream_transport_failure_reason",
];

/// Whether this is `2026-01-31T12:34:56.123Z`.
fn is_time(text: &str) -> bool {
    let pattern = "0000-00-00T00:00:00.000Z";
    text.len() == pattern.len()
        && text
            .chars()
            .zip(pattern.chars())
            .all(|(found, wanted)| match wanted {
                '0' => found.is_ascii_digit(),
                other => found == other,
            })
}

const RULES: &str = "
    http:
    - name: moved
      match: [{uri: {prefix: /old}}]
      rewrite: {uri: /new}
      route: [{destination: {host: web}}]
    - name: rest
      route: [{destination: {host: web}}]
";

#[test]
fn a_line_of_text_has_istio_s_fields() -> Result<()> {
    let Some(ground) = Ground::builder("text").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("web", &virtual_service("web", RULES))?;
        let request = ground
            .get("/old/place?c=d")
            .header("x-forwarded-for: 203.0.113.9")
            .header("user-agent: shop/1.0");
        let answer = request.body("x".repeat(1234)).send()?;
        let line = ground.access("/old/place?c=d")?;
        ensure!(is_time(&line.start), "{line:?}");
        // The path that was asked for, not the one that was rewritten.
        ensure!(line.request == "POST /old/place?c=d HTTP/1.1", "{line:?}");
        ensure!(
            line.status == 200 && line.flags == "-" && line.details == "via_upstream",
            "{line:?}"
        );
        ensure!(
            line.termination == "-" && line.transport_failure == "-",
            "{line:?}"
        );
        ensure!(line.received == 1234, "{line:?}");
        ensure!(usize::try_from(line.sent)? == answer.body.len(), "{line:?}");
        ensure!(
            line.duration.parse::<u64>().is_ok() && line.upstream_time.parse::<u64>().is_ok(),
            "{line:?}"
        );
        ensure!(
            answer.header("x-envoy-upstream-service-time") == Some(line.upstream_time.clone()),
            "{answer:?}"
        );
        ensure!(
            Some(&line.forwarded_for) == answer.saw("x-forwarded-for").as_ref(),
            "{line:?}"
        );
        ensure!(line.forwarded_for.starts_with("203.0.113.9"), "{line:?}");
        ensure!(line.user_agent == "shop/1.0", "{line:?}");
        ensure!(
            Some(&line.request_id) == answer.saw("x-request-id").as_ref(),
            "{line:?}"
        );
        ensure!(line.authority == "web.shop.svc.cluster.local", "{line:?}");
        ensure!(
            line.upstream_host == format!("{}:8080", ground.pod(&answer.pod()).ip4()),
            "{line:?}"
        );
        ensure!(
            line.cluster == "inbound-vip|80|http|web.shop.svc.cluster.local",
            "{line:?}"
        );
        ensure!(
            line.local == format!("{}:{HTTP}", ground.vip("web")?),
            "{line:?}"
        );
        let client = ground.pod("client").ip4().to_string();
        let port = line.remote.strip_prefix(&format!("{client}:"));
        ensure!(
            port.is_some_and(|port| port.parse::<u16>().is_ok()),
            "{line:?}"
        );
        ensure!(line.server_name == "-" && line.route == "moved", "{line:?}");

        // HTTP/2 is called so, and a request is one line however it ends.
        ground.get("/second").http2().send()?;
        ensure!(ground.access("/second")?.request == "GET /second HTTP/2");
        let refused = ground.get("/bad").header("host: a").header("host: b");
        drop(refused.run(&[])?);
        // Connections that are no HTTP have no method.
        ground.get("/tcp").to("web", TCP).send()?;
        let line = ground.access(&format!("{}:{TCP}", ground.vip("web")?))?;
        ensure!(
            line.request == "- - -" && line.status == 0 && line.request_id == "-",
            "{line:?}"
        );
        ensure!(
            line.cluster == "inbound-vip|84|tcp|web.shop.svc.cluster.local",
            "{line:?}"
        );
        ensure!(
            line.received > 0 && line.sent > 0 && line.flags == "-",
            "{line:?}"
        );
        Ok(())
    })
}

/// The lines of JSON that contain this.
fn objects(ground: &Ground, text: &str) -> Result<Vec<(String, Value)>> {
    eventually(&format!("a line with {text}"), PATIENCE, || {
        let lines = ground.waypoint().log_lines(&[text]);
        ensure!(!lines.is_empty(), "{}", ground.waypoint().log_tail());
        let parse = |line: String| {
            Ok((
                line.clone(),
                serde_json::from_str(&line).with_context(|| line)?,
            ))
        };
        lines.into_iter().map(parse).collect()
    })
}

#[test]
fn a_line_of_json_has_istio_s_fields_with_their_types() -> Result<()> {
    let Some(ground) = Ground::builder("json")
        .mesh_config("accessLogEncoding: JSON")
        .build()?
    else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("web", &virtual_service("web", RULES))?;
        let answer = ground.get("/whole?\\[").header("user-agent: a\\\"b\tc").send()?;
        let all = objects(&ground, "/whole?")?;
        ensure!(all.len() == 1, "{all:?}");
        let (line, object) = all.first().context("counted")?;
        let keys: Vec<&str> = line.match_indices("\":").filter_map(|(end, _)| {
            let head = line.get(..end)?;
            let key = head.get(head.rfind('"')? + 1..)?;
            FIELDS.contains(&key).then_some(key)
        }).collect();
        ensure!(keys == FIELDS, "{keys:?}");
        ensure!(object.as_object().is_some_and(|it| it.len() == FIELDS.len()), "{object:#}");
        let expected = [
            ("route_name", json!("rest")),
            ("method", json!("GET")),
            ("path", json!("/whole?\\[")),
            ("protocol", json!("HTTP/1.1")),
            ("response_code", json!(200)),
            ("response_flags", json!("-")),
            ("response_code_details", json!("via_upstream")),
            ("connection_termination_details", Value::Null),
            ("bytes_received", json!(0)),
            ("bytes_sent", json!(answer.body.len())),
            ("x_forwarded_for", Value::Null),
            ("user_agent", json!("a\\\"b\tc")),
            ("request_id", json!(answer.saw("x-request-id"))),
            ("authority", json!("web.shop.svc.cluster.local")),
            ("upstream_host", json!(format!("{}:8080", ground.pod(&answer.pod()).ip4()))),
            ("upstream_cluster", json!("inbound-vip|80|http|web.shop.svc.cluster.local")),
            ("downstream_local_address", json!(format!("{}:80", ground.vip("web")?))),
            ("requested_server_name", Value::Null),
            ("upstream_transport_failure_reason", Value::Null),
        ];
        for (key, value) in expected {
            ensure!(object[key] == value, "{key}: {} in {object:#}", object[key]);
        }
        ensure!(object["start_time"].as_str().is_some_and(is_time), "{object:#}");
        ensure!(object["duration"].is_u64(), "{object:#}");
        let remote = object["downstream_remote_address"].as_str().unwrap_or_default();
        ensure!(remote.starts_with(&format!("{}:", ground.pod("client").ip4())), "{object:#}");

        // Its format changes while it runs: fields of one's own, a provider, text of one's own, nothing.
        let with = |lines: &str| -> Result<()> {
            ground.lab.change(|mesh| {
                mesh.clear_mesh_config();
                mesh.mesh_config(lines);
            })?;
            ground.wait_synced()
        };
        with(
            "accessLogFile: /dev/stdout\naccessLogEncoding: JSON\naccessLogFormat: |\n  \
             {\"what\": \"%REQ(:METHOD)% %REQ(:PATH)%\", \"status\": \"%RESPONSE_CODE%\", \"tenant\": \"%REQ(X-TENANT)%\", \"pod\": \"%RESP(X-POD)%\"}\n",
        )?;
        let answer = ground.get("/own").header("x-tenant: blue").send()?;
        let (_, object) = objects(&ground, "/own")?.pop().context("one")?;
        let expected = json!({"what": "GET /own", "status": 200, "tenant": "blue", "pod": answer.pod()});
        ensure!(object == expected, "{object:#}");
        with(
            "extensionProviders:\n- name: lines\n  envoyFileAccessLog:\n    path: /dev/stdout\n    logFormat:\n      labels: {}\n\
             defaultProviders: {accessLogging: [lines]}\n",
        )?;
        ground.get("/provider").send()?;
        let (_, object) = objects(&ground, "/provider")?.pop().context("one")?;
        ensure!(object["response_code"] == 200 && object.as_object().is_some_and(|it| it.len() == FIELDS.len()), "{object:#}");
        with("accessLogFile: /dev/stdout\naccessLogFormat: \"mine %REQ(:PATH)% %RESPONSE_CODE% %REQ(X-TENANT?X-OTHER):4%\\n\"")?;
        ground.get("/mine").header("x-other: turquoise").send()?;
        ground.waypoint().wait_log(&["mine /mine 200 turq"], PATIENCE)?;
        with("# nothing is said of logs")?;
        ground.get("/silent").send()?;
        with("accessLogFile: /dev/stdout")?;
        ground.get("/loud").send()?;
        ground.waypoint().wait_log(&["GET /loud"], PATIENCE)?;
        ensure!(ground.waypoint().log_lines(&["/silent"]).is_empty(), "a line of what was not to be logged");
        Ok(())
    })
}

#[test]
fn nothing_is_logged_unless_it_is_asked_for() -> Result<()> {
    let Some(ground) = Ground::builder("silent").without_access_log().build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.get("/whatever").send()?;
        ground.get("/whatever").to("web", TCP).send()?;
        // Metrics tell that both are over.
        eventually("they are counted", PATIENCE, || {
            let requests = ground.waypoint().metric("istio_requests_total", &[])?;
            let closed = ground
                .waypoint()
                .metric("istio_tcp_connections_closed_total", &[])?;
            ensure!((requests, closed) == (1.0, 1.0), "{requests}, {closed}");
            Ok(())
        })?;
        let log = ground.waypoint().log();
        ensure!(
            !log.contains("whatever") && !log.lines().any(|line| line.starts_with('[')),
            "{log}"
        );
        Ok(())
    })
}
