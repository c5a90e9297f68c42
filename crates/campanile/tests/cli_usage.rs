//! What the command line does with what makes no sense, and where its help is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use assert_cmd::assert::OutputAssertExt as _;

fn campanile(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    command.args(args).env_remove("OCS_CONFIG_DIR").env_remove("CAMPANILE_LOG");
    command.output().unwrap()
}

/// Runs it and asserts exit code 2, nothing on stdout, and these words on stderr.
#[track_caller]
fn refused(args: &[&str], words: &[&str]) {
    let output = campanile(args);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{args:?}");
    for word in words {
        assert!(stderr.contains(word), "{args:?}: `{word}` is not in\n{stderr}");
    }
}

#[test]
fn without_a_command_the_help_is_shown_and_the_code_is_2() {
    refused(&[], &["Usage: campanile", "Something is wrong, where do I look?"]);
}

#[test]
fn unknown_commands_and_options_are_usage_errors() {
    refused(&["frobnicate"], &["unrecognized subcommand 'frobnicate'"]);
    refused(&["status", "--no-such-option"], &["unexpected argument '--no-such-option'"]);
    refused(&["ocsbow", "frobnicate"], &["unrecognized subcommand 'frobnicate'"]);
    refused(&["ocsbow", "config", "nosuch"], &["invalid value 'nosuch'", "summary", "plugins", "crossbar"]);
    refused(&["agent", "nosuch"], &["unrecognized subcommand 'nosuch'"]);
    refused(&["config"], &["Usage: campanile config"]);
}

#[test]
fn up_down_and_restart_want_to_know_what() {
    for command in ["up", "down", "restart"] {
        refused(&[command], &["required arguments were not provided", "INSTANCE"]);
    }
}

#[test]
fn a_span_of_time_that_is_none_is_refused_with_examples() {
    refused(&["up", "a", "--wait", "soon"], &["`soon` is not a span of time such as 30s, 5m, 1h30m or 2d"]);
    refused(&["demo", "--for", "-3s"], &[]);
}

#[test]
fn a_log_level_that_is_none_is_refused() {
    refused(&["--log-level", "campanile=loud", "completions", "bash"], &["--log-level campanile=loud"]);
}

#[test]
fn a_router_is_refused_places_that_are_not_on_this_machine() {
    let flags = ["--realm", "r", "--address-root", "a"];
    let router = |more: &[&'static str]| {
        let mut args = vec!["router"];
        args.extend(more);
        args.extend(flags);
        args
    };
    refused(&router(&["--listen", "nonsense"]), &["--listen `nonsense` is neither a port, nor an address"]);
    // TEST-NET-1 (RFC 5737) belongs to no machine.
    refused(&router(&["--listen", "192.0.2.1:8001"]), &["192.0.2.1", "is not this machine"]);
    refused(
        &["router", "--listen", "127.0.0.1:0", "--realm", "r", "--address-root", "two words"],
        &["address root `two words`"],
    );
    refused(
        &["router", "--listen", "127.0.0.1:0", "--realm", "r", "--site-realm", "s", "--address-root", "a"],
        &["cannot be used with"],
    );
}

#[test]
fn every_command_has_help_with_an_example_and_its_exit_codes() {
    for command in ["status", "up", "down", "restart", "plan", "logs", "router", "host"] {
        let output = campanile(&[command, "--help"]);
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        output.assert().success();
        assert!(help.contains(&format!("Usage: campanile {command}")), "{help}");
        assert!(help.contains("Example"), "{command} has no example:\n{help}");
        assert!(help.contains("Exit codes:"), "{command} does not tell its exit codes:\n{help}");
        assert!(help.contains("--site-file"), "{command} takes no site options:\n{help}");
    }
    for command in [&["config", "check"][..], &["demo"], &["ocsbow"], &["agent", "flaky"], &["completions"]] {
        let mut args = command.to_vec();
        args.push("--help");
        campanile(&args).assert().success();
    }
}

#[test]
fn help_fits_a_terminal_of_a_hundred_columns_and_its_examples_one_of_eighty() {
    for command in ["status", "up", "down", "restart", "plan", "logs", "router", "host", "demo", "ocsbow"] {
        let help = String::from_utf8(campanile(&[command, "--help"]).stdout).unwrap();
        let examples = help.find("Example").unwrap();
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
        for line in help[examples..].lines() {
            assert!(line.chars().count() <= 80, "{command}: {line}");
        }
    }
}

#[test]
fn a_link_called_ocsbow_is_ocsbow() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("ocsbow");
    symlink(env!("CARGO_BIN_EXE_campanile"), &link).unwrap();
    let help = Command::new(&link).arg("--help").output().unwrap();
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(text.contains("Usage: ocsbow"), "{text}");
    let refused = Command::new(&link).arg("frobnicate").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("Usage: ocsbow"), "{stderr}");
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let output = campanile(&["completions", shell]);
        let script = String::from_utf8_lossy(&output.stdout).into_owned();
        output.assert().success();
        for command in ["status", "restart", "ocsbow", "completions"] {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    let script = format!("'{}' completions bash | head -1", env!("CARGO_BIN_EXE_campanile"));
    let output = Command::new("bash").args(["-o", "pipefail", "-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}
