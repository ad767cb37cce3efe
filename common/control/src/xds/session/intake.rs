//! Taking a response in: what it brings, what it removes, what is said to it.
//!
//! In: a response. Out: slices of it, then its acknowledgement. Never: more than one slice's work at a time.

use std::collections::HashSet;

use mesh::Delta;
use wire::{
    proto::discovery::{
        self, DeltaDiscoveryRequest as Request, DeltaDiscoveryResponse as Response,
    },
    xds::name,
};

use super::{
    Kind, Session,
    refusals::{self, Refusals},
};
use crate::xds::{demand::Outcome, known::Removed};

/// How many refused resources of a type are remembered with their reasons.
const MAX_REFUSED: usize = 1024;

/// A response that is being taken in.
#[derive(Debug)]
pub(in crate::xds) struct Taking {
    kind: Option<Kind>,
    type_url: String,
    nonce: String,
    number: u64,
    resources: std::vec::IntoIter<discovery::Resource>,
    removed: std::vec::IntoIter<String>,
    /// Nothing was published of this type yet.
    first: bool,
    refusals: Refusals,
}

/// A part of a response.
#[derive(Debug, Default)]
pub(in crate::xds) struct Slice {
    /// To be published; an empty one, too: it says that there is nothing.
    pub(in crate::xds) delta: Option<Delta>,
    /// What it says of names, true once the delta is published.
    pub(in crate::xds) answers: Vec<(Box<str>, Outcome)>,
}

impl Session {
    /// Begins to take a response in.
    pub(in crate::xds) fn take(&mut self, response: Response) -> Taking {
        self.responses += 1;
        let kind = self.kind(&response.type_url);
        Taking {
            first: kind.is_some_and(|kind| !self.of(kind).synced),
            kind,
            type_url: response.type_url,
            nonce: response.nonce,
            number: self.responses,
            resources: response.resources.into_iter(),
            removed: response.removed_resources.into_iter(),
            refusals: Refusals::default(),
        }
    }

    /// Takes in at most `max` resources more; `None` once there is nothing more.
    pub(in crate::xds) fn slice(&mut self, taking: &mut Taking, max: usize) -> Option<Slice> {
        let kind = taking.kind?;
        let mut slice = Slice::default();
        let mut delta = Delta::default();
        let mut room = max.max(1);
        let full = room;
        while room > 0
            && let Some(resource) = taking.resources.next()
        {
            room -= 1;
            self.put(kind, taking, &resource, &mut delta, &mut slice.answers);
        }
        if room > 0
            && let Some(since) = self.of_mut(kind).complete_since.take()
        {
            let mut removed: Vec<String> = taking.removed.by_ref().collect();
            removed.extend(self.of(kind).known.not_since(since));
            taking.removed = removed.into_iter();
        }
        while room > 0
            && let Some(name) = taking.removed.next()
        {
            room -= 1;
            self.remove(kind, taking, &name, &mut delta, &mut slice.answers);
        }
        let first = std::mem::take(&mut taking.first);
        if first || !delta.is_empty() {
            slice.delta = Some(delta);
        }
        (first || room < full).then_some(slice)
    }

    /// The response was taken in: its acknowledgement, and what is asked next.
    pub(in crate::xds) fn finish(&mut self, taking: Taking) -> Vec<Request> {
        let error_detail = match taking.kind {
            Some(_) => taking.refusals.detail(),
            None => Some(refusals::unknown_type(&taking.type_url)),
        };
        let mut requests = vec![Request {
            type_url: taking.type_url,
            response_nonce: taking.nonce,
            error_detail,
            ..Request::default()
        }];
        if let Some(kind) = taking.kind {
            let of = self.of_mut(kind);
            of.synced = true;
            of.answered = true;
            requests.extend(self.next_types());
        }
        requests
    }

    fn put(
        &mut self,
        kind: Kind,
        taking: &mut Taking,
        resource: &discovery::Resource,
        delta: &mut Delta,
        answers: &mut Vec<(Box<str>, Outcome)>,
    ) {
        let asked = self.is_on_demand(kind);
        let read = self.decoder.resource(&taking.type_url, resource);
        let of = self.of_mut(kind);
        let named: Box<str> = resource.name.as_str().into();
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                let error = grpc::status::chain(&error);
                let kept = if of.known.contains(&named) {
                    Outcome::Present
                } else {
                    Outcome::Unreadable
                };
                tracing::warn!(resource = %named, %error, in_force = (kept == Outcome::Present), "the control plane sent a resource that cannot be read");
                if asked {
                    for alias in &resource.aliases {
                        let other = !of.known.by_alias(alias).is_empty();
                        let outcome = if other { Outcome::Present } else { kept };
                        answers.push((alias.as_str().into(), outcome));
                    }
                    answers.push((named.clone(), kept));
                }
                taking.refusals.add(&error);
                taking.refusals.names.insert(named.clone());
                let is_known = kept == Outcome::Present;
                if let Some(placeholder) = wire::xds::placeholder(of.url, resource, is_known) {
                    // Without a version, so that it is sent again.
                    let put = of
                        .known
                        .put(&named, "", taking.number, &placeholder, Vec::new());
                    delta.removals.extend(put.key);
                    delta.upserts.push(placeholder);
                }
                if of.refused.len() < MAX_REFUSED || of.refused.contains_key(&named) {
                    of.refused.insert(named, error);
                }
                return;
            }
        };
        // A name is required; without one, the resource's own would be it.
        let named = if named.is_empty() {
            name::of(&read.key()).into()
        } else {
            named
        };
        of.refused.remove(&named);
        let mut aliases: Vec<Box<str>> = Vec::new();
        if asked {
            let own = name::aliases(&read).into_iter().map(Box::from);
            let given = resource.aliases.iter().map(|alias| alias.as_str().into());
            aliases.extend(own.chain(given));
            answers.push((named.clone(), Outcome::Present));
            let names = aliases.iter().cloned();
            answers.extend(names.map(|alias| (alias, Outcome::Present)));
        }
        let version = &resource.version;
        let replaced = of.known.put(&named, version, taking.number, &read, aliases);
        delta.removals.extend(replaced.key);
        let gone = replaced.aliases.into_iter();
        answers.extend(gone.map(|alias| (alias, Outcome::Absent)));
        delta.upserts.push(read);
    }

    /// Removes what has a name, or an alias, unless the same response brought it.
    fn remove(
        &mut self,
        kind: Kind,
        taking: &Taking,
        named: &str,
        delta: &mut Delta,
        answers: &mut Vec<(Box<str>, Outcome)>,
    ) {
        let asked = self.is_on_demand(kind);
        let of = self.of_mut(kind);
        let mut names: Vec<Box<str>> = Vec::new();
        if of.known.contains(named) || taking.refusals.names.contains(named) {
            names.push(named.into());
        } else {
            let holders = of.known.by_alias(named).iter();
            names.extend(holders.map(|name| name.as_str().into()));
            // Hostnames know no case.
            let keys = name::removed(of.url, named);
            let spelled = keys.iter().map(|key| Box::from(name::of(key)));
            names.extend(spelled.filter(|name| of.known.contains(name)));
            of.refused.remove(named);
        }
        let mut left = false;
        for name in names {
            let brought = of.known.response(&name) == Some(taking.number);
            if brought || taking.refusals.names.contains(&name) {
                left = true;
                continue;
            }
            of.refused.remove(&name);
            if let Some(Removed { key, aliases }) = of.known.remove(&name) {
                delta.removals.push(key);
                if asked {
                    answers.push((name, Outcome::Absent));
                    let aliases = aliases.into_iter();
                    answers.extend(aliases.map(|alias| (alias, Outcome::Absent)));
                }
            }
        }
        if asked && !left {
            answers.push((named.into(), Outcome::Absent));
        }
    }
}

impl Taking {
    /// Whether something of it was refused so far.
    pub(in crate::xds) fn is_refused(&self) -> bool {
        self.kind.is_none() || !self.refusals.is_empty()
    }

    /// The names that were refused so far.
    pub(in crate::xds) fn refused(&self) -> &HashSet<Box<str>> {
        &self.refusals.names
    }
}
