//! The objects of one kind, by name and by slot.

use std::{collections::HashMap, sync::Arc};

use super::{ids::Id, tell::Told};

/// Objects of one kind. **Shape**: a slot stays an object's for as long as the object is there.
#[derive(Debug)]
pub(super) struct Table<T> {
    ids: HashMap<Arc<str>, HashMap<Arc<str>, Id>>,
    slots: Vec<Option<Slot<T>>>,
    free: Vec<Id>,
}

#[derive(Debug)]
struct Slot<T> {
    object: Arc<T>,
    told: Told,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            ids: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Table<T> {
    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<Id> {
        self.ids.get(namespace)?.get(name).copied()
    }

    pub(super) fn get(&self, id: Id) -> Option<&Arc<T>> {
        Some(&self.slot(id)?.object)
    }

    /// What was told of an object.
    pub(super) fn told(&mut self, id: Id) -> Option<&mut Told> {
        let slot = self.slots.get_mut(usize::try_from(id).ok()?)?;
        Some(&mut slot.as_mut()?.told)
    }

    /// The object of that name from now on.
    pub(super) fn put(&mut self, namespace: &Arc<str>, name: &Arc<str>, object: Arc<T>) -> Id {
        if let Some(id) = self.find(namespace, name) {
            if let Some(slot) = self.slots.get_mut(id as usize).and_then(Option::as_mut) {
                slot.object = object;
            }
            return id;
        }
        let slot = Some(Slot {
            object,
            told: Told::default(),
        });
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(place) = self.slots.get_mut(id as usize) {
                    *place = slot;
                }
                id
            }
            None => {
                self.slots.push(slot);
                Id::try_from(self.slots.len().saturating_sub(1)).unwrap_or(Id::MAX)
            }
        };
        let names = self.ids.entry(Arc::clone(namespace)).or_default();
        names.insert(Arc::clone(name), id);
        id
    }

    /// Forgets an object; what was told of it is left.
    pub(super) fn remove(&mut self, namespace: &str, name: &str) -> Option<(Id, Told)> {
        let names = self.ids.get_mut(namespace)?;
        let id = names.remove(name)?;
        if names.is_empty() {
            self.ids.remove(namespace);
        }
        let slot = self.slots.get_mut(id as usize)?.take()?;
        self.free.push(id);
        Some((id, slot.told))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, &Arc<T>)> + '_ {
        (0..)
            .zip(&self.slots)
            .filter_map(|(id, slot)| Some((id, &slot.as_ref()?.object)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    fn slot(&self, id: Id) -> Option<&Slot<T>> {
        self.slots.get(id as usize)?.as_ref()
    }
}
