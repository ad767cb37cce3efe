//! `match[]` of an HTTP route. Nothing in it is left out: fewer conditions would match more.

use yaml::{Cursor, Error, Object, scalar};

use crate::{
    objects::{StringMatch, virtual_service::HttpMatch},
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
    Ok(HttpMatch {
        name: line::line(&object, "name")?,
        ignore_uri_case: ignores_case(&object, uri.as_ref())?,
        uri,
        scheme: text("scheme")?,
        method: text("method")?,
        authority: text("authority")?,
        headers: object
            .nullable("headers", matching::headers)?
            .unwrap_or_default(),
        without_headers: object
            .nullable("withoutHeaders", matching::headers)?
            .unwrap_or_default(),
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
