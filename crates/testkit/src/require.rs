//! Whether a test may run here: in CI everything must be present, elsewhere a missing part skips the test.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Something outside the workspace that a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The Python interpreter of the peers' virtual environment, in which `ocs` is installed.
    Python,
    /// The `crossbar` router of the same environment.
    Crossbar,
    /// The `ocsbow` command of the same environment.
    Ocsbow,
    /// The `ocs-client-cli` command of the same environment.
    ClientCli,
}

impl Part {
    /// The file that must exist for this part to be usable, below the virtual environment.
    fn program(self) -> &'static str {
        match self {
            Self::Python => "bin/python",
            Self::Crossbar => "bin/crossbar",
            Self::Ocsbow => "bin/ocsbow",
            Self::ClientCli => "bin/ocs-client-cli",
        }
    }
}

/// The virtual environment of the Python peers: `$CAMPANILE_PEERS`, else `.peers/venv` at the root of the
/// workspace, where `scripts/setup` puts it.
pub fn peers_dir() -> PathBuf {
    match std::env::var_os("CAMPANILE_PEERS") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.peers/venv"),
    }
}

/// The program of `part`, if it is there. If not: with `CI=true` in the environment the test panics, since a
/// run that proves something must not leave things out; otherwise the reason is printed and `None` returned,
/// and the test ends at once: `let Some(python) = require(Part::Python) else { return };`
///
/// A skip is also noted in the file that `$CAMPANILE_SKIPS` names, if it is set, so that the check of the
/// promises can tell a test that ran from one that only started.
#[track_caller]
pub fn require(part: Part) -> Option<PathBuf> {
    let program = peers_dir().join(part.program());
    if program.is_file() {
        return Some(program);
    }
    skip(&format!("{} is missing: run `make setup`", program.display()));
    None
}

/// The program `name` of the system or of the project's own set-up: `.peers/bin/NAME`, else the first on `PATH` or in
/// `/usr/sbin`. Where it is missing the test is skipped, or fails in CI, as with [`require`]; `hint` says how to get it.
#[track_caller]
pub fn require_program(name: &str, hint: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.peers/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(own).chain(std::env::split_paths(&path)).chain([PathBuf::from("/usr/sbin")]);
    let found = dirs.map(|dir| dir.join(name)).find(|program| program.is_file());
    if found.is_none() {
        skip(&format!("{name} is missing: {hint}"));
    }
    found
}

/// Says that the running test is skipped, and why; panics with `CI=true`.
#[track_caller]
pub fn skip(reason: &str) {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "{reason} (with CI=true no test may be skipped)");
    eprintln!("skipped: {reason}");
    if let Some(file) = std::env::var_os("CAMPANILE_SKIPS") {
        note(Path::new(&file), reason);
    }
}

/// One line for a skipped test: its binary, its name, the reason.
fn note(file: &Path, reason: &str) {
    let binary = std::env::var("NEXTEST_BINARY_ID").unwrap_or_default();
    let thread = std::thread::current();
    let test = std::env::var("NEXTEST_TEST_NAME").unwrap_or_else(|_| thread.name().unwrap_or("?").to_owned());
    let line = format!("{binary}\t{test}\t{reason}\n");
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    written.expect("the file that CAMPANILE_SKIPS names can be written");
}
