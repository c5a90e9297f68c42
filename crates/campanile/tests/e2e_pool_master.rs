//! A master is made on a real OpenStack control plane and set up over ssh; sshd on loopback stands for the VM. Sleeping
//! jobs on a real HTCondor.

#![expect(clippy::unwrap_used, reason = "helpers of tests end the test")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use campanile_testkit::{CondorPool, Daemon, OpenStackConfig, OpenStackLab, free_port, skip};
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
    fn start(dir: &Path) -> Option<Self> {
        let sshd = ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().map(Path::new).find(|path| path.is_file());
        let Some(sshd) = sshd else {
            skip("sshd is not installed: run `make setup`");
            return None;
        };
        let dir = dir.join("vm");
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
        script("sudo", &format!("#!/bin/sh\necho sudo >> {log}\nshift\nexec \"$@\"\n"));
        let port = free_port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {d}/host\nAuthorizedKeysFile {d}/authorized\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n\
             SetEnv PATH={d}/bin:/usr/local/bin:/usr/bin:/bin\n",
            d = dir.display()
        );
        std::fs::write(dir.join("sshd_config"), config).unwrap();
        if rustix::process::geteuid().is_root() {
            // Privilege separation wants it; the package makes it only when its service starts.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let mut command = Command::new(sshd);
        command.arg("-D").arg("-e").arg("-f").arg(dir.join("sshd_config"));
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

#[test]
fn a_master_is_made_and_the_daemon_runs_on_it_as_a_service() {
    let dir = tempfile::tempdir().unwrap();
    let Some(machine) = Machine::start(dir.path()) else { return };
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

    let manual = program(dir.path(), "ehosd_deploy.py").args(["--manual", "ehos.yaml"]).output().unwrap();
    assert!(manual.status.success(), "{}", said(&manual));
    let steps = said(&manual);
    assert!(
        steps.contains("openstack server create") && steps.contains("systemctl enable --now ehos.service"),
        "{steps}"
    );
    assert!(!steps.contains("oslab") && !steps.contains("pool secret"), "{steps}");

    let port = machine.port.to_string();
    let key = machine.dir.join("user").display().to_string();
    let root = machine.dir.join("root").display().to_string();
    let user = me();
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
