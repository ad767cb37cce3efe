//! What a policy that cannot be read closes, and what is said of it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    index::{Index, Options},
    objects::{Kind, Meta, Object, ObjectKey, TargetRef, UnreadPolicy, Update},
    output::{Output, Resource},
    read::testkit::objects,
};

const WORLD: &str = "
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
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: shop}
spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}]}
";
const POLICY: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: shop}
spec: {targetRefs: [{kind: Service, group: '', name: web}]}
";
const CLOSED_WEB: &str = "closed by AuthorizationPolicy shop/p";

struct World {
    index: Index,
    /// What closes and what guards, by resource.
    told: BTreeMap<String, String>,
    conditions: BTreeMap<ObjectKey, String>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            index: Index::new(Options::default()),
            told: BTreeMap::new(),
            conditions: BTreeMap::new(),
        };
        world.put(WORLD);
        world
    }

    fn put(&mut self, text: &str) {
        self.apply(objects(text).into_iter().map(Update::Put).collect());
    }

    fn unread(&mut self, kind: Kind, name: &str, targets: &[(&str, &str, &str)]) {
        self.apply(vec![unread(kind, name, targets, |_| ())]);
    }

    fn apply(&mut self, updates: Vec<Update>) {
        let Output {
            puts,
            removals,
            conditions,
            ..
        } = self.index.apply(updates);
        for (_, name) in removals {
            self.told.remove(&name);
        }
        for resource in puts {
            let name = resource.name();
            let (closed, policies) = match resource {
                Resource::RouteTable(it, _) => (it.unenforced, it.policies),
                Resource::Settings(it, _) => (it.unenforced, it.policies),
                Resource::Workload(_)
                | Resource::Service(_)
                | Resource::Authorization(_)
                | Resource::BackendPolicy(_) => continue,
            };
            let guards = policies.unwrap_or_default().authorization;
            let guards = guards.into_iter().map(|it| it.name);
            let closed = closed.into_iter().map(|it| format!("closed by {it}"));
            let said: Vec<_> = closed.chain(guards).collect();
            self.told.insert(name, said.join(", "));
        }
        for (key, all) in conditions {
            self.conditions.remove(&key);
            for condition in all.iter().filter(|it| it.kind == "WaypointAccepted") {
                let text = format!("{}: {}", condition.status, condition.message);
                self.conditions.insert(key.clone(), text);
            }
        }
    }

    fn of(&self, name: &str) -> &str {
        &self.told[name]
    }

    fn web(&self) -> &str {
        self.of("shop/web.shop.svc.cluster.local:80")
    }

    fn condition(&self, kind: Kind, name: &str) -> Option<&str> {
        let (namespace, name) = name.split_once('/').unwrap();
        let key = ObjectKey::new(kind, namespace, name);
        self.conditions.get(&key).map(String::as_str)
    }
}

fn unread(
    kind: Kind,
    name: &str,
    targets: &[(&str, &str, &str)],
    change: impl FnOnce(&mut UnreadPolicy),
) -> Update {
    let (namespace, name) = name.split_once('/').unwrap();
    let mut policy = UnreadPolicy {
        kind,
        meta: Meta {
            name: name.into(),
            namespace: namespace.into(),
            ..Meta::default()
        },
        targets: targets
            .iter()
            .map(|(group, kind, name)| TargetRef {
                group: (*group).to_owned(),
                kind: (*kind).to_owned(),
                name: (*name).to_owned(),
            })
            .collect(),
        has_others: false,
        closes: true,
    };
    change(&mut policy);
    Update::Put(Object::Unread(Arc::new(policy)))
}

const WEB: (&str, &str, &str) = ("", "Service", "web");
const GATEWAY: (&str, &str, &str) = ("gateway.networking.k8s.io", "Gateway", "w");
const CLASS: (&str, &str, &str) = (
    "gateway.networking.k8s.io",
    "GatewayClass",
    "ambit-waypoint",
);
const AUTHORIZATION: Kind = Kind::AuthorizationPolicy;

#[test]
fn it_closes_its_targets_and_nothing_else_and_says_so() {
    let mut world = World::new();
    world.unread(AUTHORIZATION, "shop/p", &[WEB]);
    assert_eq!(world.web(), CLOSED_WEB);
    assert_eq!(world.of("shop/far.shop.svc.cluster.local:80"), "");
    assert_eq!(world.of("shop/w"), "");
    assert_eq!(
        world.condition(AUTHORIZATION, "shop/p"),
        Some(
            "false: the manifest cannot be read, and there is no earlier version: where a waypoint stands before Service shop/web, \
             every request is answered with 403 and every connection ended"
        )
    );
    world.unread(Kind::RequestAuthentication, "shop/t", &[GATEWAY]);
    assert_eq!(world.of("shop/w"), "closed by RequestAuthentication shop/t");
    // And everything that leads through that waypoint.
    assert!(world.web().contains("RequestAuthentication shop/t"));
    world.apply(vec![Update::Delete(ObjectKey::new(
        Kind::RequestAuthentication,
        "shop",
        "t",
    ))]);
    assert_eq!((world.of("shop/w"), world.web()), ("", CLOSED_WEB));
    assert_eq!(world.condition(Kind::RequestAuthentication, "shop/t"), None);
}

#[test]
fn a_target_that_comes_later_comes_closed() {
    let mut world = World {
        index: Index::new(Options::default()),
        told: BTreeMap::new(),
        conditions: BTreeMap::new(),
    };
    world.unread(AUTHORIZATION, "shop/p", &[WEB]);
    world.put(WORLD);
    assert_eq!(world.web(), CLOSED_WEB);
}

#[test]
fn it_and_a_policy_of_its_name_take_turns() {
    let mut world = World::new();
    for _ in 0..2 {
        world.unread(AUTHORIZATION, "shop/p", &[WEB]);
        assert_eq!(world.web(), CLOSED_WEB);
        world.put(POLICY);
        assert_eq!(world.web(), "p");
        let condition = world.condition(AUTHORIZATION, "shop/p").unwrap();
        assert!(condition.starts_with("true: "), "{condition}");
    }
    world.unread(AUTHORIZATION, "shop/p", &[WEB]);
    world.apply(vec![Update::Delete(ObjectKey::new(
        AUTHORIZATION,
        "shop",
        "p",
    ))]);
    assert_eq!(world.web(), "");
    assert_eq!(world.condition(AUTHORIZATION, "shop/p"), None);
    // One that is itself not enforced closes in its place.
    world.unread(AUTHORIZATION, "shop/p", &[WEB]);
    world.put(&POLICY.replace(
        "spec: {",
        "spec: {action: CUSTOM, provider: {name: nobody}, rules: [{}], ",
    ));
    assert_eq!(world.web(), CLOSED_WEB);
    assert!(
        world
            .condition(AUTHORIZATION, "shop/p")
            .unwrap()
            .contains("nobody")
    );
}

#[test]
fn one_that_looks_on_or_has_no_target_that_can_be_read_closes_nothing_and_says_so() {
    let mut world = World::new();
    world.apply(vec![unread(AUTHORIZATION, "shop/p", &[WEB], |it| {
        it.closes = false;
    })]);
    assert_eq!(world.web(), "");
    assert_eq!(
        world.condition(AUTHORIZATION, "shop/p"),
        Some(
            "false: the manifest cannot be read, and there is no earlier version: nothing of it is enforced"
        )
    );
    world.apply(vec![unread(AUTHORIZATION, "shop/p", &[], |it| {
        it.has_others = true;
    })]);
    assert_eq!(world.web(), "");
    assert_eq!(
        world.condition(AUTHORIZATION, "shop/p"),
        Some(
            "false: the manifest cannot be read, and there is no earlier version: nothing of it is enforced; it has targetRefs that \
             cannot be read either: what they mean is not closed"
        )
    );
}

#[test]
fn a_class_is_closed_by_the_root_namespace_alone_wherever_that_goes() {
    let mut world = World::new();
    world.unread(AUTHORIZATION, "shop/p", &[CLASS]);
    assert_eq!(world.of("shop/w"), "");
    let config = |root: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata: {{mesh: 'rootNamespace: {root}'}}\n"
        )
    };
    world.put(&config("shop"));
    assert_eq!(world.of("shop/w"), CLOSED_WEB);
    let condition = world.condition(AUTHORIZATION, "shop/p").unwrap();
    assert!(
        condition.contains("before GatewayClass ambit-waypoint,"),
        "{condition}"
    );
    world.put(&config("istio-system"));
    assert_eq!(world.of("shop/w"), "");
}

#[test]
fn what_it_does_not_close_is_told_as_such() {
    let said = |targets: &[(&str, &str, &str)]| {
        let mut world = World::new();
        world.unread(AUTHORIZATION, "shop/p", targets);
        let of_class = world.of("shop/w").to_owned();
        assert_eq!(
            of_class, "",
            "a class is closed by the root namespace alone"
        );
        let condition = world.condition(AUTHORIZATION, "shop/p").unwrap();
        let head = "false: the manifest cannot be read, and there is no earlier version: ";
        condition.strip_prefix(head).unwrap().to_owned()
    };
    let idle = "; it is not in force for GatewayClass ambit-waypoint: policies of the root namespace alone are";
    assert_eq!(
        said(&[WEB, CLASS]),
        format!(
            "where a waypoint stands before Service shop/web, every request is answered with 403 and every connection ended{idle}"
        )
    );
    assert_eq!(said(&[CLASS]), format!("nothing of it is enforced{idle}"));
}
