//! Authorization policies of layer 7: data, and (in [`Rulebook`]) compiled.
//!
//! **Shape** of the match algebra: a policy is the OR of its rules, a rule the AND of its clauses, a clause the OR of its
//! matches, a match the AND of its fields; a field holds if one of its values does, and with `negate` if none does.

use std::sync::Arc;

use ipnet::IpNet;

use super::external::ExternalAuthorization;
use crate::{PolicyKey, name::Name};

mod rulebook;

pub use rulebook::Rulebook;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clause {
    /// Of which one must hold.
    pub matches: Vec<Match>,
}

/// AND of fields. None: it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// What must all hold.
    pub fields: Vec<Field>,
}

/// One attribute, and values of which one must hold. An absent attribute has none that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// What is looked at, and for which values.
    pub test: Test,
    /// None of the values may hold, instead.
    pub negate: bool,
}

/// What is looked at, and for which values. **Shape:** at least one value.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The authority in lower case.
    Host,
    /// The method.
    Method,
    /// The normalised path without query.
    Path,
    /// A header, by its name in lower case; several values are joined by `,`.
    Header(Name),
    /// The server name of the client's own TLS.
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

/// A text condition. The case counts, but for [`TextAttribute::Host`], whose values are lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextMatch {
    /// The text itself.
    Exact(Name),
    /// It begins so (`x*`).
    Prefix(Name),
    /// It ends so (`*x`).
    Suffix(Name),
    /// It is there and not empty (`*`).
    Present,
    /// A path: `{*}` stands for one segment, `{**}` for any number of them. Source: Envoy's URI template.
    Template(Name),
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
