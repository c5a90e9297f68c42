//! The reader against PyYAML itself, over generated scalars and documents.
//!
//! Both must give the same value with the same types, or both refuse the text. [`only_we_accept`] and
//! [`only_python_accepts`] are the whole list of differences.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on must end, saying why")]

mod generate;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use campanile_yaml::{Schema, parse};
use fastrand::Rng;
use serde_json::Value;

/// Texts of each kind; `CAMPANILE_ROUNDS` asks for more.
const TEXTS: usize = 2000;

/// What PyYAML refuses and we read, by PyYAML's complaint. None of it can be mistaken for something else.
fn only_we_accept(complaint: &str, text: &str) -> bool {
    const COMPLAINTS: &[&str] = &[
        // A directive with a strange name means nothing.
        "while scanning a directive",
        // `&a[x]`, `&a"x"`: no space behind the name of an anchor.
        "while scanning an anchor",
        // `| # comment` without the space.
        "while scanning a block scalar",
        // `{two⏎lines: 1}`: a key on two lines.
        "expected ',' or '}', but got ':'",
        // An empty document before `...`, and other ends of documents.
        "'<document end>'",
        "'<document start>'",
    ];
    COMPLAINTS.iter().any(|known| complaint.contains(known))
        // A block scalar that is the whole file, at the beginning of the line.
        || (complaint.contains("cannot start any token") && text.starts_with(['|', '>']))
}

/// What PyYAML reads and we refuse, by our complaint.
fn only_python_accepts(complaint: &str, text: &str) -> bool {
    // A value that contains itself.
    complaint.contains("inside the value that it repeats")
        // PyYAML ends the name at the `:` in `&a:`, others do not.
        || complaint.contains("cannot be the name of an anchor")
        || complaint.contains("there is no anchor")
        // `[!t, a]`: PyYAML takes the comma for a part of the tag.
        || complaint.contains("a space behind this tag")
        // Characters that cannot be seen.
        || complaint.contains("a byte-order mark")
        // `[?]`: an empty key.
        || complaint.contains("a text with this `?`")
        // `key:⏎|`: a block scalar in the column of its key.
        || (complaint.contains("expected `:` after this key") && text.lines().any(|line| line.starts_with(['|', '>'])))
        // A tab behind a directive.
        || (complaint.contains("a tab") && text.contains('%'))
}

#[test]
fn scalars_have_the_values_that_pyyaml_gives_them() {
    compare(1, Schema::Safe, |rng| format!("- {}\n", generate::scalar(rng)));
}

#[test]
fn documents_have_the_values_that_pyyaml_gives_them() {
    compare(2, Schema::Safe, generate::document);
}

#[test]
fn damaged_documents_are_refused_when_pyyaml_refuses_them() {
    compare(3, Schema::Safe, |rng| {
        let text = generate::document(rng);
        generate::damage(rng, &text)
    });
}

#[test]
fn the_base_view_is_that_of_the_base_loader() {
    compare(4, Schema::Base, generate::document);
}

#[test]
fn known_traps_are_read_as_pyyaml_reads_them() {
    const TEXTS: &[&str] = &[
        "a: yes\nb: 010\nc: 1:20\nd: 1e3\ne: 0x_\n",
        "manage: yes\nrestart: no\non: off\n",
        "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3, z: 4}\n",
        "a: &a {x: 1, y: 2}\nb: &b {y: 5, w: 6}\nc: {q: 0, <<: [*a, *b]}\nd: {<<: *a, <<: *b}\ne: {<<: [*b, *a], y: 0}\n",
        "1: a\n1.0: b\ntrue: c\n",
        "? [a]\n: b\n",
        "a: !!omap [b: 1, c: 2]\nd: !!pairs [b: 1, b: 2]\ne: !!set {x, y}\n",
        "a: !!binary aGVsbG8=\nb: !!int '0x10'\nc: ! '5'\n",
        "{a:{b: 1}, c:[2], d: -}#end\n",
        "a: |\n  text",
        "a: >\n  x\n  y\n\n  z\n\n",
        "\u{feff}a: 1\n",
        "a: 1\r\nb:\r\n  - 2\r\n",
        "",
        "# nothing\n",
        "---\n",
        "a: 1\n---\nb: 2\n",
        "a:\tb\n",
        "a: b\t# c\n",
        "a: \"x\\tfoo\\u00e9\\x41\\N\\_\\e\"\n",
        "a: 2001-13-01\n",
        "a: <<\n",
        "a: [*nope]\n",
        "a: {1: 2, 1: 3, 0x1: 4}\n",
        "a: 123456789012345678901234567890\nb: -0x1ffffffffffffffffff\n",
        "a: 190:20:30.15\nb: .inf\nc: -.INF\nd: .nan\n",
        "a: &x 1\nb: &x 2\n",
    ];
    let texts: Vec<Vec<u8>> = TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect();
    compare_texts(&texts, Schema::Safe);
    let bytes: Vec<Vec<u8>> = vec![
        b"a: \xff\n".to_vec(),
        b"a: \x1b[31m\n".to_vec(),
        b"a\0b".to_vec(),
        b"\xff\xfea\0:\0 \x001\0".to_vec(),
        b"\xfe\xff\0a\0:\0 \x001".to_vec(),
        b"\xff\xfea\0:\0 \x001".to_vec(),
        b"a: \xed\xa0\x80\n".to_vec(),
    ];
    compare_texts(&bytes, Schema::Safe);
}

fn compare(seed: u64, schema: Schema, mut generate: impl FnMut(&mut Rng) -> String) {
    let rounds = std::env::var("CAMPANILE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    for round in 0..rounds {
        let mut rng = Rng::with_seed(seed + 1000 * round);
        let texts: Vec<Vec<u8>> = (0..TEXTS).map(|_| generate(&mut rng).into_bytes()).collect();
        compare_texts(&texts, schema);
    }
}

#[track_caller]
fn compare_texts(texts: &[Vec<u8>], schema: Schema) {
    let Some(python) = campanile_testkit::python() else { return };
    let arguments: &[&str] = if schema == Schema::Base { &["base"] } else { &[] };
    let mut differences = Vec::new();
    for (text, answer) in texts.iter().zip(ask_python(&python, arguments, texts)) {
        let (document, diagnostics) = parse("text.yaml".as_ref(), text, schema);
        let ours = document.filter(|_| !diagnostics.has_errors()).map(|document| document.root().safe());
        let complaint = diagnostics.iter().find(|item| item.severity == campanile_yaml::Severity::Error);
        let complaint = complaint.map(|item| item.one_line()).unwrap_or_default();
        let shown = String::from_utf8_lossy(text);
        let difference = match (ours, answer["error"].as_str()) {
            (Some(value), None) => {
                let json = value.to_tagged_json();
                // Python's sets have no order of their own.
                let printed = shown.contains("!!set") || value.python_str() == answer["str"];
                (json != answer["value"] || !printed).then(|| {
                    format!(
                        "ours: {json} {:?}\nPython's: {} {}",
                        value.python_str(),
                        answer["value"],
                        answer["str"]
                    )
                })
            }
            (None, Some(_)) => None,
            (Some(value), Some(error)) => {
                (!only_we_accept(error, &shown)).then(|| format!("ours: {value:?}\nPython: {error}"))
            }
            (None, None) => (!only_python_accepts(&complaint, &shown))
                .then(|| format!("ours: {complaint}\nPython's: {}", answer["value"])),
        };
        if let Some(difference) = difference {
            differences.push(format!("{shown:?}\n{shown}\n{difference}\n"));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        texts.len(),
        differences.join("\n")
    );
}

/// What PyYAML says to each of the texts.
fn ask_python(python: &Path, arguments: &[&str], texts: &[Vec<u8>]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pyyaml/reader.py");
    let mut child = Command::new(python)
        .arg(script)
        .args(arguments)
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python can be started");
    let mut input = child.stdin.take().expect("stdin is a pipe");
    let hexadecimal =
        |text: &Vec<u8>| text.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    let lines: String = texts.iter().map(hexadecimal).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("python ends");
    writer.join().expect("the writer ends").expect("python reads all");
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .expect("python prints UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("python prints JSON"))
        .collect();
    assert_eq!(answers.len(), texts.len(), "python answers each line");
    answers
}
