//! The local file: followed while traffic flows, refused whole where it is wrong.

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Config, ServiceSpec, Start, Ztunnel, eventually};
use serde_json::{Value, json};
use suites::policy::{Call, Fields, Flow, Mark, PATIENCE, Seen, Town, policy};

const SERVICE: &str = "prod/server.prod.svc.cluster.local";

fn town(name: &str) -> Result<Option<Town>> {
    captured(Capture::Agent, name)
}

fn captured(capture: Capture, name: &str) -> Result<Option<Town>> {
    let start = Start::default();
    Town::on(Config::File, capture, name, &start, &start)
}

/// What a ztunnel says of the file.
fn status(ztunnel: &Ztunnel) -> Result<Value> {
    Ok(ztunnel.config_dump()?["staticConfig"].clone())
}

/// Waits until both ztunnels have accepted one version more than `before`.
fn wait_accepted(town: &Town, before: [u64; 2]) -> Result<()> {
    for (ztunnel, before) in [&town.near, &town.far].into_iter().zip(before) {
        eventually("the file accepted", PATIENCE, || {
            let status = status(ztunnel)?;
            let accepted = status["accepted"].as_u64() > Some(before);
            ensure!(accepted && status["lastError"].is_null(), "{status}");
            Ok(())
        })?;
    }
    Ok(())
}

fn accepted(town: &Town) -> Result<[u64; 2]> {
    let of = |ztunnel| -> Result<u64> { status(ztunnel)?["accepted"].as_u64().context("accepted") };
    Ok([of(&town.near)?, of(&town.far)?])
}

fn moves(capture: Capture) -> Result<()> {
    let Some(town) = captured(capture, "moves")? else {
        return Ok(());
    };
    let (client, vip) = (town.pod("client"), (town.vip()?, 80).into());
    let flow = Flow::start(&client, vip)?;
    flow.goes_on()?;
    assert_eq!(town.neighbour.accepted(), 0);

    // To the neighbour. The connection that the flow keeps open stays where it is.
    let before = accepted(&town)?;
    town.lab.change(|mesh| -> Result<()> {
        mesh.workload("server")?["services"] = json!({});
        mesh.workload("neighbour")?["services"] = json!({SERVICE: {"80": 8080}});
        Ok(())
    })??;
    wait_accepted(&town, before)?;
    flow.goes_on()?;
    let old = town.server.accepted();
    flow.goes_on()?;
    assert!(town.neighbour.accepted() >= 5);
    assert_eq!(
        town.server.accepted(),
        old,
        "new connections still go to the old endpoint"
    );

    // To both.
    let before = accepted(&town)?;
    town.lab.change(|mesh| -> Result<()> {
        mesh.workload("server")?["services"] = json!({SERVICE: {"80": 9090}});
        Ok(())
    })??;
    wait_accepted(&town, before)?;
    lab::until("both endpoints to be chosen", PATIENCE, || {
        town.server.accepted() > old + 2
    })?;
    flow.goes_on()?;

    // Unhealthy first, as in a cluster: nobody is sent there any more, and what is open stays.
    let before = accepted(&town)?;
    let mut to_gone = Call::open(&client, town.at("neighbour", 9090))?;
    assert_eq!(to_gone.ping()?, Seen::Answered);
    town.lab.change(|mesh| -> Result<()> {
        mesh.workload("neighbour")?["status"] = json!("Unhealthy");
        Ok(())
    })??;
    wait_accepted(&town, before)?;
    // One call may have been on its way.
    flow.goes_on()?;
    let old = town.neighbour.accepted();
    flow.goes_on()?;
    assert_eq!(town.neighbour.accepted(), old, "it is still chosen");
    assert_eq!(to_gone.ping()?, Seen::Answered);

    // Then gone: what is open to it is cut, as nobody can say any more who it is.
    let (before, far) = (accepted(&town)?, Mark::now(&town.far));
    town.lab.change(|mesh| mesh.remove_pod("neighbour"))?;
    wait_accepted(&town, before)?;
    to_gone.wait_end(PATIENCE)?;
    let gone = "connection closed due to policy rejection: workload not found";
    far.wait(&town.far, &[gone, "dst.hbone_addr=10.10.2.11:9090 "], 1)?;
    flow.goes_on()?;
    flow.finish()
}

#[test]
fn a_service_moves_to_another_endpoint_while_traffic_flows() -> Result<()> {
    moves(Capture::Agent)
}

#[test]
fn a_service_moves_to_another_endpoint_while_traffic_flows_under_iptables_capture() -> Result<()> {
    moves(Capture::Iptables)
}

#[test]
fn a_service_moves_to_another_endpoint_while_traffic_flows_under_ebpf_capture() -> Result<()> {
    moves(Capture::Ebpf)
}

#[test]
fn a_new_service_is_reached_as_soon_as_it_is_there() -> Result<()> {
    let Some(town) = town("new-service")? else {
        return Ok(());
    };
    let flow = Flow::start(&town.pod("client"), (town.vip()?, 80).into())?;
    let late = ServiceSpec::new("late")
        .namespace("prod")
        .port(81, 9090)
        .backend("server");
    // Its address before it has it.
    let mut preview = town.lab.mesh();
    let vip = (preview.service(&late).ip4, 81).into();
    let (seen, _) = town.probe("client", vip)?;
    assert_eq!(seen, Seen::Closed);
    let before = accepted(&town)?;
    town.lab.publish(preview)?;
    wait_accepted(&town, before)?;
    let near = Mark::now(&town.near);
    assert_eq!(town.probe("client", vip)?.0, Seen::Answered);
    near.wait(
        &town.near,
        &["dst.service=\"late.prod.svc.cluster.local\""],
        1,
    )?;
    flow.finish()
}

/// What is wrong, the text to look for, what stands there instead, and what the log must say besides the line.
struct Mistake {
    good: &'static str,
    bad: &'static str,
    field: &'static str,
    error: &'static str,
}

const MISTAKES: [Mistake; 5] = [
    Mistake {
        good: "\"protocol\": \"HBONE\"",
        bad: "\"protocol\": \"HBON\"",
        field: "workloads[0].protocol",
        error: "found \"HBON\", expected HBONE or TCP",
    },
    Mistake {
        good: "\"serviceAccount\"",
        bad: "\"serviceAcount\"",
        field: "workloads[0].serviceAcount",
        error: "unknown field (did you mean serviceAccount?), expected one of ",
    },
    Mistake {
        good: "\"fd00:10:1::a\"",
        bad: "\"fd00:10:1:::a\"",
        field: "workloads[0].workloadIps[1]",
        error: "found \"fd00:10:1:::a\", expected ",
    },
    Mistake {
        good: "\"principals\"",
        bad: "\"principls\"",
        field: "policies[0].rules[0][0][0].principls",
        error: "unknown field (did you mean principals?), expected one of ",
    },
    Mistake {
        good: "\"Deny\"",
        bad: "7",
        field: "policies[0].action",
        error: "found \"7\", expected Allow or Deny",
    },
];

#[test]
fn a_file_with_a_mistake_is_refused_by_line_and_field_and_the_old_one_stays() -> Result<()> {
    let Some(town) = town("mistakes")? else {
        return Ok(());
    };
    let rules = json!([[[{"principals": ["cluster.local/ns/other/sa/other"]}]]]);
    town.enforce(&[policy("no-other", "Deny", rules)])?;
    let flow = Flow::start(&town.pod("client"), (town.vip()?, 80).into())?;
    let good = town.lab.mesh().to_yaml();
    let before = town.far.config_dump()?;
    for mistake in &MISTAKES {
        let at = good
            .find(mistake.good)
            .with_context(|| format!("{} in\n{good}", mistake.good))?;
        let line = good[..at].lines().count();
        let text = good.replacen(mistake.good, mistake.bad, 1);
        for ztunnel in refuse(&town, &text, &[mistake.field, mistake.error])? {
            assert_eq!(ztunnel.get("line")?, line.to_string(), "{ztunnel:?}");
            assert_eq!(ztunnel.get("field")?, mistake.field, "{ztunnel:?}");
        }
        flow.goes_on()?;
        assert_eq!(
            town.probe("other", town.at("server", 8080))?.0,
            Seen::Closed,
            "the old policy is not in force"
        );
    }
    // What is no YAML, nothing, or half of a file.
    refuse(&town, "workloads: [", &["malformed YAML"])?;
    refuse(&town, "", &["expected"])?;
    refuse(&town, "workloads:\n", &["workloads"])?;
    refuse(&town, &good[..good.len() / 2], &["malformed YAML"])?;
    let far = Mark::now(&town.far);
    std::fs::remove_file(town.lab.mesh_path())?;
    far.wait(
        &town.far,
        &[
            "error",
            "refused",
            "cannot be read, expected a readable file",
        ],
        1,
    )?;
    flow.goes_on()?;
    let after = town.far.config_dump()?;
    for part in ["workloads", "services", "policies", "snapshotVersion"] {
        assert_eq!(after[part], before[part], "{part} after refused files");
    }

    // A good one recovers.
    let accepted = accepted(&town)?;
    town.lab
        .change(|mesh| mesh.remove_policy("prod", "no-other"))?;
    wait_accepted(&town, accepted)?;
    assert_eq!(
        town.probe("other", town.at("server", 8080))?.0,
        Seen::Answered
    );
    flow.finish()
}

/// Publishes a bad file and returns the line with which each ztunnel refuses it.
fn refuse(town: &Town, text: &str, said: &[&str]) -> Result<Vec<Fields>> {
    let marks = [
        (&town.near, Mark::now(&town.near)),
        (&town.far, Mark::now(&town.far)),
    ];
    town.lab.publish_text(text)?;
    let mut lines = Vec::new();
    for (ztunnel, mark) in marks {
        let refused = "configuration file refused, the last good one stays in force";
        let line = mark.wait(ztunnel, &[refused], 1)?.remove(0);
        let parsed = Fields::parse(&line)?;
        ensure!(parsed.level == "error", "{line}");
        ensure!(
            parsed.get("file")? == town.lab.mesh_path().display().to_string(),
            "{line}"
        );
        for said in said {
            ensure!(
                parsed.get("error")?.contains(said),
                "{said} is missing: {line}"
            );
        }
        let status = status(ztunnel)?;
        let shown = status["lastError"]["error"].as_str().unwrap_or_default();
        ensure!(
            said.iter().all(|said| shown.contains(said)),
            "/config_dump: {status}"
        );
        lines.push(parsed);
    }
    Ok(lines)
}

#[test]
fn a_first_file_with_a_mistake_keeps_ztunnel_unready_until_it_is_mended() -> Result<()> {
    let Some(town) = town("first")? else {
        return Ok(());
    };
    town.near.kill()?;
    let good = town.lab.mesh().to_yaml();
    town.lab.publish_text("policies: {}")?;
    town.near.restart()?;
    let refused = ["configuration file refused, nothing of it is in force"];
    town.near.wait_log(&refused, PATIENCE)?;
    let ready = (std::net::Ipv4Addr::LOCALHOST, 15021).into();
    eventually("the endpoint to say what is missing", PATIENCE, || {
        let response = town.lab.node(0).http("GET", ready, "/healthz/ready")?;
        let text = response.text();
        ensure!(
            response.status == 503 && text.contains("configuration"),
            "{} {text}",
            response.status
        );
        // The agent has been heard meanwhile, so it is the configuration alone.
        ensure!(!text.contains("agent"), "{text}");
        Ok(())
    })?;
    town.lab.publish_text(&good)?;
    town.near.wait_ready()?;
    assert_eq!(
        town.probe("client", town.at("server", 8080))?.0,
        Seen::Answered
    );
    Ok(())
}

#[test]
fn the_configuration_may_stand_in_the_environment() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = lab::Lab::builder("inline")
        .pod(lab::PodSpec::new("client"))
        .pod(lab::PodSpec::new("server").node(1))
        .config(Config::File)
        .build()?;
    let text = lab.mesh().to_yaml();
    // Nobody is to read the file.
    std::fs::remove_file(lab.mesh_path())?;
    let start = Start::default()
        .env_remove("LOCAL_XDS_PATH")
        .env("LOCAL_XDS", text);
    let [near, _far] = lab.start_ztunnels(&start)?;
    let server = lab.pod("server");
    let _echo = suites::policy::Echo::start(&server, &[8080])?;
    let mut call = Call::open(&lab.pod("client"), (server.ip4(), 8080).into())?;
    assert_eq!(call.ping()?, Seen::Answered);
    drop(call);
    near.wait_log(&["connection complete", "dst.hbone_addr"], PATIENCE)?;
    let status = status(&near)?;
    assert_eq!(
        (&status["source"], &status["accepted"]),
        (&json!("LOCAL_XDS"), &json!(1))
    );

    let bad = Start::default()
        .env_remove("LOCAL_XDS_PATH")
        .env("LOCAL_XDS", "workloads:\n- uid: 1\n  nam: x\n");
    near.kill()?;
    let refused = lab.spawn_ztunnel(0, &bad)?;
    refused.wait_log(
        &[
            "refused, nothing of it is in force",
            "LOCAL_XDS:",
            "did you mean name?",
        ],
        PATIENCE,
    )?;
    assert!(!refused.ready());
    Ok(())
}
