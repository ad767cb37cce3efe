//! Records for tests, after lines that Envoy 1.40 wrote for the same requests.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use mesh::{Service, SpiffeId, Workload};

use super::{Parties, Record, RequestProtocol, Times};
use crate::{
    event::{Direction, Security},
    testkit::{identity, service, workload},
};

/// What a record borrows.
pub(crate) struct World {
    pub(crate) source: Arc<Workload>,
    pub(crate) destination: Arc<Workload>,
    pub(crate) service: Arc<Service>,
    pub(crate) source_identity: SpiffeId,
    pub(crate) destination_identity: SpiffeId,
    pub(crate) request: HeaderMap,
    pub(crate) response: HeaderMap,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            source: workload("client", 1),
            destination: workload("reviews", 7),
            service: service(),
            source_identity: identity("client"),
            destination_identity: identity("reviews"),
            request: headers(&[
                ("x-forwarded-for", "192.0.2.2"),
                ("user-agent", "curl/7.88.1"),
                ("x-request-id", "93f3271e-3154-4038-9c0e-ad308e64a4b8"),
            ]),
            response: headers(&[("x-up", "v")]),
        }
    }

    pub(crate) fn parties(&self) -> Parties<'_> {
        Parties {
            direction: Direction::Through,
            protocol: RequestProtocol::Http,
            security: Security::MutualTls,
            source: Some(&self.source),
            destination: Some(&self.destination),
            service: Some(&self.service),
            source_identity: Some(&self.source_identity),
            client_identity: None,
            destination_identity: Some(&self.destination_identity),
            passthrough: false,
        }
    }

    /// `GET /hdr`, answered with 200 after 3 ms.
    pub(crate) fn ok(&self) -> Record<'_> {
        let mut record = self.get("/hdr");
        record.times = times(365_280, 3);
        record.times.request_received = Some(record.times.began);
        record.times.response_began = Some(record.times.began + Duration::from_millis(3));
        record.status = Some(StatusCode::OK);
        record.details = Some("via_upstream");
        record.bytes_sent = 372;
        record.upstream_service_time = Some(Duration::from_millis(3));
        record.attempts = 1;
        record.upstream_host = Some("127.0.0.1:19902".parse().unwrap());
        record.upstream_remote = record.upstream_host;
        record.upstream_local = Some("127.0.0.1:53764".parse().unwrap());
        record.downstream_remote = Some("127.0.0.1:60640".parse().unwrap());
        record.cluster = Some("up");
        record.route = Some("hdr");
        record.response = (&self.response).into();
        record
    }

    /// A request that was received and has no answer yet.
    pub(crate) fn get<'a>(&'a self, path: &'a str) -> Record<'a> {
        let mut record = Record::new(times(0, 0), self.parties());
        record.times.request_received = Some(record.times.began);
        record.method = Some("GET");
        record.scheme = Some("http");
        record.authority = Some("127.0.0.1:19900");
        record.path = Some(path);
        record.version = Some(Version::HTTP_11);
        record.request = (&self.request).into();
        record.downstream_local = Some("127.0.0.1:19900".parse().unwrap());
        record.downstream_direct_remote = Some("127.0.0.1:60640".parse().unwrap());
        record.hostname = "vm";
        record
    }
}

/// So many microseconds after 2026-11-22T11:11:31Z, for so many milliseconds.
pub(crate) fn times(micros: u64, milliseconds: u64) -> Times {
    let wall =
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_345_891) + Duration::from_micros(micros);
    let mut times = Times::new(wall, net::clock::now());
    times.ended = times.began + Duration::from_millis(milliseconds);
    times
}

pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        })
        .collect()
}
