//! HTTPRoutes of services: which rule is found, to whom they apply, what is said of references that lead nowhere.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use suites::plane::wait_condition;
use suites::waypoint::manifest::parent;
use suites::waypoint::{ANY, Ground, HTTP, http_route, reference_grant, virtual_service};

/// One rule: its matches, and the header by which its answers are told apart.
fn rule(matches: &str, name: &str) -> String {
    format!(
        "- matches: [{matches}]\n  filters: [{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: x-rule, value: {name}}}]}}}}]\n  \
         backendRefs: [{{name: web, port: 80}}]\n"
    )
}

fn route(name: &str, created: &str, rules: &[(&str, &str)]) -> String {
    let rules: String = rules
        .iter()
        .map(|(matches, name)| rule(matches, name))
        .collect();
    let yaml = http_route(name, &format!("{}\nrules:\n{rules}", parent("web")));
    yaml.replacen(
        "metadata:\n",
        &format!("metadata:\n  creationTimestamp: '{created}'\n"),
        1,
    )
}

#[test]
fn the_most_specific_match_of_all_routes_counts() -> Result<()> {
    let Some(ground) = Ground::builder("precedence").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let young = "2026-02-02T00:00:00Z";
        let old = "2026-01-01T00:00:00Z";
        // In the order of the least specific first, so that nothing is right by accident.
        let first = route(
            "young",
            young,
            &[
                ("{path: {type: PathPrefix, value: /}}", "root"),
                ("{path: {type: PathPrefix, value: /a}}", "prefix"),
                ("{path: {type: PathPrefix, value: /a/b}}", "longer"),
                ("{path: {type: RegularExpression, value: '/re/.*'}}", "regex"),
                ("{path: {type: Exact, value: /a/b}}", "exact"),
                ("{path: {type: PathPrefix, value: /a}, headers: [{name: x-one, value: '1'}]}", "one"),
                (
                    "{path: {type: PathPrefix, value: /a}, headers: [{name: x-one, value: '1'}, {name: x-two, value: '2'}]}",
                    "two",
                ),
                ("{path: {type: PathPrefix, value: /a}, method: PUT}", "method"),
                ("{path: {type: PathPrefix, value: /a}, queryParams: [{name: q, value: '1'}]}", "query"),
                ("{path: {type: PathPrefix, value: /tie}}", "young"),
                ("{path: {type: PathPrefix, value: /twice}}", "first"),
                ("{path: {type: PathPrefix, value: /twice}}", "second"),
            ],
        );
        let second = route("old", old, &[("{path: {type: PathPrefix, value: /tie}}", "old")]);
        let third = route("alphabet", young, &[("{path: {type: PathPrefix, value: /twice}}", "name")]);
        ground.apply("routes", &[first, second, third].concat())?;
        let cases: [(&str, &[&str], &str); 14] = [
            ("/", &[], "root"),
            ("/ab", &[], "root"),
            ("/a", &[], "prefix"),
            ("/a/", &[], "prefix"),
            ("/a/x?y", &[], "prefix"),
            ("/a/b/c", &[], "longer"),
            ("/a/b", &["-X", "PUT"], "exact"),
            ("/a/x", &["-H", "x-one: 1"], "one"),
            ("/a/x", &["-H", "x-one: 1", "-H", "x-two: 2"], "two"),
            ("/a/x?q=1", &["-X", "PUT", "-H", "x-one: 1", "-H", "x-two: 2"], "method"),
            ("/a/x?q=1", &[], "query"),
            ("/re/x", &[], "regex"),
            ("/tie", &[], "old"),
            ("/twice", &[], "name"),
        ];
        for (path, arguments, expected) in cases {
            let request = arguments.iter().fold(ground.get(path), |curl, it| curl.arg(it));
            for request in [request.clone(), request.http2()] {
                let answer = request.send()?;
                let rule = answer.header("x-rule").unwrap_or_default();
                ensure!(rule == expected, "{path} {arguments:?}: {rule} instead of {expected}");
            }
        }
        // The log names route and rule.
        ground.get("/tie?who=log").send()?;
        let line = ground.access("/tie?who=log")?;
        ensure!(line.route.contains("old"), "{line:?}");
        Ok(())
    })
}

#[test]
fn a_route_applies_to_its_port_and_a_consumer_s_route_to_its_own_clients() -> Result<()> {
    let Some(ground) = Ground::builder("consumer").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let spec = "
            parentRefs: [{group: '', kind: Service, name: web, port: 80}]
            rules: [{backendRefs: [{name: web-v1, port: 80}]}]
        ";
        ground.apply("producer", &http_route("web", spec))?;
        let on_port = ground.get("/").count(40)?;
        ensure!(on_port.of("v1") == 40, "{on_port:?}");
        let elsewhere = ground.get("/").to("web", ANY).count(40)?;
        ensure!(elsewhere.of("v2") > 0, "{elsewhere:?}");

        // A route of another namespace holds for clients from there, and for nobody else.
        let spec = "
            parentRefs: [{group: '', kind: Service, name: web, namespace: shop}]
            rules: [{backendRefs: [{name: web-v2, namespace: shop, port: 80}]}]
        ";
        let grant = "
            from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: town}]
            to: [{group: '', kind: Service}]
        ";
        let consumer = [
            http_route("town/mine", spec),
            reference_grant("town", grant),
        ]
        .concat();
        ground.apply("consumer", &consumer)?;
        let guest = ground.get("/").from("guest").count(40)?;
        ensure!(guest.of("v2") == 40, "{guest:?}");
        let client = ground.get("/").count(40)?;
        ensure!(client.of("v1") == 40, "{client:?}");

        // Where there are both kinds, the Gateway API's routes or Istio's, each says for itself whether it counts.
        ground.withdraw(&["producer", "consumer"])?;
        let all = ground.get("/").from("guest").count(60)?;
        ensure!(all.of("v1") > 0 && all.of("v2") > 0, "{all:?}");
        Ok(())
    })
}

#[test]
fn a_reference_that_leads_nowhere_is_500_for_its_share() -> Result<()> {
    let pods = Ground::builder("references")
        .echo(lab::PodSpec::new("far").node(1).namespace("town"))
        .service(
            lab::ServiceSpec::new("far")
                .namespace("town")
                .named_port("http", HTTP, 8080)
                .backend("far"),
        );
    let Some(ground) = pods.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let controller = ground.lab.controller()?;
        let rules = "
            rules:
            - name: nowhere
              matches: [{path: {type: PathPrefix, value: /nowhere}}]
              backendRefs: [{name: nowhere, port: 80}]
            - matches: [{path: {type: PathPrefix, value: /half}}]
              backendRefs: [{name: nowhere, port: 80, weight: 1}, {name: web-v1, port: 80, weight: 1}]
            - matches: [{path: {type: PathPrefix, value: /foreign}}]
              backendRefs: [{name: far, namespace: town, port: 80}]
            - matches: [{path: {type: PathPrefix, value: /nobody}}]
        ";
        let spec = format!("{}\n{}", parent("web"), rules.replace("\n            ", "\n"));
        ground.try_apply("web", &http_route("web", &spec))?;
        let condition = wait_condition(&controller, "HTTPRoute shop/web", "ResolvedRefs")?;
        ensure!(condition["status"] == "False", "{condition}");
        ensure!(condition["reason"] == "BackendNotFound" || condition["reason"] == "RefNotPermitted", "{condition}");
        let accepted = wait_condition(&controller, "HTTPRoute shop/web", "Accepted")?;
        ensure!(accepted["status"] == "True" && accepted["reason"] == "Accepted", "{accepted}");

        for path in ["/nowhere", "/foreign", "/nobody"] {
            let answer = ground.get(path).send()?;
            ensure!(answer.status == 500 && answer.pod().is_empty(), "{path}: {answer:?}");
        }
        let half = ground.get("/half").count(100)?;
        ensure!((20..=80).contains(&half.of("500")), "{half:?}");
        ensure!(half.of("v1") + half.of("500") == 100, "{half:?}");
        ensure!(ground.get("/no/rule").send()?.status == 404);

        // With leave of the other namespace it is allowed.
        let grant = "
            from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}]
            to: [{group: '', kind: Service, name: far}]
        ";
        ground.apply("grant", &reference_grant("town/shop", grant))?;
        let answer = ground.get("/foreign").send()?;
        ensure!(answer.status == 200 && answer.pod() == "far", "{answer:?}");
        Ok(())
    })
}

#[test]
fn a_parent_that_is_not_there_is_not_accepted() -> Result<()> {
    let Some(ground) = Ground::builder("parents").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let controller = ground.lab.controller()?;
        let route = |name: &str, parent: &str| {
            let spec = format!("{parent}\nrules: [{{backendRefs: [{{name: web-v1, port: 80}}]}}]");
            http_route(name, &spec)
        };
        let yaml = [
            route("lost", &parent("nowhere")),
            route(
                "port",
                "parentRefs: [{group: '', kind: Service, name: web, port: 99}]",
            ),
        ];
        ground.try_apply("routes", &yaml.concat())?;
        for (name, reason) in [("lost", "NoMatchingParent"), ("port", "NoMatchingParent")] {
            let object = format!("HTTPRoute shop/{name}");
            let condition: Value =
                wait_condition(&controller, &object, "Accepted").context(reason)?;
            ensure!(condition["status"] == "False", "{condition}");
            ensure!(condition["reason"] == reason, "{condition}");
        }
        let all = ground.get("/").count(60)?;
        ensure!(all.of("v1") > 0 && all.of("v2") > 0, "{all:?}");

        // Where a service has both, the Gateway API's routes and a VirtualService, the VirtualService is not lost silently.
        let rules = "http: [{directResponse: {status: 418}}]";
        ground.try_apply(
            "both",
            &[virtual_service("web", rules), route("web", &parent("web"))].concat(),
        )?;
        let answer = ground.get("/both").send()?;
        ensure!(answer.pod().starts_with("v1"), "{answer:?}");
        let route = wait_condition(&controller, "HTTPRoute shop/web", "Accepted")?;
        ensure!(route["status"] == "True", "{route}");
        let service = wait_condition(&controller, "VirtualService shop/web", "WaypointAccepted")?;
        ensure!(service["reason"] == "UnsupportedValue", "{service}");
        let told = service["message"].as_str().unwrap_or_default();
        ensure!(told.contains("web.shop.svc.cluster.local"), "{service}");
        Ok(())
    })
}
