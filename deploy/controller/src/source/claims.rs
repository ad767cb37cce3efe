//! Who speaks for an object: of all places that name it, the first in the order of paths and lines.
//!
//! Never: lets a second place speak because the first is bad. A manifest that is being mended would otherwise
//! bring an old copy of itself into force.

use std::{collections::HashMap, path::Path, sync::Arc};

use crate::objects::ObjectKey;

/// A place in the folder that names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The file.
    pub(super) file: Arc<Path>,
    /// Which of its objects it is.
    pub(super) index: usize,
}

/// All places by what they name.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// In their order; never empty.
    places_by_key: HashMap<ObjectKey, Vec<Place>>,
}

impl Claims {
    pub(super) fn add(&mut self, key: &ObjectKey, place: Place) {
        match self.places_by_key.get_mut(key) {
            Some(places) => {
                let at = places.partition_point(|earlier| *earlier < place);
                places.insert(at, place);
            }
            None => {
                self.places_by_key.insert(key.clone(), vec![place]);
            }
        }
    }

    /// Takes away all that `file` says of `key`.
    pub(super) fn remove(&mut self, key: &ObjectKey, file: &Path) {
        if let Some(places) = self.places_by_key.get_mut(key) {
            places.retain(|place| *place.file != *file);
            if places.is_empty() {
                self.places_by_key.remove(key);
            }
        }
    }

    /// The place that speaks for `key`, and the others.
    pub(super) fn of(&self, key: &ObjectKey) -> Option<(&Place, &[Place])> {
        self.places_by_key.get(key)?.split_first()
    }
}
