//! The tables against what the original printed for the same site (its output, recorded from ocs 0.12.1).

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::fleet::declared::{DeclaredHost, DeclaredInstance, Management};
use crate::fleet::report::{Child, ManagerReport, ManagerState};

fn instance(instance_id: &str, agent_class: &str, management: Management) -> DeclaredInstance {
    DeclaredInstance {
        instance_id: instance_id.into(),
        agent_class: agent_class.into(),
        management,
        problem: None,
    }
}

fn host(name: &str, instances: &[(&str, &str, Management)]) -> DeclaredHost {
    DeclaredHost {
        problem: None,
        name: name.into(),
        instances: instances.iter().map(|(id, class, management)| instance(id, class, *management)).collect(),
    }
}

fn site() -> Vec<DeclaredHost> {
    use Management::{Docker, Host, HostManager, Ignore};
    vec![
        host(
            "host-1",
            &[
                ("hm-host-1", "HostManager", HostManager),
                ("registry", "RegistryAgent", Ignore),
                ("faker1", "FakeDataAgent", Host),
                ("faker2", "FakeDataAgent", Host),
                ("bare1", "BarebonesAgent", Host),
                ("ghost1", "NoSuchAgent", Host),
            ],
        ),
        host(
            "host-1-docker",
            &[
                ("hm-host-1-docker", "HostManager", HostManager),
                ("dfaker1", "FakeDataAgent", Docker),
                ("dfaker2", "FakeDataAgent", Docker),
                ("dfaker3", "FakeDataAgent", Docker),
            ],
        ),
    ]
}

fn child(id: &str, class: &str, next_action: &str, target: &str) -> Child {
    Child::from_json(&json!({
        "instance_id": id, "agent_class": class, "next_action": next_action, "target_state": target, "stability": 1.0,
    }))
    .unwrap()
}

fn up(id: &str, children: Vec<Child>) -> (String, ManagerReport) {
    let mut report = ManagerReport::silent(id, ManagerState::Up, None);
    report.children = children;
    (id.to_owned(), report)
}

const HEADING: Heading<'_> = Heading {
    site_file: "/home/ocs/site-config/proxy.yaml",
    router_url: "http://127.0.0.1:8002/call",
    router_problem: None,
};

#[test]
fn the_report_of_two_hosts_is_the_original_one_to_the_byte() {
    let reports = BTreeMap::from([
        up(
            "hm-host-1",
            vec![
                child("faker1", "FakeDataAgent", "up", "up"),
                child("faker2", "FakeDataAgent", "wait_start", "up"),
                child("bare1", "BarebonesAgent", "down", "down"),
                child("ghost1", "NoSuchAgent", "?", "up"),
            ],
        ),
        up(
            "hm-host-1-docker",
            vec![
                child("dfaker1", "FakeDataAgent[d]", "up", "up"),
                child("dfaker2", "FakeDataAgent[d]", "down", "down"),
                child("dfaker3", "FakeDataAgent[d?]", "?", "up"),
                child("influxdb", "[docker]", "down", "passive"),
            ],
        ),
    ]);
    let expected = "\
ocs status
----------

The site config file is :
  /home/ocs/site-config/proxy.yaml

The crossbar base url is :
  http://127.0.0.1:8002/call

---------------------------------------------------------------------------
Host: host-1

  [instance-id]        [agent-class]                     [state]   [target]
  hm-host-1            HostManager                            up        n/a
  bare1                BarebonesAgent                       down       down
  faker1               FakeDataAgent                          up         up
  faker2               FakeDataAgent                  wait_start         up
  ghost1               NoSuchAgent                             ?         up
  registry             RegistryAgent[unman]                    ?          ?

-------------------------------------------------------------------------------
Host: host-1-docker

  [instance-id]        [agent-class]                         [state]   [target]
  hm-host-1-docker     HostManager                                up        n/a
  dfaker1              FakeDataAgent[d]                           up         up
  dfaker2              FakeDataAgent[d]                         down       down
  dfaker3              FakeDataAgent[d]/FakeDataAgent[d?]          ?         up
  influxdb             ?/[docker]                               down    passive

Important Notes:
  ***WARNING -- where agent-class value contains a slash (/) it indicates an inconsistency between the local Site Config (pre-slash) and HostManager reported (post-slash) Agent Class values.

";
    assert_eq!(render(&HEADING, &Fleet::build(&site(), &reports), &[]), expected);
}

#[test]
fn a_host_without_findings_has_no_notes() {
    let site = vec![host("host-1", &[("hm-host-1", "HostManager", Management::HostManager)])];
    let reports = BTreeMap::from([up("hm-host-1", vec![])]);
    let expected = "\
ocs status
----------

The site config file is :
  /home/ocs/site-config/proxy.yaml

The crossbar base url is :
  http://127.0.0.1:8002/call

---------------------------------------------------------------------------
Host: host-1

  [instance-id]        [agent-class]                     [state]   [target]
  hm-host-1            HostManager                            up        n/a

";
    assert_eq!(render(&HEADING, &Fleet::build(&site, &reports), &[]), expected);
}

#[test]
fn with_the_router_away_every_state_is_a_question_mark() {
    let site = vec![host(
        "host-2",
        &[
            ("hm-host-2", "HostManager", Management::HostManager),
            ("cfast1", "CrashFastAgent", Management::Host),
            ("triv1", "TrivialAgent", Management::Docker),
        ],
    )];
    let heading = Heading {
        router_url: "http://127.0.0.1:8001/call",
        router_problem: Some("http bridge not found at http://127.0.0.1:8001/call."),
        ..HEADING
    };
    let expected = "\
ocs status
----------

The site config file is :
  /home/ocs/site-config/proxy.yaml

The crossbar base url is :
  http://127.0.0.1:8001/call
  ****Warning**** http bridge not found at http://127.0.0.1:8001/call.

---------------------------------------------------------------------------
Host: host-2

  [instance-id]        [agent-class]                     [state]   [target]
  hm-host-2            HostManager                             ?        n/a
  cfast1               CrashFastAgent/?                        ?          ?
  triv1                TrivialAgent[d]/?                       ?          ?

Important Notes:
  ***WARNING -- where agent-class value contains a slash (/) it indicates an inconsistency between the local Site Config (pre-slash) and HostManager reported (post-slash) Agent Class values.

";
    assert_eq!(render(&heading, &Fleet::build(&site, &BTreeMap::new()), &[]), expected);
}

#[test]
fn a_manager_that_does_not_run_is_down_as_the_documents_say_and_a_silent_one_is_explained() {
    let site = vec![
        host("a", &[("hm-a", "HostManager", Management::HostManager)]),
        host("b", &[("hm-b", "HostManager", Management::HostManager)]),
        host("c", &[("hm-c", "HostManager", Management::HostManager)]),
    ];
    let report = |id: &str, state, problem: &str| {
        (id.to_owned(), ManagerReport::silent(id, state, Some(problem.into())))
    };
    let reports = BTreeMap::from([
        report("hm-a", ManagerState::Down, "it is not running"),
        report("hm-b", ManagerState::Sleeping, "its manager process is done"),
        report("hm-c", ManagerState::Unknown, "it did not answer within 5 s"),
    ]);
    let text = render(&HEADING, &Fleet::build(&site, &reports), &[]);
    assert!(
        text.contains("  hm-a                 HostManager                          down        n/a\n"),
        "{text}"
    );
    assert!(
        text.contains("  hm-b                 HostManager                      sleeping        n/a\n"),
        "{text}"
    );
    assert!(
        text.contains("  hm-c                 HostManager                             ?        n/a\n"),
        "{text}"
    );
    assert!(
        text.ends_with(
            "Important Notes:\n  ***WARNING -- state of HostManager hm-c unknown: it did not answer within 5 s.\n\n"
        ),
        "{text}"
    );
}

#[test]
fn long_names_widen_their_columns_and_the_rule_above_them() {
    let id = "an-instance-id-of-more-than-twenty";
    let class = "AnAgentClassWithAnUnusuallyLongName";
    let site =
        vec![host("h", &[("hm", "HostManager", Management::HostManager), (id, class, Management::Host)])];
    let reports = BTreeMap::from([up("hm", vec![child(id, class, "up", "up")])]);
    let text = render(&HEADING, &Fleet::build(&site, &reports), &[]);
    let width = 2 + id.len() + 1 + class.len() + 1 + 10 + 1 + 10;
    assert!(text.contains(&format!("\n{}\nHost: h\n", "-".repeat(width))), "{text}");
    assert!(text.contains(&format!("  {id} {class}         up         up\n")), "{text}");
}

#[test]
fn an_instance_id_used_twice_is_shown_once_with_a_note() {
    let site = vec![
        host("a", &[("x", "First", Management::Ignore), ("x", "Second", Management::Ignore)]),
        host("b", &[("x", "Third", Management::Ignore)]),
    ];
    let fleet = Fleet::build(&site, &BTreeMap::new());
    assert_eq!(fleet.rows().count(), 1);
    let text = render(&HEADING, &fleet, &[]);
    let note =
        "  ***WARNING -- site config contains multiple entries with instance-id=x; ignoring all but first.\n";
    assert_eq!(text.matches(note).count(), 2, "{text}");
    assert!(text.contains("First[unman]") && !text.contains("Second") && !text.contains("Third"), "{text}");
}

#[test]
fn a_docker_instance_that_runs_on_the_host_shows_both_classes() {
    let site = vec![host(
        "h",
        &[
            ("hm", "HostManager", Management::HostManager),
            ("LSARR00", "Lakeshore372Agent", Management::Docker),
        ],
    )];
    let reports = BTreeMap::from([up("hm", vec![child("LSARR00", "Lakeshore372Agent", "up", "up")])]);
    let text = render(&HEADING, &Fleet::build(&site, &reports), &[]);
    assert!(
        text.contains(
            "  LSARR00              Lakeshore372Agent[d]/Lakeshore372Agent         up         up\n"
        ),
        "{text}"
    );
}
