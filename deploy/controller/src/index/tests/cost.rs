//! What a change marks as dirty, which is what it costs.

use std::sync::Arc;

use crate::{
    index::{Options, dirty::Dirty, store::Store},
    objects::{
        AuthorizationPolicy, Kind, MutualTls, Object, ObjectKey, PeerAuthentication, Pod, Update,
    },
    render::tests::sample::{
        labels, meta, namespace, node, pod, selector, service, slice, slice_endpoint,
    },
};

const SERVICES: usize = 300;
const PODS: usize = 3;

/// One namespace with 300 services of 3 pods each, all of which share a label, with a policy for each service; the
/// services' selectors name the shared label first.
fn mesh() -> Store {
    let mut store = Store::new(Options::default());
    let mut objects = vec![namespace("shop", [])];
    for number in 0..SERVICES {
        let app = format!("app-{number}");
        let mut object = service("shop", &app, "10.96.0.1");
        object.selector = selector([("a-shared", "yes"), ("app", &app)]);
        objects.push(Object::Service(Arc::new(object)));
        for part in 0..PODS {
            objects.push(Object::Pod(Arc::new(backend(number, part))));
        }
        objects.push(Object::AuthorizationPolicy(Arc::new(policy(number))));
    }
    let mut dirty = Dirty::default();
    for object in objects {
        store.change(Update::Put(object), &mut dirty);
    }
    assert_eq!(dirty.pods.len(), SERVICES * PODS);
    store
}

fn backend(number: usize, part: usize) -> Pod {
    let app = format!("app-{number}");
    let address = format!("10.{part}.{}.{}", number / 256, number % 256);
    let name = format!("{app}-{part}");
    pod(
        "shop",
        &name,
        &address,
        [("a-shared", "yes"), ("app", &app)],
    )
}

fn policy(number: usize) -> AuthorizationPolicy {
    let app = format!("app-{number}");
    AuthorizationPolicy {
        meta: meta("shop", &app),
        selector: selector([("a-shared", "yes"), ("app", &app)]),
        ..AuthorizationPolicy::default()
    }
}

/// How many pods, services, slices and policies a change marks.
fn cost(store: &mut Store, update: Update) -> [usize; 4] {
    let mut dirty = Dirty::default();
    store.change(update, &mut dirty);
    [
        dirty.pods.len(),
        dirty.services.len(),
        dirty.slices.len(),
        dirty.authorizations.len() + dirty.authentications.len(),
    ]
}

#[test]
fn change_costs_what_it_touches() {
    let mut store = mesh();
    let mut check = |what: &str, object: Object, expected| {
        let actual = cost(&mut store, Update::Put(object));
        assert_eq!(actual, expected, "{what}");
    };
    let mut unready = backend(7, 1);
    unready.ready = false;
    check("a pod", Object::Pod(Arc::new(unready)), [1, 0, 0, 0]);
    let mut labelled = service("shop", "app-7", "10.96.0.1");
    labelled.selector = selector([("a-shared", "yes"), ("app", "app-7")]);
    labelled.meta.labels = labels([("team", "web")]);
    let labelled_service = Object::Service(Arc::new(labelled.clone()));
    check("a service's labels", labelled_service, [0, 1, 0, 0]);
    labelled.ports.clear();
    let changed = Object::Service(Arc::new(labelled));
    check("a service's ports", changed, [PODS, 1, 0, 0]);
    let mut rules = policy(7);
    rules.rules.push(Default::default());
    let rules = Object::AuthorizationPolicy(Arc::new(rules));
    check("a policy's rules", rules, [0, 0, 0, 1]);
    let mut selecting = policy(7);
    selecting.selector = selector([("a-shared", "yes"), ("app", "app-8")]);
    let selecting = Object::AuthorizationPolicy(Arc::new(selecting));
    check("a policy's selector", selecting, [2 * PODS, 0, 0, 1]);
    let strict = |name, mode| {
        Object::PeerAuthentication(Arc::new(PeerAuthentication {
            meta: meta("shop", name),
            selector: selector([("app", "app-9")]),
            mode: Some(mode),
            ..PeerAuthentication::default()
        }))
    };
    let own = strict("own", MutualTls::Strict);
    check("a workload's mutual TLS", own, [PODS, 0, 0, 1]);
    let nowhere = node("node-2", [("topology.kubernetes.io/zone", "z")]);
    check("a node without pods", nowhere, [0, 0, 0, 0]);
    let first = |ready| {
        let mut slice = slice("shop", "app-7-1", "app-7");
        for part in 0..PODS {
            let name = format!("app-7-{part}");
            let mut endpoint = slice_endpoint("10.0.0.7", Some(("shop", &name)));
            endpoint.ready = part != 0 || ready;
            slice.endpoints.push(endpoint);
        }
        Object::EndpointSlice(Arc::new(slice))
    };
    check("a service's first slice", first(true), [PODS, 0, 1, 0]);
    check("an endpoint's readiness", first(false), [1, 0, 1, 0]);
}

#[test]
fn one_of_three_hundred_selectors_is_found_by_its_rarest_label() {
    let mut store = mesh();
    let key = ObjectKey::new(Kind::Service, "shop", "app-3");
    assert_eq!(cost(&mut store, Update::Delete(key)), [PODS, 0, 0, 0]);
    let space = store.space("shop").unwrap();
    let labels = &backend(9, 0).meta.labels;
    // The first of all had no reason to avoid the label that they share.
    let candidates = space.service_selectors.candidates(labels).count();
    assert!(candidates <= 2, "{candidates} selectors were looked at");
    let candidates = space.authorization_selectors.candidates(labels).count();
    assert!(candidates <= 2, "{candidates} selectors were looked at");
}
