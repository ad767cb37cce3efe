//! `retries`, and `defaultHttpRetryPolicy` of the mesh.

use yaml::{Cursor, Error, scalar, scalar::parse_number};

use crate::{
    objects::virtual_service::{Retries, RetryCondition, RetryOn},
    read::{duration, field, number},
};

const FIELDS: &[&str] = &[
    "attempts",
    "backoff",
    "perTryTimeout",
    "retryIgnorePreviousHosts",
    "retryOn",
    "retryRemoteLocalities",
];

/// More words than there are.
const MAX_WORDS: usize = 64;

const RETRY_ON: &str = "words of retryOn and status codes from 100 to 599, with commas between them, such as 5xx,reset,409";

pub(in crate::read) fn retries(at: &Cursor<'_>) -> Result<Retries, Error> {
    let object = at.object("a mapping with attempts", FIELDS)?;
    let retries = Retries {
        attempts: object
            .nullable("attempts", number::count)?
            .unwrap_or_default(),
        per_try_timeout: object
            .nullable("perTryTimeout", duration::or_none)?
            .flatten(),
        retry_on: object.nullable("retryOn", retry_on)?.flatten(),
        backoff: object.nullable("backoff", duration::positive)?,
        retry_remote_localities: object.nullable("retryRemoteLocalities", scalar::boolean)?,
        retry_ignore_previous_hosts: object
            .nullable("retryIgnorePreviousHosts", scalar::boolean)?,
    };
    if retries.attempts == 0 && retries != Retries::default() {
        let expected = "at least one attempt, where anything is said of them";
        return field::refuse(&object, "attempts", expected);
    }
    Ok(retries)
}

/// `None` for an empty text, which is as if there were none.
fn retry_on(at: &Cursor<'_>) -> Result<Option<RetryOn>, Error> {
    let text = at.text(RETRY_ON)?;
    if text.is_empty() {
        return Ok(None);
    }
    let mut on = RetryOn::default();
    for (index, word) in text.split(',').map(str::trim).enumerate() {
        if index >= MAX_WORDS {
            return Err(at.unexpected(RETRY_ON));
        }
        let known = RetryCondition::WORDS.iter().find(|(it, _)| *it == word);
        if let Some((_, condition)) = known {
            on.conditions.insert(*condition);
            continue;
        }
        let code = parse_number(word).filter(|code| (100..=599).contains(code));
        on.codes
            .insert(code.ok_or_else(|| at.unexpected(RETRY_ON))?);
        on.conditions.insert(RetryCondition::RetriableStatusCodes);
    }
    Ok(Some(on))
}
