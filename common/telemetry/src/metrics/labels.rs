//! The labels of L4 metrics, in the order and wording of Istio's node proxy.
//!
//! Two departures: a connection that is passed on because nobody of the mesh was dialled carries
//! `destination_service_name="PassthroughCluster"`, the name that sidecars use and dashboards ask for. And where a waypoint has said for whom
//! it comes, there is `client_principal` beside its own `source_principal`; elsewhere the label is absent.

use std::fmt::{self, Display, Write as _};

use mesh::{ClusterId, Hostname, Name, Namespace, SpiffeId, Workload};
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};

use super::facts::{Parties, RequestProtocol};
use crate::event::{Direction, Flag, Security};

/// What stands where nothing is known.
pub(crate) const UNKNOWN: &str = "unknown";
/// The service name of connections to nobody of the mesh.
pub(crate) const PASSTHROUGH: &str = "PassthroughCluster";

/// All of a label set but what belongs to a counter: how the connection or request ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Labels {
    pub(crate) direction: Direction,
    pub(crate) security: Security,
    pub(crate) protocol: RequestProtocol,
    pub(crate) source: Option<Peer>,
    pub(crate) source_principal: Option<SpiffeId>,
    /// For whom the source says that it comes. Boxed, as it is rarely there.
    client_principal: Option<Box<SpiffeId>>,
    pub(crate) destination: Option<Peer>,
    pub(crate) destination_principal: Option<SpiffeId>,
    service: ServiceLabels,
}

/// What labels say about a workload. All pods of one owner share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    pub(crate) workload: Name,
    pub(crate) canonical_service: Name,
    pub(crate) canonical_revision: Name,
    pub(crate) namespace: Namespace,
    pub(crate) cluster: ClusterId,
    region: Name,
    zone: Name,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ServiceLabels {
    Known {
        hostname: Hostname,
        namespace: Namespace,
        name: Name,
    },
    Passthrough,
    Unknown,
}

impl From<&Workload> for Peer {
    fn from(workload: &Workload) -> Self {
        Self {
            workload: workload.workload_name.clone(),
            canonical_service: workload.canonical_name.clone(),
            canonical_revision: workload.canonical_revision.clone(),
            namespace: workload.namespace.clone(),
            cluster: workload.cluster.clone(),
            region: workload.locality.region.clone(),
            zone: workload.locality.zone.clone(),
        }
    }
}

impl Labels {
    /// The labels of what is between these parties.
    pub(crate) fn of<'a>(parties: impl Into<Parties<'a>>) -> Self {
        let parties = parties.into();
        let service = match parties.service {
            Some(service) => ServiceLabels::Known {
                hostname: service.hostname.clone(),
                namespace: service.namespace.clone(),
                name: service.name.clone(),
            },
            None if parties.passthrough => ServiceLabels::Passthrough,
            None => ServiceLabels::Unknown,
        };
        Self {
            direction: parties.direction,
            security: parties.security,
            protocol: parties.protocol,
            source: parties.source.map(|workload| Peer::from(&**workload)),
            source_principal: parties.source_identity.cloned(),
            client_principal: parties.client_identity.cloned().map(Box::new),
            destination: parties.destination.map(|workload| Peer::from(&**workload)),
            destination_principal: parties.destination_identity.cloned(),
            service,
        }
    }

    /// The labels under which all is counted that finds no room, once there are too many label sets.
    pub(crate) fn overflow(
        direction: Direction,
        security: Security,
        protocol: RequestProtocol,
    ) -> Self {
        Self {
            direction,
            security,
            protocol,
            source: None,
            source_principal: None,
            client_principal: None,
            destination: None,
            destination_principal: None,
            service: ServiceLabels::Unknown,
        }
    }

    /// The hostname, namespace and name of the service; empty for what is not known.
    pub(crate) fn service(&self) -> [&str; 3] {
        match &self.service {
            ServiceLabels::Known {
                hostname,
                namespace,
                name,
            } => [hostname, namespace, name],
            ServiceLabels::Passthrough => ["", "", PASSTHROUGH],
            ServiceLabels::Unknown => ["", "", ""],
        }
    }

    /// The complete label set of a counter.
    pub(crate) fn with(&self, flag: Flag) -> Flagged<'_> {
        Flagged { labels: self, flag }
    }
}

/// The labels of a name that was resolved for a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Resolved {
    source: Option<Peer>,
    source_principal: Option<SpiffeId>,
    hostname: Hostname,
}

impl Resolved {
    /// The labels of a name and of whom it was resolved for.
    pub(crate) fn of(source: &Workload, hostname: &Hostname) -> Self {
        Self {
            // Where it stands is no label here, and must make no difference.
            source: Some(Peer {
                region: Name::default(),
                zone: Name::default(),
                ..Peer::from(source)
            }),
            source_principal: Some(source.identity()),
            hostname: hostname.clone(),
        }
    }

    /// The labels under which names are counted once there are too many label sets.
    pub(crate) fn overflow() -> Self {
        Self {
            source: None,
            source_principal: None,
            hostname: Hostname::default(),
        }
    }
}

impl EncodeLabelSet for Resolved {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let mut out = Writer { encoder };
        out.source(self.source.as_ref(), self.source_principal.as_ref())?;
        out.text("hostname", &self.hostname)
    }
}

/// A complete label set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flagged<'a> {
    labels: &'a Labels,
    flag: Flag,
}

impl EncodeLabelSet for Flagged<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Labels {
            direction,
            security,
            protocol,
            source,
            source_principal,
            client_principal,
            destination,
            destination_principal,
            service: _,
        } = self.labels;
        let (source, destination) = (source.as_ref(), destination.as_ref());
        let mut out = Writer { encoder };
        out.text("reporter", direction.reporter())?;
        out.source(source, source_principal.as_ref())?;
        if let Some(client) = client_principal {
            out.value("client_principal", client)?;
        }
        let [hostname, namespace, name] = self.labels.service();
        out.text("destination_service", hostname)?;
        out.text("destination_service_namespace", namespace)?;
        out.text("destination_service_name", name)?;
        out.of(destination, "destination_workload", |peer| &peer.workload)?;
        out.of(destination, "destination_canonical_service", |peer| {
            &peer.canonical_service
        })?;
        out.of(destination, "destination_canonical_revision", |peer| {
            &peer.canonical_revision
        })?;
        out.of(destination, "destination_workload_namespace", |peer| {
            &peer.namespace
        })?;
        out.principal("destination_principal", destination_principal.as_ref())?;
        out.of(destination, "destination_app", |peer| {
            &peer.canonical_service
        })?;
        out.of(destination, "destination_version", |peer| {
            &peer.canonical_revision
        })?;
        out.of(destination, "destination_cluster", |peer| &peer.cluster)?;
        out.text("request_protocol", protocol.as_str())?;
        out.text("response_flags", self.flag.as_str())?;
        out.text("connection_security_policy", security.as_str())?;
        let located = |peer: &Peer| !peer.region.is_empty() || !peer.zone.is_empty();
        if source.is_some_and(located) || destination.is_some_and(located) {
            out.of(source, "source_region", |peer| &peer.region)?;
            out.of(source, "source_zone", |peer| &peer.zone)?;
            out.of(destination, "destination_region", |peer| &peer.region)?;
            out.of(destination, "destination_zone", |peer| &peer.zone)?;
        }
        Ok(())
    }
}

/// Writes labels one after the other.
pub(crate) struct Writer<'a, 'b> {
    pub(crate) encoder: &'a mut LabelSetEncoder<'b>,
}

impl Writer<'_, '_> {
    /// Writes what `pick` finds in a peer.
    pub(crate) fn of<'p>(
        &mut self,
        peer: Option<&'p Peer>,
        key: &str,
        pick: impl FnOnce(&'p Peer) -> &'p str,
    ) -> fmt::Result {
        self.text(key, peer.map_or("", pick))
    }

    pub(crate) fn source(
        &mut self,
        source: Option<&Peer>,
        principal: Option<&SpiffeId>,
    ) -> fmt::Result {
        self.of(source, "source_workload", |peer| &peer.workload)?;
        self.of(source, "source_canonical_service", |peer| {
            &peer.canonical_service
        })?;
        self.of(source, "source_canonical_revision", |peer| {
            &peer.canonical_revision
        })?;
        self.of(source, "source_workload_namespace", |peer| &peer.namespace)?;
        self.principal("source_principal", principal)?;
        self.of(source, "source_app", |peer| &peer.canonical_service)?;
        self.of(source, "source_version", |peer| &peer.canonical_revision)?;
        self.of(source, "source_cluster", |peer| &peer.cluster)
    }

    pub(crate) fn principal(&mut self, key: &str, identity: Option<&SpiffeId>) -> fmt::Result {
        match identity {
            Some(identity) => self.value(key, identity),
            None => self.value(key, &UNKNOWN),
        }
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) -> fmt::Result {
        self.value(key, if value.is_empty() { &UNKNOWN } else { &value })
    }

    pub(crate) fn value(&mut self, key: &str, value: &dyn Display) -> fmt::Result {
        let mut label = self.encoder.encode_label();
        let mut encoder = label.encode_label_key()?;
        encoder.write_str(key)?;
        let mut encoder = encoder.encode_label_value()?;
        write!(encoder, "{value}")?;
        encoder.finish()
    }
}

#[cfg(test)]
mod tests;
