//! `extensionProviders[]` with `envoyExtAuthzHttp` or `envoyExtAuthzGrpc`: whom the action CUSTOM asks.
//!
//! In: the providers. Out: each by its name, or why it cannot be used. Never: a MeshConfig that is refused for one of them,
//! which would leave the rest of the mesh with settings of yesterday.
//!
//! Source: `istio.mesh.v1alpha1.MeshConfig.ExtensionProvider`; validation of `extensionproviders`.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use http::uri::PathAndQuery;
use yaml::{
    Cursor, Error, Object,
    scalar::{self, checked},
};

use super::access_log::MAX_PROVIDERS;
use crate::{
    objects::{Authorizer, AuthorizerBody, AuthorizerProtocol, AuthorizerService, HttpAuthorizer},
    read::{duration, field, header, line, name, number},
};

const HTTP_FIELDS: &[&str] = &[
    "clearRouteCache",
    "failOpen",
    "headersToDownstreamOnAllow",
    "headersToDownstreamOnDeny",
    "headersToUpstreamOnAllow",
    "includeAdditionalHeadersInCheck",
    "includeHeadersInCheck",
    "includeRequestBodyInCheck",
    "includeRequestHeadersInCheck",
    "pathPrefix",
    "port",
    "service",
    "statusOnError",
    "timeout",
];
const GRPC_FIELDS: &[&str] = &[
    "clearRouteCache",
    "failOpen",
    "includeRequestBodyInCheck",
    "port",
    "service",
    "statusOnError",
    "timeout",
];
const BODY_FIELDS: &[&str] = &["allowPartialMessage", "maxRequestBytes", "packAsBytes"];

const PROVIDER: &str = "a mapping with service and port";
const SERVICE: &str = "a hostname, or a namespace and a hostname, such as authz.default.svc.cluster.local or \
                       default/authz.example.com";
const HEADER: &str = "the name of a header, perhaps with * at its beginning or its end";
const PATH_PREFIX: &str = "a path that begins with /, without a query";
const BODY: &str = "a mapping with maxRequestBytes";

/// Source: Istio, `timeout` of both.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// Source: Istio, `statusOnError`.
const DEFAULT_STATUS: u16 = 403;
/// More headers than a request may have.
const MAX_HEADERS: usize = 100;
/// What a waypoint holds back of one request: it is kept whole in memory. Units: bytes.
const MAX_BODY_BYTES: u32 = 16 << 20;
/// Source: Gateway API, `HTTPHeader.value`; no header of a question is longer.
const MAX_VALUE_BYTES: usize = 4096;

/// All authorizers by name; one that cannot be used, with the reason.
pub(super) fn authorizers(
    at: &Cursor<'_>,
) -> Result<BTreeMap<String, Result<Authorizer, String>>, Error> {
    let mut authorizers = BTreeMap::new();
    at.field("extensionProviders", |at| {
        field::items_up_to(at, "a list of providers", MAX_PROVIDERS, |at| {
            let Some(read) = provider(at)? else {
                return Ok(());
            };
            if let Err(reason) = &read {
                at.warn(format!(
                    "{reason}: policies that name it close what they are attached to"
                ));
            }
            let Some(name) = at.field("name", line::text)?.filter(|it| !it.is_empty()) else {
                at.warn("without a name no policy can name it");
                return Ok(());
            };
            match authorizers.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(read);
                }
                Entry::Occupied(mut place) => {
                    let reason = "several providers have this name".to_owned();
                    at.warn(format!(
                        "{reason}: policies that name it close what they are attached to"
                    ));
                    let _first = place.insert(Err(reason));
                }
            }
            Ok(())
        })
    })?;
    Ok(authorizers)
}

/// `None` for a provider of another kind.
fn provider(at: &Cursor<'_>) -> Result<Option<Result<Authorizer, String>>, Error> {
    let http = at.field("envoyExtAuthzHttp", |at| Ok(of_http(at)))?;
    let grpc = at.field("envoyExtAuthzGrpc", |at| Ok(of_grpc(at)))?;
    Ok(match (http, grpc) {
        (None, None) => None,
        (Some(read), None) | (None, Some(read)) => Some(read.map_err(field::reason)),
        (Some(_), Some(_)) => Some(Err(
            "either envoyExtAuthzHttp or envoyExtAuthzGrpc".to_owned()
        )),
    })
}

fn of_http(at: &Cursor<'_>) -> Result<Authorizer, Error> {
    // A field that is passed over could be one without which the authorizer lets more pass.
    let object = at.exact_object(PROVIDER, HTTP_FIELDS)?;
    let headers = |name| field::list_up_to(&object, name, "a list of headers", MAX_HEADERS, header);
    let mut include_headers = headers("includeRequestHeadersInCheck")?;
    let deprecated = headers("includeHeadersInCheck")?;
    if include_headers.is_empty() {
        include_headers = deprecated;
    }
    let http = HttpAuthorizer {
        path_prefix: field::text(&object, "pathPrefix", path_prefix)?.unwrap_or_default(),
        include_headers,
        additional_headers: additional_headers(&object)?,
        upstream_on_allow: headers("headersToUpstreamOnAllow")?,
        downstream_on_deny: headers("headersToDownstreamOnDeny")?,
        downstream_on_allow: headers("headersToDownstreamOnAllow")?,
    };
    authorizer(&object, AuthorizerProtocol::Http(Box::new(http)))
}

fn of_grpc(at: &Cursor<'_>) -> Result<Authorizer, Error> {
    let object = at.exact_object(PROVIDER, GRPC_FIELDS)?;
    authorizer(&object, AuthorizerProtocol::Grpc)
}

/// What both have.
fn authorizer(object: &Object<'_>, protocol: AuthorizerProtocol) -> Result<Authorizer, Error> {
    let _either_way = field::switch(object, "clearRouteCache")?;
    Ok(Authorizer {
        service: object.required("service", SERVICE, service)?,
        port: object.required("port", PROVIDER, |at| scalar::port(at).map(u16::from))?,
        timeout: object
            .nullable("timeout", duration::positive)?
            .unwrap_or(DEFAULT_TIMEOUT),
        fail_open: field::switch(object, "failOpen")?,
        status_on_error: field::text(object, "statusOnError", number::status)?
            .unwrap_or(DEFAULT_STATUS),
        include_body: object.nullable("includeRequestBodyInCheck", body)?,
        protocol,
    })
}

fn service(at: &Cursor<'_>) -> Result<AuthorizerService, Error> {
    let text = at.text(SERVICE)?;
    let (namespace, hostname) = match text.split_once('/') {
        Some((namespace, hostname)) => (Some(namespace), hostname),
        None => (None, text),
    };
    let hostname = name::canonical(hostname);
    if !name::is_hostname(&hostname) || !namespace.is_none_or(scalar::is_label) {
        return Err(at.unexpected(SERVICE));
    }
    Ok(AuthorizerService {
        namespace: namespace.map(str::to_owned),
        hostname,
    })
}

fn path_prefix(at: &Cursor<'_>) -> Result<String, Error> {
    checked(at, PATH_PREFIX, |text| {
        // A fragment would be cut without a word.
        let is_plain = text.starts_with('/') && !text.contains(['?', '#']);
        is_plain && text.parse::<PathAndQuery>().is_ok()
    })
    .map(str::to_owned)
}

/// A header, as `generateHeaders` of Istio has them. `*` alone is refused there, too.
fn header(at: &Cursor<'_>) -> Result<String, Error> {
    checked(at, HEADER, |text| {
        let name = text.strip_prefix('*').or_else(|| text.strip_suffix('*'));
        header::is_name(name.unwrap_or(text))
    })
    .map(str::to_ascii_lowercase)
}

fn additional_headers(object: &Object<'_>) -> Result<BTreeMap<String, String>, Error> {
    const VALUE: &str = "the value of a header: at most 4096 bytes without control characters";
    let mut headers = BTreeMap::new();
    object.nullable("includeAdditionalHeadersInCheck", |at| {
        let expected = "a mapping of names of headers to values";
        field::entries_up_to(at, expected, MAX_HEADERS, |key, at| {
            let value = checked(at, VALUE, |text| {
                text.len() <= MAX_VALUE_BYTES
                    && http::HeaderValue::from_bytes(text.as_bytes()).is_ok()
            })?;
            if headers
                .insert(header::name(key)?, value.to_owned())
                .is_some()
            {
                return Err(key.unexpected("each header once: their names know no case"));
            }
            Ok(())
        })
    })?;
    Ok(headers)
}

fn body(at: &Cursor<'_>) -> Result<AuthorizerBody, Error> {
    const BYTES: &str = "a whole number from 1 to 16777216: so much of a request is held in memory";
    let object = at.exact_object(BODY, BODY_FIELDS)?;
    let bytes = |at: &Cursor<'_>| number::within(at, 1..=MAX_BODY_BYTES, BYTES);
    Ok(AuthorizerBody {
        max_bytes: object.required("maxRequestBytes", BODY, bytes)?,
        allow_partial: field::switch(&object, "allowPartialMessage")?,
        as_bytes: field::switch(&object, "packAsBytes")?,
    })
}
