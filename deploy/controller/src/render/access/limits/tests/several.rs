//! Several limits, and several targets: none is lost for another, and none is taken for another.

use super::*;

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
                ": every request to Service reviews is answered with 403 and every connection ended"
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
