//! Who we say we are: the head of a CONNECT request that we send, and the baggage of our answers.
//!
//! In: a workload, the client's address, the service that it called. Out: a request head.
//! Never: something that a peer is asked to believe: it believes certificates and the tunnel's TCP address.

use std::{net::SocketAddr, sync::Arc};

use arc_swap::ArcSwapOption;
use http::{HeaderValue, Request};
use mesh::{Service, Workload, workload::WorkloadType};
use wire::{
    authority::{Authority, DnsName},
    baggage::{Baggage, WorkloadKind, WorkloadName},
    connect,
    forwarded::Forwarded,
    traceparent::Traceparent,
};

/// The encoded baggage of a pod's workload, made anew when the workload changes.
#[derive(Debug, Default)]
pub struct OwnBaggage(ArcSwapOption<(Arc<Workload>, Option<HeaderValue>)>);

impl OwnBaggage {
    /// The header's value.
    #[must_use]
    pub fn of(&self, workload: &Arc<Workload>) -> Option<HeaderValue> {
        if let Some(cached) = &*self.0.load()
            && Arc::ptr_eq(&cached.0, workload)
        {
            return cached.1.clone();
        }
        let value = baggage(workload).header_value();
        self.0
            .store(Some(Arc::new((Arc::clone(workload), value.clone()))));
        value
    }
}

fn baggage(workload: &Workload) -> Baggage {
    let kind = match workload.workload_type {
        WorkloadType::Deployment => WorkloadKind::Deployment,
        WorkloadType::CronJob => WorkloadKind::CronJob,
        WorkloadType::Pod => WorkloadKind::Pod,
        WorkloadType::Job => WorkloadKind::Job,
    };
    let name = if workload.workload_name.is_empty() {
        &workload.name
    } else {
        &workload.workload_name
    };
    Baggage {
        cluster: workload.cluster.to_string(),
        namespace: workload.namespace.to_string(),
        workload: (!name.is_empty()).then(|| WorkloadName {
            kind,
            name: name.to_string(),
        }),
        service: workload.canonical_name.to_string(),
        version: workload.canonical_revision.to_string(),
        region: workload.locality.region.to_string(),
        zone: workload.locality.zone.to_string(),
    }
}

/// The head of a request for `authority`.
pub(crate) fn request(
    authority: SocketAddr,
    baggage: Option<&HeaderValue>,
    client: SocketAddr,
    service: Option<&Service>,
) -> Request<()> {
    let host = service.and_then(|service| service.hostname.parse::<DnsName>().ok());
    let trace = Traceparent::root(fastrand::u128(..), fastrand::u64(..), 0);
    let forwarded = Forwarded {
        source: client,
        host,
    };
    connect::request(
        &Authority::Address(authority),
        baggage,
        Some(&forwarded),
        Some(trace),
    )
}
