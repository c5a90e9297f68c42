//! The client commands on a site of which every answer is known: what they show, what they ask for, how they end.

mod common;

use std::time::Instant;

use common::{SOON, Script, Site, child};
use serde_json::{Value, json};

fn two_hosts() -> Value {
    json!({
        "h1": {"agent-instances": [
            {"agent-class": "HostManager", "instance-id": "hm1"},
            {"agent-class": "RegistryAgent", "instance-id": "registry", "manage": "ignore"},
            {"agent-class": "A", "instance-id": "a"},
            {"agent-class": "B", "instance-id": "b"},
        ]},
        "h2": {"agent-instances": [
            {"agent-class": "HostManager", "instance-id": "hm2"},
            {"agent-class": "C", "instance-id": "c"},
        ]},
    })
}

fn hm1() -> Script {
    Script::new("hm1", &[child("a", "A", "up", "up"), child("b", "B", "down", "down")])
}

fn hm2() -> Script {
    Script::new("hm2", &[child("c", "C", "down", "down")])
}

#[test]
fn ocsbow_prints_the_table_of_the_original() {
    let site = Site::start(&two_hosts(), &[hm1(), hm2()]);
    let (code, stdout, stderr) = site.run(&["ocsbow"]);
    let expected = format!(
        "\
ocs status
----------

The site config file is :
  {}

The crossbar base url is :
  {}

---------------------------------------------------------------------------
Host: h1

  [instance-id]        [agent-class]                     [state]   [target]
  hm1                  HostManager                            up        n/a
  a                    A                                      up         up
  b                    B                                    down       down
  registry             RegistryAgent[unman]                    ?          ?

---------------------------------------------------------------------------
Host: h2

  [instance-id]        [agent-class]                     [state]   [target]
  hm2                  HostManager                            up        n/a
  c                    C                                    down       down

",
        site.files.file().display(),
        site.files.http_url()
    );
    assert_eq!((code, stdout, stderr), (0, expected.clone(), String::new()));
    assert_eq!(site.run(&["ocsbow", "status"]).1, expected);
}

#[test]
fn site_options_of_ocsbow_stand_before_or_after_its_command() {
    let site = Site::start(&two_hosts(), &[hm1(), hm2()]);
    let file = site.files.file().display().to_string();
    for args in [
        ["ocsbow", "--site-file", &file, "status", "-H", "h2"],
        ["ocsbow", "status", "-H", "h2", "--site-file", &file],
        // Unambiguous beginnings of options are enough, as for the original.
        ["ocsbow", "--site-fi", &file, "status", "--ho", "h2"],
    ] {
        let (code, stdout, stderr) = site.run(&args);
        assert_eq!(code, 0, "{args:?}: {stderr}");
        assert!(stdout.contains("Host: h2") && !stdout.contains("Host: h1"), "{stdout}");
    }
}

#[test]
fn defect_08_one_dead_manager_stops_nobody_and_is_told_by_the_exit_code() {
    let site = Site::start(&two_hosts(), &[hm1()]);
    for program in [&["ocsbow", "up", "-a"][..], &["up", "-a"]] {
        let (code, stdout, stderr) = site.run(program);
        assert_eq!(code, 1, "{stderr}");
        assert!(stdout.contains("  up hostmanager hm1 all\n  up hostmanager hm2 all\n"), "{stdout}");
        assert!(stderr.starts_with("error: HostManager hm2: it is not running\n"), "{stderr}");
    }
    let wanted = ("hm1.update".to_owned(), json!({"requests": [["all", "up"]]}));
    assert_eq!(site.requests(), [wanted.clone(), wanted]);
    let (code, stdout, _) = site.run(&["ocsbow"]);
    assert_eq!(code, 0, "the report is complete");
    assert!(
        stdout.contains("  hm2                  HostManager                          down        n/a\n"),
        "{stdout}"
    );
    assert!(
        stdout.contains("  c                    C/?                                     ?          ?\n"),
        "{stdout}"
    );
}

#[test]
fn a_manager_that_never_answers_costs_the_others_nothing() {
    let site = Site::start(&two_hosts(), &[hm1(), Script { hangs: true, ..hm2() }]);
    let begin = Instant::now();
    let (code, stdout, stderr) = site.run(&["status"]);
    assert!(begin.elapsed() < SOON, "each question has a deadline");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("h1  hm1 up\n"), "{stdout}");
    assert!(stdout.contains("h2  hm2 is unknown: it did not answer within 5 s\n"), "{stdout}");
    let (code, _, stderr) = site.run(&["ocsbow", "up", "b", "c"]);
    assert_eq!((code, stderr.as_str()), (1, "error: HostManager hm2: it did not answer within 5 s\n"));
    assert_eq!(site.requests(), [("hm1.update".to_owned(), json!({"requests": [["b", "up"]]}))]);
}

#[test]
fn defect_11_unknown_targets_are_an_error_and_the_known_ones_are_done() {
    let site = Site::start(&two_hosts(), &[hm1(), hm2()]);
    let (code, stdout, stderr) = site.run(&["ocsbow", "up", "nosuch"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(stderr, "No targets found matching \"['nosuch']\"\n");
    assert_eq!(site.run(&["ocsbow", "up"]).0, 1, "nothing at all is no target either");
    let (code, stdout, stderr) = site.run(&["up", "b", "nosuch"]);
    assert_eq!((code, stdout.as_str()), (1, "  up agent b via hm1\n"));
    assert_eq!(stderr, "error: nothing on this site is called nosuch; see `campanile status`\n");
    assert_eq!(site.requests(), [("hm1.update".to_owned(), json!({"requests": [["b", "up"]]}))]);
}

#[test]
fn an_unmanaged_instance_is_refused_before_anything_is_done() {
    let site = Site::start(&two_hosts(), &[hm1(), hm2()]);
    for args in [&["ocsbow", "up", "b", "registry"][..], &["up", "b", "registry"], &["restart", "registry"]] {
        let (code, _, stderr) = site.run(args);
        assert_eq!(code, 1);
        let words =
            "error: Cannot perform action on 'registry', as it is not configured as a managed Agent.\n";
        assert_eq!(stderr, words);
    }
    assert_eq!(site.requests(), []);
}

#[test]
fn a_dry_run_asks_for_nothing() {
    let site = Site::start(&two_hosts(), &[hm1(), hm2()]);
    for args in [&["ocsbow", "down", "-a", "--dry-run"][..], &["down", "-a", "--dry-run"]] {
        let (code, stdout, _) = site.run(args);
        let expected =
            "[dry-run, no requests will be issued]\n  down hostmanager hm1 all\n  down hostmanager hm2 all\n";
        assert_eq!((code, stdout.as_str()), (0, expected));
    }
    assert_eq!(site.run(&["restart", "a", "--dry-run"]).0, 0);
    assert_eq!(site.requests(), []);
}

#[test]
fn a_sleeping_manager_is_woken_with_everything_else_down() {
    let site = Site::start(&two_hosts(), &[Script { awake: false, ..hm1() }, hm2()]);
    let (_, stdout, _) = site.run(&["ocsbow"]);
    assert!(
        stdout.contains("  hm1                  HostManager                      sleeping        n/a\n"),
        "{stdout}"
    );
    let (code, stdout, stderr) = site.run(&["ocsbow", "up", "a"]);
    assert_eq!((code, stdout.as_str()), (0, "  up agent a via hm1\nStarting manager process.\n"), "{stderr}");
    let asked = json!({"requests": [["all", "down"], ["a", "up"]]});
    assert_eq!(site.requests(), [("hm1.manager".to_owned(), asked)]);
    let (_, stdout, _) = site.run(&["ocsbow"]);
    assert!(
        stdout.contains("  a                    A                                      up         up\n"),
        "{stdout}"
    );
}

#[test]
fn a_target_that_its_manager_does_not_know_makes_it_read_its_site_config() {
    let known = Script::new("hm1", &[child("a", "A", "up", "up")]);
    let site = Site::start(&two_hosts(), &[known, hm2()]);
    let (code, stdout, stderr) = site.run(&["ocsbow", "up", "a", "b"]);
    assert!(
        stdout.contains(
            "Warning, some targets not known to HostManager: \n  ['b']\nRequesting reload_config.\n"
        ),
        "{stdout}"
    );
    let asked = json!({"requests": [["a", "up"], ["b", "up"]], "reload_config": true});
    assert_eq!(site.requests(), [("hm1.update".to_owned(), asked)]);
    assert_eq!((code, stderr.as_str()), (1, "error: HostManager hm1: Ignoring invalid target, b\n"));
}

#[test]
fn with_the_router_away_the_status_says_so_and_nothing_else_is_possible() {
    let files = campanile_testkit::TempSite::new(campanile_testkit::free_port(), &two_hosts());
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_campanile"));
        common::told(command.args(args).env("OCS_CONFIG_DIR", files.dir()).output().unwrap())
    };
    let (code, stdout, stderr) = run(&["ocsbow"]);
    assert_eq!(code, 1);
    let warning = format!("  ****Warning**** http bridge not found at {}.\n", files.http_url());
    assert!(stdout.contains(&warning), "{stdout}");
    assert!(
        stdout.contains("  hm1                  HostManager                             ?        n/a\n"),
        "{stdout}"
    );
    assert!(
        stderr.starts_with(&format!("error: the router at {} was not reached\n", files.http_url())),
        "{stderr}"
    );
    for args in
        [&["status"][..], &["up", "a"], &["down", "-a"], &["restart", "a"], &["plan"], &["ocsbow", "up", "a"]]
    {
        let (code, _, stderr) = run(args);
        assert_eq!(code, 1, "{args:?}");
        assert!(stderr.contains("was not reached"), "{args:?}: {stderr}");
    }
    let (code, stdout, _) = run(&["status", "--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &report["router"]["reachable"]), (1, &json!(false)));
}

#[test]
fn a_router_of_another_site_is_a_matter_of_configuration() {
    let site = Site::start(&two_hosts(), &[hm1()]);
    for args in [&["ocsbow", "--address-root", "elsewhere"][..], &["up", "a", "--address-root", "elsewhere"]]
    {
        let (code, _, stderr) = site.run(args);
        assert_eq!(code, 2, "{stderr}");
        assert!(
            stderr.contains("does not serve the addresses of this site: address root `elsewhere`"),
            "{stderr}"
        );
    }
}

#[test]
fn an_unknown_host_is_an_error_that_names_the_known_ones() {
    let site = Site::start(&two_hosts(), &[hm1()]);
    for command in [&["status"][..], &["ocsbow", "status"], &["plan"]] {
        let mut args = command.to_vec();
        args.extend(["-H", "h3"]);
        let (code, _, stderr) = site.run(&args);
        assert_eq!(code, 1);
        assert!(stderr.contains("no host h3") && stderr.contains("it has h1, h2"), "{stderr}");
    }
}

#[test]
fn a_reload_that_a_manager_could_not_do_is_a_failure() {
    let broken = Script { site_config_problem: Some("line 3: no hub"), ..hm2() };
    let site = Site::start(&two_hosts(), &[hm1(), broken]);
    let (code, stdout, stderr) = site.run(&["ocsbow", "status", "-r"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stdout
            .starts_with("Requesting config reloads ...\n  Ok on hm1.\n  !! Failed on hm2.\n\nocs status\n"),
        "{stdout}"
    );
    let note = "  ***WARNING -- failed to request reload_config on some HostManagers.\n";
    assert!(stdout.contains(note), "{stdout}");
    assert_eq!(stderr, "error: hm2: it cannot use its site config: line 3: no hub\n");
    assert_eq!(site.run(&["ocsbow", "status", "-r", "-H", "h1"]).0, 0);
}

#[test]
fn waiting_ends_when_all_is_reached_and_with_an_error_when_not_in_time() {
    let site = Site::start(&two_hosts(), &[hm1(), Script { obeys: false, ..hm2() }]);
    let (code, stdout, stderr) = site.run(&["up", "b", "--wait", "20s"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("  up agent b via hm1\n  b is up after "), "{stdout}");
    let (code, stdout, stderr) = site.run(&["up", "-a", "--wait", "300ms"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("  a is up after ") && !stdout.contains("c is up"), "{stdout}");
    assert!(stderr.contains(" s: c (down)\n"), "{stderr}");
}

#[test]
fn what_cannot_run_is_not_waited_for() {
    let ghost = Script::new("hm1", &[child("a", "A", "?", "up"), child("b", "B", "down", "down")]);
    let site = Site::start(&two_hosts(), &[ghost, hm2()]);
    let begin = Instant::now();
    let (code, _, stderr) = site.run(&["up", "a", "--wait", "10m"]);
    assert!(begin.elapsed() < SOON);
    assert_eq!(code, 1);
    assert!(stderr.ends_with(" s: a (?)\n"), "{stderr}");
}

#[test]
fn a_restart_is_down_wait_up_wait_and_leaves_alone_what_is_down_on_purpose() {
    let site = Site::start(&two_hosts(), &[hm1(), hm2()]);
    let (code, stdout, stderr) = site.run(&["restart", "hm1", "c"]);
    assert_eq!(code, 0, "{stderr}");
    let starts = ["  restart hostmanager hm1 all", "  restart agent c via hm2"];
    assert!(starts.iter().all(|line| stdout.contains(line)), "{stdout}");
    for id in ["a", "c"] {
        assert!(stdout.contains(&format!("  {id} is down after ")), "{stdout}");
        assert!(stdout.contains(&format!("  {id} is up after ")), "{stdout}");
    }
    assert!(!stdout.contains("b is"), "{stdout}");
    let mut of_hm1 = site.requests();
    of_hm1.retain(|(op, _)| op == "hm1.update");
    let asked = |target: &str| ("hm1.update".to_owned(), json!({"requests": [["a", target]]}));
    assert_eq!(of_hm1, [asked("down"), asked("up")]);
}

#[test]
fn a_restart_of_what_does_not_end_still_asks_for_up_at_last() {
    let stubborn = Script { obeys: false, ..hm1() };
    let site = Site::start(&two_hosts(), &[stubborn, hm2()]);
    let (code, _, stderr) = site.run(&["restart", "a", "--wait", "300ms"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("error: not down after 0 s: a (up)\n"), "{stderr}");
    assert_eq!(site.requests().last().unwrap().1, json!({"requests": [["a", "up"]]}));
}

#[test]
fn json_is_the_only_thing_on_stdout_when_it_is_asked_for() {
    let site = Site::start(&two_hosts(), &[hm1()]);
    for args in [
        &["status", "--json"][..],
        &["up", "a", "nosuch", "--json"],
        &["down", "c", "--json", "--wait", "1s"],
        &["restart", "a", "--json"],
        &["plan", "--json"],
        &["config", "check", "--json"],
    ] {
        let (_, stdout, stderr) = site.run(args);
        let parsed: Result<Value, _> = serde_json::from_str(&stdout);
        assert!(parsed.is_ok(), "{args:?}\n{stdout}\n{stderr}");
    }
    let (code, stdout, _) = site.run(&["up", "a", "c", "nosuch", "--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(code, 1);
    assert_eq!(report["unknown"], json!(["nosuch"]));
    assert_eq!(report["requests"][0]["problem"], json!(null));
    assert_eq!(report["requests"][1]["problem"], json!("it is not running"));
}

#[test]
fn a_manager_that_cannot_plan_ahead_is_named() {
    let site = Site::start(&two_hosts(), &[hm1()]);
    let (code, stdout, stderr) = site.run(&["plan"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(
        stderr,
        "error: HostManager hm1: it cannot tell; only Campanile's HostManager plans ahead\n\
         error: HostManager hm2: it is not running\n"
    );
}

#[test]
fn without_a_bridge_in_the_site_config_the_websocket_is_used() {
    let site = Site::start(&two_hosts(), &[hm1(), hm2()]);
    let mut whole: Value = serde_json::from_str(&site.files.text()).unwrap();
    whole["hub"].as_object_mut().unwrap().remove("wamp_http");
    site.files.write_text(&whole.to_string());
    let (code, stdout, stderr) = site.run(&["ocsbow"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains(&format!("The crossbar base url is :\n  {}\n", site.files.ws_url())), "{stdout}");
    assert!(
        stdout.contains("  a                    A                                      up         up\n"),
        "{stdout}"
    );
    assert_eq!(site.run(&["up", "b", "--wait", "20s"]).0, 0);
}
