//! A policy of the local file as an AuthorizationPolicy.
//!
//! The file's algebra is wider: rules, of clauses, of matches, each of any fields. A rule of Istio has one clause on
//! the source, one on the operation, and conditions; a clause with one match can be taken apart.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::{known, pod, text};

/// Field of the file, and field of `from[].source`.
const SOURCE: [(&str, &str); 8] = [
    ("principals", "principals"),
    ("notPrincipals", "notPrincipals"),
    ("namespaces", "namespaces"),
    ("notNamespaces", "notNamespaces"),
    ("serviceAccounts", "serviceAccounts"),
    ("notServiceAccounts", "notServiceAccounts"),
    ("sourceIps", "ipBlocks"),
    ("notSourceIps", "notIpBlocks"),
];
/// Field of the file, and field of `to[].operation`.
const OPERATION: [(&str, &str); 2] = [
    ("destinationPorts", "ports"),
    ("notDestinationPorts", "notPorts"),
];
/// Field of the file, key of a condition, and whether its values are those that must not be.
const WHEN: [(&str, &str, bool); 10] = [
    ("principals", "source.principal", false),
    ("notPrincipals", "source.principal", true),
    ("namespaces", "source.namespace", false),
    ("notNamespaces", "source.namespace", true),
    ("sourceIps", "source.ip", false),
    ("notSourceIps", "source.ip", true),
    ("destinationIps", "destination.ip", false),
    ("notDestinationIps", "destination.ip", true),
    ("destinationPorts", "destination.port", false),
    ("notDestinationPorts", "destination.port", true),
];
/// Where policies of the whole mesh stand.
const ROOT: &str = "istio-system";

/// The policy as a manifest.
pub(super) fn policy(policy: &Value) -> Result<Value> {
    known(
        policy,
        &["name", "namespace", "scope", "action", "dryRun", "rules"],
    )?;
    let (name, namespace) = (text(policy, "name"), text(policy, "namespace"));
    let mut spec = Map::new();
    match text(policy, "scope") {
        "Global" if namespace == ROOT => {}
        "Namespace" if namespace != ROOT => {}
        "WorkloadSelector" => {
            let label = pod::policy_label(namespace, name);
            spec.insert(
                "selector".to_owned(),
                json!({"matchLabels": {label: "yes"}}),
            );
        }
        scope => bail!("the scope {scope} in namespace {namespace}"),
    }
    let action = match text(policy, "action") {
        "Allow" => "ALLOW",
        "Deny" => "DENY",
        other => bail!("the action {other}"),
    };
    spec.insert("action".to_owned(), json!(action));
    let rules = policy["rules"].as_array().cloned().unwrap_or_default();
    let rules = rules
        .iter()
        .map(|rule| split(rule).iter().map(self::rule).collect())
        .collect::<Result<Vec<Vec<_>>>>()?
        .concat();
    // Istio refuses a DENY that says nothing of rules.
    if !rules.is_empty() || action == "DENY" {
        spec.insert("rules".to_owned(), json!(rules));
    }
    let mut metadata = json!({"name": name, "namespace": namespace});
    if policy["dryRun"] == json!(true) {
        metadata["annotations"] = json!({"istio.io/dry-run": "true"});
    }
    Ok(json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": metadata, "spec": spec,
    }))
}

/// The rules whose OR a rule is: a clause of several matches that Istio has no list for stands in as many rules.
fn split(rule: &Value) -> Vec<Value> {
    let clauses = rule.as_array().cloned().unwrap_or_default();
    let (mut has_from, mut has_to) = (false, false);
    for (index, clause) in clauses.iter().enumerate() {
        let matches = clause.as_array().cloned().unwrap_or_default();
        if !has_from && all_in(&matches, &SOURCE, "source").is_some() {
            has_from = true;
        } else if !has_to && all_in(&matches, &OPERATION, "operation").is_some() {
            has_to = true;
        } else if matches.len() > 1 {
            let each = matches.iter().flat_map(|one| {
                let mut clauses = clauses.clone();
                clauses[index] = json!([one]);
                split(&json!(clauses))
            });
            return each.collect();
        }
    }
    vec![rule.clone()]
}

/// The AND of clauses.
fn rule(rule: &Value) -> Result<Value> {
    let (mut from, mut to, mut when) = (None, None, Vec::new());
    for clause in rule.as_array().into_iter().flatten() {
        let matches = clause.as_array().cloned().unwrap_or_default();
        if matches.is_empty() {
            // A clause without matches holds.
            continue;
        }
        if from.is_none()
            && let Some(sources) = all_in(&matches, &SOURCE, "source")
        {
            from = Some(sources);
        } else if to.is_none()
            && let Some(operations) = all_in(&matches, &OPERATION, "operation")
        {
            to = Some(operations);
        } else if let [one] = matches.as_slice() {
            take_apart(one, &mut from, &mut to, &mut when)?;
        } else {
            bail!("the clause {clause}: its matches cannot be taken apart");
        }
    }
    let mut made = Map::new();
    for (name, part) in [("from", from), ("to", to)] {
        if let Some(part) = part {
            made.insert(name.to_owned(), part);
        }
    }
    if !when.is_empty() {
        made.insert("when".to_owned(), json!(when));
    }
    Ok(made.into())
}

/// All matches as entries of `from` or `to`, if they have no other fields.
fn all_in(matches: &[Value], fields: &[(&str, &str)], entry: &str) -> Option<Value> {
    let mut entries = Vec::new();
    for one in matches {
        let one = one.as_object().filter(|one| !one.is_empty())?;
        let mut made = Map::new();
        for (key, values) in one {
            let (_, name) = fields.iter().find(|(from, _)| from == key)?;
            made.insert((*name).to_owned(), written(key, values).ok()?);
        }
        // Istio has them in different entries only.
        let accounts = made.keys().any(|key| key.ends_with("erviceAccounts"));
        let others = made
            .keys()
            .any(|key| key.ends_with("rincipals") || key.ends_with("amespaces"));
        if accounts && others {
            return None;
        }
        entries.push(json!({entry: made}));
    }
    Some(json!(entries))
}

/// A clause of one match: each field where there is room.
fn take_apart(
    one: &Value,
    from: &mut Option<Value>,
    to: &mut Option<Value>,
    when: &mut Vec<Value>,
) -> Result<()> {
    let Some(one) = one.as_object().filter(|one| !one.is_empty()) else {
        bail!("a match without conditions");
    };
    let (mut source, mut operation) = (Map::new(), Map::new());
    for (key, values) in one {
        let condition = WHEN.iter().find(|(field, _, _)| field == key);
        let in_source = SOURCE.iter().find(|(field, _)| field == key);
        let in_operation = OPERATION.iter().find(|(field, _)| field == key);
        match (in_source, in_operation, condition) {
            (Some((_, name)), _, _) if from.is_none() => {
                source.insert((*name).to_owned(), written(key, values)?);
            }
            (_, Some((_, name)), _) if to.is_none() => {
                operation.insert((*name).to_owned(), written(key, values)?);
            }
            (_, _, Some((_, name, not))) => {
                let list = if *not { "notValues" } else { "values" };
                when.push(json!({"key": name, list: written(key, values)?}));
            }
            (_, _, None) => bail!("the condition {key} finds no room"),
        }
    }
    if !source.is_empty() {
        *from = Some(json!([{"source": source}]));
    }
    if !operation.is_empty() {
        *to = Some(json!([{"operation": operation}]));
    }
    Ok(())
}

/// Values as Istio writes them: `x`, `x*`, `*x`, `*`; ports as texts.
fn written(key: &str, values: &Value) -> Result<Value> {
    let Some(values) = values.as_array() else {
        bail!("{key}: {values}, expected a list");
    };
    let each = values.iter().map(|value| {
        let written = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Object(one) => match one.iter().next() {
                Some((kind, value)) => {
                    let value = value.as_str().unwrap_or_default();
                    match kind.as_str() {
                        "exact" => value.to_owned(),
                        "prefix" => format!("{value}*"),
                        "suffix" => format!("*{value}"),
                        "presence" => "*".to_owned(),
                        "namespace" | "serviceAccount" => {
                            format!(
                                "{}/{}",
                                text(&json!(one), "namespace"),
                                text(&json!(one), "serviceAccount")
                            )
                        }
                        other => bail!("{key}: {other}"),
                    }
                }
                None => bail!("{key}: an empty condition"),
            },
            Value::Null | Value::Bool(_) | Value::Array(_) => bail!("{key}: {value}"),
        };
        Ok(Value::from(written))
    });
    Ok(Value::Array(each.collect::<Result<Vec<_>>>()?))
}
