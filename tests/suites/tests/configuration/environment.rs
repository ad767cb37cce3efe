//! The environment: what stops the start, by name, and what does not.

use anyhow::{Result, ensure};
use lab::{Ca, Config, Lab, PodSpec, Start, Ztunnel, eventually};
use suites::policy::{Call, Echo, PATIENCE, Seen};

/// Starts node 1's ztunnel, which must refuse, and returns what it said.
fn refuse(lab: &Lab, start: &Start) -> Result<String> {
    let ztunnel = lab.spawn_ztunnel(0, start)?;
    let said = |ztunnel: &Ztunnel| ztunnel.log();
    lab::until("the refusal", PATIENCE, || !ztunnel.is_running())?;
    let status = ztunnel.terminate(PATIENCE)?;
    ensure!(status.code() == Some(1), "{status}: {}", said(&ztunnel));
    let said = said(&ztunnel);
    ensure!(!said.contains("panicked"), "{said}");
    Ok(said)
}

/// It must say all of `texts`.
fn check(lab: &Lab, start: &Start, texts: &[&str]) -> Result<()> {
    let said = refuse(lab, start)?;
    for text in texts {
        ensure!(said.contains(text), "{text:?} is missing in {said:?}");
    }
    Ok(())
}

fn lab(name: &str) -> Result<Option<Lab>> {
    lab::possible()
        .then(|| Lab::builder(name).config(Config::File).build())
        .transpose()
}

#[test]
fn all_invalid_values_are_named_at_once_with_what_was_expected() -> Result<()> {
    let Some(lab) = lab("invalid")? else {
        return Ok(());
    };
    let mut start = Start::default();
    let faults = [
        ("CAPTURE", "nftables", "agent, iptables, ebpf or auto"),
        ("IPV6_ENABLED", "perhaps", "true or false"),
        ("SECRET_TTL", "soon", "a duration above 0, for example 24h"),
        (
            "ZTUNNEL_WORKER_THREADS",
            "0",
            "a number from 1 to 1024 or a percentage",
        ),
        (
            "PACKET_MARK",
            "273",
            "a number from 1 to 4095 other than 273",
        ),
        ("LOG_FORMAT", "xml", "text, plain or json"),
        ("TRUST_DOMAIN", "Cluster Local", "a trust domain"),
        ("KEEPALIVE_RETRIES", "-1", "a number from 1 to 127"),
        ("HTTP2_FRAME_SIZE", "1", "a number of bytes from 16384"),
        (
            "POOL_MAX_STREAMS_PER_CONNECTION",
            "many",
            "a number from 1 to 65535",
        ),
        ("DNS_CAPTURE", "yes", "true or false"),
        ("ADMIN_ADDR", "15000", "localhost:PORT or ADDRESS:PORT"),
        (
            "TERMINATION_GRACE_PERIOD_SECONDS",
            "30s",
            "a number of seconds",
        ),
        // Even of what is not built.
        ("PROXY_MODE", "both", "shared or dedicated"),
    ];
    for (name, value, _) in faults {
        start = start.env(name, value);
    }
    let texts =
        faults.map(|(name, value, expected)| format!("{name}=\"{value}\" is not {expected}"));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    check(&lab, &start, &texts)?;
    // Nothing was touched before: no listener, no word to the agent.
    assert!(!lab.node(0).agent().is_connected());
    Ok(())
}

#[test]
fn a_log_filter_that_cannot_be_read_stops_the_start() -> Result<()> {
    let Some(lab) = lab("filter")? else {
        return Ok(());
    };
    check(
        &lab,
        &Start::default().env("RUST_LOG", "loud"),
        &["RUST_LOG", "loud", "expected"],
    )
}

#[test]
fn demands_on_security_that_are_not_built_stop_the_start() -> Result<()> {
    let Some(lab) = lab("demands")? else {
        return Ok(());
    };
    check(
        &lab,
        &Start::default().env("COMPLIANCE_POLICY", "pqc"),
        &["COMPLIANCE_POLICY is set, but "],
    )
}

#[test]
fn an_authority_that_cannot_sign_stops_the_start() -> Result<()> {
    let Some(lab) = lab("authority")? else {
        return Ok(());
    };
    let key = lab.ca().key_path().display().to_string();
    check(
        &lab,
        &Start::default().env_remove("FILE_CA_KEY"),
        &["FILE_CA_KEY must be set to the PEM file of that CA's key, as FILE_CA_CERT is set"],
    )?;
    check(
        &lab,
        &Start::default().env_remove("FILE_CA_CERT"),
        &["FILE_CA_CERT must be set to the PEM file of a CA certificate, as FILE_CA_KEY is set"],
    )?;
    check(
        &lab,
        &Start::default().env("CA_ADDRESS", "https://istiod.example:15012"),
        &["FILE_CA_CERT and CA_ADDRESS are both set, only one may be"],
    )?;
    let nowhere = Start::default().env("FILE_CA_KEY", "/nowhere/key.pem");
    check(
        &lab,
        &nowhere,
        &[
            "FILE_CA_KEY (/nowhere/key.pem): cannot be read, expected a PEM file",
            "No such file",
        ],
    )?;
    let swapped = Start::default().env("FILE_CA_CERT", key.clone());
    check(
        &lab,
        &swapped,
        &[&format!("FILE_CA_CERT ({key}): "), "expected"],
    )?;
    let stranger = Ca::create(lab.folder(), "stranger")?;
    let foreign = stranger.key_path().display().to_string();
    let start = Start::default().env("FILE_CA_KEY", foreign.clone());
    let text = format!(
        "FILE_CA_KEY ({foreign}): does not belong to the first certificate of FILE_CA_CERT"
    );
    let said = refuse(&lab, &start)?;
    ensure!(said.contains(&text), "{said}");
    ensure!(!said.contains("PRIVATE KEY"), "the key itself: {said}");
    Ok(())
}

#[test]
fn configuration_comes_from_one_source_only() -> Result<()> {
    let Some(lab) = lab("source")? else {
        return Ok(());
    };
    let server = Start::default().env("XDS_ADDRESS", "https://istiod.example:15012");
    check(
        &lab,
        &server,
        &["LOCAL_XDS_PATH and XDS_ADDRESS are both set, only one may be"],
    )?;
    let both = Start::default().env("LOCAL_XDS", "policies: []");
    check(
        &lab,
        &both,
        &["LOCAL_XDS_PATH and LOCAL_XDS are both set, only one may be"],
    )
}

#[test]
fn unknown_variables_are_ignored_and_known_ones_that_are_not_built_warn() -> Result<()> {
    let Some(lab) = lab("warnings")? else {
        return Ok(());
    };
    let unbuilt = [
        ("PROXY_MODE", "dedicated"),
        ("UNSTABLE_ENABLE_SOCKS5", "true"),
        ("TLS12_ENABLED", "true"),
    ];
    let mut start = Start::default()
        .env("AMBIT_NO_SUCH_VARIABLE", "whatever")
        .env("XDS_HEADER_X_TENANT", "tenant-value")
        .env("ISTIO_META_ENABLE_HBONE", "true")
        // Unbuilt, but it asks for what is done anyway; and one that counts as not set.
        .env("FAKE_CA", "false")
        .env("CA_ROOT_CA", "")
        .env("CRL_PATH", "");
    for (name, value) in unbuilt {
        start = start.env(name, value);
    }
    let ztunnel = lab.start_ztunnel(0, &start)?;
    let warnings = ztunnel.log_lines(&["\twarn\t", "asks for something that is not built yet"]);
    assert_eq!(warnings.len(), unbuilt.len(), "{warnings:#?}");
    for (name, _) in unbuilt {
        let of_it = warnings
            .iter()
            .filter(|line| line.contains(&format!("\t{name} asks")))
            .count();
        assert_eq!(of_it, 1, "{name} in {warnings:#?}");
    }
    let log = ztunnel.log();
    for silent in [
        "NO_SUCH",
        "ENABLE_HBONE",
        "FAKE_CA",
        "CRL_PATH",
        "tenant-value",
    ] {
        assert!(!log.contains(silent), "{silent} in {log}");
    }
    Ok(())
}

#[test]
fn a_second_ztunnel_finds_its_ports_taken_and_takes_no_pod_from_the_first() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("second")
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("server").node(1))
        .build()?;
    let [near, _far] = lab.start_ztunnels(&Start::default())?;
    let server = lab.pod("server");
    let _echo = Echo::start(&server, &[8080])?;
    for (moved, address, variable) in [
        (&[][..], "127.0.0.1:15000 of the admin", "ADMIN_ADDR"),
        (
            &[("ADMIN_ADDR", "localhost:16000")],
            "[::]:15020 of the metrics",
            "STATS_ADDR",
        ),
        (
            &[
                ("ADMIN_ADDR", "localhost:16000"),
                ("STATS_ADDR", "[::]:16020"),
            ],
            "[::]:15021 of the readiness",
            "READINESS_ADDR",
        ),
    ] {
        let start = moved.iter().fold(Start::default(), |start, (name, value)| {
            start.env(*name, *value)
        });
        let text = format!("failed to bind to address {address} endpoint (see {variable})");
        check(&lab, &start, &[&text, "Address already in use"])?;
    }
    assert!(near.is_running() && near.ready());
    assert_eq!(
        lab.node(0).agent().snapshots(),
        1,
        "the agent has been asked by the second"
    );
    let mut call = Call::open(&lab.pod("client"), (server.ip4(), 8080).into())?;
    assert_eq!(call.ping()?, Seen::Answered);
    drop(call);
    eventually("the first to serve it", PATIENCE, || {
        let lines = near.log_lines(&["connection complete", "outbound"]);
        ensure!(lines.len() == 1, "{lines:?}");
        Ok(())
    })
}
