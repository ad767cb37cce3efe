//! What a policy may be attached to: Service, ServiceEntry, Gateway, GatewayClass; and what it then holds for.

use anyhow::{Result, ensure};
use suites::waypoint::{Ground, authorization_policy};

const DENY_X: &str = "action: DENY\nrules:\n- to: [{operation: {paths: [/x]}}]";

#[test]
fn policies_hold_for_what_they_are_attached_to() -> Result<()> {
    let Some(ground) = Ground::builder("attached").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let status = |service: &str| anyhow::Ok(ground.get("/x").to(service, 80).send()?.status);
        let statuses = || anyhow::Ok([status("web")?, status("web-v1")?]);
        let with = |target: &str| format!("targetRefs: [{target}]\n{DENY_X}");

        let of_service = with("{kind: Service, group: '', name: web}");
        ground.apply("one", &authorization_policy("one", &of_service))?;
        ensure!(statuses()? == [403, 200]);

        let gateway = "{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}";
        ground.apply("one", &authorization_policy("one", &with(gateway)))?;
        ensure!(statuses()? == [403, 403]);

        let class = "{kind: GatewayClass, group: gateway.networking.k8s.io, name: ambit-waypoint}";
        ground.try_apply("one", &authorization_policy("one", &with(class)))?;
        ensure!(
            statuses()? == [200, 200],
            "a class counts from the root namespace only"
        );
        ground.apply(
            "one",
            &authorization_policy("istio-system/one", &with(class)),
        )?;
        ensure!(statuses()? == [403, 403]);

        // Another namespace's policy is none for our service.
        ground.try_apply("one", &authorization_policy("town/one", &of_service))?;
        ensure!(statuses()? == [200, 200]);

        // A selector is for ztunnels; this one has fields of layer 7, which close there, and nothing here.
        ground.withdraw(&["one"])?;
        ensure!(statuses()? == [200, 200]);
        Ok(())
    })
}
