//! For tests: authorities in memory, certificates with any fault, a clock that can be set, handshakes
//! without sockets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mesh::{San, SpiffeId};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{
    ClientConfig, ClientConnection, ServerConfig, ServerConnection, sign::CertifiedKey,
    sign::SingleCertAndKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::sync::Semaphore;

use crate::{
    BoxFuture, CaError, CertificateAuthority, Clock, Credential, CrlFile, FileCa, Issued,
    SigningRequest,
    key::KeyRequest,
    tls,
    trust::{Roots, Trust},
    verify::ExpectSans,
    x509,
};

/// 2026-11-22T05:00:00Z.
pub(crate) const START: u64 = 1_795_323_600;

pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn id(name: &str) -> SpiffeId {
    format!("spiffe://cluster.local/ns/default/sa/{name}")
        .parse()
        .unwrap()
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub(crate) fn sans(names: &[&str]) -> Vec<San> {
    names.iter().map(|name| San::from(&id(name))).collect()
}

/// A clock that stands until it is moved.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START)))
    }

    pub(crate) fn clock(&self) -> Clock {
        let seconds = Arc::clone(&self.0);
        Clock::new(move || at(seconds.load(Ordering::SeqCst)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> SystemTime {
        at(self.0.load(Ordering::SeqCst))
    }
}

/// Somebody who can sign anything.
pub(crate) struct TestCa {
    pub(crate) issuer: CertifiedIssuer<'static, KeyPair>,
}

pub(crate) fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Ambit");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = x509::asn1(at(START - 86_400)).unwrap().to_datetime();
    params.not_after = x509::asn1(at(START + 10 * 365 * 86_400))
        .unwrap()
        .to_datetime();
    params
}

impl TestCa {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(ca_params(name), KeyPair::generate().unwrap())
    }

    pub(crate) fn with(params: CertificateParams, key: KeyPair) -> Self {
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    pub(crate) fn intermediate(&self, params: CertificateParams) -> Self {
        Self {
            issuer: CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.issuer)
                .unwrap(),
        }
    }

    pub(crate) fn cert_pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    pub(crate) fn file_ca(&self) -> FileCa {
        FileCa::from_pem(&self.cert_pem(), &self.key_pem(), at(START)).unwrap()
    }

    pub(crate) fn trust(&self) -> Arc<Trust> {
        self.trust_with(None)
    }

    pub(crate) fn trust_with(&self, crl: Option<Arc<CrlFile>>) -> Arc<Trust> {
        let trust = Trust::new(crl);
        trust.replace(&Arc::new(Roots::new(&[self.root()]).unwrap()));
        trust
    }

    /// A leaf with these SANs and whatever else `fault` does to it.
    pub(crate) fn leaf(
        &self,
        sans: Vec<SanType>,
        fault: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let key = KeyPair::generate().unwrap();
        let cert = leaf_params(sans, fault)
            .signed_by(&key, &self.issuer)
            .unwrap();
        Identity::new(vec![cert], &key)
    }

    /// A credential as the store makes it.
    pub(crate) fn credential(&self, name: &str, clock: &Clock) -> Credential {
        self.credential_for(id(name), clock)
    }

    pub(crate) fn credential_for(&self, id: SpiffeId, clock: &Clock) -> Credential {
        self.credential_within(id, clock, self.trust())
    }

    pub(crate) fn credential_within(
        &self,
        id: SpiffeId,
        clock: &Clock,
        trust: Arc<Trust>,
    ) -> Credential {
        let key = KeyRequest::new(&id).unwrap();
        let ttl = Duration::from_secs(86_400);
        let request = SigningRequest {
            id: id.clone(),
            csr: key.csr(),
            ttl,
            now: clock.now(),
        };
        let issued = futures_util::future::FutureExt::now_or_never(self.file_ca().issue(request))
            .unwrap()
            .unwrap();
        Credential::new(id, key.into_key(), issued, clock, trust).unwrap()
    }
}

pub(crate) fn leaf_params(
    sans: Vec<SanType>,
    fault: impl FnOnce(&mut CertificateParams),
) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = sans;
    params.not_before = x509::asn1(at(START - 60)).unwrap().to_datetime();
    params.not_after = x509::asn1(at(START + 3600)).unwrap().to_datetime();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    fault(&mut params);
    params
}

/// A chain with its key, right or wrong.
pub(crate) struct Identity(Arc<CertifiedKey>);

impl Identity {
    pub(crate) fn new(chain: Vec<Certificate>, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = tls::provider().key_provider.load_private_key(key).unwrap();
        Self(Arc::new(CertifiedKey::new(
            chain.into_iter().map(CertificateDer::from).collect(),
            key,
        )))
    }

    /// The same leaf with more certificates behind it.
    pub(crate) fn followed_by(&self, more: &[CertificateDer<'static>]) -> Self {
        let mut chain = self.0.cert.clone();
        chain.extend_from_slice(more);
        Self(Arc::new(CertifiedKey::new(chain, Arc::clone(&self.0.key))))
    }

    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    fn resolver(&self) -> SingleCertAndKey {
        SingleCertAndKey::from(Arc::clone(&self.0))
    }

    /// A client that shows this chain and believes `expected` of `ca`.
    pub(crate) fn client(&self, ca: &TestCa, expected: &str, clock: &Clock) -> ClientConfig {
        let verifier = ExpectSans::new(ca.trust(), &[San::from(expected)]);
        tls::client(self.resolver(), Arc::new(verifier), clock).unwrap()
    }

    /// A server that shows this chain to clients of `ca`'s mesh.
    pub(crate) fn server(&self, ca: &TestCa, clock: &Clock) -> ServerConfig {
        let verifier = crate::verify::ExpectTrustDomain::new(ca.trust(), "cluster.local".into());
        tls::server(self.resolver(), Arc::new(verifier), clock).unwrap()
    }
}

/// How a handshake ended on both sides.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) client: ClientConnection,
    pub(crate) server: ServerConnection,
    pub(crate) client_error: Option<rustls::Error>,
    pub(crate) server_error: Option<rustls::Error>,
}

impl Outcome {
    pub(crate) fn succeeded(&self) -> bool {
        self.client_error.is_none()
            && self.server_error.is_none()
            && !self.client.is_handshaking()
            && !self.server.is_handshaking()
    }
}

/// Carries bytes between both ends until neither has more to say.
pub(crate) fn handshake(
    client: impl Into<Arc<ClientConfig>>,
    server: impl Into<Arc<ServerConfig>>,
) -> Outcome {
    let name = ServerName::try_from("not.looked.at.example").unwrap();
    let mut outcome = Outcome {
        client: ClientConnection::new(client.into(), name).unwrap(),
        server: ServerConnection::new(server.into()).unwrap(),
        client_error: None,
        server_error: None,
    };
    while outcome.client.wants_write() || outcome.server.wants_write() {
        let mut wire = Vec::new();
        while outcome.client.wants_write() {
            outcome.client.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() && outcome.server_error.is_none() {
            outcome.server.read_tls(&mut rest).unwrap();
            outcome.server_error = outcome.server.process_new_packets().err();
        }
        let mut wire = Vec::new();
        while outcome.server.wants_write() {
            outcome.server.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() && outcome.client_error.is_none() {
            outcome.client.read_tls(&mut rest).unwrap();
            outcome.client_error = outcome.client.process_new_packets().err();
        }
    }
    outcome
}

/// An authority that counts, can be made to fail, and can be made to wait.
#[derive(Debug)]
pub(crate) struct ScriptedCa {
    signer: FileCa,
    /// Requests so far.
    pub(crate) asked: AtomicUsize,
    /// Whether every request is refused.
    pub(crate) down: AtomicBool,
    /// Each answer takes one permit.
    pub(crate) gate: Semaphore,
}

impl ScriptedCa {
    pub(crate) fn new(ca: &TestCa) -> Arc<Self> {
        Self::closed(ca, Semaphore::MAX_PERMITS)
    }

    /// Answers only so often, until the gate is opened further.
    pub(crate) fn closed(ca: &TestCa, answers: usize) -> Arc<Self> {
        Arc::new(Self {
            signer: ca.file_ca(),
            asked: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            gate: Semaphore::new(answers),
        })
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }
}

impl CertificateAuthority for ScriptedCa {
    fn issue(&self, request: SigningRequest) -> BoxFuture<'_, Result<Issued, CaError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
            if self.down.load(Ordering::SeqCst) {
                return Err(CaError::Refused {
                    authority: "the test".into(),
                    reason: "told to".into(),
                });
            }
            self.signer.issue(request).await
        })
    }
}
