//! Programs of a batch system, run with a deadline each, their output read as it comes.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use super::BatchError;

/// The longest line of a program that is kept, bytes.
const LINE_MAX_BYTES: usize = 1 << 20;
/// What is kept of what a program says on its standard error, bytes.
const STDERR_MAX_BYTES: u64 = 8 << 10;
/// The longest output that is taken in whole, bytes.
const TEXT_MAX_BYTES: usize = 64 << 20;

/// Where the programs are and what they must know.
#[derive(Clone, Debug, Default)]
pub(super) struct Programs {
    /// Their directory; `None`: by `PATH`.
    pub(super) bin: Option<PathBuf>,
    /// Added to our environment.
    pub(super) env: Vec<(String, String)>,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// `None`: by a signal.
    pub(super) code: Option<i32>,
    /// The beginning of what it said on standard error.
    pub(super) stderr: String,
}

impl Ended {
    /// The rule of truth for programs: exit code 0, and no word on standard error. Else nothing is known.
    pub(super) fn believed(&self, program: &str) -> Result<(), BatchError> {
        if self.code == Some(0) && self.stderr.trim().is_empty() {
            return Ok(());
        }
        Err(BatchError::Unknown(format!("{program}: {}", self.words())))
    }

    /// The end, in words.
    pub(super) fn words(&self) -> String {
        let said = self.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let how =
            self.code.map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit code {code}"));
        if said.is_empty() { how } else { format!("{how}: {said}") }
    }
}

impl Programs {
    /// Runs a program and gives each line of its standard output to `each`.
    pub(super) async fn lines<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: &[A],
        deadline: Duration,
        mut each: impl FnMut(&str),
    ) -> Result<Ended, BatchError> {
        let path = self.bin.as_ref().map_or_else(|| PathBuf::from(program), |bin| bin.join(program));
        let mut command = Command::new(&path);
        command.args(arguments).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| BatchError::Setup(format!("{} cannot be run: {error}", path.display())))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(BatchError::Setup(format!("{program}: no pipes")));
        };
        let work = async {
            let (read, stderr) = tokio::join!(read_lines(stdout, &mut each), read_head(stderr));
            let status = child.wait().await;
            let unknown = |error: std::io::Error| BatchError::Unknown(format!("{program}: {error}"));
            read.map_err(unknown)?;
            Ok(Ended { code: status.map_err(unknown)?.code(), stderr })
        };
        match tokio::time::timeout(deadline, work).await {
            Ok(ended) => ended,
            // Dropping the child kills it.
            Err(_late) => Err(BatchError::Deadline {
                what: program.to_owned(),
                after_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    /// Runs a program and takes in its standard output.
    pub(super) async fn text<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: &[A],
        deadline: Duration,
    ) -> Result<(String, Ended), BatchError> {
        let (mut text, mut too_long) = (String::new(), false);
        let ended = self
            .lines(program, arguments, deadline, |line| {
                too_long |= text.len() + line.len() > TEXT_MAX_BYTES;
                if !too_long {
                    text.push_str(line);
                    text.push('\n');
                }
            })
            .await?;
        if too_long {
            return Err(BatchError::Unknown(format!("{program} says more than {TEXT_MAX_BYTES} bytes")));
        }
        Ok((text, ended))
    }

    /// The output of a program that is believed ([`Ended::believed`]).
    pub(super) async fn believed<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: &[A],
        deadline: Duration,
    ) -> Result<String, BatchError> {
        let (text, ended) = self.text(program, arguments, deadline).await?;
        ended.believed(program)?;
        Ok(text)
    }
}

async fn read_lines(output: impl AsyncRead + Unpin, each: &mut impl FnMut(&str)) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(64 << 10, output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LINE_MAX_BYTES as u64).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Ok(());
        }
        if read == LINE_MAX_BYTES && line.last() != Some(&b'\n') {
            return Err(std::io::Error::other(format!("a line of more than {LINE_MAX_BYTES} bytes")));
        }
        each(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
    }
}

/// The beginning of the stream; the rest is read and dropped, so that the writer never waits.
async fn read_head(mut stream: impl AsyncRead + Unpin) -> String {
    let mut head = Vec::new();
    let _cut_short = (&mut stream).take(STDERR_MAX_BYTES).read_to_end(&mut head).await;
    let _cut_short = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&head).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(20);

    async fn shell(script: &str, deadline: Duration) -> Result<(String, Ended), BatchError> {
        Programs::default().text("sh", &["-c", script], deadline).await
    }

    #[tokio::test]
    async fn output_is_believed_only_with_exit_code_0_and_a_silent_standard_error() {
        let (text, ended) = shell("echo a; echo b", SECOND).await.unwrap();
        assert_eq!((text.as_str(), ended.believed("sh")), ("a\nb\n", Ok(())));
        let (_, ended) = shell("echo '-- Failed to fetch ads' >&2", SECOND).await.unwrap();
        assert_eq!(
            ended.believed("condor_q"),
            Err(BatchError::Unknown("condor_q: exit code 0: -- Failed to fetch ads".to_owned()))
        );
        let (_, ended) = shell("exit 3", SECOND).await.unwrap();
        assert!(ended.believed("x").is_err());
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_at_its_deadline() {
        let error = shell("exec sleep 600", Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(error, BatchError::Deadline { what: "sh".to_owned(), after_ms: 200 });
    }

    #[tokio::test]
    async fn much_on_standard_error_blocks_nobody() {
        let (text, ended) = shell("head -c 300000 /dev/zero >&2; echo done", SECOND).await.unwrap();
        assert_eq!((text.as_str(), ended.code), ("done\n", Some(0)));
        assert!(ended.stderr.len() <= 8 << 10);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_a_matter_of_the_setup() {
        let error = Programs::default().text("no-such-program-here", &[""; 0], SECOND).await.unwrap_err();
        assert!(matches!(error, BatchError::Setup(text) if text.contains("no-such-program-here")));
    }
}
