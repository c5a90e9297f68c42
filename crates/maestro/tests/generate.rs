//! Files for `ldmsd -c`, compared with those the original wrote.
#![expect(clippy::expect_used, reason = "helpers of tests end the test, saying why")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use campanile_maestro::config::{self, Pairing};
use campanile_maestro::generate::{Generator, Style};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn recorded(dir: &str) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(data(dir)).expect("the samples are there");
    let files = files.map(|file| file.expect("they can be listed").path());
    files
        .map(|path| {
            let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("it is text"))
        })
        .collect()
}

#[test]
fn the_files_are_byte_for_byte_those_of_the_original() {
    for (file, dir) in [("cluster-6.yaml", "genconf"), ("cluster-advertisers.yaml", "genconf-adv")] {
        // The recorded run was made when the domain was still called like its plugin.
        let text = std::fs::read_to_string(data(file)).expect("the sample is there").replace("none1", "none");
        let (cluster, diagnostics) = config::parse(Path::new(file), text.as_bytes(), Pairing::Written);
        assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
        let cluster = cluster.expect("there are no errors");
        for style in [Style::Original, Style::Complete] {
            let generator = Generator::new(&cluster, style);
            let ours: BTreeMap<String, String> =
                generator.all().map(|(name, file)| (name.to_owned(), file.text)).collect();
            let theirs = recorded(dir);
            assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
            for (name, text) in theirs {
                assert_eq!(ours[&name], text, "{name}");
            }
        }
    }
}

/// A file with every part that the original can write, and what it wrote for it.
#[test]
fn every_kind_of_line_is_that_of_the_original() {
    let (cluster, diagnostics) = config::read_file(&data("rich.yaml"), Pairing::Original);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    let cluster = cluster.expect("there are no errors");
    let generator = Generator::new(&cluster, Style::Original);
    let mut differing = Vec::new();
    for (name, theirs) in recorded("genconf-rich") {
        let ours = generator.daemon(&name).expect("it is a daemon of the file").text;
        let lines = ours.lines().zip(theirs.lines()).filter(|(ours, theirs)| ours != theirs);
        differing.extend(lines.map(|(ours, theirs)| format!("{name}: {ours:?} for {theirs:?}")));
        if ours.lines().count() != theirs.lines().count() {
            differing.push(format!("{name}: {ours}\nfor\n{theirs}"));
        }
    }
    assert_eq!(differing, Vec::<String>::new());
}
