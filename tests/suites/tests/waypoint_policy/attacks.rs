//! Ways round a policy that a pod may try: spoofed headers, other spellings of a path, other ways to the same place.

use anyhow::{Result, ensure};
use serde_json::json;
use suites::waypoint::peers::peer;
use suites::waypoint::raw::exchange;
use suites::waypoint::{Curl, Ground, HTTP, authorization_policy};

/// Closes `/admin` to everybody but the pods of `town`.
const GUARD: &str = "
    targetRefs: [{kind: Service, group: '', name: web}]
    action: DENY
    rules:
    - from: [{source: {notNamespaces: [town]}}]
      to: [{operation: {paths: [/admin, '/admin/*']}}]
";

#[test]
fn no_spelling_of_a_path_leads_round_a_policy() -> Result<()> {
    let Some(ground) = Ground::builder("spelling").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("guard", &authorization_policy("guard", GUARD))?;
        let open = ground.get("/admin/x").from("guest").send()?;
        ensure!(open.status == 200, "{open:?}");
        for path in [
            "/admin",
            "/admin/",
            "/admin/x",
            "/%61dmin/x",
            "/%61%64%6d%69%6e",
            "/x/../admin/x",
            "/./admin/x",
            "/x/%2e%2e/admin/x",
            "/admin/x?y=/public",
            "/admin\\x",
            "/admin/../admin/x",
            "/a/b/../../admin/",
        ] {
            for request in [ground.get(path), ground.get(path).http2()] {
                let answer = request.send()?;
                ensure!([400, 403].contains(&answer.status), "{path}: {answer:?}");
                ensure!(answer.pod().is_empty(), "{path} reached a backend: {answer:?}");
            }
        }
        // Shapes that curl does not send.
        let client = ground.pod("client");
        let vip = ground.vip("web")?;
        for head in [
            "GET http://web.shop/admin/x HTTP/1.1\r\nhost: web.shop\r\n",
            "GET /public HTTP/1.1\r\nhost: web.shop\r\nx-original-url: /admin/x\r\nx-rewrite-url: /admin/x\r\nx-envoy-original-path: /public\r\n",
            "GET /admin/x HTTP/1.1\r\nhost: web.shop\r\n:path: /public\r\n",
            "GET /admin/x#/public HTTP/1.1\r\nhost: web.shop\r\n",
            "GET /admin;x=y/x HTTP/1.1\r\nhost: web.shop\r\n",
            "GET //admin/x HTTP/1.1\r\nhost: web.shop\r\n",
        ] {
            let head = format!("{head}connection: close\r\n\r\n");
            let seen = exchange(&client, (vip, 80), &[head.as_bytes()])?;
            let text = seen.text();
            // What the backend then takes for another path is another path, and it is told it as it was.
            let reached = text.contains("\"path\":\"/admin/") || text.contains("\"path\":\"/admin\"");
            ensure!(!reached, "{head}: {text}");
        }
        Ok(())
    })
}

#[test]
fn no_header_makes_a_client_somebody_else() -> Result<()> {
    let Some(ground) = Ground::builder("spoof").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("guard", &authorization_policy("guard", GUARD))?;
        let guest = "cluster.local/ns/town/sa/guest";
        let headers = [
            format!("x-forwarded-client-cert: By=spiffe://{guest};URI=spiffe://{guest}"),
            format!("x-ambit-client-principal: spiffe://{guest}"),
            "x-envoy-peer-metadata: town".to_owned(),
            "x-envoy-peer-metadata-id: town".to_owned(),
            "baggage: k8s.namespace.name=town,k8s.service.account.name=guest".to_owned(),
            "forwarded: for=192.0.2.7".to_owned(),
            "x-forwarded-for: 192.0.2.7".to_owned(),
            "x-envoy-external-address: 192.0.2.7".to_owned(),
            "x-real-ip: 192.0.2.7".to_owned(),
            "x-envoy-internal: true".to_owned(),
        ];
        let all = |request| {
            headers
                .iter()
                .fold(request, |it: Curl<'_>, header| it.header(header))
        };
        for request in [ground.get("/admin/x"), ground.get("/admin/x").http2()] {
            let answer = all(request).send()?;
            ensure!(answer.status == 403, "{answer:?}");
        }
        // Nor do they decide about addresses, nor reach the application as if they had been checked.
        let address = "
            targetRefs: [{kind: Service, group: '', name: web}]
            rules:
            - from: [{source: {remoteIpBlocks: [192.0.2.0/24]}}]
        ";
        ground.apply("guard", &authorization_policy("guard", address))?;
        ensure!(all(ground.get("/")).send()?.status == 403);
        ground.withdraw(&["guard"])?;
        let answer = all(ground.get("/")).send()?;
        for name in ["x-forwarded-client-cert", "x-envoy-internal"] {
            let saw = answer.saw(name).unwrap_or_default();
            ensure!(
                !saw.contains("192.0.2.7") && !saw.contains("town"),
                "{name}: {saw}"
            );
        }
        Ok(())
    })
}

#[test]
fn there_is_no_way_round_the_waypoint() -> Result<()> {
    let Some(ground) = Ground::builder("round").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("guard", &authorization_policy("guard", GUARD))?;
        // Every port of the service, whatever it speaks.
        for port in [80, 81] {
            let answer = ground.get("/admin/x").to("web", port).send()?;
            ensure!(answer.status == 403, "{port}: {answer:?}");
        }
        for port in [82, 83] {
            let answer = ground.get("/admin/x").to("web", port).http2().send()?;
            ensure!(answer.status == 403, "{port}: {answer:?}");
        }
        let refused = ground.get("/admin/x").to("web", 84).run(&[])?;
        ensure!(!refused.status.success(), "TCP: {refused:?}");
        // Another host's name on a connection to this service.
        let answer = ground
            .get("/admin/x")
            .authority("web-v1.shop.svc.cluster.local")
            .send()?;
        ensure!(answer.status == 403, "{answer:?}");
        Ok(())
    })
}

/// Ways to write `/public`, and what only looks like it.
const SPELLINGS: &[&str] = &[
    "/public",
    "/public/",
    "/public/x",
    "/publicity",
    "/PUBLIC/x",
    "/%70ublic/x",
    "/./public",
    "/../public",
    "/x/../public/x",
    "/public/.",
    "/public/./x",
    "/public/%2e/x",
    "/public/...",
    "/public/..",
    "/public/../",
    "/public/x/..",
    "/public/../admin/x",
    "/public/%2e%2e/admin",
    "/public/%2E./admin",
    "/public/..%2fadmin",
    "/public%2f..%2fadmin",
    "/public/%252e%252e/admin",
    "/public/..;/admin",
    "/public/.;/../admin",
    "/public;x=../admin",
    "/public\\..\\admin",
    "/public/..\\admin",
    "/public/x\\..\\y",
    "/public/%5c..%5cadmin",
    "/public//../admin",
    "/public//../../admin",
    "//public/x",
    "/public//x",
    "/public?/../admin",
    "/public/x?../admin",
    "/public%3f/../admin",
    "/public%23x",
    "/public%00/x",
    "/public/%00",
    "/public/%20",
    "/public/%09",
    "/public/%zz",
    "/public/%",
    "/public/%c0%ae%c0%ae/admin",
    "/public/%e0%80%ae%e0%80%ae/admin",
    "/public/\u{ff0e}\u{ff0e}/admin",
    "/admin/../public/../admin/x",
];

/// Those of them that Envoy lets in as they are, and that a backend which decodes slashes reads otherwise.
const STRICTER: &[&str] = &["/public/..%2fadmin", "/public/%5c..%5cadmin"];

/// What became of a spelling: the path that a backend saw, or `None` where it was refused.
fn read_as(ground: &Ground) -> Result<Vec<(String, Option<String>)>> {
    let mut read = Vec::new();
    for spelling in SPELLINGS {
        for (version, request) in [
            ("h1", ground.get(spelling)),
            ("h2", ground.get(spelling).http2()),
        ] {
            let answer = request.send()?;
            ensure!(
                [200, 400, 403, 404].contains(&answer.status),
                "{version} {spelling}: {answer:?}"
            );
            let seen = (answer.status == 200).then(|| answer.told("path"));
            read.push((format!("{version} {spelling}"), seen));
        }
    }
    Ok(read)
}

#[test]
fn what_a_policy_lets_in_envoy_would_read_alike() -> Result<()> {
    if peer("envoy", "envoy").is_none() {
        return Ok(());
    }
    let Some(ground) = Ground::builder("readings").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let allow = "
            targetRefs: [{kind: Service, group: '', name: web}]
            rules:
            - to: [{operation: {paths: [/public, '/public/*']}}]
        ";
        ground.apply("public", &authorization_policy("public", allow))?;
        let ours = read_as(&ground)?;
        for (spelling, seen) in &ours {
            let is_public = |path: &str| {
                let path = path.split('?').next().unwrap_or_default();
                path == "/public" || path.starts_with("/public/")
            };
            ensure!(
                seen.as_deref().is_none_or(is_public),
                "{spelling} was let in as {seen:?}"
            );
        }
        let mut service = ground.for_envoy("web", HTTP, 8080, &["v1a", "v1b", "v2a", "v2b"])?;
        service.matches = vec![json!({"path": "/public"}), json!({"prefix": "/public/"})];
        let _envoy = ground.swap_for_envoy(&[service])?;
        let theirs = read_as(&ground)?;
        let mut other = Vec::new();
        for ((spelling, ours), (_, theirs)) in ours.iter().zip(&theirs) {
            match (ours, theirs) {
                (None, None) => {}
                (Some(ours), Some(theirs)) if ours == theirs => {}
                (None, Some(_)) if STRICTER.iter().any(|it| spelling.ends_with(it)) => {}
                (None, Some(_)) => other.push(format!("{spelling}: refused, Envoy {theirs:?}")),
                (Some(_), _) => other.push(format!("{spelling}: {ours:?}, Envoy {theirs:?}")),
            }
        }
        ensure!(other.is_empty(), "{other:#?}");
        let passed = ours.iter().filter(|(_, seen)| seen.is_some()).count();
        ensure!(passed >= 10, "of {} spellings {passed} passed", ours.len());
        Ok(())
    })
}

#[test]
fn no_spelling_of_a_header_or_host_leads_round_a_policy() -> Result<()> {
    let Some(ground) = Ground::builder("lookalike").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let role = "
            targetRefs: [{kind: Service, group: '', name: web}]
            rules:
            - when: [{key: 'request.headers[x-role]', values: [admin]}]
        ";
        ground.apply("guard", &authorization_policy("guard", role))?;
        let with = |headers: &[&str]| {
            let request = ground.get("/");
            headers.iter().fold(request, |it, header| it.header(header))
        };
        for headers in [&["x-role: admin"][..], &["X-ROLE:   admin"]] {
            for request in [with(headers), with(headers).http2()] {
                let answer = request.send()?;
                ensure!(answer.status == 200, "{headers:?}: {answer:?}");
            }
        }
        for headers in [
            &["x_role: admin"][..],
            &["x-role: user", "x-role: admin"],
            &["x-role: admin", "x-role: user"],
            &["x-role: admin, user"],
            &["x-role: Admin"],
            &["x-role: \"admin\""],
            &["x-role: admin;q=1"],
            &["x-role;", "x-role: admin"],
            &["x-role2: admin"],
        ] {
            for request in [with(headers), with(headers).http2()] {
                let answer = request.send()?;
                ensure!(answer.status == 403, "{headers:?}: {answer:?}");
            }
        }

        // A host that is closed, in the other spellings of its name.
        let host = "
            targetRefs: [{kind: Service, group: '', name: web}]
            action: DENY
            rules:
            - to: [{operation: {hosts: [admin.example]}}]
        ";
        ground.apply("guard", &authorization_policy("guard", host))?;
        ensure!(ground.get("/").authority("public.example").send()?.status == 200);
        for name in [
            "admin.example",
            "ADMIN.Example",
            "admin.example:80",
            "Admin.example:8080",
        ] {
            for request in [ground.get("/"), ground.get("/").http2()] {
                let answer = request.authority(name).send()?;
                ensure!(answer.status == 403, "{name}: {answer:?}");
            }
        }
        let client = ground.pod("client");
        let vip = ground.vip("web")?;
        for (status, head) in [
            (403, "GET / HTTP/1.1\r\nhost: admin.example.\r\n"),
            (403, "GET / HTTP/1.1\r\nhost: admin.example:\r\n"),
            (403, "GET / HTTP/1.1\r\nhost: admin.example:080\r\n"),
            (
                403,
                "GET http://admin.example/ HTTP/1.1\r\nhost: public.example\r\n",
            ),
            (400, "GET / HTTP/1.1\r\nhost: user@admin.example\r\n"),
            (
                400,
                "GET / HTTP/1.1\r\nhost: public.example, admin.example\r\n",
            ),
            (
                400,
                "GET / HTTP/1.1\r\nhost: public.example\r\nhost: admin.example\r\n",
            ),
            (400, "GET / HTTP/1.1\r\nhost : admin.example\r\n"),
            // The target counts, and what the backend is told is that.
            (
                200,
                "GET http://public.example/ HTTP/1.1\r\nhost: admin.example\r\n",
            ),
            (
                200,
                "GET / HTTP/1.1\r\nhost: public.example\r\nx-forwarded-host: admin.example\r\n",
            ),
        ] {
            let sent = format!("{head}connection: close\r\n\r\n");
            let seen = exchange(&client, (vip, HTTP), &[sent.as_bytes()])?;
            let text = seen.text();
            ensure!(seen.statuses() == [status], "{head:?}: {text}");
            ensure!(!text.contains("\"authority\":\"admin"), "{head:?}: {text}");
        }
        Ok(())
    })
}
