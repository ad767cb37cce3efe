//! ReferenceGrant. Nothing in it is left out: fewer conditions would permit more.

use yaml::{Cursor, Error, Object};

use super::{FIELDS, MAX_ITEMS, parent};
use crate::{
    objects::{
        Meta,
        route::{GrantFrom, GrantTo, ReferenceGrant},
    },
    read::{field, name},
};

const SPEC: &str = "a mapping with from and to";
const FROM: &str = "a list of at least one mapping with group, kind and namespace";
const TO: &str = "a list of at least one mapping with group and kind";
const GROUP: &str = "an API group, or an empty text";
const KIND: &str = "a kind such as HTTPRoute";

/// Reads a ReferenceGrant.
///
/// # Errors
/// Kubernetes would refuse it.
pub(in crate::read) fn reference_grant(
    at: &Cursor<'_>,
    meta: Meta,
) -> Result<ReferenceGrant, Error> {
    let object = at.object("a ReferenceGrant", FIELDS)?;
    object.required("spec", SPEC, |at| {
        let object = at.exact_object(SPEC, &["from", "to"])?;
        Ok(ReferenceGrant {
            meta,
            from: some(&object, "from", FROM, from)?,
            to: some(&object, "to", TO, to)?,
        })
    })
}

fn some<T>(
    object: &Object<'_>,
    name: &'static str,
    expected: &'static str,
    read: impl FnMut(&Cursor<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    object.required(name, expected, |at| {
        let items = field::items_up_to(at, expected, MAX_ITEMS, read)?;
        if items.is_empty() {
            return Err(at.unexpected(expected));
        }
        Ok(items)
    })
}

fn from(at: &Cursor<'_>) -> Result<GrantFrom, Error> {
    let object = at.exact_object(FROM, &["group", "kind", "namespace"])?;
    Ok(GrantFrom {
        group: group(&object)?,
        kind: object.required("kind", KIND, parent::kind_name)?,
        namespace: object.required("namespace", "a namespace", |at| {
            name::label(at).map(str::to_owned)
        })?,
    })
}

fn to(at: &Cursor<'_>) -> Result<GrantTo, Error> {
    let object = at.exact_object(TO, &["group", "kind", "name"])?;
    Ok(GrantTo {
        group: group(&object)?,
        kind: object.required("kind", KIND, parent::kind_name)?,
        name: field::text(&object, "name", |at| name::subdomain(at).map(str::to_owned))?,
    })
}

fn group(object: &Object<'_>) -> Result<String, Error> {
    parent::group(object)?.ok_or_else(|| object.missing("group", GROUP))
}
