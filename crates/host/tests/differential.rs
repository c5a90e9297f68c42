//! The plan against the original's state machine, over random histories, each compared at rest after every input.
//!
//! `CAMPANILE_SEED` and `CAMPANILE_HISTORIES` override the seed and the number of histories.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use campanile_host::model::*;
use campanile_host::plan::{Action, plan};
use campanile_host::relaunch::RestartPolicy;
use serde_json::{Value, json};

const DEFAULT_SEED: u64 = 20_261_122;
const DEFAULT_HISTORIES: usize = 3000;
const LONGEST_HISTORY: usize = 60;
/// With it SIGTERM falls due just when the original loses patience (11 s), so that up to there all must be equal.
const GRACE_MS: u64 = 22_000;

#[derive(Clone, Debug, PartialEq)]
struct Rest {
    target: String,
    next: String,
    launches: u64,
    terminations: u64,
}

/// Our plan in a world that behaves like the one in `original.py`.
struct Ours {
    instance: Instance,
    observed: Observed,
    now_ms: u64,
    interrupts: u64,
    killed: bool,
    launches_live: bool,
    heeds: bool,
    /// What runs while it cannot be seen.
    hidden: Option<Process>,
}

impl Ours {
    /// An instance of the kind that a history begins with.
    fn new(kind: &str) -> Self {
        let (program, start) = match kind {
            "passive" => (Program::Docker("x".to_owned()), Target::Passive),
            "docker" => (Program::Docker("x".to_owned()), Target::Down),
            _ => (Program::Plugin, Target::Down),
        };
        let spec = Spec {
            instance_id: "x".to_owned(),
            agent_class: "Agent".to_owned(),
            program,
            arguments: Vec::new(),
            env: Vec::new(),
            cwd: None,
            stop: StopPolicy { grace_ms: GRACE_MS, kill: true },
            restart: RestartPolicy::default(),
            after: Vec::new(),
            ready: None,
            limits: Default::default(),
            start,
        };
        let now_ms = 1_000_000;
        let instance = Instance::new(Key(0), Arc::new(spec), Operable::Yes, now_ms);
        Self {
            instance,
            observed: Observed::default(),
            now_ms,
            interrupts: 0,
            killed: false,
            launches_live: true,
            heeds: true,
            hidden: None,
        }
    }

    fn happens(&mut self, input: &Value) -> Rest {
        match (input[0].as_str().unwrap(), &input[1]) {
            ("docker" | "passive", _) => {}
            ("appears", _) => {
                let now_ms = self.now_ms;
                self.set_process(Process::Running { pid: 1, since_ms: now_ms });
            }
            ("target", name) => self.instance.target = Target::from_name(name.as_str().unwrap()).unwrap(),
            ("exit", code) => self.ends(End::Code(i32::try_from(code.as_i64().unwrap()).unwrap())),
            ("tick", ms) => self.now_ms += ms.as_u64().unwrap(),
            ("launches", live) => self.launches_live = live.as_bool().unwrap(),
            ("heeds", heeds) => self.heeds = heeds.as_bool().unwrap(),
            ("operable", Value::Bool(true)) => {
                self.instance.operable = Operable::Yes;
                if let Some(process) = self.hidden.take() {
                    self.observed.process = process;
                }
            }
            ("operable", _) => {
                self.instance.operable = Operable::No("told so".to_owned());
                // What cannot be manipulated of docker cannot be seen either.
                if self.is_docker() && self.hidden.is_none() {
                    self.hidden = Some(std::mem::replace(&mut self.observed.process, Process::Unseen));
                }
            }
            (other, _) => panic!("no such input: {other}"),
        }
        self.rest()
    }

    fn rest(&mut self) -> Rest {
        loop {
            let decision = plan(&self.instance, &self.observed, self.now_ms);
            self.instance = decision.instance;
            if decision.actions.is_empty() {
                break;
            }
            for action in decision.actions {
                self.act(&action);
            }
        }
        Rest {
            target: self.instance.target.name().to_owned(),
            next: self.instance.state.name().to_owned(),
            launches: u64::from(self.instance.launches),
            terminations: self.interrupts,
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Launch { launch } => {
                let process = Process::Running { pid: 1, since_ms: self.now_ms };
                assert_eq!(self.hidden, None, "launched what cannot be seen");
                self.observed =
                    Observed { launch: *launch, process, leftovers: Some(0), ..Observed::default() };
                if !self.launches_live {
                    self.ends(End::Code(1));
                }
            }
            Action::Interrupt => {
                self.interrupts += 1;
                if self.heeds {
                    self.ends(End::Code(0));
                }
            }
            Action::Terminate => {}
            Action::Kill => {
                self.killed = true;
                self.ends(End::Signal { number: 9, core: false });
            }
        }
    }

    fn is_docker(&self) -> bool {
        self.instance.spec.service().is_some()
    }

    fn set_process(&mut self, process: Process) {
        match &mut self.hidden {
            Some(hidden) => *hidden = process,
            None => self.observed.process = process,
        }
    }

    fn ends(&mut self, how: End) {
        let process = self.hidden.as_ref().unwrap_or(&self.observed.process);
        if let Process::Running { since_ms, .. } = *process {
            let ended = Ended {
                how,
                at_ms: self.now_ms,
                ran_ms: self.now_ms - since_ms,
                stdout_tail: String::new(),
                stderr_tail: String::new(),
            };
            self.set_process(Process::Ended(Arc::new(ended)));
        }
    }
}

/// Names the intended difference (a row of `intended_differences.md`), if it is one.
fn intended(ours: &Ours, rest: &Rest, theirs: &Rest, refused: bool) -> Option<&'static str> {
    let equal_but_next = Rest { next: theirs.next.clone(), ..rest.clone() } == *theirs;
    let passive = ours.instance.passive;
    let equal_but_target = Rest { target: theirs.target.clone(), ..rest.clone() } == *theirs;
    if passive && rest.target == "passive" && equal_but_target {
        return Some("passive-is-reached");
    }
    let by_hand = ours.is_docker() && rest.next == "up" && rest.launches < theirs.launches;
    if by_hand {
        return Some("started-by-hand");
    }
    let equal_but_both =
        Rest { next: theirs.next.clone(), target: theirs.target.clone(), ..rest.clone() } == *theirs;
    let runs = matches!(ours.observed.process, Process::Running { .. });
    let policy = ours.instance.spec.restart;
    let grown_wait = ours.instance.failures.wait_ms(policy) > policy.delay_ms;
    let states = (rest.next.as_str(), theirs.next.as_str());
    let last_code = match &ours.observed.process {
        Process::Ended(ended) => Some(&ended.how),
        Process::None | Process::Running { .. } | Process::Unseen => None,
    };
    match states {
        ("start_at" | "?" | "down", "wait_start") if !ours.launches_live && equal_but_next => {
            Some("early-crash")
        }
        ("down", "wait_start") if passive && !ours.launches_live && equal_but_both => Some("early-crash"),
        // Ours has had SIGTERM. If the clock jumped over the whole grace it has been killed, too, and is gone.
        ("wait_dead", _) if refused && runs => Some("stubborn"),
        ("down" | "up" | "start_at" | "?", _) if refused && ours.killed => Some("stubborn"),
        ("start_at", _) if grown_wait => Some("growing-waits"),
        ("down", "start_at") if last_code == Some(&End::Code(125)) && equal_but_next => Some("give-up"),
        ("up" | "wait_dead", "?") if runs && equal_but_next => Some("inoperable-while-running"),
        _ => None,
    }
}

fn histories(random: &mut fastrand::Rng, count: usize) -> Vec<Vec<Value>> {
    (0..count).map(|index| history(random, index)).collect()
}

/// A third of them is of a well-behaved world, so that long stretches without any difference are compared too, and
/// some are of a program that does not last.
fn history(random: &mut fastrand::Rng, index: usize) -> Vec<Value> {
    let length = random.usize(1..=LONGEST_HISTORY);
    let kinds = match index % 8 {
        0..3 => 0..60,
        3 => 18..50,
        _ => 0..80,
    };
    let input = |random: &mut fastrand::Rng| match random.u32(kinds.clone()) {
        0..12 => json!(["target", "up"]),
        12..20 => json!(["target", "down"]),
        20..34 => json!(["exit", random.i32(0..3)]),
        34..50 => json!(["tick", random.u64(0..6000)]),
        50..60 => json!(["tick", random.u64(0..60_000)]),
        60..65 => json!(["launches", random.bool()]),
        65..71 => json!(["heeds", random.bool()]),
        71..75 => json!(["operable", random.u32(0..3) > 0]),
        75..78 => json!(["tick", 3000]),
        _ => json!(["exit", 125]),
    };
    // Of every eight, one is of a docker service of the site config, and two are of one that is in none.
    let (first, docker) = match index % 8 {
        5 => (json!(["docker"]), true),
        6 | 7 => (json!(["passive"]), true),
        _ => (json!(["target", "up"]), false),
    };
    let input = |random: &mut fastrand::Rng| match docker && random.u32(0..6) == 0 {
        true => json!(["appears"]),
        false => input(random),
    };
    std::iter::once(first).chain((0..length).map(|_| input(random))).collect()
}

/// What the original makes of the histories.
fn originals(python: &std::path::Path, histories: &[Vec<Value>]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("histories");
    let lines: String = histories.iter().map(|history| format!("{}\n", json!(history))).collect();
    std::fs::write(&file, lines).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/original.py");
    let output = Command::new(python).arg(script).arg(&file).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The names in the first column of the list of intended differences.
fn listed() -> Vec<&'static str> {
    include_str!("intended_differences.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .filter(|name| *name != "name")
        .collect()
}

fn from_env<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn the_plan_comes_to_rest_where_the_original_does_but_for_the_listed_differences() {
    let Some(python) = campanile_testkit::python() else { return };
    let seed = from_env("CAMPANILE_SEED", DEFAULT_SEED);
    let mut random = fastrand::Rng::with_seed(seed);
    let histories = histories(&mut random, from_env("CAMPANILE_HISTORIES", DEFAULT_HISTORIES));
    let originals = originals(&python, &histories);
    assert_eq!(originals.len(), histories.len());

    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut compared, mut complete) = (0, 0);
    for (number, (history, theirs)) in histories.iter().zip(&originals).enumerate() {
        let mut ours = Ours::new(history[0][0].as_str().unwrap());
        let (mut differs, mut refused) = (false, false);
        for (step, (input, theirs)) in history.iter().zip(theirs.as_array().unwrap()).enumerate() {
            let rest = ours.happens(input);
            let stability = ours.instance.failures.stability(ours.now_ms);
            let their_stability = theirs["stability"].as_f64().unwrap();
            // It may have been waiting for the same process ever since, in both.
            refused |= theirs["refused"].as_bool().unwrap();
            let theirs = Rest {
                target: theirs["target"].as_str().unwrap().to_owned(),
                next: theirs["next"].as_str().unwrap().to_owned(),
                launches: theirs["launches"].as_u64().unwrap(),
                terminations: theirs["terminations"].as_u64().unwrap(),
            };
            if rest == theirs {
                let difference = (stability - their_stability).abs();
                assert!(difference < 1e-6, "stability {stability}, original {their_stability}");
                compared += 1;
                continue;
            }
            let Some(name) = intended(&ours, &rest, &theirs, refused) else {
                panic!(
                    "seed {seed}, history {number}, after {}:\n  ours:     {rest:?}\n  original: {theirs:?}\n\
                     an unintended difference",
                    json!(&history[..=step])
                );
            };
            *found.entry(name).or_default() += 1;
            differs = true;
            break;
        }
        complete += usize::from(!differs);
    }
    println!(
        "{compared} states equal, {complete} histories equal to their end; intended differences: {found:?}"
    );
    let (mut names, mut listed) = (found.into_keys().collect::<Vec<_>>(), listed());
    names.sort_unstable();
    listed.sort_unstable();
    assert_eq!(names, listed, "each listed difference must turn up, and no other");
}
