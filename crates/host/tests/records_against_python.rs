//! The record feeds, as the InfluxDB publisher of OCS takes them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use campanile_host::model::Usage;
use campanile_host::records::{self, Record};
use campanile_ocs::agent::feed::{Feed, FeedSpec, Publisher};

/// Formats a message of a feed as the publisher does, in both of its protocols, and checks it as a feed of OCS would.
const PROGRAM: &str = r"
import json, sys
from ocs.common.influxdb_drivers import format_data
from ocs.ocs_feed import Block, Feed
for line in sys.stdin:
    message, feed = json.loads(line)
    for block in message.values():
        for field in block['data']:
            Feed.verify_data_field_string(field)
    for text in format_data(message, feed, 'line'):
        print(text)
    assert format_data(message, feed, 'json')
";

fn feed(name: &str) -> Feed {
    let publisher = Publisher {
        agent_address: "observatory.hm-1".into(),
        agent_class: "HostManager".into(),
        session_id: "1.0".into(),
    };
    Feed::new(FeedSpec::record(name), &publisher)
}

#[test]
fn the_influxdb_publisher_of_ocs_stores_states_and_usage() {
    let Some(python) = campanile_testkit::python() else { return };
    let record = |cpu_share| Record {
        instance_id: "thermo 1,x",
        state: "up",
        is_wanted: true,
        restarts: 3,
        usage: Some(Usage { processes: 2, memory_bytes: 4096, cpu_s: 1.5, cpu_share }),
    };
    let (mut states, mut usage) = (feed(records::STATES), feed(records::USAGE));
    let mut events = Vec::new();
    // Of an adopted one the share is not known at the first look. Tags are given once.
    for (at, share) in [None, Some(0.25), Some(0.5)].into_iter().enumerate() {
        let record = record(share);
        events.push(states.event(record.states(at == 0, 12.5)).unwrap());
        events.extend(record.usage(at == 1, 12.5).map(|message| usage.event(message).unwrap()));
    }
    let events: Vec<String> =
        events.iter().map(|event| event.values().unwrap().0[0].to_json().to_string()).collect();
    let mut command = Command::new(python);
    command.args(["-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all((events.join("\n") + "\n").as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let place = "HostManager,";
    let fields: Vec<&str> = lines.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    let states = ["state=\"up\"", "up=1i", "wanted=1i", "restarts=3i"];
    let usage = |share| ["memory_bytes=4096.0", "cpu_s=1.5", share];
    let expected: Vec<&str> =
        [&states[..], &states, &usage("cpu_share=0.25"), &states, &usage("cpu_share=0.5")].concat();
    assert_eq!(fields, expected);
    for line in lines.lines() {
        assert!(line.starts_with(place) && line.contains("instance=thermo_1_x"), "{line}");
        assert!(line.ends_with(" 12500000000"), "{line}");
    }
}
