//! A backend as the stubs of gRPC see it.
//!
//! In: requests of a stub. Out: answers, over the connections that requests of clients use. Never: a connection of HTTP/1.1.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use mesh::route::Backend;
use tower_service::Service;

use super::{AskError, cluster, exchange, name};
use crate::{
    body::Body,
    proxy::Proxy,
    upstream::{Cluster, Worker},
};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// A backend that is asked by gRPC. Make one per question, on the thread of its worker:
/// `AuthorizationClient::new(Grpc::new(..)?).check(question)`.
#[derive(Clone, Debug)]
pub struct Grpc {
    cluster: Arc<Cluster>,
    worker: Arc<Worker>,
    backend: Backend,
    timeout: Duration,
}

impl Grpc {
    /// A backend; each question may take `timeout`, which it is told (`grpc-timeout`).
    ///
    /// # Errors
    /// When the mesh has no such backend, or it is declared as HTTP/1.1.
    pub fn new(
        proxy: &Proxy,
        worker: &Arc<Worker>,
        backend: &Backend,
        timeout: Duration,
    ) -> Result<Self, AskError> {
        let cluster = cluster(proxy, backend)?;
        if cluster.version(Version::HTTP_2) != Version::HTTP_2 {
            return Err(AskError::NotHttp2(Arc::clone(cluster.name())));
        }
        Ok(Self {
            cluster,
            worker: Arc::clone(worker),
            backend: backend.clone(),
            timeout,
        })
    }
}

impl Service<Request<tonic::body::Body>> for Grpc {
    type Response = Response<Body>;
    type Error = AskError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, AskError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), AskError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let me = self.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            head.version = Version::HTTP_2;
            name(&mut head, &me.backend);
            head.headers
                .entry(GRPC_TIMEOUT)
                .or_insert_with(|| in_words(me.timeout));
            // One message, which is at hand already.
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(status) => return Err(AskError::Question(Box::new(status))),
            };
            let answer = exchange(&me.cluster, &me.worker, &head, &body, me.timeout).await?;
            match answer.status() {
                StatusCode::OK => Ok(answer),
                // The stub would make a code of it that a server can mean otherwise.
                status => Err(AskError::Status(status)),
            }
        })
    }
}

/// A duration as `grpc-timeout` says it: a number of at most eight digits and a unit. It is rounded down, so that who is asked does not
/// work longer than anyone waits. Source: gRPC over HTTP/2.
fn in_words(timeout: Duration) -> HeaderValue {
    const MAX_NUMBER: u128 = 99_999_999;
    let units = [
        (timeout.as_micros(), 'u'),
        (timeout.as_millis(), 'm'),
        (u128::from(timeout.as_secs()), 'S'),
        (u128::from(timeout.as_secs() / 60), 'M'),
    ];
    let fits = units.into_iter().find(|(number, _)| *number <= MAX_NUMBER);
    let (number, unit) = fits.unwrap_or((MAX_NUMBER, 'H'));
    // Digits and a letter.
    HeaderValue::try_from(format!("{number}{unit}"))
        .unwrap_or_else(|_| HeaderValue::from_static("1S"))
}

#[cfg(test)]
mod tests;
