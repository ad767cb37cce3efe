//! Certificates that must not be believed, shown to our server and by a server to our client; and what happens to
//! connections when certificates are renewed and when they end.

#[path = "certificates/modes.rs"]
mod modes;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use lab::programs::{Nginx, nginx};
use lab::{Ca, Capture, Issued, Lab, Leaf, PodSpec, Start, Usage, Ztunnel, eventually, until};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use suites::hostile::impostor::Seen;
use suites::hostile::tls::{refusal, tcp};
use suites::hostile::tunnel::connect_block;
use suites::hostile::{Answer, Client, DEADLINE, Impostor, Load, Scene, Tunnel, frames, told_anew};

const HOUR: Duration = Duration::from_secs(3600);
/// The life of certificates in tests of their end. Units of a certificate's times are seconds.
const SHORT: Duration = Duration::from_secs(8);
/// The life that ztunnels ask for in tests of renewal.
const TTL: &str = "8s";

/// A certificate that must be refused, and what the refusal says.
struct Bad {
    what: &'static str,
    issued: Issued,
    line: &'static str,
}

/// Certificates that nobody may believe who expects `uri`.
fn bad(ca: &Ca, folder: &Path, uri: &str) -> Result<Vec<Bad>> {
    let now = SystemTime::now();
    let leaf = || Leaf::new(uri);
    let foreign = Ca::create(folder, "stranger")?;
    let twin_folder = folder.join("twin");
    std::fs::create_dir_all(&twin_folder)?;
    // The same name as our root's, and another key.
    let twin = Ca::create(&twin_folder, "ca")?;
    let other_domain = uri.replace("cluster.local", "other.domain");
    let case = |what, issued: Result<Issued>, line| {
        Ok::<_, anyhow::Error>(Bad {
            what,
            issued: issued.context(what)?,
            line,
        })
    };
    Ok(vec![
        case(
            "another trust domain",
            ca.issue(&Leaf::new(other_domain)),
            "other.domain",
        )?,
        case(
            "expired",
            ca.issue(&leaf().valid(now - 2 * HOUR, now - HOUR)),
            "peer certificate expired at",
        )?,
        case(
            "not yet valid",
            ca.issue(&leaf().valid(now + HOUR, now + 2 * HOUR)),
            "peer certificate is not valid before",
        )?,
        case(
            "forged by another authority",
            foreign.issue(&leaf()),
            "peer certificate was issued by",
        )?,
        case(
            "forged by an authority of the same name",
            twin.issue(&leaf()),
            "BadSignature",
        )?,
        case(
            "two URI SANs",
            ca.issue(&leaf().uri("spiffe://cluster.local/ns/default/sa/root")),
            "peer certificate has 2 URI SANs",
        )?,
        case(
            "a DNS SAN only",
            ca.issue(&leaf().without_uris().dns("web.default.svc")),
            "peer certificate has no URI SAN",
        )?,
    ])
}

/// The authority's own certificate and key.
fn authority(ca: &Ca) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
    let certificate = CertificateDer::from_pem_slice(ca.root_pem().as_bytes())?;
    Ok((certificate, PrivateKeyDer::from_pem_file(ca.key_path())?))
}

fn clients(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "clients", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let attacker = scene.lab.pod("attacker");
        let refuse = |what: &str, client: &Client, line: &str| {
            let texts = ["warn", "access", "connection failed", "tls error", line];
            let refused = told_anew(&scene.far, &texts, || {
                let words = refusal(client.connect(&attacker, scene.hbone()))?;
                ensure!(words.contains("alert"), "{words}");
                Ok(())
            });
            refused.with_context(|| what.to_owned())
        };
        refuse(
            "no certificate",
            &Client::anonymous(),
            "peer showed no certificate",
        )?;
        let uri = "spiffe://cluster.local/ns/default/sa/attacker";
        for Bad { what, issued, line } in bad(scene.lab.ca(), scene.lab.folder(), uri)? {
            refuse(what, &Client::with(&issued), line)?;
        }
        let issue = |leaf: &Leaf| scene.lab.ca().issue(leaf);
        let mut server_only = Leaf::new(uri);
        server_only.usages = vec![Usage::Server];
        refuse(
            "not for clients",
            &Client::with(&issue(&server_only)?),
            "is refused: invalid peer certificate",
        )?;
        for (what, uri) in [
            ("not a workload", "spiffe://cluster.local/node/7"),
            ("not SPIFFE", "https://cluster.local/ns/default/sa/attacker"),
        ] {
            let client = Client::with(&issue(&Leaf::new(uri))?);
            refuse(what, &client, uri)?;
        }
        let (root, key) = authority(scene.lab.ca())?;
        refuse(
            "the authority itself",
            &Client::with_chain(vec![root.clone()], key),
            "CaUsedAsEndEntity",
        )?;
        let (leaf, key) = suites::hostile::tls::identity(&issue(&Leaf::new(uri))?);
        let long = [leaf, vec![root; 40]].concat();
        refuse(
            "41 certificates",
            &Client::with_chain(long, key),
            "41 certificates",
        )?;

        // Somebody with a good one gets in, so it was not the door that was shut.
        let mut tunnel = scene.tunnel()?;
        let stream = tunnel.connect(&scene.authority())?;
        ensure!(tunnel.answer(stream)? == Answer::Status(200, false));
        ensure!(
            scene.far.metric(
                "istio_tcp_connections_failed_total",
                &[("response_flags", "TLS_FAILURE")]
            )? >= 12.0
        );
        Ok(())
    })
}

#[test]
fn clients_without_a_certificate_of_the_mesh_are_refused_with_a_reason() -> Result<()> {
    clients(Capture::Agent)
}

/// A lab, its ztunnels, and the load from `client` to `web`.
type Ground = (Lab, [Ztunnel; 2], Load, Nginx);

/// A pod `fake` that has no ztunnel, although the mesh says that it speaks HBONE.
fn with_fake(capture: Capture, name: &str, start: &Start) -> Result<Option<Ground>> {
    if !lab::possible() {
        return Ok(None);
    }
    let lab = Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("web").node(1))
        .pod(PodSpec::new("fake").node(1).not_enrolled())
        .capture(capture)
        .build()?;
    lab.change(|mesh| {
        mesh.workload("fake")
            .map(|fake| fake["protocol"] = json!("HBONE"))
    })??;
    let nginx = nginx(&lab.pod("web"), 8080)?;
    let ztunnels = lab.start_ztunnels(start)?;
    let load = Load::start(&lab.pod("client"), (lab.pod("web").ip4(), 8080).into())?;
    Ok(Some((lab, ztunnels, load, nginx)))
}

fn fake(lab: &Lab) -> SocketAddr {
    (lab.pod("fake").ip4(), 7777).into()
}

/// Sends a line from `client` to `fake` and answers what comes back.
fn call(lab: &Lab) -> Result<String> {
    let mut stream = tcp(&lab.pod("client"), fake(lab))?;
    stream.write_all(b"secret\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn servers(capture: Capture) -> Result<()> {
    let Some((lab, [near, _far], load, _nginx)) = with_fake(capture, "servers", &Start::default())?
    else {
        return Ok(());
    };
    lab.scenario(|| {
        let machine = lab.pod("fake");
        let expected = machine.identity();
        let mut cases = bad(lab.ca(), lab.folder(), &expected)?;
        let other = lab
            .ca()
            .issue(&Leaf::new("spiffe://cluster.local/ns/default/sa/client"))?;
        let line = "expected spiffe://cluster.local/ns/default/sa/fake";
        cases.push(Bad {
            what: "another workload",
            issued: other,
            line,
        });
        let mut client_only = Leaf::new(&*expected);
        client_only.usages = vec![Usage::Client];
        let line = "is refused: invalid peer certificate";
        cases.push(Bad {
            what: "not for servers",
            issued: lab.ca().issue(&client_only)?,
            line,
        });
        for Bad { what, issued, line } in cases {
            let texts = ["error", "access", "outbound", "tls error", line];
            told_anew(&near, &texts, || {
                let impostor = Impostor::start(&machine, &issued)?;
                let answer = call(&lab);
                ensure!(answer.is_err(), "answered {answer:?}");
                let ended = |seen: &[Seen]| seen.first().is_some_and(|tunnel| tunnel.ended);
                let seen = impostor.wait("the refusal", ended)?;
                let [tunnel] = &seen[..] else {
                    bail!("{seen:?}, expected one attempt")
                };
                let words = tunnel.handshake.as_deref().unwrap_or_default();
                ensure!(words.contains("alert"), "the impostor heard {words:?}");
                ensure!(
                    tunnel.plaintext == 0 && tunnel.streams.is_empty(),
                    "{tunnel:?}"
                );
                Ok(())
            })
            .with_context(|| what.to_owned())?;
            load.goes_on()?;
        }
        // The right one is spoken to, or none of the above shows anything.
        let impostor = Impostor::start(&machine, &lab.ca().issue(&Leaf::new(&*expected))?)?;
        ensure!(call(&lab)? == "secret\n");
        ensure!(
            impostor
                .seen()
                .iter()
                .any(|tunnel| !tunnel.streams.is_empty())
        );
        ensure!(
            near.metric(
                "istio_tcp_connections_closed_total",
                &[("response_flags", "TLS_FAILURE")]
            )? >= 9.0
        );
        Ok(())
    })?;
    load.stop().map(drop)
}

#[test]
fn servers_that_are_not_who_was_called_never_see_a_byte() -> Result<()> {
    servers(Capture::Agent)
}

/// The serial number of the certificate that a ztunnel uses for a service account now.
fn serial(ztunnel: &Ztunnel, account: &str) -> Result<String> {
    let dump = ztunnel.config_dump()?;
    let identity = format!("spiffe://cluster.local/ns/default/sa/{account}");
    let certificates = dump["certificates"].as_array().context("no certificates")?;
    let one = certificates.iter().find(|one| one["identity"] == *identity);
    let serial = one.and_then(|one| one["certChain"][0]["serialNumber"].as_str());
    Ok(serial
        .with_context(|| format!("no certificate of {identity}"))?
        .to_owned())
}

/// Waits until a ztunnel has another certificate than this.
fn renewed(ztunnel: &Ztunnel, account: &str, old: &str) -> Result<String> {
    eventually("another certificate", DEADLINE, || {
        let new = serial(ztunnel, account)?;
        ensure!(new != old, "it is still {old}");
        Ok(new)
    })
}

fn renewal(capture: Capture) -> Result<()> {
    let start = Start::default().env("SECRET_TTL", TTL);
    let Some((lab, [near, far], load, _nginx)) = with_fake(capture, "renewal", &start)? else {
        return Ok(());
    };
    lab.scenario(|| {
        let machine = lab.pod("fake");
        // What our server shows.
        let web = SocketAddr::new(lab.pod("web").ip4().into(), 15008);
        let leaf = lab.ca().issue(&Leaf::new(machine.identity()))?;
        let open = || Tunnel::open(Client::with(&leaf).connect(&machine, web)?);
        let mut old_tunnel = open()?;
        let old_serial = serial(&far, "web")?;
        let authority = format!("{}:8080", web.ip());
        let old_stream = old_tunnel.connect(&authority)?;
        ensure!(old_tunnel.answer(old_stream)? == Answer::Status(200, false));

        // What our client shows: the first connection stays for the whole test.
        let impostor = Impostor::start(&machine, &leaf)?;
        let mut old_call = tcp(&lab.pod("client"), fake(&lab))?;
        let mut echo = |text: &[u8; 4]| -> Result<()> {
            old_call.write_all(text)?;
            let mut answer = [0; 4];
            old_call.read_exact(&mut answer)?;
            ensure!(&answer == text);
            Ok(())
        };
        echo(b"one.")?;
        let first = impostor.seen()[0]
            .client
            .clone()
            .context("no client certificate")?;
        let first_serial = serial(&near, "client")?;

        // Twice, so that the first ones have ended.
        let second_serial = renewed(&near, "client", &first_serial)?;
        ensure!(call(&lab)? == "secret\n");
        let seen = impostor.seen();
        ensure!(
            seen.len() > 1,
            "a new connection went through the old certificate's tunnel: {seen:?}"
        );
        ensure!(
            seen[1]
                .client
                .as_ref()
                .is_some_and(|second| *second != first),
            "the same certificate"
        );
        renewed(&near, "client", &second_serial)?;
        renewed(
            &far,
            "web",
            &renewed(&far, "web", &old_serial).context("web's")?,
        )?;

        let new_tunnel = open()?;
        ensure!(new_tunnel.server_certificate()? != old_tunnel.server_certificate()?);
        echo(b"two.").context("the connection through the first tunnel of all")?;
        old_tunnel.send(&frames::data(
            old_stream,
            b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        ))?;
        ensure!(
            old_tunnel
                .read(old_stream, 15)?
                .starts_with(b"HTTP/1.1 200 ")
        );
        // Nor have the streams of the old tunnel been moved, or joined.
        ensure!(
            impostor.seen()[0].streams.len() == 1,
            "{:?}",
            impostor.seen()
        );
        load.goes_on()
    })?;
    load.stop().map(drop)
}

#[test]
fn new_connections_use_a_new_certificate_and_old_ones_stay() -> Result<()> {
    renewal(Capture::Agent)
}

fn expiry(capture: Capture) -> Result<()> {
    let Some((lab, [near, far], load, _nginx)) = with_fake(capture, "expiry", &Start::default())?
    else {
        return Ok(());
    };
    lab.scenario(|| {
        let machine = lab.pod("fake");
        let now = SystemTime::now();
        let end = now + SHORT;
        let short = lab
            .ca()
            .issue(&Leaf::new(machine.identity()).valid(now - HOUR, end))?;

        // Our server, and a client whose certificate ends.
        let web = SocketAddr::new(lab.pod("web").ip4().into(), 15008);
        let mut tunnel = Tunnel::open(Client::with(&short).connect(&machine, web)?)?;
        let block = connect_block(&format!("{}:8080", web.ip()));
        let old = tunnel.request(&block)?;
        ensure!(tunnel.answer(old)? == Answer::Status(200, false));

        // Our client, and a server whose certificate ends.
        let impostor = Impostor::start(&machine, &short)?;
        let mut staying = tcp(&lab.pod("client"), fake(&lab))?;
        staying.write_all(b"one.")?;
        staying.read_exact(&mut [0; 4])?;
        ensure!(call(&lab)? == "secret\n");
        ensure!(
            impostor
                .seen()
                .iter()
                .map(|tunnel| tunnel.streams.len())
                .sum::<usize>()
                == 2
        );

        // A certificate's end is told in whole seconds.
        until("the end of the certificate", DEADLINE, || {
            SystemTime::now() > end
        })?;
        let new = tunnel.request(&block)?;
        ensure!(tunnel.answer(new)? == Answer::Reset(frames::code::REFUSED_STREAM));
        tunnel.send(&frames::data(old, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"))?;
        ensure!(
            tunnel.read(old, 15)?.starts_with(b"HTTP/1.1 200 "),
            "what is open stays"
        );
        until("GOAWAY", DEADLINE, || {
            drop(tunnel.settle());
            tunnel.goaway() == Some(frames::code::NO_ERROR)
        })?;

        ensure!(
            call(&lab).is_err(),
            "a server whose certificate has ended was believed"
        );
        near.wait_log(
            &[
                "error",
                "outbound",
                "tls error",
                "peer certificate expired at",
            ],
            DEADLINE,
        )?;
        let streams: usize = impostor
            .seen()
            .iter()
            .map(|tunnel| tunnel.streams.len())
            .sum();
        ensure!(
            streams == 2,
            "a stream was opened after the end: {:?}",
            impostor.seen()
        );
        staying.write_all(b"two.")?;
        staying
            .read_exact(&mut [0; 4])
            .context("what is open stays")?;
        ensure!(far.is_running() && near.is_running());
        load.goes_on()
    })?;
    load.stop().map(drop)
}

#[test]
fn nothing_new_begins_on_a_tunnel_whose_certificate_has_ended() -> Result<()> {
    expiry(Capture::Agent)
}
