//! Who is let in, and for how long. A token says who a client is; nothing else does.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use grpc::status::chain;
use http::{HeaderMap, header::AUTHORIZATION};

use super::viewer::{Scope, Viewer};
use crate::{
    output::Account,
    publish::Snapshot,
    token::{Authenticator, Caller, TrustedNodes},
};

/// What asks whom a token belongs to.
pub(crate) trait Door: Send + Sync + 'static {
    /// Whose token it is, and whether it is a trusted node's.
    fn admit(&self, headers: &HeaderMap) -> Result<(Caller, bool), Unknown>;
}

/// Why a token is not believed. For the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unknown(pub(crate) String);

/// The one that is used outside tests.
pub(super) struct Tokens {
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) trusted: Arc<TrustedNodes>,
}

impl Door for Tokens {
    fn admit(&self, headers: &HeaderMap) -> Result<(Caller, bool), Unknown> {
        match self.authenticator.authenticate(headers) {
            Ok(caller) => {
                let trusted = self.trusted.contains(&caller);
                Ok((caller, trusted))
            }
            Err(error) => Err(Unknown(chain(&error))),
        }
    }
}

/// Why a client is not let in, or not any longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Closed {
    /// Its token is not believed.
    #[error("its token is not believed: {0}")]
    Unauthenticated(#[from] Unknown),
    /// The token it came with is over.
    #[error("its token has expired")]
    Expired,
    /// It may see nothing.
    #[error("{namespace}/{service_account} is neither a trusted node nor a waypoint")]
    Denied {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its service account.
        service_account: Arc<str>,
    },
    /// What it may see is another namespace's now; it has to begin anew.
    #[error("the mesh's root namespace has changed")]
    Moved,
    /// It is not who it was.
    #[error("its token is another's now")]
    Changed,
}

impl Closed {
    /// What the client hears, which is no more than it must.
    pub(super) fn status(&self) -> tonic::Status {
        match self {
            Self::Unauthenticated(_) | Self::Expired | Self::Changed => {
                tonic::Status::unauthenticated("authentication failure")
            }
            Self::Moved => tonic::Status::unavailable("the configuration has changed: reconnect"),
            Self::Denied { .. } => tonic::Status::permission_denied("permission denied"),
        }
    }
}

/// A client that was let in.
pub(super) struct Gate {
    door: Arc<dyn Door>,
    /// Its credentials, to be asked about again.
    credentials: HeaderMap,
    pub(super) caller: Caller,
    trusted: bool,
    /// The root namespace whose policies it sees; `None` if it sees all, or nothing yet.
    root: Option<Arc<str>>,
}

impl Gate {
    /// Lets a client in whose token is believed. What it may see is asked separately: a waypoint is one only
    /// once its Gateway has been read.
    pub(super) fn open(door: Arc<dyn Door>, headers: &HeaderMap) -> Result<Self, Closed> {
        let mut credentials = HeaderMap::new();
        for value in headers.get_all(AUTHORIZATION) {
            credentials.append(AUTHORIZATION, value.clone());
        }
        let (caller, trusted) = door.admit(&credentials)?;
        Ok(Self {
            door,
            credentials,
            caller,
            trusted,
            root: None,
        })
    }

    /// Whether it is let in whatever the snapshot says.
    pub(super) fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// What it may see.
    pub(super) fn viewer(&mut self, snapshot: &Snapshot) -> Result<Viewer, Closed> {
        self.permitted(snapshot)?;
        let scope = if self.trusted {
            Scope::Everything
        } else {
            let root = Arc::clone(snapshot.root_namespace());
            self.root = Some(Arc::clone(&root));
            Scope::Waypoint {
                root,
                account: Account {
                    namespace: Arc::clone(&self.caller.namespace),
                    name: Arc::clone(&self.caller.service_account),
                },
            }
        };
        Ok(Viewer {
            scope,
            node: self.caller.node.clone(),
        })
    }

    /// Whether it still may see what it was let in for. Cheap: asked with every snapshot.
    pub(super) fn permitted(&self, snapshot: &Snapshot) -> Result<(), Closed> {
        let Caller {
            namespace,
            service_account,
            ..
        } = &self.caller;
        if self
            .root
            .as_ref()
            .is_some_and(|root| root != snapshot.root_namespace())
        {
            return Err(Closed::Moved);
        }
        if self.trusted || snapshot.is_waypoint(namespace, service_account) {
            return Ok(());
        }
        Err(Closed::Denied {
            namespace: Arc::clone(namespace),
            service_account: Arc::clone(service_account),
        })
    }

    /// Whether its token is still believed, and says the same.
    pub(super) fn recheck(&self, now: SystemTime) -> Result<(), Closed> {
        if self.caller.expires.is_some_and(|expires| expires <= now) {
            return Err(Closed::Expired);
        }
        let (caller, trusted) = self.door.admit(&self.credentials)?;
        let same = caller.namespace == self.caller.namespace
            && caller.service_account == self.caller.service_account
            && caller.node == self.caller.node
            && trusted == self.trusted;
        if same { Ok(()) } else { Err(Closed::Changed) }
    }

    /// How long the token is good for.
    pub(super) fn left(&self, now: SystemTime) -> Option<Duration> {
        let expires = self.caller.expires?;
        Some(expires.duration_since(now).unwrap_or_default())
    }
}
