//! A ztunnel that ends while pods of its node are joined: what is open may finish, as what is in a tunnel may (HB-05).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::{Capture, Start, until};
use nix::sys::signal::Signal;
use suites::policy::{Call, Echo, Fields, Mark, PATIENCE, Seen, log};
use suites::traffic::is_served;

use super::{counted, lab_with};

/// Longer than two looks at a path are apart, and than each takes.
const LOOKS: Duration = Duration::from_secs(20);

/// With a grace period of 30 s and more the drain outlives what the path is walked for.
fn finishes(capture: Capture) -> Result<()> {
    let start = Start::default().env("TERMINATION_GRACE_PERIOD_SECONDS", "120");
    let Some((lab, [near, _far])) = lab_with("joindrain", capture, &start)? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _echo = Echo::start(&server, &[8080])?;
    let to = SocketAddr::new(server.ip4().into(), 8080);
    lab.scenario(|| {
        let mut quiet = Call::open(&client, to)?;
        let mut busy = Call::open(&client, to)?;
        for call in [&mut quiet, &mut busy] {
            ensure!(call.ping()? == Seen::Answered);
        }
        ensure!(counted(&near, "same_node")? == [2.0, 2.0]);
        let mark = Mark::now(&near);
        near.signal(Signal::SIGTERM)?;
        near.wait_log(&["draining on SIGTERM"], PATIENCE)?;
        for pod in [&client, &server] {
            until("the listeners are closed", PATIENCE, || {
                !is_served(pod, capture)
            })?;
        }
        let told = Instant::now();
        let mut goes_on = Ok(Seen::Answered);
        until("time for two looks at the path", LOOKS * 2, || {
            if matches!(goes_on, Ok(Seen::Answered)) {
                goes_on = busy.ping();
            }
            told.elapsed() > LOOKS || !matches!(goes_on, Ok(Seen::Answered))
        })?;
        ensure!(goes_on? == Seen::Answered, "{}", near.log_tail());
        ensure!(quiet.ping()? == Seen::Answered, "{}", near.log_tail());
        ensure!(near.is_running(), "it must wait for what is open");
        // The last of them ends it.
        for call in [quiet, busy] {
            ensure!(call.finish()? == b"");
        }
        let status = near.terminate(PATIENCE)?;
        ensure!(status.code() == Some(0), "{status}");
        for said in ["connection drain", "does not let", "not joined any more"] {
            let lines = mark.lines(&near, &[said]);
            ensure!(lines.is_empty(), "{lines:#?}");
        }
        Ok(())
    })
}

#[test]
fn joined_connections_finish_after_sigterm_however_long_they_take_with_agent_capture() -> Result<()>
{
    finishes(Capture::Agent)
}

#[test]
fn joined_connections_finish_after_sigterm_however_long_they_take_with_ebpf_capture() -> Result<()>
{
    finishes(Capture::Ebpf)
}

/// For which reason: that of the drain, on both sides, and not that the path has closed.
#[test]
fn joined_connections_that_do_not_finish_are_cut_at_the_deadline_and_say_why() -> Result<()> {
    let start = Start::default().env("CONNECTION_TERMINATION_DEADLINE", "1s");
    let Some((lab, [near, _far])) = lab_with("joincut", Capture::Iptables, &start)? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _echo = Echo::start(&server, &[8080])?;
    let to = SocketAddr::new(server.ip4().into(), 8080);
    lab.scenario(|| {
        let mut open = Call::open(&client, to)?;
        ensure!(open.ping()? == Seen::Answered);
        ensure!(counted(&near, "same_node")? == [1.0, 1.0]);
        let mark = Mark::now(&near);
        let status = near.terminate(PATIENCE)?;
        ensure!(status.code() == Some(0), "{status}");
        open.wait_end(PATIENCE)?;
        let texts = [
            "connection closed due to connection drain",
            &log::source(open.local()),
        ];
        let mut directions = Vec::new();
        for line in mark.wait(&near, &texts, 2)? {
            directions.push(Fields::parse(&line)?.get("direction")?.to_owned());
        }
        directions.sort_unstable();
        ensure!(directions == ["inbound", "outbound"], "{directions:?}");
        Ok(())
    })
}
