//! Discovery on demand (`XDS_ON_DEMAND`): a ztunnel knows what it was asked for, and nothing else.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use lab::{Start, eventually};
use suites::plane::{ADDRESS, AUTHORIZATION};
use suites::plane::{client, names, timed, wait_synced, write};
use suites::policy::{Call, Echo, PATIENCE, Seen, Town};

fn service(selects: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: asked, namespace: prod}}\nspec:\n  clusterIP: 10.96.77.8\n  \
         selector: {{service.istio.io/canonical-name: {selects}}}\n  ports: [{{name: tcp, port: 80, targetPort: 8080}}]\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: unasked, namespace: prod}}\nspec:\n  clusterIP: 10.96.77.9\n  \
         selector: {{service.istio.io/canonical-name: shop}}\n  ports: [{{name: tcp, port: 80, targetPort: 8080}}]\n"
    )
}

#[test]
fn what_is_known_is_what_was_asked_for_and_the_unknown_is_not_passed_through_unanswered()
-> Result<()> {
    let start = Start::default().env("XDS_ON_DEMAND", "true");
    let Some(town) = Town::build("demand", &start, &start)? else {
        return Ok(());
    };
    town.lab.scenario(|| {
        let controller = town.lab.controller()?;
        let outside = Echo::start(town.lab.outside(), &[7777])?;
        let _other = Echo::start(&town.pod("other"), &[8080])?;
        write(&town.lab, "services", &service("server"))?;
        let asked: SocketAddr = "10.96.77.8:80".parse()?;
        let answered = |from: &str, to: SocketAddr| -> Result<()> {
            let (seen, _) = town.probe(from, to)?;
            ensure!(seen == Seen::Answered, "{from} to {to}: {}", town.near.log_tail());
            Ok(())
        };

        // By address, by VIP, to the outside and to a neighbour on the own node; each is asked for once.
        timed("the first connection to a pod", || answered("client", town.at("server", 8080)))?;
        timed("the second", || answered("client", town.at("server", 8080)))?;
        eventually("the service is there", PATIENCE, || answered("client", asked))?;
        let server = town.server.accepted();
        answered("client", asked)?;
        ensure!(town.server.accepted() == server + 1);
        let there = SocketAddr::new(town.lab.outside_addresses().ip4.into(), 7777);
        timed("the first connection outside", || answered("client", there))?;
        ensure!(outside.accepted() == 1);
        answered("client", town.at("other", 8080))?;
        let tunnel = format!("dst.hbone_addr={}", town.at("server", 8080));
        town.near.wait_log(&["connection complete", "outbound", &tunnel], PATIENCE)?;

        // Nothing else is known, but all policies are.
        let workloads = names(&town.near, "workloads")?;
        for known in ["client", "server"] {
            ensure!(workloads.iter().any(|it| it == known), "{workloads:?}");
        }
        for unknown in ["shop", "neighbour"] {
            ensure!(workloads.iter().all(|it| it != unknown), "{workloads:?}");
        }
        let services = names(&town.near, "services")?;
        ensure!(services.iter().all(|it| it != "unasked"), "{services:?}");
        let proxy = client(&controller, "node1")?;
        ensure!(proxy["resources"][ADDRESS]["subscription"] == "on-demand", "{proxy:#}");
        ensure!(proxy["resources"][AUTHORIZATION]["subscription"] == "wildcard", "{proxy:#}");

        // A change reaches what was asked for.
        timed("another endpoint of a service that was asked for", || {
            write(&town.lab, "services", &service("neighbour"))?;
            eventually("the other endpoint", PATIENCE, || {
                let before = town.neighbour.accepted();
                ensure!(town.probe("client", asked)?.0 == Seen::Answered);
                ensure!(town.neighbour.accepted() == before + 1);
                Ok(())
            })
        })?;
        let deny = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: no-9090, namespace: prod}\n\
                    spec: {action: DENY, rules: [{to: [{operation: {ports: ['9090']}}]}]}\n";
        let mut cut = Call::open(&town.pod("client"), town.at("server", 9090))?;
        ensure!(cut.ping()? == Seen::Answered);
        write(&town.lab, "no-9090", deny)?;
        cut.wait_end(PATIENCE)?;

        // Without a controller nobody can say who an unknown address is: it is refused. What is known goes on.
        wait_synced(&controller)?;
        controller.kill()?;
        lab::until("the loss is seen", PATIENCE, || {
            town.near.metric("ambit_xds_age_seconds", &[]).is_ok_and(|age| age >= 1.0)
        })?;
        let shop = town.at("shop", 8080);
        timed("a refusal while the controller is away", || {
            let (seen, _) = town.probe("client", shop)?;
            ensure!(seen == Seen::Closed, "an unknown pod was reached");
            Ok(())
        })?;
        ensure!(town.shop.accepted() == 0, "in plain text, even");
        let never = SocketAddr::new(town.lab.outside_addresses().ip6.into(), 7777);
        ensure!(town.probe("client", never)?.0 == Seen::Closed);
        ensure!(outside.accepted() == 1, "it was passed through without an answer");
        for known in [town.at("server", 8080), town.at("other", 8080), asked, there] {
            answered("client", known)?;
        }
        controller.restart()?;
        eventually("the unknown pod", PATIENCE, || answered("client", shop))
    })
}
