//! The run as text: what it ran on, a table per part, the goals.

pub(crate) mod column;
pub(crate) mod figures;
mod holdings;
mod part;
mod table;
mod waypoint;

use std::fmt::Write as _;

use self::table::number;
use crate::record::Record;
use crate::statistics::Spread;
use crate::subject::OURS;

/// Other programs' share of the machine, in percent, above which the table calls itself noisy: kernel
/// work that is charged to nobody stays below it.
const QUIET: f64 = 10.0;

/// The hypervisor's share, in percent, above which it does.
const QUIET_STOLEN: f64 = 1.0;

/// The whole text.
pub(crate) fn text(record: &Record) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = machine(&mut text, record);
    for outcome in &record.parts {
        text.push_str(&part::text(outcome, record.host.processors));
    }
    if let Some(outcome) = &record.waypoint {
        text.push_str(&waypoint::text(outcome, record.host.processors));
    }
    let _ = goals(&mut text, record);
    text
}

fn machine(text: &mut String, record: &Record) -> std::fmt::Result {
    let (host, method) = (&record.host, &record.method);
    writeln!(text)?;
    writeln!(
        text,
        "machine   {} x {}, Linux {}, load at start {}",
        host.processors, host.processor, host.kernel, host.load
    )?;
    writeln!(text, "all with  GLIBC_TUNABLES={}", method.glibc_tunables)?;
    writeln!(
        text,
        "ztunnels  2 worker threads each, access log on, to a file"
    )?;
    writeln!(
        text,
        "load      bulk: writes of {} KiB; requests: {} bytes, answers: {} bytes",
        method.chunk_bytes / 1024,
        method.request_bytes,
        method.answer_bytes
    )
}

/// What others used, in percent; whether that is too much to believe the figures.
fn disturbed(text: &mut String, other: Option<Spread>, stolen: Option<Spread>) -> std::fmt::Result {
    let (Some(other), Some(stolen)) = (other, stolen) else {
        return Ok(());
    };
    writeln!(
        text,
        "others    used {:.0} % of the machine [{:.0}-{:.0} per block]; the hypervisor took {:.1} %",
        other.median, other.min, other.max, stolen.median
    )?;
    if other.median > QUIET || stolen.median > QUIET_STOLEN {
        writeln!(
            text,
            "          NOISY: figures of a quiet machine have less than {QUIET} % and {QUIET_STOLEN} %"
        )?;
    }
    Ok(())
}

fn goals(text: &mut String, record: &Record) -> std::fmt::Result {
    if record.goals.is_empty() {
        return Ok(());
    }
    writeln!(text, "\ngoals of {OURS} (none decides the exit code)")?;
    let width = record
        .goals
        .iter()
        .map(|goal| goal.what.len())
        .max()
        .unwrap_or(0);
    for goal in &record.goals {
        let sign = if goal.at_least { ">=" } else { "<=" };
        let met = if goal.met { "met" } else { "NOT MET" };
        let istio = goal.istio.map_or_else(String::new, |istio| {
            format!("   (Istio's elsewhere: {istio})")
        });
        writeln!(
            text,
            "  {:<width$}   {sign} {:<5} {:>6}   {met:<7}{istio}",
            goal.what,
            goal.limit,
            number(goal.measured)
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
