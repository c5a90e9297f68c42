//! Checking a cloud-init file before it is used. PURE.

use std::path::Path;
use std::sync::Arc;

use campanile_yaml::{Diagnostic, Diagnostics, Document, Kind, Schema, Source, Span, parse};

use crate::userdata::TAGS;

/// What a cloud-config file begins with; cloud-init ignores it otherwise.
pub const HEADER: &str = "#cloud-config";
/// What EHOS replaced by the files of the master, credentials included.
pub const WRITE_FILES_TAG: &str = "#{write_files}";
/// A line of the console that begins so tells that an installation has failed.
pub const FAILED: &str = "EHOS-FAILED";
/// What cloud-init prints at its end, where the file has no `final_message`.
const DEFAULT_FINAL_MESSAGE: &str = "finished at";
/// Longest user-data that nova takes, bytes before base64.
const MAX_BYTES: usize = 49_150;
/// Keys of cloud-config that these files use, against typing errors.
const KEYS: &[&str] = &[
    "apt",
    "bootcmd",
    "ca_certs",
    "chpasswd",
    "disable_root",
    "disk_setup",
    "final_message",
    "fqdn",
    "fs_setup",
    "groups",
    "growpart",
    "hostname",
    "locale",
    "manage_etc_hosts",
    "mounts",
    "ntp",
    "output",
    "package_reboot_if_required",
    "package_update",
    "package_upgrade",
    "packages",
    "phone_home",
    "power_state",
    "preserve_hostname",
    "resize_rootfs",
    "rsyslog",
    "runcmd",
    "ssh_authorized_keys",
    "ssh_keys",
    "ssh_pwauth",
    "swap",
    "system_info",
    "timezone",
    "user",
    "users",
    "write_files",
    "yum_repo_dir",
    "yum_repos",
];

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kindred {
    /// The base, or the master: nothing is filled in.
    Whole,
    /// A worker: the daemon fills the tags in.
    Worker,
}

/// Everything that is wrong with the file. Only cloud-config is looked into; a script (`#!`) is taken as it is.
#[must_use]
pub fn check(name: &Path, text: &str, kindred: Kindred) -> Diagnostics {
    let source = Arc::new(Source::new(name, text));
    let at = |start: usize, end: usize| Span { start: source.position(start), end: source.position(end) };
    let mut diagnostics = Diagnostics::new();
    if text.len() > MAX_BYTES {
        let problem =
            Diagnostic::error(format!("the file has {} bytes, a cloud takes {MAX_BYTES}", text.len()));
        diagnostics.push(problem.in_source(&source));
    }
    tags(text, kindred, &source, &mut diagnostics);
    let first = text.lines().next().unwrap_or_default().trim_end();
    if text.starts_with("#!") || first == "## template: jinja" || text.starts_with("Content-Type:") {
        return diagnostics;
    }
    if first != HEADER {
        let problem =
            Diagnostic::error(format!("the first line is not `{HEADER}`: cloud-init would ignore the file"));
        diagnostics.push(problem.in_source(&source).at(at(0, first.len())));
    }
    // The tags are no YAML where nothing stands around them (`{token}` is a mapping).
    let filled =
        TAGS.iter().fold(text.to_owned(), |text, tag| text.replace(&format!("{{{tag}}}"), &blank(tag)));
    let (document, found) = parse(name, filled.as_bytes(), Schema::Safe);
    diagnostics.extend(found);
    if let Some(document) = &document {
        shape(document, &mut diagnostics);
    }
    diagnostics
}

/// A word as long as the tag with its braces, so that places stay the same.
fn blank(tag: &str) -> String {
    "x".repeat(tag.len() + 2)
}

fn tags(text: &str, kindred: Kindred, source: &Arc<Source>, diagnostics: &mut Diagnostics) {
    for (start, _) in text.match_indices('{') {
        let Some(end) = text[start..].find('}').map(|found| start + found + 1) else { continue };
        let name = &text[start + 1..end - 1];
        let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if !is_word || text[..start].ends_with('$') {
            continue;
        }
        let span = Span { start: source.position(start), end: source.position(end) };
        let in_comment =
            text[..start].rsplit('\n').next().is_some_and(|line| line.trim_start().starts_with('#'));
        let is_tag = TAGS.contains(&name);
        if text[..start].ends_with('#') && name == "write_files" {
            let problem = Diagnostic::warning(
                "nothing is put here: files go to the master over ssh, not in its user-data",
            );
            diagnostics.push(problem.in_source(source).at(span));
        } else if in_comment {
            continue;
        } else if is_tag && kindred == Kindred::Whole {
            let problem = Diagnostic::error(format!("the tag {{{name}}} is filled in for workers only"));
            diagnostics.push(problem.in_source(source).at(span).hint("it stands for nothing in this file"));
        } else if !is_tag && let Some(meant) = campanile_yaml::did_you_mean(name, TAGS.iter().copied()) {
            let problem = Diagnostic::warning(format!("there is no tag {{{name}}}"));
            diagnostics.push(problem.in_source(source).at(span).hint(format!("did you mean {{{meant}}}?")));
        }
    }
}

fn shape(document: &Document, diagnostics: &mut Diagnostics) {
    let root = document.root();
    if root.is_null() || root.is_broken() {
        return;
    }
    if root.kind() != Kind::Map {
        diagnostics.push(root.error("cloud-config is a mapping"));
        return;
    }
    root.warn_of_misspelt_keys(KEYS, diagnostics);
    for key in ["packages", "runcmd", "bootcmd", "write_files"] {
        if let Some(node) = root.get(key)
            && !node.is_null()
            && node.kind() != Kind::List
        {
            diagnostics.push(node.error(format!("`{key}` must be a list")));
        }
    }
    for file in root.get("write_files").into_iter().flat_map(campanile_yaml::Node::items) {
        if file.kind() != Kind::Map || file.get("path").is_none() {
            diagnostics.push(file.error("an entry of `write_files` needs a `path`"));
        }
        if let Some(mode) = file.get("permissions")
            && mode.text().is_none_or(|text| u32::from_str_radix(text, 8).is_err() || mode.is_plain())
        {
            let problem = mode.error("`permissions` must be an octal number in quotes");
            diagnostics.push(problem.hint("such as '0644': without quotes YAML makes another number of it"));
        }
    }
}

/// What the console shows when the machine is up: the beginning of `final_message`, up to what cloud-init fills in.
#[must_use]
pub fn final_message(name: &Path, text: &str) -> String {
    let (document, _) = parse(name, text.as_bytes(), Schema::Safe);
    let message = document.as_ref().and_then(|document| document.root().get("final_message")?.text());
    let begin = message.unwrap_or_default().lines().next().unwrap_or_default();
    let begin = begin.split(['$', '{']).next().unwrap_or_default().trim();
    if begin.is_empty() { DEFAULT_FINAL_MESSAGE.to_owned() } else { begin.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_of(text: &str, kindred: Kindred) -> String {
        check(Path::new("x.yaml"), text, kindred).render(false)
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let text = "packages: curl\nwrite_files:\n  - {content: '{worker_nam} ${HOME}', permissions: 0644}\nrun_cmd: []\n";
        let shown = check_of(text, Kindred::Worker);
        for word in [
            "#cloud-config",
            "`packages` must be a list",
            "needs a `path`",
            "octal",
            "{worker_name}?",
            "runcmd",
        ] {
            assert!(shown.contains(word), "{word}: {shown}");
        }
        assert!(check_of("#cloud-config\nx: [\n", Kindred::Whole).contains("x.yaml:"));
    }

    #[test]
    fn tags_are_for_workers() {
        let text = "#cloud-config\n# {token}\nfinal_message: up {token}\n";
        assert_eq!(check_of(text, Kindred::Worker), "");
        assert!(check_of(text, Kindred::Whole).contains("x.yaml:3"));
        assert!(check_of("#cloud-config\n#{write_files}\n", Kindred::Whole).contains("over ssh"));
        assert_eq!(check_of("#!/bin/sh\necho {token}\n", Kindred::Worker), "");
    }

    #[test]
    fn the_console_is_watched_for_what_the_file_says() {
        let of = |text: &str| final_message(Path::new("x"), text);
        assert_eq!(
            of("final_message: \"The EHOS vm is up after $UPTIME seconds\""),
            "The EHOS vm is up after"
        );
        assert_eq!(of("#cloud-config\npackages: []\n"), "finished at");
    }
}
