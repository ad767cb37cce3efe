//! The client behind a waypoint: where the Gateway says `ambit.dev/tell-client`, the destination's ztunnel judges and tells of both, the waypoint and
//! its client; and nobody but the waypoint may say so.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use lab::{Leaf, PodSpec, Start, eventually};
use suites::hostile::{Answer, Client, Tunnel, frames};
use suites::plane::wait_policy;
use suites::policy::{Mark, PATIENCE};
use suites::waypoint::{Ground, HTTP, TCP, authorization_policy};

use crate::yard::annotated;

const TELL: &str = "ambit.dev/tell-client: \"true\"";
const CLAIM: &str = "x-ambit-client-principal";

/// A policy of layer 4 at the pods of `web`.
fn at_pods(action: &str, source: &str) -> String {
    let spec = format!(
        "selector: {{matchLabels: {{app: web}}}}\naction: {action}\nrules:\n- from: [{{source: {{{source}}}}}]\n"
    );
    authorization_policy("pods", &spec)
}

/// Puts it in, and waits until both ztunnels have it. [`Ground::apply`] waits for acknowledgements; this looks.
fn enforce(ground: &Ground, yaml: &str) -> Result<()> {
    ground.apply("pods", yaml)?;
    ground
        .ztunnels
        .iter()
        .try_for_each(|ztunnel| wait_policy(ztunnel, "pods", true))
}

/// Whether requests of a pod to each of the four backends arrive: by HTTP, by HTTP/2, and as bytes.
fn arrives(ground: &Ground, from: &str) -> Result<bool> {
    let mut all = Vec::new();
    for request in [ground.get("/behind"), ground.get("/behind").http2()] {
        for _each in 0..4 {
            let answer = request.clone().from(from).send()?;
            ensure!(
                answer.status == 200 || answer.status == 503,
                "{from}: {answer:?}"
            );
            all.push(answer.status == 200);
        }
    }
    for _each in 0..2 {
        let output = ground
            .get("/bytes")
            .from(from)
            .to("web", TCP)
            .run(&["-o", "/dev/null"])?;
        all.push(output.status.success());
    }
    let first = all.first().copied().context("something was sent")?;
    ensure!(all.iter().all(|it| *it == first), "{from}: {all:?}");
    Ok(first)
}

/// Who arrives: `client`, `guest`.
fn both(ground: &Ground) -> Result<(bool, bool)> {
    Ok((arrives(ground, "client")?, arrives(ground, "guest")?))
}

#[test]
fn policies_at_the_pod_see_the_client_behind_the_waypoint() -> Result<()> {
    let Some(ground) = Ground::builder("behind").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let client = "cluster.local/ns/shop/sa/client";
        let waypoint = "cluster.local/ns/shop/sa/waypoint";
        let tells = |on: bool| {
            let annotation = if on {
                TELL.to_owned()
            } else {
                TELL.replace("true", "false")
            };
            ground.apply("gateway", &annotated(&annotation))
        };
        ensure!(both(&ground)? == (true, true));
        // Action, field, who passes while the waypoint is silent, and while it tells.
        let cases = [
            (
                "ALLOW",
                format!("principals: [{client}]"),
                (false, false),
                (true, false),
            ),
            (
                "ALLOW",
                "namespaces: [town]".to_owned(),
                (false, false),
                (false, true),
            ),
            (
                "ALLOW",
                format!("principals: [{waypoint}]"),
                (true, true),
                (true, true),
            ),
            (
                "ALLOW",
                format!("notPrincipals: [{client}]"),
                (true, true),
                (false, true),
            ),
            (
                "DENY",
                format!("principals: [{client}]"),
                (true, true),
                (false, true),
            ),
            (
                "DENY",
                format!("principals: [{waypoint}]"),
                (false, false),
                (false, false),
            ),
            (
                "DENY",
                format!("notPrincipals: [{client}]"),
                (false, false),
                (true, false),
            ),
            (
                "DENY",
                format!("notPrincipals: [{waypoint}]"),
                (true, true),
                (true, true),
            ),
            (
                "DENY",
                "namespaces: [town]".to_owned(),
                (true, true),
                (true, false),
            ),
            // Addresses stay the waypoint's.
            (
                "ALLOW",
                format!("ipBlocks: [{}]", ground.pod("client").ip4()),
                (false, false),
                (false, false),
            ),
            (
                "ALLOW",
                format!("ipBlocks: [{}]", ground.pod("waypoint").ip4()),
                (true, true),
                (true, true),
            ),
        ];
        for on in [false, true] {
            tells(on)?;
            for (action, source, silent, telling) in &cases {
                enforce(&ground, &at_pods(action, source))?;
                let found = both(&ground)?;
                let expected = if on { telling } else { silent };
                ensure!(
                    found == *expected,
                    "{action} {source}, tells: {on}: {found:?}"
                );
                ground.withdraw(&["pods"])?;
            }
        }
        // A header of a request is nobody's word.
        enforce(
            &ground,
            &at_pods("ALLOW", &format!("principals: [{client}]")),
        )?;
        let claim = format!("{CLAIM}: spiffe://{client}");
        for request in [ground.get("/"), ground.get("/").http2()] {
            let answer = request.from("guest").header(&claim).send()?;
            ensure!(answer.status == 503, "{answer:?}");
        }
        // The log of why names both.
        let refused = [
            ground.pod("guest").identity(),
            ground.pod("waypoint").identity(),
        ];
        eventually("a refusal that names both", PATIENCE, || {
            let texts: Vec<&str> = refused
                .iter()
                .map(String::as_str)
                .chain(["error"])
                .collect();
            let found = ground
                .ztunnels
                .iter()
                .any(|it| !it.log_lines(&texts).is_empty());
            ensure!(
                found,
                "{:#?}",
                ground
                    .ztunnels
                    .iter()
                    .map(lab::Ztunnel::log_tail)
                    .collect::<Vec<_>>()
            );
            Ok(())
        })
    })
}

#[test]
fn the_destination_tells_of_both() -> Result<()> {
    let Some(ground) = Ground::builder("told-of-both").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("gateway", &annotated(TELL))?;
        let waypoint = ground.pod("waypoint").identity();
        for from in ["client", "guest"] {
            let marks: Vec<Mark> = ground.ztunnels.iter().map(Mark::now).collect();
            // Each connection is a stream of its own.
            let answer = ground.get("/both").from(from).to("web", TCP).send()?;
            let node = ground.pod(&answer.pod()).node();
            let ztunnel = ground.ztunnels.get(node).context("a node")?;
            let mark = marks.get(node).context("a node")?;
            let identity = ground.pod(from).identity();
            let line = eventually("a line of both", PATIENCE, || {
                let lines = mark.lines(
                    ztunnel,
                    &["\taccess\t", "direction=\"inbound\"", &answer.pod()],
                );
                let line = lines
                    .into_iter()
                    .find(|it| it.contains("src.client.identity"));
                line.with_context(|| ztunnel.log_tail())
            })?;
            ensure!(
                line.contains(&format!("src.identity=\"{waypoint}\"")),
                "{line}"
            );
            ensure!(
                line.contains(&format!("src.client.identity=\"{identity}\"")),
                "{line}"
            );
            let labels = [
                ("reporter", "destination"),
                ("source_principal", waypoint.as_str()),
                ("client_principal", identity.as_str()),
            ];
            eventually("a count of both", PATIENCE, || {
                let opened = ztunnel.metric("istio_tcp_connections_opened_total", &labels)?;
                ensure!(opened >= 1.0, "{opened}");
                Ok(())
            })?;
            // The workload that the address belongs to is the waypoint, still.
            ensure!(line.contains("src.workload=\"waypoint\""), "{line}");
        }
        Ok(())
    })
}

/// One tunnel with this identity from a pod that is not captured, to a pod's ztunnel; what a CONNECT with these fields is answered.
fn connect(ground: &Ground, identity: &str, to: &str, more: &[(&str, &str)]) -> Result<u16> {
    let issued = ground.lab.ca().issue(&Leaf::new(identity))?;
    let address = (ground.pod(to).ip4(), 15_008).into();
    let mut tunnel = Tunnel::open(Client::with(&issued).connect(&ground.pod("hostile"), address)?)?;
    let authority = format!("{}:8080", ground.pod(to).ip4());
    let fields = [(":method", "CONNECT"), (":authority", authority.as_str())];
    let fields: Vec<(&str, &str)> = fields.iter().chain(more).copied().collect();
    let stream = tunnel.request(&frames::block(&fields))?;
    match tunnel.answer(stream)? {
        Answer::Status(status, _) => Ok(status),
        Answer::Reset(_) => Ok(0),
    }
}

#[test]
fn nobody_but_the_waypoint_says_for_whom_it_comes() -> Result<()> {
    let builder = Ground::builder("claims")
        .pod(PodSpec::new("hostile").namespace("town").not_enrolled())
        // Of the same namespace, behind no waypoint.
        .pod(
            PodSpec::new("lonely")
                .node(1)
                .namespace("shop")
                .label("app", "web"),
        );
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let _echo = suites::echo::Echo::start(&ground.pod("lonely"), &[8080])?;
        ground.apply("gateway", &annotated(TELL))?;
        let client = ground.pod("client").identity();
        let guest = ground.pod("guest").identity();
        let waypoint = ground.pod("waypoint").identity();
        let name = client.trim_start_matches("spiffe://");
        enforce(&ground, &at_pods("ALLOW", &format!("principals: [{name}]")))?;
        let claim = [(CLAIM, client.as_str())];
        // Who it is by certificate counts.
        ensure!(connect(&ground, &client, "v1a", &[])? == 200);
        ensure!(connect(&ground, &guest, "v1a", &[])? == 401);
        // A pod's own claim does not, in any spelling.
        let bare = [(CLAIM, name)];
        let upper = [("X-Ambit-Client-Principal", client.as_str())];
        let low = [("x_ambit_client_principal", client.as_str())];
        let twice = [(CLAIM, guest.as_str()), (CLAIM, client.as_str())];
        for more in [&claim[..], &bare, &low, &twice] {
            for to in ["v1a", "v1b", "lonely"] {
                let status = connect(&ground, &guest, to, more)?;
                ensure!(status == 401, "{more:?} to {to}: {status}");
            }
        }
        // Capitals are no header of HTTP/2.
        let status = connect(&ground, &guest, "v1a", &upper);
        ensure!(!matches!(status, Ok(200)), "{status:?}");
        // Others of the waypoint's namespace, and one that has its name elsewhere.
        for other in [
            "spiffe://cluster.local/ns/shop/sa/other",
            "spiffe://cluster.local/ns/town/sa/waypoint",
        ] {
            let status = connect(&ground, other, "v1a", &claim)?;
            ensure!(status == 401, "{other}: {status}");
        }
        // With the header taken for nothing, a claim does not keep its sender out either.
        let stranger = [(CLAIM, "spiffe://other.domain/ns/a/sa/b")];
        ensure!(connect(&ground, &client, "v1a", &stranger)? == 200);

        // The waypoint's certificate: believed where it stands before the pod, and nowhere else.
        ensure!(connect(&ground, &waypoint, "v1a", &claim)? == 200);
        ensure!(connect(&ground, &waypoint, "v1a", &[])? == 401);
        ensure!(connect(&ground, &waypoint, "v1a", &[(CLAIM, guest.as_str())])? == 401);
        ensure!(connect(&ground, &waypoint, "lonely", &claim)? == 401);
        // A claim that cannot be read, or of another trust domain, is refused.
        let bad: [&[(&str, &str)]; 5] = [
            &twice,
            &stranger,
            &[(CLAIM, "")],
            &bare,
            &[(CLAIM, "spiffe://cluster.local/x")],
        ];
        for more in bad {
            let status = connect(&ground, &waypoint, "v1a", more)?;
            ensure!(status != 200, "{more:?}: {status}");
        }
        Ok(())
    })
}

/// The connections at the application on which a pod's requests came, by the port of their other end.
fn ports(ground: &Ground, from: &str, path: &str) -> Result<BTreeSet<String>> {
    let answer = ground.get(path).from(from).to("one", HTTP).send()?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(BTreeSet::from([answer.told("client")]))
}

#[test]
fn no_stream_speaks_for_two_clients() -> Result<()> {
    let one = suites::waypoint::service("one")
        .named_port("http-one", HTTP, 8080)
        .backend("v1a");
    // One worker: connections that could be shared are found again.
    let builder = Ground::builder("streams-of-two")
        .service(one)
        .start_waypoint(Start::default().env("WAYPOINT_WORKER_THREADS", "1"));
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let rounds = |path: &str| {
            let (mut client, mut guest) = (BTreeSet::new(), BTreeSet::new());
            for _round in 0..10 {
                client.extend(ports(&ground, "client", path)?);
                guest.extend(ports(&ground, "guest", path)?);
            }
            anyhow::Ok((client, guest))
        };
        // While nobody is told, they share: else this test would show nothing.
        let (client, guest) = rounds("/silent")?;
        ensure!(!client.is_disjoint(&guest), "{client:?}, {guest:?}");
        ground.apply("gateway", &annotated(TELL))?;
        let (client, guest) = rounds("/told")?;
        ensure!(client.is_disjoint(&guest), "{client:?}, {guest:?}");
        ensure!(
            client.len() < 10 && guest.len() < 10,
            "{client:?}, {guest:?}"
        );
        // What was shared before is of nobody now.
        let (later, _) = rounds("/later")?;
        ensure!(later.is_disjoint(&guest), "{later:?}, {guest:?}");
        Ok(())
    })
}
