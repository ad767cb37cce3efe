//! A pod whose addresses change, where capture knows it by them.
//!
//! In: a pod that is served. Out: other listeners for it. Never: a pod that is not served any more.

use std::{sync::Arc, time::Duration};

use net::drain::Phase;
use tokio::task::AbortHandle;

use super::{PAUSE_RETRY, Pods};
use crate::{capture::redirection::Follow, pod::Pod};

/// How long changes are gathered: what is configured together comes together.
const PAUSE_SETTLE: Duration = Duration::from_millis(50);
/// How long listeners stay that others have taken over from: as long as a handshake may be under way that began with
/// them. Also what bounds how often a pod can have this done.
const PAUSE_RETIRE: Duration = Duration::from_secs(3);

impl Pods {
    /// Captures a pod again whenever its addresses have changed, until it goes. `tasks` serve the listeners that it has.
    pub(super) async fn follow(
        self: Arc<Self>,
        pod: Arc<Pod>,
        home: usize,
        follow: Follow,
        mut tasks: Vec<AbortHandle>,
    ) {
        let Follow {
            ebpf,
            changes,
            mut known,
        } = follow;
        let mut draining = pod.draining();
        let mut rest = Duration::ZERO;
        loop {
            let changed = tokio::select! {
                changed = changes.changed(), if rest.is_zero() => changed,
                // The last time failed.
                () = tokio::time::sleep(rest), if !rest.is_zero() => Ok(()),
                () = draining.reached(Phase::Draining) => return,
            };
            if let Err(error) = changed {
                tracing::error!(pod = %pod.info.name, namespace = %pod.info.namespace, %error, "addresses cannot be followed");
                return;
            }
            rest = Duration::ZERO;
            tokio::time::sleep(PAUSE_SETTLE).await;
            let (pods, this) = (Arc::clone(&self), Arc::clone(&pod));
            let is_served = move || pods.serves(&this);
            match ebpf.enrol_again(&pod.netns, &known, is_served).await {
                Ok(None) => {}
                Ok(Some(captured)) => {
                    tracing::info!(pod = %pod.info.name, namespace = %pod.info.namespace, "captured again with other addresses");
                    known = captured.addresses;
                    let old = std::mem::replace(&mut tasks, self.open(&pod, captured.doors, home));
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE_RETIRE) => {}
                        () = draining.reached(Phase::Draining) => return,
                    }
                    for task in old {
                        task.abort();
                    }
                }
                Err(error) => {
                    tracing::warn!(pod = %pod.info.name, namespace = %pod.info.namespace, %error, "pod is captured with its old addresses");
                    rest = PAUSE_RETRY;
                }
            }
        }
    }

    fn serves(&self, pod: &Arc<Pod>) -> bool {
        let served = self.served.lock();
        served
            .get(&pod.uid)
            .is_some_and(|served| Arc::ptr_eq(&served.pod, pod))
    }
}
