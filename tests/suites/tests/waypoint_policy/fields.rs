//! Every field of a rule: as ALLOW what has it passes and nothing else does, as DENY the other way round.

use anyhow::{Context as _, Result, ensure};
use suites::waypoint::{Curl, Ground, authorization_policy};

/// How a request of a case differs from a plain GET by `client` of `shop`.
type Change = for<'g> fn(Curl<'g>) -> Curl<'g>;

/// A rule, requests that have it, requests that do not.
type Case = (
    &'static str,
    &'static [(&'static str, Change)],
    &'static [(&'static str, Change)],
);

fn plain(curl: Curl<'_>) -> Curl<'_> {
    curl
}

fn guest(curl: Curl<'_>) -> Curl<'_> {
    curl.from("guest")
}

const CASES: &[Case] = &[
    // Who: what the certificate says.
    (
        "from: [{source: {principals: ['cluster.local/ns/shop/sa/client']}}]",
        &[("/", plain)],
        &[("/", guest)],
    ),
    (
        "from: [{source: {principals: ['*/sa/client'], notPrincipals: ['cluster.local/ns/town/*']}}]",
        &[("/", plain)],
        &[("/", guest)],
    ),
    (
        "from: [{source: {notPrincipals: ['cluster.local/ns/town/*']}}]",
        &[("/", plain)],
        &[("/", guest)],
    ),
    (
        "from: [{source: {namespaces: [shop]}}]",
        &[("/", plain)],
        &[("/", guest)],
    ),
    (
        "from: [{source: {notNamespaces: ['to*']}}]",
        &[("/", plain)],
        &[("/", guest)],
    ),
    (
        "from: [{source: {serviceAccounts: [client]}}]",
        &[("/", plain)],
        &[("/", guest)],
    ),
    (
        "from: [{source: {notServiceAccounts: [town/guest]}}]",
        &[("/", plain)],
        &[("/", guest)],
    ),
    (
        "from: [{source: {namespaces: [nowhere]}}, {source: {namespaces: [town]}}]",
        &[("/", guest)],
        &[("/", plain)],
    ),
    (
        "{from: [{source: {trustDomains: [cluster.local]}}], to: [{operation: {paths: [/a]}}]}",
        &[("/a", plain), ("/a", guest)],
        &[("/b", plain)],
    ),
    // What.
    (
        "to: [{operation: {methods: [GET, HEAD]}}]",
        &[("/", plain)],
        &[
            ("/", |curl| curl.method("POST")),
            ("/", |curl| curl.method("get")),
        ],
    ),
    (
        "to: [{operation: {notMethods: ['P*']}}]",
        &[("/", plain)],
        &[
            ("/", |curl| curl.method("POST")),
            ("/", |curl| curl.method("PUT")),
        ],
    ),
    (
        "to: [{operation: {paths: [/a]}}]",
        &[
            ("/a", plain),
            ("/a?b=c", plain),
            ("/x/../a", plain),
            ("/%61", plain),
        ],
        &[
            ("/a/", plain),
            ("/A", plain),
            ("/ab", plain),
            ("/b?/a", plain),
        ],
    ),
    (
        "to: [{operation: {paths: ['/admin/*', '*.php']}}]",
        &[
            ("/admin/", plain),
            ("/admin/x", plain),
            ("/x.php", plain),
            ("/x.php?y", plain),
        ],
        &[("/admin", plain), ("/x.phpx", plain), ("/x?.php", plain)],
    ),
    (
        "to: [{operation: {paths: ['/user/{*}/cart', '/files/{**}']}}]",
        &[
            ("/user/ann/cart", plain),
            ("/files/", plain),
            ("/files/a/b", plain),
        ],
        &[
            ("/user/ann/bob/cart", plain),
            ("/user//cart", plain),
            ("/user/ann/cart/x", plain),
        ],
    ),
    (
        "to: [{operation: {notPaths: ['/public/*']}}]",
        &[("/", plain), ("/public", plain), ("/public/../x", plain)],
        &[
            ("/public/", plain),
            ("/public/x", plain),
            ("/x/../public/y", plain),
        ],
    ),
    (
        "to: [{operation: {hosts: [shop.example]}}]",
        &[
            ("/", |curl| curl.authority("shop.example")),
            ("/", |curl| curl.authority("SHOP.example")),
            ("/", |curl| curl.authority("shop.example:8080")),
        ],
        &[("/", plain), ("/", |curl| curl.authority("x.shop.example"))],
    ),
    (
        "to: [{operation: {notHosts: ['*.example']}}]",
        &[("/", plain)],
        &[
            ("/", |curl| curl.authority("a.example")),
            ("/", |curl| curl.authority("A.EXAMPLE")),
        ],
    ),
    (
        "to: [{operation: {ports: ['81']}}]",
        &[("/", |curl| curl.to("web", 81))],
        &[("/", plain)],
    ),
    (
        "to: [{operation: {notPorts: ['80']}}]",
        &[("/", |curl| curl.to("web", 81))],
        &[("/", plain)],
    ),
    // When.
    (
        "when: [{key: 'request.headers[x-user]', values: ['a*', bob]}]",
        &[
            ("/", |curl| curl.header("X-User: ann")),
            ("/", |curl| curl.header("x-user: bob")),
        ],
        &[
            ("/", plain),
            ("/", |curl| curl.header("x-user: Bob")),
            ("/", |curl| curl.header("x-user: bobby")),
        ],
    ),
    (
        "when: [{key: 'request.headers[x-user]', values: ['*']}]",
        // As in Envoy: it is there, be it empty.
        &[
            ("/", |curl| curl.header("x-user: 1")),
            ("/", |curl| curl.header("x-user;")),
        ],
        &[("/", plain)],
    ),
    (
        "when: [{key: 'request.headers[x-user]', notValues: ['bob']}]",
        &[("/", plain), ("/", |curl| curl.header("x-user: ann"))],
        &[("/", |curl| curl.header("x-user: bob"))],
    ),
    (
        "when: [{key: source.namespace, values: [shop]}, {key: destination.port, values: ['80']}]",
        &[("/", plain)],
        &[("/", guest), ("/", |curl| curl.to("web", 81))],
    ),
    (
        "when: [{key: source.principal, notValues: ['cluster.local/ns/town/sa/guest']}]",
        &[("/", plain)],
        &[("/", guest)],
    ),
    (
        "{from: [{source: {namespaces: [shop]}}], to: [{operation: {methods: [GET]}}, {operation: {paths: [/open]}}]}",
        &[("/", plain), ("/open", |curl| curl.method("POST"))],
        &[("/open", guest), ("/", |curl| curl.method("POST"))],
    ),
];

#[test]
fn every_field_of_a_rule_decides_for_allow_and_for_deny() -> Result<()> {
    let Some(ground) = Ground::builder("fields").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        for (rule, hits, misses) in CASES {
            for (action, hit, miss) in [("ALLOW", 200, 403), ("DENY", 403, 200)] {
                let spec = format!(
                    "targetRefs: [{{kind: Service, group: '', name: web}}]\naction: {action}\nrules:\n- {rule}\n"
                );
                ground
                    .apply("policy", &authorization_policy("policy", &spec))
                    .with_context(|| format!("{action} {rule}"))?;
                for (requests, expected) in [(hits, hit), (misses, miss)] {
                    for (path, change) in *requests {
                        let request = change(ground.get(path));
                        for request in [request.clone(), request.http2()] {
                            let answer = request.send()?;
                            let is_ours = answer.text() == "RBAC: access denied";
                            let right = answer.status == expected && is_ours == (expected == 403);
                            ensure!(right, "{action} {rule}, {path}: expected {expected}, got {answer:?}");
                        }
                    }
                }
            }
        }
        Ok(())
    })
}

#[test]
fn addresses_of_clients_decide() -> Result<()> {
    let Some(ground) = Ground::builder("addresses").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let client = ground.pod("client").addresses().ip4;
        let web = ground.vip("web")?;
        let cases = [
            (
                format!("from: [{{source: {{ipBlocks: ['{client}']}}}}]"),
                true,
            ),
            (
                format!("from: [{{source: {{ipBlocks: ['{client}/32']}}}}]"),
                true,
            ),
            (
                format!("from: [{{source: {{notIpBlocks: ['{client}/32']}}}}]"),
                false,
            ),
            // Nobody speaks for others: the remote address is the peer's.
            (
                format!("from: [{{source: {{remoteIpBlocks: ['{client}']}}}}]"),
                true,
            ),
            (
                format!("from: [{{source: {{notRemoteIpBlocks: ['{client}']}}}}]"),
                false,
            ),
            (
                "from: [{source: {ipBlocks: [192.0.2.0/24]}}]".to_owned(),
                false,
            ),
            (
                format!("when: [{{key: source.ip, values: ['{client}']}}]"),
                true,
            ),
            (
                format!("when: [{{key: remote.ip, notValues: ['{client}']}}]"),
                false,
            ),
            (
                format!("when: [{{key: destination.ip, values: ['{web}']}}]"),
                true,
            ),
            (
                format!("when: [{{key: destination.ip, notValues: ['{web}/24']}}]"),
                false,
            ),
        ];
        for (rule, matches) in cases {
            let spec = format!(
                "targetRefs: [{{kind: Service, group: '', name: web}}]\nrules:\n- {rule}\n"
            );
            ground.apply("policy", &authorization_policy("policy", &spec))?;
            let expected = if matches { 200 } else { 403 };
            let forged = ground.get("/").header("x-forwarded-for: 192.0.2.7");
            for request in [ground.get("/"), forged] {
                let answer = request.send()?;
                ensure!(answer.status == expected, "{rule}: {answer:?}");
            }
        }
        Ok(())
    })
}
