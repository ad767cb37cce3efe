//! What tests of this module share: resources, responses, tokens.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use http::HeaderMap;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use prost::Message as _;
use wire::proto::{
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Status},
    security::Authorization,
    workload::{self, NetworkAddress, PortList},
};

use super::{
    gate::{Door, Unknown},
    message::Message,
};
use crate::{
    metrics::Metrics,
    output::{Output, Resource},
    token::Caller,
};

pub(crate) fn workload(uid: &str, ip: [u8; 4], node: &str, services: &[&str]) -> Resource {
    Resource::Workload(workload::Workload {
        uid: uid.to_owned(),
        addresses: vec![ip.to_vec().into()],
        node: node.to_owned(),
        services: services
            .iter()
            .map(|service| ((*service).to_owned(), PortList::default()))
            .collect(),
        ..workload::Workload::default()
    })
}

pub(crate) fn service(
    namespace: &str,
    hostname: &str,
    vip: [u8; 4],
    length: Option<u32>,
) -> Resource {
    Resource::Service(workload::Service {
        namespace: namespace.to_owned(),
        hostname: hostname.to_owned(),
        addresses: vec![NetworkAddress {
            network: String::new(),
            address: vip.to_vec().into(),
            length,
        }],
        ..workload::Service::default()
    })
}

pub(crate) fn policy(namespace: &str, name: &str, action: i32) -> Resource {
    Resource::Authorization(Authorization {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        action,
        ..Authorization::default()
    })
}

pub(crate) fn puts(resources: impl IntoIterator<Item = Resource>) -> Output {
    Output {
        puts: resources.into_iter().collect(),
        ..Output::default()
    }
}

/// A whole response, as a client reads it.
pub(super) fn read(mut message: Message) -> DeltaDiscoveryResponse {
    let mut bytes = Vec::new();
    while let Some(piece) = message.piece() {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes[0], 0, "not compressed");
    let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
    assert_eq!(length, bytes.len() - 5, "the length is announced");
    DeltaDiscoveryResponse::decode(&bytes[5..]).unwrap()
}

/// The names of what a response brings and takes, sorted.
pub(crate) fn names(response: &DeltaDiscoveryResponse) -> (Vec<&str>, Vec<&str>) {
    let mut came: Vec<_> = response.resources.iter().map(|one| &*one.name).collect();
    let mut went: Vec<_> = response
        .removed_resources
        .iter()
        .map(|one| &**one)
        .collect();
    came.sort_unstable();
    went.sort_unstable();
    (came, went)
}

pub(crate) fn subscribe(url: &str, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: url.to_owned(),
        resource_names_subscribe: names.iter().map(ToString::to_string).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

/// How a client on demand begins.
pub(crate) fn on_demand(url: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        resource_names_unsubscribe: vec!["*".to_owned()],
        ..subscribe(url, &["*"])
    }
}

/// How a client begins that was here before.
pub(crate) fn back(url: &str, versions: BTreeMap<String, String>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        initial_resource_versions: versions,
        ..subscribe(url, &[])
    }
}

pub(crate) fn ack(response: &DeltaDiscoveryResponse) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        ..DeltaDiscoveryRequest::default()
    }
}

pub(crate) fn nack(response: &DeltaDiscoveryResponse, reason: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        error_detail: Some(Status {
            code: 3,
            message: reason.to_owned(),
        }),
        ..ack(response)
    }
}

pub(crate) fn versions(response: &DeltaDiscoveryResponse) -> BTreeMap<String, String> {
    let pairs = response.resources.iter();
    pairs
        .map(|one| (one.name.clone(), one.version.clone()))
        .collect()
}

pub(crate) fn metrics() -> Metrics {
    Metrics::new(&mut Registry::default())
}

/// Lets in whoever is on its list.
#[derive(Default)]
pub(crate) struct List(Mutex<HashMap<String, (Caller, bool)>>);

impl List {
    pub(crate) fn add(&self, token: &str, caller: Caller, trusted: bool) {
        self.0
            .lock()
            .insert(format!("Bearer {token}"), (caller, trusted));
    }

    pub(crate) fn revoke(&self, token: &str) {
        self.0.lock().remove(&format!("Bearer {token}"));
    }
}

impl Door for List {
    fn admit(&self, headers: &HeaderMap) -> Result<(Caller, bool), Unknown> {
        let token = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let known = self.0.lock().get(token).cloned();
        known.ok_or_else(|| Unknown("not on the list".to_owned()))
    }
}

/// A node proxy's account.
pub(crate) fn ztunnel(node: Option<&str>) -> Caller {
    caller("istio-system", "ztunnel", node)
}

pub(crate) fn caller(namespace: &str, account: &str, node: Option<&str>) -> Caller {
    Caller {
        namespace: namespace.into(),
        service_account: account.into(),
        node: node.map(Arc::from),
        expires: None,
    }
}
