//! What a site config file says, and what is wrong with it.
#![expect(clippy::expect_used, reason = "a test that cannot go on must end, saying why")]

use std::path::Path;

use campanile_ocs::site_config::{
    ConfigReport, CrossbarConfig, InstanceConfig, Limits, Manage, Probe, Ready, Restart, SiteConfig, Stop,
    load, load_bytes,
};
use campanile_yaml::Diagnostics;

const HUB: &str = "hub: {wamp_server: 'ws://h:8001/ws', wamp_http: 'http://h:8001/call', wamp_realm: r, address_root: obs}\n";

fn read(text: &str) -> (Option<SiteConfig>, Diagnostics) {
    load_bytes(Path::new("site.yaml"), text.as_bytes())
}

/// The instances of a host with these entries, and all that was said, one line each.
fn instances(entries: &str) -> (Vec<InstanceConfig>, Vec<String>) {
    let (site, diagnostics) = read(&format!("{HUB}hosts:\n  h:\n    agent-instances:\n{entries}"));
    let mut site = site.expect("the file is usable");
    (site.hosts.remove(0).instances, said(&diagnostics))
}

/// One instance with these further keys.
fn instance(more: &str) -> (InstanceConfig, Vec<String>) {
    let (mut all, said) = instances(&format!("    - {{agent-class: A, instance-id: a, {more}}}\n"));
    (all.remove(0), said)
}

fn said(diagnostics: &Diagnostics) -> Vec<String> {
    diagnostics.iter().map(|item| format!("{}: {}", item.severity.as_str(), item.one_line())).collect()
}

#[track_caller]
fn assert_said(said: &[String], parts: &[&str]) {
    assert_eq!(said.len(), parts.len(), "{said:#?}");
    for (line, part) in said.iter().zip(parts) {
        assert!(line.contains(part), "{line:?} does not say {part:?}");
    }
}

#[test]
fn the_example_of_the_documentation_is_read_without_a_word() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/site.yaml");
    let (site, diagnostics) = load(&path);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    let site = site.expect("the example is usable");
    assert_eq!(site.path, path);
    assert_eq!(site.address("thermo1"), "observatory.thermo1");
    let names: Vec<&str> = site.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["host-1", "host-1-docker", "host-2"]);
    let host = site.host("host-1").expect("it is there");
    assert_eq!(host.log_dir.as_deref(), Some(Path::new("/simonsobs/log/ocs/")));
    assert_eq!(
        host.crossbar.as_ref().and_then(|crossbar| crossbar.config_dir.as_deref()),
        Some("/simonsobs/ocs/dot_crossbar/")
    );
    assert_eq!(host.crossbar_timeout_s, 10);
    assert_eq!(host.instance("hm-host-1").map(|manager| manager.manage), Some(Manage::Ignore));
    let docker = site.host("host-1-docker").and_then(|host| host.instance("LSARR00")).expect("it is there");
    assert_eq!((docker.manage, docker.span.start.line), (Manage::DockerUp, 41));
    let aggregator = site.host("host-2").and_then(|host| host.instance("aggregator")).expect("it is there");
    assert_eq!(aggregator.arguments[3], "3600");
}

#[test]
fn the_hub_must_say_how_to_reach_the_router() {
    let (site, diagnostics) =
        read("hub: {wamp-server: 'ws://h/ws', wamp_realm: 5, wamp_http: 'ws://h/call'}\nhosts: {}\n");
    assert_eq!(site, None);
    assert_said(
        &said(&diagnostics),
        &[
            "error: site.yaml:1:6: `wamp_server` is missing",
            "error: site.yaml:1:6: `address_root` is missing",
            "warning: site.yaml:1:7: unknown key `wamp-server` (did you mean `wamp_server`?)",
            "error: site.yaml:1:45: expected a text, found the integer `5` (put it in quotes: '5')",
            "error: site.yaml:1:59: `wamp_http` must begin with http:// or https://",
        ],
    );
    for (text, part) in [
        ("hosts: {}", "the section `hub` is missing"),
        ("", "expected a map, found nothing"),
        ("[]", "expected a map, found a list"),
        ("hub: [1]", "expected a map, found a list"),
        (
            "hub: {wamp_server: h:8001, wamp_http: null, wamp_realm: r, address_root: o}",
            "must begin with ws:// or wss://",
        ),
        ("hub: {wamp_server: '', wamp_http: null, wamp_realm: r, address_root: o}", "`wamp_server` is empty"),
        (
            "hub: {wamp_server: 'ws://h/', wamp_http: null, wamp_realm: r, address_root: 'o o'}",
            "addresses cannot begin with",
        ),
        (
            "hub: {wamp_server: 'ws://h/', wamp_http: null, wamp_realm: r, address_root: o}\nhosts: 3",
            "expected a map",
        ),
        ("hub: {", "never closed"),
    ] {
        let (site, diagnostics) = read(text);
        assert_eq!(site, None, "{text}");
        assert!(said(&diagnostics).join("\n").contains(part), "{text}: {:?}", said(&diagnostics));
    }
}

#[test]
fn a_hub_needs_neither_bridge_nor_policy_nor_hosts() {
    let (site, diagnostics) = read(
        "hub:\n  wamp_server: ws://h:8001/ws\n  wamp_realm: r\n  address_root: a.b\n  access_policy: x\n",
    );
    let hub = site.expect("it is usable").hub;
    assert_eq!((hub.wamp_http, hub.access_policy.as_deref()), (None, Some("x")));
    assert_said(
        &said(&diagnostics),
        &[
            "warning: site.yaml:2:3: `wamp_http` is missing",
            "error: site.yaml:5:18: invalid access policy \"x\"",
        ],
    );
}

#[test]
fn host_blocks_have_the_defaults_of_ocs() {
    let text = "hosts:\n  a: {agent-instances: []}\n  b: {agent-instances: [], crossbar: {}, crossbar_timeout: 0, log-dir: logs}\n  c: {agent-instances: [], crossbar: null, wamp_server: 'ws://x/ws', wamp_realm: other}\n";
    let (site, diagnostics) = read(&format!("{HUB}{text}"));
    assert_said(&said(&diagnostics), &[]);
    let hosts = site.expect("it is usable").hosts;
    assert_eq!((&hosts[0].crossbar, hosts[0].crossbar_timeout_s, &hosts[0].log_dir), (&None, 10, &None));
    assert_eq!(hosts[1].crossbar, Some(CrossbarConfig::default()));
    assert_eq!((hosts[1].crossbar_timeout_s, hosts[1].log_dir.as_deref()), (0, Some(Path::new("logs"))));
    assert_eq!(hosts[2].crossbar, None);
    assert_eq!(hosts[2].overrides.wamp_server.as_deref(), Some("ws://x/ws"));
    assert_eq!(hosts[2].overrides.wamp_realm.as_deref(), Some("other"));
}

#[test]
fn a_broken_host_block_leaves_the_others_alone() {
    let text = "hosts:\n  a: {}\n  b:\n  c: {agent-instances: {}}\n  d: {agent-instances: [], log-dir: [x]}\n  e: {agent-instances: [], crossbar_timeout: soon}\n  f: {agent-instances: []}\n";
    let (site, diagnostics) = read(&format!("{HUB}{text}"));
    let problems: Vec<Option<String>> =
        site.expect("it is usable").hosts.into_iter().map(|host| host.problem).collect();
    let expected = [
        Some("line 3: host a has no `agent-instances`"),
        Some("line 4: expected a map, found nothing"),
        Some("line 5: expected a list, found a map"),
        Some("line 6: expected a text, found a list"),
        Some("line 7: expected a number, found the string `soon`"),
        None,
    ];
    assert_eq!(problems.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    assert_eq!(diagnostics.error_count(), 5);
}

#[test]
fn manage_has_all_its_aliases() {
    for (text, manage) in [
        ("host/up", Manage::HostUp),
        ("host/down", Manage::HostDown),
        ("docker/up", Manage::DockerUp),
        ("docker/down", Manage::DockerDown),
        ("ignore", Manage::Ignore),
        ("'yes'", Manage::HostUp),
        ("'no'", Manage::Ignore),
        ("docker", Manage::DockerUp),
        ("host", Manage::HostUp),
        ("up", Manage::HostUp),
        ("down", Manage::HostDown),
        ("null", Manage::HostUp),
    ] {
        let (instance, said) = instance(&format!("manage: {text}"));
        assert_eq!((instance.manage, instance.problem), (manage, None), "{text}");
        assert_said(&said, &[]);
    }
}

#[test]
fn defect_10_manage_yes_without_quotes_is_taken_with_a_warning() {
    let (on, said_on) = instance("manage: yes");
    assert_eq!((on.manage, on.problem), (Manage::HostUp, None));
    assert_said(
        &said_on,
        &[
            "warning: site.yaml:5:48: `yes` without quotes is a boolean, which OCS does not accept here (taken as `host/up`; write `manage: host/up`)",
        ],
    );
    let (off, said_off) = instance("manage: no");
    assert_eq!((off.manage, off.problem), (Manage::Ignore, None));
    assert_said(&said_off, &["taken as `ignore`"]);
}

#[test]
fn an_unknown_manage_disables_its_entry_and_no_other() {
    let (all, said) = instances(
        "    - {agent-class: A, instance-id: a}\n    - {agent-class: B, instance-id: b, manage: dokcer}\n    - {agent-class: C, instance-id: c, manage: [up]}\n    - {agent-class: D, instance-id: d}\n",
    );
    let problems: Vec<Option<&str>> = all.iter().map(|instance| instance.problem.as_deref()).collect();
    let unknown = "line 6: unknown value `dokcer` of `manage`";
    assert_eq!(problems, [None, Some(unknown), Some("line 7: expected a text, found a list"), None]);
    assert_said(&said, &["(did you mean `docker`?)", "expected a text"]);
}

#[test]
fn a_host_manager_never_manages_itself() {
    let (all, said) = instances(
        "    - {agent-class: HostManager, instance-id: hm, manage: host/up}\n    - {agent-class: HostManager, instance-id: hm2, manage: nonsense}\n",
    );
    assert!(all.iter().all(|manager| manager.manage == Manage::Ignore && manager.problem.is_none()));
    assert_said(&said, &[]);
}

#[test]
fn arguments_arrive_as_python_prints_them() {
    let (instance, said) = instance(
        "arguments: [a, [b, [5, 1.50]], yes, null, 010, 1:20, 1.0e+3, '010', 'yes', 2001-12-14, {--x: 1}, -3]",
    );
    let expected = [
        "a",
        "b",
        "5",
        "1.5",
        "True",
        "None",
        "8",
        "80",
        "1000.0",
        "010",
        "yes",
        "2001-12-14",
        "{'--x': 1}",
        "-3",
    ];
    assert_eq!(instance.arguments, expected);
    assert_eq!(instance.problem, None);
    let passed = |text: &str| format!("this argument is passed as `{text}`");
    let parts = ["True", "None", "8", "80", "{'--x': 1}"].map(passed);
    assert_said(&said, &parts.each_ref().map(String::as_str));
}

#[test]
fn arguments_must_be_a_list() {
    let (text, said) = instance("arguments: --mode idle");
    assert_eq!(text.problem.as_deref(), Some("line 5: expected a list, found the string `--mode idle`"));
    assert_eq!(said.len(), 1);
    let (nothing, said) = instance("arguments: null");
    assert_eq!((nothing.arguments, nothing.problem), (Vec::new(), None));
    assert_said(&said, &[]);
    let (nul, _) = instance("arguments: [\"a\\0b\"]");
    assert_eq!(nul.problem.as_deref(), Some("line 5: a NUL character cannot be part of an argument"));
}

#[test]
fn ids_must_be_fit_for_an_address() {
    let (all, said) = instances(
        "    - {agent-class: A, instance-id: 'a b'}\n    - {agent-class: A, instance-id: ''}\n    - {agent-class: A}\n    - {agent-class: A, instance-id: 42}\n    - {agent-class: A, instance-id: a.b}\n    - {agent-class: A, instance-id: [x]}\n    - {agent-class: A, instance-id: 'a#1'}\n    - just text\n",
    );
    let ids: Vec<(&str, bool)> =
        all.iter().map(|instance| (instance.instance_id.as_str(), instance.problem.is_none())).collect();
    assert_eq!(
        ids,
        [
            ("#1", false),
            ("#2", false),
            ("#3", false),
            ("42", true),
            ("a.b", true),
            ("#6", false),
            ("#7", false),
            ("#8", false)
        ]
    );
    assert_said(
        &said,
        &[
            "error: site.yaml:5:37: `a b` cannot be an instance-id",
            "error: site.yaml:6:37: `` cannot be an instance-id",
            "error: site.yaml:7:7: `instance-id` is missing",
            "warning: site.yaml:8:37: the instance-id is the integer `42`, which OCS agents cannot find (put it in quotes: '42')",
            "warning: site.yaml:9:37: the registry and ocs-web do not see instances with a `.`",
            "error: site.yaml:10:37: expected a text, found a list",
            "error: site.yaml:11:37: `a#1` cannot be an instance-id",
            "error: site.yaml:12:7: expected a map, found the string `just text`",
        ],
    );
}

#[test]
fn of_a_repeated_id_the_first_entry_counts() {
    let (all, said) = instances(
        "    - {agent-class: A, instance-id: a}\n    - {agent-class: B, instance-id: a}\n    - {agent-class: C, instance-id: a}\n",
    );
    let ids: Vec<&str> = all.iter().map(|instance| instance.instance_id.as_str()).collect();
    assert_eq!(ids, ["a", "a#2", "a#3"]);
    assert!(all[0].problem.is_none());
    assert_eq!(all[1].problem.as_deref(), Some("line 6: the instance-id `a` is repeated"));
    assert_eq!(said.len(), 2);
}

#[test]
fn the_same_id_on_two_hosts_is_worth_a_note() {
    let text = "hosts:\n  h1: {agent-instances: &x [{agent-class: A, instance-id: a}]}\n  h2: {agent-instances: *x}\n";
    let (site, diagnostics) = read(&format!("{HUB}{text}"));
    assert!(site.is_some());
    assert_said(&said(&diagnostics), &["note: site.yaml:3:59: the instance-id `a` is also used by host h1"]);
}

#[test]
fn unknown_keys_are_tolerated_and_misspelt_ones_named() {
    let (instance, said) = instance("remark: mine, mange: ignore, argument: [x]");
    assert_eq!((instance.manage, instance.problem), (Manage::HostUp, None));
    assert_said(
        &said,
        &[
            "unknown key `mange` (did you mean `manage`?)",
            "unknown key `argument` (did you mean `arguments`?)",
        ],
    );
}

#[test]
fn a_class_is_needed_unless_there_is_a_command() {
    let (all, said) = instances(
        "    - {instance-id: a}\n    - {instance-id: b, command: [/usr/bin/sleep, 5]}\n    - {instance-id: c, agent-class: My sleeper, command: [sleep, 5]}\n",
    );
    assert_eq!(all[0].problem.as_deref(), Some("line 5: `agent-class` is missing"));
    assert_eq!((all[1].agent_class.as_str(), &all[1].problem), ("sleep", &None));
    assert_eq!(all[1].command.as_deref(), Some(["/usr/bin/sleep".to_owned(), "5".to_owned()].as_slice()));
    assert_eq!((all[2].agent_class.as_str(), &all[2].problem), ("My sleeper", &None));
    assert_eq!(said.len(), 1);
}

#[test]
fn our_own_keys_are_read() {
    let (all, said) = instances(
        "    - agent-class: A\n      instance-id: a\n      command: [python3, -m, thing, 010]\n      env: {DEBUG: yes, N: 010, EMPTY: ''}\n      cwd: work\n      stop: {grace: 2m, kill: no}\n      after: [b]\n      ready: {port: 8001, timeout: 5s}\n      limits: {memory: 2G, cpu: 1.5}\n      restart: {delay: 1s, max: 1.5h}\n    - {agent-class: B, instance-id: b, ready: heartbeat, restart: {delay: 60}}\n    - {agent-class: C, instance-id: c, ready: {command: [true]}, after: b, stop: {grace: 0}}\n    - {agent-class: D, instance-id: d}\n",
    );
    assert_said(&said, &[]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(all[0].command.as_ref().map(|words| words.join(" ")).as_deref(), Some("python3 -m thing 010"));
    assert_eq!(all[0].env, [pair("DEBUG", "yes"), pair("N", "010"), pair("EMPTY", "")]);
    assert_eq!(all[0].cwd.as_deref(), Some(Path::new("work")));
    assert_eq!(all[0].stop, Stop { grace_ms: 120_000, kill: false });
    assert_eq!(all[0].after, ["b"]);
    assert_eq!(all[0].ready, Some(Ready { probe: Probe::Port(8001), timeout_ms: 5_000 }));
    assert_eq!(all[0].limits, Limits { memory_bytes: Some(2 << 30), cpu_cores: Some(1.5) });
    assert_eq!(all[0].restart, Restart { delay_ms: 1_000, max_ms: 5_400_000 });
    assert_eq!(all[1].ready, Some(Ready { probe: Probe::Heartbeat, timeout_ms: 60_000 }));
    assert_eq!(all[1].restart, Restart { delay_ms: 60_000, max_ms: 60_000 });
    assert_eq!(
        all[2].ready,
        Some(Ready { probe: Probe::Command(vec!["true".to_owned()]), timeout_ms: 60_000 })
    );
    assert_eq!((all[2].after.join(","), all[2].stop), ("b".to_owned(), Stop { grace_ms: 0, kill: true }));
    assert_eq!(
        (all[3].stop, all[3].restart, all[3].limits),
        (Stop::default(), Restart::default(), Limits::default())
    );
    assert_eq!(all[3].stop.grace_ms, 60_000);
}

#[test]
fn what_is_wrong_with_our_own_keys_disables_the_entry() {
    for (more, part) in [
        ("command: sleep 5", "write ['sleep', '5']"),
        ("command: []", "`command` names no program"),
        ("command: [a, null]", "expected a text, found nothing"),
        ("env: {A: null}", "the variable A has no value"),
        ("env: {'A=B': c}", "cannot be the name"),
        ("env: [A]", "expected a map"),
        ("cwd: 5", "expected a text"),
        ("stop: {grace: soon}", "expected a duration"),
        ("stop: {kill: maybe}", "expected yes or no"),
        ("stop: 5", "expected a map"),
        ("ready: port", "`ready` cannot be the string `port`"),
        ("ready: {port: 1, command: [a]}", "exactly one of"),
        ("ready: {timeout: 5}", "exactly one of"),
        ("ready: {port: 70000}", "a port is a number"),
        ("limits: {memory: lots}", "expected an amount of memory"),
        ("limits: {cpu: 0}", "a number of cores above 0"),
        ("limits: {cpu: .nan}", "a number of cores above 0"),
        ("restart: {delay: 10, max: 5}", "`max` is shorter than `delay`"),
        ("after: {b: 1}", "expected a list"),
    ] {
        let (instance, said) = instance(more);
        assert!(instance.problem.is_some(), "{more}");
        assert!(said.join("\n").contains(part), "{more}: {said:?}");
    }
}

#[test]
fn keys_of_a_process_have_no_effect_in_docker() {
    let (instance, said) = instance("manage: docker, command: [x], limits: {memory: 1G}");
    assert_eq!(instance.problem, None);
    assert_said(&said, &["warning: site.yaml:5:56: `command` has no effect", "`limits` has no effect"]);
}

#[test]
fn waiting_for_a_stranger_is_an_error_of_the_one_that_waits() {
    let (all, said) = instances(
        "    - {agent-class: A, instance-id: registry}\n    - {agent-class: B, instance-id: b, after: [regestry]}\n    - {agent-class: HostManager, instance-id: hm}\n    - {agent-class: C, instance-id: c, after: [hm]}\n",
    );
    assert_eq!(
        all[1].problem.as_deref(),
        Some("line 6: b waits for `regestry`, which is no instance of this host")
    );
    assert!(all[0].problem.is_none() && all[3].problem.is_none());
    assert_said(
        &said,
        &["did you mean `registry`?", "warning: site.yaml:8:48: c waits for hm, which is not managed here"],
    );
}

#[test]
fn a_circle_in_the_start_order_is_named_and_disables_its_members() {
    let (all, said) = instances(
        "    - {agent-class: A, instance-id: a, after: [b]}\n    - {agent-class: A, instance-id: b, after: [c]}\n    - {agent-class: A, instance-id: c, after: [a]}\n    - {agent-class: A, instance-id: d, after: [a]}\n    - {agent-class: A, instance-id: e, after: [e]}\n    - {agent-class: A, instance-id: f}\n",
    );
    let disabled: Vec<&str> = all
        .iter()
        .filter(|instance| instance.problem.is_some())
        .map(|instance| instance.instance_id.as_str())
        .collect();
    assert_eq!(disabled, ["a", "b", "c", "e"]);
    assert_eq!(said.len(), 4);
    assert!(said[0].contains("in a circle: a after b after c after a"), "{said:?}");
    assert!(said[3].contains("in a circle: e after e"), "{said:?}");
}

#[test]
fn our_section_for_the_site_is_accepted_and_its_keys_are_checked() {
    let (site, diagnostics) = read(&format!("{HUB}campanile: {{colour: red}}\n"));
    assert!(site.is_some());
    assert_said(
        &said(&diagnostics),
        &["warning: site.yaml:2:13: there is no setting `colour`; it has no effect"],
    );
    assert!(said(&read(&format!("{HUB}campanile:\n")).1).is_empty());
}

#[test]
fn a_file_that_pyyaml_refuses_is_refused_and_all_else_is_told_too() {
    let (site, diagnostics) = read(&format!(
        "{HUB}hosts:\n  h: {{agent-instances: [{{agent-class: A, instance-id: a, manage: nope, x: *y}}]}}\n"
    ));
    assert_eq!(site, None);
    assert_said(&said(&diagnostics), &["unknown value `nope`", "there is no anchor `&y`"]);
}

#[test]
fn a_report_has_everything_and_an_exit_code() {
    let dir = std::env::temp_dir().join(format!("campanile-report-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory can be made");
    let path = dir.join("site.yaml");
    let write = |text: &str| std::fs::write(&path, format!("{HUB}{text}")).expect("the file can be written");
    write(
        "hosts:\n  h: {agent-instances: [{agent-class: A, instance-id: a}, {agent-class: B, instance-id: b, manage: nope}]}\n",
    );
    let report = ConfigReport::of(&path);
    assert_eq!(report.exit_code(), 2);
    assert!(report.summary().ends_with("site.yaml: 1 host, 2 instances, 1 error"), "{}", report.summary());
    let json = report.to_json();
    assert_eq!((json["usable"].as_bool(), json["errors"].as_u64()), (Some(true), Some(1)));
    assert_eq!(json["hosts"][0]["instances"][1]["problem"], "line 3: unknown value `nope` of `manage`");
    assert_eq!(json["hub"]["address_root"], "obs");
    write("hosts: {}\n");
    assert_eq!(ConfigReport::of(&path).exit_code(), 0);
    std::fs::remove_dir_all(&dir).expect("the directory can be removed");
    let report = ConfigReport::of(&path);
    assert_eq!((report.exit_code(), report.site.is_none()), (2, true));
    assert!(said(&report.diagnostics)[0].contains("cannot read the file"));
}

#[test]
fn a_moved_entry_has_the_same_settings() {
    let (first, _) = instance("manage: up");
    let (all, _) = instances(
        "    - {agent-class: B, instance-id: b}\n    - {agent-class: A, instance-id: a, manage: up}\n",
    );
    assert_ne!(first, all[1]);
    assert!(first.same_settings(&all[1]));
    assert!(!first.same_settings(&all[0]));
}
