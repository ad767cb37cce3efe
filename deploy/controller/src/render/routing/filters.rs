//! Filters of the Gateway API, and what HTTP rules of both worlds do alike: redirects, CORS, mirrors.

use wire::proto::waypoint::{
    Cors as WireCors, Mirror, PortFrom, Redirect, Rewrite, StringMatch, redirect, rewrite,
    weighted_backend::Target,
};

use super::{
    convert::{absolute, target},
    destination, edits,
    facts::At,
    matches,
    notes::Notes,
};
use crate::objects::{
    Cors, CorsOrigin, HeaderEdit, UnmatchedPreflights,
    route::{Filter, PathChange, RequestMirror, RequestRedirect, UrlRewrite},
};

/// What the filters of a rule, or of one of its backends, come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects {
    pub(super) request: HeaderEdit,
    pub(super) response: HeaderEdit,
    pub(super) mirrors: Vec<Mirror>,
    pub(super) redirect: Option<Redirect>,
    pub(super) rewrite: Option<Rewrite>,
    pub(super) cors: Option<WireCors>,
    /// The types of those that are not supported.
    pub(super) unsupported: Vec<String>,
}

/// What filters come to, together.
pub(super) fn effects(
    filters: &[Filter],
    route: destination::Route<'_>,
    at: &At<'_>,
    notes: &mut Notes,
) -> Effects {
    let mut effects = Effects::default();
    for filter in filters {
        match filter {
            Filter::RequestHeaders(edit) => {
                effects.request = edits::merged(&effects.request, edit);
            }
            Filter::ResponseHeaders(edit) => {
                effects.response = edits::merged(&effects.response, edit);
            }
            Filter::Mirror(it) => effects.mirrors.extend(mirror(it, route, at, notes)),
            Filter::Redirect(it) => effects.redirect = Some(redirect(it, at)),
            Filter::Rewrite(it) => effects.rewrite = Some(rewrite(it)),
            Filter::Cors(it) => effects.cors = Some(cors(it)),
            Filter::Unsupported { kind } => effects.unsupported.push(kind.clone()),
        }
    }
    // A modifier of `host` changes the authority, which only a rewrite can.
    if let Some(authority) = edits::authority(&effects.request) {
        let rewrite = effects.rewrite.get_or_insert_default();
        if rewrite.authority.is_empty() {
            rewrite.authority = authority.to_owned();
        }
    }
    effects
}

/// One that cannot be had is left out: the Gateway API asks for that, and for a condition.
fn mirror(
    mirror: &RequestMirror,
    route: destination::Route<'_>,
    at: &At<'_>,
    notes: &mut Notes,
) -> Option<Mirror> {
    let found = destination::of_route(&mirror.backend, route, 0, at, notes);
    to(found, mirror.share.parts_per_million(), false)
}

/// A mirror to a target that is there.
pub(super) fn to(target: Target, share_ppm: u32, shadow_host: bool) -> Option<Mirror> {
    match target {
        Target::Backend(backend) if share_ppm > 0 => Some(Mirror {
            backend: Some(backend),
            share_ppm,
            shadow_host,
        }),
        Target::Backend(_) | Target::Missing(_) => None,
    }
}

/// Source: HTTPRoute `requestRedirect`. Its port, where none is given, is that of the scheme that it names, else the one
/// that was called; the default port of a scheme is not written.
fn redirect(it: &RequestRedirect, at: &At<'_>) -> Redirect {
    let path = it.path.as_ref().map(|path| match path {
        PathChange::Full(text) => redirect::Path::Full(absolute(text)),
        PathChange::Prefix(text) => redirect::Path::Prefix(target(text)),
    });
    let port = match (it.port, &it.scheme) {
        (Some(port), _) => Some(port),
        (None, Some(_)) => None,
        (None, None) => Some(at.port.number),
    };
    Redirect {
        scheme: it.scheme.clone().unwrap_or_default(),
        authority: it.hostname.clone().unwrap_or_default(),
        status: it.code.into(),
        path,
        ..written(port, it.scheme.as_deref())
    }
}

/// A redirect to a port, which is only written where it is not its scheme's own; without one, to that of the scheme.
pub(super) fn written(port: Option<u16>, scheme: Option<&str>) -> Redirect {
    // Nobody speaks TLS to the waypoint inside the tunnel.
    let default = match scheme.unwrap_or("http") {
        "https" => 443,
        _http => 80,
    };
    match port {
        Some(port) if port != default => Redirect {
            port: port.into(),
            ..Redirect::default()
        },
        Some(_) | None => Redirect {
            port_from: PortFrom::ProtocolDefault.into(),
            ..Redirect::default()
        },
    }
}

fn rewrite(it: &UrlRewrite) -> Rewrite {
    Rewrite {
        authority: it.hostname.clone().unwrap_or_default(),
        path: it.path.as_ref().map(|path| match path {
            PathChange::Full(text) => rewrite::Path::Full(absolute(text)),
            PathChange::Prefix(text) => rewrite::Path::Prefix(target(text)),
        }),
    }
}

/// Source: RT-12.
pub(super) fn cors(it: &Cors) -> WireCors {
    let origin = |it: &CorsOrigin| -> StringMatch {
        match it {
            CorsOrigin::Any => matches::exactly("*"),
            CorsOrigin::Match(text) => matches::text(text),
        }
    };
    WireCors {
        allow_origins: it.origins.iter().map(origin).collect(),
        allow_methods: it.methods.iter().cloned().collect(),
        allow_headers: it.headers.iter().cloned().collect(),
        expose_headers: it.expose_headers.iter().cloned().collect(),
        max_age_s: it.max_age.map(|it| it.as_secs()),
        allow_credentials: it.credentials,
        forward_unmatched: match it.unmatched_preflights {
            UnmatchedPreflights::Forward => true,
            UnmatchedPreflights::Ignore => false,
        },
    }
}
