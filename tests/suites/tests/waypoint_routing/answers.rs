//! What the waypoint answers itself: redirects, fixed responses, the ends of timeouts.

use anyhow::{Result, ensure};
use suites::waypoint::{ANY, GRPC, Ground, H2, HTTP, virtual_service};

const RULES: &str = "
    http:
    - name: moved
      match: [{uri: {prefix: /moved}}]
      redirect: {uri: /new/place, authority: other.example, redirectCode: 308}
    - match: [{uri: {prefix: /default}}]
      redirect: {uri: /new}
    - match: [{uri: {prefix: /secure}}]
      redirect: {scheme: https}
    - match: [{uri: {prefix: /port}}]
      redirect: {port: 8443, redirectCode: 302}
    - match: [{uri: {prefix: /same-port}}]
      redirect: {authority: other.example, derivePort: FROM_REQUEST_PORT, redirectCode: 303}
    - name: teapot
      match: [{uri: {prefix: /teapot}}]
      directResponse: {status: 418, body: {string: 'short and stout'}}
      headers: {response: {set: {x-pot: 'tea', content-type: text/x-pot}}}
    - match: [{uri: {prefix: /silent}}]
      directResponse: {status: 204}
    - name: slow
      match: [{uri: {prefix: /delay}}]
      timeout: 0.5s
      route: [{destination: {host: web}}]
    - name: try
      match: [{uri: {prefix: /try}}]
      rewrite: {uri: /delay/10000}
      retries: {attempts: 1, perTryTimeout: 0.3s, retryOn: connect-failure}
      route: [{destination: {host: web}}]
    - name: rest
      route: [{destination: {host: web}}]
";

#[test]
fn redirects_and_fixed_responses() -> Result<()> {
    let Some(ground) = Ground::builder("answers").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("web", &virtual_service("web", RULES))?;
        let host = "web.shop.svc.cluster.local";
        let expected = [
            (
                "/moved/x?q=1",
                308,
                "http://other.example/new/place?q=1".to_owned(),
            ),
            ("/default", 301, format!("http://{host}/new")),
            ("/secure/x?y=z", 301, format!("https://{host}/secure/x?y=z")),
            ("/port", 302, format!("http://{host}:8443/port")),
        ];
        for (path, status, location) in expected {
            for request in [ground.get(path), ground.get(path).http2()] {
                let answer = request.send()?;
                ensure!(answer.status == status, "{path}: {answer:?}");
                ensure!(
                    answer.header("location").as_ref() == Some(&location),
                    "{path}: {answer:?}"
                );
                ensure!(answer.pod().is_empty(), "{path}: {answer:?}");
            }
        }
        let answer = ground.get("/same-port").to("web", ANY).send()?;
        let location = answer.header("location");
        ensure!(answer.status == 303, "{answer:?}");
        ensure!(
            location.as_deref() == Some("http://other.example:81/same-port"),
            "{answer:?}"
        );

        let answer = ground.get("/teapot?of=log").send()?;
        ensure!(
            answer.status == 418 && answer.text() == "short and stout",
            "{answer:?}"
        );
        ensure!(
            answer.header("x-pot").as_deref() == Some("tea"),
            "{answer:?}"
        );
        ensure!(
            answer.header("content-type").as_deref() == Some("text/x-pot"),
            "{answer:?}"
        );
        let line = ground.access("/teapot?of=log")?;
        ensure!(
            line.details == "direct_response" && line.flags == "-",
            "{line:?}"
        );
        ensure!(line.route == "teapot" && line.sent == 15, "{line:?}");
        for request in [ground.get("/teapot"), ground.get("/teapot").http2()] {
            let head = request.method("HEAD").send()?;
            ensure!(head.status == 418 && head.body.is_empty(), "{head:?}");
        }
        ensure!(ground.get("/silent").send()?.status == 204);

        ensure!(
            ground.requests("") == 0,
            "something of it reached a backend"
        );
        Ok(())
    })
}

#[test]
fn a_timeout_is_answered_with_504() -> Result<()> {
    let Some(ground) = Ground::builder("timeout").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("web", &virtual_service("web", RULES))?;
        let cases = [
            ("/delay/10000?whole", "response_timeout", "slow"),
            ("/try?each", "upstream_per_try_timeout", "try"),
        ];
        for (path, details, route) in cases {
            let answer = ground.get(path).send()?;
            ensure!(answer.status == 504, "{path}: {answer:?}");
            ensure!(
                answer.text() == "upstream request timeout",
                "{path}: {answer:?}"
            );
            let line = ground.access(path)?;
            ensure!(
                line.flags == "UT" && line.details == details,
                "{path}: {line:?}"
            );
            ensure!(
                line.route == route && line.status == 504,
                "{path}: {line:?}"
            );
        }
        // However the request comes to its end, and whatever the backend speaks.
        for port in [HTTP, H2] {
            for body in ["some", ""] {
                let request = ground.get("/delay/10000").to("web", port).body(body);
                for request in [request.clone(), request.http2()] {
                    let answer = request.send()?;
                    ensure!(answer.status == 504, "{port}, body {body:?}: {answer:?}");
                }
            }
        }
        // In time: nothing happens. And what has no timeout may take longer than any of these.
        ensure!(ground.get("/delay/1").send()?.status == 200);
        let slow = ground.get("/status/200").send()?;
        ensure!(slow.status == 200);
        for echo in ground.echoes.values() {
            echo.delay(std::time::Duration::from_millis(1500));
        }
        ensure!(ground.get("/free").send()?.status == 200);

        // gRPC learns it by its own status.
        let grpc = ground
            .get("/delay/grpc")
            .to("web", GRPC)
            .http2()
            .header("te: trailers");
        let answer = grpc
            .header("content-type: application/grpc")
            .body("")
            .send()?;
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(
            answer.header("grpc-status").as_deref() == Some("14"),
            "{answer:?}"
        );
        Ok(())
    })
}
