//! `security.istio.io/v1` PeerAuthentication and RequestAuthentication.

use std::{collections::BTreeMap, time::Duration};

use super::{Meta, Selector, TargetRef};

/// What is asked of callers' transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerAuthentication {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.selector.matchLabels`; `None` is the namespace, or the mesh in the root namespace.
    pub selector: Option<Selector>,
    /// `spec.mtls.mode`; `None` where `spec.mtls` is absent.
    pub mode: Option<MutualTls>,
    /// `spec.portLevelMtls`: by the workload's port, which `spec.selector` must be there for.
    pub ports: BTreeMap<u16, MutualTls>,
}

/// `mtls.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum MutualTls {
    #[default]
    Unset,
    Disable,
    Permissive,
    Strict,
}

/// Which tokens callers may bring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestAuthentication {
    /// `metadata`.
    pub meta: Meta,
    /// `spec.selector.matchLabels`; not together with `targets`.
    pub selector: Option<Selector>,
    /// `spec.targetRefs` (and `spec.targetRef`).
    pub targets: Vec<TargetRef>,
    /// `spec.jwtRules`: a token of one of them is good.
    pub rules: Vec<JwtRule>,
}

/// `jwtRules[]`: one issuer. Texts are as written, names of headers too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRule {
    /// `issuer`; may be empty where there is `jwks_uri`.
    pub issuer: String,
    /// `audiences`, none of them empty; no audiences: any.
    pub audiences: Vec<String>,
    /// `jwks`, or `jwksUri`.
    pub keys: JwtKeys,
    /// `fromHeaders`.
    pub from_headers: Vec<JwtHeader>,
    /// `fromParams`, none of them empty.
    pub from_params: Vec<String>,
    /// `fromCookies`, none of them empty.
    pub from_cookies: Vec<String>,
    /// `outputPayloadToHeader`.
    pub output_payload_to_header: Option<String>,
    /// `forwardOriginalToken`.
    pub forward_original_token: bool,
    /// `outputClaimToHeaders[]`: `header` and `claim`, neither of them empty.
    pub output_claim_to_headers: Vec<(String, String)>,
    /// `timeout` of what fetches keys; 5 s where it is absent.
    pub timeout: Duration,
    /// `spaceDelimitedClaims`, none of them empty.
    pub space_delimited_claims: Vec<String>,
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtKeys {
    /// `jwks`, as written: a JSON Web Key Set, or what is meant to be one.
    Inline(String),
    /// `jwksUri`: a URL of `http` or `https`.
    Uri(String),
    /// Neither: where the issuer says (OpenID Connect Discovery).
    Discovery,
}

/// `fromHeaders[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtHeader {
    /// `name`; not empty.
    pub name: String,
    /// `prefix`, with its blank if it has one; may be empty.
    pub prefix: String,
}
