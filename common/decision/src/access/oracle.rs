//! The meaning of policies of layer 7, written down as plainly as it can be: what compiled ones are tested against.
//!
//! In: policies as delivered. Out: what they say. Never: on the path of a request; it walks all policies.

use std::net::IpAddr;

use ipnet::IpNet;
use mesh::{
    PolicyKey,
    access::{
        Facts, Policy,
        authorization::{Action, Clause, Field, Match, Rule, Test, TextAttribute, TextMatch},
    },
};

/// What policies say, with the names of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may pass.
    pub allowed: bool,
    /// The rule that decided.
    pub by: Option<String>,
    /// Of dry-run policies that deny: the rule that matches. `None`: there is no such policy.
    pub shadow_deny: Option<Option<String>>,
    /// Of dry-run policies that allow: the rule that matches. `None`: there is no such policy.
    pub shadow_allow: Option<Option<String>>,
    /// Whether it could pass if dry-run policies were enforced.
    pub together: bool,
    /// The AUDIT rule that matches.
    pub audited: Option<String>,
    /// The names of providers that are asked.
    pub asked: Vec<String>,
}

/// Decides by walking all policies.
#[must_use]
pub fn authorize<'p>(policies: impl IntoIterator<Item = &'p Policy>, facts: &dyn Facts) -> Verdict {
    let policies: Vec<&Policy> = policies.into_iter().collect();
    let of = |action: &Action, dry_run: bool| -> Vec<&Policy> {
        let chosen = policies.iter().copied();
        chosen
            .filter(|policy| policy.action == *action && policy.dry_run == dry_run)
            .collect()
    };
    let first = |chosen: &[&Policy]| first_match(chosen, facts);
    let (deny, allow) = (of(&Action::Deny, false), of(&Action::Allow, false));
    let (dry_deny, dry_allow) = (of(&Action::Deny, true), of(&Action::Allow, true));
    let decide = |deny: &[&Policy], allow: &[&Policy]| match (first(deny), first(allow)) {
        (Some(by), _) => (false, Some(by)),
        (None, Some(by)) => (true, Some(by)),
        (None, None) => (allow.is_empty(), None),
    };
    let (allowed, by) = decide(&deny, &allow);
    let all_deny = [&*deny, &*dry_deny].concat();
    let all_allow = [&*allow, &*dry_allow].concat();
    let mut asked: Vec<String> = policies
        .iter()
        .filter(|policy| first_match(&[policy], facts).is_some())
        .filter_map(|policy| match &policy.action {
            Action::Custom(external) => Some(external.provider.to_string()),
            Action::Allow | Action::Deny | Action::Audit => None,
        })
        .collect();
    asked.sort();
    asked.dedup();
    Verdict {
        allowed,
        by,
        shadow_deny: (!dry_deny.is_empty()).then(|| first(&dry_deny)),
        shadow_allow: (!dry_allow.is_empty()).then(|| first(&dry_allow)),
        together: decide(&all_deny, &all_allow).0,
        audited: first(&[of(&Action::Audit, false), of(&Action::Audit, true)].concat()),
        asked,
    }
}

/// What Envoy calls a rule.
#[must_use]
pub fn name(policy: &PolicyKey, rule: usize) -> String {
    format!(
        "ns[{}]-policy[{}]-rule[{rule}]",
        policy.namespace, policy.name
    )
}

/// The least name of a rule that matches.
fn first_match(policies: &[&Policy], facts: &dyn Facts) -> Option<String> {
    let rules = policies.iter().flat_map(|policy| {
        let rules = policy.rules.iter().enumerate();
        rules.map(move |(place, rule)| (policy, place, rule))
    });
    rules
        .filter(|(policy, _, rule)| rule_matches(&policy.action, rule, facts).is_ok())
        .map(|(policy, place, _)| name(&policy.key, place))
        .min()
}

/// AND of clauses: none, and everything matches.
///
/// # Errors
/// The place of the clause that does not hold, or of the first field that only a request has.
pub fn rule_matches(action: &Action, rule: &Rule, facts: &dyn Facts) -> Result<(), usize> {
    // Where no request is read, a rule that allows and looks at one is not there.
    if !facts.is_http() && *action == Action::Allow {
        let http = |clause: &Clause| {
            let fields = clause.matches.iter().flat_map(|one| &one.fields);
            fields.clone().any(|field| field.test.is_http())
        };
        if let Some(place) = rule.clauses.iter().position(http) {
            return Err(place);
        }
    }
    let fails = |clause: &Clause| !clause.matches.iter().any(|one| match_holds(one, facts));
    match rule.clauses.iter().position(fails) {
        None => Ok(()),
        Some(place) => Err(place),
    }
}

fn match_holds(one: &Match, facts: &dyn Facts) -> bool {
    one.fields.iter().all(|field| field_holds(field, facts))
}

/// Whether a field holds. One that only a request has holds where none is read: other rules than those that allow are taken
/// without it.
#[must_use]
pub fn field_holds(field: &Field, facts: &dyn Facts) -> bool {
    if !facts.is_http() && field.test.is_http() {
        return true;
    }
    let any = match &field.test {
        Test::Text(attribute, values) => values
            .iter()
            .any(|value| text_holds(attribute, value, facts)),
        Test::Ip(attribute, ranges) => facts.ip(*attribute).is_some_and(|address| {
            let address = address.to_canonical();
            ranges.iter().any(|range| range_holds(range, address))
        }),
        Test::DestinationPort(ports) => ports.contains(&facts.destination_port()),
    };
    any != field.negate
}

/// Whether a value holds for one text of an attribute.
fn text_holds(attribute: &TextAttribute, value: &TextMatch, facts: &dyn Facts) -> bool {
    if *attribute == TextAttribute::Host {
        let mut hosts = hosts(facts).into_iter();
        return hosts.any(|host| value_holds(&lower(value), &host));
    }
    if *attribute == TextAttribute::RequestPrincipal {
        return principal_holds(value, facts);
    }
    let mut texts = texts(attribute, facts).into_iter();
    if *attribute == TextAttribute::Sni {
        return texts.any(|text| value_holds(&lower(value), &text.to_ascii_lowercase()));
    }
    // A header need only be there.
    let is_header = matches!(attribute, TextAttribute::Header(_));
    texts.any(|text| (is_header && *value == TextMatch::Present) || value_holds(value, &text))
}

/// What there is of an attribute; several where it is a list.
#[must_use]
pub fn texts(attribute: &TextAttribute, facts: &dyn Facts) -> Vec<Vec<u8>> {
    let mut list = Vec::new();
    let one = |text: Option<&str>| {
        text.map(|text| text.as_bytes().to_vec())
            .into_iter()
            .collect()
    };
    let id = facts.client().map(mesh::access::Certified::id);
    let account = id.map(|id| format!("{}/{}", id.namespace, id.service_account));
    match attribute {
        TextAttribute::SourcePrincipal => one(id.map(|id| id.principal()).as_deref()),
        TextAttribute::SourceNamespace => one(id.map(|id| &*id.namespace)),
        TextAttribute::SourceServiceAccount => one(account.as_deref()),
        TextAttribute::SourceTrustDomain => one(id.map(|id| &*id.trust_domain)),
        TextAttribute::RequestPrincipal => one(facts
            .request_principal()
            .map(mesh::access::RequestPrincipal::as_str)),
        TextAttribute::Audiences => {
            facts.any_audience(&mut |text| {
                list.push(text.to_vec());
                false
            });
            list
        }
        TextAttribute::Presenter => one(facts.presenter()),
        TextAttribute::Claim(path) => {
            facts.any_claim(path, &mut |text| {
                list.push(text.to_vec());
                false
            });
            list
        }
        TextAttribute::Host => one(facts.authority()),
        TextAttribute::Method => one(facts.method()),
        TextAttribute::Path => one(facts.path()),
        TextAttribute::Header(name) => {
            let header = facts.header(name).map(std::borrow::Cow::into_owned);
            header.into_iter().collect()
        }
        TextAttribute::Sni => one(facts.sni()),
        TextAttribute::Metadata(filter, path) => {
            facts.any_metadata(filter, path, &mut |text| {
                list.push(text.to_vec());
                false
            });
            list
        }
    }
}

/// The authority as it was sent and without its port; both also without the dot at the end of the host.
fn hosts(facts: &dyn Facts) -> Vec<Vec<u8>> {
    let Some(authority) = facts.authority().filter(|text| !text.is_empty()) else {
        return Vec::new();
    };
    let authority = authority.to_ascii_lowercase();
    let in_brackets = authority.starts_with('[') && authority.ends_with(']');
    let (host, port) = match authority.split_once(']') {
        Some((address, port)) if !in_brackets => (format!("{address}]"), port.to_owned()),
        Some(_) => (authority.clone(), String::new()),
        None => match authority.split_once(':') {
            Some((host, port)) => (host.to_owned(), format!(":{port}")),
            None => (authority.clone(), String::new()),
        },
    };
    let digits = port.strip_prefix(':');
    let (host, port) = match digits {
        Some(digits) if digits.chars().all(|c| c.is_ascii_digit()) => (host, port),
        Some(_) | None => (authority.clone(), String::new()),
    };
    let bare = host.strip_suffix('.').unwrap_or(&host);
    let all = [
        format!("{bare}{port}"),
        bare.to_owned(),
        host.clone(),
        authority,
    ];
    all.into_iter().map(String::into_bytes).collect()
}

/// Issuer and subject apart: the last slash of a value stands between them. Without one, a prefix is one of the issuer, and a
/// suffix one of the subject.
fn principal_holds(value: &TextMatch, facts: &dyn Facts) -> bool {
    let Some(principal) = facts.request_principal() else {
        return false;
    };
    let (issuer, subject) = principal.as_str().split_at(principal.separator());
    let subject = subject.strip_prefix('/').unwrap_or(subject);
    match value {
        TextMatch::Exact(text) => text.rsplit_once('/') == Some((issuer, subject)),
        TextMatch::Prefix(text) => match text.rsplit_once('/') {
            Some((first, second)) => issuer == first && subject.starts_with(second),
            None => issuer.starts_with(&**text),
        },
        TextMatch::Suffix(text) => match text.rsplit_once('/') {
            Some((first, second)) => issuer.ends_with(first) && subject == second,
            None => subject.ends_with(&**text),
        },
        TextMatch::Present => !issuer.is_empty() && !subject.is_empty(),
        TextMatch::Template(_) => false,
    }
}

fn lower(value: &TextMatch) -> TextMatch {
    match value {
        TextMatch::Exact(text) => TextMatch::Exact(text.to_ascii_lowercase().into()),
        TextMatch::Prefix(text) => TextMatch::Prefix(text.to_ascii_lowercase().into()),
        TextMatch::Suffix(text) => TextMatch::Suffix(text.to_ascii_lowercase().into()),
        TextMatch::Present => TextMatch::Present,
        TextMatch::Template(text) => TextMatch::Template(text.to_ascii_lowercase().into()),
    }
}

fn value_holds(value: &TextMatch, text: &[u8]) -> bool {
    match value {
        TextMatch::Exact(wanted) => text == wanted.as_bytes(),
        TextMatch::Prefix(wanted) => text.starts_with(wanted.as_bytes()),
        TextMatch::Suffix(wanted) => text.ends_with(wanted.as_bytes()),
        TextMatch::Present => !text.is_empty(),
        TextMatch::Template(template) => template_holds(template.as_bytes(), text),
    }
}

/// Letter by letter.
fn template_holds(template: &[u8], path: &[u8]) -> bool {
    if let Some(rest) = template.strip_prefix(b"{**}") {
        return (0..=path.len()).any(|taken| template_holds(rest, &path[taken..]));
    }
    if let Some(rest) = template.strip_prefix(b"{*}") {
        let segment = path.iter().take_while(|byte| **byte != b'/').count();
        return segment > 0 && template_holds(rest, &path[segment..]);
    }
    match (template.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((wanted, template)), Some((found, path))) => {
            wanted == found && template_holds(template, path)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// `address` is canonical; a range of IPv4-mapped addresses is the range that it maps.
fn range_holds(range: &IpNet, address: IpAddr) -> bool {
    let mapped = match address {
        IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
        IpAddr::V6(address) => IpAddr::V6(address),
    };
    let is_mapped = match range {
        IpNet::V4(_) => false,
        IpNet::V6(range) => range.prefix_len() >= 96 && range.network().to_ipv4_mapped().is_some(),
    };
    range.contains(&address) || (is_mapped && range.contains(&mapped))
}
