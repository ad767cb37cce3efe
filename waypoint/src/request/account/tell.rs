//! How a request is told: its record, its metrics, its line.
//!
//! In: the facts. Out: one record, of which metrics and the access log are two readers. Never: tells anything twice.

use std::{cell::RefCell, sync::Arc};

use http::uri::PathAndQuery;
use mesh::Workload;
use telemetry::{
    Direction, Security,
    http::{
        Details, GrpcStatus, Headers, Parties, Record, RequestProtocol, RequestSeries,
        ResponseFlag, SeriesCache,
    },
};

use super::Account;
use crate::session::Told;

/// Parts of what a worker keeps of series. Reason: each part is searched from one end to the other, and a worker sees more
/// pairs of clients and endpoints than one part keeps.
const PARTS: usize = 64;

thread_local! {
    /// The series of this worker's requests. **Shape:** [`PARTS`], or none yet.
    static SERIES: RefCell<Vec<SeriesCache>> = const { RefCell::new(Vec::new()) };
}

impl Account {
    pub(super) fn give_up(&mut self) {
        match self.session.ending.now() {
            // It was us.
            Some(told @ Told::Unenforced) => self.details = Some(Details::from(told.details())),
            Some(Told::Unserved) | None => {
                self.flags
                    .insert(ResponseFlag::DownstreamConnectionTermination);
                self.details = Some(Details::DOWNSTREAM_REMOTE_DISCONNECT);
            }
        }
        self.tell();
    }

    /// Counts messages of gRPC while they go by: a call may last for days.
    pub(super) fn count_messages(&mut self, series: &RequestSeries) {
        if !self.is_grpc {
            return;
        }
        let received = self
            .upload
            .as_ref()
            .map_or(0, |upload| upload.received().messages);
        let sent = self.messages.map_or(0, |messages| messages.count());
        let [before_up, before_down] = std::mem::replace(&mut self.counted, [received, sent]);
        if received > before_up {
            series.add_request_messages(received - before_up);
        }
        if sent > before_down {
            series.add_response_messages(sent - before_down);
        }
    }

    pub(super) fn tell(&mut self) {
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        self.times.ended = net::clock::now();
        if self.is_grpc && self.grpc_status.is_none() && self.status.is_some() {
            // What ended without a status has none that anybody knows.
            self.grpc_status = Some(GrpcStatus::UNKNOWN);
        }
        let series = match self.series.take() {
            Some(series) => series,
            None => self.series(),
        };
        self.count_messages(&series);
        let record = self.record();
        series.ended(&record);
        if let Some(log) = &self.log {
            log.write(self.session.proxy.telemetry.logging(), &record);
        }
    }

    fn parties(&self) -> Parties<'_> {
        let session = &self.session;
        let upstream = self.upstream.as_ref();
        Parties {
            direction: Direction::Through,
            protocol: if self.is_grpc {
                RequestProtocol::Grpc
            } else {
                RequestProtocol::Http
            },
            security: Security::MutualTls,
            source: session.source.as_ref(),
            destination: upstream.map(|upstream| &upstream.workload),
            service: self.service.as_ref(),
            source_identity: Some(session.identity()),
            client_identity: None,
            destination_identity: upstream.and_then(|upstream| upstream.identity.as_ref()),
            passthrough: false,
        }
    }

    pub(super) fn series(&self) -> RequestSeries {
        let now = net::clock::now();
        let http = self.session.proxy.telemetry.http();
        let parties = self.parties();
        let address =
            |workload: Option<&Arc<Workload>>| workload.map_or(0, |w| Arc::as_ptr(w).addr());
        // Values of their size lie that far apart.
        let pair = address(parties.source) / 64 + address(parties.destination) / 512;
        SERIES.with_borrow_mut(|parts| {
            if parts.is_empty() {
                parts.resize_with(PARTS, || SeriesCache::new(http));
            }
            match parts.get_mut(pair % PARTS) {
                Some(part) => part.series(&parties, now),
                None => http.series(&parties, now),
            }
        })
    }

    /// All that is known by now.
    #[must_use]
    pub fn record(&self) -> Record<'_> {
        let session = &self.session;
        let mut record = Record::new(self.times, self.parties());
        record.method = Some(self.method.as_str()).filter(|_| !self.is_unread);
        record.scheme = Some(self.scheme);
        record.authority = Some(self.named.as_str()).filter(|named| !named.is_empty());
        record.path = Some(self.path.as_str()).filter(|_| !self.is_unread);
        record.original_path = self.original_path.as_ref().map(PathAndQuery::as_str);
        record.version = Some(self.version);
        record.request = Headers::Captured(&self.request);
        record.response = Headers::Captured(&self.response);
        record.trailers = Headers::Captured(&self.trailers);
        record.status = self.status;
        record.grpc_status = self.grpc_status;
        record.flags = self.flags;
        record.details = self.details.as_deref();
        record.transport_failure = self.transport_failure.as_deref();
        let upload = self.upload.as_ref();
        record.bytes_received = self.relayed + upload.map_or(0, |upload| upload.received().bytes);
        record.bytes_sent = self.sent;
        record.upstream_service_time = self.service_time;
        record.attempts = self.attempts;
        if let Some(upstream) = &self.upstream {
            let address = upstream.host.address();
            record.upstream_host = Some(address);
            record.upstream_remote = Some(address);
            record.upstream_local = upstream.local;
        }
        record.cluster = self.cluster.as_deref();
        record.downstream_local = session.destination;
        record.downstream_remote = Some(self.client);
        record.downstream_direct_remote = Some(session.client);
        record.server_name = session.sni.as_deref();
        record.route = self.route.as_deref();
        record.hostname = &session.proxy.own.pod_name;
        record
    }
}
