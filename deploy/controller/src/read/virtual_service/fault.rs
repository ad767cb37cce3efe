//! `fault`.

use yaml::{Cursor, Error, Object, scalar::word};

use crate::{
    objects::{
        Share,
        virtual_service::{Abort, AbortStatus, Delay, Fault},
    },
    read::{duration, field, number},
};

const DELAY: &str = "a delay with fixedDelay and percentage";
const ABORT: &str = "an abort with one of httpStatus and grpcStatus, and percentage";

/// Source: gRPC, status codes.
const GRPC: [(&str, u8); 17] = [
    ("OK", 0),
    ("CANCELLED", 1),
    ("UNKNOWN", 2),
    ("INVALID_ARGUMENT", 3),
    ("DEADLINE_EXCEEDED", 4),
    ("NOT_FOUND", 5),
    ("ALREADY_EXISTS", 6),
    ("PERMISSION_DENIED", 7),
    ("RESOURCE_EXHAUSTED", 8),
    ("FAILED_PRECONDITION", 9),
    ("ABORTED", 10),
    ("OUT_OF_RANGE", 11),
    ("UNIMPLEMENTED", 12),
    ("INTERNAL", 13),
    ("UNAVAILABLE", 14),
    ("DATA_LOSS", 15),
    ("UNAUTHENTICATED", 16),
];

pub(super) fn fault(at: &Cursor<'_>) -> Result<Fault, Error> {
    const FAULT: &str = "a mapping with delay or abort";
    let object = at.object(FAULT, &["abort", "delay"])?;
    let fault = Fault {
        delay: object.nullable("delay", delay)?,
        abort: object.nullable("abort", abort)?,
    };
    if fault == Fault::default() {
        return Err(at.unexpected(FAULT));
    }
    Ok(fault)
}

fn delay(at: &Cursor<'_>) -> Result<Delay, Error> {
    let object = at.object(
        DELAY,
        &["exponentialDelay", "fixedDelay", "percent", "percentage"],
    )?;
    if field::is_there(&object, "exponentialDelay")? {
        let expected = "none: Istio does not implement it, fixedDelay takes its place";
        return field::refuse(&object, "exponentialDelay", expected);
    }
    let deprecated = object.nullable("percent", |at| {
        at.warn("deprecated, percentage takes its place");
        number::percent(at)
    })?;
    Ok(Delay {
        fixed: object.required("fixedDelay", DELAY, duration::positive)?,
        share: share(&object, deprecated)?,
    })
}

fn abort(at: &Cursor<'_>) -> Result<Abort, Error> {
    let object = at.object(
        ABORT,
        &["grpcStatus", "http2Error", "httpStatus", "percentage"],
    )?;
    if field::is_there(&object, "http2Error")? {
        let expected = "none: Istio does not implement it";
        return field::refuse(&object, "http2Error", expected);
    }
    let http = object.nullable("httpStatus", number::status)?;
    let grpc = object.nullable("grpcStatus", |at| word(at, &GRPC))?;
    let status = match (http, grpc) {
        (Some(status), None) => AbortStatus::Http(status),
        (None, Some(status)) => AbortStatus::Grpc(status),
        (Some(_), Some(_)) | (None, None) => return Err(at.unexpected(ABORT)),
    };
    Ok(Abort {
        status,
        share: share(&object, None)?,
    })
}

fn share(object: &Object<'_>, deprecated: Option<Share>) -> Result<Share, Error> {
    let share = object.nullable("percentage", number::percent_object)?;
    let share = share.or(deprecated);
    if share.is_none() {
        object.cursor().warn("no effect without percentage");
    }
    Ok(share.unwrap_or_default())
}
