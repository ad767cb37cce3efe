//! Which names changed with which generation, so that a client that is behind takes O(changes), not O(mesh).

use std::{collections::VecDeque, sync::Arc};

use parking_lot::RwLock;

use crate::output::ResourceType;

/// Entries of one type. A client that is further behind compares everything once; what is kept costs 24 bytes each
/// and the names of what has gone.
pub(super) const MAX_ENTRIES: usize = 65_536;

/// The record, shared by all snapshots of a publisher: it is only appended to, so a snapshot reads up to itself.
#[derive(Debug)]
pub(super) struct Log {
    limit: usize,
    rings: [RwLock<Ring>; ResourceType::ALL.len()],
}

#[derive(Debug, Default)]
struct Ring {
    /// Of this generation and those before it something may be missing.
    floor: u64,
    /// Generations do not fall.
    entries: VecDeque<(u64, Arc<str>)>,
}

impl Log {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            rings: Default::default(),
        }
    }

    fn ring(&self, of: ResourceType) -> &RwLock<Ring> {
        match (of, &self.rings) {
            (ResourceType::Address, [ring, _, _, _, _])
            | (ResourceType::Authorization, [_, ring, _, _, _])
            | (ResourceType::RouteTable, [_, _, ring, _, _])
            | (ResourceType::BackendPolicy, [_, _, _, ring, _])
            | (ResourceType::Settings, [_, _, _, _, ring]) => ring,
        }
    }

    /// Notes what changed with `generation`, which is newer than all before.
    pub(super) fn append(&self, of: ResourceType, generation: u64, names: Vec<Arc<str>>) {
        let ring = &mut *self.ring(of).write();
        if names.len() > self.limit {
            ring.entries = VecDeque::new();
            ring.floor = generation;
            return;
        }
        let surplus = (ring.entries.len() + names.len()).saturating_sub(self.limit);
        if let Some((last, _)) = ring.entries.drain(..surplus).next_back() {
            ring.floor = last;
        }
        ring.entries
            .extend(names.into_iter().map(|name| (generation, name)));
    }

    /// The names that changed after `from` and up to `to`, some perhaps twice; `None` if that is not known any more.
    pub(super) fn between(&self, of: ResourceType, from: u64, to: u64) -> Option<Vec<Arc<str>>> {
        let ring = self.ring(of).read();
        if from < ring.floor {
            return None;
        }
        let first = ring.entries.partition_point(|(at, _)| *at <= from);
        let names = ring.entries.range(first..);
        Some(
            names
                .take_while(|(at, _)| *at <= to)
                .map(|(_, name)| Arc::clone(name))
                .collect(),
        )
    }
}
