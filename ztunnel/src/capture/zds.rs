//! The conversation with the node's CNI agent: which pods to serve.
//!
//! In: ZDS packets and namespace descriptors. Out: calls of [`Pods`], one acknowledgement per request, in order.
//! Never: stops serving because the agent is gone; lets one pod's failure hold up another's.
//!
//! Tasks: one, on the control runtime. Dropping it leaves the pods as they are.

use std::{
    convert::Infallible,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use net::seqpacket::{Packet, SeqPacket};
use telemetry::admin::Condition;
use wire::zds::{Ack, Hello, MAX_PACKET_BYTES, Request};

use super::pods::Pods;

/// First pause before the agent is called again, doubled up to [`PAUSE_LONGEST`].
const PAUSE_FIRST: Duration = Duration::from_millis(10);
/// Longest pause. The agent accepts 5 connections per second from all.
const PAUSE_LONGEST: Duration = Duration::from_secs(2);

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("cannot reach the agent: {0}")]
    Io(#[from] io::Error),
    #[error("the agent has closed the connection")]
    Closed,
    #[error("the agent broke the protocol: {0}")]
    Protocol(#[from] wire::zds::Error),
    #[error("the agent broke the protocol: expected {expected} with {request}, got {got}")]
    Descriptors {
        request: &'static str,
        expected: &'static str,
        got: usize,
    },
}

/// Follows the agent for ever.
pub async fn follow(path: PathBuf, pods: Arc<Pods>, heard_all: Condition) {
    let mut pause = PAUSE_FIRST;
    loop {
        // Its whole snapshot: an agent that breaks off in the middle each time is not called at full speed.
        let mut heard = false;
        let Err(ended) = converse(&path, &pods, &heard_all, &mut heard).await;
        if heard {
            pause = PAUSE_FIRST;
        }
        tracing::warn!(path = %path.display(), error = %ended, "agent connection ended; serving goes on, calling again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_LONGEST);
    }
}

async fn converse(
    path: &Path,
    pods: &Arc<Pods>,
    heard_all: &Condition,
    heard: &mut bool,
) -> Result<Infallible, Ended> {
    let socket = SeqPacket::connect(path)?;
    socket.send(&Hello.encode()).await?;
    tracing::info!(path = %path.display(), "connected to the agent");
    let mut mentioned = Vec::new();
    let mut in_snapshot = true;
    loop {
        let Packet { bytes, descriptors } = socket
            .receive(MAX_PACKET_BYTES)
            .await?
            .ok_or(Ended::Closed)?;
        let request = Request::decode(&bytes)?;
        let result = match request {
            Request::Add { uid, pod } => {
                let netns = one("add", descriptors)?;
                mentioned.push(uid.clone());
                pods.add(uid, pod, netns)
                    .await
                    .map_err(|error| error.to_string())
            }
            Request::Keep { uid } => {
                none("keep", &descriptors)?;
                let known = pods.contains(&uid);
                mentioned.push(uid.clone());
                if known {
                    Ok(())
                } else {
                    Err(format!(
                        "keep: pod {uid} is not known, expected add with its namespace"
                    ))
                }
            }
            Request::Del { uid } => {
                none("del", &descriptors)?;
                mentioned.retain(|known| *known != uid);
                pods.remove(&uid).await;
                Ok(())
            }
            Request::SnapshotSent => {
                none("snapshot_sent", &descriptors)?;
                if in_snapshot {
                    pods.retain(&mentioned).await;
                    in_snapshot = false;
                    *heard = true;
                    heard_all.meet();
                }
                Ok(())
            }
        };
        if !in_snapshot {
            mentioned = Vec::new();
        }
        if let Err(error) = &result {
            tracing::warn!(%error, "pod is not served yet; trying again");
        }
        let ack = match result {
            Ok(()) => Ack::ok(),
            Err(error) => Ack::failed(&error),
        };
        socket.send(&ack.encode()).await?;
    }
}

fn one(request: &'static str, mut descriptors: Vec<OwnedFd>) -> Result<OwnedFd, Ended> {
    let got = descriptors.len();
    match (descriptors.pop(), got) {
        (Some(descriptor), 1) => Ok(descriptor),
        _ => Err(Ended::Descriptors {
            request,
            expected: "one descriptor",
            got,
        }),
    }
}

fn none(request: &'static str, descriptors: &[OwnedFd]) -> Result<(), Ended> {
    if descriptors.is_empty() {
        Ok(())
    } else {
        Err(Ended::Descriptors {
            request,
            expected: "no descriptor",
            got: descriptors.len(),
        })
    }
}
