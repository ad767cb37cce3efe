//! What a rule changes, and where it redirects to.

use std::sync::Arc;

use mesh::route::{
    HeaderEdits, HeaderText, PathRedirect, PathRewrite, Redirect, RedirectPort, RegexRewrite,
    Rewrite, RewriteError,
};

use super::{matching, optional, scalar};
use crate::{
    proto::waypoint as proto,
    xds::{
        error::{Fault, each},
        field,
    },
};

/// Absent: none.
pub(super) fn headers(
    field: &str,
    read: Option<&proto::HeaderEdits>,
) -> Result<HeaderEdits, Fault> {
    let edits = optional(field, read, |read| {
        let texts = |field, read: &[proto::Header]| each(field, read, header);
        Ok(HeaderEdits {
            set: texts("set", &read.set)?,
            add: texts("add", &read.add)?,
            remove: each("remove", &read.remove, |name| scalar::header("", name, &[]))?,
        })
    })?;
    Ok(edits.unwrap_or_default())
}

fn header(read: &proto::Header) -> Result<HeaderText, Fault> {
    Ok(HeaderText {
        name: scalar::header("name", &read.name, &[":authority"])?,
        value: scalar::text("value", &read.value)?,
    })
}

pub(super) fn optional_rewrite(read: Option<&proto::Rewrite>) -> Result<Option<Rewrite>, Fault> {
    optional("rewrite", read, rewrite)
}

fn rewrite(read: &proto::Rewrite) -> Result<Rewrite, Fault> {
    use proto::rewrite::Path;
    let path = match &read.path {
        Some(Path::Full(text)) => Some(PathRewrite::Full(absolute("full", text)?)),
        Some(Path::Prefix(text)) => Some(PathRewrite::Prefix(scalar::target("prefix", text)?)),
        Some(Path::Regex(read)) => Some(PathRewrite::Regex(
            regex(read).map_err(|fault| fault.within("regex"))?,
        )),
        None => None,
    };
    Ok(Rewrite {
        authority: optional_authority(&read.authority)?,
        path,
    })
}

fn regex(read: &proto::RegexRewrite) -> Result<RegexRewrite, Fault> {
    // What groups bring is of the path already.
    scalar::target("substitution", &read.substitution)?;
    let (pattern, substitution) = (&*read.pattern, &*read.substitution);
    RegexRewrite::new(pattern, substitution).map_err(|error| match error {
        RewriteError::Pattern(error) => matching::not_a_pattern("pattern", pattern, &error),
        RewriteError::Long(_) | RewriteError::Backslash | RewriteError::Group { .. } => {
            let expected = "at most 4096 bytes, with \\0 to \\9 for groups of the pattern";
            Fault::text("substitution", substitution, expected)
        }
    })
}

pub(super) fn redirect(read: &proto::Redirect) -> Result<Redirect, Fault> {
    use proto::redirect::Path;
    let from = field::choice(
        "port_from",
        read.port_from,
        "PORT_UNSPECIFIED, PORT_FROM_PROTOCOL_DEFAULT or PORT_FROM_REQUEST",
    )?;
    let port = match (field::optional_port("port", read.port)?, from) {
        (Some(port), _) => RedirectPort::Number(port),
        (None, proto::PortFrom::PortUnspecified) => RedirectPort::Authority,
        (None, proto::PortFrom::ProtocolDefault) => RedirectPort::Scheme,
        (None, proto::PortFrom::Request) => RedirectPort::Request,
    };
    let status = match read.status {
        301 | 302 | 303 | 307 | 308 => scalar::status("status", read.status)?,
        other => {
            let expected = "301, 302, 303, 307 or 308";
            return Err(Fault::new("status", other.to_string(), expected));
        }
    };
    Ok(Redirect {
        scheme: scheme(&read.scheme)?,
        authority: optional_authority(&read.authority)?,
        port,
        path: match &read.path {
            Some(Path::Full(text)) => Some(PathRedirect::Full(absolute("full", text)?)),
            Some(Path::Prefix(text)) => Some(PathRedirect::Prefix(scalar::target("prefix", text)?)),
            None => None,
        },
        status,
    })
}

/// Empty: none. Source: RFC 3986 §3.1.
fn scheme(text: &str) -> Result<Option<Arc<str>>, Fault> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    match text {
        "" => Ok(None),
        text if text.bytes().all(letter) => {
            scalar::text("scheme", &text.to_ascii_lowercase()).map(Some)
        }
        text => Err(Fault::text("scheme", text, "a scheme, as http")),
    }
}

/// Empty: none.
fn optional_authority(text: &str) -> Result<Option<Arc<str>>, Fault> {
    match text {
        "" => Ok(None),
        text => scalar::authority("authority", text).map(Some),
    }
}

/// A whole path.
fn absolute(field: &str, text: &str) -> Result<Arc<str>, Fault> {
    if text.starts_with('/') {
        scalar::target(field, text)
    } else {
        Err(Fault::text(field, text, "a path that begins with /"))
    }
}
