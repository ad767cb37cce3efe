//! What the tests of this module and of [`crate::token`] share: folders, requests, authorities from elsewhere, and
//! a peer's way of believing a certificate.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use identity::{asn1, tls};
use mesh::SpiffeId;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::{
    RootCertStore, client::verify_server_cert_signed_by_trust_anchor, server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject as _};

use super::{Authority, AuthorityError, Options, StateError};

/// When tests take place: in 2027.
pub(crate) const START: u64 = 1_800_000_000;

pub(crate) const HOUR: u64 = 3600;
pub(crate) const DAY: u64 = 24 * HOUR;

pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * HOUR)
}

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A name that nothing has yet.
    pub(crate) fn absent() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ambit-controller-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    pub(crate) fn new() -> Self {
        let folder = Self::absent();
        fs::create_dir_all(&folder.0).unwrap();
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn id(service_account: &str) -> SpiffeId {
    SpiffeId::new(
        "cluster.local".into(),
        "default".into(),
        service_account.into(),
    )
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// A request for these names, with a P-256 key.
pub(crate) fn csr(names: &[&str]) -> String {
    let names = names.iter().map(|name| uri(name)).collect();
    csr_with(names, &KeyPair::generate().unwrap())
}

pub(crate) fn csr_with(names: Vec<SanType>, key: &KeyPair) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = names;
    params.serialize_request(key).unwrap().pem().unwrap()
}

pub(crate) fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap()
}

/// Whether a peer with this bundle believes this chain, by webpki, as ztunnel does.
pub(crate) fn believed(
    chain: &[CertificateDer<'static>],
    bundle: &str,
    now: SystemTime,
) -> Result<(), rustls::Error> {
    let mut store = RootCertStore::empty();
    for root in certificates(bundle) {
        store.add(root).unwrap();
    }
    let (leaf, intermediates) = chain.split_first().unwrap();
    let time = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap());
    verify_server_cert_signed_by_trust_anchor(
        &ParsedCertificate::try_from(leaf)?,
        &store,
        intermediates,
        time,
        tls::provider().signature_verification_algorithms.all,
    )
}

/// An answer of the authority: what a peer is shown, and the bundle.
pub(crate) fn split(issued: &[String]) -> (Vec<CertificateDer<'static>>, String) {
    let (bundle, chain) = issued.split_last().unwrap();
    let chain = chain.iter().flat_map(|pem| certificates(pem)).collect();
    (chain, bundle.clone())
}

/// An authority with a root of its own.
pub(crate) fn open(folder: &Folder, options: Options, now: u64) -> Arc<Authority> {
    reopen(folder, options, now).unwrap()
}

/// The same, or why not, after an earlier one has gone.
///
/// The lock of the earlier one can outlive it for an instant: another test starts a program, and between fork and
/// exec the child has a copy of every file of this process.
pub(crate) fn reopen(
    folder: &Folder,
    options: Options,
    now: u64,
) -> Result<Arc<Authority>, AuthorityError> {
    let deadline = net::clock::now() + Duration::from_secs(10);
    loop {
        let opened = Authority::load_or_create(folder.path(), options.clone(), at(now));
        let locked = matches!(
            opened,
            Err(AuthorityError::State(StateError::Locked { .. }))
        );
        if !locked || net::clock::now() > deadline {
            return opened;
        }
        std::thread::yield_now();
    }
}

/// A certificate of an authority with its key.
pub(crate) struct Ca {
    pub(crate) pem: String,
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn params(name: &str, from: u64, to: u64) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = asn1(at(from)).unwrap().to_datetime();
        params.not_after = asn1(at(to)).unwrap().to_datetime();
        params
    }

    pub(crate) fn root(name: &str) -> Self {
        Self::signed(Self::params(name, START - DAY, START + 100 * DAY), None)
    }

    pub(crate) fn below(&self, name: &str) -> Self {
        Self::signed(
            Self::params(name, START - DAY, START + 50 * DAY),
            Some(self),
        )
    }

    pub(crate) fn signed(params: CertificateParams, by: Option<&Self>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = match by {
            None => params.self_signed(&key).unwrap(),
            Some(by) => params.signed_by(&key, &by.issuer()).unwrap(),
        };
        Self {
            pem: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn issuer(&self) -> Issuer<'static, KeyPair> {
        Issuer::from_ca_cert_pem(&self.pem, KeyPair::from_pem(&self.key).unwrap()).unwrap()
    }
}

/// Writes a folder of the `cacerts` layout.
pub(crate) fn cacerts(folder: &Folder, signing: &Ca, chain: &str, roots: &str) {
    folder.write("ca-cert.pem", &signing.pem);
    folder.write("ca-key.pem", &signing.key);
    folder.write("cert-chain.pem", chain);
    folder.write("root-cert.pem", roots);
}

/// What openssl says; `None`, with a word about it, where it is not installed.
#[expect(clippy::print_stdout, reason = "what was not checked is said")]
pub(crate) fn openssl(arguments: &[&str]) -> Option<String> {
    match Command::new("openssl").args(arguments).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "openssl {arguments:?}: {text}");
            Some(text)
        }
        Err(error) => {
            println!("skipped: openssl: {error}");
            None
        }
    }
}
