//! What is open to peers whose certificate has been revoked is cut (ID-07).
//!
//! In: changes of the revocation lists. Out: cuts. Never: looks at handshakes, which the verifiers refuse themselves.

use std::sync::Arc;

use identity::{CrlFile, PeerCertificate};

use crate::{capture::pods::Pods, proxy::Proxy};

/// Re-examines every open connection and every tunnel of ours whenever something else is revoked, until it is dropped.
pub async fn enforce(crl: Arc<CrlFile>, proxy: Arc<Proxy>, pods: Arc<Pods>) {
    let mut changes = crl.subscribe();
    while changes.changed().await.is_ok() {
        for pod in pods.list() {
            // Connections first: they are to end for this reason, and not because their tunnel broke under them.
            pod.connections.cut_revoked(|peer| proxy.is_revoked(peer));
            pod.let_go(|peer| !proxy.is_revoked(peer));
        }
    }
}

/// Waits until the certificate of a tunnel's peer is revoked: for ever, where there are no lists.
pub(crate) async fn revoked(proxy: &Proxy, peer: &PeerCertificate) {
    if let Some(crl) = &proxy.crl {
        let mut changes = crl.subscribe();
        loop {
            // Also at once: a list may have come between the handshake and now.
            if proxy.is_revoked(peer) {
                return;
            }
            if changes.changed().await.is_err() {
                break;
            }
        }
    }
    std::future::pending::<()>().await;
}
