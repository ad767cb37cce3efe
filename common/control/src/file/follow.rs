//! The task that keeps the mesh as the file says.
//!
//! In: a [`Source`]. Out: deltas to the [`Publisher`], the file's fate to the [`FileStatus`] and the log.
//! Never: blocks its runtime; reading, parsing and publishing run on the blocking pool, one at a time.
//!
//! One task; whoever spawned it stops it by dropping or aborting it. At any await everything that was read has
//! either been published or not been begun, except for one round on the blocking pool, which runs to its end.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use tokio::time;

use super::{
    Defaults, FileError, FileStatus, Resources, Source, parse_with, read, watch::DirectoryWatch,
};
use crate::publish::Publisher;

/// How long the directory has to be quiet before the file is read: a writer writes more than once.
const QUIET: Duration = Duration::from_millis(50);
/// How long to wait for that quiet: other files of the directory may never be.
const MAX_UNQUIET: Duration = Duration::from_secs(1);
/// How often the file is read without being told of a change: where a symlink leads to another directory, and
/// where an event was lost.
const POLL: Duration = Duration::from_secs(10);
/// The same while nothing can tell, because the directory is not there or cannot be watched.
const POLL_UNWATCHED: Duration = Duration::from_secs(1);
/// How often a file that changes while it is read is read again before that is reported.
const MAX_READS: u32 = 10;

/// Keeps the mesh as `source` says, for as long as it is polled: returns only for [`Source::Text`], once that is
/// published, or refused.
///
/// A first version that is good is published even if it is empty, so that readers see a snapshot version above 0.
/// A version that is bad changes nothing; what was delivered stays in force, also when the file disappears.
pub async fn run(
    source: Source,
    defaults: Defaults,
    publisher: Arc<Publisher>,
    status: FileStatus,
) {
    let name = source.name().into_owned();
    status.follows(&name);
    let mut round = Round {
        source,
        defaults,
        name,
        publisher,
        status,
        delivered: None,
        seen: None,
    };
    let Source::Path(path) = &round.source else {
        next(round).await;
        return;
    };
    let mut watch = DirectoryWatch::new(path);
    // Before the first reading, so that no change falls between the two.
    watch.renew();
    loop {
        let poll = if watch.stands() { POLL } else { POLL_UNWATCHED };
        let Some(after) = next(round).await else {
            return;
        };
        round = after;
        tokio::select! {
            () = watch.changed() => quiet(&watch).await,
            () = time::sleep(poll) => {}
        }
        watch.renew();
    }
}

/// Waits until nothing has changed for a moment.
async fn quiet(watch: &DirectoryWatch) {
    let settled = async { while time::timeout(QUIET, watch.changed()).await.is_ok() {} };
    if time::timeout(MAX_UNQUIET, settled).await.is_err() {
        tracing::debug!(
            "the directory of the configuration file keeps changing, reading it all the same"
        );
    }
}

/// Takes one round on the blocking pool, more while the file changes under it.
async fn next(mut round: Round) -> Option<Round> {
    for last in (0..MAX_READS).rev() {
        let taken = tokio::task::spawn_blocking(move || {
            let outcome = round.take(last == 0);
            (round, outcome)
        });
        match taken.await {
            Ok((after, Outcome::Settled)) => return Some(after),
            Ok((after, Outcome::Changing)) => {
                round = after;
                time::sleep(QUIET).await;
            }
            Err(error) => {
                // Only when the runtime stops, or by a bug of ours; what was delivered stays in force.
                tracing::error!(%error, "the configuration file is no longer followed");
                return None;
            }
        }
    }
    Some(round)
}

/// What is remembered from one reading of the file to the next.
struct Round {
    source: Source,
    defaults: Defaults,
    name: String,
    publisher: Arc<Publisher>,
    status: FileStatus,
    /// What was published last; `None` before the first time.
    delivered: Option<Resources>,
    /// The hash of the text that was judged last, good or bad; `None` where it could not be read.
    seen: Option<u64>,
}

/// How a round ended.
enum Outcome {
    /// The file was judged, or cannot be read.
    Settled,
    /// It changed while it was read.
    Changing,
}

impl Round {
    /// Reads the file, and judges it if it is not what was judged last.
    fn take(&mut self, last_try: bool) -> Outcome {
        let text = match &self.source {
            Source::Path(path) => read::text(path, &self.name),
            Source::Text(text) => Ok(text.clone()),
        };
        match text {
            Ok(text) => {
                let mut hasher = DefaultHasher::new();
                text.hash(&mut hasher);
                let seen = Some(hasher.finish());
                if self.seen != seen {
                    self.seen = seen;
                    self.judge(&text);
                }
            }
            Err(FileError::Changing { .. }) if !last_try => return Outcome::Changing,
            Err(error) => {
                self.seen = None;
                self.refuse(&error);
            }
        }
        Outcome::Settled
    }

    fn judge(&mut self, text: &str) {
        match parse_with(text, &self.name, &self.defaults) {
            Ok(resources) => self.accept(resources),
            Err(error) => self.refuse(&error),
        }
    }

    fn accept(&mut self, mut resources: Resources) {
        let nothing = Resources::default();
        let previous = self.delivered.as_ref().unwrap_or(&nothing);
        // The snapshot holds the previous objects: where they are equal, so does what is remembered here.
        resources.share(previous);
        let delta = resources.changes_since(previous);
        let (upserts, removals) = (delta.upserts.len(), delta.removals.len());
        let version = if self.delivered.is_some() && delta.is_empty() {
            self.publisher.version()
        } else {
            self.publisher.publish(delta)
        };
        for warning in &resources.warnings {
            let line = warning.position.line;
            tracing::warn!(file = %self.name, line, field = %warning.field, "configuration without effect: {}", warning.text);
        }
        let (workloads, services) = (resources.workloads.len(), resources.services.len());
        let policies = resources.policies.len();
        tracing::info!(
            file = %self.name, version, upserts, removals, workloads, services, policies,
            "configuration file accepted"
        );
        self.status.accept(&resources, version);
        self.delivered = Some(resources);
    }

    fn refuse(&self, error: &FileError) {
        // A file that stays bad is read again and again; it is told of once.
        if !self.status.refuse(error) {
            return;
        }
        let cause = std::error::Error::source(error).map(tracing::field::display);
        let consequence = if self.delivered.is_some() {
            "configuration file refused, the last good one stays in force"
        } else {
            "configuration file refused, nothing of it is in force"
        };
        tracing::error!(
            file = %self.name, line = error.line(), column = error.column(), field = error.field(), %error, cause,
            "{consequence}"
        );
    }
}
