//! Why a verdict is what it is: rule by rule, for logs and for people.
//!
//! In: policies and facts. Out: which rules were looked at, and what first failed in each. Never: on the path of a request that
//! nobody asked about; tells what headers, tokens or authorizers say, which may be secrets.

use std::fmt;

use mesh::{
    Name, PolicyKey,
    access::{
        Facts, Rulebook,
        authorization::{Action, Field, IpAttribute, Query, Rule, Test, TextAttribute, TextMatch},
    },
};

use super::{Verdict, authorize, oracle};

/// How many rules a trace has. Reason: it goes into a log.
pub const MAX_RULES: usize = 64;
/// How many values of a field it names.
const MAX_VALUES: usize = 3;
/// How much of a text it quotes. Units: letters.
const MAX_LETTERS: usize = 100;

/// Why a verdict is what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace<'a> {
    /// What the policies say.
    pub verdict: Verdict<'a>,
    /// The rules that were looked at: those that have what the request or connection is found by.
    pub rules: Vec<Traced<'a>>,
    /// How many rules were looked at besides.
    pub left_out: usize,
    /// How many rules there are that were not looked at.
    pub ruled_out: usize,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced<'a> {
    /// Its policy.
    pub policy: &'a PolicyKey,
    /// What its policy does.
    pub action: &'a Action,
    /// Whether its policy is a dry run.
    pub dry_run: bool,
    /// Its place in the policy.
    pub rule: usize,
    /// Why it does not match; `None`: it does.
    pub failure: Option<String>,
}

/// Explains what [`authorize`] says. **Cost:** far more than to decide.
#[must_use]
pub fn trace<'a>(books: &[&'a Rulebook], facts: &dyn Facts) -> Trace<'a> {
    let query = Query::new(facts);
    let mut rules = Vec::new();
    let (mut looked_at, mut all) = (0, 0);
    for book in books {
        all += book
            .policies()
            .iter()
            .map(|policy| policy.rules.len())
            .sum::<usize>();
        for (policy, place) in book.candidates(&query) {
            looked_at += 1;
            let policy = book.policies().get(policy);
            let found = policy.and_then(|policy| Some((policy, policy.rules.get(place)?)));
            if let Some((policy, rule)) = found
                && rules.len() < MAX_RULES
            {
                rules.push(Traced {
                    policy: &policy.key,
                    action: &policy.action,
                    dry_run: policy.dry_run,
                    rule: place,
                    failure: failure(&policy.action, rule, facts),
                });
            }
        }
    }
    Trace {
        verdict: authorize(books, facts),
        left_out: looked_at - rules.len(),
        rules,
        ruled_out: all - looked_at,
    }
}

fn failure(action: &Action, rule: &Rule, facts: &dyn Facts) -> Option<String> {
    let place = oracle::rule_matches(action, rule, facts).err()?;
    let clause = rule.clauses.get(place)?;
    let reasons: Vec<String> = clause
        .matches
        .iter()
        .filter_map(|one| {
            let fails = |field: &&Field| !oracle::field_holds(field, facts);
            Some(reason(one.fields.iter().find(fails)?, facts))
        })
        .collect();
    Some(match &reasons[..] {
        [] => format!("clause {place}: it looks at a request, and none is read"),
        [only] => format!("clause {place}: {only}"),
        [first, rest @ ..] => format!("clause {place}: {first}, and {} more fail", rest.len()),
    })
}

fn reason(field: &Field, facts: &dyn Facts) -> String {
    let (name, found, values) = match &field.test {
        Test::Text(attribute, values) => (
            name(attribute),
            found(attribute, facts),
            list(values, written),
        ),
        Test::Ip(attribute, ranges) => (
            match attribute {
                IpAttribute::Source => "source.ip",
                IpAttribute::Remote => "remote.ip",
                IpAttribute::Destination => "destination.ip",
            }
            .to_owned(),
            facts.ip(*attribute).map(|ip| ip.to_string()),
            list(ranges, ToString::to_string),
        ),
        Test::DestinationPort(ports) => (
            "destination.port".to_owned(),
            Some(facts.destination_port().to_string()),
            list(ports, ToString::to_string),
        ),
    };
    let found = found.map(|found| format!(" ({found})")).unwrap_or_default();
    let relation = if field.negate { "is" } else { "is not" };
    format!("{name}{found} {relation} one of {values}")
}

fn list<T>(values: &[T], write: impl Fn(&T) -> String) -> String {
    let named: Vec<String> = values.iter().take(MAX_VALUES).map(write).collect();
    let more = values.len().saturating_sub(MAX_VALUES);
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    format!("[{}]{more}", named.join(", "))
}

/// What policies call an attribute.
fn name(attribute: &TextAttribute) -> String {
    let brackets =
        |path: &[Name]| -> String { path.iter().map(|part| format!("[{part}]")).collect() };
    let name = match attribute {
        TextAttribute::SourcePrincipal => "source.principal",
        TextAttribute::SourceNamespace => "source.namespace",
        TextAttribute::SourceServiceAccount => "source.serviceAccount",
        TextAttribute::SourceTrustDomain => "source.trustDomain",
        TextAttribute::RequestPrincipal => "request.auth.principal",
        TextAttribute::Audiences => "request.auth.audiences",
        TextAttribute::Presenter => "request.auth.presenter",
        TextAttribute::Claim(path) => {
            return format!("request.auth.claims{}", brackets(path));
        }
        TextAttribute::Host => "host",
        TextAttribute::Method => "method",
        TextAttribute::Path => "path",
        TextAttribute::Header(name) => return format!("request.headers[{name}]"),
        TextAttribute::Sni => "connection.sni",
        TextAttribute::Metadata(filter, path) => {
            return format!("experimental.{filter}{}", brackets(path));
        }
    };
    name.to_owned()
}

/// What there is of an attribute, if that is no secret.
fn found(attribute: &TextAttribute, facts: &dyn Facts) -> Option<String> {
    match attribute {
        TextAttribute::SourcePrincipal
        | TextAttribute::SourceNamespace
        | TextAttribute::SourceServiceAccount
        | TextAttribute::SourceTrustDomain
        | TextAttribute::Host
        | TextAttribute::Method
        | TextAttribute::Path
        | TextAttribute::Sni => {
            let texts = oracle::texts(attribute, facts);
            Some(match texts.first() {
                None => "absent".to_owned(),
                Some(text) => quoted(&String::from_utf8_lossy(text)),
            })
        }
        TextAttribute::RequestPrincipal
        | TextAttribute::Audiences
        | TextAttribute::Presenter
        | TextAttribute::Claim(_)
        | TextAttribute::Header(_)
        | TextAttribute::Metadata(..) => {
            let texts = oracle::texts(attribute, facts);
            texts.is_empty().then(|| "absent".to_owned())
        }
    }
}

/// As people write it.
fn written(value: &TextMatch) -> String {
    match value {
        TextMatch::Exact(text) | TextMatch::Template(text) => quoted(text),
        TextMatch::Prefix(text) => quoted(&format!("{text}*")),
        TextMatch::Suffix(text) => quoted(&format!("*{text}")),
        TextMatch::Present => "*".to_owned(),
    }
}

/// A foreign text, fit for one log line.
fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(MAX_LETTERS).collect();
    format!("{cut:?}")
}

impl fmt::Display for Trace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict.enforced)?;
        for traced in &self.rules {
            write!(f, "; {traced}")?;
        }
        if self.left_out > 0 {
            write!(f, "; {} more rules were looked at", self.left_out)?;
        }
        write!(f, "; {} rules were not looked at", self.ruled_out)
    }
}

impl fmt::Display for Traced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dry_run = if self.dry_run { " (dry run)" } else { "" };
        let (action, policy, rule) = (self.action, self.policy, self.rule);
        write!(f, "{action}{dry_run} {policy} rule {rule}: ")?;
        match &self.failure {
            None => f.write_str("matches"),
            Some(failure) => f.write_str(failure),
        }
    }
}
