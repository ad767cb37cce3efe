//! A policy that moves from a Gateway to a Service and back, in one edit each: it holds in every moment.

use anyhow::{Result, ensure};
use suites::waypoint::{Ground, authorization_policy};

const SERVICE: &str = "{kind: Service, group: '', name: web}";
const GATEWAY: &str = "{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}";
/// There and back count as two.
const MOVES: usize = 20;
/// Enough of them for one to be under way whenever the policy is.
const CONNECTIONS: usize = 16;

fn policy(target: &str) -> String {
    let spec = format!("targetRefs: [{target}]\naction: DENY\nrules: [{{}}]\n");
    authorization_policy("moving", &spec)
}

#[test]
fn no_request_passes_while_its_policy_moves_between_gateway_and_service() -> Result<()> {
    let Some(ground) = Ground::builder("moves").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ensure!(ground.get("/before").send()?.status == 200);
        ground.apply("moving", &policy(SERVICE))?;
        ensure!(ground.get("/x").send()?.status == 403);
        let before = ground.requests("v");
        let load = ground.wrk("/moving", CONNECTIONS)?;
        for target in [GATEWAY, SERVICE].into_iter().cycle().take(MOVES) {
            ground.apply("moving", &policy(target))?;
            ensure!(ground.get("/x").send()?.status == 403, "{target}");
        }
        let sum = load.end()?;
        ensure!(
            ground.requests("v") == before,
            "{} of {sum:?} have reached a backend",
            ground.requests("v") - before
        );
        ensure!(sum.answered > 100 * MOVES as u64, "{sum:?}");
        // Without it they would have.
        ground.withdraw(&["moving"])?;
        ensure!(ground.get("/after").send()?.status == 200);
        ensure!(ground.requests("v") == before + 1);
        Ok(())
    })
}
