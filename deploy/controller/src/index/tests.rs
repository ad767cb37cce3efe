//! The index as a whole: whatever the order of changes, the end is the same, and a change costs what it touches.

mod access;
mod accumulated;
mod cost;
mod random;

use std::sync::Arc;

use accumulated::Accumulated;

use super::{Index, Options};
use crate::{
    objects::{Kind, Object, ObjectKey, Phase, Update},
    output::Output,
    render::tests::sample::{pod, service},
};

fn put(object: Object) -> Update {
    Update::Put(object)
}

#[test]
fn trust_domain_and_root_namespace_are_told_once() {
    let mut index = Index::new(Options::default());
    let first = index.apply(Vec::new());
    assert_eq!(first.trust_domain.as_deref(), Some("cluster.local"));
    assert_eq!(first.root_namespace.as_deref(), Some("istio-system"));
    assert_eq!(index.apply(Vec::new()), Output::default());
}

#[test]
fn object_that_is_as_it_was_is_not_told_again() {
    let mut index = Index::new(Options::default());
    let object = Object::Pod(Arc::new(pod("shop", "web", "10.0.0.1", [("app", "web")])));
    assert_eq!(index.apply(vec![put(object.clone())]).puts.len(), 1);
    assert_eq!(index.apply(vec![put(object)]), Output::default());
}

#[test]
fn object_that_goes_and_comes_in_one_batch_stays() {
    let mut index = Index::new(Options::default());
    let mut accumulated = Accumulated::default();
    let object = Object::Service(Arc::new(service("shop", "web", "10.96.0.1")));
    accumulated.take(index.apply(vec![put(object.clone())]));
    let key = ObjectKey::new(Kind::Service, "shop", "web");
    let output = index.apply(vec![Update::Delete(key), put(object)]);
    assert_eq!(output.removals, []);
    let before = accumulated.clone();
    accumulated.take(output);
    assert_eq!(before, accumulated);
}

#[test]
fn pod_that_succeeds_goes_with_its_resident() {
    let mut index = Index::new(Options::default());
    let mut accumulated = Accumulated::default();
    let mut job = pod("shop", "job", "10.0.0.1", []);
    accumulated.take(index.apply(vec![put(Object::Pod(Arc::new(job.clone())))]));
    assert_eq!(accumulated.residents.len(), 1);
    job.phase = Phase::Succeeded;
    accumulated.take(index.apply(vec![put(Object::Pod(Arc::new(job)))]));
    assert_eq!(accumulated.residents.len(), 0);
    assert_eq!(accumulated.resources.len(), 0);
}
