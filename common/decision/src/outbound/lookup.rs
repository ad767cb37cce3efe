//! A destination of which only the name is known: its addresses are somebody else's to find.
//!
//! In: a workload with a hostname, later the addresses that the name has. Out: a [`Plan`] to one of them.
//! Never: resolves.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use mesh::{Hostname, Service, Workload, endpoints::scale, service::IpFamilies};

use super::{Hop, Plan, Refusal, is_self_call};

/// A family of addresses, and so a kind of question: A or AAAA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// A.
    Ipv4,
    /// AAAA.
    Ipv6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv6() { Self::Ipv6 } else { Self::Ipv4 }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Ipv4 => Self::Ipv6,
            Self::Ipv6 => Self::Ipv4,
        }
    }
}

/// Whether a service is dialled by addresses of a family.
pub(super) fn allows(families: IpFamilies, family: Family) -> bool {
    match families {
        IpFamilies::Automatic | IpFamilies::Dual => true,
        IpFamilies::Ipv4Only => family == Family::Ipv4,
        IpFamilies::Ipv6Only => family == Family::Ipv6,
    }
}

/// A connection that waits for the addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    pub(super) hop: Hop,
    pub(super) source: Arc<Workload>,
    pub(super) families: IpFamilies,
    pub(super) port: u16,
}

impl Lookup {
    /// What is to be resolved.
    #[must_use]
    pub fn hostname(&self) -> &Hostname {
        &self.hop.workload.hostname
    }

    /// Whose name it is.
    #[must_use]
    pub fn workload(&self) -> &Arc<Workload> {
        &self.hop.workload
    }

    /// The service that the client dialled, if it dialled one.
    #[must_use]
    pub fn service(&self) -> Option<&Arc<Service>> {
        self.hop.service.as_ref()
    }

    /// The families that will do. **Shape:** that of the address that was dialled first, if it is among them.
    pub fn families(&self) -> impl Iterator<Item = Family> + use<> {
        let families = self.families;
        let dialled = Family::of(self.hop.dialled.ip());
        [dialled, dialled.other()]
            .into_iter()
            .filter(move |family| allows(families, *family))
    }

    /// Goes on with the addresses that the name has: to any one of the best family among them.
    ///
    /// # Errors
    /// Where none of them will do, or leads back to ourselves.
    pub fn resolved(
        self,
        addresses: &[IpAddr],
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Plan, Refusal> {
        let addresses: Vec<IpAddr> = addresses
            .iter()
            .map(IpAddr::to_canonical)
            .filter(|ip| !ip.is_unspecified() && !ip.is_multicast())
            .collect();
        let mut fitting = Vec::new();
        for family in self.families() {
            if fitting.is_empty() {
                fitting.extend(addresses.iter().filter(|ip| Family::of(**ip) == family));
            }
        }
        let total = u64::try_from(fitting.len()).unwrap_or(0);
        let chosen = scale(random(), total)
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| fitting.get(index));
        let Some(&&ip) = chosen else {
            return Err(Refusal::NoValidAddress {
                workload: self.hop.workload.uid.clone(),
                hostname: self.hop.workload.hostname.clone(),
            });
        };
        let address = SocketAddr::new(ip, self.port);
        if is_self_call(&self.source, address) {
            return Err(Refusal::SelfCall);
        }
        Ok(self.hop.at(address))
    }
}
