//! `ocs-install-systemd`: files by which systemd starts the HostManager of a host.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use campanile_host::HostArgs;
use campanile_ocs::site_config::{HostConfig, Mode, SiteArgs};

use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::fleet::HOSTMANAGER_CLASS;
use crate::ocsbow::plugins::search_path;
use crate::systemd::install::{self, LAUNCHER_MODE, SERVICE_MODE};
use crate::systemd::text::{self, Settings};
use crate::{output, this_site};

/// Where systemd looks for the units of an administrator.
const SERVICE_DIR: &str = "/etc/systemd/system/";
/// Shells that read what stands in a launcher script, and the one that is taken where the user has another.
const SHELLS: [&str; 5] = ["bash", "dash", "ksh", "sh", "zsh"];
const SHELL: &str = "/bin/bash";
const UNIT_SUFFIX: &str = ".service";

/// Write a launcher script and a systemd service file for the HostManager of a host
///
/// The launcher script is written beside the site config, the service file to /etc/systemd/system/. Agents go on when
/// their HostManager is killed or upgraded (KillMode=process); `systemctl stop` ends both in good order.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ocs-install-systemd --service-dir=.
  sudo cp ocs-hostmanager.service /etc/systemd/system/
  sudo systemctl daemon-reload
  sudo systemctl enable --now ocs-hostmanager.service

Two HostManagers on one machine:
  ocs-install-systemd --service-dir=. --service-host=host-1 --site-host=host-1
  ocs-install-systemd --service-dir=. --service-host=host-1-docker \\
      --site-host=host-1-docker

Exit codes:
  0 both files are written; 1 one could not be written;
  2 wrong options or site config")]
pub(crate) struct Args {
    #[command(flatten)]
    unit: UnitArgs,
    #[command(flatten)]
    site: SiteArgs,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Options specific to systemd service creation")]
struct UnitArgs {
    /// A docker compose file of the HostManager; may be repeated, or be a list with commas
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    docker_compose: Vec<PathBuf>,
    /// The shell for the launcher script [default: $SHELL, if it is of the kind of sh]
    #[arg(long, value_name = "FILE")]
    shell: Option<String>,
    /// The Python interpreter with OCS and the plugins of the site [default: the python3 on PATH]
    #[arg(long, value_name = "FILE")]
    python_bin: Option<PathBuf>,
    /// The directory of the launcher script [default: $OCS_CONFIG_DIR, or that of the site config]
    #[arg(long, value_name = "DIR")]
    launcher_dir: Option<PathBuf>,
    /// The launcher script [default: launcher-{instance-id}.sh]
    #[arg(long, value_name = "FILE")]
    launcher_script: Option<PathBuf>,
    /// The directory of the service file [default: /etc/systemd/system/]
    #[arg(long, value_name = "DIR")]
    service_dir: Option<PathBuf>,
    /// The user that the HostManager runs as [default: you]
    #[arg(long, value_name = "USER")]
    service_user: Option<String>,
    /// The name of the service [default: ocs-hostmanager.service]
    #[arg(long, value_name = "NAME", conflicts_with = "service_host")]
    service_name: Option<String>,
    /// Call the service ocs-hostmanager-HOST.service
    #[arg(long, value_name = "HOST")]
    service_host: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    let selected = this_site::select(Mode::Host, &args.site)?;
    let Some(host) = &selected.host else {
        return Err(Failure::Usage("a HostManager needs a site config with a host block".to_owned()));
    };
    let instance_id = host_manager(host, args.site.instance_id.as_deref())?;
    let unit = &args.unit;
    let service_file =
        unit.service_dir.clone().unwrap_or_else(|| SERVICE_DIR.into()).join(service_name(unit)?);
    let launcher = absolute(&launcher_file(unit, &instance_id, &selected.site.path))?;
    let settings = Settings {
        shell: unit.shell.clone().unwrap_or_else(|| shell(env("SHELL").as_deref())),
        site_file: told(&selected.site.path),
        campanile: told(&std::env::current_exe().context("cannot find out where this program is")?),
        python: told(&python(unit)?),
        instance_id,
        host: host.name.clone(),
        docker_compose: unit
            .docker_compose
            .iter()
            .map(|file| Ok(told(&absolute(file)?)))
            .collect::<Result<Vec<_>, Failure>>()?,
        options: options(&args.site)?,
        launcher: told(&launcher),
        service_file: told(&service_file),
        user: unit.service_user.clone().or_else(user).ok_or_else(|| {
            Failure::Usage("it is not known who you are: name the user with --service-user".to_owned())
        })?,
    };
    if args.site.access_policy.is_some() {
        output::print_error(
            "warning: --access-policy is not written down, since it may hold passwords: put `access_policy` into the \
             hub of the site config\n",
        );
    }
    write(&launcher, &text::launcher(&settings), LAUNCHER_MODE)?;
    match write(&service_file, &text::service(&settings), SERVICE_MODE) {
        Err(Failure::World(error)) if is_denied(&error) => {
            output::print_error(&advice(&service_file));
            Err(Failure::Told(EXIT_WORLD))
        }
        other => other,
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Outcome {
    output::print(&format!("Writing {} ...\n", path.display()))?;
    let kept = install::put(path, text, mode).with_context(|| format!("cannot write {}", path.display()))?;
    match kept {
        Some(kept) => output::print(&format!("  (what was there before is now {})\n", kept.display())),
        None => Ok(()),
    }
}

fn is_denied(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(cause, Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem))
}

/// What to do where only root may write.
fn advice(service_file: &Path) -> String {
    let name = service_file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let dir = service_file.parent().unwrap_or(Path::new(SERVICE_DIR)).display();
    format!(
        "
error: you may not write {0}

Re-run the previous command, but with --service-dir=./ to create
the service file in the current directory.  Then install it with:

   sudo cp ./{name} {dir}
   sudo systemctl daemon-reload
",
        service_file.display()
    )
}

/// The HostManager of the block: the one that is named, or the only one.
fn host_manager(host: &HostConfig, named: Option<&str>) -> Result<String, Failure> {
    let usable =
        host.instances.iter().filter(|one| one.agent_class == HOSTMANAGER_CLASS && one.problem.is_none());
    let ids: Vec<&str> = usable.map(|one| one.instance_id.as_str()).collect();
    let has = match ids.as_slice() {
        [] => format!(
            "add {{'agent-class': 'HostManager', 'instance-id': 'hm-{0}'}} to the block of {0} in the site config",
            host.name
        ),
        ids => format!("it has {}; choose one with --instance-id", ids.join(", ")),
    };
    match (named, ids.as_slice()) {
        (Some(id), ids) if ids.contains(&id) => Ok(id.to_owned()),
        (Some(id), _) => {
            Err(Failure::Usage(format!("host {} has no HostManager `{id}`\n  help: {has}", host.name)))
        }
        (None, [only]) => Ok((*only).to_owned()),
        (None, []) => Err(Failure::Usage(format!("host {} has no HostManager\n  help: {has}", host.name))),
        (None, _) => {
            Err(Failure::Usage(format!("host {} has several HostManagers\n  help: {has}", host.name)))
        }
    }
}

fn service_name(unit: &UnitArgs) -> Result<String, Failure> {
    let name = match (&unit.service_name, &unit.service_host) {
        (Some(name), _) if name.ends_with(UNIT_SUFFIX) => name.clone(),
        (Some(name), _) => format!("{name}{UNIT_SUFFIX}"),
        (None, Some(host)) => format!("ocs-hostmanager-{host}{UNIT_SUFFIX}"),
        (None, None) => format!("ocs-hostmanager{UNIT_SUFFIX}"),
    };
    // What systemd.unit(5) allows.
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if name.len() > 255 || !name.chars().all(allowed) {
        let rule = "letters, digits and `:-_.\\@`, at most 255";
        return Err(Failure::Usage(format!("`{name}` cannot be the name of a unit of systemd: {rule}")));
    }
    Ok(name)
}

fn launcher_file(unit: &UnitArgs, instance_id: &str, site_file: &Path) -> PathBuf {
    if let Some(file) = &unit.launcher_script {
        return file.clone();
    }
    let beside = || site_file.parent().unwrap_or(Path::new("/")).to_owned();
    let of_env = || env("OCS_CONFIG_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let dir = unit.launcher_dir.clone().or_else(of_env).unwrap_or_else(beside);
    dir.join(format!("launcher-{instance_id}.sh"))
}

/// A login shell of another kind would not understand the launcher.
fn shell(users: Option<&str>) -> String {
    let name = users.and_then(|path| Path::new(path).file_name()).and_then(|name| name.to_str());
    match (users, name) {
        (Some(path), Some(name)) if path.starts_with('/') && SHELLS.contains(&name) => path.to_owned(),
        _ => SHELL.to_owned(),
    }
}

/// Systemd gives its services a short PATH, so the interpreter is written down in full.
fn python(unit: &UnitArgs) -> Result<PathBuf, Failure> {
    match &unit.python_bin {
        Some(program) if program.components().count() > 1 => absolute(program),
        Some(program) => Ok(on_path(program)),
        None => Ok(on_path(Path::new(HostArgs::DEFAULT_PYTHON))),
    }
}

fn on_path(program: &Path) -> PathBuf {
    let found = search_path().into_iter().map(|dir| dir.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| program.to_owned())
}

/// The site options that the HostManager needs again.
fn options(site: &SiteArgs) -> Result<Vec<(String, String)>, Failure> {
    let mut options = Vec::new();
    let texts = [
        ("--site-hub", &site.site_hub),
        ("--site-http", &site.site_http),
        ("--site-realm", &site.site_realm),
        ("--address-root", &site.address_root),
    ];
    options
        .extend(texts.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.as_ref()?.clone()))));
    for (name, value) in [("--log-dir", &site.log_dir), ("--working-dir", &site.working_dir)] {
        if let Some(path) = value {
            options.push((name.to_owned(), told(&absolute(path)?)));
        }
    }
    Ok(options)
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    Ok(std::path::absolute(path).with_context(|| format!("`{}` is no path", path.display()))?)
}

fn told(path: &Path) -> String {
    path.display().to_string()
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Who runs this: behind `sudo`, who asked for it.
fn user() -> Option<String> {
    let set = |name| env(name).filter(|name| !name.is_empty());
    set("SUDO_USER").or_else(|| set("USER")).or_else(|| set("LOGNAME")).or_else(|| {
        let users = std::fs::read_to_string("/etc/passwd").ok()?;
        name_of(rustix::process::getuid().as_raw(), &users)
    })
}

/// The name that passwd(5) has for a user id.
fn name_of(uid: u32, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_known_without_an_environment() {
        let users = "root:x:0:0:root:/root:/bin/bash\nodd\nocs:x:1001:1001::/home/ocs:/bin/sh\n";
        assert_eq!(name_of(1001, users).as_deref(), Some("ocs"));
        assert_eq!(name_of(7, users), None);
    }

    #[test]
    fn a_shell_that_would_not_understand_the_launcher_is_not_taken() {
        assert_eq!(shell(Some("/usr/bin/zsh")), "/usr/bin/zsh");
        assert_eq!(shell(Some("/usr/bin/fish")), "/bin/bash");
        assert_eq!(shell(Some("bash")), "/bin/bash");
        assert_eq!(shell(None), "/bin/bash");
    }
}
