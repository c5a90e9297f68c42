//! The book shows every command exactly as its help does.
//!
//! After a change of the command line: `CAMPANILE_WRITE_BOOK=1 cargo nextest run -p campanile --test book`.
#![expect(clippy::expect_used, reason = "helpers of tests end the test, saying why")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

const BEGIN: &str = "<!-- from here on written by a test: crates/campanile/tests/book.rs -->\n";

/// Sections of a help text that every command has, told once in the book.
const COMMON_SECTION: &str = "Site config options:";
const COMMON_OPTIONS: [&str; 3] = ["--log-level", "-h, --help", "-V, --version"];

#[test]
fn the_book_shows_every_command_as_its_help_does() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    let text = std::fs::read_to_string(&file).expect("the chapter on commands exists");
    let (told, shown) = text.split_once(BEGIN).expect("the chapter has the line where the help begins");
    let mut expected = String::new();
    chapter(&mut expected, &[]);
    if std::env::var_os("CAMPANILE_WRITE_BOOK").is_some() {
        std::fs::write(&file, format!("{told}{BEGIN}{expected}")).expect("the chapter can be written");
        return;
    }
    assert!(
        shown == expected,
        "docs/commands.md is out of date; how to renew it stands at the top of this test"
    );
}

/// The help of one command, and then of those below it.
fn chapter(out: &mut String, path: &[String]) {
    let help = help_of(path);
    let sections = sections(&help);
    let takes_site = sections.iter().any(|section| section[0] == COMMON_SECTION);
    if !path.is_empty() {
        write!(out, "\n## campanile {}\n\n```text\n", path.join(" ")).expect("a String takes all");
        let kept: Vec<String> = sections.iter().filter_map(|section| shortened(section)).collect();
        out.push_str(kept.join("\n\n").trim_end());
        out.push_str("\n```\n");
        if takes_site {
            out.push_str("\nTakes the [site options](#site-options).\n");
        }
    }
    for name in subcommands(&sections) {
        let below: Vec<String> = path.iter().cloned().chain([name]).collect();
        chapter(out, &below);
    }
}

fn help_of(path: &[String]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    let output = command.args(path).arg("--help").output().expect("our own program runs");
    assert!(output.status.success(), "campanile {} --help failed", path.join(" "));
    String::from_utf8(output.stdout).expect("help is UTF-8")
}

/// Cuts a help text where a line begins at the margin after an empty line.
fn sections(help: &str) -> Vec<Vec<&str>> {
    let mut sections: Vec<Vec<&str>> = vec![Vec::new()];
    let mut after_gap = false;
    for line in help.lines() {
        if after_gap && !line.is_empty() && !line.starts_with(' ') {
            sections.push(Vec::new());
        }
        after_gap = line.is_empty();
        sections.last_mut().expect("there is one from the start").push(line);
    }
    sections
}

/// A section without what all commands have; `None` if nothing is left of it.
fn shortened(section: &[&str]) -> Option<String> {
    let lines: Vec<&str> = match section[0] {
        COMMON_SECTION => return None,
        "Options:" => {
            let mut keep = true;
            let kept = section[1..].iter().copied().filter(|line| {
                if line.trim_start().starts_with('-') && line.len() - line.trim_start().len() < 8 {
                    keep = !COMMON_OPTIONS.iter().any(|option| line.trim_start().starts_with(option));
                }
                keep
            });
            let kept: Vec<&str> = kept.collect();
            if kept.iter().all(|line| line.trim().is_empty()) {
                return None;
            }
            std::iter::once(section[0]).chain(kept).collect()
        }
        _ => section.to_vec(),
    };
    Some(lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n").trim_end().to_owned())
}

/// The names in the section "Commands:", without `help`.
fn subcommands(sections: &[Vec<&str>]) -> Vec<String> {
    let commands = sections.iter().find(|section| section[0] == "Commands:");
    let lines = commands.into_iter().flat_map(|section| &section[1..]);
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

#[test]
fn every_site_config_in_the_book_is_accepted() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let dir = tempfile::tempdir().expect("a directory can be created");
    let mut checked = 0;
    for entry in std::fs::read_dir(docs).expect("the book exists") {
        let path = entry.expect("the book can be listed").path();
        if path.extension() != Some("md".as_ref()) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a chapter can be read");
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().expect("a block ends");
            // The chapters on LDMS clusters and pools show parts of other files.
            if !block.lines().any(|line| line.starts_with("hub:")) {
                continue;
            }
            let file = dir.path().join(format!("{checked}.yaml"));
            std::fs::write(&file, block).expect("the block can be written");
            let output = Command::new(env!("CARGO_BIN_EXE_campanile"))
                .args(["config", "check"])
                .arg(&file)
                .output()
                .expect("our own program runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{}:\n{said}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 0, "no site config was found in the book");
}
