//! The facts for each rendering, found by the relations of the [`Store`].
//!
//! In: one object. Out: its resources. Never: looks through everything; depends on the order in which objects came.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

use wire::proto::workload;

use super::{
    ids::Id,
    space::Space,
    store::{Store, service_name},
};
use crate::{
    objects::{
        EndpointSlice, Labels, Meta, Pod, Service, ServiceEntry, ServiceType, WorkloadEntry,
    },
    output::Resource,
    render::{
        authentication, entry,
        ports::{Member, is_pod},
        service, slice,
        waypoint::{self, Binding, Class, Found, GATEWAY_NAME, Target, Traffic},
        workload as pods,
    },
    status::Condition,
};

const GATEWAY_MANAGED: &str = "gateway.istio.io/managed";

/// The type of the condition of a ServiceEntry that does not have all of its hosts.
const ACCEPTED: &str = "Accepted";

impl Store {
    pub(super) fn render_pod(&self, id: Id, pod: &Pod) -> Option<workload::Workload> {
        if !pods::is_alive(pod) {
            return None;
        }
        let namespace = &pod.meta.namespace;
        let space = self.space(namespace);
        let addresses = self.addresses(id, pod);
        let instance = pod
            .meta
            .label(GATEWAY_NAME)
            .and_then(|gateway| self.gateway(namespace, gateway))
            .map(waypoint::instance);
        let waypoint = match &instance {
            Some(_) => None,
            None => self.bind_workload(&pod.meta, &pod.meta.labels).address(),
        };
        let members = self.members_of_pod(pod, &addresses);
        let subsets = self.subsets(&pod.meta.labels, &members);
        let facts = pods::Facts {
            namespace: space.and_then(|space| space.object.as_deref()),
            node: self.node(&pod.node),
            members,
            policies: self.policies_of(namespace, &pod.meta.labels),
            addresses,
            instance,
            waypoint,
        };
        let mut workload = pods::pod(pod, facts, &self.mesh())?;
        workload.extensions.extend(subsets);
        Some(workload)
    }

    pub(super) fn render_workload_entry(
        &self,
        object: &WorkloadEntry,
    ) -> (Option<workload::Workload>, Binding) {
        let labels = &object.endpoint.labels;
        let namespace = &object.meta.namespace;
        let binding = self.bind_workload(&object.meta, labels);
        let members = self.selecting(namespace, labels, |_| true);
        let subsets = self.subsets(labels, &members);
        let facts = entry::Facts {
            members,
            policies: self.policies_of(namespace, labels),
            waypoint: binding.clone().address(),
        };
        let mut workload = entry::workload_entry(object, facts, &self.mesh());
        if let Some(workload) = &mut workload {
            workload.extensions.extend(subsets);
        }
        (workload, binding)
    }

    pub(super) fn render_service(
        &self,
        object: &Service,
    ) -> (Option<workload::Service>, Vec<Condition>) {
        let binding = self.binding_of_service(object);
        let space = self.space(&object.meta.namespace);
        let namespace = space.and_then(|space| space.object.as_deref());
        let rendered = service::service(object, namespace, &binding, &self.mesh());
        (rendered, waypoint::conditions(&binding))
    }

    /// The waypoint before a Service.
    pub(super) fn binding_of_service(&self, object: &Service) -> Binding {
        let meta = &object.meta;
        let space = self.space(&meta.namespace);
        // A waypoint does not stand before itself or another.
        let is_gateway = self.is_service_of_managed(space, &meta.name)
            || matches!(
                meta.label(GATEWAY_MANAGED),
                Some("istio.io-mesh-controller" | "istio.io-eastwest-controller")
            );
        if is_gateway || object.kind == ServiceType::ExternalName {
            Binding::Unbound
        } else {
            self.bind(meta, &meta.labels, Traffic::Service, false)
        }
    }

    /// The waypoint before the hosts of a ServiceEntry.
    pub(super) fn binding_of_entry(&self, object: &ServiceEntry) -> Binding {
        let meta = &object.meta;
        let namespace = self.space(&meta.namespace);
        let namespace = namespace.and_then(|space| space.object.as_deref());
        let private = self.mesh().has_private_entries(&meta.namespace, namespace);
        self.bind(meta, &meta.labels, Traffic::Service, private)
    }

    pub(super) fn render_service_entry(
        &self,
        id: Id,
        object: &ServiceEntry,
    ) -> (Vec<Resource>, Vec<Condition>) {
        let meta = &object.meta;
        let mesh = self.mesh();
        let namespace = self.space(&meta.namespace);
        let namespace = namespace.and_then(|space| space.object.as_deref());
        let binding = self.binding_of_entry(object);
        let mut conditions = waypoint::conditions(&binding);
        let (hosts, lost) = self.hosts(id, object);
        conditions.extend(conflicts(&lost));
        let services = hosts
            .iter()
            .map(|host| service::entry(object, host, namespace, &binding, &mesh))
            .map(Resource::Service);
        let mut resources: Vec<_> = services.collect();
        if entry::is_implicit(object) {
            let workloads = hosts
                .iter()
                .filter_map(|host| entry::implicit(object, host, &mesh));
            resources.extend(workloads.map(Resource::Workload));
        }
        let mut seen = Vec::new();
        for endpoint in &object.endpoints {
            let repeated = seen.iter().filter(|it| **it == &endpoint.address).count();
            seen.push(&endpoint.address);
            let members = vec![Member::Entry(object, hosts.clone())];
            let subsets = self.subsets(&endpoint.labels, &members);
            let facts = entry::Facts {
                members,
                policies: self.policies_of(&meta.namespace, &endpoint.labels),
                waypoint: self.bind_workload(meta, &endpoint.labels).address(),
            };
            let workload = entry::inline(object, endpoint, repeated, facts, &mesh);
            resources.extend(workload.map(|mut workload| {
                workload.extensions.extend(subsets);
                Resource::Workload(workload)
            }));
        }
        (resources, conditions)
    }

    /// The endpoints of a slice that are no pods.
    pub(super) fn render_slice(&self, object: &EndpointSlice) -> Vec<Resource> {
        let Some(service) = self.sliced_service(object) else {
            return Vec::new();
        };
        let mut seen = HashSet::new();
        let mut resources = Vec::new();
        for endpoint in object.endpoints.iter().filter(|it| it.pod.is_none()) {
            for address in &endpoint.addresses {
                if self.is_pod_address(*address) || !seen.insert(*address) {
                    continue;
                }
                let node = self.node(&endpoint.node);
                let mesh = self.mesh();
                let mut workload = slice::address(*address, endpoint, object, service, node, &mesh);
                // It has no labels, and belongs to the subsets that ask for none.
                let members = [Member::Selected(service)];
                workload
                    .extensions
                    .extend(self.subsets(&Labels::new(), &members));
                resources.push(Resource::Workload(workload));
            }
        }
        resources
    }

    /// The addresses that a pod has won.
    fn addresses(&self, id: Id, pod: &Pod) -> Vec<IpAddr> {
        let addresses = pod.ips.iter().copied();
        if pod.host_network {
            return addresses.collect();
        }
        let winner = |address: &IpAddr| {
            let claimants = self.pods_by_address(*address);
            claimants.max_by(|(_, one), (_, other)| pods::claim(one).cmp(&pods::claim(other)))
        };
        addresses
            .filter(|address| winner(address).is_some_and(|(winner, _)| winner == id))
            .collect()
    }

    fn members_of_pod(&self, pod: &Pod, addresses: &[IpAddr]) -> Vec<Member<'_>> {
        let meta = &pod.meta;
        let mut members = self.selecting(&meta.namespace, &meta.labels, |service| {
            !self.has_slices(&service.meta)
        });
        members.extend(self.listing(pod, addresses));
        members
    }

    /// The Services and ServiceEntries of a namespace that select something with these labels.
    fn selecting(
        &self,
        namespace: &str,
        labels: &Labels,
        counts: impl Fn(&Service) -> bool,
    ) -> Vec<Member<'_>> {
        let Some(space) = self.space(namespace) else {
            return Vec::new();
        };
        let services = space.service_selectors.candidates(labels);
        let services = services
            .filter_map(|id| self.services.get(id))
            .filter(|it| it.selector.as_ref().is_some_and(|it| it.matches(labels)))
            .filter(|service| counts(service))
            .map(|service| Member::Selected(service));
        let entries = space.service_entry_selectors.candidates(labels);
        let entries = entries
            .filter_map(|id| Some((id, self.service_entries.get(id)?)))
            .filter(|(_, it)| it.selector.as_ref().is_some_and(|it| it.matches(labels)))
            .map(|(id, entry)| Member::Entry(entry, self.hosts(id, entry).0));
        services.chain(entries).collect()
    }

    /// The Services whose slices list a pod.
    fn listing(&self, pod: &Pod, addresses: &[IpAddr]) -> Vec<Member<'_>> {
        let space = self.space(&pod.meta.namespace);
        let by_name = space
            .into_iter()
            .flat_map(|space| space.slices_by_pod.get(&pod.meta.name));
        let by_address = addresses
            .iter()
            .filter(|_| !pod.host_network)
            .flat_map(|address| self.slices_by_address(*address));
        let mut services: BTreeMap<(&str, &str), (&Service, BTreeMap<&str, _>)> = BTreeMap::new();
        for id in by_name.chain(by_address) {
            let Some(slice) = self.slices.get(id) else {
                continue;
            };
            let Some(service) = self.sliced_service(slice) else {
                continue;
            };
            // Of several endpoints that are this pod, one that is ready speaks for it.
            let endpoint = slice
                .endpoints
                .iter()
                .filter(|endpoint| is_pod(endpoint, pod, addresses))
                .max_by_key(|endpoint| crate::render::ports::is_ready(endpoint));
            if let Some(endpoint) = endpoint {
                let key = (&*service.meta.namespace, &*service.meta.name);
                let (_, slices) = services.entry(key).or_insert((service, BTreeMap::new()));
                slices.insert(&*slice.meta.name, (&**slice, endpoint));
            }
        }
        services
            .into_values()
            .map(|(service, slices)| Member::Listed(service, slices.into_values().collect()))
            .collect()
    }

    /// The Service that a slice belongs to, if it is one that has endpoints.
    fn sliced_service(&self, slice: &EndpointSlice) -> Option<&Service> {
        let name = service_name(slice)?;
        let id = self.services.find(&slice.meta.namespace, name)?;
        let service = self.services.get(id)?;
        (service.kind != ServiceType::ExternalName).then_some(&**service)
    }

    fn has_slices(&self, service: &Meta) -> bool {
        let space = self.space(&service.namespace);
        space.is_some_and(|space| space.slices_by_service.contains(&service.name))
    }

    /// The hosts that a ServiceEntry has, in order, and those that another object of its namespace has, with that
    /// object: a Service of that hostname, or else the oldest ServiceEntry.
    pub(super) fn hosts<'a>(
        &self,
        id: Id,
        entry: &'a ServiceEntry,
    ) -> (Vec<&'a str>, Vec<(&'a str, String)>) {
        let namespace = &entry.meta.namespace;
        let mut won = Vec::new();
        let mut lost = Vec::new();
        for host in &entry.hosts {
            let host = host.as_str();
            if won.contains(&host) || lost.iter().any(|(it, _)| *it == host) {
                continue;
            }
            if let Some(service) = self.service_of(namespace, host) {
                lost.push((host, format!("Service {}", service.meta.name)));
                continue;
            }
            let claimants = self.space(namespace).into_iter();
            let claimants = claimants.flat_map(|space| space.hosts.get(host));
            let first = claimants
                .filter_map(|id| Some((id, self.service_entries.get(id)?)))
                .min_by_key(|(_, it)| (it.meta.created, &it.meta.name));
            match first {
                Some((first, other)) if first != id => {
                    lost.push((host, format!("ServiceEntry {}", other.meta.name)));
                }
                Some(_) | None => won.push(host),
            }
        }
        (won, lost)
    }

    /// The Service of a namespace that has a hostname.
    fn service_of(&self, namespace: &str, hostname: &str) -> Option<&Service> {
        let name = hostname.strip_suffix(self.mesh().domain)?;
        let name = name.strip_suffix(".svc.")?;
        let name = name.strip_suffix(namespace)?.strip_suffix('.')?;
        let service = self.services.get(self.services.find(namespace, name)?)?;
        (service.kind != ServiceType::ExternalName).then_some(&**service)
    }

    /// `<namespace>/<name>` of the policies that a workload with these labels lists.
    fn policies_of(&self, namespace: &str, labels: &Labels) -> Vec<String> {
        let space = self.space(namespace);
        let own = space
            .into_iter()
            .flat_map(|space| space.authorization_selectors.candidates(labels));
        let ids = own.chain(self.policies_of_mesh(labels));
        let policies = ids
            .filter_map(|id| self.authorizations.get(id))
            .filter(|it| it.selector.as_ref().is_some_and(|it| it.matches(labels)))
            .map(|it| format!("{}/{}", it.meta.namespace, it.meta.name));
        let own = space
            .into_iter()
            .flat_map(|space| space.authentication_selectors.candidates(labels))
            .filter_map(|id| self.authentications.get(id))
            .filter(|it| it.selector.as_ref().is_some_and(|it| it.matches(labels)))
            .min_by(|one, other| authentication::by_age(one, other));
        let root = &self.mesh().config.root_namespace;
        let inherited = self.inherited(namespace);
        let listed = authentication::listed(inherited, own.map(|it| &**it), root);
        let mut policies: Vec<_> = policies.chain(listed).collect();
        policies.sort_unstable();
        policies.dedup();
        policies
    }

    fn bind_workload(&self, meta: &Meta, labels: &Labels) -> Binding {
        self.bind(meta, labels, Traffic::Workload, false)
    }

    fn bind(&self, meta: &Meta, labels: &Labels, traffic: Traffic, private: bool) -> Binding {
        let space: Option<&Space> = self.space(&meta.namespace);
        let target = Target {
            namespace: &meta.namespace,
            object: space.and_then(|space| space.object.as_deref()),
            meta,
            labels,
            traffic,
            private,
        };
        waypoint::bind(&target, &self.mesh(), &|namespace, name| {
            self.gateway(namespace, name)
        })
    }

    /// Whether a gateway that the mesh runs has the Service of that name. Any other may share its name with an app,
    /// which keeps its waypoint.
    fn is_service_of_managed(&self, space: Option<&Space>, name: &str) -> bool {
        let gateways = space
            .into_iter()
            .flat_map(|space| space.gateways_by_service.get(name));
        gateways
            .filter_map(|id| self.found(id))
            .any(|found| match waypoint::class(found) {
                Class::Waypoint | Class::EastWest => true,
                Class::Other => false,
            })
    }

    fn gateway(&self, namespace: &str, name: &str) -> Option<Found<'_>> {
        self.found(self.gateways.find(namespace, name)?)
    }
}

/// Tells of hosts that other objects have.
fn conflicts(lost: &[(&str, String)]) -> Option<Condition> {
    if lost.is_empty() {
        return None;
    }
    let lost: Vec<_> = lost
        .iter()
        .map(|(host, by)| format!("{host} is that of {by}"))
        .collect();
    Some(Condition {
        kind: ACCEPTED,
        status: false,
        reason: "HostConflict",
        message: lost.join(", "),
    })
}
