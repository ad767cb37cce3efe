//! The mesh that is measured: who is in it, by number.
//!
//! In: a size and a seed. Out: names, addresses and relations of each pod, service and policy, computed and not
//! held, so that the process that measures its own memory holds none of them.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Services of one namespace.
const SERVICES_PER_NAMESPACE: usize = 10;
/// Pods of one node.
const PODS_PER_NODE: usize = 200;
/// The first pod's address.
const PODS: u32 = 0x0a00_0100;
/// The first service's address.
const SERVICES: u32 = 0xac10_0100;

/// What the services are called, with a number.
const WORDS: [&str; 12] = [
    "accounts",
    "billing",
    "cart",
    "catalogue",
    "checkout",
    "frontend",
    "inventory",
    "ledger",
    "orders",
    "payments",
    "search",
    "shipping",
];

/// How much there is of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    /// Pods.
    pub(crate) workloads: usize,
    /// Services.
    pub(crate) services: usize,
    /// AuthorizationPolicies.
    pub(crate) policies: usize,
}

impl Size {
    /// The same mesh, so many times smaller, with one of each at least.
    pub(crate) fn divided(self, by: usize) -> Self {
        let part = |whole: usize| (whole / by).max(1);
        Self {
            workloads: part(self.workloads),
            services: part(self.services),
            policies: part(self.policies),
        }
    }
}

/// The mesh.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// How much there is.
    pub(crate) size: Size,
    seed: u64,
}

/// A pod's names and relations.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// `metadata.name`.
    pub(crate) name: String,
    /// Its owner's.
    pub(crate) replica_set: String,
    /// `pod-template-hash`.
    pub(crate) template: String,
    /// `metadata.uid`.
    pub(crate) uid: String,
    /// The number of its service.
    pub(crate) service: usize,
    /// Its address.
    pub(crate) ip: Ipv4Addr,
    /// The number of its node.
    pub(crate) node: usize,
}

impl Shape {
    /// The mesh of a size and a seed.
    pub(crate) fn new(size: Size, seed: u64) -> Self {
        Self { size, seed }
    }

    /// How many namespaces there are.
    pub(crate) fn namespaces(&self) -> usize {
        self.size.services.div_ceil(SERVICES_PER_NAMESPACE)
    }

    /// How many nodes there are.
    pub(crate) fn nodes(&self) -> usize {
        self.size.workloads.div_ceil(PODS_PER_NODE)
    }

    /// The name of a namespace.
    pub(crate) fn namespace(number: usize) -> String {
        format!("team-{number:05}")
    }

    /// The name of a node.
    pub(crate) fn node(number: usize) -> String {
        format!("node-{number:05}")
    }

    /// The namespace of a service.
    pub(crate) fn namespace_of(&self, service: usize) -> String {
        Self::namespace(service % self.namespaces())
    }

    /// The name of a service, of what is deployed behind it, and of its service account.
    pub(crate) fn service(number: usize) -> String {
        let word = WORDS.get(number % WORDS.len()).unwrap_or(&"service");
        format!("{word}-{number:06}")
    }

    /// The address of a service.
    pub(crate) fn vip(number: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(SERVICES + u32::try_from(number).unwrap_or_default())
    }

    /// The address of a pod.
    pub(crate) fn ip(number: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(PODS + u32::try_from(number).unwrap_or_default())
    }

    /// The service of a pod.
    pub(crate) fn service_of(&self, pod: usize) -> usize {
        pod % self.size.services
    }

    /// A pod.
    pub(crate) fn pod(&self, number: usize) -> Pod {
        let service = self.service_of(number);
        let deployed = Self::service(service);
        let template = Self::letters(&mut self.random(service, 1), 10);
        let mut random = self.random(number, 2);
        let replica_set = format!("{deployed}-{template}");
        let name = format!("{replica_set}-{}", Self::letters(&mut random, 5));
        let (high, low) = (random.u64(..), random.u64(..));
        let uid = format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        );
        Pod {
            name,
            replica_set,
            template,
            uid,
            service,
            ip: Self::ip(number),
            node: random.usize(..self.nodes()),
        }
    }

    /// What a workload of the default cluster is called in xDS.
    pub(crate) fn workload(&self, number: usize) -> String {
        let pod = self.pod(number);
        let namespace = self.namespace_of(pod.service);
        format!("Kubernetes//Pod/{namespace}/{}", pod.name)
    }

    /// Randomness of one thing: the same in every run of a seed.
    pub(crate) fn random(&self, number: usize, purpose: u64) -> fastrand::Rng {
        let number = u64::try_from(number).unwrap_or_default();
        let mixed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ number.wrapping_mul(0xff51_afd7_ed55_8ccd)
            ^ purpose.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        fastrand::Rng::with_seed(mixed)
    }

    /// As Kubernetes draws names: without vowels, so that they say nothing.
    fn letters(random: &mut fastrand::Rng, count: usize) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let letter = |_| random.choice(LETTERS).copied().map_or('b', char::from);
        (0..count).map(letter).collect()
    }
}
