//! Edits of manifests while connections are open. Times are printed, not asserted: the goal is a second.

use anyhow::{Result, ensure};
use lab::{Start, eventually};
use suites::plane::{findings, names, remove, timed, wait_finding, wait_policy, write};
use suites::policy::{Call, PATIENCE, Seen, Town};
use suites::traffic::speaks;

/// A policy with one rule.
fn deny(action: &str, rule: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: keep-out\n  namespace: prod\n\
         spec:\n  action: {action}\n  rules:\n  - {rule}\n"
    )
}

const OTHERS: &str = "from: [{source: {namespaces: [other]}}]";

fn open(town: &Town, from: &str, port: u16) -> Result<Call> {
    let mut call = Call::open(&town.pod(from), town.at("server", port))?;
    ensure!(
        call.ping()? == Seen::Answered,
        "{from} was refused on {port}"
    );
    Ok(call)
}

fn refused(town: &Town, from: &str, port: u16) -> Result<()> {
    let (seen, _) = town.probe(from, town.at("server", port))?;
    ensure!(seen == Seen::Closed, "{from} was let in on {port}");
    Ok(())
}

#[test]
fn a_policy_in_a_file_holds_for_open_connections_and_new_ones() -> Result<()> {
    let Some(town) = Town::build("edit", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    town.lab.scenario(|| {
        let controller = town.lab.controller()?;
        let (mut stays, mut cut) = (open(&town, "client", 8080)?, open(&town, "other", 8080)?);

        timed(
            "a policy that comes, until an open connection is cut",
            || {
                write(&town.lab, "keep-out", &deny("DENY", OTHERS))?;
                cut.wait_end(PATIENCE)
            },
        )?;
        refused(&town, "other", 8080)?;
        ensure!(
            stays.ping()? == Seen::Answered,
            "the client was cut as well"
        );

        // Misspelt: the object is left out, and its last good version holds.
        write(&town.lab, "keep-out", &deny("ALLOWED", OTHERS))?;
        let (left_out, text) = wait_finding(&controller, &["keep-out"])?;
        ensure!(left_out, "{text}");
        for part in [
            "keep-out.yaml:7:",
            "AuthorizationPolicy prod/keep-out",
            "spec.action",
            "ALLOWED",
            "DENY",
        ] {
            ensure!(text.contains(part), "no {part:?} in {text}");
        }
        controller.wait_log(&["error", "keep-out.yaml:7:", "spec.action"], PATIENCE)?;
        refused(&town, "other", 8080)?;
        ensure!(names(&town.far, "policies")? == ["keep-out"]);

        // Not even YAML: everything in that file stays as it was.
        write(&town.lab, "keep-out", "apiVersion: [security")?;
        let (left_out, text) = wait_finding(&controller, &["keep-out.yaml:1:"])?;
        ensure!(left_out, "{text}");
        refused(&town, "other", 8080)?;

        // Within a rule, a field that Istio does not have: the rule would mean more than what was written.
        let unknown = deny("DENY", "to: [{operation: {ports: ['1'], port: 1}}]");
        write(&town.lab, "keep-out", &unknown)?;
        let (left_out, text) = wait_finding(&controller, &["keep-out.yaml:9:", "operation.port:"])?;
        ensure!(left_out, "{text}");
        ensure!(text.contains("AuthorizationPolicy prod/keep-out"), "{text}");
        refused(&town, "other", 8080)?;

        // Elsewhere it is warned of by its path; the rest holds, as in a cluster.
        let unknown = deny("DENY", "to: [{operation: {ports: ['1']}}]");
        let unknown = format!("{}\n  severity: high\n", unknown.trim_end());
        write(&town.lab, "keep-out", &unknown)?;
        let (left_out, text) = wait_finding(&controller, &["keep-out.yaml:", "spec.severity:"])?;
        ensure!(!left_out, "{text}");
        eventually("the rest of it", PATIENCE, || {
            open(&town, "other", 8080).map(drop)
        })?;

        // Mended with another rule: the old one goes, the new one comes.
        let mut cut = open(&town, "client", 9090)?;
        let mended = deny("DENY", "to: [{operation: {ports: ['9090']}}]");
        timed(
            "a policy that is mended, until an open connection is cut",
            || {
                write(&town.lab, "keep-out", &mended)?;
                cut.wait_end(PATIENCE)
            },
        )?;
        ensure!(findings(&controller, &["keep-out"])?.is_empty());
        drop(open(&town, "other", 8080)?);

        timed("a file that is removed, until its policy is gone", || {
            remove(&town.lab, "keep-out")?;
            wait_policy(&town.far, "keep-out", false)
        })?;
        drop(open(&town, "client", 9090)?);
        ensure!(
            stays.ping()? == Seen::Answered,
            "the client was cut in the end"
        );
        Ok(())
    })
}

/// Peer authentication of namespace `prod`.
fn strict(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: {name}\n  namespace: prod\n\
         spec:\n  mtls:\n    mode: STRICT\n{rest}"
    )
}

#[test]
fn strict_peer_authentication_keeps_plain_text_out_and_spares_a_port_that_is_said() -> Result<()> {
    let Some(town) = Town::build("strict", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    town.lab.scenario(|| {
        let (mut plain, mut kept) = (open(&town, "legacy", 8080)?, open(&town, "client", 8080)?);
        timed("STRICT, until an open plain connection is cut", || {
            write(&town.lab, "strict", &strict("default", ""))?;
            plain.wait_end(PATIENCE)
        })?;
        refused(&town, "legacy", 8080)?;
        refused(&town, "legacy", 9090)?;
        ensure!(kept.ping()? == Seen::Answered, "mutual TLS was cut");

        // A port of some pods is spared.
        let port = "  selector:\n    matchLabels: {service.istio.io/canonical-name: server}\n  \
                    portLevelMtls:\n    9090: {mode: PERMISSIVE}\n";
        write(&town.lab, "port", &strict("port", port))?;
        eventually("a port that is spared", PATIENCE, || {
            open(&town, "legacy", 9090).map(drop)
        })?;
        refused(&town, "legacy", 8080)?;
        let shut = town.probe("legacy", town.at("neighbour", 9090))?.0;
        ensure!(shut == Seen::Closed, "the port of another pod was opened");

        remove(&town.lab, "port")?;
        remove(&town.lab, "strict")?;
        eventually("plain text again", PATIENCE, || {
            open(&town, "legacy", 8080).map(drop)
        })?;
        ensure!(kept.ping()? == Seen::Answered);
        Ok(())
    })
}

/// A Service that selects pods by their canonical name.
fn service(selects: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: moving, namespace: prod}}\nspec:\n  clusterIP: 10.96.77.7\n  \
         selector: {{service.istio.io/canonical-name: {selects}}}\n  ports: [{{name: tcp, port: 80, targetPort: 8080}}]\n"
    )
}

#[test]
fn labels_and_selectors_move_what_they_select() -> Result<()> {
    let Some(town) = Town::build("labels", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    town.lab.scenario(|| {
        // A service that moves from one pod to another.
        let vip = "10.96.77.7:80".parse()?;
        let reach = |count: &dyn Fn() -> usize| {
            eventually("the service leads there", PATIENCE, || {
                let before = count();
                let (seen, _) = town.probe("client", vip)?;
                ensure!(seen == Seen::Answered && count() == before + 1);
                Ok(())
            })
        };
        write(&town.lab, "moving", &service("server"))?;
        reach(&|| town.server.accepted())?;
        let mut kept = Call::open(&town.pod("client"), vip)?;
        ensure!(kept.ping()? == Seen::Answered);
        timed(
            "another selector, until new connections go elsewhere",
            || {
                write(&town.lab, "moving", &service("neighbour"))?;
                reach(&|| town.neighbour.accepted())
            },
        )?;
        let settled = town.server.accepted();
        for _ in 0..20 {
            ensure!(town.probe("client", vip)?.0 == Seen::Answered);
        }
        ensure!(
            town.server.accepted() == settled,
            "the old pod still gets some"
        );
        ensure!(kept.ping()? == Seen::Answered, "what was open was cut");
        // It selects nobody: it fails, and goes nowhere else.
        write(&town.lab, "moving", &service("nobody"))?;
        eventually("no healthy upstream", PATIENCE, || {
            ensure!(town.probe("client", vip)?.0 == Seen::Closed);
            Ok(())
        })?;
        town.near
            .wait_log(&["no healthy upstream", "moving"], PATIENCE)?;
        remove(&town.lab, "moving")?;
        eventually("no such service", PATIENCE, || {
            ensure!(!names(&town.near, "services")?.contains(&"moving".to_owned()));
            Ok(())
        })?;

        // A pod that leaves the mesh by its label, and comes back.
        let protocol = |expected: &str| speaks(&town.near, "server", expected);
        protocol("HBONE")?;
        town.lab.unenrol("server")?;
        protocol("TCP")?;
        drop(open(&town, "client", 8080)?);
        let to = format!("dst.addr={}", town.at("server", 8080));
        town.near
            .wait_log(&["connection complete", "outbound", &to], PATIENCE)?;
        town.lab.enrol("server")?;
        protocol("HBONE")?;
        drop(open(&town, "client", 8080)?);
        let tunnel = format!("dst.hbone_addr={}", town.at("server", 8080));
        town.near
            .wait_log(&["connection complete", "outbound", &tunnel], PATIENCE)?;
        Ok(())
    })
}
