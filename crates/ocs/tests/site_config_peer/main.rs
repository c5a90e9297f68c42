//! The site config as OCS itself reads it, over generated files and options.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on must end, saying why")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use campanile_ocs::site_config::{
    ArgContainer, HostConfig, Mode, Selected, SiteArgs, SiteConfig, load, select,
};
use clap::Parser as _;
use fastrand::Rng;
use serde_json::{Value, json};

/// Files to compare; `CAMPANILE_ROUNDS` multiplies them.
const FILES: usize = 300;
const HOSTS: &[&str] = &["host-1", "host-1-docker", "host-2", "localhost", "lab.example.org"];
const CLASSES: &[&str] = &["FakeDataAgent", "Lakeshore240Agent", "HostManager", "RegistryAgent"];
/// Values of `manage` in the file.
const MANAGE: &[&str] = &[
    "host/up",
    "host/down",
    "docker/up",
    "docker/down",
    "ignore",
    "'yes'",
    "\"no\"",
    "docker",
    "host",
    "up",
    "down",
    "~",
    "null",
];
/// Arguments in the file, as they may be written.
const ARGUMENTS: &[&str] = &[
    "--mode",
    "idle",
    "'--serial-number'",
    "\"LSA11AA\"",
    "--rate",
    "5",
    "0.5",
    "1.50",
    "1e3",
    "1.0e+3",
    "1e-7",
    "-3",
    "010",
    "'010'",
    "0x1F",
    "1:20",
    "yes",
    "no",
    "true",
    "null",
    "~",
    "2001-12-14",
    "[--nested, [deep, 7]]",
    "[]",
    "'with space'",
    "127.0.0.1:8001",
    "--flag",
    "1_000",
    "12345678901234567890123",
    ".inf",
    "{--map: [1, 'x']}",
    "100000000000000000.0",
    "2001-12-14 21:59:43",
];

#[derive(clap::Parser)]
struct Options {
    #[command(flatten)]
    site: SiteArgs,
}

struct Case {
    file: PathBuf,
    hostname: &'static str,
    mode: &'static str,
    args: Vec<String>,
    command_line: Vec<String>,
}

#[test]
fn generated_files_mean_the_same_to_ocs() {
    let Some(python) = campanile_testkit::python() else { return };
    let dir = tempfile::tempdir().expect("a directory can be made");
    let rounds: usize =
        std::env::var("CAMPANILE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    let mut rng = Rng::with_seed(2);
    let cases: Vec<Case> = (0..FILES * rounds).map(|number| generate(&mut rng, dir.path(), number)).collect();
    let mut errors = 0;
    for (case, theirs) in cases.iter().zip(ask(&python, &cases)) {
        let shown = || {
            let text = std::fs::read_to_string(&case.file).unwrap();
            format!(
                "{text}\nhostname {} mode {} args {:?} line {:?}",
                case.hostname, case.mode, case.args, case.command_line
            )
        };
        match (ours(case), theirs["error"].as_str()) {
            (Ok(ours), None) => assert_eq!(ours, theirs, "{}", shown()),
            (Err(_), Some(_)) => errors += 1,
            (Ok(_), Some(error)) => panic!("only OCS refuses this, with {error}:\n{}", shown()),
            (Err(error), None) => panic!("only we refuse this: {error}\n{}", shown()),
        }
    }
    assert!(errors > cases.len() / 20 && errors < cases.len() / 2, "{errors} of {} are errors", cases.len());
}

/// What we make of a case, in the form in which the Python side answers.
fn ours(case: &Case) -> Result<Value, String> {
    let words = ["test".to_owned(), "--site-file".to_owned(), case.file.display().to_string()];
    let options = Options::try_parse_from(words.into_iter().chain(case.args.iter().cloned()))
        .map_err(|error| error.to_string())?;
    let mode = match case.mode {
        "control" => Mode::Control,
        "host" => Mode::Host,
        class => Mode::Agent(class),
    };
    let selected =
        select(mode, &options.site, case.hostname, &|_| None).map_err(|error| error.to_string())?;
    let (site, diagnostics) = load(&case.file);
    let site = site.expect("it has just been read");
    assert!(!diagnostics.has_errors(), "the generated files are valid:\n{}", diagnostics.render(false));
    Ok(as_theirs(&selected, &site, case, &options.site))
}

fn as_theirs(selected: &Selected, site: &SiteConfig, case: &Case, args: &SiteArgs) -> Value {
    let hub = &selected.site.hub;
    let merged = selected.instance.as_ref().map(|instance| {
        let mut merged = ArgContainer::new(instance.arguments.iter().cloned());
        merged.update(ArgContainer::new(case.command_line.iter().cloned()));
        merged.to_list()
    });
    // OCS joins a relative directory to the working directory only when it is used.
    let raw_log_dir =
        args.log_dir.clone().or_else(|| site.host(&selected.host.as_ref()?.name)?.log_dir.clone());
    if let (Some(raw), Some(host)) = (&raw_log_dir, &selected.host) {
        assert_eq!(host.log_dir, Some(selected.working_dir.join(raw)));
    }
    // Without a host block OCS leaves the timeout to the option.
    let timeout = selected.host.as_ref().map(|host| host.crossbar_timeout_s).or(args.crossbar_timeout);
    json!({
        "file": selected.site.path.display().to_string(),
        "server": hub.wamp_server,
        "http": hub.wamp_http,
        "realm": hub.wamp_realm,
        "root": hub.address_root,
        "policy": hub.access_policy,
        "hub_server": hub.wamp_server,
        "hosts": site.hosts.iter().map(host).collect::<Vec<_>>(),
        "host": selected.host.as_ref().map(|host| &host.name),
        "log_dir": raw_log_dir,
        "crossbar_timeout": timeout,
        "instance": selected.instance.as_ref().map(|instance| &instance.instance_id),
        "merged": merged,
    })
}

fn host(host: &HostConfig) -> Value {
    let instances = host.instances.iter().map(|instance| {
        json!({
            "instance_id": instance.instance_id,
            "agent_class": instance.agent_class,
            "manage": instance.manage.as_str(),
            "arguments": instance.arguments,
        })
    });
    json!({
        "name": host.name,
        "log_dir": host.log_dir,
        "crossbar_timeout": host.crossbar_timeout_s,
        "crossbar": host.crossbar.is_some(),
        "config_dir": host.crossbar.as_ref().and_then(|crossbar| crossbar.config_dir.as_ref()),
        "instances": instances.collect::<Vec<_>>(),
    })
}

/// Whether something with this chance happens.
fn chance(rng: &mut Rng, percent: u8) -> bool {
    rng.u8(..100) < percent
}

fn pick<'t>(rng: &mut Rng, from: &[&'t str]) -> &'t str {
    from[rng.usize(..from.len())]
}

fn generate(rng: &mut Rng, dir: &Path, number: usize) -> Case {
    let file = dir.join(format!("site-{number}.yaml"));
    let (text, ids) = generate_file(rng);
    std::fs::write(&file, text).expect("the file can be written");
    let mut args = Vec::new();
    let mut give = |rng: &mut Rng, percent: u8, option: &str, value: &str| {
        if chance(rng, percent) {
            args.extend([format!("--{option}"), value.to_owned()]);
        }
    };
    let host = pick(rng, HOSTS);
    give(rng, 30, "site-host", host);
    give(rng, 15, "site-hub", "ws://other:1/ws");
    give(rng, 15, "site-http", "http://other:1/call");
    give(rng, 15, "site-realm", "other");
    give(rng, 15, "address-root", "elsewhere");
    give(rng, 15, "access-policy", "none");
    give(rng, 15, "log-dir", "rel/logs");
    give(rng, 15, "working-dir", "/srv");
    give(rng, 15, "crossbar-timeout", "77");
    give(rng, 5, "registry-address", "x");
    let id = if ids.is_empty() || chance(rng, 10) {
        "nosuch".to_owned()
    } else {
        ids[rng.usize(..ids.len())].clone()
    };
    give(rng, 60, "instance-id", &id);
    let mode = match rng.u8(..4) {
        0 => "control",
        1 => "host",
        _ => pick(rng, CLASSES),
    };
    // Without the cases in which merging differs on purpose: repeated options, `=`, words in front.
    let lines: &[&[&str]] = &[&[], &["--mode", "acq"], &["--new", "1", "-2"], &["--rate", "9", "--flag"]];
    let line = lines[rng.usize(..lines.len())];
    Case {
        file,
        hostname: pick(rng, HOSTS),
        mode,
        args,
        command_line: line.iter().map(|word| (*word).to_owned()).collect(),
    }
}

fn generate_file(rng: &mut Rng) -> (String, Vec<String>) {
    let mut text = String::from(
        "hub:\n  wamp_server: ws://h:8001/ws\n  'wamp_realm': test_realm\n  address_root: observatory\n",
    );
    if chance(rng, 80) {
        text.push_str("  wamp_http: \"http://h:8001/call\"\n");
    }
    if chance(rng, 30) {
        text.push_str("  access_policy: director:access-dir\n");
    }
    let mut ids = Vec::new();
    if chance(rng, 5) {
        return (text, ids);
    }
    text.push_str("defaults: &defaults {log-dir: /var/log/ocs, crossbar_timeout: 3}\nhosts:\n");
    let mut names: Vec<&str> = HOSTS.to_vec();
    rng.shuffle(&mut names);
    names.truncate(rng.usize(1..4));
    for name in names {
        text.push_str(&format!("  {name}:\n"));
        for (percent, line) in [
            (20, "<<: *defaults"),
            (20, "log-dir: logs"),
            (10, "crossbar_timeout: 0"),
            (10, "crossbar: {}"),
            (10, "crossbar: {config-dir: /etc/cb, bin: /bin/true}"),
            (10, "crossbar: null"),
            (15, "wamp_server: wss://special:8002/ws"),
            (15, "wamp_http: https://special:8002/call"),
            (15, "wamp_realm: special"),
            (10, "remark: [anything, at all]"),
        ] {
            let key = line.split(':').next().unwrap();
            let block = text.rsplit_once(&format!("  {name}:\n")).unwrap().1;
            if !block.contains(key) && chance(rng, percent) {
                text.push_str(&format!("    {line}\n"));
            }
        }
        generate_instances(rng, &mut text, &mut ids);
    }
    (text, ids)
}

fn generate_instances(rng: &mut Rng, text: &mut String, ids: &mut Vec<String>) {
    let count = rng.usize(..5);
    if count == 0 {
        text.push_str("    agent-instances: []\n");
        return;
    }
    text.push_str("    agent-instances:\n");
    for _ in 0..count {
        let id = format!("{}-{}", ["thermo", "LSA", "hm", "x_y"][rng.usize(..4)], ids.len());
        let mut keys = vec![format!("agent-class: {}", pick(rng, CLASSES)), format!("instance-id: {id}")];
        ids.push(id);
        if chance(rng, 50) {
            keys.push(format!("manage: {}", pick(rng, MANAGE)));
        }
        if chance(rng, 70) {
            keys.push(format!("arguments: {}", generate_arguments(rng)));
        }
        if chance(rng, 10) {
            keys.push("comment: {any: thing}".to_owned());
        }
        rng.shuffle(&mut keys);
        if chance(rng, 50) {
            text.push_str(&format!("    - {{{}}}\n", keys.join(", ")));
        } else {
            text.push_str(&format!("    - {}\n", keys.join("\n      ")));
        }
    }
}

/// No option twice, since OCS keeps only the last one, and an option first, since OCS loses what is in front.
fn generate_arguments(rng: &mut Rng) -> String {
    let mut items: Vec<&str> = ARGUMENTS.to_vec();
    rng.shuffle(&mut items);
    items.truncate(rng.usize(..8));
    items.insert(0, "--first");
    format!("[{}]", items.join(", "))
}

/// What OCS says to each of the cases.
fn ask(python: &Path, cases: &[Case]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/site_config_peer/reader.py");
    let mut child = Command::new(python)
        .arg(script)
        .env_remove("OCS_CONFIG_DIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python can be started");
    let mut input = child.stdin.take().expect("stdin is a pipe");
    let mut lines = String::new();
    for case in cases {
        let question = json!({
            "file": case.file, "hostname": case.hostname, "mode": case.mode, "args": case.args, "command_line": case.command_line,
        });
        lines.push_str(&format!("{question}\n"));
    }
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("python ends");
    writer.join().expect("the writer ends").expect("python reads all");
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .expect("python prints UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("python prints JSON"))
        .collect();
    assert_eq!(answers.len(), cases.len(), "OCS answers each case");
    answers
}
