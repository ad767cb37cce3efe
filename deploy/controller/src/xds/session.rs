//! All types of one stream.
//!
//! In: requests and snapshots. Out: responses, and what the client said to them. Never: sends, waits, reads a clock; leads two
//! types to two snapshots.
//!
//! **Groups.** What is one change of the mesh may be a change of resources of several types: a policy that moves from a Gateway to
//! a Service leaves `Settings` and comes to a `RouteTable`. So all types are led to one snapshot at once, by one response each,
//! which say how many come after them (`followed_by`). A proxy of ours has nothing in force of them before the last is there;
//! to any other client it is plain Delta xDS in a good order. When all that was sent is acknowledged, the next group goes to the
//! newest snapshot.
//!
//! A client that comes back asks for several types in one go and says so in the same way: they are answered as one group, or
//! what moved while it was away would be nowhere between the answers. Nothing new is led to before the last of these requests is
//! there, so such a promise can be made by the first request of a type alone, has to be kept in order, and has a deadline
//! ([`Session::is_followed`], [`stream`](super::stream)).
//!
//! A group of more than [`MAX_GROUP`] is none: its responses are sent one by one, as large ones have to be.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use wire::proto::discovery::DeltaDiscoveryRequest;

use super::{
    message::{MAX_MESSAGE, Message},
    plan::Plan,
    subscription::{MAX_NAMES_BYTES, MAX_TYPE, Refusal, Settled, Subscription},
    viewer::Viewer,
};
use crate::{output::ResourceType, publish::Snapshot};

/// Types that we do not serve and that one stream may ask for all the same.
pub(super) const MAX_OTHER_TYPES: usize = 16;
/// Answers about them that may wait to be sent.
const MAX_OTHER_ANSWERS: usize = 16;

/// How many requests may be announced. Reason: one of each type, and as many names as a stream may have, by the two thousand that a
/// proxy of ours puts into one request.
pub(super) const MAX_FOLLOWED: u32 = 256;

/// The largest group. Units: bytes, of all its responses. A client holds them until the last has come; a larger change is a
/// mesh that comes up, or is another one.
pub(super) const MAX_GROUP: usize = MAX_MESSAGE;

/// The types that are served, in the order in which they are sent: what holds for something before it.
pub(super) const ORDER: [ResourceType; 5] = [
    ResourceType::Settings,
    ResourceType::BackendPolicy,
    ResourceType::RouteTable,
    ResourceType::Authorization,
    ResourceType::Address,
];

/// The state of one stream.
#[derive(Debug)]
pub(super) struct Session {
    prefix: u32,
    /// In the order of [`ORDER`].
    subscriptions: [Subscription; ORDER.len()],
    /// Types that are answered with nothing, and what is to be said about them.
    others: HashSet<String>,
    answers: VecDeque<Message>,
    /// Where all types are, or are being led to.
    target: Option<Arc<Snapshot>>,
    /// What leads there and was not sent yet, in the order of [`ORDER`].
    queue: VecDeque<(ResourceType, Message)>,
    /// Whether that is a group.
    grouped: bool,
    /// A type of which a part was sent. What comes after it in [`ORDER`] waits for the rest.
    unfinished: Option<ResourceType>,
    /// How many requests were announced and are still to come, before the next group.
    followed: u32,
    max_group: usize,
}

impl Session {
    /// The state before the first request. `prefix` is drawn for the stream and begins its nonces.
    pub(super) fn new(viewer: &Arc<Viewer>, prefix: u32) -> Self {
        let subscription = |of| Subscription::new(of, Arc::clone(viewer), prefix);
        Self {
            prefix,
            subscriptions: ORDER.map(subscription),
            others: HashSet::new(),
            answers: VecDeque::new(),
            target: None,
            queue: VecDeque::new(),
            grouped: false,
            unfinished: None,
            followed: 0,
            max_group: MAX_GROUP,
        }
    }

    /// With other limits of a group and of a message.
    #[cfg(test)]
    pub(super) fn with_limits(mut self, group: usize, message: usize) -> Self {
        self.max_group = group;
        self.subscriptions = self
            .subscriptions
            .map(|subscription| subscription.with_limit(message));
        self
    }

    pub(super) fn subscription(&self, of: ResourceType) -> &Subscription {
        match (of, &self.subscriptions) {
            (ResourceType::Settings, [it, _, _, _, _])
            | (ResourceType::BackendPolicy, [_, it, _, _, _])
            | (ResourceType::RouteTable, [_, _, it, _, _])
            | (ResourceType::Authorization, [_, _, _, it, _])
            | (ResourceType::Address, [_, _, _, _, it]) => it,
        }
    }

    fn subscription_mut(&mut self, of: ResourceType) -> &mut Subscription {
        match (of, &mut self.subscriptions) {
            (ResourceType::Settings, [it, _, _, _, _])
            | (ResourceType::BackendPolicy, [_, it, _, _, _])
            | (ResourceType::RouteTable, [_, _, it, _, _])
            | (ResourceType::Authorization, [_, _, _, it, _])
            | (ResourceType::Address, [_, _, _, _, it]) => it,
        }
    }

    /// Takes a request; what it says to a response is the answer.
    ///
    /// # Errors
    /// When a limit is passed: the stream must end.
    pub(super) fn request(
        &mut self,
        request: DeltaDiscoveryRequest,
        now: Instant,
    ) -> Result<Option<(ResourceType, Settled)>, Refusal> {
        let length = request.type_url.len();
        if length > MAX_TYPE {
            return Err(Refusal::Type { length });
        }
        let of = ORDER.into_iter().find(|of| of.url() == request.type_url);
        self.follow(of, &request)?;
        if let Some(of) = of {
            let settled = self.subscription_mut(of).request(request, now)?;
            let bytes: usize = self.subscriptions.iter().map(Subscription::bytes).sum();
            if bytes > MAX_NAMES_BYTES {
                return Err(Refusal::Bytes);
            }
            return Ok(settled.map(|settled| (of, settled)));
        }
        self.other(request)?;
        Ok(None)
    }

    /// Counts the requests that belong together. Only the first of a type begins such a row; what is said to a response is none of it.
    fn follow(
        &mut self,
        of: Option<ResourceType>,
        request: &DeltaDiscoveryRequest,
    ) -> Result<(), Refusal> {
        let found = request.followed_by;
        let is_first = match of {
            Some(of) => !self.subscription(of).begun(),
            None => !self.others.contains(&request.type_url),
        };
        if let Some(expected) = self.followed.checked_sub(1) {
            if !is_first && !request.response_nonce.is_empty() {
                return Ok(());
            }
            if found != expected {
                return Err(Refusal::Order { found, expected });
            }
        } else if !is_first {
            return Ok(());
        } else if found > MAX_FOLLOWED {
            let limit = MAX_FOLLOWED;
            return Err(Refusal::Followed { found, limit });
        }
        self.followed = found;
        Ok(())
    }

    /// Whether requests were announced that are still to come. Nothing new is sent until then.
    pub(super) fn is_followed(&self) -> bool {
        self.followed > 0
    }

    /// A type that is not served is answered once, and for each name again, that there is nothing: a client that
    /// waits for it must not wait for ever.
    fn other(&mut self, request: DeltaDiscoveryRequest) -> Result<(), Refusal> {
        let first = self.others.insert(request.type_url.clone());
        if self.others.len() > MAX_OTHER_TYPES {
            return Err(Refusal::Types {
                limit: MAX_OTHER_TYPES,
            });
        }
        if !first && request.resource_names_subscribe.is_empty() {
            return Ok(());
        }
        if self.answers.len() >= MAX_OTHER_ANSWERS {
            return Err(Refusal::Types {
                limit: MAX_OTHER_ANSWERS,
            });
        }
        let removed = request
            .resource_names_subscribe
            .into_iter()
            .filter(|name| name != "*")
            .map(Arc::from)
            .collect();
        let nonce = format!("{:08x}-x", self.prefix);
        let plan = Plan::own(Vec::new(), removed);
        let message = Message::new(request.type_url, nonce, plan, 0, MAX_MESSAGE);
        self.answers.push_back(message);
        Ok(())
    }

    /// The next response, with its type if it is one that is served. Where all is said of one snapshot, `snapshot` is the next.
    pub(super) fn next(
        &mut self,
        snapshot: &Arc<Snapshot>,
    ) -> Option<(Option<ResourceType>, Message)> {
        for subscription in &mut self.subscriptions {
            subscription.notice(snapshot);
        }
        // Nothing comes between the responses of a group.
        if !self.is_within_group()
            && let Some(answer) = self.answers.pop_front()
        {
            return Some((None, answer));
        }
        if let Some(of) = self.unfinished {
            let subscription = self.subscription_mut(of);
            if subscription.waits() {
                return None;
            }
            if let Some(message) = subscription.rest() {
                return Some(self.send(of, message));
            }
        }
        if self.queue.is_empty() {
            self.lead(snapshot);
        }
        let (of, message) = self.queue.pop_front()?;
        Some(self.send(of, message))
    }

    /// Plans how all types get to `snapshot`. As long as one of them has still to be acknowledged, the others stay with it where it
    /// is: they are told what they ask for as it was there.
    fn lead(&mut self, snapshot: &Arc<Snapshot>) {
        if self.followed > 0 {
            return;
        }
        if !self.subscriptions.iter().any(Subscription::waits) {
            self.target = Some(Arc::clone(snapshot));
        }
        let Some(target) = self.target.clone() else {
            return;
        };
        let mut bytes = 0_usize;
        self.grouped = true;
        for (of, subscription) in ORDER.into_iter().zip(&mut self.subscriptions) {
            if subscription.waits() {
                // A proxy passes over a policy that it has been told of by name only.
                if subscription.is_asked() {
                    break;
                }
                continue;
            }
            if let Some(message) = subscription.lead(&target) {
                bytes = bytes.saturating_add(message.len());
                self.grouped &= !subscription.has_rest();
                self.queue.push_back((of, message));
            }
        }
        self.grouped &= bytes <= self.max_group;
    }

    fn send(&mut self, of: ResourceType, message: Message) -> (Option<ResourceType>, Message) {
        let after = if self.grouped { self.queue.len() } else { 0 };
        let message = message.followed_by(after);
        let subscription = self.subscription_mut(of);
        subscription.sends(&message);
        self.unfinished = subscription.has_rest().then_some(of);
        (Some(of), message)
    }

    /// Whether the last response is followed by others of its group. A client may answer it with those.
    pub(super) fn is_within_group(&self) -> bool {
        self.grouped && !self.queue.is_empty()
    }

    /// Up to which generation the client has everything of a type, and has said so; `None` while something is under way or
    /// waits to be sent.
    pub(super) fn reached(&self, of: ResourceType) -> Option<u64> {
        let subscription = self.subscription(of);
        let is_queued = self.queue.iter().any(|(queued, _)| *queued == of);
        let open = subscription.waits() || subscription.has_rest() || is_queued;
        (!open).then(|| subscription.planned())
    }
}

#[cfg(test)]
mod tests;
