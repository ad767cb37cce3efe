//! CUSTOM by gRPC (AZ-07): what the authorizer is told, what of its answer is done, and what policies behind it know of it.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use suites::asked::{Answerer, authorizer};
use suites::waypoint::{GRPC, Ground, HTTP, authorization_policy, peers::peer};
use wire::proto::external_auth::{
    CheckResponse, DeniedHttpResponse, HeaderAppendAction as Action, HttpRequest, HttpStatus,
    OkHttpResponse, QueryParameter, RpcStatus, check_response::HttpResponse,
};

use crate::setup::{
    BY_GRPC, asked_once, by_grpc, by_path, custom, ensure_line, ground, reached_once, send_early,
};

const HOST: &str = "web.shop.svc.cluster.local";

#[test]
fn an_authorizer_by_grpc_is_told_everything_and_heeded() -> Result<()> {
    let body = "includeRequestBodyInCheck: {maxRequestBytes: 100, allowPartialMessage: true";
    let providers = [
        by_grpc("plain", "timeout: 10s"),
        by_grpc("texts", &format!("timeout: 10s, {body}}}")),
        by_grpc(
            "bytes",
            &format!("timeout: 10s, {body}, packAsBytes: true}}"),
        ),
        by_grpc("calls", "timeout: 10s"),
    ];
    let of_grpc = custom("calls", "to: [{operation: {ports: ['83']}}]");
    let policies = by_path(&["plain", "texts", "bytes"]) + &of_grpc;
    let builder = ground("grpc", &providers).manifest("ask", policies);
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let server = Answerer::start(&ground.pod("auth"), BY_GRPC, |_| authorizer::allow(&[]))?;
        for scenario in [
            the_question,
            bodies_as_texts_and_bytes,
            changes_of_who_may_pass,
            a_path_that_it_sets,
            answers_to_who_may_not,
            grpc_clients,
            what_policies_know_of_it,
        ] {
            ground.calm();
            server.forget();
            scenario(&ground, &server)?;
        }
        Ok(())
    })
}

fn the_question(ground: &Ground, server: &Answerer) -> Result<()> {
    let vip = ground.vip("web")?.to_string();
    for (pod, namespace, http2) in [("client", "shop", false), ("guest", "town", true)] {
        server.forget();
        ground.calm();
        let mut request = ground
            .get("/x/../plain/a%20b?c=d&e")
            .from(pod)
            .method("DELETE");
        for header in [
            "x-two: 1",
            "x-two: 2",
            "X-Case: Mixed",
            "cookie: a=b",
            "authorization: Bearer t",
            // What a client could want to be taken for.
            "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/shop/sa/admin",
            "x-ambit-client-principal: cluster.local/ns/shop/sa/admin",
            "x-envoy-auth-partial-body: true",
        ] {
            request = request.header(header);
        }
        let request = if http2 { request.http2() } else { request };
        ensure!(request.send()?.status == 200);
        let attributes = asked_once(server)?.attributes.context("attributes")?;

        let source = attributes.source.as_ref().context("a source")?;
        let principal = format!("spiffe://cluster.local/ns/{namespace}/sa/{pod}");
        ensure!(source.principal == principal, "{source:?}");
        let address = authorizer::address(Some(source)).context("its address")?;
        ensure!(
            address.0 == ground.pod(pod).ip4().to_string() && address.1 > 0,
            "{address:?}"
        );
        let destination = attributes.destination.as_ref().context("a destination")?;
        ensure!(
            destination.principal == "spiffe://cluster.local/ns/shop/sa/waypoint",
            "{destination:?}"
        );
        let address = authorizer::address(Some(destination));
        ensure!(
            address == Some((vip.clone(), u32::from(HTTP))),
            "{address:?}"
        );
        ensure!(
            attributes.context_extensions.is_empty() && attributes.tls_session.is_none(),
            "{attributes:?}"
        );

        let told = attributes.request.context("a request")?;
        ensure!(told.time.is_some());
        let told = told.http.context("of HTTP")?;
        let id = reached_once(ground, "/plain")?.header("x-request-id");
        ensure!(
            !told.id.is_empty() && Some(&told.id) == id.as_ref(),
            "{told:?}, {id:?}"
        );
        let protocol = if http2 { "HTTP/2" } else { "HTTP/1.1" };
        let expected = HttpRequest {
            id: told.id.clone(),
            method: "DELETE".to_owned(),
            path: "/plain/a%20b?c=d&e".to_owned(),
            host: HOST.to_owned(),
            scheme: "http".to_owned(),
            protocol: protocol.to_owned(),
            size: told.size,
            headers: told.headers.clone(),
            ..HttpRequest::default()
        };
        ensure!(told == expected, "{told:#?}");
        ensure!(told.size == 0, "{}", told.size);
        let header = |name: &str| told.headers.get(name).map(String::as_str);
        for (name, expected) in [
            (":method", Some("DELETE")),
            (":path", Some("/plain/a%20b?c=d&e")),
            (":authority", Some(HOST)),
            (":scheme", Some("http")),
            ("x-two", Some("1,2")),
            ("x-case", Some("Mixed")),
            ("cookie", Some("a=b")),
            ("authorization", Some("Bearer t")),
            ("x-request-id", Some(told.id.as_str())),
            ("x-forwarded-client-cert", None),
            // On a CONNECT it would mean something; here it is a header as any other, and the principal above is the certificate's.
            (
                "x-ambit-client-principal",
                Some("cluster.local/ns/shop/sa/admin"),
            ),
            ("x-envoy-auth-partial-body", None),
            ("host", None),
        ] {
            ensure!(header(name) == expected, "{name}: {told:#?}");
        }
    }
    Ok(())
}

fn bodies_as_texts_and_bytes(ground: &Ground, server: &Answerer) -> Result<()> {
    for (path, sent, raw, text) in [
        ("/texts", &b"some \xffthing"[..], &b""[..], "some !thing"),
        ("/bytes", b"some \xffthing", b"some \xffthing", ""),
        ("/plain", b"some", b"", ""),
    ] {
        server.forget();
        let answer = ground.get(path).body(sent).send()?;
        ensure!(
            answer.status == 200 && answer.json()["body_bytes"] == sent.len(),
            "{answer:?}"
        );
        let asked = asked_once(server)?;
        let told = authorizer::request(&asked).context("a request")?;
        let size = i64::try_from(sent.len())?;
        ensure!(
            (&*told.raw_body, &*told.body, told.size) == (raw, text, size),
            "{path}: {told:?}"
        );
    }
    Ok(())
}

fn changes_of_who_may_pass(ground: &Ground, server: &Answerer) -> Result<()> {
    server.say(|_| {
        let mut added = authorizer::option("x-more", "2", Action::default());
        added.append = Some(true);
        let parameter = |key: &str, value: &str| QueryParameter {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        authorizer::answer(&authorizer::allowed(OkHttpResponse {
            headers: vec![
                authorizer::option("x-user", "alice", Action::default()),
                authorizer::option("X-Absent", "new", Action::AddIfAbsent),
                authorizer::option("x-present", "new", Action::AddIfAbsent),
                authorizer::option("x-if", "new", Action::OverwriteIfExists),
                authorizer::option("x-over", "new", Action::OverwriteIfExistsOrAdd),
                added,
                // These are the message's own.
                authorizer::option("content-length", "1", Action::OverwriteIfExistsOrAdd),
                authorizer::option("transfer-encoding", "chunked", Action::default()),
                authorizer::option("connection", "x-user", Action::default()),
            ],
            headers_to_remove: ["x-secret", "host", ":method", "content-length"]
                .map(str::to_owned)
                .to_vec(),
            response_headers_to_add: vec![
                authorizer::option("x-seen", "by auth", Action::default()),
                authorizer::option("x-pod", "lost", Action::AddIfAbsent),
                authorizer::option("content-length", "7", Action::OverwriteIfExistsOrAdd),
            ],
            query_parameters_to_set: vec![parameter("user", "alice"), parameter("new", "a b&c")],
            query_parameters_to_remove: vec!["token".to_owned()],
            ..OkHttpResponse::default()
        }))
    });
    for http2 in [false, true] {
        ground.calm();
        let mut request = ground
            .get("/plain?%74oken=1&user=admin&x=%20&token")
            .body("the body");
        for header in [
            "x-user: admin",
            "x_user: admin",
            "x-present: old",
            "x-over: old",
            "x-more: 1",
            "x-secret: 1",
        ] {
            request = request.header(header);
        }
        let answer = if http2 { request.http2() } else { request }.send()?;
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(
            answer.header("x-seen").as_deref() == Some("by auth"),
            "{answer:?}"
        );
        ensure!(answer.pod().starts_with('v'), "{answer:?}");
        let seen = reached_once(ground, "/plain")?;
        ensure!(
            seen.path == "/plain?user=alice&x=%20&new=a%20b%26c",
            "{seen:?}"
        );
        ensure!(
            seen.body_bytes() == 8 && seen.authority == HOST && seen.method == "POST",
            "{seen:?}"
        );
        for (name, expected) in [
            ("x-user", Some("alice")),
            ("x_user", None),
            ("x-absent", Some("new")),
            ("x-present", Some("old")),
            ("x-if", None),
            ("x-over", Some("new")),
            ("x-more", Some("1,2")),
            ("x-secret", None),
            ("content-length", Some("8")),
        ] {
            ensure!(seen.header(name).as_deref() == expected, "{name}: {seen:?}");
        }
    }
    Ok(())
}

fn a_path_that_it_sets(ground: &Ground, server: &Answerer) -> Result<()> {
    let spec = "targetRefs: [{kind: Service, group: '', name: web}]\naction: DENY\nrules:\n- to: [{operation: {paths: [/admin]}}]";
    ground.apply("deny", &authorization_policy("deny", spec))?;
    // What it sets, and the status: policies see the one spelling of it.
    for (path, status, reaches) in [
        ("/other?x=1", 200, Some("/other?x=1")),
        ("/open/../%61dmin?x", 403, None),
        ("*", 403, None),
        ("/..%2f..%2fx", 403, None),
    ] {
        ground.calm();
        server.say(move |_| authorizer::allow(&[(":path", path), (":authority", "other.example")]));
        let answer = ground.get("/plain/path").send()?;
        ensure!(answer.status == status, "{path}: {answer:?}");
        if let Some(expected) = reaches {
            let found = (answer.told("path"), answer.told("authority"));
            ensure!(
                (found.0.as_str(), found.1.as_str()) == (expected, "other.example"),
                "{path}: {answer:?}"
            );
        }
        ensure!(
            ground.requests("v") == u64::from(reaches.is_some()),
            "{path}"
        );
    }
    ground.withdraw(&["deny"])
}

fn answers_to_who_may_not(ground: &Ground, server: &Answerer) -> Result<()> {
    let headers = [
        ("x-why", "slow"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("content-length", "99"),
        ("connection", "x-why"),
    ];
    server.say(move |_| authorizer::deny(429, &headers, "slow down"));
    for request in [ground.get("/plain?no=1"), ground.get("/plain?no=2").http2()] {
        let answer = request.send()?;
        ensure!(
            (answer.status, answer.text().as_str()) == (429, "slow down"),
            "{answer:?}"
        );
        for (name, expected) in [
            ("x-why", "slow"),
            ("set-cookie", "a=1, b=2"),
            ("content-length", "9"),
        ] {
            ensure!(
                answer.header(name).as_deref() == Some(expected),
                "{name}: {answer:?}"
            );
        }
    }
    ensure_line(&ground.access("no=1")?, 429, "ext_authz_denied")?;
    // A no without a word, and what is no status of an answer.
    for code in [None, Some(0), Some(100), Some(600), Some(-1)] {
        server.say(move |_| {
            authorizer::answer(&CheckResponse {
                status: Some(RpcStatus {
                    code: 7,
                    message: String::new(),
                }),
                http_response: code.map(|code| {
                    HttpResponse::DeniedResponse(DeniedHttpResponse {
                        status: Some(HttpStatus { code }),
                        ..DeniedHttpResponse::default()
                    })
                }),
                dynamic_metadata: None,
            })
        });
        let answer = ground.get("/plain").send()?;
        ensure!(
            (answer.status, answer.body.len()) == (403, 0),
            "{code:?}: {answer:?}"
        );
    }
    // A yes in words, with a status that says no.
    server.say(|_| {
        let mut both = authorizer::allowed(OkHttpResponse::default());
        both.status = Some(RpcStatus {
            code: 16,
            message: String::new(),
        });
        authorizer::answer(&both)
    });
    ensure!(ground.get("/plain").send()?.status == 403);
    ensure!(ground.requests("v") == 0);
    Ok(())
}

fn grpc_clients(ground: &Ground, server: &Answerer) -> Result<()> {
    // Source: gRPC over HTTP/2, what a status of HTTP stands for.
    for (status, code) in [
        (401, "16"),
        (403, "7"),
        (404, "12"),
        (429, "14"),
        (503, "14"),
        (302, "2"),
    ] {
        server.say(move |_| authorizer::deny(status, &[("x-why", "rules")], "not today"));
        let call = ground
            .get("/pkg.Svc/Method")
            .to("web", GRPC)
            .http2()
            .body(vec![0; 5]);
        let call = call
            .header("content-type: application/grpc")
            .header("te: trailers");
        let answer = send_early(&call, || {})?;
        ensure!(answer.status == 200 && answer.body.is_empty(), "{answer:?}");
        for (name, expected) in [
            ("grpc-status", code),
            ("grpc-message", "not today"),
            ("x-why", "rules"),
            ("content-type", "application/grpc"),
        ] {
            ensure!(
                answer.header(name).as_deref() == Some(expected),
                "{status} {name}: {answer:?}"
            );
        }
    }
    ensure!(ground.requests("v") == 0);
    let Some(grpcurl) = peer("grpc", "grpcurl") else {
        return Ok(());
    };
    // A client that others wrote.
    let client = ground.pod("client");
    fs::write(
        client.folder().join("health.proto"),
        "syntax = \"proto3\";\npackage grpc.health.v1;\nmessage HealthCheckRequest { string service = 1; }\n\
         message HealthCheckResponse { int32 status = 1; }\n\
         service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); }\n",
    )?;
    let call = || {
        let to = format!("{}:{GRPC}", ground.vip("web")?);
        let folder = client.folder().display().to_string();
        client.exec([
            grpcurl.display().to_string().as_str(),
            "-plaintext",
            "-max-time",
            "20",
            "-import-path",
            &folder,
            "-proto",
            "health.proto",
            "-d",
            "{}",
            &to,
            "grpc.health.v1.Health/Check",
        ])
    };
    server.say(|_| authorizer::deny(401, &[], "who are you"));
    let refused = call()?;
    let said = refused.errors();
    ensure!(
        said.contains("Unauthenticated") && said.contains("who are you"),
        "{refused:?}"
    );
    server.say(|_| authorizer::allow(&[]));
    let answered = call()?.ok()?;
    ensure!(answered.contains("\"status\": 1"), "{answered}");
    Ok(())
}

fn what_policies_know_of_it(ground: &Ground, server: &Answerer) -> Result<()> {
    let key = "experimental.envoy.filters.http.ext_authz[group]";
    let spec = format!(
        "targetRefs: [{{kind: Service, group: '', name: web}}]\naction: ALLOW\nrules:\n- when: [{{key: '{key}', values: [staff, 'ad*']}}]"
    );
    ground.apply("allow", &authorization_policy("allow", &spec))?;
    for (group, status) in [
        (Some("staff"), 200),
        (Some("admins"), 200),
        (Some("guests"), 403),
        (None, 403),
    ] {
        server.say(move |_| {
            let yes = authorizer::allowed(OkHttpResponse::default());
            authorizer::answer(&match group {
                Some(group) => authorizer::with_metadata(yes, "group", group),
                None => yes,
            })
        });
        let answer = ground.get("/plain").header("group: staff").send()?;
        ensure!(answer.status == status, "{group:?}: {answer:?}");
        ensure!(
            status == 200 || answer.text() == "RBAC: access denied",
            "{answer:?}"
        );
    }
    // Nobody is asked here, so nobody says so.
    ensure!(ground.get("/elsewhere").send()?.status == 403);
    ground.withdraw(&["allow"])
}
