//! What a rule does beside sending on.

use std::{sync::Arc, time::Duration};

use mesh::route::{Abort, AbortStatus, Cors, Delay, Retry, RetryOn, Share};

use super::{matching, scalar};
use crate::{
    proto::waypoint as proto,
    xds::error::{Fault, each},
};

pub(super) fn cors(read: &proto::Cors) -> Result<Cors, Fault> {
    Ok(Cors {
        allow_origins: each("allow_origins", &read.allow_origins, matching::string)?,
        allow_methods: joined("allow_methods", &read.allow_methods)?,
        allow_headers: joined("allow_headers", &read.allow_headers)?,
        expose_headers: joined("expose_headers", &read.expose_headers)?,
        max_age: read.max_age_s,
        allow_credentials: read.allow_credentials,
        forward_unmatched: read.forward_unmatched,
    })
}

/// The list as a header's value. What is in it is a token or `*`.
fn joined(field: &str, read: &[String]) -> Result<Arc<str>, Fault> {
    let tokens = each(field, read, |token| {
        if token == "*" {
            return Ok("*");
        }
        scalar::header("", token, &[])?;
        Ok(token.as_str())
    })?;
    scalar::text(field, &tokens.join(","))
}

pub(super) fn fault(read: &proto::Fault) -> Result<mesh::route::Fault, Fault> {
    let delay = scalar::duration(read.delay_us).map(|duration| Delay {
        duration,
        share: Share::from_ppm(read.delay_ppm),
    });
    let status = match (read.abort_grpc_status, read.abort_status) {
        (Some(status), _) => Some(AbortStatus::Grpc(status)),
        (None, 0) => None,
        (None, status) => Some(AbortStatus::Http(scalar::status("abort_status", status)?)),
    };
    let share = Share::from_ppm(read.abort_ppm);
    Ok(mesh::route::Fault {
        delay: delay.filter(|delay| delay.share != Share::NONE),
        abort: status
            .map(|status| Abort { status, share })
            .filter(|abort| abort.share != Share::NONE),
    })
}

/// Reads when a request is tried again. A word that a later control plane knows is left out: fewer retries.
pub(in crate::xds) fn retry(read: &proto::Retry) -> Result<Retry, Fault> {
    let backoff = scalar::duration(read.backoff_us);
    Ok(Retry {
        attempts: read.attempts,
        per_try_timeout: scalar::duration(read.per_try_timeout_us),
        on: read
            .on
            .iter()
            .filter_map(|word| RetryOn::word(word))
            .collect(),
        statuses: {
            // An interim status ends no try, and is none to try again after.
            let is_final = |status: &&u32| !(100..200).contains(*status);
            let statuses: Vec<_> = read.statuses.iter().filter(is_final).copied().collect();
            each("statuses", &statuses, |status| scalar::status("", *status))?
        },
        headers: each("headers", &read.headers, matching::header)?,
        backoff,
        max_backoff: match (backoff, Duration::from_micros(read.max_backoff_us)) {
            (_, Duration::ZERO) => None,
            (Some(base), longest) if longest < base => {
                let expected = "no less than backoff_us";
                let found = read.max_backoff_us.to_string();
                return Err(Fault::new("max_backoff_us", found, expected));
            }
            (Some(_) | None, longest) => Some(longest),
        },
        other_hosts: read.other_hosts,
        remote_localities: read.remote_localities,
    })
}
