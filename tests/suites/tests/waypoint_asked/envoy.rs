//! Envoy as a second opinion on external authorization: the same requests to the same authorizers through the waypoint and through Envoy's
//! `ext_authz`, set up as Istio sets it up; what the authorizer was told and what client and backend got is compared field by field.
//!
//! What differs on purpose stands in [`INTENDED`] with its reason. A difference that is not there fails the test, and so does one
//! that is there and shows no more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, ensure};
use lab::Process;
use lab::programs::{EnvoyService, envoy_program};
use serde_json::{Value, json};
use suites::asked::{Answerer, Question, authorizer};
use suites::policy::PATIENCE;
use suites::waypoint::{ANY, Curl, Ground, HTTP, peers::peer};
use wire::proto::external_auth::Peer;

use crate::cases::{REQUESTS, by_grpc_says, by_http_says};
use crate::setup::{BY_GRPC, BY_HTTP, by_grpc, by_http, custom, ground, reached, send_early};

/// Which requests, which field, and why the waypoint does otherwise. What ends with `*` stands for all that begin so; a request that begins with `*` is
/// meant by either protocol.
const INTENDED: &[(&str, &str, &str)] = &[
    (
        "* *",
        "backend header x-envoy-attempt-count",
        "as Istio has it; the lab's Envoy is not told to",
    ),
    (
        "grpc *",
        "asked source principal",
        "Istio's Envoy brings the certificate inside; the lab's does not",
    ),
    ("grpc *", "asked destination principal", "the same"),
    (
        "http *",
        "asked header x-envoy-expected-rq-timeout-ms",
        "Envoy's own word to its upstreams, for nobody's use",
    ),
    ("http *", "asked header x-envoy-internal", "the same"),
    (
        "* /plain *",
        "backend header content-length",
        "a request without a body goes on without a length, as it came; Envoy adds 0",
    ),
    (
        "grpc *",
        "backend header host",
        "a client's HTTP/2 stays HTTP/2 on this port, and names its authority",
    ),
    (
        "* /body chunked*",
        "backend header content-length",
        "what was read to its end for an authorizer has a length",
    ),
    (
        "* /body chunked*",
        "backend header transfer-encoding",
        "and so is not sent in chunks",
    ),
    (
        "* /body HTTP/2 over the limit",
        "*",
        "413, however the body comes; Envoy lets one byte more pass if it comes at once with its end",
    ),
    (
        "* /body *",
        "client header connection",
        "that a connection ends with an answer is not announced",
    ),
    (
        "* /headers partial",
        "backend header x-envoy-auth-partial-body",
        "nobody else's word on what an authorizer has seen goes on",
    ),
    (
        "grpc /mutate*",
        "backend header x-more",
        "what is to be added is there afterwards; Envoy adds only to what is there",
    ),
    (
        "grpc /mutate spoofed",
        "backend header x-absent",
        "`append_action` is heeded; Envoy 1.40 reads the deprecated `append` of such headers alone",
    ),
    (
        "http /deny/401 HEAD",
        "client header transfer-encoding",
        "an answer without a body has no coding",
    ),
];

/// What no two requests have alike, or is chosen anew for each.
const RANDOM: &[&str] = &[
    "x-request-id",
    "date",
    "x-envoy-upstream-service-time",
    "x-pod",
];

/// What became of one request, field by field.
type Seen = BTreeMap<String, String>;

fn add(seen: &mut Seen, who: &str, headers: impl Iterator<Item = (String, String)>) {
    for (name, value) in headers.filter(|(name, _)| !RANDOM.contains(&name.as_str())) {
        let place = seen.entry(format!("{who} {name}")).or_default();
        // One line or several are alike.
        if !place.is_empty() {
            place.push(',');
        }
        place.push_str(&value);
    }
}

/// What the authorizer was told.
fn question(question: &Question, seen: &mut Seen) -> Result<()> {
    let mut put = |field: &str, value: String| seen.insert(format!("asked {field}"), value);
    if question.request.uri().path() != authorizer::PATH {
        put("method", question.request.method().to_string());
        put("path", question.request.uri().to_string());
        put("body", format!("{:?}", question.request.body()));
        let headers = question.request.headers().iter();
        let headers = headers.map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        });
        add(seen, "asked header", headers);
        return Ok(());
    }
    let asked = authorizer::question(question).context("a question")?;
    let attributes = asked.attributes.as_ref().context("attributes")?;
    let principal = |peer: Option<&Peer>| peer.map(|it| it.principal.clone()).unwrap_or_default();
    put("source principal", principal(attributes.source.as_ref()));
    let source = authorizer::address(attributes.source.as_ref()).context("an address")?;
    put("source address", source.0);
    put(
        "destination principal",
        principal(attributes.destination.as_ref()),
    );
    put(
        "destination",
        format!("{:?}", authorizer::address(attributes.destination.as_ref())),
    );
    let told = authorizer::request(&asked).context("about a request")?;
    put("id", (!told.id.is_empty()).to_string());
    for (field, value) in [
        ("method", &told.method),
        ("path", &told.path),
        ("host", &told.host),
        ("scheme", &told.scheme),
        ("query", &told.query),
        ("fragment", &told.fragment),
        ("protocol", &told.protocol),
        ("body", &told.body),
    ] {
        put(field, value.clone());
    }
    put("size", told.size.to_string());
    put("raw body", format!("{:?}", told.raw_body));
    add(seen, "asked header", told.headers.clone().into_iter());
    Ok(())
}

/// Sends one request and gathers what client, authorizer and backend saw of it.
fn one(ground: &Ground, server: &Answerer, request: &Curl<'_>) -> Result<Seen> {
    let answer = send_early(request, || {
        ground.calm();
        server.forget();
    })?;
    let mut seen = Seen::new();
    seen.insert("client status".to_owned(), answer.status.to_string());
    let asked = server.asked();
    seen.insert("asked times".to_owned(), asked.len().to_string());
    if let Some(first) = asked.first() {
        question(first, &mut seen)?;
    }
    let backend = reached(ground, "");
    seen.insert("backend times".to_owned(), backend.len().to_string());
    match backend.first() {
        Some(it) => {
            for (field, value) in [
                ("method", it.method.clone()),
                ("path", it.path.clone()),
                ("authority", it.authority.clone()),
                ("bytes", it.body_bytes().to_string()),
            ] {
                seen.insert(format!("backend {field}"), value);
            }
            add(&mut seen, "backend header", it.headers.clone().into_iter());
            // The body is the backend's word on what it saw, with its name.
            let headers = answer
                .headers
                .iter()
                .filter(|(name, _)| name != "content-length");
            add(&mut seen, "client header", headers.cloned());
        }
        None => {
            seen.insert("client body".to_owned(), answer.text());
            add(&mut seen, "client header", answer.headers.iter().cloned());
        }
    }
    Ok(seen)
}

/// All requests by both protocols.
fn all(ground: &Ground, servers: [&Answerer; 2]) -> Result<BTreeMap<String, Seen>> {
    let mut found = BTreeMap::new();
    for (server, port, protocol) in [(servers[0], HTTP, "http"), (servers[1], ANY, "grpc")] {
        for (path, what, change) in REQUESTS {
            // One authority, whatever the port.
            let request = change(ground.get(path).to("web", port).authority("web.example"));
            let name = format!("{protocol} {path} {what}").trim_end().to_owned();
            let seen = one(ground, server, &request).with_context(|| name.clone())?;
            found.insert(name, seen);
        }
    }
    Ok(found)
}

fn policies() -> String {
    let of_port = |name: &str, port: u16| {
        custom(name, &format!("to: [{{operation: {{ports: ['{port}']}}}}]"))
    };
    of_port("http", HTTP) + &of_port("grpc", ANY)
}

fn providers() -> [String; 2] {
    [
        by_http(
            "http",
            "timeout: 10s, includeRequestHeadersInCheck: [x-ask-*, cookie], includeAdditionalHeadersInCheck: {x-from: waypoint}, \
             headersToUpstreamOnAllow: [x-user], headersToDownstreamOnDeny: [x-why, set-cookie], headersToDownstreamOnAllow: [x-down], \
             includeRequestBodyInCheck: {maxRequestBytes: 100}",
        ),
        by_grpc(
            "grpc",
            "timeout: 10s, includeRequestBodyInCheck: {maxRequestBytes: 100, packAsBytes: true}",
        ),
    ]
}

/// `ext_authz` as Istio writes it for these providers.
fn filter(grpc: bool) -> Value {
    let exact = |names: &[&str]| {
        let patterns: Vec<Value> = names
            .iter()
            .map(|name| json!({"exact": name, "ignore_case": true}))
            .collect();
        json!({"patterns": patterns})
    };
    let mut config = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3",
        "status_on_error": {"code": "Forbidden"},
        "with_request_body": {"max_request_bytes": 100, "pack_as_bytes": grpc},
    });
    if grpc {
        config["grpc_service"] =
            json!({"envoy_grpc": {"cluster_name": "auth-9001"}, "timeout": "10s"});
    } else {
        config["allowed_headers"] = json!({"patterns": [{"prefix": "x-ask-", "ignore_case": true}, {"exact": "cookie", "ignore_case": true}]});
        config["http_service"] = json!({
            "server_uri": {"uri": "http://auth.shop.svc.cluster.local:9000", "cluster": "auth-9000", "timeout": "10s"},
            "authorization_request": {"headers_to_add": [{"key": "x-from", "value": "waypoint"}]},
            "authorization_response": {
                "allowed_upstream_headers": exact(&["x-user"]),
                "allowed_client_headers": exact(&["x-why", "set-cookie"]),
                "allowed_client_headers_on_success": exact(&["x-down"]),
            },
        });
    }
    json!({"name": "envoy.filters.http.ext_authz", "typed_config": config})
}

/// Envoy in the waypoint's place, with the filter before its router. The lab's Envoy has none, so its configuration is taken, and started
/// again with it.
fn envoy(ground: &Ground) -> Result<Process> {
    let pods = ["v1a", "v1b", "v2a", "v2b"];
    let auth = |port: u16| ground.for_envoy("auth", port, port, &["auth"]);
    let services = [
        ground.for_envoy("web", HTTP, 8080, &pods)?,
        ground.for_envoy("web", ANY, 8080, &pods)?,
        auth(BY_HTTP)?,
        EnvoyService {
            http2: true,
            ..auth(BY_GRPC)?
        },
    ];
    drop(ground.swap_for_envoy(&services)?);
    let pod = ground.pod("waypoint");
    let path = pod.folder().join("envoy.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
    let listeners = config["static_resources"]["listeners"].as_array_mut();
    let main = listeners.and_then(|it| it.iter_mut().find(|it| it["name"] == "main"));
    let chains = main
        .and_then(|it| it["filter_chains"].as_array_mut())
        .context("chains")?;
    for (chain, grpc) in chains.iter_mut().zip([false, true]) {
        let filters = chain["filters"][0]["typed_config"]["http_filters"].as_array_mut();
        filters.context("filters")?.insert(0, filter(grpc));
    }
    let path = pod.folder().join("envoy-authz.json");
    fs::write(&path, config.to_string())?;
    let program = envoy_program()?;
    let program = program.to_str().context("a path that is text")?;
    let path = path.to_str().context("a path that is text")?;
    let line = [
        program,
        "-c",
        path,
        "--concurrency",
        "1",
        "--use-dynamic-base-id",
        "-l",
        "warning",
    ];
    let process = pod.command(line).label("envoy-authz").spawn()?;
    let listens = pod.wait_listens(15008, PATIENCE);
    listens.with_context(|| process.log_tail())?;
    Ok(process)
}

fn covers(pattern: &str, text: &str) -> bool {
    if let (Some(pattern), Some((_, text))) = (pattern.strip_prefix("* "), text.split_once(' ')) {
        return covers(pattern, text);
    }
    match pattern.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix),
        None => pattern == text,
    }
}

#[test]
fn external_authorization_is_as_envoys_but_for_what_is_meant_otherwise() -> Result<()> {
    if peer("envoy", "envoy").is_none() {
        return Ok(());
    }
    let builder = ground("asenvoy", &providers()).manifest("ask", policies());
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let auth = ground.pod("auth");
        let http = Answerer::start(&auth, BY_HTTP, by_http_says)?;
        let grpc = Answerer::start(&auth, BY_GRPC, by_grpc_says)?;
        let ours = all(&ground, [&http, &grpc])?;
        let envoy = envoy(&ground)?;
        let answers = ground.get("/plain");
        answers.until("Envoy stands in the waypoint's place", |it| {
            it.status == 200
        })?;
        let theirs = all(&ground, [&http, &grpc]).with_context(|| envoy.log_tail())?;

        let mut shown = BTreeSet::new();
        let mut strange = Vec::new();
        for (name, seen) in &ours {
            let other = theirs.get(name).context("both were asked the same")?;
            let fields: BTreeSet<&String> = seen.keys().chain(other.keys()).collect();
            for field in fields {
                let pair = (seen.get(field), other.get(field));
                if pair.0 == pair.1 {
                    continue;
                }
                let known = INTENDED
                    .iter()
                    .position(|(request, what, _)| covers(request, name) && covers(what, field));
                match known {
                    Some(at) => {
                        shown.insert(at);
                    }
                    None => strange.push(format!(
                        "{name}: {field}: waypoint {:?}, Envoy {:?}",
                        pair.0, pair.1
                    )),
                }
            }
        }
        ensure!(
            strange.is_empty(),
            "{} differences:\n{}",
            strange.len(),
            strange.join("\n")
        );
        let gone: Vec<_> = INTENDED
            .iter()
            .enumerate()
            .filter(|(at, _)| !shown.contains(at))
            .collect();
        ensure!(gone.is_empty(), "these differences show no more: {gone:#?}");
        Ok(())
    })
}
