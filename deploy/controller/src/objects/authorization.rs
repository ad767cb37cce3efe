//! `security.istio.io/v1 AuthorizationPolicy`, with all of its fields: which of them are enforced where is decided
//! by what renders it.

use super::{Meta, Selector};

/// Who may do what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationPolicy {
    /// `metadata`; the annotation `istio.io/dry-run` is read from it.
    pub meta: Meta,
    /// `spec.selector.matchLabels`; not together with `targets`.
    pub selector: Option<Selector>,
    /// `spec.targetRefs` (and `spec.targetRef`).
    pub targets: Vec<TargetRef>,
    /// `spec.action`.
    pub action: Action,
    /// `spec.provider.name`, for `CUSTOM`.
    pub provider: String,
    /// `spec.rules`.
    pub rules: Vec<PolicyRule>,
}

/// What a policy is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetRef {
    /// `group`; empty for core.
    pub group: String,
    /// `kind`.
    pub kind: String,
    /// `name`.
    pub name: String,
}

/// `spec.action`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Action {
    #[default]
    Allow,
    Deny,
    Audit,
    Custom,
}

/// `spec.rules[]`: the AND of its parts, each absent where it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRule {
    /// `from[].source`: OR.
    pub from: Vec<Source>,
    /// `to[].operation`: OR.
    pub to: Vec<Operation>,
    /// `when`: AND.
    pub when: Vec<Condition>,
}

/// `from[].source`: the AND of its fields, each list OR. Values are as written: `x`, `x*`, `*x`, `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the API")]
pub struct Source {
    pub principals: Vec<String>,
    pub not_principals: Vec<String>,
    pub request_principals: Vec<String>,
    pub not_request_principals: Vec<String>,
    pub namespaces: Vec<String>,
    pub not_namespaces: Vec<String>,
    /// `name` or `namespace/name`.
    pub service_accounts: Vec<String>,
    pub not_service_accounts: Vec<String>,
    pub ip_blocks: Vec<ipnet::IpNet>,
    pub not_ip_blocks: Vec<ipnet::IpNet>,
    pub remote_ip_blocks: Vec<ipnet::IpNet>,
    pub not_remote_ip_blocks: Vec<ipnet::IpNet>,
    pub trust_domains: Vec<String>,
    pub not_trust_domains: Vec<String>,
}

/// `to[].operation`: the AND of its fields, each list OR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the API")]
pub struct Operation {
    pub hosts: Vec<String>,
    pub not_hosts: Vec<String>,
    pub ports: Vec<u16>,
    pub not_ports: Vec<u16>,
    pub methods: Vec<String>,
    pub not_methods: Vec<String>,
    pub paths: Vec<String>,
    pub not_paths: Vec<String>,
}

/// `when[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// For example `source.ip` or `request.headers[x-token]`; its name is known to be one of Istio's.
    pub key: String,
    /// OR. Addresses and ports among them were checked for the keys that hold them.
    pub values: Vec<String>,
    /// None of them.
    pub not_values: Vec<String>,
}
