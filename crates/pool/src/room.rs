//! What may still be made: the pool's caps, each cloud's quota and own limits. PURE.

use crate::config::{CloudConfig, PoolConfig};
use crate::model::{CloudLimits, Flavor, Resources};

/// What a pool has and may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolRoom {
    /// Nodes more.
    pub nodes: u64,
    /// Cores more; `None`: no limit.
    pub cores: Option<u64>,
    /// Cost per hour more; `None`: no limit.
    pub cost_per_hour: Option<f64>,
}

impl PoolRoom {
    /// Of a pool that has `nodes` servers with these cores and cost, whatever their status.
    #[must_use]
    pub fn of(config: &PoolConfig, nodes_max: u64, nodes: u64, cores: u64, cost_per_hour: f64) -> Self {
        let sizes = &config.sizes;
        Self {
            nodes: nodes_max.saturating_sub(nodes),
            cores: sizes.cores_max.map(|max| max.saturating_sub(cores)),
            cost_per_hour: sizes.cost_per_hour_max.map(|max| (max - cost_per_hour).max(0.0)),
        }
    }

    /// Which cap forbids one more of this kind.
    #[must_use]
    pub fn refuses(&self, flavor: &Flavor, cost_per_hour: f64) -> Option<&'static str> {
        if self.nodes == 0 {
            return Some("`nodes_max` is reached");
        }
        if self.cores.is_some_and(|cores| cores < u64::from(flavor.resources.cores)) {
            return Some("`cores_max` is reached");
        }
        if self.cost_per_hour.is_some_and(|left| left < cost_per_hour) {
            return Some("`cost_per_hour_max` is reached");
        }
        None
    }

    /// One more of this kind was decided on.
    pub fn take(&mut self, flavor: &Flavor, cost_per_hour: f64) {
        self.nodes = self.nodes.saturating_sub(1);
        if let Some(cores) = &mut self.cores {
            *cores = cores.saturating_sub(u64::from(flavor.resources.cores));
        }
        if let Some(left) = &mut self.cost_per_hour {
            *left -= cost_per_hour;
        }
    }
}

/// What a cloud has left for us.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudRoom {
    /// Servers more; `None`: no limit.
    pub servers: Option<u64>,
    /// Cores more.
    pub cores: Option<u64>,
    /// Memory more, MiB.
    pub memory_mib: Option<u64>,
    /// Own limit on nodes.
    own_nodes: Option<u64>,
    own_cores: Option<u64>,
    own_memory_mib: Option<u64>,
}

impl CloudRoom {
    /// Of a cloud with these limits. `not_counted` is what was requested and is not in its counts yet; `ours` and
    /// `ours_nodes` what our nodes there have.
    #[must_use]
    pub fn of(
        config: &PoolConfig,
        cloud: &CloudConfig,
        limits: &CloudLimits,
        not_counted: (u64, Resources),
        ours: (u64, Resources),
    ) -> Self {
        let keep = &config.quotas;
        let left = |max: Option<u64>, used: u64, more: u64, keep: u64| {
            max.map(|max| max.saturating_sub(used.saturating_add(more)).saturating_sub(keep))
        };
        let own = |max: Option<u64>, has: u64| max.map(|max| max.saturating_sub(has));
        Self {
            servers: left(limits.servers_max, limits.servers_used, not_counted.0, keep.servers),
            cores: left(limits.cores_max, limits.cores_used, u64::from(not_counted.1.cores), keep.cores),
            memory_mib: left(
                limits.memory_max_mib,
                limits.memory_used_mib,
                not_counted.1.memory_mib,
                keep.memory_mib,
            ),
            own_nodes: own(cloud.limits.nodes, ours.0),
            own_cores: own(cloud.limits.cores, u64::from(ours.1.cores)),
            own_memory_mib: own(cloud.limits.memory_mib, ours.1.memory_mib),
        }
    }

    /// What forbids one more of this flavor.
    #[must_use]
    pub fn refuses(&self, flavor: &Flavor) -> Option<&'static str> {
        let lacks = |left: Option<u64>, need: u64| left.is_some_and(|left| left < need);
        let need = flavor.resources;
        if lacks(self.servers, 1) {
            Some("no quota left for servers")
        } else if lacks(self.cores, u64::from(need.cores)) {
            Some("no quota left for cores")
        } else if lacks(self.memory_mib, need.memory_mib) {
            Some("no quota left for memory")
        } else if lacks(self.own_nodes, 1) {
            Some("its limit on nodes is reached")
        } else if lacks(self.own_cores, u64::from(need.cores)) {
            Some("its limit on cores is reached")
        } else if lacks(self.own_memory_mib, need.memory_mib) {
            Some("its limit on memory is reached")
        } else {
            None
        }
    }

    /// One more of this flavor was decided on.
    pub fn take(&mut self, flavor: &Flavor) {
        let need = flavor.resources;
        let lower = |left: &mut Option<u64>, by: u64| {
            if let Some(left) = left {
                *left = left.saturating_sub(by);
            }
        };
        lower(&mut self.servers, 1);
        lower(&mut self.cores, u64::from(need.cores));
        lower(&mut self.memory_mib, need.memory_mib);
        lower(&mut self.own_nodes, 1);
        lower(&mut self.own_cores, u64::from(need.cores));
        lower(&mut self.own_memory_mib, need.memory_mib);
    }
}
