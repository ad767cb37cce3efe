//! A file that is read again when it changes, at the moment when somebody needs it.
//!
//! In: a path, and how its bytes are read. Out: the last good value. Never: reads more than once in
//! [`INTERVAL`], however many ask.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::ca::StateError;

/// How often the file is looked at, at most.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

/// A file that was written so recently can be written again without a trace in its times.
const SETTLED: Duration = Duration::from_secs(2);

/// How the bytes become a value; `None` is a file that is not there.
type Read<T> = Box<dyn Fn(Option<&[u8]>) -> Result<T, String> + Send + Sync>;

/// How the bytes are fetched: whoever's file it is, or only ours.
type Fetch = fn(&Path, u64) -> Result<Option<Vec<u8>>, StateError>;

/// A value that a file holds.
pub(super) struct Kept<T> {
    path: PathBuf,
    max_bytes: u64,
    fetch: Fetch,
    read: Read<T>,
    value: ArcSwap<T>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    looked: Option<Instant>,
    stamp: Option<Stamp>,
    failure: Option<String>,
}

/// What changes when a file changes.
#[derive(Clone, PartialEq, Eq)]
struct Stamp {
    /// Device, inode, size, modified, changed; `None` is a file that is not there.
    file: Option<[i128; 5]>,
}

impl<T> Kept<T> {
    /// Begins with `value`, as if the file had not been looked at.
    pub(super) fn new(
        path: &Path,
        max_bytes: u64,
        fetch: Fetch,
        value: T,
        read: impl Fn(Option<&[u8]>) -> Result<T, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            path: path.to_path_buf(),
            max_bytes,
            fetch,
            read: Box::new(read),
            value: ArcSwap::from_pointee(value),
            seen: Mutex::default(),
        }
    }

    /// The value, after a look at the file unless there was one just now.
    pub(super) fn load(&self, instant: Instant, now: SystemTime) -> Arc<T> {
        self.refresh(instant, now);
        self.value.load_full()
    }

    /// Looks at the file unless there was a look just now; a failure is reported once, and the value stays.
    pub(super) fn refresh(&self, instant: Instant, now: SystemTime) {
        // Somebody else is looking: what was there before is good enough.
        let Some(mut seen) = self.seen.try_lock() else {
            return;
        };
        let recent = |looked: Instant| instant.saturating_duration_since(looked) < INTERVAL;
        if seen.looked.is_some_and(recent) {
            return;
        }
        seen.looked = Some(instant);
        let failure = match self.look(seen.stamp.as_ref(), now) {
            Ok(None) => return,
            Ok(Some((value, stamp))) => {
                seen.stamp = stamp;
                self.value.store(Arc::new(value));
                None
            }
            Err(failure) => {
                seen.stamp = None;
                Some(failure)
            }
        };
        if seen.failure != failure {
            match &failure {
                Some(error) => {
                    tracing::error!(file = %self.path.display(), error, "the last good state of the file stays");
                }
                None => tracing::info!(file = %self.path.display(), "the file is good again"),
            }
            seen.failure = failure;
        }
    }

    /// The value of a file that is not the one of `before`.
    fn look(
        &self,
        before: Option<&Stamp>,
        now: SystemTime,
    ) -> Result<Option<(T, Option<Stamp>)>, String> {
        let (stamp, changed) = match fs::metadata(&self.path) {
            Ok(metadata) => {
                let file = [
                    metadata.dev().into(),
                    metadata.ino().into(),
                    metadata.size().into(),
                    i128::from(metadata.mtime()) * 1_000_000_000
                        + i128::from(metadata.mtime_nsec()),
                    i128::from(metadata.ctime()) * 1_000_000_000
                        + i128::from(metadata.ctime_nsec()),
                ];
                let changed = u64::try_from(metadata.ctime()).unwrap_or_default();
                let changed = UNIX_EPOCH.checked_add(Duration::from_secs(changed));
                (Stamp { file: Some(file) }, changed)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Stamp { file: None }, None),
            Err(error) => return Err(error.to_string()),
        };
        if before == Some(&stamp) {
            return Ok(None);
        }
        let bytes = (self.fetch)(&self.path, self.max_bytes)
            .map_err(|error| grpc::status::chain(&error))?;
        let value = (self.read)(bytes.as_deref())?;
        let settled = changed
            .is_none_or(|changed| now.duration_since(changed).is_ok_and(|age| age >= SETTLED));
        // Between the look and the reading it may have come or gone.
        let same = bytes.is_some() == stamp.file.is_some();
        Ok(Some((value, (settled && same).then_some(stamp))))
    }
}

impl<T> std::fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
