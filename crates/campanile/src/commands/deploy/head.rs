//! `ehosd_config`: on the master, what HTCondor and the daemon need.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, anyhow};
use campanile_pool::config::BatchConfig;
use campanile_pool::deploy::cloud_init::{self, Kindred};
use campanile_pool::deploy::head::{Head, configure};
use campanile_pool::deploy::share;

use super::Talk;
use crate::failure::{Failure, Outcome};
use crate::output::print;
use crate::this_pool::{ThisPool, heed};

/// Configure HTCondor on the master for this pool
///
/// Writes HTCondor's configuration (central manager and queue), makes the key with which tokens are signed, and stores
/// the pool's password. Twice is the same as once. HTCondor is restarted when something has changed.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ehosd_config /etc/ehos/ehos.yaml
  ehosd_config --master-ip 10.0.0.5 /etc/ehos/ehos.yaml

Exit codes:
  0 all is as it should be; 1 something cannot be written or started; 2 wrong options or files")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) talk: Talk,
    /// The address by which workers reach this machine [default: `condor.host_ip`, else that of the default route]
    #[arg(long, value_name = "ADDRESS")]
    master_ip: Option<String>,
    /// HTCondor's directory
    #[arg(long, value_name = "DIR", default_value = "/etc/condor")]
    etc_condor: PathBuf,
    /// Write the files only
    #[arg(long)]
    no_restart: bool,
    /// The configuration; without it ehos.yaml is looked for
    #[arg(value_name = "EHOS_YAML")]
    config: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Outcome {
    let pool = ThisPool::read_aloud(args.config.as_slice())?;
    let BatchConfig::Condor(condor) = &pool.config.batch else {
        return Err(Failure::Usage("this pool serves another batch system than HTCondor".to_owned()));
    };
    // What workers are made of is looked at now, not when the first job waits.
    for path in pool.config.worker_types.iter().filter_map(|kind| kind.userdata_file.as_ref()) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => share::in_program(path)
                .map(str::to_owned)
                .ok_or_else(|| Failure::Usage(format!("{} cannot be read: {error}", path.display())))?,
        };
        heed(cloud_init::check(path, &text, Kindred::Worker))?;
    }
    let template = share::find(None, "condor-master.config", pool.beside(), &pool.place);
    let template = template.map_err(Failure::Usage)?;
    let master_ip = match args.master_ip.clone().or_else(|| condor.host_ip.clone()) {
        Some(address) => address,
        None => own_address().context("this machine's address is not known; give --master-ip")?,
    };
    let done = configure(&Head {
        etc_condor: args.etc_condor.clone(),
        master_ip: master_ip.clone(),
        condor_config: &template.text,
        password: condor.password.as_ref().map(campanile_pool::config::Secret::reveal),
    })
    .map_err(|problem| anyhow!("{problem}"))?;
    if done.written.is_empty() {
        return print("nothing to do\n");
    }
    let names: Vec<String> = done.written.iter().map(|path| path.display().to_string()).collect();
    if !args.no_restart {
        let status = Command::new("systemctl")
            .args(["restart", "condor"])
            .status()
            .context("systemctl cannot be run")?;
        if !status.success() {
            return Err(anyhow!("HTCondor does not start: see journalctl -u condor").into());
        }
    }
    print(&format!(
        "written: {}\nthe pool {} has its central manager at {master_ip}\n",
        names.join(", "),
        done.uid_domain
    ))
}

/// The address from which this machine speaks to others. Nothing is sent.
fn own_address() -> std::io::Result<String> {
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.connect(("192.0.2.1", 9618))?;
    Ok(socket.local_addr()?.ip().to_string())
}
