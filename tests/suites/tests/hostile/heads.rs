//! Request heads that are not those of a tunnel, through a valid certificate: each is answered with the status of
//! the protocol, alone, and the tunnel carries the next one.

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Start};
use suites::hostile::frames::{self, code, flag, kind};
use suites::hostile::tunnel::connect_block;
use suites::hostile::{Answer, Scene, Tunnel};

const REFUSED: Answer = Answer::Status(400, true);
const ACCEPTED: Answer = Answer::Status(200, false);
/// RFC 9113 §8.1.1: a malformed request is a stream error.
const MALFORMED: Answer = Answer::Reset(code::PROTOCOL_ERROR);

struct Case {
    what: &'static str,
    block: Vec<u8>,
    expected: Answer,
    /// What the log says.
    line: &'static str,
}

fn case(what: &'static str, fields: &[(&str, &str)], expected: Answer, line: &'static str) -> Case {
    Case {
        what,
        block: frames::block(fields),
        expected,
        line,
    }
}

/// A CONNECT to nginx with more headers.
fn with(
    what: &'static str,
    authority: &str,
    headers: &[(&str, &str)],
    expected: Answer,
    line: &'static str,
) -> Case {
    let fields = [
        &[(":method", "CONNECT"), (":authority", authority)],
        headers,
    ]
    .concat();
    case(what, &fields, expected, line)
}

fn cases(scene: &Scene) -> Vec<Case> {
    let good = scene.authority();
    let (web, other) = (scene.ip("web"), scene.ip("other"));
    let host = "web.default.svc.cluster.local";
    let connect =
        |what, authority: &str, expected, line| with(what, authority, &[], expected, line);
    let mut cases = vec![
        case(
            "GET",
            &[
                (":method", "GET"),
                (":scheme", "https"),
                (":authority", &good),
                (":path", "/"),
            ],
            REFUSED,
            "expected method CONNECT, got GET",
        ),
        case(
            "a method of its own",
            &[
                (":method", "BREW"),
                (":scheme", "https"),
                (":authority", &good),
                (":path", "/"),
            ],
            REFUSED,
            "expected method CONNECT, got BREW",
        ),
        case(
            "extended CONNECT",
            &[
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https"),
                (":authority", &good),
                (":path", "/"),
            ],
            // RFC 8441 §3: a peer that was not offered it must not send it.
            MALFORMED,
            "",
        ),
        case(
            "no authority",
            &[(":method", "CONNECT")],
            REFUSED,
            "invalid CONNECT address",
        ),
        connect(
            "no port",
            &web.to_string(),
            REFUSED,
            "invalid CONNECT address",
        ),
        connect(
            "port 0",
            &format!("{web}:0"),
            REFUSED,
            "invalid CONNECT address",
        ),
        connect(
            "port 65536",
            &format!("{web}:65536"),
            REFUSED,
            "invalid CONNECT address",
        ),
        connect(
            "userinfo",
            &format!("root@{good}"),
            REFUSED,
            "invalid CONNECT address",
        ),
        connect(
            "a name that cannot be",
            "-.-:80",
            REFUSED,
            "invalid CONNECT address",
        ),
        connect(
            "an octal address",
            "012.10.2.10:8080",
            REFUSED,
            "invalid CONNECT address",
        ),
        connect(
            "an unknown hostname",
            "nobody.default.svc.cluster.local:80",
            REFUSED,
            "no service or workload for hostname",
        ),
        connect(
            "another pod's address",
            &format!("{other}:8080"),
            REFUSED,
            "ip mismatch",
        ),
        connect("loopback", "127.0.0.1:8080", REFUSED, "ip mismatch"),
        connect("our admin port", "127.0.0.1:15000", REFUSED, "ip mismatch"),
        connect(
            "the outbound port",
            &format!("{web}:15001"),
            REFUSED,
            "attempted recursive call to ourselves",
        ),
        connect(
            "the inbound port",
            &format!("{web}:15006"),
            REFUSED,
            "attempted recursive call to ourselves",
        ),
        connect(
            "the tunnel port",
            &format!("{web}:15008"),
            REFUSED,
            "attempted recursive call to ourselves",
        ),
        connect(
            "a port without listener",
            &format!("{web}:9"),
            Answer::Status(503, true),
            "connection failed",
        ),
        connect(
            "a port that the service has not",
            &format!("{host}:81"),
            Answer::Status(503, true),
            "no port mapping",
        ),
        connect("a service of this pod", &format!("{host}:80"), ACCEPTED, ""),
        with(
            "baggage that is broken",
            &good,
            &[
                (
                    "baggage",
                    "k8s.namespace.name=%ff%zz,=,;;;,k8s.deployment.name",
                ),
                ("forwarded", "for=\"["),
            ],
            ACCEPTED,
            "",
        ),
        with(
            "traceparent that is broken",
            &good,
            &[("traceparent", "00-zz-zz-zz")],
            ACCEPTED,
            "",
        ),
        with(
            "somebody else's word for who we are",
            &good,
            &[("x-forwarded-network", "elsewhere")],
            ACCEPTED,
            "",
        ),
        with(
            "a header that HTTP/2 forbids",
            &good,
            &[("connection", "close")],
            MALFORMED,
            "",
        ),
        case("no method", &[(":authority", &good)], MALFORMED, ""),
        case(
            "a pseudo-header at the end",
            &[(":method", "CONNECT"), ("a", "b"), (":authority", &good)],
            MALFORMED,
            "",
        ),
        case(
            "two authorities",
            &[
                (":method", "CONNECT"),
                (":authority", &good),
                (":authority", &good),
            ],
            MALFORMED,
            "",
        ),
        case(
            "an authority of noise",
            &[(":method", "CONNECT"), (":authority", "<> {}|")],
            MALFORMED,
            "",
        ),
    ];
    let baggage = "k8s.deployment.name=x,".repeat(900);
    cases.push(with(
        "baggage of 20,000 bytes",
        &good,
        &[("baggage", &baggage)],
        ACCEPTED,
        "",
    ));
    let many: Vec<_> = (0..1000).map(|_| ("x", "y")).collect();
    cases.push(with("a thousand headers", &good, &many, ACCEPTED, ""));
    cases
}

/// Sends a header block as HEADERS and as many CONTINUATIONs as it takes.
fn request(tunnel: &mut Tunnel, block: &[u8]) -> Result<u32> {
    let stream = tunnel.stream();
    let chunks: Vec<_> = block.chunks(65_536).collect();
    let mut bytes = Vec::new();
    for (number, chunk) in chunks.iter().enumerate() {
        let kind = if number == 0 {
            kind::HEADERS
        } else {
            kind::CONTINUATION
        };
        let flags = if number + 1 == chunks.len() {
            flag::END_HEADERS
        } else {
            0
        };
        bytes.extend(frames::frame(kind, flags, stream, chunk));
    }
    tunnel.send(&bytes)?;
    Ok(stream)
}

pub(crate) fn malformed(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "heads", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let mut tunnel = scene.tunnel()?;
        let address = tunnel.local_addr()?;
        // A stream that lives through all of it.
        let staying = tunnel.connect(&scene.authority())?;
        ensure!(tunnel.answer(staying)? == ACCEPTED);
        for case in cases(scene) {
            let answer = request(&mut tunnel, &case.block)
                .and_then(|stream| {
                    let answer = tunnel.answer(stream)?;
                    if answer == ACCEPTED {
                        tunnel.reset(stream)?;
                    }
                    Ok(answer)
                })
                .context(case.what)?;
            ensure!(
                answer == case.expected,
                "{}: {answer:?}, expected {:?}",
                case.what,
                case.expected
            );
            if !case.line.is_empty() {
                scene.told(case.what, address, case.line)?;
            }
            works(&mut tunnel, staying)
                .with_context(|| format!("the other stream after: {}", case.what))?;
        }

        // More than is read of a head: answered without a look at it, RFC 6585 §5.
        for what in ["one header of 100,000 bytes", "3,000 headers"] {
            let long = "v".repeat(100_000);
            let many = vec![("header", "value"); 3000];
            let headers = if what.starts_with("one") {
                vec![("long", &*long)]
            } else {
                many
            };
            let block = with(what, &scene.authority(), &headers, REFUSED, "").block;
            let stream = request(&mut tunnel, &block)?;
            let answer = tunnel.answer(stream).context(what)?;
            ensure!(answer == Answer::Status(431, true), "{what}: {answer:?}");
            works(&mut tunnel, staying).context(what)?;
        }
        Ok(())
    })
}

#[test]
fn malformed_heads_are_answered_one_by_one() -> Result<()> {
    malformed(Capture::Agent)
}

/// One request on a stream that is open.
fn works(tunnel: &mut Tunnel, stream: u32) -> Result<()> {
    tunnel.send(&frames::data(stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"))?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello from web\n") {
        answer.extend(tunnel.read(stream, 1)?);
    }
    Ok(())
}

pub(crate) fn denied(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "denied", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let mut tunnel = scene.tunnel_as("denied")?;
        let address = tunnel.local_addr()?;
        for _ in 0..3 {
            let stream = tunnel.connect(&scene.authority())?;
            ensure!(tunnel.answer(stream)? == Answer::Status(401, true));
        }
        scene.told("denied", address, "explicitly denied by: default/keep-out")?;

        // A pod of which the mesh knows nothing any more, while its tunnel is open.
        let other = scene.ip("other");
        let client = suites::hostile::Client::with(&scene.certificate("attacker")?);
        let tls = client.connect(&scene.lab.pod("attacker"), (other, 15008).into())?;
        let mut tunnel = Tunnel::open(tls)?;
        let address = tunnel.local_addr()?;
        // Nobody listens there, but the head is right.
        let stream = tunnel.request(&connect_block(&format!("{other}:8080")))?;
        ensure!(tunnel.answer(stream)? == Answer::Status(503, true));
        scene.lab.change(|mesh| mesh.remove_pod("other"))?;
        lab::until("the pod is unknown", suites::hostile::DEADLINE, || {
            let stream = tunnel
                .request(&connect_block(&format!("{other}:8080")))
                .unwrap_or_default();
            tunnel
                .answer(stream)
                .is_ok_and(|answer| answer == Answer::Status(503, true))
                && !scene
                    .far
                    .log_lines(&[&address.to_string(), "workload not found"])
                    .is_empty()
        })
    })
}

#[test]
fn those_whom_policy_denies_and_pods_that_have_left_get_their_status() -> Result<()> {
    denied(Capture::Agent)
}
