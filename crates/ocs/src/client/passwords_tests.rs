//! The password file: what is chosen, what is wrong with it, and that nothing of it shows.

use std::fs::{self, Permissions};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn load(text: &str) -> (Option<Passwords>, Diagnostics) {
    load_with(text, 0o600)
}

fn load_with(text: &str, mode: u32) -> (Option<Passwords>, Diagnostics) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(FILE_NAME);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    Passwords::load(&path)
}

fn said(diagnostics: &Diagnostics) -> String {
    let lines: Vec<String> = diagnostics.iter().map(Diagnostic::one_line).collect();
    format!("{}\n{}\n{}", lines.join("\n"), diagnostics.render(false), diagnostics.to_json())
}

#[test]
fn the_most_specific_entry_counts_and_of_several_the_last() {
    let text = r#"
- default: true
  password_3: general
- agent_class: FakeDataAgent
  instance_id: "!faker4,!faker1"
  password_2: normal
- instance_id: "faker*"
  password_2: special
- instance_id: faker4
  password_2: four
"#;
    let (passwords, diagnostics) = load(text);
    assert!(diagnostics.is_empty(), "{}", said(&diagnostics));
    let passwords = passwords.unwrap();
    let choose = |level, id| passwords.choose(level, "FakeDataAgent", id).map(Secret::reveal);
    assert_eq!(choose(CredLevel::Advanced, "faker1"), Some("special"));
    assert_eq!(choose(CredLevel::Advanced, "faker4"), Some("four"));
    assert_eq!(choose(CredLevel::Advanced, "other"), Some("normal"));
    assert_eq!(choose(CredLevel::Full, "faker4"), Some("general"));
    assert_eq!(choose(CredLevel::Basic, "faker4"), None);
    assert_eq!(choose(CredLevel::Superuser, "faker4"), None);
}

#[test]
fn all_that_is_wrong_is_said_at_once_with_its_line_and_without_the_passwords() {
    let text = "- default: perhaps\n  password_2: 4711\n- swordfish\n- instance_id: [swordfish]\n  password_3: {swordfish: 1}\n\
                - agent_class: A\n  pasword_2: swordfish\n";
    let (passwords, diagnostics) = load(text);
    assert_eq!(passwords, None);
    let said = said(&diagnostics);
    for line in [1, 2, 3, 4, 5, 7] {
        assert!(said.contains(&format!("{FILE_NAME}:{line}:")), "line {line}: {said}");
    }
    assert_eq!(diagnostics.error_count(), 5, "{said}");
    assert!(!said.contains("swordfish") && !said.contains("4711") && !said.contains("perhaps"), "{said}");
    assert!(said.contains("did you mean `password_2`"), "{said}");
}

#[test]
fn a_file_that_is_no_yaml_is_refused_without_showing_it() {
    for text in [
        "- password_2: *swordfish\n  default: true\n",
        "- password_2: !swordfish x\n  default: true\n",
        "- password_2: 'swordfish\n",
        "- password_2: swordfish: swordfish\n",
        "swordfish: &swordfish @swordfish\n",
        "- {password_2: swordfish, password_2: swordfish2, default: true, }}\n",
        "- password_2: \"\\qswordfish\"\n",
    ] {
        let (passwords, diagnostics) = load(text);
        assert_eq!(passwords, None, "{text}");
        assert!(
            diagnostics.has_errors() && !said(&diagnostics).contains("swordfish"),
            "{}",
            said(&diagnostics)
        );
    }
    assert!(load("").1.has_errors());
}

#[test]
fn a_file_that_others_may_read_is_warned_of() {
    let text = "- default: true\n  password_2: swordfish\n";
    for mode in [0o604, 0o640, 0o622, 0o777] {
        let (passwords, diagnostics) = load_with(text, mode);
        assert!(passwords.is_some());
        let said = said(&diagnostics);
        assert!(diagnostics.warning_count() == 1 && said.contains("chmod 600"), "{said}");
    }
    assert!(load_with(text, 0o400).1.is_empty());
}

#[test]
fn the_file_is_found_as_by_ocs() {
    let env = |named: Option<&str>| {
        let named = named.map(str::to_owned);
        move |name: &str| match name {
            "OCS_PASSWORDS_FILE" => named.clone(),
            "HOME" => Some("/nowhere/me".to_owned()),
            _ => None,
        }
    };
    let usual = (PathBuf::from("/nowhere/me/.ocs-passwords.yaml"), false);
    assert_eq!(Passwords::path(&env(None)), Some(usual.clone()));
    assert_eq!(Passwords::path(&env(Some(""))), Some(usual));
    assert_eq!(Passwords::path(&env(Some("/a/b"))), Some((PathBuf::from("/a/b"), true)));
    assert_eq!(Passwords::path(&|_| None), None);
    assert_eq!(Passwords::of_user(&env(None)).0, Some(Passwords::default()));
    let (none, diagnostics) = Passwords::of_user(&env(Some("/nowhere/b")));
    assert!(none.is_none() && said(&diagnostics).contains("/nowhere/b"));
}

proptest! {
    #[test]
    fn no_line_of_a_broken_file_shows_a_password(head in "[ \\-:{}\\[\\]&*!|>'\"%@`a-z]{0,10}", tail in "[ \\-:{}\\[\\]&*!|>'\"#,\n]{0,10}") {
        let text = format!("- default: true\n  password_2: {head}SWORDFISH{tail}\n");
        let said = said(&load(&text).1);
        prop_assert!(!said.contains("SWORDFISH"), "{text}\n{said}");
    }
}
