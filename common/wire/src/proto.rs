//! Protobuf messages that travel between control plane and proxies.
//!
//! In and out: bytes. Never: checks more than protobuf does; what a message means is read in [`crate::xds`].
//!
//! The modules are generated from `proto/*.proto` by `cargo xtask protos` and committed; a test of `xtask` fails
//! when they differ from their definitions. Maps are ordered, so equal messages have equal bytes.

use bytes::Bytes;

pub mod ca;
pub mod discovery;
#[expect(
    missing_docs,
    reason = "generated; names that say it all have no comment in the definition"
)]
pub mod external_auth;
#[expect(
    missing_docs,
    reason = "generated; names that say it all have no comment in the definition"
)]
pub mod rate_limit;
pub mod security;
#[expect(
    missing_docs,
    reason = "generated; names that say it all have no comment in the definition"
)]
pub mod waypoint;
#[expect(
    clippy::large_enum_variant,
    clippy::enum_variant_names,
    reason = "generated; the names and shapes are the contract's"
)]
pub mod workload;

/// Type URL of [`workload::Address`].
pub const ADDRESS_TYPE: &str = "type.googleapis.com/istio.workload.Address";
/// Type URL of [`security::Authorization`].
pub const AUTHORIZATION_TYPE: &str = "type.googleapis.com/istio.security.Authorization";

/// Type URL of [`waypoint::RouteTable`].
pub const ROUTE_TABLE_TYPE: &str = "type.googleapis.com/ambit.waypoint.v1.RouteTable";
/// Type URL of [`waypoint::BackendPolicy`].
pub const BACKEND_POLICY_TYPE: &str = "type.googleapis.com/ambit.waypoint.v1.BackendPolicy";
/// Type URL of [`waypoint::Settings`].
pub const SETTINGS_TYPE: &str = "type.googleapis.com/ambit.waypoint.v1.Settings";
/// Type URL of [`waypoint::Subsets`], and the name of the extension of a workload that carries them.
pub const SUBSETS_TYPE: &str = "type.googleapis.com/ambit.waypoint.v1.Subsets";
/// See [`SUBSETS_TYPE`].
pub const SUBSETS_EXTENSION: &str = "ambit.waypoint.v1.Subsets";

/// A message of a type that its URL names. Source: `google.protobuf.Any`.
///
/// Here, not in a library, because its bytes are shared: one encoded resource goes to every client.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Any {
    /// `type.googleapis.com/<package>.<message>`.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}
