//! Limits that the waypoint counts.

use futures_util::future::join_all;
use mesh::settings::WaypointSettings;

use super::*;
use crate::access::limit;

#[tokio::test]
async fn a_burst_gets_exactly_its_tokens_and_the_rest_is_told_why_not() {
    let kit = kit(vec![local("shop/p/all", 7)]).await;
    let statuses = statuses(&kit, 19, || get("/")).await;
    assert_eq!(statuses, [vec![200; 7], vec![429; 12]].concat());
    drop(kit.lines());
    let answer = kit.ask(get("/x")).await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.body, "local_rate_limited");
    assert_eq!(answer.header("x-local-rate-limit"), Some("true"));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    let line = kit.line();
    assert_eq!(line["code"], 429);
    assert_eq!(line["flags"], "RL");
    assert_eq!(line["details"], "local_rate_limited");
}

#[tokio::test]
async fn requests_at_once_get_no_more_than_requests_in_a_row() {
    let kit = kit(vec![local("all", 50)]).await;
    let asked = (0..200).map(|_| kit.ask(get("/")));
    let answers = join_all(asked).await;
    let good = answers.iter().filter(|it| it.status() == 200).count();
    let limited = answers.iter().filter(|it| it.status() == 429).count();
    assert_eq!((good, limited), (50, 150));
}

#[tokio::test]
async fn a_client_of_grpc_is_told_in_grpc() {
    for (exhausted, status) in [(false, "14"), (true, "8")] {
        let limit = RateLimit {
            resource_exhausted: exhausted,
            ..local("all", 1)
        };
        let kit = kit(vec![limit]).await;
        drop(kit.ask(get("/")).await);
        let answer = kit.ask(grpc()).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("grpc-status"), Some(status));
        assert_eq!(answer.header("grpc-message"), Some("local_rate_limited"));
        assert_eq!(answer.header("x-local-rate-limit"), Some("true"));
        assert_eq!(answer.header("content-type"), Some("application/grpc"));
    }
}

#[tokio::test]
async fn each_value_has_its_own_tokens_and_who_has_none_is_not_limited() {
    let limit = RateLimit {
        keys: vec![by_header("x-tenant")],
        ..local("tenant", 2)
    };
    let kit = kit(vec![limit]).await;
    for tenant in ["a", "b", ""] {
        let statuses = statuses(&kit, 3, || with("x-tenant", tenant)).await;
        assert_eq!(statuses, [200, 200, 429], "{tenant:?}");
    }
    assert_eq!(statuses(&kit, 5, || get("/")).await, [200; 5]);
    // Two lines of a header are one value.
    let two = || {
        let mut request = with("x-tenant", "a");
        let headers = request.headers_mut();
        headers.append("x-tenant", HeaderValue::from_static("b"));
        request
    };
    assert_eq!(statuses(&kit, 3, two).await, [200, 200, 429]);
}

#[tokio::test]
async fn of_several_keys_all_have_to_be_there_and_their_order_counts() {
    let limit = RateLimit {
        keys: vec![by_header("x-a"), by_header("x-b")],
        ..local("both", 1)
    };
    let kit = kit(vec![limit]).await;
    let both = |a: &str, b: &str| {
        let mut request = with("x-a", a);
        let value = HeaderValue::from_str(b).unwrap();
        request.headers_mut().append("x-b", value);
        request
    };
    assert_eq!(statuses(&kit, 2, || both("1", "2")).await, [200, 429]);
    assert_eq!(statuses(&kit, 2, || both("2", "1")).await, [200, 429]);
    assert_eq!(statuses(&kit, 3, || with("x-a", "1")).await, [200; 3]);
    assert_eq!(statuses(&kit, 3, || with("x-b", "2")).await, [200; 3]);
}

#[tokio::test]
async fn who_the_client_is_cannot_be_made_up() {
    for value in [LimitValue::Principal, LimitValue::RemoteAddress] {
        let limit = RateLimit {
            keys: vec![key("who", value)],
            ..local("who", 2)
        };
        let mut kit = kit(vec![limit]).await;
        let spoofed = |number: u32| {
            let mut request = with("x-forwarded-for", &format!("198.51.100.{number}"));
            let xfcc = format!("URI=spiffe://cluster.local/ns/x/sa/{number}");
            request.headers_mut().insert(
                "x-forwarded-client-cert",
                HeaderValue::from_str(&xfcc).unwrap(),
            );
            request
        };
        for (number, expected) in [(1, 200), (2, 200), (3, 429), (4, 429)] {
            assert_eq!(kit.ask(spoofed(number)).await.status(), expected);
        }
        // Another peer of the same identity.
        let is_address = matches!(kit_key(&kit), LimitValue::RemoteAddress);
        Arc::get_mut(&mut kit.session).unwrap().client = "10.0.0.10:40000".parse().unwrap();
        let expected = if is_address { 200 } else { 429 };
        assert_eq!(kit.ask(get("/")).await.status(), expected);
    }
}

fn kit_key(kit: &Kit) -> LimitValue {
    let mesh = kit.proxy.view.load();
    let table = mesh
        .routes(&mesh::route::RouteKey::new(service_key(), 80))
        .unwrap();
    table.policies.rate_limits[0].keys[0].value.clone()
}

#[tokio::test]
async fn what_a_request_is_for_tells_it_apart() {
    let of = |value| RateLimit {
        keys: vec![key("k", value)],
        ..local("k", 1)
    };
    let named = |name: &str, path: &str| HttpRule {
        name: name.into(),
        matches: vec![HttpMatch {
            path: Some(PathMatch::new(PathKind::Exact(path.into()), false)),
            ..HttpMatch::default()
        }],
        ..forward()
    };
    let rules = || vec![named("one", "/1"), named("two", "/2"), forward()];
    let cases = [
        (LimitValue::Route, [200, 200, 429]),
        (LimitValue::Path, [200, 200, 429]),
        (LimitValue::Method, [200, 429, 429]),
        (LimitValue::Service, [200, 429, 429]),
        (LimitValue::Constant("x".into()), [200, 429, 429]),
        // There is no token.
        (LimitValue::Claim(vec!["sub".into()]), [200, 200, 200]),
    ];
    for (value, expected) in cases {
        let plan = Plan {
            table: Some(limited(rules(), vec![of(value.clone())])),
            ..Plan::default()
        };
        let kit = Kit::new(&[endpoint().await], plan);
        let mut statuses = Vec::new();
        for path in ["/1?a", "/2?b", "/1?c"] {
            statuses.push(kit.ask(get(path)).await.status());
        }
        assert_eq!(statuses, expected, "{value:?}");
    }
}

#[tokio::test]
async fn a_limit_is_for_its_routes_and_matches_only() {
    let limit = RateLimit {
        matches: vec![HttpMatch {
            method: Some(StringMatch::Exact("GET".into())),
            ..HttpMatch::default()
        }],
        routes: vec!["one".into()],
        ..local("x", 1)
    };
    let one = HttpRule {
        name: "one".into(),
        matches: vec![HttpMatch {
            path: Some(PathMatch::new(PathKind::Exact("/1".into()), false)),
            ..HttpMatch::default()
        }],
        ..forward()
    };
    let plan = Plan {
        table: Some(limited(vec![one, forward()], vec![limit])),
        ..Plan::default()
    };
    let kit = Kit::new(&[endpoint().await], plan);
    assert_eq!(statuses(&kit, 3, || get("/2")).await, [200; 3]);
    assert_eq!(statuses(&kit, 3, || post("/1", "")).await, [200; 3]);
    assert_eq!(statuses(&kit, 3, || get("/1")).await, [200, 429, 429]);
}

#[tokio::test]
async fn a_service_without_routes_has_the_default_one() {
    let limit = RateLimit {
        routes: vec!["default".into()],
        ..local("x", 1)
    };
    let plan = Plan {
        table: Some(RouteTable {
            http: None,
            ..limited(Vec::new(), vec![limit])
        }),
        ..Plan::default()
    };
    let kit = Kit::new(&[endpoint().await], plan);
    assert_eq!(statuses(&kit, 2, || get("/")).await, [200, 429]);
}

#[tokio::test]
async fn limits_of_the_waypoint_and_of_the_service_both_count() {
    let plan = Plan {
        table: Some(limited(vec![forward()], vec![local("b", 1)])),
        policies: policies(vec![local("a", 2)]),
        ..Plan::default()
    };
    let kit = Kit::new(&[endpoint().await], plan);
    // The second is refused by the service's, after it has taken the waypoint's last token.
    assert_eq!(statuses(&kit, 2, || get("/")).await, [200, 429]);
    let counts = kit.proxy.access.limits.counts();
    let counts: Vec<_> = counts
        .iter()
        .map(|it| (it.name.as_str(), it.ok, it.limited, it.enforced))
        .collect();
    assert_eq!(counts, [("a", 2, 0, 0), ("b", 1, 1, 1)]);
}

#[tokio::test]
async fn a_change_of_the_configuration_brings_no_tokens_to_what_stays() {
    let kit = kit(vec![local("stays", 2), local("other", 9)]).await;
    assert_eq!(statuses(&kit, 3, || get("/")).await, [200, 200, 429]);
    let again = |limits| Resource::RouteTable(Arc::new(limited(vec![forward()], limits)));
    kit.publish(vec![again(vec![local("new", 9), local("stays", 2)])]);
    assert_eq!(statuses(&kit, 2, || get("/")).await, [429; 2]);
    // It goes and comes back.
    kit.publish(vec![again(Vec::new())]);
    assert_eq!(statuses(&kit, 2, || get("/")).await, [200; 2]);
    kit.publish(vec![again(vec![local("stays", 2)])]);
    assert_eq!(statuses(&kit, 2, || get("/")).await, [429; 2]);
    kit.publish(vec![again(vec![local("stays", 3)])]);
    assert_eq!(statuses(&kit, 4, || get("/")).await, [200, 200, 200, 429]);
}

#[tokio::test]
async fn shares_say_what_is_looked_at_and_what_is_refused() {
    let nobody = RateLimit {
        enabled_ppm: 0,
        ..local("nobody", 1)
    };
    let watched = RateLimit {
        enforced_ppm: 0,
        ..local("watched", 1)
    };
    let kit = kit(vec![nobody, watched]).await;
    assert_eq!(statuses(&kit, 5, || get("/")).await, [200; 5]);
    let counts = kit.proxy.access.limits.counts();
    let telemetry = &kit.proxy.telemetry;
    let limits = Arc::clone(&kit.proxy.access.limits);
    telemetry.register(|registry| limit::metrics::register(registry, limits));
    let scraped = kit.scraped("ambit_rate_limit_requests_total{");
    let shown: Vec<_> = scraped.lines().collect();
    let line = |outcome, count| {
        format!(
            "ambit_rate_limit_requests_total{{limit=\"watched\",outcome=\"{outcome}\"}} {count}"
        )
    };
    let expected = [
        line("ok", 1),
        line("refused", 0),
        line("over", 4),
        line("unanswered_passed", 0),
        line("unanswered_refused", 0),
    ];
    assert_eq!(shown, expected);
    let [watched] = counts.as_slice() else {
        panic!("{counts:?}")
    };
    assert_eq!((watched.ok, watched.limited, watched.enforced), (1, 4, 0));
}

#[tokio::test]
async fn who_is_not_let_in_takes_no_token() {
    let deny = testkit::policy("deny", Action::Deny, vec![testkit::path("/no")]);
    let table = RouteTable {
        policies: Policies {
            rate_limits: vec![Arc::new(local("all", 1))],
            ..testkit::policies(vec![deny])
        },
        ..table(vec![forward()])
    };
    let plan = Plan {
        table: Some(table),
        ..Plan::default()
    };
    let kit = Kit::new(&[endpoint().await], plan);
    assert_eq!(statuses(&kit, 3, || get("/no")).await, [403; 3]);
    assert_eq!(statuses(&kit, 2, || get("/")).await, [200, 429]);
}

#[tokio::test]
async fn settings_that_are_told_again_keep_their_tokens() {
    let plan = Plan {
        policies: policies(vec![local("a", 1)]),
        ..Plan::default()
    };
    let kit = Kit::new(&[endpoint().await], plan);
    assert_eq!(statuses(&kit, 2, || get("/")).await, [200, 429]);
    let settings = {
        let mesh = kit.proxy.view.load();
        let own = &kit.proxy.own;
        let settings = mesh
            .waypoint_settings(&own.namespace, &own.gateway)
            .unwrap();
        WaypointSettings {
            policies: policies(vec![local("a", 1)]),
            domain: "other.local".into(),
            ..(**settings).clone()
        }
    };
    kit.publish(vec![Resource::WaypointSettings(Arc::new(settings))]);
    assert_eq!(statuses(&kit, 1, || get("/")).await, [429]);
}
