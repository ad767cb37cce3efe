//! What is spoken on a port.

use super::of_port;
use crate::objects::AppProtocol::{self, Grpc, Http2, Http11, Tcp, Tls, Unknown};

#[test]
fn the_application_protocol_wins_over_the_name_and_the_name_over_the_number() {
    let cases: &[(Option<&str>, &str, u16, AppProtocol)] = &[
        (Some("http"), "tcp-x", 80, Http11),
        (Some("HTTP2"), "", 80, Http2),
        (Some("kubernetes.io/h2c"), "http", 80, Http2),
        (Some("kubernetes.io/ws"), "tcp", 80, Http11),
        (Some("kubernetes.io/wss"), "tcp", 80, Tls),
        (Some("example.com/mine"), "http", 80, Unknown),
        (Some("redis"), "", 6379, Tcp),
        (None, "http", 80, Http11),
        (None, "http-admin", 80, Http11),
        (None, "http2-admin", 80, Http2),
        (None, "grpc", 80, Grpc),
        (None, "grpc-web", 80, Grpc),
        (None, "grpc-web-admin", 80, Grpc),
        (None, "https-x", 443, Tls),
        (None, "tls", 443, Tls),
        (None, "tcp-metrics", 80, Tcp),
        (None, "mysql", 80, Tcp),
        (None, "mongo-a", 80, Tcp),
        (None, "httpx", 80, Unknown),
        (None, "web", 80, Unknown),
        (None, "", 3306, Tcp),
        (None, "smtp", 25, Tcp),
        (None, "http", 3306, Http11),
    ];
    for (app_protocol, name, port, expected) in cases {
        assert_eq!(
            of_port(*app_protocol, name, *port),
            *expected,
            "{app_protocol:?} {name:?} {port}"
        );
    }
}
