//! What waypoints are told of the mesh.

use std::{collections::BTreeMap, time::Duration};

use super::{config_of, good, refused};
use crate::objects::{
    AccessLog, LogFormat, MeshConfig, PathNormalization,
    destination_rule::{ConnectionPool, Failover, LocalityBalancing, OutlierDetection, TcpPool},
    virtual_service::{Retries, RetryCondition, RetryOn},
};

fn log(path: &str, format: LogFormat) -> AccessLog {
    AccessLog {
        path: path.to_owned(),
        format,
        omit_empty: false,
    }
}

fn fields(fields: &[(&str, &str)]) -> LogFormat {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    LogFormat::Json(fields.iter().map(owned).collect())
}

#[test]
fn the_log_of_the_mesh_has_a_format_in_its_encoding() {
    let of = |lines: &str| good(lines).access_log;
    let stdout = |format| Some(log("/dev/stdout", format));
    assert_eq!(of("{}"), None);
    assert_eq!(of("accessLogFile: ''\naccessLogFormat: x"), None);
    assert_eq!(
        of("accessLogFile: /dev/stdout"),
        stdout(LogFormat::DefaultText)
    );
    assert_eq!(
        of("accessLogFile: /dev/stdout\naccessLogFormat: ''\naccessLogEncoding: TEXT"),
        stdout(LogFormat::DefaultText)
    );
    assert_eq!(
        of("accessLogFile: /dev/stdout\naccessLogFormat: \"%PROTOCOL%\\n\""),
        stdout(LogFormat::Text("%PROTOCOL%\n".to_owned()))
    );
    assert_eq!(
        of("accessLogFile: /dev/stdout\naccessLogEncoding: JSON"),
        stdout(LogFormat::DefaultJson)
    );
    assert_eq!(
        of(
            "accessLogFile: /dev/stdout\naccessLogEncoding: JSON\naccessLogFormat: '{\"z\": \"%PROTOCOL%\", \"a\": \"b\"}'"
        ),
        stdout(fields(&[("z", "%PROTOCOL%"), ("a", "b")]))
    );
    for format in [
        "x",
        "[]",
        "{\"a\": 1}",
        "{\"a\": {}}",
        "{\"a\": \"b\", \"a\": \"c\"}",
        "{} {}",
    ] {
        refused(
            &format!("accessLogEncoding: JSON\naccessLogFormat: '{format}'"),
            "accessLogFormat: found",
        );
    }
    refused(
        "accessLogEncoding: YAML",
        "accessLogEncoding: found \"YAML\", expected TEXT or JSON",
    );
}

#[test]
fn providers_that_log_to_files_are_read_by_name() {
    let config = good(
        "extensionProviders:
- {name: default, envoyFileAccessLog: {path: /dev/stdout}}
- {name: text, envoyFileAccessLog: {path: /t, logFormat: {text: \"x\\n\"}}}
- {name: json, envoyFileAccessLog: {path: /j, logFormat: {labels: {z: '%PROTOCOL%', a: b}}, omitEmptyValues: true}}
- {name: empty, envoyFileAccessLog: {path: /e, logFormat: {labels: {}}}}
- {name: other, zipkin: {service: z, port: 9411}}
defaultProviders: {accessLogging: [json, other], metrics: [prometheus]}",
    );
    let named = |(name, log): (&str, AccessLog)| (name.to_owned(), log);
    let providers = [
        ("default", log("/dev/stdout", LogFormat::DefaultText)),
        ("text", log("/t", LogFormat::Text("x\n".to_owned()))),
        (
            "json",
            AccessLog {
                omit_empty: true,
                ..log("/j", fields(&[("z", "%PROTOCOL%"), ("a", "b")]))
            },
        ),
        ("empty", log("/e", LogFormat::DefaultJson)),
    ];
    let providers: BTreeMap<String, AccessLog> = providers.map(named).into();
    assert_eq!(config.access_log_providers, providers);
    assert_eq!(config.default_access_logs, ["json", "other"]);
    let file = |fields: &str| format!("extensionProviders: [{fields}]");
    for (fields, error) in [
        (
            "{envoyFileAccessLog: {}}",
            "extensionProviders[0].name: missing",
        ),
        (
            "{name: a, envoyFileAccessLog: {path: ''}}",
            "extensionProviders[0].envoyFileAccessLog.path: found \"\"",
        ),
        (
            "{name: a, envoyFileAccessLog: {logFormat: {text: a, labels: {}}}}",
            "extensionProviders[0].envoyFileAccessLog.logFormat.labels: found a mapping of 0, expected either this or text",
        ),
        (
            "{name: a, envoyFileAccessLog: {}}, {name: a, envoyFileAccessLog: {}}",
            "extensionProviders[1]: found a mapping of 2, expected each name of a provider once",
        ),
    ] {
        refused(&file(fields), error);
    }
    let (read, warnings) = config_of(&file(
        "{name: a, envoyFileAccessLog: {logFormat: {labels: {a: {b: c}, d: e}}}}",
    ));
    let format = fields(&[("d", "e")]);
    assert_eq!(read.unwrap().access_log_providers["a"].format, format);
    assert!(
        warnings[0].ends_with("only texts are logged, ignored"),
        "{warnings:?}"
    );
}

#[test]
fn paths_protocols_and_policies_of_the_whole_mesh_are_read() {
    for (word, expected) in [
        ("DEFAULT", PathNormalization::Base),
        ("NONE", PathNormalization::None),
        ("BASE", PathNormalization::Base),
        ("MERGE_SLASHES", PathNormalization::MergeSlashes),
        (
            "DECODE_AND_MERGE_SLASHES",
            PathNormalization::DecodeAndMergeSlashes,
        ),
    ] {
        let config = good(&format!("pathNormalization: {{normalization: {word}}}"));
        assert_eq!(config.path_normalization, expected);
    }
    assert_eq!(good("protocolDetectionTimeout: 0s"), MeshConfig::default());
    let config = good(
        "protocolDetectionTimeout: 100ms
defaultHttpRetryPolicy: {attempts: 3, retryOn: 'reset,503'}
defaultTrafficPolicy: {connectionPool: {tcp: {maxConnections: 5}}, outlierDetection: {consecutive5xxErrors: 1}}
localityLbSetting: {failover: [{from: a, to: b}]}",
    );
    let expected = MeshConfig {
        protocol_detection_timeout: Some(Duration::from_millis(100)),
        default_retries: Some(Retries {
            attempts: 3,
            retry_on: Some(RetryOn {
                conditions: [RetryCondition::Reset, RetryCondition::RetriableStatusCodes].into(),
                codes: [503].into(),
            }),
            ..Retries::default()
        }),
        default_connection_pool: Some(ConnectionPool {
            tcp: TcpPool {
                max_connections: Some(5),
                ..TcpPool::default()
            },
            ..ConnectionPool::default()
        }),
        default_outlier_detection: Some(OutlierDetection {
            consecutive_5xx: 1,
            ..OutlierDetection::default()
        }),
        locality_balancing: Some(LocalityBalancing {
            failover: vec![Failover {
                from: "a".to_owned(),
                to: "b".to_owned(),
            }],
            ..LocalityBalancing::default()
        }),
        ..MeshConfig::default()
    };
    assert_eq!(config, expected);
    for (lines, error) in [
        (
            "pathNormalization: {normalization: Base}",
            "pathNormalization.normalization: found \"Base\"",
        ),
        (
            "protocolDetectionTimeout: 1",
            "protocolDetectionTimeout: found \"1\"",
        ),
        (
            "defaultHttpRetryPolicy: {attempts: x}",
            "defaultHttpRetryPolicy.attempts: found \"x\"",
        ),
        (
            "defaultTrafficPolicy: {outlierDetection: {interval: 0s}}",
            "defaultTrafficPolicy.outlierDetection.interval: found \"0s\"",
        ),
        (
            "localityLbSetting: []",
            "localityLbSetting: found a list of 0",
        ),
    ] {
        refused(lines, error);
    }
}

#[test]
fn default_providers_count_before_the_file() {
    let providers = "extensionProviders:
- {name: text, envoyFileAccessLog: {logFormat: {text: \"x\\n\"}}}
- {name: other, zipkin: {service: z, port: 9411}}
";
    let text = || log("/dev/stdout", LogFormat::Text("x\n".to_owned()));
    let json = || log("/f", LogFormat::DefaultJson);
    let file = "accessLogFile: /f\naccessLogEncoding: JSON\n";
    let cases = [
        ("", "", None),
        (file, "", Some(json())),
        (file, "other, text", Some(text())),
        ("", "text", Some(text())),
        (file, "envoy, text", Some(json())),
        ("", "envoy", Some(AccessLog::default())),
        (file, "other", None),
    ];
    for (file, names, expected) in cases {
        let defaults = format!("defaultProviders: {{accessLogging: [{names}]}}\n");
        let config = good(&format!("{providers}{file}{defaults}"));
        assert_eq!(config.default_access_log(), expected, "{file}{names}");
    }
}
