//! `match` and `operation`: where a patch would stand, as far as that changes nothing here.

use yaml::{
    Cursor, Error, Object,
    scalar::{checked, word},
};

use crate::read::field;

const MATCH: &str = "a mapping with context, and listener or waypoint";
const CONTEXT: &str = "ANY, SIDECAR_INBOUND, GATEWAY or WAYPOINT";
/// The filter of HTTP, and its older name.
const MANAGERS: &[&str] = &[
    "envoy.filters.network.http_connection_manager",
    "envoy.http_connection_manager",
];
const ROUTERS: &[&str] = &["envoy.filters.http.router", "envoy.router"];
/// Behind them is where limits are counted.
const GUARDS: &[&str] = &["envoy.filters.http.rbac", "envoy.filters.http.jwt_authn"];

/// Beside which filter of HTTP it is to stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// None.
    #[default]
    Anywhere,
    /// The last one, which sends requests on.
    Router,
    /// One that says who may come.
    Guard,
}

/// `match` of a filter of HTTP.
pub(super) fn filter(at: &Cursor<'_>) -> Result<Place, Error> {
    let object = context(at)?;
    let listener = object.nullable("listener", |at| {
        const LISTENER: &str = "a mapping with filterChain";
        const CHAIN: &str = "a mapping with filter";
        let object = at.exact_object(LISTENER, &["filterChain"])?;
        let chain = object.nullable("filterChain", |at| {
            let object = at.exact_object(CHAIN, &["filter"])?;
            object.nullable("filter", network_filter)
        })?;
        Ok(chain.flatten())
    })?;
    let waypoint = object.nullable("waypoint", |at| {
        let object = at.exact_object("a mapping with filter", &["filter"])?;
        object.nullable("filter", network_filter)
    })?;
    if listener.is_some() && waypoint.is_some() {
        return field::refuse(&object, "waypoint", "either this or listener");
    }
    let found = listener.flatten().or_else(|| waypoint.flatten());
    Ok(found.unwrap_or_default())
}

/// `match` of a listener: a waypoint has one.
pub(super) fn listener(at: &Cursor<'_>) -> Result<(), Error> {
    let object = context(at)?;
    for name in ["listener", "waypoint"] {
        object.nullable(name, |at| at.exact_object("{}", &[]).map(|_| ()))?;
    }
    Ok(())
}

/// What says which proxies, of which only waypoints are here.
fn context<'a>(at: &Cursor<'a>) -> Result<Object<'a>, Error> {
    let object = at.exact_object(MATCH, &["context", "listener", "waypoint"])?;
    object.nullable("context", |at| {
        checked(at, CONTEXT, |text| {
            matches!(text, "ANY" | "SIDECAR_INBOUND" | "GATEWAY" | "WAYPOINT")
        })
        .map(|_| ())
    })?;
    Ok(object)
}

fn network_filter(at: &Cursor<'_>) -> Result<Place, Error> {
    const FILTER: &str = "a mapping with name and subFilter";
    const SUB_FILTER: &str = "a mapping with name";
    let object = at.exact_object(FILTER, &["name", "subFilter"])?;
    object.required("name", FILTER, |at| {
        let expected = "envoy.filters.network.http_connection_manager";
        checked(at, expected, |name| MANAGERS.contains(&name)).map(|_| ())
    })?;
    let place = object.nullable("subFilter", |at| {
        let object = at.exact_object(SUB_FILTER, &["name"])?;
        object.required("name", SUB_FILTER, |at| {
            let expected = "envoy.filters.http.router, envoy.filters.http.rbac or envoy.filters.http.jwt_authn";
            let name = checked(at, expected, |name| {
                ROUTERS.contains(&name) || GUARDS.contains(&name)
            })?;
            Ok(if ROUTERS.contains(&name) {
                Place::Router
            } else {
                Place::Guard
            })
        })
    })?;
    Ok(place.unwrap_or_default())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    First,
    Before,
    After,
}

/// An `operation` that inserts, so that requests would meet the filter.
pub(super) fn operation(at: &Cursor<'_>, place: Place) -> Result<(), Error> {
    let operations = [
        ("INSERT_FIRST", Operation::First),
        ("INSERT_BEFORE", Operation::Before),
        ("INSERT_AFTER", Operation::After),
    ];
    let operation = word(at, &operations)?;
    match (operation, place) {
        (Operation::First | Operation::Before, Place::Anywhere | Place::Router)
        | (Operation::After, Place::Guard) => Ok(()),
        // It would be before them, and count who is not let in.
        (Operation::First | Operation::Before, Place::Guard) => {
            Err(at.unexpected("INSERT_AFTER with this subFilter"))
        }
        (Operation::After, Place::Anywhere | Place::Router) => Err(
            at.unexpected("INSERT_BEFORE or INSERT_FIRST: no request comes behind the last filter")
        ),
    }
}
