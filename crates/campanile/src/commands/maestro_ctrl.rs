//! `maestro_ctrl`: the original's program, under its name and with its options.

use std::path::PathBuf;

use campanile_maestro::generate::Style;

use super::ldms::cluster::{self, StoreArgs};
use super::ldms::load::{self, HowArgs};
use super::ldms::{generate, local};
use crate::failure::Outcome;
use crate::output;

/// Save an LDMS cluster's file for maestro, generate configuration files of it, or start this host's daemons
///
/// Everything that is wrong with the file is reported at once, with its line, and then nothing is done.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  maestro_ctrl --cluster etcd.yaml --ldms_config orion.yaml --prefix orion
  maestro_ctrl --ldms_config orion.yaml --generate_config_path /etc/ldms/conf
  maestro_ctrl --ldms_config orion.yaml --daemon_name l1-agg-3
  maestro_ctrl --ldms_config orion.yaml --local --local_path /var/run/ldms

Without --cluster the configuration is kept in an embedded database (--store).

Exit codes:
  0 done; 1 the store, a file or a daemon failed; 2 wrong options, or a file is
  wrong")]
// The default of the original, whose maestro has none; ours has another.
#[command(mut_arg("prefix", |arg| arg.default_value("unknown")))]
pub(crate) struct Args {
    /// The cluster's file
    #[arg(long = "ldms_config", alias = "ldms-config", value_name = "FILE")]
    ldms_config: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
    /// Write the files of all daemons into this directory, and save nothing
    #[arg(long = "generate_config_path", alias = "generate-config-path", value_name = "DIR")]
    generate_config_path: Option<PathBuf>,
    /// Print the file of this daemon, and do nothing else
    #[arg(long = "daemon_name", alias = "daemon-name", value_name = "NAME")]
    daemon_name: Option<String>,
    /// Write the files of this host's daemons, start the daemons, and stay until they end
    #[arg(long)]
    local: bool,
    /// Where --local puts files, pids and logs
    #[arg(long = "local_path", alias = "local-path", value_name = "DIR", default_value_os_t = home())]
    local_path: PathBuf,
    /// The program that --local starts
    #[arg(long, value_name = "PROGRAM", default_value = "ldmsd")]
    ldmsd: PathBuf,
    /// Show more in the log
    #[arg(long)]
    debug: bool,
    #[command(flatten)]
    how: HowArgs,
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    let file = cluster::read(&args.ldms_config, args.how.pairing)?;
    if args.debug {
        tracing::info!(daemons = file.cluster.daemons.len(), "the file is read");
    }
    if let Some(name) = &args.daemon_name {
        // As the original prints it: the file, and an empty line.
        return output::print(&format!("{}\n", generate::one(&file.cluster, Style::Original, name)?));
    }
    if args.local {
        local::run(&file.cluster, &args.local_path, &args.ldmsd)?;
    }
    if let Some(dir) = &args.generate_config_path {
        generate::all(&file.cluster, Style::Original, dir)?;
        return output::print("LDMSD v4 config files generated\n");
    }
    if args.local && args.store.cluster.is_none() && args.store.store.is_none() {
        return Ok(());
    }
    load::save(&file, &args.store, &args.how)?;
    if args.store.cluster.is_some() && !args.how.dry_run {
        return output::print("LDMS cluster configuration saved to etcd cluster.\n");
    }
    Ok(())
}
