//! From a keystone file to images in two projects of a real OpenStack, by the names of EHOS's documents.

#![expect(clippy::unwrap_used, reason = "helpers of tests end the test")]

mod cloud_init;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use campanile_testkit::{Daemon, OpenStackConfig, OpenStackLab, Signal};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(120);
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGEhSlrcaZ1v8c0Xl1nCgZ6f1dKXlZ2sVqkHn3wZkq0T test";

/// A directory in which somebody works, with links by the names of EHOS.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A command by the name of a link, as a sourced keystone file would disturb it.
    fn command(&self, name: &str, args: &[&str]) -> Command {
        let link = self.path(name);
        if !link.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_campanile"), &link).unwrap();
        }
        let mut command = Command::new(link);
        command.args(args).current_dir(self.dir.path());
        command.env("OS_AUTH_URL", "http://127.0.0.1:1/").env("OS_PASSWORD", "x");
        command
    }

    fn run(&self, name: &str, args: &[&str]) -> Output {
        self.command(name, args).output().unwrap()
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn servers(lab: &OpenStackLab, cloud: &str) -> Vec<String> {
    let text = lab.python(cloud, "for server in conn.compute.servers(): print(server.name)");
    text.lines().map(str::to_owned).collect()
}

/// What the firewall lets in, sorted.
fn rules(lab: &OpenStackLab, cloud: &str) -> Vec<String> {
    let rules = lab.python(
        cloud,
        "group = conn.network.find_security_group('ehos_firewall')\n\
         for r in conn.network.security_group_rules(security_group_id=group.id, direction='ingress'):\n    \
         print(r.protocol, r.port_range_min, 'group' if r.remote_group_id == group.id else 'anywhere')",
    );
    let mut rules: Vec<String> = rules
        .lines()
        .filter(|line| line.starts_with("tcp") || line.starts_with("udp"))
        .map(str::to_owned)
        .collect();
    rules.sort_unstable();
    rules
}

#[test]
fn a_configuration_is_made_and_images_are_built_in_both_projects() {
    let Some(lab) = OpenStackLab::start(&OpenStackConfig::default()) else { return };
    let desk = Desk::new();
    a_configuration_is_made_from_a_keystone_file(&lab, &desk);
    images_are_built_in_all_clouds_at_once_and_written_down(&lab, &desk);
    what_is_done_is_not_done_again(&lab, &desk);
    an_installation_that_fails_leaves_no_vm(&lab, &desk);
    an_interrupted_run_leaves_no_vm(&lab, &desk);
}

fn a_configuration_is_made_from_a_keystone_file(lab: &OpenStackLab, desk: &Desk) {
    let url = lab.auth_url();
    let keystone = format!(
        "#!/usr/bin/env bash\nexport OS_AUTH_URL={url}\nexport OS_PROJECT_NAME=\"ehos-a\"\nexport OS_USERNAME='ehos'\n\
         echo \"Please enter your OpenStack Password: \"\nread -sr OS_PASSWORD_INPUT\nexport OS_PASSWORD=$OS_PASSWORD_INPUT\n\
         export OS_REGION_NAME=RegionOne OS_USER_DOMAIN_NAME=Default\nexport OS_PROJECT_DOMAIN_ID=default\ntouch run-it\n"
    );
    desk.write("openrc.sh", &keystone);
    let output =
        desk.run("ehos_create_config.py", &["-o", "etc/ehos.yaml", "ehos.yaml.example", "openrc.sh"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("the file asks the user for it"), "{}", said(&output));

    desk.write("pw", "oslab\n");
    let args = ["--password-file", "pw", "-o", "etc/ehos.yaml", "ehos.yaml.example", "openrc.sh"];
    let output = desk.run("ehos_create_config.py", &args);
    assert!(output.status.success(), "{}", said(&output));
    assert!(!desk.path("run-it").exists(), "the keystone file was run");
    assert_eq!(mode(&desk.path("etc/ehos.yaml")), 0o600);
    let first = desk.read("etc/ehos.yaml");
    assert!(first.contains("password: oslab") && first.contains("# One entry for each region"), "{first}");
    assert!(!said(&output).contains("oslab"), "{}", said(&output));
    // once more: the old one is kept
    let output = desk.run("ehos_create_config.py", &args);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(desk.read("etc/ehos.yaml.backup"), first);
    assert_eq!(mode(&desk.path("etc/ehos.yaml.backup")), 0o600);
    let checked = desk.run("campanile", &["pool", "check", "etc/ehos.yaml"]);
    // execute.yaml is in the program
    assert!(checked.status.success(), "{}", said(&checked));
}

fn two_clouds(lab: &OpenStackLab) -> String {
    let cloud = |project: &str| {
        format!(
            "  {project}:\n    auth_url: {}\n    project_name: {project}\n    username: ehos\n    password: oslab   # of the lab\n    \
             region_name: RegionOne\n    user_domain_name: Default\n    project_domain_name: Default\n    image: None\n",
            lab.auth_url()
        )
    };
    format!(
        "# two projects\nclouds:\n{}{}ehos:\n  project_prefix: e2e\n  flavor: m1.tiny\n  image: GOLD CentOS 7\n  network: dualStack\n\
         daemon: {{nodes_max: 2, hostname: deploy.example}}\n",
        cloud("ehos-a"),
        cloud("ehos-b")
    )
}

fn images_are_built_in_all_clouds_at_once_and_written_down(lab: &OpenStackLab, desk: &Desk) {
    lab.hypervisor(&json!({"console_after": 1}));
    let before = two_clouds(lab);
    desk.write("ehos.yaml", &before);
    desk.write("key.pub", KEY);
    let output = desk
        .run("ehos_build_images.py", &["-v", "-v", "-s", "key.pub", "-l", "build.log", "-e", "ehos.yaml"]);
    assert!(output.status.success(), "{} {}", said(&output), desk.read("build.log"));
    let after = desk.read("ehos.yaml");
    assert_eq!(desk.read("ehos.yaml.backup"), before);
    assert_eq!(mode(&desk.path("ehos.yaml")), 0o600);
    // Nothing is gone but the two lines of the images, and what was added stands in lines of its own.
    let kept = before.lines().filter(|line| after.lines().any(|other| other == *line)).count();
    assert_eq!(kept, before.lines().count() - 2, "{after}");
    assert!(after.contains("password: oslab   # of the lab"));
    assert!(after.contains("  key: ehos_key\n") && after.contains("condor:\n  password: "), "{after}");
    let images: Vec<&str> = after
        .lines()
        .filter_map(|line| line.strip_prefix("    image: "))
        .map(|id| id.trim_matches('\''))
        .collect();
    assert_eq!(images.len(), 2, "{after}");
    for (cloud, image) in ["ehos-a", "ehos-b"].into_iter().zip(&images) {
        let status = lab.python(cloud, &format!("print(conn.image.get_image({image:?}).status)"));
        assert_eq!(status, "active");
        assert!(servers(lab, cloud).is_empty(), "the base VM is left in {cloud}");
        assert_eq!(lab.python(cloud, "print(conn.compute.find_keypair('ehos_key').name)"), "ehos_key");
        let rules = rules(lab, cloud);
        assert_eq!(rules, ["tcp 22 anywhere", "tcp 9618 anywhere", "udp 9618 anywhere"]);
    }
    // stopped before the image is made: the access log has the order of the calls
    let actions = lab
        .access_log("RegionOne-nova")
        .iter()
        .filter(|line| line.contains("POST") && line.contains("/action"))
        .count();
    assert!(actions >= 4, "console, stop, image of each");
    assert!(desk.read("build.log").contains("base VM"), "the log goes into its file");
}

fn what_is_done_is_not_done_again(lab: &OpenStackLab, desk: &Desk) {
    let before = desk.read("ehos.yaml");
    let made = |lab: &OpenStackLab| {
        lab.access_log("RegionOne-nova")
            .iter()
            .filter(|line| line.contains("POST") && line.contains("/servers "))
            .count()
    };
    let servers_made = made(lab);
    let output = desk.run("ehos_setup", &["-c", "-e", "ehos.yaml"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("there already"), "{}", said(&output));
    assert_eq!(desk.read("ehos.yaml"), before);
    assert_eq!(made(lab), servers_made);
}

fn an_installation_that_fails_leaves_no_vm(lab: &OpenStackLab, desk: &Desk) {
    let before = desk.read("ehos.yaml");
    lab.hypervisor(&json!({"console_after": 1000, "console": "EHOS-FAILED: no packages\n"}));
    std::fs::create_dir_all(desk.path("etc")).unwrap();
    // another base file, found by itself
    desk.write("etc/base.yaml", "#cloud-config\n# ours\nfinal_message: \"done after $UPTIME\"\n");
    let output = desk.run("campanile", &["pool", "setup", "-c", "ehos.yaml"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    // without -e HTCondor's port is open within the group
    let within = rules(lab, "ehos-a");
    assert!(
        ["tcp 9618 group", "udp 9618 group"].iter().all(|rule| within.iter().any(|one| one == rule)),
        "{within:?}"
    );
    assert!(said(&output).contains("EHOS-FAILED: no packages"), "{}", said(&output));
    assert!(servers(lab, "ehos-a").is_empty() && servers(lab, "ehos-b").is_empty());
    assert_eq!(desk.read("ehos.yaml"), before);
    // a file that is wrong is refused before anything is asked of a cloud
    desk.write("bad.yaml", "packages: curl\n");
    let output = desk.run("ehos_cloud_setup.py", &["-c", "-B", "bad.yaml", "ehos.yaml"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        said(&output).contains("#cloud-config") && said(&output).contains("must be a list"),
        "{}",
        said(&output)
    );
}

fn an_interrupted_run_leaves_no_vm(lab: &OpenStackLab, desk: &Desk) {
    lab.hypervisor(&json!({"console_after": 1000}));
    let mut run = Daemon::spawn("setup", desk.command("ehos_setup", &["-c", "ehos.yaml"]));
    let begun = Instant::now();
    while servers(lab, "ehos-a").is_empty() {
        assert!(begun.elapsed() < PATIENCE, "no base VM was made");
        std::thread::sleep(Duration::from_millis(250));
    }
    run.signal(Signal::INT);
    let status = run.wait(PATIENCE);
    assert_eq!(status.code(), Some(1));
    assert!(servers(lab, "ehos-a").is_empty() && servers(lab, "ehos-b").is_empty());
}
