//! What cannot be done as it is asked for: what the controller says of it, and what happens to connections.

use anyhow::{Result, ensure};
use lab::{Start, eventually};
use suites::plane::{remove, wait_condition, wait_policy, write};
use suites::policy::{PATIENCE, Seen, Town};

/// A policy of namespace `prod`.
fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: prod}}\nspec: {spec}\n"
    )
}

#[test]
fn http_attributes_are_told_and_never_make_a_policy_weaker() -> Result<()> {
    let Some(town) = Town::build("http", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    town.lab.scenario(|| {
        let controller = town.lab.controller()?;
        let seen = |from: &str, port: u16| -> Result<Seen> {
            Ok(town.probe(from, town.at("server", port))?.0)
        };
        // `sent` is whether the node proxies have what is left of it.
        let told = |name: &str, sent: bool, attributes: &[&str]| -> Result<()> {
            let object = format!("AuthorizationPolicy prod/{name}");
            let condition = wait_condition(&controller, &object, "ZtunnelAccepted")?;
            let status = if sent { "True" } else { "False" };
            ensure!(condition["status"] == status, "{condition}");
            ensure!(condition["reason"] == "UnsupportedValue", "{condition}");
            let message = condition["message"].as_str().unwrap_or_default();
            ensure!(message.contains("ztunnel does not support HTTP attributes (found:"), "{message}");
            ensure!(message.contains("you must use a waypoint"), "{message}");
            for attribute in attributes {
                ensure!(message.contains(attribute), "{message}");
            }
            controller.wait_log(&["ZtunnelAccepted", "UnsupportedValue", name], PATIENCE)?;
            Ok(())
        };

        // DENY: the attributes are taken out, and the rest denies more than was asked for.
        let rule = "{action: DENY, rules: [{from: [{source: {namespaces: [other]}}], to: [{operation: {methods: [POST]}}]}]}";
        write(&town.lab, "deny", &policy("deny", rule))?;
        wait_policy(&town.far, "deny", true)?;
        told("deny", true, &["methods"])?;
        ensure!(seen("other", 8080)? == Seen::Closed && seen("client", 8080)? == Seen::Answered);
        // Nothing is left of it: it has no effect, and it says so.
        let rule = "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}";
        write(&town.lab, "deny", &policy("deny", rule))?;
        eventually("a policy without effect", PATIENCE, || {
            ensure!(seen("other", 8080)? == Seen::Answered);
            Ok(())
        })?;
        told("deny", false, &["paths"])?;
        remove(&town.lab, "deny")?;

        // ALLOW: the rule is dropped, the others stay; nothing is allowed that was not asked for.
        let rule = "{action: ALLOW, rules: [{from: [{source: {namespaces: [other]}}], to: [{operation: {methods: [GET], hosts: [x]}}]}, \
                    {from: [{source: {namespaces: [default]}}]}]}";
        write(&town.lab, "allow", &policy("allow", rule))?;
        wait_policy(&town.far, "allow", true)?;
        told("allow", true, &["methods", "hosts"])?;
        eventually("the rule that is left", PATIENCE, || {
            ensure!(seen("other", 8080)? == Seen::Closed && seen("client", 8080)? == Seen::Answered);
            Ok(())
        })?;
        // All rules are dropped: nobody is allowed.
        let rule = "{action: ALLOW, rules: [{to: [{operation: {methods: [GET]}}]}]}";
        write(&town.lab, "allow", &policy("allow", rule))?;
        eventually("nobody is allowed", PATIENCE, || {
            ensure!(seen("client", 8080)? == Seen::Closed);
            Ok(())
        })?;
        // What is supported is said to be.
        write(&town.lab, "allow", &policy("allow", "{action: ALLOW, rules: [{}]}"))?;
        eventually("everybody is allowed", PATIENCE, || {
            let condition = wait_condition(&controller, "AuthorizationPolicy prod/allow", "ZtunnelAccepted")?;
            ensure!(condition["status"] == "True", "{condition}");
            ensure!(seen("client", 8080)? == Seen::Answered && seen("other", 8080)? == Seen::Answered);
            Ok(())
        })?;
        // An action that no node proxy has.
        let rule = "{action: CUSTOM, provider: {name: x}, rules: [{}]}";
        write(&town.lab, "custom", &policy("custom", rule))?;
        let condition = wait_condition(&controller, "AuthorizationPolicy prod/custom", "ZtunnelAccepted")?;
        ensure!(
            condition["status"] == "False"
                && condition["message"].as_str().is_some_and(|it| it.contains("ztunnel does not support the CUSTOM action")),
            "{condition}"
        );
        ensure!(seen("client", 8080)? == Seen::Answered);
        Ok(())
    })
}

/// A Service that leads to `server` and asks for a waypoint.
const SERVICE: &str = "apiVersion: v1\nkind: Service\n\
metadata: {name: guarded, namespace: prod, labels: {istio.io/use-waypoint: guard}}\n\
spec:\n  clusterIP: 10.96.77.10\n  selector: {service.istio.io/canonical-name: server}\n  \
ports: [{name: tcp, port: 80, targetPort: 8080}]\n";

fn gateway(class: &str, rest: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: guard, namespace: prod}}\nspec:\n  \
         gatewayClassName: {class}\n  listeners: [{{name: mesh, port: 15008, protocol: HBONE}}]\n{rest}"
    )
}

#[test]
fn a_waypoint_that_nobody_can_reach_is_told_and_not_passed_by() -> Result<()> {
    let Some(town) = Town::build("waypoint", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    town.lab.scenario(|| {
        let controller = town.lab.controller()?;
        let vip = "10.96.77.10:80".parse()?;
        let seen = || -> Result<Seen> { Ok(town.probe("client", vip)?.0) };
        let bound = |status: &str, reason: &str| {
            eventually(&format!("WaypointBound {status} {reason}"), PATIENCE, || {
                let condition = wait_condition(&controller, "Service prod/guarded", "istio.io/WaypointBound")?;
                ensure!(condition["status"] == status && condition["reason"] == reason, "{condition}");
                Ok(())
            })
        };

        // There is no such Gateway: as in Istio, that is said, and connections go on without it.
        write(&town.lab, "guarded", SERVICE)?;
        bound("False", "WaypointIsNotReady")?;
        controller.wait_log(&["WaypointBound", "prod/guard"], PATIENCE)?;
        eventually("the service without a waypoint", PATIENCE, || {
            ensure!(seen()? == Seen::Answered);
            Ok(())
        })?;

        // There is one, and nobody runs it.
        let refused = |line: &str| {
            eventually(line, PATIENCE, || {
                let reached = town.server.accepted();
                ensure!(seen()? == Seen::Closed, "somebody answered");
                ensure!(town.server.accepted() == reached, "passed by");
                let found = town.near.log_lines(&["access", "error", line]);
                ensure!(!found.is_empty(), "{}", town.near.log_tail());
                Ok(())
            })
        };
        write(&town.lab, "guard", &gateway("istio-waypoint", ""))?;
        bound("True", "WaypointAccepted")?;
        refused("no healthy upstream")?;
        // Its address is nobody's.
        let remote = gateway("istio-remote", "  addresses: [{type: IPAddress, value: 10.96.77.99}]\nstatus:\n  addresses: [{type: IPAddress, value: 10.96.77.99}]\n");
        write(&town.lab, "guard", &remote)?;
        refused("unknown waypoint")?;
        remove(&town.lab, "guard")?;
        bound("False", "WaypointIsNotReady")?;
        eventually("the service without a waypoint", PATIENCE, || {
            ensure!(seen()? == Seen::Answered);
            Ok(())
        })
    })
}
