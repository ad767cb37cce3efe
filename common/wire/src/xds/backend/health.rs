//! `ambit.waypoint.v1.OutlierDetection` and `HealthCheck`.

use std::{num::NonZeroU32, time::Duration};

use mesh::backend::{
    HealthCheck, OutlierDetection, Probe, StatusRange,
    health::{DEFAULT_BASE_EJECTION, DEFAULT_OUTLIER_INTERVAL},
};

use super::duration;
use crate::{
    proto::waypoint as proto,
    xds::{
        error::{Fault, each},
        field,
    },
};

/// Source: the defaults of a probe of Kubernetes, which people know.
const DEFAULT_CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// See [`DEFAULT_CHECK_INTERVAL`].
const DEFAULT_CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// See [`DEFAULT_CHECK_INTERVAL`].
const DEFAULT_UNHEALTHY_THRESHOLD: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);
/// See [`DEFAULT_CHECK_INTERVAL`].
const DEFAULT_HEALTHY_THRESHOLD: NonZeroU32 = NonZeroU32::MIN;

pub(super) fn outlier(read: &proto::OutlierDetection) -> Result<OutlierDetection, Fault> {
    let mut error_statuses = each("error_statuses", &read.error_statuses, |number| {
        status("", *number)
    })?;
    error_statuses.sort_unstable();
    error_statuses.dedup();
    Ok(OutlierDetection {
        consecutive_5xx: NonZeroU32::new(read.consecutive_5xx),
        consecutive_gateway_errors: NonZeroU32::new(read.consecutive_gateway_errors),
        split_local_origin: read.split_local_origin,
        consecutive_local_origin: NonZeroU32::new(read.consecutive_local_origin),
        interval: duration(read.interval_us).unwrap_or(DEFAULT_OUTLIER_INTERVAL),
        base_ejection: duration(read.base_ejection_us).unwrap_or(DEFAULT_BASE_EJECTION),
        max_ejection_percent: percent("max_ejection_percent", read.max_ejection_percent)?,
        min_health_percent: percent("min_health_percent", read.min_health_percent)?,
        error_statuses,
    })
}

pub(super) fn check(read: &proto::HealthCheck) -> Result<HealthCheck, Fault> {
    use proto::health_check::Kind;
    let probe = match &read.kind {
        Some(Kind::Http(read)) => http(read).map_err(|fault| fault.within("http"))?,
        Some(Kind::Grpc(read)) => Probe::Grpc {
            service: field::label("grpc.service", &read.service)?.into(),
        },
        Some(Kind::Tcp(proto::TcpCheck {})) => Probe::Tcp,
        None => return Err(Fault::missing("kind", "http, grpc or tcp")),
    };
    let threshold = |given, default| NonZeroU32::new(given).unwrap_or(default);
    Ok(HealthCheck {
        probe,
        port: field::optional_port("port", read.port)?,
        interval: duration(read.interval_us).unwrap_or(DEFAULT_CHECK_INTERVAL),
        timeout: duration(read.timeout_us).unwrap_or(DEFAULT_CHECK_TIMEOUT),
        unhealthy_threshold: threshold(read.unhealthy_threshold, DEFAULT_UNHEALTHY_THRESHOLD),
        healthy_threshold: threshold(read.healthy_threshold, DEFAULT_HEALTHY_THRESHOLD),
    })
}

fn http(read: &proto::HttpCheck) -> Result<Probe, Fault> {
    let path = match field::label("path", &read.path)? {
        "" => "/",
        path if is_path(path) => path,
        other => {
            let expected = "a path of visible ASCII that begins with a slash";
            return Err(Fault::text("path", other, expected));
        }
    };
    Ok(Probe::Http {
        path: path.into(),
        host: host(&read.host)?.into(),
        expected: each("expected", &read.expected, |range| {
            let first = status("first", range.first)?;
            let last = status("last", range.last)?;
            if first <= last {
                Ok(StatusRange { first, last })
            } else {
                let found = format!("{first} to {last}");
                Err(Fault::new("", found, "the smaller status first"))
            }
        })?,
    })
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A host, perhaps with a port; it stands in a header as it is.
fn host(text: &str) -> Result<&str, Fault> {
    let text = field::label("host", text)?;
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(Fault::text("host", text, "a host of visible ASCII"))
    }
}

fn status(field: &str, number: u32) -> Result<u16, Fault> {
    match u16::try_from(number) {
        Ok(status @ 100..=599) => Ok(status),
        Ok(_) | Err(_) => Err(Fault::new(
            field,
            number.to_string(),
            "a status from 100 to 599",
        )),
    }
}

fn percent(field: &str, number: u32) -> Result<u8, Fault> {
    match u8::try_from(number) {
        Ok(percent @ 0..=100) => Ok(percent),
        Ok(_) | Err(_) => Err(Fault::new(
            field,
            number.to_string(),
            "a number from 0 to 100",
        )),
    }
}
