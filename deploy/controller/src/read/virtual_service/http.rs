//! `spec.http[]`.

use yaml::{Cursor, Error, Object};

use super::{action, cors, destination, fault, matches, retry};
use crate::{
    objects::{
        Share,
        virtual_service::{HttpAction, HttpRoute, Mirror},
    },
    read::{duration, field, header, line, number},
};

const FIELDS: &[&str] = &[
    "corsPolicy",
    "delegate",
    "directResponse",
    "fault",
    "headers",
    "match",
    "mirror",
    "mirrorPercent",
    "mirrorPercentage",
    "mirrors",
    "name",
    "redirect",
    "retries",
    "rewrite",
    "route",
    "timeout",
];

/// Each copy of a request costs what the request costs.
const MAX_MIRRORS: usize = 16;

const ROUTE: &str = "a route with one of route, redirect, directResponse and delegate";

pub(super) fn route(at: &Cursor<'_>) -> Result<HttpRoute, Error> {
    let object = at.object(ROUTE, FIELDS)?;
    let route = HttpRoute {
        name: line::line(&object, "name")?,
        matches: matches::matches(&object)?,
        action: http_action(&object)?,
        rewrite: object.nullable("rewrite", action::rewrite)?,
        timeout: object.nullable("timeout", duration::or_none)?.flatten(),
        retries: object.nullable("retries", retry::retries)?,
        fault: object.nullable("fault", fault::fault)?.unwrap_or_default(),
        mirrors: mirrors(&object)?,
        cors: object.nullable("corsPolicy", cors::cors)?,
        headers: object
            .nullable("headers", header::edits)?
            .unwrap_or_default(),
    };
    fits_action(&object, &route)?;
    let sets_authority = route.headers.request.set.contains_key(header::AUTHORITY);
    let rewrites_authority = route
        .rewrite
        .as_ref()
        .is_some_and(|it| it.authority.is_some());
    if sets_authority && rewrites_authority {
        let expected = "no other authority than that of rewrite";
        return field::refuse(&object, "headers", expected);
    }
    Ok(route)
}

fn http_action(object: &Object<'_>) -> Result<HttpAction, Error> {
    let actions = [
        object
            .nullable("route", destination::http_destinations)?
            .filter(|route| !route.is_empty())
            .map(HttpAction::Route),
        object
            .nullable("redirect", action::redirect)?
            .map(HttpAction::Redirect),
        object
            .nullable("directResponse", action::direct_response)?
            .map(HttpAction::DirectResponse),
        object
            .nullable("delegate", action::delegate)?
            .map(HttpAction::Delegate),
    ];
    let mut actions = actions.into_iter().flatten();
    match (actions.next(), actions.next()) {
        (Some(action), None) => Ok(action),
        (Some(_), Some(_)) => Err(object
            .cursor()
            .unexpected("one of route, redirect, directResponse and delegate")),
        (None, _) => Err(object.missing("route", ROUTE)),
    }
}

/// What is asked besides must be possible with what is done. Source: Istio, validation of HTTPRoute.
fn fits_action(object: &Object<'_>, route: &HttpRoute) -> Result<(), Error> {
    match &route.action {
        HttpAction::Route(_) | HttpAction::Delegate(_) => Ok(()),
        HttpAction::Redirect(_) | HttpAction::DirectResponse(_) => {
            for name in ["fault", "rewrite"] {
                if field::is_there(object, name)? {
                    return field::refuse(object, name, "none without `route`");
                }
            }
            if !route.mirrors.is_empty() {
                object
                    .cursor()
                    .warn("mirrors have no effect without `route`");
            }
            Ok(())
        }
    }
}

/// `mirrors`, or `mirror` with its percentage.
fn mirrors(object: &Object<'_>) -> Result<Vec<Mirror>, Error> {
    let deprecated = object.nullable("mirrorPercent", |at| {
        at.warn("deprecated, mirrorPercentage takes its place");
        number::percent(at)
    })?;
    let percentage = object.nullable("mirrorPercentage", number::percent_object)?;
    let mirror = object.nullable("mirror", destination::destination)?;
    let expected = "a list of mirrors";
    let mut mirrors = field::list_up_to(object, "mirrors", expected, MAX_MIRRORS, |at| {
        let mirror = at.exact_object(
            "a mirror with destination and percentage",
            &["destination", "percentage"],
        )?;
        let percentage = mirror.nullable("percentage", number::percent_object)?;
        Ok(Mirror {
            destination: mirror.required(
                "destination",
                destination::DESTINATION,
                destination::destination,
            )?,
            share: percentage.unwrap_or(Share::ALL),
        })
    })?;
    if let Some(destination) = mirror {
        if !mirrors.is_empty() {
            return field::refuse(object, "mirror", "either this or mirrors");
        }
        mirrors.push(Mirror {
            destination,
            share: percentage.or(deprecated).unwrap_or(Share::ALL),
        });
    }
    Ok(mirrors)
}
