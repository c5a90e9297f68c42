//! `ocs-install-systemd`: the files that it writes, and that systemd and a shell take them.
#![expect(clippy::unwrap_used, reason = "helpers of tests end the test")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use campanile_testkit::{CommandOutput, Daemon, Signal, TempSite, finish, free_port, require_program};
use serde_json::json;

const SOON: Duration = Duration::from_secs(30);

fn site() -> TempSite {
    let manager = |id: &str| TempSite::instance("HostManager", id, &json!({}));
    let hosts = json!({
        "host-1": {"agent-instances": [manager("hm-host-1")]},
        "host-1-docker": {"agent-instances": [manager("hm-host-1-docker")]},
        "two": {"agent-instances": [manager("hm-a"), manager("hm-b")]},
        "none": {"agent-instances": []},
    });
    TempSite::new(free_port(), &hosts)
}

/// Runs the command under its own name, in the directory of the site config, as a user of OCS does.
fn install(site: &TempSite, args: &[&str]) -> CommandOutput {
    let link = site.dir().join("ocs-install-systemd");
    if !link.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_campanile"), &link).unwrap();
    }
    let mut command = Command::new(link);
    command.args(args).current_dir(site.dir()).env("OCS_CONFIG_DIR", site.dir());
    command.env("USER", "ocs").env("SHELL", "/bin/bash").env_remove("SUDO_USER");
    finish("ocs-install-systemd", command, SOON)
}

fn data(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/systemd");
    std::fs::read_to_string(dir.join(name)).unwrap()
}

fn read(site: &TempSite, name: &str) -> String {
    std::fs::read_to_string(site.dir().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn both_files_are_written_and_named_as_by_the_original() {
    let site = site();
    let output = install(&site, &["--service-dir=.", "--site-host=host-1"]);
    assert_eq!((output.code(), output.stderr.as_str()), (0, ""));
    assert_eq!(
        output.stdout,
        format!(
            "Writing {}/launcher-hm-host-1.sh ...\nWriting ./ocs-hostmanager.service ...\n",
            site.dir().display()
        )
    );
    let launcher = site.dir().join("launcher-hm-host-1.sh");
    let mode = std::fs::metadata(&launcher).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    let original = data("ocs-hostmanager.service")
        .replace("/home/ocs/out/systemd", &site.dir().display().to_string())
        .replace("RestartSec=10s\n\n", "RestartSec=10s\nKillMode=process\nDelegate=yes\n");
    assert_eq!(read(&site, "ocs-hostmanager.service"), original);
    // What a reader who knows the original looks for in the launcher.
    let text = read(&site, "launcher-hm-host-1.sh");
    for line in data("launcher-hm-host-1.sh").lines().filter(|line| line.starts_with(['#', ' '])) {
        let same = line.replace("out/systemd/", "./").replace("${SITE_FILE}", "\"${SITE_FILE}\"");
        assert!(text.lines().any(|ours| ours == same), "{same}\n{text}");
    }
    assert!(text.contains(&format!("SITE_FILE={}\n", site.file().display())), "{text}");
}

#[test]
fn several_services_on_one_host_have_names_of_their_own() {
    let site = site();
    for host in ["host-1", "host-1-docker"] {
        let output = install(
            &site,
            &["--service-dir=.", &format!("--service-host={host}"), &format!("--site-host={host}")],
        );
        assert_eq!(output.code(), 0, "{}", output.stderr);
        let expected = format!("Writing ./ocs-hostmanager-{host}.service ...");
        assert!(output.stdout.contains(&expected), "{}", output.stdout);
        let service = read(&site, &format!("ocs-hostmanager-{host}.service"));
        assert!(service.contains(&format!("Description=OCS HostManager for {host}\n")), "{service}");
        assert!(service.contains(&format!("launcher-hm-{host}.sh\n")), "{service}");
        assert!(read(&site, &format!("launcher-hm-{host}.sh")).contains(&format!("--site-host={host}")));
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_service_file() {
    let Some(analyze) = require_program("systemd-analyze", "install the package systemd") else { return };
    let site = site();
    let output = install(&site, &["--service-dir=.", "--site-host=host-1", "--service-user=root"]);
    assert_eq!(output.code(), 0, "{}", output.stderr);
    let odd = site.dir().join("my lab 50%");
    std::fs::create_dir(&odd).unwrap();
    let odd = odd.display().to_string();
    let output = install(
        &site,
        &[
            "--service-dir=.",
            "--site-host=host-1",
            "--service-name=odd",
            "--service-user=root",
            "--launcher-dir",
            &odd,
        ],
    );
    assert_eq!(output.code(), 0, "{}", output.stderr);
    for service in ["ocs-hostmanager.service", "odd.service"] {
        let mut command = Command::new(&analyze);
        command.arg("verify").arg(site.dir().join(service));
        let verdict = finish("systemd-analyze", command, SOON);
        assert_eq!((verdict.code(), verdict.stderr.as_str()), (0, ""), "{service}");
    }
}

#[test]
fn the_launcher_runs_the_host_manager_and_its_signals_reach_it() {
    let site = site();
    let output = install(&site, &["--service-dir=.", "--site-host=host-1", "--python-bin=/bin/false"]);
    assert_eq!(output.code(), 0, "{}", output.stderr);
    let mut command = Command::new(site.dir().join("launcher-hm-host-1.sh"));
    command.env("STATE_DIRECTORY", site.state_dir()).env_remove("OCS_CONFIG_DIR");
    let mut daemon = Daemon::spawn("launcher", command);
    daemon.wait_for_output(SOON, "starting HostManager @ observatory.hm-host-1");
    assert_eq!(daemon.processes(), [daemon.pid()], "the shell has become the HostManager");
    daemon.signal(Signal::TERM);
    assert!(daemon.wait(SOON).success());
}

#[test]
fn defect_10_repeated_and_relative_compose_files_are_all_written_down_in_full() {
    let site = site();
    let args = ["--service-dir=.", "--site-host=host-1-docker", "--docker-compose", "a.yaml,b.yaml"];
    let output =
        install(&site, &[&args[..], &["--docker-compose=/x/c.yaml", "--site-http=http://h:1/call"]].concat());
    assert_eq!(output.code(), 0, "{}", output.stderr);
    let dir = site.dir().display();
    let text = read(&site, "launcher-hm-host-1-docker.sh");
    assert!(text.contains(&format!("--docker-compose={dir}/a.yaml,{dir}/b.yaml,/x/c.yaml\n")), "{text}");
    assert!(text.contains("  --site-http=http://h:1/call  \\\n"), "{text}");
}

#[test]
fn the_options_of_the_original_set_what_their_names_say() {
    let site = site();
    std::fs::create_dir(site.dir().join("launchers")).unwrap();
    let args = ["--service-dir=.", "--site-host=host-1", "--shell=/bin/sh", "--python-bin=venv/bin/python"];
    let output = install(&site, &[&args[..], &["--launcher-dir=launchers", "--service-name=my-hm"]].concat());
    assert_eq!(output.code(), 0, "{}", output.stderr);
    let text = read(&site, "launchers/launcher-hm-host-1.sh");
    assert!(text.starts_with("#!/bin/sh\n"), "{text}");
    assert!(text.contains(&format!("PYTHON={}/venv/bin/python\n", site.dir().display())), "{text}");
    let service = read(&site, "my-hm.service");
    assert!(service.contains("/launchers/launcher-hm-host-1.sh\nUser=ocs\n"), "{service}");
    let output = install(&site, &["--service-dir=.", "--site-host=host-1", "--launcher-script=mine.sh"]);
    assert_eq!(output.code(), 0, "{}", output.stderr);
    assert!(
        read(&site, "ocs-hostmanager.service")
            .contains(&format!("ExecStart={}/mine.sh\n", site.dir().display()))
    );
    assert!(read(&site, "mine.sh").contains("--instance-id=hm-host-1"));
}

#[test]
fn an_edited_launcher_is_kept() {
    let site = site();
    let args = ["--service-dir=.", "--site-host=host-1"];
    install(&site, &args);
    let launcher = site.dir().join("launcher-hm-host-1.sh");
    std::fs::write(&launcher, "#!/bin/sh\n# mine\n").unwrap();
    let output = install(&site, &args);
    assert!(output.stdout.contains("launcher-hm-host-1.sh.old"), "{}", output.stdout);
    assert_eq!(read(&site, "launcher-hm-host-1.sh.old"), "#!/bin/sh\n# mine\n");
}

#[test]
fn what_cannot_be_installed_is_said_and_nothing_is_written() {
    let site = site();
    for (args, text) in [
        (
            &["--site-host=two"][..],
            "several HostManagers\n  help: it has hm-a, hm-b; choose one with --instance-id",
        ),
        (&["--site-host=none"], "host none has no HostManager"),
        (&["--site-host=host-1", "--instance-id=hm-x"], "host host-1 has no HostManager `hm-x`"),
        (&["--site-host=nowhere"], "no host `nowhere`"),
        (&["--site-host=host-1", "--service-host=a b"], "cannot be the name of a unit"),
        (&["--site-host=host-1", "--frob"], "--frob"),
    ] {
        let output = install(&site, &[args, &["--service-dir=."]].concat());
        assert_eq!(output.code(), 2, "{args:?}");
        assert!(output.stderr.contains(text), "{args:?}: {}", output.stderr);
    }
    let written: Vec<PathBuf> =
        std::fs::read_dir(site.dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(
        !written.iter().any(|path| path.extension().is_some_and(|end| end == "sh" || end == "service")),
        "{written:?}"
    );
    // Where nobody may write, not even root, the advice of the original follows.
    let output = install(&site, &["--site-host=host-1", "--service-dir=/proc/1"]);
    assert_eq!(output.code(), 1);
    assert!(
        output.stderr.contains("cannot write /proc/1/ocs-hostmanager.service")
            || output.stderr.contains("sudo cp"),
        "{}",
        output.stderr
    );
    let output = install(&site, &["--site-host=host-1", "--service-dir=/sys/kernel"]);
    assert_eq!(output.code(), 1);
    assert!(
        output.stderr.contains("   sudo cp ./ocs-hostmanager.service /sys/kernel\n"),
        "{}",
        output.stderr
    );
}
