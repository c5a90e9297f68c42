//! Slurm as the pool's batch system, against Debian's real controller and daemons.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use campanile_pool::batch::slurm::Slurm;
use campanile_pool::batch::{Batch, BatchError, Candidate, DrainAnswer, DrainMode, JoinRequest};
use campanile_pool::config::SlurmConfig;
use campanile_pool::model::{Resources, Worker, WorkerState};
use campanile_testkit::{Daemon, free_port, require_program, skip, wait_until};
use tempfile::TempDir;

/// A loaded machine gets its time.
const PATIENCE: Duration = Duration::from_secs(120);
const HINT: &str = "run `make setup`";

/// A controller with munge, and two declared names without machines.
struct Lab {
    dir: TempDir,
    // in the order of their ends
    nodes: Vec<Daemon>,
    controller: Daemon,
    _munge: Daemon,
}

impl Lab {
    fn start() -> Option<Self> {
        let [munged, slurmctld, _slurmd] =
            ["munged", "slurmctld", "slurmd"].map(|name| require_program(name, HINT));
        let (munged, slurmctld) = (munged?, slurmctld?);
        if !is_root() {
            skip("Slurm's daemons are started as root here");
            return None;
        }
        let dir = TempDir::new().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["state", "spool", "munge"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::write(path("munge/key"), [7_u8; 64]).unwrap();
        fs::set_permissions(path("munge/key"), fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = Command::new(munged);
        command.args(["--foreground", "--force", "--num-threads=2"]);
        for (option, file) in [
            ("socket", "socket"),
            ("key-file", "key"),
            ("pid-file", "pid"),
            ("log-file", "log"),
            ("seed-file", "seed"),
        ] {
            command.arg(format!("--{option}={}", path("munge").join(file).display()));
        }
        let munge = Daemon::spawn("munged", command);
        wait_until(PATIENCE, "munge listens", || path("munge/socket").exists());
        fs::write(path("slurm.conf"), conf(dir.path())).unwrap();
        let mut command = Command::new(slurmctld);
        command.args(["-D", "-f"]).arg(path("slurm.conf")).env("SLURM_CONF", path("slurm.conf"));
        let controller = Daemon::spawn("slurmctld", command);
        let lab = Self { dir, nodes: Vec::new(), controller, _munge: munge };
        wait_until(PATIENCE, "the controller answers", || lab.run("scontrol", &["ping"]).contains("is UP"));
        Some(lab)
    }

    fn conf_file(&self) -> std::path::PathBuf {
        self.dir.path().join("slurm.conf")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output =
            Command::new(program).args(arguments).env("SLURM_CONF", self.conf_file()).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// Starts the machine of a name.
    fn boot(&mut self, name: &str) {
        let mut command = Command::new(require_program("slurmd", HINT).unwrap());
        command
            .args(["-D", "-b", "-N", name, "-f"])
            .arg(self.conf_file())
            .env("SLURM_CONF", self.conf_file());
        self.nodes.push(Daemon::spawn("slurmd", command));
    }

    fn manager(&self) -> Slurm {
        Slurm::new(SlurmConfig {
            config_file: Some(self.conf_file()),
            nodes: Some("ehos[1-2]".to_owned()),
            ..SlurmConfig::default()
        })
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0)
}

fn conf(dir: &Path) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let (host, dir) = (host.trim(), dir.display());
    let (controller, one, two) = (free_port(), free_port(), free_port());
    format!(
        "ClusterName=lab\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={controller}\nSlurmUser=root\nSlurmdUser=root\n\
         AuthType=auth/munge\nAuthInfo=socket={dir}/munge/socket\nCryptoType=crypto/munge\n\
         StateSaveLocation={dir}/state\nSlurmdSpoolDir={dir}/spool/%n\nSlurmctldPidFile={dir}/ctld.pid\n\
         SlurmdPidFile={dir}/slurmd-%n.pid\nSlurmctldLogFile={dir}/ctld.log\nSlurmdLogFile={dir}/slurmd-%n.log\n\
         ProctrackType=proctrack/pgid\nTaskPlugin=task/none\nReturnToService=2\nMpiDefault=none\n\
         SelectType=select/cons_tres\nSelectTypeParameters=CR_Core_Memory\nSlurmdTimeout=30\nTreeWidth=1\n\
         SchedulerParameters=sched_interval=2,bf_interval=2\n\
         NodeName=ehos1 NodeHostname={host} NodeAddr=127.0.0.1 Port={one} CPUs=1 RealMemory=500 State=UNKNOWN\n\
         NodeName=ehos2 NodeHostname={host} NodeAddr=127.0.0.1 Port={two} CPUs=1 RealMemory=500 State=UNKNOWN\n\
         PartitionName=main Nodes=ehos[1-2] Default=YES State=UP\n"
    )
}

fn candidate() -> Candidate {
    Candidate { worker_type: "w".to_owned(), resources: Resources::new(1, 500), attributes: Vec::new() }
}

fn join(node: &str) -> JoinRequest {
    JoinRequest {
        node: node.to_owned(),
        candidate: candidate(),
        lifetime_ms: 3_600_000,
        idle_shutdown_ms: 900_000,
    }
}

async fn worker_until(slurm: &Slurm, node: &str, what: &str, good: impl Fn(&Worker) -> bool) -> Worker {
    let begun = Instant::now();
    loop {
        let workers = slurm.workers().await.unwrap();
        let found = workers.iter().find(|worker| worker.elastic_node.as_deref() == Some(node));
        if let Some(worker) = found.filter(|worker| good(worker)) {
            return worker.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}: {workers:#?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn slurm_is_served() {
    let Some(mut lab) = Lab::start() else { return };
    let slurm = lab.manager();
    let demand = slurm.demand(&[candidate()]).await.unwrap();
    assert_eq!((demand.idle_jobs(), demand.running_jobs), (0, 0));
    assert!(slurm.workers().await.unwrap().is_empty(), "the declared names have no machines");

    // jobs of all kinds
    let submit = |arguments: &[&str]| {
        let all = [&["--parsable", "--output=/dev/null"], arguments].concat();
        let said = lab.run("sbatch", &all);
        said.trim().parse::<u32>().unwrap_or_else(|_| panic!("sbatch {arguments:?}: {said}"))
    };
    let first = submit(&["-c1", "--mem=100", "--wrap=sleep 20"]);
    submit(&["-c1", "--mem=100", "--array=0-2", "--dependency=afterany:1", "--wrap=sleep 1"]);
    submit(&["-c1", "--mem=100", "--hold", "--wrap=sleep 1"]);
    let begun = Instant::now();
    let demand = loop {
        let demand = slurm.demand(&[candidate()]).await.unwrap();
        if demand.held_jobs == 1 && demand.idle_jobs() == 1 {
            break demand;
        }
        let jobs = lab.run("squeue", &["-o", "%i %T %r"]);
        assert!(begun.elapsed() < PATIENCE, "{demand:#?}\n{jobs}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert_eq!((demand.groups[0].request, demand.groups[0].worker_types.len()), (Resources::new(1, 100), 1));
    assert_eq!(demand.other_jobs, 3, "the array waits for another job");

    // each server takes a free name, and keeps it over a crash of the manager
    let one = slurm.admit(&join("node-a")).await.unwrap();
    assert_eq!(one.worker_handle.as_deref(), Some("ehos1"));
    assert_eq!(slurm.admit(&join("node-a")).await.unwrap(), one);
    assert_eq!(slurm.admit(&join("node-b")).await.unwrap().worker_handle.as_deref(), Some("ehos2"));
    assert!(matches!(slurm.admit(&join("node-c")).await, Err(BatchError::Full(_))));
    slurm.forget("node-b", Some("ehos2")).await.unwrap();
    assert_eq!(slurm.admit(&join("node-c")).await.unwrap().worker_handle.as_deref(), Some("ehos2"));
    slurm.forget("node-c", None).await.unwrap();

    // a worker joins, works and is drained without losing its job
    lab.boot("ehos1");
    let busy = worker_until(&slurm, "node-a", "it works", |worker| worker.state == WorkerState::Busy).await;
    assert_eq!((busy.handle.as_str(), busy.total, busy.free.cores), ("ehos1", Resources::new(1, 500), 0));
    assert_eq!(slurm.drain(&busy, DrainMode::OnlyIfIdle, "test").await.unwrap(), DrainAnswer::Busy);
    worker_until(&slurm, "node-a", "it still works", |worker| worker.state == WorkerState::Busy).await;
    assert_eq!(slurm.drain(&busy, DrainMode::Peaceful, "test").await.unwrap(), DrainAnswer::Accepted);
    worker_until(&slurm, "node-a", "it takes no jobs", |worker| {
        matches!(worker.state, WorkerState::Draining | WorkerState::Drained)
    })
    .await;
    let drained =
        worker_until(&slurm, "node-a", "its job is done", |worker| worker.state == WorkerState::Drained)
            .await;
    let job = lab.run("scontrol", &["show", "job", &first.to_string()]);
    assert!(job.contains("JobState=COMPLETED") && job.contains("Restarts=0"), "{job}");
    slurm.cancel_drain(&drained).await.unwrap();
    worker_until(&slurm, "node-a", "it takes jobs again", |worker| worker.state != WorkerState::Drained)
        .await;
    let idle = worker_until(&slurm, "node-a", "it is idle", |worker| worker.state == WorkerState::Idle).await;
    assert!(idle.idle_since_ms.is_some());
    assert_eq!(slurm.drain(&idle, DrainMode::OnlyIfIdle, "test").await.unwrap(), DrainAnswer::Accepted);
    slurm.off(&idle).await.unwrap();
    lab.nodes.clear();
    slurm.forget("node-a", Some("ehos1")).await.unwrap();
    assert!(slurm.workers().await.unwrap().iter().all(|worker| worker.elastic_node.is_none()));
    let stranger = Worker { handle: "nobody".to_owned(), ..idle };
    assert_eq!(slurm.drain(&stranger, DrainMode::Peaceful, "test").await.unwrap(), DrainAnswer::NoSuchWorker);

    // a controller that is away is never an empty queue
    lab.controller.kill9();
    assert!(matches!(slurm.demand(&[candidate()]).await, Err(BatchError::Unknown(_))));
    assert!(matches!(slurm.workers().await, Err(BatchError::Unknown(_))));
}
