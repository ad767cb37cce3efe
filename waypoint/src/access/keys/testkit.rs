//! An issuer of tests, and a host of keys on loopback.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::LOCATION};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use parking_lot::Mutex;
use rustls::{ServerConfig, SupportedProtocolVersion, crypto::aws_lc_rs};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;

/// Room for a busy machine; every wait ends long before.
const PATIENCE: Duration = Duration::from_secs(20);

/// Signs tokens with one key (ES256).
pub(crate) struct Signer {
    id: String,
    key: EncodingKey,
}

impl Signer {
    pub(crate) fn new(id: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Self {
            id: id.to_owned(),
            key: EncodingKey::from_ec_der(&pair.serialize_der()),
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        serde_json::to_value(jwk).unwrap()
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// A key set, as a host would send it.
pub(crate) fn set(signers: &[&Signer]) -> String {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

/// What a host answers.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    pub(crate) location: Option<String>,
}

impl Answer {
    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self {
            status: StatusCode::OK,
            body: body.into(),
            location: None,
        }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            ..Self::ok("")
        }
    }
}

/// A host of keys: it says the same to everybody, counts, and waits for a permit before each answer if it is told to.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
    held: Arc<Mutex<Option<Arc<Semaphore>>>>,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Host {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self::at(listener.local_addr().unwrap(), answer);
        let serving = host.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(tcp));
            }
        });
        host
    }

    /// The same with TLS of one version, under a certificate of its own for `localhost`. Returns the certificate as PEM.
    pub(crate) async fn start_tls(
        answer: Answer,
        version: &'static SupportedProtocolVersion,
    ) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self::at(listener.local_addr().unwrap(), answer);
        let serving = host.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, serving) = (acceptor.clone(), serving.clone());
                tokio::spawn(async move {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        serving.serve(tls).await;
                    }
                });
            }
        });
        (host, made.cert.pem())
    }

    fn at(address: SocketAddr, answer: Answer) -> Self {
        Self {
            address,
            asked: Arc::default(),
            answer: Arc::new(Mutex::new(answer)),
            held: Arc::default(),
            paths: Arc::default(),
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let service = service_fn(move |request: Request<Incoming>| {
            let host = self.clone();
            async move { Ok::<_, std::convert::Infallible>(host.answer(&request).await) }
        });
        let builder = hyper::server::conn::http1::Builder::new();
        drop(
            builder
                .serve_connection(TokioIo::new(stream), service)
                .await,
        );
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        self.paths.lock().push(request.uri().to_string());
        self.asked.fetch_add(1, Ordering::SeqCst);
        let held = self.held.lock().clone();
        if let Some(held) = held {
            held.acquire().await.unwrap().forget();
        }
        let answer = self.answer.lock().clone();
        let mut response = Response::new(Full::new(Bytes::from(answer.body)));
        *response.status_mut() = answer.status;
        if let Some(location) = answer.location {
            let location = location.try_into().unwrap();
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    pub(crate) fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn says(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }

    /// From now on each answer waits for a permit.
    pub(crate) fn hold(&self) -> Arc<Semaphore> {
        let held = Arc::new(Semaphore::new(0));
        *self.held.lock() = Some(Arc::clone(&held));
        held
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// What it was asked for.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.paths.lock().clone()
    }

    pub(crate) async fn reach(&self, asked: usize) {
        until(|| self.asked() >= asked).await;
    }
}

/// Waits for something that comes by itself.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}
