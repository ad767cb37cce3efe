//! Edits of headers (RT-09).

use wire::proto::waypoint::{Header, HeaderEdits};

use super::convert::unless_default;
use crate::objects::HeaderEdit;

/// How the values of an edit are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// As formats of Envoy: VirtualService.
    Formats,
    /// As they are: Gateway API.
    Literals,
}

/// Both names of the authority; it is no header (RFC 9113 §8.3.1), and neither added nor removed as one.
fn is_authority(name: &str) -> bool {
    name == ":authority" || name == "host"
}

/// The authority that an edit sets. Source: Istio, `host` in `headers.request`; it is taken literally, what is set before
/// what is added.
pub(super) fn authority(edit: &HeaderEdit) -> Option<&str> {
    [&edit.set, &edit.add]
        .into_iter()
        .find_map(|map| map.iter().find(|(name, _)| is_authority(name)))
        .map(|(_, value)| value.as_str())
}

/// An edit for the wire; `None` where nothing is left to do. Pseudo-headers are not edited.
pub(super) fn edits(edit: &HeaderEdit, values: Values) -> Option<HeaderEdits> {
    let may = |name: &str| !is_authority(name) && !name.starts_with(':');
    let header = |(name, value): (&String, &String)| Header {
        name: name.clone(),
        value: match values {
            Values::Formats => value.clone(),
            Values::Literals => value.replace('%', "%%"),
        },
    };
    unless_default(HeaderEdits {
        set: edit
            .set
            .iter()
            .filter(|(name, _)| may(name))
            .map(header)
            .collect(),
        add: edit
            .add
            .iter()
            .filter(|(name, _)| may(name))
            .map(header)
            .collect(),
        remove: edit
            .remove
            .iter()
            .filter(|name| may(name))
            .cloned()
            .collect(),
    })
}

/// Two edits, the second after the first, as one.
///
/// Removal comes first on the wire, so what the second removes of the first is left out of it here.
pub(super) fn merged(first: &HeaderEdit, then: &HeaderEdit) -> HeaderEdit {
    let mut result = first.clone();
    for name in &then.remove {
        result.set.remove(name);
        result.add.remove(name);
        result.remove.insert(name.clone());
    }
    for (name, value) in &then.set {
        result.add.remove(name);
        result.set.insert(name.clone(), value.clone());
    }
    for (name, value) in &then.add {
        match result.add.get_mut(name) {
            // One value for each name on the wire of the object; a list says the same (RFC 9110 §5.3).
            Some(known) => *known = format!("{known},{value}"),
            None => {
                result.add.insert(name.clone(), value.clone());
            }
        }
    }
    result
}
