//! What ztunnels hold for connections that have worked once and then stand idle.
//!
//! In: subjects with ztunnels. Out: [`Idle`]. Never: less than all of them open while it is read; the kernel's share.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::load::idle::{HOLDING, Hold};
use crate::memory::{fresh, settled};
use crate::record::Idle;
use crate::spec::Place;
use crate::subject::Subject;
use crate::{files, say};

/// How many connections are to stand idle.
pub(crate) const CONNECTIONS: usize = 10_000;

/// How many files are to be allowed: a ztunnel that joins two pods has two of each connection.
pub(crate) const FILES: u64 = 3 * CONNECTIONS as u64;

/// How long it may take until all stand.
const DEADLINE: Duration = Duration::from_secs(120);

/// All subjects that have ztunnels.
///
/// # Errors
///
/// When a ztunnel does not start again or does not carry all connections.
pub(crate) fn all(subjects: &[Subject]) -> Result<Vec<Idle>> {
    let mut idles = Vec::new();
    for subject in subjects {
        if subject.ztunnels.is_empty() {
            continue;
        }
        let files_each = match subject.spec.place {
            Place::Node => 2,
            // The other side is a stream of a tunnel.
            Place::Nodes | Place::Outside => 1,
        };
        let count = files::room(files_each)?.min(CONNECTIONS);
        say(&format!("{count} idle connections: {}", subject.name()));
        let idle = one(subject, count);
        idles.push(idle.with_context(|| {
            format!(
                "idle connections of {}; {}",
                subject.name(),
                subject.log_tails()
            )
        })?);
    }
    Ok(idles)
}

fn one(subject: &Subject, count: usize) -> Result<Idle> {
    let start = fresh(subject)?;
    // The first connection makes the tunnel or finds the path, which is not what the next ones cost.
    subject.walk()?;
    let warm = settled(subject)?;
    let strays = subject.strays()?;
    let order = Hold {
        server: subject.ip,
        count,
    };
    let program = std::env::current_exe().context("this program's path")?;
    let holder = subject
        .client
        .command([
            program.into_os_string(),
            "--hold".into(),
            order.to_string().into(),
        ])
        .label("holder")
        .spawn()?;
    holder.wait_log(HOLDING, DEADLINE)?;
    let idle = settled(subject)?;
    let active = subject.server.served().active();
    ensure!(
        active == count,
        "{active} connections are open at the server, expected {count}"
    );
    ensure!(
        subject.strays()? <= strays,
        "some connections took another path than {}",
        subject.spec.security()
    );
    drop(holder);
    subject.wait_quiet()?;
    Ok(Idle {
        subject: subject.name().to_owned(),
        connections: count,
        start,
        warm,
        idle,
        closed: settled(subject)?,
    })
}
