//! What answers by gRPC mean.

use bytes::Bytes;
use prost_types::{ListValue, Struct, Value as Said, value::Kind};
use serde_json::json;
use wire::proto::external_auth::{
    CheckResponse, DeniedHttpResponse, HeaderAppendAction as Action, HeaderValue as Header,
    HeaderValueOption, HttpStatus, OkHttpResponse, QueryParameter, RpcStatus,
    check_response::HttpResponse,
};

use super::read;
use crate::{
    access::external::{
        Failed,
        changes::Changes,
        verdict::{Denial, Verdict},
    },
    request::call::Place,
};

fn status(code: i32) -> Option<RpcStatus> {
    Some(RpcStatus {
        code,
        message: String::new(),
    })
}

fn header(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(Header {
            key: name.to_owned(),
            value: value.to_owned(),
            raw_value: Bytes::new(),
        }),
        ..HeaderValueOption::default()
    }
}

fn acting(name: &str, action: Action) -> HeaderValueOption {
    HeaderValueOption {
        append_action: action.into(),
        ..header(name, "1")
    }
}

fn appending(name: &str, append: bool) -> HeaderValueOption {
    HeaderValueOption {
        append: Some(append),
        // The old field wins.
        append_action: Action::AddIfAbsent.into(),
        ..header(name, "1")
    }
}

fn ok(ok: OkHttpResponse) -> CheckResponse {
    CheckResponse {
        status: status(0),
        http_response: Some(HttpResponse::OkResponse(ok)),
        dynamic_metadata: None,
    }
}

fn no(denied: DeniedHttpResponse) -> CheckResponse {
    CheckResponse {
        status: status(7),
        http_response: Some(HttpResponse::DeniedResponse(denied)),
        dynamic_metadata: None,
    }
}

fn changes(answer: CheckResponse) -> Changes {
    match read(answer).unwrap().verdict {
        Verdict::Allow(changes) => *changes,
        Verdict::Deny(denial) => panic!("{denial:?}"),
    }
}

fn denial(answer: CheckResponse) -> Denial {
    match read(answer).unwrap().verdict {
        Verdict::Deny(denial) => *denial,
        Verdict::Allow(changes) => panic!("{changes:?}"),
    }
}

#[test]
fn the_status_decides_and_one_that_is_missing_decides_nothing() {
    changes(ok(OkHttpResponse::default()));
    changes(CheckResponse {
        status: status(0),
        ..CheckResponse::default()
    });
    for code in [1, 7, 16, 99, -1] {
        let bare = CheckResponse {
            status: status(code),
            ..CheckResponse::default()
        };
        assert_eq!(denial(bare).status, 403);
        let contradicts = CheckResponse {
            status: status(code),
            ..ok(OkHttpResponse::default())
        };
        assert_eq!(denial(contradicts).status, 403);
    }
    let failed = read(CheckResponse::default()).unwrap_err();
    assert!(matches!(failed, Failed::Silent), "{failed}");
    let refuses = CheckResponse {
        status: None,
        ..no(DeniedHttpResponse::default())
    };
    assert_eq!(denial(refuses).status, 403);
}

#[test]
fn a_no_tells_the_client_what_the_authorizer_says() {
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: 302 }),
        headers: vec![
            header("Location", "/login"),
            header("set-cookie", "a"),
            header("set-cookie", "b"),
            acting("set-cookie", Action::AddIfAbsent),
            acting("x-late", Action::OverwriteIfExists),
            header("x-once", "0"),
            acting("x-once", Action::OverwriteIfExistsOrAdd),
            header("connection", "close"),
            header("content-length", "99"),
            header("host", "x"),
        ],
        body: "go".to_owned(),
    };
    let denial = denial(no(denied));
    assert_eq!(denial.status, 302);
    assert_eq!(denial.body, "go");
    let told: Vec<_> = denial
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("location", "/login"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
            ("x-once", "1"),
        ]
    );
}

#[test]
fn a_status_that_no_answer_can_have_becomes_403() {
    for code in [0, 100, 101, 199, 600, 99_999, -5] {
        let denied = DeniedHttpResponse {
            status: Some(HttpStatus { code }),
            ..DeniedHttpResponse::default()
        };
        assert_eq!(denial(no(denied)).status, 403, "{code}");
    }
}

#[test]
fn headers_of_a_yes_say_what_becomes_of_those_that_are_there() {
    let changes = changes(ok(OkHttpResponse {
        headers: vec![
            header("X-Plain", "1"),
            appending("x-append", true),
            appending("x-set", false),
            acting("x-absent", Action::AddIfAbsent),
            acting("x-over", Action::OverwriteIfExistsOrAdd),
            acting("x-if", Action::OverwriteIfExists),
            header("transfer-encoding", "chunked"),
            header("content-length", "0"),
        ],
        response_headers_to_add: vec![
            header("set-cookie", "a"),
            appending("x-append", true),
            appending("x-set", false),
            acting("x-absent", Action::AddIfAbsent),
            header("connection", "close"),
        ],
        ..OkHttpResponse::default()
    }));
    let places = |headers: &[crate::request::call::ResponseHeader]| -> Vec<(String, Place)> {
        let pairs = headers.iter();
        pairs
            .map(|header| (header.name.to_string(), header.place))
            .collect()
    };
    assert_eq!(
        places(&changes.request),
        [
            // The client's own header must not pass for it.
            ("x-plain".to_owned(), Place::Instead),
            ("x-append".to_owned(), Place::Beside),
            ("x-set".to_owned(), Place::Instead),
            ("x-absent".to_owned(), Place::IfAbsent),
            ("x-over".to_owned(), Place::Instead),
            ("x-if".to_owned(), Place::IfPresent),
        ]
    );
    assert_eq!(
        places(&changes.response),
        [
            ("set-cookie".to_owned(), Place::Beside),
            ("x-append".to_owned(), Place::Beside),
            ("x-set".to_owned(), Place::Instead),
            ("x-absent".to_owned(), Place::IfAbsent),
        ]
    );
}

#[test]
fn the_target_can_be_changed_and_what_cannot_be_is_no_answer() {
    let changes = changes(ok(OkHttpResponse {
        headers: vec![header(":path", "/x?y"), header("Host", "other:81")],
        headers_to_remove: vec!["Cookie".to_owned(), ":path".to_owned(), "a b".to_owned()],
        query_parameters_to_set: vec![QueryParameter {
            key: "a".to_owned(),
            value: "b".to_owned(),
        }],
        query_parameters_to_remove: vec!["c".to_owned()],
        ..OkHttpResponse::default()
    }));
    assert_eq!(changes.path.unwrap(), "/x?y");
    assert_eq!(changes.authority.unwrap(), "other:81");
    assert_eq!(changes.remove, ["cookie"]);
    assert_eq!(changes.set_query, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(changes.remove_query, ["c"]);
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "https"),
        (":other", "1"),
        (":path", "x y"),
        (":path", "*"),
        (":path", ""),
        (":authority", "a b"),
        ("host", ""),
        ("x y", "1"),
        ("", "1"),
        ("x-split", "a\r\nb: c"),
        ("x-nul", "\0"),
    ] {
        let answer = ok(OkHttpResponse {
            headers: vec![header("x-first", "1"), header(name, value)],
            ..OkHttpResponse::default()
        });
        assert!(read(answer).is_err(), "{name:?} {value:?}");
    }
    let unknown = HeaderValueOption {
        append_action: 77,
        ..header("x", "1")
    };
    let answer = ok(OkHttpResponse {
        headers: vec![unknown],
        ..OkHttpResponse::default()
    });
    assert!(read(answer).is_err());
}

#[test]
fn a_raw_value_stands_for_an_empty_one() {
    let raw = HeaderValueOption {
        header: Some(Header {
            key: "x".to_owned(),
            value: String::new(),
            raw_value: Bytes::from_static(b"\xe9"),
        }),
        ..HeaderValueOption::default()
    };
    let changes = changes(ok(OkHttpResponse {
        headers: vec![raw],
        ..OkHttpResponse::default()
    }));
    assert_eq!(changes.request[0].value.as_bytes(), b"\xe9");
}

fn value(kind: Kind) -> Said {
    Said { kind: Some(kind) }
}

fn said(name: &str) -> Struct {
    let list = ListValue {
        values: vec![value(Kind::StringValue(name.to_owned())), Said::default()],
    };
    Struct {
        fields: [
            ("list".to_owned(), value(Kind::ListValue(list))),
            ("number".to_owned(), value(Kind::NumberValue(1.5))),
            ("nan".to_owned(), value(Kind::NumberValue(f64::NAN))),
            ("flag".to_owned(), value(Kind::BoolValue(true))),
            (
                "deep".to_owned(),
                value(Kind::StructValue(Struct::default())),
            ),
        ]
        .into(),
    }
}

#[test]
fn what_is_said_beside_the_answer_is_kept_also_with_a_no() {
    let expected = |name: &str| {
        json!({
            "list": [name, null], "number": 1.5, "nan": null, "flag": true, "deep": {},
        })
    };
    let mut answer = no(DeniedHttpResponse::default());
    answer.dynamic_metadata = Some(said("outer"));
    let found = read(answer).unwrap().metadata;
    assert_eq!(serde_json::Value::Object(found), expected("outer"));
    let mut answer = ok(OkHttpResponse {
        dynamic_metadata: Some(said("inner")),
        ..OkHttpResponse::default()
    });
    answer.dynamic_metadata = Some(said("outer"));
    let found = read(answer).unwrap().metadata;
    assert_eq!(serde_json::Value::Object(found), expected("inner"));
}
