//! ZDS: how the node agent hands pods to the node proxy.
//!
//! In: one `SOCK_SEQPACKET` packet, without the file descriptor that may travel beside it.
//! Out: a [`Request`], a [`Hello`] or an [`Ack`]; or the packet for one.
//! Never: sockets, file descriptors, what a request leads to.
//!
//! The proxy connects and sends [`Hello`]. The agent then sends [`Request`]s, first one per pod it
//! knows and [`Request::SnapshotSent`], later each change; the proxy answers every one with an
//! [`Ack`], in order. `proto/zds.proto` documents the fields. Both directions are here because the
//! agent's side is played in tests.

mod message;

use prost::Message as _;

use self::message::{
    AckMessage, AddWorkload, DelWorkload, HelloMessage, KeepWorkload, Payload, ResponsePayload,
    SnapshotSent, WorkloadInfo, WorkloadRequest, WorkloadResponse,
};

/// The longest packet that either side sends or reads. Source: the agent's read buffer.
pub const MAX_PACKET_BYTES: usize = 1024;

/// The longest error text an [`Ack`] carries: what fits beside the headers of `WorkloadResponse` and
/// `Ack`, which are a tag and a length of three bytes each.
pub const MAX_ACK_ERROR_BYTES: usize = MAX_PACKET_BYTES - 6;

/// The one protocol version there is. Source: `ZdsHello.version`, `V1`.
const VERSION_1: i32 = 1;

/// Which pod a network namespace belongs to. No part is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodInfo {
    /// `metadata.name` of the pod.
    pub name: String,
    /// `metadata.namespace` of the pod.
    pub namespace: String,
    /// `spec.serviceAccountName` of the pod.
    pub service_account: String,
}

/// What the agent tells the proxy. `uid` is the pod's `metadata.uid` and never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Serve this pod; exactly one network namespace file descriptor came with the packet.
    Add {
        /// The pod's `metadata.uid`.
        uid: String,
        /// Who the pod is.
        pod: PodInfo,
    },
    /// Go on serving a pod whose network namespace has not changed; no file descriptor.
    Keep {
        /// The pod's `metadata.uid`.
        uid: String,
    },
    /// The pod is gone or has left the mesh: cut its connections at once.
    Del {
        /// The pod's `metadata.uid`.
        uid: String,
    },
    /// Every pod was mentioned: forget the ones that were not, and be ready.
    SnapshotSent,
}

/// The proxy's first packet on a connection: it speaks version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hello;

/// The proxy's answer to one request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Ack {
    /// Why the request failed; the proxy goes on trying. `None` is success; never empty.
    pub error: Option<String>,
}

/// Why a packet was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than [`MAX_PACKET_BYTES`].
    #[error("packet of {bytes} bytes, expected at most {MAX_PACKET_BYTES}")]
    TooLong {
        /// The packet's length.
        bytes: usize,
    },
    /// Not protobuf, or a field of the wrong type.
    #[error("{message}: expected a protobuf message")]
    Malformed {
        /// The message that was expected.
        message: &'static str,
        /// Where decoding stopped.
        source: prost::DecodeError,
    },
    /// Nothing in the packet is known to this version.
    #[error("{field}: none is set, expected one of {expected}")]
    NoVariant {
        /// The oneof, as `Message.oneof`.
        field: &'static str,
        /// Its known members.
        expected: &'static str,
    },
    /// A text that must be there is empty.
    #[error("{field}: empty, expected {expected}")]
    Empty {
        /// The field, as `Message.field`.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A message within the message is absent.
    #[error("{field}: absent, expected {expected}")]
    Absent {
        /// The field, as `Message.field`.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// The peer speaks another version.
    #[error("ZdsHello.version: {version}, expected V1 ({VERSION_1})")]
    Version {
        /// The version's number.
        version: i32,
    },
}

impl Request {
    /// Reads a packet of the agent.
    ///
    /// # Errors
    ///
    /// Every packet that is not one complete, known request; see [`Error`].
    pub fn decode(packet: &[u8]) -> Result<Self, Error> {
        let request: WorkloadRequest = decode("WorkloadRequest", packet)?;
        match request.payload {
            Some(Payload::Add(AddWorkload { uid, workload_info })) => {
                let uid = pod_uid("AddWorkload.uid", uid)?;
                let Some(info) = workload_info else {
                    return Err(Error::Absent {
                        field: "AddWorkload.workload_info",
                        expected: "the pod's name, namespace and service account",
                    });
                };
                Ok(Self::Add {
                    uid,
                    pod: pod_info(info)?,
                })
            }
            Some(Payload::Keep(KeepWorkload { uid })) => Ok(Self::Keep {
                uid: pod_uid("KeepWorkload.uid", uid)?,
            }),
            Some(Payload::Del(DelWorkload { uid })) => Ok(Self::Del {
                uid: pod_uid("DelWorkload.uid", uid)?,
            }),
            Some(Payload::SnapshotSent(SnapshotSent {})) => Ok(Self::SnapshotSent),
            None => Err(Error::NoVariant {
                field: "WorkloadRequest.payload",
                expected: "add, del, snapshot_sent, keep",
            }),
        }
    }

    /// The packet for this request.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] if the names do not fit one packet.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let payload = match self.clone() {
            Self::Add { uid, pod } => {
                let PodInfo {
                    name,
                    namespace,
                    service_account,
                } = pod;
                let workload_info = Some(WorkloadInfo {
                    name,
                    namespace,
                    service_account,
                });
                Payload::Add(AddWorkload { uid, workload_info })
            }
            Self::Keep { uid } => Payload::Keep(KeepWorkload { uid }),
            Self::Del { uid } => Payload::Del(DelWorkload { uid }),
            Self::SnapshotSent => Payload::SnapshotSent(SnapshotSent {}),
        };
        let packet = WorkloadRequest {
            payload: Some(payload),
        }
        .encode_to_vec();
        bounded(&packet)?;
        Ok(packet)
    }
}

impl Hello {
    /// Reads the proxy's first packet.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] if it speaks another version, else see [`Error`].
    pub fn decode(packet: &[u8]) -> Result<Self, Error> {
        let hello: HelloMessage = decode("ZdsHello", packet)?;
        if hello.version == VERSION_1 {
            Ok(Self)
        } else {
            Err(Error::Version {
                version: hello.version,
            })
        }
    }

    /// The proxy's first packet.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        HelloMessage { version: VERSION_1 }.encode_to_vec()
    }
}

impl Ack {
    /// The answer to a request that was carried out.
    #[must_use]
    pub fn ok() -> Self {
        Self { error: None }
    }

    /// The answer to a request that failed; `error` is cut to [`MAX_ACK_ERROR_BYTES`].
    #[must_use]
    pub fn failed(error: &str) -> Self {
        // An empty text would read as success.
        let error = if error.is_empty() {
            "unknown error"
        } else {
            cut(error)
        };
        Self {
            error: Some(error.to_owned()),
        }
    }

    /// Reads an answer of the proxy.
    ///
    /// # Errors
    ///
    /// Every packet that is not one answer; see [`Error`].
    pub fn decode(packet: &[u8]) -> Result<Self, Error> {
        let response: WorkloadResponse = decode("WorkloadResponse", packet)?;
        match response.payload {
            Some(ResponsePayload::Ack(AckMessage { error })) => Ok(Self {
                error: if error.is_empty() { None } else { Some(error) },
            }),
            None => Err(Error::NoVariant {
                field: "WorkloadResponse.payload",
                expected: "ack",
            }),
        }
    }

    /// The packet for this answer, within [`MAX_PACKET_BYTES`] whatever the error text is: a cut
    /// reason serves the agent better than no answer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let error = self.error.as_deref().map_or("", cut).to_owned();
        WorkloadResponse {
            payload: Some(ResponsePayload::Ack(AckMessage { error })),
        }
        .encode_to_vec()
    }
}

fn decode<M: prost::Message + Default>(message: &'static str, packet: &[u8]) -> Result<M, Error> {
    bounded(packet)?;
    M::decode(packet).map_err(|source| Error::Malformed { message, source })
}

fn bounded(packet: &[u8]) -> Result<(), Error> {
    if packet.len() > MAX_PACKET_BYTES {
        return Err(Error::TooLong {
            bytes: packet.len(),
        });
    }
    Ok(())
}

fn pod_uid(field: &'static str, uid: String) -> Result<String, Error> {
    filled(field, "the pod's metadata.uid", uid)
}

fn pod_info(info: WorkloadInfo) -> Result<PodInfo, Error> {
    let WorkloadInfo {
        name,
        namespace,
        service_account,
    } = info;
    Ok(PodInfo {
        name: filled("WorkloadInfo.name", "the pod's name", name)?,
        namespace: filled("WorkloadInfo.namespace", "the pod's namespace", namespace)?,
        service_account: filled(
            "WorkloadInfo.service_account",
            "the pod's service account",
            service_account,
        )?,
    })
}

fn filled(field: &'static str, expected: &'static str, text: String) -> Result<String, Error> {
    if text.is_empty() {
        Err(Error::Empty { field, expected })
    } else {
        Ok(text)
    }
}

/// The longest prefix of whole characters within [`MAX_ACK_ERROR_BYTES`].
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_ACK_ERROR_BYTES))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
