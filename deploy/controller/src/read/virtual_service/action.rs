//! `redirect`, `directResponse`, `delegate` and `rewrite`.

use mesh::route::RewriteError;
use yaml::{
    Cursor, Error,
    scalar::{checked, port, word},
};

use crate::{
    objects::virtual_service::{
        Delegate, DerivedPort, DirectResponse, Redirect, RegexRewrite, Rewrite,
    },
    read::{base64, field, matching, name, number},
};

const REDIRECT_FIELDS: &[&str] = &[
    "authority",
    "derivePort",
    "port",
    "prefixRewrite",
    "redirectCode",
    "scheme",
    "uri",
];
/// What `uri` of a redirect begins with where it is in the place of the prefix that matched.
const PREFIX: &str = "%PREFIX()%";
/// Source: RFC 9110 §15.4, those that have a Location to go to.
const DEFAULT_REDIRECT: u16 = 301;
/// Source: Istio, validation of `directResponse`.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Longer than any URI that clients send.
const MAX_URI_BYTES: usize = 8 * 1024;

const REDIRECT: &str = "a redirect with at least one of uri, authority, scheme and port";
const BODY: &str = "a body with one of string and bytes, of at most 1 MiB";
const REWRITE: &str = "a rewrite with at least one of uri, authority and uriRegexRewrite";
const REGEX_REWRITE: &str = "a mapping with match and rewrite";

pub(super) fn redirect(at: &Cursor<'_>) -> Result<Redirect, Error> {
    let object = at.object(REDIRECT, REDIRECT_FIELDS)?;
    let mut uri = field::text(&object, "uri", path)?;
    let mut prefix = field::text(&object, "prefixRewrite", path)?;
    if prefix.is_some() && uri.is_some() {
        return field::refuse(&object, "prefixRewrite", "either this or uri");
    }
    if let Some(rest) = uri.as_deref().and_then(|uri| uri.strip_prefix(PREFIX)) {
        prefix = Some(rest.to_owned());
        uri = None;
    }
    let redirect = Redirect {
        uri,
        prefix,
        authority: field::text(&object, "authority", authority)?,
        scheme: field::text(&object, "scheme", |at| {
            word(at, &[("http", "http"), ("https", "https")]).map(str::to_owned)
        })?,
        port: object.nullable("port", |at| port(at).map(|port| port.get()))?,
        derive_port: object.nullable("derivePort", |at| {
            word(
                at,
                &[
                    ("FROM_PROTOCOL_DEFAULT", DerivedPort::ProtocolDefault),
                    ("FROM_REQUEST_PORT", DerivedPort::Request),
                ],
            )
        })?,
        code: object
            .nullable("redirectCode", redirect_code)?
            .unwrap_or(DEFAULT_REDIRECT),
    };
    if redirect.port.is_some() && redirect.derive_port.is_some() {
        return field::refuse(&object, "derivePort", "either this or port");
    }
    let changes = Redirect {
        code: DEFAULT_REDIRECT,
        ..redirect.clone()
    };
    let nothing = Redirect {
        uri: None,
        prefix: None,
        authority: None,
        scheme: None,
        port: None,
        derive_port: None,
        code: DEFAULT_REDIRECT,
    };
    if changes == nothing {
        return Err(at.unexpected(REDIRECT));
    }
    Ok(redirect)
}

/// One of the codes that lead elsewhere, also for Gateway API.
pub(in crate::read) fn redirect_code(at: &Cursor<'_>) -> Result<u16, Error> {
    word(
        at,
        &[
            ("301", 301),
            ("302", 302),
            ("303", 303),
            ("307", 307),
            ("308", 308),
        ],
    )
}

pub(super) fn direct_response(at: &Cursor<'_>) -> Result<DirectResponse, Error> {
    let object = at.object("a response with status and body", &["body", "status"])?;
    Ok(DirectResponse {
        status: object.required("status", "a status code from 200 to 599", number::status)?,
        body: object.nullable("body", body)?.unwrap_or_default(),
    })
}

fn body(at: &Cursor<'_>) -> Result<Vec<u8>, Error> {
    let object = at.object(BODY, &["bytes", "string"])?;
    let text = object.nullable("string", |at| Ok(at.text(BODY)?.as_bytes().to_vec()))?;
    let bytes = object.nullable("bytes", |at| {
        let expected = "bytes in base64";
        base64::decode(at.text(expected)?).ok_or_else(|| at.unexpected(expected))
    })?;
    match (text, bytes) {
        (Some(body), None) | (None, Some(body)) if body.len() <= MAX_BODY_BYTES => Ok(body),
        (Some(_) | None, Some(_)) | (Some(_), None) => Err(at.unexpected(BODY)),
        (None, None) => Ok(Vec::new()),
    }
}

pub(super) fn delegate(at: &Cursor<'_>) -> Result<Delegate, Error> {
    let expected = "a mapping with name and namespace";
    let object = at.object(expected, &["name", "namespace"])?;
    Ok(Delegate {
        name: object.required("name", "the name of a VirtualService", |at| {
            name::subdomain(at).map(str::to_owned)
        })?,
        namespace: field::text(&object, "namespace", |at| {
            name::label(at).map(str::to_owned)
        })?
        .unwrap_or_default(),
    })
}

pub(super) fn rewrite(at: &Cursor<'_>) -> Result<Rewrite, Error> {
    let object = at.object(REWRITE, &["authority", "uri", "uriRegexRewrite"])?;
    let rewrite = Rewrite {
        uri: field::text(&object, "uri", path)?,
        authority: field::text(&object, "authority", authority)?,
        regex: object.nullable("uriRegexRewrite", regex_rewrite)?,
    };
    if rewrite == Rewrite::default() {
        return Err(at.unexpected(REWRITE));
    }
    if rewrite.uri.is_some() && rewrite.regex.is_some() {
        return field::refuse(&object, "uriRegexRewrite", "either this or uri");
    }
    Ok(rewrite)
}

fn regex_rewrite(at: &Cursor<'_>) -> Result<RegexRewrite, Error> {
    const SUBSTITUTION: &str = "a text of at most 4096 bytes in which \\0 to \\9 are groups of match, and \\\\ is a backslash";
    let object = at.object(REGEX_REWRITE, &["match", "rewrite"])?;
    let pattern = object.required("match", REGEX_REWRITE, |at| {
        matching::regex_text(at).map(str::to_owned)
    })?;
    let substitution = object.required("rewrite", REGEX_REWRITE, |at| {
        checked(at, SUBSTITUTION, is_plain).map(str::to_owned)
    })?;
    // Compiled by what waypoints compile it with.
    let compiled = mesh::route::RegexRewrite::new(&pattern, &substitution);
    match compiled {
        Ok(_) => Ok(RegexRewrite {
            pattern,
            substitution,
        }),
        Err(RewriteError::Pattern(error)) => object.required("match", REGEX_REWRITE, |at| {
            Err(matching::not_a_regex(at, &error))
        }),
        Err(RewriteError::Long(_) | RewriteError::Backslash | RewriteError::Group { .. }) => {
            field::refuse(&object, "rewrite", SUBSTITUTION)
        }
    }
}

/// A path, or what goes into one.
pub(in crate::read) fn path(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "a path: at most 8192 bytes without spaces";
    checked(at, expected, |text| {
        text.len() <= MAX_URI_BYTES && is_plain(text) && !text.contains(' ')
    })
    .map(str::to_owned)
}

/// A hostname or an address, perhaps with a port.
pub(in crate::read) fn authority(at: &Cursor<'_>) -> Result<String, Error> {
    let expected = "an authority: a hostname or an address, perhaps with a port";
    checked(at, expected, |text| {
        text.parse::<http::uri::Authority>()
            .is_ok_and(|it| !it.as_str().contains('@'))
    })
    .map(str::to_owned)
}

/// It becomes part of a request or of a header.
fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
