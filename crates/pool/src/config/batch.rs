//! The section `condor`, and `pool.batch`.

use std::path::PathBuf;

use campanile_yaml::{Diagnostics, Kind};

use super::model::{BatchConfig, CondorConfig, LocalBatchConfig, Secret, SlurmConfig};
use super::section::{Section, unknown_name};

const SYSTEMS: [&str; 3] = ["htcondor", "slurm", "local"];
const BATCH_KEYS: &[&str] = &[
    "system",
    "config_file",
    "bin",
    "schedds",
    "idtokens",
    "constraint",
    "nodes",
    "dynamic",
    "partitions",
    "dir",
];

/// Without `pool.batch` it is HTCondor, found by `CONDOR_CONFIG`.
pub(super) fn batch(condor: &Section<'_>, pool: &Section<'_>, diagnostics: &mut Diagnostics) -> BatchConfig {
    condor.warn_of_misspelt_keys(&["password", "host_ip"], diagnostics);
    let given = pool.get("batch");
    let (system, section) = match given {
        Some(node) if node.kind() == Kind::Scalar => (Some(node), Section::default()),
        Some(_) => {
            let section = pool.section(&["batch"], diagnostics);
            (section.get("system"), section)
        }
        None => (None, Section::default()),
    };
    section.warn_of_misspelt_keys(BATCH_KEYS, diagnostics);
    let path = |key: &str, diagnostics: &mut Diagnostics| section.text(key, diagnostics).map(PathBuf::from);
    match system.and_then(|node| Some((node, node.want_text(diagnostics)?))) {
        None | Some((_, "htcondor" | "condor")) => BatchConfig::Condor(CondorConfig {
            config_file: path("config_file", diagnostics),
            bin: path("bin", diagnostics),
            schedds: section.texts("schedds", diagnostics),
            password: condor.text("password", diagnostics).map(Secret::new),
            host_ip: condor.text("host_ip", diagnostics),
            idtokens: section.flag("idtokens", diagnostics).unwrap_or(true),
            constraint: section.text("constraint", diagnostics),
        }),
        Some((_, "slurm")) => {
            let config = SlurmConfig {
                config_file: path("config_file", diagnostics),
                bin: path("bin", diagnostics),
                nodes: section.text("nodes", diagnostics),
                dynamic: section.flag("dynamic", diagnostics).unwrap_or(false),
                partitions: section.texts("partitions", diagnostics),
            };
            if config.nodes.is_none()
                && !config.dynamic
                && let Some(node) = given
            {
                let problem = node.error("Slurm needs `nodes`: the names that servers take");
                diagnostics
                    .push(problem.hint(
                        "a hostlist that slurm.conf declares, such as `ehos[1-20]`; or `dynamic: yes`",
                    ));
            }
            BatchConfig::Slurm(config)
        }
        Some((_, "local")) => BatchConfig::Local(LocalBatchConfig { dir: path("dir", diagnostics) }),
        Some((node, other)) => {
            unknown_name(node, "batch system", other, SYSTEMS.into_iter(), diagnostics);
            BatchConfig::Condor(CondorConfig::default())
        }
    }
}
