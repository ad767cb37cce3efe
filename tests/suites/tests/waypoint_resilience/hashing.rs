//! Consistent hashing: equal keys stay with an endpoint, and keys of others do not move when one leaves.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use suites::waypoint::{ANY, Ground};

use super::policy;

/// Keys that are tried.
const KEYS: usize = 80;

/// What is said by each request: the key in the header `x-tenant`, the parameter `session` or the cookie `seat`.
#[derive(Clone, Copy, Debug)]
enum Key {
    Header,
    Query,
    Cookie,
}

/// Which pod answers for each key, by one curl.
fn owners(ground: &Ground, key: Key, port: u16) -> Result<BTreeMap<usize, String>> {
    let vip = ground.vip("web")?;
    let mut config = String::new();
    for number in 0..KEYS {
        if number > 0 {
            config.push_str("next\n");
        }
        let url = format!("http://{vip}:{port}/of?number={number}");
        config.push_str(&match key {
            Key::Header => format!("url = \"{url}\"\nheader = \"x-tenant: tenant-{number}\"\n"),
            Key::Query => format!("url = \"{url}&session=user-{number}&more=1\"\n"),
            Key::Cookie => {
                format!("url = \"{url}\"\nheader = \"cookie: a=b; seat=s{number}; c=d\"\n")
            }
        });
        config.push_str(
            "output = \"/dev/null\"\nwrite-out = \"%{http_code} %header{x-pod}\\n\"\nsilent\n",
        );
    }
    let client = ground.pod("client");
    let output = client
        .command(["curl", "-K", "-"])
        .stdin(config)
        .output()?
        .ok()?;
    let owner = |line: &str| {
        line.strip_prefix("200 ")
            .map(str::to_owned)
            .with_context(|| line.to_owned())
    };
    let owners: Vec<String> = output.lines().map(owner).collect::<Result<_>>()?;
    ensure!(owners.len() == KEYS, "{output}");
    Ok(owners.into_iter().enumerate().collect())
}

fn ready(ground: &Ground, pod: &str, ready: bool) -> Result<()> {
    ground.lab.change(|mesh| -> Result<()> {
        let status = if ready { "Healthy" } else { "Unhealthy" };
        mesh.workload(pod)?["status"] = json!(status);
        Ok(())
    })??;
    ground.wait_synced()
}

fn hash(ground: &Ground, yaml: &str) -> Result<()> {
    policy(
        ground,
        &format!("loadBalancer: {{consistentHash: {{{yaml}}}}}"),
    )
}

#[test]
fn equal_keys_stay_with_an_endpoint() -> Result<()> {
    let Some(ground) = Ground::builder("hashing").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        // A ring of at least so many places has more of each endpoint when there are fewer, and a table of Maglev is filled anew: a
        // few keys of others move then, as with Envoy. That they are few is what consistent means.
        let cases = [
            (
                "tenants on a ring",
                Key::Header,
                "httpHeaderName: x-tenant, ringHash: {minimumRingSize: 1024}",
                15,
            ),
            (
                "tenants by Maglev",
                Key::Header,
                "httpHeaderName: x-tenant, maglev: {tableSize: 65537}",
                12,
            ),
            (
                "sessions on a ring",
                Key::Query,
                "httpQueryParameterName: session",
                15,
            ),
            (
                "sessions by Maglev",
                Key::Query,
                "httpQueryParameterName: session, maglev: {}",
                12,
            ),
            ("cookies", Key::Cookie, "httpCookie: {name: seat}", 15),
        ];
        for (what, key, yaml, may_move) in cases {
            hash(&ground, yaml).context(what)?;
            let first = owners(&ground, key, 80).context(what)?;
            let pods: BTreeSet<&String> = first.values().collect();
            ensure!(pods.len() == 4, "{what}: {pods:?}");
            ensure!(
                owners(&ground, key, 80)? == first,
                "{what}: keys moved by themselves"
            );
            // From another client, on another port's way of finding out what is spoken.
            ensure!(owners(&ground, key, ANY)?.len() == KEYS);
            // One leaves: its keys go to others, theirs stay.
            ready(&ground, "v2a", false)?;
            let without = owners(&ground, key, 80).context(what)?;
            ensure!(without.values().all(|pod| pod != "v2a"), "{what}");
            let moved = first
                .iter()
                .filter(|(number, pod)| *pod != "v2a" && without[number] != **pod);
            let moved = moved.count();
            ensure!(moved <= may_move, "{what}: {moved} keys of others moved");
            // It comes back, and they to it.
            ready(&ground, "v2a", true)?;
            ensure!(owners(&ground, key, 80)? == first, "{what}: it came back");
        }
        Ok(())
    })
}

#[test]
fn cookies_are_given_and_addresses_count() -> Result<()> {
    let Some(ground) = Ground::builder("cookies").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        // A client without a cookie is given one, which leads back to who answered it.
        hash(&ground, "httpCookie: {name: seat, path: /shop, ttl: 60s, attributes: [{name: SameSite, value: Lax}]}")?;
        for _ in 0..6 {
            let answer = ground.get("/shop").send()?;
            let given = answer.header("set-cookie").context("no cookie")?;
            for part in ["seat=", "Max-Age=60", "Path=/shop", "HttpOnly", "SameSite=Lax"] {
                ensure!(given.contains(part), "{given}");
            }
            let cookie = given.split(';').next().context("a cookie")?;
            let again = ground.get("/shop").header(&format!("cookie: {cookie}")).count(12)?;
            ensure!(again.of(&answer.pod()) == 12, "{again:?} after {}", answer.pod());
            let answer = ground.get("/shop").header(&format!("cookie: {cookie}")).send()?;
            ensure!(answer.header("set-cookie").is_none(), "{answer:?}");
        }
        // As a browser does it, with the jar of curl.
        let jar = ground.pod("client").folder().join("jar").display().to_string();
        let browse = || {
            let get = ground.get("/shop").arg("-b").arg(&jar).arg("-c").arg(&jar);
            Ok::<_, anyhow::Error>(get.send()?.pod())
        };
        let first = browse()?;
        for _ in 0..8 {
            ensure!(browse()? == first);
        }
        // Without a time to live nobody is given one, and without a key anyone may answer.
        hash(&ground, "httpCookie: {name: seat, path: /shop}")?;
        ensure!(ground.get("/shop").send()?.header("set-cookie").is_none());
        let anyone = ground.get("/shop").count(60)?;
        ensure!(anyone.kinds() == 4, "{anyone:?}");

        // By the client's address, on as many connections as it likes.
        hash(&ground, "useSourceIp: true")?;
        for client in ["client", "guest"] {
            let one = ground.get("/").from(client).count(20)?;
            let other = ground.get("/").from(client).header("connection: close").count(8)?;
            ensure!(one.kinds() == 1 && other.0.keys().eq(one.0.keys()), "{client}: {one:?}, {other:?}");
        }
        Ok(())
    })
}
