//! What an operator sees of policies, tokens, authorizers, limits and client addresses, in `/config_dump`.
//!
//! In: what was delivered for the waypoint, or for a port. Out: JSON. Never: keys (those of a policy may be secrets), the values of headers that authorizers are sent
//! (they may be passwords), the query of an address.

use std::sync::Arc;

use mesh::{
    Name,
    access::{
        ClientAddress, Policies, Policy, RateLimit, RequestAuthentication,
        authorization::{Action, TextMatch},
        external::{ExternalAuthorization, Protocol},
        jwt::{JwtRule, KeySource},
        limit::LimitKind,
    },
    settings::WaypointSettings,
};
use serde_json::{Value, json};

/// What is asked of whoever comes to one target. `unenforced` are the policies that close it.
#[must_use]
pub fn json(
    policies: &Policies,
    client_address: Option<&ClientAddress>,
    unenforced: &[Name],
) -> Value {
    let authorization = policies.authorization.policies();
    json!({
        "unenforced": texts(unenforced),
        "authorization": authorization.iter().map(policy).collect::<Value>(),
        "authentication": policies.authentication.iter().map(|it| authentication(it)).collect::<Value>(),
        "authorizers": authorizers(authorization).into_iter().map(authorizer).collect::<Value>(),
        "rateLimits": policies.rate_limits.iter().map(|limit| self::limit(limit)).collect::<Value>(),
        "clientAddress": client_address.map(self::client_address),
    })
}

/// Settings as text, without their policies.
#[must_use]
pub fn settings(settings: &WaypointSettings) -> String {
    let plain = WaypointSettings {
        policies: Policies::default(),
        ..settings.clone()
    };
    format!("{plain:?}")
}

fn texts(names: &[Name]) -> Value {
    names.iter().map(ToString::to_string).collect()
}

fn policy(policy: &Policy) -> Value {
    let (action, provider) = match &policy.action {
        Action::Allow => ("ALLOW", None),
        Action::Deny => ("DENY", None),
        Action::Audit => ("AUDIT", None),
        Action::Custom(external) => ("CUSTOM", Some(external.provider.to_string())),
    };
    json!({
        "policy": policy.key.to_string(),
        "action": action,
        "provider": provider,
        "dryRun": policy.dry_run,
        "rules": policy.rules.len(),
    })
}

fn authentication(policy: &RequestAuthentication) -> Value {
    json!({
        "policy": policy.key.to_string(),
        "rules": policy.rules.iter().map(issuer).collect::<Value>(),
    })
}

fn issuer(rule: &JwtRule) -> Value {
    let keys = match &rule.keys {
        KeySource::Inline(_) => "inline".to_owned(),
        KeySource::Uri(uri) => {
            let uri = uri.as_str();
            let uri = uri.split_once('?').map_or(uri, |(uri, _)| uri);
            match uri.split_once("://").zip(uri.rsplit_once('@')) {
                Some(((scheme, _), (_, place))) => format!("{scheme}://{place}"),
                None => uri.to_owned(),
            }
        }
        KeySource::Discovery => "discovery".to_owned(),
    };
    let headers = rule.from_headers.iter();
    json!({
        "issuer": rule.issuer.to_string(),
        "audiences": texts(&rule.audiences),
        "keys": keys,
        "fromHeaders": headers.map(|(name, _)| name.to_string()).collect::<Value>(),
        "fromParams": texts(&rule.from_params),
        "fromCookies": texts(&rule.from_cookies),
        "forwardOriginalToken": rule.forward_original_token,
    })
}

/// Each that a policy names, once.
fn authorizers(policies: &[Policy]) -> Vec<&ExternalAuthorization> {
    let mut found: Vec<&Arc<ExternalAuthorization>> = Vec::new();
    for policy in policies {
        match &policy.action {
            Action::Custom(external) if !found.contains(&external) => found.push(external),
            Action::Custom(_) | Action::Allow | Action::Deny | Action::Audit => {}
        }
    }
    found.into_iter().map(|external| &**external).collect()
}

fn authorizer(external: &ExternalAuthorization) -> Value {
    let protocol = match &external.protocol {
        Protocol::Http(_) => "http",
        Protocol::Grpc => "grpc",
    };
    json!({
        "provider": external.provider.to_string(),
        "protocol": protocol,
        "service": external.backend.to_string(),
        "timeout": format!("{:?}", external.timeout),
        "failOpen": external.fail_open,
        "statusOnError": external.status_on_error,
        "includeBody": external.include_body.map(|body| json!({
            "maxBytes": body.max_bytes,
            "allowPartial": body.allow_partial,
        })),
    })
}

fn limit(limit: &RateLimit) -> Value {
    let kind = match &limit.kind {
        LimitKind::Local(bucket) => json!({"local": {
            "maxTokens": bucket.max_tokens,
            "tokensPerFill": bucket.tokens_per_fill,
            "fillInterval": format!("{:?}", bucket.fill_interval),
        }}),
        LimitKind::Global(global) => json!({"global": {
            "domain": global.domain.to_string(),
            "service": global.backend.to_string(),
            "timeout": format!("{:?}", global.timeout),
            "failClosed": global.fail_closed,
        }}),
    };
    json!({
        "limit": limit.name.to_string(),
        "kind": kind,
        "keys": limit.keys.iter().map(|key| key.name.to_string()).collect::<Value>(),
        "routes": texts(&limit.routes),
        "matches": limit.matches.len(),
        "status": limit.status,
        "enabledPpm": limit.enabled_ppm,
        "enforcedPpm": limit.enforced_ppm,
    })
}

fn client_address(policy: &ClientAddress) -> Value {
    let peer = |peer: &TextMatch| match peer {
        TextMatch::Exact(text) | TextMatch::Template(text) => text.to_string(),
        TextMatch::Prefix(text) => format!("{text}*"),
        TextMatch::Suffix(text) => format!("*{text}"),
        TextMatch::Present => "*".to_owned(),
    };
    json!({
        "trustedPeers": policy.trusted_peers.iter().map(peer).collect::<Value>(),
        "numTrustedProxies": policy.trusted_proxies,
        "proxyProtocol": policy.proxy_protocol,
    })
}

#[cfg(test)]
mod tests;
