//! Frames that break HTTP/2, through a valid certificate: the tunnel ends with the code of RFC 9113 and a line that
//! says why; or, where only a stream is at fault, the stream ends and the tunnel stays.

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Start};
use suites::hostile::frames::{self, code, flag, frame, frame_claiming, kind};
use suites::hostile::tunnel::connect_block;
use suites::hostile::{Answer, Scene};

/// Ends the tunnel, with this code. The engine says `PROTOCOL_ERROR` for some that have a code of their own.
type Fatal = (&'static str, Vec<u8>, u32);

fn fatal(scene: &Scene) -> Vec<Fatal> {
    let connect = connect_block(&scene.authority());
    let opened = frames::headers(1, &connect);
    let after = |bytes: Vec<u8>| [opened.clone(), bytes].concat();
    let more = |name, value| {
        frames::headers(
            1,
            &[&connect[..], &frames::block(&[(name, value)])].concat(),
        )
    };
    let end_headers = flag::END_HEADERS;
    vec![
        (
            "a frame of 16 MiB",
            frame_claiming((1 << 24) - 1, kind::DATA, 0, 1, &[0; 100]),
            code::FRAME_SIZE_ERROR,
        ),
        (
            "HEADERS of 2 MiB",
            frame_claiming(2 << 20, kind::HEADERS, end_headers, 1, &[0; 100]),
            code::FRAME_SIZE_ERROR,
        ),
        (
            "DATA on an idle stream",
            frames::data(7, b"hello"),
            code::PROTOCOL_ERROR,
        ),
        (
            "DATA on the connection",
            frames::data(0, b"hello"),
            code::PROTOCOL_ERROR,
        ),
        (
            "DATA on a stream of the server",
            frames::data(2, b"hello"),
            code::PROTOCOL_ERROR,
        ),
        (
            "HEADERS on the connection",
            frames::headers(0, &connect),
            code::PROTOCOL_ERROR,
        ),
        (
            "HEADERS on a stream of the server",
            frames::headers(2, &connect),
            code::PROTOCOL_ERROR,
        ),
        (
            "stream numbers that go back",
            [frames::headers(9, &connect), frames::headers(5, &connect)].concat(),
            code::PROTOCOL_ERROR,
        ),
        (
            "CONTINUATION out of the blue",
            frame(kind::CONTINUATION, end_headers, 1, &connect),
            code::PROTOCOL_ERROR,
        ),
        (
            "a frame between HEADERS and CONTINUATION",
            [
                frame(kind::HEADERS, 0, 1, &connect),
                frame(kind::PING, 0, 0, &[0; 8]),
            ]
            .concat(),
            code::PROTOCOL_ERROR,
        ),
        (
            "CONTINUATION of another stream",
            [
                frame(kind::HEADERS, 0, 1, &connect),
                frame(kind::CONTINUATION, end_headers, 3, &connect),
            ]
            .concat(),
            code::PROTOCOL_ERROR,
        ),
        (
            "noise for a header block",
            frames::headers(1, &[0xff; 60]),
            code::COMPRESSION_ERROR,
        ),
        (
            "a control character in a value",
            more("baggage", "\u{1}"),
            code::PROTOCOL_ERROR,
        ),
        (
            "a name in capitals",
            more("Baggage", "a=b"),
            code::PROTOCOL_ERROR,
        ),
        (
            "an unknown pseudo-header",
            more(":evil", "1"),
            code::PROTOCOL_ERROR,
        ),
        (
            "DATA after the end",
            after(
                [
                    frame(kind::DATA, flag::END_STREAM, 1, b"x"),
                    frames::data(1, b"y"),
                ]
                .concat(),
            ),
            code::STREAM_CLOSED,
        ),
        (
            "a field of an empty table",
            frames::headers(1, &[0xbe]),
            code::COMPRESSION_ERROR,
        ),
        (
            "a table that grows beyond its limit",
            frames::headers(1, &[0x3f, 0xe1, 0xff, 0x7f]),
            code::COMPRESSION_ERROR,
        ),
        (
            "padding longer than the frame",
            frame(kind::HEADERS, end_headers | flag::PADDED, 1, &[200, 0]),
            code::PROTOCOL_ERROR,
        ),
        (
            "padding longer than DATA",
            after(frame(kind::DATA, flag::PADDED, 1, &[9, 0, 0])),
            code::PROTOCOL_ERROR,
        ),
        (
            "padding without its length",
            after(frame(kind::DATA, flag::PADDED, 1, &[])),
            code::FRAME_SIZE_ERROR,
        ),
        (
            "a window beyond its end",
            frames::window_update(0, (1 << 31) - 1),
            code::FLOW_CONTROL_ERROR,
        ),
        (
            "a window of 0",
            frames::window_update(0, 0),
            code::PROTOCOL_ERROR,
        ),
        (
            "a window of 0 on a stream",
            after(frames::window_update(1, 0)),
            code::PROTOCOL_ERROR,
        ),
        (
            "a window of an idle stream",
            frames::window_update(9, 5),
            code::PROTOCOL_ERROR,
        ),
        (
            "WINDOW_UPDATE of 3 bytes",
            frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1]),
            code::FRAME_SIZE_ERROR,
        ),
        (
            "RST_STREAM of an idle stream",
            frames::reset(9, code::CANCEL),
            code::PROTOCOL_ERROR,
        ),
        (
            "RST_STREAM of the connection",
            frames::reset(0, code::CANCEL),
            code::PROTOCOL_ERROR,
        ),
        (
            "RST_STREAM of 3 bytes",
            after(frame(kind::RST_STREAM, 0, 1, &[0; 3])),
            code::FRAME_SIZE_ERROR,
        ),
        (
            "SETTINGS of 5 bytes",
            frame(kind::SETTINGS, 0, 0, &[0; 5]),
            code::FRAME_SIZE_ERROR,
        ),
        (
            "SETTINGS of a stream",
            frame(kind::SETTINGS, 0, 1, &[]),
            code::PROTOCOL_ERROR,
        ),
        (
            "an answer to SETTINGS with values",
            frame(kind::SETTINGS, 1, 0, &[0; 6]),
            code::FRAME_SIZE_ERROR,
        ),
        (
            "a window beyond its end in SETTINGS",
            frames::settings(&[(4, u32::MAX)]),
            code::FLOW_CONTROL_ERROR,
        ),
        (
            "frames of 1 byte in SETTINGS",
            frames::settings(&[(5, 1)]),
            code::PROTOCOL_ERROR,
        ),
        (
            "push of 2 in SETTINGS",
            frames::settings(&[(2, 2)]),
            code::PROTOCOL_ERROR,
        ),
        (
            "PING of 7 bytes",
            frame(kind::PING, 0, 0, &[0; 7]),
            code::FRAME_SIZE_ERROR,
        ),
        (
            "PING of a stream",
            frame(kind::PING, 0, 1, &[0; 8]),
            code::PROTOCOL_ERROR,
        ),
        (
            "PUSH_PROMISE of a client",
            after(frame(
                kind::PUSH_PROMISE,
                end_headers,
                1,
                &[0, 0, 0, 2, 0x82],
            )),
            code::PROTOCOL_ERROR,
        ),
        (
            "GOAWAY of a stream",
            frame(kind::GOAWAY, 0, 1, &[0; 8]),
            code::PROTOCOL_ERROR,
        ),
        (
            "GOAWAY of 4 bytes",
            frame(kind::GOAWAY, 0, 0, &[0; 4]),
            code::FRAME_SIZE_ERROR,
        ),
    ]
}

pub(crate) fn of_the_tunnel(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "frames", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let witnesses = scene.witnesses()?;
        for (what, bytes, code) in fatal(scene) {
            scene.kills(what, &bytes, code)?;
            witnesses[1].unharmed().context(what)?;
        }
        Ok(())
    })
}

#[test]
fn broken_frames_end_their_tunnel_and_nothing_else() -> Result<()> {
    of_the_tunnel(Capture::Agent)
}

pub(crate) fn of_a_stream(capture: Capture) -> Result<()> {
    let Some(scene) = Scene::captured(capture, "streams", &Start::default())? else {
        return Ok(());
    };
    scene.play(|scene| {
        let connect = connect_block(&scene.authority());
        let ask = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        let mut tunnel = scene.tunnel()?;
        let staying = tunnel.request(&connect)?;
        ensure!(tunnel.answer(staying)? == Answer::Status(200, false));
        let stream = tunnel.request(&connect)?;
        ensure!(tunnel.answer(stream)? == Answer::Status(200, false));
        tunnel.send(&frames::window_update(stream, (1 << 31) - 1))?;
        let reset = loop {
            let frame = tunnel.of(stream).context("a window beyond its end")?;
            if frame.kind == kind::RST_STREAM {
                break frame.code();
            }
        };
        ensure!(
            reset == Some(code::FLOW_CONTROL_ERROR),
            "a window beyond its end: {reset:?}"
        );
        // What must be overlooked: frames and settings that nobody knows, PRIORITY, a late answer to SETTINGS,
        // an answer to a PING that nobody sent, padding that is right, a reset of what has ended.
        tunnel.send(
            &[
                frame(0xbe, 0xff, 0, &[7; 300]),
                frame(0xbe, 0xff, staying, &[]),
                frames::settings(&[(0x7777, 1), (8, 1)]),
                frame(kind::PRIORITY, 0, 99, &[0, 0, 0, 0, 5]),
                frame(kind::PING, 1, 0, &[3; 8]),
                frames::reset(staying + 2, code::CANCEL),
                frame(
                    kind::DATA,
                    flag::PADDED,
                    staying,
                    &[&[4][..], ask, &[0; 4]].concat(),
                ),
            ]
            .concat(),
        )?;
        tunnel.settle()?;
        let answer = tunnel.read(staying, 15)?;
        ensure!(
            answer.starts_with(b"HTTP/1.1 200 "),
            "{:?}",
            String::from_utf8_lossy(&answer)
        );

        // More streams than were offered: those are refused, the others live.
        let streams: Vec<_> = (0..260)
            .map(|_| tunnel.request(&connect))
            .collect::<Result<_>>()?;
        let mut refused = 0;
        for stream in streams {
            match tunnel
                .answer(stream)
                .with_context(|| format!("stream {stream}"))?
            {
                Answer::Status(200, false) => {}
                Answer::Reset(code::REFUSED_STREAM) => refused += 1,
                other @ (Answer::Status(..) | Answer::Reset(_)) => {
                    anyhow::bail!("stream {stream}: {other:?}")
                }
            }
        }
        ensure!(
            (60..200).contains(&refused),
            "{refused} of 260 streams were refused, expected those above 200"
        );
        tunnel.settle()?;
        tunnel.send(&frames::data(staying, ask))?;
        ensure!(!tunnel.read(staying, 1)?.is_empty());
        Ok(())
    })
}

#[test]
fn what_only_a_stream_does_wrong_leaves_the_tunnel() -> Result<()> {
    of_a_stream(Capture::Agent)
}
