//! What a rule changes: paths, authorities, headers of requests and of responses.

use anyhow::{Result, ensure};
use suites::waypoint::{Ground, virtual_service};

const RULES: &str = r"
    http:
    - match: [{uri: {prefix: /api/}}]
      rewrite: {uri: /v2/}
      route: [{destination: {host: web}}]
    - match: [{uri: {exact: /exact}}]
      rewrite: {uri: /other}
      route: [{destination: {host: web}}]
    - match: [{uri: {prefix: /gone}}]
      rewrite: {uri: /}
      route: [{destination: {host: web}}]
    - match: [{uri: {prefix: /customer}}]
      rewrite: {uriRegexRewrite: {match: '^/customer/([^/]+)/order/([0-9]+)$', rewrite: '/orders/\2/of/\1'}}
      route: [{destination: {host: web}}]
    - match: [{uri: {prefix: /host}}]
      rewrite: {authority: inner.example}
      route: [{destination: {host: web}}]
    - match: [{uri: {prefix: /header-host}}]
      headers: {request: {set: {host: set.example}}}
      route: [{destination: {host: web}}]
    - match: [{uri: {prefix: /headers}}]
      headers:
        request:
          set: {x-set: route, x-format: '%REQ(x-from)%/%PROTOCOL%/%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'}
          add: {x-add: route}
          remove: [x-secret]
        response:
          set: {x-answer: '%RESPONSE_CODE%'}
          add: {x-more: route}
          remove: [x-pod]
      route:
      - destination: {host: web}
        headers:
          request: {add: {x-add: backend}, set: {x-backend: 'yes'}}
          response: {add: {x-more: backend}}
    - match: [{uri: {prefix: /two}}]
      headers: {request: {add: {x-add: route}, set: {x-set: route}}}
      route:
      - {destination: {host: web-v1}, weight: 50, headers: {request: {add: {x-add: backend}, set: {x-set: backend}}}}
      - {destination: {host: web-v2}, weight: 50, headers: {request: {add: {x-add: backend}, set: {x-set: backend}}}}
    - route: [{destination: {host: web}}]
";

#[test]
fn paths_authorities_and_headers_are_edited() -> Result<()> {
    let Some(ground) = Ground::builder("edits").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("web", &virtual_service("web", RULES))?;
        let paths = [
            ("/api/users?id=7", "/v2/users?id=7"),
            ("/exact?a=b", "/other?a=b"),
            ("/customer/ann/order/17?x=1", "/orders/17/of/ann?x=1"),
            ("/gone/x/y", "//x/y"),
        ];
        for (sent, expected) in paths {
            for request in [ground.get(sent), ground.get(sent).http2()] {
                let answer = request.send()?;
                ensure!(answer.told("path") == expected, "{sent}: {answer:?}");
                let original = answer.saw("x-envoy-original-path");
                ensure!(original.as_deref() == Some(sent), "{sent}: {answer:?}");
            }
        }
        // One that its pattern does not match stays as it is, and so does one that no rule rewrites.
        for path in ["/customer/ann", "/as/it/is?a=b&c", "/a%20b%2Fc", "/a//b"] {
            let answer = ground.get(path).send()?;
            ensure!(answer.told("path") == path, "{path}: {answer:?}");
            ensure!(
                answer
                    .saw("x-envoy-original-path")
                    .is_none_or(|it| it == path),
                "{answer:?}"
            );
        }
        let answer = ground.get("/host").send()?;
        ensure!(answer.told("authority") == "inner.example", "{answer:?}");
        let answer = ground.get("/header-host").send()?;
        ensure!(answer.told("authority") == "set.example", "{answer:?}");
        // The log names the path that was sent, and the authority as it was.
        let line = ground.access("/customer/ann/order/17?x=1 HTTP/1.1")?;
        ensure!(line.status == 200, "{line:?}");

        let request = ground
            .get("/headers?which")
            .header("x-from: client")
            .header("x-secret: 1")
            .header("x-set: client")
            .header("x-add: client");
        let answer = request.send()?;
        let client = ground.pod("client").ip4();
        let saw = [
            ("x-set", Some("route".to_owned())),
            ("x-format", Some(format!("client/HTTP/1.1/{client}"))),
            // The only destination's edits come after those of the rule, as Istio has it.
            ("x-add", Some("client, route, backend".to_owned())),
            ("x-backend", Some("yes".to_owned())),
            ("x-secret", None),
        ];
        for (name, expected) in saw {
            ensure!(answer.saw(name) == expected, "{name}: {answer:?}");
        }
        ensure!(
            answer.header("x-answer").as_deref() == Some("200"),
            "{answer:?}"
        );
        ensure!(
            answer.header("x-more").as_deref() == Some("route, backend"),
            "{answer:?}"
        );
        ensure!(answer.header("x-pod").is_none(), "{answer:?}");
        // Of several destinations, those of the one that was chosen come before.
        let answer = ground.get("/two").send()?;
        ensure!(
            answer.saw("x-add").as_deref() == Some("backend, route"),
            "{answer:?}"
        );
        ensure!(
            answer.saw("x-set").as_deref() == Some("route"),
            "{answer:?}"
        );
        Ok(())
    })
}

#[test]
fn what_istio_adds_is_there_and_what_belongs_to_a_hop_is_not() -> Result<()> {
    let Some(ground) = Ground::builder("hop").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let request = ground
            .get("/plain")
            .header("connection: x-hop, keep-alive")
            .header("x-hop: 1")
            .header("keep-alive: timeout=5")
            .header("proxy-connection: keep-alive")
            .header("te: trailers, deflate")
            .header("x-stays: 1")
            .header("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let answer = request.send()?;
        for name in ["x-hop", "keep-alive", "proxy-connection"] {
            ensure!(answer.saw(name).is_none(), "{name}: {answer:?}");
        }
        ensure!(
            answer.saw("te").is_none_or(|te| te == "trailers"),
            "{answer:?}"
        );
        ensure!(answer.saw("x-stays").as_deref() == Some("1"), "{answer:?}");
        ensure!(
            answer
                .saw("traceparent")
                .is_some_and(|it| it.starts_with("00-0af7651916cd43dd8448eb211c80319c-")),
            "{answer:?}"
        );
        let id = answer.saw("x-request-id").unwrap_or_default();
        ensure!(id.len() == 36, "{answer:?}");
        ensure!(
            answer.header("server").as_deref() == Some("istio-envoy"),
            "{answer:?}"
        );
        let time = answer.header("x-envoy-upstream-service-time");
        ensure!(
            time.is_some_and(|it| it.parse::<u64>().is_ok()),
            "{answer:?}"
        );
        let line = ground.access(&id)?;
        ensure!(
            line.request == "GET /plain HTTP/1.1" && line.request_id == id,
            "{line:?}"
        );

        // A request id that is there stays.
        let own = "7d6e3c41-5a55-4e8f-9d4c-0d7f3d2a6b11";
        let answer = ground
            .get("/own")
            .header(&format!("x-request-id: {own}"))
            .send()?;
        ensure!(
            answer.saw("x-request-id").as_deref() == Some(own),
            "{answer:?}"
        );
        Ok(())
    })
}
