//! The protobuf messages of ZDS, field number for field number as `proto/zds.proto` documents them.
//!
//! Names and numbers are the contract with the agent; whatever they may hold is checked in `zds`.

/// Agent to proxy.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WorkloadRequest {
    #[prost(oneof = "Payload", tags = "1, 2, 3, 5")]
    pub(super) payload: Option<Payload>,
}

/// The variants of [`WorkloadRequest`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Payload {
    #[prost(message, tag = "1")]
    Add(AddWorkload),
    #[prost(message, tag = "2")]
    Del(DelWorkload),
    #[prost(message, tag = "3")]
    SnapshotSent(SnapshotSent),
    #[prost(message, tag = "5")]
    Keep(KeepWorkload),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AddWorkload {
    #[prost(string, tag = "1")]
    pub(super) uid: String,
    #[prost(message, optional, tag = "2")]
    pub(super) workload_info: Option<WorkloadInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WorkloadInfo {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) namespace: String,
    #[prost(string, tag = "3")]
    pub(super) service_account: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeepWorkload {
    #[prost(string, tag = "1")]
    pub(super) uid: String,
}

/// The uid is field 2 here, unlike in its siblings.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DelWorkload {
    #[prost(string, tag = "2")]
    pub(super) uid: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct SnapshotSent {}

/// Proxy to agent, once per request.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WorkloadResponse {
    #[prost(oneof = "ResponsePayload", tags = "1")]
    pub(super) payload: Option<ResponsePayload>,
}

/// The variants of [`WorkloadResponse`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum ResponsePayload {
    #[prost(message, tag = "1")]
    Ack(AckMessage),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AckMessage {
    #[prost(string, tag = "1")]
    pub(super) error: String,
}

/// `ZdsHello`. The version is an enum on the wire; an unknown number must survive into the error.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct HelloMessage {
    #[prost(int32, tag = "1")]
    pub(super) version: i32,
}
