//! A small mesh of manifests, and what it is told.

use std::collections::BTreeMap;

use wire::proto::waypoint::{Policies, RouteTable, Settings};

use crate::{
    index::{Index, Options, tests::Accumulated},
    objects::{Kind, ObjectKey, Update},
    output::{Output, Resource},
    read::testkit::objects,
};

/// A namespace with a waypoint, and services behind it; an authorizer without one.
pub(super) const WORLD: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/use-waypoint: w}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: w, namespace: shop}
spec: {gatewayClassName: ambit-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}, {name: http-two, port: 81}]}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: shop}
spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out, namespace: shop}
spec: {hosts: [out.example.com, web.shop.svc.cluster.local], ports: [{name: http, number: 80, protocol: HTTP}], resolution: NONE}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |-
    extensionProviders:
    - {name: ext, envoyExtAuthzGrpc: {service: authz.infra.svc.cluster.local, port: 9000}}
    - {name: outside, envoyExtAuthzHttp: {service: infra/authz.example.com, port: 443}}
";
pub(super) const AUTHORIZER: &str = "
apiVersion: v1
kind: Service
metadata: {name: authz, namespace: infra}
spec: {clusterIP: 10.0.0.9, ports: [{name: grpc, port: 9000}]}
";

pub(super) struct World {
    index: Index,
    all: Accumulated,
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            index: Index::new(Options::default()),
            all: Accumulated::default(),
        };
        world.put(WORLD);
        world
    }

    /// Puts the objects of a manifest, and tells what came of them.
    pub(super) fn put(&mut self, text: &str) -> Output {
        self.apply(objects(text).into_iter().map(Update::Put).collect())
    }

    pub(super) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) -> Output {
        self.apply(vec![Update::Delete(ObjectKey::new(kind, namespace, name))])
    }

    fn apply(&mut self, updates: Vec<Update>) -> Output {
        let output = self.index.apply(updates);
        self.all.take(output.clone());
        output
    }

    pub(super) fn policy(&mut self, name: &str, annotations: &str, spec: &str) -> Output {
        let (namespace, name) = name.split_once('/').expect("namespace/name");
        self.put(&format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{name: {name}, namespace: {namespace}, annotations: {{{annotations}}}}}\nspec: {{{spec}}}\n"
        ))
    }

    pub(super) fn tokens(&mut self, name: &str, spec: &str) -> Output {
        let (namespace, name) = name.split_once('/').expect("namespace/name");
        self.put(&format!(
            "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\n\
             metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
        ))
    }

    pub(super) fn tables(&self) -> BTreeMap<String, RouteTable> {
        let tables = self
            .all
            .resources
            .iter()
            .filter_map(|((_, name), it)| match it {
                Resource::RouteTable(table, _) => Some((name.clone(), table.clone())),
                Resource::Workload(_)
                | Resource::Service(_)
                | Resource::Authorization(_)
                | Resource::BackendPolicy(_)
                | Resource::Settings(..) => None,
            });
        tables.collect()
    }

    fn settings(&self) -> Settings {
        let mut all = self.all.resources.values().filter_map(|it| match it {
            Resource::Settings(settings, _) => Some((**settings).clone()),
            Resource::Workload(_)
            | Resource::Service(_)
            | Resource::Authorization(_)
            | Resource::BackendPolicy(_)
            | Resource::RouteTable(..) => None,
        });
        all.next().expect("settings")
    }

    /// What is asked and what is closed, by port and for the waypoint: names, each policy as `namespace/name`.
    pub(super) fn told(&self) -> BTreeMap<String, String> {
        let settings = self.settings();
        let tables = self.tables().into_iter();
        let mut told: BTreeMap<_, _> = tables
            .map(|(name, it)| (name, say(it.policies.as_ref(), &it.unenforced)))
            .collect();
        let of_gateway = say(settings.policies.as_ref(), &settings.unenforced);
        told.insert("waypoint".to_owned(), of_gateway);
        told.retain(|_, said| !said.is_empty());
        told
    }

    /// The condition `WaypointAccepted`: whether it holds, its reason, its message.
    pub(super) fn condition(&self, kind: Kind, name: &str) -> (bool, &'static str, String) {
        let (namespace, name) = name.split_once('/').expect("namespace/name");
        let conditions = self
            .all
            .conditions
            .get(&ObjectKey::new(kind, namespace, name));
        let found = conditions
            .into_iter()
            .flatten()
            .find(|it| it.kind == "WaypointAccepted");
        let found = found.expect("a condition");
        (found.status, found.reason, found.message.clone())
    }

    pub(super) fn condition_of_policy(&self) -> (bool, &'static str, String) {
        self.condition(Kind::AuthorizationPolicy, "shop/p")
    }
}

fn say(policies: Option<&Policies>, unenforced: &[String]) -> String {
    let policies = policies.cloned().unwrap_or_default();
    let guards = policies.authorization.iter();
    let guards = guards.map(|it| format!("{}/{}", it.namespace, it.name));
    let tokens = policies.authentication.iter();
    let tokens = tokens.map(|it| format!("tokens {}/{}", it.namespace, it.name));
    let closed = unenforced.iter().map(|it| format!("closed by {it}"));
    let said: Vec<_> = guards.chain(tokens).chain(closed).collect();
    said.join(", ")
}

pub(super) fn expected<const N: usize>(told: [(&str, &str); N]) -> BTreeMap<String, String> {
    let told = told.into_iter();
    told.map(|(name, said)| (name.to_owned(), said.to_owned()))
        .collect()
}
