//! The delta xDS protocol without its transport: what is known, what is asked, how a response is taken in.
//!
//! In: responses, names that are wanted, the beginning and the end of streams.
//! Out: requests, deltas of the mesh in slices, answers to who asked for a name.
//! Never: waits, sends, reads a clock.
//!
//! ```text
//!   open ──> first request of policies ──> response ──> ACK ──> first request of addresses ──> response ──> ACK
//!                                          (at the first stream only; later both are asked at once)
//! ```
//!
//! Policies are asked for before workloads, so that no workload is ever served without the policies that stood when
//! we came. What a response removes is removed after what it brings came in, so that nothing that is only renamed is
//! missing in between.
//!
//! What changed while no stream stood is asked for with requests that say that they belong together, so that one group of
//! responses answers them: a policy that moved meanwhile would otherwise be nowhere between two answers.
//!
//! What went while no stream stood is told by the server: it knows from `initial_resource_versions` what we have.
//! Where these are too large for it, they are left out and its first response counts as complete.
//!
//! Source: xDS protocol, "Incremental xDS"; wire format as in `discovery.proto` of `wire`.

use std::{collections::BTreeMap, sync::Arc};

use prost::Message as _;
use wire::{
    proto::{
        ADDRESS_TYPE,
        discovery::{self, DeltaDiscoveryRequest as Request},
    },
    xds::Decoder,
};

use super::{known::Known, node::Role, subscriptions::Changes};

mod intake;
mod refusals;

/// Stands for every resource of a type. Source: xDS protocol, wildcard subscriptions.
const WILDCARD: &str = "*";
/// How many names one request carries. Reason: servers limit a message to 4 MiB, and a name has at most about 1 KiB.
const MAX_NAMES_PER_REQUEST: usize = 2048;
/// Versions beyond this may be why a server refused a message as too large. Units: bytes. Reason: a quarter of the
/// usual limit of 4 MiB.
const LARGE_VERSIONS: usize = 1 << 20;

/// The conversation with one control plane, over all its streams.
#[derive(Debug)]
pub(super) struct Session {
    node: discovery::Node,
    on_demand: bool,
    decoder: Decoder,
    /// In the order of [`Role::types`].
    types: Vec<Type>,
    /// Names to be subscribed with the first request of addresses.
    deferred: Vec<Arc<str>>,
    /// Counts responses.
    responses: u64,
}

/// The place of a type in [`Session::types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind(usize);

/// One type of resource.
#[derive(Debug)]
struct Type {
    url: &'static str,
    known: Known,
    refused: BTreeMap<Box<str>, String>,
    /// A response was taken in since the start.
    synced: bool,
    /// On this stream: the first request was made.
    requested: bool,
    /// On this stream: a response was taken in.
    answered: bool,
    /// On this stream: how large the versions in the first request were.
    versions_bytes: usize,
    /// The server does not take our versions.
    withhold: bool,
    /// On this stream: the first response is complete, and what none since this one has brought is gone.
    complete_since: Option<u64>,
}

impl Session {
    /// Nothing is known, nobody was asked.
    pub(super) fn new(node: discovery::Node, role: Role, on_demand: bool) -> Self {
        let types = role.types().iter();
        Self {
            node,
            on_demand,
            decoder: Decoder::new(),
            types: types
                .map(|url| Type::new(url, on_demand && *url == ADDRESS_TYPE))
                .collect(),
            deferred: Vec::new(),
            responses: 0,
        }
    }

    /// A stream begins; `names` are subscribed besides.
    pub(super) fn open(&mut self, names: Vec<Arc<str>>) -> Vec<Request> {
        for of in &mut self.types {
            of.requested = false;
            of.answered = false;
            of.versions_bytes = 0;
            of.complete_since = None;
        }
        self.deferred = names;
        let mut requests = self.next_types();
        // What changed while no stream stood has to come at once, whatever it is made of.
        for (after, request) in (0..).zip(requests.iter_mut().rev()) {
            request.followed_by = after;
        }
        requests
    }

    /// The stream has ended, perhaps because a request was too large for the server.
    pub(super) fn close(&mut self, too_large: bool) {
        for of in &mut self.types {
            if too_large && of.requested && !of.answered && of.versions_bytes > LARGE_VERSIONS {
                of.withhold = true;
            }
        }
    }

    /// Whether the stream can be told of names already.
    pub(super) fn takes_names(&self) -> bool {
        let mut types = self.types.iter();
        types.any(|of| of.url == ADDRESS_TYPE && of.requested)
    }

    /// The requests that tell the stream of names.
    pub(super) fn subscribe(&self, changes: &Changes) -> Vec<Request> {
        let owned = |names: &[Arc<str>]| names.iter().map(|name| (**name).to_owned()).collect();
        let subscribe = changes.subscribe.chunks(MAX_NAMES_PER_REQUEST);
        let unsubscribe = changes.unsubscribe.chunks(MAX_NAMES_PER_REQUEST);
        let of_addresses = || Request {
            type_url: ADDRESS_TYPE.to_owned(),
            ..Request::default()
        };
        let subscribe = subscribe.map(|names| Request {
            resource_names_subscribe: owned(names),
            ..of_addresses()
        });
        let unsubscribe = unsubscribe.map(|names| Request {
            resource_names_unsubscribe: owned(names),
            ..of_addresses()
        });
        unsubscribe.chain(subscribe).collect()
    }

    /// How many resources of a type are in force, and which are refused as they are now, with the reasons.
    pub(super) fn report(
        &self,
        type_url: &str,
    ) -> Option<(usize, impl ExactSizeIterator<Item = (&str, &str)>)> {
        let of = self.types.iter().find(|of| of.url == type_url)?;
        let refused = of.refused.iter();
        let refused = refused.map(|(name, error)| (&**name, error.as_str()));
        Some((of.known.len(), refused))
    }

    /// The type of a URL, if it was asked for.
    fn kind(&self, type_url: &str) -> Option<Kind> {
        let place = self.types.iter().position(|of| of.url == type_url);
        place.map(Kind)
    }

    /// Whether single names of a type are asked for.
    fn is_on_demand(&self, kind: Kind) -> bool {
        self.on_demand && self.of(kind).url == ADDRESS_TYPE
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "kinds are places of this list, which does not change"
    )]
    fn of(&self, kind: Kind) -> &Type {
        &self.types[kind.0]
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "kinds are places of this list, which does not change"
    )]
    fn of_mut(&mut self, kind: Kind) -> &mut Type {
        &mut self.types[kind.0]
    }

    /// The first requests of the types whose turn it is: each waits until those before it have been heard of once, so
    /// that nobody is told of a workload before what holds for it.
    fn next_types(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        for place in 0..self.types.len() {
            let kind = Kind(place);
            if !self.of(kind).requested {
                requests.push(self.first_request(kind));
                if self.of(kind).url == ADDRESS_TYPE {
                    let changes = Changes {
                        subscribe: std::mem::take(&mut self.deferred),
                        unsubscribe: Vec::new(),
                    };
                    requests.extend(self.subscribe(&changes));
                }
            }
            if !self.of(kind).synced {
                break;
            }
        }
        requests
    }

    /// The first request of a type on a stream: who we are, what we have, what we want.
    fn first_request(&mut self, kind: Kind) -> Request {
        let named = self.is_on_demand(kind);
        let node = self.node.clone();
        let next = self.responses + 1;
        let of = self.of_mut(kind);
        of.requested = true;
        let mut request = Request {
            node: Some(node),
            type_url: of.url.to_owned(),
            ..Request::default()
        };
        if named {
            // Without any name it would be a wildcard; this leaves a subscription of nothing.
            request.resource_names_subscribe = vec![WILDCARD.to_owned()];
            request.resource_names_unsubscribe = vec![WILDCARD.to_owned()];
        }
        if of.withhold {
            // Of names that are asked for, each is answered for itself.
            of.complete_since = (!named).then_some(next);
        } else {
            let versions = of.known.versions();
            request.initial_resource_versions = versions
                .map(|(name, version)| (name.to_owned(), version.to_owned()))
                .collect();
            of.versions_bytes = request.encoded_len();
        }
        request
    }
}

impl Type {
    fn new(url: &'static str, with_aliases: bool) -> Self {
        Self {
            url,
            known: Known::new(with_aliases),
            refused: BTreeMap::new(),
            synced: false,
            requested: false,
            answered: false,
            versions_bytes: 0,
            withhold: false,
            complete_since: None,
        }
    }
}

#[cfg(test)]
mod tests;
