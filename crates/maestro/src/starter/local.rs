//! Processes of this machine: started in a group of their own, noted on disk, adopted by the next manager.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::UdpSocket;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use campanile_control::atomic_file;
use campanile_control::state_dir::file_name;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::model::{Launch, Name};

/// Output of a daemon beyond this is cut off at its next start.
const MAX_OUTPUT_BYTES: u64 = 10 * 1024 * 1024;
/// Notes larger than this are none of ours.
const MAX_NOTE_BYTES: u64 = 64 * 1024;

/// What is noted of a process. Id and start time together name one process for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    daemon: String,
    pid: u32,
    start_ticks: u64,
}

#[derive(Debug)]
struct Running {
    note: Note,
    /// Absent for one that an earlier manager has started.
    child: Option<Child>,
}

/// The processes of this machine that stand for daemons.
#[derive(Debug)]
pub struct Local {
    dir: PathBuf,
    running: BTreeMap<Name, Running>,
}

impl Local {
    /// Processes that are noted in `dir`, where their output is kept, too.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, running: BTreeMap::new() }
    }

    fn file(&self, daemon: &str, kind: &str) -> PathBuf {
        self.dir.join(format!("{}.{kind}", file_name(daemon)))
    }

    /// Takes over what earlier managers have started and what still runs: names and process ids.
    pub fn adopt(&mut self) -> Vec<(Name, u32)> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().filter_map(Result::ok);
        for entry in entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "note")) {
            match read_note(&entry.path()) {
                Some(note) if start_ticks(note.pid) == Some(note.start_ticks) => {
                    let name = Name::from(note.daemon.as_str());
                    self.running.insert(name, Running { note, child: None });
                }
                _ => {
                    let _ = std::fs::remove_file(entry.path());
                }
            }
        }
        self.running.iter().map(|(name, running)| (name.clone(), running.note.pid)).collect()
    }

    /// Whether a process stands for a daemon.
    #[must_use]
    pub fn runs(&self, daemon: &str) -> bool {
        self.running.contains_key(daemon)
    }

    /// Starts a daemon; gives its process id.
    ///
    /// # Errors
    /// The system refuses.
    pub fn launch(&mut self, daemon: &Name, launch: &Launch) -> io::Result<u32> {
        std::fs::create_dir_all(&self.dir)?;
        let mut command = Command::new(&launch.program);
        if !launch.conf.is_empty() {
            let conf = self.file(daemon, "conf");
            atomic_file::replace(&conf, launch.conf.as_bytes())?;
            command.arg("-c").arg(conf);
        }
        let output = self.output(daemon)?;
        command.args(&launch.arguments).envs(launch.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // Neither Ctrl-C at the manager's terminal nor its end reaches it.
        let mut child = command.process_group(0).current_dir(&self.dir).spawn()?;
        let pid = child.id();
        let note = Note { daemon: daemon.to_string(), pid, start_ticks: start_ticks(pid).unwrap_or(0) };
        let noted = serde_json::to_vec(&note)
            .map_err(io::Error::other)
            .and_then(|text| atomic_file::replace(&self.file(daemon, "note"), &text));
        if let Err(error) = noted {
            // What nobody will know of must not run.
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        self.running.insert(daemon.clone(), Running { note, child: Some(child) });
        Ok(pid)
    }

    fn output(&self, daemon: &str) -> io::Result<File> {
        let path = self.file(daemon, "log");
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        if file.metadata()?.len() > MAX_OUTPUT_BYTES {
            file.set_len(0)?;
        }
        Ok(file)
    }

    /// Those that have ended since the last call, and how.
    pub fn ended(&mut self) -> Vec<(Name, String)> {
        let mut ended = Vec::new();
        for (name, running) in &mut self.running {
            let how = match &mut running.child {
                Some(child) => match child.try_wait() {
                    Ok(None) => None,
                    Ok(Some(status)) => Some(status.to_string()),
                    Err(error) => Some(error.to_string()),
                },
                None if start_ticks(running.note.pid) == Some(running.note.start_ticks) => None,
                None => Some("nobody saw how".to_owned()),
            };
            ended.extend(how.map(|how| (name.clone(), how)));
        }
        for (name, _) in &ended {
            self.running.remove(name);
            let _ = std::fs::remove_file(self.file(name, "note"));
        }
        ended
    }

    /// Tells a daemon to end.
    pub fn terminate(&self, daemon: &str) {
        self.signal(daemon, Signal::TERM);
    }

    /// Kills a daemon.
    pub fn kill(&self, daemon: &str) {
        self.signal(daemon, Signal::KILL);
    }

    fn signal(&self, daemon: &str, signal: Signal) {
        let Some(running) = self.running.get(daemon) else { return };
        if start_ticks(running.note.pid) != Some(running.note.start_ticks) {
            return;
        }
        if let Some(pid) = i32::try_from(running.note.pid).ok().and_then(Pid::from_raw) {
            // It may have ended in this moment.
            let _ = kill_process(pid, signal);
        }
    }
}

fn read_note(path: &Path) -> Option<Note> {
    if std::fs::metadata(path).ok()?.len() > MAX_NOTE_BYTES {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// When a process that has not ended was started, in clock ticks since the machine's start (proc_pid_stat(5)).
fn start_ticks(pid: u32) -> Option<u64> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may contain anything.
    let (_, after) = line.rsplit_once(')')?;
    let mut fields = after.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Whether a host name or address of the cluster file is this machine. Blocks: a name is looked up.
#[must_use]
pub fn is_this_machine(name: &str) -> bool {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let short = host.split('.').next().unwrap_or(&host);
    // An address of this machine can be bound to; a name that stands for one resolves to it.
    name == host || name == short || UdpSocket::bind((name, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn sleeper(program: &str) -> Launch {
        Launch {
            host: "127.0.0.1".to_owned(),
            program: program.into(),
            arguments: vec!["1000".to_owned()],
            environment: vec![("LDMS_TEST".to_owned(), "1".to_owned())],
            conf: String::new(),
        }
    }

    #[test]
    fn a_process_is_adopted_by_its_note_and_ended_by_its_second_manager() {
        let dir = tempfile::tempdir().unwrap();
        let name = Name::from("l1-agg/1");
        let mut first = Local::new(dir.path().to_owned());
        let pid = first.launch(&name, &sleeper("sleep")).unwrap();
        assert!(first.runs(&name) && first.ended().is_empty());
        let mut second = Local::new(dir.path().to_owned());
        assert_eq!(second.adopt(), [(name.clone(), pid)]);
        second.terminate(&name);
        let began = Instant::now();
        // The first one is still its parent, and has to ask how it ended.
        let ended = loop {
            if let Some(ended) = first.ended().pop() {
                break ended;
            }
            assert!(began.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(ended, (name.clone(), "signal: 15 (SIGTERM)".to_owned()));
        assert_eq!(second.ended(), [(name.clone(), "nobody saw how".to_owned())]);
        assert!(Local::new(dir.path().to_owned()).adopt().is_empty(), "its note is gone");
        assert!(first.launch(&name, &sleeper("/no/such/ldmsd")).is_err());
        assert!(!first.runs(&name));
    }

    #[test]
    fn this_machine_is_known_by_name_and_address() {
        assert!(is_this_machine("127.0.0.1") && is_this_machine("localhost"));
        assert!(!is_this_machine("192.0.2.1"));
    }
}
