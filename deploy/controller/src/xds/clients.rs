//! Who is connected and what they have, as `/debug/syncz` shows it.
//!
//! In: what each stream's task reports. Out: JSON. Never: anything that a decision is made by.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::subscription::Settled;
use crate::{output::ResourceType, publish::Snapshot, token::Caller, words::printable};

/// Streams at a time, over all clients: many times the nodes of a large cluster.
const MAX_STREAMS: usize = 10_000;
/// Of these, for clients that are no trusted nodes: waypoints are few, and a node must find a place whatever they do.
const MAX_STREAMS_UNTRUSTED: usize = 2_000;
/// Of one account on one node: one, twice as many while its connection is recycled or its proxy replaced.
const MAX_STREAMS_PER_CALLER: usize = 8;
/// Of one account whose token names no node, and is shared by all replicas of a waypoint.
const MAX_STREAMS_WITHOUT_NODE: usize = 64;
/// How much of what a client says is kept.
const MAX_TEXT: usize = 1_024;
const MAX_NODE: usize = 256;

/// All open streams.
#[derive(Debug, Default)]
pub struct Clients {
    next: AtomicU64,
    streams: Mutex<Streams>,
}

#[derive(Debug, Default)]
struct Streams {
    reports: HashMap<u64, Arc<Mutex<Report>>>,
    /// How many each caller has. Never 0.
    callers: HashMap<Holder, usize>,
    untrusted: usize,
}

/// Who holds places: what a token says, and nothing that a client can choose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Holder {
    namespace: Arc<str>,
    service_account: Arc<str>,
    node: Option<Arc<str>>,
    trusted: bool,
}

impl Holder {
    /// How many streams it may have.
    fn limit(&self) -> usize {
        match (&self.node, self.trusted) {
            (Some(_), _) => MAX_STREAMS_PER_CALLER,
            (None, false) => MAX_STREAMS_WITHOUT_NODE,
            // All nodes at once.
            (None, true) => MAX_STREAMS,
        }
    }
}

/// Why there is no place. For the log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    /// For anybody, or for anybody who is no trusted node.
    #[error("{open} streams are open")]
    All {
        /// How many there are.
        open: usize,
    },
    /// For this caller.
    #[error("{identity} has {open} streams already")]
    Caller {
        /// Its namespace and account.
        identity: String,
        /// How many there are.
        open: usize,
    },
}

impl Streams {
    /// Whether there is a place for one more.
    fn place(&self, holder: &Holder) -> Result<(), Full> {
        let open = self.reports.len();
        if open >= MAX_STREAMS || !holder.trusted && self.untrusted >= MAX_STREAMS_UNTRUSTED {
            return Err(Full::All { open });
        }
        let open = self.callers.get(holder).copied().unwrap_or_default();
        if open >= holder.limit() {
            let identity = format!("{}/{}", holder.namespace, holder.service_account);
            let identity = printable(&identity, MAX_TEXT);
            return Err(Full::Caller { identity, open });
        }
        Ok(())
    }
}

/// What is known of one type of one stream.
#[derive(Clone, Debug, Default)]
struct TypeReport {
    wildcard: bool,
    names: usize,
    /// The generation that was sent last.
    sent_generation: u64,
    sent: String,
    sent_at: Option<SystemTime>,
    acked_generation: u64,
    acked: String,
    acked_at: Option<SystemTime>,
    /// Whether the last answer was a refusal.
    refused: bool,
    pushes: u64,
    resources: u64,
    rejects: u64,
    last_reject: Option<(String, SystemTime)>,
}

#[derive(Debug)]
struct Report {
    node_id: String,
    version: String,
    peer: SocketAddr,
    caller: Caller,
    since: SystemTime,
    types: BTreeMap<ResourceType, TypeReport>,
}

/// One stream's entry. It goes when this goes.
#[derive(Debug)]
pub(super) struct Client {
    id: u64,
    holder: Holder,
    clients: Arc<Clients>,
    report: Arc<Mutex<Report>>,
}

impl Clients {
    /// A new entry.
    ///
    /// # Errors
    /// If there are too many.
    pub(super) fn enter(
        self: &Arc<Self>,
        peer: SocketAddr,
        caller: &Caller,
        trusted: bool,
        since: SystemTime,
    ) -> Result<Client, Full> {
        let holder = Holder {
            namespace: Arc::clone(&caller.namespace),
            service_account: Arc::clone(&caller.service_account),
            node: caller.node.clone(),
            trusted,
        };
        let report = Arc::new(Mutex::new(Report {
            node_id: String::new(),
            version: String::new(),
            peer,
            caller: caller.clone(),
            since,
            types: BTreeMap::new(),
        }));
        let mut streams = self.streams.lock();
        streams.place(&holder)?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        streams.reports.insert(id, Arc::clone(&report));
        *streams.callers.entry(holder.clone()).or_default() += 1;
        streams.untrusted += usize::from(!trusted);
        drop(streams);
        Ok(Client {
            id,
            holder,
            clients: Arc::clone(self),
            report,
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.streams.lock().reports.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A list of objects, each with `proxy` and, by type, what was sent and acknowledged. **Shape**: as Istio's
    /// `/debug/syncz`. A type is `SYNCED` if everything of it up to `newest` has been
    /// acknowledged, `ERROR` if the last response was refused.
    #[must_use]
    pub fn json(&self, newest: &Snapshot) -> Value {
        let streams: Vec<_> = self
            .streams
            .lock()
            .reports
            .values()
            .map(Arc::clone)
            .collect();
        let mut list: Vec<_> = streams
            .into_iter()
            .map(|report| {
                let report = report.lock();
                (proxy(&report.node_id), report.peer, entry(&report, newest))
            })
            .collect();
        list.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        Value::Array(list.into_iter().map(|(_, _, entry)| entry).collect())
    }
}

/// `<pod>.<namespace>` of a node id, as Istio shows it. Source: wire.md B.3.
fn proxy(node_id: &str) -> String {
    node_id.split('~').nth(2).unwrap_or(node_id).to_owned()
}

fn rfc3339(time: SystemTime) -> Option<String> {
    jiff::Timestamp::try_from(time)
        .ok()
        .map(|time| time.to_string())
}

fn entry(report: &Report, newest: &Snapshot) -> Value {
    let Caller {
        namespace,
        service_account,
        node,
        ..
    } = &report.caller;
    let types: serde_json::Map<_, _> = report
        .types
        .iter()
        .map(|(of, report)| (short(*of).to_owned(), of_type(report, newest)))
        .collect();
    json!({
        "proxy": proxy(&report.node_id),
        "proxy_type": report.node_id.split('~').next().unwrap_or_default(),
        "node_id": report.node_id,
        "istio_version": report.version,
        "peer": report.peer.to_string(),
        "identity": format!("{namespace}/{service_account}"),
        "node": node,
        "connected_at": rfc3339(report.since),
        "resources": types,
    })
}

fn of_type(report: &TypeReport, newest: &Snapshot) -> Value {
    // What is published and changes nothing for this client moves both generations.
    let status = if report.sent_generation == 0 {
        "NOT SENT"
    } else if report.refused {
        "ERROR"
    } else if report.acked_generation >= newest.generation() {
        "SYNCED"
    } else {
        "STALE"
    };
    let reject = report
        .last_reject
        .as_ref()
        .map(|(text, at)| json!({ "error": text, "at": rfc3339(*at) }));
    json!({
        "status": status,
        "subscription": if report.wildcard { "wildcard" } else { "on-demand" },
        "names": report.names,
        "sent": report.sent,
        "sent_generation": report.sent_generation,
        "sent_at": report.sent_at.and_then(rfc3339),
        "acked": report.acked,
        "acked_generation": report.acked_generation,
        "acked_at": report.acked_at.and_then(rfc3339),
        "pushes": report.pushes,
        "resources_sent": report.resources,
        "rejects": report.rejects,
        "last_reject": reject,
    })
}

/// A type's short name, as metrics and debug pages show it.
pub(super) fn short(of: ResourceType) -> &'static str {
    match of {
        ResourceType::Address => "istio.workload.Address",
        ResourceType::Authorization => "istio.security.Authorization",
        ResourceType::RouteTable => "ambit.waypoint.v1.RouteTable",
        ResourceType::BackendPolicy => "ambit.waypoint.v1.BackendPolicy",
        ResourceType::Settings => "ambit.waypoint.v1.Settings",
    }
}

impl Client {
    fn with(&self, of: ResourceType, change: impl FnOnce(&mut TypeReport)) {
        change(self.report.lock().types.entry(of).or_default());
    }

    /// The client says who it is. For people only.
    pub(super) fn node(&self, id: &str, version: &str) {
        let mut report = self.report.lock();
        report.node_id = printable(id, MAX_NODE);
        report.version = printable(version, MAX_NODE);
    }

    /// Its node id, for the log.
    pub(super) fn node_id(&self) -> String {
        self.report.lock().node_id.clone()
    }

    pub(super) fn subscribed(&self, of: ResourceType, wildcard: bool, names: usize) {
        self.with(of, |report| {
            report.wildcard = wildcard;
            report.names = names;
        });
    }

    pub(super) fn sent(
        &self,
        of: ResourceType,
        nonce: &str,
        generation: u64,
        resources: usize,
        at: SystemTime,
    ) {
        self.with(of, |report| {
            nonce.clone_into(&mut report.sent);
            report.sent_generation = generation;
            report.sent_at = Some(at);
            report.pushes += 1;
            report.resources += resources as u64;
        });
    }

    pub(super) fn settled(&self, of: ResourceType, settled: &Settled, at: SystemTime) {
        self.with(of, |report| {
            report.refused = settled.refused.is_some();
            match &settled.refused {
                Some(reason) => {
                    report.rejects += 1;
                    report.last_reject = Some((printable(reason, MAX_TEXT), at));
                }
                None => {
                    settled.nonce.clone_into(&mut report.acked);
                    report.acked_generation = report.sent_generation;
                    report.acked_at = Some(at);
                }
            }
        });
    }

    /// The client has looked at everything up to `generation`, and nothing was to be sent.
    pub(super) fn idle(&self, of: ResourceType, generation: u64) {
        self.with(of, |report| {
            if report.sent_generation > 0 {
                report.sent_generation = generation;
                if !report.refused {
                    report.acked_generation = generation;
                }
            }
        });
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut streams = self.clients.streams.lock();
        streams.reports.remove(&self.id);
        streams.untrusted -= usize::from(!self.holder.trusted);
        let left = streams.callers.get(&self.holder).map_or(0, |open| open - 1);
        if left == 0 {
            streams.callers.remove(&self.holder);
        } else {
            streams.callers.insert(self.holder.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests;
