//! Policies of layer 7 that the waypoint cannot enforce: what they are attached to is closed, with a word to whom it
//! concerns, and nothing else is.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result, ensure};
use suites::plane::wait_condition;
use suites::traffic::dial;
use suites::waypoint::{GRPC, Ground, TCP, manifest};

const SECURITY: &str = "security.istio.io/v1";

/// Who is closed: by service.
fn closed(ground: &Ground, expected: [bool; 2]) -> Result<()> {
    for (service, closed) in ["web", "web-v1"].into_iter().zip(expected) {
        for request in [ground.get("/asked"), ground.get("/asked").http2()] {
            let answer = request.to(service, 80).send()?;
            if closed {
                ensure!(answer.status == 403, "{service}: {answer:?}");
                ensure!(
                    answer.text() == "RBAC: access denied",
                    "{service}: {answer:?}"
                );
            } else {
                ensure!(answer.status == 200, "{service}: {answer:?}");
            }
        }
        let through = ground.get("/tcp").to(service, TCP).run(&[])?;
        ensure!(through.status.success() != closed, "{service}: {through:?}");
    }
    Ok(())
}

/// What the controller says of a policy.
fn told(ground: &Ground, object: &str) -> Result<()> {
    let controller = ground.lab.controller()?;
    let condition = wait_condition(&controller, object, "WaypointAccepted")?;
    ensure!(condition["status"] == "False", "{condition}");
    let message = condition["message"].as_str().unwrap_or_default();
    ensure!(!message.is_empty(), "{condition}");
    Ok(())
}

#[test]
fn what_cannot_be_enforced_closes_what_it_is_attached_to() -> Result<()> {
    let Some(ground) = Ground::builder("policies").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        closed(&ground, [false, false])?;
        // Connections that are open when a policy comes.
        let mut tcp = dial(&ground.pod("client"), (ground.vip("web")?, TCP).into())?;
        tcp.write_all(b"GET /open HTTP/1.1\r\nhost: x\r\n\r\n")?;
        let mut buffer = [0; 4096];
        ensure!(tcp.read(&mut buffer)? > 0);

        // A provider that nobody knows, and a set of keys that is none.
        let deny = "action: CUSTOM, provider: {name: nobody}, rules: [{}]";
        let jwt = "jwtRules: [{issuer: somebody@example, jwks: 'no keys'}]";
        let gateway = "{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}";
        let class = "{group: gateway.networking.k8s.io, kind: GatewayClass, name: ambit-waypoint}";
        let cases = [
            (
                "AuthorizationPolicy",
                "shop/guard",
                "{group: '', kind: Service, name: web}",
                deny,
                [true, false],
            ),
            (
                "AuthorizationPolicy",
                "shop/guard",
                gateway,
                deny,
                [true, true],
            ),
            (
                "AuthorizationPolicy",
                "istio-system/guard",
                class,
                deny,
                [true, true],
            ),
            (
                "RequestAuthentication",
                "shop/jwt",
                "{group: '', kind: Service, name: web}",
                jwt,
                [true, false],
            ),
            (
                "RequestAuthentication",
                "shop/jwt",
                gateway,
                jwt,
                [true, true],
            ),
        ];
        for (kind, name, target, rest, expected) in cases {
            let what = || format!("{kind} {name} for {target}");
            let spec = rest
                .replace("}, rules:", "}\nrules:")
                .replace(", provider:", "\nprovider:");
            let yaml = manifest(
                SECURITY,
                kind,
                name,
                &format!("targetRefs: [{target}]\n{spec}"),
            );
            ground.try_apply("policy", &yaml).with_context(what)?;
            closed(&ground, expected).with_context(what)?;
            told(&ground, &format!("{kind} {name}")).with_context(what)?;
            ground.withdraw(&["policy"])?;
            closed(&ground, [false, false]).with_context(what)?;
        }
        ensure!(
            tcp.read(&mut buffer).map_or(true, |count| count == 0),
            "an open connection went on"
        );

        // What is told: of it in the log, and to clients of gRPC.
        let yaml = manifest(
            SECURITY,
            "AuthorizationPolicy",
            "guard",
            &format!(
                "targetRefs: [{{group: '', kind: Service, name: web}}]\n{}",
                deny.replace("}, rules:", "}\nrules:")
                    .replace(", provider:", "\nprovider:")
            ),
        );
        ground.try_apply("policy", &yaml)?;
        let before = ground.requests("");
        let answer = ground.get("/closed?of=log").send()?;
        ensure!(answer.status == 403, "{answer:?}");
        let line = ground.access("/closed?of=log")?;
        ensure!(line.status == 403 && line.flags == "-", "{line:?}");
        ensure!(
            line.details.contains("guard"),
            "the log names no policy: {line:?}"
        );
        let call = ground
            .get("/shop.Cart/Add")
            .to("web", GRPC)
            .http2()
            .header("te: trailers");
        let answer = call
            .header("content-type: application/grpc")
            .body("")
            .send()?;
        ensure!(
            answer.header("grpc-status").as_deref() == Some("7"),
            "{answer:?}"
        );
        ensure!(ground.requests("") == before, "something reached a backend");
        // A route of another service does not lead around it.
        let rules = "http: [{route: [{destination: {host: web}}]}]";
        ground.apply(
            "detour",
            &suites::waypoint::virtual_service("web-v1", rules),
        )?;
        let answer = ground.get("/detour").to("web-v1", 80).send()?;
        ensure!(
            answer.status == 503 && answer.pod().is_empty(),
            "{answer:?}"
        );
        let line = ground.access("/detour")?;
        ensure!(line.flags == "NC", "{line:?}");
        ground.withdraw(&["policy", "detour"])?;

        // One that only looks on closes nothing.
        let all = "targetRefs: [{group: '', kind: Service, name: web}]\naction: AUDIT\nrules: [{}]";
        ground.try_apply(
            "policy",
            &manifest(SECURITY, "AuthorizationPolicy", "guard", all),
        )?;
        closed(&ground, [false, false])
    })
}
