//! One type of one stream: what the client asked for, what it was sent, what it said to that.
//!
//! In: requests and snapshots. Out: at most one response at a time; the next one waits for its acknowledgement, and
//! then goes to a newer snapshot at once, whatever was published in between. To which one, and when, is for the
//! [`session`](super::session) to say, which has all types go there together.
//! Never: sends, waits, or reads a clock.
//!
//! How a type begins: no names at all, or `*`, is everything. `*` subscribed and unsubscribed in one request is nothing
//! yet. Names alone are these names. The first request is always answered, so that the client knows that it has what
//! there is; what it says to have already is not sent again, and counts as asked for where it names what it wants.

use std::{
    collections::HashSet,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use wire::proto::discovery::DeltaDiscoveryRequest;

use super::{
    message::{MAX_MESSAGE, Message},
    on_demand::{Context, OnDemand},
    plan::{Items, Plan},
    viewer::Viewer,
    wildcard::{Known, Wildcard},
};
use crate::{
    output::ResourceType,
    publish::{Snapshot, Version},
};

/// Names that one stream may subscribe. A proxy on demand asks for each destination that it meets, once; at a hundred
/// bytes each this is 10 MiB. Who needs more begins anew with what it still uses.
pub(super) const MAX_NAMES: usize = 100_000;
/// What they, and those let go of since the last response, may have in bytes, over all types of a stream.
pub(super) const MAX_NAMES_BYTES: usize = 10 * 1024 * 1024;
/// The longest type URL of a request.
pub(super) const MAX_TYPE: usize = 256;
/// The longest name. A ServiceEntry's endpoint is named by two names of 253 characters, a cluster and an address.
pub(super) const MAX_NAME: usize = 2_048;

const EVERYTHING: &str = "*";

/// Why a stream cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// A name is too long.
    #[error("a resource name has {length} bytes, at most {MAX_NAME} are allowed")]
    Name {
        /// How long it is.
        length: usize,
    },
    /// There are too many.
    #[error("more than {MAX_NAMES} resource names are subscribed")]
    Names,
    /// They are too long together.
    #[error("the subscribed resource names have more than {MAX_NAMES_BYTES} bytes")]
    Bytes,
    /// A type's name is too long.
    #[error("a type_url has {length} bytes, at most {MAX_TYPE} are allowed")]
    Type {
        /// How long it is.
        length: usize,
    },
    /// There are too many types.
    #[error("more than {limit} types that are not known are subscribed")]
    Types {
        /// The limit.
        limit: usize,
    },
    /// A request that belongs with others is missing, or there is one too many.
    #[error(
        "a request that belongs with others: followed_by: found {found}, expected {expected}, as the one before it said"
    )]
    Order {
        /// What it says.
        found: u32,
        /// What it should say.
        expected: u32,
    },
    /// Too many are to come.
    #[error("followed_by: found {found}, expected at most {limit}")]
    Followed {
        /// What the first one says.
        found: u32,
        /// The limit.
        limit: u32,
    },
}

/// A response that waits for its acknowledgement.
#[derive(Debug)]
struct Awaited {
    nonce: String,
    resources: usize,
    /// Since when the client has been behind, if this ends it.
    behind: Option<Instant>,
}

/// What a client said to a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) nonce: String,
    pub(super) resources: usize,
    /// Why it was refused, if it was. As the client says it.
    pub(super) refused: Option<String>,
    /// How long it took from the first change that the client lacked to its acknowledgement.
    pub(super) convergence: Option<Duration>,
}

#[derive(Debug)]
enum Mode {
    Wildcard(Wildcard),
    OnDemand(OnDemand),
}

/// The state of one type.
#[derive(Debug)]
pub(super) struct Subscription {
    of: ResourceType,
    viewer: Arc<Viewer>,
    /// Begins every nonce of the stream, so that one of another stream is not taken for ours.
    prefix: u32,
    sent: u64,
    /// The generation that was planned last.
    planned: u64,
    mode: Mode,
    begun: bool,
    /// The names that are subscribed, without `*`.
    names: HashSet<Arc<str>>,
    /// Names that must be answered. All are subscribed.
    asked: HashSet<Arc<str>>,
    /// Names that were let go of.
    left: HashSet<Arc<str>>,
    /// What `names` and `left` have in bytes.
    bytes: usize,
    /// Whether a response is due even if it is empty.
    owed: bool,
    awaited: Option<Awaited>,
    /// What did not fit into the last response.
    rest: Option<(Items, usize)>,
    /// The newest generation that was noticed, and when the first was published that the client lacks.
    noticed: u64,
    behind: Option<Instant>,
    /// The same of what is planned and not wholly sent.
    led: Option<Instant>,
    limit: usize,
}

impl Subscription {
    /// The state before the first request.
    pub(super) fn new(of: ResourceType, viewer: Arc<Viewer>, prefix: u32) -> Self {
        Self {
            of,
            viewer,
            prefix,
            sent: 0,
            planned: 0,
            mode: Mode::OnDemand(OnDemand::new(Known::new())),
            begun: false,
            names: HashSet::new(),
            asked: HashSet::new(),
            left: HashSet::new(),
            bytes: 0,
            owed: false,
            awaited: None,
            rest: None,
            noticed: 0,
            behind: None,
            led: None,
            limit: MAX_MESSAGE,
        }
    }

    /// With another limit of messages.
    #[cfg(test)]
    pub(super) fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Whether the client has asked for the type at all.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// Whether everything is subscribed.
    pub(super) fn is_wildcard(&self) -> bool {
        matches!(self.mode, Mode::Wildcard(_))
    }

    /// How many names are subscribed.
    pub(super) fn names(&self) -> usize {
        self.names.len()
    }

    /// What the names have in bytes, those that were let go of included.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a response waits for its acknowledgement.
    pub(super) fn waits(&self) -> bool {
        self.awaited.is_some()
    }

    /// The generation up to which the client was sent everything, or is being.
    pub(super) fn planned(&self) -> u64 {
        self.planned
    }

    /// Takes a request. Answers what the client said to the last response, if it did. Nonces that are not that
    /// response's are ignored; names are taken whatever the nonce.
    ///
    /// # Errors
    /// When a limit is passed: the stream must end.
    pub(super) fn request(
        &mut self,
        request: DeltaDiscoveryRequest,
        now: Instant,
    ) -> Result<Option<Settled>, Refusal> {
        let DeltaDiscoveryRequest {
            resource_names_subscribe: subscribe,
            resource_names_unsubscribe: unsubscribe,
            initial_resource_versions: versions,
            response_nonce: nonce,
            error_detail: error,
            ..
        } = request;
        let settled = self
            .awaited
            .take_if(|awaited| awaited.nonce == nonce)
            .map(|awaited| Settled {
                nonce,
                resources: awaited.resources,
                refused: error.map(|error| error.message),
                convergence: awaited
                    .behind
                    .map(|since| now.saturating_duration_since(since)),
            });
        let first = !mem::replace(&mut self.begun, true);
        let bare = subscribe.is_empty() && unsubscribe.is_empty();
        let begins = subscribe.iter().any(|name| name == EVERYTHING) || first && bare;
        let ends = unsubscribe.iter().any(|name| name == EVERYTHING);
        for name in subscribe {
            if name != EVERYTHING {
                self.subscribe(name)?;
            }
        }
        for name in unsubscribe {
            if name != EVERYTHING {
                self.unsubscribe(&name)?;
            }
        }
        if first {
            self.begin(begins && !ends, versions)?;
        } else {
            self.turn(begins, ends);
        }
        Ok(settled)
    }

    fn subscribe(&mut self, name: String) -> Result<(), Refusal> {
        if name.len() > MAX_NAME {
            return Err(Refusal::Name { length: name.len() });
        }
        let name: Arc<str> = name.into();
        if !self.left.remove(&name) && !self.names.contains(&name) {
            self.bytes += name.len();
        }
        self.names.insert(Arc::clone(&name));
        self.asked.insert(name);
        if self.names.len() > MAX_NAMES {
            return Err(Refusal::Names);
        }
        Ok(())
    }

    fn unsubscribe(&mut self, name: &str) -> Result<(), Refusal> {
        if let Some(name) = self.names.take(name) {
            self.asked.remove(&name);
            self.left.insert(name);
        }
        // Names that come and go while a response is under way.
        if self.left.len() > MAX_NAMES {
            return Err(Refusal::Names);
        }
        Ok(())
    }

    fn begin(
        &mut self,
        everything: bool,
        versions: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), Refusal> {
        self.owed = true;
        let mut known = Known::new();
        for (name, version) in versions {
            if !everything {
                self.subscribe(name.clone())?;
            }
            known.insert(name, Version::parse(&version));
        }
        self.mode = if everything {
            Mode::Wildcard(Wildcard::new(known))
        } else {
            Mode::OnDemand(OnDemand::new(known))
        };
        Ok(())
    }

    /// Goes over from names to everything, or back. The first keeps what the client has; the second sends
    /// what it names anew and leaves it to the client to forget the rest, as it asked for.
    fn turn(&mut self, begins: bool, ends: bool) {
        if ends && self.is_wildcard() {
            self.mode = Mode::OnDemand(OnDemand::new(Known::new()));
            self.asked.extend(self.names.iter().cloned());
            self.owed = true;
        } else if begins && !ends {
            let mode = mem::replace(&mut self.mode, Mode::OnDemand(OnDemand::new(Known::new())));
            self.mode = match mode {
                Mode::Wildcard(_) => mode,
                Mode::OnDemand(before) => {
                    self.owed = true;
                    Mode::Wildcard(Wildcard::new(before.into_known()))
                }
            };
        }
    }

    /// Notes since when the client has been behind.
    pub(super) fn notice(&mut self, snapshot: &Snapshot) {
        if !self.begun || self.noticed == snapshot.generation() {
            return;
        }
        if self.noticed != 0 {
            self.behind = self.behind.or(snapshot.published());
        }
        self.noticed = snapshot.generation();
    }

    /// The response that leads to `snapshot`, if there is anything to say. It has to be sent before the next is asked for.
    pub(super) fn lead(&mut self, snapshot: &Arc<Snapshot>) -> Option<Message> {
        // Nothing has been published: silence, or a client that comes back would lose all it has.
        if !self.begun || snapshot.generation() == 0 {
            return None;
        }
        let plan = self.plan(snapshot)?;
        if self.planned >= self.noticed {
            self.led = self.behind.take();
        }
        Some(self.message(plan, 0))
    }

    /// What did not fit into the last response, or a part of it.
    pub(super) fn rest(&mut self) -> Option<Message> {
        let (items, position) = self.rest.take()?;
        let removed = Vec::new();
        Some(self.message(Plan { items, removed }, position))
    }

    /// Whether the client waits for an answer.
    pub(super) fn is_asked(&self) -> bool {
        self.owed || !self.asked.is_empty()
    }

    /// Whether something did not fit.
    pub(super) fn has_rest(&self) -> bool {
        self.rest.is_some()
    }

    fn message(&mut self, plan: Plan, position: usize) -> Message {
        self.sent += 1;
        let initial = match self.of {
            ResourceType::Address => 'a',
            ResourceType::Authorization => 'p',
            ResourceType::RouteTable => 'r',
            ResourceType::BackendPolicy => 'b',
            ResourceType::Settings => 's',
        };
        let nonce = format!("{:08x}-{initial}{}", self.prefix, self.sent);
        let message = Message::new(self.of.url(), nonce, plan, position, self.limit);
        self.rest = message.rest();
        message
    }

    /// A response is being sent: it is waited for its acknowledgement from now on.
    pub(super) fn sends(&mut self, message: &Message) {
        self.awaited = Some(Awaited {
            nonce: message.nonce().to_owned(),
            resources: message.resources(),
            behind: match &self.rest {
                Some(_) => None,
                None => self.led.take(),
            },
        });
    }

    fn plan(&mut self, snapshot: &Arc<Snapshot>) -> Option<Plan> {
        self.planned = snapshot.generation();
        let asked = mem::take(&mut self.asked);
        let left = mem::take(&mut self.left);
        self.bytes -= left.iter().map(|name| name.len()).sum::<usize>();
        let plan = match &mut self.mode {
            Mode::Wildcard(wildcard) => wildcard.plan(self.of, &self.viewer, snapshot, &asked),
            Mode::OnDemand(on_demand) => {
                let context = Context {
                    of: self.of,
                    viewer: &self.viewer,
                    snapshot,
                    names: &self.names,
                };
                on_demand.plan(context, &asked, &left)
            }
        };
        if plan.is_empty() && !mem::take(&mut self.owed) {
            // What changed is nothing to this client.
            if self.planned >= self.noticed {
                self.behind = None;
            }
            return None;
        }
        self.owed = false;
        Some(plan)
    }
}

#[cfg(test)]
mod tests;
