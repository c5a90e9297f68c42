//! End to end: our `ocsbow` beside the original one, and where it tells what the original hides.
#![allow(clippy::unwrap_used, reason = "a test may end at once")]

#[path = "world/mod.rs"]
mod world;

use campanile_testkit::{CommandOutput, TempSite, bridge_call, finish, free_port, wait_until};
use serde_json::{Value, json};
use world::{HOST, MANAGER, SOON, our_host_manager, our_host_manager_of, our_router, ours};

/// A program that is no agent: it starts at once, and stays.
fn sleeper(id: &str, manage: &str) -> Value {
    TempSite::instance("Sleeper", id, &json!({"command": ["sleep", "100000"], "manage": manage}))
}

fn manager(id: &str) -> Value {
    TempSite::instance("HostManager", id, &json!({}))
}

/// Runs our `ocsbow` for the first host, with the peers' Python as `python3`.
fn ocsbow(site: &TempSite, args: &[&str]) -> CommandOutput {
    let venv = campanile_testkit::peers_dir().join("bin");
    let path = format!("{}:{}", venv.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = ours("ocsbow");
    command.args(site.args(HOST)).args(args).env("PATH", path);
    finish("ocsbow", command, SOON)
}

/// State and target of an instance in our table.
fn row(site: &TempSite, id: &str) -> Option<(String, String)> {
    let table = ocsbow(site, &["status"]).stdout;
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.len() == 4 && words[0] == id).then(|| (words[2].to_owned(), words[3].to_owned()))
    })
}

#[track_caller]
fn wait_for_row(site: &TempSite, id: &str, state: &str, target: &str) {
    let wanted = Some((state.to_owned(), target.to_owned()));
    wait_until(SOON, &format!("{id} is {state} {target}"), || row(site, id) == wanted);
}

#[test]
fn ocsbow_prints_what_the_original_prints() {
    let Some(peers) = campanile_testkit::Peers::require() else { return };
    let registry = TempSite::instance("RegistryAgent", "registry", &json!({"manage": "ignore"}));
    let ghost = TempSite::instance("NoSuchAgent", "ghost", &json!({}));
    let first =
        [manager(MANAGER), sleeper("runs", "host/up"), sleeper("rests", "host/down"), registry, ghost];
    let second = [manager("hm-host-2"), sleeper("elsewhere", "host/up")];
    let hosts = json!({
        HOST: {"agent-instances": first, "crossbar": {"config-dir": "/somewhere", "bin": "/somewhere/crossbar"}},
        "host-2": {"agent-instances": second},
    });
    let site = TempSite::new(free_port(), &hosts);
    let _router = our_router(&site);
    let _first = our_host_manager(&peers, &site);
    wait_for_row(&site, "runs", "up", "up");
    wait_for_row(&site, "ghost", "?", "up");
    wait_for_row(&site, "rests", "down", "down");

    for args in [
        &[][..],
        &["status"],
        &["status", "-H", HOST],
        &["status", "--host", HOST],
        &["status", "-H", HOST, "-r"],
        &["status", "-H", HOST, "--reload-config"],
        &["up", "-a", "--dry-run"],
        &["down", "--all", "--dry-run"],
        &["up", "--dry-run", "rests", "elsewhere"],
        &["down", "--dry-run", MANAGER],
        &["config"],
        &["config", "summary"],
        &["config", "plugins"],
        &["config", "crossbar"],
    ] {
        let (mine, theirs) = (ocsbow(&site, args), peers.ocsbow(&site, HOST, args));
        // A HostManager that does not run is "down" by the documents, and "?" with the original.
        let down = "hm-host-2            HostManager                          down";
        let unknown = "hm-host-2            HostManager                             ?";
        assert_eq!(mine.stdout.replace(down, unknown), theirs.stdout, "ocsbow {args:?}");
        assert_eq!((mine.code(), theirs.code()), (0, 0), "ocsbow {args:?}\n{}", mine.stderr);
    }
}

#[test]
fn what_ocsbow_cannot_do_shows_in_its_exit_code_and_stops_nothing_else() {
    let Some(peers) = campanile_testkit::Peers::require() else { return };
    let unmanaged = TempSite::instance("RegistryAgent", "registry", &json!({"manage": "ignore"}));
    let crasher = TempSite::instance("Crasher", "crasher", &json!({"command": ["sh", "-c", "exit 3"]}));
    let first =
        [manager(MANAGER), sleeper("one", "host/down"), sleeper("two", "host/down"), unmanaged, crasher];
    let hosts = json!({
        "a-host-that-is-off": {"agent-instances": [manager("hm-off"), sleeper("three", "host/up")]},
        HOST: {"agent-instances": first},
    });
    let site = TempSite::new(free_port(), &hosts);
    let mut router = our_router(&site);
    let _manager = our_host_manager(&peers, &site);
    wait_for_row(&site, "one", "down", "down");
    wait_for_row(&site, MANAGER, "up", "n/a");

    // the report is complete although a HostManager is down, and says so
    assert_eq!(row(&site, "hm-off"), Some(("down".into(), "n/a".into())));
    assert_eq!(ocsbow(&site, &["status"]).code(), 0);
    wait_for_row(&site, "crasher", "unstable", "up");

    // what cannot be reached or is not known costs the exit code, and nobody else
    let all = ocsbow(&site, &["up", "-a"]);
    assert_eq!(all.code(), 1);
    assert!(all.stderr.contains("hm-off"), "{}", all.stderr);
    wait_for_row(&site, "one", "up", "up");
    let unknown = ocsbow(&site, &["down", "one", "nosuch"]);
    assert_eq!(unknown.code(), 1);
    assert!(unknown.stderr.contains("nosuch"), "{}", unknown.stderr);
    wait_for_row(&site, "one", "down", "down");
    wait_for_row(&site, "two", "up", "up");
    assert_eq!(ocsbow(&site, &["up"]).code(), 1);
    assert_eq!(ocsbow(&site, &["up", "registry"]).code(), 1);
    assert_eq!(ocsbow(&site, &["status", "-r"]).code(), 1);

    // a manager process that sleeps is shown so, and woken with all others down
    let ops = site.address(&format!("{MANAGER}.ops"));
    let stopped = bridge_call(site.port(), &ops, json!(["stop", "manager"]));
    assert_eq!(stopped.map(|reply| reply[0].clone()), Ok(json!(0)));
    wait_for_row(&site, MANAGER, "sleeping", "n/a");
    bridge_call(site.port(), &ops, json!(["start", "update", {"requests": [["one", "up"]]}])).unwrap();
    let update = bridge_call(site.port(), &ops, json!(["wait", "update", {}, 30])).unwrap();
    assert_eq!(update[2]["success"], json!(false), "{update}");
    assert_eq!(ocsbow(&site, &["up", "one"]).code(), 0);
    wait_for_row(&site, "one", "up", "up");
    wait_for_row(&site, "two", "down", "down");

    // the command line and the site config
    assert_eq!(ocsbow(&site, &["frobnicate"]).code(), 2);
    let broken = TempSite::new(site.port(), &hosts);
    broken.write_text("hosts: {}\n");
    assert_eq!(ocsbow(&broken, &["status"]).code(), 2);
    let nowhere = finish("ocsbow", ours("ocsbow"), SOON);
    assert_eq!(nowhere.code(), 2);
    assert!(nowhere.stderr.contains("OCS_CONFIG_DIR"), "{}", nowhere.stderr);

    // no router
    router.kill9();
    let away = ocsbow(&site, &["status"]);
    assert_eq!(away.code(), 1);
    assert!(away.stdout.contains("****Warning****"), "{}", away.stdout);
    assert_eq!(ocsbow(&site, &["down", "one"]).code(), 1);
}

#[test]
fn the_site_config_is_found_as_every_ocs_program_finds_it() {
    let Some(peers) = campanile_testkit::Peers::require() else { return };
    let site = TempSite::new(free_port(), &json!({HOST: {"agent-instances": [manager(MANAGER)]}}));
    std::fs::copy(site.file(), site.dir().join("lab.yaml")).unwrap();
    let _router = our_router(&site);
    let _manager = our_host_manager(&peers, &site);
    wait_for_row(&site, MANAGER, "up", "n/a");
    for (args, name) in [(&[][..], "default.yaml"), (&["--site", "lab"], "lab.yaml")] {
        let mut command = ours("ocsbow");
        command.env("OCS_CONFIG_DIR", site.dir()).args(args).args(["--site-host", HOST]);
        let output = finish("ocsbow", command, SOON);
        assert_eq!(output.code(), 0, "{}", output.stderr);
        assert!(output.stdout.contains(&site.dir().join(name).display().to_string()), "{}", output.stdout);
    }
}

#[test]
fn agents_of_several_hosts_are_driven_from_one_client() {
    let Some(peers) = campanile_testkit::Peers::require() else { return };
    let first = [manager(MANAGER), sleeper("one", "host/up"), sleeper("two", "host/down")];
    let second = [manager("hm-host-2"), sleeper("three", "host/up"), sleeper("four", "host/down")];
    let hosts = json!({HOST: {"agent-instances": first}, "host-2": {"agent-instances": second}});
    let site = TempSite::new(free_port(), &hosts);
    let _router = our_router(&site);
    let mut managers = [HOST, "host-2"].map(|host| our_host_manager_of(&peers, &site, host, &[]));
    let wait_for = |wanted: [(&str, &str); 4]| {
        wanted.into_iter().for_each(|(id, state)| wait_for_row(&site, id, state, state));
    };
    wait_for([("one", "up"), ("two", "down"), ("three", "up"), ("four", "down")]);

    // what is only tried changes nothing
    assert_eq!(ocsbow(&site, &["down", "-a", "--dry-run"]).code(), 0);
    wait_for([("one", "up"), ("two", "down"), ("three", "up"), ("four", "down")]);

    assert_eq!(ocsbow(&site, &["up", "two", "four"]).code(), 0);
    wait_for([("one", "up"), ("two", "up"), ("three", "up"), ("four", "up")]);
    assert_eq!(ocsbow(&site, &["down", "hm-host-2"]).code(), 0);
    wait_for([("one", "up"), ("two", "up"), ("three", "down"), ("four", "down")]);
    assert_eq!(ocsbow(&site, &["down", "--all"]).code(), 0);
    wait_for([("one", "down"), ("two", "down"), ("three", "down"), ("four", "down")]);
    assert_eq!(ocsbow(&site, &["up", "-a"]).code(), 0);
    wait_for([("one", "up"), ("two", "up"), ("three", "up"), ("four", "up")]);
    assert!(managers.iter_mut().all(|manager| manager.is_running()), "no command stops a manager");
}

#[test]
fn the_manager_starts_as_its_options_say() {
    let Some(peers) = campanile_testkit::Peers::require() else { return };
    let quiet_down = manager(MANAGER);
    let mut all_up = manager("hm-host-2");
    all_up["arguments"] = json!(["--initial-state", "up"]);
    let hosts = json!({
        HOST: {"agent-instances": [quiet_down, sleeper("one", "host/up")]},
        "host-2": {"agent-instances": [all_up, sleeper("two", "host/down")]},
    });
    let site = TempSite::new(free_port(), &hosts);
    let _router = our_router(&site);
    let first = our_host_manager_of(&peers, &site, HOST, &["--initial-state", "down", "--quiet"]);
    let _second = our_host_manager_of(&peers, &site, "host-2", &[]);
    wait_for_row(&site, "one", "down", "down");
    wait_for_row(&site, "two", "up", "up");
    assert_eq!(first.output(), "", "it was asked to be quiet");
}

#[test]
fn the_session_of_the_manager_has_the_documented_keys() {
    let Some(peers) = campanile_testkit::Peers::require() else { return };
    let hosts = json!({HOST: {"agent-instances": [manager(MANAGER), sleeper("one", "host/up")]}});
    let site = TempSite::new(free_port(), &hosts);
    let _router = our_router(&site);
    let _manager = our_host_manager(&peers, &site);
    wait_for_row(&site, "one", "up", "up");
    let ops = site.address(&format!("{MANAGER}.ops"));
    let data = bridge_call(site.port(), &ops, json!(["status", "manager"])).unwrap()[2]["data"].clone();
    for key in ["child_states", "config_parse_status", "orphans", "new_tags"] {
        assert!(!data[key].is_null(), "{key} in {data}");
    }
    let child = &data["child_states"][0];
    let documented = json!({
        "next_action": "up", "target_state": "up", "stability": 1.0, "agent_class": "Sleeper",
        "instance_id": "one", "operable": true, "restart_required": false,
    });
    for (key, value) in documented.as_object().unwrap() {
        assert_eq!(&child[key], value, "{key} in {child}");
    }
    let status = &data["config_parse_status"]["[SCF]"];
    assert_eq!(status[0], json!(true), "{status}");
    assert!(status[1].is_number() && status[2].is_string(), "{status}");
}
