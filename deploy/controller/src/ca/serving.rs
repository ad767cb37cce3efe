//! The certificate by which proxies know this server.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use identity::tls;
use rustls::{
    ServerConfig,
    server::NoServerSessionStorage,
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};

use super::{AuthorityError, signer::Signer};

/// Names that every controller is called by: Istio's service, and this machine by name and by address.
const NAMES: [&str; 4] = ["istiod.istio-system.svc", "localhost", "127.0.0.1", "::1"];

/// The names above and those that are given, each once.
pub(super) fn names(given: &[String]) -> Vec<String> {
    let mut names: Vec<String> = NAMES.iter().map(|&name| name.to_owned()).collect();
    for name in given {
        let name = name.to_ascii_lowercase();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A TLS configuration that is replaced before its certificate ends, and when something else signs.
pub(super) struct Serving {
    names: Vec<String>,
    ttl: Duration,
    config: Arc<ArcSwap<ServerConfig>>,
    signer: Arc<Signer>,
    made: SystemTime,
    renew_at: SystemTime,
}

impl Serving {
    pub(super) fn new(
        names: Vec<String>,
        ttl: Duration,
        signer: &Arc<Signer>,
        now: SystemTime,
    ) -> Result<Self, AuthorityError> {
        let (config, renew_at) = make(&names, ttl, signer, now)?;
        Ok(Self {
            names,
            ttl,
            config: Arc::new(ArcSwap::from_pointee(config)),
            signer: Arc::clone(signer),
            made: now,
            renew_at,
        })
    }

    pub(super) fn config(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.config)
    }

    /// Connections that are open keep the certificate that they began with.
    pub(super) fn tick(
        &mut self,
        signer: &Arc<Signer>,
        now: SystemTime,
    ) -> Result<(), AuthorityError> {
        // A clock that was set back: what was made in its future is not valid yet.
        let fits = (self.made..self.renew_at).contains(&now);
        if fits && Arc::ptr_eq(signer, &self.signer) {
            return Ok(());
        }
        let (config, renew_at) = make(&self.names, self.ttl, signer, now)?;
        self.config.store(Arc::new(config));
        self.signer = Arc::clone(signer);
        self.made = now;
        self.renew_at = renew_at;
        Ok(())
    }
}

fn make(
    names: &[String],
    ttl: Duration,
    signer: &Signer,
    now: SystemTime,
) -> Result<(ServerConfig, SystemTime), AuthorityError> {
    let served = signer
        .serve(names, ttl, now)
        .map_err(AuthorityError::Serving)?;
    let life = served.not_after.duration_since(now).unwrap_or_default();
    let provider = tls::provider();
    let key = provider
        .key_provider
        .load_private_key(served.key)
        .map_err(AuthorityError::Tls)?;
    let certified = CertifiedKey::new(served.chain, key);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(AuthorityError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![tls::ALPN.to_vec()];
    config.ignore_client_order = true;
    // A resumed session would not see that the certificate has changed.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok((config, now.checked_add(life / 2).unwrap_or(now)))
}
