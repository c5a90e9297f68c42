//! A master is made on a real OpenStack control plane and set up over ssh; sshd on loopback stands for the VM. Sleeping
//! jobs on a real HTCondor.

#![expect(clippy::unwrap_used, reason = "helpers of tests end the test")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use std::time::Duration;

use campanile_testkit::{
    CondorPool, Daemon, OpenStackConfig, OpenStackLab, Signal, finish, free_port, require_program,
    send_signal, skip, wait_for, wait_until,
};
use serde_json::json;

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn program(dir: &Path, name: &str) -> Command {
    let link = dir.join(name);
    if !link.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_campanile"), &link).unwrap();
    }
    let mut command = Command::new(link);
    command.current_dir(dir);
    command
}

/// A private sshd on loopback. What is run over it finds `systemctl` and `sudo` in a directory of ours first, which write
/// down how they were called.
struct Machine {
    dir: PathBuf,
    port: u16,
    _sshd: Daemon,
}

impl Machine {
    /// With `own_etc` its `/etc` and `/usr/local` are its own, below `root`; else it is told to work below `root`.
    fn start(dir: &Path, name: &str, own_etc: bool) -> Option<Self> {
        let sshd = ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().map(Path::new).find(|path| path.is_file());
        let Some(sshd) = sshd else {
            skip("sshd is not installed: run `make setup`");
            return None;
        };
        let dir = dir.join(name);
        std::fs::create_dir_all(dir.join("bin")).unwrap();
        std::fs::create_dir_all(dir.join("root")).unwrap();
        for key in ["host", "user"] {
            let file = dir.join(key).display().to_string();
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &file])
                .status()
                .unwrap();
            assert!(made.success());
        }
        std::fs::copy(dir.join("user.pub"), dir.join("authorized")).unwrap();
        let script = |name: &str, text: &str| {
            let path = dir.join("bin").join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let log = dir.join("calls").display().to_string();
        script(
            "systemctl",
            &format!("#!/bin/sh\necho systemctl \"$@\" >> {log}\n[ \"$1\" != is-active ] || echo active\n"),
        );
        script("sudo", &format!("#!/bin/sh\necho sudo >> {log}\n[ \"$1\" != -n ] || shift\nexec \"$@\"\n"));
        let port = free_port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {d}/host\nAuthorizedKeysFile {d}/authorized\nPidFile none\n\
             StrictModes no\nSubsystem sftp internal-sftp\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n\
             SetEnv PATH={d}/bin:/usr/local/bin:/usr/bin:/bin\n",
            d = dir.display()
        );
        std::fs::write(dir.join("sshd_config"), config).unwrap();
        if rustix::process::geteuid().is_root() {
            // Privilege separation wants it; the package makes it only when its service starts.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let root = dir.join("root");
        let mut binds = String::new();
        if own_etc {
            let copied = Command::new("cp").args(["-a", "/etc"]).arg(&root).status().unwrap();
            assert!(copied.success());
            std::fs::create_dir_all(root.join("usr/local/bin")).unwrap();
            let root = root.display();
            binds = format!("mount --bind {root}/etc /etc; mount --bind {root}/usr/local /usr/local;");
        }
        let sshd = format!("{} -D -e -f {}", sshd.display(), dir.join("sshd_config").display());
        let mut command = Command::new(if own_etc { "unshare" } else { "sh" });
        command.args(if own_etc { &["--mount", "sh"][..] } else { &[] });
        command.args(["-c", &format!("set -e; {binds} exec {sshd}")]);
        let sshd = Daemon::spawn("sshd", command);
        Some(Self { dir, port, _sshd: sshd })
    }

    fn host_key(&self) -> String {
        std::fs::read_to_string(self.dir.join("host.pub")).unwrap()
    }

    fn file(&self, path: &str) -> PathBuf {
        self.dir.join("root").join(path)
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.dir.join("calls")).unwrap_or_default()
    }
}

/// What cloud-init prints on the console of a machine with this host key.
fn host_keys_message(key: &str) -> String {
    format!("-----BEGIN SSH HOST KEY KEYS-----\n{key}-----END SSH HOST KEY KEYS-----\n")
}

fn me() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// In the place of OpenStack's command line client: the one command that is printed, by OpenStack's library.
const OPENSTACK: &str = "\
import argparse, base64, openstack
p = argparse.ArgumentParser()
p.add_argument('what', nargs=2)
for name in ('flavor', 'image', 'network', 'key-name', 'security-group', 'user-data'):
    p.add_argument('--' + name)
p.add_argument('name')
a = p.parse_args()
assert a.what == ['server', 'create'], a
c = openstack.connect(cloud='ehos-a')
data = base64.b64encode(open(a.user_data, 'rb').read()).decode()
server = c.compute.create_server(name=a.name, flavor_id=c.compute.find_flavor(a.flavor, ignore_missing=False).id,
    image_id=c.image.find_image(a.image, ignore_missing=False).id, user_data=data,
    networks=[{'uuid': c.network.find_network(a.network, ignore_missing=False).id}])
c.compute.wait_for_server(server, wait=200)
";

/// What `--manual` prints is done as it stands there: the machine from its image with master.yaml, the files, the services.
fn by_hand(lab: &OpenStackLab, dir: &Path, steps: &str) {
    if !rustix::process::geteuid().is_root() {
        skip("a machine with an /etc of its own needs root");
        return;
    }
    let Some(machine) = Machine::start(dir, "by-hand", true) else { return };
    let tools = dir.join("tools");
    std::fs::create_dir(&tools).unwrap();
    let script = |name: &str, text: &str| {
        std::fs::write(tools.join(name), text).unwrap();
        std::fs::set_permissions(tools.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let key = machine.dir.join("user").display().to_string();
    let options =
        "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR";
    for (name, port) in [("ssh", "-p"), ("scp", "-P")] {
        let text =
            format!("#!/bin/sh\nexec /usr/bin/{name} {port} {} -i {key} {options} \"$@\"\n", machine.port);
        script(name, &text);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".peers/openstack/venv/bin/python");
    script("openstack", &format!("#!{}\n{OPENSTACK}", python.display()));
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_campanile"), tools.join("campanile")).unwrap();
    let hand = dir.join("hand");
    std::fs::create_dir(&hand).unwrap();
    for name in ["master.yaml", "ehos.service"] {
        std::fs::copy(root.join("share/ehos").join(name), hand.join(name)).unwrap();
    }
    std::fs::copy(dir.join("etc/execute.yaml"), hand.join("execute.yaml")).unwrap();
    std::fs::copy(dir.join("ehos.yaml"), hand.join("ehos.yaml")).unwrap();
    std::fs::write(hand.join("steps"), steps.replace("ADDRESS", "127.0.0.1")).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let mut sh = Command::new("sh");
    sh.args(["-e", "-x", "steps"]).current_dir(&hand).env("PATH", path).stdin(std::process::Stdio::null());
    sh.env("OS_CLIENT_CONFIG_FILE", lab.clouds_yaml()).env_remove("PYTHONPATH");
    let output = sh.output().unwrap();
    let _brought_there_by_the_steps = std::fs::remove_file("/tmp/campanile");
    assert!(output.status.success(), "{}", said(&output));

    let show = "for s in conn.compute.servers(): print(s.id, s.name)";
    let made = lab.python("ehos-a", show);
    let (id, name) = made.split_once(' ').unwrap();
    assert!(!name.contains('\n') && steps.contains(name), "{made}");
    let shipped = std::fs::read_to_string(root.join("share/ehos/master.yaml")).unwrap();
    assert_eq!(lab.user_data(id), Some(shipped));
    let mode = |path: &str| std::fs::metadata(machine.file(path)).unwrap().permissions().mode() & 0o777;
    for secret in ["etc/ehos/ehos.yaml", "etc/condor/passwords.d/POOL", "etc/condor/ehos_pool_password"] {
        assert_eq!(mode(secret), 0o600, "{secret}");
    }
    assert_eq!(mode("usr/local/bin/campanile"), 0o755);
    let unit = std::fs::read_to_string(machine.file("etc/systemd/system/ehos.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/local/bin/ehosd"), "{unit}");
    assert!(machine.file("usr/local/bin/ehosd").exists());
    let condor = std::fs::read_to_string(machine.file("etc/condor/config.d/10-ehos.config")).unwrap();
    assert!(condor.contains("DAEMON_LIST = MASTER, COLLECTOR, NEGOTIATOR, SCHEDD"), "{condor}");
    let calls = machine.calls();
    for call in ["restart condor", "daemon-reload", "enable --now ehos.service"] {
        assert!(calls.contains(&format!("systemctl {call}")), "{calls}");
    }
    lab.python("ehos-a", &format!("conn.compute.delete_server({id:?})\nconn.compute.wait_for_delete(conn.compute.find_server({id:?}) or conn.compute.get_server({id:?}), wait=200)"));
}

#[test]
fn a_master_is_made_and_the_daemon_runs_on_it_as_a_service() {
    let dir = tempfile::tempdir().unwrap();
    let Some(machine) = Machine::start(dir.path(), "vm", false) else { return };
    let Some(lab) = OpenStackLab::start(&OpenStackConfig::default()) else { return };
    std::fs::create_dir_all(dir.path().join("etc")).unwrap();
    std::fs::write(dir.path().join("etc/execute.yaml"), "#cloud-config\n# altered: {token}\nruncmd: []\n")
        .unwrap();
    let config = format!(
        "clouds:\n  ehos-a:\n    auth_url: {}\n    project_name: ehos-a\n    username: ehos\n    password: oslab\n    \
         region_name: RegionOne\n    user_domain_name: Default\n    project_domain_name: Default\n    image: GOLD CentOS 7\n\
         ehos: {{project_prefix: e2e, flavor: m1.tiny, network: dualStack, userdata_file: execute.yaml}}\n\
         daemon: {{hostname: deploy.example}}\ncondor: {{password: 'pool secret'}}\n",
        lab.auth_url()
    );
    std::fs::write(dir.path().join("ehos.yaml"), config).unwrap();

    let user = me();
    let manual = ["--manual", "-u", &user, "ehos.yaml"];
    let manual = program(dir.path(), "ehosd_deploy.py").args(manual).output().unwrap();
    assert!(manual.status.success(), "{}", said(&manual));
    let steps = said(&manual);
    assert!(
        steps.contains("openstack server create") && steps.contains("systemctl enable --now ehos.service"),
        "{steps}"
    );
    assert!(!steps.contains("oslab") && !steps.contains("pool secret"), "{steps}");
    by_hand(&lab, dir.path(), &steps);

    let port = machine.port.to_string();
    let key = machine.dir.join("user").display().to_string();
    let root = machine.dir.join("root").display().to_string();
    let args = [
        "-v",
        "-v",
        "-v",
        "--address",
        "127.0.0.1",
        "--ssh-port",
        &port,
        "-u",
        &user,
        "-i",
        &key,
        "--remote-root",
        &root,
        "ehos.yaml",
    ];
    // A machine whose host key is not the one of its console gets nothing.
    let other = host_keys_message(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGEhSlrcaZ1v8c0Xl1nCgZ6f1dKXlZ2sVqkHn3wZkq0T x\n",
    );
    lab.hypervisor(&json!({"console": other}));
    let output = program(dir.path(), "ehosd_deployment.py").args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("host key is not the one"), "{}", said(&output));
    assert!(!machine.file("etc/ehos/ehos.yaml").exists());

    // The VM of the first run is used.
    lab.hypervisor(&json!({"console": host_keys_message(&machine.host_key())}));
    let output = program(dir.path(), "ehosd_deploy.py").args(args).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("is there already"), "{}", said(&output));
    assert!(!said(&output).contains("oslab") && !said(&output).contains("pool secret"), "{}", said(&output));
    let ids = lab.python("ehos-a", "for server in conn.compute.servers(): print(server.id)");
    assert_eq!(ids.lines().count(), 1, "{ids}");
    let user_data = lab.user_data(&ids).unwrap();
    assert!(
        user_data.contains("ehos-install-condor")
            && !user_data.contains("oslab")
            && !user_data.contains("secret\"")
    );

    let mode = |path: &str| std::fs::metadata(machine.file(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("etc/ehos/ehos.yaml"), mode("etc/ehos/execute.yaml")), (0o600, 0o600));
    assert_eq!(mode("usr/local/bin/campanile"), 0o755);
    let altered = std::fs::read_to_string(machine.file("etc/ehos/execute.yaml")).unwrap();
    assert!(altered.contains("# altered"), "{altered}");
    let unit = std::fs::read_to_string(machine.file("etc/systemd/system/ehos.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/local/bin/ehosd"), "{unit}");
    let condor = std::fs::read_to_string(machine.file("etc/condor/config.d/10-ehos.config")).unwrap();
    assert!(condor.contains("DAEMON_LIST = MASTER, COLLECTOR, NEGOTIATOR, SCHEDD"), "{condor}");
    assert_eq!((mode("etc/condor/passwords.d/POOL"), mode("etc/condor/ehos_pool_password")), (0o600, 0o600));
    let calls = machine.calls();
    for call in ["restart condor", "daemon-reload", "enable ehos.service", "restart ehos.service"] {
        assert!(calls.contains(&format!("systemctl {call}")), "{calls}");
    }

    // Once more: nothing is sent that is there, the signing key stays.
    let signing_key = std::fs::read(machine.file("etc/condor/passwords.d/POOL")).unwrap();
    let output = program(dir.path(), "ehos_deployment").args(args).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(!said(&output).contains("sending the program"), "{}", said(&output));
    assert_eq!(std::fs::read(machine.file("etc/condor/passwords.d/POOL")).unwrap(), signing_key);
    assert_eq!(machine.calls().matches("systemctl restart condor").count(), 1);
}

/// A systemd of the test's own, with a journal, in a mount namespace where `/run` is theirs.
struct Systemd {
    dir: PathBuf,
    systemctl: PathBuf,
    nsenter: PathBuf,
    daemon: Daemon,
}

const SOON: Duration = Duration::from_secs(60);

impl Systemd {
    fn boot(dir: &Path) -> Option<Self> {
        let unshare = require_program("unshare", "install the package util-linux")?;
        let nsenter = require_program("nsenter", "install the package util-linux")?;
        let systemctl = require_program("systemctl", "install the package systemd")?;
        if !Path::new("/lib/systemd/systemd-journald").exists() || !rustix::process::geteuid().is_root() {
            skip("a systemd of the test's own needs the package systemd, and root");
            return None;
        }
        // The journal goes with the manager, whatever ends it.
        let script = "set -e; mount -t tmpfs none /run; mkdir -p /run/systemd/system /run/systemd/journal /run/log/journal\n\
             setpriv --pdeathsig KILL /lib/systemd/systemd-journald &\n\
             until [ -S /run/systemd/journal/stdout ]; do sleep 0.1; done\n\
             exec /lib/systemd/systemd --user";
        std::fs::create_dir_all(dir.join("run")).unwrap();
        let mut command = Command::new(unshare);
        command.args(["--mount", "sh", "-c", script]).env("SYSTEMD_LOG_TARGET", "console");
        Self::of(dir, &mut command);
        let daemon = Daemon::spawn("systemd", command);
        let systemd = Self { dir: dir.to_owned(), systemctl, nsenter, daemon };
        wait_until(SOON, "systemd answers", || {
            dir.join("run/systemd/private").exists() && systemd.ctl(&["list-units"]).0 == 0
        });
        Some(systemd)
    }

    fn of(dir: &Path, command: &mut Command) {
        command.env("XDG_RUNTIME_DIR", dir.join("run")).env("XDG_CONFIG_HOME", dir.join("config"));
        command.env("XDG_STATE_HOME", dir.join("config"));
    }

    /// The exit code, and what was said.
    fn ctl(&self, args: &[&str]) -> (i32, String) {
        let mut command = Command::new(&self.systemctl);
        command.args(["--user", "--no-pager"]).args(args);
        Self::of(&self.dir, &mut command);
        let output = finish("systemctl", command, Duration::from_secs(120));
        (output.code(), format!("{}{}", output.stdout, output.stderr))
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let (code, said) = self.ctl(args);
        assert_eq!(code, 0, "{args:?}: {said}\n{}", self.journal());
        said
    }

    fn main_pid(&self) -> Option<u32> {
        let told = self.done(&["show", "--property=MainPID", "--value", "ehos.service"]);
        told.trim().parse().ok().filter(|pid| *pid != 0)
    }

    /// What `journalctl -u ehos.service` shows.
    fn journal(&self) -> String {
        let mut command = Command::new(&self.nsenter);
        command.args([
            "-t",
            &self.daemon.pid().to_string(),
            "-m",
            "journalctl",
            "--no-pager",
            "-q",
            "-o",
            "cat",
        ]);
        command.args(["-u", "ehos.service"]);
        finish("journalctl", command, SOON).stdout
    }
}

#[test]
fn the_service_that_ships_is_enabled_and_started_and_logs_to_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let units = dir.path().join("config/systemd/user");
    std::fs::create_dir_all(&units).unwrap();
    let Some(systemd) = Systemd::boot(dir.path()) else { return };
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../share/ehos/ehos.service");
    let unit = std::fs::read_to_string(shipped).unwrap();
    // Its places are those of the test; five seconds are for people. The rest of the file is as it ships.
    let here = dir.path().display().to_string();
    let unit = unit
        .replace("/usr/local/bin/ehosd", &format!("{here}/ehosd"))
        .replace("/etc/ehos/ehos.yaml", &format!("{here}/ehos.yaml"))
        .replace("RestartSec=5", "RestartSec=1");
    assert_eq!(unit.matches(&here).count(), 2, "{unit}");
    std::fs::write(units.join("ehos.service"), unit).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_campanile"), dir.path().join("ehosd")).unwrap();
    let config = "daemon: {nodes_min: 0, nodes_max: 1, nodes_spare: 0, sleep: 1, hostname: here}\n\
                  pool: {clouds: {here: {cloud: local}}, batch: local}\n";
    std::fs::write(dir.path().join("ehos.yaml"), config).unwrap();

    // Enabled, it comes up with the target that the machine boots to.
    std::fs::write(units.join("multi-user.target"), "[Unit]\nDescription=Multi-User System\n").unwrap();
    systemd.done(&["daemon-reload"]);
    systemd.done(&["enable", "ehos.service"]);
    assert_eq!(systemd.done(&["is-enabled", "ehos.service"]).trim(), "enabled");
    systemd.done(&["start", "multi-user.target"]);
    let begins = || systemd.journal().matches("the pool begins").count();
    wait_until(SOON, "its log is in the journal", || begins() == 1);
    let status = systemd.done(&["status", "ehos.service"]);
    assert!(status.contains("active (running)") && status.contains("workers on clouds"), "{status}");

    // Killed, it is started again; stopped, it is not.
    let pid = wait_for(SOON, "it runs", || systemd.main_pid());
    assert!(send_signal(pid, Signal::KILL));
    wait_until(SOON, "another one", || systemd.main_pid().is_some_and(|other| other != pid) && begins() == 2);
    systemd.done(&["stop", "ehos.service"]);
    assert_eq!(systemd.ctl(&["is-active", "ehos.service"]).1.trim(), "inactive");
    systemd.done(&["start", "ehos.service"]);
    wait_until(SOON, "it runs again", || begins() == 3);
    // A file that is wrong is no reason to try for ever.
    std::fs::write(dir.path().join("ehos.yaml"), config.replace("nodes_max: 1", "nodes_max: many")).unwrap();
    let (code, _) = systemd.ctl(&["restart", "ehos.service"]);
    assert!(code == 0 || code == 1);
    wait_until(SOON, "it has failed", || systemd.ctl(&["is-active", "ehos.service"]).1.trim() == "failed");
    assert!(systemd.journal().contains("`many`"), "{}", systemd.journal());
}

#[test]
fn sleeping_jobs_are_submitted_as_the_options_say() {
    let dir = tempfile::tempdir().unwrap();
    let bare = program(dir.path(), "ehos_sleep_jobs.py").output().unwrap();
    assert!(bare.status.success());
    assert!(said(&bare).contains("--number-of-jobs") && said(&bare).contains("--range"), "{}", said(&bare));
    let bad = program(dir.path(), "ehos_sleep_jobs.py").args(["-r", "soon"]).output().unwrap();
    assert_eq!(bad.status.code(), Some(2));
    let bad = program(dir.path(), "condor_run_jobs.py").args(["-r", "soon"]).output().unwrap();
    assert_eq!(bad.status.code(), Some(10), "{}", said(&bad));

    let Some(pool) = CondorPool::start("23") else { return };
    let bin = pool.programs().display().to_string();
    let jobs = |arguments: &[&str], name: &str| -> Vec<u32> {
        let before = queue(&pool).len();
        let output = program(dir.path(), name).args(arguments).args(["--bin", &bin]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        queue(&pool).split_off(before)
    };
    let random = jobs(&["-n", "10", "-r", "50,30"], "ehos_sleep_jobs.py");
    assert_eq!(random.len(), 10);
    assert!(random.iter().all(|seconds| (30..=50).contains(seconds)), "{random:?}");
    assert_eq!(jobs(&["-n", "10", "-s", "20"], "ehos_sleep_jobs.py"), [20; 10]);
    assert_eq!(jobs(&[], "condor_run_jobs.py"), [30; 15]);

    let config = format!(
        "clouds:\npool: {{clouds: {{here: {{cloud: local}}}}, batch: {{system: htcondor, bin: {bin}}}}}\ndaemon: {{hostname: head.example}}\n"
    );
    std::fs::write(dir.path().join("ehos.yaml"), config).unwrap();
    let output = program(dir.path(), "ehos_status.py").arg("ehos.yaml").output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "condor,host=head.example jobs_total=35,jobs_idle=35,jobs_running=0,jobs_suspended=0\n\
         ehos,host=head.example nodes_total=0,nodes_idle=0,nodes_busy=0\n"
    );
}

/// What each job of the queue sleeps, in their order.
fn queue(pool: &CondorPool) -> Vec<u32> {
    let output = pool.run("condor_q", &["-allusers", "-af", "ClusterId", "ProcId", "Args"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut jobs: Vec<(u32, u32, u32)> = text
        .lines()
        .map(|line| {
            let mut numbers = line.split_whitespace().map(|word| word.parse().unwrap());
            (numbers.next().unwrap(), numbers.next().unwrap(), numbers.next().unwrap())
        })
        .collect();
    jobs.sort_unstable();
    jobs.into_iter().map(|(_, _, seconds)| seconds).collect()
}
