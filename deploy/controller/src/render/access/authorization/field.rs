//! One attribute and its values.

use ipnet::IpNet;
use wire::proto::{
    security::{StringMatch, string_match::MatchType},
    waypoint::{Attribute, Field, TextMatch, text_match::Kind},
};

use crate::render::policy::{Scoping, pattern};

/// The fields of a match, one after another: an attribute is asked for by its values, and asked not to have others.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<Field>);

impl Fields {
    /// One of `values`, and none of `not_values`. Nothing is asked by a list that is empty.
    pub(super) fn texts(
        &mut self,
        like: &Field,
        values: &[String],
        not_values: &[String],
        read: impl Fn(&str) -> TextMatch,
    ) {
        for (values, negate) in [(values, false), (not_values, true)] {
            if !values.is_empty() {
                self.0.push(Field {
                    negate,
                    texts: values.iter().map(|value| read(value)).collect(),
                    ..like.clone()
                });
            }
        }
    }

    /// The same of principals, each also by the other names of its trust domain.
    pub(super) fn principals(
        &mut self,
        values: &[String],
        not_values: &[String],
        scoping: &Scoping<'_>,
    ) {
        for (values, negate) in [(values, false), (not_values, true)] {
            if !values.is_empty() {
                let texts = pattern::principals(values, scoping);
                self.0.push(Field {
                    negate,
                    texts: texts.into_iter().map(of_layer_4).collect(),
                    ..of(Attribute::SourcePrincipal)
                });
            }
        }
    }

    /// The same of trust domains. One of the mesh's own stands for all of its names.
    pub(super) fn trust_domains(
        &mut self,
        values: &[String],
        not_values: &[String],
        scoping: &Scoping<'_>,
    ) {
        let all = |values| pattern::trust_domains(values, scoping);
        let of = of(Attribute::SourceTrustDomain);
        self.texts(&of, &all(values), &all(not_values), text);
    }

    /// The same of addresses.
    pub(super) fn blocks(&mut self, attribute: Attribute, values: &[IpNet], not_values: &[IpNet]) {
        for (values, negate) in [(values, false), (not_values, true)] {
            if !values.is_empty() {
                self.0.push(Field {
                    negate,
                    blocks: values.iter().map(IpNet::to_string).collect(),
                    ..of(attribute)
                });
            }
        }
    }

    /// The same of the port that was asked for.
    pub(super) fn ports(&mut self, values: &[u16], not_values: &[u16]) {
        for (values, negate) in [(values, false), (not_values, true)] {
            if !values.is_empty() {
                self.0.push(Field {
                    negate,
                    ports: values.iter().copied().map(u32::from).collect(),
                    ..of(Attribute::DestinationPort)
                });
            }
        }
    }

    pub(super) fn into_vec(self) -> Vec<Field> {
        self.0
    }
}

/// An attribute without values.
pub(super) fn of(attribute: Attribute) -> Field {
    Field {
        attribute: attribute.into(),
        ..Field::default()
    }
}

/// What a policy's text stands for: `x` exact, `x*` prefix, `*x` suffix, `*` presence.
pub(super) fn text(text: &str) -> TextMatch {
    of_layer_4(pattern::text(text))
}

/// The same of a host, which knows no case.
pub(super) fn host(host: &str) -> TextMatch {
    text(&host.to_ascii_lowercase())
}

/// The same of a path, which may be a template. Source: Istio, `paths`: `{*}` and `{**}` make it one.
pub(super) fn path(path: &str) -> TextMatch {
    if path.contains("{*}") || path.contains("{**}") {
        return TextMatch {
            kind: Some(Kind::Template(path.to_owned())),
        };
    }
    text(path)
}

/// A service account: `name` is one of the policy's namespace. Source: Istio, `serviceAccounts`.
pub(super) fn account(account: &str, namespace: &str) -> TextMatch {
    let account = if account.contains('/') {
        account.to_owned()
    } else {
        format!("{namespace}/{account}")
    };
    TextMatch {
        kind: Some(Kind::Exact(account)),
    }
}

/// The same condition, as waypoints have it.
fn of_layer_4(condition: StringMatch) -> TextMatch {
    let kind = condition.match_type.map(|it| match it {
        MatchType::Exact(text) => Kind::Exact(text),
        MatchType::Prefix(text) => Kind::Prefix(text),
        MatchType::Suffix(text) => Kind::Suffix(text),
        MatchType::Presence(()) => Kind::Present(true),
    });
    TextMatch { kind }
}
