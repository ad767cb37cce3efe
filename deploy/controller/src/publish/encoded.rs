//! One resource as it goes over the wire, made once and shared by all clients.
//!
//! In: a rendered resource. Out: its bytes, its version, and what tells who wants it. Never: the message again.

use std::{fmt, net::IpAddr, ops::Range, sync::Arc};

use bytes::Bytes;
use ipnet::IpNet;
use prost::Message as _;
use wire::proto::{
    Any, SUBSETS_EXTENSION, discovery,
    workload::{Address, Extension, NetworkAddress, address},
};

use crate::{
    ca::digest::sha256,
    output::{Account, Resource, ResourceType},
};

/// The version of a resource: the first half of its bytes' SHA-256, so that the same content has the same version in
/// every life of the controller. **Shape**: shown as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(u128);

impl Version {
    /// The version of `content`.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        let digest = sha256(content);
        let half = digest.first_chunk().copied().unwrap_or_default();
        Self(u128::from_be_bytes(half))
    }

    /// Reads what a client sends back; nothing that we sent is `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let shape = text.len() == 32
            && text
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        shape
            .then(|| u128::from_str_radix(text, 16).ok().map(Self))
            .flatten()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a resource is, as far as it matters for who gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Workload {
        /// Where it runs, if anywhere.
        node: Option<Arc<str>>,
        /// The services that it is behind, by their resource names.
        services: Box<[Arc<str>]>,
    },
    Service {
        /// Networks that it answers for, beside the addresses that are aliases.
        ranges: Box<[(Arc<str>, IpNet)]>,
    },
    Authorization,
    RouteTable {
        /// The waypoints that are told.
        audience: Box<[Account]>,
    },
    BackendPolicy,
    Settings {
        /// The waypoint that is told.
        account: Account,
    },
}

/// One resource, encoded.
#[derive(Debug)]
pub struct Encoded {
    name: Arc<str>,
    version: Version,
    kind: Kind,
    aliases: Box<[Arc<str>]>,
    published: u64,
    /// A whole `envoy.service.discovery.v3.Resource`.
    body: Bytes,
    /// Where in `body` the resource itself is.
    content: Range<usize>,
    /// What waypoints are sent in its place: the same, and what only they are told.
    dressed: Option<Arc<Self>>,
}

impl Encoded {
    /// Encodes `resource`, which changes with `generation`. `intern` gives names the copy that others already hold.
    pub(crate) fn new(
        resource: Resource,
        generation: u64,
        mut intern: impl FnMut(Interned<'_>) -> Arc<str>,
    ) -> Self {
        let name = intern(Interned::Name(&resource.name()));
        let of = resource.resource_type();
        let mut dressed = None;
        let (kind, aliases, content) = match resource {
            Resource::Workload(mut workload) => {
                let kind = Kind::Workload {
                    node: (!workload.node.is_empty())
                        .then(|| intern(Interned::Node(&workload.node))),
                    services: workload
                        .services
                        .keys()
                        .map(|service| intern(Interned::Service(service)))
                        .collect(),
                };
                let aliases = workload
                    .addresses
                    .iter()
                    .filter_map(|bytes| ip(bytes))
                    .map(|ip| intern(Interned::Alias(&alias(&workload.network, ip))))
                    .collect();
                let for_waypoints = |it: &mut Extension| it.name == SUBSETS_EXTENSION;
                let subsets: Vec<_> = workload.extensions.extract_if(.., for_waypoints).collect();
                let mut message = Address {
                    r#type: Some(address::Type::Workload(workload)),
                };
                let plain = message.encode_to_vec();
                if !subsets.is_empty()
                    && let Some(address::Type::Workload(workload)) = &mut message.r#type
                {
                    workload.extensions.extend(subsets);
                    dressed = Some(message.encode_to_vec());
                }
                (kind, aliases, plain)
            }
            Resource::Service(service) => {
                let (mut aliases, mut ranges) = (Vec::new(), Vec::new());
                for vip in &service.addresses {
                    match claim(vip) {
                        Some(Claim::Address(ip)) => {
                            aliases.push(intern(Interned::Alias(&alias(&vip.network, ip))));
                        }
                        Some(Claim::Range(range)) => {
                            ranges.push((intern(Interned::Network(&vip.network)), range));
                        }
                        None => {}
                    }
                }
                let kind = Kind::Service {
                    ranges: ranges.into(),
                };
                let message = Address {
                    r#type: Some(address::Type::Service(service)),
                };
                (kind, aliases, message.encode_to_vec())
            }
            Resource::Authorization(policy) => {
                (Kind::Authorization, Vec::new(), policy.encode_to_vec())
            }
            Resource::RouteTable(table, audience) => {
                let kind = Kind::RouteTable {
                    audience: audience.into(),
                };
                (kind, Vec::new(), table.encode_to_vec())
            }
            Resource::BackendPolicy(policy) => {
                (Kind::BackendPolicy, Vec::new(), policy.encode_to_vec())
            }
            Resource::Settings(settings, account) => (
                Kind::Settings { account },
                Vec::new(),
                settings.encode_to_vec(),
            ),
        };
        let aliases: Box<[Arc<str>]> = aliases.into();
        let dressed = dressed.map(|content| {
            let (name, aliases) = (Arc::clone(&name), aliases.clone());
            Arc::new(Self::enveloped(
                name,
                of,
                kind.clone(),
                aliases,
                generation,
                content,
            ))
        });
        Self {
            dressed,
            ..Self::enveloped(name, of, kind, aliases, generation, content)
        }
    }

    fn enveloped(
        name: Arc<str>,
        of: ResourceType,
        kind: Kind,
        aliases: Box<[Arc<str>]>,
        published: u64,
        content: Vec<u8>,
    ) -> Self {
        let version = Version::of(&content);
        let length = content.len();
        let mut envelope = discovery::Resource {
            version: version.to_string(),
            resource: Some(Any {
                type_url: of.url().to_owned(),
                value: content.into(),
            }),
            ..discovery::Resource::default()
        };
        // Fields are written in the order of their numbers, so up to here the resource itself comes last.
        let end = envelope.encoded_len();
        envelope.name = name.to_string();
        envelope.aliases = aliases.iter().map(ToString::to_string).collect();
        Self {
            name,
            version,
            kind,
            aliases,
            published,
            body: envelope.encode_to_vec().into(),
            content: end - length..end,
            dressed: None,
        }
    }

    /// Its name within its type.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The hash of its content.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Other names by which it is asked for: `<network>/<ip>`, the network may be empty.
    #[must_use]
    pub fn aliases(&self) -> &[Arc<str>] {
        &self.aliases
    }

    /// The generation with which it got this content.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published
    }

    /// Its type.
    #[must_use]
    pub fn resource_type(&self) -> ResourceType {
        match self.kind {
            Kind::Workload { .. } | Kind::Service { .. } => ResourceType::Address,
            Kind::Authorization => ResourceType::Authorization,
            Kind::RouteTable { .. } => ResourceType::RouteTable,
            Kind::BackendPolicy => ResourceType::BackendPolicy,
            Kind::Settings { .. } => ResourceType::Settings,
        }
    }

    /// What waypoints are sent in its place, if that is something else.
    #[must_use]
    pub fn dressed(&self) -> Option<&Arc<Self>> {
        self.dressed.as_ref()
    }

    /// Whether somebody is told something else by `other`.
    #[must_use]
    pub fn differs(&self, other: &Self) -> bool {
        let version = |of: &Self| of.dressed.as_ref().map(|it| it.version);
        self.version != other.version
            || version(self) != version(other)
            || self.audience() != other.audience()
    }

    /// The waypoints that it is for; `None` where it is not only for some.
    #[must_use]
    pub fn audience(&self) -> Option<&[Account]> {
        match &self.kind {
            Kind::RouteTable { audience } => Some(audience),
            Kind::Settings { account } => Some(std::slice::from_ref(account)),
            Kind::Workload { .. }
            | Kind::Service { .. }
            | Kind::Authorization
            | Kind::BackendPolicy => None,
        }
    }

    /// The resource itself. The bytes are shared, the type URL is not.
    #[must_use]
    pub fn any(&self) -> Any {
        Any {
            type_url: self.resource_type().url().to_owned(),
            value: self.body.slice(self.content.clone()),
        }
    }

    /// The whole `envoy.service.discovery.v3.Resource`.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The services that a workload is behind.
    #[must_use]
    pub fn services(&self) -> &[Arc<str>] {
        match &self.kind {
            Kind::Workload { services, .. } => services,
            Kind::Service { .. }
            | Kind::Authorization
            | Kind::RouteTable { .. }
            | Kind::BackendPolicy
            | Kind::Settings { .. } => &[],
        }
    }

    /// The node that a workload runs on.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        match &self.kind {
            Kind::Workload { node, .. } => node.as_deref(),
            Kind::Service { .. }
            | Kind::Authorization
            | Kind::RouteTable { .. }
            | Kind::BackendPolicy
            | Kind::Settings { .. } => None,
        }
    }

    /// Whether it is a service that answers for ranges of addresses.
    #[must_use]
    pub fn has_ranges(&self) -> bool {
        match &self.kind {
            Kind::Service { ranges } => !ranges.is_empty(),
            Kind::Workload { .. }
            | Kind::Authorization
            | Kind::RouteTable { .. }
            | Kind::BackendPolicy
            | Kind::Settings { .. } => false,
        }
    }

    /// Whether it is a service that answers for a range of addresses with `ip` of `network` in it.
    #[must_use]
    pub fn covers(&self, network: &str, ip: IpAddr) -> bool {
        match &self.kind {
            Kind::Service { ranges } => ranges
                .iter()
                .any(|(of, range)| **of == *network && range.contains(&ip)),
            Kind::Workload { .. }
            | Kind::Authorization
            | Kind::RouteTable { .. }
            | Kind::BackendPolicy
            | Kind::Settings { .. } => false,
        }
    }
}

/// A text that several resources may have in common.
pub(crate) enum Interned<'a> {
    /// A resource's own name.
    Name(&'a str),
    /// The name of a service.
    Service(&'a str),
    /// A node.
    Node(&'a str),
    /// An alias.
    Alias(&'a str),
    /// A network.
    Network(&'a str),
}

/// What a service's address claims.
enum Claim {
    Address(IpAddr),
    Range(IpNet),
}

fn claim(vip: &NetworkAddress) -> Option<Claim> {
    let ip = ip(&vip.address)?;
    let Some(length) = vip.length else {
        return Some(Claim::Address(ip));
    };
    let range = IpNet::new(ip, u8::try_from(length).ok()?).ok()?;
    Some(if range.prefix_len() == range.max_prefix_len() {
        Claim::Address(ip)
    } else {
        Claim::Range(range)
    })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

fn alias(network: &str, ip: IpAddr) -> String {
    format!("{network}/{ip}")
}

/// Takes an alias apart; `None` is a name of another kind. Networks may hold slashes, addresses do not.
pub(crate) fn parse_alias(name: &str) -> Option<(&str, IpAddr)> {
    let (network, ip) = name.rsplit_once('/')?;
    Some((network, ip.parse().ok()?))
}
