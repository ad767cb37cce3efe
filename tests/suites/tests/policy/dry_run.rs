//! Dry run: said, and never enforced.

use anyhow::{Result, ensure};
use lab::{Capture, Start};
use serde_json::{Value, json};
use suites::policy::{Call, Fields, Mark, Seen, Town, policy};

const ENABLED: &str = "AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY";
const AT_INFO: &str = "AUTHZ_POLICY_INFO_LOGGING";

fn dry(name: &str, action: &str, one: Value) -> Value {
    let mut policy = policy(name, action, json!([[[one]]]));
    policy["dryRun"] = true.into();
    policy
}

/// Whoever calls is answered; returns the dry-run lines that came of it.
fn call_all(town: &Town) -> Result<Vec<Fields>> {
    let far = Mark::now(&town.far);
    for from in ["client", "other", "legacy"] {
        let (seen, local) = town.probe(from, town.at("server", 8080))?;
        ensure!(seen == Seen::Answered, "{from} was refused by a dry run");
        // The access log line is written after all that is logged of the connection before.
        let of = town.pod(from);
        let ended = match from {
            "legacy" => format!("src.addr={local} "),
            _ => format!("src.identity=\"{}\"", of.identity()),
        };
        far.wait(
            &town.far,
            &["\taccess\t", "connection complete", "inbound", &ended],
            1,
        )?;
    }
    far.lines(&town.far, &["\tdry-run\t"])
        .iter()
        .map(|line| Fields::parse(line))
        .collect()
}

pub(crate) fn logged(capture: Capture) -> Result<()> {
    let start = Start::default().env(ENABLED, "true").env(AT_INFO, "true");
    let Some(town) = Town::captured(capture, "dry", &Start::default(), &start)? else {
        return Ok(());
    };
    let mut open = Call::open(&town.pod("client"), town.at("server", 8080))?;
    assert_eq!(open.ping()?, Seen::Answered);
    town.enforce(&[dry("try-deny", "Deny", json!({"namespaces": ["default"]}))])?;
    let lines = call_all(&town)?;
    let results: Vec<_> = lines
        .iter()
        .map(|line| line.get("result"))
        .collect::<Result<_>>()?;
    assert_eq!(
        results,
        ["explicitly denied by: prod/try-deny", "allowed", "allowed"]
    );
    for line in &lines {
        assert_eq!(line.level, "info");
        assert!(
            line.get("src")?.starts_with("10.10.1.") && line.get("dst")?.starts_with("10.10.2."),
            "{line:?}"
        );
    }

    town.enforce(&[dry("try-allow", "Allow", json!({"namespaces": ["other"]}))])?;
    let results: Vec<_> = call_all(&town)?
        .iter()
        .map(|line| line.get("result").map(str::to_owned))
        .collect::<Result<_>>()?;
    let not = "allow policies exist, but none allowed";
    assert_eq!(results, [not, "allowed", not]);

    // Beside one that is enforced, of which alone the callers notice something.
    town.enforce(&[
        dry("try-more", "Deny", json!({"principals": ["*"]})),
        policy("enforced", "Deny", json!([[[{"namespaces": ["other"]}]]])),
    ])?;
    let far = Mark::now(&town.far);
    assert_eq!(
        town.probe("client", town.at("server", 8080))?.0,
        Seen::Answered
    );
    assert_eq!(
        town.probe("other", town.at("server", 8080))?.0,
        Seen::Closed
    );
    far.wait(
        &town.far,
        &["\tdry-run\t", "explicitly denied by: prod/try-more"],
        1,
    )?;
    assert_eq!(
        open.ping()?,
        Seen::Answered,
        "an open connection is not cut by a dry run"
    );
    town.wait_flag("istio_tcp_connections_closed_total", "DENY", 1)
}

#[test]
fn dry_run_is_logged_and_never_enforced() -> Result<()> {
    logged(Capture::Agent)
}

#[test]
fn dry_run_is_off_unless_it_is_asked_for() -> Result<()> {
    let start = Start::default()
        .env(AT_INFO, "true")
        .env("RUST_LOG", "debug");
    let Some(town) = Town::build("dry-off", &Start::default(), &start)? else {
        return Ok(());
    };
    town.enforce(&[dry("try", "Deny", json!({"sourceIps": ["0.0.0.0/0"]}))])?;
    assert_eq!(call_all(&town)?, []);
    Ok(())
}

#[test]
fn dry_run_speaks_at_debug_unless_it_is_asked_to_speak_up() -> Result<()> {
    let start = Start::default()
        .env(ENABLED, "true")
        .env("RUST_LOG", "debug");
    let Some(town) = Town::build("dry-quiet", &Start::default(), &start)? else {
        return Ok(());
    };
    town.enforce(&[dry("try", "Deny", json!({"sourceIps": ["0.0.0.0/0"]}))])?;
    let lines = call_all(&town)?;
    assert_eq!(lines.len(), 3);
    for line in lines {
        assert_eq!(
            (line.level.as_str(), line.get("result")?),
            ("debug", "explicitly denied by: prod/try")
        );
    }
    Ok(())
}
