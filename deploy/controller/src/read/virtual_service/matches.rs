//! `match[]` of an HTTP route. Nothing in it is left out: fewer conditions would match more.

use yaml::{Cursor, Error, Object, scalar};

use crate::{
    objects::{
        StringMatch, ValueMatches,
        virtual_service::{ClaimMatch, HttpMatch},
    },
    read::{field, labels, line, matching, name},
};

const FIELDS: &[&str] = &[
    "authority",
    "gateways",
    "headers",
    "ignoreUriCase",
    "method",
    "name",
    "port",
    "queryParams",
    "scheme",
    "sourceLabels",
    "sourceNamespace",
    "statPrefix",
    "uri",
    "withoutHeaders",
];

/// Each is tried in turn.
const MAX_MATCHES: usize = 1024;
/// As many as a VirtualService has.
const MAX_GATEWAYS: usize = 256;

pub(super) fn matches(object: &Object<'_>) -> Result<Vec<HttpMatch>, Error> {
    field::list_up_to(
        object,
        "match",
        "a list of matches",
        MAX_MATCHES,
        http_match,
    )
}

fn http_match(at: &Cursor<'_>) -> Result<HttpMatch, Error> {
    let object = at.exact_object("a match with uri, headers or the like", FIELDS)?;
    let text = |name| {
        let read = object.nullable(name, matching::string_match)?;
        Ok::<_, Error>(read.flatten())
    };
    let uri = text("uri")?;
    let mut claims = Vec::new();
    let headers = headers(&object, "headers", &mut claims)?;
    let without_headers = self::headers(&object, "withoutHeaders", &mut claims)?;
    Ok(HttpMatch {
        name: line::line(&object, "name")?,
        ignore_uri_case: ignores_case(&object, uri.as_ref())?,
        uri,
        scheme: text("scheme")?,
        method: text("method")?,
        authority: text("authority")?,
        headers,
        without_headers,
        claims,
        query_params: object
            .nullable("queryParams", matching::query_params)?
            .unwrap_or_default(),
        port: port(&object)?,
        source_labels: object
            .nullable("sourceLabels", labels::labels)?
            .unwrap_or_default(),
        source_namespace: source_namespace(&object)?,
        gateways: gateways(&object)?,
        stat_prefix: line::line(&object, "statPrefix")?,
    })
}

/// `headers` or `withoutHeaders`: what is asked of headers, and, added to `claims`, of the claims of a token.
fn headers(
    object: &Object<'_>,
    name: &'static str,
    claims: &mut Vec<ClaimMatch>,
) -> Result<ValueMatches, Error> {
    let read = object.nullable(name, |at| {
        matching::headers(at, |key, value| {
            let Some(claim) = claim(key)? else {
                return Ok(false);
            };
            claims.push(ClaimMatch {
                claim,
                value: matching::string_match(value)?,
                invert: name == "withoutHeaders",
            });
            Ok(true)
        })
    })?;
    Ok(read.unwrap_or_default())
}

/// The way into the claims that `@request.auth.claims.a.b` or `@request.auth.claims[a][b]` names; `None` for the name of a header.
/// Source: Istio, routing by claims of tokens.
fn claim(key: &Cursor<'_>) -> Result<Option<Vec<String>>, Error> {
    const CLAIMS: &str = "@request.auth.claims";
    const EXPECTED: &str =
        "a claim such as @request.auth.claims.group or @request.auth.claims[group][name]";
    let text = key.text(EXPECTED)?;
    let Some((start, rest)) = text.split_at_checked(CLAIMS.len()) else {
        return Ok(None);
    };
    if !start.eq_ignore_ascii_case(CLAIMS) {
        return Ok(None);
    }
    let names: Vec<&str> = if let Some(names) = rest.strip_prefix('.') {
        names.split('.').collect()
    } else {
        let inner = rest.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        inner.unwrap_or_default().split("][").collect()
    };
    if names
        .iter()
        .any(|it| it.is_empty() || it.contains(['[', ']']))
    {
        return Err(key.unexpected(EXPECTED));
    }
    Ok(Some(names.into_iter().map(str::to_owned).collect()))
}

/// A regular expression has words of its own for that.
fn ignores_case(object: &Object<'_>, uri: Option<&StringMatch>) -> Result<bool, Error> {
    let ignores = object.nullable("ignoreUriCase", |at| {
        let ignores = scalar::boolean(at)?;
        let of_regex = matches!(uri, Some(StringMatch::Regex(_)));
        if ignores && of_regex {
            at.warn("no effect with a regex, of which (?i) ignores case");
        }
        Ok(ignores && !of_regex && uri.is_some())
    })?;
    Ok(ignores.unwrap_or_default())
}

/// `port`, where 0 is as if it were absent.
pub(super) fn port(object: &Object<'_>) -> Result<Option<u16>, Error> {
    object
        .nullable("port", |at| {
            if at.text("a port from 1 to 65535")? == "0" {
                return Ok(None);
            }
            scalar::port(at).map(|port| Some(port.get()))
        })
        .map(Option::flatten)
}

pub(super) fn source_namespace(object: &Object<'_>) -> Result<String, Error> {
    let namespace = field::text(object, "sourceNamespace", |at| {
        name::label(at).map(str::to_owned)
    })?;
    Ok(namespace.unwrap_or_default())
}

pub(super) fn gateways(object: &Object<'_>) -> Result<Vec<String>, Error> {
    let expected = "a list of names of gateways";
    field::list_up_to(object, "gateways", expected, MAX_GATEWAYS, super::gateway)
}
