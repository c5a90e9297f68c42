//! The agent classes that the Python plugins of this machine offer, asked from Python itself.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

/// Loading plugins imports whatever they import; a site's plugins may take a while on a cold disk.
const PLUGINS_TIMEOUT: Duration = Duration::from_secs(60);
/// Finding a package imports nothing.
const FIND_TIMEOUT: Duration = Duration::from_secs(10);

/// The answer stands on a line of its own that begins so, since imports may print anything.
const ANSWER: &str = "campanile-plugins:";

/// What was found; in the order of Python.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Plugins {
    pub(crate) names: Vec<String>,
    /// Class and module.
    pub(crate) agents: Vec<(String, String)>,
    /// Plugins that could not be loaded, with Python's reason.
    pub(crate) broken: Vec<(String, String)>,
}

/// Lists the plugins that registered under `ocs.plugins`; of two plugins with one class, the first counts.
const LIST_PLUGINS: &str = r#"
import json
from importlib.metadata import entry_points
found = {"names": [], "agents": [], "broken": []}
seen = set()
for point in entry_points(group="ocs.plugins"):
    if point.name in found["names"]:
        continue
    found["names"].append(point.name)
    try:
        offered = point.load().agents
    except BaseException as error:
        found["broken"].append([point.name, repr(error)])
        continue
    for name, about in offered.items():
        if name not in seen:
            seen.add(name)
            found["agents"].append([name, about["module"]])
print("\ncampanile-plugins:" + json.dumps(found))
"#;

/// Prints where the package ocs is, without importing it.
const FIND_OCS: &str = r#"
import importlib.util
spec = importlib.util.find_spec("ocs")
print("\ncampanile-plugins:" + (spec.origin or "" if spec else ""))
"#;

/// Why Python could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PythonError {
    #[error("cannot run {python}; name the Python of your OCS installation with --python FILE")]
    Start { python: String, source: std::io::Error },
    #[error("{python} did not answer within {after_s} s")]
    Slow { python: String, after_s: u64 },
    #[error("{python} failed: {last_line}")]
    Failed { python: String, last_line: String },
}

/// Asks for the plugins.
pub(crate) async fn list(python: &Path) -> Result<Plugins, PythonError> {
    let answer = ask(python, LIST_PLUGINS, PLUGINS_TIMEOUT).await?;
    serde_json::from_str(&answer).map_err(|error| PythonError::Failed {
        python: python.display().to_string(),
        last_line: error.to_string(),
    })
}

/// Asks where OCS is installed; `None` when this Python has none.
pub(crate) async fn find_ocs(python: &Path) -> Option<String> {
    let answer = ask(python, FIND_OCS, FIND_TIMEOUT).await.ok()?;
    (!answer.is_empty()).then_some(answer)
}

async fn ask(python: &Path, script: &str, timeout: Duration) -> Result<String, PythonError> {
    let name = || python.display().to_string();
    let mut command = Command::new(python);
    command.arg("-c").arg(script).stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(timeout, command.output()).await {
        Ok(result) => result.map_err(|source| PythonError::Start { python: name(), source })?,
        Err(_) => return Err(PythonError::Slow { python: name(), after_s: timeout.as_secs() }),
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    match stdout.lines().rev().find_map(|line| line.strip_prefix(ANSWER)) {
        Some(answer) => Ok(answer.trim().to_owned()),
        None => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let last = stderr.lines().rev().find(|line| !line.trim().is_empty());
            let last_line = last.map_or_else(|| output.status.to_string(), str::to_owned);
            Err(PythonError::Failed { python: name(), last_line })
        }
    }
}

/// The directories of PATH.
pub(crate) fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}
