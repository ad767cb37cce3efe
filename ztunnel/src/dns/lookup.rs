//! The addresses of names that workloads have in the place of addresses.
//!
//! In: a name. Out: the addresses that the upstream servers give it, kept as long as they say.
//! Never: asks twice at once for the same, keeps a failure, shares answers between pods. The queries of a pod leave from
//! its own namespace, where it could answer them itself: what it hears there is for nobody else to believe.
//!
//! Tasks: none. A query is driven by those who wait for it, and ends with the last of them.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use decision::outbound::Family;
use futures_util::{
    future::{BoxFuture, Either, FutureExt as _, Shared, WeakShared, select},
    pin_mut,
};
use hickory_proto::{
    op::{Edns, Message, Query, ResponseCode},
    rr::{Name, RecordType},
};
use mesh::Hostname;
use parking_lot::Mutex;

use super::{
    forward::{ForwardError, Transport, Upstream},
    found::{Useless, found},
    message::{Request, parse},
};

/// Names that are remembered for one pod, each family for itself; the first to expire makes room.
const MAX_NAMES: usize = 1024;
/// Names that are being resolved for one pod at once. Each holds a socket.
const MAX_LOOKUPS: usize = 128;
/// The longest answer that is asked for over UDP: it fits one packet everywhere. Source: DNS flag day 2020.
const MAX_ANSWER_BYTES: u16 = 1232;

/// Why a name has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LookupError {
    /// It is too long, or has empty labels.
    #[error("dns lookup: expected a domain name, found {hostname:?}")]
    NotAName {
        /// What was to be resolved.
        hostname: Hostname,
    },
    /// No server answered.
    #[error("dns lookup of {hostname}: {error}")]
    Unanswered {
        /// What was to be resolved.
        hostname: Hostname,
        /// Why.
        error: Arc<ForwardError>,
    },
    /// A server answered that it could not or would not.
    #[error("dns lookup of {hostname}: the server failed: {code}")]
    Failed {
        /// What was to be resolved.
        hostname: Hostname,
        /// What it said.
        code: ResponseCode,
    },
    /// An answer cannot be read.
    #[error("dns lookup of {hostname}: the answer cannot be read")]
    Malformed {
        /// What was to be resolved.
        hostname: Hostname,
    },
    /// The bound of names at once.
    #[error("dns lookup of {hostname}: {MAX_LOOKUPS} names are being resolved already")]
    TooMany {
        /// What was to be resolved.
        hostname: Hostname,
    },
}

/// The addresses of a name, of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// None where the name has none, or does not exist.
    pub ips: Arc<[IpAddr]>,
    /// Until when that holds.
    pub until: Instant,
}

type Key = (Hostname, Family);
type Answer = Result<Addresses, LookupError>;
type Asked = Shared<BoxFuture<'static, Answer>>;

enum Entry {
    Asked(WeakShared<BoxFuture<'static, Answer>>),
    Known(Addresses),
}

/// The resolver of one pod.
pub struct Resolver {
    upstream: Upstream,
    ipv6: bool,
    entries: Arc<Mutex<HashMap<Key, Entry>>>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("upstream", &self.upstream)
            .field("ipv6", &self.ipv6)
            .finish_non_exhaustive()
    }
}

/// What is to be waited for.
enum Step {
    Nothing(Addresses),
    Answer(Asked),
}

impl Resolver {
    /// Knows nothing yet. Without `ipv6` no name has an IPv6 address.
    #[must_use]
    pub fn new(upstream: Upstream, ipv6: bool) -> Self {
        Self {
            upstream,
            ipv6,
            entries: Arc::default(),
        }
    }

    /// The addresses of a name, of the first family that it has any of. All families are asked for at once.
    ///
    /// # Errors
    /// When there is none, and that it has none is not certain.
    pub async fn resolve(
        &self,
        hostname: &Hostname,
        families: impl Iterator<Item = Family>,
    ) -> Result<Arc<[IpAddr]>, LookupError> {
        let mut families = families.filter(|family| self.ipv6 || *family == Family::Ipv4);
        let Some(first) = families.next() else {
            return Ok(Arc::default());
        };
        let Some(second) = families.next() else {
            return Ok(self.ask(hostname, first).await?.ips);
        };
        let (first, second) = (self.ask(hostname, first), self.ask(hostname, second));
        pin_mut!(first, second);
        // The first is polled first: where it is known, the second is not even asked for.
        let (first, second) = match select(first, second).await {
            Either::Left((Ok(first), _)) if !first.ips.is_empty() => return Ok(first.ips),
            Either::Left((first, second)) => (first, second.await),
            Either::Right((second, first)) => (first.await, second),
        };
        match (first, second) {
            (Ok(first), _) if !first.ips.is_empty() => Ok(first.ips),
            (_, Ok(second)) if !second.ips.is_empty() => Ok(second.ips),
            (Ok(none), Ok(_)) => Ok(none.ips),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// The addresses of a name of one family.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn ask(&self, hostname: &Hostname, family: Family) -> Answer {
        match self.begin(hostname, family)? {
            Step::Nothing(addresses) => Ok(addresses),
            Step::Answer(asked) => asked.await,
        }
    }

    fn begin(&self, hostname: &Hostname, family: Family) -> Result<Step, LookupError> {
        let now = net::clock::now();
        let key = (hostname.clone(), family);
        let mut entries = self.entries.lock();
        match entries.get(&key) {
            Some(Entry::Known(addresses)) if now < addresses.until => {
                return Ok(Step::Nothing(addresses.clone()));
            }
            Some(Entry::Asked(asked)) => {
                if let Some(asked) = asked.upgrade() {
                    return Ok(Step::Answer(asked));
                }
            }
            Some(Entry::Known(_)) | None => {}
        }
        make_room(&mut entries, now).map_err(|_full| LookupError::TooMany {
            hostname: hostname.clone(),
        })?;
        let asked = ask(
            self.upstream.clone(),
            key.clone(),
            Arc::downgrade(&self.entries),
        )
        .boxed()
        .shared();
        if let Some(weak) = asked.downgrade() {
            entries.insert(key, Entry::Asked(weak));
        }
        Ok(Step::Answer(asked))
    }
}

/// All places are taken by names that are being resolved.
struct Full;

/// Makes room for one more.
fn make_room(entries: &mut HashMap<Key, Entry>, now: Instant) -> Result<(), Full> {
    let is_asked = |entry: &Entry| match entry {
        Entry::Asked(asked) => asked.upgrade().is_some(),
        Entry::Known(_) => false,
    };
    if entries.values().filter(|entry| is_asked(entry)).count() >= MAX_LOOKUPS {
        return Err(Full);
    }
    if entries.len() < MAX_NAMES {
        return Ok(());
    }
    entries.retain(|_, entry| match entry {
        Entry::Asked(asked) => asked.upgrade().is_some(),
        Entry::Known(addresses) => now < addresses.until,
    });
    while entries.len() >= MAX_NAMES {
        let next = entries
            .iter()
            .filter_map(|(key, entry)| match entry {
                Entry::Asked(_) => None,
                Entry::Known(addresses) => Some((addresses.until, key)),
            })
            .min_by_key(|(until, _)| *until)
            .map(|(_, key)| key.clone());
        entries.remove(&next.ok_or(Full)?);
    }
    Ok(())
}

/// Asks, and remembers the answer.
async fn ask(
    upstream: Upstream,
    key: Key,
    entries: std::sync::Weak<Mutex<HashMap<Key, Entry>>>,
) -> Answer {
    let (hostname, family) = &key;
    let start = net::clock::now();
    let answer = query(&upstream, hostname, *family).await;
    let now = net::clock::now();
    let answer = answer.map(|(ips, ttl)| Addresses {
        ips: ips.into(),
        // Counted from before the question: nobody keeps it longer than its zone allows.
        until: start + ttl,
    });
    tracing::debug!(target: "dns", name = %hostname, ?family, ?answer, "resolved");
    if let Some(entries) = entries.upgrade() {
        let mut entries = entries.lock();
        match &answer {
            Ok(addresses) if now < addresses.until => {
                entries.insert(key, Entry::Known(addresses.clone()));
            }
            Ok(_) | Err(_) => drop(entries.remove(&key)),
        }
    }
    answer
}

async fn query(
    upstream: &Upstream,
    hostname: &Hostname,
    family: Family,
) -> Result<(Vec<IpAddr>, Duration), LookupError> {
    let (request, bytes) = question(hostname, family).ok_or_else(|| LookupError::NotAName {
        hostname: hostname.clone(),
    })?;
    let mut transport = Transport::Udp;
    loop {
        let answer = upstream
            .forward(&request, &bytes, transport)
            .await
            .map_err(|error| LookupError::Unanswered {
                hostname: hostname.clone(),
                error: Arc::new(error),
            })?;
        let hostname = hostname.clone();
        match (found(&answer, request.question(), family), transport) {
            (Ok(found), _) => return Ok((found.addresses, found.ttl)),
            (Err(Useless::Truncated), Transport::Udp) => transport = Transport::Tcp,
            (Err(Useless::Truncated | Useless::Malformed), _) => {
                return Err(LookupError::Malformed { hostname });
            }
            (Err(Useless::Failed(code)), _) => return Err(LookupError::Failed { hostname, code }),
        }
    }
}

/// The question for a name, which is absolute: no search list applies to it.
fn question(hostname: &Hostname, family: Family) -> Option<(Request, Vec<u8>)> {
    let mut name = Name::from_ascii(hostname.as_str()).ok()?;
    // The root is no host.
    name.iter().next()?;
    name.set_fqdn(true);
    let kind = match family {
        Family::Ipv4 => RecordType::A,
        Family::Ipv6 => RecordType::AAAA,
    };
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    let mut edns = Edns::new();
    edns.set_max_payload(MAX_ANSWER_BYTES);
    edns.set_version(0);
    message.set_edns(edns);
    let bytes = message.to_vec().ok()?;
    let request = parse(&bytes).ok()?;
    Some((request, bytes))
}

#[cfg(test)]
mod tests;
