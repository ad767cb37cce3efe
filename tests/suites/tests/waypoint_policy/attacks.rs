//! Ways round a policy that a pod may try: spoofed headers, other spellings of a path, other ways to the same place.

use anyhow::{Result, ensure};
use suites::waypoint::raw::exchange;
use suites::waypoint::{Curl, Ground, authorization_policy};

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
