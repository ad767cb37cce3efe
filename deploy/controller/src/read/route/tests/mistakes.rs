//! What Kubernetes would refuse of routes, and how it is worded.

use super::{GRANT, GRPC, HTTP, TCP, TLS};

#[test]
fn of_the_object() {
    HTTP.refused(&[
        ("", "1:1: spec: missing, expected a mapping with parentRefs and rules"),
        ("spec: []", "4:7: spec: found a list of 0, expected a mapping with parentRefs and rules"),
        ("spec: {parentRefs: [{}]}", "4:21: spec.parentRefs[0].name: missing, expected a reference with name"),
        ("spec: {parentRefs: [{name: A}]}", "4:28: spec.parentRefs[0].name: found \"A\", expected at most 253 lower-case letters, digits, hyphens and dots, the latter two only inside"),
        ("spec: {parentRefs: [{name: a, prot: 80}]}", "4:31: spec.parentRefs[0].prot: unknown field, expected one of group, kind, name, namespace, port, sectionName"),
        (
            "spec: {parentRefs: [{name: a}, {name: a, kind: Gateway}]}",
            "4:32: spec.parentRefs[1]: found a mapping of 2, expected each parent once, or with another sectionName or port",
        ),
        ("spec: {parentRefs: [{name: a, port: 0}]}", "4:37: spec.parentRefs[0].port: found \"0\", expected a port from 1 to 65535"),
        ("spec: {parentRefs: [{name: a, group: 'a b'}]}", "4:38: spec.parentRefs[0].group: found \"a b\", expected an API group such as gateway.networking.k8s.io, or an empty text"),
        ("spec: {parentRefs: [{name: a, kind: 1}]}", "4:37: spec.parentRefs[0].kind: found \"1\", expected a kind such as Service"),
        ("spec: {parentRefs: [{name: a, namespace: A}]}", "4:42: spec.parentRefs[0].namespace: found \"A\", expected at most 63 lower-case letters, digits and hyphens, the latter only inside"),
        ("spec: {hostnames: [10.0.0.1]}", "4:20: spec.hostnames[0]: found \"10.0.0.1\", expected a hostname such as db.example.com or *.example.com"),
        ("spec: {hostnames: ['a.*']}", "4:20: spec.hostnames[0]: found \"a.*\", expected a hostname such as db.example.com or *.example.com"),
        ("spec: {rules: [{name: a}, {name: a}]}", "4:27: spec.rules[1]: found \"a\", which line 4 has already, expected each name of a rule once"),
        ("spec: {rules: [{name: A}]}", "4:23: spec.rules[0].name: found \"A\", expected at most 253 lower-case letters, digits, hyphens and dots, the latter two only inside"),
        ("spec: {rules: {}}", "4:15: spec.rules: found a mapping of 0, expected a list of rules"),
    ]);
}

/// Rules, each in line 6 from column 5 on.
#[test]
fn of_rules() {
    for (fields, error) in [
        (
            "matches: [{pth: {}}]",
            "6:16: spec.rules[0].matches[0].pth: unknown field (did you mean path?), expected one of headers, method, path, queryParams",
        ),
        (
            "matches: [{path: {value: a}}]",
            "6:30: spec.rules[0].matches[0].path.value: found \"a\", expected a path of at most 1024 bytes that begins with / and has no //, /./, /../, %2f or #",
        ),
        (
            "matches: [{path: {value: //a}}]",
            "6:30: spec.rules[0].matches[0].path.value: found \"//a\", expected a path of at most 1024 bytes that begins with / and has no //, /./, /../, %2f or #",
        ),
        (
            "matches: [{path: {value: /a/../b}}]",
            "6:30: spec.rules[0].matches[0].path.value: found \"/a/../b\", expected a path of at most 1024 bytes that begins with / and has no //, /./, /../, %2f or #",
        ),
        (
            "matches: [{path: {value: '/a%2Fb'}}]",
            "6:30: spec.rules[0].matches[0].path.value: found \"/a%2Fb\", expected a path of at most 1024 bytes that begins with / and has no //, /./, /../, %2f or #",
        ),
        (
            "matches: [{path: {value: '/a%zz'}}]",
            "6:30: spec.rules[0].matches[0].path.value: found \"/a%zz\", expected a path of at most 1024 bytes that begins with / and has no //, /./, /../, %2f or #",
        ),
        (
            "matches: [{path: {value: '/a b'}}]",
            "6:30: spec.rules[0].matches[0].path.value: found \"/a b\", expected a path of at most 1024 bytes that begins with / and has no //, /./, /../, %2f or #",
        ),
        (
            "matches: [{path: {type: Prefix, value: /a}}]",
            "6:29: spec.rules[0].matches[0].path.type: found \"Prefix\", expected Exact or PathPrefix or RegularExpression",
        ),
        (
            "matches: [{method: get}]",
            "6:24: spec.rules[0].matches[0].method: found \"get\", expected GET or HEAD or POST or PUT or DELETE or CONNECT or OPTIONS or TRACE or PATCH",
        ),
        (
            "matches: [{headers: [{name: a}]}]",
            "6:26: spec.rules[0].matches[0].headers[0].value: missing, expected a mapping with name and value",
        ),
        (
            "matches: [{headers: [{name: 'a b', value: c}]}]",
            "6:33: spec.rules[0].matches[0].headers[0].name: found \"a b\", expected the name of a header: at most 256 letters, digits and the signs !#$%&'*+-.^_`|~",
        ),
        (
            "matches: [{headers: [{name: a, value: ''}]}]",
            "6:43: spec.rules[0].matches[0].headers[0].value: found \"\", expected a text that is not empty",
        ),
        (
            "matches: [{headers: [{name: a, type: Prefix, value: b}]}]",
            "6:42: spec.rules[0].matches[0].headers[0].type: found \"Prefix\", expected Exact or RegularExpression",
        ),
        (
            "matches: [{queryParams: [{name: 'a b', value: c}]}]",
            "6:37: spec.rules[0].matches[0].queryParams[0].name: found \"a b\", expected the name of a parameter",
        ),
        (
            "backendRefs: [{}]",
            "6:19: spec.rules[0].backendRefs[0].name: missing, expected a reference with name and port",
        ),
        (
            "backendRefs: [{name: a}]",
            "6:19: spec.rules[0].backendRefs[0].port: missing, expected a port from 1 to 65535, for a Service",
        ),
        (
            "backendRefs: [{name: a, port: 1, weight: 1000001}]",
            "6:46: spec.rules[0].backendRefs[0].weight: found \"1000001\", expected a whole number from 0 to 1000000",
        ),
        (
            "backendRefs: [{name: a, port: 1, wight: 1}]",
            "6:38: spec.rules[0].backendRefs[0].wight: unknown field (did you mean weight?), expected one of filters, group, kind, name, namespace, port, weight",
        ),
        (
            "timeouts: {request: 1.5s}",
            "6:25: spec.rules[0].timeouts.request: found \"1.5s\", expected a duration of Gateway API: up to four whole numbers with h, m, s or ms, such as 1h30m",
        ),
        (
            "timeouts: {request: 1s, backendRequest: 2s}",
            "6:45: spec.rules[0].timeouts.backendRequest: found \"2s\", expected not longer than `request`",
        ),
        (
            "retry: {codes: [399]}",
            "6:21: spec.rules[0].retry.codes[0]: found \"399\", expected a status code from 400 to 599",
        ),
        (
            "retry: {attempts: -1}",
            "6:23: spec.rules[0].retry.attempts: found \"-1\", expected a whole number from 0 to 2147483647",
        ),
        (
            "retry: {backoff: 1us}",
            "6:22: spec.rules[0].retry.backoff: found \"1us\", expected a duration of Gateway API: up to four whole numbers with h, m, s or ms, such as 1h30m",
        ),
    ] {
        HTTP.refused(&[(&format!("spec:\n  rules:\n  - {fields}"), error)]);
    }
}

/// Filters of rules, each in line 6 from column 15 on.
#[test]
fn of_filters() {
    for (filters, error) in [
        (
            "{}",
            "6:15: spec.rules[0].filters[0].type: missing, expected a filter with type, and the field that belongs to it",
        ),
        (
            "{type: Other}",
            "6:22: spec.rules[0].filters[0].type: found \"Other\", expected RequestHeaderModifier or ResponseHeaderModifier or RequestMirror or RequestRedirect or URLRewrite or CORS or ExtensionRef or ExternalAuth",
        ),
        (
            "{type: CORS}",
            "6:15: spec.rules[0].filters[0].cors: missing, expected what `type` says",
        ),
        (
            "{type: CORS, cors: {}, urlRewrite: {}}",
            "6:50: spec.rules[0].filters[0].urlRewrite: found a mapping of 0, expected only the field that belongs to `type`",
        ),
        (
            "{type: ExtensionRef}",
            "6:15: spec.rules[0].filters[0].extensionRef: missing, expected what `type` says",
        ),
        (
            "{type: RequestHeaderModifier, requestHeaderModifier: {}}",
            "6:68: spec.rules[0].filters[0].requestHeaderModifier: found a mapping of 0, expected a mapping with at least one of set, add and remove",
        ),
        (
            "{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}, {type: RequestHeaderModifier, requestHeaderModifier: {remove: [b]}}",
            "6:84: spec.rules[0].filters[1]: found a mapping of 2, expected each type of filter once",
        ),
        (
            "{type: URLRewrite, urlRewrite: {}}, {type: RequestRedirect, requestRedirect: {}}",
            "6:51: spec.rules[0].filters[1]: found a mapping of 2, expected either RequestRedirect or URLRewrite",
        ),
        (
            "{type: URLRewrite, urlRewrite: {hostname: 10.0.0.1}}",
            "6:57: spec.rules[0].filters[0].urlRewrite.hostname: found \"10.0.0.1\", expected a hostname such as db.example.com",
        ),
        (
            "{type: URLRewrite, urlRewrite: {path: {}}}",
            "6:53: spec.rules[0].filters[0].urlRewrite.path.type: missing, expected a mapping with type, and the field that belongs to it",
        ),
        (
            "{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath}}}",
            "6:53: spec.rules[0].filters[0].urlRewrite.path.replaceFullPath: missing, expected what `type` says",
        ),
        (
            "{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /a, replacePrefixMatch: /b}}}",
            "6:118: spec.rules[0].filters[0].urlRewrite.path.replacePrefixMatch: found \"/b\", expected only the field that belongs to `type`",
        ),
        (
            "{type: RequestRedirect, requestRedirect: {statusCode: 200}}",
            "6:69: spec.rules[0].filters[0].requestRedirect.statusCode: found \"200\", expected 301 or 302 or 303 or 307 or 308",
        ),
        (
            "{type: RequestRedirect, requestRedirect: {scheme: ftp}}",
            "6:65: spec.rules[0].filters[0].requestRedirect.scheme: found \"ftp\", expected http or https",
        ),
        (
            "{type: RequestMirror, requestMirror: {}}",
            "6:52: spec.rules[0].filters[0].requestMirror.backendRef: missing, expected a reference",
        ),
        (
            "{type: RequestMirror, requestMirror: {backendRef: {name: a}}}",
            "6:65: spec.rules[0].filters[0].requestMirror.backendRef.port: missing, expected a port from 1 to 65535, for a Service",
        ),
        (
            "{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, percent: 101}}",
            "6:94: spec.rules[0].filters[0].requestMirror.percent: found \"101\", expected a whole number from 0 to 100",
        ),
        (
            "{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, percent: 1, fraction: {numerator: 1}}}",
            "6:107: spec.rules[0].filters[0].requestMirror.fraction: found a mapping of 1, expected either this or percent",
        ),
        (
            "{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, fraction: {numerator: 2, denominator: 1}}}",
            "6:95: spec.rules[0].filters[0].requestMirror.fraction: found a mapping of 2, expected a mapping with numerator and denominator, the latter not smaller",
        ),
        (
            "{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, fraction: {numerator: 0, denominator: 0}}}",
            "6:123: spec.rules[0].filters[0].requestMirror.fraction.denominator: found \"0\", expected a whole number of at least 1",
        ),
        (
            "{type: CORS, cors: {allowOrigins: [a.example]}}",
            "6:50: spec.rules[0].filters[0].cors.allowOrigins[0]: found \"a.example\", expected an origin such as https://example.com, https://*.example.com or *",
        ),
        (
            "{type: CORS, cors: {allowOrigins: ['https://a.*.b']}}",
            "6:50: spec.rules[0].filters[0].cors.allowOrigins[0]: found \"https://a.*.b\", expected an origin such as https://example.com, https://*.example.com or *",
        ),
        (
            "{type: CORS, cors: {allowOrigins: ['https://a/b']}}",
            "6:50: spec.rules[0].filters[0].cors.allowOrigins[0]: found \"https://a/b\", expected an origin such as https://example.com, https://*.example.com or *",
        ),
        (
            "{type: CORS, cors: {allowOrigins: ['https://']}}",
            "6:50: spec.rules[0].filters[0].cors.allowOrigins[0]: found \"https://\", expected an origin such as https://example.com, https://*.example.com or *",
        ),
        (
            "{type: CORS, cors: {maxAge: 0}}",
            "6:43: spec.rules[0].filters[0].cors.maxAge: found \"0\", expected a whole number of seconds",
        ),
    ] {
        HTTP.refused(&[(&format!("spec:\n  rules:\n  - filters: [{filters}]"), error)]);
    }
    HTTP.refused(&[
        ("spec: {rules: [{filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: [{name: a, port: 1}]}]}", "4:87: spec.rules[0].backendRefs: found a list of 1, expected none beside a RequestRedirect"),
        ("spec: {rules: [{matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}]}", "4:26: spec.rules[0].matches: found a list of 1, expected exactly one match, with a PathPrefix, for the filter's ReplacePrefixMatch"),
        ("spec: {rules: [{matches: [{path: {value: /a}}, {path: {value: /b}}], backendRefs: [{name: a, port: 1, filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}]}]}", "4:26: spec.rules[0].matches: found a list of 2, expected exactly one match, with a PathPrefix, for the filter's ReplacePrefixMatch"),
    ]);
}

#[test]
fn of_grpc_and_layer_4() {
    GRPC.refused(&[
        ("spec: {rules: [{matches: [{path: {value: /a}}]}]}", "4:28: spec.rules[0].matches[0].path: unknown field, expected one of headers, method"),
        ("spec: {rules: [{matches: [{method: {}}]}]}", "4:36: spec.rules[0].matches[0].method: found a mapping of 0, expected a mapping with at least one of service and method"),
        (
            "spec: {rules: [{matches: [{method: {service: a/b}}]}]}",
            "4:46: spec.rules[0].matches[0].method.service: found \"a/b\", expected the name of a service such as helloworld.Greeter",
        ),
        (
            "spec: {rules: [{matches: [{method: {service: a..b}}]}]}",
            "4:46: spec.rules[0].matches[0].method.service: found \"a..b\", expected the name of a service such as helloworld.Greeter",
        ),
        ("spec: {rules: [{matches: [{method: {method: 1a}}]}]}", "4:45: spec.rules[0].matches[0].method.method: found \"1a\", expected the name of a method such as SayHello"),
        (
            "spec: {rules: [{filters: [{type: URLRewrite, urlRewrite: {}}]}]}",
            "4:34: spec.rules[0].filters[0].type: found \"URLRewrite\", expected RequestHeaderModifier or ResponseHeaderModifier or RequestMirror or ExtensionRef",
        ),
    ]);
    TCP.refused(&[
        ("spec: {}", "4:7: spec.rules: missing, expected a list of at least one rule"),
        ("spec: {rules: []}", "4:15: spec.rules: found a list of 0, expected a list of at least one rule"),
        ("spec: {rules: [{backendRefs: [{name: a}]}]}", "4:31: spec.rules[0].backendRefs[0].port: missing, expected a port from 1 to 65535, for a Service"),
        (
            "spec: {rules: [{backendRefs: [{name: a, port: 1, filters: []}]}]}",
            "4:50: spec.rules[0].backendRefs[0].filters: unknown field, expected one of group, kind, name, namespace, port, weight",
        ),
    ]);
    TLS.refused(&[
        ("spec: {hostnames: [a b], rules: [{}]}", "4:20: spec.hostnames[0]: found \"a b\", expected a hostname such as db.example.com or *.example.com"),
        ("spec: {hostnames: [a]}", "4:7: spec.rules: missing, expected a list of at least one rule"),
    ]);
}

#[test]
fn of_grants() {
    GRANT.refused(&[
        ("", "1:1: spec: missing, expected a mapping with from and to"),
        ("spec: {from: [], to: [{group: '', kind: Service}]}", "4:14: spec.from: found a list of 0, expected a list of at least one mapping with group, kind and namespace"),
        ("spec: {from: [{group: a, kind: B, namespace: c}]}", "4:7: spec.to: missing, expected a list of at least one mapping with group and kind"),
        ("spec: {from: [{kind: B, namespace: c}], to: [{group: '', kind: Service}]}", "4:15: spec.from[0].group: missing, expected an API group, or an empty text"),
        ("spec: {from: [{group: a, kind: B}], to: [{group: '', kind: Service}]}", "4:15: spec.from[0].namespace: missing, expected a namespace"),
        ("spec: {from: [{group: a, kind: B, namespace: c, name: d}], to: [{group: '', kind: Service}]}", "4:49: spec.from[0].name: unknown field, expected one of group, kind, namespace"),
        ("spec: {from: [{group: a, kind: B, namespace: c}], to: [{group: '', kind: Service, nam: x}]}", "4:83: spec.to[0].nam: unknown field (did you mean name?), expected one of group, kind, name"),
    ]);
}

#[test]
fn of_numbers_of_things() {
    let many = |item: &str, count: usize| vec![item; count].join(",");
    for (body, error) in [
        (
            format!("rules: [{}]", many("{}", 17)),
            "a list of rules, at most 16",
        ),
        (
            format!("rules: [{{matches: [{}]}}]", many("{}", 65)),
            "a list of matches, at most 64",
        ),
        (
            format!(
                "rules: [{}]",
                many(&format!("{{matches: [{}]}}", many("{}", 43)), 3)
            ),
            "rules of at most 128 matches together",
        ),
        (
            format!(
                "rules: [{{backendRefs: [{}]}}]",
                many("{name: a, port: 1}", 17)
            ),
            "a list of references, at most 16",
        ),
        (
            format!("rules: [{{filters: [{}]}}]", many("{}", 17)),
            "a list of filters, at most 16",
        ),
        (
            format!("parentRefs: [{}]", many("{name: a}", 33)),
            "a list of references, at most 32",
        ),
        (
            format!("hostnames: [{}]", many("a", 17)),
            "a list of hostnames, at most 16",
        ),
    ] {
        let (read, _) = HTTP.read(&format!("spec: {{{body}}}"));
        assert!(read.is_err_and(|it| it.ends_with(error)), "{error}");
    }
}

#[test]
fn a_wrong_regex_is_refused_where_it_stands() {
    for (head, matched, error) in [
        (
            HTTP,
            "path: {type: RegularExpression, value: '('}",
            "4:67: spec.rules[0].matches[0].path.value: found \"(\", expected a regular expression (RE2) of 1 to 1024 bytes: ",
        ),
        (
            GRPC,
            "method: {type: RegularExpression, method: '['}",
            "4:70: spec.rules[0].matches[0].method.method: found \"[\", expected a regular expression (RE2) of 1 to 1024 bytes: ",
        ),
    ] {
        let (read, _) = head.read(&format!("spec: {{rules: [{{matches: [{{{matched}}}]}}]}}"));
        let refusal = read.expect_err(matched);
        assert!(refusal.starts_with(error), "{refusal}");
    }
}
