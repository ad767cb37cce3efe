//! What opens, and what a client could make open.

use std::{io, sync::Arc, time::Duration};

use h2::Reason;
use http::StatusCode;
use tonic::Code;

use super::Failed;
use crate::{
    access::ask::AskError,
    body::BodyError,
    upstream::{
        SendError,
        error::{Cause, ConnectError},
    },
};

fn send(error: SendError) -> Failed {
    Failed::Ask(AskError::Send(error))
}

fn address() -> std::net::SocketAddr {
    "10.0.0.1:80".parse().unwrap()
}

fn calm(reason: Reason) -> Cause {
    Cause::Http2(reason.into())
}

#[test]
fn of_all_codes_of_grpc_only_those_open_that_speak_of_the_server() {
    let own = [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::Internal,
        Code::DataLoss,
        Code::Unimplemented,
    ];
    for number in 0..=17 {
        let code = Code::from(number);
        let failed = Failed::Grpc(Box::new(tonic::Status::new(code, "")));
        assert_eq!(failed.is_its_own(), own.contains(&code), "{code:?}");
    }
}

#[test]
fn of_all_statuses_of_http_only_those_open_that_speak_of_the_server() {
    for number in 100..1000 {
        let status = StatusCode::from_u16(number).unwrap();
        let own = matches!(number, 500 | 502..=504);
        assert_eq!(Failed::Status(status).is_its_own(), own, "{number}");
        let by_grpc = Failed::Ask(AskError::Status(status));
        assert_eq!(by_grpc.is_its_own(), own, "{number}");
    }
}

#[test]
fn what_went_wrong_below_a_stub_counts_and_not_the_code_that_it_made_of_it() {
    let below = |error: AskError| {
        let status = tonic::Status::from_error(Box::new(error));
        Failed::Grpc(Box::new(status))
    };
    assert!(below(AskError::TimedOut(Duration::ZERO)).is_its_own());
    assert!(below(AskError::Status(StatusCode::SERVICE_UNAVAILABLE)).is_its_own());
    assert!(!below(AskError::Status(StatusCode::PAYLOAD_TOO_LARGE)).is_its_own());
    // The stub finds `h2`'s error and calls it UNAVAILABLE or INTERNAL.
    for reason in [Reason::ENHANCE_YOUR_CALM, Reason::INTERNAL_ERROR] {
        let reset = SendError::Reset {
            address: address(),
            source: calm(reason),
        };
        assert!(!below(AskError::Send(reset)).is_its_own(), "{reason:?}");
    }
    let broken = BodyError::Upstream(Box::new(SendError::Reset {
        address: address(),
        source: calm(Reason::REFUSED_STREAM),
    }));
    let status = tonic::Status::from_error(Box::new(broken));
    assert!(!Failed::Grpc(Box::new(status)).is_its_own());
}

#[test]
fn a_stream_that_is_refused_opens_unless_it_is_refused_for_what_it_says() {
    for (reason, own) in [
        (Reason::REFUSED_STREAM, true),
        (Reason::NO_ERROR, true),
        (Reason::ENHANCE_YOUR_CALM, false),
        (Reason::PROTOCOL_ERROR, false),
        (Reason::COMPRESSION_ERROR, false),
        (Reason::FRAME_SIZE_ERROR, false),
    ] {
        let refused = send(SendError::Refused {
            address: address(),
            source: calm(reason),
        });
        assert_eq!(refused.is_its_own(), own, "{reason:?}");
    }
}

#[test]
fn on_the_way_only_what_happens_before_the_question_is_there_opens() {
    let tcp = io::Error::from(io::ErrorKind::ConnectionRefused);
    let own = [
        send(SendError::Connect {
            address: address(),
            source: ConnectError::Tcp(Arc::new(tcp)),
        }),
        send(SendError::Closed {
            address: address(),
            sent: false,
            source: Cause::Local,
        }),
        Failed::Ask(AskError::Unknown {
            service: "a/b".to_owned(),
            port: 1,
        }),
        Failed::Ask(AskError::TimedOut(Duration::ZERO)),
        Failed::Silent,
    ];
    for failed in own {
        assert!(failed.is_its_own(), "{failed:?}");
    }
    let of_client = [
        send(SendError::Closed {
            address: address(),
            sent: true,
            source: Cause::Local,
        }),
        send(SendError::Protocol {
            address: address(),
            source: Cause::Local,
        }),
        send(SendError::Head("path")),
        send(SendError::Request(BodyError::Filter("broken".into()))),
        Failed::Ask(AskError::TooLong(1)),
        Failed::Ask(AskError::Question("no".into())),
        Failed::Ask(AskError::Body(BodyError::Filter("broken".into()))),
        Failed::Header("x".to_owned()),
        Failed::Target(":path"),
        Failed::Path,
        Failed::NoRequest,
    ];
    for failed in of_client {
        assert!(!failed.is_its_own(), "{failed:?}");
    }
}
