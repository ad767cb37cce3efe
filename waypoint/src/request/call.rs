//! What the stages of one request hand on to each other.
//!
//! In: a session and a request of it. Out: nothing; stages fill it in. Never: outlives its request.

use std::sync::Arc;

use http::HeaderMap;

use crate::{filter::grpc_web::GrpcWeb, request::account::Account, session::Session};

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
        }
    }
}
