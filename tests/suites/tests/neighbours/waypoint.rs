//! A waypoint on the node of its clients and of its backends: a join goes past no waypoint.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use lab::{PodSpec, eventually};
use suites::policy::PATIENCE;
use suites::traffic::{get, url};
use suites::waypoint::Ground;
use suites::waypoint::ground::{HTTP, backend, service};

use super::counted;

/// Where the waypoint's first pod is.
const NODE: usize = 1;

const CLOSED: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: closed, namespace: shop}
spec:
  targetRefs: [{kind: Service, group: '', name: web}]
  action: DENY
  rules: [{to: [{operation: {paths: [/closed]}}]}]
";

#[test]
fn a_waypoint_of_the_same_node_is_not_passed_by() -> Result<()> {
    let builder = Ground::bare("joinway")
        .pod(PodSpec::new("caller").node(NODE).namespace("shop"))
        .echo(backend("v1", NODE, "v1"))
        .service(
            service("web")
                .named_port("http-web", HTTP, 8080)
                .backend("v1"),
        );
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    let [_, near] = &ground.ztunnels;
    ground.lab.scenario(|| {
        ground.apply("closed", CLOSED)?;
        let open = ground.get("/open").from("caller").send()?;
        ensure!(open.status == 200, "{open:?}");
        let closed = ground.get("/closed").from("caller").send()?;
        ensure!(closed.status == 403, "{closed:?}");
        ground.access("/closed")?;
        // The client's side has a tunnel to the waypoint, the backend's one from it.
        ensure!(counted(near, "same_node")? == [0.0, 0.0]);
        ensure!(
            counted(near, "mutual_tls")?
                .iter()
                .all(|tunnels| *tunnels > 0.5)
        );
        ensure!(
            near.metric("ambit_joins_total", &[])? < 0.5,
            "nobody was even asked"
        );

        // The pod's own address has no waypoint before it: there they are joined.
        let address = SocketAddr::new(ground.pod("v1").ip4().into(), 8080);
        get(
            &ground.pod("caller"),
            &url(address.ip(), address.port(), "/direct"),
        )?;
        eventually("joined", PATIENCE, || {
            ensure!(counted(near, "same_node")? == [1.0, 1.0]);
            Ok(())
        })
    })
}
