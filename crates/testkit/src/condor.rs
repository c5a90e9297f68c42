//! A real, small HTCondor pool on the loopback interface (see `scripts/condor`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::openstack::root;
use crate::ports::free_port;
use crate::require::skip;

/// A loaded machine gets its time.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const START_POLL: Duration = Duration::from_millis(50);
/// What is shown of each log of a pool.
const LOG_LINES: usize = 25;
/// The user as whom the daemons run when the tests run as root; jobs are this user's.
const USER: &str = "campanile-condor";

/// A running pool: a central manager with a schedd, and the workers that are started. Everything is killed on drop.
#[derive(Debug)]
pub struct CondorPool {
    dir: TempDir,
    version: String,
    port: u16,
}

impl CondorPool {
    /// Starts the head of a pool of that version (`23`, `25`) and waits until schedd and collector answer; `None` if
    /// it is not installed (see [`crate::require`]).
    #[track_caller]
    pub fn start(version: &str) -> Option<Self> {
        Self::start_with(version, &[])
    }

    /// The same, with more lines of configuration for the head.
    #[track_caller]
    pub fn start_with(version: &str, config: &[&str]) -> Option<Self> {
        if !root().join(format!(".peers/condor/{version}/ready")).is_file() {
            skip(&format!("HTCondor {version} is not installed: run `make setup`"));
            return None;
        }
        let dir = TempDir::new().expect("a directory for HTCondor can be created");
        open_to_all(dir.path());
        let pool = Self { dir, version: version.to_owned(), port: free_port() };
        pool.script(&[&["head"], config].concat());
        let begun = Instant::now();
        while !pool.is_up() {
            assert!(begun.elapsed() < START_TIMEOUT, "HTCondor {version} did not come up\n{}", pool.logs());
            std::thread::sleep(START_POLL);
        }
        Some(pool)
    }

    /// Whether schedd and collector give every sign of life that a manager asks for. The collector knows other daemons a
    /// moment before it has an ad of its own.
    fn is_up(&self) -> bool {
        let says = |program: &str, arguments: &[&str]| {
            let output = self.run(program, arguments);
            output.status.success() && !output.stdout.is_empty()
        };
        says("condor_q", &["-totals", "-json", "-allusers"])
            && says("condor_status", &["-schedd", "-json"])
            && says("condor_status", &["-collector", "-json"])
    }

    /// The ends of the logs of all daemons, for the message of a test that fails.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        let entries =
            |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut logs: Vec<PathBuf> = entries(&self.pool_dir())
            .flat_map(|member| entries(&member.join("log")).collect::<Vec<_>>())
            .collect();
        logs.sort();
        for path in logs.iter().filter(|path| path.is_file()) {
            let log = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            text.push_str(&format!("---- {} ----\n{end}\n", path.display()));
        }
        text
    }

    /// Runs a command of `scripts/condor/pool`.
    #[track_caller]
    pub fn script(&self, arguments: &[&str]) {
        // The daemons that it leaves behind keep what they inherit: no pipe must wait for their end.
        let log = std::fs::File::create(self.dir.path().join("script.log")).expect("the log can be created");
        let errors = log.try_clone().expect("the file handle can be duplicated");
        let mut command = Command::new(root().join("scripts/condor/pool"));
        command.args(arguments).envs(self.script_env()).stdin(Stdio::null()).stdout(log).stderr(errors);
        let status = command.status().expect("scripts/condor/pool can be run");
        let log = std::fs::read_to_string(self.dir.path().join("script.log")).unwrap_or_default();
        assert!(status.success(), "condor pool {arguments:?}: {log}");
    }

    /// The environment of `scripts/condor/pool` for this pool, for hooks that start workers.
    pub fn script_env(&self) -> BTreeMap<String, String> {
        let pairs = [
            ("POOL", self.pool_dir().display().to_string()),
            ("V", self.version.clone()),
            ("PORT", self.port.to_string()),
            ("GRACE", "10".to_owned()),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Starts a worker that advertises `ElasticNode = name`.
    #[track_caller]
    pub fn worker(&self, name: &str, cores: u32, memory_mib: u32, config: &[&str]) {
        let (cores, memory) = (cores.to_string(), memory_mib.to_string());
        self.script(&[&["worker", name, &cores, &memory], config].concat());
    }

    /// The directory of the state: `head/`, one directory for each worker.
    pub fn pool_dir(&self) -> PathBuf {
        self.dir.path().join("pool")
    }

    /// `CONDOR_CONFIG` of the head.
    pub fn config_file(&self) -> PathBuf {
        self.pool_dir().join("head/condor_config")
    }

    /// The directory of the `condor_*` programs.
    pub fn bin(&self) -> PathBuf {
        root().join(format!(".peers/condor/{}/usr/bin", self.version))
    }

    /// `CONDOR_IDS`: HTCondor's programs want to know, where the machine has no user `condor`.
    pub fn condor_ids(&self) -> Option<String> {
        let ids = |flag: &str| {
            let output = Command::new("id").args([flag, USER]).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        Some(format!("{}.{}", ids("-u")?, ids("-g")?))
    }

    /// Runs one of the programs against this pool, as the user of the pool.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = self.as_pool_user(&self.bin().join(program));
        command.args(arguments).env("CONDOR_CONFIG", self.config_file()).stdin(Stdio::null());
        if let Some(ids) = self.condor_ids() {
            command.env("CONDOR_IDS", ids);
        }
        command.current_dir("/").output().unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// A directory of all programs, for a manager that is to work with this pool: as root it must take the identity of
    /// the pool's user, who alone may read the signing key and is administrator.
    #[track_caller]
    pub fn programs(&self) -> PathBuf {
        let dir = self.dir.path().join("bin");
        std::fs::create_dir_all(&dir).expect("the directory can be made");
        let switch = if rustix::process::geteuid().is_root() {
            format!("setpriv --reuid {USER} --regid {USER} --init-groups ")
        } else {
            String::new()
        };
        let sbin = self.bin().with_file_name("sbin");
        let programs =
            [self.bin(), sbin].into_iter().flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten());
        for entry in programs.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("condor_") && !dir.join(&name).exists() {
                let text = format!(
                    "#!/bin/sh\nexport CONDOR_CONFIG={config} HOME={home}\ncd /\n\
                     exec {switch}{program} \"$@\"\n",
                    config = self.config_file().display(),
                    home = self.pool_dir().join("home").display(),
                    program = entry.path().display(),
                );
                write_executable(&dir.join(name), &text);
            }
        }
        dir
    }

    /// Sends a signal to a daemon of the head: `condor_schedd`, `condor_collector`, ….
    #[track_caller]
    pub fn signal(&self, daemon: &str, signal: rustix::process::Signal) {
        let log = std::fs::read_to_string(self.pool_dir().join("head/log/MasterLog")).unwrap_or_default();
        let started = log
            .lines()
            .filter_map(|line| line.split_once("Started DaemonCore process"))
            .map(|(_, rest)| rest);
        let pid = started
            .filter(|rest| rest.contains(daemon))
            .filter_map(|rest| rest.rsplit_once('=')?.1.trim().parse::<u32>().ok())
            .next_back();
        let pid = pid.unwrap_or_else(|| panic!("the master has not started {daemon}: {log}"));
        assert!(crate::daemon::send_signal(pid, signal), "{daemon} ({pid}) is not there");
    }

    /// Submits `count` jobs that sleep and ask for so much; the answer is the cluster's number.
    #[track_caller]
    pub fn submit_sleep(&self, count: u32, seconds: u32, cores: u32, memory_mib: u32, more: &str) -> u32 {
        let text = format!(
            "executable = /bin/sleep\narguments = {seconds}\nrequest_cpus = {cores}\nrequest_memory = {memory_mib}\n\
             transfer_executable = false\n{more}\nqueue {count}\n"
        );
        let file = self.dir.path().join("job.sub");
        std::fs::write(&file, text).expect("the submit file can be written");
        let output = self.run("condor_submit", &["-terse", &file.display().to_string()]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let cluster = said.split('.').next().and_then(|number| number.trim().parse().ok());
        cluster.unwrap_or_else(|| panic!("condor_submit: {said}{}", String::from_utf8_lossy(&output.stderr)))
    }

    fn as_pool_user(&self, program: &Path) -> Command {
        if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", USER, "--init-groups"]).arg(program);
            command.env("HOME", self.pool_dir().join("home"));
            command
        } else {
            Command::new(program)
        }
    }
}

impl Drop for CondorPool {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        let mut command = Command::new(root().join("scripts/condor/pool"));
        command.args(["kill", "all"]).envs(self.script_env()).stdout(Stdio::null());
        if !command.status().is_ok_and(|status| status.success()) {
            eprintln!("scripts/condor/pool kill all failed");
        }
    }
}

fn write_executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).expect("the program can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("the program is ours");
}

/// The pool's user must get to its state through a directory that only its maker may enter.
fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).expect("the directory is ours");
}
