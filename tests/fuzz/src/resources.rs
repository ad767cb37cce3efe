//! Targets for resources of the control plane.

use wire::{
    proto::{ADDRESS_TYPE, AUTHORIZATION_TYPE, Any, discovery::Resource},
    xds::{Decoder, name},
};

use crate::check_error;

/// A workload or a service. Input: `istio.workload.Address`.
///
/// # Panics
///
/// If a property does not hold.
pub fn xds_address(data: &[u8]) {
    check(ADDRESS_TYPE, data);
}

/// A policy. Input: `istio.security.Authorization`.
///
/// # Panics
///
/// If a property does not hold.
pub fn xds_authorization(data: &[u8]) {
    check(AUTHORIZATION_TYPE, data);
}

fn check(type_url: &str, data: &[u8]) {
    let resource = Resource {
        version: String::new(),
        resource: Some(Any {
            type_url: type_url.to_owned(),
            value: data.to_vec().into(),
        }),
        name: "name".to_owned(),
        aliases: Vec::new(),
    };
    let mut decoder = Decoder::new();
    match decoder.resource(type_url, &resource) {
        Ok(read) => {
            // What a decoder has seen changes nothing.
            assert_eq!(decoder.resource(type_url, &resource), Ok(read.clone()));
            // The name of what was read leads back to it.
            let key = read.key();
            let named = name::of(&key);
            assert!(!named.is_empty() && named.len() <= data.len());
            assert!(!named.contains(char::is_control), "{named:?}");
            assert!(name::removed(type_url, &named).contains(&key), "{named:?}");
            // No address comes of nothing: each takes four bytes at least.
            assert!(name::aliases(&read).len() <= data.len() / 4);
        }
        Err(error) => check_error(&error),
    }
}
