//! Hosts and instances as the site config lists them.

use campanile_ocs::site_config::{InstanceConfig, Manage, SiteConfig};

use super::HOSTMANAGER_CLASS;

/// How an instance is managed; in the order in which `ocsbow` lists the rows of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Management {
    /// It is a HostManager itself.
    HostManager,
    /// A process on the host.
    Host,
    /// A docker compose service.
    Docker,
    /// Left alone on purpose (`manage: ignore`).
    Ignore,
    /// The entry is not usable, so nobody manages it.
    Other,
}

impl Management {
    /// The name used in `--json` output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HostManager => "host-manager",
            Self::Host => "host",
            Self::Docker => "docker",
            Self::Ignore => "ignore",
            Self::Other => "other",
        }
    }

    /// Can its target be changed through a HostManager?
    pub(crate) fn takes_targets(self) -> bool {
        matches!(self, Self::Host | Self::Docker)
    }
}

/// One entry of `agent-instances`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeclaredInstance {
    pub(crate) instance_id: String,
    pub(crate) agent_class: String,
    pub(crate) management: Management,
    /// Why this entry is disabled, when it has an error.
    pub(crate) problem: Option<String>,
}

impl DeclaredInstance {
    /// The class as tables show it: docker instances carry `[d]`, unmanaged ones `[unman]`.
    ///
    /// For docker instances this is the very string that a HostManager reports, so that the two can be compared.
    pub(crate) fn class_note(&self) -> String {
        let suffix = match self.management {
            Management::HostManager | Management::Host => "",
            Management::Docker => "[d]",
            Management::Ignore | Management::Other => "[unman]",
        };
        format!("{}{suffix}", self.agent_class)
    }
}

/// One entry of `hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeclaredHost {
    pub(crate) name: String,
    pub(crate) instances: Vec<DeclaredInstance>,
    /// Why the whole block is unusable, if it is.
    pub(crate) problem: Option<String>,
}

impl DeclaredHost {
    /// The ids of the HostManagers of this host, in the order of the file.
    pub(crate) fn managers(&self) -> impl Iterator<Item = &str> {
        self.instances
            .iter()
            .filter(|instance| instance.management == Management::HostManager)
            .map(|instance| instance.instance_id.as_str())
    }
}

/// The hosts of a site config, as far as a client is concerned with them.
pub(crate) fn hosts(site: &SiteConfig) -> Vec<DeclaredHost> {
    let hosts = site.hosts.iter();
    hosts
        .map(|host| DeclaredHost {
            name: host.name.clone(),
            instances: host.instances.iter().map(instance).collect(),
            problem: host.problem.clone(),
        })
        .collect()
}

fn instance(config: &InstanceConfig) -> DeclaredInstance {
    let management = if config.problem.is_some() {
        Management::Other
    } else if config.agent_class == HOSTMANAGER_CLASS {
        Management::HostManager
    } else {
        match config.manage {
            Manage::HostUp | Manage::HostDown => Management::Host,
            Manage::DockerUp | Manage::DockerDown => Management::Docker,
            Manage::Ignore => Management::Ignore,
        }
    };
    DeclaredInstance {
        instance_id: config.instance_id.clone(),
        agent_class: config.agent_class.clone(),
        management,
        problem: config.problem.clone(),
    }
}
