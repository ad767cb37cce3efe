//! Authorization policies of layer 7: data, and (in [`Rulebook`]) compiled.
//!
//! **Shape** of the match algebra: a policy is the OR of its rules, a rule the AND of its clauses, a clause the OR of its
//! matches, a match the AND of its fields; a field holds if one of its values does, and with `negate` if none does.

use std::{fmt, sync::Arc};

use ipnet::IpNet;

use super::external::ExternalAuthorization;
use crate::{PolicyKey, name::Name};

mod rulebook;
mod template;

pub use rulebook::{Matched, Query, Rulebook, Set, Subject};
pub use template::Template;

/// One policy. Source: `ambit.waypoint.v1.AuthorizationPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub key: PolicyKey,
    /// What a match means.
    pub action: Action,
    /// Whether it is evaluated for logs and metrics only.
    pub dry_run: bool,
    /// OR, in the order of the object. No rules: it never matches.
    pub rules: Vec<Rule>,
}

/// What a match means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It may pass, unless something denies it.
    Allow,
    /// It may not.
    Deny,
    /// It is noted.
    Audit,
    /// Somebody else is asked.
    Custom(Arc<ExternalAuthorization>),
}

/// AND of clauses. None: it always matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// What must all hold.
    pub clauses: Vec<Clause>,
}

/// OR of matches. **Shape:** at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Clause {
    /// Of which one must hold.
    pub matches: Vec<Match>,
}

/// AND of fields. None: it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Match {
    /// What must all hold.
    pub fields: Vec<Field>,
}

/// One attribute, and values of which one must hold. An absent attribute has none that holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// What is looked at, and for which values.
    pub test: Test,
    /// None of the values may hold, instead.
    pub negate: bool,
}

/// What is looked at, and for which values. **Shape:** at least one value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// Text.
    Text(TextAttribute, Vec<TextMatch>),
    /// An address.
    Ip(IpAttribute, Vec<IpNet>),
    /// The port that was asked for.
    DestinationPort(Vec<u16>),
}

/// What is text. Those that [`TextAttribute::is_http`] are there only where a request is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TextAttribute {
    /// `<trust domain>/ns/<namespace>/sa/<service account>` of the certified client.
    SourcePrincipal,
    /// Of the certified client.
    SourceNamespace,
    /// `<namespace>/<service account>` of the certified client.
    SourceServiceAccount,
    /// Of the certified client.
    SourceTrustDomain,
    /// `<iss>/<sub>` of the verified token.
    RequestPrincipal,
    /// `aud` of the verified token; may be several.
    Audiences,
    /// `azp` of the verified token.
    Presenter,
    /// A claim of the verified token, by the way into it; may be several.
    Claim(Vec<Name>),
    /// The authority in lower case. A value without a port also holds for an authority with any.
    Host,
    /// The method.
    Method,
    /// The normalised path without query.
    Path,
    /// A header, by its name in lower case; several values are joined by `,`.
    Header(Name),
    /// The server name of the client's own TLS, in lower case.
    Sni,
    /// What the external authorizer named first said, by the way into it.
    Metadata(Name, Vec<Name>),
}

/// What is an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IpAttribute {
    /// The peer of the tunnel.
    Source,
    /// The client that a trusted proxy names, else the peer.
    Remote,
    /// Where the client thinks it is connected to.
    Destination,
}

/// A text condition. The case counts, but for [`TextAttribute::Host`] and [`TextAttribute::Sni`].
///
/// A value for [`TextAttribute::RequestPrincipal`] that has a slash says with its last one where the issuer ends. Source: Istio.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextMatch {
    /// The text itself.
    Exact(Name),
    /// It begins so (`x*`).
    Prefix(Name),
    /// It ends so (`*x`).
    Suffix(Name),
    /// It is there and not empty (`*`); a header need only be there. Source: Envoy, `present_match`.
    Present,
    /// A path: `{*}` stands for one segment, `{**}` for any number of them. Source: Envoy's URI template.
    Template(Name),
}

impl Policy {
    /// Whether it looks at something that only a request has.
    #[must_use]
    pub fn looks_at_requests(&self) -> bool {
        self.rules
            .iter()
            .flat_map(|rule| &rule.clauses)
            .flat_map(|clause| &clause.matches)
            .flat_map(|one| &one.fields)
            .any(|field| field.test.is_http())
    }
}

impl Test {
    /// Whether it is about something that only a request has.
    #[must_use]
    pub fn is_http(&self) -> bool {
        match self {
            Self::Text(attribute, _) => attribute.is_http(),
            Self::Ip(..) | Self::DestinationPort(_) => false,
        }
    }
}

impl TextMatch {
    /// Whether it holds for a text that is there.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => text == wanted.as_bytes(),
            Self::Prefix(wanted) => text.starts_with(wanted.as_bytes()),
            Self::Suffix(wanted) => text.ends_with(wanted.as_bytes()),
            Self::Present => !text.is_empty(),
            Self::Template(template) => Template::new(template).matches(text),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Audit => "AUDIT",
            Self::Custom(_) => "CUSTOM",
        })
    }
}

impl TextAttribute {
    /// Whether it is there only where a request is read (AZ-05).
    #[must_use]
    pub fn is_http(&self) -> bool {
        match self {
            Self::SourcePrincipal
            | Self::SourceNamespace
            | Self::SourceServiceAccount
            | Self::SourceTrustDomain
            | Self::Sni => false,
            Self::RequestPrincipal
            | Self::Audiences
            | Self::Presenter
            | Self::Claim(_)
            | Self::Host
            | Self::Method
            | Self::Path
            | Self::Header(_)
            | Self::Metadata(..) => true,
        }
    }
}
