//! `destination`, and what has a weight. Nothing in it is left out: without a subset requests go elsewhere.

use yaml::{Cursor, Error, Object, scalar};

use crate::{
    objects::virtual_service::{Destination, HttpDestination, WeightedDestination},
    read::{field, header, name, number},
};

/// Each has a share of at least 1 % where all have the same.
const MAX_DESTINATIONS: usize = 256;
/// The weight of one that is alone.
const WHOLE: u32 = 100;

pub(super) const DESTINATION: &str = "a destination with host, subset and port";
const DESTINATIONS: &str = "a list of at least one destination";
const WEIGHTS: &str = "destinations of which at least one has a weight above 0";

pub(super) fn destination(at: &Cursor<'_>) -> Result<Destination, Error> {
    let object = at.exact_object(DESTINATION, &["host", "port", "subset"])?;
    let port = object.nullable("port", |at| {
        let port = at.exact_object("a mapping with number", &["number"])?;
        port.nullable("number", |at| scalar::port(at).map(|port| port.get()))
    })?;
    Ok(Destination {
        host: object.required("host", "a hostname", name::wildcard_hostname)?,
        subset: field::text(&object, "subset", |at| name::label(at).map(str::to_owned))?
            .unwrap_or_default(),
        port: port.flatten(),
    })
}

/// `route` of an HTTP route.
pub(super) fn http_destinations(at: &Cursor<'_>) -> Result<Vec<HttpDestination>, Error> {
    let mut destinations = field::items_up_to(at, DESTINATIONS, MAX_DESTINATIONS, |at| {
        let object = at.exact_object(
            "a destination with its weight",
            &["destination", "headers", "weight"],
        )?;
        let headers = object.nullable("headers", header::edits)?;
        Ok(HttpDestination {
            destination: object.required("destination", DESTINATION, destination)?,
            weight: weight(&object)?,
            headers: headers.unwrap_or_default(),
        })
    })?;
    let weights = destinations.iter_mut().map(|it| &mut it.weight);
    shares(at, weights.collect())?;
    Ok(destinations)
}

/// `route` of a TLS or TCP route.
pub(super) fn l4_destinations(at: &Cursor<'_>) -> Result<Vec<WeightedDestination>, Error> {
    let mut destinations = field::items_up_to(at, DESTINATIONS, MAX_DESTINATIONS, |at| {
        let object =
            at.exact_object("a destination with its weight", &["destination", "weight"])?;
        Ok(WeightedDestination {
            destination: object.required("destination", DESTINATION, destination)?,
            weight: weight(&object)?,
        })
    })?;
    if destinations.is_empty() {
        return Err(at.unexpected(DESTINATIONS));
    }
    let weights = destinations.iter_mut().map(|it| &mut it.weight);
    shares(at, weights.collect())?;
    Ok(destinations)
}

fn weight(object: &Object<'_>) -> Result<u32, Error> {
    let weight = object.nullable("weight", number::count)?;
    Ok(weight.unwrap_or_default())
}

/// One alone has everything, whatever is written. Source: Istio, RT-04.
fn shares(at: &Cursor<'_>, mut weights: Vec<&mut u32>) -> Result<(), Error> {
    if let [only] = weights.as_mut_slice() {
        **only = WHOLE;
    }
    let total: u64 = weights.iter().map(|weight| u64::from(**weight)).sum();
    if total == 0 && !weights.is_empty() {
        return Err(at.unexpected(WEIGHTS));
    }
    if total > u64::from(u32::MAX) {
        return Err(at.unexpected("weights that are at most 4294967295 together"));
    }
    Ok(())
}
