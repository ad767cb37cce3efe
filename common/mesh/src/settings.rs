//! What one waypoint is told of itself.

use std::{sync::Arc, time::Duration};

use crate::{
    access::{ClientAddress, Policies},
    backend::TrafficPolicy,
    name::{Hostname, Name, Namespace},
    route::Retry,
};

/// The settings of one waypoint. Source: `ambit.waypoint.v1.Settings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaypointSettings {
    /// The Gateway's namespace.
    pub namespace: Namespace,
    /// The Gateway's name.
    pub gateway: Name,
    /// Policies of the Gateway or its class that the waypoint cannot enforce, written `<kind> <namespace>/<name>`.
    /// If there is one, everything is refused.
    pub unenforced: Vec<Name>,
    /// How requests and connections are logged. `None`: not at all.
    pub access_log: Option<AccessLog>,
    /// What is done to a path before anything else sees it.
    pub normalization: Normalization,
    /// How long the first bytes of a connection whose protocol nobody declared may take before it counts as TCP.
    /// `None`: for ever.
    pub protocol_detection_timeout: Option<Duration>,
    /// For requests where the rule says nothing; `None`: never again.
    pub default_retry: Option<Retry>,
    /// For backends without a policy of their own.
    pub default_policy: Arc<TrafficPolicy>,
    /// Whether it stands before services.
    pub serves_services: bool,
    /// Whether it stands before workloads.
    pub serves_workloads: bool,
    /// The domain of Kubernetes Services, for example `cluster.local`.
    pub domain: Hostname,
    /// What is asked of whoever comes, whatever they ask for.
    pub policies: Policies,
    /// Whose word counts for the client's address; `None`: nobody's.
    pub client_address: Option<ClientAddress>,
    /// Whether applications get `x-forwarded-client-cert` (ID-12).
    pub include_client_certificate: bool,
    /// Whether destinations are told who the client is.
    pub tell_client: bool,
}

impl WaypointSettings {
    /// Settings that say nothing, and serve nobody.
    #[must_use]
    pub fn new(namespace: Namespace, gateway: Name) -> Self {
        Self {
            namespace,
            gateway,
            unenforced: Vec::new(),
            access_log: None,
            normalization: Normalization::default(),
            protocol_detection_timeout: None,
            default_retry: None,
            default_policy: Arc::default(),
            serves_services: false,
            serves_workloads: false,
            domain: "cluster.local".into(),
            policies: Policies::default(),
            client_address: None,
            include_client_certificate: false,
            tell_client: false,
        }
    }
}

/// How requests and connections are logged. Source: MeshConfig `accessLogFormat`, `accessLogEncoding`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessLog {
    /// What a line looks like.
    pub format: AccessLogFormat,
    /// Whether what is absent is left out, rather than written as `-` or null.
    pub omit_empty: bool,
}

/// What a line of the access log looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Envoy's default text.
    #[default]
    Default,
    /// A format string of Envoy, which ends its line by itself.
    Text(Name),
    /// An object with these keys, in this order, each with a format string. None: the default fields.
    Json(Vec<(Name, Name)>),
}

/// What is done to a path before anything else sees it. Source: MeshConfig `pathNormalization`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Normalization {
    /// Nothing.
    None,
    /// RFC 3986, and `\` is `/`.
    #[default]
    Base,
    /// And `//` is `/`.
    MergeSlashes,
    /// And `%2F` and `%5C` are `/`, before all else.
    DecodeAndMergeSlashes,
}
