//! Every mistake is refused with its line, its field and what was expected.

use super::{
    super::{FileError, MAX_FILE_BYTES, Source, load_once, parse},
    policy, workload,
};

mod values;
mod words;

/// Asserts where `text` goes wrong: `file:line`, the field's path, and a part of what is said about it.
#[track_caller]
fn check(text: &str, line: u64, field: &str, said: &str) {
    let error = parse(text, "mesh.yaml").expect_err(text);
    let shown = error.to_string();
    assert_eq!(error.file(), "mesh.yaml", "{shown}");
    assert_eq!(
        (error.line(), error.field()),
        (Some(line), Some(field)),
        "{shown}\n{text}"
    );
    assert!(
        shown.starts_with(&format!(
            "mesh.yaml:{line}:{}: {field}: ",
            error.column().unwrap()
        )),
        "{shown}"
    );
    assert!(shown.contains(said), "{shown} does not contain {said}");
    assert!(
        shown.contains("expected "),
        "{shown} does not say what was expected"
    );
}

/// Checks one field of a workload, written on line 9.
#[track_caller]
fn check_workload(written: &str, field: &str, said: &str) {
    let text = format!("workloads:\n{}  {written}\n", workload("a", "10.0.0.1"));
    check(&text, 8, &format!("workloads[0].{field}"), said);
}

/// Checks one field of a service, on line 7.
#[track_caller]
fn check_service(written: &str, field: &str, said: &str) {
    let text = format!(
        "services:\n- name: s\n  namespace: ns\n  hostname: s.example\n  vips: []\n  ports: {{}}\n  {written}\n"
    );
    check(&text, 7, &format!("services[0].{field}"), said);
}

/// Checks the fields of one match, on line 6.
#[track_caller]
fn check_match(fields: &str, field: &str, said: &str) {
    let text = format!(
        "policies:\n{}",
        policy("p", "Deny", &format!("[[[{{{fields}}}]]]"))
    );
    check(
        &text,
        6,
        &format!("policies[0].rules[0][0][0].{field}"),
        said,
    );
}

#[test]
fn the_whole_error_is_one_readable_line() {
    let text = format!("workloads:\n{}", workload("a", "10.0.0.300"));
    assert_eq!(
        parse(&text, "mesh.yaml").unwrap_err().to_string(),
        "mesh.yaml:5:17: workloads[0].workloadIps[0]: found \"10.0.0.300\", expected the IP address of one host, \
         such as 10.0.0.1 or fd00::1"
    );
    let text = format!(
        "policies:\n{}",
        policy("p", "Deny", "[[[{principal: [a]}]]]")
    );
    assert_eq!(
        parse(&text, "mesh.yaml").unwrap_err().to_string(),
        "mesh.yaml:6:14: policies[0].rules[0][0][0].principal: unknown field (did you mean principals?), expected one \
         of principals, notPrincipals, namespaces, notNamespaces, serviceAccounts, notServiceAccounts, sourceIps, \
         notSourceIps, destinationIps, notDestinationIps, destinationPorts, notDestinationPorts"
    );
}

#[test]
fn unknown_fields_are_refused_with_the_nearest_known_one() {
    check("workload: []\n", 1, "workload", "did you mean workloads?");
    check(
        "policies: []\nservice: []\n",
        2,
        "service",
        "did you mean services?",
    );
    check(
        "policies: []\ncertificates: []\n",
        2,
        "certificates",
        "unknown field, expected one of workloads, services",
    );
    check_workload(
        "workloadIp: [10.0.0.2]",
        "workloadIp",
        "did you mean workloadIps?",
    );
    check_workload(
        "service_account: a",
        "service_account",
        "did you mean serviceAccount?",
    );
    check_workload(
        "authorizationPolicy: []",
        "authorizationPolicy",
        "expected one of uid, name",
    );
    check_workload(
        "locality: {regoin: eu}",
        "locality.regoin",
        "did you mean region?",
    );
    check_workload(
        "waypoint: {destnation: a/b}",
        "waypoint.destnation",
        "did you mean destination?",
    );
    check_workload(
        "applicationTunnel: {protcol: PROXY}",
        "applicationTunnel.protcol",
        "did you mean protocol?",
    );
    check_service("vip: [/10.0.0.1]", "vip", "did you mean vips?");
    check_service("endpoints: {}", "endpoints", "unknown field, expected");
    check_service(
        "loadBalancer: {mod: Strict}",
        "loadBalancer.mod",
        "did you mean mode?",
    );
    check_match(
        "notPrincipal: ['*']",
        "notPrincipal",
        "did you mean notPrincipals?",
    );
    check_match(
        "destinationPort: [80]",
        "destinationPort",
        "did you mean destinationPorts?",
    );
    check_match(
        "methods: [GET]",
        "methods",
        "unknown field, expected one of principals",
    );
    check_match(
        "serviceAccounts: [{namespce: a}]",
        "serviceAccounts[0].namespce",
        "did you mean namespace?",
    );
    let text = format!("policies:\n{}  dry_run: true\n", policy("p", "Deny", "[]"));
    check(&text, 7, "policies[0].dry_run", "did you mean dryRun?");
}

#[test]
fn fields_that_must_be_there_are_asked_for() {
    let whole = workload("a", "10.0.0.1");
    for (field, said) in [
        ("uid", "missing, expected a name that is unique in the mesh"),
        ("name", "missing, expected the pod's name"),
        ("namespace", "missing, expected the pod's namespace"),
        (
            "workloadIps",
            "missing, expected a list of the workload's IP addresses",
        ),
        (
            "services",
            "missing, expected a mapping of \"namespace/hostname\" to ports",
        ),
    ] {
        let lacking: String = format!("workloads:\n-\n{}", whole.replace("- uid", "  uid"))
            .lines()
            .filter(|line| !line.trim_start().starts_with(&format!("{field}:")))
            .map(|line| format!("{line}\n"))
            .collect();
        check(&lacking, 3, &format!("workloads[0].{field}"), said);
    }
    let service = [
        ("name", "s"),
        ("namespace", "ns"),
        ("hostname", "s.example"),
        ("vips", "[]"),
        ("ports", "{}"),
    ];
    for (field, _) in service {
        let given: Vec<_> = service
            .iter()
            .filter(|(name, _)| *name != field)
            .map(|(k, v)| format!("{k}: {v}"))
            .collect();
        check(
            &format!("services:\n- {{{}}}\n", given.join(", ")),
            2,
            &format!("services[0].{field}"),
            "missing, expected",
        );
    }
    let policy = [
        ("name", "p"),
        ("namespace", "ns"),
        ("scope", "Global"),
        ("action", "Allow"),
        ("rules", "[]"),
    ];
    for (field, _) in policy {
        let given: Vec<_> = policy
            .iter()
            .filter(|(name, _)| *name != field)
            .map(|(k, v)| format!("{k}: {v}"))
            .collect();
        check(
            &format!("policies:\n- {{{}}}\n", given.join(", ")),
            2,
            &format!("policies[0].{field}"),
            "missing, expected",
        );
    }
    check_workload(
        "waypoint: {hboneMtlsPort: 1}",
        "waypoint.destination",
        "missing, expected \"namespace/hostname\" or",
    );
    check_workload(
        "applicationTunnel: {port: 1}",
        "applicationTunnel.protocol",
        "missing, expected PROXY or NONE",
    );
    check_match(
        "serviceAccounts: [{namespace: a}]",
        "serviceAccounts[0].serviceAccount",
        "missing, expected",
    );
    let text = "workloads:\n- {uid: u, name: n, namespace: ns, workloadIps: [], services: {}}\n";
    check(
        text,
        2,
        "workloads[0].workloadIps",
        "missing, expected at least one address where there is no hostname",
    );
}

#[test]
fn what_must_be_unique_may_not_come_twice() {
    let text = format!(
        "workloads:\n{}{}",
        workload("a", "10.0.0.1"),
        workload("a", "10.0.0.2")
    );
    check(
        &text,
        8,
        "workloads[1].uid",
        "found \"a\", which line 2 has already, expected each uid once",
    );
    let text = format!(
        "workloads:\n{}{}",
        workload("a", "10.0.0.1"),
        workload("b", "10.0.0.1")
    );
    check(
        &text,
        11,
        "workloads[1].workloadIps[0]",
        "found \"/10.0.0.1\", which line 5 has already",
    );
    let text = format!(
        "policies:\n{}{}",
        policy("p", "Allow", "[]"),
        policy("p", "Deny", "[]")
    );
    check(
        &text,
        7,
        "policies[1]",
        "found \"default/p\", which line 2 has already, expected each namespace and name",
    );
    let service = "- {name: s, namespace: ns, hostname: S.example, vips: [], ports: {}}\n";
    let text = format!(
        "services:\n{service}{}",
        service.replace("name: s", "name: t").replace("S.e", "s.e")
    );
    check(
        &text,
        3,
        "services[1]",
        "found \"ns/s.example\", which line 2 has already",
    );
    check(
        "policies: []\nservices: []\npolicies: []\n",
        3,
        "policies",
        "which line 1 has already, expected each key once",
    );
    check_workload(
        "name: b",
        "name",
        "found \"name\", which line 3 has already, expected each key once",
    );
    let text = "services:\n- name: s\n  namespace: ns\n  hostname: s.example\n  vips: []\n  ports:\n    80: 1\n    80: 2\n";
    check(
        text,
        8,
        "services[0].ports.80",
        "found \"80\", which line 7 has already",
    );
    let text = "workloads:\n- uid: a\n  name: a\n  namespace: ns\n  workloadIps: [10.0.0.1]\n  services:\n    ns/a.example: {}\n    ns/A.example: {}\n";
    check(
        text,
        8,
        "workloads[0].services[\"ns/A.example\"]",
        "expected each service once",
    );
}

#[test]
fn a_policy_that_is_listed_but_not_there_is_refused() {
    let text = format!(
        "workloads:\n{}  authorizationPolicies: [default/p, default/dney]\npolicies:\n{}",
        workload("a", "10.0.0.1"),
        policy("p", "Deny", "[]")
    );
    check(
        &text,
        8,
        "workloads[0].authorizationPolicies[1]",
        "found \"default/dney\", expected the namespace/name of a policy in this file",
    );
}

#[test]
fn a_top_that_is_no_mapping_of_lists_is_refused() {
    check(
        "- uid: a\n",
        1,
        "top level",
        "found a list of 1, expected a mapping with workloads, services and policies",
    );
    // A file that is being written begins empty: that must not empty the mesh.
    check(
        "",
        1,
        "top level",
        "found nothing, expected a mapping with workloads, services and policies",
    );
    check(
        "# nothing but a comment\n",
        2,
        "top level",
        "found nothing, expected a mapping",
    );
    check(
        "workloads:\n",
        1,
        "workloads",
        "found nothing, expected a list of workloads; [] is the empty list",
    );
    check(
        "policies: {}\n",
        1,
        "policies",
        "found a mapping of 0, expected a list of policies",
    );
    check(
        "services: [a]\n",
        1,
        "services[0]",
        "found \"a\", expected a service: a mapping with name",
    );
    check(
        "workloads: [~]\n",
        1,
        "workloads[0]",
        "found nothing, expected a workload: a mapping with uid",
    );
    check(
        "policies: !Exact []\n",
        1,
        "policies",
        "found !Exact a list of 0, expected a list of policies",
    );
}

#[test]
fn malformed_yaml_is_refused_with_its_line() {
    for (text, line) in [
        ("workloads: [\n", 1),
        ("workloads: []\n services: []\n", 2),
        ("policies: []\n---\npolicies: []\n", 3),
        (
            "policies:\n- name: p\n  rules: [[[{principals: [*]}]]]\n",
            3,
        ),
    ] {
        let error = parse(text, "mesh.yaml").unwrap_err();
        assert!(matches!(error, FileError::Yaml { .. }), "{error:?}");
        assert_eq!((error.line(), error.field()), (Some(line), None), "{error}");
        let shown = error.to_string();
        assert!(
            shown.starts_with(&format!("mesh.yaml:{line}:")) && shown.contains("expected"),
            "{shown}"
        );
    }
}

#[test]
fn files_that_are_no_text_or_too_large_are_refused() {
    let directory = super::following::Directory::new();
    let path = directory.path.join("mesh.yaml");
    let load = || load_once(&Source::Path(path.clone())).unwrap_err();
    let name = path.display().to_string();

    let error = load();
    assert_eq!(
        error.to_string(),
        format!("{name}: cannot be read, expected a readable file")
    );
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("No such file")
    );

    std::fs::write(&path, b"policies: []\n# \xff\n").unwrap();
    assert_eq!(
        load().to_string(),
        format!("{name}:2: found a byte that is not UTF-8, expected UTF-8 text")
    );
    assert_eq!(load().line(), Some(2));

    std::fs::File::create(&path)
        .unwrap()
        .set_len(u64::try_from(MAX_FILE_BYTES).unwrap() + 1)
        .unwrap();
    assert!(matches!(load(), FileError::TooLarge { .. }), "{}", load());
    assert!(matches!(
        parse(&" ".repeat(MAX_FILE_BYTES + 1), "mesh.yaml"),
        Err(FileError::TooLarge { .. })
    ));

    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(
        load().to_string(),
        format!("{name}: expected a regular file")
    );
}
