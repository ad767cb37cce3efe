//! An agent that breaks the protocol, disappears or is replaced: the conversation ends with a reason, is taken up
//! again, and the pods that are served stay served. What merely fails is answered in its turn, by name.

#[path = "zds/modes.rs"]
mod modes;

use std::fs::File;
use std::net::{Ipv6Addr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use lab::agent::{Agent, Connection, Mode};
use lab::{Capture, Lab, Pod, PodSpec, Start, Ztunnel, until};
use suites::hostile::{DEADLINE, Scene, told_anew};
use suites::traffic::is_served;
use wire::zds::{Ack, MAX_PACKET_BYTES, PodInfo, Request};

/// What is sent again and again, to see whether anything of it stays.
const ROUNDS: usize = 30;

fn add(pod: &Pod) -> Request {
    let spec = pod.spec();
    Request::Add {
        uid: pod.uid().to_owned(),
        pod: PodInfo {
            name: spec.name.clone(),
            namespace: spec.namespace.clone(),
            service_account: spec.service_account.clone(),
        },
    }
}

/// How many descriptors a ztunnel has open.
fn descriptors(ztunnel: &Ztunnel) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", ztunnel.id()))?.count())
}

/// Waits until ztunnel has closed a connection.
fn closed(connection: &Connection) -> Result<()> {
    until("ztunnel closes the connection", DEADLINE, || {
        connection.is_closed()
    })
}

/// A new connection that the test itself talks on, after the one that there is has been closed.
fn take_over(agent: &Agent) -> Result<Arc<Connection>> {
    agent.set_mode(Mode::Manual);
    agent.disconnect();
    let connection = agent.connection(DEADLINE)?;
    connection.receive_hello()?;
    Ok(connection)
}

/// A packet, how many descriptors come with it, and the reason that the log gives.
type Broken = (&'static str, Vec<u8>, usize, &'static str);

fn broken(pod: &Pod) -> Result<Vec<Broken>> {
    let add = add(pod).encode()?;
    let uid = pod.uid().to_owned();
    let mut random = fastrand::Rng::with_seed(1337);
    let mut noise: Vec<u8> = (0..MAX_PACKET_BYTES).map(|_| random.u8(..)).collect();
    // Field 0 is in no message.
    noise[0] = 0;
    let beyond = "packet larger than 1024 bytes";
    let malformed = "expected a protobuf message";
    let expected = "broke the protocol: expected";
    Ok(vec![
        ("noise", noise, 0, malformed),
        ("only ones", vec![0xff; 100], 0, malformed),
        (
            "an add that is cut short",
            add[..add.len() - 3].to_vec(),
            1,
            malformed,
        ),
        (
            "a text that is none",
            vec![0x1a, 0x00, 0x0a, 0x04, 0x0a, 0x02, 0xff, 0xfe],
            1,
            malformed,
        ),
        (
            "nothing",
            Vec::new(),
            0,
            "the agent has closed the connection",
        ),
        (
            "a request that nobody knows",
            vec![0x4a, 0x00],
            0,
            "none is set, expected one of add, del, snapshot_sent, keep",
        ),
        (
            "an add of nobody",
            vec![0x0a, 0x00],
            1,
            "AddWorkload.uid: empty",
        ),
        (
            "an add without names",
            vec![0x0a, 0x03, 0x0a, 0x01, b'x'],
            1,
            "AddWorkload.workload_info: absent",
        ),
        (
            "a del of nobody",
            vec![0x12, 0x00],
            0,
            "DelWorkload.uid: empty",
        ),
        (
            "one byte too many",
            vec![0x0a; MAX_PACKET_BYTES + 1],
            0,
            beyond,
        ),
        ("60 KiB", vec![0x0a; 60 << 10], 1, beyond),
        (
            "an add without a descriptor",
            add.clone(),
            0,
            "one descriptor with add, got 0",
        ),
        (
            "an add with two descriptors",
            add.clone(),
            2,
            "one descriptor with add, got 2",
        ),
        (
            "an add with 253 descriptors",
            add,
            253,
            "one descriptor with add, got 253",
        ),
        (
            "a del with a descriptor",
            Request::Del { uid: uid.clone() }.encode()?,
            1,
            "no descriptor with del, got 1",
        ),
        (
            "a keep with a descriptor",
            Request::Keep { uid }.encode()?,
            1,
            "no descriptor with keep, got 1",
        ),
        (
            "a snapshot with a descriptor",
            Request::SnapshotSent.encode()?,
            1,
            expected,
        ),
        ("an answer", Ack::failed("no, you").encode(), 0, ""),
    ])
}

fn packets(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "packets", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let agent = scene.lab.node(1).agent();
        let other = scene.lab.pod("other");
        let mut snapshots = agent.snapshots();
        let before = descriptors(&scene.far)?;
        let mut send = |what: &str, packet: &[u8], count: usize, reason: &str| {
            let connection = agent.connection(DEADLINE)?;
            let texts = ["warn", "agent connection ended; serving goes on", reason];
            told_anew(&scene.far, &texts, || {
                let rights = vec![other.netns().as_fd(); count];
                connection.send_raw(packet, &rights)?;
                closed(&connection)
            })
            .with_context(|| what.to_owned())?;
            // It comes back by itself and is told everything again.
            snapshots += 1;
            agent
                .wait_snapshots(snapshots, DEADLINE)
                .with_context(|| what.to_owned())
        };
        for (what, packet, count, reason) in broken(&other)? {
            send(what, &packet, count, reason)?;
            scene.load.goes_on().context(what)?;
        }
        // Nothing of them stays: neither descriptors nor memory.
        let packet = add(&other).encode()?;
        for _ in 0..ROUNDS {
            send("two descriptors again", &packet, 2, "got 2")?;
            send("many descriptors again", &packet, 253, "got 253")?;
        }
        // The load opens and closes some of its own.
        let room = 40;
        until("no descriptor is left behind", DEADLINE, || {
            descriptors(&scene.far).is_ok_and(|now| now <= before + room)
        })?;
        ensure!(agent.failures().is_empty(), "{:?}", agent.failures());
        ensure!(scene.far.ready());
        Ok(())
    })
}

#[test]
fn packets_that_break_the_protocol_end_the_conversation_and_nothing_else() -> Result<()> {
    packets(Capture::Agent)
}

fn answers(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "answers", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let (web, other) = (scene.lab.pod("web"), scene.lab.pod("other"));
        let connection = scene.lab.node(1).agent().connection(DEADLINE)?;
        let file = File::open("/dev/null")?;
        let folder = File::open("/")?;
        let unknown = |uid: &str| uid.to_owned();
        let ghost = Request::Add {
            uid: "ghost".to_owned(),
            pod: PodInfo {
                name: "ghost".to_owned(),
                namespace: "default".to_owned(),
                service_account: "ghost".to_owned(),
            },
        };
        let no_namespace = "pod ghost: expected the descriptor of a network namespace";
        // All are sent before one is answered.
        let requests: [(Request, Option<BorrowedFd<'_>>, Option<&str>); 9] = [
            (ghost.clone(), Some(file.as_fd()), Some(no_namespace)),
            (
                Request::Keep {
                    uid: unknown("nobody"),
                },
                None,
                Some("pod nobody is not known"),
            ),
            (add(&web), Some(web.netns().as_fd()), None),
            (
                Request::Keep {
                    uid: web.uid().to_owned(),
                },
                None,
                None,
            ),
            (
                Request::Del {
                    uid: unknown("nobody"),
                },
                None,
                None,
            ),
            (ghost, Some(folder.as_fd()), Some(no_namespace)),
            (Request::SnapshotSent, None, None),
            (
                Request::Del {
                    uid: other.uid().to_owned(),
                },
                None,
                None,
            ),
            (
                Request::Keep {
                    uid: other.uid().to_owned(),
                },
                None,
                Some(other.uid()),
            ),
        ];
        for (request, descriptor, _) in &requests {
            let rights: Vec<_> = descriptor.iter().copied().collect();
            connection.send_raw(&request.encode()?, &rights)?;
        }
        for (request, _, expected) in &requests {
            let ack = connection.receive_ack(DEADLINE)?;
            let error = ack.error.as_deref();
            let right = match (error, expected) {
                (None, None) => true,
                (Some(error), Some(expected)) => error.contains(expected),
                (None, Some(_)) | (Some(_), None) => false,
            };
            ensure!(
                right,
                "{request:?} was answered {error:?}, expected {expected:?}"
            );
            if let Some(expected) = expected {
                scene.far.wait_log(&["warn", expected], DEADLINE)?;
            }
        }
        ensure!(!connection.is_closed(), "none of this breaks the protocol");
        Ok(())
    })
}

#[test]
fn what_fails_is_answered_in_its_turn_and_by_name() -> Result<()> {
    answers(Capture::Agent)
}

fn taken(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "taken", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let late = scene
            .lab
            .add_pod(PodSpec::new("late").node(1).not_enrolled())?;
        let squatter = late.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, 15008)))??;
        let connection = scene.lab.node(1).agent().connection(DEADLINE)?;
        let ack = connection.request(&add(&late), &[late.netns().as_fd()])?;
        let error = ack.error.context("it was taken for served")?;
        for part in [late.uid(), "failed to bind to address", ":15008"] {
            ensure!(error.contains(part), "{error}");
        }
        let dump = scene.far.config_dump()?;
        ensure!(
            dump["workloadState"][late.uid()]["state"] == "Pending",
            "{}",
            dump["workloadState"]
        );
        scene.load.goes_on()?;
        drop(squatter);
        // It tries again by itself.
        scene
            .far
            .wait_log(&["info", "pod added", late.uid()], DEADLINE)?;
        until("it is served", DEADLINE, || is_served(&late, capture))
    })
}

#[test]
fn a_pod_whose_port_is_taken_is_named_and_served_when_the_port_is_free() -> Result<()> {
    taken(Capture::Agent)
}

fn agents(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "agents", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let node = scene.lab.node(1);
        let (web, other) = (scene.lab.pod("web"), scene.lab.pod("other"));

        // One that leaves before its snapshot has ended: nobody is forgotten.
        for _ in 0..3 {
            let connection = take_over(node.agent())?;
            let ack = connection.request(&add(&web), &[web.netns().as_fd()])?;
            ensure!(ack.error.is_none(), "{ack:?}");
        }
        let connection = take_over(node.agent())?;
        scene.load.goes_on()?;
        ensure!(
            is_served(&other, capture),
            "a snapshot that did not end has removed a pod"
        );

        // One that keeps what it does not hand over anew; the rest has left.
        let keep = Request::Keep {
            uid: web.uid().to_owned(),
        };
        for request in [&keep, &Request::SnapshotSent] {
            let ack = connection.request(request, &[])?;
            ensure!(ack.error.is_none(), "{request:?}: {ack:?}");
        }
        scene
            .far
            .wait_log(&["info", "pod removed", other.uid()], DEADLINE)?;
        until("the listeners are closed", DEADLINE, || {
            !is_served(&other, capture)
        })?;
        scene.load.goes_on()?;

        // One that is gone for good, and another at the same place.
        std::fs::remove_file(node.socket())?;
        node.agent().disconnect();
        scene.far.wait_log(
            &["warn", "cannot reach the agent", "serving goes on"],
            DEADLINE,
        )?;
        scene.load.goes_on().context("without any agent")?;
        ensure!(
            scene.far.ready(),
            "an agent that is away makes nobody unready"
        );
        let next = Agent::listen(node.socket().to_owned())?;
        let Request::Add { uid, pod } = add(&web) else {
            unreachable!("it is an add")
        };
        next.add(&uid, pod, Arc::clone(web.netns()))?;
        next.wait_snapshots(1, DEADLINE)?;
        scene.load.goes_on().context("with another agent")?;
        let ack = next
            .connection(DEADLINE)?
            .request(&add(&other), &[other.netns().as_fd()])?;
        ensure!(ack.error.is_none(), "{ack:?}");
        until("it is served", DEADLINE, || is_served(&other, capture))?;
        ensure!(next.failures().is_empty(), "{:?}", next.failures());
        Ok(())
    })
}

#[test]
fn agents_that_leave_in_the_middle_or_are_replaced_take_no_pod_along() -> Result<()> {
    agents(Capture::Agent)
}

fn early(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("early")
        .pod(PodSpec::new("web"))
        .capture(capture)
        .build()?;
    let path = lab.folder().join("late.sock");
    let early = Start::default().env("INPOD_UDS", path.display().to_string());
    let ztunnel = lab.spawn_ztunnel(0, &early)?;
    ztunnel.wait_log(&["warn", "cannot reach the agent"], DEADLINE)?;
    ensure!(!ztunnel.ready(), "ready without ever having heard of a pod");
    let web = lab.pod("web");
    let agent = Agent::listen(path)?;
    let Request::Add { uid, pod } = add(&web) else {
        unreachable!("it is an add")
    };
    agent.add(&uid, pod, Arc::clone(web.netns()))?;
    ztunnel.wait_ready()?;
    until("it is served", DEADLINE, || is_served(&web, capture))
}

#[test]
fn a_ztunnel_that_starts_before_its_agent_waits_for_it() -> Result<()> {
    early(Capture::Agent)
}
