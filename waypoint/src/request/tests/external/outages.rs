//! Authorizers that do not answer, and what becomes of requests then.

use std::convert::Infallible;

use tokio::{io::AsyncReadExt as _, net::TcpListener};

use super::*;
use crate::body::BodyError;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Nobody,
    Late,
    LateBody,
    Error,
    Cut,
    CutBody,
    TooLong,
    NoService,
}

const ALL: [Outage; 8] = [
    Outage::Nobody,
    Outage::Late,
    Outage::LateBody,
    Outage::Error,
    Outage::Cut,
    Outage::CutBody,
    Outage::TooLong,
    Outage::NoService,
];

/// A provider that takes a connection and a request, and no more.
async fn silent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut some = [0; 16];
            let _ = tcp.read(&mut some).await;
            open.push(tcp);
        }
    });
    address
}

/// One that begins to answer.
async fn beginning(and_then: fn() -> Body) -> SocketAddr {
    backend(Version::HTTP_11, move |_: Request<Incoming>| async move {
        Ok(Response::builder()
            .header("content-length", "100")
            .body(and_then())
            .unwrap())
    })
    .await
}

fn stuck() -> Body {
    Body::boxed(http_body_util::StreamBody::new(
        futures_util::stream::pending::<Result<http_body::Frame<Bytes>, BodyError>>(),
    ))
}

fn breaking() -> Body {
    let error = BodyError::Filter("the authorizer died".into());
    let frames = [
        Ok(http_body::Frame::data(Bytes::from_static(b"1"))),
        Err(error),
    ];
    Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(
        frames,
    )))
}

impl Outage {
    async fn provider(self) -> SocketAddr {
        match self {
            Self::Nobody | Self::NoService => nobody().await,
            Self::Late => silent().await,
            Self::LateBody => beginning(stuck).await,
            Self::CutBody => beginning(breaking).await,
            Self::Error => backend(Version::HTTP_11, |_| async { Ok(status(503)) }).await,
            Self::Cut => {
                let cut = |_| async { Err(io::Error::other("the authorizer died")) };
                backend(Version::HTTP_11, cut).await
            }
            Self::TooLong => {
                let long = |_| async {
                    let body = Bytes::from(vec![b'x'; 2 * 1024 * 1024]);
                    Ok::<_, io::Error>(Response::new(Body::from(body)))
                };
                backend(Version::HTTP_11, long).await
            }
        }
    }

    fn external(self) -> ExternalAuthorization {
        let mut external = by_http(HttpCheck::default());
        if matches!(self, Self::Late | Self::LateBody) {
            external.timeout = SOON;
        }
        if matches!(self, Self::NoService) {
            external.backend.port = 81;
        }
        external
    }
}

#[tokio::test]
async fn without_an_answer_nothing_passes() {
    for outage in ALL {
        let reached = Got::default();
        let backend = echo(&reached).await;
        for (configured, expected) in [(403, 403), (503, 503), (401, 401), (0, 403)] {
            let external = ExternalAuthorization {
                status_on_error: configured,
                ..outage.external()
            };
            let kit = asking(backend, outage.provider().await, external);
            let answer = kit.ask(get("/")).await;
            assert_eq!(answer.status(), expected, "{outage:?}");
            assert_eq!(answer.body, "", "{outage:?}");
            let line = kit.line();
            assert_eq!(line["flags"], "UAEX", "{outage:?}");
            assert_eq!(line["details"], "ext_authz_error", "{outage:?}");
        }
        assert_eq!(reached.count(), 0, "{outage:?}");
    }
}

#[tokio::test]
async fn without_an_answer_everything_passes_where_the_provider_says_so() {
    for outage in ALL {
        let reached = Got::default();
        let external = ExternalAuthorization {
            fail_open: true,
            include_body: including(3, true),
            ..outage.external()
        };
        let kit = asking(echo(&reached).await, outage.provider().await, external);
        let answer = kit.ask(post("/", "a body")).await;
        assert_eq!(answer.status(), 200, "{outage:?}");
        let request = reached.only();
        assert_eq!(request.body, "a body", "{outage:?}");
        let is_ours = |name: &&http::HeaderName| name.as_str().starts_with("x-envoy-auth");
        assert_eq!(request.head.headers.keys().filter(is_ours).count(), 0);
        assert_eq!(kit.line()["details"], "via_upstream", "{outage:?}");
    }
}

#[tokio::test]
async fn an_authorizer_that_refuses_is_heard_where_it_fails_open() {
    let external = ExternalAuthorization {
        fail_open: true,
        ..by_http(HttpCheck::default())
    };
    let refusing = |_| async { Ok(status(403)) };
    let provider = backend(Version::HTTP_11, refusing).await;
    let kit = asking(nobody().await, provider, external);
    assert_eq!(kit.ask(get("/")).await.status(), 403);
    assert_eq!(kit.line()["details"], "ext_authz_denied");
}

#[tokio::test]
async fn of_two_authorizers_both_must_allow_and_the_first_that_refuses_ends_it() {
    let (asked, reached) = (Got::default(), Got::default());
    let provider = saying(&asked, |question| {
        let path = question.head.uri.path().to_owned();
        if path.starts_with("/second") {
            // It sees what the first one made of the request.
            assert_eq!(question.header("x-first"), Some("yes"));
            return status(if path.ends_with("/refused") { 401 } else { 200 });
        }
        Response::builder()
            .header("x-first", "yes")
            .body(Body::Empty)
            .unwrap()
    })
    .await;
    let external = |name: &str| {
        let header = || {
            vec![mesh::access::authorization::TextMatch::Exact(
                "x-first".into(),
            )]
        };
        ExternalAuthorization {
            provider: name.into(),
            ..by_http(HttpCheck {
                path_prefix: format!("/{name}").as_str().into(),
                include_headers: header(),
                upstream_on_allow: header(),
                ..HttpCheck::default()
            })
        }
    };
    let custom = |name: &str| policy(name, Action::Custom(Arc::new(external(name))));
    let policies = vec![custom("first"), custom("second")];
    let kit = with_policies(echo(&reached).await, provider, policies, None);
    assert_eq!(kit.ask(get("/")).await.status(), 200);
    assert_eq!((asked.count(), reached.count()), (2, 1));
    assert_eq!(kit.ask(get("/refused")).await.status(), 401);
    assert_eq!((asked.count(), reached.count()), (4, 1));
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_question() {
    let (sender, mut gone) = tokio::sync::mpsc::unbounded_channel::<Infallible>();
    let calls = Calls::default();
    let (sender, seen) = (Arc::new(Mutex::new(Some(sender))), calls.clone());
    let provider = backend(Version::HTTP_11, move |_: Request<Incoming>| {
        // It lives as long as the question.
        let held = sender.lock().take();
        seen.next();
        async move {
            let () = std::future::pending().await;
            drop(held);
            Ok(status(200))
        }
    })
    .await;
    let kit = asking(nobody().await, provider, by_http(HttpCheck::default()));
    let session = Arc::clone(&kit.session);
    let client = tokio::spawn(async move { crate::request::serve(&session, get("/"), None).await });
    calls.reach(1).await;
    client.abort();
    assert!(client.await.is_err());
    let ended = tokio::time::timeout(PATIENCE, gone.recv()).await;
    assert!(ended.unwrap().is_none());
    assert_eq!(kit.line_soon().await["flags"], "DC");
}
