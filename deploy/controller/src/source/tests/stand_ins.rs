//! A policy that cannot be read and was never read closes what it is attached to, until it can be read or is gone.

use super::{Followed, fresh};
use crate::objects::{Kind, Object, ObjectKey};

fn policy(action: &str, service: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\n\
         spec: {{action: {action}, targetRefs: [{{kind: Service, group: '', name: {service}}}]}}\n"
    )
}

/// What is in force of the policy: the service that is closed, or whether it is the policy itself.
fn of(followed: &Followed) -> Option<Result<String, String>> {
    let key = ObjectKey::new(Kind::AuthorizationPolicy, "shop", "p");
    let object = followed.known.get(&key)?;
    if let Object::Unread(it) = object {
        return Some(Err(it.targets[0].name.clone()));
    }
    let Object::AuthorizationPolicy(it) = object else {
        panic!("{object:?}");
    };
    Some(Ok(it.targets[0].name.clone()))
}

fn closed(service: &str) -> Option<Result<String, String>> {
    Some(Err(service.to_owned()))
}

fn guarded(service: &str) -> Option<Result<String, String>> {
    Some(Ok(service.to_owned()))
}

#[test]
fn a_start_on_a_bad_policy_closes_what_it_is_attached_to_until_it_is_mended() {
    let mut followed = Followed::new();
    followed.directory.replace("p.yaml", &policy("NOPE", "web"));
    assert_eq!(followed.look(), ["+AuthorizationPolicy shop/p"]);
    assert_eq!(of(&followed), closed("web"));
    assert_eq!(followed.findings.len(), 1);
    // The same, somewhere else: nothing is news.
    let text = format!("# moved\n{}", policy("NOPE", "web"));
    followed.directory.replace("p.yaml", &text);
    assert_eq!(followed.look(), Vec::<String>::new());
    // Still bad, about something else.
    followed.directory.replace("p.yaml", &policy("NOPE", "api"));
    followed.look();
    assert_eq!(of(&followed), closed("api"));
    followed
        .directory
        .replace("p.yaml", &policy("DENY, rules: [{}]", "api"));
    followed.look();
    assert_eq!(of(&followed), guarded("api"));
    assert_eq!(followed.findings, Vec::<String>::new());
}

#[test]
fn the_last_good_version_is_better_than_what_stands_in_and_a_start_has_none() {
    let mut followed = Followed::new();
    followed
        .directory
        .replace("p.yaml", &policy("DENY, rules: [{}]", "web"));
    followed.look();
    followed.directory.replace("p.yaml", &policy("NOPE", "api"));
    assert_eq!(followed.look(), Vec::<String>::new());
    assert_eq!(of(&followed), guarded("web"));
    let (again, findings) = fresh(&followed.directory.path);
    assert_eq!(findings.len(), 1);
    let object = again.into_values().next().unwrap();
    assert!(matches!(object, Object::Unread(_)), "{object:?}");
}

#[test]
fn what_stands_in_goes_with_its_manifest_and_with_its_references() {
    let mut followed = Followed::new();
    followed.directory.replace("p.yaml", &policy("NOPE", "web"));
    followed.look();
    let bare = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop}\nspec: {action: NOPE}\n";
    followed.directory.replace("p.yaml", bare);
    assert_eq!(followed.look(), ["-AuthorizationPolicy shop/p"]);
    assert_eq!(followed.look(), Vec::<String>::new());
    followed.directory.replace("p.yaml", &policy("NOPE", "web"));
    followed.look();
    followed.directory.remove("p.yaml");
    assert_eq!(followed.look(), ["-AuthorizationPolicy shop/p"]);
    assert_eq!(of(&followed), None);
}

#[test]
fn what_stands_in_stays_while_nobody_can_tell_what_the_file_means() {
    let mut followed = Followed::new();
    followed.directory.replace("p.yaml", &policy("NOPE", "web"));
    followed.look();
    followed.directory.replace("p.yaml", "x: [\n");
    assert_eq!(followed.look(), Vec::<String>::new());
    assert_eq!(of(&followed), closed("web"));
}

#[test]
fn the_first_of_two_of_a_name_speaks_also_when_it_is_bad() {
    let mut followed = Followed::new();
    followed.directory.replace("a.yaml", &policy("NOPE", "web"));
    followed
        .directory
        .replace("b.yaml", &policy("DENY, rules: [{}]", "web"));
    followed.look();
    assert_eq!(of(&followed), closed("web"));
    followed.directory.remove("a.yaml");
    followed.look();
    assert_eq!(of(&followed), guarded("web"));
}
