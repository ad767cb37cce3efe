//! Floods through a valid certificate: the flooder is slowed down or cut off, and costs little.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Start, until};
use suites::hostile::frames::{self, code, flag, frame, kind};
use suites::hostile::scene::MAX_GROWTH_BYTES;
use suites::hostile::tunnel::connect_block;
use suites::hostile::{Answer, DEADLINE, Scene, Tunnel};

/// How long a flooder waits that is not read any more.
const PATIENCE: Duration = Duration::from_millis(500);
/// Tunnels of one attacker at once.
const TUNNELS: usize = 300;

/// Answers the GOAWAY's code of a tunnel that has been told to stop.
fn cut_off(what: &str, scene: &Scene, tunnel: &mut Tunnel) -> Result<()> {
    let address = tunnel.local_addr()?;
    let end = tunnel.end().with_context(|| what.to_owned())?;
    // The reason is lost where our own bytes, unread, make the kernel reset the connection.
    let told = end.code.is_none_or(|code| code == code::ENHANCE_YOUR_CALM);
    ensure!(told, "{what}: {end:?}");
    scene.told(what, address, "tunnel failed")
}

pub(crate) fn work(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "floods", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let connect = connect_block(&scene.authority());

        let mut tunnel = scene.tunnel()?;
        let resets: Vec<Vec<u8>> = (0..20_000u32)
            .map(|number| 2 * number + 1)
            .map(|id| {
                [
                    frames::headers(id, &connect),
                    frames::reset(id, code::CANCEL),
                ]
                .concat()
            })
            .collect();
        resets
            .chunks(50)
            .take_while(|some| tunnel.send(&some.concat()).is_ok())
            .count();
        cut_off("rapid reset", scene, &mut tunnel)?;
        scene.load.goes_on()?;

        // CVE-2024-27316 and its like: a header block that does not end.
        for (what, piece) in [
            ("CONTINUATION without end", vec![0; 16_000]),
            ("empty CONTINUATION", Vec::new()),
        ] {
            let mut tunnel = scene.tunnel()?;
            tunnel.send(&frame(kind::HEADERS, 0, 1, &connect))?;
            tunnel.flood(20_000, &frame(kind::CONTINUATION, 0, 1, &piece).repeat(10));
            cut_off(what, scene, &mut tunnel)?;
        }

        // CVE-2019-9518: frames without content that go on and on.
        for (what, empty) in [
            ("DATA without bytes", frames::data(1, b"")),
            ("DATA of padding", frame(kind::DATA, flag::PADDED, 1, &[0])),
        ] {
            let mut tunnel = scene.tunnel()?;
            let stream = tunnel.request(&connect)?;
            ensure!(
                tunnel.answer(stream)? == Answer::Status(200, false),
                "{what}"
            );
            tunnel.flood(20_000, &empty.repeat(50));
            cut_off(what, scene, &mut tunnel)?;
        }

        // A field of 4,000 bytes in the table, and 4,000 times one byte that means it: 16 MB.
        let mut tunnel = scene.tunnel()?;
        let bomb = [
            frames::indexed_literal("x", &"v".repeat(4000)),
            vec![0xbe; 4000],
        ]
        .concat();
        let mut block = connect;
        block.extend(bomb);
        tunnel.send(&frames::headers(1, &block))?;
        match tunnel.answer(1) {
            Ok(answer) => ensure!(
                answer == Answer::Status(431, true),
                "a bomb of headers: {answer:?}"
            ),
            Err(_) => cut_off("a bomb of headers", scene, &mut tunnel)?,
        }
        Ok(())
    })
}

#[test]
fn floods_that_ask_for_work_are_cut_off() -> Result<()> {
    work(Capture::Agent)
}

pub(crate) fn answers(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "answers", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let floods = [
            ("PING", frame(kind::PING, 0, 0, b"flooding")),
            ("SETTINGS", frames::settings(&[(4, 1 << 20), (0x99, 1)])),
            ("PRIORITY", frame(kind::PRIORITY, 0, 5, &[0, 0, 0, 1, 9])),
            ("unknown frames", frame(0x77, 0, 0, &[1; 60])),
            ("windows", frames::window_update(0, 1)),
        ];
        for (what, frame) in floods {
            // One that reads the answers gets them.
            let mut tunnel = scene.tunnel()?;
            let batch = frame.repeat(500);
            for _ in 0..100 {
                tunnel.send(&batch).context(what)?;
                tunnel.settle().context(what)?;
            }
            // One that does not is not read any more either, or is cut off.
            let mut deaf = scene.tunnel()?;
            deaf.patience(PATIENCE)?;
            deaf.flood(400, &batch);
            scene.load.goes_on().context(what)?;
            tunnel
                .settle()
                .with_context(|| format!("the one that reads, beside one that does not: {what}"))?;
        }
        Ok(())
    })
}

#[test]
fn floods_that_ask_for_answers_are_answered_or_slowed_down() -> Result<()> {
    answers(Capture::Agent)
}

pub(crate) fn tunnels(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "tunnels", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let witnesses = scene.witnesses()?;
        let open = || scene.far.config_dump().map(|dump| inbound(&dump));
        let before = open()?;
        let mut tunnels = Vec::new();
        for _ in 0..TUNNELS {
            let mut tunnel = scene.tunnel()?;
            let stream = tunnel.connect(&scene.authority())?;
            ensure!(tunnel.answer(stream)? == Answer::Status(200, false));
            tunnels.push(tunnel);
        }
        ensure!(
            open()? >= TUNNELS,
            "every tunnel has a connection in the dump"
        );
        witnesses[1].bounded(MAX_GROWTH_BYTES)?;
        // A third hangs up, a third breaks off, a third is dropped.
        for (number, tunnel) in tunnels.into_iter().enumerate() {
            match number % 3 {
                0 => tunnel.hang_up()?,
                1 => tunnel.break_off()?,
                _ => drop(tunnel),
            }
        }
        until("the connections are gone", DEADLINE, || {
            open().is_ok_and(|now| now <= before + 2)
        })
    })
}

#[test]
fn many_tunnels_of_one_peer_cost_little_and_leave_nothing() -> Result<()> {
    tunnels(Capture::Agent)
}

/// How many inbound connections of pod `web` a dump shows.
fn inbound(dump: &serde_json::Value) -> usize {
    let pods = dump["workloadState"].as_object();
    let of_web = pods.and_then(|pods| pods.values().find(|pod| pod["info"]["name"] == "web"));
    of_web
        .and_then(|pod| pod["connections"]["inbound"].as_array())
        .map_or(0, Vec::len)
}
