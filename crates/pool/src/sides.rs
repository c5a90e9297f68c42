//! The two sides of the world, as the configuration names them.

use std::path::Path;
use std::sync::Arc;

use crate::batch::condor::Condor;
use crate::batch::local::{LocalBatch, LocalQueue};
use crate::batch::slurm::Slurm;
use crate::batch::{Batch, Candidate};
use crate::clouds::Cloud;
use crate::clouds::local::LocalCloud;
use crate::clouds::openstack::{Login, OpenStack, usual_places};
use crate::config::{BatchConfig, CloudKind, PoolConfig};
use crate::model::{Flavor, Resources};

/// The file of the local queue in the state directory.
pub const QUEUE_FILE: &str = "queue.db";
/// The directory of local clouds in the state directory.
const LOCAL_CLOUDS: &str = "local-clouds";

/// Clouds and batch system, ready to be asked.
#[derive(Clone, Debug)]
pub struct Sides {
    /// The clouds, in the order of the configuration.
    pub clouds: Vec<Arc<dyn Cloud>>,
    /// The batch system.
    pub batch: Arc<dyn Batch>,
}

impl Sides {
    /// Opens what the configuration names; nothing is sent anywhere yet. `state_dir` is where local clouds and the local
    /// queue live.
    ///
    /// # Errors
    /// Everything that is wrong, in words: an entry of `clouds.yaml` that is missing, a directory that cannot be made.
    pub async fn open(config: &PoolConfig, state_dir: &Path) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut clouds: Vec<Arc<dyn Cloud>> = Vec::new();
        let home = std::env::var_os("HOME");
        let places = usual_places(home.as_deref().map(Path::new));
        for cloud in &config.clouds {
            match &cloud.kind {
                CloudKind::Local { cores, memory_mib, flavors } => {
                    let dir = state_dir
                        .join(LOCAL_CLOUDS)
                        .join(campanile_control::state_dir::file_name(&cloud.name));
                    match LocalCloud::open(&cloud.name, &dir, *cores, *memory_mib, flavors) {
                        Ok(cloud) => clouds.push(Arc::new(cloud)),
                        Err(error) => {
                            problems.push(format!("cloud {}: {}: {error}", cloud.name, dir.display()))
                        }
                    }
                }
                CloudKind::OpenStack(access) => match Login::complete(access, &places) {
                    Ok(login) => match OpenStack::new(cloud.name.clone(), login) {
                        Ok(openstack) => clouds.push(Arc::new(openstack)),
                        Err(error) => problems.push(format!("cloud {}: {error}", cloud.name)),
                    },
                    Err(lacks) => {
                        problems.extend(lacks.iter().map(|lack| format!("cloud {}: {lack}", cloud.name)))
                    }
                },
            }
        }
        let batch: Option<Arc<dyn Batch>> = match &config.batch {
            BatchConfig::Local(local) => {
                let path = local.dir.as_deref().unwrap_or(state_dir).join(QUEUE_FILE);
                match LocalQueue::open(&path).await {
                    Ok(queue) => Some(Arc::new(LocalBatch::new(queue))),
                    Err(error) => {
                        problems.push(format!("the local queue: {error}"));
                        None
                    }
                }
            }
            BatchConfig::Condor(condor) => Some(Arc::new(Condor::new(condor.clone()))),
            BatchConfig::Slurm(slurm) => Some(Arc::new(Slurm::new(slurm.clone()))),
        };
        match batch {
            Some(batch) if problems.is_empty() => Ok(Self { clouds, batch }),
            _ => Err(problems),
        }
    }
}

/// The candidate of each worker type: the largest machine that it may have, by the flavors known so far.
#[must_use]
pub fn candidates(config: &PoolConfig, flavors: &[Flavor]) -> Vec<Candidate> {
    let of_type = config.worker_types.iter().map(|kind| {
        let known = flavors
            .iter()
            .filter(|flavor| kind.flavors.iter().any(|name| *name == flavor.name || *name == flavor.id));
        let largest =
            known.map(|flavor| flavor.resources).max_by_key(|has| (has.gpus, has.cores, has.memory_mib));
        Candidate {
            worker_type: kind.name.clone(),
            resources: largest.unwrap_or_default().minus(&kind.reserved),
            attributes: kind.attributes.clone(),
        }
    });
    // Without a flavor known nothing can be made, and nothing is to be matched.
    of_type.filter(|candidate| candidate.resources != Resources::default()).collect()
}
