//! The authority with a root of its own: reads what is kept, takes each step of a rotation, signs the list of
//! revoked certificates.
//!
//! In: the state folder, the time. Out: a [`Signer`] whenever what signs or what is believed has changed.
//! Never: uses a root that is not on the disk yet; begins anew where something was.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use super::{
    AuthorityError, Options,
    kept::{self, Kept},
    revocation::{self, Listed, Revoked},
    root::{Root, RootError},
    rotation::{Pace, Stage, Step},
    signer::Signer,
    state::{self, SECRET, StateDir, StateError},
};

/// The file that asks for a rotation. **Shape**: the fingerprint of the root that shall be replaced, so that
/// a request that was carried out before a crash is not carried out again after it.
const REQUEST: &str = "rotate";

/// A fingerprint has 64 bytes.
const MAX_REQUEST_BYTES: u64 = 1024;

/// The roots' bundle.
pub(crate) const BUNDLE: &str = "root-cert.pem";

/// Two roots are 2 KiB.
const MAX_BUNDLE_BYTES: u64 = 1 << 20;

/// The controller's own roots.
pub(crate) struct Own {
    kept: Kept,
    list: Option<List>,
    /// The lines of `revoked` that were reported as bad.
    reported: Vec<u32>,
}

/// The list of revoked certificates as it was published last.
struct List {
    revoked: Vec<Revoked>,
    roots: Vec<String>,
    signed: SystemTime,
}

/// Why no rotation was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// What is kept.
    #[error(transparent)]
    Kept(#[from] kept::KeptError),
    /// Nothing to rotate.
    #[error(
        "the state folder holds no root of the controller's own; another authority is replaced in cacerts"
    )]
    NoRoot,
}

/// Has the running controller replace the root that signs now, or the next that starts from the folder.
///
/// While a rotation is under way the request is part of it, as long as the old root signs; later it waits for
/// the end of that rotation.
///
/// # Errors
/// [`RotateError`].
pub fn request_rotation(state_dir: &Path) -> Result<(), RotateError> {
    let state = StateDir::open(state_dir)?;
    // The running controller takes its steps under this lock: the root that is read here is the one that signs
    // when the request is there.
    let _edit = state.edit()?;
    let kept = Kept::read(&state)?.ok_or(RotateError::NoRoot)?;
    let fingerprint = kept.stage.signing().fingerprint();
    state.write(REQUEST, SECRET, format!("{fingerprint}\n").as_bytes())?;
    Ok(())
}

impl Own {
    /// Reads what is kept, or makes the first root of a mesh.
    pub(crate) fn load_or_create(
        state: &StateDir,
        options: &Options,
        now: SystemTime,
    ) -> Result<Self, AuthorityError> {
        let kept = match Kept::read(state)? {
            Some(mut kept) => {
                // Leaves of the earlier, longer life are still about; shorter counts after a rotation.
                if kept.longest_leaf < options.max_ttl {
                    kept.longest_leaf = options.max_ttl;
                    kept.write(state)?;
                }
                kept
            }
            None if state.file(BUNDLE).exists() => return Err(AuthorityError::Orphan),
            None => {
                let root = make(options, now).map_err(AuthorityError::Root)?;
                tracing::info!(
                    fingerprint = root.fingerprint(),
                    trust_domain = options.trust_domain,
                    "made the root of a new mesh"
                );
                let kept = Kept {
                    stage: Stage::Steady {
                        signing: root.into(),
                    },
                    longest_leaf: options.max_ttl,
                };
                kept.write(state)?;
                kept
            }
        };
        Ok(Self {
            kept,
            list: None,
            reported: Vec::new(),
        })
    }

    /// What signs now.
    pub(crate) fn signer(&self, now: SystemTime) -> Result<Signer, AuthorityError> {
        let signing = self.kept.stage.signing();
        let roots: Vec<_> = self
            .kept
            .stage
            .roots()
            .into_iter()
            .map(|root| root.certificate().clone())
            .collect();
        let key = signing.key().map_err(AuthorityError::Root)?;
        Signer::new(&[signing.certificate().clone()], key, &roots, now)
            .map_err(AuthorityError::Signer)
    }

    /// Takes the steps that are due. `Some` is the new signer, after what it needs is on the disk.
    pub(crate) fn tick(
        &mut self,
        state: &StateDir,
        options: &Options,
        now: SystemTime,
    ) -> Result<Option<Signer>, AuthorityError> {
        let mut changed = false;
        // After a long absence several steps are due at once.
        while self.step(state, options, now)? {
            changed = true;
        }
        if changed {
            self.signer(now).map(Some)
        } else {
            Ok(None)
        }
    }

    fn step(
        &mut self,
        state: &StateDir,
        options: &Options,
        now: SystemTime,
    ) -> Result<bool, AuthorityError> {
        let stage = &self.kept.stage;
        let pace = Pace {
            longest_leaf: self.kept.longest_leaf,
            renew_below: options.renew_root_below,
        };
        // Most of the time there is nothing to do, and nobody is waited for.
        if stage.due(pace, false, now) == Step::Stay && !state.file(REQUEST).exists() {
            return Ok(false);
        }
        let _edit = state.edit()?;
        let request = state.read(REQUEST, MAX_REQUEST_BYTES)?;
        let requested = request.as_ref().is_some_and(|bytes| {
            String::from_utf8_lossy(bytes).trim() == stage.signing().fingerprint()
        });
        let step = match stage.due(pace, requested, now) {
            Step::Switch if !stage.is_ending(now) && !is_published(state, stage) => {
                tracing::warn!(
                    "root-cert.pem lacks the next root; it is announced for as long again before it signs"
                );
                Step::AnnounceAgain
            }
            step @ (Step::Stay
            | Step::Announce
            | Step::AnnounceAgain
            | Step::Switch
            | Step::Retire) => step,
        };
        if step != Step::Stay {
            let mut next = Kept {
                stage: stage
                    .after(step, now, || make(options, now))
                    .map_err(AuthorityError::Root)?,
                longest_leaf: self.kept.longest_leaf,
            };
            match step {
                // What a shorter limit leaves behind has ended with the rotation.
                Step::Retire => next.longest_leaf = options.max_ttl,
                Step::Stay | Step::Announce | Step::AnnounceAgain | Step::Switch => {}
            }
            next.write(state)?;
            self.kept = next;
            tracing::info!(
                stage = self.kept.stage.name(),
                signing = self.kept.stage.signing().fingerprint(),
                "the rotation of the root went on"
            );
        }
        // It is carried out by an announcement, void for another root, and waits for the end of a rotation.
        let waits = requested
            && match &self.kept.stage {
                Stage::Steady { .. } | Stage::Switched { .. } => true,
                Stage::Announced { .. } => false,
            };
        if request.is_some() && !waits {
            state.remove(REQUEST)?;
        }
        Ok(step != Step::Stay)
    }

    /// Signs and publishes the list of revoked certificates where it has changed or has lived for half its life.
    pub(crate) fn publish_list(
        &mut self,
        state: &StateDir,
        now: SystemTime,
    ) -> Result<(), AuthorityError> {
        let Listed { revoked, bad } = revocation::revoked(state)?;
        if bad != self.reported {
            if let Some(line) = bad.first() {
                tracing::error!(file = %state.file(revocation::REVOKED).display(), line, lines = bad.len(),
                    "not `<serial number> <time>`, or too many; these certificates are not revoked");
            }
            self.reported = bad;
        }
        let roots: Vec<String> = self
            .kept
            .stage
            .roots()
            .into_iter()
            .map(|root| root.fingerprint())
            .collect();
        if revoked.is_empty() {
            if self.list.take().is_some() || state.file(revocation::PUBLISHED).exists() {
                state.remove(revocation::PUBLISHED)?;
            }
            return Ok(());
        }
        let fresh = self.list.as_ref().is_some_and(|list| {
            let age = now.duration_since(list.signed).unwrap_or(Duration::MAX);
            list.revoked == revoked && list.roots == roots && age < revocation::LIST_LIFE / 2
        });
        if fresh && state.file(revocation::PUBLISHED).exists() {
            return Ok(());
        }
        // Only its number counts; whoever wrote it, it is replaced.
        let at = state.file(revocation::PUBLISHED);
        let published = state::read(&at, revocation::MAX_CRL_BYTES)?;
        let number = revocation::next_number(published.as_deref(), now);
        let signers = self.kept.stage.roots().into_iter().map(AsRef::as_ref);
        let text = revocation::sign(signers, &revoked, number, now)?;
        state.publish(revocation::PUBLISHED, text.as_bytes())?;
        tracing::info!(
            revoked = revoked.len(),
            number,
            "published the list of revoked certificates"
        );
        self.list = Some(List {
            revoked,
            roots,
            signed: now,
        });
        Ok(())
    }

    /// For people and tests.
    pub(crate) fn stage(&self) -> &Stage {
        &self.kept.stage
    }
}

/// Whether everybody who mounts the bundle can have all roots of a stage by now.
fn is_published(state: &StateDir, stage: &Stage) -> bool {
    let Ok(Some(bytes)) = state.read(BUNDLE, MAX_BUNDLE_BYTES) else {
        return false;
    };
    let bundle = String::from_utf8_lossy(&bytes);
    stage
        .roots()
        .into_iter()
        .all(|root| bundle.contains(&root.certificate_pem()))
}

fn make(options: &Options, now: SystemTime) -> Result<Root, RootError> {
    Root::generate(&options.trust_domain, options.root_life, now)
}
