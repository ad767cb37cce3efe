//! Conditions on texts.

use mesh::{
    Name,
    access::authorization::{Template, TextMatch},
};

use super::{header, text};
use crate::{proto::waypoint as proto, xds::error::Fault};

const KINDS: &str = "exact, prefix, suffix, present or template";

/// A condition. An empty text is an error: an empty prefix would hold for everybody, an empty text for nobody.
pub(super) fn condition(read: &proto::TextMatch) -> Result<TextMatch, Fault> {
    use proto::text_match::Kind;
    match &read.kind {
        Some(Kind::Exact(read)) => text("exact", read).map(TextMatch::Exact),
        Some(Kind::Prefix(read)) => text("prefix", read).map(TextMatch::Prefix),
        Some(Kind::Suffix(read)) => text("suffix", read).map(TextMatch::Suffix),
        Some(Kind::Present(true)) => Ok(TextMatch::Present),
        Some(Kind::Present(false)) => Err(Fault::new("present", "false", "true")),
        Some(Kind::Template(read)) => {
            let read = text("template", read)?;
            if Template::is_valid(&read) {
                Ok(TextMatch::Template(read))
            } else {
                let expected = "a path whose segments are text, `{*}` or at last `{**}`";
                Err(Fault::text("template", &read, expected))
            }
        }
        None => Err(Fault::missing("", KINDS)),
    }
}

/// A condition on anything but a path, which no template is for.
pub(super) fn plain(read: &proto::TextMatch) -> Result<TextMatch, Fault> {
    match condition(read)? {
        TextMatch::Template(template) => {
            let expected = "exact, prefix, suffix or present: templates are for paths";
            Err(Fault::text("template", &template, expected))
        }
        other @ (TextMatch::Exact(_)
        | TextMatch::Prefix(_)
        | TextMatch::Suffix(_)
        | TextMatch::Present) => Ok(other),
    }
}

/// A condition on a principal, which is compared without its scheme: one that carries it means the same.
pub(super) fn principal(read: &proto::TextMatch) -> Result<TextMatch, Fault> {
    const SCHEME: &str = "spiffe://";
    let bare = |text: Name| text.strip_prefix(SCHEME).map(Name::from).unwrap_or(text);
    Ok(match plain(read)? {
        TextMatch::Exact(text) if text.as_str() == SCHEME => {
            return Err(Fault::text("exact", &text, "a principal"));
        }
        TextMatch::Exact(text) => TextMatch::Exact(bare(text)),
        TextMatch::Prefix(text) if text.as_str() == SCHEME => TextMatch::Present,
        TextMatch::Prefix(text) => TextMatch::Prefix(bare(text)),
        other @ (TextMatch::Suffix(_) | TextMatch::Present | TextMatch::Template(_)) => other,
    })
}

/// A condition on the name of a header, in lower case.
pub(super) fn header_name(read: &proto::TextMatch) -> Result<TextMatch, Fault> {
    Ok(match plain(read)? {
        TextMatch::Exact(text) => TextMatch::Exact(header("exact", &text)?),
        TextMatch::Prefix(text) => TextMatch::Prefix(header("prefix", &text)?),
        TextMatch::Suffix(text) => TextMatch::Suffix(header("suffix", &text)?),
        other @ (TextMatch::Present | TextMatch::Template(_)) => other,
    })
}
