//! CUSTOM, then JWT, then DENY, then ALLOW; AUDIT and dry runs beside them; and how a refusal looks.

use anyhow::{Result, ensure};
use suites::waypoint::{Ground, authorization_policy, manifest};

const WEB: &str = "targetRefs: [{kind: Service, group: '', name: web}]";

fn policy(name: &str, rest: &str) -> String {
    authorization_policy(name, &format!("{WEB}\n{rest}"))
}

#[test]
fn deny_goes_before_allow_and_who_is_not_allowed_is_refused() -> Result<()> {
    let Some(ground) = Ground::builder("order").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let status = |path: &str| anyhow::Ok(ground.get(path).send()?.status);
        ensure!(status("/a")? == 200, "no policy lets everything pass");

        ground.apply(
            "allow",
            &policy("allow", "rules:\n- to: [{operation: {paths: ['/a*']}}]"),
        )?;
        ensure!(status("/a/first")? == 200);
        ensure!(status("/b/first")? == 403);
        let line = ground.access("/b/first")?;
        ensure!(
            line.details == "rbac_access_denied_matched_policy[none]",
            "{line:?}"
        );
        ensure!(line.flags == "-", "{line:?}");

        let deny = "action: DENY\nrules:\n- to: [{operation: {paths: [/never]}}]\n\
                    - to: [{operation: {paths: ['/a/secret*']}}]";
        ground.apply("deny", &policy("deny", deny))?;
        ensure!(status("/a/second")? == 200);
        ensure!(status("/a/secret/1")? == 403);
        let line = ground.access("/a/secret/1")?;
        let expected = "rbac_access_denied_matched_policy[ns[shop]-policy[deny]-rule[1]]";
        ensure!(line.details == expected, "{line:?}");

        // `spec: {}` allows nothing, `rules: [{}]` everything.
        ground.withdraw(&["deny"])?;
        ground.apply("allow", &policy("allow", ""))?;
        ensure!(status("/a")? == 403);
        ground.apply("allow", &policy("allow", "rules:\n- {}"))?;
        ensure!(status("/b")? == 200);
        ground.apply("allow", &policy("allow", "action: DENY\nrules:\n- {}"))?;
        ensure!(status("/b")? == 403);
        ground.withdraw(&["allow"])?;
        ensure!(status("/b")? == 200);
        Ok(())
    })
}

#[test]
fn dry_runs_and_audits_look_on() -> Result<()> {
    let Some(ground) = Ground::builder("shadow").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let dry = "action: DENY\nrules:\n- to: [{operation: {paths: [/dry]}}]";
        let dry = policy("dry", dry).replace(
            "metadata:\n",
            "metadata:\n  annotations: {istio.io/dry-run: 'true'}\n",
        );
        let audit = "action: AUDIT\nrules:\n- to: [{operation: {paths: [/noted]}}]";
        ground.apply("dry", &dry)?;
        ground.apply("audit", &policy("audit", audit))?;
        for path in ["/dry", "/noted", "/else"] {
            let answer = ground.get(path).send()?;
            ensure!(answer.status == 200, "{path}: {answer:?}");
        }
        Ok(())
    })
}

#[test]
fn callers_of_grpc_are_refused_in_their_own_words() -> Result<()> {
    let Some(ground) = Ground::builder("grpc").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let rule = "action: DENY\nrules:\n- to: [{operation: {paths: [/pkg.Svc/Secret], methods: [POST]}}]";
        ground.apply("deny", &policy("deny", rule))?;
        let call = |path: &str| {
            ground
                .get(path)
                .to("web", 83)
                .http2()
                .header("content-type: application/grpc")
                .header("te: trailers")
                .body(vec![0, 0, 0, 0, 1, b'x'])
                .send()
        };
        let refused = call("/pkg.Svc/Secret")?;
        ensure!(refused.status == 200, "{refused:?}");
        ensure!(refused.header("grpc-status").as_deref() == Some("7"), "{refused:?}");
        let message = refused.header("grpc-message").unwrap_or_default();
        ensure!(message.contains("RBAC: access denied"), "{refused:?}");
        let open = call("/pkg.Svc/Open")?;
        ensure!(open.header("grpc-status").as_deref() != Some("7"), "{open:?}");
        Ok(())
    })
}

#[test]
fn what_cannot_be_asked_closes_its_target_and_nothing_else() -> Result<()> {
    let Some(ground) = Ground::builder("closed").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        // A provider that nobody knows.
        let custom = "action: CUSTOM\nprovider: {name: nobody}\nrules:\n- {}";
        ground.try_apply("custom", &policy("custom", custom))?;
        let answer = ground.get("/x").send()?;
        ensure!(answer.status == 403, "{answer:?}");
        let other = ground.get("/x").to("web-v1", 80).send()?;
        ensure!(other.status == 200, "{other:?}");
        ground.withdraw(&["custom"])?;
        ensure!(ground.get("/x").send()?.status == 200);

        // A key set that is none.
        let keys = format!("{WEB}\njwtRules: [{{issuer: a, jwks: 'no keys'}}]");
        let keys = manifest(
            "security.istio.io/v1",
            "RequestAuthentication",
            "keys",
            &keys,
        );
        ground.try_apply("keys", &keys)?;
        let answer = ground.get("/x").send()?;
        ensure!(answer.status == 403, "{answer:?}");
        Ok(())
    })
}
