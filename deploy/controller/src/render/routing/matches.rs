//! What rules ask of a request (RT-03, RT-14, RT-15).

use wire::proto::waypoint::{
    ClaimMatch, HeaderMatch, HttpMatch, PathMatch, QueryMatch, StringMatch, path_match,
    string_match,
};

use crate::objects::{
    StringMatch as Text, ValueMatches,
    route::{self, GrpcMatch, GrpcMethodMatch},
    virtual_service,
};

/// A text.
pub(super) fn text(text: &Text) -> StringMatch {
    StringMatch {
        kind: Some(match text {
            Text::Exact(text) => string_match::Kind::Exact(text.clone()),
            Text::Prefix(text) => string_match::Kind::Prefix(text.clone()),
            Text::Regex(text) => string_match::Kind::Regex(text.clone()),
        }),
    }
}

/// Exactly this.
pub(super) fn exactly(text: &str) -> StringMatch {
    StringMatch {
        kind: Some(string_match::Kind::Exact(text.to_owned())),
    }
}

/// A path.
pub(super) fn path(kind: path_match::Kind) -> PathMatch {
    PathMatch {
        ignore_case: false,
        kind: Some(kind),
    }
}

/// `match[]` of a VirtualService, as far as a request is asked.
pub(super) fn of_virtual_service(it: &virtual_service::HttpMatch) -> HttpMatch {
    let uri = it.uri.as_ref().map(|uri| {
        let (kind, may_ignore) = match uri {
            Text::Exact(text) => (path_match::Kind::Exact(text.clone()), true),
            Text::Prefix(text) => (path_match::Kind::Prefix(text.clone()), true),
            Text::Regex(text) => (path_match::Kind::Regex(text.clone()), false),
        };
        PathMatch {
            ignore_case: it.ignore_uri_case && may_ignore,
            kind: Some(kind),
        }
    });
    let with = headers(&it.headers, false);
    let without = headers(&it.without_headers, true);
    HttpMatch {
        path: uri,
        headers: with.chain(without).collect(),
        query: it.query_params.iter().map(query).collect(),
        method: it.method.as_ref().map(text),
        scheme: it.scheme.as_ref().map(text),
        // Compared in lower case on the other side: hosts have none.
        authority: it.authority.as_ref().map(|it| match it {
            Text::Exact(host) => text(&Text::Exact(host.to_ascii_lowercase())),
            Text::Prefix(host) => text(&Text::Prefix(host.to_ascii_lowercase())),
            Text::Regex(_) => text(it),
        }),
        hostnames: Vec::new(),
        claims: it.claims.iter().map(claim).collect(),
    }
}

fn headers(matches: &ValueMatches, invert: bool) -> impl Iterator<Item = HeaderMatch> + '_ {
    matches.iter().map(move |(name, value)| HeaderMatch {
        name: name.clone(),
        value: value.as_ref().map(text),
        invert,
    })
}

fn claim(it: &virtual_service::ClaimMatch) -> ClaimMatch {
    ClaimMatch {
        claim: it.claim.clone(),
        value: it.value.as_ref().map(text),
        invert: it.invert,
    }
}

fn query((name, value): (&String, &Option<Text>)) -> QueryMatch {
    QueryMatch {
        name: name.clone(),
        value: value.as_ref().map(text),
    }
}

/// `matches[]` of an HTTPRoute.
pub(in crate::render) fn of_http_route(it: &route::HttpMatch) -> HttpMatch {
    let kind = match &it.path {
        route::PathMatch::Exact(text) => path_match::Kind::Exact(text.clone()),
        route::PathMatch::Prefix(text) => path_match::Kind::Segments(text.clone()),
        route::PathMatch::Regex(text) => path_match::Kind::Regex(text.clone()),
    };
    HttpMatch {
        path: Some(path(kind)),
        headers: required(&it.headers)
            .map(|(name, value)| HeaderMatch {
                name,
                value,
                invert: false,
            })
            .collect(),
        query: required(&it.query_params)
            .map(|(name, value)| QueryMatch { name, value })
            .collect(),
        method: it.method.as_deref().map(exactly),
        ..HttpMatch::default()
    }
}

/// `matches[]` of a GRPCRoute. Source: the gRPC protocol: a call is a request for `/<service>/<method>`.
pub(super) fn of_grpc_route(it: &GrpcMatch) -> HttpMatch {
    let method = it.method.as_ref().and_then(of_grpc_method);
    let everything = || path_match::Kind::Segments("/".to_owned());
    HttpMatch {
        path: Some(path(method.unwrap_or_else(everything))),
        headers: required(&it.headers)
            .map(|(name, value)| HeaderMatch {
                name,
                value,
                invert: false,
            })
            .collect(),
        ..HttpMatch::default()
    }
}

fn of_grpc_method(it: &GrpcMethodMatch) -> Option<path_match::Kind> {
    /// One element of a path, whichever.
    const ANY: &str = "[^/]+";
    Some(match (&it.service, &it.method) {
        (None, None) => return None,
        (Some(Text::Exact(service)), Some(Text::Exact(method))) => {
            path_match::Kind::Exact(format!("/{service}/{method}"))
        }
        (Some(Text::Exact(service)), None) => path_match::Kind::Prefix(format!("/{service}/")),
        (service, method) => {
            let part = |text: &Option<Text>| match text {
                None => ANY.to_owned(),
                Some(Text::Exact(text)) => regex::escape(text),
                // Never a prefix, says the object; it would be one of an element.
                Some(Text::Prefix(text)) => format!("{}[^/]*", regex::escape(text)),
                Some(Text::Regex(text)) => format!("(?:{text})"),
            };
            path_match::Kind::Regex(format!("/{}/{}", part(service), part(method)))
        }
    })
}

fn required<'a>(
    matches: impl IntoIterator<Item = (&'a String, &'a Text)>,
) -> impl Iterator<Item = (String, Option<StringMatch>)> {
    matches
        .into_iter()
        .map(|(name, value)| (name.clone(), Some(text(value))))
}
