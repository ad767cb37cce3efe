//! What waypoints can read: everything that is compiled is read once as they read it, before it is sent.
//!
//! In: a message. Out: the same, or what stands in its place. Never: something more open than what was asked for.

use grpc::status::chain;
use wire::{
    proto::waypoint::{
        AuthorizationPolicy, BackendPolicy, Policies, RateLimit, RequestAuthentication, RouteTable,
        Settings,
    },
    xds::Decoder,
};

use crate::render::access::Unenforceable;

/// A table as a waypoint reads it. One that none can read would leave the last one in force, whatever was closed since: in its
/// place goes one that is closed.
pub(super) fn table(table: RouteTable) -> RouteTable {
    let Err(error) = Decoder::new().route_table(&table) else {
        return table;
    };
    tracing::warn!(service = table.service, port = table.port, error = %chain(&error), "routes that no waypoint can read: the port answers 403 until they are mended");
    let mut unenforced = table.unenforced;
    unenforced.push("routes that cannot be read".to_owned());
    RouteTable {
        service: table.service,
        port: table.port,
        unenforced,
        ..RouteTable::default()
    }
}

/// A policy as a waypoint reads it; one that none can read is as if it were not there.
pub(super) fn policy(policy: BackendPolicy) -> Option<BackendPolicy> {
    match Decoder::new().backend_policy(&policy) {
        Ok(_) => Some(policy),
        Err(error) => {
            tracing::warn!(service = policy.service, subset = policy.subset, error = %chain(&error), "a backend policy that no waypoint can read is left out");
            None
        }
    }
}

/// Whether a waypoint can read a policy: what it says of it otherwise.
pub(super) fn authorization(policy: &AuthorizationPolicy) -> Result<(), Unenforceable> {
    policies(Policies {
        authorization: vec![policy.clone()],
        ..Policies::default()
    })
}

/// As [`authorization`], of a RequestAuthentication.
pub(super) fn authentication(policy: &RequestAuthentication) -> Result<(), Unenforceable> {
    policies(Policies {
        authentication: vec![policy.clone()],
        ..Policies::default()
    })
}

/// As [`authorization`], of a rate limit.
pub(super) fn rate_limit(limit: &RateLimit) -> Result<(), Unenforceable> {
    policies(Policies {
        rate_limits: vec![limit.clone()],
        ..Policies::default()
    })
}

fn policies(policies: Policies) -> Result<(), Unenforceable> {
    let table = RouteTable {
        service: "namespace/host".to_owned(),
        port: 80,
        policies: Some(policies),
        ..RouteTable::default()
    };
    match Decoder::new().route_table(&table) {
        Ok(_) => Ok(()),
        Err(error) => Err(Unenforceable::Wire(chain(&error))),
    }
}

/// Settings as a waypoint reads them: without what none can read. Policies are read one by one before; if they cannot be read
/// all together, the waypoint is closed.
pub(super) fn settings(settings: Settings) -> Settings {
    let Err(error) = Decoder::new().settings(&settings) else {
        return settings;
    };
    let policies = Settings {
        policies: settings.policies.clone(),
        client_address: settings.client_address.clone(),
        ..Settings {
            namespace: settings.namespace.clone(),
            gateway: settings.gateway.clone(),
            ..Settings::default()
        }
    };
    if let Err(error) = Decoder::new().settings(&policies) {
        tracing::warn!(gateway = settings.gateway, namespace = settings.namespace, error = %chain(&error), "policies that no waypoint can read: the waypoint answers 403 until they are mended");
        let mut unenforced = settings.unenforced.clone();
        unenforced.push("policies that cannot be read".to_owned());
        return self::settings(Settings {
            policies: None,
            client_address: None,
            unenforced,
            ..settings
        });
    }
    tracing::warn!(gateway = settings.gateway, namespace = settings.namespace, error = %chain(&error), "settings of the mesh that no waypoint can read are left out");
    Settings {
        access_log: None,
        default_retry: None,
        default_policy: None,
        ..settings
    }
}
