//! What the commands say of a site config that cannot be used, and `config check`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod common;

use std::process::Command;

use campanile_testkit::TempSite;
use serde_json::{Value, json};

fn run(config_dir: Option<&TempSite>, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    command.args(args).env_remove("OCS_CONFIG_DIR").env_remove("CAMPANILE_LOG");
    if let Some(site) = config_dir {
        command.env("OCS_CONFIG_DIR", site.dir());
    }
    common::told(command.output().unwrap())
}

const NEEDING_A_SITE: [&[&str]; 10] = [
    &["status"],
    &["up", "a"],
    &["restart", "a"],
    &["plan"],
    &["logs", "a"],
    &["router"],
    &["host"],
    &["ocsbow"],
    &["ocsbow", "config"],
    &["config", "check"],
];

#[test]
fn without_a_site_config_every_command_says_how_to_name_one() {
    for args in NEEDING_A_SITE {
        let (code, stdout, stderr) = run(None, args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
        assert!(stderr.contains("--site-file") && stderr.contains("OCS_CONFIG_DIR"), "{args:?}: {stderr}");
    }
}

#[test]
fn a_broken_file_is_shown_with_its_line_by_every_command() {
    let site = TempSite::new(8001, &json!({}));
    site.write_text("hub:\n  wamp_server: [ws://localhost:8001/ws\nhosts: {}\n");
    for args in NEEDING_A_SITE {
        let (code, _, stderr) = run(Some(&site), args);
        assert_eq!(code, 2, "{args:?}: {stderr}");
        assert!(stderr.contains("default.yaml:"), "{args:?}: {stderr}");
    }
}

#[test]
fn site_and_site_file_together_are_refused() {
    let site = TempSite::new(8001, &json!({}));
    let file = site.file().display().to_string();
    let (code, _, stderr) = run(Some(&site), &["ocsbow", "--site", "default", "--site-file", &file]);
    assert_eq!(code, 2);
    assert!(stderr.contains("--site and --site-file cannot be given together"), "{stderr}");
}

#[test]
fn all_problems_are_told_at_once() {
    let site = TempSite::new(
        8001,
        &json!({"h": {"agent-instances": [
            {"agent-class": "A", "instance-id": "a", "manage": "sometimes"},
            {"agent-class": "B"},
            {"agent-class": "C", "instance-id": "c"},
        ]}}),
    );
    let (code, stdout, stderr) = run(Some(&site), &["config", "check"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("sometimes") && stderr.contains("instance-id"), "{stderr}");
    assert!(stdout.ends_with("default.yaml: 1 host, 3 instances, 2 errors\n"), "{stdout}");
    let (code, stdout, _) = run(Some(&site), &["config", "check", "--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &report["errors"], &report["usable"]), (2, &json!(2), &json!(true)));
    // The others are still there; a client says where to look and goes on.
    let (code, stdout, stderr) = run(Some(&site), &["ocsbow", "config"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("    C::c\n"), "{stdout}");
}

#[test]
fn a_good_file_is_counted_and_named() {
    let site = TempSite::new(
        8001,
        &json!({"h": {"agent-instances": [
        {"agent-class": "A", "instance-id": "a"}]}}),
    );
    let file = site.file().display().to_string();
    let (code, stdout, stderr) = run(None, &["config", "check", &file]);
    assert_eq!((code, stdout, stderr), (0, format!("{file}: 1 host, 1 instance\n"), String::new()));
    assert_eq!(run(Some(&site), &["config", "check"]).0, 0);
    let (code, _, stderr) = run(None, &["config", "check", "/nowhere/site.yaml"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("/nowhere/site.yaml"), "{stderr}");
}

#[test]
fn ocsbow_shows_the_site_config_as_the_original_does() {
    let site = TempSite::new(
        8001,
        &json!({"h1": {"agent-instances": [{"agent-class": "HostManager", "instance-id": "hm"}],
            "crossbar": {"bin": "/opt/crossbar", "config-dir": "/etc/crossbar"}}}),
    );
    let (code, stdout, stderr) = run(Some(&site), &["ocsbow", "config", "crossbar", "--site-host", "h1"]);
    assert_eq!(code, 0, "{stderr}");
    let tail = "Configuration for crossbar service on this host (h1):\n{\n  'bin': '/opt/crossbar',\n  \
                'config-dir': '/etc/crossbar',\n}\n\n";
    assert!(stdout.ends_with(tail), "{stdout}");
    let (code, stdout, _) =
        run(Some(&site), &["ocsbow", "config", "--site-host", "h1", "--python", "/nowhere"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("Specified host is:  h1\n\n\nThe site file describes 1 hosts:\n"), "{stdout}");
    let (code, _, stderr) = run(None, &["ocsbow", "config", "plugins", "--python", "/nowhere/python"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("cannot run /nowhere/python; name the Python"), "{stderr}");
}

#[test]
fn the_example_site_has_nothing_wrong_with_it() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/demo-site.yaml");
    let (code, _, stderr) = run(None, &["config", "check", file]);
    assert_eq!((code, stderr.as_str()), (0, ""));
}
