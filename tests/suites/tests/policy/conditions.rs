//! Every condition, through tunnels and in plain text: one table, and for each refusal of it what the client, its
//! ztunnel, the destination's ztunnel and the application saw.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Config, Start};
use serde_json::{Value, json};
use suites::policy::{Fields, Mark, Seen, Town, log, policy};

/// The callers of every case: who, over which family, to which port of `server`.
const CALLERS: [Caller; 7] = [
    Caller {
        label: "client",
        pod: "client",
        port: 8080,
        v6: false,
    },
    Caller {
        label: "client:9090",
        pod: "client",
        port: 9090,
        v6: false,
    },
    Caller {
        label: "client/6",
        pod: "client",
        port: 8080,
        v6: true,
    },
    Caller {
        label: "other",
        pod: "other",
        port: 8080,
        v6: false,
    },
    Caller {
        label: "legacy",
        pod: "legacy",
        port: 8080,
        v6: false,
    },
    Caller {
        label: "legacy:9090",
        pod: "legacy",
        port: 9090,
        v6: false,
    },
    Caller {
        label: "legacy/6",
        pod: "legacy",
        port: 8080,
        v6: true,
    },
];
const CLIENT: [&str; 3] = ["client", "client:9090", "client/6"];
const LEGACY: [&str; 3] = ["legacy", "legacy:9090", "legacy/6"];
const MESH: [&str; 4] = ["client", "client:9090", "client/6", "other"];
const NOT_CLIENT: [&str; 4] = ["other", "legacy", "legacy:9090", "legacy/6"];
const ON_9090: [&str; 2] = ["client:9090", "legacy:9090"];
const NOT_9090: [&str; 5] = ["client", "client/6", "other", "legacy", "legacy/6"];
const OVER_6: [&str; 2] = ["client/6", "legacy/6"];
const OVER_4: [&str; 5] = ["client", "client:9090", "other", "legacy", "legacy:9090"];
const ALL: [&str; 7] = [
    "client",
    "client:9090",
    "client/6",
    "other",
    "legacy",
    "legacy:9090",
    "legacy/6",
];

#[derive(Clone, Copy)]
struct Caller {
    label: &'static str,
    pod: &'static str,
    port: u16,
    v6: bool,
}

impl Caller {
    fn is_in_mesh(self) -> bool {
        self.pod != "legacy"
    }

    fn destination(self, town: &Town) -> SocketAddr {
        let server = town.pod("server");
        let ip = if self.v6 {
            server.ip6().into()
        } else {
            server.ip4().into()
        };
        SocketAddr::new(ip, self.port)
    }
}

/// One match in one clause in one rule.
fn only(one: Value) -> Value {
    json!([[[one]]])
}

/// The table of DENY policies: rules, and who is refused by them.
fn denials(town: &Town) -> Vec<(Value, Vec<&'static str>)> {
    let (client4, client6) = (town.pod("client").ip4(), town.pod("client").ip6());
    let (server4, server6) = (town.pod("server").ip4(), town.pod("server").ip6());
    let legacy4 = town.pod("legacy").ip4();
    vec![
        (
            only(json!({"principals": ["cluster.local/ns/default/sa/client"]})),
            CLIENT.to_vec(),
        ),
        (
            only(json!({"principals": ["spiffe://cluster.local/ns/default/sa/client"]})),
            CLIENT.to_vec(),
        ),
        (
            only(json!({"principals": ["cluster.local/ns/other/*"]})),
            vec!["other"],
        ),
        (
            only(json!({"principals": ["*/sa/client"]})),
            CLIENT.to_vec(),
        ),
        (only(json!({"principals": ["*"]})), MESH.to_vec()),
        // A part of a name is not the name.
        (
            only(json!({"principals": ["cluster.local/ns/default/sa/clien"]})),
            vec![],
        ),
        (
            only(json!({"notPrincipals": ["cluster.local/ns/default/sa/client"]})),
            NOT_CLIENT.to_vec(),
        ),
        (
            only(json!({"notPrincipals": ["cluster.local/ns/default/*"]})),
            NOT_CLIENT.to_vec(),
        ),
        (
            only(json!({"notPrincipals": ["*/sa/client", "*/sa/other"]})),
            LEGACY.to_vec(),
        ),
        (only(json!({"notPrincipals": ["*"]})), LEGACY.to_vec()),
        (only(json!({"namespaces": ["other"]})), vec!["other"]),
        (only(json!({"namespaces": ["def*"]})), CLIENT.to_vec()),
        (only(json!({"namespaces": ["*ault"]})), CLIENT.to_vec()),
        (only(json!({"namespaces": ["*"]})), MESH.to_vec()),
        (
            only(json!({"notNamespaces": ["default"]})),
            NOT_CLIENT.to_vec(),
        ),
        (
            only(json!({"notNamespaces": ["o*", "*ault"]})),
            LEGACY.to_vec(),
        ),
        (
            only(json!({"serviceAccounts": ["default/client"]})),
            CLIENT.to_vec(),
        ),
        (
            only(json!({"serviceAccounts": [{"namespace": "other", "serviceAccount": "other"}]})),
            vec!["other"],
        ),
        // Without a namespace it is the policy's, and no caller is of that.
        (only(json!({"serviceAccounts": ["client"]})), vec![]),
        (
            only(json!({"notServiceAccounts": ["default/client"]})),
            NOT_CLIENT.to_vec(),
        ),
        (
            only(json!({"sourceIps": [client4]})),
            vec!["client", "client:9090"],
        ),
        (only(json!({"sourceIps": [client6]})), vec!["client/6"]),
        (
            only(json!({"sourceIps": [legacy4]})),
            vec!["legacy", "legacy:9090"],
        ),
        (
            only(json!({"sourceIps": ["10.10.1.0/24"]})),
            OVER_4.to_vec(),
        ),
        (
            only(json!({"sourceIps": ["fd00:10:1::/64"]})),
            OVER_6.to_vec(),
        ),
        (only(json!({"sourceIps": ["10.10.2.0/24"]})), vec![]),
        (
            only(json!({"notSourceIps": ["10.10.1.0/24"]})),
            OVER_6.to_vec(),
        ),
        (only(json!({"notSourceIps": ["0.0.0.0/0", "::/0"]})), vec![]),
        (only(json!({"destinationIps": [server6]})), OVER_6.to_vec()),
        (
            only(json!({"notDestinationIps": [format!("{server4}/32")]})),
            OVER_6.to_vec(),
        ),
        (only(json!({"destinationPorts": [9090]})), ON_9090.to_vec()),
        (only(json!({"destinationPorts": [80, 15008]})), vec![]),
        (
            only(json!({"notDestinationPorts": [9090]})),
            NOT_9090.to_vec(),
        ),
        // Mutual TLS is demanded, except on one port.
        (
            only(json!({"notPrincipals": ["*"], "notDestinationPorts": [9090]})),
            vec!["legacy", "legacy/6"],
        ),
        // Conditions of a match must all hold,
        (
            only(json!({"namespaces": ["default"], "destinationPorts": [9090]})),
            vec!["client:9090"],
        ),
        (
            only(json!({"principals": ["*"], "notNamespaces": ["other"]})),
            CLIENT.to_vec(),
        ),
        // one match of a clause must,
        (
            json!([[[{"namespaces": ["other"]}, {"destinationPorts": [9090]}]]]),
            vec!["client:9090", "other", "legacy:9090"],
        ),
        // every clause of a rule must,
        (
            json!([[[{"principals": ["*"]}], [{"destinationPorts": [8080]}]]]),
            vec!["client", "client/6", "other"],
        ),
        // and one rule must.
        (
            json!([[[{"namespaces": ["other"]}]], [[{"sourceIps": [legacy4]}]]]),
            vec!["other", "legacy", "legacy:9090"],
        ),
        (json!([]), vec![]),
        (json!([[]]), ALL.to_vec()),
        (json!([[[]]]), ALL.to_vec()),
        (json!([[[{}]]]), vec![]),
    ]
}

/// The table of ALLOW policies: rules, and who is refused although they are there.
fn permissions(town: &Town) -> Vec<(Value, Vec<&'static str>)> {
    let legacy4 = town.pod("legacy").ip4();
    vec![
        (
            only(json!({"principals": ["cluster.local/ns/default/sa/client"]})),
            NOT_CLIENT.to_vec(),
        ),
        (only(json!({"principals": ["*"]})), LEGACY.to_vec()),
        (only(json!({"notPrincipals": ["*"]})), MESH.to_vec()),
        (
            only(json!({"namespaces": ["default"]})),
            NOT_CLIENT.to_vec(),
        ),
        (
            only(json!({"serviceAccounts": ["default/client"]})),
            NOT_CLIENT.to_vec(),
        ),
        (
            only(json!({"sourceIps": [legacy4]})),
            vec!["client", "client:9090", "client/6", "other", "legacy/6"],
        ),
        (
            only(json!({"sourceIps": ["fd00:10:1::/64"]})),
            OVER_4.to_vec(),
        ),
        (
            only(json!({"notSourceIps": ["10.10.1.0/24"]})),
            OVER_4.to_vec(),
        ),
        (only(json!({"destinationPorts": [8080]})), ON_9090.to_vec()),
        (
            json!([[[{"namespaces": ["other"]}]], [[{"sourceIps": [legacy4]}], [{"destinationPorts": [9090]}]]]),
            vec!["client", "client:9090", "client/6", "legacy", "legacy/6"],
        ),
        (json!([]), ALL.to_vec()),
        (json!([[]]), vec![]),
        (json!([[[]]]), vec![]),
        (json!([[[{}]]]), ALL.to_vec()),
    ]
}

/// A match without conditions, which an AuthorizationPolicy cannot have.
fn is_of_files_only(rules: &Value) -> bool {
    *rules == json!([[[{}]]])
}

pub(crate) fn every_condition(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "conditions", &Start::default(), &Start::default())?
    else {
        return Ok(());
    };
    let cases = cases(&town);
    let cases: Vec<_> = cases
        .into_iter()
        .filter(|(_, (rules, _))| !is_of_files_only(rules))
        .collect();
    ensure!(cases.len() > 50, "the table is not what it was");
    let (in_tunnels, in_plain_text) = refused(&town, cases)?;
    ensure!(
        in_tunnels > 50 && in_plain_text > 50,
        "the table is not what it was"
    );
    // Each refusal is counted once as closed and once as failed, and nothing else carries the flag.
    for metric in [
        "istio_tcp_connections_closed_total",
        "istio_tcp_connections_failed_total",
    ] {
        town.wait_flag(metric, "DENY", in_tunnels + in_plain_text)?;
        town.wait_flag_of(&town.near, metric, "DENY", in_tunnels)?;
    }
    let metrics = town.far.metrics()?;
    let opened = metrics
        .lines()
        .filter(|line| line.starts_with("istio_tcp_connections_opened_total"));
    for line in opened {
        assert!(
            line.contains("response_flags=\"-\""),
            "connections are opened without a flag: {line}"
        );
    }
    Ok(())
}

#[test]
fn every_condition_refuses_exactly_those_whom_it_names_and_says_so_everywhere() -> Result<()> {
    every_condition(Capture::Agent)
}

#[test]
fn a_match_without_conditions_of_a_file_never_holds() -> Result<()> {
    let start = Start::default();
    let Some(town) = Town::on(Config::File, Capture::Agent, "nothing", &start, &start)? else {
        return Ok(());
    };
    let cases = cases(&town);
    let cases: Vec<_> = cases
        .into_iter()
        .filter(|(_, (rules, _))| is_of_files_only(rules))
        .collect();
    assert_eq!(cases.len(), 2, "one that denies, one that allows");
    refused(&town, cases)?;
    Ok(())
}

/// Rules, and who is refused by them.
type Case = (Value, Vec<&'static str>);

/// Every case with its action.
fn cases(town: &Town) -> Vec<(&'static str, Case)> {
    let denials = denials(town).into_iter().map(|case| ("Deny", case));
    let permissions = permissions(town).into_iter().map(|case| ("Allow", case));
    denials.chain(permissions).collect()
}

/// Enforces each policy by itself and checks every caller; how many were refused in tunnels and in plain text.
fn refused(town: &Town, cases: Vec<(&'static str, Case)>) -> Result<(usize, usize)> {
    let (mut in_tunnels, mut in_plain_text) = (0, 0);
    for (index, (action, (rules, refused))) in cases.into_iter().enumerate() {
        let name = format!("case-{index}");
        let text = match action {
            "Deny" => format!("explicitly denied by: prod/{name}"),
            _ => "allow policies exist, but none allowed".to_owned(),
        };
        let expect = |caller: &Caller| refused.contains(&caller.label).then_some(text.as_str());
        town.enforce(&[policy(&name, action, rules.clone())])?;
        let [tunnels, plain] = check(town, expect).with_context(|| format!("{action} {rules}"))?;
        (in_tunnels, in_plain_text) = (in_tunnels + tunnels, in_plain_text + plain);
    }
    Ok((in_tunnels, in_plain_text))
}

pub(crate) fn order(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "order", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    town.enforce(&[
        policy(
            "allow-client",
            "Allow",
            only(json!({"namespaces": ["default"]})),
        ),
        policy(
            "allow-plain",
            "Allow",
            only(json!({"notPrincipals": ["*"]})),
        ),
        policy("deny-b", "Deny", only(json!({"destinationPorts": [9090]}))),
        policy(
            "deny-a",
            "Deny",
            only(json!({"sourceIps": [town.pod("client").ip4()], "destinationPorts": [9090]})),
        ),
    ])?;
    check(&town, |caller| match caller.label {
        "client:9090" => Some("explicitly denied by: prod/deny-a"),
        "legacy:9090" => Some("explicitly denied by: prod/deny-b"),
        "other" => Some("allow policies exist, but none allowed"),
        _ => None,
    })?;
    Ok(())
}

#[test]
fn a_denial_wins_over_a_permission_and_the_first_denial_is_named() -> Result<()> {
    order(Capture::Agent)
}

/// Lets everybody call and compares what each side says with what is expected: the text of the refusal, or none.
/// Returns how many were refused in tunnels and in plain text.
fn check<'a>(town: &Town, expected: impl Fn(&Caller) -> Option<&'a str>) -> Result<[usize; 2]> {
    let (near, far) = (Mark::now(&town.near), Mark::now(&town.far));
    let before = town.server.accepted();
    let mut calls = Vec::new();
    for caller in CALLERS {
        let (seen, local) = town
            .probe(caller.pod, caller.destination(town))
            .context(caller.label)?;
        calls.push((caller, expected(&caller), seen, local));
    }
    let seen: Vec<_> = calls
        .iter()
        .filter(|it| it.2 == Seen::Closed)
        .map(|it| it.0.label)
        .collect();
    let wanted: Vec<_> = calls
        .iter()
        .filter(|it| it.1.is_some())
        .map(|it| it.0.label)
        .collect();
    ensure!(
        seen == wanted,
        "refused were {seen:?} instead of {wanted:?}"
    );
    ensure!(
        town.server.accepted() - before == CALLERS.len() - wanted.len(),
        "a refused connection has reached the application"
    );
    let mut counts = [0, 0];
    for (caller, text, _, local) in calls {
        let Some(text) = text else { continue };
        let error = format!("error=\"connection closed due to policy rejection: {text}\"");
        let destination = caller.destination(town);
        let line = if caller.is_in_mesh() {
            counts[0] += 1;
            let refused = near.wait(
                &town.near,
                &[&log::source(local), "http status: 401 Unauthorized"],
                1,
            )?;
            is_refusal(&refused[0], "outbound", &["0", "4"])?;
            let identity = format!("src.identity=\"{}\"", town.pod(caller.pod).identity());
            let asked = format!("dst.hbone_addr={destination} ");
            far.wait(&town.far, &[&error, &identity, &asked], 1)?
                .remove(0)
        } else {
            counts[1] += 1;
            let line = far
                .wait(&town.far, &[&error, &log::source(local)], 1)?
                .remove(0);
            ensure!(
                !line.contains("identity") && !line.contains("hbone"),
                "{line}"
            );
            line
        };
        is_refusal(&line, "inbound", &["0"])?;
        let line = Fields::parse(&line)?;
        ensure!(
            line.get("dst.workload")? == "server" && line.get("dst.namespace")? == "prod",
            "{line:?}"
        );
    }
    Ok(counts)
}

/// The line is of a connection that failed before a byte passed. Its source may have sent along to the destination's
/// ztunnel what the client has said until the answer; further it does not get.
fn is_refusal(line: &str, direction: &str, said: &[&str]) -> Result<()> {
    let parsed = Fields::parse(line)?;
    ensure!(
        parsed.level == "error" && parsed.scope == "access",
        "{line}"
    );
    ensure!(
        parsed.message == "connection complete" && parsed.get("direction")? == direction,
        "{line}"
    );
    ensure!(parsed.get("bytes_sent")? == "0", "{line}");
    ensure!(said.contains(&parsed.get("bytes_recv")?), "{line}");
    Ok(())
}
