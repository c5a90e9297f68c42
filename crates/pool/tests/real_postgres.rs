//! The record in a real PostgreSQL, beside the tables that a running EHOS has left there.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use campanile_pool::config::{Database, Secret};
use campanile_pool::model::{Mark, Node, NodeState, Resources};
use campanile_pool::plan::Controls;
use campanile_pool::record::{Kept, Record};
use campanile_testkit::{Daemon, free_port, skip};

const PATIENCE: Duration = Duration::from_secs(60);
/// The user `nobody` of Debian: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;

struct Postgres {
    daemon: Daemon,
    bin: PathBuf,
    port: u16,
    _dir: tempfile::TempDir,
}

fn bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|entry| entry.path().join("bin")).find(|bin| bin.join("initdb").is_file());
    if found.is_none() {
        skip("PostgreSQL is missing: run `make setup`");
    }
    found
}

fn as_nobody(mut command: Command) -> Command {
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

impl Postgres {
    fn start() -> Option<Self> {
        let bin = bin()?;
        let dir = tempfile::tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = dir.path().join("data");
        let mut initdb = as_nobody(Command::new(bin.join("initdb")));
        initdb.args(["-U", "ehos", "-A", "trust", "--no-sync", "-D"]).arg(&data).current_dir(dir.path());
        let output = initdb.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let port = free_port();
        let daemon = Daemon::spawn("postgres", server(&bin, &data, port, dir.path()));
        let this = Self { daemon, bin, port, _dir: dir };
        let began = Instant::now();
        while !this.psql("SELECT 1").status.success() {
            assert!(began.elapsed() < PATIENCE, "{}", this.daemon.output());
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(this)
    }

    fn psql(&self, sql: &str) -> std::process::Output {
        let url = format!("postgresql://ehos@127.0.0.1:{}/postgres", self.port);
        Command::new(self.bin.join("psql"))
            .args(["-qtA", "-v", "ON_ERROR_STOP=1", "-d", &url, "-c", sql])
            .output()
            .unwrap()
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        let output = self.psql(sql);
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn database(&self) -> Database {
        Database::Postgres(Secret::new(format!("postgresql://ehos:secret@127.0.0.1:{}/postgres", self.port)))
    }
}

fn server(bin: &Path, data: &Path, port: u16, dir: &Path) -> Command {
    let mut command = as_nobody(Command::new(bin.join("postgres")));
    command.arg("-D").arg(data).args(["-p", &port.to_string(), "-k", "", "-c", "listen_addresses=127.0.0.1"]);
    command.args(["-c", "fsync=off"]).current_dir(dir);
    command
}

fn node(name: &str, state: NodeState) -> Node {
    Node {
        name: name.to_owned(),
        cloud: "bergen".to_owned(),
        worker_type: "standard".to_owned(),
        flavor: "m1".to_owned(),
        image: "image".to_owned(),
        resources: Resources::new(4, 8192),
        cost_per_hour: 0.5,
        state,
        since_ms: 1_700_000_000_000,
        created_ms: 1_700_000_000_000,
        server_id: Some(format!("uuid-of-{name}")),
        worker_handle: None,
        idle_since_ms: None,
        cordoned: false,
        ending: None,
        detail: "it's \"quoted\"; DROP TABLE node".to_owned(),
        delete_tries: 0,
        asked_ms: None,
        missing_since_ms: None,
    }
}

#[tokio::test]
async fn the_record_lives_in_postgresql_beside_the_tables_of_ehos() {
    let Some(mut postgres) = Postgres::start() else { return };
    // What `sql/instances.sql` of EHOS makes, with a row that a running EHOS has left.
    postgres.rows(
        "CREATE TABLE node_state (id serial PRIMARY KEY, name varchar(200) NOT NULL UNIQUE);
         CREATE TABLE vm_state (id serial PRIMARY KEY, name varchar(200) NOT NULL UNIQUE);
         CREATE TABLE cloud (id serial PRIMARY KEY, name varchar(80) NOT NULL);
         CREATE TABLE node (id serial PRIMARY KEY, uuid varchar(80), name varchar(80), image varchar(80),
            cloud_id int REFERENCES cloud (id), node_state_id int REFERENCES node_state (id),
            vm_state_id int REFERENCES vm_state (id));
         CREATE TABLE setting (id serial PRIMARY KEY, name varchar(80), value varchar(80));
         INSERT INTO cloud (name) VALUES ('bergen'); INSERT INTO node (uuid, name, cloud_id) VALUES ('old', 'old', 1);",
    );
    let mark = Mark { prefix: "p".to_owned(), host: "h".to_owned() };
    let record = Record::open(&postgres.database(), Path::new("/nowhere"), &mark).await.unwrap();
    assert!(!record.place().contains("secret"), "{}", record.place());
    let (one, two) = (node("n-1", NodeState::Busy), node("n-2", NodeState::Requested));
    let kept = Kept { controls: Controls { paused: true, ..Controls::default() }, last_cloud: None };
    record.save(&[one.clone(), two.clone()], Some(&kept)).await.unwrap();

    // The server is killed and comes back: what was saved is there, and the record goes on.
    postgres.daemon.kill9();
    assert!(record.save(&[node("n-3", NodeState::Requested)], None).await.is_err());
    postgres.daemon.restart();
    let began = Instant::now();
    let loaded = loop {
        match record.load().await {
            Ok(loaded) => break loaded,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(loaded, (vec![one.clone(), two], kept));
    record.save(&[Node { state: NodeState::Gone, ..one }], None).await.unwrap();
    assert_eq!(record.load().await.unwrap().0.len(), 1);
    assert_eq!(
        postgres.rows(
            "SELECT node.name, uuid, cloud.name, node_state.name, vm_state.name FROM node
            JOIN cloud ON cloud.id = cloud_id JOIN node_state ON node_state.id = node_state_id
            JOIN vm_state ON vm_state.id = vm_state_id ORDER BY node.id"
        ),
        ["n-1|uuid-of-n-1|bergen|node_lost|vm_deleted", "n-2|uuid-of-n-2|bergen|node_starting|vm_booting"]
    );
    assert_eq!(
        postgres.rows("SELECT count(*) FROM node, cloud"),
        ["3"],
        "one cloud, the old node is still there"
    );
    let long = "https://keystone.example.org/".repeat(10);
    record.set_setting("daemon.remark", &long).await.unwrap();
    assert_eq!(record.settings().await.unwrap().get("daemon.remark"), Some(&long));
    let rows = record.rows("node").await.unwrap();
    assert_eq!((rows.len(), rows[0]["node_state"].as_str()), (3, Some("node_starting")));
    record.close().await;
}
