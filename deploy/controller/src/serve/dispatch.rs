//! Which service a request is for.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use grpc::service::ca::istio_certificate_service_server::{
    IstioCertificateService, IstioCertificateServiceServer, SERVICE_NAME,
};
use http::{Method, Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tonic::Status;
use tower_service::Service as _;

use super::{
    Peer,
    connection::{Connection, Open},
};
use crate::xds;

/// A request for a certificate is a signing request and a few words.
const MAX_CA_REQUEST: usize = 64 * 1024;
/// How long such a request may take, to arrive and to be answered.
const CA_DEADLINE: Duration = Duration::from_secs(30);

/// Both services.
#[derive(Debug)]
pub(super) struct Dispatch<A> {
    xds: xds::Service,
    ca: IstioCertificateServiceServer<A>,
}

// Not derived: that would ask of `A` to be cloned.
impl<A> Clone for Dispatch<A> {
    fn clone(&self) -> Self {
        Self {
            xds: self.xds.clone(),
            ca: self.ca.clone(),
        }
    }
}

impl<A: IstioCertificateService> Dispatch<A> {
    pub(super) fn new(xds: xds::Service, ca: A) -> Self {
        let ca = IstioCertificateServiceServer::new(ca).max_decoding_message_size(MAX_CA_REQUEST);
        Self { xds, ca }
    }

    /// Answers one request.
    pub(super) async fn answer(
        mut self,
        mut request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> Result<Response<Guarded>, Infallible> {
        let open = connection.enter();
        request.extensions_mut().insert(Peer(connection.peer()));
        let path = request.uri().path();
        let response = if request.method() != Method::POST {
            unimplemented()
        } else if path == xds::PATH {
            Box::pin(self.xds.open(request, connection)).await
        } else if is_ca(path) {
            // Before anything of the body is read; the service, which asks again, comes only after it.
            if let Err(status) = self.xds.authenticate(request.headers(), connection.peer()) {
                return Ok(status
                    .into_http()
                    .map(|inner| Guarded { inner, _open: open }));
            }
            match tokio::time::timeout(CA_DEADLINE, self.ca.call(request)).await {
                Ok(answered) => answered.unwrap_or_else(|never| match never {}),
                Err(_) => Status::deadline_exceeded("the request took too long").into_http(),
            }
        } else {
            unimplemented()
        };
        Ok(response.map(|inner| Guarded { inner, _open: open }))
    }
}

fn is_ca(path: &str) -> bool {
    path.strip_prefix('/')
        .and_then(|path| path.strip_prefix(SERVICE_NAME))
        .is_some_and(|method| method.starts_with('/'))
}

fn unimplemented() -> Response<tonic::body::Body> {
    Status::unimplemented("there is no such method").into_http()
}

/// A response's body that counts as open as long as it is there.
#[derive(Debug)]
pub(super) struct Guarded {
    inner: tonic::body::Body,
    _open: Open,
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
