//! MeshConfig: the key `mesh` of the ConfigMap `istio` in the root namespace.

use std::{collections::BTreeMap, time::Duration};

use super::{
    AccessLog, Authorizer, GatewayTopology, LabelSelector, Labels, Meta,
    destination_rule::{ConnectionPool, LocalityBalancing, OutlierDetection},
    virtual_service::Retries,
};

/// The ConfigMap that holds the MeshConfig: its namespace and its name. No other has any effect.
pub const MESH_CONFIG: (&str, &str) = ("istio-system", "istio");

/// Settings of the whole mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshConfig {
    /// `metadata` of the ConfigMap.
    pub meta: Meta,
    /// `trustDomain`; `cluster.local` where it is absent.
    pub trust_domain: String,
    /// `trustDomainAliases`.
    pub trust_domain_aliases: Vec<String>,
    /// `rootNamespace`; `istio-system` where it is absent.
    pub root_namespace: String,
    /// `serviceEntryVisibility`.
    pub entry_visibility: EntryVisibility,
    /// `accessLogFile`, with `accessLogEncoding` and `accessLogFormat`; `None` where it is absent or empty.
    pub access_log: Option<AccessLog>,
    /// `extensionProviders[]` that have `envoyFileAccessLog`, by `name`.
    pub access_log_providers: BTreeMap<String, AccessLog>,
    /// `extensionProviders[]` that have `envoyExtAuthzHttp` or `envoyExtAuthzGrpc`, by `name`; one that cannot be used, with the reason:
    /// what names it is to be closed.
    pub authorizers: BTreeMap<String, Result<Authorizer, String>>,
    /// `defaultProviders.accessLogging`, as written: they may name providers that are not there, or of other kinds.
    pub default_access_logs: Vec<String>,
    /// `pathNormalization.normalization`.
    pub path_normalization: PathNormalization,
    /// `protocolDetectionTimeout`: how long a connection's first bytes are waited for; `None` (also for `0s`) is without end.
    pub protocol_detection_timeout: Option<Duration>,
    /// `defaultHttpRetryPolicy`.
    pub default_retries: Option<Retries>,
    /// `defaultTrafficPolicy.connectionPool`.
    pub default_connection_pool: Option<ConnectionPool>,
    /// `defaultTrafficPolicy.outlierDetection`.
    pub default_outlier_detection: Option<OutlierDetection>,
    /// `localityLbSetting`.
    pub locality_balancing: Option<LocalityBalancing>,
    /// `defaultConfig.gatewayTopology`, for Gateways that say nothing themselves. One that cannot be read, with the reason.
    pub gateway_topology: Option<Result<GatewayTopology, String>>,
}

impl MeshConfig {
    /// What proxies log of requests, where no Telemetry says otherwise: the first of `defaultProviders.accessLogging` that logs to
    /// a file, if any are named there, whatever `accessLogFile` says; else that. `envoy` is a provider that is always there.
    /// Source: Istio.
    #[must_use]
    pub fn default_access_log(&self) -> Option<AccessLog> {
        let of_file = || self.access_log.clone();
        if self.default_access_logs.is_empty() {
            return of_file();
        }
        self.default_access_logs
            .iter()
            .find_map(|name| match self.access_log_providers.get(name) {
                None if name == "envoy" => Some(of_file().unwrap_or_default()),
                provider => provider.cloned(),
            })
    }
}

/// `pathNormalization.normalization`: what is done to paths before anything is decided by them. Source: RT-21.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PathNormalization {
    /// `NONE`: nothing.
    None,
    /// `BASE`, and `DEFAULT`: RFC 3986 §6, and `\` is `/`.
    #[default]
    Base,
    /// `MERGE_SLASHES`: also `//` is `/`.
    MergeSlashes,
    /// `DECODE_AND_MERGE_SLASHES`: also `%2F` and `%5C` are slashes.
    DecodeAndMergeSlashes,
}

/// `serviceEntryVisibility`: who may know of which ServiceEntry. Source: EG-08.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryVisibility {
    /// `defaultVisibility`: where no policy matches.
    pub default: Visibility,
    /// `policies`: the first that matches decides.
    pub policies: Vec<VisibilityPolicy>,
}

/// One of `serviceEntryVisibility.policies`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisibilityPolicy {
    /// `visibility`.
    pub visibility: Visibility,
    /// `matchingRules[].namespaceSelector`, all of which must hold; one that is missing never does.
    pub namespaces: Vec<Option<LabelSelector>>,
}

/// Who may know of a ServiceEntry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Everybody.
    #[default]
    Public,
    /// Its own namespace.
    Namespace,
    /// Nobody.
    None,
}

impl EntryVisibility {
    /// Who may know of the entries of a namespace with such labels.
    #[must_use]
    pub fn of(&self, namespace: &Labels) -> Visibility {
        let matches = |policy: &&VisibilityPolicy| {
            let holds =
                |it: &Option<LabelSelector>| it.as_ref().is_some_and(|it| it.matches(namespace));
            policy.namespaces.iter().all(holds)
        };
        let policy = self.policies.iter().find(matches);
        policy.map_or(self.default, |policy| policy.visibility)
    }
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            meta: Meta::default(),
            trust_domain: "cluster.local".to_owned(),
            trust_domain_aliases: Vec::new(),
            root_namespace: "istio-system".to_owned(),
            entry_visibility: EntryVisibility::default(),
            access_log: None,
            access_log_providers: BTreeMap::new(),
            authorizers: BTreeMap::new(),
            default_access_logs: Vec::new(),
            path_normalization: PathNormalization::default(),
            protocol_detection_timeout: None,
            default_retries: None,
            default_connection_pool: None,
            default_outlier_detection: None,
            locality_balancing: None,
            gateway_topology: None,
        }
    }
}
