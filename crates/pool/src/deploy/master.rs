//! The machine that becomes the master: made in a cloud, and what is brought to it over ssh.

use std::path::{Path, PathBuf};

use tokio::time::sleep;

use super::Tell;
use super::cloud_init;
use super::edit::set;
use super::image::{BuildError, Patience, clean_up, lot, now_ms, up};
use super::remote::{COMMAND, Remote, quoted};
use super::setup::flavor;
use super::share::{self, Shared};
use crate::clouds::openstack::OpenStack;
use crate::clouds::{Cloud as _, NewServer};
use crate::config::{CloudConfig, Place, PoolConfig};
use crate::model::{Mark, Server, ServerStatus};
use crate::names::server_name;

/// Where the master keeps its files.
const ETC: &str = "/etc/ehos";
const PROGRAM: &str = "/usr/local/bin/campanile";
const UNIT: &str = "/etc/systemd/system/ehos.service";
/// Names of links to the program.
const LINKS: &str = "ehosd ehosd_config ehos_status ehos_sleep_jobs condor_run_jobs";
/// How long HTCondor and the daemon may take to start.
const START: std::time::Duration = std::time::Duration::from_secs(180);

/// A file for the master.
#[derive(Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Where it goes.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// What is in it; may be secret.
    pub content: Vec<u8>,
}

/// The mark of a master. It is none of a pool, so that no daemon takes it for a worker.
#[must_use]
pub fn mark(config: &PoolConfig) -> Mark {
    Mark { prefix: format!("{}-master", config.mark.prefix), host: config.mark.host.clone() }
}

/// Makes the machine, or finds the one that an earlier run has made, and waits until it is up. Returns it with what its
/// console shows. One that does not come up is removed if this run has made it.
///
/// # Errors
/// [`BuildError`].
pub async fn machine(
    cloud: &OpenStack,
    order: &NewServer,
    master: &Shared,
    patience: &Patience,
    interrupted: impl Future<Output = ()>,
    tell: Tell<'_>,
) -> Result<(Server, String), BuildError> {
    let of = |what| move |source| BuildError::Cloud { what, source };
    let found = cloud.list_marked(&order.mark).await.map_err(of("listing servers"))?;
    let there = found.iter().find(|one| matches!(one.status, ServerStatus::Building | ServerStatus::Active));
    let is_new = there.is_none();
    let work = async {
        let id = match there {
            Some(server) => {
                tell(cloud.name(), &format!("the master {} is there already; going on with it", server.name));
                server.id.clone()
            }
            None => {
                tell(cloud.name(), &format!("making the master {}", order.node));
                cloud.create(order).await.map_err(of("making the master"))?
            }
        };
        let message = cloud_init::final_message(&master.origin, &master.text);
        let console = up(cloud, &id, &message, patience, "the start of the master", tell).await?;
        loop {
            if let Some(server) = cloud.server(&id).await.map_err(of("looking at the master"))?
                && !server.addresses.is_empty()
            {
                return Ok((server, console));
            }
            sleep(patience.look).await;
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = interrupted => Err(BuildError::Interrupted),
    };
    if outcome.is_err() && is_new {
        clean_up(cloud, &order.mark, tell).await;
    }
    outcome
}

/// What the master is made of. Its user-data is the file as it is, nothing secret in it.
///
/// # Errors
/// In words: no image, no flavor.
pub fn order(config: &PoolConfig, settings: &CloudConfig, master: &Shared) -> Result<NewServer, String> {
    let image = settings.image.clone().or_else(|| config.ehos.image.clone());
    Ok(NewServer {
        node: server_name(&config.mark.prefix, "master", now_ms(), lot()),
        mark: mark(config),
        worker_type: "master".to_owned(),
        flavor: flavor(config, settings).ok_or("`ehos.flavor` names no flavor")?,
        image: image.ok_or("neither the cloud nor `ehos` names an image")?,
        network: settings.network.clone(),
        key: settings.key.clone(),
        security_groups: settings.security_groups.clone(),
        user_data: master.text.replace(cloud_init::WRITE_FILES_TAG, ""),
        floating_ip: settings.floating_ip,
        scratch_gib: 0,
        boot_gib: 0,
    })
}

/// The files that travel: the configuration, the cloud-init files of workers, and every file of ours that was altered.
/// All are for root alone: any of them may hold a credential.
///
/// # Errors
/// In words: one cannot be read, or the configuration cannot be edited.
pub fn parcels(
    config: &PoolConfig,
    text: &str,
    base: &Path,
    place: &Place,
    execute: Option<&Path>,
    unit: &str,
) -> Result<Vec<Parcel>, String> {
    let etc = Path::new(ETC);
    let secret = |name: &str, content: &str| Parcel {
        path: etc.join(name),
        mode: 0o600,
        content: content.as_bytes().to_vec(),
    };
    let mut text = text.to_owned();
    let mut parcels: Vec<Parcel> = Vec::new();
    for name in share::names().filter(|name| name.ends_with(".yaml") || name.ends_with(".config")) {
        let found = share::find(None, name, base, place)?;
        if found.is_altered {
            parcels.push(secret(name, &found.text));
        }
    }
    let mut workers: Vec<(PathBuf, String)> = Vec::new();
    if let Some(path) = execute {
        workers.push((path.to_owned(), share::find(Some(path), "execute.yaml", base, place)?.text));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        text = set(&text, &["ehos", "userdata_file"], &format!("{ETC}/{name}"))?;
    }
    for path in config.worker_types.iter().filter_map(|kind| kind.userdata_file.as_ref()) {
        if let Ok(content) = std::fs::read_to_string(path) {
            workers.push((path.clone(), content));
        }
    }
    for (path, content) in workers {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !parcels.iter().any(|parcel| parcel.path == etc.join(&name)) {
            parcels.push(secret(&name, &content));
        }
    }
    if execute.is_none()
        && let Some(written) = super::compose::value_of(&text, &["ehos", "userdata_file"])
        && let Some(name) = Path::new(&written).file_name().and_then(std::ffi::OsStr::to_str)
        && name != written
    {
        text = set(&text, &["ehos", "userdata_file"], name)?;
    }
    parcels.push(secret("ehos.yaml", &text));
    parcels.push(Parcel { path: UNIT.into(), mode: 0o644, content: unit.as_bytes().to_vec() });
    Ok(parcels)
}

/// Brings the program and the files, configures HTCondor and starts the daemon as a service. Below `root` on that machine
/// (`/` but for tests and images).
///
/// # Errors
/// In words: which step failed, and what it said.
pub async fn install(
    remote: &Remote,
    parcels: &[Parcel],
    program: &[u8],
    root: &Path,
    master_ip: &str,
    tell: Tell<'_>,
) -> Result<(), String> {
    let below = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let host = remote.address.as_str();
    tell(host, "waiting for ssh");
    remote.wait().await?;
    let program_path = below(Path::new(PROGRAM));
    let at = quoted(&program_path.display().to_string());
    // A program of the same size and content is not sent again.
    let sum = remote.run(&format!("cksum < {at} 2>/dev/null || true"), b"", COMMAND).await?;
    if sum.split_whitespace().collect::<Vec<_>>() != cksum(program) {
        tell(host, "sending the program");
        remote.put(&program_path, 0o755, program).await?;
    }
    let bin = quoted(&program_path.parent().unwrap_or(root).display().to_string());
    let links = format!("set -e; cd {bin}; for name in {LINKS}; do ln -sfn campanile $name; done");
    remote.run(&links, b"", COMMAND).await?;
    for parcel in parcels {
        tell(host, &format!("sending {}", parcel.path.display()));
        remote.put(&below(&parcel.path), parcel.mode, &parcel.content).await?;
    }
    tell(host, "configuring HTCondor");
    let etc = quoted(&below(Path::new(ETC)).join("ehos.yaml").display().to_string());
    let condor = quoted(&below(Path::new("/etc/condor")).display().to_string());
    let address = quoted(master_ip);
    remote
        .run(&format!("{at} ehosd_config --etc-condor {condor} --master-ip {address} {etc}"), b"", START)
        .await?;
    tell(host, "starting ehos.service");
    let start = "set -e; systemctl daemon-reload; systemctl enable ehos.service; systemctl restart ehos.service; \
                 sleep 2; systemctl is-active ehos.service";
    let state = remote.run(start, b"", START).await?;
    tell(host, &format!("ehos.service is {}", state.lines().last().unwrap_or("started")));
    Ok(())
}

/// What POSIX's `cksum` prints: the CRC and the length.
fn cksum(bytes: &[u8]) -> [String; 2] {
    let mut crc = 0_u32;
    let mut feed = |byte: u8| {
        crc ^= u32::from(byte) << 24;
        for _ in 0..8 {
            crc = if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04c1_1db7 };
        }
    };
    bytes.iter().copied().for_each(&mut feed);
    let mut length = bytes.len();
    while length > 0 {
        #[expect(clippy::cast_possible_truncation, reason = "the lowest byte is meant")]
        feed(length as u8);
        length >>= 8;
    }
    [(!crc).to_string(), bytes.len().to_string()]
}

/// The steps as one does them by hand.
#[must_use]
pub fn by_hand(order: &NewServer, config_file: &Path, parcels: &[Parcel], user: &str) -> String {
    let q = |text: &str| quoted(text);
    let option = |name: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!(" {name} {}", q(value))).unwrap_or_default()
    };
    let groups: String =
        order.security_groups.iter().map(|group| format!(" --security-group {}", q(group))).collect();
    let mut text = format!(
        "# 1. the machine; master.yaml installs, and holds nothing secret\n\
         openstack server create --flavor {} --image {}{}{}{groups} --user-data master.yaml {}\n\
         # wait until `openstack console log show {}` shows its last message, and take the address from `server show`\n\n\
         # 2. the program and the files; those with credentials have the mode 0600\n\
         scp $(command -v campanile) {user}@ADDRESS:/tmp/campanile\n\
         ssh {user}@ADDRESS sudo install -m 0755 /tmp/campanile {PROGRAM}\n",
        q(&order.flavor),
        q(&order.image),
        option("--network", &order.network),
        option("--key-name", &order.key),
        q(&order.node),
        q(&order.node),
    );
    text.push_str(&format!("ssh {user}@ADDRESS 'cd /usr/local/bin && for name in {LINKS}; do sudo ln -sfn campanile $name; done'\n"));
    for parcel in parcels {
        let local = if parcel.path.ends_with("ehos.yaml") {
            config_file.display().to_string()
        } else {
            parcel.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
        };
        text.push_str(&format!(
            "ssh {user}@ADDRESS sudo install -D -m {:04o} /dev/stdin {} < {}\n",
            parcel.mode,
            q(&parcel.path.display().to_string()),
            q(&local)
        ));
    }
    text.push_str(&format!(
        "\n# 3. HTCondor, and the daemon as a service\nssh {user}@ADDRESS sudo {PROGRAM} ehosd_config {ETC}/ehos.yaml\n\
         ssh {user}@ADDRESS sudo systemctl daemon-reload\nssh {user}@ADDRESS sudo systemctl enable --now ehos.service\n\
         # its log: journalctl -u ehos.service\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_posix() {
        assert_eq!(cksum(b"123456789"), ["930766865".to_owned(), "9".to_owned()]);
        assert_eq!(cksum(b""), ["4294967295".to_owned(), "0".to_owned()]);
    }

    #[test]
    fn the_configuration_and_altered_files_travel_for_root_alone() {
        let dir = tempfile::tempdir().unwrap();
        share::install(&dir.path().join("share/ehos"));
        std::fs::create_dir_all(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/execute.yaml"), "#cloud-config\n# ours\n").unwrap();
        let text = share::shipped("ehos.yaml.example").unwrap();
        let text = text.replace("userdata_file: execute.yaml", "userdata_file: etc/execute.yaml");
        let file = dir.path().join("ehos.yaml");
        std::fs::write(&file, &text).unwrap();
        let place = Place { host_name: "h".to_owned(), working_dir: dir.path().to_owned() };
        let (config, problems) = crate::config::read(&[file], &place);
        let config = config.unwrap_or_else(|| panic!("{}", problems.render(false)));
        let parcels = parcels(&config, &text, dir.path(), &place, None, "[Unit]\n").unwrap();
        let of = |path: &str| parcels.iter().find(|parcel| parcel.path == Path::new(path));
        assert_eq!(of("/etc/ehos/execute.yaml").unwrap().content, b"#cloud-config\n# ours\n");
        let sent = String::from_utf8(of("/etc/ehos/ehos.yaml").unwrap().content.clone()).unwrap();
        assert!(sent.contains("userdata_file: execute.yaml\n"), "{sent}");
        assert!(of("/etc/ehos/base.yaml").is_none());
        for parcel in &parcels {
            assert_eq!(parcel.mode, if parcel.path.starts_with("/etc/ehos") { 0o600 } else { 0o644 });
        }
        let settings = &config.clouds[0];
        let master = share::find(None, "master.yaml", dir.path(), &place).ok().unwrap();
        let order = order(&config, settings, &master).unwrap();
        assert!(!order.user_data.contains("my-openstack-password"));
        let steps = by_hand(&order, Path::new("ehos.yaml"), &parcels, "ehos");
        assert!(steps.contains("-m 0600 /dev/stdin /etc/ehos/ehos.yaml < ehos.yaml"), "{steps}");
        assert!(!steps.contains("my-openstack-password"));
    }
}
