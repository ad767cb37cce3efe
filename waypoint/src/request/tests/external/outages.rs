//! Authorizers that do not answer, and what becomes of requests then.

use std::convert::Infallible;

use tokio::{io::AsyncReadExt as _, net::TcpListener};

use super::{
    over_grpc::{Questions, provider},
    *,
};
use crate::body::BodyError;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Nobody,
    Late,
    LateBody,
    Error(u16),
    Dies,
    Cut,
    CutBody,
    TooLong,
    NoService,
    Says(tonic::Code),
    SaysLength,
}

/// What an authorizer alone brings about.
const OWN: [Outage; 12] = [
    Outage::Nobody,
    Outage::Late,
    Outage::LateBody,
    Outage::Error(500),
    Outage::Error(502),
    Outage::Error(503),
    Outage::Error(504),
    Outage::NoService,
    Outage::Dies,
    Outage::Says(tonic::Code::Unavailable),
    Outage::Says(tonic::Code::DeadlineExceeded),
    Outage::Says(tonic::Code::Internal),
];

/// What a client can bring about, by what it sends or how much.
const OF_CLIENT: [Outage; 11] = [
    Outage::Error(501),
    Outage::Error(505),
    Outage::Cut,
    Outage::CutBody,
    Outage::TooLong,
    Outage::Says(tonic::Code::ResourceExhausted),
    Outage::Says(tonic::Code::OutOfRange),
    Outage::Says(tonic::Code::InvalidArgument),
    Outage::Says(tonic::Code::Unknown),
    Outage::Says(tonic::Code::PermissionDenied),
    Outage::SaysLength,
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

/// A provider that dies of its first question.
async fn dying() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut some = [0; 16];
        tcp.read_exact(&mut some).await.unwrap();
        drop(listener);
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
    let begins = [Ok(http_body::Frame::data(Bytes::from_static(b"1")))];
    let breaks = futures_util::stream::once(async {
        // The head goes out meanwhile.
        tokio::task::yield_now().await;
        Err(BodyError::Filter("the authorizer died".into()))
    });
    let frames = futures_util::StreamExt::chain(futures_util::stream::iter(begins), breaks);
    Body::boxed(http_body_util::StreamBody::new(Box::pin(frames)))
}

impl Outage {
    async fn provider(self) -> SocketAddr {
        match self {
            Self::Nobody | Self::NoService => nobody().await,
            Self::Late => silent().await,
            Self::Dies => dying().await,
            Self::LateBody => beginning(stuck).await,
            Self::CutBody => beginning(breaking).await,
            Self::Error(code) => {
                backend(Version::HTTP_11, move |_| async move { Ok(status(code)) }).await
            }
            Self::Says(code) => {
                let says = move || Err(tonic::Status::new(code, "no"));
                provider(&Questions::default(), says).await
            }
            // A proxy before an authorizer of gRPC.
            Self::SaysLength => backend(Version::HTTP_2, |_| async { Ok(status(413)) }).await,
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
        let mut external = match self {
            Self::Says(_) | Self::SaysLength => by_grpc(),
            Self::Nobody
            | Self::Late
            | Self::LateBody
            | Self::Error(_)
            | Self::Dies
            | Self::Cut
            | Self::CutBody
            | Self::TooLong
            | Self::NoService => by_http(HttpCheck::default()),
        };
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
    for outage in OWN.into_iter().chain(OF_CLIENT) {
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

/// A waypoint whose provider fails so, and fails open.
async fn failing_open(outage: Outage, reached: &Got) -> Kit {
    let external = ExternalAuthorization {
        fail_open: true,
        include_body: including(3, true),
        ..outage.external()
    };
    asking(echo(reached).await, outage.provider().await, external)
}

#[tokio::test]
async fn without_an_answer_everything_passes_where_the_provider_says_so() {
    for outage in OWN {
        let reached = Got::default();
        let kit = failing_open(outage, &reached).await;
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
async fn what_a_client_can_bring_about_opens_nothing() {
    for outage in OF_CLIENT {
        let reached = Got::default();
        let kit = failing_open(outage, &reached).await;
        let answer = kit.ask(post("/", "a body")).await;
        assert_eq!(answer.status(), 403, "{outage:?}");
        assert_eq!(reached.count(), 0, "{outage:?}");
        let line = kit.line();
        assert_eq!(line["details"], "ext_authz_error", "{outage:?}");
        assert_eq!(line["flags"], "UAEX", "{outage:?}");
        let counted = kit.scraped("ambit_external_authorization_total{");
        let error = "provider=\"authorizer\",protocol=\"http\",result=\"error\"} 1";
        assert!(counted.contains(error), "{outage:?}: {counted}");
        assert!(counted.contains("result=\"failure_mode_allowed\"} 0"));
    }
}

/// How an authorizer of HTTP/2 gets rid of a head that is too long for it.
#[derive(Clone, Copy, Debug)]
enum Riddance {
    Reset(h2::Reason),
    Goaway(h2::Reason),
    Status(u16),
}

async fn calming(how: Riddance) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(tcp).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    match how {
                        Riddance::Reset(reason) => respond.send_reset(reason),
                        Riddance::Goaway(reason) => connection.abrupt_shutdown(reason),
                        Riddance::Status(code) => {
                            let mut head = Response::new(());
                            *head.status_mut() = code.try_into().unwrap();
                            drop(respond.send_response(head, true));
                        }
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_head_that_an_authorizer_cannot_bear_opens_nothing_however_it_says_so() {
    use mesh::access::authorization::TextMatch;
    for (how, code) in [
        (Riddance::Reset(h2::Reason::ENHANCE_YOUR_CALM), 403),
        (Riddance::Reset(h2::Reason::INTERNAL_ERROR), 403),
        (Riddance::Goaway(h2::Reason::ENHANCE_YOUR_CALM), 403),
        (Riddance::Goaway(h2::Reason::COMPRESSION_ERROR), 403),
        // Its own answer.
        (Riddance::Status(431), 431),
        (Riddance::Status(413), 413),
    ] {
        let reached = Got::default();
        let external = ExternalAuthorization {
            fail_open: true,
            ..by_http(HttpCheck {
                include_headers: vec![TextMatch::Exact("cookie".into())],
                ..HttpCheck::default()
            })
        };
        let ask = Action::Custom(Arc::new(external));
        let kit = with_policies(
            echo(&reached).await,
            calming(how).await,
            vec![policy("ask", ask)],
            Some(AppProtocol::Http2),
        );
        let mut request = get("/");
        let cookie = "a".repeat(50_000).parse().unwrap();
        request.headers_mut().insert("cookie", cookie);
        assert_eq!(kit.ask(request).await.status(), code, "{how:?}");
        assert_eq!(reached.count(), 0, "{how:?}");
    }
}

#[tokio::test]
async fn an_authorizers_time_does_not_begin_before_its_client_has_sent_what_it_is_to_see() {
    let (asked, reached) = (Got::default(), Got::default());
    let provider = saying(&asked, |_| status(401)).await;
    let external = ExternalAuthorization {
        fail_open: true,
        include_body: including(100, false),
        ..by_http(HttpCheck::default())
    };
    let kit = asking(echo(&reached).await, provider, external);
    let (waits, gate) = (Calls::default(), tokio::sync::watch::Sender::new(false));
    let (seen, mut opened) = (waits.clone(), gate.subscribe());
    let frames = futures_util::stream::once(async move {
        seen.next();
        opened.wait_for(|is_open| *is_open).await.unwrap();
        Ok::<_, BodyError>(http_body::Frame::data(Bytes::from_static(b"slow")))
    });
    let mut request = post("/", "");
    request.headers_mut().remove("content-length");
    *request.body_mut() = Body::boxed(http_body_util::StreamBody::new(Box::pin(frames)));
    let (answer, ()) = tokio::join!(kit.ask(request), async {
        waits.reach(1).await;
        // The client is waited for, and nobody was asked.
        assert_eq!(asked.count(), 0);
        gate.send_replace(true);
    });
    assert_eq!(answer.status(), 401);
    assert_eq!((asked.only().body, reached.count()), ("slow".into(), 0));
}

#[tokio::test]
async fn a_no_whose_body_breaks_off_is_a_no() {
    for (body, told) in [
        (stuck as fn() -> Body, false),
        (breaking, false),
        (endless, false),
        (whole, true),
    ] {
        let provider = backend(Version::HTTP_11, move |_: Request<Incoming>| async move {
            Ok(Response::builder()
                .status(302)
                .header("location", "/login")
                .body(body())
                .unwrap())
        })
        .await;
        let external = ExternalAuthorization {
            fail_open: true,
            timeout: 10 * SOON,
            ..by_http(HttpCheck::default())
        };
        let kit = asking(nobody().await, provider, external);
        let answer = kit.ask(get("/")).await;
        assert_eq!(answer.status(), 302);
        assert_eq!(answer.header("location"), Some("/login"));
        assert_eq!(answer.body, if told { "go" } else { "" });
        assert_eq!(kit.line()["details"], "ext_authz_denied");
    }
}

fn endless() -> Body {
    Body::from(Bytes::from(vec![b'x'; 2 * 1024 * 1024]))
}

fn whole() -> Body {
    Body::from(Bytes::from_static(b"go"))
}

#[tokio::test]
async fn an_answer_that_repeats_what_a_client_said_and_is_none_opens_nothing() {
    use wire::proto::external_auth::{HeaderValue as Said, HeaderValueOption, OkHttpResponse};
    for (name, value) in [("x-user", "alice\r\nx-admin: yes"), (":path", "no path")] {
        let answer = move || {
            Ok(over_grpc::yes(OkHttpResponse {
                headers: vec![HeaderValueOption {
                    header: Some(Said {
                        key: name.to_owned(),
                        value: value.to_owned(),
                        raw_value: Bytes::new(),
                    }),
                    ..HeaderValueOption::default()
                }],
                ..OkHttpResponse::default()
            }))
        };
        let provider = provider(&Questions::default(), answer).await;
        let external = ExternalAuthorization {
            fail_open: true,
            ..by_grpc()
        };
        let kit = asking(nobody().await, provider, external);
        assert_eq!(kit.ask(get("/")).await.status(), 403, "{name}");
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
