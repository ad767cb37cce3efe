//! The counters of one label set of requests, told apart by how requests ended.
//!
//! **Shape:** a short list of places that are taken for good, each by the first request that ends in its way. Finding
//! one takes no lock: the keys lie side by side and are compared one after the other; most lists have one or two.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{Flags, GrpcStatus, Record, histogram::Histogram};
use crate::metrics::series::Counters;

/// How many ways to end are told apart for one label set. gRPC has 17 statuses, HTTP a dozen that are in use.
pub(crate) const MAX_OUTCOMES: usize = 32;

/// How many are told apart in the whole process. Each is 67 lines, about 60 kB, of a scrape: 2,000 are 120 MB, which is
/// what the busiest waypoints of Istio show. What comes after either bound is counted
/// in one cell whose labels are all `unknown`.
pub(crate) const MAX_ALL_OUTCOMES: u64 = 2_000;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// 0 if no response was begun.
    pub(crate) status: u16,
    pub(crate) flags: Flags,
    /// The place of its gRPC status, see [`GrpcStatus::index`].
    pub(crate) grpc: Option<u8>,
}

/// Set in the key of every outcome, so that none is 0.
const TAKEN: u64 = 1 << 63;

impl Outcome {
    pub(crate) fn of(record: &Record<'_>) -> Self {
        Self {
            status: record.status.map_or(0, |status| status.as_u16()),
            flags: record.flags,
            grpc: record.grpc_status.map(GrpcStatus::index),
        }
    }

    /// **Shape:** status in the lowest 16 bits, then 32 of flags, then 8 of gRPC's status plus one.
    fn key(self) -> u64 {
        let grpc = self.grpc.map_or(0, |index| u64::from(index) + 1);
        TAKEN | grpc << 48 | u64::from(self.flags.bits()) << 16 | u64::from(self.status)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "each part is cut out of the key as it was put in"
    )]
    fn from_key(key: u64) -> Self {
        Self {
            status: key as u16,
            flags: Flags::from_bits((key >> 16) as u32),
            grpc: ((key >> 48) as u8).checked_sub(1),
        }
    }
}

/// What is counted for one way to end. All only grow.
#[derive(Debug)]
pub(crate) struct Cell {
    /// Its count is also the number of requests.
    pub(crate) duration: Histogram,
    pub(crate) request_bytes: Histogram,
    pub(crate) response_bytes: Histogram,
}

impl Cell {
    const fn new() -> Self {
        Self {
            duration: Histogram::new(),
            request_bytes: Histogram::new(),
            response_bytes: Histogram::new(),
        }
    }

    /// Counts a request.
    pub(crate) fn count(&self, record: &Record<'_>) {
        let micros = record.times.duration().as_micros();
        self.duration
            .observe_milli(u64::try_from(micros).unwrap_or(u64::MAX));
        self.request_bytes
            .observe_milli(record.bytes_received.saturating_mul(1000));
        self.response_bytes
            .observe_milli(record.bytes_sent.saturating_mul(1000));
    }
}

/// What all label sets share: how many outcomes may still be told apart, and where the rest is counted.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicU64,
    pub(crate) rest: Cell,
}

impl Budget {
    pub(crate) const fn new(outcomes: u64) -> Self {
        Self {
            left: AtomicU64::new(outcomes),
            rest: Cell::new(),
        }
    }

    fn take(&self) -> bool {
        self.left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .is_ok()
    }

    fn give_back(&self, outcomes: u64) {
        self.left.fetch_add(outcomes, Relaxed);
    }
}

/// The counters of one label set of requests.
#[derive(Debug)]
pub(crate) struct Requests {
    keys: [AtomicU64; MAX_OUTCOMES],
    cells: [OnceLock<Box<Cell>>; MAX_OUTCOMES],
    /// Messages of gRPC, counted while a call runs, when nobody knows how it will end.
    pub(crate) request_messages: AtomicU64,
    pub(crate) response_messages: AtomicU64,
    budget: Arc<Budget>,
}

impl Counters for Requests {
    type Common = Arc<Budget>;

    fn new(budget: &Arc<Budget>) -> Self {
        Self {
            keys: [const { AtomicU64::new(0) }; MAX_OUTCOMES],
            cells: [const { OnceLock::new() }; MAX_OUTCOMES],
            request_messages: AtomicU64::new(0),
            response_messages: AtomicU64::new(0),
            budget: Arc::clone(budget),
        }
    }
}

impl Requests {
    /// The counters of an outcome.
    pub(crate) fn cell(&self, outcome: Outcome) -> &Cell {
        let key = outcome.key();
        for (place, cell) in self.keys.iter().zip(&self.cells) {
            match self.claim(place, key) {
                Claim::Ours => return cell.get_or_init(|| Box::new(Cell::new())),
                Claim::Others => {}
                Claim::NoRoom => break,
            }
        }
        &self.budget.rest
    }

    /// Takes a place for an outcome, if it is free or already this outcome's.
    fn claim(&self, place: &AtomicU64, key: u64) -> Claim {
        let found = place.load(Relaxed);
        if found == key {
            return Claim::Ours;
        }
        if found != 0 {
            return Claim::Others;
        }
        if !self.budget.take() {
            return Claim::NoRoom;
        }
        match place.compare_exchange(0, key, Relaxed, Relaxed) {
            Ok(_) => Claim::Ours,
            Err(faster) => {
                self.budget.give_back(1);
                if faster == key {
                    Claim::Ours
                } else {
                    Claim::Others
                }
            }
        }
    }

    /// All outcomes so far.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (Outcome, &Cell)> {
        self.keys
            .iter()
            .zip(&self.cells)
            .filter_map(|(key, cell)| Some((Outcome::from_key(key.load(Relaxed)), &**cell.get()?)))
    }
}

/// Whose a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Ours,
    Others,
    NoRoom,
}

impl Drop for Requests {
    fn drop(&mut self) {
        let taken = self
            .keys
            .iter()
            .filter(|key| key.load(Relaxed) != 0)
            .count();
        self.budget.give_back(taken as u64);
    }
}
