//! A pod whose addresses change, where capture knows it by them; and one whose server has died.
//!
//! In: a pod that is served. Out: more listeners for it, or all of them anew where a successor has taken the pod over and died.
//! Never: a pod that is not served any more, or by a successor.

use std::{sync::Arc, time::Duration};

use net::{addresses::AddressChanges, drain::Phase};
use tokio::{sync::watch, task::AbortHandle};

use super::{PAUSE_RETRY, Pods};
use crate::{capture::redirection::Follow, pod::Pod};

/// How long changes are gathered: what is configured together comes together.
const PAUSE_SETTLE: Duration = Duration::from_millis(50);
/// Rest after a pod was captured again: who changes addresses without end costs no more than that.
const PAUSE_AGAIN: Duration = Duration::from_secs(1);

impl Pods {
    /// Captures a pod again whenever its addresses have changed, until it goes. `tasks` serve the listeners that it has.
    pub(super) async fn follow(
        self: Arc<Self>,
        pod: Arc<Pod>,
        home: usize,
        follow: Follow,
        mut tasks: Vec<AbortHandle>,
        listeners: Arc<watch::Sender<()>>,
    ) {
        let Follow {
            ebpf,
            mut changes,
            mut standing,
        } = follow;
        let (name, namespace) = (&pod.info.name, &pod.info.namespace);
        let mut draining = pod.draining();
        loop {
            let changed = tokio::select! {
                changed = changes.changed() => changed,
                // Whoever has taken it over may have died, or the last time failed.
                () = tokio::time::sleep(PAUSE_RETRY) => Ok(()),
                () = draining.reached(Phase::Draining) => return,
            };
            if let Err(error) = changed {
                tracing::warn!(pod = %name, %namespace, %error, "addresses cannot be followed; asking again");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE_RETRY) => {}
                    () = draining.reached(Phase::Draining) => return,
                }
                // What has changed meanwhile is seen below. One that fails like the last comes back here.
                if let Ok(again) = AddressChanges::watch(&pod.netns) {
                    changes = again;
                }
            }
            tokio::time::sleep(PAUSE_SETTLE).await;
            let captured = {
                let _turn = self.turn.lock().await;
                if !self.serves(&pod) || draining.phase() != Phase::Running {
                    return;
                }
                ebpf.enrol_again(&pod.netns, &standing).await
            };
            match captured {
                Ok(None) => {}
                Ok(Some(captured)) => {
                    let is_anew = captured.doors.len() == captured.places.len();
                    let new = self.open(&pod, captured.doors, home, &listeners);
                    if is_anew {
                        tracing::warn!(pod = %name, %namespace, "pod taken back from a successor that has died");
                        for task in std::mem::replace(&mut tasks, new) {
                            task.abort();
                        }
                    } else {
                        tracing::info!(pod = %name, %namespace, "captured again with other addresses");
                        tasks.extend(new);
                    }
                    (standing.places, standing.addresses) = (captured.places, captured.addresses);
                    *pod.sources.lock() = captured.sources;
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE_AGAIN) => {}
                        () = draining.reached(Phase::Draining) => return,
                    }
                }
                Err(error) if error.is_superseded() => {
                    tracing::debug!(pod = %name, %namespace, "left to the successor");
                }
                Err(error) => {
                    tracing::warn!(pod = %name, %namespace, %error, "pod is captured with its old addresses; trying again");
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
