//! One client, many hosts: selectors and hostlists, summaries, and what is said when only a part was done.

mod common;

use common::{SOON, Script, Site, child};
use serde_json::{Value, json};

/// Three hosts of a laboratory and a dome; each has two instances.
fn hosts() -> Value {
    let host = |name: &str, class: &str| {
        let instance = |class: &str, id: String| json!({"agent-class": class, "instance-id": id});
        json!({"agent-instances": [
            instance("HostManager", format!("hm-{name}")),
            instance(class, format!("thermo-{name}")),
            instance("PumpAgent", format!("pump-{name}")),
        ]})
    };
    json!({
        "lab-1": host("lab-1", "Lakeshore240Agent"),
        "lab-2": host("lab-2", "Lakeshore372Agent"),
        "lab-3": host("lab-3", "Lakeshore372Agent"),
        "dome": host("dome", "Lakeshore240Agent"),
    })
}

fn manager(id: &'static str, class: &str) -> Script {
    let host = id.trim_start_matches("hm-");
    let children = [
        child(&format!("thermo-{host}"), class, "down", "down"),
        child(&format!("pump-{host}"), "PumpAgent", "up", "up"),
    ];
    Script::new(id, &children)
}

fn site() -> Site {
    let scripts = [
        manager("hm-lab-1", "Lakeshore240Agent"),
        manager("hm-lab-2", "Lakeshore372Agent"),
        manager("hm-dome", "Lakeshore240Agent"),
    ];
    // hm-lab-3 does not run.
    Site::start(&hosts(), &scripts)
}

#[test]
fn hosts_and_classes_select_and_each_host_is_summed_up() {
    let site = site();
    let (code, stdout, stderr) =
        site.run(&["up", "-a", "--host", "lab-[1-2]", "--class", "Lakeshore*", "--wait", "20s"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(
        stdout.starts_with("  up agent thermo-lab-1 via hm-lab-1\n  up agent thermo-lab-2 via hm-lab-2\n"),
        "{stdout}"
    );
    assert!(stdout.contains("  thermo-lab-2 is up after "), "{stdout}");
    assert!(stdout.ends_with("\n  HOST   ASKED  UP\n  lab-1  1      1\n  lab-2  1      1\n"), "{stdout}");
    let mut requests = site.requests();
    requests.sort_by(|a, b| a.0.cmp(&b.0));
    let wanted =
        |host: &str| (format!("hm-{host}.update"), json!({"requests": [[format!("thermo-{host}"), "up"]]}));
    assert_eq!(requests, [wanted("lab-1"), wanted("lab-2")]);
}

#[test]
fn what_was_done_on_a_part_of_the_hosts_only_is_reported_as_such() {
    let site = site();
    let (code, stdout, stderr) = site.run(&["up", "-a", "--host", "lab-*", "--wait", "20s"]);
    assert_eq!(code, 1, "{stdout}");
    assert!(
        stdout.ends_with(
            "
  HOST   ASKED  UP  PROBLEM
  lab-1  2      2
  lab-2  2      2
  lab-3  2      0   hm-lab-3: it is not running
"
        ),
        "{stdout}"
    );
    assert!(stderr.contains("error: HostManager hm-lab-3: it is not running\n"), "{stderr}");
    assert!(
        stderr.ends_with("error: not done on 1 of 3 hosts: lab-3 (4 of 6 instances are up)\n"),
        "{stderr}"
    );

    let (code, stdout, _) = site.run(&["down", "-a", "--class", "Pump*", "--json", "--wait", "20s"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let of_host = |index: usize| &report["hosts"][index];
    assert_eq!(*of_host(0), json!({"host": "lab-1", "asked": 1, "reached": 1, "problems": []}));
    assert_eq!(
        *of_host(2),
        json!({"host": "lab-3", "asked": 1, "reached": 0, "problems": ["hm-lab-3: it is not running"]})
    );
    assert_eq!(report["waited"]["instances"][0]["manager"], "hm-dome");
}

#[test]
fn an_agent_that_does_not_come_up_in_time_is_named_with_its_host() {
    let mut stubborn = manager("hm-lab-2", "Lakeshore372Agent");
    stubborn.obeys = false;
    let site = Site::start(&hosts(), &[manager("hm-lab-1", "Lakeshore240Agent"), stubborn]);
    let (code, stdout, stderr) =
        site.run(&["up", "-a", "-H", "lab-1,lab-2", "--class", "Lake*", "--wait", "500ms"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("  lab-2  1      0   thermo-lab-2 (down)\n"), "{stdout}");
    assert!(stderr.contains("not done on 1 of 2 hosts: lab-2 (1 of 2 instances are up)"), "{stderr}");
}

#[test]
fn the_status_can_be_narrowed_to_hosts_classes_and_states() {
    let site = site();
    let (code, stdout, _) = site.run(&["status", "-H", "lab-[1-2],dome", "--class", "Lake*"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("thermo-dome") && stdout.contains("thermo-lab-2"), "{stdout}");
    assert!(!stdout.contains("pump") && !stdout.contains("lab-3"), "{stdout}");
    let (_, stdout, _) = site.run(&["status", "--state", "u*", "--json"]);
    let shown: Value = serde_json::from_str(&stdout).unwrap();
    let hosts: Vec<&str> =
        shown["hosts"].as_array().unwrap().iter().filter_map(|host| host["name"].as_str()).collect();
    assert_eq!(hosts, ["lab-1", "lab-2", "dome"]);
}

#[test]
fn a_selection_of_nothing_is_an_error_before_anything_is_asked() {
    let site = site();
    for (args, text) in [
        (&["up", "-a", "--host", "lab-[1-4]"][..], "no host lab-4 in "),
        (&["up", "-a", "--host", "barn*"], "no host barn* in "),
        (&["status", "--host", "lab-9"], "no host lab-9 in "),
        (&["up", "-a", "--class", "Nothing*"], "nothing is selected"),
        (&["down", "pump-dome", "--host", "lab-1"], "nothing that is selected is called pump-dome"),
        (&["down", "pump-x*"], "nothing on this site is called pump-x*"),
    ] {
        let (code, _, stderr) = site.run(args);
        assert_eq!(code, 1, "{args:?}: {stderr}");
        assert!(stderr.contains(text), "{args:?}: {stderr}");
    }
    let (code, _, stderr) = site.run(&["up", "-a", "--host", "lab-[1-"]);
    assert_eq!(code, 2, "{stderr}");
    assert_eq!(site.requests(), []);
}

#[test]
fn a_restart_by_class_leaves_alone_what_is_down_on_purpose() {
    let site = site();
    let (code, stdout, stderr) = site.run(&["restart", "-a", "--host", "lab-1", "--class", "*"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("restart agent pump-lab-1") && !stdout.contains("thermo"), "{stdout}");
    let (code, stdout, _) = site.run(&["restart", "*-lab-1", "--dry-run"]);
    assert_eq!(code, 0);
    assert!(!stdout.contains("thermo"), "{stdout}");
}

/// A terminal is what `script` gives its child.
#[test]
fn on_a_terminal_a_bar_for_each_host_shows_how_far_it_is() {
    let Some(script) = campanile_testkit::require_program("script", "install the package bsdutils") else {
        return;
    };
    let mut slow = manager("hm-lab-2", "Lakeshore372Agent");
    slow.obeys = false;
    let site = Site::start(&hosts(), &[manager("hm-lab-1", "Lakeshore240Agent"), slow]);
    let line = format!("{} up -a --host lab-[1-2] --wait 1s", env!("CARGO_BIN_EXE_campanile"));
    let mut command = std::process::Command::new(script);
    command.args(["-qec", &line, "/dev/null"]).env("OCS_CONFIG_DIR", site.files.dir());
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    let output = campanile_testkit::finish("script", command, SOON);
    let shown = output.stdout;
    assert!(shown.contains("lab-1") && shown.contains("2 of 2"), "{shown}");
    assert!(shown.contains("thermo-lab-2 (down)"), "{shown}");
    assert!(shown.contains("not done on 1 of 2 hosts: lab-2"), "{shown}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_password_file_gives_the_rights_that_an_agent_demands() {
    let mut guarded = manager("hm-lab-1", "Lakeshore240Agent");
    guarded.guarded_by = Some("swordfish");
    let site = Site::start(&hosts(), &[guarded]);
    for program in [&["up"][..], &["ocsbow", "up"]] {
        let run = |file: Option<&str>| {
            let mut args = program.to_vec();
            args.push("thermo-lab-1");
            args.extend(file.into_iter().flat_map(|file| ["--password-file", file]));
            site.run(&args)
        };
        let (code, _, stderr) = run(None);
        assert_eq!(code, 1);
        assert!(stderr.contains("requires credential level 2-ADVANCED"), "{stderr}");

        let file = site.files.dir().join("passwords.yaml");
        let name = file.display().to_string();
        let write = |text: &str, mode: u32| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("- {agent_class: HostManager, password_2: swordfish}\n", 0o600);
        let (code, _, stderr) = run(Some(&name));
        assert_eq!((code, stderr.as_str()), (0, ""));

        write("- {default: true, password_2: marlin}\n", 0o644);
        let (code, _, stderr) = run(Some(&name));
        assert_eq!(code, 1);
        assert!(stderr.contains("run `chmod 600 "), "{stderr}");
        assert!(!stderr.contains("marlin"), "{stderr}");

        write("- {default: true, password_2: [marlin]}\n", 0o600);
        let (code, _, stderr) = run(Some(&name));
        assert_eq!(code, 2);
        assert!(!stderr.contains("marlin"), "{stderr}");
        assert_eq!(run(Some("/nowhere/passwords.yaml")).0, 2);
    }
}
