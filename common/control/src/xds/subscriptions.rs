//! Names that were asked for on demand, and what the control plane said of each.
//!
//! In: names that somebody wants, answers, the beginning and the end of streams.
//! Out: outcomes, names to subscribe and to unsubscribe. Never: waits.
//!
//! A name stays subscribed once it was asked for, so an answer holds until the control plane says otherwise. What
//! keeps that bounded is that names which lead nowhere (the internet has many) make room for new ones, the one that
//! was wanted longest ago first.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::sync::watch;

use super::demand::Outcome;

/// How many names are subscribed at most. Reason: each is remembered by us and by the control plane; a node that
/// talks to more workloads is better served by a wildcard.
pub const MAX_SUBSCRIPTIONS: usize = 65_536;

/// How many names are looked at for one that may make room. Reason: it bounds the time of the data path's question.
const MAX_CANDIDATES: usize = 64;

/// The names and their fates.
#[derive(Debug)]
pub(super) struct Subscriptions {
    entry_by_name: HashMap<Arc<str>, Entry>,
    /// Names that may make room, by the turn in which they were wanted last.
    idle: BTreeMap<u64, Arc<str>>,
    next_turn: u64,
    max: usize,
    /// Whether a stream has been told of all names but those below.
    open: bool,
    subscribe: Vec<Arc<str>>,
    unsubscribe: Vec<Arc<str>>,
}

#[derive(Debug)]
struct Entry {
    /// Its place in `idle`; a name that leads somewhere has none there.
    turn: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Everybody who waits holds a receiver.
    Asked(watch::Sender<Option<Outcome>>),
    Present,
    Absent,
    Unreadable,
}

/// What is known of a name at once.
pub(super) enum Want {
    Now(Outcome),
    /// The answer comes here.
    Wait(watch::Receiver<Option<Outcome>>),
}

/// What a stream has to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) subscribe: Vec<Arc<str>>,
    pub(super) unsubscribe: Vec<Arc<str>>,
}

impl Subscriptions {
    pub(super) fn new(max: usize) -> Self {
        Self {
            entry_by_name: HashMap::new(),
            idle: BTreeMap::new(),
            next_turn: 0,
            max,
            open: false,
            subscribe: Vec::new(),
            unsubscribe: Vec::new(),
        }
    }

    /// Somebody wants a name: says what is known, or subscribes it and says where the answer will come.
    pub(super) fn want(&mut self, name: &str) -> Want {
        let turn = self.next_turn;
        if let Some(entry) = self.entry_by_name.get_mut(name) {
            let known = match &entry.state {
                State::Present => return Want::Now(Outcome::Present),
                State::Asked(answer) => Want::Wait(answer.subscribe()),
                State::Absent => Want::Now(Outcome::Absent),
                State::Unreadable => Want::Now(Outcome::Unreadable),
            };
            self.next_turn += 1;
            if let Some(name) = self.idle.remove(&entry.turn) {
                entry.turn = turn;
                self.idle.insert(turn, name);
            }
            return known;
        }
        if self.entry_by_name.len() >= self.max && !self.make_room() {
            return Want::Now(Outcome::Full);
        }
        self.next_turn += 1;
        let (answer, waiting) = watch::channel(None);
        let name: Arc<str> = name.into();
        self.idle.insert(turn, Arc::clone(&name));
        if self.open {
            self.subscribe.push(Arc::clone(&name));
        }
        let state = State::Asked(answer);
        self.entry_by_name.insert(name, Entry { turn, state });
        Want::Wait(waiting)
    }

    /// The control plane said something of a name. Of one that nobody asked for, nothing is kept.
    pub(super) fn answer(&mut self, name: &str, outcome: Outcome) {
        let state = match outcome {
            Outcome::Present => State::Present,
            Outcome::Absent => State::Absent,
            Outcome::Unreadable => State::Unreadable,
            Outcome::Full | Outcome::Disabled => return,
        };
        let Some((name, entry)) = self.entry_by_name.get_key_value(name) else {
            return;
        };
        let (name, turn) = (Arc::clone(name), entry.turn);
        if matches!(state, State::Present) {
            self.idle.remove(&turn);
        } else {
            self.idle.insert(turn, Arc::clone(&name));
        }
        if let Some(entry) = self.entry_by_name.get_mut(&name)
            && let State::Asked(answer) = std::mem::replace(&mut entry.state, state)
        {
            answer.send_replace(Some(outcome));
        }
    }

    /// A stream begins: all names.
    pub(super) fn open(&mut self) -> Vec<Arc<str>> {
        self.close();
        self.open = true;
        self.entry_by_name.keys().cloned().collect()
    }

    /// The stream has ended; what was known stays.
    pub(super) fn close(&mut self) {
        self.open = false;
        self.subscribe.clear();
        self.unsubscribe.clear();
    }

    /// What the stream has not been told yet.
    pub(super) fn changes(&mut self) -> Changes {
        let mut changes = Changes {
            subscribe: std::mem::take(&mut self.subscribe),
            unsubscribe: std::mem::take(&mut self.unsubscribe),
        };
        // What came and went in the meantime.
        let names = &self.entry_by_name;
        changes.subscribe.retain(|name| names.contains_key(name));
        changes.unsubscribe.retain(|name| !names.contains_key(name));
        for names in [&mut changes.subscribe, &mut changes.unsubscribe] {
            names.sort_unstable();
            names.dedup();
        }
        changes
    }

    /// Whether [`Self::changes`] has something.
    pub(super) fn changed(&self) -> bool {
        !self.subscribe.is_empty() || !self.unsubscribe.is_empty()
    }

    /// Forgets a name that leads nowhere and that nobody waits for.
    fn make_room(&mut self) -> bool {
        // A stream that does not take what it is told must not make this grow.
        if self.unsubscribe.len() >= self.max {
            return false;
        }
        let idle = self.idle.iter().take(MAX_CANDIDATES);
        let found = idle
            .filter(|(_, name)| {
                let entry = self.entry_by_name.get(*name);
                entry.is_none_or(|entry| match &entry.state {
                    State::Asked(answer) => answer.receiver_count() == 0,
                    State::Present => false,
                    State::Absent | State::Unreadable => true,
                })
            })
            .map(|(turn, _)| *turn)
            .next();
        let Some(name) = found.and_then(|turn| self.idle.remove(&turn)) else {
            return false;
        };
        self.entry_by_name.remove(&name);
        if self.open {
            self.unsubscribe.push(name);
        }
        true
    }
}

#[cfg(test)]
mod tests;
