//! `outlierDetection`, also of the mesh, and `retryBudget`.

use std::{collections::BTreeSet, time::Duration};

use yaml::{Cursor, Error, Object, scalar::parse_number};

use crate::{
    objects::destination_rule::{OutlierDetection, RetryBudget},
    read::{duration, field, number},
};

const FIELDS: &[&str] = &[
    "baseEjectionTime",
    "consecutive5xxErrors",
    "consecutiveErrors",
    "consecutiveGatewayErrors",
    "consecutiveLocalOriginFailures",
    "interval",
    "maxEjectionPercent",
    "minHealthPercent",
    "outlierDetectionHttpErrorCodes",
    "splitExternalLocalOriginErrors",
];

/// As many status codes as there are from 100 to 599.
const MAX_CODES: usize = 500;
const PERCENT: &str = "a whole number from 0 to 100";

pub(in crate::read) fn outlier_detection(at: &Cursor<'_>) -> Result<OutlierDetection, Error> {
    let object = at.object("a mapping with consecutive5xxErrors or the like", FIELDS)?;
    let default = OutlierDetection::default();
    let count = |name| object.nullable(name, number::count);
    let deprecated = object.nullable("consecutiveErrors", |at| {
        at.warn("deprecated, consecutiveGatewayErrors and consecutive5xxErrors take its place");
        number::count(at)
    })?;
    let split = field::switch(&object, "splitExternalLocalOriginErrors")?;
    let local = count("consecutiveLocalOriginFailures")?;
    if !split && local.is_some_and(|local| local > 0) {
        let expected = "none without splitExternalLocalOriginErrors";
        return field::refuse(&object, "consecutiveLocalOriginFailures", expected);
    }
    let ejected = percent(&object, "maxEjectionPercent")?;
    Ok(OutlierDetection {
        consecutive_5xx: count("consecutive5xxErrors")?.unwrap_or(default.consecutive_5xx),
        consecutive_gateway: count("consecutiveGatewayErrors")?
            .or(deprecated)
            .unwrap_or(default.consecutive_gateway),
        split_local_origin: split,
        consecutive_local_origin: local
            .filter(|_| split)
            .unwrap_or(default.consecutive_local_origin),
        interval: period(&object, "interval", default.interval)?,
        base_ejection_time: period(&object, "baseEjectionTime", default.base_ejection_time)?,
        // A number whose zero is as if it were absent. Source: protobuf's `int32`.
        max_ejection_percent: ejected
            .filter(|percent| *percent != 0)
            .unwrap_or(default.max_ejection_percent),
        min_health_percent: percent(&object, "minHealthPercent")?
            .unwrap_or(default.min_health_percent),
        error_codes: error_codes(&object)?,
    })
}

fn percent(object: &Object<'_>, name: &'static str) -> Result<Option<u32>, Error> {
    object.nullable(name, |at| number::within(at, 0..=100, PERCENT))
}

fn period(object: &Object<'_>, name: &'static str, default: Duration) -> Result<Duration, Error> {
    let period = object.nullable(name, duration::positive)?;
    Ok(period.unwrap_or(default))
}

/// Source: RS-04.
fn error_codes(object: &Object<'_>) -> Result<BTreeSet<u16>, Error> {
    const CODES: &str = "a status code from 100 to 599";
    let name = "outlierDetectionHttpErrorCodes";
    let codes = field::list_up_to(object, name, "a list of status codes", MAX_CODES, |at| {
        parse_number(at.text(CODES)?)
            .filter(|code| (100..=599).contains(code))
            .ok_or_else(|| at.unexpected(CODES))
    })?;
    Ok(codes.into_iter().collect())
}

pub(super) fn retry_budget(at: &Cursor<'_>) -> Result<RetryBudget, Error> {
    let object = at.object(
        "a mapping with percent and minRetryConcurrency",
        &["budgetInterval", "minRetryConcurrency", "percent"],
    )?;
    let default = RetryBudget::default();
    Ok(RetryBudget {
        share: object
            .nullable("percent", number::percent)?
            .unwrap_or(default.share),
        // As above.
        min_concurrency: number::optional_count(&object, "minRetryConcurrency")?
            .unwrap_or(default.min_concurrency),
        interval: object
            .nullable("budgetInterval", duration::or_none)?
            .flatten(),
    })
}
