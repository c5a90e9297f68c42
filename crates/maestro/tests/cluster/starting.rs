//! Daemons that the manager starts itself (F11, F12): simulated ones in processes of their own, or real ones where
//! `LDMSD` names a program.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use campanile_control::{Clock, Workers};
use campanile_ldms::sim::daemon::{Listen, Options as SimOptions};
use campanile_ldms::sim::fleet::Fleet;
use campanile_maestro::config::{self, Pairing};
use campanile_maestro::manager::Manager;
use campanile_maestro::model::BalanceBy;
use campanile_maestro::source::Reading;
use campanile_maestro::starter::Starter;
use campanile_testkit::{Signal, send_signal};
use tokio::task::JoinHandle;

use crate::site::{self, Shape, Site, until};

/// Set for the process that is a simulated ldmsd: its arguments.
const ARGUMENTS: &str = "CAMPANILE_TEST_LDMSD";

/// Not a test by itself: what [`program`] runs in place of ldmsd.
#[test]
fn stands_in_for_ldmsd() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let value = |option: &str| words.iter().position(|word| *word == option).map(|at| words[at + 1]);
    let place: Vec<&str> = value("-x").unwrap().split(':').collect();
    let mut options = SimOptions::new(value("-n").unwrap(), place[1].parse().unwrap());
    options.listen = vec![Listen { host: Some(place[2].to_owned()), ..options.listen.remove(0) }];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let fleet = Fleet::new();
        fleet.start(options).unwrap();
        std::future::pending::<()>().await;
    });
}

fn program(dir: &Path) -> PathBuf {
    if let Some(program) = std::env::var_os("LDMSD").filter(|program| !program.is_empty()) {
        return program.into();
    }
    let path = dir.join("ldmsd");
    let this = std::env::current_exe().unwrap();
    let text = format!(
        "#!/bin/sh\n{ARGUMENTS}=\"$*\"; export {ARGUMENTS}\nexec {} --exact starting::stands_in_for_ldmsd --nocapture\n",
        this.display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A manager that starts what it is to start.
struct Starting {
    manager: Manager,
    starter: JoinHandle<()>,
}

impl Starting {
    fn begin(site: &Site, program: &Path, dir: &Path) -> Self {
        let text = site.file.text();
        let (cluster, _) = config::parse(Path::new("c.yaml"), text.as_bytes(), Pairing::Written);
        let reading = Reading { by: BalanceBy::Producers, start_aggregators: Some(program.to_owned()) };
        let desired = reading.desired(&cluster.unwrap());
        let clock = Clock::system();
        let workers = Workers::new(clock.clone());
        let manager = Manager::start(desired, site::quick(), clock.clone(), &workers, None, None);
        let starter = Starter::new(manager.clone(), clock, dir.to_owned(), None);
        Self { manager, starter: tokio::spawn(starter.run(workers.register("starting"))) }
    }
}

impl Drop for Starting {
    /// As when it is killed: nobody tells the daemons.
    fn drop(&mut self) {
        self.starter.abort();
    }
}

/// What is noted of a daemon's process.
fn pid(dir: &Path, daemon: &str) -> Option<u32> {
    let text = std::fs::read(dir.join(format!("{daemon}.note"))).ok()?;
    serde_json::from_slice::<serde_json::Value>(&text).ok()?["pid"].as_u64()?.try_into().ok()
}

/// Ends what the test has had started.
struct Cleaner<'a>(&'a Path);

impl Drop for Cleaner<'_> {
    fn drop(&mut self) {
        for daemon in ["l1-1", "l1-2", "l2-1"] {
            if let Some(pid) = pid(self.0, daemon) {
                send_signal(pid, Signal::KILL);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aggregators_are_started_survive_the_manager_are_adopted_and_started_again() {
    let mut site = Site::new(Shape { samplers: 4, l1: 0, l2: 0, l3: 0 });
    site.file.shape = Shape { samplers: 4, l1: 2, l2: 1, l3: 0 };
    for name in ["l1-1", "l1-2", "l2-1"] {
        site.file.ports.insert(name.to_owned(), campanile_testkit::free_port());
    }
    let dir = tempfile::tempdir().unwrap();
    let program = program(dir.path());
    let notes = dir.path().join("started");
    let _cleaner = Cleaner(&notes);
    let first = Starting::begin(&site, &program, &notes);
    site.covered(&first.manager, 8).await;
    let pids: Vec<Option<u32>> = ["l1-1", "l1-2", "l2-1"].iter().map(|name| pid(&notes, name)).collect();
    assert!(pids.iter().all(Option::is_some), "{pids:?}");
    drop(first);
    // The manager is gone; its daemons go on, and the next one takes them over.
    let second = Starting::begin(&site, &program, &notes);
    site.rest(&second.manager).await;
    site.covered(&second.manager, 8).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let now: Vec<Option<u32>> = ["l1-1", "l1-2", "l2-1"].iter().map(|name| pid(&notes, name)).collect();
    assert_eq!(now, pids, "nothing was started twice");
    // F11: the top tier crashes. It is started again and gets back everything it had.
    let top = pids[2].unwrap();
    assert!(send_signal(top, Signal::KILL));
    until("it is started again", || pid(&notes, "l2-1").is_some_and(|pid| pid != top)).await;
    site.covered(&second.manager, 8).await;
    site.rest(&second.manager).await;
}
