//! HTCondor as the pool's batch system, against real pools of both supported versions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::{Duration, Instant};

use campanile_pool::batch::condor::Condor;
use campanile_pool::batch::{Batch, BatchError, Candidate, DrainAnswer, DrainMode, JoinRequest};
use campanile_pool::config::{CondorConfig, Secret};
use campanile_pool::deploy::{head, share};
use campanile_pool::model::{Resources, Worker, WorkerState};
use campanile_testkit::{CondorPool, Signal};

/// A loaded machine gets its time.
const PATIENCE: Duration = Duration::from_secs(120);

fn manager(pool: &CondorPool) -> Condor {
    Condor::new(CondorConfig {
        config_file: Some(pool.config_file()),
        bin: Some(pool.programs()),
        idtokens: true,
        host_ip: Some("127.0.0.1".to_owned()),
        ..CondorConfig::default()
    })
}

fn candidate(name: &str, cores: u32, memory_mib: u64, attributes: &[(&str, &str)]) -> Candidate {
    Candidate {
        worker_type: name.to_owned(),
        resources: Resources { cores, memory_mib, disk_mib: 20 * 1024, gpus: 0 },
        attributes: attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

/// Looks at the workers until one of that name is as wanted.
async fn worker_until(condor: &Condor, node: &str, what: &str, good: impl Fn(&Worker) -> bool) -> Worker {
    let begun = Instant::now();
    loop {
        // a loaded machine may leave a question unanswered: then nothing is known
        let workers = condor.workers().await;
        let found = workers
            .iter()
            .flatten()
            .find(|worker| worker.elastic_node.as_deref() == Some(node) && good(worker));
        if let Some(worker) = found {
            return worker.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}: {workers:#?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// At the same time: most of it is waiting.
#[test]
fn htcondor_23_and_25_are_served() {
    let run = |version| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(serve(version));
    };
    std::thread::scope(|scope| {
        scope.spawn(|| run("23"));
        run("25");
    });
}

async fn serve(version: &str) {
    let Some(pool) = CondorPool::start(version) else { return };
    let condor = manager(&pool);
    an_empty_pool_is_a_real_nothing(&condor).await;
    jobs_are_matched_by_the_pools_own_rules(&pool, &condor).await;
    a_worker_is_drained_without_losing_a_job(&pool, &condor).await;
    a_join_carries_a_token_for_joining_alone(&pool, &condor).await;
    a_worker_ends_by_itself(&pool, &condor).await;
    silence_is_never_taken_for_nothing(&pool, &condor).await;
}

async fn an_empty_pool_is_a_real_nothing(condor: &Condor) {
    let demand = condor.demand(&[candidate("small", 1, 1024, &[])]).await.unwrap();
    assert_eq!((demand.idle_jobs(), demand.running_jobs), (0, 0));
    assert!(condor.workers().await.unwrap().is_empty());
}

async fn jobs_are_matched_by_the_pools_own_rules(pool: &CondorPool, condor: &Condor) {
    pool.submit_sleep(3, 600, 1, 100, "");
    pool.submit_sleep(2, 600, 4, 2000, "requirements = (HasGoldCard =?= true)");
    pool.submit_sleep(1, 600, 64, 100, "");
    // late materialization: three of fifty are there
    pool.submit_sleep(50, 600, 2, 100, "max_idle = 3");
    let held = pool.submit_sleep(1, 600, 1, 100, "hold = true");
    let candidates =
        [candidate("small", 2, 1024, &[]), candidate("gold", 8, 16_384, &[("HasGoldCard", "true")])];
    let begun = Instant::now();
    let demand = loop {
        let demand = condor.demand(&candidates).await;
        // the schedd makes the first jobs of a factory a little later
        if let Ok(demand) = &demand
            && demand.idle_jobs() == 56
        {
            break demand.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{demand:#?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let types = |cores: u32| -> Vec<(u64, Vec<String>)> {
        let groups = demand.groups.iter().filter(|group| group.request.cores == cores);
        groups.map(|group| (group.jobs, group.worker_types.clone())).collect()
    };
    let both = vec!["small".to_owned(), "gold".to_owned()];
    assert_eq!(types(1), [(3, both.clone())]);
    assert_eq!(types(2), [(50, both)]);
    assert_eq!(types(4), [(2, vec!["gold".to_owned()])]);
    assert_eq!(types(64), [(1, Vec::new())]);
    assert_eq!(demand.held_jobs, 1, "cluster {held} is held");
    assert!(demand.groups.iter().all(|group| group.oldest_ms.is_some_and(|at| at > 1_700_000_000_000)));
    let output = pool.run("condor_rm", &["-all"]);
    assert!(output.status.success(), "{output:?}");
}

async fn a_worker_is_drained_without_losing_a_job(pool: &CondorPool, condor: &Condor) {
    pool.worker("w1", 2, 1024, &[]);
    let idle = worker_until(condor, "w1", "it is idle", |worker| worker.state == WorkerState::Idle).await;
    assert_eq!((idle.total.cores, idle.total.memory_mib, idle.free.cores), (2, 1024, 2));
    assert!(idle.idle_since_ms.is_some() && idle.heard_ms.is_some());
    assert!(idle.startd_name.as_deref().unwrap().starts_with("w1@"));

    let cluster = pool.submit_sleep(1, 8, 1, 100, "");
    let busy = worker_until(condor, "w1", "it is busy", |worker| worker.state == WorkerState::Busy).await;
    assert_eq!((busy.jobs, busy.free.cores, busy.idle_since_ms), (1, 1, None));
    // the startd itself refuses: no job can start in between
    assert_eq!(condor.drain(&busy, DrainMode::OnlyIfIdle, "test").await.unwrap(), DrainAnswer::Busy);
    // the collector may know the startd before it knows the master, which is asked here
    let begun = Instant::now();
    let answer = loop {
        match condor.drain(&busy, DrainMode::Peaceful, "test").await {
            Ok(answer) => break answer,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert_eq!(answer, DrainAnswer::Accepted);
    worker_until(condor, "w1", "it takes no new jobs", |worker| worker.state == WorkerState::Draining).await;
    let gone =
        worker_until(condor, "w1", "its job is done", |worker| worker.state == WorkerState::Drained).await;
    let history = || {
        let constraint = format!("ClusterId == {cluster}");
        let output =
            pool.run("condor_history", &["-constraint", &constraint, "-af", "JobStatus", "NumJobStarts"]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let begun = Instant::now();
    while history() != "4 1" {
        assert!(begun.elapsed() < PATIENCE, "the job was not run once and to its end: {:?}", history());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    condor.off(&gone).await.unwrap();
    condor.forget("w1", Some(&gone.handle)).await.unwrap();
    let begun = Instant::now();
    while !condor.workers().await.is_ok_and(|workers| workers.is_empty()) {
        assert!(begun.elapsed() < PATIENCE, "w1 is still there");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    condor.off(&gone).await.unwrap();
    condor.forget("w1", Some(&gone.handle)).await.unwrap();

    pool.worker("w2", 2, 1024, &[]);
    let idle = worker_until(condor, "w2", "it is idle", |worker| worker.state == WorkerState::Idle).await;
    assert_eq!(condor.drain(&idle, DrainMode::OnlyIfIdle, "test").await.unwrap(), DrainAnswer::Accepted);
    let drained =
        worker_until(condor, "w2", "it is drained", |worker| worker.state == WorkerState::Drained).await;
    // the collector may know the startd before it knows the master, which is asked as well
    let begun = Instant::now();
    while let Err(error) = condor.cancel_drain(&drained).await {
        assert!(begun.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    worker_until(condor, "w2", "it takes jobs again", |worker| worker.state == WorkerState::Idle).await;
    let stranger = Worker { handle: "slot1@nobody@nowhere".to_owned(), ..idle };
    assert_eq!(
        condor.drain(&stranger, DrainMode::OnlyIfIdle, "test").await.unwrap(),
        DrainAnswer::NoSuchWorker
    );
}

/// By the lines that ship for workers: without a job for so long, and at the end of its life; then the machine is switched
/// off. Nobody tells it to.
async fn a_worker_ends_by_itself(pool: &CondorPool, condor: &Condor) {
    let shipped = share::shipped("execute.yaml").unwrap();
    let off = pool.pool_dir().join("home");
    let lines = |node: &str, idle_s: u32, life_s: u32| -> Vec<String> {
        let script = off.join(format!("{node}.sh"));
        let text = format!("#!/bin/sh\ntouch {}\n", off.join(format!("{node}.off")).display());
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let ending = |line: &&str| line.contains("SHUTDOWN");
        let fill = |line: &str| {
            line.trim()
                .replace("{idle_shutdown_s}", &idle_s.to_string())
                .replace("{lifetime_s}", &life_s.to_string())
                .replace("/usr/local/sbin/ehos-poweroff", &script.display().to_string())
                // a minute in which a machine may start is long for a test
                .replace("> 60)", "> 5)")
        };
        shipped.lines().filter(ending).map(fill).collect()
    };
    let (idle, old) = (lines("w-idle", 8, 3600), lines("w-old", 3600, 12));
    assert_eq!(idle.len(), 4, "{idle:?}");
    for (name, lines) in [("w-idle", &idle), ("w-old", &old)] {
        pool.worker(name, 1, 512, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
    for name in ["w-idle", "w-old"] {
        worker_until(condor, name, "it has joined", |worker| worker.state == WorkerState::Idle).await;
    }
    let begun = Instant::now();
    for name in ["w-idle", "w-old"] {
        while !off.join(format!("{name}.off")).exists() {
            assert!(begun.elapsed() < PATIENCE, "{name} does not switch itself off\n{}", pool.logs());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    let is_theirs =
        |worker: &Worker| worker.elastic_node.as_deref().is_some_and(|node| node.starts_with("w-"));
    while !condor.workers().await.is_ok_and(|workers| !workers.iter().any(is_theirs)) {
        assert!(begun.elapsed() < PATIENCE, "they are still there");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn a_join_carries_a_token_for_joining_alone(pool: &CondorPool, condor: &Condor) {
    let request = JoinRequest {
        node: "w3".to_owned(),
        candidate: candidate("small", 2, 1024, &[]),
        lifetime_ms: 3_600_000,
        idle_shutdown_ms: 900_000,
    };
    let join = condor.admit(&request).await.unwrap();
    let tag =
        |name: &str| join.tags.iter().find(|(tag, _)| tag == name).map(|(_, value)| value.clone()).unwrap();
    assert_eq!((tag("worker_name").as_str(), tag("uid_domain").as_str()), ("w3", "site.local"));
    assert_eq!((tag("lifetime_s").as_str(), tag("master_ip").as_str()), ("3600", "127.0.0.1"));
    let token = tag("token");
    assert!(!format!("{join:?}").contains(&token));
    // a worker that has nothing but this token
    let dir = pool.pool_dir().join("token-w3");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("token"), &token).unwrap();
    own(&dir);
    let directory = format!("SEC_TOKEN_DIRECTORY = {}", dir.display());
    let system = format!("SEC_TOKEN_SYSTEM_DIRECTORY = {}", dir.display());
    pool.worker(
        "w3",
        1,
        512,
        &[
            "SEC_CLIENT_AUTHENTICATION_METHODS = IDTOKENS",
            "SEC_PASSWORD_DIRECTORY = /nonexistent",
            "SEC_TOKEN_POOL_SIGNING_KEY_FILE = /nonexistent/POOL",
            &directory,
            &system,
        ],
    );
    let worker =
        worker_until(condor, "w3", "it has joined", |worker| worker.state == WorkerState::Idle).await;
    assert_eq!(worker.identity.as_deref(), Some("worker@site.local"));
}

/// HTCondor reads tokens of its own user only, and no others may read them.
fn own(dir: &std::path::Path) {
    let status = std::process::Command::new("sh")
        .args([
            "-c",
            "chmod 700 \"$1\"; chmod 600 \"$1\"/*; [ \"$(id -u)\" != 0 ] || chown -R campanile-condor \"$1\"",
            "sh",
        ])
        .arg(dir)
        .status();
    assert!(status.unwrap().success());
}

async fn silence_is_never_taken_for_nothing(pool: &CondorPool, condor: &Condor) {
    pool.signal("condor_schedd", Signal::STOP);
    let answer = condor.demand(&[]).await;
    pool.signal("condor_schedd", Signal::CONT);
    assert!(matches!(answer, Err(BatchError::Unknown(_) | BatchError::Deadline { .. })), "{answer:?}");
    pool.script(&["kill", "head"]);
    let answer = condor.workers().await;
    assert!(matches!(answer, Err(BatchError::Unknown(_))), "{answer:?}");
    let answer = condor.demand(&[]).await;
    assert!(matches!(answer, Err(BatchError::Unknown(_))), "{answer:?}");
    let nowhere = Condor::new(CondorConfig { bin: Some("/nonexistent".into()), ..CondorConfig::default() });
    assert!(matches!(nowhere.workers().await, Err(BatchError::Setup(_))));
}

/// A pool that is built on its password, as those of EHOS: the lines of security of the file that ships for the master, the
/// password as `ehosd_config` keeps it and as it comes to workers.
#[tokio::test]
async fn the_password_of_the_configuration_decides_which_workers_may_join() {
    let shipped = share::shipped("condor-master.config").unwrap();
    let security = |line: &&str| {
        line.starts_with("SEC_DEFAULT_AUTH")
            || line.starts_with("SEC_CLIENT")
            || line.starts_with("ALLOW_ADV")
    };
    let mut config: Vec<String> =
        shipped.lines().filter(security).map(|line| line.replace("{uid_domain}", "site.local")).collect();
    config.push("SEC_PASSWORD_FILE = $(LOCAL_DIR)/etc/ehos_pool_password".to_owned());
    let config: Vec<&str> = config.iter().map(String::as_str).collect();
    let Some(pool) = CondorPool::start_with("23", &config) else { return };
    let keep = |path: &Path, password: &str| {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let owner = std::fs::metadata(path.parent().unwrap()).unwrap();
        std::fs::write(path, head::scrambled(password)).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    };
    let etc = pool.pool_dir().join("head/etc");
    keep(&etc.join("ehos_pool_password"), "of the pool");
    let condor = Condor::new(CondorConfig {
        config_file: Some(pool.config_file()),
        bin: Some(pool.programs()),
        password: Some(Secret::new("of the pool")),
        idtokens: false,
        host_ip: Some("127.0.0.1".to_owned()),
        ..CondorConfig::default()
    });
    let request = JoinRequest {
        node: "right".to_owned(),
        candidate: candidate("small", 1, 512, &[]),
        lifetime_ms: 3_600_000,
        idle_shutdown_ms: 600_000,
    };
    let join = condor.admit(&request).await.unwrap();
    let tag = |name: &str| join.tags.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    assert_eq!((tag("password").as_deref(), tag("token")), (Some("of the pool"), None));
    for (name, password) in [("wrong", "of another one"), ("right", tag("password").unwrap().as_str())] {
        let file = etc.join(name);
        keep(&file, password);
        let file = format!("SEC_PASSWORD_FILE = {}", file.display());
        // Nothing but the password: by the file system every worker of this machine would be let in.
        let methods = "SEC_CLIENT_AUTHENTICATION_METHODS = PASSWORD";
        pool.worker(
            name,
            1,
            512,
            &[methods, &file, "SEC_TOKEN_DIRECTORY = /nonexistent", "ALLOW_DAEMON = *"],
        );
    }
    let right =
        worker_until(&condor, "right", "it has joined", |worker| worker.state == WorkerState::Idle).await;
    assert_eq!(right.identity.as_deref(), Some("condor@password"));
    // The other one has tried as well, and was told why not.
    let begun = Instant::now();
    let log = || std::fs::read_to_string(pool.pool_dir().join("wrong/log/StartLog")).unwrap_or_default();
    while !log().contains("AUTHENTICATE:1004") {
        assert!(begun.elapsed() < PATIENCE, "{}", log());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let workers = condor.workers().await.unwrap();
    assert!(workers.iter().all(|worker| worker.elastic_node.as_deref() == Some("right")), "{workers:#?}");
}
