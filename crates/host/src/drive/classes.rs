//! Which agent classes the Python plugins offer. Only Python can tell, and it takes a second to import them all, so it
//! is asked once per reload, in the background.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Prints the classes of all installed plugins as the last line of its output, as OCS itself finds them. Whatever the
/// plugins print goes to standard error.
const PROGRAM: &str = r"
import contextlib, json, sys
with contextlib.redirect_stdout(sys.stderr):
    from ocs.agent_cli import build_agent_list
    classes = sorted(build_agent_list())
print(json.dumps(classes))
";
/// Importing every plugin can take long on a cold disk.
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// More output than this is not read: a list of classes is some kilobytes.
const MAX_OUTPUT_BYTES: u64 = 1024 * 1024;

/// The classes that the interpreter `python` can launch.
///
/// # Errors
/// In words for the operator: there is no such interpreter, it has no OCS, a plugin hangs.
pub async fn ask(python: &Path) -> Result<BTreeSet<String>, String> {
    let shown = python.display();
    let mut command = tokio::process::Command::new(python);
    command.args(["-c", PROGRAM]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    let child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no Python interpreter {shown}"),
        _ => format!("{shown} cannot be run: {error}"),
    })?;
    let (succeeded, stdout, stderr) = match tokio::time::timeout(TIMEOUT, finish(child)).await {
        Ok(finished) => finished.map_err(|error| format!("{shown} cannot be waited for: {error}"))?,
        Err(_elapsed) => {
            return Err(format!("{shown} did not list its agent classes within {} s", TIMEOUT.as_secs()));
        }
    };
    if !succeeded {
        let reason = stderr.trim_end().lines().last().unwrap_or("it says nothing");
        return Err(format!("{shown} cannot list the agent classes: {reason}"));
    }
    let last = stdout.trim_end().lines().last().unwrap_or_default();
    serde_json::from_str(last)
        .map_err(|error| format!("{shown} listed its agent classes unreadably: {error}"))
}

/// Reads both outputs to their end; one that is longer than the limit blocks its writer, and so runs into the timeout.
async fn finish(mut child: tokio::process::Child) -> io::Result<(bool, String, String)> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::join!(read(stdout), read(stderr));
    let status = child.wait().await?;
    Ok((status.success(), stdout?, stderr?))
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    async fn ask_script(script: &str) -> Result<BTreeSet<String>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("python");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        ask(&path).await
    }

    #[tokio::test]
    async fn the_last_line_counts_whatever_plugins_print() {
        let classes = ask_script("echo hello >&2; echo noise; echo '[\"B\", \"A\"]'").await.unwrap();
        assert_eq!(classes.into_iter().collect::<Vec<_>>(), ["A", "B"]);
    }

    #[tokio::test]
    async fn every_failure_is_told_in_words() {
        let missing = ask(Path::new("/no/such/python")).await.unwrap_err();
        assert_eq!(missing, "there is no Python interpreter /no/such/python");
        let no_ocs =
            ask_script("echo trace >&2; echo \"ModuleNotFoundError: No module named 'ocs'\" >&2; exit 1");
        assert!(no_ocs.await.unwrap_err().ends_with("ModuleNotFoundError: No module named 'ocs'"));
        assert!(ask_script("echo '[1'").await.unwrap_err().contains("unreadably"));
    }

    #[tokio::test]
    async fn the_real_plugins_are_listed() {
        let Some(python) = campanile_testkit::python() else { return };
        let classes = ask(&python).await.unwrap();
        assert!(classes.contains("FakeDataAgent") && classes.contains("HostManager"), "{classes:?}");
    }
}
