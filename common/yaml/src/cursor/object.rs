//! A mapping whose keys are fields: required, optional, or `null`.

use std::borrow::Cow;

use super::{Cursor, Path};
use crate::{error::Error, node::Value};

/// A mapping whose keys are fields, none of them given twice.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) known: &'static [&'static str],
}

impl<'a> Object<'a> {
    /// The cursor at the whole mapping.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'a> {
        self.cursor
    }

    /// Reads a field that may be missing.
    ///
    /// # Errors
    /// `read` fails.
    pub fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Cursor<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        debug_assert!(
            self.known.contains(&name),
            "{name} is not among the known fields"
        );
        let Value::Mapping(entries) = &self.cursor.node.value else {
            return Ok(None);
        };
        entries
            .iter()
            .find(|(key, _)| key.text == name)
            .map(|(_, node)| {
                let path = Path::Field(self.cursor.path, name);
                read(&Cursor {
                    document: self.cursor.document,
                    node,
                    path: &path,
                })
            })
            .transpose()
    }

    /// Reads a field for which `null` is the same as its absence.
    ///
    /// # Errors
    /// `read` fails.
    pub fn nullable<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Cursor<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let value = self.optional(name, |at| {
            if at.is_null() {
                Ok(None)
            } else {
                read(at).map(Some)
            }
        })?;
        Ok(value.flatten())
    }

    /// Reads a field that must be there.
    ///
    /// # Errors
    /// It is not there, or `read` fails.
    pub fn required<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&Cursor<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.optional(name, read)?
            .ok_or_else(|| self.missing(name, expected))
    }

    /// The error that a field is not there.
    #[must_use]
    pub fn missing(&self, name: &'static str, expected: impl Into<Cow<'static, str>>) -> Error {
        self.cursor.missing(name, expected)
    }
}
