//! A cloud on this machine: a server is a process that runs its user-data as a shell script.
//!
//! Each server has a directory `<dir>/<id>/` with `server.json` (written before anything is started), `user-data`, `pid`
//! (written by the process itself: pid and start time), `console` (its output), and `deleted` once its deletion was
//! asked for. The process is in a group of its own and does not end with the manager. A manager that is killed anywhere
//! finds all that it has made by these directories; a process that was started before its pid could be read is found
//! through the pid that it writes, or sees `deleted` and ends.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use super::{Adoption, Cloud, CloudError, Leftover, NewServer};
use crate::model::{CloudLimits, Flavor, Mark, Resources, Server, ServerStatus};

/// A process that has written no pid after this time never will.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// Servers that are looked at.
const MAX_SERVERS: usize = 10_000;
/// End of the console that is read.
const CONSOLE_BYTES: usize = 64 * 1024;

/// Runs the user-data, unless the server was deleted meanwhile. `$0` is the directory.
const LAUNCHER: &str = "cd \"$0\" || exit 1
[ -e deleted ] && exit 0
read -r stat < /proc/$$/stat && set -- ${stat##*) }
echo \"$$ ${20}\" > pid.new && mv pid.new pid || exit 1
[ -e deleted ] && exit 0
exec /bin/sh ./user-data";

/// A cloud on this machine.
#[derive(Debug)]
pub struct LocalCloud {
    name: String,
    dir: PathBuf,
    cores: u32,
    memory_mib: u64,
    flavors: Vec<Flavor>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    node: String,
    mark: String,
    worker_type: String,
    flavor: String,
    created_ms: u64,
}

impl LocalCloud {
    /// A cloud of this size whose servers lie below `dir`, which is made.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(
        name: &str,
        dir: &Path,
        cores: u32,
        memory_mib: u64,
        flavors: &[(String, Resources)],
    ) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let flavor = |(name, resources): &(String, Resources)| Flavor {
            id: name.clone(),
            name: name.clone(),
            resources: *resources,
        };
        Ok(Self {
            name: name.to_owned(),
            dir: fs::canonicalize(dir)?,
            cores,
            memory_mib,
            flavors: flavors.iter().map(flavor).collect(),
        })
    }

    fn servers(&self) -> io::Result<Vec<Server>> {
        let mut servers = Vec::new();
        for entry in fs::read_dir(&self.dir)?.take(MAX_SERVERS) {
            let path = entry?.path();
            if let Some(server) = self.look(&path)? {
                servers.push(server);
            }
        }
        servers.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(servers)
    }

    /// A server as it is now; what has ended after its deletion is cleared away.
    fn look(&self, path: &Path) -> io::Result<Option<Server>> {
        let meta = match fs::read(path.join("server.json")) {
            Ok(bytes) => serde_json::from_slice::<Meta>(&bytes).map_err(io::Error::from)?,
            // Made a moment ago, or cleared away: there is no server yet, or any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_deleted = path.join("deleted").exists();
        let process = read_pid(path).filter(|process| process.is_alive());
        let has_begun = path.join("pid").exists();
        let age_ms = now_ms().saturating_sub(meta.created_ms);
        let (status, fault) = match (is_deleted, process.is_some(), has_begun) {
            (true, false, true) => {
                fs::remove_dir_all(path)?;
                return Ok(None);
            }
            // It has not begun; when it does, it sees that it was deleted. Its directory must outlive that.
            (true, false, false) if u128::from(age_ms) > START_DEADLINE.as_millis() => {
                fs::remove_dir_all(path)?;
                return Ok(None);
            }
            (true, _, _) => (ServerStatus::Deleting, None),
            (false, true, _) => (ServerStatus::Active, None),
            (false, false, true) => (ServerStatus::Stopped, None),
            (false, false, false) if u128::from(age_ms) > START_DEADLINE.as_millis() => {
                (ServerStatus::Error, Some("its process has never begun".to_owned()))
            }
            (false, false, false) => (ServerStatus::Building, None),
        };
        let resources =
            self.flavors.iter().find(|flavor| flavor.name == meta.flavor).map(|flavor| flavor.resources);
        Ok(Some(Server {
            id: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            name: meta.node.clone(),
            status,
            mark: (!meta.mark.is_empty()).then_some(meta.mark),
            node: Some(meta.node),
            worker_type: Some(meta.worker_type),
            flavor: meta.flavor,
            resources,
            created_ms: meta.created_ms,
            fault,
            addresses: vec!["127.0.0.1".to_owned()],
        }))
    }

    fn start(&self, new: &NewServer) -> Result<String, CloudError> {
        let flavor = self.flavors.iter().find(|flavor| flavor.name == new.flavor);
        let flavor =
            flavor.ok_or_else(|| CloudError::NotFound(format!("there is no flavor {}", new.flavor)))?;
        let limits = self.count().map_err(io_error)?;
        let need = flavor.resources;
        if limits.cores_used + u64::from(need.cores) > u64::from(self.cores) {
            let message = format!("{} of {} cores are used", limits.cores_used, self.cores);
            return Err(CloudError::Quota { resource: "cores".to_owned(), message });
        }
        if limits.memory_used_mib + need.memory_mib > self.memory_mib {
            let message = format!("{} of {} MiB are used", limits.memory_used_mib, self.memory_mib);
            return Err(CloudError::Quota { resource: "ram".to_owned(), message });
        }
        // The node's name is unique, so it is the id: a second request for it fails here.
        let id = new.node.clone();
        let path = self.dir.join(&id);
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(CloudError::Conflict(format!("there is a server {id} already")));
            }
            Err(error) => return Err(io_error(error)),
        }
        let meta = Meta {
            node: new.node.clone(),
            mark: new.mark.value(),
            worker_type: new.worker_type.clone(),
            flavor: new.flavor.clone(),
            created_ms: now_ms(),
        };
        write_private(&path.join("user-data"), new.user_data.as_bytes()).map_err(io_error)?;
        let meta = serde_json::to_vec(&meta).map_err(|error| io_error(error.into()))?;
        campanile_control::atomic_file::replace(&path.join("server.json"), &meta).map_err(io_error)?;
        let console = fs::File::create(path.join("console")).map_err(io_error)?;
        let errors = console.try_clone().map_err(io_error)?;
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(LAUNCHER)
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(console)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(io_error)?;
        reap(child);
        Ok(id)
    }

    fn count(&self) -> io::Result<CloudLimits> {
        let mut limits = CloudLimits {
            cores_max: Some(u64::from(self.cores)),
            memory_max_mib: Some(self.memory_mib),
            ..CloudLimits::default()
        };
        for server in self.servers()? {
            let has = server.resources.unwrap_or_default();
            limits.servers_used += 1;
            limits.cores_used += u64::from(has.cores);
            limits.memory_used_mib += has.memory_mib;
        }
        Ok(limits)
    }

    fn stop(&self, id: &str, mark: &Mark) -> Result<(), CloudError> {
        let path = self.path_of(id)?;
        let Some(server) = self.look(&path).map_err(io_error)? else { return Ok(()) };
        if server.mark.as_deref() != Some(mark.value().as_str()) {
            return Err(CloudError::NotOurs(id.to_owned()));
        }
        fs::write(path.join("deleted"), b"").map_err(io_error)?;
        if let Some(process) = read_pid(&path).filter(Process::is_alive) {
            process.kill();
        }
        Ok(())
    }

    /// The directory of a server; an id is never a path.
    fn path_of(&self, id: &str) -> Result<PathBuf, CloudError> {
        let is_name = !id.is_empty() && !id.starts_with('.') && !id.contains('/');
        is_name.then(|| self.dir.join(id)).ok_or_else(|| CloudError::Invalid(format!("no id: {id}")))
    }
}

#[async_trait]
impl Cloud for LocalCloud {
    fn name(&self) -> &str {
        &self.name
    }

    async fn list_marked(&self, mark: &Mark) -> Result<Vec<Server>, CloudError> {
        let mark = mark.value();
        let servers = self.servers().map_err(io_error)?;
        Ok(servers.into_iter().filter(|server| server.mark.as_deref() == Some(mark.as_str())).collect())
    }

    async fn list_named(&self, names: &[String]) -> Result<Vec<Server>, CloudError> {
        let servers = self.servers().map_err(io_error)?;
        Ok(servers.into_iter().filter(|server| names.contains(&server.name)).collect())
    }

    async fn adopt(&self, server_id: &str, adoption: &Adoption) -> Result<(), CloudError> {
        let path = self.path_of(server_id)?.join("server.json");
        let bytes = fs::read(&path).map_err(io_error)?;
        let mut meta: Meta =
            serde_json::from_slice(&bytes).map_err(|error| CloudError::Nonsense(error.to_string()))?;
        let mark = adoption.mark.value();
        if !meta.mark.is_empty() && meta.mark != mark {
            return Err(CloudError::Conflict(format!("{server_id} belongs to {}", meta.mark)));
        }
        meta.mark = mark;
        meta.worker_type = adoption.worker_type.clone();
        let bytes = serde_json::to_vec(&meta).map_err(|error| CloudError::Nonsense(error.to_string()))?;
        campanile_control::atomic_file::replace(&path, &bytes).map_err(io_error)
    }

    async fn create(&self, server: &NewServer) -> Result<String, CloudError> {
        self.start(server)
    }

    async fn delete(&self, server_id: &str, mark: &Mark) -> Result<(), CloudError> {
        self.stop(server_id, mark)
    }

    async fn console(&self, server_id: &str, max_lines: u32) -> Result<String, CloudError> {
        let bytes = fs::read(self.path_of(server_id)?.join("console")).map_err(io_error)?;
        let tail = &bytes[bytes.len().saturating_sub(CONSOLE_BYTES)..];
        let text = String::from_utf8_lossy(tail);
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(max_lines as usize);
        Ok(lines[first..].join("\n"))
    }

    async fn limits(&self) -> Result<CloudLimits, CloudError> {
        self.count().map_err(io_error)
    }

    async fn flavors(&self) -> Result<Vec<Flavor>, CloudError> {
        Ok(self.flavors.clone())
    }

    async fn leftovers(&self, _mark: &Mark) -> Result<Vec<Leftover>, CloudError> {
        // A process has nothing that outlives it here.
        Ok(Vec::new())
    }

    async fn remove_leftover(&self, _leftover: &Leftover) -> Result<(), CloudError> {
        Ok(())
    }
}

/// A process, told apart from a later one with its pid by its start time.
struct Process {
    pid: Pid,
    start: u64,
}

impl Process {
    fn is_alive(&self) -> bool {
        let path = format!("/proc/{}/stat", self.pid.as_raw_nonzero());
        let Ok(stat) = fs::read_to_string(path) else { return false };
        // The name of the program may hold anything; what follows its last parenthesis is numbers.
        let Some((_, fields)) = stat.rsplit_once(") ") else { return false };
        let fields: Vec<&str> = fields.split(' ').collect();
        let is_running = !matches!(fields.first(), Some(&"Z" | &"X"));
        is_running && fields.get(19).and_then(|start| start.parse::<u64>().ok()) == Some(self.start)
    }

    fn kill(&self) {
        // It leads a group of its own, which holds its jobs.
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}

fn read_pid(path: &Path) -> Option<Process> {
    let text = fs::read_to_string(path.join("pid")).ok()?;
    let (pid, start) = text.trim().split_once(' ')?;
    Some(Process { pid: Pid::from_raw(pid.parse().ok()?)?, start: start.parse().ok()? })
}

/// Takes the exit status of a child when it ends, so that it does not stay behind as a zombie.
fn reap(mut child: std::process::Child) {
    // One thread for each server that this manager has started; a local cloud has no more than its cores.
    std::thread::spawn(move || drop(child.wait()));
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn io_error(error: io::Error) -> CloudError {
    CloudError::Fails(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(prefix: &str) -> Mark {
        Mark { prefix: prefix.to_owned(), host: "h".to_owned() }
    }

    fn new_server(node: &str, user_data: &str) -> NewServer {
        NewServer {
            node: node.to_owned(),
            mark: mark("p"),
            worker_type: "standard".to_owned(),
            flavor: "one".to_owned(),
            image: String::new(),
            network: None,
            key: None,
            security_groups: Vec::new(),
            user_data: user_data.to_owned(),
            floating_ip: false,
            scratch_gib: 0,
            boot_gib: 0,
        }
    }

    fn open(dir: &Path) -> LocalCloud {
        LocalCloud::open("here", dir, 2, 4096, &[("one".to_owned(), Resources::new(1, 1024))]).unwrap()
    }

    async fn until(cloud: &LocalCloud, what: &str, is_it: impl Fn(&[Server]) -> bool) -> Vec<Server> {
        for _ in 0..600 {
            let servers = cloud.list_marked(&mark("p")).await.unwrap();
            if is_it(&servers) {
                return servers;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never: {what}");
    }

    #[tokio::test]
    async fn a_server_is_a_process_that_lives_on_and_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let cloud = open(dir.path());
        let id = cloud.create(&new_server("n-1", "echo hello; exec sleep 600")).await.unwrap();
        until(&cloud, "active", |servers| servers[0].status == ServerStatus::Active).await;
        let another = open(dir.path());
        let seen = until(&another, "found again", |servers| servers.len() == 1).await;
        assert_eq!((seen[0].node.as_deref(), seen[0].id.as_str()), (Some("n-1"), id.as_str()));
        assert!(another.list_marked(&mark("other")).await.unwrap().is_empty());
        assert!(matches!(another.delete(&id, &mark("other")).await, Err(CloudError::NotOurs(_))));
        assert_eq!(another.console(&id, 5).await.unwrap(), "hello");
        another.delete(&id, &mark("p")).await.unwrap();
        until(&another, "gone", <[Server]>::is_empty).await;
        another.delete(&id, &mark("p")).await.unwrap();
    }

    #[tokio::test]
    async fn a_quota_a_second_server_of_one_name_and_one_that_has_ended_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let cloud = open(dir.path());
        cloud.create(&new_server("n-1", "exit 3")).await.unwrap();
        assert!(matches!(cloud.create(&new_server("n-1", "")).await, Err(CloudError::Conflict(_))));
        until(&cloud, "stopped", |servers| servers[0].status == ServerStatus::Stopped).await;
        cloud.create(&new_server("n-2", "exec sleep 600")).await.unwrap();
        let refused = cloud.create(&new_server("n-3", "")).await;
        assert!(matches!(refused, Err(CloudError::Quota { resource, .. }) if resource == "cores"));
        for id in ["n-1", "n-2"] {
            cloud.delete(id, &mark("p")).await.unwrap();
        }
        until(&cloud, "gone", <[Server]>::is_empty).await;
        assert_eq!(cloud.limits().await.unwrap().cores_used, 0);
    }
}
