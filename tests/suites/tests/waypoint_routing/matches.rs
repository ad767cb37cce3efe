//! Every field of a match: a request that has it goes to v2, one that does not goes on to v1.

use anyhow::{Context as _, Result, ensure};
use suites::waypoint::{Answer, Curl, Ground, destination_rule, virtual_service};

const SUBSETS: &str = "
    subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
";

/// How a request of a case differs from a plain GET.
type Change = for<'g> fn(Curl<'g>) -> Curl<'g>;

/// A match, requests that have it, requests that do not.
type Case = (
    &'static str,
    &'static [(&'static str, Change)],
    &'static [(&'static str, Change)],
);

fn plain(curl: Curl<'_>) -> Curl<'_> {
    curl
}

const CASES: &[Case] = &[
    (
        "{uri: {exact: /a}}",
        &[("/a", plain), ("/a?b=c", plain)],
        &[("/a/", plain), ("/A", plain), ("/ab", plain)],
    ),
    (
        "{uri: {prefix: /a}}",
        &[
            ("/a", plain),
            ("/ab", plain),
            ("/a/b?c", plain),
            ("/x/../a", plain),
        ],
        &[("/", plain), ("/A", plain), ("/a/../b", plain)],
    ),
    (
        "{uri: {prefix: /A}, ignoreUriCase: true}",
        &[("/ab", plain), ("/Ab", plain)],
        &[("/b", plain)],
    ),
    (
        "{uri: {regex: '/user/[0-9]+'}}",
        &[("/user/1", plain), ("/user/12?x=y", plain)],
        &[("/user/1/", plain), ("/x/user/1", plain), ("/user/", plain)],
    ),
    (
        "{method: {exact: POST}}",
        &[("/", |curl| curl.method("POST"))],
        &[("/", plain), ("/", |curl| curl.method("POSTS"))],
    ),
    (
        "{method: {regex: 'GET|PUT'}}",
        &[("/", plain), ("/", |curl| curl.method("PUT"))],
        &[("/", |curl| curl.method("DELETE"))],
    ),
    (
        "{headers: {x-user: {prefix: a}}}",
        &[("/", |curl| curl.header("X-User: ann"))],
        &[("/", plain), ("/", |curl| curl.header("x-user: bob"))],
    ),
    (
        "{headers: {x-user: {regex: '.*@example\\.com'}, x-role: {exact: admin}}}",
        &[("/", |curl| {
            curl.header("x-user: a@example.com").header("x-role: admin")
        })],
        &[
            ("/", |curl| curl.header("x-user: a@example.com")),
            ("/", |curl| {
                curl.header("x-user: a@example.community")
                    .header("x-role: admin")
            }),
        ],
    ),
    (
        "{headers: {x-any: {}}}",
        &[
            ("/", |curl| curl.header("x-any: 1")),
            ("/", |curl| curl.header("x-any;")),
        ],
        &[("/", plain)],
    ),
    (
        "{headers: {x-two: {exact: 'a,b'}}}",
        &[("/", |curl| curl.header("x-two: a").header("x-two: b"))],
        &[("/", |curl| curl.header("x-two: a"))],
    ),
    (
        "{withoutHeaders: {x-bot: {exact: 'yes'}}}",
        &[("/", plain), ("/", |curl| curl.header("x-bot: no"))],
        &[("/", |curl| curl.header("x-bot: yes"))],
    ),
    (
        "{withoutHeaders: {x-bot: {}}}",
        &[("/", plain)],
        &[("/", |curl| curl.header("x-bot: no"))],
    ),
    (
        "{queryParams: {v: {exact: '2'}}}",
        &[("/?v=2", plain), ("/?a=b&v=2&c", plain)],
        &[("/?v=3", plain), ("/?vv=2", plain), ("/", plain)],
    ),
    (
        "{queryParams: {v: {regex: '[0-9]+'}, w: {prefix: x}}}",
        &[("/?v=22&w=xyz", plain)],
        &[("/?v=22", plain), ("/?v=a&w=x", plain)],
    ),
    (
        "{authority: {exact: shop.example}}",
        &[
            ("/", |curl| curl.authority("shop.example")),
            ("/", |curl| curl.authority("SHOP.example")),
        ],
        &[("/", plain), ("/", |curl| curl.authority("x.shop.example"))],
    ),
    (
        "{authority: {regex: '.*\\.example(:80)?'}}",
        &[("/", |curl| curl.authority("a.example"))],
        &[("/", |curl| curl.authority("a.example.org"))],
    ),
    (
        "{port: 81}",
        &[("/", |curl| curl.to("web", 81))],
        &[("/", plain)],
    ),
    ("{scheme: {exact: http}}", &[("/", plain)], &[]),
    (
        "{uri: {prefix: /a}, method: {exact: GET}}, {uri: {exact: /b}}",
        &[
            ("/a", plain),
            ("/b", plain),
            ("/b", |curl| curl.method("PUT")),
        ],
        &[("/a", |curl| curl.method("PUT")), ("/c", plain)],
    ),
];

#[test]
fn every_field_of_a_match_decides() -> Result<()> {
    let Some(ground) = Ground::builder("matches").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("subsets", &destination_rule("web", SUBSETS))?;
        for (number, (wanted, hits, misses)) in CASES.iter().enumerate() {
            let rules = format!(
                "http:\n- match: [{wanted}]\n  route: [{{destination: {{host: web, subset: v2}}}}]\n\
                 - name: case-{number}\n  route: [{{destination: {{host: web, subset: v1}}}}]\n"
            );
            ground
                .apply("web", &virtual_service("web", &rules))
                .with_context(|| (*wanted).to_owned())?;
            for (requests, version) in [(hits, "v2"), (misses, "v1")] {
                for (path, change) in *requests {
                    let request = change(ground.get(path));
                    for request in [request.clone(), request.http2()] {
                        let answer: Answer = request.send()?;
                        let right = answer.status == 200 && answer.pod().starts_with(version);
                        ensure!(right, "{wanted}, {path}: expected {version}, got {answer:?}");
                    }
                }
            }
        }
        Ok(())
    })
}

#[test]
fn of_several_rules_the_first_that_matches_counts() -> Result<()> {
    let Some(ground) = Ground::builder("first").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("subsets", &destination_rule("web", SUBSETS))?;
        let rules = "
            http:
            - match: [{uri: {prefix: /a}}]
              route: [{destination: {host: web, subset: v1}}]
            - match: [{uri: {exact: /a/b}}]
              route: [{destination: {host: web, subset: v2}}]
            - match: [{uri: {prefix: /c}}]
              route: [{destination: {host: web, subset: v2}}]
        ";
        ground.apply("web", &virtual_service("web", rules))?;
        for (path, expected) in [("/a/b", "v1"), ("/a", "v1"), ("/c", "v2")] {
            let counts = ground.get(path).count(10)?;
            ensure!(counts.of(expected) == 10, "{path}: {counts:?}");
        }
        ensure!(ground.get("/b").send()?.status == 404);

        // A thousand rules before it do not change which one is found.
        let mut rules = String::from("http:\n");
        for number in 0..1000 {
            rules.push_str(&format!(
                "- match: [{{uri: {{exact: /n/{number}}}, headers: {{x-n: {{exact: '{number}'}}}}}}]\n  \
                 name: n{number}\n  directResponse: {{status: 299, body: {{string: 'n{number}'}}}}\n"
            ));
        }
        rules.push_str("- name: rest\n  route: [{destination: {host: web, subset: v2}}]\n");
        ground.apply("web", &virtual_service("web", &rules))?;
        for number in [0, 17, 999] {
            let path = format!("/n/{number}");
            let answer = ground.get(&path).header(&format!("x-n: {number}")).send()?;
            ensure!(answer.status == 299 && answer.text() == format!("n{number}"), "{answer:?}");
            let answer = ground.get(&path).header("x-n: other").send()?;
            ensure!(answer.pod().starts_with("v2"), "{answer:?}");
        }
        Ok(())
    })
}
