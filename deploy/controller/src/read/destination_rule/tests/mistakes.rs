//! What Istio would refuse of a DestinationRule, and how it is worded.

use super::HEAD;

#[test]
fn of_the_object() {
    HEAD.refused(&[
        ("", "1:1: spec: missing, expected a mapping with host"),
        ("spec: {}", "4:7: spec.host: missing, expected a hostname"),
        ("spec: {host: '*'}", "4:14: spec.host: found \"*\", expected a hostname such as db.example.com or *.example.com"),
        ("spec: {host: a, trafficPolicy: {}}", "4:32: spec.trafficPolicy: found a mapping of 0, expected a traffic policy with at least one field"),
        ("spec: {host: a, subsets: [{}]}", "4:27: spec.subsets[0].name: missing, expected a subset's name"),
        ("spec: {host: a, subsets: [{name: V1}]}", "4:34: spec.subsets[0].name: found \"V1\", expected at most 63 lower-case letters, digits and hyphens, the latter only inside"),
        ("spec: {host: a, subsets: [{name: a}, {name: a}]}", "4:38: spec.subsets[1]: found \"a\", which line 4 has already, expected each name of a subset once"),
        ("spec: {host: a, subsets: [{name: a, labels: {b: 'c d'}}]}", "4:49: spec.subsets[0].labels.b: found \"c d\", expected at most 63 letters, digits, hyphens, dots and underscores that begin and end with a letter or digit"),
        ("spec: {host: a, trafficPolicy: {portLevelSettings: [{}]}}", "4:53: spec.trafficPolicy.portLevelSettings[0].port: missing, expected a mapping with number"),
        ("spec: {host: a, trafficPolicy: {portLevelSettings: [{port: {name: http}}]}}", "4:61: spec.trafficPolicy.portLevelSettings[0].port.name: unknown field, expected one of number"),
        ("spec: {host: a, trafficPolicy: {portLevelSettings: [{port: {number: 1}}, {port: {number: 1}}]}}", "4:74: spec.trafficPolicy.portLevelSettings[1]: found a mapping of 1, expected each port once"),
        ("spec: {host: a, exportTo: ['~', '.']}", "4:27: spec.exportTo: found a list of 2, expected * or ~ alone, or namespaces and ."),
    ]);
}

/// Blocks of a policy, each in line 7 from column 5 on.
#[test]
fn of_policies() {
    for (fields, error) in [
        (
            "loadBalancer: {simple: round_robin}",
            "7:28: spec.trafficPolicy.loadBalancer.simple: found \"round_robin\", expected UNSPECIFIED or LEAST_REQUEST or LEAST_CONN or ROUND_ROBIN or RANDOM or PASSTHROUGH",
        ),
        (
            "loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}",
            "7:28: spec.trafficPolicy.loadBalancer.simple: found \"RANDOM\", expected either this or consistentHash",
        ),
        (
            "loadBalancer: {consistentHash: {}}",
            "7:36: spec.trafficPolicy.loadBalancer.consistentHash: found a mapping of 0, expected one of httpHeaderName, httpCookie, useSourceIp: true and httpQueryParameterName",
        ),
        (
            "loadBalancer: {consistentHash: {useSourceIp: false}}",
            "7:36: spec.trafficPolicy.loadBalancer.consistentHash: found a mapping of 1, expected one of httpHeaderName, httpCookie, useSourceIp: true and httpQueryParameterName",
        ),
        (
            "loadBalancer: {consistentHash: {useSourceIp: true, httpHeaderName: a}}",
            "7:36: spec.trafficPolicy.loadBalancer.consistentHash: found a mapping of 2, expected one of httpHeaderName, httpCookie, useSourceIp: true and httpQueryParameterName",
        ),
        (
            "loadBalancer: {consistentHash: {httpHeaderName: ''}}",
            "7:53: spec.trafficPolicy.loadBalancer.consistentHash.httpHeaderName: found \"\", expected the name of a header: at most 256 letters, digits and the signs !#$%&'*+-.^_`|~",
        ),
        (
            "loadBalancer: {consistentHash: {httpQueryParameterName: ''}}",
            "7:61: spec.trafficPolicy.loadBalancer.consistentHash.httpQueryParameterName: found \"\", expected the name of a parameter: a text that is not empty",
        ),
        (
            "loadBalancer: {consistentHash: {httpCookie: {}}}",
            "7:49: spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.name: missing, expected the name of a cookie: a token",
        ),
        (
            "loadBalancer: {consistentHash: {httpCookie: {name: 'a;b'}}}",
            "7:56: spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.name: found \"a;b\", expected the name of a cookie: a token",
        ),
        (
            "loadBalancer: {consistentHash: {httpCookie: {name: a, path: '/;x'}}}",
            "7:65: spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.path: found \"/;x\", expected a text without semicolons and control characters",
        ),
        (
            "loadBalancer: {consistentHash: {httpCookie: {name: a, ttl: 1}}}",
            "7:64: spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.ttl: found \"1\", expected a duration such as 1.5s, 10ms or 1h30m, at most 876000h",
        ),
        (
            "loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {}, maglev: {}}}",
            "7:78: spec.trafficPolicy.loadBalancer.consistentHash.maglev: found a mapping of 0, expected either this or ringHash",
        ),
        (
            "loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65536}}}",
            "7:76: spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: found \"65536\", expected a prime number of at most 5000011",
        ),
        (
            "loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 1}}}",
            "7:76: spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: found \"1\", expected a prime number of at most 5000011",
        ),
        (
            "loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 5000077}}}",
            "7:76: spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: found \"5000077\", expected a prime number of at most 5000011",
        ),
        (
            "loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 8388609}}}",
            "7:84: spec.trafficPolicy.loadBalancer.consistentHash.ringHash.minimumRingSize: found \"8388609\", expected a whole number from 0 to 8388608",
        ),
        (
            "loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 99}}]}}",
            "7:67: spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to: found a mapping of 1, expected a mapping of localities to percentages that are 100 together",
        ),
        (
            "loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 0, c: 100}}]}}",
            "7:71: spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to.b: found \"0\", expected a whole number from 1 to 100",
        ),
        (
            "loadBalancer: {localityLbSetting: {distribute: [{from: 'a/*/c', to: {b: 100}}]}}",
            "7:60: spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].from: found \"a/*/c\", expected a locality such as region/zone/subzone, region/* or *",
        ),
        (
            "loadBalancer: {localityLbSetting: {distribute: [{from: a/b/c/d, to: {b: 100}}]}}",
            "7:60: spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].from: found \"a/b/c/d\", expected a locality such as region/zone/subzone, region/* or *",
        ),
        (
            "loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 100}}], failover: [{from: a, to: b}]}}",
            "7:89: spec.trafficPolicy.loadBalancer.localityLbSetting.failover: found a list of 1, expected either this or distribute",
        ),
        (
            "loadBalancer: {localityLbSetting: {failover: [{from: a, to: a}]}}",
            "7:65: spec.trafficPolicy.loadBalancer.localityLbSetting.failover[0].to: found \"a\", expected another region than `from`",
        ),
        (
            "loadBalancer: {localityLbSetting: {failover: [{from: a/b, to: a}]}}",
            "7:58: spec.trafficPolicy.loadBalancer.localityLbSetting.failover[0].from: found \"a/b\", expected a region",
        ),
        (
            "loadBalancer: {localityLbSetting: {failoverPriority: ['a b']}}",
            "7:59: spec.trafficPolicy.loadBalancer.localityLbSetting.failoverPriority[0]: found \"a b\", expected the name of a label, or a name, = and a value",
        ),
        (
            "loadBalancer: {warmup: {}}",
            "7:28: spec.trafficPolicy.loadBalancer.warmup.duration: missing, expected a duration such as 30s",
        ),
        (
            "loadBalancer: {warmup: {duration: 1s, aggression: 0.5}}",
            "7:55: spec.trafficPolicy.loadBalancer.warmup.aggression: found \"0.5\", expected a number from 1 to 1000, such as 1.5",
        ),
        (
            "loadBalancer: {warmup: {duration: 1s, aggression: inf}}",
            "7:55: spec.trafficPolicy.loadBalancer.warmup.aggression: found \"inf\", expected a number from 1 to 1000, such as 1.5",
        ),
        (
            "loadBalancer: {warmup: {duration: 1s, aggression: 1.2.3}}",
            "7:55: spec.trafficPolicy.loadBalancer.warmup.aggression: found \"1.2.3\", expected a number from 1 to 1000, such as 1.5",
        ),
        (
            "loadBalancer: {warmup: {duration: 1s, minimumPercent: 101}}",
            "7:59: spec.trafficPolicy.loadBalancer.warmup.minimumPercent: found \"101\", expected a percentage from 0 to 100, such as 0.5",
        ),
        (
            "connectionPool: {}",
            "7:21: spec.trafficPolicy.connectionPool: found a mapping of 0, expected a mapping with tcp or http",
        ),
        (
            "connectionPool: {tcp: {maxConnections: -1}}",
            "7:44: spec.trafficPolicy.connectionPool.tcp.maxConnections: found \"-1\", expected a whole number from 0 to 2147483647",
        ),
        (
            "connectionPool: {tcp: {connectTimeout: 0s}}",
            "7:44: spec.trafficPolicy.connectionPool.tcp.connectTimeout: found \"0s\", expected a duration of whole milliseconds, at least 1ms, such as 1.5s, 10ms or 1h30m",
        ),
        (
            "connectionPool: {tcp: {tcpKeepalive: {probes: x}}}",
            "7:51: spec.trafficPolicy.connectionPool.tcp.tcpKeepalive.probes: found \"x\", expected a whole number from 0 to 2147483647",
        ),
        (
            "connectionPool: {http: {maxRequestsPerConnection: 536870913}}",
            "7:55: spec.trafficPolicy.connectionPool.http.maxRequestsPerConnection: found \"536870913\", expected a whole number from 0 to 536870912",
        ),
        (
            "connectionPool: {http: {h2UpgradePolicy: NEVER}}",
            "7:46: spec.trafficPolicy.connectionPool.http.h2UpgradePolicy: found \"NEVER\", expected DEFAULT or DO_NOT_UPGRADE or UPGRADE",
        ),
        (
            "connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}",
            "7:46: spec.trafficPolicy.connectionPool.http.h2UpgradePolicy: found \"UPGRADE\", expected not UPGRADE together with useClientProtocol",
        ),
        (
            "outlierDetection: {interval: 0s}",
            "7:34: spec.trafficPolicy.outlierDetection.interval: found \"0s\", expected a duration of whole milliseconds, at least 1ms, such as 1.5s, 10ms or 1h30m",
        ),
        (
            "outlierDetection: {baseEjectionTime: 1us}",
            "7:42: spec.trafficPolicy.outlierDetection.baseEjectionTime: found \"1us\", expected a duration of whole milliseconds, at least 1ms, such as 1.5s, 10ms or 1h30m",
        ),
        (
            "outlierDetection: {maxEjectionPercent: 101}",
            "7:44: spec.trafficPolicy.outlierDetection.maxEjectionPercent: found \"101\", expected a whole number from 0 to 100",
        ),
        (
            "outlierDetection: {minHealthPercent: -1}",
            "7:42: spec.trafficPolicy.outlierDetection.minHealthPercent: found \"-1\", expected a whole number from 0 to 100",
        ),
        (
            "outlierDetection: {consecutiveLocalOriginFailures: 5}",
            "7:56: spec.trafficPolicy.outlierDetection.consecutiveLocalOriginFailures: found \"5\", expected none without splitExternalLocalOriginErrors",
        ),
        (
            "outlierDetection: {outlierDetectionHttpErrorCodes: [600]}",
            "7:57: spec.trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes[0]: found \"600\", expected a status code from 100 to 599",
        ),
        (
            "outlierDetection: {consecutive5xxErrors: x}",
            "7:46: spec.trafficPolicy.outlierDetection.consecutive5xxErrors: found \"x\", expected a whole number from 0 to 2147483647",
        ),
        (
            "retryBudget: {percent: 101}",
            "7:28: spec.trafficPolicy.retryBudget.percent: found \"101\", expected a percentage from 0 to 100, such as 0.5",
        ),
        (
            "tls: {mode: mutual}",
            "7:17: spec.trafficPolicy.tls.mode: found \"mutual\", expected DISABLE or SIMPLE or MUTUAL or ISTIO_MUTUAL",
        ),
        (
            "tls: {mode: MUTUAL}",
            "7:10: spec.trafficPolicy.tls.clientCertificate: missing, expected a file, or credentialName, for the mode MUTUAL",
        ),
        (
            "tls: {mode: SIMPLE, sni: 'a b'}",
            "7:30: spec.trafficPolicy.tls.sni: found \"a b\", expected a hostname such as db.example.com",
        ),
        (
            "tunnel: {targetHost: a}",
            "7:13: spec.trafficPolicy.tunnel.targetPort: missing, expected a tunnel with targetHost and targetPort",
        ),
        (
            "tunnel: {targetHost: 'a b', targetPort: 1}",
            "7:26: spec.trafficPolicy.tunnel.targetHost: found \"a b\", expected a hostname such as db.example.com",
        ),
        (
            "tunnel: {protocol: GET, targetHost: a, targetPort: 1}",
            "7:24: spec.trafficPolicy.tunnel.protocol: found \"GET\", expected CONNECT or POST",
        ),
        (
            "proxyProtocol: {version: V3}",
            "7:30: spec.trafficPolicy.proxyProtocol.version: found \"V3\", expected V1 or V2",
        ),
    ] {
        HEAD.refused(&[(
            &format!("spec:\n  host: a\n  trafficPolicy:\n    {fields}"),
            error,
        )]);
    }
}
