//! What happens with a request.

use std::{collections::BTreeSet, time::Duration};

use super::{action, exact, prefix, regex, route, set, text, to};
use crate::objects::{
    Cors, CorsOrigin, HeaderEdits, Share, UnmatchedPreflights,
    virtual_service::{
        Abort, AbortStatus, Delay, Delegate, DerivedPort, DirectResponse, Fault, HttpAction,
        Mirror, Redirect, RegexRewrite, Retries, RetryCondition, RetryOn, Rewrite,
    },
};

#[test]
fn redirects_answers_and_delegates_are_read() {
    let nothing = Redirect {
        uri: None,
        prefix: None,
        authority: None,
        scheme: None,
        port: None,
        derive_port: None,
        code: 301,
    };
    for (fields, expected) in [
        (
            "uri: /a",
            Redirect {
                uri: Some(text("/a")),
                ..nothing.clone()
            },
        ),
        (
            "uri: '%PREFIX()%/a'",
            Redirect {
                prefix: Some(text("/a")),
                ..nothing.clone()
            },
        ),
        (
            "prefixRewrite: /a",
            Redirect {
                prefix: Some(text("/a")),
                ..nothing.clone()
            },
        ),
        (
            "authority: 'h:1', scheme: https, port: 8443, redirectCode: 308",
            Redirect {
                authority: Some(text("h:1")),
                scheme: Some(text("https")),
                port: Some(8443),
                code: 308,
                ..nothing.clone()
            },
        ),
        (
            "derivePort: FROM_REQUEST_PORT",
            Redirect {
                derive_port: Some(DerivedPort::Request),
                ..nothing.clone()
            },
        ),
        (
            "derivePort: FROM_PROTOCOL_DEFAULT",
            Redirect {
                derive_port: Some(DerivedPort::ProtocolDefault),
                ..nothing
            },
        ),
    ] {
        assert_eq!(
            action(&format!("redirect: {{{fields}}}")),
            HttpAction::Redirect(expected)
        );
    }
    for (fields, status, body) in [
        ("status: 200", 200, ""),
        ("status: 503, body: {string: gone}", 503, "gone"),
        ("status: 599, body: {bytes: Z29uZQ==}", 599, "gone"),
        ("status: 404, body: {}", 404, ""),
    ] {
        assert_eq!(
            action(&format!("directResponse: {{{fields}}}")),
            HttpAction::DirectResponse(DirectResponse {
                status,
                body: body.into()
            })
        );
    }
    assert_eq!(
        action("delegate: {name: a, namespace: b}"),
        HttpAction::Delegate(Delegate {
            name: text("a"),
            namespace: text("b")
        })
    );
}

#[test]
fn what_is_done_on_the_way_is_read() {
    let rewritten = |fields: &str| route(&format!("    rewrite: {{{fields}}}")).rewrite;
    assert_eq!(
        rewritten("uri: /b, authority: c"),
        Some(Rewrite {
            uri: Some(text("/b")),
            authority: Some(text("c")),
            regex: None
        })
    );
    assert_eq!(
        rewritten(r"uriRegexRewrite: {match: '^/(a)/(b)', rewrite: '/\2/\1\\\0'}"),
        Some(Rewrite {
            regex: Some(RegexRewrite {
                pattern: text("^/(a)/(b)"),
                substitution: text(r"/\2/\1\\\0"),
            }),
            ..Rewrite::default()
        })
    );
    let timeout = |value: &str| route(&format!("    timeout: {value}")).timeout;
    assert_eq!(timeout("1.5s"), Some(Duration::from_millis(1500)));
    assert_eq!(timeout("0s"), None);
    assert_eq!(
        route("    headers: {request: {set: {a: b}}}").headers,
        HeaderEdits {
            request: set("a", "b"),
            ..HeaderEdits::default()
        }
    );
    assert_eq!(
        route("    fault: {delay: {fixedDelay: 5s, percentage: {value: 0.1}}, abort: {httpStatus: 500, percentage: {value: 100}}}").fault,
        Fault {
            delay: Some(Delay { fixed: Duration::from_secs(5), share: Share::of_million(1000) }),
            abort: Some(Abort { status: AbortStatus::Http(500), share: Share::ALL }),
        }
    );
    assert_eq!(
        route("    fault: {abort: {grpcStatus: UNAVAILABLE, percentage: {}}}")
            .fault
            .abort,
        Some(Abort {
            status: AbortStatus::Grpc(14),
            share: Share::NONE
        })
    );
}

#[test]
fn mirrors_have_two_forms() {
    let mirrors = |fields: &str| route(fields).mirrors;
    let mirror = |host: &str, parts| Mirror {
        destination: to(host, "", None),
        share: Share::of_million(parts),
    };
    assert_eq!(mirrors("    mirror: {host: c}"), [mirror("c", 1_000_000)]);
    assert_eq!(
        mirrors("    mirror: {host: c}\n    mirrorPercentage: {value: 12.5}"),
        [mirror("c", 125_000)]
    );
    assert_eq!(
        mirrors(
            "    mirrors: [{destination: {host: c}}, {destination: {host: d}, percentage: {value: 0}}]"
        ),
        [mirror("c", 1_000_000), mirror("d", 0)]
    );
    assert_eq!(mirrors("    mirrorPercentage: {value: 1}"), []);
}

#[test]
fn every_word_of_retry_on_is_known() {
    let retries = |fields: &str| route(&format!("    retries: {{{fields}}}")).retries;
    assert_eq!(retries("attempts: 0"), Some(Retries::default()));
    assert_eq!(retries(""), Some(Retries::default()));
    assert_eq!(route("").retries, None);
    let words: Vec<&str> = RetryCondition::WORDS
        .iter()
        .map(|(word, _)| *word)
        .collect();
    let all = retries(&format!("attempts: 1, retryOn: '{}'", words.join(",")));
    assert_eq!(
        all.and_then(|it| it.retry_on)
            .map(|it| (it.conditions.len(), it.codes.len())),
        Some((16, 0))
    );
    assert_eq!(
        retries(
            "attempts: 3, perTryTimeout: 2s, retryOn: '5xx, 409,reset,  429', backoff: 10ms, retryRemoteLocalities: true, retryIgnorePreviousHosts: false"
        ),
        Some(Retries {
            attempts: 3,
            per_try_timeout: Some(Duration::from_secs(2)),
            retry_on: Some(RetryOn {
                conditions: BTreeSet::from([
                    RetryCondition::ServerError,
                    RetryCondition::Reset,
                    RetryCondition::RetriableStatusCodes,
                ]),
                codes: BTreeSet::from([409, 429]),
            }),
            backoff: Some(Duration::from_millis(10)),
            retry_remote_localities: Some(true),
            retry_ignore_previous_hosts: Some(false),
        })
    );
    let empty = retries("attempts: 1, retryOn: '', perTryTimeout: 0s").expect("retries");
    assert_eq!((empty.retry_on, empty.per_try_timeout), (None, None));
}

#[test]
fn cors_is_read() {
    let names = |names: &[&str]| names.iter().map(|name| text(name)).collect::<BTreeSet<_>>();
    assert_eq!(
        route(
            "    corsPolicy:
      allowOrigins: [{exact: '*'}, {exact: 'https://a'}, {prefix: 'https://b'}, {regex: '.*'}]
      allowMethods: [GET, '*']
      allowHeaders: [X-A, '*']
      exposeHeaders: [X-B]
      maxAge: 24h
      allowCredentials: true
      unmatchedPreflights: IGNORE"
        )
        .cors,
        Some(Cors {
            origins: vec![
                CorsOrigin::Any,
                CorsOrigin::Match(exact("https://a")),
                CorsOrigin::Match(prefix("https://b")),
                CorsOrigin::Match(regex(".*")),
            ],
            methods: names(&["GET", "*"]),
            headers: names(&["x-a", "*"]),
            expose_headers: names(&["x-b"]),
            max_age: Some(Duration::from_hours(24)),
            credentials: true,
            unmatched_preflights: UnmatchedPreflights::Ignore,
        })
    );
    assert_eq!(route("    corsPolicy: {}").cors, Some(Cors::default()));
}

#[test]
fn mirrors_of_what_goes_nowhere_are_warned_of() {
    super::HEAD.warned(&[(
        "spec: {hosts: [a], http: [{redirect: {uri: /}, mirror: {host: b}}]}",
        "4:27: spec.http[0]: mirrors have no effect without `route`",
    )]);
}
