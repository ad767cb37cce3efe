//! The access log, read as strictly as a collector would, in both formats.

use std::io::Write as _;
use std::net::TcpStream;

use anyhow::{Context as _, Result, ensure};
use http::StatusCode;
use lab::{Capture, Lab, Start, Ztunnel};
use serde_json::{Map, Value};
use suites::policy::{Call, Fields, Mark, PATIENCE, Seen, Town, liar, log};

const OUTBOUND: [&str; 17] = [
    "src.addr",
    "src.workload",
    "src.namespace",
    "src.identity",
    "src.cluster",
    "dst.addr",
    "dst.hbone_addr",
    "dst.service",
    "dst.workload",
    "dst.namespace",
    "dst.identity",
    "dst.cluster",
    "direction",
    "bytes_sent",
    "bytes_recv",
    "duration",
    "error",
];

/// Those keys in their order, without some.
fn keys(without: &[&str]) -> Vec<&'static str> {
    OUTBOUND
        .into_iter()
        .filter(|key| !without.contains(key))
        .collect()
}

/// `12ms`.
fn is_duration(text: &str) -> bool {
    text.strip_suffix("ms")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// What both formats must say of a call over the service's address: the fields but for the changing ones.
fn expected(town: &Town, direction: &str) -> [(&'static str, String); 14] {
    let server = town.pod("server");
    [
        ("src.workload", "client".to_owned()),
        ("src.namespace", "default".to_owned()),
        ("src.identity", town.pod("client").identity()),
        ("src.cluster", "Kubernetes".to_owned()),
        ("dst.addr", format!("{}:15008", server.ip4())),
        ("dst.hbone_addr", format!("{}:8080", server.ip4())),
        ("dst.service", "server.prod.svc.cluster.local".to_owned()),
        ("dst.workload", "server".to_owned()),
        ("dst.namespace", "prod".to_owned()),
        ("dst.identity", server.identity()),
        ("dst.cluster", "Kubernetes".to_owned()),
        ("direction", direction.to_owned()),
        ("bytes_sent", "4".to_owned()),
        ("bytes_recv", "4".to_owned()),
    ]
}

pub(crate) fn text(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "text", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    let marks = [Mark::now(&town.near), Mark::now(&town.far)];
    let (seen, local) = town.probe("client", (town.vip()?, 80).into())?;
    assert_eq!(seen, Seen::Answered);
    for (ztunnel, mark, direction) in [
        (&town.near, marks[0], "outbound"),
        (&town.far, marks[1], "inbound"),
    ] {
        let line = mark.wait(ztunnel, &["\taccess\t"], 1)?.remove(0);
        let line = Fields::parse(&line)?;
        assert_eq!(
            (line.level.as_str(), line.message.as_str()),
            ("info", "connection complete")
        );
        assert_eq!(line.keys(), keys(&["error"]));
        for (key, value) in expected(&town, direction) {
            assert_eq!(line.get(key)?, value, "{key} of {direction}");
        }
        assert!(is_duration(line.get("duration")?), "{line:?}");
        let source = line.get("src.addr")?;
        match direction {
            "outbound" => assert_eq!(source, local.to_string()),
            _ => assert_eq!(
                source.split(':').next(),
                Some(local.ip().to_string().as_str())
            ),
        }
    }

    // What is not known is left out: no identities and no HBONE in plain text, no names of strangers.
    let far = Mark::now(&town.far);
    let (_, local) = town.probe("legacy", town.at("neighbour", 8080))?;
    let line = far
        .wait(&town.far, &["\taccess\t", &log::source(local)], 1)?
        .remove(0);
    let without = [
        "src.identity",
        "dst.hbone_addr",
        "dst.service",
        "dst.identity",
        "error",
    ];
    assert_eq!(Fields::parse(&line)?.keys(), keys(&without));
    let (far, near) = (Mark::now(&town.far), Mark::now(&town.near));
    let mut stranger = Call::open(town.lab.outside(), town.at("neighbour", 8080))?;
    assert_eq!(stranger.ping()?, Seen::Answered);
    let local = stranger.local();
    drop(stranger);
    let line = far
        .wait(&town.far, &["\taccess\t", &log::source(local)], 1)?
        .remove(0);
    let nameless = [
        &without[..],
        &["src.workload", "src.namespace", "src.cluster"],
    ]
    .concat();
    assert_eq!(Fields::parse(&line)?.keys(), keys(&nameless));

    // An error stands last, at its level.
    let mut call = Call::open(&town.pod("client"), town.at("server", 7))?;
    assert_eq!(call.ping()?, Seen::Closed);
    let line = near
        .wait(&town.near, &["\taccess\t", &log::source(call.local())], 1)?
        .remove(0);
    let line = Fields::parse(&line)?;
    assert_eq!(
        (line.level.as_str(), line.keys()),
        ("error", keys(&["dst.service"]))
    );
    assert_eq!(line.get("error")?, "http status: 503 Service Unavailable");
    let line = far.wait(&town.far, &["\terror\taccess\t"], 1)?.remove(0);
    assert!(
        Fields::parse(&line)?
            .get("error")?
            .starts_with("connection failed: "),
        "{line}"
    );
    Ok(())
}

#[test]
fn a_text_line_holds_all_that_is_known_in_its_order() -> Result<()> {
    text(Capture::Agent)
}

pub(crate) fn json(capture: Capture) -> Result<()> {
    let start = Start::default().env("LOG_FORMAT", "json");
    let Some(town) = Town::captured(capture, "json", &start, &start)? else {
        return Ok(());
    };
    let marks = [Mark::now(&town.near), Mark::now(&town.far)];
    let (_, local) = town.probe("client", (town.vip()?, 80).into())?;
    for (ztunnel, mark, direction) in [
        (&town.near, marks[0], "outbound"),
        (&town.far, marks[1], "inbound"),
    ] {
        let line = mark.wait(ztunnel, &["\"scope\":\"access\""], 1)?.remove(0);
        let object: Map<String, Value> =
            serde_json::from_str(&line).with_context(|| line.clone())?;
        let mut wanted: Vec<&str> = ["level", "time", "scope", "message"]
            .into_iter()
            .chain(keys(&["error"]))
            .collect();
        // In the line they stand in that order; the parsed object is sorted.
        let places: Vec<_> = wanted
            .iter()
            .map(|key| line.find(&format!("\"{key}\":")))
            .collect();
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{line}"
        );
        wanted.sort_unstable();
        assert_eq!(object.keys().collect::<Vec<_>>(), wanted);
        assert_eq!(
            (&object["level"], &object["message"]),
            (&"info".into(), &"connection complete".into())
        );
        let time = object["time"].as_str().unwrap_or_default();
        assert!(log::is_time(time), "{time}");
        for (key, value) in expected(&town, direction) {
            match key {
                // Numbers are numbers.
                "bytes_sent" | "bytes_recv" => assert_eq!(object[key], 4, "{key}"),
                _ => assert_eq!(object[key], value, "{key}"),
            }
        }
        assert!(
            is_duration(object["duration"].as_str().unwrap_or_default()),
            "{line}"
        );
        if direction == "outbound" {
            assert_eq!(object["src.addr"], local.to_string());
        }
    }
    // Every line of the process is such an object too.
    for ztunnel in [&town.near, &town.far] {
        for line in ztunnel.log().lines() {
            let object: Map<String, Value> =
                serde_json::from_str(line).with_context(|| line.to_owned())?;
            for key in ["level", "time", "scope", "message"] {
                ensure!(
                    object.get(key).is_some_and(Value::is_string),
                    "no {key}: {line}"
                );
            }
            ensure!(
                object
                    .values()
                    .all(|value| !value.is_object() && !value.is_array()),
                "not flat: {line}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_json_line_is_one_flat_object() -> Result<()> {
    json(Capture::Agent)
}

/// One `connection failed` warning since then, with nothing but its four fields.
fn early(ztunnel: &Ztunnel, mark: Mark, error: &str) -> Result<Fields> {
    let line = mark
        .wait(ztunnel, &["\taccess\tconnection failed\t", error], 1)?
        .remove(0);
    let line = Fields::parse(&line)?;
    ensure!(line.level == "warn", "{line:?}");
    ensure!(
        line.keys() == ["src.addr", "dst.addr", "direction", "error"],
        "{line:?}"
    );
    Ok(line)
}

pub(crate) fn failures(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "early", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    let (server, legacy) = (town.pod("server"), town.pod("legacy"));
    let tunnel = format!("{}:15008", server.ip4());

    // Somebody who speaks no TLS.
    let far = Mark::now(&town.far);
    let mut stream = legacy.run(|| TcpStream::connect((server.ip4(), 15008)))??;
    let local = stream.local_addr()?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: server\r\n\r\n")?;
    let line = early(&town.far, far, "tls error: ")?;
    assert_eq!(line.get("src.addr")?, local.to_string());
    assert_eq!(
        (line.get("dst.addr")?, line.get("direction")?),
        (tunnel.as_str(), "inbound")
    );

    // A good certificate, a bad request.
    let ask = |lab: &Lab, authority: &str| {
        let identity = legacy.identity();
        liar::connect(lab, &legacy, &identity, server.ip4().into(), authority, &[])
    };
    let far = Mark::now(&town.far);
    assert_eq!(ask(&town.lab, "10.10.2.99:8080")?, StatusCode::BAD_REQUEST);
    let line = early(&town.far, far, "ip mismatch: ")?;
    assert_eq!(
        line.get("error")?,
        format!("ip mismatch: {} != 10.10.2.99", server.ip4())
    );
    let far = Mark::now(&town.far);
    assert_eq!(
        ask(&town.lab, "nobody.example:80")?,
        StatusCode::BAD_REQUEST
    );
    early(
        &town.far,
        far,
        "no service or workload for hostname: nobody.example",
    )?;

    // A pod whose workload is not in the configuration.
    let near = Mark::now(&town.near);
    let workload = town.lab.change(|mesh| -> Result<Value> {
        let workload = mesh.workload("other")?.clone();
        mesh.remove_pod("other");
        Ok(workload)
    })??;
    town.lab.wait_synced(2, PATIENCE)?;
    let mut call = Call::open(&town.pod("other"), town.at("server", 8080))?;
    assert_eq!(call.ping()?, Seen::Closed);
    let line = early(
        &town.near,
        near,
        "failed to fetch information about local workload: ",
    )?;
    assert_eq!(
        (line.get("src.addr")?, line.get("direction")?),
        (call.local().to_string().as_str(), "outbound")
    );
    assert!(
        line.get("error")?
            .ends_with("other/other with service account other"),
        "{line:?}"
    );
    // It waits for its workload first, so one that comes a little late is no failure.
    let to = town.at("server", 8080);
    let pod = town.pod("other");
    let late = std::thread::spawn(move || Call::open(&pod, to)?.ping());
    town.lab
        .change(|mesh| mesh.insert_workload("other", workload))?;
    assert_eq!(late.join().expect("no panic")?, Seen::Answered);
    Ok(())
}

#[test]
fn what_fails_before_anything_is_known_is_a_warning_with_addresses_and_error() -> Result<()> {
    failures(Capture::Agent)
}

#[test]
fn the_access_log_can_be_off_and_tells_of_openings_at_debug() -> Result<()> {
    let near = Start::default().env("RUST_LOG", "info,access=off");
    let far = Start::default().env("RUST_LOG", "info,access=debug");
    let Some(town) = Town::build("levels", &near, &far)? else {
        return Ok(());
    };
    let far = Mark::now(&town.far);
    let mut call = Call::open(&town.pod("client"), town.at("server", 8080))?;
    assert_eq!(call.ping()?, Seen::Answered);
    let line = far
        .wait(&town.far, &["\taccess\tconnection opened\t"], 1)?
        .remove(0);
    let line = Fields::parse(&line)?;
    assert_eq!(line.level, "debug");
    assert_eq!(
        line.keys(),
        keys(&["bytes_sent", "bytes_recv", "duration", "error"]),
        "while it is open"
    );
    drop(call);
    far.wait(&town.far, &["\taccess\tconnection complete\t"], 1)?;
    lab::until("the source to have counted it", PATIENCE, || {
        town.near
            .metric("istio_tcp_connections_closed_total", &[])
            .is_ok_and(|closed| closed > 0.0)
    })?;
    assert_eq!(town.near.log_lines(&["\taccess\t"]), Vec::<String>::new());
    Ok(())
}
