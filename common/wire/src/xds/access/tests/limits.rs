//! Limits: what is absent, and every option.

use super::*;

#[test]
fn a_limit_is_read_with_its_defaults() {
    assert_eq!(
        limit(bucket()).unwrap(),
        RateLimit {
            name: "limit".into(),
            matches: Vec::new(),
            routes: Vec::new(),
            keys: Vec::new(),
            kind: LimitKind::Local(TokenBucket {
                max_tokens: 10,
                tokens_per_fill: 5,
                fill_interval: Duration::from_millis(50),
            }),
            status: 429,
            response_headers: Vec::new(),
            enabled_ppm: 0,
            enforced_ppm: 0,
            resource_exhausted: false,
        }
    );
}

#[test]
fn a_global_limit_is_read_with_every_key() {
    use limit_key::Value;
    let values = [
        (
            Value::Header("X-User".to_owned()),
            LimitValue::Header("x-user".into()),
        ),
        (
            Value::Claim(proto::ClaimPath {
                claim: vec!["sub".to_owned()],
            }),
            LimitValue::Claim(vec!["sub".into()]),
        ),
        (Value::Principal(true), LimitValue::Principal),
        (Value::RemoteAddress(true), LimitValue::RemoteAddress),
        (Value::Route(true), LimitValue::Route),
        (
            Value::Constant("all".to_owned()),
            LimitValue::Constant("all".into()),
        ),
        (Value::Service(true), LimitValue::Service),
        (Value::Path(true), LimitValue::Path),
        (Value::Method(true), LimitValue::Method),
    ];
    let read = proto::RateLimit {
        keys: values
            .iter()
            .map(|(value, _)| proto::LimitKey {
                name: "key".to_owned(),
                value: Some(value.clone()),
            })
            .collect(),
        routes: vec!["web".to_owned()],
        kind: Some(rate_limit::Kind::Global(proto::GlobalLimit {
            domain: "shop".to_owned(),
            backend: Some(backend()),
            timeout_us: 0,
            fail_closed: true,
        })),
        status: 503,
        response_headers: vec![proto::Header {
            name: "X-Limit".to_owned(),
            value: "1".to_owned(),
        }],
        enabled_ppm: 1_000_000,
        enforced_ppm: 1,
        resource_exhausted: true,
        ..bucket()
    };
    assert_eq!(
        limit(read).unwrap(),
        RateLimit {
            name: "limit".into(),
            matches: Vec::new(),
            routes: vec!["web".into()],
            keys: values
                .into_iter()
                .map(|(_, value)| LimitKey {
                    name: "key".into(),
                    value,
                })
                .collect(),
            kind: LimitKind::Global(GlobalLimit {
                domain: "shop".into(),
                backend: to_backend(),
                timeout: Duration::from_millis(20),
                fail_closed: true,
            }),
            status: 503,
            response_headers: vec![("x-limit".into(), "1".into())],
            enabled_ppm: 1_000_000,
            enforced_ppm: 1,
            resource_exhausted: true,
        }
    );
}
