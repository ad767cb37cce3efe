//! A file of CRLs, read again when it changes.
//!
//! In: `CRL_PATH`. Out: the newest lists that could be read. Never: forgets lists because their file is
//! gone or broken: the last good ones stay, and the log and the counters say so.
//!
//! **Tasks**: one, [`CrlFile::run`]; whoever drops its future stops it, at any await.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls_pki_types::{CertificateRevocationListDer, pem, pem::PemObject as _};
use tokio::sync::watch;

pub use super::revocation_list::BadList;
use super::{Crl, RevocationList};
use crate::{Clock, refusal::rfc3339};

/// The most bytes of the file: 200,000 revoked certificates; a ConfigMap ends at 1 MiB.
const MAX_CRL_BYTES: u64 = 8 << 20;

/// The most lists of the file: one per root and intermediate, and twice that in a rotation.
const MAX_LISTS: usize = 64;

/// How often the file is looked at: a mounted ConfigMap takes a minute to change, so this adds little.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CrlError {
    /// It cannot be read.
    #[error("CRL file {} (CRL_PATH) cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is no PEM.
    #[error("CRL file {} (CRL_PATH): expected PEM blocks of X509 CRL", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was found.
        #[source]
        source: pem::Error,
    },
    /// It holds none. A file that is being written looks like that, so it does not lift revocations.
    #[error("CRL file {} (CRL_PATH) holds no PEM block of X509 CRL, expected at least one", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It holds too many.
    #[error("CRL file {} (CRL_PATH) holds more than {max} CRLs", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
        /// The limit.
        max: usize,
    },
    /// One of its lists cannot be used.
    #[error("CRL {position} of {} (CRL_PATH) cannot be used", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        position: usize,
        /// Why not.
        #[source]
        source: BadList,
    },
}

impl CrlError {
    /// Whether the same file may be readable the next time: it is the system that failed (no descriptors, a disk),
    /// not what is in the file. One that is missing or too large looks different when that changes.
    fn may_pass(&self) -> bool {
        match self {
            Self::Read { source, .. } => !matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge
            ),
            Self::Pem { .. } | Self::Empty { .. } | Self::TooMany { .. } | Self::List { .. } => {
                false
            }
        }
    }
}

/// How it stands with the CRLs, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CrlStats {
    /// How often the file was read with success.
    pub loads: u64,
    /// How often it could not be read or used.
    pub failures: u64,
    /// Handshakes that were refused because of a list.
    pub refused: u64,
    /// Lists in use.
    pub lists: usize,
    /// Revoked certificates on them.
    pub entries: usize,
    /// Lists whose next update is overdue.
    pub overdue: usize,
    /// When the lists in use were read; `None` before the first success.
    pub loaded_at: Option<SystemTime>,
}

/// What the file looked like when it was last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    Missing,
    There {
        device: u64,
        inode: u64,
        length: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
}

/// What is known of the last reading.
#[derive(Debug, Default)]
struct Reading {
    /// `None`: read it again, however it looks.
    stamp: Option<Stamp>,
    /// The failure that was logged last, until there is a success.
    logged: Option<String>,
}

/// A file of CRLs and the newest lists that it held.
#[derive(Debug)]
pub struct CrlFile {
    path: PathBuf,
    clock: Clock,
    current: ArcSwap<Crl>,
    /// Held while the file is read, by one thread at a time; nobody who serves connections takes it.
    reading: Mutex<Reading>,
    loads: AtomicU64,
    failures: AtomicU64,
    refused: AtomicU64,
    loaded_at: Mutex<Option<SystemTime>>,
    /// Counts the changes of what is revoked.
    changes: watch::Sender<u64>,
}

impl CrlFile {
    /// Reads the file. One that cannot be used is logged and counted, and revokes nothing until it can be.
    #[must_use]
    pub fn open(path: PathBuf, clock: Clock) -> Arc<Self> {
        let file = Arc::new(Self {
            path,
            clock,
            current: ArcSwap::default(),
            reading: Mutex::default(),
            loads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            loaded_at: Mutex::new(None),
            changes: watch::Sender::new(0),
        });
        file.poll();
        file
    }

    /// Reads the file again whenever it has changed, until it is dropped. Spawn it once.
    pub async fn run(self: Arc<Self>) {
        self.run_every(POLL_INTERVAL).await;
    }

    pub(super) async fn run_every(self: Arc<Self>, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            let file = Arc::clone(&self);
            // A long list takes a while to read, and other tasks live on this thread.
            if let Err(error) = tokio::task::spawn_blocking(move || file.poll()).await {
                tracing::error!(%error, "CRL file was not looked at");
            }
        }
    }

    /// Reads the file now, changed or not. Says whether something else is revoked than before.
    ///
    /// # Errors
    /// [`CrlError`]; the lists that were in use stay.
    pub fn reload(&self) -> Result<bool, CrlError> {
        let mut reading = self.reading.lock();
        let stamp = stamp(&self.path);
        self.load(&mut reading, stamp)
    }

    /// Tells its receivers when something else is revoked: then open connections are to be looked at again,
    /// with [`Store::revocation`](crate::Store::revocation). The value counts the changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How it stands, for metrics.
    #[must_use]
    pub fn stats(&self) -> CrlStats {
        let (crl, now) = (self.current.load(), self.clock.now());
        CrlStats {
            loads: self.loads.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            lists: crl.lists().len(),
            entries: crl.lists().iter().map(RevocationList::len).sum(),
            overdue: crl
                .lists()
                .iter()
                .filter(|list| list.overdue(now).is_some())
                .count(),
            loaded_at: *self.loaded_at.lock(),
        }
    }

    pub(crate) fn current(&self) -> Arc<Crl> {
        self.current.load_full()
    }

    pub(crate) fn count_refusal(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads the file if it does not look as it did; one that the system did not let us read is read
    /// again. The same failure is logged once.
    pub(super) fn poll(&self) {
        {
            let mut reading = self.reading.lock();
            let now = stamp(&self.path);
            if reading.stamp != Some(now)
                && let Err(error) = self.load(&mut reading, now)
            {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                let text = format!("{error}: {}", source.as_deref().unwrap_or_default());
                if reading.logged.as_ref() != Some(&text) {
                    tracing::error!(
                        %error, source, lists = self.current.load().lists().len(),
                        "CRLs not loaded; those that were read before stay in use"
                    );
                    reading.logged = Some(text);
                }
            }
        }
        self.warn_of_overdue();
    }

    /// `looks` is how the file looked before.
    fn load(&self, reading: &mut Reading, looks: Stamp) -> Result<bool, CrlError> {
        let read = read(&self.path);
        let again = read.as_ref().is_err_and(CrlError::may_pass);
        reading.stamp = (!again).then_some(looks);
        let crl = read
            .inspect_err(|_| {
                self.failures.fetch_add(1, Ordering::Relaxed);
            })
            .map(Crl::new)?;
        reading.logged = None;
        self.loads.fetch_add(1, Ordering::Relaxed);
        *self.loaded_at.lock() = Some(self.clock.now());
        if self.current.load().says_what(&crl) {
            return Ok(false);
        }
        tracing::info!(
            path = %self.path.display(),
            lists = crl.lists().len(),
            entries = crl.lists().iter().map(RevocationList::len).sum::<usize>(),
            "CRLs loaded"
        );
        self.current.store(Arc::new(crl));
        self.changes.send_modify(|changes| *changes += 1);
        Ok(true)
    }

    fn warn_of_overdue(&self) {
        let now = self.clock.now();
        for list in self.current.load().lists() {
            if let Some(next_update) = list.newly_overdue(now) {
                tracing::warn!(
                    issuer = list.issuer_name(),
                    next_update = rfc3339(next_update),
                    "CRL is overdue; it stays in use"
                );
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<RevocationList>, CrlError> {
    let failed = |source| CrlError::Read {
        path: path.to_owned(),
        source,
    };
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_CRL_BYTES + 1).read_to_end(&mut pem))
        .map_err(failed)?;
    if pem.len() as u64 > MAX_CRL_BYTES {
        let problem = format!("more than {MAX_CRL_BYTES} bytes");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, problem)));
    }
    let mut lists = Vec::new();
    for (index, crl) in CertificateRevocationListDer::pem_slice_iter(&pem).enumerate() {
        if index == MAX_LISTS {
            return Err(CrlError::TooMany {
                path: path.to_owned(),
                max: MAX_LISTS,
            });
        }
        let crl = crl.map_err(|source| CrlError::Pem {
            path: path.to_owned(),
            source,
        })?;
        let list = RevocationList::parse(&crl).map_err(|source| CrlError::List {
            path: path.to_owned(),
            position: index + 1,
            source,
        })?;
        lists.push(list);
    }
    if lists.is_empty() {
        return Err(CrlError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(lists)
}

/// What cannot be looked at is taken for missing; the attempt to read it tells why.
fn stamp(path: &Path) -> Stamp {
    match fs::metadata(path) {
        Ok(file) => Stamp::There {
            device: file.dev(),
            inode: file.ino(),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        },
        Err(_) => Stamp::Missing,
    }
}
