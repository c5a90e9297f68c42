//! Seeing that an instance does its work (`ready` in the site config). Every function returns when it does, and waits
//! for ever where it does not: whoever calls it gives up when the instance has ended.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use campanile_ocs::agent::Agent;
use campanile_wamp::Match;
use tokio::sync::Notify;

use super::process::CommandLine;

/// The first look comes after this time, the next after twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Looks are not further apart.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A command that has not answered after this time is killed, and run again.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Pauses between two looks.
struct Pauses(Duration);

impl Pauses {
    fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

/// Something on this host listens on a TCP port. It is not connected to: many servers log each connection.
pub async fn port(port: u16) {
    let mut pauses = Pauses::new();
    while !tokio::task::spawn_blocking(move || is_listening(port)).await.unwrap_or(false) {
        pauses.pause().await;
    }
}

fn is_listening(port: u16) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().any(|file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().skip(1).any(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let local = fields.next().and_then(|address| address.rsplit_once(':'));
            let is_it = local.is_some_and(|(_, number)| u16::from_str_radix(number, 16) == Ok(port));
            is_it && fields.nth(1) == Some(LISTEN)
        })
    })
}

/// A program ends with 0. It runs with the environment and in the directory of the instance.
pub async fn command(line: &CommandLine) {
    let mut pauses = Pauses::new();
    loop {
        if let Some((program, arguments)) = line.argv.split_first() {
            let mut command = tokio::process::Command::new(program);
            command.args(arguments).envs(line.env.iter().map(|(name, value)| (name, value)));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            if let Some(cwd) = &line.cwd {
                command.current_dir(cwd);
            }
            let ended = tokio::time::timeout(COMMAND_TIMEOUT, command.status()).await;
            if matches!(ended, Ok(Ok(status)) if status.success()) {
                return;
            }
        }
        pauses.pause().await;
    }
}

/// Its heartbeat comes over the bus.
pub async fn heartbeat(agent: &Agent, address: &str) {
    let Some(client) = agent.client() else { return std::future::pending().await };
    let beat = Arc::new(Notify::new());
    let heard = Arc::clone(&beat);
    let topic = format!("{address}.feeds.heartbeat");
    let subscription = client.subscribe(&topic, Match::Exact, Arc::new(move |_event| heard.notify_one()));
    let _ends = Unsubscribe(subscription);
    beat.notified().await;
}

/// Ends a subscription also when nobody waits for it any more.
struct Unsubscribe(campanile_wamp::net::client::Subscription);

impl Drop for Unsubscribe {
    fn drop(&mut self) {
        self.0.unsubscribe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_seen_when_something_listens_and_not_before() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        port(number).await;
        drop(listener);
        assert!(!is_listening(number));
    }

    #[tokio::test]
    async fn a_command_is_run_until_it_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[ -e again ] && exit 0; touch again; exit 1";
        let argv = ["sh", "-c", text].map(Into::into).into();
        command(&CommandLine { argv, env: Vec::new(), cwd: Some(dir.path().to_owned()) }).await;
        assert!(dir.path().join("again").exists());
    }
}
