//! Texts of policies as conditions on text: `x` exact, `x*` prefix, `*x` suffix, `*` presence.
//!
//! Source: Istio AuthorizationPolicy, matching of strings; trust domain migration (aliases).

use std::collections::HashSet;

use wire::proto::security::{StringMatch, string_match::MatchType};

use super::Scoping;

/// What policies call the local trust domain, whatever its name is. Source: Istio trust domain migration.
const LOCAL_TRUST_DOMAIN: &str = "cluster.local";

/// The condition that the text is there.
pub(crate) fn presence() -> StringMatch {
    of(MatchType::Presence(()))
}

/// The condition that the text begins with `text`.
pub(super) fn prefix(text: impl Into<String>) -> StringMatch {
    of(MatchType::Prefix(text.into()))
}

/// The condition that a policy's `text` stands for.
pub(crate) fn text(text: &str) -> StringMatch {
    if text == "*" {
        presence()
    } else if let Some(rest) = text.strip_prefix('*') {
        of(MatchType::Suffix(rest.to_owned()))
    } else if let Some(rest) = text.strip_suffix('*') {
        prefix(rest)
    } else {
        of(MatchType::Exact(text.to_owned()))
    }
}

/// The conditions that the texts stand for.
pub(super) fn texts(values: &[String]) -> Vec<StringMatch> {
    values.iter().map(|value| text(value)).collect()
}

/// The conditions on a principal, each also for the other names of the trust domain. `spiffe://` plays no part.
pub(crate) fn principals(values: &[String], scoping: &Scoping<'_>) -> Vec<StringMatch> {
    let mut conditions = Vec::with_capacity(values.len());
    for value in values {
        let value = value.strip_prefix("spiffe://").unwrap_or(value);
        if scoping.trust_domain_aliases.is_empty() && scoping.trust_domain == LOCAL_TRUST_DOMAIN {
            conditions.push(text(value));
        } else {
            add_aliases(value, scoping, &mut conditions);
        }
    }
    conditions
}

/// Trust domains of a policy: each that is one of the mesh's, or `cluster.local`, stands for all of them, as in principals. What has a
/// wildcard means what it says.
pub(crate) fn trust_domains(values: &[String], scoping: &Scoping<'_>) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(values.len());
    for value in values {
        let is_own =
            value == LOCAL_TRUST_DOMAIN || scoping.trust_domains().any(|known| known == value);
        let known = scoping.trust_domains().filter(|_| is_own);
        let given = (!is_own).then_some(value.as_str());
        for value in given.into_iter().chain(known) {
            if !all.iter().any(|it| it == value) {
                all.push(value.to_owned());
            }
        }
    }
    all
}

/// A principal that names one of the mesh's trust domains stands for all of them.
fn add_aliases(value: &str, scoping: &Scoping<'_>, conditions: &mut Vec<StringMatch>) {
    let before = conditions.len();
    let mut add = |condition| {
        if !conditions.iter().skip(before).any(|it| *it == condition) {
            conditions.push(condition);
        }
    };
    // Other shapes, for example `cluster.local/ns/x/*`, are taken as they are, as in Istio.
    let is_whole = value.split('/').count() == 5;
    let named = value.split_once('/').filter(|_| is_whole);
    let Some((domain, path)) = named.filter(|(domain, _)| *domain != "*") else {
        return add(text(value));
    };
    let covers = |known: &str| matches(&text(domain), known);
    if domain != LOCAL_TRUST_DOMAIN && !scoping.trust_domains().any(covers) {
        return add(text(value));
    }
    for known in scoping.trust_domains() {
        if domain.starts_with('*') && covers(known) {
            add(text(value));
        } else {
            add(text(&format!("{known}/{path}")));
        }
    }
}

/// Whether a text fulfils the condition.
pub(super) fn matches(condition: &StringMatch, text: &str) -> bool {
    match &condition.match_type {
        Some(MatchType::Exact(wanted)) => text == wanted,
        Some(MatchType::Prefix(wanted)) => text.starts_with(wanted.as_str()),
        Some(MatchType::Suffix(wanted)) => text.ends_with(wanted.as_str()),
        Some(MatchType::Presence(())) => !text.is_empty(),
        None => false,
    }
}

/// The conditions of which one holds exactly where one of `left` and one of `right` hold. No conditions: never.
/// `None` where that cannot be said with such conditions: a prefix together with a suffix.
pub(super) fn intersection(
    left: &[StringMatch],
    right: &[StringMatch],
) -> Option<Vec<StringMatch>> {
    let (mut all, mut known) = (Vec::new(), HashSet::new());
    for one in left {
        for other in right {
            if let Some(condition) = both(one, other)?
                && known.insert(condition.clone())
            {
                all.push(condition);
            }
        }
    }
    Some(all)
}

/// The condition that holds exactly where both do; `Some(None)` where they exclude each other.
fn both(one: &StringMatch, other: &StringMatch) -> Option<Option<StringMatch>> {
    let narrower = |fits: bool, condition: &StringMatch| Some(fits.then(|| condition.clone()));
    match (one.match_type.as_ref(), other.match_type.as_ref()) {
        (None, _) | (_, None) => Some(None),
        (Some(MatchType::Presence(())), Some(_)) => narrower(true, other),
        (Some(_), Some(MatchType::Presence(()))) => narrower(true, one),
        (Some(MatchType::Exact(text)), Some(_)) => narrower(matches(other, text), one),
        (Some(_), Some(MatchType::Exact(text))) => narrower(matches(one, text), other),
        (Some(MatchType::Prefix(a)), Some(MatchType::Prefix(b))) => {
            if a.len() >= b.len() {
                narrower(a.starts_with(b.as_str()), one)
            } else {
                narrower(b.starts_with(a.as_str()), other)
            }
        }
        (Some(MatchType::Suffix(a)), Some(MatchType::Suffix(b))) => {
            if a.len() >= b.len() {
                narrower(a.ends_with(b.as_str()), one)
            } else {
                narrower(b.ends_with(a.as_str()), other)
            }
        }
        (Some(MatchType::Prefix(_)), Some(MatchType::Suffix(_)))
        | (Some(MatchType::Suffix(_)), Some(MatchType::Prefix(_))) => None,
    }
}

fn of(condition: MatchType) -> StringMatch {
    StringMatch {
        match_type: Some(condition),
    }
}

impl Scoping<'_> {
    /// The trust domain and its aliases.
    pub(super) fn trust_domains(&self) -> impl Iterator<Item = &str> {
        let aliases = self.trust_domain_aliases.iter().map(String::as_str);
        std::iter::once(self.trust_domain).chain(aliases)
    }
}
