//! An authority on a port of this machine, whose answers a test can script.

use std::{collections::VecDeque, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use grpc::{
    Endpoint, Roots,
    service::ca::istio_certificate_service_server::{
        IstioCertificateService, IstioCertificateServiceServer,
    },
};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh::SpiffeId;
use parking_lot::Mutex;
use prost_types::value::Kind;
use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinHandle,
};
use tonic::{Response, Status, body::Body};
use tower_service::Service as _;
use wire::proto::ca::{IstioCertificateRequest, IstioCertificateResponse};

use crate::{CertificateAuthority as _, FileCa, SigningRequest, pem, testkit::TestClock};

/// What the authority does with one request.
pub(super) enum Turn {
    Sign,
    /// Signs, then says this about it.
    Say(Box<dyn FnOnce(Vec<String>) -> Vec<String> + Send>),
    Refuse(Status),
    /// Says nothing until the test ends.
    Hang,
}

pub(super) struct Authority {
    signer: FileCa,
    pub(super) seen: Mutex<Vec<(Option<String>, IstioCertificateRequest)>>,
    /// What happens next; when it is empty, requests are signed.
    turns: Mutex<VecDeque<Turn>>,
    pub(super) asked: Notify,
    /// Who asks, where a request names nobody.
    pub(super) caller: Mutex<Option<SpiffeId>>,
}

#[tonic::async_trait]
impl IstioCertificateService for Authority {
    async fn create_certificate(
        &self,
        request: tonic::Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let token = request.metadata().get("authorization");
        let token = token.map(|value| value.to_str().unwrap().to_owned());
        let message = request.into_inner();
        self.seen.lock().push((token, message.clone()));
        self.asked.notify_one();
        let turn = self.turns.lock().pop_front().unwrap_or(Turn::Sign);
        let change: Box<dyn FnOnce(Vec<String>) -> Vec<String> + Send> = match turn {
            Turn::Sign => Box::new(|chain| chain),
            Turn::Say(change) => change,
            Turn::Refuse(status) => return Err(status),
            Turn::Hang => std::future::pending().await,
        };
        let name = match &message.metadata {
            Some(metadata) => match &metadata.fields["ImpersonatedIdentity"].kind {
                Some(Kind::StringValue(name)) => name.parse().unwrap(),
                kind => panic!("no name: {kind:?}"),
            },
            None => self.caller.lock().clone().expect("a caller is known"),
        };
        let csr = CertificateSigningRequestDer::from_pem_slice(message.csr.as_bytes()).unwrap();
        let issued = self
            .signer
            .issue(SigningRequest {
                id: name,
                csr,
                ttl: Duration::from_secs(message.validity_duration.try_into().unwrap()),
                now: TestClock::new().now(),
            })
            .await
            .unwrap();
        let mut texts: Vec<String> = issued
            .chain
            .iter()
            .map(|der| pem::encode("CERTIFICATE", der))
            .collect();
        texts.push(
            issued
                .roots
                .iter()
                .map(|der| pem::encode("CERTIFICATE", der))
                .collect(),
        );
        let cert_chain = change(texts);
        Ok(Response::new(IstioCertificateResponse { cert_chain }))
    }
}

/// A listening authority.
pub(super) struct Server {
    pub(super) authority: Arc<Authority>,
    pub(super) address: SocketAddr,
    /// How many connections there have been.
    pub(super) accepted: watch::Receiver<usize>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(signer: FileCa) -> Self {
        let authority = Arc::new(Authority {
            signer,
            seen: Mutex::default(),
            turns: Mutex::default(),
            asked: Notify::new(),
            caller: Mutex::default(),
        });
        Self::listen(authority, "127.0.0.1:0".parse().unwrap()).await
    }

    async fn listen(authority: Arc<Authority>, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, accepted) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let service = Arc::clone(&authority);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.send_modify(|count| *count += 1);
                let (service, mut stopped) = (Arc::clone(&service), stopped.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request: http::Request<Incoming>| {
                        let mut service =
                            IstioCertificateServiceServer::from_arc(Arc::clone(&service));
                        async move {
                            let answer = service.call(request.map(Body::new)).await;
                            Ok::<_, Infallible>(answer.unwrap())
                        }
                    });
                    let http = http2::Builder::new(TokioExecutor::new());
                    tokio::select! {
                        _ended = http.serve_connection(TokioIo::new(stream), service) => {}
                        _ = stopped.wait_for(|stop| *stop) => {}
                    }
                });
            }
        });
        Self {
            authority,
            address,
            accepted,
            stop,
            task,
        }
    }

    /// Cuts its connections and listens again on the same port.
    pub(super) async fn restart(self) -> Self {
        self.task.abort();
        drop(self.task.await);
        self.stop.send_replace(true);
        Self::listen(self.authority, self.address).await
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: format!("http://{}", self.address).parse().unwrap(),
            roots: Roots::System,
            alternative_name: None,
            token: None,
            cluster: "Kubernetes".into(),
            headers: Vec::new(),
        }
    }

    pub(super) fn then(&self, turn: Turn) {
        self.authority.turns.lock().push_back(turn);
    }
}
