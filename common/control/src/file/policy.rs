//! `policies[]` of the file.
//!
//! A typo must never leave a policy open by omission: what cannot match although it was written to is refused
//! where that is certain (`*` in the middle, an empty text) and warned of where it is only likely.

use mesh::{
    Authorization, Namespace, PolicyKey,
    authorization::{Action, Clause, Match, Rule, Scope, ServiceAccountMatch, StringMatch},
};

use yaml::{
    Cursor, Error, Value,
    nearest::fold,
    scalar::{boolean, choice, port, range},
};

use super::scalar::{name, namespace, parse_service_account, service_account};

const FIELDS: &[&str] = &["name", "namespace", "scope", "action", "dryRun", "rules"];

const MATCH_FIELDS: &[&str] = &[
    "principals",
    "notPrincipals",
    "namespaces",
    "notNamespaces",
    "serviceAccounts",
    "notServiceAccounts",
    "sourceIps",
    "notSourceIps",
    "destinationIps",
    "notDestinationIps",
    "destinationPorts",
    "notDestinationPorts",
];

const POLICY: &str = "a policy: a mapping with name, namespace, scope, action and rules";
const RULES: &str = "a list of rules, each a list of clauses, each a list of matches";

/// Reads one policy.
pub(super) fn policy(at: &Cursor<'_>) -> Result<Authorization, Error> {
    let object = at.object(POLICY, FIELDS)?;
    let key = key(at)?;
    let namespace = &key.namespace;
    let scopes = [
        ("Global", Scope::Global),
        ("Namespace", Scope::Namespace),
        ("WorkloadSelector", Scope::WorkloadSelector),
    ];
    Ok(Authorization {
        scope: object.required("scope", "Global or Namespace or WorkloadSelector", |at| {
            choice(at, &scopes)
        })?,
        action: object.required("action", "Allow or Deny", |at| {
            choice(at, &[("Allow", Action::Allow), ("Deny", Action::Deny)])
        })?,
        dry_run: object.optional("dryRun", boolean)?.unwrap_or_default(),
        rules: object.required("rules", RULES, |at| {
            at.list(RULES, |at| {
                let clauses = at.list("a rule: a list of clauses", |at| clause(at, namespace))?;
                Ok(Rule { clauses })
            })
        })?,
        key,
    })
}

/// What a policy is named by.
pub(super) fn key(at: &Cursor<'_>) -> Result<PolicyKey, Error> {
    let object = at.object(POLICY, FIELDS)?;
    Ok(PolicyKey {
        namespace: object.required("namespace", "the policy's namespace", namespace)?,
        name: object.required("name", "the policy's name", name)?,
    })
}

fn clause(at: &Cursor<'_>, namespace: &Namespace) -> Result<Clause, Error> {
    let matches = at.list("a clause: a list of matches", |at| one_match(at, namespace))?;
    Ok(Clause { matches })
}

fn one_match(at: &Cursor<'_>, namespace: &Namespace) -> Result<Match, Error> {
    let object = at.object("a match: a mapping of conditions", MATCH_FIELDS)?;
    let texts = |field, kind| {
        object
            .optional(field, |at| {
                at.list("a list of texts", |at| string_match(at, kind))
            })
            .map(Option::unwrap_or_default)
    };
    let accounts = |field| {
        object
            .optional(field, |at| {
                at.list("a list of service accounts", |at| {
                    account_match(at, namespace)
                })
            })
            .map(Option::unwrap_or_default)
    };
    let ranges = |field| {
        object
            .optional(field, |at| {
                at.list("a list of IP addresses and ranges", range)
            })
            .map(Option::unwrap_or_default)
    };
    let ports = |field| {
        object
            .optional(field, |at| {
                at.list("a list of ports", |at| {
                    port(at).map(std::num::NonZeroU16::get)
                })
            })
            .map(Option::unwrap_or_default)
    };
    let read = Match {
        namespaces: texts("namespaces", Kind::Namespace)?,
        not_namespaces: texts("notNamespaces", Kind::Namespace)?,
        service_accounts: accounts("serviceAccounts")?,
        not_service_accounts: accounts("notServiceAccounts")?,
        principals: texts("principals", Kind::Principal)?,
        not_principals: texts("notPrincipals", Kind::Principal)?,
        source_ips: ranges("sourceIps")?,
        not_source_ips: ranges("notSourceIps")?,
        destination_ips: ranges("destinationIps")?,
        not_destination_ips: ranges("notDestinationIps")?,
        destination_ports: ports("destinationPorts")?,
        not_destination_ports: ports("notDestinationPorts")?,
    };
    if read == Match::default() {
        at.warn("a match without conditions never holds; a rule without clauses, [], is what always holds");
    }
    Ok(read)
}

/// What a text condition is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Principal,
    Namespace,
}

/// A text condition in any of its spellings: `x`, `x*`, `*x`, `*`, `{exact: x}`, `!Exact x`, `presence`.
fn string_match(at: &Cursor<'_>, kind: Kind) -> Result<StringMatch, Error> {
    const EXPECTED: &str = "a text with at most one * that begins or ends it, or one of {exact: x}, {prefix: x}, {suffix: x}, {presence: {}}";
    const KINDS: &[&str] = &["exact", "prefix", "suffix", "presence"];
    if at.node().tag.is_some() {
        return tagged(at, kind, EXPECTED);
    }
    let found = match &at.node().value {
        Value::Null | Value::List(_) => Err(at.unexpected(EXPECTED)),
        Value::Mapping(entries) => match entries.as_slice() {
            [(key, _)] => {
                let word: String = fold(&key.text).into_iter().collect();
                let mut found = None;
                at.entries(EXPECTED, |key, value| {
                    if !KINDS.contains(&word.as_str()) {
                        return Err(key.unexpected("exact or prefix or suffix or presence"));
                    }
                    found = Some(spelled_out(value, &word, kind, EXPECTED)?);
                    Ok(())
                })?;
                found.ok_or_else(|| at.unexpected(EXPECTED))
            }
            _ => Err(at.unexpected(EXPECTED)),
        },
        Value::Scalar(text) if text == "*" || text == "Presence" => Ok(StringMatch::Presence),
        Value::Scalar(text) => match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (None, None) => condition(at, text, StringMatch::Exact, kind, EXPECTED),
            (Some(suffix), None) => condition(at, suffix, StringMatch::Suffix, kind, EXPECTED),
            (None, Some(prefix)) => condition(at, prefix, StringMatch::Prefix, kind, EXPECTED),
            (Some(_), Some(_)) => Err(at.unexpected(EXPECTED)),
        },
    }?;
    if let (Kind::Principal, StringMatch::Exact(text)) = (kind, &found)
        && format!("spiffe://{text}")
            .parse::<mesh::SpiffeId>()
            .is_err()
    {
        at.warn("no workload can be this principal: it is not <trust domain>/ns/<namespace>/sa/<service account>");
    }
    Ok(found)
}

/// `!Exact x` and the like: the spelling of a YAML tag.
fn tagged(at: &Cursor<'_>, kind: Kind, expected: &'static str) -> Result<StringMatch, Error> {
    let word: String = fold(at.node().tag.as_deref().unwrap_or_default())
        .into_iter()
        .collect();
    match (word.as_str(), &at.node().value) {
        ("presence", value) if is_nothing(value) => Ok(StringMatch::Presence),
        ("exact", Value::Scalar(text)) => condition(at, text, StringMatch::Exact, kind, expected),
        ("prefix", Value::Scalar(text)) => condition(at, text, StringMatch::Prefix, kind, expected),
        ("suffix", Value::Scalar(text)) => condition(at, text, StringMatch::Suffix, kind, expected),
        _ => Err(at.unexpected(expected)),
    }
}

/// The value of `{exact: x}` and the like; `word` is one of the four.
fn spelled_out(
    value: &Cursor<'_>,
    word: &str,
    kind: Kind,
    expected: &'static str,
) -> Result<StringMatch, Error> {
    if word == "presence" {
        let nothing = value.node().tag.is_none() && is_nothing(&value.node().value);
        return if nothing {
            Ok(StringMatch::Presence)
        } else {
            Err(value.unexpected("{}"))
        };
    }
    let text = value.text("a text")?;
    let build = match word {
        "exact" => StringMatch::Exact,
        "prefix" => StringMatch::Prefix,
        "suffix" => StringMatch::Suffix,
        _ => return Err(value.unexpected(expected)),
    };
    condition(value, text, build, kind, expected)
}

/// `null`, `{}`, `[]` or an empty text.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Scalar(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Mapping(entries) => entries.is_empty(),
    }
}

/// Builds a condition from what is left of the text without its `*`.
fn condition(
    at: &Cursor<'_>,
    text: &str,
    build: fn(String) -> StringMatch,
    kind: Kind,
    expected: &'static str,
) -> Result<StringMatch, Error> {
    // Principals are compared without the scheme; one who writes it means the same.
    let text = match kind {
        Kind::Principal => text.strip_prefix("spiffe://").unwrap_or(text),
        Kind::Namespace => text,
    };
    // An empty prefix would hold for a peer without any identity.
    if text.is_empty()
        || text.contains('*')
        || text.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        return Err(at.unexpected(expected));
    }
    Ok(build(text.to_owned()))
}

/// `sa`, `ns/sa` or `{namespace, serviceAccount}`; the namespace defaults to the policy's.
fn account_match(at: &Cursor<'_>, default: &Namespace) -> Result<ServiceAccountMatch, Error> {
    const EXPECTED: &str =
        "a service account: \"name\", \"namespace/name\" or {namespace, serviceAccount}";
    if matches!(at.node().value, Value::Mapping(_)) {
        let object = at.object(EXPECTED, &["namespace", "serviceAccount"])?;
        return Ok(ServiceAccountMatch {
            namespace: object
                .optional("namespace", namespace)?
                .unwrap_or_else(|| default.clone()),
            service_account: object.required(
                "serviceAccount",
                "the service account's name",
                service_account,
            )?,
        });
    }
    parse_service_account(at.text(EXPECTED)?, default)
        .map(|(namespace, service_account)| ServiceAccountMatch {
            namespace,
            service_account,
        })
        .ok_or_else(|| at.unexpected(EXPECTED))
}
