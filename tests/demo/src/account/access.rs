//! What is told of policies and limits at the waypoint.

use std::fmt::{Result, Write as _};

use crate::access::{Access, Asked, Searches};

pub(super) fn write(to: &mut String, access: &Access) -> Result {
    let Access { asked, searches } = access;
    writeln!(
        to,
        "\nWHO MAY DO WHAT AT THE WAYPOINT, AND HOW OFTEN (from its access log)"
    )?;
    for Asked {
        pod,
        line,
        said,
        decided,
    } in asked
    {
        writeln!(to, "\n  {pod:<9} curl {line}")?;
        writeln!(to, "  answer    {} {said}", decided.status)?;
        writeln!(to, "  decided   {}", decided.details)?;
    }
    let Searches {
        sent,
        answered,
        refused,
        last,
    } = searches;
    writeln!(
        to,
        "\n  shop      searches {sent} times; the limit \"searches\" lets each identity search 5 times in an hour"
    )?;
    writeln!(to, "  answers   {answered} times 200, {refused} times 429")?;
    writeln!(to, "  its log   {}", last.text)
}
