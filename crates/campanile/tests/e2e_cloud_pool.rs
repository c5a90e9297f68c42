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

struct Site {
    dir: tempfile::TempDir,
    lab: OpenStackLab,
    condor: CondorPool,
}

impl Site {
    fn start() -> Option<Self> {
        let config = OpenStackConfig {
            regions: vec!["RegionOne".to_owned(), "RegionTwo".to_owned()],
            // Tokens end during the test. OpenStack's own clients take one that ends within 120 s for ended: with such ones
            // every call would log in anew.
            env: [("OSLAB_TOKEN_SECONDS".to_owned(), "150".to_owned())].into(),
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
            "#!/bin/sh\n{env}dir={tokens}/$2\nmkdir -p $dir\ncase $1 in\nspawn)\n\
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

    fn config(&self) -> String {
        let cloud = |name: &str, project: &str, region: &str| {
            format!(
                "  {name}: {{auth_url: '{url}', project_name: {project}, username: ehos, password: oslab, \
                 region_name: {region}, user_domain_name: Default, project_domain_name: Default, \
                 image: GOLD CentOS 7, no_cache: 1}}\n",
                url = self.lab.auth_url(),
            )
        };
        let clouds = [
            cloud("a", "ehos-a", "RegionOne"),
            cloud("b", "ehos-b", "RegionOne"),
            cloud("far", "ehos-a", "RegionTwo"),
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
             \x20 deadlines: {{request: 40s, build: 30s, join: 30s, lost: 60s, delete: 10s}}\n\
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
    told("OpenStack and HTCondor are up");
    foreign_server(&site);
    let foreign = site.inventory();
    assert_eq!(foreign.len(), 2, "a server with its port: {foreign:?}");
    let mut daemon = site.run();
    site.until("it answers", || site.nodes().is_some());
    let mut jobs = 0;
    let mut submit = |count: u32, seconds: u32| {
        site.condor.submit_sleep(count, seconds, 1, 100, "");
        jobs += count as usize;
        jobs
    };

    // what a job asks for and no worker type has is no demand, and a held job is none: these wait until the end
    site.condor.submit_sleep(1, 1, 64, 100, "");
    site.condor.submit_sleep(1, 1, 1, 100, "hold = true");

    // a burst: all that may be is asked for at once, over all clouds; with it comes a server that gets ERROR, slow boots, a
    // node that never joins, and a storm of 503
    told("a burst");
    std::fs::write(site.path("never-joins"), "").unwrap();
    site.hypervisor(json!({"fail_next": 1, "boot_seconds": 2}));
    site.lab.faults(&json!([
        {"service": "nova", "method": "GET", "status": 503, "times": 3, "headers": {"Retry-After": "1"}},
        {"service": "nova", "method": "POST", "path": "/servers$", "status": 503, "times": 1, "headers": {"Retry-After": "1"}},
    ]));
    let done = submit(6, 4);
    let mut most = 0;
    site.until("the burst is done", || {
        let nodes = site.nodes().unwrap_or_default().len();
        assert!(nodes <= NODES_MAX, "{}", site.said(&["status"]));
        most = most.max(nodes);
        site.history().len() >= done
    });
    assert_eq!(most, NODES_MAX, "{}", site.said(&["events"]));
    site.lab.faults(&json!([]));
    site.hypervisor(json!({}));
    assert!(site.path("never-joins.done").exists(), "one node never joined");
    for region in ["RegionOne-nova", "RegionTwo-nova"] {
        let made =
            site.lab.access_log(region).iter().filter(|line| line.contains("POST /v2.1/servers ")).count();
        assert!(made > 0, "round-robin makes servers in {region}, too");
    }

    // a collector that starts anew, a schedd that hangs, keystone that is away: nothing is removed that works
    told("outages");
    let done = submit(3, 12);
    site.until("workers work", || {
        site.nodes().is_some_and(|nodes| nodes.iter().any(|node| node["state"] == "busy"))
    });
    let rounds = env_number("CAMPANILE_ROUNDS").unwrap_or(5);
    site.lab.pause("keystone", true);
    site.condor.signal("condor_collector", Signal::KILL);
    site.condor.signal("condor_schedd", Signal::STOP);
    std::thread::sleep(Duration::from_secs(5));
    site.condor.signal("condor_schedd", Signal::CONT);
    std::thread::sleep(Duration::from_secs(if rounds > 5 { 55 } else { 5 }));
    site.lab.pause("keystone", false);
    site.wait_for_jobs(done);

    // killed at any moment of growth and shrinking
    let seed = seed();
    told(&format!("CAMPANILE_SEED={seed}: {rounds} times killed"));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut done = done;
    for _ in 0..rounds {
        done = submit(random.u32(1..3), random.u32(1..4));
        std::thread::sleep(Duration::from_millis(random.u64(200..6_000)));
        daemon.kill9();
        daemon.restart();
    }
    site.wait_for_jobs(done);
    told("all jobs are done");
    site.until("all nodes are gone", || site.nodes().is_some_and(|nodes| nodes.is_empty()));
    told("all nodes are gone");
    site.until("only the foreign server is left", || site.inventory() == foreign);
    assert_eq!(site.history().len(), done, "the jobs that no worker can run, and the held one, wait");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(SHORT).code(), Some(0), "{}", daemon.output());
    told("the end");
}
