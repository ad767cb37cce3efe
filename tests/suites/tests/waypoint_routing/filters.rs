//! The filters of HTTPRoutes, of rules and of single backends.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::until;
use suites::policy::PATIENCE;
use suites::waypoint::{Ground, http_route};

const ROUTE: &str = "
    parentRefs: [{group: '', kind: Service, name: web}]
    rules:
    - matches: [{path: {type: PathPrefix, value: /set}}]
      filters:
      - type: RequestHeaderModifier
        requestHeaderModifier:
          set: [{name: X-Set, value: route}]
          add: [{name: x-add, value: route}, {name: x-text, value: '100%'}]
          remove: [x-secret]
      - type: ResponseHeaderModifier
        responseHeaderModifier: {set: [{name: x-set, value: there}], remove: [x-pod]}
      backendRefs: [{name: web, port: 80}]
    - matches: [{path: {type: PathPrefix, value: /to-prefix}}]
      filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}, statusCode: 301}}]
    - matches: [{path: {type: PathPrefix, value: /to-full}}]
      filters: [{type: RequestRedirect, requestRedirect: {hostname: other.example, path: {type: ReplaceFullPath, replaceFullPath: /full}}}]
    - matches: [{path: {type: PathPrefix, value: /to-port}}]
      filters: [{type: RequestRedirect, requestRedirect: {port: 8083}}]
    - matches: [{path: {type: PathPrefix, value: /to-https}}]
      filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 302}}]
    - matches: [{path: {type: PathPrefix, value: /prefix/one}}]
      filters: [{type: URLRewrite, urlRewrite: {hostname: inner.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /one}}}]
      backendRefs: [{name: web, port: 80}]
    - matches: [{path: {type: PathPrefix, value: /strip}}]
      filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
      backendRefs: [{name: web, port: 80}]
    - matches: [{path: {type: PathPrefix, value: /full}}]
      filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /one}}}]
      backendRefs: [{name: web, port: 80}]
    - matches: [{path: {type: PathPrefix, value: /mirror}}]
      filters: [{type: RequestMirror, requestMirror: {backendRef: {name: web-v2, port: 80}}}]
      backendRefs: [{name: web-v1, port: 80}]
    - matches: [{path: {type: PathPrefix, value: /some}}]
      filters: [{type: RequestMirror, requestMirror: {backendRef: {name: web-v2, port: 80}, percent: 50}}]
      backendRefs: [{name: web-v1, port: 80}]
    - matches: [{path: {type: PathPrefix, value: /backends}}]
      backendRefs:
      - name: web-v1
        port: 80
        weight: 1
        filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-backend, value: one}]}}]
      - name: web-v2
        port: 80
        weight: 1
        filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-backend, value: two}]}}]
    - matches: [{path: {type: PathPrefix, value: /cors}}]
      filters:
      - type: CORS
        cors: {allowOrigins: ['https://a.example'], allowMethods: [GET], allowHeaders: [x-a], exposeHeaders: [x-pod], maxAge: 60}
      backendRefs: [{name: web, port: 80}]
    - matches: [{path: {type: PathPrefix, value: /delay/10000}}]
      timeouts: {request: 400ms}
      backendRefs: [{name: web, port: 80}]
    - matches: [{path: {type: PathPrefix, value: /delay/20000}}]
      timeouts: {backendRequest: 300ms}
      backendRefs: [{name: web, port: 80}]
";

#[test]
fn filters_change_requests_and_answers() -> Result<()> {
    let Some(ground) = Ground::builder("filters").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("web", &http_route("web", ROUTE))?;
        let request = ground
            .get("/set")
            .header("x-set: client")
            .header("x-add: client");
        let answer = request.header("x-secret: 1").send()?;
        let saw = [
            ("x-set", Some("route")),
            ("x-add", Some("client, route")),
            ("x-text", Some("100%")),
            ("x-secret", None),
        ];
        for (name, expected) in saw {
            ensure!(
                answer.saw(name).as_deref() == expected,
                "{name}: {answer:?}"
            );
        }
        ensure!(
            answer.header("x-set").as_deref() == Some("there"),
            "{answer:?}"
        );
        ensure!(answer.header("x-pod").is_none(), "{answer:?}");

        let host = "web.shop.svc.cluster.local";
        let locations = [
            ("/to-prefix/x?y=z", 301, format!("http://{host}/new/x?y=z")),
            ("/to-full/x", 302, "http://other.example/full".to_owned()),
            ("/to-port/x", 302, format!("http://{host}:8083/to-port/x")),
            ("/to-https/x", 302, format!("https://{host}/to-https/x")),
        ];
        for (path, status, location) in locations {
            let answer = ground.get(path).send()?;
            ensure!(answer.status == status, "{path}: {answer:?}");
            ensure!(
                answer.header("location").as_ref() == Some(&location),
                "{path}: {answer:?}"
            );
        }

        let paths = [
            ("/prefix/one", "/one"),
            ("/prefix/one/two?q", "/one/two?q"),
            ("/strip", "/"),
            ("/strip/", "/"),
            ("/strip/two", "/two"),
            ("/full/two?q=1", "/one?q=1"),
        ];
        for (sent, expected) in paths {
            let answer = ground.get(sent).send()?;
            ensure!(answer.told("path") == expected, "{sent}: {answer:?}");
        }
        let answer = ground.get("/prefix/one").send()?;
        ensure!(answer.told("authority") == "inner.example", "{answer:?}");

        let copied =
            |text: &str| ground.echo("v2a").seen(text).len() + ground.echo("v2b").seen(text).len();
        let counts = ground.get("/mirror").count(20)?;
        ensure!(counts.of("v1") == 20, "{counts:?}");
        until("the copies", PATIENCE, || copied("/mirror") == 20)?;
        ground.get("/some").count(200)?;
        until("copies of a half", PATIENCE, || copied("/some") >= 60)?;

        let counts = ground.get("/backends").count(60)?;
        ensure!(counts.of("v1") > 5 && counts.of("v2") > 5, "{counts:?}");
        for (pods, value) in [(["v1a", "v1b"], "one"), (["v2a", "v2b"], "two")] {
            for pod in pods {
                let seen = ground.echo(pod).seen("/backends");
                ensure!(
                    seen.iter()
                        .all(|it| it.header("x-backend").as_deref() == Some(value)),
                    "{seen:?}"
                );
            }
        }

        let preflight = ground
            .get("/cors")
            .method("OPTIONS")
            .header("origin: https://a.example");
        let answer = preflight
            .header("access-control-request-method: GET")
            .send()?;
        ensure!(answer.pod().is_empty(), "{answer:?}");
        ensure!(
            answer.header("access-control-allow-origin").as_deref() == Some("https://a.example"),
            "{answer:?}"
        );
        ensure!(
            answer.header("access-control-max-age").as_deref() == Some("60"),
            "{answer:?}"
        );

        for path in ["/delay/10000", "/delay/20000"] {
            let answer = ground.get(path).send()?;
            ensure!(answer.status == 504, "{path}: {answer:?}");
        }
        // By now everything is over; a mirror of a half is not one of all.
        ensure!(copied("/some") <= 140, "{} of 200", copied("/some"));
        for echo in ground.echoes.values() {
            echo.delay(Duration::ZERO);
        }
        Ok(())
    })
}
