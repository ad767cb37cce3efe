//! GRPCRoutes: by service, by method, by header.

use anyhow::{Result, ensure};
use suites::waypoint::{Answer, GRPC, Ground, grpc_route};

const ROUTE: &str = "
    parentRefs: [{group: '', kind: Service, name: web}]
    rules:
    - matches: [{method: {service: shop.Cart, method: Add}}]
      backendRefs: [{name: web-v1, port: 83}]
    - matches: [{method: {service: shop.Cart}}]
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-rule, value: service}]}}]
      backendRefs: [{name: web-v2, port: 83}]
    - matches: [{method: {type: RegularExpression, service: 'shop\\..*', method: 'List.*'}}]
      backendRefs: [{name: web-v2, port: 83}]
    - matches: [{headers: [{name: x-tenant, value: blue}]}]
      backendRefs: [{name: web-v2, port: 83}]
    - matches: [{method: {service: nobody.Home}}]
      backendRefs: [{name: nowhere, port: 83}]
";

/// A message of no bytes.
const EMPTY: [u8; 5] = [0; 5];

fn call(ground: &Ground, path: &str, header: &str) -> Result<Answer> {
    let call = ground
        .get(path)
        .to("web", GRPC)
        .http2()
        .header("te: trailers");
    let call = call.header("content-type: application/grpc").header(header);
    call.body(EMPTY).send()
}

/// The same without a message. Reason: it is answered before its end, and curl 7.88 takes the reset that tells it so (RFC 9113
/// §8.1) for a failure, depending on which comes first.
fn call_nobody(ground: &Ground, path: &str, header: &str) -> Result<Answer> {
    let call = ground
        .get(path)
        .to("web", GRPC)
        .http2()
        .header("te: trailers");
    let call = call.header("content-type: application/grpc").header(header);
    call.body([0_u8; 0]).send()
}

#[test]
fn grpc_is_routed_by_service_method_and_header() -> Result<()> {
    let Some(ground) = Ground::builder("grpcroute").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.try_apply("web", &grpc_route("web", ROUTE))?;
        let cases = [
            ("/shop.Cart/Add", "x-none;", "v1"),
            ("/shop.Cart/Remove", "x-none;", "v2"),
            ("/shop.Orders/ListAll", "x-none;", "v2"),
            ("/other.Service/Any", "x-tenant: blue", "v2"),
        ];
        for (path, header, version) in cases {
            for _ in 0..4 {
                let answer = call(&ground, path, header)?;
                ensure!(
                    answer.status == 200 && answer.pod().starts_with(version),
                    "{path}: {answer:?}"
                );
                ensure!(
                    answer.header("grpc-status").as_deref() == Some("0"),
                    "{path}: {answer:?}"
                );
                ensure!(answer.body == EMPTY, "{path}: {answer:?}");
            }
        }
        let seen = [
            ground.echo("v2a").seen("Cart/Remove"),
            ground.echo("v2b").seen("Cart/Remove"),
        ]
        .concat();
        ensure!(
            seen.len() == 4
                && seen
                    .iter()
                    .all(|it| it.header("x-rule").as_deref() == Some("service"))
        );
        ensure!(seen.iter().all(|it| it.version == "HTTP/2.0"), "{seen:?}");

        // No rule: unimplemented. A backend that does not exist: unavailable, or unknown as Envoy maps 500.
        let answer = call_nobody(&ground, "/other.Service/Any", "x-tenant: red")?;
        ensure!(
            answer.status == 200 && answer.header("grpc-status").as_deref() == Some("12"),
            "{answer:?}"
        );
        let answer = call_nobody(&ground, "/nobody.Home/Is", "x-none;")?;
        let status = answer.header("grpc-status");
        ensure!(
            ["2", "14"].contains(&status.as_deref().unwrap_or_default()),
            "{answer:?}"
        );
        let lines = ground.access_lines("/shop.Cart/Add", 4)?;
        for line in lines {
            ensure!(
                line.request == "POST /shop.Cart/Add HTTP/2" && line.status == 200,
                "{line:?}"
            );
        }
        Ok(())
    })
}
