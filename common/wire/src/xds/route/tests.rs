//! Route tables: what they become, and what refuses them.

use std::time::Duration;

use bytes::Bytes;
use mesh::{
    Resource, ServiceKey,
    route::{
        Abort, AbortStatus, Action, Backend, ClaimMatch, Cors, Delay, DirectResponse, Fault,
        Forward, HeaderEdits, HeaderMatch, HeaderText, HostMatch, HttpMatch, HttpRule, HttpRules,
        Mirror, Missing, PathKind, PathMatch, PathRedirect, PathRewrite, Pattern, QueryMatch,
        Redirect, RedirectPort, RegexRewrite, Retry, RetryOn, Rewrite, RouteKey, RouteTable, Share,
        StringMatch, Target, TcpRoute, TlsRoute, WeightedBackend,
    },
};
use prost::Message as _;

use crate::{
    proto::{
        Any, ROUTE_TABLE_TYPE, discovery,
        waypoint::{
            self as proto, http_rule, path_match, redirect, rewrite, string_match, weighted_backend,
        },
    },
    xds::{Decoder, name},
};

mod refusals;

const SERVICE: &str = "default/Web.example";

fn key() -> ServiceKey {
    ServiceKey::new("default", "web.example")
}

fn string(kind: string_match::Kind) -> proto::StringMatch {
    proto::StringMatch { kind: Some(kind) }
}

fn exact(text: &str) -> Option<proto::StringMatch> {
    Some(string(string_match::Kind::Exact(text.to_owned())))
}

fn backend(port: u32) -> proto::Backend {
    proto::Backend {
        service: SERVICE.to_owned(),
        port,
        subset: "v2".to_owned(),
    }
}

fn to(port: u32) -> proto::WeightedBackend {
    proto::WeightedBackend {
        weight: 1,
        target: Some(weighted_backend::Target::Backend(backend(port))),
        ..proto::WeightedBackend::default()
    }
}

fn header(name: &str, value: &str) -> proto::Header {
    proto::Header {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

fn respond() -> Option<http_rule::Action> {
    Some(http_rule::Action::Respond(proto::DirectResponse {
        status: 200,
        body: Bytes::new(),
    }))
}

fn table(rules: Vec<proto::HttpRule>) -> proto::RouteTable {
    proto::RouteTable {
        service: SERVICE.to_owned(),
        port: 80,
        http: Some(proto::HttpRoutes { rules }),
        ..proto::RouteTable::default()
    }
}

/// The only rule of a table with it.
fn read(rule: proto::HttpRule) -> HttpRule {
    let table = Decoder::new().route_table(&table(vec![rule])).unwrap();
    HttpRule::clone(&table.http.unwrap().all()[0])
}

#[test]
fn an_empty_table_says_nothing() {
    let read = proto::RouteTable {
        service: SERVICE.to_owned(),
        port: 80,
        ..proto::RouteTable::default()
    };
    let table = Decoder::new().route_table(&read).unwrap();
    assert_eq!(table, RouteTable::new(RouteKey::new(key(), 80)));
}

#[test]
fn a_table_without_rules_is_not_one_without_routes() {
    let table = Decoder::new().route_table(&table(Vec::new())).unwrap();
    assert_eq!(table.http, Some(HttpRules::new(Vec::new())));
}

#[test]
fn conditions_are_read_whole() {
    let path = |kind, ignore_case| proto::HttpMatch {
        path: Some(proto::PathMatch {
            kind: Some(kind),
            ignore_case,
        }),
        ..proto::HttpMatch::default()
    };
    let rule = read(proto::HttpRule {
        name: "r".to_owned(),
        matches: vec![
            proto::HttpMatch {
                headers: vec![proto::HeaderMatch {
                    name: "X-A".to_owned(),
                    value: Some(string(string_match::Kind::Suffix("z".to_owned()))),
                    invert: true,
                }],
                query: vec![proto::QueryMatch {
                    name: "K".to_owned(),
                    value: None,
                }],
                method: exact("GET"),
                scheme: exact("http"),
                authority: exact("Web:80"),
                hostnames: ["*", "*.A.b", "C.d"].map(str::to_owned).into(),
                claims: vec![proto::ClaimMatch {
                    claim: ["realm", "Roles"].map(str::to_owned).into(),
                    value: exact("admin"),
                    invert: true,
                }],
                ..path(path_match::Kind::Segments("/Ab/".to_owned()), true)
            },
            path(path_match::Kind::Regex("/a.*".to_owned()), false),
        ],
        action: respond(),
        ..proto::HttpRule::default()
    });
    let text = |text: &str| Some(StringMatch::Exact(text.into()));
    let full = HttpMatch {
        path: Some(PathMatch::new(PathKind::Segments("/ab".into()), true)),
        headers: vec![HeaderMatch {
            name: "x-a".into(),
            value: Some(StringMatch::Suffix("z".into())),
            invert: true,
        }],
        query: vec![QueryMatch {
            name: "K".into(),
            value: None,
        }],
        method: text("GET"),
        scheme: text("http"),
        authority: text("web:80"),
        hostnames: vec![
            HostMatch::Any,
            HostMatch::Suffix(".a.b".into()),
            HostMatch::Exact("c.d".into()),
        ],
        claims: vec![ClaimMatch {
            claim: ["realm", "Roles"].map(Into::into).into(),
            value: text("admin"),
            invert: true,
        }],
    };
    let pattern = Pattern::new("/a.*").unwrap();
    let expression = HttpMatch {
        path: Some(PathMatch::new(PathKind::Regex(pattern), false)),
        ..HttpMatch::default()
    };
    assert_eq!(rule.matches, [full, expression]);
    assert_eq!(&*rule.name, "r");
}

#[test]
fn a_forward_is_read_whole() {
    let edits = proto::HeaderEdits {
        set: vec![header("X-A", "%REQ(:path)%"), header(":authority", "a")],
        add: vec![header("x-b", "")],
        remove: vec!["X-C".to_owned()],
    };
    let rewrite_to = |path| proto::Rewrite {
        authority: "a:80".to_owned(),
        path,
    };
    let rule = read(proto::HttpRule {
        action: Some(http_rule::Action::Forward(proto::Forward {
            backends: vec![
                proto::WeightedBackend {
                    weight: 90,
                    request_headers: Some(edits.clone()),
                    rewrite: Some(rewrite_to(Some(rewrite::Path::Prefix(String::new())))),
                    mirrors: vec![proto::Mirror {
                        backend: Some(backend(82)),
                        share_ppm: 2_000_000,
                        shadow_host: true,
                    }],
                    timeout_us: 1_500_000,
                    ..to(81)
                },
                proto::WeightedBackend {
                    target: Some(weighted_backend::Target::Missing(proto::Missing {
                        status: 0,
                        name: "gone".to_owned(),
                    })),
                    ..proto::WeightedBackend::default()
                },
            ],
            fallback_status: 500,
        })),
        response_headers: Some(edits),
        rewrite: Some(rewrite_to(Some(rewrite::Path::Regex(
            proto::RegexRewrite {
                pattern: "/(a)".to_owned(),
                substitution: r"/\1b".to_owned(),
            },
        )))),
        timeout_us: 10_000_000,
        ..proto::HttpRule::default()
    });
    let text = |name: &str, value: &str| HeaderText {
        name: name.into(),
        value: value.into(),
    };
    let edits = HeaderEdits {
        set: vec![text("x-a", "%REQ(:path)%"), text(":authority", "a")],
        add: vec![text("x-b", "")],
        remove: vec!["x-c".into()],
    };
    let rewrite_to = |path| {
        Some(Rewrite {
            authority: Some("a:80".into()),
            path: Some(path),
        })
    };
    let to = |port| Backend {
        subset: "v2".into(),
        ..Backend::new(key(), port)
    };
    let missing = Missing {
        status: 503,
        name: "gone".into(),
    };
    let forward = Forward {
        backends: vec![
            WeightedBackend {
                request_headers: edits.clone(),
                rewrite: rewrite_to(PathRewrite::Prefix("".into())),
                mirrors: vec![Mirror {
                    backend: to(82),
                    share: Share::ALL,
                    shadow_host: true,
                }],
                timeout: Some(Duration::from_millis(1500)),
                ..WeightedBackend::new(90, Target::Backend(to(81)))
            },
            WeightedBackend::new(0, Target::Missing(missing)),
        ],
        fallback_status: 500,
    };
    let regex = RegexRewrite::new("/(a)", r"/\1b").unwrap();
    let expected = HttpRule {
        response_headers: edits,
        rewrite: rewrite_to(PathRewrite::Regex(regex)),
        timeout: Some(Duration::from_secs(10)),
        ..HttpRule::new(Action::Forward(forward))
    };
    assert_eq!(rule, expected);
}

#[test]
fn redirects_and_answers_are_read_whole() {
    let redirect = |read: proto::Redirect| {
        let action = Some(http_rule::Action::Redirect(read));
        let read = proto::HttpRule {
            action,
            ..proto::HttpRule::default()
        };
        self::read(read).action
    };
    let full = redirect(proto::Redirect {
        scheme: "HTTPS".to_owned(),
        authority: "b.example".to_owned(),
        port: 8443,
        port_from: proto::PortFrom::Request.into(),
        path: Some(redirect::Path::Full("/a?b".to_owned())),
        status: 308,
    });
    let expected = Redirect {
        scheme: Some("https".into()),
        authority: Some("b.example".into()),
        port: RedirectPort::Number(8443.try_into().unwrap()),
        path: Some(PathRedirect::Full("/a?b".into())),
        status: 308,
    };
    assert_eq!(full, Action::Redirect(expected));
    for (from, port) in [
        (proto::PortFrom::PortUnspecified, RedirectPort::Authority),
        (proto::PortFrom::ProtocolDefault, RedirectPort::Scheme),
        (proto::PortFrom::Request, RedirectPort::Request),
    ] {
        let read = redirect(proto::Redirect {
            port_from: from.into(),
            path: Some(redirect::Path::Prefix(String::new())),
            status: 302,
            ..proto::Redirect::default()
        });
        let expected = Redirect {
            scheme: None,
            authority: None,
            port,
            path: Some(PathRedirect::Prefix("".into())),
            status: 302,
        };
        assert_eq!(read, Action::Redirect(expected));
    }
    let respond = read(proto::HttpRule {
        action: Some(http_rule::Action::Respond(proto::DirectResponse {
            status: 418,
            body: Bytes::from_static(b"tea"),
        })),
        ..proto::HttpRule::default()
    });
    let expected = DirectResponse {
        status: 418,
        body: (*b"tea").into(),
    };
    assert_eq!(respond.action, Action::Respond(expected));
}

#[test]
fn behavior_is_read_whole() {
    let rule = read(proto::HttpRule {
        action: respond(),
        cors: Some(proto::Cors {
            allow_origins: vec![string(string_match::Kind::Prefix("http://".to_owned()))],
            allow_methods: ["GET", "PUT"].map(str::to_owned).into(),
            allow_headers: vec!["*".to_owned()],
            expose_headers: Vec::new(),
            max_age_s: Some(0),
            allow_credentials: true,
            forward_unmatched: true,
        }),
        fault: Some(proto::Fault {
            delay_us: 5_000_000,
            delay_ppm: 100_000,
            abort_status: 503,
            abort_grpc_status: Some(14),
            abort_ppm: 1,
        }),
        retry: Some(proto::Retry {
            attempts: 3,
            per_try_timeout_us: 1000,
            on: ["5xx", "something-of-tomorrow", "reset"]
                .map(str::to_owned)
                .into(),
            statuses: vec![503],
            headers: vec![proto::HeaderMatch {
                name: "x".to_owned(),
                ..proto::HeaderMatch::default()
            }],
            backoff_us: 25_000,
            max_backoff_us: 0,
            other_hosts: true,
            remote_localities: true,
        }),
        ..proto::HttpRule::default()
    });
    let cors = Cors {
        allow_origins: vec![StringMatch::Prefix("http://".into())],
        allow_methods: "GET,PUT".into(),
        allow_headers: "*".into(),
        expose_headers: "".into(),
        max_age: Some(0),
        allow_credentials: true,
        forward_unmatched: true,
    };
    let fault = Fault {
        delay: Some(Delay {
            duration: Duration::from_secs(5),
            share: Share::from_ppm(100_000),
        }),
        abort: Some(Abort {
            status: AbortStatus::Grpc(14),
            share: Share::from_ppm(1),
        }),
    };
    let retry = Retry {
        attempts: 3,
        per_try_timeout: Some(Duration::from_millis(1)),
        on: RetryOn::SERVER_ERROR.with(RetryOn::RESET),
        statuses: vec![503],
        headers: vec![HeaderMatch {
            name: "x".into(),
            value: None,
            invert: false,
        }],
        backoff: Some(Duration::from_millis(25)),
        max_backoff: None,
        other_hosts: true,
        remote_localities: true,
    };
    assert_eq!(
        (rule.cors, rule.fault, rule.retry),
        (Some(cors), Some(fault), Some(retry))
    );
}

#[test]
fn routes_of_streams_consumers_and_what_cannot_be_enforced_are_read() {
    let read = proto::RouteTable {
        unenforced: vec!["RequestAuthentication default/a".to_owned()],
        consumers: [("client".to_owned(), proto::HttpRoutes::default())].into(),
        tls: vec![proto::TlsRoute {
            name: "t".to_owned(),
            server_names: ["*.A.example", "*"].map(str::to_owned).into(),
            backends: vec![to(443)],
        }],
        tcp: vec![proto::TcpRoute {
            name: String::new(),
            destination_subnets: ["10.1.2.3/8", "::ffff:10.0.0.0/104", "fd00::1"]
                .map(str::to_owned)
                .into(),
            source_subnet: "10.0.0.1".to_owned(),
            backends: vec![to(81)],
        }],
        grpc_web: true,
        http: None,
        ..table(Vec::new())
    };
    let table = Decoder::new().route_table(&read).unwrap();
    let to = |port| {
        let backend = Backend {
            subset: "v2".into(),
            ..Backend::new(key(), port)
        };
        vec![WeightedBackend::new(1, Target::Backend(backend))]
    };
    let expected = RouteTable {
        unenforced: vec!["RequestAuthentication default/a".into()],
        consumers: [("client".into(), HttpRules::new(Vec::new()))].into(),
        tls: vec![TlsRoute {
            name: "t".into(),
            server_names: vec![HostMatch::Suffix(".a.example".into()), HostMatch::Any],
            backends: to(443),
        }],
        tcp: vec![TcpRoute {
            name: "".into(),
            destination_subnets: ["10.0.0.0/8", "10.0.0.0/8", "fd00::1/128"]
                .map(|text| text.parse().unwrap())
                .into(),
            source_subnet: Some("10.0.0.1/32".parse().unwrap()),
            backends: to(81),
        }],
        grpc_web: true,
        ..RouteTable::new(RouteKey::new(key(), 80))
    };
    assert_eq!(table, expected);
    assert!(table.http_for("client").is_some() && table.http_for("other").is_none());
}

#[test]
fn a_table_comes_and_goes_by_its_name() {
    let table = table(Vec::new());
    let envelope = discovery::Resource {
        name: "default/web.example:80".to_owned(),
        resource: Some(Any {
            type_url: ROUTE_TABLE_TYPE.to_owned(),
            value: table.encode_to_vec().into(),
        }),
        ..discovery::Resource::default()
    };
    let read = Decoder::new()
        .resource(ROUTE_TABLE_TYPE, &envelope)
        .unwrap();
    assert!(matches!(read, Resource::RouteTable(_)));
    assert_eq!(name::of(&read.key()), envelope.name);
    assert_eq!(
        name::removed(ROUTE_TABLE_TYPE, &envelope.name),
        [read.key()]
    );
    assert_eq!(name::removed(ROUTE_TABLE_TYPE, "default/web.example"), []);
    assert_eq!(name::removed(ROUTE_TABLE_TYPE, "web.example:80"), []);
    assert!(name::aliases(&read).is_empty());
}
