//! The cloud-init files that ship, carried out by Debian's own cloud-init.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use campanile_pool::userdata;
use campanile_testkit::{CommandOutput, finish, peers_dir, skip};

/// The packages of HTCondor are unpacked.
const LONG: Duration = Duration::from_secs(280);

/// A Debian of its own, for each test anew.
struct Debian {
    dir: tempfile::TempDir,
}

impl Debian {
    fn unpack() -> Option<Self> {
        let files = std::fs::read_dir(peers_dir().with_file_name("debian")).into_iter().flatten().flatten();
        let tar =
            files.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == "tar"));
        let Some(tar) = tar.filter(|_| rustix::process::geteuid().is_root()) else {
            skip("a small Debian, in which cloud-init runs, needs root and `make setup`");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("tar");
        command.args(["-x", "-p", "-f"]).arg(tar).arg("-C").arg(dir.path());
        assert_eq!(finish("tar", command, LONG).code(), 0);
        Some(Self { dir })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    /// A machine starts from this file system with these user-data.
    fn boot(&self, user_data: &str, instance: &str) -> String {
        let file = self.dir.path().with_extension("user-data");
        std::fs::write(&file, user_data).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud_init/run.sh");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--uts", "--pid", "--fork", "--kill-child"]).arg(script);
        command.arg(self.dir.path()).arg(&file).arg(instance);
        let CommandOutput { status, stdout, stderr } = finish("cloud-init", command, LONG);
        std::fs::remove_file(file).unwrap();
        let log = std::fs::read_to_string(self.path("var/log/cloud-init-output.log")).unwrap_or_default();
        assert!(status.success(), "{stdout}\n{stderr}\n{log}");
        assert!(!stdout.contains("EHOS-FAILED"), "{stdout}\n{log}");
        assert!(stdout.contains("Valid schema"), "{stdout}");
        stdout
    }

    /// What a program says in there.
    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new("chroot");
        command.arg(self.dir.path()).args(args).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let output = finish(args[0], command, LONG);
        assert_eq!(output.code(), 0, "{args:?}: {}{}", output.stdout, output.stderr);
        output.stdout.trim().to_owned()
    }
}

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../share/ehos").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Of the base file, extended by a package and a command as its comments say, an image is made; from the image a worker
/// starts, and a master.
#[test]
fn debians_cloud_init_carries_out_what_ships_and_what_is_added() {
    let Some(debian) = Debian::unpack() else { return };
    let base = shipped("base.yaml").replace("  - ca-certificates\n", "  - ca-certificates\n  - tree\n");
    let base = base.replace("runcmd:\n", "runcmd:\n  - [touch, /etc/added]\n");
    let console = debian.boot(&base, "base");
    assert!(console.contains("The EHOS vm is up after "), "{console}");
    for path in ["usr/sbin/condor_master", "usr/bin/curl", "usr/bin/tree", "etc/added"] {
        assert!(debian.path(path).exists(), "{path} is not there: {console}");
    }
    assert!(debian.run(&["condor_version"]).contains("CondorVersion"));
    assert_eq!(
        debian.read("etc/machine-id"),
        "",
        "whoever starts from the image gets an identity of its own"
    );
    let is_enabled = debian.path("etc/systemd/system/multi-user.target.wants/condor.service");
    assert!(!is_enabled.is_symlink(), "HTCondor is not switched on in the image");

    let values = [
        ("master_ip", "192.0.2.7"),
        ("uid_domain", "ehos.example"),
        ("worker_name", "ehos-execute-1"),
        ("worker_type", "standard"),
        ("token", "eyJ.a.token"),
        ("password", "of the pool: #1"),
        ("lifetime_s", "1209600"),
        ("idle_shutdown_s", "3600"),
    ];
    let values: BTreeMap<String, String> =
        values.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let worker = userdata::fill(&shipped("execute.yaml"), &values).unwrap();
    let console = debian.boot(&worker, "worker");
    assert!(console.contains("The EHOS vm is up after "), "{console}");
    assert!(is_enabled.is_symlink(), "HTCondor is switched on on the worker: {console}");
    // What HTCondor makes of its configuration.
    let value = |name: &str| debian.run(&["condor_config_val", name]);
    assert_eq!(value("CONDOR_HOST"), "192.0.2.7");
    assert_eq!(value("DAEMON_LIST").replace(' ', ""), "MASTER,STARTD");
    assert_eq!(value("STARTD_NAME"), "ehos-execute-1");
    assert_eq!(value("STARTD_NOCLAIM_SHUTDOWN"), "3600");
    assert_eq!(value("SEC_DEFAULT_AUTHENTICATION_METHODS"), "FS, IDTOKENS");
    assert_eq!(debian.read("etc/condor/tokens.d/ehos").trim(), "eyJ.a.token");
    let mode = |path: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(debian.path(path)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode("etc/condor/tokens.d/ehos"), 0o600);

    // A worker that joins by the password: HTCondor's own program stores it, and nothing in clear is left.
    let worker = userdata::fill(&shipped("execute-password.yaml"), &values).unwrap();
    debian.boot(&worker, "by-password");
    assert_eq!(value("SEC_DEFAULT_AUTHENTICATION_METHODS"), "FS, PASSWORD");
    let kept = std::fs::read(debian.path("etc/condor/ehos_pool_password")).unwrap();
    let expected = campanile_pool::deploy::head::scrambled("of the pool: #1");
    assert!(kept.starts_with(&expected), "{kept:?}");
    assert_eq!(mode("etc/condor/ehos_pool_password"), 0o600);
    for left in ["ehos_pool_password.clear", "ehos_pool_password.in"] {
        assert!(!debian.path(&format!("etc/condor/{left}")).exists(), "{left} is left");
    }

    // The master starts from the same image: nothing is installed again, and there is a user for ssh.
    let console = debian.boot(&shipped("master.yaml"), "master");
    assert!(console.contains("The EHOS vm is up after "), "{console}");
    assert!(debian.run(&["id", "-un", "ehos"]).contains("ehos"));
}

/// No RHEL is to be had here: what the script of the base file does there, by a `dnf` that writes down what it is asked.
#[test]
fn on_the_family_of_rhel_htcondor_comes_from_epel_and_else_from_its_own_installer() {
    let dir = tempfile::tempdir().unwrap();
    let base = shipped("base.yaml");
    let script: String = base
        .lines()
        .skip_while(|line| !line.contains("content: |"))
        .skip(1)
        .take_while(|line| line.starts_with("      ") || line.is_empty())
        .map(|line| format!("{}\n", line.trim_start_matches("      ")))
        .collect();
    assert!(script.starts_with("#!/bin/sh\n"), "{script}");
    assert!(shipped("master.yaml").contains("dnf install -y epel-release"));
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let tool = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(bin.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let calls = dir.path().join("calls");
    let run = || {
        let _from_before = std::fs::remove_file(&calls);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).env("PATH", &bin).env("CALLS", &calls).env("BIN", &bin);
        let code = finish("ehos-install-condor", command, LONG).code();
        (code, std::fs::read_to_string(&calls).unwrap_or_default())
    };
    let comes = "case \"$*\" in *condor*) echo '#!/bin/sh' >$BIN/condor_master; /bin/chmod 755 $BIN/condor_master;; esac";
    tool("dnf", &format!("echo dnf \"$@\" >>$CALLS\n{comes}"));
    tool("curl", "echo curl \"$@\" >>$CALLS; echo exit 1");
    assert_eq!(run(), (0, "dnf install -y epel-release\ndnf install -y condor\n".to_owned()));
    assert_eq!(run(), (0, String::new()), "what is there is not installed again");
    // Where EPEL has none, HTCondor's own installer is asked; its failure is told.
    std::fs::remove_file(bin.join("condor_master")).unwrap();
    tool("dnf", "echo dnf \"$@\" >>$CALLS; exit 1");
    let (code, calls) = run();
    assert!(code != 0 && calls.contains("curl -fsSL https://get.htcondor.org"), "{code} {calls}");
}
