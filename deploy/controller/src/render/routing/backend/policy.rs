//! What a policy inherits, block by block.

use wire::proto::waypoint::{Distribute, Failover, LocalityPolicy};

use crate::objects::{
    MeshConfig,
    destination_rule::{
        ClientTls, ConnectionPool, LoadBalancer, LocalityBalancing, OutlierDetection, PortPolicy,
        TrafficPolicy as Policy,
    },
};

/// The blocks that are in force.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::render::routing) struct Blocks<'a> {
    pub(super) load_balancer: Option<&'a LoadBalancer>,
    pub(super) pool: Option<&'a ConnectionPool>,
    pub(super) outlier: Option<&'a OutlierDetection>,
    pub(super) tls: Option<&'a ClientTls>,
}

impl<'a> Blocks<'a> {
    /// Those of the mesh. Source: MeshConfig `defaultTrafficPolicy`.
    pub(in crate::render::routing) fn of_mesh(config: &'a MeshConfig) -> Self {
        Self {
            pool: config.default_connection_pool.as_ref(),
            outlier: config.default_outlier_detection.as_ref(),
            ..Self::default()
        }
    }

    /// Those of a rule and of its subset, on top of the mesh's.
    pub(super) fn resolved(
        self,
        rule: Option<&'a Policy>,
        subset: Option<&'a Policy>,
        port: Option<u16>,
    ) -> Self {
        let mut blocks = self;
        for policy in [rule, subset].into_iter().flatten() {
            blocks = blocks.overridden(&policy.any_port);
            if let Some(own) = port.and_then(|port| policy.ports.get(&port)) {
                // Of which nothing is inherited but the mesh's.
                blocks = self.overridden(own);
            }
        }
        blocks
    }

    fn overridden(self, by: &'a PortPolicy) -> Self {
        Self {
            load_balancer: by.load_balancer.as_ref().or(self.load_balancer),
            pool: by.connection_pool.as_ref().or(self.pool),
            outlier: by.outlier_detection.as_ref().or(self.outlier),
            tls: by.tls.as_ref().or(self.tls),
        }
    }
}

/// How endpoints are preferred by locality; `None` where only the service's own preference counts.
///
/// A DestinationRule's setting counts before the service's own preference, and that before the mesh's. Failing over needs
/// `outlierDetection`, since without it nobody knows that a locality fails. Source: Istio, RS-10; it is on where nothing is said.
pub(in crate::render::routing) fn locality(
    blocks: &Blocks<'_>,
    has_preference: bool,
    config: &MeshConfig,
) -> Option<LocalityPolicy> {
    let own = blocks.load_balancer.and_then(|it| it.locality.as_ref());
    let of_mesh = || config.locality_balancing.as_ref();
    let nothing = LocalityBalancing::default();
    let setting = match (own, has_preference) {
        (Some(own), _) => own,
        (None, true) => return None,
        (None, false) => of_mesh().unwrap_or(&nothing),
    };
    if setting.enabled == Some(false) {
        return None;
    }
    let distribute: Vec<_> = setting
        .distribute
        .iter()
        .map(|it| Distribute {
            from: it.from.clone(),
            to: it.to.clone(),
        })
        .collect();
    if blocks.outlier.is_none() {
        return (!distribute.is_empty()).then(|| LocalityPolicy {
            distribute,
            ..LocalityPolicy::default()
        });
    }
    Some(LocalityPolicy {
        distribute,
        failover: setting
            .failover
            .iter()
            .map(|it| Failover {
                from: it.from.clone(),
                to: it.to.clone(),
            })
            .collect(),
        failover_priority: setting.failover_priority.clone(),
    })
}
