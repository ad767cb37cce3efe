//! One spelling of a path before anything compares it (RT-21), in each of the mesh's modes.

use anyhow::{Result, ensure};
use suites::waypoint::{Ground, virtual_service};

/// `/admin` is closed; everything else is open.
const RULES: &str = "
    http:
    - match: [{uri: {prefix: /admin}}]
      directResponse: {status: 403}
    - route: [{destination: {host: web}}]
";

/// What is sent, and what reaches the backend; `None`: it is closed; `Some(\"\")`: it is refused.
fn check(mode: &str, cases: &[(&str, Option<&str>)]) -> Result<()> {
    let name = format!("path{}", cases.len());
    let config = format!("pathNormalization: {{normalization: {mode}}}");
    let Some(ground) = Ground::builder(name).mesh_config(config).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("web", &virtual_service("web", RULES))?;
        for (sent, expected) in cases {
            // curl takes no URL with such a path, but sends it; in HTTP/2 it does not get as far as an answer.
            let requests = if sent.starts_with('/') {
                vec![ground.get(sent), ground.get(sent).http2()]
            } else {
                vec![ground.get("/").arg("--request-target").arg(*sent)]
            };
            for request in requests {
                let answer = request.send()?;
                match expected {
                    None => ensure!(answer.status == 403, "{sent}: {answer:?}"),
                    Some("") => ensure!(answer.status == 400, "{sent}: {answer:?}"),
                    Some(path) => ensure!(answer.told("path") == *path, "{sent}: {answer:?}"),
                }
            }
        }
        Ok(())
    })
}

#[test]
fn dots_and_backslashes_are_resolved_unless_told_otherwise() -> Result<()> {
    check(
        "BASE",
        &[
            ("/a/./b", Some("/a/b")),
            ("/a/../b?c=../d", Some("/b?c=../d")),
            ("/../../b", Some("/b")),
            ("/a/%2e%2e/b", Some("/b")),
            ("/a/%2E./b", Some("/b")),
            ("/a\\..\\b", Some("/b")),
            ("/x/../admin", None),
            ("/x/%2e%2e/admin", None),
            ("/%61dmin", None),
            ("\\admin", Some("")),
            ("/./admin/", None),
            ("/a//b", Some("/a//b")),
            ("/a%2fb", Some("/a%2fb")),
            ("/a%2f..%2fadmin", Some("")),
            ("/a%00b", Some("")),
            ("/a%20b", Some("/a%20b")),
            ("/a%zzb", Some("/a%zzb")),
        ],
    )
}

#[test]
fn slashes_are_merged_if_the_mesh_says_so() -> Result<()> {
    check(
        "MERGE_SLASHES",
        &[
            ("/a//b///c", Some("/a/b/c")),
            ("//admin", None),
            ("/x/..//admin", None),
            ("/a%2fb", Some("/a%2fb")),
        ],
    )
}

#[test]
fn escaped_slashes_are_slashes_if_the_mesh_says_so() -> Result<()> {
    check(
        "DECODE_AND_MERGE_SLASHES",
        &[
            ("/a%2fb", Some("/a/b")),
            ("/a%5Cb", Some("/a/b")),
            ("%2fadmin", Some("")),
            ("/x/..%2fadmin", None),
            ("/x%2f..%2f%2fadmin", None),
        ],
    )
}

#[test]
fn a_path_stays_as_it_is_if_the_mesh_says_so() -> Result<()> {
    check(
        "NONE",
        &[("/a/../b", Some("/a/../b")), ("/a//%62", Some("/a//%62"))],
    )
}
