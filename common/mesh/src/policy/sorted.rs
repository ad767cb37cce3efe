//! A persistent sorted list.
//!
//! In: items and a way to order them. Out: items, in order. Never: changes what a clone sees.
//!
//! **Shape:** runs of at most [`MAX_RUN`] items, none empty. A change copies one run and the list of runs: for
//! ten thousand items that is 64 items and 160 or so pointers. Reading in order is reading arrays.

use std::{cmp::Ordering, sync::Arc};

/// Reason: the point where copying a run costs about as much as copying the list of runs of a long list.
const MAX_RUN: usize = 64;

/// Items in order, each once. A clone is O(1).
///
/// Every method is told the order by a function of an item: how the item compares with the one that is meant.
#[derive(Clone, Debug)]
pub(super) struct Sorted<T> {
    runs: Arc<Vec<Arc<Vec<T>>>>,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self {
            runs: Arc::default(),
        }
    }
}

impl<T> Sorted<T> {
    /// All items, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.runs.iter().flat_map(|run| run.iter())
    }

    /// The least item.
    pub(super) fn first(&self) -> Option<&T> {
        self.runs.first()?.first()
    }

    /// How many items there are; counts runs.
    pub(super) fn len(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// The run that an item is in or would go to, and where in it.
    fn locate(&self, order: &impl Fn(&T) -> Ordering) -> Option<(usize, Result<usize, usize>)> {
        let before = self
            .runs
            .partition_point(|run| run.last().is_some_and(|last| order(last).is_lt()));
        let index = before.min(self.runs.len().checked_sub(1)?);
        Some((index, self.runs[index].binary_search_by(order)))
    }
}

impl<T: Clone> Sorted<T> {
    /// Adds an item or replaces the one in its place.
    pub(super) fn insert(&mut self, item: T, order: impl Fn(&T) -> Ordering) {
        let place = self.locate(&order);
        let runs = Arc::make_mut(&mut self.runs);
        let Some((index, place)) = place else {
            runs.push(Arc::new(vec![item]));
            return;
        };
        let run = Arc::make_mut(&mut runs[index]);
        match place {
            Ok(place) => run[place] = item,
            Err(place) => run.insert(place, item),
        }
        if run.len() > MAX_RUN {
            let tail = run.split_off(run.len() / 2);
            runs.insert(index + 1, Arc::new(tail));
        }
    }

    /// Takes an item out.
    pub(super) fn remove(&mut self, order: impl Fn(&T) -> Ordering) -> Option<T> {
        let (index, Ok(place)) = self.locate(&order)? else {
            return None;
        };
        let runs = Arc::make_mut(&mut self.runs);
        let run = Arc::make_mut(&mut runs[index]);
        let item = run.remove(place);
        // A short run joins its neighbour, so that a list that shrank does not stay in crumbs.
        if run.is_empty() {
            runs.remove(index);
        } else if index + 1 < runs.len() && runs[index].len() + runs[index + 1].len() <= MAX_RUN / 2
        {
            let tail = runs.remove(index + 1);
            Arc::make_mut(&mut runs[index]).extend(tail.iter().cloned());
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests;
