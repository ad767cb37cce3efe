//! `filters[]`.

use yaml::{
    Cursor, Error, Object,
    scalar::{port, word},
};

use super::{MAX_ITEMS, cors, parent};
use crate::{
    objects::{
        Share,
        route::{Filter, PathChange, RequestMirror, RequestRedirect, UrlRewrite},
    },
    read::{
        field, header, name, number,
        virtual_service::{redirect_code, rewritten_path},
    },
};

const FIELDS: &[&str] = &[
    "cors",
    "extensionRef",
    "externalAuth",
    "requestHeaderModifier",
    "requestMirror",
    "requestRedirect",
    "responseHeaderModifier",
    "type",
    "urlRewrite",
];
const REDIRECT_FIELDS: &[&str] = &["hostname", "path", "port", "scheme", "statusCode"];

/// Source: Gateway API v1, `HTTPRequestRedirectFilter.statusCode`.
const DEFAULT_REDIRECT: u16 = 302;

const FILTER: &str = "a filter with type, and the field that belongs to it";
const PATH: &str = "a mapping with type, and the field that belongs to it";

/// Whose filters they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Http,
    Grpc,
}

/// `type`, as written, with the field that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    RequestHeaders,
    ResponseHeaders,
    Mirror,
    Redirect,
    Rewrite,
    Cors,
    Extension,
    Authorization,
}

const GRPC_TYPES: [(&str, Type); 4] = [
    ("RequestHeaderModifier", Type::RequestHeaders),
    ("ResponseHeaderModifier", Type::ResponseHeaders),
    ("RequestMirror", Type::Mirror),
    ("ExtensionRef", Type::Extension),
];
const HTTP_TYPES: [(&str, Type); 8] = [
    ("RequestHeaderModifier", Type::RequestHeaders),
    ("ResponseHeaderModifier", Type::ResponseHeaders),
    ("RequestMirror", Type::Mirror),
    ("RequestRedirect", Type::Redirect),
    ("URLRewrite", Type::Rewrite),
    ("CORS", Type::Cors),
    ("ExtensionRef", Type::Extension),
    ("ExternalAuth", Type::Authorization),
];

impl Type {
    fn field(self) -> &'static str {
        match self {
            Self::RequestHeaders => "requestHeaderModifier",
            Self::ResponseHeaders => "responseHeaderModifier",
            Self::Mirror => "requestMirror",
            Self::Redirect => "requestRedirect",
            Self::Rewrite => "urlRewrite",
            Self::Cors => "cors",
            Self::Extension => "extensionRef",
            Self::Authorization => "externalAuth",
        }
    }

    /// Whether a rule can have several.
    fn repeats(self) -> bool {
        matches!(self, Self::Mirror | Self::Extension)
    }
}

/// `filters` of a rule or of a backend.
pub(super) fn filters(object: &Object<'_>, of: Of) -> Result<Vec<Filter>, Error> {
    let mut types: Vec<Type> = Vec::new();
    field::list_up_to(object, "filters", "a list of filters", MAX_ITEMS, |at| {
        let (kind, filter) = filter(at, of)?;
        if !kind.repeats() && types.contains(&kind) {
            return Err(at.unexpected("each type of filter once"));
        }
        types.push(kind);
        if types.contains(&Type::Redirect) && types.contains(&Type::Rewrite) {
            return Err(at.unexpected("either RequestRedirect or URLRewrite"));
        }
        Ok(filter)
    })
}

fn filter(at: &Cursor<'_>, of: Of) -> Result<(Type, Filter), Error> {
    // A filter that is left out may have been there to protect.
    let object = at.exact_object(FILTER, FIELDS)?;
    let types: &[(&str, Type)] = match of {
        Of::Http => &HTTP_TYPES,
        Of::Grpc => &GRPC_TYPES,
    };
    let kind = object.required("type", FILTER, |at| word(at, types))?;
    for other in FIELDS {
        if *other != "type" && *other != kind.field() && field::is_there(&object, other)? {
            return field::refuse(&object, other, "only the field that belongs to `type`");
        }
    }
    let required = |read: fn(&Cursor<'_>) -> Result<Filter, Error>| {
        object.required(kind.field(), "what `type` says", read)
    };
    let filter = match kind {
        Type::RequestHeaders => {
            required(|at| header::modifier(at, header::Of::Request).map(Filter::RequestHeaders))
        }
        Type::ResponseHeaders => {
            required(|at| header::modifier(at, header::Of::Response).map(Filter::ResponseHeaders))
        }
        Type::Mirror => required(|at| mirror(at).map(Filter::Mirror)),
        Type::Redirect => required(|at| redirect(at).map(Filter::Redirect)),
        Type::Rewrite => required(|at| rewrite(at).map(Filter::Rewrite)),
        Type::Cors => required(|at| cors::cors(at).map(Filter::Cors)),
        Type::Extension => required(|at| {
            at.warn("not supported");
            Ok(unsupported("ExtensionRef"))
        }),
        Type::Authorization => required(|at| {
            at.warn("not supported");
            Ok(unsupported("ExternalAuth"))
        }),
    };
    Ok((kind, filter?))
}

fn unsupported(kind: &str) -> Filter {
    Filter::Unsupported {
        kind: kind.to_owned(),
    }
}

fn mirror(at: &Cursor<'_>) -> Result<RequestMirror, Error> {
    let object = at.object(
        "a mirror with backendRef",
        &["backendRef", "fraction", "percent"],
    )?;
    let percent = object.nullable("percent", |at| {
        let percent = number::within(at, 0..=100, "a whole number from 0 to 100")?;
        Ok(Share::of_million(percent.saturating_mul(10_000)))
    })?;
    let fraction = object.nullable("fraction", fraction)?;
    if percent.is_some() && fraction.is_some() {
        return field::refuse(&object, "fraction", "either this or percent");
    }
    Ok(RequestMirror {
        backend: object.required("backendRef", "a reference", parent::backend_ref)?,
        share: percent.or(fraction).unwrap_or(Share::ALL),
    })
}

/// Source: Gateway API v1, `Fraction`.
fn fraction(at: &Cursor<'_>) -> Result<Share, Error> {
    const FRACTION: &str = "a mapping with numerator and denominator, the latter not smaller";
    let object = at.object(FRACTION, &["denominator", "numerator"])?;
    let numerator = object.required("numerator", FRACTION, number::count)?;
    let denominator = object.nullable("denominator", |at| {
        number::within(
            at,
            1..=i32::MAX.unsigned_abs(),
            "a whole number of at least 1",
        )
    })?;
    let denominator = denominator.unwrap_or(100);
    if numerator > denominator {
        return Err(at.unexpected(FRACTION));
    }
    let parts = u64::from(numerator)
        .saturating_mul(1_000_000)
        .checked_div(u64::from(denominator))
        .and_then(|parts| u32::try_from(parts).ok());
    Ok(parts.map_or(Share::NONE, Share::of_million))
}

fn redirect(at: &Cursor<'_>) -> Result<RequestRedirect, Error> {
    let object = at.object("a redirect with scheme, hostname or path", REDIRECT_FIELDS)?;
    let scheme = object.nullable("scheme", |at| {
        word(at, &[("http", "http"), ("https", "https")])
    })?;
    Ok(RequestRedirect {
        scheme: scheme.map(str::to_owned),
        hostname: object.nullable("hostname", name::hostname)?,
        path: object.nullable("path", path)?,
        port: object.nullable("port", |at| port(at).map(|port| port.get()))?,
        code: object
            .nullable("statusCode", redirect_code)?
            .unwrap_or(DEFAULT_REDIRECT),
    })
}

fn rewrite(at: &Cursor<'_>) -> Result<UrlRewrite, Error> {
    let object = at.object("a rewrite with hostname or path", &["hostname", "path"])?;
    Ok(UrlRewrite {
        hostname: object.nullable("hostname", name::hostname)?,
        path: object.nullable("path", path)?,
    })
}

/// `type` of a path, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replace {
    Full,
    Prefix,
}

fn path(at: &Cursor<'_>) -> Result<PathChange, Error> {
    let object = at.exact_object(PATH, &["replaceFullPath", "replacePrefixMatch", "type"])?;
    let types = [
        ("ReplaceFullPath", Replace::Full),
        ("ReplacePrefixMatch", Replace::Prefix),
    ];
    let kind = object.required("type", PATH, |at| word(at, &types))?;
    let (own, other) = match kind {
        Replace::Full => ("replaceFullPath", "replacePrefixMatch"),
        Replace::Prefix => ("replacePrefixMatch", "replaceFullPath"),
    };
    if field::is_there(&object, other)? {
        return field::refuse(&object, other, "only the field that belongs to `type`");
    }
    let value = object.required(own, "what `type` says", rewritten_path)?;
    Ok(match kind {
        Replace::Full => PathChange::Full(value),
        Replace::Prefix => PathChange::Prefix(value),
    })
}
