//! What the metrics and the access log say of an inbound connection.
//!
//! In: what is known of it. Out: the event's facts. Never: something that a decision rests on.

use std::{net::SocketAddr, sync::Arc};

use decision::inbound::{Admitted, Refusal};
use mesh::{Service, Snapshot, SpiffeId, Workload, service::PortMap, workload::WorkloadType};
use telemetry::{Connection, HboneAddress, Security};
use wire::{
    authority::Authority,
    baggage::{Baggage, WorkloadKind},
    connect::ConnectHead,
};

use super::{Arrived, error::Error};

/// Of an admitted plaintext connection.
pub(super) fn of_plaintext(at: &Arrived, admitted: &Admitted) -> Connection {
    admitted_to(at, admitted)
}

/// Of a plaintext connection that was refused.
pub(super) fn of_refused_plaintext(at: &Arrived) -> Connection {
    refused_by(at)
}

/// Where an admitted connection came from, by its address, and where it goes.
fn admitted_to(at: &Arrived, admitted: &Admitted) -> Connection {
    let mut report = at.addresses.connection();
    let workload = admitted.workload();
    report.source = admitted.source().cloned();
    report.service = service_of(
        &at.proxy.view.borrow(),
        workload,
        admitted.destination().port(),
    );
    report.destination = Some(Arc::clone(workload));
    report
}

/// Where a refused connection came from, by its address, and to whom.
fn refused_by(at: &Arrived) -> Connection {
    let mut report = at.addresses.connection();
    report.source = by_address(at);
    report.destination = Some(Arc::clone(&at.workload));
    report
}

/// Of an admitted CONNECT.
pub(super) fn of_tunnel(at: &Arrived, admitted: &Admitted, head: &ConnectHead) -> Connection {
    let mut report = at.addresses.connection();
    let workload = admitted.workload();
    report.source = match from_gateway(at, head) {
        true => Some(Arc::new(described(&head.baggage, admitted.identity()))),
        false => admitted.source().cloned(),
    };
    let service = admitted.service().cloned();
    report.service = service.or_else(|| {
        service_of(
            &at.proxy.view.borrow(),
            workload,
            admitted.destination().port(),
        )
    });
    report.destination = Some(Arc::clone(workload));
    report.source_identity = admitted.identity().cloned();
    report.client_identity = admitted.behind().cloned().map(Box::new);
    secured(&mut report, workload, asked(head), Security::MutualTls);
    report
}

/// Of an admitted connection of a neighbour.
pub(super) fn of_joined(at: &Arrived, admitted: &Admitted, authority: SocketAddr) -> Connection {
    let mut report = admitted_to(at, admitted);
    let workload = admitted.workload();
    report.source_identity = admitted.identity().cloned();
    secured(&mut report, workload, authority.into(), Security::SameNode);
    report
}

/// Of a connection of a neighbour that was refused.
pub(super) fn of_refused_join(
    at: &Arrived,
    identity: &SpiffeId,
    authority: SocketAddr,
    error: &Error,
) -> Connection {
    let mut report = refused_by(at);
    report.source = report.source.filter(|peer| peer.identity() == *identity);
    refused_of(&mut report, identity, error);
    secured(
        &mut report,
        &at.workload,
        authority.into(),
        Security::SameNode,
    );
    report
}

/// Of a CONNECT that was refused.
pub(super) fn of_refused(
    at: &Arrived,
    identity: &SpiffeId,
    head: &ConnectHead,
    error: &Error,
) -> Connection {
    let mut report = at.addresses.connection();
    report.source = match from_gateway(at, head) {
        true => Some(Arc::new(described(&head.baggage, Some(identity)))),
        false => by_address(at).filter(|peer| peer.identity() == *identity),
    };
    report.destination = Some(Arc::clone(&at.workload));
    refused_of(&mut report, identity, error);
    secured(&mut report, &at.workload, asked(head), Security::MutualTls);
    report
}

fn refused_of(report: &mut Connection, identity: &SpiffeId, error: &Error) {
    report.source_identity = Some(identity.clone());
    if let Error::Refused(Refusal::Rejected { behind, .. }) = error {
        report.client_identity.clone_from(behind);
    }
}

fn secured(report: &mut Connection, workload: &Workload, asked: HboneAddress, security: Security) {
    report.hbone_addr = Some(asked);
    report.destination_identity = Some(workload.identity());
    report.security = security;
}

/// What a CONNECT asks for.
fn asked(head: &ConnectHead) -> HboneAddress {
    match &head.authority {
        Authority::Address(address) => (*address).into(),
        Authority::Hostname { hostname, port } => {
            HboneAddress::Hostname(hostname.as_str().into(), *port)
        }
    }
}

fn by_address(at: &Arrived) -> Option<Arc<Workload>> {
    let snapshot = at.proxy.view.borrow();
    snapshot
        .workload_by_address(&at.workload.network, at.addresses.peer.ip())
        .cloned()
}

/// Whether the connection comes through another network's gateway, whose address says nothing of the client.
fn from_gateway(at: &Arrived, head: &ConnectHead) -> bool {
    head.network
        .as_ref()
        .is_some_and(|network| !network.eq_ignore_ascii_case(&at.workload.network))
}

/// The client as the gateway describes it, for people to read.
fn described(baggage: &Baggage, identity: Option<&SpiffeId>) -> Workload {
    let (workload_type, workload_name) = baggage
        .workload
        .as_ref()
        .map_or((WorkloadType::Deployment, ""), |workload| {
            (kind(workload.kind), workload.name.as_str())
        });
    let mut described = Workload {
        name: workload_name.into(),
        namespace: baggage.namespace.as_str().into(),
        workload_name: workload_name.into(),
        workload_type,
        canonical_name: baggage.service.as_str().into(),
        canonical_revision: baggage.version.as_str().into(),
        cluster: baggage.cluster.as_str().into(),
        ..Workload::default()
    };
    described.locality.region = baggage.region.as_str().into();
    described.locality.zone = baggage.zone.as_str().into();
    if let Some(identity) = identity {
        described.trust_domain = identity.trust_domain.clone();
        described.service_account = identity.service_account.clone();
    }
    described
}

fn kind(kind: WorkloadKind) -> WorkloadType {
    match kind {
        WorkloadKind::Deployment => WorkloadType::Deployment,
        WorkloadKind::Pod => WorkloadType::Pod,
        WorkloadKind::Job => WorkloadType::Job,
        WorkloadKind::CronJob => WorkloadType::CronJob,
    }
}

/// The service that a connection to a pod's own address was probably meant for: the first by name of those that
/// lead to this port.
fn service_of(snapshot: &Snapshot, workload: &Workload, port: u16) -> Option<Arc<Service>> {
    let leads_here = |ports: &PortMap| {
        ports
            .0
            .keys()
            .any(|service_port| ports.target(*service_port) == Some(port))
    };
    let key = workload
        .services
        .iter()
        .filter(|(_, ports)| leads_here(ports))
        .map(|(key, _)| key)
        .min()?;
    snapshot.service(key).cloned()
}
