//! The traces that real daemons wrote under the original manager (`ldmsd -L 7:FILE`), replayed on simulated ones.
//!
//! The manager numbered its messages in one sequence over all daemons, so the traces of a cluster tell the order of
//! everything it sent. Each request is put together again from the trace, sent under its number, and the simulated
//! daemons must write the same traces. The clusters run in virtual time.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use campanile_ldms::auth::Auth;
use campanile_ldms::command;
use campanile_ldms::sim::daemon::{Listen, Options, Timings};
use campanile_ldms::sim::world::World;

/// One message in a trace, with the lines it left.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    /// Number of the message, and of the connection it came over.
    number: (u32, u64),
    name: String,
    lines: Vec<String>,
}

/// The manager's connection is the first after the listening port.
const MANAGER: u64 = 2;
/// 2026-11-22 10:55:35, when the first trace begins.
const START_US: u64 = 1_795_344_935_000_000;
const SECOND_US: u64 = 1_000_000;

fn blocks(lines: impl IntoIterator<Item = String>) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for line in lines {
        let head =
            line.strip_prefix("processing message ").or_else(|| line.strip_prefix("processing response "));
        if let Some(head) = head {
            let (number, name) = head.split_once(' ').unwrap_or((head, "response"));
            let (msg_no, conn) = number.split_once(':').expect("number");
            let number = (msg_no.parse().expect("number"), conn.parse().expect("number"));
            blocks.push(Block { number, name: name.to_owned(), lines: vec![line] });
        } else {
            blocks.last_mut().expect("a message").lines.push(line);
        }
    }
    blocks
}

fn recorded(cluster: &str) -> BTreeMap<String, Vec<Block>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/traces").join(cluster);
    let mut daemons = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("traces") {
        let path = entry.expect("trace").path();
        let name = path.file_stem().expect("name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("trace");
        daemons.insert(name, blocks(text.lines().map(str::to_owned)));
    }
    daemons
}

/// The command a message stands for. A line is only written for what succeeded; what failed was a repetition.
fn command_of(block: &Block, before: &BTreeMap<String, String>, domain: &str) -> String {
    let line = block.lines.iter().skip(2).find(|line| !line.starts_with("UPDTR_START"));
    let words = |line: &str| {
        // The daemon adds who the object belongs to, and has replaced the variable.
        let word =
            |word: &&str| !["uid=", "gid=", "perm=770", "perm=1770"].iter().any(|own| word.starts_with(own));
        let kept: Vec<&str> = line.split_whitespace().filter(word).collect();
        kept.join(" ")
    };
    match (block.name.as_str(), line) {
        ("PLUGN_CONFIG_REQ", Some(line)) => {
            words(line)
                .split(' ')
                .map(|word| {
                    if word.starts_with("component_id=") { "component_id=${LDMS_COMPONENT_ID}" } else { word }
                })
                .collect::<Vec<_>>()
                .join(" ")
        }
        ("advertiser_add", Some(line)) => format!("{} reconnect=2000000", words(line)),
        ("advertiser_start", Some(line)) => words(line).split(" xprt").next().expect("name").to_owned(),
        ("STRGP_ADD_REQ", Some(line)) => line.trim().to_owned(),
        (_, Some(line)) => words(line),
        ("auth_add", None) => format!("auth_add name={domain} plugin=none"),
        ("PRDCR_STATUS_REQ", None) => "prdcr_status summary=False".to_owned(),
        ("PRDCR_LISTEN_REQ", None) => {
            "prdcr_listen_add name=l1-listen reconnect=2000000 disable_start=True".to_owned()
        }
        ("prdcr_listen_start", None) => "prdcr_listen_start name=l1-listen".to_owned(),
        (name, None) => {
            before.get(name).unwrap_or_else(|| panic!("{name} has failed the first time")).clone()
        }
    }
}

struct Replay {
    world: World,
    controllers: BTreeMap<String, usize>,
    addresses: BTreeMap<String, (String, u16)>,
}

impl Replay {
    fn new(daemons: &BTreeMap<String, (String, u16)>) -> Self {
        let mut world = World::new(START_US);
        for (name, (host, port)) in daemons {
            let mut options = Options::new(name, *port);
            let listen = Listen { xprt: "sock".into(), port: *port, host: Some(host.clone()), domain: None };
            options.listen = vec![listen];
            options.hostname = "vm".to_owned();
            options.trace = true;
            options.env.insert("LDMS_COMPONENT_ID".to_owned(), port.to_string());
            // In these runs no producer was still stopping when it was started again.
            // Connections came in the order they were begun.
            let connect_us = (300_000, 300_000);
            options.timings =
                Timings { connect_us, stop_us: (0, 0), busy_stop_us: (0, 0), ..Timings::real() };
            world.start(options);
        }
        world.run_for(SECOND_US);
        Self { world, controllers: BTreeMap::new(), addresses: daemons.clone() }
    }

    fn connect(&mut self, daemon: &str) -> usize {
        let (host, port) = self.addresses[daemon].clone();
        self.world.control(&host, port, Auth::None).expect("connection")
    }

    /// Sends all that the manager sent, in its order; `before` is called before each message.
    fn run(
        &mut self,
        recorded: &BTreeMap<String, Vec<Block>>,
        domain: &str,
        mut before_each: impl FnMut(&mut World, &str, u32),
    ) {
        let mut messages: Vec<(u32, String, Block)> = Vec::new();
        // Somebody asked by hand in between: right after the manager's message before.
        let mut by_hand: BTreeMap<(String, u32), u32> = BTreeMap::new();
        for (daemon, blocks) in recorded {
            let mut last = 0;
            for block in blocks.iter().filter(|block| block.name != "response") {
                if block.number.1 == MANAGER {
                    last = block.number.0;
                    messages.push((last, daemon.clone(), block.clone()));
                } else if block.name == "PRDCR_STATUS_REQ" {
                    by_hand.insert((daemon.clone(), last), block.number.0);
                }
            }
        }
        messages.sort_by_key(|(number, ..)| *number);
        let mut said: BTreeMap<(String, String), String> = BTreeMap::new();
        for (number, daemon, block) in messages {
            before_each(&mut self.world, &daemon, number);
            if !self.controllers.contains_key(&daemon) {
                let controller = self.connect(&daemon);
                self.controllers.insert(daemon.clone(), controller);
            }
            let known = said.iter().filter(|((who, _), _)| *who == daemon);
            let known = known.map(|((_, name), command)| (name.clone(), command.clone())).collect();
            let command = command_of(&block, &known, domain);
            said.insert((daemon.clone(), block.name.clone()), command.clone());
            let request = command::parse(&command).expect("command").expect("command");
            let answer = self.world.request(self.controllers[&daemon], number, &request);
            let answer = answer.unwrap_or_else(|| panic!("{daemon} does not answer {command}"));
            let succeeded = block.lines.len() > 2
                || ["auth_add", "PRDCR_STATUS_REQ", "PRDCR_LISTEN_REQ", "prdcr_listen_start"]
                    .contains(&block.name.as_str());
            if succeeded && !(block.name == "auth_add" || block.name == "PRDCR_LISTEN_REQ") {
                assert_eq!(answer.errcode, 0, "{daemon}: {command}: {}", answer.text());
            } else if block.lines.len() == 2 && !succeeded {
                assert_ne!(answer.errcode, 0, "{daemon}: {command} failed for the original");
            }
            if let Some(number) = by_hand.remove(&(daemon.clone(), number)) {
                let controller = self.connect(&daemon);
                let request = command::parse("prdcr_status").expect("command").expect("command");
                self.world.request(controller, number, &request).expect("answer");
            }
        }
    }

    fn trace(&self, daemon: &str) -> Vec<Block> {
        blocks(self.world.daemon(daemon).map(|daemon| daemon.trace().to_vec()).unwrap_or_default())
    }
}

/// Messages of several daemons at once arrive in any order: runs of them are compared sorted.
fn canonical(mut blocks: Vec<Block>) -> Vec<Block> {
    let any_order = |block: &Block| block.name == "LDMSD_ADVERTISE_REQ" || block.name == "response";
    for run in blocks.chunk_by_mut(|a, b| any_order(a) && any_order(b)) {
        run.sort_by_key(|block| block.number);
    }
    blocks
}

fn assert_same(replay: &Replay, recorded: &BTreeMap<String, Vec<Block>>, skip: &[&str]) {
    for (daemon, expected) in recorded.iter().filter(|(name, _)| !skip.contains(&name.as_str())) {
        let text = |blocks: Vec<Block>| {
            canonical(blocks).into_iter().flat_map(|block| block.lines).collect::<Vec<_>>().join("\n")
        };
        let (ours, theirs) = (text(replay.trace(daemon)), text(expected.clone()));
        assert!(ours == theirs, "{daemon}:\n--- recorded\n{theirs}\n--- simulated\n{ours}");
    }
}

/// Six samplers, three aggregators and one above them; the original manager configures them, then l1-agg-2 is
/// killed and its producers move.
fn three_level_cluster() -> BTreeMap<String, (String, u16)> {
    let local = |port| ("127.0.0.1".to_owned(), port);
    let mut daemons = BTreeMap::from([("l2-agg".to_owned(), local(34020))]);
    daemons.extend((1..=6).map(|n| (format!("sampler-{n}"), local(34100 + n))));
    daemons.extend((1..=3).map(|n| (format!("l1-agg-{n}"), local(34010 + n))));
    daemons
}

fn replay_three_levels(cluster: &str) {
    let recorded = recorded(cluster);
    let last_of_the_dead = recorded["l1-agg-2"].iter().rev().find(|block| block.number.1 == MANAGER);
    let last_of_the_dead = last_of_the_dead.expect("messages").number.0;
    let mut replay = Replay::new(&three_level_cluster());
    let (mut dead_trace, mut polls) = (Vec::new(), 0);
    replay.run(&recorded, "none", |world, daemon, number| {
        if number > last_of_the_dead && dead_trace.is_empty() && daemon == "l1-agg-3" {
            dead_trace = world.daemon("l1-agg-2").expect("daemon").trace().to_vec();
            world.crash("l1-agg-2");
        }
        // The manager looks after all daemons every five seconds; the first is l1-agg-1.
        let poll = recorded["l1-agg-1"]
            .iter()
            .any(|b| b.number == (number, MANAGER) && b.name == "DAEMON_STATUS_REQ");
        if daemon == "l1-agg-1" && poll {
            polls += 1;
            world.run_for(if polls == 1 { SECOND_US } else { 5 * SECOND_US });
        } else {
            world.run_for(1000);
        }
    });
    assert_same(&replay, &recorded, &["l1-agg-2"]);
    assert_eq!(blocks(dead_trace), recorded["l1-agg-2"], "the aggregator that was killed");
    // What the trace does not show: after the move, the survivors collect all six samplers.
    // Half of the sets are sampled every five seconds.
    replay.world.run_for(10 * SECOND_US);
    let fresh_us = replay.world.now_us() - 7 * SECOND_US;
    let collected = |name: &str| {
        let sets = replay.world.daemon(name).expect("daemon").sets();
        sets.into_iter().filter(|set| !set.own && set.sampled_us >= fresh_us).count()
    };
    assert_eq!(collected("l1-agg-1") + collected("l1-agg-3"), 12);
    assert_eq!(collected("l2-agg"), 12);
}

#[test]
fn a_cluster_balanced_by_producers_gives_the_transcripts_of_the_original() {
    replay_three_levels("producers");
}

#[test]
fn a_cluster_balanced_by_sets_gives_the_transcripts_of_the_original() {
    replay_three_levels("sets");
}

#[test]
fn a_cluster_of_advertisers_gives_the_transcripts_of_the_original() {
    let recorded = recorded("advertisers");
    let mut daemons = BTreeMap::new();
    daemons.extend((1..=4).map(|n| (format!("sampler-{n}"), ("127.0.0.1".to_owned(), 34100 + n))));
    daemons.extend((1..=2_u16).map(|n| (format!("l1-agg-{n}"), (format!("127.0.0.{}", n + 1), 34010))));
    let last_of_the_dead = recorded["l1-agg-2"].iter().rev().find(|block| block.number.1 == MANAGER);
    let last_of_the_dead = last_of_the_dead.expect("messages").number.0;
    let mut replay = Replay::new(&daemons);
    let (mut dead_trace, mut statuses) = (Vec::new(), 0);
    replay.run(&recorded, "none1", |world, daemon, number| {
        let name =
            |wanted: &str| recorded[daemon].iter().any(|b| b.number == (number, MANAGER) && b.name == wanted);
        if daemon == "l1-agg-1" && name("PRDCR_STATUS_REQ") {
            statuses += 1;
            // It gives the advertisements twenty seconds, twice in this run.
            if statuses == 1 || statuses == 5 {
                world.run_for(20 * SECOND_US);
            }
        } else if daemon == "l1-agg-1" && name("DAEMON_STATUS_REQ") {
            // Every five seconds it looks after the daemons; one was killed three seconds before it did.
            world.run_for(2 * SECOND_US);
            if number > last_of_the_dead && dead_trace.is_empty() {
                dead_trace = world.daemon("l1-agg-2").expect("daemon").trace().to_vec();
                world.crash("l1-agg-2");
            }
            world.run_for(3 * SECOND_US);
        } else if daemon == "l1-agg-1" && name("cfg_cntr") && statuses >= 5 {
            // After the move it waits for the producers.
            world.run_for(5 * SECOND_US);
        } else {
            world.run_for(1000);
        }
    });
    replay.world.run_for(3 * SECOND_US);
    assert_same(&replay, &recorded, &["l1-agg-2"]);
    let until_killed = canonical(recorded["l1-agg-2"].clone());
    assert_eq!(canonical(blocks(dead_trace)), until_killed, "the aggregator that was killed");
}
