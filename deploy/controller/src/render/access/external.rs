//! Whom CUSTOM asks, to `ambit.waypoint.v1.ExternalAuthorization` (AZ-07).
//!
//! Source: MeshConfig `extensionProviders[].envoyExtAuthzHttp` and `envoyExtAuthzGrpc`.

use wire::proto::waypoint::{
    Backend, ExternalAuthorization, ExternalGrpc, ExternalHttp, Header, IncludeBody, TextMatch,
    external_authorization::Protocol, text_match::Kind,
};

use crate::{
    objects::{Authorizer, AuthorizerProtocol, HttpAuthorizer},
    render::routing::micros,
};

/// A provider of that name, whose service is `backend`.
#[must_use]
pub fn external(name: &str, authorizer: &Authorizer, backend: Backend) -> ExternalAuthorization {
    ExternalAuthorization {
        provider: name.to_owned(),
        backend: Some(backend),
        protocol: Some(match &authorizer.protocol {
            AuthorizerProtocol::Http(it) => Protocol::Http(http(it)),
            AuthorizerProtocol::Grpc => Protocol::Grpc(ExternalGrpc {}),
        }),
        timeout_us: micros(authorizer.timeout),
        fail_open: authorizer.fail_open,
        status_on_error: authorizer.status_on_error.into(),
        include_body: authorizer.include_body.map(|it| IncludeBody {
            max_bytes: it.max_bytes,
            allow_partial: it.allow_partial,
            as_bytes: it.as_bytes,
        }),
    }
}

fn http(it: &HttpAuthorizer) -> ExternalHttp {
    let headers = |names: &[String]| names.iter().map(|name| header(name)).collect();
    let additional = it.additional_headers.iter().map(|(name, value)| Header {
        name: name.clone(),
        value: value.clone(),
    });
    ExternalHttp {
        path_prefix: it.path_prefix.clone(),
        include_headers: headers(&it.include_headers),
        additional_headers: additional.collect(),
        upstream_on_allow: headers(&it.upstream_on_allow),
        downstream_on_deny: headers(&it.downstream_on_deny),
        downstream_on_allow: headers(&it.downstream_on_allow),
    }
}

/// A name, `prefix*` or `*suffix`.
fn header(name: &str) -> TextMatch {
    let kind = if let Some(suffix) = name.strip_prefix('*') {
        Kind::Suffix(suffix.to_owned())
    } else if let Some(prefix) = name.strip_suffix('*') {
        Kind::Prefix(prefix.to_owned())
    } else {
        Kind::Exact(name.to_owned())
    };
    TextMatch { kind: Some(kind) }
}
