//! The one authority of the process: what signs now, and the task that keeps it so.
//!
//! In: the state folder, [`Options`], the time. Out: certificates. Never: waits for the disk to sign one.
//!
//! Task: [`Authority::run`], one for the process, stopped by dropping it. It may be dropped at any await: what
//! it does to files it does in one step each, on a thread that ends by itself.

use std::{
    convert::Infallible,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use identity::{CaError, wall};
use mesh::SpiffeId;
use parking_lot::Mutex;
use rustls::ServerConfig;

use super::{
    digest::{hex, sha256},
    kept::KeptError,
    own::{BUNDLE, Own},
    plugged::{Plugged, PluggedError},
    request::{CertificateRequest, RequestError},
    revocation::{self, CrlError},
    root::RootError,
    service::IssueError,
    serving::{self, Serving},
    signed,
    signer::{Issued, Signer, SignerError},
    state::{StateDir, StateError},
};

/// How often files are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How the authority works.
#[derive(Clone, Debug)]
pub struct Options {
    /// What a root of our own names as its organisation.
    pub trust_domain: String,
    /// A folder of the `cacerts` layout. Without it `cacerts` in the state folder is used if it is there, else
    /// a root of our own.
    pub cacerts: Option<PathBuf>,
    /// The life of a certificate whose asker names none.
    pub default_ttl: Duration,
    /// The longest life of a certificate; who asks for more gets this. Each stage of a rotation lasts as long.
    pub max_ttl: Duration,
    /// The life of a root of our own.
    pub root_life: Duration,
    /// A root of our own with less of its life left is replaced. **Units**: per cent.
    pub renew_root_below: u8,
    /// What this server is called besides `istiod.istio-system.svc` and `localhost`; an IP address becomes an
    /// IP SAN.
    pub serving_names: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 3600);
        Self {
            trust_domain: "cluster.local".to_owned(),
            cacerts: None,
            default_ttl: day,
            max_ttl: day,
            root_life: day * 3650,
            renew_root_below: 20,
            serving_names: Vec::new(),
        }
    }
}

/// Why there is no authority, or why it cannot follow a change.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The roots that are kept.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// Roots were published, but the key is gone.
    #[error(
        "the state folder holds root-cert.pem but not roots.json with the key; bring roots.json back from a copy, or remove root-cert.pem to begin a new mesh that no proxy of the old one believes"
    )]
    Orphan,
    /// A root cannot be made or used.
    #[error("a root of the controller's own cannot be used")]
    Root(#[source] RootError),
    /// What is kept does not sign.
    #[error("the root of the controller's own cannot sign")]
    Signer(#[source] SignerError),
    /// The authority from elsewhere.
    #[error(transparent)]
    Plugged(#[from] PluggedError),
    /// The list of revoked certificates.
    #[error(transparent)]
    Crl(#[from] CrlError),
    /// This server's own certificate.
    #[error("the certificate of this server cannot be made")]
    Serving(#[source] CaError),
    /// This server's own certificate is refused by the TLS library.
    #[error("the certificate of this server cannot be used")]
    Tls(#[source] rustls::Error),
}

enum Source {
    Own(Own),
    Plugged(Plugged),
}

struct Inner {
    source: Source,
    serving: Serving,
}

/// The authority.
pub struct Authority {
    state: StateDir,
    options: Options,
    signer: ArcSwap<Signer>,
    serving: Arc<ArcSwap<ServerConfig>>,
    inner: Mutex<Inner>,
    /// Held as long as the authority is there.
    _lock: File,
}

impl Authority {
    /// Opens the state folder for this process alone, and reads or makes what signs.
    ///
    /// # Errors
    /// [`AuthorityError`]; nothing that was there is replaced.
    pub fn load_or_create(
        state_dir: &Path,
        options: Options,
        now: SystemTime,
    ) -> Result<Arc<Self>, AuthorityError> {
        let state = StateDir::open(state_dir)?;
        let lock = state.lock()?;
        let in_state = state.file("cacerts");
        let folder = match &options.cacerts {
            Some(folder) => Some(folder.clone()),
            None if in_state.is_dir() => {
                state.check_folder("cacerts")?;
                Some(in_state)
            }
            None => None,
        };
        let (source, signer) = match folder {
            Some(folder) => {
                let mut plugged = Plugged::new(&folder);
                let Some(change) = plugged.look(now)? else {
                    return Err(PluggedError::Missing { path: folder }.into());
                };
                publish_list(&state, change.list.as_deref())?;
                (Source::Plugged(plugged), change.signer)
            }
            None => {
                let mut own = Own::load_or_create(&state, &options, now)?;
                // A root that ended while nobody was here is replaced before it is used.
                let signer = match own.tick(&state, &options, now)? {
                    Some(signer) => signer,
                    None => own.signer(now)?,
                };
                own.publish_list(&state, now)?;
                (Source::Own(own), signer)
            }
        };
        state.publish(BUNDLE, signer.bundle().as_bytes())?;
        let signer = Arc::new(signer);
        let serving = Serving::new(
            serving::names(&options.serving_names),
            options.default_ttl.min(options.max_ttl),
            &signer,
            now,
        )?;
        Ok(Arc::new(Self {
            state,
            options,
            signer: ArcSwap::new(signer),
            serving: serving.config(),
            inner: Mutex::new(Inner { source, serving }),
            _lock: lock,
        }))
    }

    /// Signs the key of a request for an identity that the caller was found to have. `ttl` is what he asks for.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue(
        &self,
        id: &SpiffeId,
        request: &CertificateRequest,
        ttl: Option<Duration>,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        let key = request.key_for(id).map_err(IssueError::Request)?;
        let ttl = ttl
            .unwrap_or(self.options.default_ttl)
            .min(self.options.max_ttl);
        self.signer
            .load()
            .issue(id, key, ttl, now)
            .map_err(IssueError::Authority)
    }

    /// Every root that is to be believed, PEM.
    #[must_use]
    pub fn bundle(&self) -> Arc<str> {
        Arc::clone(self.signer.load().bundle())
    }

    /// Where it stands, for `/debug`. **Shape**: `mode` is `self-signed` or `cacerts`; `rotation` is `steady`,
    /// `announced` or `switched`; `not_after` and each root's are RFC 3339; `roots` are all that are believed.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let (mode, rotation) = match &self.inner.lock().source {
            Source::Own(own) => ("self-signed", own.stage().name()),
            Source::Plugged(_) => ("cacerts", "steady"),
        };
        let signer = self.signer.load();
        let roots: Vec<_> = signer
            .roots()
            .iter()
            .filter_map(|root| {
                let parsed = signed::certificate(root)?;
                Some(serde_json::json!({
                    "subject": parsed.subject().to_string(),
                    "sha256": hex(&sha256(root)),
                    "not_after": super::rfc3339(wall(parsed.validity().not_after)),
                }))
            })
            .collect();
        serde_json::json!({
            "mode": mode,
            "rotation": rotation,
            "not_after": super::rfc3339(signer.not_after()),
            "roots": roots,
        })
    }

    /// How this process serves TLS: 1.3, ALPN `h2`, no certificate asked of clients. [`Authority::tick`] replaces
    /// it before its certificate ends and when something else signs.
    #[must_use]
    pub fn serving(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.serving)
    }

    /// Looks at the files, takes what steps of a rotation are due, renews this server's certificate.
    ///
    /// # Errors
    /// The first of what went wrong; all that can be done without it is done.
    pub fn tick(&self, now: SystemTime) -> Result<(), AuthorityError> {
        let mut inner = self.inner.lock();
        let (signer, listed) = match &mut inner.source {
            Source::Own(own) => {
                let signer = own.tick(&self.state, &self.options, now);
                (signer, own.publish_list(&self.state, now))
            }
            Source::Plugged(plugged) => match plugged.look(now) {
                Ok(Some(change)) => {
                    tracing::info!(
                        not_after = super::rfc3339(change.signer.not_after()),
                        "cacerts has changed"
                    );
                    let listed = publish_list(&self.state, change.list.as_deref());
                    (Ok(Some(change.signer)), listed.map_err(Into::into))
                }
                Ok(None) => (Ok(None), Ok(())),
                Err(error) => (Err(error.into()), Ok(())),
            },
        };
        let signed = signer.map(|signer| {
            if let Some(signer) = signer {
                self.signer.store(Arc::new(signer));
            }
        });
        let signer = self.signer.load_full();
        let published = self.state.publish(BUNDLE, signer.bundle().as_bytes());
        let served = inner.serving.tick(&signer, now);
        signed?;
        published?;
        listed?;
        served
    }

    /// Ticks once a second, for ever. A failure is reported when it comes and when it is over.
    pub async fn run(self: Arc<Self>) -> Infallible {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failure = None;
        loop {
            interval.tick().await;
            let (authority, now) = (Arc::clone(&self), net::clock::wall());
            let ticked = tokio::task::spawn_blocking(move || authority.tick(now)).await;
            let found = match ticked {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(grpc::status::chain(&error)),
                Err(panicked) => Some(panicked.to_string()),
            };
            if found != failure {
                match &found {
                    Some(error) => {
                        tracing::error!(
                            error,
                            "the certificate authority goes on with what it has"
                        );
                    }
                    None => tracing::info!("the certificate authority is whole again"),
                }
                failure = found;
            }
        }
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("signer", &self.signer.load())
            .finish_non_exhaustive()
    }
}

fn publish_list(state: &StateDir, list: Option<&str>) -> Result<(), StateError> {
    match list {
        Some(list) => state.publish(revocation::PUBLISHED, list.as_bytes()),
        None => state.remove(revocation::PUBLISHED),
    }
}

impl From<RequestError> for IssueError {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

#[cfg(test)]
mod tests;
