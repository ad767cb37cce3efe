//! What the pods do, and what is known of it afterwards.
//!
//! In: the stage. Out: one [`Call`] per request: what the program printed and what both ztunnels recorded.
//! Never: takes a request for done that one of the ztunnels has not recorded with the right identities.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{
    Pod, Ztunnel,
    programs::{Bandwidth, MariaDb},
};

use crate::{
    record::{Record, Search},
    stage::{CACHE, DB, METER, Servers, Stage, WEB},
};

/// A text that is sent, so that it can be looked for on the wire.
const NOTE: &str = "ambit-demo-note-5a1c";
/// How long one iperf3 runs.
const TIME_BULK: Duration = Duration::from_secs(3);

/// One request that went well.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) program: &'static str,
    /// What was asked, for a person.
    pub(crate) asked: String,
    /// What the program printed.
    pub(crate) said: String,
    /// What the server says about its client, if it was asked.
    pub(crate) server_saw: Option<String>,
    pub(crate) nodes: (usize, usize),
    /// What the client's and the server's ztunnel recorded.
    pub(crate) records: (Record, Record),
}

/// The request that was denied.
#[derive(Debug)]
pub(crate) struct Denial {
    pub(crate) asked: String,
    pub(crate) said: String,
    pub(crate) records: (Record, Record),
}

/// One run of iperf3.
#[derive(Debug)]
pub(crate) struct Speed {
    pub(crate) what: String,
    pub(crate) bandwidth: Bandwidth,
}

/// What travels inside the requests below and must not be readable on the wire.
pub(crate) fn texts() -> [&'static str; 5] {
    [
        NOTE,
        "hello from web",
        "GET / HTTP/1.1",
        "MariaDB",
        "cluster.local",
    ]
}

/// A request by address, as there is nobody yet who turns a service's address into a pod's.
pub(crate) fn without_mesh(stage: &Stage) -> Result<()> {
    let url = format!("http://{}:{WEB}/", stage.lab.pod("web").ip4());
    let said = curl(&stage.lab.pod("shop"), &url)?;
    ensure!(said == "hello from web", "{url}: {said:?}");
    Ok(())
}

/// The requests that are allowed.
pub(crate) fn all(stage: &Stage, servers: &Servers, ztunnels: &[Ztunnel; 2]) -> Result<Vec<Call>> {
    let lab = &stage.lab;
    let (shop, report) = (lab.pod("shop"), lab.pod("report"));
    let (web, cache, db) = (lab.vip("web"), lab.vip("cache"), lab.vip("db"));
    let mut calls = Vec::new();

    for (url, own) in [
        (format!("http://{}/", web.ip4), IpAddr::from(shop.ip4())),
        (format!("http://[{}]/", web.ip6), IpAddr::from(shop.ip6())),
    ] {
        let said = curl(&shop, &url)?;
        ensure!(said == "hello from web", "{url}: {said:?}");
        let seen = servers
            .nginx
            .access_log()
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned();
        ensure!(
            seen.split(' ').next() == Some(own.to_string().as_str()),
            "nginx saw {seen:?}, expected its client's own address {own}"
        );
        let records = recorded(ztunnels, &shop, own, &lab.pod("web"), WEB)?;
        calls.push(Call {
            program: "curl",
            asked: url,
            said,
            server_saw: Some(format!(
                "nginx saw its client at {own}, the address of shop"
            )),
            nodes: (0, 1),
            records,
        });
    }

    let own = IpAddr::from(report.ip6());
    let host = cache.ip6.to_string();
    let redis = |words: &[&str]| -> Result<String> {
        let line = ["redis-cli", "-h", &host]
            .into_iter()
            .chain(words.iter().copied());
        Ok(report.exec(line)?.ok()?.trim().to_owned())
    };
    let (set, get) = (redis(&["SET", "note", NOTE])?, redis(&["GET", "note"])?);
    ensure!(set == "OK" && get == NOTE, "redis-cli: {set:?}, {get:?}");
    calls.push(Call {
        program: "redis-cli",
        asked: format!("[{host}]:{CACHE}  SET note {NOTE}, GET note"),
        said: format!("{set}, {get}"),
        server_saw: None,
        nodes: (1, 0),
        records: recorded(ztunnels, &report, own, &lab.pod("cache"), CACHE)?,
    });

    let sql = format!("SELECT UPPER('{NOTE}'), SUBSTRING_INDEX(USER(), '@', -1)");
    let said = MariaDb::query(&shop, db.ip4.into(), DB, &sql)?
        .ok()?
        .trim()
        .replace('\t', ", ");
    let expected = format!("{}, {}", NOTE.to_uppercase(), shop.ip4());
    ensure!(said == expected, "mariadb: {said:?}, expected {expected:?}");
    calls.push(Call {
        program: "mariadb",
        asked: format!("{}:{DB}  {sql}", db.ip4),
        said,
        server_saw: Some("the server speaks first in this protocol".to_owned()),
        nodes: (0, 1),
        records: recorded(ztunnels, &shop, shop.ip4().into(), &lab.pod("db"), DB)?,
    });
    Ok(calls)
}

/// The request that the policy denies.
pub(crate) fn denied(stage: &Stage, ztunnels: &[Ztunnel; 2]) -> Result<Denial> {
    let lab = &stage.lab;
    let (intruder, db, vip) = (lab.pod("intruder"), lab.pod("db"), lab.vip("db"));
    let output = MariaDb::query(&intruder, vip.ip4.into(), DB, "SELECT 1")?;
    ensure!(
        !output.status.success(),
        "the intruder's query went through: {}",
        output.text()
    );
    let search = Search {
        client: intruder.ip4().into(),
        hbone: (db.ip4(), DB).into(),
    };
    let outbound = search.find(&ztunnels[0], "outbound")?;
    let inbound = search.find(&ztunnels[1], "inbound")?;
    let why = inbound.get("error");
    ensure!(
        why.contains("closed due to policy rejection"),
        "it was refused for another reason than the policy: {why:?}"
    );
    ensure!(
        inbound.get("src.identity") == intruder.identity(),
        "the intruder was taken for {:?}",
        inbound.get("src.identity")
    );
    Ok(Denial {
        asked: format!("{}:{DB}  SELECT 1", vip.ip4),
        said: output.errors().trim().to_owned(),
        records: (outbound, inbound),
    })
}

/// iperf3 in both directions, one in each family.
pub(crate) fn bulk(stage: &Stage, ztunnels: &[Ztunnel; 2]) -> Result<Vec<Speed>> {
    let lab = &stage.lab;
    let runs = [
        ("shop", "meter2", IpAddr::from(lab.pod("meter2").ip4())),
        ("report", "meter1", IpAddr::from(lab.pod("meter1").ip6())),
    ];
    let mut speeds = Vec::new();
    for (from, to, address) in runs {
        let (from, to) = (lab.pod(from), lab.pod(to));
        let bandwidth = Bandwidth::measure(&from, address, METER, TIME_BULK, &[])?;
        let own = if address.is_ipv4() {
            from.ip4().into()
        } else {
            from.ip6().into()
        };
        let search = Search {
            client: own,
            hbone: (address, METER).into(),
        };
        let carried = search.most_bytes(&ztunnels[to.node()], "inbound", bandwidth.bytes)?;
        ensure!(
            carried.get("src.identity") == from.identity(),
            "{} was taken for {:?}",
            from.name(),
            carried.get("src.identity")
        );
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let what = format!(
            "{} on node{} -> {} on node{}, {family}",
            from.name(),
            from.node() + 1,
            to.name(),
            to.node() + 1
        );
        speeds.push(Speed { what, bandwidth });
    }
    Ok(speeds)
}

fn curl(pod: &Pod, url: &str) -> Result<String> {
    let output = pod.exec([
        "curl",
        "-sS",
        "-m",
        "10",
        "-H",
        &format!("X-Note: {NOTE}"),
        url,
    ])?;
    Ok(output
        .ok()
        .with_context(|| url.to_owned())?
        .trim()
        .to_owned())
}

/// What both ztunnels say about a connection that has just ended; both have to name both ends.
fn recorded(
    ztunnels: &[Ztunnel; 2],
    from: &Pod,
    client: IpAddr,
    to: &Pod,
    port: u16,
) -> Result<(Record, Record)> {
    let address = if client.is_ipv4() {
        IpAddr::from(to.ip4())
    } else {
        IpAddr::from(to.ip6())
    };
    let search = Search {
        client,
        hbone: (address, port).into(),
    };
    let outbound = search.find(&ztunnels[from.node()], "outbound")?;
    let inbound = search.find(&ztunnels[to.node()], "inbound")?;
    for record in [&outbound, &inbound] {
        for (key, expected) in [
            ("src.identity", from.identity()),
            ("dst.identity", to.identity()),
        ] {
            let found = record.get(key);
            ensure!(
                found == expected,
                "{key} is {found:?} in {record:?}, expected {expected}"
            );
        }
        ensure!(
            record.get("error").is_empty(),
            "it ended with {:?}",
            record.get("error")
        );
    }
    Ok((outbound, inbound))
}
