//! What Istio would refuse of a VirtualService, and how it is worded.

use super::HEAD;

#[test]
fn of_the_object() {
    HEAD.refused(&[
        ("", "1:1: spec: missing, expected a mapping with hosts, and with http, tls or tcp"),
        ("spec: {hosts: [a]}", "4:7: spec.http: missing, expected at least one of http, tls and tcp"),
        (
            "spec: {gateways: [mesh], tcp: [{route: [{destination: {host: b}}]}]}",
            "4:7: spec.hosts: missing, expected at least one hostname, where there are gateways",
        ),
        (
            "spec: {hosts: ['*'], tcp: [{route: [{destination: {host: b}}]}]}",
            "4:15: spec.hosts: found a list of 1, expected no * alone for the gateway `mesh`",
        ),
        (
            "spec: {hosts: [a, A], tcp: [{route: [{destination: {host: b}}]}]}",
            "4:19: spec.hosts[1]: found \"a\", which line 4 has already, expected each host once",
        ),
        ("spec: {hosts: ['a b']}", "4:16: spec.hosts[0]: found \"a b\", expected a hostname such as reviews, db.example.com or *.example.com, an IP address, or *"),
        ("spec: {hosts: [10.0.0.256]}", "4:16: spec.hosts[0]: found \"10.0.0.256\", expected a hostname such as reviews, db.example.com or *.example.com, an IP address, or *"),
        ("spec: {hosts: [a.*.b]}", "4:16: spec.hosts[0]: found \"a.*.b\", expected a hostname such as reviews, db.example.com or *.example.com, an IP address, or *"),
        ("spec: {hosts: [a], gateways: [a/b/c]}", "4:31: spec.gateways[0]: found \"a/b/c\", expected mesh, the name of a gateway, or namespace/name"),
        ("spec: {hosts: [a], gateways: ['']}", "4:31: spec.gateways[0]: found \"\", expected mesh, the name of a gateway, or namespace/name"),
        (
            "spec: {hosts: [a], exportTo: ['*', b], tcp: [{route: [{destination: {host: b}}]}]}",
            "4:30: spec.exportTo: found a list of 2, expected * or ~ alone, or namespaces and .",
        ),
        ("spec: {hosts: [a], exportTo: [B]}", "4:31: spec.exportTo[0]: found \"B\", expected at most 63 lower-case letters, digits and hyphens, the latter only inside"),
        ("spec: {hosts: [a], http: {}}", "4:26: spec.http: found a mapping of 0, expected a list of routes"),
    ]);
}

/// Routes of HTTP, each in line 7 from column 5 on.
#[test]
fn of_routes() {
    for (fields, error) in [
        (
            "{}",
            "7:5: spec.http[0].route: missing, expected a route with one of route, redirect, directResponse and delegate",
        ),
        (
            "{route: []}",
            "7:5: spec.http[0].route: missing, expected a route with one of route, redirect, directResponse and delegate",
        ),
        (
            "{route: [{}]}",
            "7:14: spec.http[0].route[0].destination: missing, expected a destination with host, subset and port",
        ),
        (
            "{route: [{destination: {}}]}",
            "7:28: spec.http[0].route[0].destination.host: missing, expected a hostname",
        ),
        (
            "{route: [{destination: {host: a, subst: b}}]}",
            "7:38: spec.http[0].route[0].destination.subst: unknown field (did you mean subset?), expected one of host, port, subset",
        ),
        (
            "{route: [{destination: {host: a, subset: B}}]}",
            "7:46: spec.http[0].route[0].destination.subset: found \"B\", expected at most 63 lower-case letters, digits and hyphens, the latter only inside",
        ),
        (
            "{route: [{destination: {host: a, port: {number: 0}}}]}",
            "7:53: spec.http[0].route[0].destination.port.number: found \"0\", expected a port from 1 to 65535",
        ),
        (
            "{route: [{destination: {host: a, port: 80}}]}",
            "7:44: spec.http[0].route[0].destination.port: found \"80\", expected a mapping with number",
        ),
        (
            "{route: [{destination: {host: '*'}}]}",
            "7:35: spec.http[0].route[0].destination.host: found \"*\", expected a hostname such as db.example.com or *.example.com",
        ),
        (
            "{route: [{destination: {host: a}}, {destination: {host: b}}]}",
            "7:13: spec.http[0].route: found a list of 2, expected destinations of which at least one has a weight above 0",
        ),
        (
            "{route: [{destination: {host: a}, weight: -1}]}",
            "7:47: spec.http[0].route[0].weight: found \"-1\", expected a whole number from 0 to 2147483647",
        ),
        (
            "{route: [{destination: {host: a}, weight: 2147483647}, {destination: {host: a}, weight: 2147483647}, {destination: {host: a}, weight: 2}]}",
            "7:13: spec.http[0].route: found a list of 3, expected weights that are at most 4294967295 together",
        ),
        (
            "{route: [{destination: {host: a}, wieght: 1}]}",
            "7:39: spec.http[0].route[0].wieght: unknown field (did you mean weight?), expected one of destination, headers, weight",
        ),
        (
            "{route: [{destination: {host: a}}], redirect: {uri: /}}",
            "7:5: spec.http[0]: found a mapping of 2, expected one of route, redirect, directResponse and delegate",
        ),
        (
            "{redirect: {}}",
            "7:16: spec.http[0].redirect: found a mapping of 0, expected a redirect with at least one of uri, authority, scheme and port",
        ),
        (
            "{redirect: {redirectCode: 302}}",
            "7:16: spec.http[0].redirect: found a mapping of 1, expected a redirect with at least one of uri, authority, scheme and port",
        ),
        (
            "{redirect: {uri: /a, redirectCode: 304}}",
            "7:40: spec.http[0].redirect.redirectCode: found \"304\", expected 301 or 302 or 303 or 307 or 308",
        ),
        (
            "{redirect: {uri: /a, prefixRewrite: /b}}",
            "7:41: spec.http[0].redirect.prefixRewrite: found \"/b\", expected either this or uri",
        ),
        (
            "{redirect: {scheme: HTTPS}}",
            "7:25: spec.http[0].redirect.scheme: found \"HTTPS\", expected http or https",
        ),
        (
            "{redirect: {port: 80, derivePort: FROM_REQUEST_PORT}}",
            "7:39: spec.http[0].redirect.derivePort: found \"FROM_REQUEST_PORT\", expected either this or port",
        ),
        (
            "{redirect: {authority: 'a/b'}}",
            "7:28: spec.http[0].redirect.authority: found \"a/b\", expected an authority: a hostname or an address, perhaps with a port",
        ),
        (
            "{redirect: {uri: '/a b'}}",
            "7:22: spec.http[0].redirect.uri: found \"/a b\", expected a path: at most 8192 bytes without spaces",
        ),
        (
            "{redirect: {uri: /a}, rewrite: {uri: /b}}",
            "7:36: spec.http[0].rewrite: found a mapping of 1, expected none without `route`",
        ),
        (
            "{redirect: {uri: /a}, fault: {abort: {httpStatus: 500, percentage: {value: 1}}}}",
            "7:34: spec.http[0].fault: found a mapping of 1, expected none without `route`",
        ),
        (
            "{directResponse: {}}",
            "7:22: spec.http[0].directResponse.status: missing, expected a status code from 200 to 599",
        ),
        (
            "{directResponse: {status: 100}}",
            "7:31: spec.http[0].directResponse.status: found \"100\", expected a status code from 200 to 599",
        ),
        (
            "{directResponse: {status: 200, body: {string: a, bytes: Zm9v}}}",
            "7:42: spec.http[0].directResponse.body: found a mapping of 2, expected a body with one of string and bytes, of at most 1 MiB",
        ),
        (
            "{directResponse: {status: 200, body: {bytes: Z}}}",
            "7:50: spec.http[0].directResponse.body.bytes: found \"Z\", expected bytes in base64",
        ),
        (
            "{delegate: {}}",
            "7:16: spec.http[0].delegate.name: missing, expected the name of a VirtualService",
        ),
    ] {
        HEAD.refused(&[(
            &format!("spec:\n  hosts: [a]\n  http:\n  - {fields}"),
            error,
        )]);
    }
    let body = "a".repeat(1024 * 1024 + 1);
    let (read, _) = HEAD.read(&format!(
        "spec: {{hosts: [a], http: [{{directResponse: {{status: 200, body: {{string: {body}}}}}}}]}}"
    ));
    assert!(read.is_err_and(|error| error.ends_with("of at most 1 MiB")));
}

/// Fields beside a destination, each in line 8 from column 5 on.
#[test]
fn of_fields_of_routes() {
    for (fields, error) in [
        (
            "name: \"a\\nb\"",
            "8:11: spec.http[0].name: found \"a\\nb\", expected a text of one line, at most 1024 bytes",
        ),
        (
            "timeout: 10",
            "8:14: spec.http[0].timeout: found \"10\", expected a duration of whole milliseconds, at least 1ms, such as 1.5s, 10ms or 1h30m",
        ),
        (
            "timeout: -1s",
            "8:14: spec.http[0].timeout: found \"-1s\", expected a duration of whole milliseconds, at least 1ms, such as 1.5s, 10ms or 1h30m",
        ),
        (
            "timeout: 1us",
            "8:14: spec.http[0].timeout: found \"1us\", expected a duration of whole milliseconds, at least 1ms, such as 1.5s, 10ms or 1h30m",
        ),
        (
            "match: [{headers: {'@request.auth.claims.a..b': {exact: c}}}]",
            "8:24: spec.http[0].match[0].headers[\"@request.auth.claims.a..b\"]: found \"@request.auth.claims.a..b\", expected a claim such as @request.auth.claims.group or @request.auth.claims[group][name]",
        ),
        (
            "match: [{withoutHeaders: {'@request.auth.claims[a]b]': {}}}]",
            "8:31: spec.http[0].match[0].withoutHeaders[\"@request.auth.claims[a]b]\"]: found \"@request.auth.claims[a]b]\", expected a claim such as @request.auth.claims.group or @request.auth.claims[group][name]",
        ),
        (
            "match: [{headers: {'@request.auth.claims': {}}}]",
            "8:24: spec.http[0].match[0].headers[\"@request.auth.claims\"]: found \"@request.auth.claims\", expected a claim such as @request.auth.claims.group or @request.auth.claims[group][name]",
        ),
        (
            "match: [{headers: {'@request.auth.principal': {}}}]",
            "8:24: spec.http[0].match[0].headers[\"@request.auth.principal\"]: found \"@request.auth.principal\", expected the name of a header: at most 256 letters, digits and the signs !#$%&'*+-.^_`|~",
        ),
        (
            "match: [{url: {exact: /a}}]",
            "8:14: spec.http[0].match[0].url: unknown field (did you mean uri?), expected one of authority, gateways, headers, ignoreUriCase, method, name, port, queryParams, scheme, sourceLabels, sourceNamespace, statPrefix, uri, withoutHeaders",
        ),
        (
            "match: [{uri: /a}]",
            "8:19: spec.http[0].match[0].uri: found \"/a\", expected a mapping with one of exact, prefix and regex",
        ),
        (
            "match: [{uri: {prefix: ''}}]",
            "8:28: spec.http[0].match[0].uri.prefix: found \"\", expected a prefix that is not empty",
        ),
        (
            "match: [{headers: {'a b': {}}}]",
            "8:24: spec.http[0].match[0].headers[\"a b\"]: found \"a b\", expected the name of a header: at most 256 letters, digits and the signs !#$%&'*+-.^_`|~",
        ),
        (
            "match: [{port: 65536}]",
            "8:20: spec.http[0].match[0].port: found \"65536\", expected a port from 1 to 65535",
        ),
        (
            "match: [{gateways: [A]}]",
            "8:25: spec.http[0].match[0].gateways[0]: found \"A\", expected mesh, the name of a gateway, or namespace/name",
        ),
        (
            "match: [{sourceNamespace: A}]",
            "8:31: spec.http[0].match[0].sourceNamespace: found \"A\", expected at most 63 lower-case letters, digits and hyphens, the latter only inside",
        ),
        (
            "match: [{sourceLabels: {a: 'b c'}}]",
            "8:32: spec.http[0].match[0].sourceLabels.a: found \"b c\", expected at most 63 letters, digits, hyphens, dots and underscores that begin and end with a letter or digit",
        ),
        (
            "match: [null]",
            "8:13: spec.http[0].match[0]: found nothing, expected a match with uri, headers or the like",
        ),
        (
            "rewrite: {}",
            "8:14: spec.http[0].rewrite: found a mapping of 0, expected a rewrite with at least one of uri, authority and uriRegexRewrite",
        ),
        (
            "rewrite: {uri: /a, uriRegexRewrite: {match: a, rewrite: b}}",
            "8:41: spec.http[0].rewrite.uriRegexRewrite: found a mapping of 2, expected either this or uri",
        ),
        (
            "rewrite: {uriRegexRewrite: {match: a}}",
            "8:32: spec.http[0].rewrite.uriRegexRewrite.rewrite: missing, expected a mapping with match and rewrite",
        ),
        (
            "rewrite: {uriRegexRewrite: {match: '(a)', rewrite: '\\2'}}",
            "8:56: spec.http[0].rewrite.uriRegexRewrite.rewrite: found \"\\\\2\", expected a text of at most 4096 bytes in which \\0 to \\9 are groups of match, and \\\\ is a backslash",
        ),
        (
            "rewrite: {uriRegexRewrite: {match: '(a)', rewrite: '\\'}}",
            "8:56: spec.http[0].rewrite.uriRegexRewrite.rewrite: found \"\\\\\", expected a text of at most 4096 bytes in which \\0 to \\9 are groups of match, and \\\\ is a backslash",
        ),
        (
            "rewrite: {uriRegexRewrite: {match: '(a)', rewrite: '\\n'}}",
            "8:56: spec.http[0].rewrite.uriRegexRewrite.rewrite: found \"\\\\n\", expected a text of at most 4096 bytes in which \\0 to \\9 are groups of match, and \\\\ is a backslash",
        ),
        (
            "rewrite: {authority: b}\n    headers: {request: {set: {host: c}}}",
            "9:14: spec.http[0].headers: found a mapping of 1, expected no other authority than that of rewrite",
        ),
        (
            "retries: {attempts: -1}",
            "8:25: spec.http[0].retries.attempts: found \"-1\", expected a whole number from 0 to 2147483647",
        ),
        (
            "retries: {attempts: 0, retryOn: 5xx}",
            "8:25: spec.http[0].retries.attempts: found \"0\", expected at least one attempt, where anything is said of them",
        ),
        (
            "retries: {perTryTimeout: 1s}",
            "8:14: spec.http[0].retries.attempts: missing, expected at least one attempt, where anything is said of them",
        ),
        (
            "retries: {attempts: 1, retryOn: 5XX}",
            "8:37: spec.http[0].retries.retryOn: found \"5XX\", expected words of retryOn and status codes from 100 to 599, with commas between them, such as 5xx,reset,409",
        ),
        (
            "retries: {attempts: 1, retryOn: '5xx,'}",
            "8:37: spec.http[0].retries.retryOn: found \"5xx,\", expected words of retryOn and status codes from 100 to 599, with commas between them, such as 5xx,reset,409",
        ),
        (
            "retries: {attempts: 1, retryOn: '99'}",
            "8:37: spec.http[0].retries.retryOn: found \"99\", expected words of retryOn and status codes from 100 to 599, with commas between them, such as 5xx,reset,409",
        ),
        (
            "retries: {attempts: 1, backoff: 0s}",
            "8:37: spec.http[0].retries.backoff: found \"0s\", expected a duration of whole milliseconds, at least 1ms, such as 1.5s, 10ms or 1h30m",
        ),
        (
            "fault: {}",
            "8:12: spec.http[0].fault: found a mapping of 0, expected a mapping with delay or abort",
        ),
        (
            "fault: {delay: {percentage: {value: 1}}}",
            "8:20: spec.http[0].fault.delay.fixedDelay: missing, expected a delay with fixedDelay and percentage",
        ),
        (
            "fault: {delay: {exponentialDelay: 1s}}",
            "8:39: spec.http[0].fault.delay.exponentialDelay: found \"1s\", expected none: Istio does not implement it, fixedDelay takes its place",
        ),
        (
            "fault: {delay: {fixedDelay: 0s}}",
            "8:33: spec.http[0].fault.delay.fixedDelay: found \"0s\", expected a duration of whole milliseconds, at least 1ms, such as 1.5s, 10ms or 1h30m",
        ),
        (
            "fault: {delay: {fixedDelay: 1s, percentage: {value: 101}}}",
            "8:57: spec.http[0].fault.delay.percentage.value: found \"101\", expected a percentage from 0 to 100, such as 0.5",
        ),
        (
            "fault: {delay: {fixedDelay: 1s, percentage: 5}}",
            "8:49: spec.http[0].fault.delay.percentage: found \"5\", expected a mapping with value",
        ),
        (
            "fault: {abort: {percentage: {value: 1}}}",
            "8:20: spec.http[0].fault.abort: found a mapping of 1, expected an abort with one of httpStatus and grpcStatus, and percentage",
        ),
        (
            "fault: {abort: {httpStatus: 500, grpcStatus: OK}}",
            "8:20: spec.http[0].fault.abort: found a mapping of 2, expected an abort with one of httpStatus and grpcStatus, and percentage",
        ),
        (
            "fault: {abort: {httpStatus: 600}}",
            "8:33: spec.http[0].fault.abort.httpStatus: found \"600\", expected a status code from 200 to 599",
        ),
        (
            "fault: {abort: {grpcStatus: Unavailable}}",
            "8:33: spec.http[0].fault.abort.grpcStatus: found \"Unavailable\", expected OK or CANCELLED or UNKNOWN or INVALID_ARGUMENT or DEADLINE_EXCEEDED or NOT_FOUND or ALREADY_EXISTS or PERMISSION_DENIED or RESOURCE_EXHAUSTED or FAILED_PRECONDITION or ABORTED or OUT_OF_RANGE or UNIMPLEMENTED or INTERNAL or UNAVAILABLE or DATA_LOSS or UNAUTHENTICATED",
        ),
        (
            "fault: {abort: {http2Error: X}}",
            "8:33: spec.http[0].fault.abort.http2Error: found \"X\", expected none: Istio does not implement it",
        ),
        (
            "mirror: {host: c}\n    mirrors: [{destination: {host: d}}]",
            "8:13: spec.http[0].mirror: found a mapping of 1, expected either this or mirrors",
        ),
        (
            "mirror: {}",
            "8:13: spec.http[0].mirror.host: missing, expected a hostname",
        ),
        (
            "mirrors: [{}]",
            "8:15: spec.http[0].mirrors[0].destination: missing, expected a destination with host, subset and port",
        ),
        (
            "mirrorPercent: 101",
            "8:20: spec.http[0].mirrorPercent: found \"101\", expected a percentage from 0 to 100, such as 0.5",
        ),
        (
            "corsPolicy: {allowOrigins: [{}]}",
            "8:33: spec.http[0].corsPolicy.allowOrigins[0]: found a mapping of 0, expected a mapping with one of exact, prefix and regex",
        ),
        (
            "corsPolicy: {allowMethods: ['a b']}",
            "8:33: spec.http[0].corsPolicy.allowMethods[0]: found \"a b\", expected a method such as GET, or *",
        ),
        (
            "corsPolicy: {allowHeaders: ['a b']}",
            "8:33: spec.http[0].corsPolicy.allowHeaders[0]: found \"a b\", expected the name of a header: at most 256 letters, digits and the signs !#$%&'*+-.^_`|~",
        ),
        (
            "corsPolicy: {maxAge: 1.5s}",
            "8:26: spec.http[0].corsPolicy.maxAge: found \"1.5s\", expected a duration of whole seconds",
        ),
        (
            "corsPolicy: {allowCredentials: yes}",
            "8:36: spec.http[0].corsPolicy.allowCredentials: found \"yes\", expected true or false",
        ),
        (
            "corsPolicy: {unmatchedPreflights: DROP}",
            "8:39: spec.http[0].corsPolicy.unmatchedPreflights: found \"DROP\", expected UNSPECIFIED or FORWARD or IGNORE",
        ),
        (
            "headers: {request: {remove: [':path']}}",
            "8:34: spec.http[0].headers.request.remove[0]: found \":path\", expected the name of a header that can be changed: not of the message's framing, and of those with a colon only :authority, of a request, and not removed",
        ),
    ] {
        HEAD.refused(&[(
            &format!("spec:\n  hosts: [a]\n  http:\n  - route: [{{destination: {{host: b}}}}]\n    {fields}"),
            error,
        )]);
    }
}

#[test]
fn of_layer_4() {
    HEAD.refused(&[
        ("spec: {hosts: [a], tls: [{route: [{destination: {host: b}}]}]}", "4:26: spec.tls[0].match: missing, expected a list of at least one match with sniHosts"),
        ("spec: {hosts: [a], tls: [{match: [], route: [{destination: {host: b}}]}]}", "4:34: spec.tls[0].match: found a list of 0, expected a list of at least one match with sniHosts"),
        ("spec: {hosts: [a], tls: [{match: [{}], route: [{destination: {host: b}}]}]}", "4:35: spec.tls[0].match[0].sniHosts: missing, expected a list of at least one name, such as db.example.com or *.example.com"),
        ("spec: {hosts: [a], tls: [{match: [{sniHosts: []}], route: [{destination: {host: b}}]}]}", "4:46: spec.tls[0].match[0].sniHosts: found a list of 0, expected a list of at least one name, such as db.example.com or *.example.com"),
        ("spec: {hosts: [a], tls: [{match: [{sniHosts: [a b]}], route: [{destination: {host: b}}]}]}", "4:47: spec.tls[0].match[0].sniHosts[0]: found \"a b\", expected a hostname such as db.example.com or *.example.com"),
        ("spec: {hosts: [a], tls: [{match: [{sniHosts: [a]}]}]}", "4:26: spec.tls[0].route: missing, expected a list of at least one destination"),
        ("spec: {hosts: [a], tcp: [{}]}", "4:26: spec.tcp[0].route: missing, expected a list of at least one destination"),
        ("spec: {hosts: [a], tcp: [{route: []}]}", "4:34: spec.tcp[0].route: found a list of 0, expected a list of at least one destination"),
        ("spec: {hosts: [a], tcp: [{match: [{sniHosts: [a]}], route: [{destination: {host: b}}]}]}", "4:36: spec.tcp[0].match[0].sniHosts: unknown field, expected one of destinationSubnets, gateways, port, sourceLabels, sourceNamespace, sourceSubnet"),
        ("spec: {hosts: [a], tcp: [{match: [{destinationSubnets: [a]}], route: [{destination: {host: b}}]}]}", "4:57: spec.tcp[0].match[0].destinationSubnets[0]: found \"a\", expected an IP address or range, such as 10.0.0.1, 10.0.0.0/8 or fd00::/64"),
        ("spec: {hosts: [a], tcp: [{match: [{sourceSubnet: 10.0.0.0/33}], route: [{destination: {host: b}}]}]}", "4:50: spec.tcp[0].match[0].sourceSubnet: found \"10.0.0.0/33\", expected an IP address or range, such as 10.0.0.1, 10.0.0.0/8 or fd00::/64"),
    ]);
}

#[test]
fn of_numbers_of_things() {
    let many = |item: &str, count: usize| vec![item; count].join(",");
    let route = "{directResponse: {status: 200}}";
    for (body, error) in [
        (
            format!("spec: {{hosts: [a], http: [{}]}}", many(route, 4097)),
            "a list of routes, at most 4096",
        ),
        (
            format!(
                "spec: {{hosts: [a], http: [{{match: [{}], directResponse: {{status: 200}}}}]}}",
                many("{}", 1025)
            ),
            "a list of matches, at most 1024",
        ),
        (
            format!(
                "spec: {{hosts: [a], tcp: [{{route: [{}]}}]}}",
                many("{destination: {host: a}}", 257)
            ),
            "a list of at least one destination, at most 256",
        ),
        (
            format!("spec: {{hosts: [{}]}}", many("a", 4097)),
            "a list of hostnames, at most 4096",
        ),
    ] {
        let (read, _) = HEAD.read(&body);
        assert!(read.is_err_and(|it| it.ends_with(error)), "{error}");
    }
    let (read, _) = HEAD.read(&format!(
        "spec: {{hosts: [a], http: [{}]}}",
        many(route, 4096)
    ));
    assert!(read.is_ok());
}

#[test]
fn a_wrong_regex_is_refused_where_it_stands() {
    for (fields, error) in [
        (
            "match: [{uri: {regex: '('}}]",
            "4:85: spec.http[0].match[0].uri.regex: found \"(\", expected a regular expression (RE2) of 1 to 1024 bytes: ",
        ),
        (
            "rewrite: {uriRegexRewrite: {match: 'a)', rewrite: b}}",
            "4:98: spec.http[0].rewrite.uriRegexRewrite.match: found \"a)\", expected a regular expression (RE2) of 1 to 1024 bytes: ",
        ),
    ] {
        let (read, _) = HEAD.read(&format!(
            "spec: {{hosts: [a], http: [{{route: [{{destination: {{host: b}}}}], {fields}}}]}}"
        ));
        let refusal = read.expect_err(fields);
        assert!(refusal.starts_with(error), "{refusal}");
    }
}
