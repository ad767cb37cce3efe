//! Gateway API: HTTPRoute, GRPCRoute, TCPRoute, TLSRoute and ReferenceGrant.
//!
//! What such a route means where it is absent is filled in as the API fills it in: kinds, groups, weights, paths.

mod filter;
mod grant;
mod grpc;
mod http;
mod l4;
mod parent;

pub use filter::{Filter, PathChange, RequestMirror, RequestRedirect, UrlRewrite};
pub use grant::{GrantFrom, GrantTo, ReferenceGrant};
pub use grpc::{GrpcMatch, GrpcMethodMatch, GrpcRoute, GrpcRule};
pub use http::{HttpMatch, HttpRoute, HttpRule, PathMatch, Retry, Timeouts};
pub use l4::{L4Backend, L4Rule, TcpRoute, TlsRoute};
pub use parent::{Backend, BackendRef, ParentRef};
