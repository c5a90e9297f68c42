//! The pool on its own cloud and queue: real processes, the real program, killed where it hurts.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use campanile_testkit::{Daemon, Signal, free_port, http_request};
use serde_json::Value;

/// A generous limit for what takes seconds.
const LONG: Duration = Duration::from_secs(120);
const SHORT: Duration = Duration::from_secs(30);

const CONFIG: &str = "\
ehos: {project_prefix: e2e}
daemon: {nodes_min: 0, nodes_max: 3, nodes_spare: 0, sleep: 1, hostname: here}
pool:
  clouds:
    here: {cloud: local, cores: 4, memory: 4G, machines: {one: {cores: 1, memory: 512M}}}
  batch: local
  shrink: {idle: 1s, cool_down: 1s}
  deadlines: {request: 30s, lost: 60s, delete: 5s}
  lease: {lifetime: 1h, idle_shutdown: 5m}
";

struct Site {
    dir: tempfile::TempDir,
    config: PathBuf,
}

impl Site {
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ehos.yaml");
        std::fs::write(&path, config).unwrap();
        Self { config: path, dir }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
        // What a sourced keystone file leaves in the environment must not matter.
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("OS_AUTH_URL", "http://127.0.0.1:1/")
            .env("OS_PASSWORD", "x");
        command
    }

    fn run(&self, more: &[&str]) -> Daemon {
        let config = self.config.display().to_string();
        let state = self.state().display().to_string();
        let mut args = vec!["pool", "run", config.as_str(), "--state-dir", state.as_str()];
        args.extend(more);
        Daemon::spawn("pool", self.command(&args))
    }

    fn pool(&self, args: &[&str]) -> Output {
        let state = self.state().display().to_string();
        let mut all = vec!["pool", args[0], "--state-dir", state.as_str()];
        all.extend(&args[1..]);
        self.command(&all).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.pool(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn submit(&self, count: u32, command: &[&str]) {
        let (config, count) = (self.config.display().to_string(), count.to_string());
        let mut args = vec!["submit", "--config", config.as_str(), "-n", count.as_str(), "--"];
        args.extend(command);
        self.ok(&args);
    }

    fn jobs(&self) -> Vec<Value> {
        let config = self.config.display().to_string();
        let text = self.ok(&["queue", "--config", config.as_str(), "--json"]);
        serde_json::from_str(&text).unwrap()
    }

    fn done(&self) -> usize {
        self.jobs().iter().filter(|job| job["state"] == "done").count()
    }

    fn status(&self) -> Option<Value> {
        let output = self.pool(&["status", "--json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    fn nodes(&self) -> Option<Vec<Value>> {
        Some(self.status()?["nodes"].as_array()?.clone())
    }

    /// The directories of the servers, whoever remembers them.
    fn servers(&self) -> Vec<PathBuf> {
        let dir = self.state().join("pool/e2e%40here/local-clouds/here");
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }
}

fn until(what: &str, patience: Duration, mut is_it: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_it() {
        assert!(began.elapsed() < patience, "never: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Processes whose command line names this directory.
fn processes_of(dir: &Path) -> Vec<String> {
    let needle = dir.display().to_string();
    let of = |entry: std::fs::DirEntry| {
        let bytes = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        line.contains(&needle).then_some(line)
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(of).collect()
}

#[test]
fn a_local_pool_grows_with_its_queue_and_shrinks_again() {
    let site = Site::new(CONFIG);
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let mut daemon = site.run(&["--listen", &listen]);
    until("it answers", SHORT, || site.status().is_some());
    site.submit(6, &["sleep", "2"]);
    let mut most = 0;
    until("all jobs are done", LONG, || {
        most = most.max(site.servers().len());
        site.done() == 6
    });
    assert!((2..=3).contains(&most), "{most} servers at a time");
    until("all nodes are gone", LONG, || site.nodes().is_some_and(|nodes| nodes.is_empty()));
    assert_eq!(site.servers(), Vec::<PathBuf>::new());
    for job in site.jobs() {
        assert_eq!((&job["starts"], &job["exit_code"]), (&Value::from(1), &Value::from(0)), "{job}");
    }
    let why = site.ok(&["why"]);
    assert!(why.contains("no job waits for a worker"), "{why}");
    let name = site.jobs()[0]["worker"].as_str().unwrap().to_owned();
    let life = site.ok(&["why", &name]);
    for step in ["is requested: one in here", "has joined", "is drained: no longer needed", "is gone"] {
        assert!(life.contains(step), "no {step:?} in\n{life}");
    }
    let (code, _, metrics) = http_request(port, "GET", "/metrics", &[], b"").unwrap();
    let metrics = String::from_utf8_lossy(&metrics).into_owned();
    assert!(
        code == 200 && metrics.contains("campanile_pool_nodes{cloud=\"here\",state=\"idle\"} 0"),
        "{metrics}"
    );
    let (code, _, nodes) = http_request(port, "GET", "/nodes", &[], b"").unwrap();
    let nodes: Value = serde_json::from_slice(&nodes).unwrap();
    assert!(
        code == 200
            && nodes.as_array().is_some_and(|rows| rows.iter().all(|row| row["vm_state"] == "vm_deleted"))
    );
    assert_eq!(http_request(port, "GET", "/nodes?drop=table", &[], b"").unwrap().0, 400);
    let body = br#"{"name": "daemon.nodes_max", "value": "9"}"#;
    assert_eq!(http_request(port, "PATCH", "/settings/1", &[], body).unwrap().0, 403);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(SHORT).code(), Some(0), "{}", daemon.output());
}

#[test]
fn killed_at_any_moment_it_loses_no_job_and_leaks_no_server() {
    let rounds: u32 = std::env::var("CAMPANILE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let seed: u64 =
        std::env::var("CAMPANILE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos().into()
        });
    println!("CAMPANILE_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let site = Site::new(CONFIG);
    let mut daemon = site.run(&[]);
    let mut submitted = 0;
    for _ in 0..rounds {
        let count = random.u32(1..5);
        let seconds = format!("{}.{}", random.u32(0..2), random.u32(1..10));
        site.submit(count, &["sleep", &seconds]);
        submitted += count as usize;
        // Growth, work and shrinking take a few seconds here; the blow falls anywhere in them.
        std::thread::sleep(Duration::from_millis(random.u64(100..3_500)));
        daemon.kill9();
        std::thread::sleep(Duration::from_millis(random.u64(0..700)));
        assert!(site.servers().len() <= 3, "above the cap");
        daemon.restart();
    }
    until("all jobs are done", LONG, || site.done() == submitted);
    until("all nodes are gone", LONG, || site.nodes().is_some_and(|nodes| nodes.is_empty()));
    until("no server is left", SHORT, || site.servers().is_empty());
    let jobs = site.jobs();
    assert_eq!(jobs.len(), submitted);
    for job in &jobs {
        assert_eq!((&job["starts"], &job["exit_code"]), (&Value::from(1), &Value::from(0)), "{job}");
    }
    assert_eq!(daemon.stop(SHORT).code(), Some(0));
    until("no process is left", SHORT, || processes_of(site.dir.path()).is_empty());
}

#[test]
fn operators_pause_scale_cordon_drain_and_are_told_what_is_wrong() {
    let site = Site::new(CONFIG);
    let mut daemon = site.run(&[]);
    until("it answers", SHORT, || site.status().is_some());
    assert!(site.ok(&["scale", "--min", "2"]).contains("at least 2, at most 3"));
    let states = |site: &Site| -> Vec<String> {
        let nodes = site.nodes().unwrap_or_default();
        nodes.iter().map(|node| node["state"].as_str().unwrap_or_default().to_owned()).collect()
    };
    until("two nodes are idle", LONG, || states(&site) == ["idle", "idle"]);
    let refused = site.pool(&["scale", "--max", "99"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`nodes_max` of the configuration is 3"));
    let first = site.nodes().unwrap()[0]["name"].as_str().unwrap().to_owned();
    site.ok(&["cordon", &first]);
    site.ok(&["pause"]);
    // What was asked for outlives the daemon.
    daemon.kill9();
    daemon.restart();
    until("it answers again", SHORT, || site.status().is_some_and(|status| status["pool"]["paused"] == true));
    site.ok(&["scale", "--reset"]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(site.nodes().unwrap().len(), 2, "paused: nothing goes");
    site.ok(&["resume"]);
    until("the other one goes, the cordoned one stays", LONG, || {
        site.nodes().is_some_and(|nodes| nodes.len() == 1 && nodes[0]["name"] == first.as_str())
    });
    site.submit(1, &["sleep", "1"]);
    until("the job ran on another", LONG, || site.done() == 1);
    assert_ne!(site.jobs()[0]["worker"], first.as_str());
    site.ok(&["cordon", &first, "--undo"]);
    site.ok(&["drain", &first]);
    until("all are gone", LONG, || site.nodes().is_some_and(|nodes| nodes.is_empty()));
    // A server that another program has made is taken over by name, and only with --yes.
    let stranger = site.state().join("pool/e2e%40here/local-clouds/here/old-1");
    std::fs::create_dir(&stranger).unwrap();
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let meta = format!(
        r#"{{"node": "old-1", "mark": "", "worker_type": "standard", "flavor": "one", "created_ms": {now_ms}}}"#
    );
    std::fs::write(stranger.join("server.json"), meta).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert!(site.nodes().unwrap().is_empty(), "what does not bear our mark is left alone");
    assert!(site.ok(&["adopt", "old-1"]).contains("can be adopted"));
    assert!(site.nodes().unwrap().is_empty());
    assert!(site.ok(&["adopt", "old-1", "--yes"]).contains("adopted"));
    until("it is a node", SHORT, || {
        site.nodes().is_some_and(|nodes| nodes.iter().any(|node| node["name"] == "old-1"))
    });
    let missing = site.pool(&["adopt", "nobody"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stdout).contains("no cloud has a server of this name"));

    let nobody = site.pool(&["drain", "nobody"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("there is no node nobody"));

    // A changed file is taken, a broken one is refused and the last good one stays.
    std::fs::write(&site.config, CONFIG.replace("nodes_max: 3", "nodes_max: 1")).unwrap();
    until("the new limit", SHORT, || site.status().is_some_and(|status| status["pool"]["nodes_max"] == 1));
    std::fs::write(&site.config, CONFIG.replace("nodes_max: 3", "nodes_max: many")).unwrap();
    until("the refusal", SHORT, || {
        site.status().is_some_and(|status| {
            status["trouble"]["config"]
                .as_str()
                .is_some_and(|text| text.contains("nodes_max") || text.contains("`many`"))
                && status["pool"]["nodes_max"] == 1
        })
    });
    assert_eq!(daemon.stop(SHORT).code(), Some(0));
    let gone = site.pool(&["status"]);
    assert_eq!(gone.status.code(), Some(1));
}

/// Takes one request of InfluxDB's kind; gives its head and body.
fn one_influx_request(listener: std::net::TcpListener) -> std::thread::JoinHandle<String> {
    use std::io::{Read as _, Write as _};
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while !text.contains("nodes_busy=") {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        text
    })
}

#[test]
fn it_is_an_agent_on_the_bus_and_sends_its_numbers_to_influxdb() {
    let influx = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let influx_port = influx.local_addr().unwrap().port();
    let request = one_influx_request(influx);
    let site = Site::new(&format!(
        "{CONFIG}influxdb: {{url: 'http://127.0.0.1:{influx_port}', db: ehos, username: kim, password: pw}}\n"
    ));
    let port = free_port();
    let file = site.dir.path().join("site.yaml");
    let text = format!(
        "hub: {{wamp_server: 'ws://127.0.0.1:{port}/ws', wamp_http: 'http://127.0.0.1:{port}/call', wamp_realm: test_realm,
  address_root: observatory, registry_address: observatory.registry}}
hosts: {{here: {{agent-instances: [{{agent-class: CampanilePool, instance-id: pool1}}]}}}}
"
    );
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let mut router = Daemon::spawn("router", site.command(&["router", "--site-file", &file]));
    router.wait_for_output(SHORT, "router ready");
    let mut daemon = site.run(&["--bus", "--site-file", &file, "--site-host", "here"]);
    let ops = |args: Value| campanile_testkit::bridge_call(port, "observatory.pool1.ops", args);
    until("the process runs", LONG, || {
        ops(serde_json::json!(["status", "manager"])).is_ok_and(|reply| reply[2]["status"] == "running")
    });
    ops(serde_json::json!(["start", "pause", {}])).unwrap();
    until("it is paused", SHORT, || {
        ops(serde_json::json!(["status", "manager"])).is_ok_and(|reply| reply[2]["data"]["paused"] == true)
    });
    the_clients_of_a_site_see_the_pool(&site, &file, &ops);
    let line = request.join().unwrap();
    assert!(
        line.starts_with("POST /write?db=ehos ") && line.to_lowercase().contains("authorization: basic"),
        "{line}"
    );
    assert!(line.contains("ehos,host=here nodes_busy=0,nodes_idle=0,jobs_running=0,jobs_idle=0"), "{line}");
    assert_eq!(router.stop(SHORT).code(), Some(0));
    // Without a router it is asked by its socket on this machine.
    let state = site.state().display().to_string();
    let events = site.command(&["events", "--site-file", &file, "--state-dir", &state]).output().unwrap();
    let events = String::from_utf8_lossy(&events.stdout);
    assert!(events.contains("paused: nothing is created or removed"), "{events}");
    assert_eq!(daemon.stop(SHORT).code(), Some(0));
}

/// `campanile status`, `plan`, `why` and `events` span pools as they do hosts.
fn the_clients_of_a_site_see_the_pool(site: &Site, file: &str, ops: &dyn Fn(Value) -> Result<Value, String>) {
    let said = |args: &[&str]| -> String {
        let output = site.command(&[args, &["--site-file", file]].concat()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let status = said(&["status"]);
    assert!(status.contains("here  pool pool1\n  pool e2e@here: 0 nodes (at least 0, at most 3"), "{status}");
    assert!(status.contains(", PAUSED"), "{status}");
    let status: Value = serde_json::from_str(&said(&["status", "--json"])).unwrap();
    let pool = &status["pools"][0];
    assert_eq!((&pool["instance_id"], &pool["host"]), (&Value::from("pool1"), &Value::from("here")));
    assert_eq!(pool["status"]["pool"]["nodes_max"], 3);
    assert!(said(&["status", "--workers"]).contains("desk"));
    let paused = "an operator has paused the pool";
    until("the next turn has seen the pause", SHORT, || said(&["plan"]).contains(paused));
    assert!(said(&["plan"]).contains("here  pool pool1\n"));
    let plan: Value = serde_json::from_str(&said(&["plan", "--json"])).unwrap();
    assert_eq!(plan["pools"][0]["plan"]["paused"], true);
    assert!(said(&["why", "pool1"]).contains(paused));

    ops(serde_json::json!(["start", "resume", {}])).unwrap();
    site.submit(1, &["sleep", "0.2"]);
    until("the job is done", LONG, || site.done() == 1);
    until("its node is gone", LONG, || site.nodes().is_some_and(|nodes| nodes.is_empty()));
    let node = site.jobs()[0]["worker"].as_str().unwrap().to_owned();
    let why = said(&["why", &node]);
    assert!(why.starts_with(&format!("{node} (pool pool1, on here)\n")), "{why}");
    assert!(why.contains("is requested: one in here") && why.contains("is gone"), "{why}");
    let events = said(&["events", "--since", "1h"]);
    assert!(events.contains("is requested: one in here"), "{events}");
    assert!(events.contains("start of pause was asked for"), "who asked for it is known: {events}");
    let nobody = site.command(&["why", "nobody", "--site-file", file]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
}

#[test]
fn settings_are_changed_over_http_with_the_token_and_without_it_nothing_is() {
    let port = free_port();
    let site = Site::new("");
    let token = site.dir.path().join("token");
    let config = format!(
        "{}  rest: {{listen: '127.0.0.1:{port}', token_file: {}}}\ncondor: {{password: a-secret}}\n",
        CONFIG.replace("hostname: here}", "hostname: here, use_db_settings: yes}"),
        token.display()
    );
    std::fs::write(&site.config, config).unwrap();
    std::fs::write(&token, "the right one\n").unwrap();
    let mut daemon = site.run(&[]);
    let nodes_max = || site.status().map(|status| status["pool"]["nodes_max"].clone());
    until("it answers", SHORT, || nodes_max() == Some(Value::from(3)));
    let get = |path: &str| {
        let (code, _, body) = http_request(port, "GET", path, &[], b"").unwrap();
        assert_eq!(code, 200, "{path}");
        String::from_utf8(body).unwrap()
    };
    // Whoever reaches the port may read, and nothing of it is secret.
    for path in ["/", "/status", "/plan", "/metrics", "/nodes", "/nodes/states", "/nodes/status", "/clouds"] {
        assert!(!get(path).contains("a-secret"), "{path}");
    }
    let settings: Vec<Value> = serde_json::from_str(&get("/settings")).unwrap();
    assert!(settings.iter().all(|row| !row["name"].as_str().unwrap().contains("password")), "{settings:?}");
    let row = settings.iter().find(|row| row["name"] == "daemon.nodes_max").unwrap();
    let path = format!("/settings/{}", row["id"]);
    let send = |method: &str, path: &str, authorization: &str, body: &str| {
        let headers = [("Authorization", authorization), ("Content-Type", "application/json")];
        http_request(port, method, path, &headers, body.as_bytes()).unwrap().0
    };
    let change = r#"{"name": "daemon.nodes_max", "value": "2"}"#;
    assert_eq!(http_request(port, "PATCH", &path, &[], change.as_bytes()).unwrap().0, 401);
    for wrong in
        ["Bearer", "Bearer nope", "Bearer the right on", "Bearer the right one!", "Basic the right one"]
    {
        assert_eq!(send("PATCH", &path, wrong, change), 401, "{wrong:?}");
    }
    let right = "Bearer the right one";
    for (method, path) in
        [("POST", "/nodes"), ("DELETE", "/nodes/1"), ("PUT", path.as_str()), ("POST", "/clouds")]
    {
        assert_eq!(send(method, path, right, change), 405, "{method} {path}");
    }
    assert_eq!(nodes_max(), Some(Value::from(3)), "nothing has changed");

    assert_eq!(send("PATCH", &path, right, change), 204);
    until("it is in force", SHORT, || nodes_max() == Some(Value::from(2)));
    assert!(site.ok(&["events"]).contains("daemon.nodes_max was set over HTTP"));
    assert_eq!(send("PATCH", "/settings/99999", right, change), 404);
    assert_eq!(send("PATCH", &path, right, "nodes_max=9"), 400);
    // A value that makes no sense is refused by the daemon, and the last good one stays.
    assert_eq!(send("PATCH", &path, right, &change.replace('2', "many")), 204);
    until("the refusal", SHORT, || {
        site.status().is_some_and(|status| status["trouble"]["config"].is_string())
    });
    assert_eq!(nodes_max(), Some(Value::from(2)));
    std::fs::remove_file(&token).unwrap();
    assert_eq!(send("PATCH", &path, right, change), 503);
    assert_eq!(daemon.stop(SHORT).code(), Some(0));
}

#[test]
fn check_plan_and_the_name_of_ehos() {
    let site = Site::new(CONFIG);
    let config = site.config.display().to_string();
    let checked = site.command(&["pool", "check", &config]).output().unwrap();
    assert!(checked.status.success());
    assert!(String::from_utf8_lossy(&checked.stdout).contains("our servers bear the mark e2e@here"));
    let broken = site.dir.path().join("broken.yaml");
    std::fs::write(
        &broken,
        CONFIG.replace("nodes_max: 3", "nodes_max: x").replace("cloud: local", "cloud: lokal"),
    )
    .unwrap();
    let output = site.command(&["pool", "check", "broken.yaml"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("found the string `x`") && stderr.contains("did you mean `local`?"), "{stderr}");
    assert_eq!(site.command(&["pool", "run", "nowhere.yaml"]).output().unwrap().status.code(), Some(2));

    site.submit(2, &["sleep", "1"]);
    let state = site.state().display().to_string();
    let plan = site.command(&["pool", "plan", &config, "--state-dir", &state]).output().unwrap();
    let text = String::from_utf8_lossy(&plan.stdout);
    assert!(plan.status.success(), "{}", String::from_utf8_lossy(&plan.stderr));
    assert!(text.contains("2 idle jobs need 2 cores") && text.contains("creating 2 × one in here"), "{text}");
    assert!(site.servers().is_empty(), "a plan changes nothing");

    let link = site.dir.path().join("ehosd.py");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_campanile"), &link).unwrap();
    let mut command = Command::new(&link);
    // Found by the search path of EHOS, below the working directory.
    std::fs::create_dir(site.dir.path().join("etc")).unwrap();
    std::fs::rename(&site.config, site.dir.path().join("etc/ehos.yaml")).unwrap();
    command.args(["-v", "-v", "-l", "ehos.log", "--state-dir", &state]).current_dir(site.dir.path());
    let mut daemon = Daemon::spawn("ehosd", command);
    until("the jobs are done", LONG, || {
        let queue = format!("{state}/pool/e2e%40here/queue.db");
        let listed = site.command(&["pool", "queue", "--queue", &queue, "--json"]).output().unwrap();
        serde_json::from_slice::<Vec<Value>>(&listed.stdout)
            .is_ok_and(|jobs| jobs.iter().all(|job| job["state"] == "done"))
    });
    until("all nodes are gone", LONG, || site.nodes().is_some_and(|nodes| nodes.is_empty()));
    assert_eq!(daemon.stop(SHORT).code(), Some(0));
    let log = std::fs::read_to_string(site.dir.path().join("ehos.log")).unwrap();
    assert!(log.contains("the pool begins") && log.contains("DEBUG"), "{log}");
}
