//! Tests of what is known by which name.

use mesh::{Resource, ResourceKey, Service, ServiceKey, Workload};

use super::Known;

fn workload(uid: &str) -> Resource {
    Resource::Workload(
        Workload {
            uid: uid.into(),
            ..Workload::default()
        }
        .into(),
    )
}

fn service(hostname: &str) -> Resource {
    Resource::Service(
        Service {
            namespace: "default".into(),
            hostname: hostname.into(),
            ..Service::default()
        }
        .into(),
    )
}

fn aliases(names: &[&str]) -> Vec<Box<str>> {
    names.iter().map(|name| Box::from(*name)).collect()
}

#[test]
fn a_resource_is_removed_by_the_name_under_which_it_came() {
    let mut known = Known::new(false);
    known.put("default/Web", "1", 1, &service("web"), Vec::new());
    known.put("a", "1", 1, &workload("a"), Vec::new());
    assert!(known.remove("default/web").is_none());
    let key = |name: &str, known: &mut Known| known.remove(name).map(|removed| removed.key);
    assert_eq!(
        key("default/Web", &mut known),
        Some(ResourceKey::Service(ServiceKey::new("default", "web")))
    );
    assert_eq!(
        key("a", &mut known),
        Some(ResourceKey::Workload("a".into()))
    );
    assert_eq!(known.len(), 0);
}

#[test]
fn a_name_that_stands_for_something_else_gives_up_what_it_stood_for() {
    let mut known = Known::new(false);
    known.put("x", "1", 1, &workload("a"), Vec::new());
    let replaced = known.put("x", "2", 2, &workload("b"), Vec::new());
    assert_eq!(replaced.key, Some(ResourceKey::Workload("a".into())));
    let replaced = known.put("x", "3", 3, &workload("b"), Vec::new());
    assert_eq!(replaced.key, None);
    assert_eq!(known.versions().collect::<Vec<_>>(), [("x", "3")]);
}

#[test]
fn an_alias_leads_nowhere_when_the_last_that_has_it_gives_it_up() {
    let mut known = Known::new(true);
    known.put("a", "1", 1, &workload("a"), aliases(&["/1", "/2", "/1"]));
    known.put("b", "1", 1, &workload("b"), aliases(&["/2"]));
    assert_eq!(known.by_alias("/2").len(), 2);
    let replaced = known.put("a", "2", 2, &workload("a"), aliases(&["/3"]));
    assert_eq!(replaced.aliases, aliases(&["/1"]));
    let removed = known.remove("b").unwrap();
    assert_eq!(removed.aliases, aliases(&["/2"]));
    assert_eq!(known.by_alias("/3").len(), 1);
    assert!(known.by_alias("/1").is_empty() && known.by_alias("/2").is_empty());
}

#[test]
fn without_demand_no_alias_is_kept() {
    let mut known = Known::new(false);
    known.put("a", "1", 1, &workload("a"), aliases(&["/1"]));
    assert!(known.by_alias("/1").is_empty());
    assert!(known.remove("a").unwrap().aliases.is_empty());
}

#[test]
fn what_was_not_brought_again_is_found() {
    let mut known = Known::new(false);
    for name in ["a", "b", "c"] {
        known.put(name, "1", 1, &workload(name), Vec::new());
    }
    known.put("b", "1", 4, &workload("b"), Vec::new());
    let mut old = known.not_since(4);
    old.sort();
    assert_eq!(old, ["a", "c"]);
    assert_eq!(known.response("b"), Some(4));
}
