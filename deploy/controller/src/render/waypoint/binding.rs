//! Which waypoint stands before a service or a workload (WPT-05, WPT-06, WPT-07).

use wire::proto::workload::{GatewayAddress, WeightedWaypoint};

use super::{Found, Traffic, Waypoint, waypoint};
use crate::{
    objects::{AllowedNamespaces, Labels, Meta, Namespace},
    render::mesh::{Mesh, NAMESPACE_NAME},
    status::Condition,
};

/// The type of the condition.
pub const WAYPOINT_BOUND: &str = "istio.io/WaypointBound";

const USE_WAYPOINT: &str = "istio.io/use-waypoint";
const USE_WAYPOINT_NAMESPACE: &str = "istio.io/use-waypoint-namespace";
const USE_CANARY: &str = "istio.io/use-waypoint-canary";
const USE_CANARY_NAMESPACE: &str = "istio.io/use-waypoint-canary-namespace";
const CANARY_WEIGHT: &str = "istio.io/use-waypoint-canary-weight";
const INGRESS: &str = "istio.io/ingress-use-waypoint";

/// What labels say of a waypoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// Nothing.
    Absent,
    /// None is wanted, whatever the namespace says.
    OptOut,
    /// That of this namespace and name.
    To(&'a str, &'a str),
}

/// What labels say of the waypoint of an object of `namespace`.
#[must_use]
pub fn reference<'a>(labels: &'a Labels, namespace: &'a str) -> Reference<'a> {
    match labels.get(USE_WAYPOINT).map(String::as_str) {
        None | Some("") => Reference::Absent,
        Some("none") => Reference::OptOut,
        Some(name) => Reference::To(
            labels
                .get(USE_WAYPOINT_NAMESPACE)
                .map_or(namespace, String::as_str),
            name,
        ),
    }
}

/// The namespace and name of the canary that labels name.
#[must_use]
pub fn canary<'a>(labels: &'a Labels, namespace: &'a str) -> Option<(&'a str, &'a str)> {
    let name = labels.get(USE_CANARY).filter(|name| !name.is_empty())?;
    let namespace = labels
        .get(USE_CANARY_NAMESPACE)
        .map_or(namespace, String::as_str);
    Some((namespace, name))
}

/// Finds a Gateway by namespace and name.
pub type Gateways<'a> = dyn Fn(&str, &str) -> Option<Found<'a>> + 'a;

/// What is to be bound.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The namespace it is in.
    pub namespace: &'a str,
    /// The object of that namespace, if it is there.
    pub object: Option<&'a Namespace>,
    /// Its own metadata, of which labels and annotations are read.
    pub meta: &'a Meta,
    /// Its labels, which are not the metadata's everywhere.
    pub labels: &'a Labels,
    /// How it is addressed: [`Traffic::Service`] or [`Traffic::Workload`].
    pub traffic: Traffic,
    /// Only its own namespace sees it.
    pub private: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Binding {
    /// No waypoint is asked for.
    Unbound,
    /// There is one.
    Bound(Box<Bound>),
    /// One is asked for and cannot be had.
    Refused(Problem),
}

/// A waypoint that stands before something.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// `<namespace>/<name>` of its Gateway.
    pub name: String,
    /// Where it is reached.
    pub address: GatewayAddress,
    /// Another that takes a share.
    pub canary: Option<Canary>,
    /// What is wrong with the other, which then takes nothing.
    pub problem: Option<Problem>,
    /// Gateways go through it too.
    pub ingress: bool,
}

/// A waypoint that takes a share.
#[derive(Clone, Debug, PartialEq)]
pub struct Canary {
    /// `<namespace>/<name>` of its Gateway.
    pub name: String,
    /// Where it is reached.
    pub address: GatewayAddress,
    /// Its share of 100: 1 to 100.
    pub weight: u32,
}

/// Why there is no waypoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// For machines.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// The references of a Service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct References {
    /// The waypoint. With a canary, it is for proxies that know of one only.
    pub waypoint: Option<GatewayAddress>,
    /// Where there is a canary: both, as far as they have a share.
    pub weighted: Vec<WeightedWaypoint>,
    /// Gateways go through it too.
    pub ingress: bool,
}

impl Binding {
    /// What a Service carries.
    #[must_use]
    pub fn references(&self) -> References {
        let Self::Bound(bound) = self else {
            return References::default();
        };
        let weighted = bound.canary.iter().flat_map(|canary| {
            let primary = (&bound.address, 100_u32.saturating_sub(canary.weight));
            [primary, (&canary.address, canary.weight)]
        });
        References {
            waypoint: Some(bound.address.clone()),
            weighted: weighted
                .filter(|(_, weight)| *weight > 0)
                .map(|(address, weight)| WeightedWaypoint {
                    destination: Some(address.clone()),
                    weight,
                })
                .collect(),
            ingress: bound.ingress,
        }
    }

    /// What a workload carries.
    #[must_use]
    pub fn address(self) -> Option<GatewayAddress> {
        match self {
            Self::Bound(bound) => Some(bound.address),
            Self::Unbound | Self::Refused(_) => None,
        }
    }
}

/// Binds `target`: its own labels win over those of its namespace, also where the waypoint that they name cannot be had.
#[must_use]
pub fn bind(target: &Target<'_>, mesh: &Mesh<'_>, gateways: &Gateways<'_>) -> Binding {
    let inherited = target.object.map(|it| &it.meta);
    let (named, from) = match reference(target.labels, target.namespace) {
        Reference::OptOut => return Binding::Unbound,
        Reference::To(namespace, name) => ((namespace, name), (target.labels, target.meta)),
        Reference::Absent => {
            let Some(meta) = inherited else {
                return Binding::Unbound;
            };
            let Reference::To(namespace, name) = reference(&meta.labels, target.namespace) else {
                return Binding::Unbound;
            };
            ((namespace, name), (&meta.labels, meta))
        }
    };
    let primary = match attach(target, named, mesh, gateways) {
        Ok(primary) => primary,
        Err(problem) => return Binding::Refused(problem),
    };
    // The canary is read where the waypoint was: one of a namespace is not for a service that chose for itself.
    let (labels, meta) = from;
    let canary = match target.traffic {
        Traffic::Service => canary(labels, target.namespace),
        Traffic::Workload | Traffic::All | Traffic::None => None,
    };
    let weight = meta.annotation(CANARY_WEIGHT);
    let canary = canary.map(|canary| share(target, named, canary, weight, mesh, gateways));
    let (canary, problem) = match canary.transpose() {
        Ok(canary) => (canary.flatten(), None),
        Err(problem) => (None, Some(problem)),
    };
    let ingress = target
        .labels
        .get(INGRESS)
        .or_else(|| inherited?.labels.get(INGRESS));
    Binding::Bound(Box::new(Bound {
        name: format!("{}/{}", primary.namespace, primary.name),
        address: primary.address,
        canary,
        problem,
        ingress: ingress.is_some_and(|value| value.eq_ignore_ascii_case("true")),
    }))
}

/// The conditions of a binding.
#[must_use]
pub fn conditions(binding: &Binding) -> Vec<Condition> {
    let (status, reason, message) = match binding {
        Binding::Unbound => return Vec::new(),
        Binding::Refused(problem) => (false, problem.reason, problem.message.clone()),
        Binding::Bound(bound) => match (&bound.problem, &bound.canary) {
            (Some(problem), _) => (
                false,
                problem.reason,
                format!(
                    "{}; waypoint {} takes everything",
                    problem.message, bound.name
                ),
            ),
            (None, Some(canary)) => (
                true,
                ACCEPTED,
                format!(
                    "bound to waypoint {}, with {}% of connections to canary {}",
                    bound.name, canary.weight, canary.name
                ),
            ),
            (None, None) => (true, ACCEPTED, format!("bound to waypoint {}", bound.name)),
        },
    };
    vec![Condition {
        kind: WAYPOINT_BOUND,
        status,
        reason,
        message,
    }]
}

const ACCEPTED: &str = "WaypointAccepted";

/// A waypoint that takes the target's traffic, or why it does not.
fn attach<'a>(
    target: &Target<'_>,
    (namespace, name): (&str, &str),
    mesh: &Mesh<'_>,
    gateways: &Gateways<'a>,
) -> Result<Waypoint<'a>, Problem> {
    let problem = |reason, message| Err(Problem { reason, message });
    let found = gateways(namespace, name).and_then(|found| waypoint(found, mesh));
    let Some(waypoint) = found else {
        return problem(
            "WaypointIsNotReady",
            format!("waypoint {namespace}/{name} does not exist or has no address yet"),
        );
    };
    if target.private && namespace != target.namespace {
        return problem(
            "CrossNamespaceWaypointForbidden",
            format!(
                "only namespace {} sees it, so that waypoint {namespace}/{name} of another cannot stand before it",
                target.namespace
            ),
        );
    }
    if !is_allowed(&waypoint, target) {
        return problem(
            "AttachmentDenied",
            format!(
                "waypoint {namespace}/{name} does not allow namespace {}: see allowedRoutes of its HBONE listener",
                target.namespace
            ),
        );
    }
    if !waypoint.traffic.includes(target.traffic) {
        return problem(
            "UnsupportedTrafficType",
            format!(
                "waypoint {namespace}/{name} takes {} traffic, not {}: see its label istio.io/waypoint-for",
                waypoint.traffic.name(),
                target.traffic.name()
            ),
        );
    }
    Ok(waypoint)
}

/// A canary and its share; `None` where the share is nothing.
fn share(
    target: &Target<'_>,
    primary: (&str, &str),
    (namespace, name): (&str, &str),
    weight: Option<&str>,
    mesh: &Mesh<'_>,
    gateways: &Gateways<'_>,
) -> Result<Option<Canary>, Problem> {
    if primary == (namespace, name) {
        return Err(Problem {
            reason: "CanarySameAsPrimary",
            message: format!("canary {namespace}/{name} is the waypoint itself"),
        });
    }
    let text = weight.unwrap_or("0");
    let Some(weight) = text.parse().ok().filter(|weight| *weight <= 100) else {
        return Err(Problem {
            reason: "CanaryInvalidWeight",
            message: format!(
                "canary {namespace}/{name}: annotation {CANARY_WEIGHT} is {text:?}, expected a whole number from 0 to 100"
            ),
        });
    };
    let waypoint = attach(target, (namespace, name), mesh, gateways)?;
    Ok((weight > 0).then(|| Canary {
        name: format!("{namespace}/{name}"),
        address: waypoint.address,
        weight,
    }))
}

fn is_allowed(waypoint: &Waypoint<'_>, target: &Target<'_>) -> bool {
    match waypoint.allowed {
        AllowedNamespaces::All => true,
        AllowedNamespaces::Same => waypoint.namespace == target.namespace,
        AllowedNamespaces::Selector(selector) => {
            let mut labels = target
                .object
                .map(|it| it.meta.labels.clone())
                .unwrap_or_default();
            let name = target.namespace.to_owned();
            labels.entry(NAMESPACE_NAME.to_owned()).or_insert(name);
            selector.matches(&labels)
        }
    }
}
