//! Real ldmsds, named by `LDMSD`, behind the same few verbs as simulated ones.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Real daemons; they end with the value.
pub(crate) struct Real {
    program: PathBuf,
    ports: Mutex<BTreeMap<String, u16>>,
    children: Mutex<BTreeMap<String, Child>>,
}

impl Real {
    pub(crate) fn new(program: PathBuf) -> Self {
        Self { program, ports: Mutex::default(), children: Mutex::default() }
    }

    pub(crate) fn start(&self, name: &str) -> u16 {
        let port = campanile_testkit::free_port();
        self.ports.lock().unwrap().insert(name.to_owned(), port);
        self.run(name);
        port
    }

    fn run(&self, name: &str) {
        let port = self.ports.lock().unwrap()[name];
        let mut command = Command::new(&self.program);
        // For looking at what a daemon was asked.
        if let Some(dir) = std::env::var_os("LDMSD_TRACES") {
            let file = PathBuf::from(dir).join(format!("{name}.trace"));
            command.arg("-L").arg(format!("7:{}", file.display()));
        }
        let child = command
            .args([
                "-x",
                &format!("sock:{port}:127.0.0.1"),
                "-a",
                "none",
                "-n",
                name,
                "-m",
                "32M",
                "-v",
                "QUIET",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.children.lock().unwrap().insert(name.to_owned(), child);
    }

    fn signal(&self, name: &str, signal: Signal) {
        let children = self.children.lock().unwrap();
        let pid = Pid::from_raw(i32::try_from(children[name].id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn crash(&self, name: &str) {
        self.finish(name, Signal::KILL);
    }

    pub(crate) fn end(&self, name: &str) {
        self.finish(name, Signal::TERM);
    }

    fn finish(&self, name: &str, signal: Signal) {
        self.signal(name, signal);
        if let Some(mut child) = self.children.lock().unwrap().remove(name) {
            child.wait().unwrap();
        }
    }

    pub(crate) fn restart(&self, name: &str) {
        if !self.children.lock().unwrap().contains_key(name) {
            self.run(name);
        }
    }

    pub(crate) fn hang(&self, name: &str) {
        self.signal(name, Signal::STOP);
    }

    pub(crate) fn resume(&self, name: &str) {
        self.signal(name, Signal::CONT);
    }

    /// Stops a daemon for so long, again and again, until the value is dropped.
    pub(crate) fn pulse(&self, name: &str, by: Duration) -> Pulse {
        let pid = Pid::from_raw(i32::try_from(self.children.lock().unwrap()[name].id()).unwrap()).unwrap();
        let (over, ended) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            loop {
                kill_process(pid, Signal::STOP).unwrap();
                let is_over = ended.recv_timeout(by) != Err(mpsc::RecvTimeoutError::Timeout);
                kill_process(pid, Signal::CONT).unwrap();
                if is_over || ended.recv_timeout(by / 5) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Pulse { over: Some(over), thread: Some(thread) }
    }

    /// Starts again what has ended by itself: real daemons do that (F11). Gives their names.
    pub(crate) fn revive(&self) -> Vec<String> {
        let mut ended = Vec::new();
        for (name, child) in self.children.lock().unwrap().iter_mut() {
            if child.try_wait().unwrap().is_some() {
                ended.push(name.clone());
            }
        }
        for name in &ended {
            self.children.lock().unwrap().remove(name);
            self.run(name);
        }
        ended
    }
}

/// See [`Real::pulse`].
pub(crate) struct Pulse {
    over: Option<mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.over.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        for child in self.children.lock().unwrap().values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
