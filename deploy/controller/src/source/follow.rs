//! The task that follows the folder.
//!
//! In: a [`Folder`]. Out: a [`Batch`] per look at it that found something new, findings to the [`Status`].
//! Never: blocks its runtime; looking and reading run on the blocking pool, one at a time.
//!
//! One task; whoever spawned it stops it by dropping or aborting it, or by closing the channel. While the receiver
//! is busy nothing is read, so that however much changes meanwhile comes as one batch.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time};

use super::{Batch, Folder, Scan, watch::Watch};
use crate::status::Status;

/// How long the folder has to be quiet before it is read: a writer writes more than once.
const QUIET: Duration = Duration::from_millis(50);
/// How long to wait for that quiet: it may never come.
const MAX_UNQUIET: Duration = Duration::from_secs(1);
/// How often the folder is looked at without being told of a change: where a symlink leads elsewhere, and where an
/// event was lost.
const POLL: Duration = Duration::from_secs(10);
/// The same while not everything is watched, because the folder is not there or there are too many directories.
const POLL_UNWATCHED: Duration = Duration::from_secs(1);

/// Delivers what is in `folder`, and every change of it, for as long as `updates` is open.
///
/// The first batch comes once the folder could be read, even if there is nothing in it: it says "configured".
pub async fn run(mut folder: Folder, updates: mpsc::Sender<Batch>, status: Arc<Status>) {
    let mut watch = Watch::new(folder.root());
    // Before the first look, so that no change falls between the two; the parent tells of the folder itself.
    watch.renew(&BTreeMap::new());
    let mut told = None;
    let mut first = true;
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let scan = folder.scan(net::clock::wall());
            (folder, scan)
        });
        let scan = match looked.await {
            Ok((after, scan)) => {
                folder = after;
                scan
            }
            Err(error) => {
                // Only when the runtime stops, or by a bug of ours; what was delivered stays in force.
                tracing::error!(%error, "the folder of manifests is no longer followed");
                return;
            }
        };
        let Scan {
            batch,
            findings,
            again,
            directories,
        } = scan;
        if told.as_ref() != Some(&findings) {
            status.found(findings.clone());
            told = Some(findings);
        }
        if let Some(batch) = batch.filter(|batch| first || !batch.is_empty()) {
            tracing::info!(
                folder = %folder.root().display(), changes = batch.len(), objects = folder.len(),
                "manifests read"
            );
            first = false;
            if updates.send(batch).await.is_err() {
                return;
            }
        }
        if watch.renew(&directories) {
            continue;
        }
        let poll = match (again, watch.is_whole()) {
            (true, _) => QUIET,
            (false, true) => POLL,
            (false, false) => POLL_UNWATCHED,
        };
        tokio::select! {
            () = watch.changed() => quiet(&watch).await,
            () = time::sleep(poll) => {}
            () = updates.closed() => return,
        }
    }
}

/// Waits until nothing has changed for a moment.
async fn quiet(watch: &Watch) {
    let settled = async { while time::timeout(QUIET, watch.changed()).await.is_ok() {} };
    if time::timeout(MAX_UNQUIET, settled).await.is_err() {
        tracing::debug!("the folder of manifests keeps changing, reading it all the same");
    }
}
