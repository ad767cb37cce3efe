//! Authorizers that are asked by gRPC.

use grpc::service::external_auth::authorization_server::{Authorization, AuthorizationServer};
use http::HeaderValue;
use mesh::access::authorization::{Clause, Field, Match, Test, TextAttribute, TextMatch};
use prost_types::{Struct, Value, value::Kind};
use tower_service::Service as _;
use wire::proto::external_auth::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction, HeaderValue as Header,
    HeaderValueOption, HttpStatus, OkHttpResponse, QueryParameter, RpcStatus, address::Address,
    check_response::HttpResponse, socket_address::PortSpecifier,
};

use super::*;
use crate::{access::metadata, body::BodyError};

/// What a provider says.
type Saying = Result<CheckResponse, tonic::Status>;

/// What providers were asked.
#[derive(Clone, Default)]
pub(super) struct Questions(Arc<Mutex<Vec<CheckRequest>>>);

impl Questions {
    pub(super) fn only(&self) -> CheckRequest {
        let mut questions = self.0.lock();
        assert_eq!(questions.len(), 1);
        questions.remove(0)
    }
}

struct Provider {
    questions: Questions,
    answer: Box<dyn Fn() -> Saying + Send + Sync>,
}

#[tonic::async_trait]
impl Authorization for Provider {
    async fn check(
        &self,
        request: tonic::Request<CheckRequest>,
    ) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        assert!(request.metadata().contains_key("grpc-timeout"));
        self.questions.0.lock().push(request.into_inner());
        (self.answer)().map(tonic::Response::new)
    }
}

pub(super) async fn provider(
    questions: &Questions,
    answer: impl Fn() -> Saying + Send + Sync + 'static,
) -> SocketAddr {
    let server = AuthorizationServer::new(Provider {
        questions: questions.clone(),
        answer: Box::new(answer),
    });
    backend(Version::HTTP_2, move |request| {
        let mut server = server.clone();
        async move {
            let Ok(response) = server.call(request).await;
            let failed = |status: tonic::Status| BodyError::Filter(Box::new(status));
            Ok(response.map(|body| Body::boxed(body.map_err(failed))))
        }
    })
    .await
}

fn rpc(code: i32) -> Option<RpcStatus> {
    Some(RpcStatus {
        code,
        message: String::new(),
    })
}

pub(super) fn yes(ok: OkHttpResponse) -> CheckResponse {
    CheckResponse {
        status: rpc(0),
        http_response: Some(HttpResponse::OkResponse(ok)),
        dynamic_metadata: None,
    }
}

pub(super) fn no(denied: DeniedHttpResponse) -> CheckResponse {
    CheckResponse {
        status: rpc(7),
        http_response: Some(HttpResponse::DeniedResponse(denied)),
        dynamic_metadata: None,
    }
}

fn header(name: &str, value: &str, append_action: Option<HeaderAppendAction>) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(Header {
            key: name.to_owned(),
            value: value.to_owned(),
            raw_value: Bytes::new(),
        }),
        append_action: append_action.unwrap_or_default().into(),
        ..HeaderValueOption::default()
    }
}

#[tokio::test]
async fn the_question_says_who_asks_for_what() {
    let (questions, reached) = (Questions::default(), Got::default());
    let provider = provider(&questions, || Ok(yes(OkHttpResponse::default()))).await;
    let external = ExternalAuthorization {
        include_body: including(3, true),
        ..by_grpc()
    };
    let kit = asking(echo(&reached).await, provider, external);
    let mut request = post("/a%2e/b?c=d", "hello");
    let headers = request.headers_mut();
    headers.append("x-two", HeaderValue::from_static("1"));
    headers.append("x-two", HeaderValue::from_static("2"));
    assert_eq!(kit.ask(request).await.status(), 200);
    let attributes = questions.only().attributes.unwrap();
    let source = attributes.source.unwrap();
    assert_eq!(
        source.principal,
        "spiffe://cluster.local/ns/default/sa/client"
    );
    let Some(Address::SocketAddress(address)) = source.address.unwrap().address else {
        panic!("it has an address");
    };
    assert_eq!(address.address, "10.0.0.9");
    assert_eq!(
        address.port_specifier,
        Some(PortSpecifier::PortValue(40000))
    );
    let destination = attributes.destination.unwrap();
    assert_eq!(
        destination.principal,
        "spiffe://cluster.local/ns/default/sa/waypoint"
    );
    let request = attributes.request.unwrap();
    assert!(request.time.is_some());
    let http = request.http.unwrap();
    assert_eq!(
        (&*http.method, &*http.host, &*http.scheme),
        ("POST", "reviews:80", "http")
    );
    assert_eq!(
        (&*http.path, &*http.protocol, http.size),
        ("/a./b?c=d", "HTTP/1.1", 5)
    );
    assert_eq!((&*http.body, http.raw_body.len()), ("hel", 0));
    assert!(!http.id.is_empty());
    for (name, value) in [
        (":method", "POST"),
        (":path", "/a./b?c=d"),
        (":authority", "reviews:80"),
        (":scheme", "http"),
        ("x-two", "1,2"),
        ("x-request-id", &*http.id),
        ("x-envoy-auth-partial-body", "true"),
    ] {
        assert_eq!(
            http.headers.get(name).map(|text| &**text),
            Some(value),
            "{name}"
        );
    }
    assert!(!http.headers.contains_key("host"));
    assert_eq!(reached.only().body, "hello");
}

#[tokio::test]
async fn bytes_are_sent_as_bytes_or_marked_where_they_are_no_text() {
    let (questions, reached) = (Questions::default(), Got::default());
    let provider = provider(&questions, || Ok(yes(OkHttpResponse::default()))).await;
    let backend = echo(&reached).await;
    for (as_bytes, raw, text) in [(true, &b"\xff{}"[..], ""), (false, b"", "!{}")] {
        let external = ExternalAuthorization {
            include_body: Some(IncludeBody {
                max_bytes: 100,
                allow_partial: false,
                as_bytes,
            }),
            ..by_grpc()
        };
        let kit = asking(backend, provider, external);
        assert_eq!(kit.ask(post("/", &b"\xff{}"[..])).await.status(), 200);
        let request = questions.only().attributes.unwrap().request.unwrap();
        let http = request.http.unwrap();
        assert_eq!((&http.raw_body[..], &*http.body), (raw, text));
        assert_eq!(reached.only().body, &b"\xff{}"[..]);
    }
}

#[tokio::test]
async fn a_yes_changes_the_request_and_the_response() {
    let (questions, reached) = (Questions::default(), Got::default());
    let provider = provider(&questions, || {
        use HeaderAppendAction as Action;
        Ok(yes(OkHttpResponse {
            headers: vec![
                header("x-user", "alice", None),
                header("x-absent", "new", Some(Action::AddIfAbsent)),
                header("x-present", "new", Some(Action::AddIfAbsent)),
                header("x-if", "new", Some(Action::OverwriteIfExists)),
                HeaderValueOption {
                    append: Some(true),
                    ..header("x-more", "2", None)
                },
            ],
            headers_to_remove: ["x-secret", "Host", ":path", "content-length", "te"]
                .map(str::to_owned)
                .to_vec(),
            response_headers_to_add: vec![
                header("x-seen", "1", None),
                header("server", "mine", Some(Action::OverwriteIfExistsOrAdd)),
                header("x-from-backend", "lost", Some(Action::AddIfAbsent)),
                header("x-nobody", "lost", Some(Action::OverwriteIfExists)),
            ],
            query_parameters_to_set: vec![QueryParameter {
                key: "user".to_owned(),
                value: "alice".to_owned(),
            }],
            query_parameters_to_remove: vec!["token".to_owned()],
            ..OkHttpResponse::default()
        }))
    })
    .await;
    let answer = |_: &Received| {
        let response = Response::builder().header("x-from-backend", "kept");
        response.body(Body::Empty).unwrap()
    };
    let backend = backend(Version::HTTP_11, keeping(&reached, answer)).await;
    let kit = asking(backend, provider, by_grpc());
    let mut request = post("/p?%74oken=1&user=admin&x=%20&token", "body");
    for (name, value) in [
        ("x-user", "admin"),
        ("x-present", "old"),
        ("x-more", "1"),
        ("x-secret", "1"),
    ] {
        let value = HeaderValue::from_static(value);
        request.headers_mut().append(name, value);
    }
    let answer = kit.ask(request).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("x-seen"), Some("1"));
    assert_eq!(answer.header("x-from-backend"), Some("kept"));
    assert_eq!(answer.header("x-nobody"), None);
    assert_eq!(answer.header("server"), Some("istio-envoy"));
    let request = reached.only();
    assert_eq!(request.head.uri, "/p?user=alice&x=%20");
    assert_eq!(request.header("host"), Some("reviews:80"));
    assert_eq!(request.body, "body");
    let values = |name: &str| -> Vec<String> {
        let values = request.head.headers.get_all(name).iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(values("x-user"), ["alice"]);
    assert_eq!(values("x-absent"), ["new"]);
    assert_eq!(values("x-present"), ["old"]);
    assert_eq!(values("x-if"), Vec::<String>::new());
    assert_eq!(values("x-more").join(","), "1,2");
    assert_eq!(values("x-secret"), Vec::<String>::new());
}

#[tokio::test]
async fn a_path_that_an_authorizer_sets_is_what_policies_and_the_backend_see() {
    let (questions, reached) = (Questions::default(), Got::default());
    let provider = provider(&questions, || {
        Ok(yes(OkHttpResponse {
            headers: vec![
                header(":path", "/open/../%61dmin?x", None),
                header(":authority", "other:81", None),
            ],
            ..OkHttpResponse::default()
        }))
    })
    .await;
    let backend = echo(&reached).await;
    let kit = asking(backend, provider, by_grpc());
    assert_eq!(kit.ask(get("/")).await.status(), 200);
    let request = reached.only();
    assert_eq!(request.head.uri, "/admin?x");
    assert_eq!(request.header("host"), Some("other:81"));
    let mut deny = policy("admin", Action::Deny);
    deny.rules = vec![field(TextAttribute::Path, "/admin")];
    let custom = policy("ask", Action::Custom(Arc::new(by_grpc())));
    let kit = with_policies(backend, provider, vec![custom, deny], None);
    assert_eq!(kit.ask(get("/")).await.status(), 403);
    assert_eq!(reached.count(), 0);
}

fn field(attribute: TextAttribute, text: &str) -> Rule {
    let only = Match {
        fields: vec![Field {
            test: Test::Text(attribute, vec![TextMatch::Exact(text.into())]),
            negate: false,
        }],
    };
    Rule {
        clauses: vec![Clause {
            matches: vec![only],
        }],
    }
}

#[tokio::test]
async fn policies_see_what_an_authorizer_says_beside_its_answer() {
    let (questions, reached) = (Questions::default(), Got::default());
    let provider = provider(&questions, || {
        let group = Value {
            kind: Some(Kind::StringValue("guests".to_owned())),
        };
        let mut answer = yes(OkHttpResponse::default());
        answer.dynamic_metadata = Some(Struct {
            fields: [("group".to_owned(), group)].into(),
        });
        Ok(answer)
    })
    .await;
    let backend = echo(&reached).await;
    for (group, expected) in [("guests", 403), ("staff", 200)] {
        let said = TextAttribute::Metadata(metadata::EXTERNAL.into(), vec!["group".into()]);
        let mut deny = policy("guests", Action::Deny);
        deny.rules = vec![field(said, group)];
        let custom = policy("ask", Action::Custom(Arc::new(by_grpc())));
        let kit = with_policies(backend, provider, vec![custom, deny], None);
        assert_eq!(kit.ask(get("/")).await.status(), expected, "{group}");
    }
}

#[tokio::test]
async fn a_no_is_the_authorizers_answer() {
    let questions = Questions::default();
    let provider = provider(&questions, || {
        Ok(no(DeniedHttpResponse {
            status: Some(HttpStatus { code: 429 }),
            headers: vec![
                header("x-why", "slow", None),
                header("set-cookie", "a", None),
            ],
            body: "slow down".to_owned(),
        }))
    })
    .await;
    let kit = asking(nobody().await, provider, by_grpc());
    let answer = kit.ask(get("/")).await;
    assert_eq!((answer.status(), answer.body.as_str()), (429, "slow down"));
    assert_eq!(answer.header("x-why"), Some("slow"));
    let line = kit.line();
    assert_eq!(
        (&line["flags"], &line["details"]),
        (&"UAEX".into(), &"ext_authz_denied".into())
    );
}

#[tokio::test]
async fn an_answer_that_cannot_be_applied_is_none() {
    let bad: [fn() -> Saying; 5] = [
        || Err(tonic::Status::unavailable("down")),
        || Err(tonic::Status::ok("no message")),
        || Ok(CheckResponse::default()),
        || {
            Ok(yes(OkHttpResponse {
                headers: vec![header("x-first", "1", None), header(":path", "*", None)],
                ..OkHttpResponse::default()
            }))
        },
        || {
            Ok(yes(OkHttpResponse {
                headers: vec![
                    header("x-first", "1", None),
                    header(":path", "/..%2f..%2fx", None),
                ],
                ..OkHttpResponse::default()
            }))
        },
    ];
    for (number, answer) in bad.into_iter().enumerate() {
        for fail_open in [false, true] {
            let (questions, reached) = (Questions::default(), Got::default());
            let provider = provider(&questions, answer).await;
            let external = ExternalAuthorization {
                fail_open,
                status_on_error: 503,
                ..by_grpc()
            };
            let kit = asking(echo(&reached).await, provider, external);
            let answer = kit.ask(get("/p")).await;
            // What it sets can be what the client said, which shall not have the choice.
            let is_its_own = number < 3;
            if fail_open && is_its_own {
                assert_eq!(answer.status(), 200, "{number}");
                let request = reached.only();
                // Not half of it, either.
                assert_eq!(request.head.uri, "/p");
                assert_eq!(request.header("x-first"), None);
            } else {
                assert_eq!(answer.status(), 503, "{number}");
                assert_eq!(kit.line()["details"], "ext_authz_error", "{number}");
                assert_eq!(reached.count(), 0);
            }
        }
    }
}

#[tokio::test]
async fn a_provider_that_speaks_no_grpc_has_not_decided() {
    let silent = |_: Request<Incoming>| std::future::pending();
    let plain = |_: Request<Incoming>| async { Ok(text("fine by me")) };
    for (version, declared) in [
        // A port declared so cannot be asked; one that is not and speaks something else does not answer.
        (Version::HTTP_11, Some(AppProtocol::Http11)),
        (Version::HTTP_11, None),
        (Version::HTTP_2, None),
    ] {
        let provider = backend(version, plain).await;
        let custom = policy("ask", Action::Custom(Arc::new(by_grpc())));
        let kit = with_policies(nobody().await, provider, vec![custom], declared);
        assert_eq!(kit.ask(get("/")).await.status(), 403, "{version:?}");
        assert_eq!(kit.line()["details"], "ext_authz_error", "{version:?}");
    }
    let external = ExternalAuthorization {
        timeout: SOON,
        ..by_grpc()
    };
    let provider = backend(Version::HTTP_2, silent).await;
    let kit = asking(nobody().await, provider, external);
    assert_eq!(kit.ask(get("/")).await.status(), 403);
    assert_eq!(kit.line()["details"], "ext_authz_error");
}
