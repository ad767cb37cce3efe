//! What failed is tried again: pods that cannot be served, capture that cannot be undone, what a predecessor left.

use std::sync::{Arc, atomic::Ordering};

use net::Netns;

use super::{MAX_PODS, PAUSE_RETRY, Pods};

/// How often the capture of a pod that has left is tried to be undone. Its namespace is kept until then, and most are gone by now but for that.
const MAX_TRIES_LEFT: u32 = 12;

/// A namespace that is captured and not wanted.
#[derive(Debug)]
pub(super) struct Left {
    uid: String,
    netns: Arc<Netns>,
    tries: u32,
}

impl Pods {
    /// Tries again, for ever.
    pub async fn retry(self: Arc<Self>) {
        loop {
            tokio::time::sleep(PAUSE_RETRY).await;
            let failed: Vec<String> = self.failed.lock().keys().cloned().collect();
            for uid in failed {
                let _turn = self.turn.lock().await;
                self.retry_pod(uid).await;
            }
            let left = std::mem::take(&mut *self.left.lock());
            for left in left {
                let _turn = self.turn.lock().await;
                self.undo(left).await;
            }
            let _turn = self.turn.lock().await;
            self.settle().await;
        }
    }

    async fn retry_pod(self: &Arc<Self>, uid: String) {
        // The agent may have let it go meanwhile.
        let Some((info, netns)) = self.failed.lock().get(&uid).cloned() else {
            return;
        };
        match self.prepare(&uid, &netns).await {
            Ok(prepared) => {
                self.failed.lock().remove(&uid);
                self.start(uid, info, netns, prepared);
            }
            Err(error) if error.is_superseded() => {
                tracing::debug!(%error, "pod is left to the successor");
            }
            Err(error) => tracing::warn!(%error, "pod is still not served; trying again"),
        }
    }

    /// Ends the capture of a namespace, unless somebody is to be in it.
    pub(super) async fn release(&self, uid: &str, netns: Arc<Netns>) {
        let left = Left {
            uid: uid.to_owned(),
            netns,
            tries: 0,
        };
        self.undo(left).await;
    }

    async fn undo(&self, mut left: Left) {
        if self.is_wanted(&left.netns) {
            return;
        }
        let netns = Arc::clone(&left.netns);
        let Err(error) = self.redirection.remove(&left.uid, netns).await else {
            return;
        };
        left.tries += 1;
        let again = left.tries < MAX_TRIES_LEFT;
        tracing::warn!(%error, again, "capture of a removed pod is left");
        let mut all = self.left.lock();
        if again && all.len() < MAX_PODS {
            all.push(left);
        }
    }

    /// Forgets what a predecessor has left, as far as it is not needed to keep a pod closed.
    pub(super) async fn settle(&self) {
        if !self.is_unsettled.load(Ordering::Relaxed) {
            return;
        }
        let served = self
            .list()
            .iter()
            .map(|pod| Arc::clone(&pod.netns))
            .collect();
        let failed = {
            let failed = self.failed.lock();
            failed
                .values()
                .map(|(_info, netns)| Arc::clone(netns))
                .collect()
        };
        match self.redirection.retain(served, failed).await {
            Ok(done) => self.is_unsettled.store(!done, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(%error, "what a predecessor captured by eBPF is left; trying again");
            }
        }
    }
}
