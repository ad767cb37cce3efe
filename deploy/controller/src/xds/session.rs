//! All types of one stream.
//!
//! In: requests and snapshots. Out: responses, and what the client said to them. Never: sends, waits, reads a clock.

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
        }
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

    /// The next response on the way to `snapshot`, with its type if it is one that is served.
    pub(super) fn next(
        &mut self,
        snapshot: &Arc<Snapshot>,
    ) -> Option<(Option<ResourceType>, Message)> {
        if let Some(answer) = self.answers.pop_front() {
            return Some((None, answer));
        }
        // While policies wait to be sent, so does everything that may name them: a proxy passes over a policy that it
        // has been told of by name only. Who does not want policies waits for none.
        let mut hold = false;
        for (of, subscription) in ORDER.into_iter().zip(&mut self.subscriptions) {
            if let Some(message) = subscription.next(snapshot, hold) {
                return Some((Some(of), message));
            }
            hold |= subscription.begun() && !subscription.covers(snapshot);
        }
        None
    }
}

#[cfg(test)]
mod tests;
