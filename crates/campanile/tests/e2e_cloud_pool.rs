//! The whole loop on real parts: jobs in a real HTCondor queue, servers on a real OpenStack control plane, whose
//! hypervisor starts a real worker for each server, with nothing but the token of its user-data.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use campanile_testkit::{CondorPool, Daemon, OpenStackConfig, OpenStackLab, Signal};
use serde_json::{Value, json};

/// A loaded machine gets its time.
const LONG: Duration = Duration::from_secs(280);
const SHORT: Duration = Duration::from_secs(60);
/// The cap of the configuration.
const NODES_MAX: usize = 4;
/// Tokens end during the test. OpenStack's own clients take one that ends within 120 s for ended: with shorter ones every
/// call of theirs would log in anew.
const TOKEN_LIFE: Duration = Duration::from_secs(150);
/// For so long keystone is away.
const KEYSTONE_AWAY: Duration = Duration::from_secs(60);

struct Site {
    dir: tempfile::TempDir,
    lab: OpenStackLab,
    condor: CondorPool,
}

impl Site {
    fn start() -> Option<Self> {
        let config = OpenStackConfig {
            regions: vec!["RegionOne".to_owned(), "RegionTwo".to_owned()],
            env: [("OSLAB_TOKEN_SECONDS".to_owned(), TOKEN_LIFE.as_secs().to_string())].into(),
        };
        let (condor, lab) = std::thread::scope(|scope| {
            let condor = scope.spawn(|| CondorPool::start("23"));
            let lab = OpenStackLab::start(&config);
            (condor.join().unwrap(), lab)
        });
        let (condor, lab) = (condor?, lab?);
        let dir = tempfile::tempdir().unwrap();
        let site = Self { dir, lab, condor };
        site.write_hook();
        site.hypervisor(json!({}));
        std::fs::write(site.path("execute.yaml"), EXECUTE).unwrap();
        std::fs::write(site.path("ehos.yaml"), site.config()).unwrap();
        Some(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What stands in the place of a booting machine: a worker with the token of the user-data and no other secret.
    fn write_hook(&self) {
        use std::os::unix::fs::PermissionsExt as _;
        let env: String =
            self.condor.script_env().iter().map(|(name, value)| format!("export {name}={value}\n")).collect();
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scripts/condor/pool");
        let tokens = self.condor.pool_dir().join("worker-tokens");
        let text = format!(
            "#!/bin/sh\ncase $2 in burst-*) exit;; esac\n{env}dir={tokens}/$2\nmkdir -p $dir\ncase $1 in\nspawn)\n\
             if mv {flag} {flag}.done 2>/dev/null; then exit 0; fi\n\
             sed -n 's/^ *content: //p' \"$4\" >$dir/token; chmod 700 $dir; chmod 600 $dir/token\n\
             [ $(id -u) != 0 ] || chown -R campanile-condor $dir\n\
             exec flock -o $dir.lock {script} worker $2 1 512 'SEC_CLIENT_AUTHENTICATION_METHODS = IDTOKENS' \\\n\
             'SEC_TOKEN_POOL_SIGNING_KEY_FILE = /nonexistent/POOL' \"SEC_TOKEN_DIRECTORY = $dir\" \\\n\
             \"SEC_TOKEN_SYSTEM_DIRECTORY = $dir\" </dev/null >/dev/null 2>&1;;\n\
             destroy) exec flock -o $dir.lock {script} kill $2 </dev/null >/dev/null 2>&1;;\nesac\n",
            tokens = tokens.display(),
            flag = self.path("never-joins").display(),
            script = script.display(),
        );
        std::fs::write(self.path("hook"), text).unwrap();
        std::fs::set_permissions(self.path("hook"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn hypervisor(&self, mut knobs: Value) {
        let hook = self.path("hook").display().to_string();
        knobs["spawn_hook"] = json!(hook);
        knobs["destroy_hook"] = json!(hook);
        self.lab.hypervisor(&knobs);
    }

    fn cloud(&self, name: &str, project: &str, region: &str) -> String {
        format!(
            "  {name}: {{auth_url: '{url}', project_name: {project}, username: ehos, password: oslab, \
             region_name: {region}, user_domain_name: Default, project_domain_name: Default, \
             image: GOLD CentOS 7, no_cache: 1}}\n",
            url = self.lab.auth_url(),
        )
    }

    /// Two projects, and a second region.
    fn config(&self) -> String {
        let clouds = [
            self.cloud("a", "ehos-a", "RegionOne"),
            self.cloud("b", "ehos-b", "RegionOne"),
            self.cloud("far", "ehos-a", "RegionTwo"),
        ];
        format!(
            "clouds:\n{clouds}\
             ehos: {{project_prefix: e2e, flavor: m1.tiny, network: dualStack, security_groups: default, \
             userdata_file: {execute}}}\n\
             daemon: {{nodes_min: 0, nodes_max: {NODES_MAX}, nodes_spare: 0, sleep: 2, min_cores: 1, min_ram: 1, \
             min_instances: 1, node_allocation: round-robin, hostname: head}}\n\
             condor: {{password: None}}\n\
             pool:\n  batch: {{system: htcondor, config_file: {config}, bin: {bin}}}\n\
             \x20 shrink: {{idle: 2s, cool_down: 1s}}\n\
             \x20 deadlines: {{request: 20s, build: 30s, join: 45s, lost: 60s, delete: 10s}}\n\
             \x20 lease: {{lifetime: 2h, idle_shutdown: 30m}}\n",
            clouds = clouds.concat(),
            execute = self.path("execute.yaml").display(),
            config = self.condor.config_file().display(),
            bin = self.condor.programs().display(),
        )
    }

    fn pool(&self, args: &[&str]) -> Output {
        let state = self.path("state").display().to_string();
        let mut all = vec!["pool", args[0], "--state-dir", state.as_str()];
        all.extend(&args[1..]);
        self.command(&all).output().unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
        // What a sourced keystone file leaves in the environment must not matter.
        command.args(args).current_dir(self.dir.path()).env("OS_AUTH_URL", "http://127.0.0.1:1/");
        command
    }

    fn run(&self) -> Daemon {
        let (config, state) = (self.path("ehos.yaml"), self.path("state"));
        let args =
            ["pool", "run", &config.display().to_string(), "--state-dir", &state.display().to_string()];
        Daemon::spawn("pool", self.command(&args))
    }

    fn nodes(&self) -> Option<Vec<Value>> {
        let output = self.pool(&["status", "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(status["nodes"].as_array()?.clone())
    }

    fn said(&self, args: &[&str]) -> String {
        let output = self.pool(args);
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// What is in all projects and regions, whosever it is: servers with their status, ports of machines.
    fn inventory(&self) -> Vec<String> {
        let program = "for c in (conn, openstack.connect(cloud='admin-RegionTwo')):\n\
             \x20   for s in c.compute.servers(all_projects=True): print('server', s.name, s.status)\n\
             \x20   for p in c.network.ports():\n\
             \x20       if p.device_owner.startswith('compute'): print('port', p.status)";
        let all = self.lab.python("admin", program);
        all.lines().map(str::to_owned).collect()
    }

    /// Jobs that have ended: status and number of starts of each.
    fn history(&self) -> Vec<String> {
        let output = self.condor.run("condor_history", &["-af", "JobStatus", "NumJobStarts"]);
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// Waits until so many jobs are done, each of them run once.
    #[track_caller]
    fn wait_for_jobs(&self, count: usize) {
        self.until(&format!("{count} jobs are done"), || self.history().len() >= count);
        let history = self.history();
        assert!(history.iter().all(|line| line == "4 1"), "every job ran once and to its end: {history:?}");
    }

    #[track_caller]
    fn until(&self, what: &str, mut is_it: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_it() {
            assert!(
                began.elapsed() < LONG,
                "never: {what}\n{}\n{}\n{}\nthere are {:?}\nended jobs {:?}",
                self.said(&["status"]),
                self.said(&["why"]),
                self.said(&["events"]),
                self.inventory(),
                self.history()
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

const EXECUTE: &str = "\
#cloud-config
# the worker {worker_name} of the pool at {master_ip} ({uid_domain}); it ends itself after {idle_shutdown_s} s
write_files:
- path: /etc/condor/tokens.d/pool
  permissions: '0600'
  content: {token}
final_message: \"The EHOS vm is up after $UPTIME seconds\"
";

/// Jobs that run, each of them once and to its end.
struct Jobs<'s> {
    site: &'s Site,
    submitted: usize,
}

impl Jobs<'_> {
    fn submit(&mut self, count: u32, seconds: u32) {
        self.site.condor.submit_sleep(count, seconds, 1, 100, "");
        self.submitted += count as usize;
    }

    #[track_caller]
    fn are_done(&self) {
        self.site.wait_for_jobs(self.submitted);
    }
}

/// A second daemon with a queue of its own, whose servers are no workers: what it costs to ask for many at once. It lives
/// until the end, with one login after the other.
struct Burst<'s> {
    site: &'s Site,
    daemon: Daemon,
    began: Instant,
}

/// Workers of the burst.
const BURST: usize = 20;
/// The services whose access logs tell what it cost.
const SERVICES: [&str; 4] = ["keystone", "RegionOne-nova", "RegionOne-neutron", "RegionOne-glance"];
/// The pause between two ticks of EHOS, which makes one server in each.
const EHOS_TICK_S: f64 = 30.0;

impl<'s> Burst<'s> {
    fn run(site: &'s Site) -> Self {
        let config = format!(
            "clouds:\n{}\
             ehos: {{project_prefix: burst, flavor: m1.tiny, network: dualStack, security_groups: default}}\n\
             daemon: {{nodes_min: 0, nodes_max: 40, nodes_spare: 0, sleep: 2, hostname: head}}\n\
             pool: {{batch: local, deadlines: {{build: 30m, join: 30m}}}}\n",
            site.cloud("b", "ehos-b", "RegionOne"),
        );
        std::fs::write(site.path("burst.yaml"), config).unwrap();
        let args = ["pool", "run", "burst.yaml", "--state-dir", "burst"];
        let daemon = Daemon::spawn("burst", site.command(&args));
        let mut burst = Self { site, daemon, began: Instant::now() };
        site.until("the daemon of the burst answers", || burst.turns().is_some_and(|turns| turns > 1));
        burst.quota_is_reached_when_it_is_asked();
        // A new daemon with a new queue holds nothing against the cloud.
        burst.daemon.kill9();
        std::fs::remove_dir_all(site.path("burst")).unwrap();
        burst.daemon.restart();
        burst.began = Instant::now();
        site.until("it answers again", || burst.turns().is_some_and(|turns| turns > 1));
        burst.quiet_ticks();
        burst.all_at_once();
        burst
    }

    fn json(&self, args: &[&str]) -> Option<Value> {
        let mut all = vec!["pool", args[0], "--state-dir", "burst"];
        all.extend(&args[1..]);
        serde_json::from_slice(&self.site.command(&all).output().unwrap().stdout).ok()
    }

    fn said(&self, args: &[&str]) -> String {
        let mut all = vec!["pool", args[0], "--state-dir", "burst"];
        all.extend(&args[1..]);
        let output = self.site.command(&all).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    fn turns(&self) -> Option<u64> {
        self.json(&["status", "--json"])?["turn"]["number"].as_u64()
    }

    fn nodes(&self) -> Vec<Value> {
        let status = self.json(&["status", "--json"]).unwrap_or_default();
        status["nodes"].as_array().cloned().unwrap_or_default()
    }

    fn submit(&self, count: usize) {
        let count = count.to_string();
        let args = ["pool", "submit", "--config", "burst.yaml", "--state-dir", "burst", "-n", &count, "--"];
        let output = self.site.command(&[&args[..], &["true"]].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// How far the logs of the services have got.
    fn marks(&self) -> Vec<usize> {
        SERVICES.iter().map(|service| self.site.lab.access_log(service).len()).collect()
    }

    /// Requests of ours since then: those of OpenStack's services to each other are none.
    fn calls(&self, since: &[usize]) -> Vec<String> {
        let logs = SERVICES.iter().zip(since);
        let all = logs.flat_map(|(service, since)| self.site.lab.access_log(service).split_off(*since));
        all.filter(|line| line.contains(" campanile/")).collect()
    }

    fn accepted(&self) -> usize {
        let all = self.calls(&[0; SERVICES.len()]);
        all.iter().filter(|line| line.contains("POST /v2.1/servers 202")).count()
    }

    /// The limits say that there is room, and neutron refuses all the same.
    fn quota_is_reached_when_it_is_asked(&self) {
        let quota = |ports: &str| {
            let text = format!("conn.network.update_quota(conn.identity.find_project('ehos-b').id, {ports})");
            self.site.lab.python("admin", &text);
        };
        quota("ports=0");
        self.submit(1);
        self.site.until("it is refused for want of quota", || {
            self.said(&["events"]).contains("is refused: no quota left for ports")
        });
        let why = || self.said(&["why"]);
        self.site.until("why says so", || why().contains("no quota left for ports"));
        quota("ports=500");
        assert_eq!((self.accepted(), self.nodes().len()), (0, 0), "nothing was made");
    }

    fn quiet_ticks(&self) {
        let (marks, turns) = (self.marks(), self.turns().unwrap());
        self.site.until("some ticks pass", || self.turns().is_some_and(|now| now >= turns + 3));
        // the last one may be on its way
        let ticks = self.turns().unwrap() - turns + 1;
        let calls = self.calls(&marks).len();
        println!("         API calls of {ticks} quiet ticks: {calls}");
        assert!(calls as u64 <= 3 * ticks, "a list and the limits in each tick, hardly anything else");
    }

    fn all_at_once(&self) {
        let marks = self.marks();
        let begun = Instant::now();
        self.submit(BURST + 1);
        while self.accepted() < BURST {
            assert!(begun.elapsed() < LONG, "{}\n{}", self.said(&["why"]), self.said(&["events"]));
            std::thread::sleep(Duration::from_millis(50));
        }
        let took = begun.elapsed().as_secs_f64();
        let all = self.calls(&marks);
        let of = |what: &str| all.iter().filter(|line| line.contains(what)).count();
        println!(
            "         {BURST} workers were requested {took:.1} s after their jobs were submitted (EHOS: {:.0} s, one in a \
             tick of {EHOS_TICK_S:.0} s), in {} API calls: {} creations, {} to nova beside them, {} to others",
            EHOS_TICK_S * BURST as f64,
            all.len(),
            of("POST /v2.1/servers "),
            of(" /v2.1/") - of("POST /v2.1/servers "),
            all.len() - of(" /v2.1/"),
        );
        assert!(all.len() <= 2 * BURST, "names are looked up once for all: {all:#?}");
        // the quota of the project is reached, and the rest of the jobs waits for it
        self.site.until("the quota is reached", || {
            self.said(&["why"]).contains("cloud b: no quota left for servers")
        });
        assert_eq!(self.nodes().len(), BURST, "{}", self.said(&["status"]));
        self.said(&["pause"]);
    }

    /// An operator lets all of them go; while the pool is paused none is made in their place. Gives those that are left.
    fn let_go(&self) -> usize {
        let nodes = self.nodes();
        for node in nodes.iter().filter(|node| node["state"] != "deleting") {
            self.said(&["drain", node["name"].as_str().unwrap_or_default()]);
        }
        nodes.len()
    }

    fn is_over(&self) {
        self.site.until("the nodes of the burst are gone", || self.let_go() == 0 && self.turns().is_some());
    }

    fn has_outlived_its_token(&self) {
        std::thread::sleep(TOKEN_LIFE.saturating_sub(self.began.elapsed()));
        let turns = self.turns().unwrap();
        self.site.until("it goes on under another login", || {
            let Some(status) = self.json(&["status", "--json"]) else { return false };
            let sides = status["sides"].as_array().cloned().unwrap_or_default();
            status["turn"]["number"].as_u64() > Some(turns + 1)
                && sides.iter().all(|side| side["error"].is_null())
        });
        let log = self.daemon.output();
        assert!(!log.contains("the credentials are refused"), "{log}");
    }
}

/// Jobs for more than may be made, over all clouds; with them come a server that gets ERROR, slow boots, a node that never
/// joins, and a storm of 503.
fn everything_goes_wrong(site: &Site, jobs: &mut Jobs<'_>) {
    std::fs::write(site.path("never-joins"), "").unwrap();
    site.hypervisor(json!({"fail_next": 1, "boot_seconds": 4}));
    site.lab.faults(&json!([
        {"service": "nova", "method": "GET", "status": 503, "times": 3, "headers": {"Retry-After": "1"}},
        {"service": "nova", "method": "POST", "path": "/servers$", "status": 503, "times": 1, "headers": {"Retry-After": "1"}},
    ]));
    jobs.submit(6, 4);
    let mut most = 0;
    site.until("the burst is done", || {
        let nodes = site.nodes().unwrap_or_default().len();
        assert!(nodes <= NODES_MAX, "{}", site.said(&["status"]));
        most = most.max(nodes);
        site.history().len() >= jobs.submitted
    });
    assert_eq!(most, NODES_MAX, "{}", site.said(&["events"]));
    site.lab.faults(&json!([]));
    site.hypervisor(json!({}));
    assert!(site.path("never-joins.done").exists(), "one node never joined");
    site.until("it is removed", || {
        site.said(&["events", "-n", "1000"]).contains("it has not joined the batch system in time")
    });
    let events = site.said(&["events", "-n", "1000"]);
    for words in ["its server is in error: ", "is being built", "is refused: the cloud asks to wait"] {
        assert!(events.contains(words), "no {words:?} in\n{events}");
    }
    assert!(!events.contains("its console cannot be read"), "{events}");
}

/// While keystone hangs nobody gets in, and no token can be checked: the clouds are not known. Nor are the workers while
/// the collector has forgotten them, nor the jobs while the schedd hangs. Nothing is removed that works.
fn a_minute_without_keystone(
    site: &Site,
    jobs: &mut Jobs<'_>,
    daemon: &mut Daemon,
    random: &mut fastrand::Rng,
) {
    jobs.submit(3, 25);
    // A node that is overdue when keystone goes may join, and get a job, after nova has accepted its deletion.
    site.until("workers work", || {
        let nodes = site.nodes().unwrap_or_default();
        !nodes.is_empty() && nodes.iter().all(|node| node["state"] == "busy")
    });
    println!("         workers work");
    site.lab.pause("keystone", true);
    let away = Instant::now();
    let told = |what: &str| println!("         after {:.0} s: {what}", away.elapsed().as_secs_f64());
    site.condor.signal("condor_collector", Signal::KILL);
    site.condor.signal("condor_schedd", Signal::STOP);
    let unknown = |side: usize| {
        let status: Option<Value> = serde_json::from_slice(&site.pool(&["status", "--json"]).stdout).ok();
        status.is_some_and(|status| status["sides"][side]["error"].is_string())
    };
    site.until("nothing is known of the queue", || unknown(0));
    told("nothing is known of the queue");
    site.condor.signal("condor_schedd", Signal::CONT);
    site.until("some cloud is not known", || (1..=3).any(unknown));
    told("some cloud is not known");
    for _ in 0..2 {
        kill(daemon, jobs, random);
    }
    std::thread::sleep(KEYSTONE_AWAY.saturating_sub(away.elapsed()));
    site.lab.pause("keystone", false);
}

/// Jobs come, the pool grows and shrinks, and its manager is killed.
fn kill(daemon: &mut Daemon, jobs: &mut Jobs<'_>, random: &mut fastrand::Rng) {
    jobs.submit(random.u32(1..3), random.u32(1..4));
    std::thread::sleep(Duration::from_millis(random.u64(200..6_000)));
    daemon.kill9();
    daemon.restart();
}

/// Clouds in which no server was made that became a worker.
fn clouds_without_workers(site: &Site) -> Vec<&'static str> {
    let page = site.pool(&["events", "-n", "1000", "--json"]);
    let page: Value = serde_json::from_slice(&page.stdout).unwrap();
    let events = page["events"].as_array().unwrap();
    let joined = |node: &Value| {
        events.iter().any(|event| event["subject"] == *node && event["text"] == "has joined the batch system")
    };
    let has_none = |cloud: &&str| {
        let requested = format!("is requested: m1.tiny in {cloud}");
        let mut here = events.iter().filter(|event| event["text"] == requested.as_str());
        !here.any(|event| joined(&event["subject"]))
    };
    ["a", "b", "far"].into_iter().filter(has_none).collect()
}

/// In each of them servers are made, and become workers.
fn two_projects_and_a_second_region(site: &Site, jobs: &mut Jobs<'_>) {
    // What went wrong before may have kept the pool away from one of them.
    while !clouds_without_workers(site).is_empty() {
        jobs.submit(3, 1);
        jobs.are_done();
        site.until("all nodes are gone again", || site.nodes().is_some_and(|nodes| nodes.is_empty()));
    }
}

/// A server of a user of the same project, whose name looks like one of ours.
fn foreign_server(site: &Site) {
    site.lab.python(
        "ehos-a",
        "net = conn.network.find_network('dualStack').id\n\
         server = conn.compute.create_server(name='e2e-execute-1', networks=[{'uuid': net}],\n\
         image_id=conn.image.find_image('GOLD CentOS 7').id, flavor_id=conn.compute.find_flavor('m1.tiny').id)\n\
         conn.compute.wait_for_server(server, wait=200)",
    );
}

fn env_number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seed() -> u64 {
    env_number("CAMPANILE_SEED").unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos().into()
    })
}

#[test]
fn a_real_queue_makes_real_servers_whose_workers_run_its_jobs_and_everything_vanishes_again() {
    let began = Instant::now();
    let Some(site) = Site::start() else { return };
    let told = |what: &str| println!("{:6.1} s {what}", began.elapsed().as_secs_f64());
    told("OpenStack and HTCondor are up: quota reached, a burst of twenty");
    let burst = Burst::run(&site);
    told("the burst goes again; a foreign server with a similar name");
    burst.let_go();
    foreign_server(&site);

    let mut daemon = site.run();
    site.until("it answers", || site.nodes().is_some());
    // what a job asks for and no worker type has is no demand, and a held job is none: these wait until the end
    site.condor.submit_sleep(1, 1, 64, 100, "");
    site.condor.submit_sleep(1, 1, 1, 100, "hold = true");
    let mut jobs = Jobs { site: &site, submitted: 0 };
    told("ERROR servers, slow boots, a node that never joins, 503 storms");
    everything_goes_wrong(&site, &mut jobs);
    let (seed, rounds) = (seed(), env_number("CAMPANILE_ROUNDS").unwrap_or(5));
    told(&format!("CAMPANILE_SEED={seed}; keystone down for a minute, collector restart, schedd hung"));
    let mut random = fastrand::Rng::with_seed(seed);
    a_minute_without_keystone(&site, &mut jobs, &mut daemon, &mut random);
    told(&format!("{rounds} times killed, two of them just now"));
    for _ in 2..rounds {
        kill(&mut daemon, &mut jobs, &mut random);
    }
    jobs.are_done();
    told("all jobs are done");
    site.until("all nodes are gone", || site.nodes().is_some_and(|nodes| nodes.is_empty()));
    told("all nodes are gone: two projects, a second region");
    burst.is_over();
    two_projects_and_a_second_region(&site, &mut jobs);
    let foreign = ["server e2e-execute-1 ACTIVE", "port ACTIVE"];
    site.until("only the foreign server with its port is left", || site.inventory() == foreign);
    assert_eq!(
        site.history().len(),
        jobs.submitted,
        "the jobs that no worker can run, and the held one, wait"
    );
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(SHORT).code(), Some(0), "{}", daemon.output());
    told("token expiry");
    burst.has_outlived_its_token();
    told("the end");
}
