//! What stands in for a policy that cannot be read, and what does not.

use std::path::Path;

use crate::{objects::UnreadPolicy, source::judged::Judged};

/// The stand-ins of a file, in its order.
fn stand_ins(text: &str) -> Vec<Option<UnreadPolicy>> {
    let judged = Judged::new(Path::new("p.yaml"), text);
    let claims = judged.claims.into_iter();
    claims
        .map(|claim| {
            assert!(claim.object.is_none() || claim.unread.is_none());
            claim.unread.map(|it| UnreadPolicy::clone(&it))
        })
        .collect()
}

fn policy(kind: &str, annotations: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: p, namespace: shop, annotations: {{{annotations}}}}}\nspec: {{{spec}}}\n"
    )
}

/// The targets of a policy that is bad for this spec, in words; `+` where there are others.
fn targets(spec: &str) -> Option<String> {
    let text = policy("AuthorizationPolicy", "", &format!("action: NOPE, {spec}"));
    let [found] = <[_; 1]>::try_from(stand_ins(&text)).unwrap();
    let found = found?;
    let targets = found.targets.iter();
    let mut words: Vec<_> = targets
        .map(|it| format!("{}/{}", it.kind, it.name))
        .collect();
    words.extend(found.has_others.then(|| "+".to_owned()));
    Some(words.join(" "))
}

const WEB: &str = "{kind: Service, group: '', name: web}";

#[test]
fn references_that_are_whole_count_whatever_else_is_wrong() {
    let found = |spec: &str| targets(spec).unwrap();
    assert_eq!(found(&format!("targetRefs: [{WEB}]")), "Service/web");
    assert_eq!(found(&format!("targetRef: {WEB}")), "Service/web");
    assert_eq!(
        found(&format!(
            "selector: {{matchLabels: {{a: b}}}}, targetRefs: [{WEB}]"
        )),
        "Service/web"
    );
    assert_eq!(
        found(
            "targetRefs: [{kind: Service, group: core, name: web, namespace: shop, more: 1}, {kind: Gateway, group: gateway.networking.k8s.io, name: w}]"
        ),
        "Service/web Gateway/w"
    );
    assert_eq!(
        found(
            "targetRefs: [{kind: GatewayClass, group: gateway.networking.k8s.io, name: c}, {kind: ServiceEntry, group: networking.istio.io, name: e}]"
        ),
        "GatewayClass/c ServiceEntry/e"
    );
    // Twice is as good as once.
    assert_eq!(
        found(&format!("targetRefs: [{WEB}, {WEB}], targetRef: {WEB}")),
        "Service/web"
    );
    assert_eq!(
        found(&format!(
            "targetRefs: [{WEB}], targetRefs: [{{kind: Service, group: '', name: api}}]"
        )),
        "Service/web Service/api"
    );
}

#[test]
fn references_that_are_not_whole_are_told_of_and_the_others_count() {
    for bad in [
        "{kind: Service, group: apps, name: web}",
        "{kind: Services, group: '', name: web}",
        "{kind: Service, name: 'Web!'}",
        "{kind: Service}",
        "{name: web}",
        "{kind: Service, name: web, namespace: other}",
        "{kind: Service, name: [web]}",
        "{kind: Service, name: web, name: api}",
        "{kind: !x Service, name: web}",
        "web",
        "null",
        "7",
    ] {
        assert_eq!(
            targets(&format!("targetRefs: [{bad}]")).as_deref(),
            Some("+"),
            "{bad}"
        );
        assert_eq!(
            targets(&format!("targetRefs: [{bad}, {WEB}]")).as_deref(),
            Some("Service/web +"),
            "{bad}"
        );
    }
    for bad in ["web", "{kind: Service, name: web}", "!x []"] {
        assert_eq!(
            targets(&format!("targetRefs: {bad}")).as_deref(),
            Some("+"),
            "{bad}"
        );
    }
}

#[test]
fn nothing_stands_in_for_what_is_attached_to_nothing_or_can_be_read() {
    for spec in [
        "",
        "targetRefs: null",
        "targetRefs: []",
        "targetRef: null",
        "selector: {matchLabels: {a: b}}",
    ] {
        assert_eq!(targets(spec), None, "{spec}");
    }
    let good = policy("AuthorizationPolicy", "", &format!("targetRefs: [{WEB}]"));
    assert_eq!(stand_ins(&good), [None]);
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {parentRefs: 7, targetRefs: []}\n";
    assert_eq!(stand_ins(route), [None]);
}

#[test]
fn only_what_certainly_looks_on_closes_nothing() {
    let closes = |kind: &str, annotations: &str, spec: &str| {
        let spec = format!("{spec}, rules: 7, jwtRules: 7, targetRefs: [{WEB}]");
        let [found] = <[_; 1]>::try_from(stand_ins(&policy(kind, annotations, &spec))).unwrap();
        found.unwrap().closes
    };
    assert!(closes("AuthorizationPolicy", "", "action: DENY"));
    assert!(!closes("AuthorizationPolicy", "", "action: AUDIT"));
    assert!(closes("AuthorizationPolicy", "", "action: audit"));
    assert!(closes(
        "AuthorizationPolicy",
        "",
        "action: AUDIT, action: DENY"
    ));
    assert!(!closes(
        "AuthorizationPolicy",
        "istio.io/dry-run: 'true'",
        "action: DENY"
    ));
    assert!(closes(
        "AuthorizationPolicy",
        "istio.io/dry-run: 'yes'",
        "action: DENY"
    ));
    assert!(closes(
        "RequestAuthentication",
        "istio.io/dry-run: 'true'",
        "action: AUDIT"
    ));
}

#[test]
fn a_policy_of_another_version_and_one_of_a_list_are_told_apart_by_their_places() {
    let old = policy("AuthorizationPolicy", "", &format!("targetRefs: [{WEB}]"))
        .replace("istio.io/v1", "istio.io/v7");
    assert!(stand_ins(&old)[0].is_some());
    let item = |name: &str, action: &str| {
        format!(
            "- {{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {{name: {name}}}, spec: {{action: {action}, targetRefs: [{{kind: Service, name: {name}}}]}}}}\n"
        )
    };
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n{}{}{}",
        item("a", "NOPE"),
        item("b", "ALLOW"),
        item("c", "NOPE")
    );
    let found = stand_ins(&list);
    let names: Vec<_> = found
        .iter()
        .map(|it| it.as_ref().map(|it| it.targets[0].name.as_str()))
        .collect();
    assert_eq!(names, [Some("a"), None, Some("c")]);
    assert_eq!(&*found[2].as_ref().unwrap().meta.name, "c");
}
