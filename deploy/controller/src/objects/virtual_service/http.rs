//! `spec.http[]`.

use std::time::Duration;

use super::{
    super::{Cors, HeaderEdits, Labels, Share, StringMatch, ValueMatches},
    Destination, Retries,
};

/// A rule: what it is for, and what happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRoute {
    /// `name`; may be empty.
    pub name: String,
    /// `match`: OR; empty matches everything.
    pub matches: Vec<HttpMatch>,
    /// `route`, `redirect`, `directResponse` or `delegate`.
    pub action: HttpAction,
    /// `rewrite`.
    pub rewrite: Option<Rewrite>,
    /// `timeout` of the whole request with its retries; `None` (also for `0s`) is none.
    pub timeout: Option<Duration>,
    /// `retries`; `None` is the mesh's default.
    pub retries: Option<Retries>,
    /// `fault`.
    pub fault: Fault,
    /// `mirrors`, or `mirror` with `mirrorPercentage`.
    pub mirrors: Vec<Mirror>,
    /// `corsPolicy`.
    pub cors: Option<Cors>,
    /// `headers`.
    pub headers: HeaderEdits,
}

/// What happens with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpAction {
    /// `route`: at least one, and not all of them of weight 0.
    Route(Vec<HttpDestination>),
    /// `redirect`.
    Redirect(Redirect),
    /// `directResponse`.
    DirectResponse(DirectResponse),
    /// `delegate`: another VirtualService says it. Istio has it for gateways only.
    Delegate(Delegate),
}

/// What is asked of a claim of the request's verified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMatch {
    /// The way into the claims; at least one name, none of them empty.
    pub claim: Vec<String>,
    /// What it is compared with; `None` asks only that it is there.
    pub value: Option<StringMatch>,
    /// Whether it must not hold (`withoutHeaders`).
    pub invert: bool,
}

/// `match[]`: the AND of its fields, each absent where it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpMatch {
    /// `name`; may be empty.
    pub name: String,
    /// `uri`: the path, without the query.
    pub uri: Option<StringMatch>,
    /// `ignoreUriCase`; never with a regex.
    pub ignore_uri_case: bool,
    /// `scheme`.
    pub scheme: Option<StringMatch>,
    /// `method`.
    pub method: Option<StringMatch>,
    /// `authority`.
    pub authority: Option<StringMatch>,
    /// `headers`.
    pub headers: ValueMatches,
    /// `withoutHeaders`: none of them holds; a header that is missing is compared as if it were empty.
    pub without_headers: ValueMatches,
    /// `@request.auth.claims...` among `headers` and `withoutHeaders`.
    pub claims: Vec<ClaimMatch>,
    /// `queryParams`.
    pub query_params: ValueMatches,
    /// `port`: that of the service.
    pub port: Option<u16>,
    /// `sourceLabels`. A waypoint drops it (WPT-10).
    pub source_labels: Labels,
    /// `sourceNamespace`; may be empty. A waypoint drops it (WPT-10).
    pub source_namespace: String,
    /// `gateways`; empty is those of the VirtualService.
    pub gateways: Vec<String>,
    /// `statPrefix`; may be empty.
    pub stat_prefix: String,
}

/// One of `route[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpDestination {
    /// `destination`.
    pub destination: Destination,
    /// `weight`, relative to the others'; 100 where it is the only one.
    pub weight: u32,
    /// `headers`, done after those of the route.
    pub headers: HeaderEdits,
}

/// `redirect`. What is absent stays as it is in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `uri`.
    pub uri: Option<String>,
    /// `prefixRewrite`, or `uri` behind `%PREFIX()%`: replaces the prefix that matched. Not together with `uri`.
    pub prefix: Option<String>,
    /// `authority`.
    pub authority: Option<String>,
    /// `scheme`, in lower case: `http` or `https`.
    pub scheme: Option<String>,
    /// `port`.
    pub port: Option<u16>,
    /// `derivePort`; not together with `port`.
    pub derive_port: Option<DerivedPort>,
    /// `redirectCode`: 301, 302, 303, 307 or 308.
    pub code: u16,
}

/// `derivePort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DerivedPort {
    /// `FROM_PROTOCOL_DEFAULT`: 80 or 443.
    ProtocolDefault,
    /// `FROM_REQUEST_PORT`.
    Request,
}

/// `directResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    /// `status`, 200 to 599.
    pub status: u16,
    /// `body`, of either form; at most 1 MiB. Empty where it is absent.
    pub body: Vec<u8>,
}

/// `delegate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegate {
    /// `name`.
    pub name: String,
    /// `namespace`; empty is that of the VirtualService.
    pub namespace: String,
}

/// `rewrite`: at least one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// `uri`: takes the place of the prefix where the match is one, otherwise of the whole path.
    pub uri: Option<String>,
    /// `authority`.
    pub authority: Option<String>,
    /// `uriRegexRewrite`; not together with `uri`.
    pub regex: Option<RegexRewrite>,
}

/// `uriRegexRewrite`: what of the path matches is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegexRewrite {
    /// `match`, anywhere in the path, every time. **Shape**: `mesh::route::RegexRewrite` takes both.
    pub pattern: String,
    /// `rewrite`: `\0` to `\9` are groups of `pattern`, each known to be there; `\\` is a backslash.
    pub substitution: String,
}

/// `fault`; nothing where it is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// `delay`.
    pub delay: Option<Delay>,
    /// `abort`.
    pub abort: Option<Abort>,
}

/// `fault.delay`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    /// `fixedDelay`; at least 1 ms.
    pub fixed: Duration,
    /// `percentage` (or `percent`); without either no request is delayed.
    pub share: Share,
}

/// `fault.abort`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abort {
    /// What is answered.
    pub status: AbortStatus,
    /// `percentage`; without it no request is aborted.
    pub share: Share,
}

/// What an aborted request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortStatus {
    /// `httpStatus`, 200 to 599.
    Http(u16),
    /// `grpcStatus`, as its number: 0 to 16.
    Grpc(u8),
}

/// One of `mirrors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// `destination`.
    pub destination: Destination,
    /// `percentage`; all where it is absent.
    pub share: Share,
}
