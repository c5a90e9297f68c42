//! A machine that is reached by ssh, with the system's own client.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// How long the machine has until it lets one in.
const LOGIN: Duration = Duration::from_secs(300);
/// Between two attempts.
const RETRY: Duration = Duration::from_secs(2);
/// For a command on the machine.
pub const COMMAND: Duration = Duration::from_secs(120);
/// What is kept of its words, bytes.
const OUTPUT_MAX_BYTES: usize = 64 << 10;

/// How the machine is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// As whom; anybody but root becomes root by sudo.
    pub user: String,
    /// The private key; `None`: what ssh finds by itself.
    pub identity: Option<PathBuf>,
    /// Where the keys of hosts are kept.
    pub known_hosts: PathBuf,
    /// Whether the host's key must be in that file already; else an unknown one is taken and kept.
    pub strict: bool,
}

impl Remote {
    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("ssh");
        let known = format!("UserKnownHostsFile={}", self.known_hosts.display());
        let strict =
            if self.strict { "StrictHostKeyChecking=yes" } else { "StrictHostKeyChecking=accept-new" };
        command.args([
            "-T",
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=10",
            "-o",
            "ServerAliveInterval=10",
        ]);
        command.args([
            "-o",
            &known,
            "-o",
            "GlobalKnownHostsFile=/dev/null",
            "-o",
            strict,
            "-p",
            &self.port.to_string(),
        ]);
        if let Some(identity) = &self.identity {
            command.arg("-i").arg(identity).args(["-o", "IdentitiesOnly=yes"]);
        }
        let script =
            if self.user == "root" { script.to_owned() } else { format!("sudo -n sh -c {}", quoted(script)) };
        command.arg(format!("{}@{}", self.user, self.address)).arg("--").arg(script);
        command.kill_on_drop(true);
        command
    }

    /// Runs a shell script on the machine as root; `input` is what it reads. Returns what it prints.
    ///
    /// # Errors
    /// In words: it cannot be reached, the script fails, or takes longer than `deadline`.
    pub async fn run(&self, script: &str, input: &[u8], deadline: Duration) -> Result<String, String> {
        let mut command = self.command(script);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("ssh cannot be run: {error}"))?;
        let stdin = child.stdin.take();
        let work = async {
            let write = async {
                if let Some(mut stdin) = stdin {
                    // A script that does not read all has said why, or has all it needs.
                    let _unread = stdin.write_all(input).await;
                }
            };
            let ((), output) = tokio::join!(write, child.wait_with_output());
            output.map_err(|error| format!("ssh: {error}"))
        };
        let output = timeout(deadline, work)
            .await
            .map_err(|_late| format!("{} did not answer within {} s", self.address, deadline.as_secs()))??;
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(&bytes[..bytes.len().min(OUTPUT_MAX_BYTES)]).trim().to_owned()
        };
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            let said = [text(&output.stderr), text(&output.stdout)].join("\n");
            Err(format!("{} on {}: {}", output.status, self.address, said.trim()))
        }
    }

    /// Waits until the machine lets one in.
    ///
    /// # Errors
    /// In words: what ssh said last. A host key that is not the right one is not waited for.
    pub async fn wait(&self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            match self.run("true", b"", Duration::from_secs(30)).await {
                Ok(_) => return Ok(()),
                Err(error)
                    if error.contains("Host key verification failed")
                        || error.contains("HOST IDENTIFICATION") =>
                {
                    return Err(format!("its host key is not the one that its console shows: {error}"));
                }
                Err(error) if begun.elapsed() > LOGIN => return Err(error),
                Err(_not_yet) => sleep(RETRY).await,
            }
        }
    }

    /// Puts a file there, whole or not at all, with this mode from the first moment on.
    ///
    /// # Errors
    /// In words.
    pub async fn put(&self, path: &Path, mode: u32, content: &[u8]) -> Result<(), String> {
        let target = quoted(&path.display().to_string());
        let new = quoted(&format!("{}.new", path.display()));
        let dir = quoted(&path.parent().unwrap_or(Path::new("/")).display().to_string());
        let script = format!(
            "set -e; umask 022; mkdir -p {dir}; umask 077; rm -f {new}; cat > {new}; chmod {mode:04o} {new}; mv -f {new} {target}"
        );
        self.run(&script, content, Duration::from_secs(300)).await.map(|_| ())
    }
}

/// A text as one word of a shell.
#[must_use]
pub fn quoted(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./:@%+=,".contains(&byte));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The host keys that cloud-init prints on the console, as lines of a `known_hosts` file.
#[must_use]
pub fn known_hosts(console: &str, address: &str, port: u16) -> String {
    let host = if port == 22 { address.to_owned() } else { format!("[{address}]:{port}") };
    let mut lines = String::new();
    let mut is_inside = false;
    for line in console.lines() {
        if line.contains("BEGIN SSH HOST KEY KEYS") {
            // After a reboot they are printed again; the last ones count.
            (is_inside, lines) = (true, String::new());
        } else if line.contains("END SSH HOST KEY KEYS") {
            is_inside = false;
        } else if is_inside {
            let words: Vec<&str> = line.split_whitespace().collect();
            let kind =
                words.iter().position(|word| word.starts_with("ssh-") || word.starts_with("ecdsa-sha2-"));
            if let Some([kind, key, ..]) = kind.map(|at| &words[at..]) {
                lines.push_str(&format!("{host} {kind} {key}\n"));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keys_of_the_console_are_those_that_are_believed() {
        let console = "boot\n-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 OLD root@a\n-----END SSH HOST KEY KEYS-----\n\
            [   12.3] cloud-init[9]: -----BEGIN SSH HOST KEY KEYS-----\n[ 12.3] ecdsa-sha2-nistp256 AAAAE root@a\n\
            ssh-ed25519 AAAAC root@a\n-----END SSH HOST KEY KEYS-----\nssh-rsa NOT this\n";
        assert_eq!(
            known_hosts(console, "10.0.0.1", 22),
            "10.0.0.1 ecdsa-sha2-nistp256 AAAAE\n10.0.0.1 ssh-ed25519 AAAAC\n"
        );
        assert!(known_hosts(console, "::1", 2222).starts_with("[::1]:2222 "));
        assert_eq!(known_hosts("", "a", 22), "");
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(
            (quoted("/etc/a.yaml"), quoted("it's"), quoted("")),
            ("/etc/a.yaml".to_owned(), r"'it'\''s'".to_owned(), "''".to_owned())
        );
    }
}
