//! What a changed site config and operators' requests do to the table.

use std::sync::Arc;

use crate::model::*;
use crate::plan::Action;
use crate::relaunch::RestartPolicy;
use crate::reload::{Wanted, reload};
use crate::requests::{apply, parse};
use crate::table::Table;

fn wanted(class: &str, id: &str, start: Target) -> Wanted {
    let spec = Spec {
        instance_id: id.to_owned(),
        agent_class: class.to_owned(),
        program: Program::Plugin,
        arguments: Vec::new(),
        env: Vec::new(),
        cwd: None,
        stop: StopPolicy { grace_ms: 60_000, kill: true },
        restart: RestartPolicy::default(),
        after: Vec::new(),
        ready: None,
        limits: Default::default(),
        start,
    };
    Wanted { spec: Arc::new(spec), operable: Operable::Yes, problem: None }
}

fn broken(class: &str, id: &str) -> Wanted {
    Wanted { problem: Some("line 7: invalid manage=sure".to_owned()), ..wanted(class, id, Target::Up) }
}

/// Decides about everything, with launches that succeed and signals that are heeded; returns what was done.
fn settle(table: &mut Table) -> Vec<String> {
    let mut log = Vec::new();
    for key in table.keys() {
        while let Some(plan) = table.decide(key, 5000) {
            let id = plan.instance.spec.instance_id.clone();
            if plan.forget {
                log.push(format!("{id} forgotten"));
            }
            if plan.actions.is_empty() {
                break;
            }
            let entry = table.get_mut(key).unwrap();
            for action in plan.actions {
                entry.observed = match action {
                    Action::Launch { launch } => {
                        log.push(format!("{id} launched as {}", plan.instance.spec.agent_class));
                        let process = Process::Running { pid: 1, since_ms: 5000 };
                        Observed { launch, process, leftovers: Some(0), ..Observed::default() }
                    }
                    Action::Interrupt | Action::Terminate | Action::Kill => {
                        log.push(format!("{id} stopped"));
                        let (stdout_tail, stderr_tail) = (String::new(), String::new());
                        let ended =
                            Ended { how: End::Code(0), at_ms: 5000, ran_ms: 9, stdout_tail, stderr_tail };
                        let process = Process::Ended(Arc::new(ended));
                        Observed { process, ..entry.observed.clone() }
                    }
                };
            }
        }
    }
    log
}

fn states(table: &Table) -> Vec<String> {
    let show = |entry: &crate::table::Entry| {
        let Instance { spec, target, state, .. } = &entry.instance;
        format!("{} {}/{}", spec.instance_id, state.name(), target.name())
    };
    table.iter().map(show).collect()
}

fn ask(table: &mut Table, requests: &serde_json::Value) -> Vec<String> {
    apply(table, &parse(requests).unwrap())
}

#[test]
fn new_ones_start_as_the_site_config_says_and_old_ones_keep_their_target() {
    let mut table = Table::default();
    reload(&mut table, &[wanted("A", "a", Target::Up), wanted("B", "b", Target::Down)], 0);
    assert_eq!(settle(&mut table), ["a launched as A"]);
    ask(&mut table, &serde_json::json!([["a", "down"], ["b", "up"]]));
    assert_eq!(settle(&mut table), ["a stopped", "b launched as B"]);
    let both = [wanted("A", "a", Target::Up), wanted("B", "b", Target::Down), wanted("C", "c", Target::Up)];
    assert_eq!(reload(&mut table, &both, 0), [""; 0]);
    assert_eq!(settle(&mut table), ["c launched as C"]);
    assert_eq!(states(&table), ["a down/down", "b up/up", "c up/up"]);
}

#[test]
fn one_that_is_gone_from_the_site_config_is_stopped_and_forgotten_and_is_not_addressable_meanwhile() {
    let mut table = Table::default();
    reload(&mut table, &[wanted("A", "a", Target::Up), wanted("B", "b", Target::Up)], 0);
    settle(&mut table);
    let said = reload(&mut table, &[wanted("B", "b", Target::Up)], 0);
    assert_eq!(said, ["Retiring A:a, which has disappeared from configuration file(s) or has manage:no."]);
    assert_eq!(reload(&mut table, &[wanted("B", "b", Target::Up)], 0), [""; 0], "it is said once");
    let said = ask(&mut table, &serde_json::json!([["all", "up"], ["a", "up"]]));
    assert_eq!(said, ["Ignoring invalid target, a"]);
    assert_eq!(settle(&mut table), ["a stopped", "a forgotten"]);
    assert_eq!(states(&table), ["b up/up"]);
}

#[test]
fn another_class_is_another_thing_and_begins_with_the_target_of_the_site_config() {
    let mut table = Table::default();
    reload(&mut table, &[wanted("A", "a", Target::Down)], 0);
    ask(&mut table, &serde_json::json!([["a", "up"]]));
    settle(&mut table);
    let said = reload(&mut table, &[wanted("Z", "a", Target::Up)], 0);
    assert_eq!(
        said,
        ["Managed agent \"a\" changed agent_class (A -> Z) or management (host -> host) and is being reset!"]
    );
    assert_eq!(reload(&mut table, &[wanted("Z", "a", Target::Up)], 0), [""; 0], "it is said once");
    assert_eq!(settle(&mut table), ["a stopped", "a launched as Z"]);
}

#[test]
fn one_that_comes_back_while_it_is_being_retired_begins_anew() {
    let mut table = Table::default();
    reload(&mut table, &[wanted("A", "a", Target::Up)], 0);
    settle(&mut table);
    reload(&mut table, &[], 0);
    reload(&mut table, &[wanted("A", "a", Target::Up)], 0);
    assert_eq!(settle(&mut table), ["a stopped", "a launched as A"]);
}

#[test]
fn a_broken_entry_is_a_question_mark_if_it_is_new_and_keeps_its_last_good_form_if_it_is_not() {
    let mut table = Table::default();
    reload(&mut table, &[wanted("A", "a", Target::Up), broken("B", "b")], 0);
    assert_eq!(settle(&mut table), ["a launched as A"]);
    assert_eq!(states(&table), ["a up/up", "b ?/up"]);
    let said = reload(&mut table, &[broken("Other", "a"), broken("B", "b")], 0);
    assert_eq!(said, ["A:a keeps its last good configuration"]);
    assert_eq!(settle(&mut table), [""; 0]);
    assert_eq!(states(&table), ["a up/up", "b ?/up"]);
    reload(&mut table, &[wanted("A", "a", Target::Up), wanted("B", "b", Target::Up)], 0);
    assert_eq!(settle(&mut table), ["b launched as B"]);
}

#[test]
fn what_is_launched_with_something_else_is_launched_again_alone_and_keeps_its_target() {
    let mut table = Table::default();
    let neighbour = wanted("B", "b", Target::Up);
    reload(&mut table, &[wanted("A", "a", Target::Up), neighbour.clone()], 0);
    settle(&mut table);
    let mut changed = wanted("A", "a", Target::Up);
    Arc::make_mut(&mut changed.spec).arguments.push("--fast".to_owned());
    let both = [changed.clone(), neighbour.clone()];
    assert_eq!(
        reload(&mut table, &both, 0),
        ["Managed agent \"a\" changed arguments, env or cwd and is being reset!"]
    );
    assert_eq!(reload(&mut table, &both, 0), [""; 0], "it is said once");
    assert_eq!(settle(&mut table), ["a stopped", "a launched as A"]);
    assert_eq!(table.find("a").unwrap().instance.spec.arguments, ["--fast"]);
    ask(&mut table, &serde_json::json!([["a", "down"]]));
    settle(&mut table);
    Arc::make_mut(&mut changed.spec).env.push(("A".to_owned(), "1".to_owned()));
    reload(&mut table, &[changed, neighbour], 0);
    assert_eq!(settle(&mut table), [""; 0], "an operator's down is kept");
    assert_eq!(states(&table), ["a down/down", "b up/up"]);
}

#[test]
fn what_it_is_not_launched_with_changes_without_touching_it() {
    let mut table = Table::default();
    reload(&mut table, &[wanted("A", "a", Target::Up)], 0);
    settle(&mut table);
    let mut changed = wanted("A", "a", Target::Up);
    let spec = Arc::make_mut(&mut changed.spec);
    spec.stop.grace_ms = 5;
    spec.limits.memory_bytes = Some(1 << 30);
    assert_eq!(reload(&mut table, &[changed], 0), [""; 0]);
    assert_eq!(settle(&mut table), [""; 0]);
    assert_eq!(table.find("a").unwrap().instance.spec.stop.grace_ms, 5);
}

#[test]
fn a_changed_manage_sets_the_target_of_that_instance_alone() {
    let mut table = Table::default();
    reload(&mut table, &[wanted("A", "a", Target::Up), wanted("B", "b", Target::Up)], 0);
    settle(&mut table);
    let said = reload(&mut table, &[wanted("A", "a", Target::Down), wanted("B", "b", Target::Up)], 0);
    assert_eq!(said, ["manage of A:a has changed; its target is down now"]);
    assert_eq!(settle(&mut table), ["a stopped"]);
    ask(&mut table, &serde_json::json!([["a", "up"]]));
    assert_eq!(settle(&mut table), ["a launched as A"]);
    let same = [wanted("A", "a", Target::Down), wanted("B", "b", Target::Up)];
    assert_eq!(reload(&mut table, &same, 0), [""; 0], "what has not changed overrides no operator");
    assert_eq!(states(&table), ["a up/up", "b up/up"]);
}

#[test]
fn requests_are_taken_in_their_order_and_bad_ones_are_remarked_on() {
    let mut table = Table::default();
    reload(&mut table, &[wanted("A", "a", Target::Down), wanted("B", "b", Target::Down)], 0);
    let said = ask(
        &mut table,
        &serde_json::json!([["all", "up"], ["b", "down"], ["nosuch", "up"], ["a", "sideways"], ["a", true]]),
    );
    assert_eq!(
        said,
        [
            "Ignoring invalid target, nosuch",
            "Ignoring request for \"a\" -> invalid state \"sideways\".",
            "Ignoring request for \"a\" -> invalid state \"true\"."
        ]
    );
    settle(&mut table);
    assert_eq!(states(&table), ["a up/up", "b down/down"]);
}

#[test]
fn requests_that_are_no_pairs_are_refused_as_a_whole() {
    for bad in [serde_json::json!("a"), serde_json::json!([["a"]]), serde_json::json!([["a", "up", 1], "b"])]
    {
        assert!(parse(&bad).is_err(), "{bad}");
    }
    assert_eq!(parse(&serde_json::json!([])), Ok(Vec::new()));
}
