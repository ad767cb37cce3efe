//! `exportTo` of VirtualService and DestinationRule.

use yaml::{Cursor, Error, Object};

use super::{field, name};
use crate::objects::{Export, ExportTo};

/// More namespaces than are listed by hand; whoever means more means `*`.
const MAX_NAMESPACES: usize = 1000;

/// Reads the field `exportTo` of a `spec`.
pub(super) fn export_to(object: &Object<'_>) -> Result<ExportTo, Error> {
    let expected = "a list of namespaces, . and *";
    let exports = field::list_up_to(object, "exportTo", expected, MAX_NAMESPACES, export)?;
    let exports: ExportTo = exports.into_iter().collect();
    let alone = [Export::All, Export::Nobody];
    if exports.len() > 1 && alone.iter().any(|it| exports.contains(it)) {
        return field::refuse(object, "exportTo", "* or ~ alone, or namespaces and .");
    }
    Ok(exports)
}

fn export(at: &Cursor<'_>) -> Result<Export, Error> {
    Ok(match at.text("a namespace, . or *")? {
        "*" => Export::All,
        "." => Export::Own,
        "~" => Export::Nobody,
        _ => Export::Namespace(name::label(at)?.to_owned()),
    })
}
