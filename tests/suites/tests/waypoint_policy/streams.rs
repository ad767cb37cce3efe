//! Policies for connections of which no request is read (AZ-05, AZ-10): Redis.

use anyhow::{Result, ensure};
use lab::PodSpec;
use lab::programs::redis;
use suites::waypoint::{Ground, authorization_policy, service};

/// Whether Redis answers.
fn answers(ground: &Ground, from: &str) -> Result<bool> {
    let vip = ground.vip("cache")?.to_string();
    let output = ground
        .pod(from)
        .exec(["redis-cli", "-h", &vip, "-p", "6379", "PING"])?;
    Ok(String::from_utf8_lossy(&output.stdout).trim() == "PONG")
}

#[test]
fn rules_for_connections_know_who_and_where_and_nothing_of_http() -> Result<()> {
    let builder = Ground::bare("streams")
        .pod(PodSpec::new("one").node(1).namespace("shop"))
        .service(
            service("cache")
                .named_port("tcp-redis", 6379, 6379)
                .backend("one"),
        );
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let _server = redis(&ground.pod("one"), 6379)?;
        let passes = || anyhow::Ok((answers(&ground, "client")?, answers(&ground, "guest")?));
        ensure!(passes()? == (true, true));
        // The rule, and who passes: the pod of `shop`, the one of `town`.
        let cases = [
            ("ALLOW", "from: [{source: {namespaces: [shop]}}]", (true, false)),
            ("DENY", "from: [{source: {namespaces: [shop]}}]", (false, true)),
            ("ALLOW", "to: [{operation: {ports: ['6379']}}]", (true, true)),
            ("ALLOW", "to: [{operation: {ports: ['6380']}}]", (false, false)),
            // A rule that allows by what is not there allows nobody ..
            ("ALLOW", "to: [{operation: {methods: [GET]}}]", (false, false)),
            ("ALLOW", "to: [{operation: {notPaths: [/x]}}]", (false, false)),
            // .. and one that denies does so without looking at it.
            ("DENY", "to: [{operation: {paths: [/x]}}]", (false, false)),
            (
                "DENY",
                "{from: [{source: {namespaces: [town]}}], to: [{operation: {paths: [/x]}}]}",
                (true, false),
            ),
            ("ALLOW", "{}", (true, true)),
        ];
        for (action, rule, expected) in cases {
            let spec = format!(
                "targetRefs: [{{kind: Service, group: '', name: cache}}]\naction: {action}\nrules:\n- {rule}\n"
            );
            // The controller warns of fields that are not there for TCP.
            ground.try_apply("policy", &authorization_policy("policy", &spec))?;
            let found = passes()?;
            ensure!(found == expected, "{action} {rule}: {found:?}");
        }
        Ok(())
    })
}
