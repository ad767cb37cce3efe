//! What the stages of one request hand on to each other.
//!
//! In: a session and a request of it. Out: nothing; stages fill it in. Never: outlives its request.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};
use jwt::Verified;

use crate::{
    access::metadata::Metadata, filter::grpc_web::GrpcWeb, request::account::Account,
    session::Session,
};

/// One request under way.
#[derive(Debug)]
pub struct Call {
    /// The connection that it came on: who asks, and for which service.
    pub session: Arc<Session>,
    /// What is to be told of it.
    pub account: Box<Account>,
    /// For ids, weights, faults and waits.
    pub random: fastrand::Rng,
    /// The client speaks gRPC-Web, and so shall the response.
    pub web: Option<GrpcWeb>,
    /// What the response says to another origin.
    pub cors: Option<HeaderMap>,
    /// The client: whom a trusted proxy names, else the peer of the tunnel. Source: `remote.ip`.
    pub client: IpAddr,
    /// The token that was believed.
    pub token: Option<Verified>,
    /// What external authorizers said.
    pub metadata: Metadata,
    /// Whether some stage has changed its head since policies saw it, so that what is told of it is not what goes on.
    pub is_head_changed: bool,
    /// For the client's response, whoever gives it.
    pub response_headers: Vec<ResponseHeader>,
}

/// A header for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHeader {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderValue,
    /// What becomes of others of its name.
    pub place: Place,
}

/// What becomes of headers that have the name of one that comes. Source: Envoy's `HeaderAppendAction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It stands beside them.
    Beside,
    /// It comes in their place, or is the first.
    Instead,
    /// It comes only if there are none.
    IfAbsent,
    /// It comes in their place, and only if there are some.
    IfPresent,
}

impl ResponseHeader {
    /// Adds it to what the client gets.
    pub fn add_to(&self, headers: &mut HeaderMap) {
        let (name, value) = (&self.name, &self.value);
        match self.place {
            Place::Beside => {
                headers.append(name, value.clone());
            }
            Place::Instead => {
                headers.insert(name, value.clone());
            }
            Place::IfAbsent => {
                headers.entry(name).or_insert_with(|| value.clone());
            }
            Place::IfPresent => {
                if headers.contains_key(name) {
                    headers.insert(name, value.clone());
                }
            }
        }
    }
}

impl Call {
    /// A request that has just come.
    #[must_use]
    pub fn open<B>(session: &Arc<Session>, request: &http::Request<B>) -> Self {
        Self {
            session: Arc::clone(session),
            account: Account::open(session, request),
            random: fastrand::Rng::new(),
            web: None,
            cors: None,
            client: session.client.ip(),
            token: None,
            metadata: Metadata::default(),
            is_head_changed: false,
            response_headers: Vec::new(),
        }
    }
}
