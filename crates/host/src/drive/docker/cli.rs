//! The `docker compose` program: what has no library. Every call has a time limit, and ends with all that it started.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// More output than this is not read; the description of a hundred services is a hundred kilobytes.
const MAX_OUTPUT_BYTES: u64 = 16 * 1024 * 1024;
/// What is told of a failed call at most.
const MAX_TOLD_LINES: usize = 5;
const MAX_TOLD_CHARS: usize = 600;
/// Asking a program for its version.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// The compose program of this host. It is looked for when it is needed first, and again after it was not found.
#[derive(Debug)]
pub struct Compose {
    /// `--docker-compose-bin`, joined to the working directory.
    named: Option<PathBuf>,
    /// The engine, as `DOCKER_HOST` has it.
    host: String,
    found: Mutex<Option<Vec<OsString>>>,
}

impl Compose {
    /// The program that is named, relative to `working_dir`; else the plugin of docker, else `docker-compose`. It
    /// speaks to the engine at `host`, the same as we.
    #[must_use]
    pub fn new(named: Option<&Path>, working_dir: &Path, host: &str) -> Self {
        let named = named.map(|path| working_dir.join(path));
        Self { named, host: host.to_owned(), found: Mutex::new(None) }
    }

    /// How it is called: the program and the words before the options.
    ///
    /// # Errors
    /// In words: there is none.
    pub async fn program(&self) -> Result<Vec<OsString>, String> {
        if let Some(program) = self.found.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(program);
        }
        let program = self.look().await?;
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(program.clone());
        Ok(program)
    }

    async fn look(&self) -> Result<Vec<OsString>, String> {
        if let Some(named) = &self.named {
            let program = vec![named.clone().into_os_string()];
            return match works(&program, &self.host).await {
                Ok(()) => Ok(program),
                Err(why) => Err(format!("--docker-compose-bin {} cannot be used: {why}", named.display())),
            };
        }
        let plugin: Vec<OsString> = vec!["docker".into(), "compose".into()];
        let Err(of_plugin) = works(&plugin, &self.host).await else { return Ok(plugin) };
        let alone: Vec<OsString> = vec!["docker-compose".into()];
        match works(&alone, &self.host).await {
            Ok(()) => Ok(alone),
            Err(of_alone) => Err(format!(
                "there is no docker compose: the plugin of docker: {of_plugin}; docker-compose: {of_alone}"
            )),
        }
    }

    /// Calls it for a compose file; gives its standard output.
    ///
    /// # Errors
    /// In words: what it said last, or that it took too long.
    pub async fn call(&self, file: &Path, words: &[&str], limit: Duration) -> Result<String, String> {
        self.call_telling(file, words, limit, &mut |_line| {}).await
    }

    /// The same, handing on each line that it says on its standard error as soon as it says it.
    ///
    /// # Errors
    /// In words: what it said last, or that it took too long.
    pub async fn call_telling(
        &self,
        file: &Path,
        words: &[&str],
        limit: Duration,
        tell: &mut (dyn FnMut(&str) + Send),
    ) -> Result<String, String> {
        let mut argv = self.program().await?;
        argv.extend(["-f".into(), file.as_os_str().to_owned()]);
        argv.extend(words.iter().map(OsString::from));
        let result = run(&argv, &self.host, limit, tell).await;
        if let Err(Failure::NotStarted(_)) = &result {
            *self.found.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        result.map_err(|failure| failure.to_string())
    }
}

async fn works(program: &[OsString], host: &str) -> Result<(), String> {
    let mut argv = program.to_vec();
    argv.push("version".into());
    run(&argv, host, PROBE_TIMEOUT, &mut |_line| {}).await.map(|_| ()).map_err(|failure| failure.to_string())
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    NotStarted(String),
    #[error("{0}")]
    Failed(String),
    #[error("it took longer than {0} s and was ended{1}")]
    TooLong(u64, String),
}

async fn run(
    argv: &[OsString],
    host: &str,
    limit: Duration,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<String, Failure> {
    let (program, rest) = argv.split_first().ok_or_else(|| Failure::NotStarted("no program".to_owned()))?;
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Starting one service must never remove containers that nobody asked about.
    command.env("COMPOSE_REMOVE_ORPHANS", "0").env("COMPOSE_ANSI", "never").env("COMPOSE_PROGRESS", "plain");
    command.env("DOCKER_HOST", host).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| {
        Failure::NotStarted(match error.kind() {
            io::ErrorKind::NotFound => format!("there is no program {}", Path::new(program).display()),
            _ => format!("{} cannot be run: {error}", Path::new(program).display()),
        })
    })?;
    let guard = Group(child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())));
    let mut said = Vec::new();
    let finished = tokio::time::timeout(limit, finish(&mut child, &mut said, tell)).await;
    match finished {
        Ok(Ok((true, stdout))) => {
            guard.disarm();
            Ok(stdout)
        }
        Ok(Ok((false, _))) => {
            guard.disarm();
            Err(Failure::Failed(last_words(&said)))
        }
        Ok(Err(error)) => Err(Failure::Failed(format!("its output cannot be read: {error}"))),
        Err(_elapsed) => {
            drop(guard);
            let _ = child.wait().await;
            let words =
                if said.is_empty() { String::new() } else { format!("; it said: {}", last_words(&said)) };
            Err(Failure::TooLong(limit.as_secs(), words))
        }
    }
}

/// Kills the program and what it started, unless it has ended by itself.
struct Group(Option<Pid>);

impl Group {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

async fn finish(
    child: &mut Child,
    said: &mut Vec<String>,
    tell: &mut (dyn FnMut(&str) + Send),
) -> io::Result<(bool, String)> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, told) = tokio::join!(read(stdout), listen(stderr, said, tell));
    told?;
    let stdout = stdout?;
    Ok((child.wait().await?.success(), stdout))
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn listen(
    pipe: Option<impl AsyncRead + Unpin>,
    said: &mut Vec<String>,
    tell: &mut (dyn FnMut(&str) + Send),
) -> io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    let mut lines = BufReader::new(pipe.take(MAX_OUTPUT_BYTES));
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).await? > 0 {
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        line.clear();
        if !text.is_empty() {
            tell(&text);
            said.push(text);
            let surplus = said.len().saturating_sub(MAX_TOLD_LINES);
            said.drain(..surplus);
        }
    }
    Ok(())
}

/// What it said last, in one line. Compose reports progress and errors on the same stream; where there is something
/// that looks like an error, that is the reason.
fn last_words(said: &[String]) -> String {
    let is_error = |line: &&String| {
        let line = line.to_lowercase();
        ["error", "fail", "denied", "cannot", "no such", "invalid", "not found"]
            .iter()
            .any(|word| line.contains(word))
    };
    let mut lines: Vec<&str> = said.iter().filter(is_error).map(String::as_str).collect();
    if lines.is_empty() {
        lines = said.iter().map(String::as_str).collect();
    }
    if lines.is_empty() {
        return "it failed and said nothing".to_owned();
    }
    let text = lines.join("; ");
    match text.char_indices().nth(MAX_TOLD_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn program(dir: &Path, script: &str) -> PathBuf {
        let path = dir.join("compose");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    const SOON: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_named_program_is_relative_to_the_working_directory_and_is_called_for_the_file() {
        let dir = tempfile::tempdir().unwrap();
        program(dir.path(), r#"echo "$COMPOSE_REMOVE_ORPHANS $@""#);
        let compose = Compose::new(Some(Path::new("compose")), dir.path(), "unix:///x");
        let said = compose.call(Path::new("/x/c.yaml"), &["up", "-d", "ocs-a"], SOON).await;
        assert_eq!(said.unwrap(), "0 -f /x/c.yaml up -d ocs-a\n");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_told_by_its_name() {
        let compose = Compose::new(Some(Path::new("no/such")), Path::new("/work dir"), "unix:///x");
        let why = compose.call(Path::new("c.yaml"), &["config"], SOON).await.unwrap_err();
        let start = "--docker-compose-bin /work dir/no/such cannot be used: there is no program";
        assert!(why.starts_with(start), "{why}");
    }

    #[tokio::test]
    async fn a_failure_is_told_in_its_own_words() {
        let dir = tempfile::tempdir().unwrap();
        program(
            dir.path(),
            "[ \"$1\" = version ] && exit 0; echo ' a Pulling' >&2; echo 'manifest not found' >&2; exit 18",
        );
        let compose = Compose::new(Some(Path::new("compose")), dir.path(), "unix:///x");
        let mut lines = Vec::new();
        let mut tell = |line: &str| lines.push(line.to_owned());
        let result = compose.call_telling(Path::new("c.yaml"), &["pull"], SOON, &mut tell).await;
        assert_eq!(result.unwrap_err(), "manifest not found");
        assert_eq!(lines, ["a Pulling", "manifest not found"]);
    }

    #[tokio::test]
    async fn one_that_hangs_is_ended_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let note = dir.path().join("pid");
        let script = format!("[ \"$1\" = version ] && exit 0; sleep 600 & echo $! >{}; wait", note.display());
        program(dir.path(), &script);
        let compose = Compose::new(Some(Path::new("compose")), dir.path(), "unix:///x");
        let result = compose.call(Path::new("c.yaml"), &["up"], Duration::from_secs(2)).await;
        assert!(result.unwrap_err().contains("took longer than"));
        let pid: u32 = std::fs::read_to_string(note).unwrap().trim().parse().unwrap();
        let runs = || crate::drive::proc_fs::stat(pid).is_some_and(|stat| !stat.is_zombie());
        let deadline = std::time::Instant::now() + SOON;
        while runs() {
            assert!(std::time::Instant::now() < deadline, "what it started goes on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
