//! The whole content of a file, validated across its objects, and what changes from one to the next.
//!
//! In: the top of the tree. Out: [`Resources`]; of two of them, the smallest [`Delta`].
//! Never: keeps half a file.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use mesh::{
    Authorization, Network, PolicyKey, Service, ServiceKey, Uid, Workload,
    authorization::Scope,
    delta::{Delta, Resource, ResourceKey},
    workload::NetworkMode,
};

use yaml::{Cursor, Document, Error, Node, Object, Position, Warning, cursor::Unknown};

use super::{Defaults, FileError, policy, service, workload};

const TOP: &str = "a mapping with workloads, services and policies";
const FIELDS: &[&str] = &["workloads", "services", "policies"];

/// Everything that a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// By uid.
    pub workloads: BTreeMap<Uid, Arc<Workload>>,
    /// By namespace and hostname.
    pub services: BTreeMap<ServiceKey, Arc<Service>>,
    /// By namespace and name.
    pub policies: BTreeMap<PolicyKey, Arc<Authorization>>,
    /// What is accepted but has no effect.
    pub warnings: Vec<Warning>,
}

impl Resources {
    /// Reads a file's text; `file` is what errors call it, `defaults` stands in for what it leaves out.
    pub(super) fn parse(text: &str, file: &str, defaults: &Defaults) -> Result<Self, FileError> {
        let node = Node::parse(text).map_err(|malformed| Error::malformed(file, malformed))?;
        let document = Document::new(file, Unknown::Refuse);
        let object = document.top(&node).object(TOP, FIELDS)?;
        // Policies first: workloads name them.
        let policies = policies(&object)?;
        let services = services(&object)?;
        let workloads = workloads(&object, &policies, defaults)?;
        unlisted(&object, &policies, &workloads)?;
        Ok(Self {
            workloads,
            services,
            policies,
            warnings: document.into_warnings(),
        })
    }

    /// The smallest delta that turns `previous` into this: objects that are equal are not in it.
    ///
    /// **Shape**: ordered by kind and key, so that the same change is always the same delta.
    #[must_use]
    pub fn changes_since(&self, previous: &Self) -> Delta {
        let mut delta = Delta::default();
        let Delta { upserts, removals } = &mut delta;
        removals.extend(gone(&self.workloads, &previous.workloads).map(ResourceKey::Workload));
        removals.extend(gone(&self.services, &previous.services).map(ResourceKey::Service));
        removals.extend(gone(&self.policies, &previous.policies).map(ResourceKey::Authorization));
        // Policies before what they protect, for whoever applies the delta one resource at a time.
        upserts.extend(new(&self.policies, &previous.policies).map(Resource::Authorization));
        upserts.extend(new(&self.services, &previous.services).map(Resource::Service));
        upserts.extend(new(&self.workloads, &previous.workloads).map(Resource::Workload));
        delta
    }

    /// Takes over from `previous` what is equal, so that the two do not hold it twice.
    pub(super) fn share(&mut self, previous: &Self) {
        share(&mut self.workloads, &previous.workloads);
        share(&mut self.services, &previous.services);
        share(&mut self.policies, &previous.policies);
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.workloads.len() + self.services.len() + self.policies.len()
    }

    /// Whether there is no object at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn share<K: Ord, V: PartialEq>(current: &mut BTreeMap<K, Arc<V>>, previous: &BTreeMap<K, Arc<V>>) {
    for (key, value) in current {
        if let Some(same) = previous.get(key).filter(|same| *same == value) {
            *value = Arc::clone(same);
        }
    }
}

fn gone<'a, K: Ord + Clone, V>(
    current: &'a BTreeMap<K, Arc<V>>,
    previous: &'a BTreeMap<K, Arc<V>>,
) -> impl Iterator<Item = K> + use<'a, K, V> {
    previous
        .keys()
        .filter(|key| !current.contains_key(*key))
        .cloned()
}

fn new<'a, K: Ord, V: PartialEq>(
    current: &'a BTreeMap<K, Arc<V>>,
    previous: &'a BTreeMap<K, Arc<V>>,
) -> impl Iterator<Item = Arc<V>> + use<'a, K, V> {
    current
        .iter()
        .filter(|(key, value)| previous.get(*key) != Some(*value))
        .map(|(_, value)| Arc::clone(value))
}

fn policies(top: &Object<'_>) -> Result<BTreeMap<PolicyKey, Arc<Authorization>>, Error> {
    let mut policies = BTreeMap::new();
    let mut first_by_key: HashMap<PolicyKey, Position> = HashMap::new();
    top.optional("policies", |at| {
        at.list("a list of policies", |at| {
            let policy = policy::policy(at)?;
            if let Some(first) = first_by_key.insert(policy.key.clone(), at.position()) {
                return Err(at.duplicate(
                    &policy.key.to_string(),
                    first,
                    "each namespace and name of a policy once",
                ));
            }
            policies.insert(policy.key.clone(), Arc::new(policy));
            Ok(())
        })
    })?;
    Ok(policies)
}

fn services(top: &Object<'_>) -> Result<BTreeMap<ServiceKey, Arc<Service>>, Error> {
    let mut services = BTreeMap::new();
    let mut first_by_key: HashMap<ServiceKey, Position> = HashMap::new();
    top.optional("services", |at| {
        at.list("a list of services", |at| {
            let service = service::service(at)?;
            if let Some(first) = first_by_key.insert(service.key(), at.position()) {
                return Err(at.duplicate(
                    &service.key().to_string(),
                    first,
                    "each namespace and hostname of a service once",
                ));
            }
            services.insert(service.key(), Arc::new(service));
            Ok(())
        })
    })?;
    Ok(services)
}

fn workloads(
    top: &Object<'_>,
    policies: &BTreeMap<PolicyKey, Arc<Authorization>>,
    defaults: &Defaults,
) -> Result<BTreeMap<Uid, Arc<Workload>>, Error> {
    let mut workloads = BTreeMap::new();
    let mut first_by_uid: HashMap<Uid, Position> = HashMap::new();
    let mut first_by_address: HashMap<(Network, IpAddr), Position> = HashMap::new();
    top.optional("workloads", |at| {
        at.list("a list of workloads", |at| {
            let workload = workload::workload(at, defaults)?;
            let object = at.object(TOP, workload::FIELDS)?;
            object.optional("uid", |at| {
                first_by_uid
                    .insert(workload.uid.clone(), at.position())
                    .map_or(Ok(()), |first| {
                        Err(at.duplicate(&workload.uid, first, "each uid once"))
                    })
            })?;
            if workload.network_mode == NetworkMode::Standard {
                object.optional("workloadIps", |at| {
                    addresses(at, &workload, &mut first_by_address)
                })?;
            }
            object.optional("authorizationPolicies", |at| {
                applied(at, &workload, policies)
            })?;
            workloads.insert(workload.uid.clone(), Arc::new(workload));
            Ok(())
        })
    })?;
    Ok(workloads)
}

/// An address means one workload, or traffic would be checked against another's identity and policies.
fn addresses(
    at: &Cursor<'_>,
    workload: &Workload,
    first_by_address: &mut HashMap<(Network, IpAddr), Position>,
) -> Result<(), Error> {
    let mut ips = workload.ips.iter();
    at.list("a list of addresses", |at| {
        let Some(ip) = ips.next() else { return Ok(()) };
        first_by_address
            .insert((workload.network.clone(), *ip), at.position())
            .map_or(Ok(()), |first| {
                let expected =
                    "each address of a network once, except with networkMode HostNetwork";
                Err(at.duplicate(&format!("{}/{ip}", workload.network), first, expected))
            })
    })?;
    Ok(())
}

/// A policy that is listed but not there would be open by omission.
fn applied(
    at: &Cursor<'_>,
    workload: &Workload,
    policies: &BTreeMap<PolicyKey, Arc<Authorization>>,
) -> Result<(), Error> {
    let mut keys = workload.authorization_policies.iter();
    at.list("a list of policies", |at| {
        match keys.next().and_then(|key| policies.get(key)) {
            None => Err(at.unexpected("the namespace/name of a policy in this file")),
            Some(_) => Ok(()),
        }
    })?;
    Ok(())
}

/// Warns of policies that wait to be listed by a workload and are not.
fn unlisted(
    top: &Object<'_>,
    policies: &BTreeMap<PolicyKey, Arc<Authorization>>,
    workloads: &BTreeMap<Uid, Arc<Workload>>,
) -> Result<(), Error> {
    let listed: HashSet<&PolicyKey> = workloads
        .values()
        .flat_map(|workload| &workload.authorization_policies)
        .collect();
    let waiting = policies
        .values()
        .filter(|policy| policy.scope == Scope::WorkloadSelector && !listed.contains(&policy.key));
    let waiting: HashSet<&PolicyKey> = waiting.map(|policy| &policy.key).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    top.optional("policies", |at| {
        at.list("a list of policies", |at| {
            if waiting.contains(&policy::key(at)?) {
                at.warn("no workload lists this policy under authorizationPolicies, so it applies nowhere");
            }
            Ok(())
        })
    })?;
    Ok(())
}
