//! `campanile ldms generate`: files for `ldmsd -c`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use campanile_maestro::config::Cluster;
use campanile_maestro::generate::{Generated, Generator, Style};
use campanile_yaml::did_you_mean;

use super::cluster::{self, PairingArg};
use crate::failure::{Failure, Outcome};
use crate::output;

/// Write the configuration file of every daemon, or print that of one
///
/// The files are those of the original, byte for byte. It leaves some settings out; a warning names them, and
/// --complete writes them.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile ldms generate orion.yaml --path /etc/ldms/conf
  campanile ldms generate orion.yaml --daemon l1-agg-3

Exit codes:
  0 done; 1 a file could not be written; 2 the cluster's file is wrong, or has
  no such daemon")]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct Args {
    /// The cluster's file
    file: PathBuf,
    /// Write the files of all daemons into this directory, which is made if needed
    #[arg(
        long,
        alias = "generate-config-path",
        alias = "generate_config_path",
        value_name = "DIR",
        group = "what"
    )]
    path: Option<PathBuf>,
    /// Print the file of this daemon
    #[arg(long, alias = "daemon_name", alias = "daemon-name", value_name = "NAME", group = "what")]
    daemon: Option<String>,
    /// Write what the original leaves out, too: rail, quota and rx_rate of peers, every prdcr_listen of a group
    #[arg(long)]
    complete: bool,
    /// How names meet hosts and ports
    #[arg(long, value_enum, default_value_t)]
    pairing: PairingArg,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    let file = cluster::read(&args.file, args.pairing)?;
    let style = if args.complete { Style::Complete } else { Style::Original };
    if let Some(name) = &args.daemon {
        return output::print(&one(&file.cluster, style, name)?);
    }
    let Some(dir) = &args.path else { return Ok(()) };
    let count = all(&file.cluster, style, dir)?;
    output::print(&format!("{count} files written to {}\n", dir.display()))
}

/// The file of one daemon.
///
/// # Errors
/// When there is no such daemon.
pub(crate) fn one(cluster: &Cluster, style: Style, name: &str) -> Result<String, Failure> {
    let Some(file) = Generator::new(cluster, style).daemon(name) else {
        let near = did_you_mean(name, cluster.daemons.keys().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        return Err(Failure::Usage(format!("the file has no daemon {name}{hint}")));
    };
    say_what_is_left_out([&file]);
    Ok(file.text)
}

/// Writes the files of all daemons that have something to do; how many there were.
///
/// # Errors
/// When one cannot be written.
pub(crate) fn all(cluster: &Cluster, style: Style, dir: &Path) -> Result<usize, Failure> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let generator = Generator::new(cluster, style);
    let mut files = Vec::new();
    for (name, file) in generator.all() {
        write(dir, name, &file)?;
        files.push(Generated { text: String::new(), left_out: file.left_out });
    }
    say_what_is_left_out(&files);
    Ok(files.len())
}

/// Writes one file, `NAME.conf`.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(dir: &Path, name: &str, file: &Generated) -> Result<PathBuf, Failure> {
    let path = dir.join(format!("{name}.conf"));
    std::fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn say_what_is_left_out<'f>(files: impl IntoIterator<Item = &'f Generated>) {
    let mut said: Vec<&String> = Vec::new();
    for what in files.into_iter().flat_map(|file| &file.left_out) {
        if !said.contains(&what) {
            said.push(what);
            output::print_error(&format!("warning: as in the original, not in the files: {what}\n"));
        }
    }
}
