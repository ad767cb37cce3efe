//! Who may do what, where requests are read. What a rule means is tested where it is compiled; here is what becomes of it.

use http::{Request, Version};
use mesh::{
    access::{
        Policies,
        authorization::{Action, Field, IpAttribute, Policy, Rule, Test, TextAttribute},
    },
    route::RouteTable,
};

use super::kit::*;
use crate::{access::testkit::*, body::Body};

async fn kit(of_waypoint: Policies, of_service: Policies) -> Kit {
    let address = backend(Version::HTTP_11, |_| async { Ok(text("ok")) }).await;
    let table = RouteTable {
        policies: of_service,
        ..table(vec![forward()])
    };
    let plan = Plan {
        table: Some(table),
        policies: of_waypoint,
        ..Plan::default()
    };
    Kit::new(&[address], plan)
}

fn allow(rules: Vec<Rule>) -> Policy {
    policy("allow", Action::Allow, rules)
}

async fn is_let_in(kit: &Kit, request: Request<Body>) -> bool {
    let answered = kit.ask(request).await;
    match answered.status() {
        200 => assert_eq!(answered.body, "ok"),
        403 => assert_eq!(answered.body, "RBAC: access denied"),
        other => panic!("{other}"),
    }
    answered.status() == 200
}

#[tokio::test]
async fn who_is_denied_gets_403_and_only_the_log_says_by_which_rule() {
    let denied = deny(vec![path("/other"), path("/admin")]);
    let kit = kit(Policies::default(), denied).await;
    let answered = kit.ask(get("/admin?x=1")).await;
    assert_eq!(answered.status(), 403);
    assert_eq!(answered.body, "RBAC: access denied");
    assert_eq!(answered.header("content-type"), Some("text/plain"));
    let line = kit.line();
    assert_eq!(line["flags"], "-");
    assert_eq!(
        line["details"],
        "rbac_access_denied_matched_policy[ns[shop]-policy[deny]-rule[1]]"
    );
    assert!(is_let_in(&kit, get("/")).await);
}

#[tokio::test]
async fn a_client_of_grpc_is_told_so_in_its_own_words() {
    let kit = kit(Policies::default(), deny(vec![path("/a.B/C")])).await;
    let mut request = post("/a.B/C", "");
    request
        .headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    let answered = kit.ask(request).await;
    assert_eq!(answered.status(), 200);
    assert_eq!(answered.header("grpc-status"), Some("7"));
    assert_eq!(answered.header("grpc-message"), Some("RBAC: access denied"));
    assert_eq!(kit.line()["grpc"], 7);
}

#[tokio::test]
async fn where_somebody_is_allowed_everybody_else_is_not() {
    let allowed = policies(vec![allow(vec![path("/open")])]);
    let kit = kit(Policies::default(), allowed).await;
    assert!(is_let_in(&kit, get("/open")).await);
    kit.lines();
    assert!(!is_let_in(&kit, get("/")).await);
    let details = "rbac_access_denied_matched_policy[none]";
    assert_eq!(kit.line()["details"], details);
}

#[tokio::test]
async fn a_policy_without_rules_lets_nobody_in_and_a_rule_without_conditions_everybody() {
    let nobody = kit(Policies::default(), policies(vec![allow(Vec::new())])).await;
    assert!(!is_let_in(&nobody, get("/")).await);
    let everybody = policies(vec![allow(vec![Rule::default()])]);
    let everybody = kit(Policies::default(), everybody).await;
    assert!(is_let_in(&everybody, get("/")).await);
}

#[tokio::test]
async fn policies_of_the_waypoint_and_of_the_service_are_one_set() {
    // One denies what the other allows, whichever has which.
    for [of_waypoint, of_service] in [
        [
            deny(vec![path("/admin")]),
            policies(vec![allow(vec![client("default")])]),
        ],
        [
            policies(vec![allow(vec![client("default")])]),
            deny(vec![path("/admin")]),
        ],
    ] {
        let kit = kit(of_waypoint, of_service).await;
        assert!(is_let_in(&kit, get("/")).await);
        assert!(!is_let_in(&kit, get("/admin")).await);
    }
    // It is enough that one of them allows.
    let kit = kit(
        policies(vec![allow(vec![path("/one")])]),
        policies(vec![allow(vec![path("/two")])]),
    )
    .await;
    assert!(is_let_in(&kit, get("/one")).await);
    assert!(is_let_in(&kit, get("/two")).await);
    assert!(!is_let_in(&kit, get("/three")).await);
}

#[tokio::test]
async fn a_path_is_judged_as_its_endpoint_will_read_it() {
    let kit = kit(Policies::default(), deny(vec![path("/admin")])).await;
    for spelling in [
        "/admin",
        "/%61dmin",
        "/x/../admin",
        "/./admin",
        "/x/%2e%2e/admin",
        "/x\\..\\admin",
    ] {
        assert!(!is_let_in(&kit, get(spelling)).await, "{spelling}");
    }
    assert!(is_let_in(&kit, get("/admin/x")).await);
}

#[tokio::test]
async fn nothing_that_a_client_writes_makes_it_another() {
    let admin = "cluster.local/ns/default/sa/admin";
    let by_identity = vec![mesh_rule(TextAttribute::SourcePrincipal, admin)];
    let kit = kit(Policies::default(), policies(vec![allow(by_identity)])).await;
    let mut request = get("/");
    for (name, value) in [
        (
            "x-forwarded-client-cert",
            "URI=spiffe://cluster.local/ns/default/sa/admin",
        ),
        ("forwarded", "for=10.0.0.1"),
        ("baggage", "k8s.namespace.name=default,service.name=admin"),
        (
            "x-ambit-client-principal",
            "spiffe://cluster.local/ns/default/sa/admin",
        ),
        (":path", "/"),
    ] {
        if let Ok(name) = http::HeaderName::try_from(name) {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
    }
    assert!(!is_let_in(&kit, request).await);
}

fn mesh_rule(attribute: TextAttribute, value: &str) -> Rule {
    rule(vec![is(attribute, value)])
}

fn from(attribute: IpAttribute, range: &str) -> Rule {
    rule(vec![Field {
        test: Test::Ip(attribute, vec![range.parse().unwrap()]),
        negate: false,
    }])
}

#[tokio::test]
async fn addresses_are_those_of_the_tunnel_unless_somebody_is_trusted() {
    let both = deny(vec![
        from(IpAttribute::Remote, "192.0.2.0/24"),
        from(IpAttribute::Source, "192.0.2.0/24"),
    ]);
    let kit = kit(Policies::default(), both).await;
    let mut request = get("/");
    let headers = request.headers_mut();
    headers.insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
    headers.insert("x-envoy-external-address", "192.0.2.1".parse().unwrap());
    assert!(is_let_in(&kit, request).await);

    for attribute in [IpAttribute::Remote, IpAttribute::Source] {
        let own = deny(vec![from(attribute, "10.0.0.9/32")]);
        let kit = self::kit(Policies::default(), own).await;
        assert!(!is_let_in(&kit, get("/")).await);
    }
    let vip = deny(vec![from(IpAttribute::Destination, "10.1.0.1/32")]);
    let kit = self::kit(Policies::default(), vip).await;
    assert!(!is_let_in(&kit, get("/")).await);
}

#[tokio::test]
async fn headers_of_one_name_count_as_one_and_the_authority_is_that_of_the_request() {
    let rules = vec![
        header("x-group", "a,b"),
        header("host", "reviews:80"),
        header(":method", "PUT"),
        header(":path", "/x?y=1"),
    ];
    let kit = kit(Policies::default(), policies(vec![allow(rules)])).await;
    // The name of the host alone lets this in.
    assert!(is_let_in(&kit, get("/")).await);
    let other = |path: &str, method: &str| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", "other")
            .body(Body::Empty)
            .unwrap()
    };
    assert!(!is_let_in(&kit, other("/", "GET")).await);
    assert!(is_let_in(&kit, other("/", "PUT")).await);
    assert!(is_let_in(&kit, other("/x?y=1", "GET")).await);
    let mut request = other("/", "GET");
    request
        .headers_mut()
        .append("x-group", "a".parse().unwrap());
    request
        .headers_mut()
        .append("x-group", "b".parse().unwrap());
    assert!(is_let_in(&kit, request).await);
    let mut request = other("/", "GET");
    request
        .headers_mut()
        .append("x-group", "a".parse().unwrap());
    assert!(!is_let_in(&kit, request).await);
}

#[tokio::test]
async fn a_dry_run_and_an_audit_deny_nothing_and_are_counted() {
    let dry = |name: &str, action, rules| Policy {
        dry_run: true,
        ..policy(name, action, rules)
    };
    let all = policies(vec![
        dry("dry-deny", Action::Deny, vec![path("/admin")]),
        dry("dry-allow", Action::Allow, vec![path("/open")]),
        policy("audit", Action::Audit, vec![path("/admin")]),
        policy("deny", Action::Deny, vec![path("/never")]),
    ]);
    let kit = kit(all, Policies::default()).await;
    for path in ["/admin", "/open", "/open"] {
        assert!(is_let_in(&kit, get(path)).await);
    }
    assert!(!is_let_in(&kit, get("/never")).await);
    let scraped = kit.scraped("envoy_http_inbound_rbac{");
    for line in [
        "{authz_enforce_result=\"allowed\"} 3",
        "{authz_enforce_result=\"denied\"} 1",
        "{authz_dry_run_action=\"deny\",authz_dry_run_result=\"denied\"} 1",
        "{authz_dry_run_action=\"deny\",authz_dry_run_result=\"allowed\"} 3",
        "{authz_dry_run_action=\"allow\",authz_dry_run_result=\"allowed\"} 2",
        "{authz_dry_run_action=\"allow\",authz_dry_run_result=\"denied\"} 2",
    ] {
        assert!(scraped.contains(line), "{line} is not in\n{scraped}");
    }
    let audited = kit.scraped("ambit_authorization_audited_total{protocol=\"http\"}");
    assert!(audited.ends_with(" 1"), "{audited}");
}

#[tokio::test]
async fn a_request_that_nobody_judges_is_not_counted_as_judged() {
    let kit = kit(Policies::default(), Policies::default()).await;
    assert!(is_let_in(&kit, get("/")).await);
    let scraped = kit.scraped("envoy_http_inbound_rbac{authz_enforce_result=\"allowed\"}");
    assert!(scraped.ends_with(" 0"), "{scraped}");
}

#[tokio::test]
async fn who_is_denied_is_not_routed_and_reaches_nobody() {
    let calls = Calls::default();
    let counted = calls.clone();
    let address = backend(Version::HTTP_11, move |_| {
        counted.next();
        async { Ok(text("ok")) }
    })
    .await;
    let table = RouteTable {
        policies: deny(vec![Rule::default()]),
        ..table(vec![forward()])
    };
    let plan = Plan {
        table: Some(table),
        ..Plan::default()
    };
    let kit = Kit::new(&[address], plan);
    // A preflight is a request like any other.
    let mut preflight = get("/");
    *preflight.method_mut() = http::Method::OPTIONS;
    preflight
        .headers_mut()
        .insert("origin", "https://a.example".parse().unwrap());
    for request in [get("/"), post("/", "body"), preflight] {
        assert!(!is_let_in(&kit, request).await);
    }
    assert_eq!(calls.count(), 0);
    for line in kit.lines() {
        assert_eq!(line["route"], serde_json::Value::Null, "{line:?}");
        assert_eq!(line["attempts"], 0);
    }
}
