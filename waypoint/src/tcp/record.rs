//! What is told of one connection.
//!
//! In: facts, as they are found out. Out: the connection's metrics and its line in the access log, once each.

use std::{net::SocketAddr, sync::Arc};

use mesh::{Name, Service, Workload};
use telemetry::{
    Connection, Direction, OpenConnection, Outcome, Security,
    http::{Flags, Parties, Record, RequestProtocol, Times},
};

use super::{Cluster, Connected, Failure, Host, Session};
use crate::request::compiled;

/// The facts of one connection.
#[derive(Debug)]
pub(super) struct Book {
    times: Times,
    service: Option<Arc<Service>>,
    cluster: Option<Arc<str>>,
    route: Option<Name>,
    host: Option<Arc<Host>>,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    attempts: u32,
}

impl Book {
    pub(super) fn new(session: &Session) -> Self {
        Self {
            times: Times::new(net::clock::wall(), session.opened),
            service: session.target.service().cloned(),
            cluster: None,
            route: None,
            host: None,
            local: None,
            remote: None,
            attempts: 0,
        }
    }

    /// The route that it met.
    pub(super) fn routed(&mut self, name: &Name) {
        self.route = Some(name.clone()).filter(|name| !name.is_empty());
    }

    /// The backend that it goes to.
    pub(super) fn aimed(&mut self, cluster: &Cluster) {
        self.cluster = Some(Arc::clone(cluster.tcp_name()));
    }

    /// The backend that does not exist.
    pub(super) fn missing(&mut self, name: &Name) {
        self.cluster = Some(name.as_str().into());
    }

    /// An endpoint is connected to.
    pub(super) fn tried(&mut self, host: &Arc<Host>) {
        self.attempts += 1;
        self.host = Some(Arc::clone(host));
    }

    /// The endpoint is connected.
    pub(super) fn connected(&mut self, upstream: &Connected) {
        self.local = upstream.local();
        self.remote = Some(upstream.host().address());
    }

    fn workload(&self) -> Option<Arc<Workload>> {
        self.host.as_ref().map(|host| host.workload())
    }

    /// Counts it as open.
    pub(super) fn open(&mut self, session: &Session) -> OpenConnection {
        let destination = self.workload();
        let address = self.host.as_ref().map(|host| host.address());
        let address = address.or(session.destination).unwrap_or(session.client);
        let mut connection = Connection::between(Direction::Through, session.client, address);
        connection.hbone_addr = session.destination.map(Into::into);
        connection.source = session.source.clone();
        connection.destination_identity = destination.as_ref().map(|workload| workload.identity());
        connection.destination = destination;
        connection.service = self.service.clone();
        connection.source_identity = Some(session.identity().clone());
        connection.security = Security::MutualTls;
        let telemetry = &session.proxy.telemetry;
        telemetry.opened(connection, net::clock::now())
    }

    /// It failed before it was relayed.
    pub(super) fn failed(&mut self, session: &Session, failure: Failure) {
        let open = self.open(session);
        self.ended(session, open, Some(failure));
    }

    /// It has ended.
    pub(super) fn ended(
        &mut self,
        session: &Session,
        open: OpenConnection,
        failure: Option<Failure>,
    ) {
        self.times.ended = net::clock::now();
        let (received, sent) = (open.counters().received(), open.counters().sent());
        self.write(session, failure.as_ref(), received, sent);
        let outcome = match failure {
            None => Outcome::Complete,
            Some(failure) => Outcome::failed(failure.reason(), failure),
        };
        open.close(outcome, self.times.ended);
    }

    fn write(&self, session: &Session, failure: Option<&Failure>, received: u64, sent: u64) {
        let proxy = &session.proxy;
        let snapshot = proxy.view.borrow();
        let settings = snapshot.waypoint_settings(&proxy.own.namespace, &proxy.own.gateway);
        let Some(log) = settings.map(compiled::access_log).filter(|log| log.is_on()) else {
            return;
        };
        let destination = self.workload();
        let identity = destination.as_ref().map(|workload| workload.identity());
        let transport = failure.and_then(Failure::transport);
        let mut parties = Parties::unknown(RequestProtocol::Tcp, Security::MutualTls);
        parties.source = session.source.as_ref();
        parties.destination = destination.as_ref();
        parties.service = self.service.as_ref();
        parties.source_identity = Some(session.identity());
        parties.destination_identity = identity.as_ref();
        let mut record = Record::new(self.times, parties);
        record.flags = failure
            .and_then(Failure::flag)
            .map_or(Flags::NONE, Flags::from);
        let details = failure.and_then(Failure::details);
        record.termination_details = details.as_deref();
        record.transport_failure = transport.as_deref();
        record.bytes_received = received;
        record.bytes_sent = sent;
        record.attempts = self.attempts;
        record.upstream_host = self.host.as_ref().map(|host| host.address());
        record.upstream_local = self.local;
        record.upstream_remote = self.remote;
        record.cluster = self.cluster.as_deref();
        record.downstream_local = session.destination;
        let proxied = session.proxied.map(|proxied| proxied.source);
        record.downstream_remote = Some(proxied.unwrap_or(session.client));
        record.downstream_direct_remote = Some(session.client);
        record.server_name = session.sni.as_deref();
        record.route = self.route.as_deref();
        record.hostname = &proxy.own.pod_name;
        log.write(proxy.telemetry.logging(), &record);
    }
}
