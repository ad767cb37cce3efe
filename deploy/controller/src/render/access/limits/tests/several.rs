//! Several limits, and several targets: none is lost for another, and none is taken for another.

use super::*;
use crate::objects::envoy_filter::Patch;

#[test]
fn no_limit_gets_a_name_that_another_has() {
    let named =
        |name: &str| LIMIT_PATCH.replace("stat_prefix: s", &format!("stat_prefix: '{name}'"));
    let (s, two, three) = (named("s"), named("s#2"), named("s#2#2"));
    let compiled = Compiled::of(&[filter("f", &[&s, &s, &two, &s, &two, &three])]);
    let names: Vec<String> = compiled
        .of_gateway()
        .iter()
        .map(|it| it.name.replace("shop/f/", ""))
        .collect();
    assert_eq!(names, ["s", "s#3", "s#2", "s#4", "s#2#3", "s#2#2"]);
}

#[test]
fn an_object_with_a_limit_that_no_waypoint_can_read_closes_by_name() {
    // What no manifest comes to: the name of a header that is none, in the second of two limits.
    let limits = "rateLimits: [{name: good, local: {requests: 5, interval: 1s}}, {name: bad, local: {requests: 1, interval: 1s}}]";
    let compile = |target: &str| {
        let more = [policy("a", 1, target, limits), filter("f", &[LIMIT_PATCH])];
        Compiled::changed(&more, |object| {
            if let Object::TrafficPolicy(it) = object {
                let bad = std::sync::Arc::make_mut(it).rate_limits.get_mut(1);
                let headers = &mut bad.expect("a second").response_headers;
                headers.push(("a b".to_owned(), "c".to_owned()));
            }
        })
    };
    let compiled = compile(SERVICE);
    let mut count = 0;
    for table in compiled.tables() {
        assert_eq!(table.unenforced, ["TrafficPolicy shop/a"]);
        count += 1;
    }
    assert_eq!(count, 2, "both ports");
    let conditions = compiled.conditions("a");
    let [condition] = &*conditions else {
        panic!("{conditions:?}")
    };
    assert!(
        condition.starts_with("Accepted false Invalid: waypoints cannot read it: ")
            && condition.contains("a b")
            && condition.ends_with(
                ": every request to Service reviews is answered with 403 and every connection ended; \
                 requests that routes of other services lead there are not closed, as its limits do not count for them"
            ),
        "{condition}"
    );
    let compiled = compile(GATEWAY);
    let settings = compiled.any_settings();
    assert_eq!(settings.unenforced, ["TrafficPolicy shop/a"]);
    // What others say stays.
    let policies = settings.policies.clone().unwrap_or_default();
    assert_eq!(names(&policies.rate_limits), ["shop/f/s"]);
    assert_eq!(
        compiled.conditions("f"),
        ["WaypointAccepted true Accepted: bound to shop/waypoint"]
    );
}

/// Makes the last of the limits of `a` and `f` one that no waypoint can read.
fn spoil(object: &mut Object) {
    let bad = || ("a b".to_owned(), "c".to_owned());
    if let Object::TrafficPolicy(it) = object
        && *it.meta.name == *"a"
    {
        let limit = std::sync::Arc::make_mut(it).rate_limits.last_mut();
        limit.expect("a limit").response_headers.push(bad());
    }
    if let Object::EnvoyFilter(it) = object {
        for patch in &mut std::sync::Arc::make_mut(it).patches {
            if let Patch::LocalRateLimit(limit) = patch {
                limit.response_headers.push(bad());
            }
        }
    }
}

#[test]
fn a_conflict_about_another_block_does_not_hide_that_a_target_is_closed() {
    let health = "healthCheck: {protocol: tcp}";
    let both = format!("{health}\n  {LOCAL}");
    let closed = "every request to Service reviews is answered with 403";
    let older = policy("b", 1, SERVICE, health);
    let compiled = Compiled::changed(&[policy("a", 2, SERVICE, &both), older], spoil);
    for table in compiled.tables() {
        assert_eq!(table.unenforced, ["TrafficPolicy shop/a"]);
    }
    let conditions = compiled.conditions("a");
    let [condition] = &*conditions else {
        panic!("{conditions:?}")
    };
    assert!(
        condition.starts_with("Accepted false Conflicted: TrafficPolicy b has the healthCheck of Service reviews; waypoints cannot read it: ")
            && condition.contains(closed),
        "{condition}"
    );
    // Where its limits are lost, they close nothing.
    let older = policy("b", 1, SERVICE, LOCAL);
    let compiled = Compiled::changed(&[policy("a", 2, SERVICE, &both), older], spoil);
    assert_eq!(names(&compiled.of_service()), ["shop/b/all"]);
    assert_eq!(
        compiled.conditions("a"),
        ["Accepted false Conflicted: TrafficPolicy b has the rateLimits of Service reviews"]
    );
}

#[test]
fn a_gateway_for_which_nobody_is_named_does_not_hide_that_another_is_closed() {
    let second = WORLD
        .split("---")
        .find(|it| it.contains("kind: Gateway"))
        .expect("a Gateway")
        .replace("name: waypoint,", "name: second,");
    let second = format!("---{second}");
    let both = filter("f", &[PROXY_PATCH, LIMIT_PATCH]).replace(
        GATEWAY,
        &format!("{GATEWAY}, {}", GATEWAY.replace("waypoint", "second")),
    );
    let peers = policy("p", 1, GATEWAY, PEERS);
    let more = [second, both, peers];
    let settings = |compiled: &Compiled| {
        let mut all: Vec<_> = compiled
            .0
            .puts
            .iter()
            .filter_map(|it| match it {
                Resource::Settings(it, _) => Some((it.gateway.clone(), it.unenforced.clone())),
                Resource::Workload(_)
                | Resource::Service(_)
                | Resource::Authorization(_)
                | Resource::BackendPolicy(_)
                | Resource::RouteTable(..) => None,
            })
            .collect();
        all.sort();
        all
    };
    let unnamed = "no TrafficPolicy with clientAddress.trustedPeers says whose PROXY headers count for Gateway second: nothing of it is in force there";
    let compiled = Compiled::changed(&more, spoil);
    assert_eq!(
        settings(&compiled),
        [
            ("second".to_owned(), vec![]),
            ("waypoint".to_owned(), vec!["EnvoyFilter shop/f".to_owned()])
        ]
    );
    let conditions = compiled.conditions("f");
    let [condition] = &*conditions else {
        panic!("{conditions:?}")
    };
    assert!(
        condition.starts_with("WaypointAccepted false Invalid: waypoints cannot read it: ")
            && condition.contains(": every request to Gateway shop/waypoint is answered with 403")
            && condition.ends_with(unnamed),
        "{condition}"
    );
    // Where its limit can be read it is in force there, and the condition says where not.
    let compiled = Compiled::of(&more);
    assert!(
        settings(&compiled)
            .iter()
            .all(|(_, closed)| closed.is_empty())
    );
    assert_eq!(
        compiled.conditions("f"),
        [format!(
            "WaypointAccepted true UnsupportedValue: bound to shop/waypoint; {unnamed}"
        )]
    );
}

#[test]
fn each_target_of_a_policy_has_an_answer_of_its_own() {
    let lone = "---\napiVersion: v1\nkind: Service\nmetadata: {name: lone, namespace: shop, labels: {istio.io/use-waypoint: none}}\nspec: {ports: [{name: http, port: 80}]}\n";
    let targets = format!(
        "{SERVICE}, {{kind: Service, name: lone}}, {{kind: Service, name: other}}, {GATEWAY}"
    );
    let compiled = Compiled::of(&[lone.to_owned(), policy("a", 2, &targets, LOCAL)]);
    assert_eq!(
        compiled.conditions("a"),
        [
            "Accepted false TargetNotFound: there is no Service other; Service reviews: attached to the waypoint; \
             Service lone: it has no effect until a waypoint stands before the service; Gateway waypoint: attached to the waypoint"
        ]
    );
    // One that has lost a target to an older one keeps the others.
    let older = policy("b", 1, GATEWAY, LOCAL);
    let compiled = Compiled::of(&[lone.to_owned(), policy("a", 2, &targets, LOCAL), older]);
    assert_eq!(
        compiled.conditions("a"),
        [
            "Accepted false Conflicted: there is no Service other; TrafficPolicy b has the rateLimits of Gateway waypoint; \
             Service reviews: attached to the waypoint; Service lone: it has no effect until a waypoint stands before the service"
        ]
    );
    assert_eq!(names(&compiled.of_service()), ["shop/a/all"]);
    // Where all have the same answer, it is told once.
    let both = format!("{SERVICE}, {GATEWAY}");
    let compiled = Compiled::of(&[policy("a", 2, &both, LOCAL)]);
    assert_eq!(
        compiled.conditions("a"),
        ["Accepted true Accepted: attached to the waypoint"]
    );
}
