//! What the Python package makes of the same input.

use campanile_testkit::Peers;
use serde_json::Value as Json;

/// Reads a list of cases from its argument, and prints the list of what `answer` made of each.
const HARNESS: &str = r#"
import json, sys
def main(answer):
    print("\n" + json.dumps([answer(case) for case in json.loads(open(sys.argv[1]).read())]))
"#;

/// What Python makes of the cases. `answer` is the text of a Python program that defines a function of that name.
pub(crate) fn python_answers(peers: &Peers, answer: &str, cases: &[Json]) -> Vec<Json> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_string(cases).unwrap()).unwrap();
    let script = format!("{HARNESS}{answer}\nmain(answer)\n");
    let output = peers.run_script(&script, &[file.path().to_str().unwrap()]);
    assert_eq!(output.code(), 0, "{}", output.stderr);
    serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap()
}
