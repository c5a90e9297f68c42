//! The launcher: what becomes the program. It is this very executable, run again under another name.
//!
//! Between fork and exec only unsafe code could run, so what has to be done in the new process before the program
//! begins is done by a process of ours that then execs the program: same pid, same parent, same open files.
//!
//! **Expected flow.** The manager starts it with one end of a socket as its standard input, in the instance's control
//! group; where the kernel cannot start a process in a group, the launcher enters it by itself, which takes some ten
//! milliseconds more. It says `ready` (or why it could not enter), and waits. The manager notes the run on disk and says
//! `go`. Then it execs; the socket closes by that, which tells the manager. If the exec fails it says why, and ends.
//!
//! **Guarantees.** A program never begins before its run is noted: a manager that dies before it has said `go` leaves
//! a launcher that sees the end of the socket and ends. So a manager's successor knows every program there is.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// The name under which the executable is a launcher (its `argv[0]`).
pub const NAME: &str = "campanile-launcher";
/// In place of a control group where there is none.
const NO_GROUP: &str = "-";
const READY: u8 = b'r';
const NO_ENTRY: u8 = b'n';
const GO: u8 = b'g';
/// A launcher that is not ready after this time (a machine that is out of memory, mostly) is given up.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// No message is longer.
const MAX_MESSAGE_BYTES: u64 = 4096;
/// The exit code of a launcher whose program could not be run, as shells have it.
const CANNOT_RUN: u8 = 127;

/// Which executable is the launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    program: PathBuf,
}

impl Launcher {
    /// This executable, also when its file has been replaced by another version since.
    #[must_use]
    pub fn this_program() -> Self {
        Self::at(Path::new("/proc/self/exe"))
    }

    /// Another executable that calls [`run`].
    #[must_use]
    pub fn at(program: &Path) -> Self {
        Self { program: program.to_owned() }
    }

    /// Starts it in this control group, if the kernel can do that.
    fn start_in(&self, group: &Path, what: &LaunchSpec, stdin: &OwnedFd) -> io::Result<u32> {
        // There it would never become the launcher, and we would wait for that without end.
        let events = std::fs::read_to_string(group.join("cgroup.events"))?;
        if events.lines().any(|line| line == "frozen 1") {
            return Err(io::Error::other("the group is frozen"));
        }
        let group = File::from(rustix::fs::open(group, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?);
        let argv =
            [NAME.as_ref(), NO_GROUP.as_ref()].into_iter().chain(what.argv.iter().map(OsString::as_os_str));
        let is_set = |name: &OsStr| what.env.iter().any(|(set, _)| set == name);
        let inherited = std::env::vars_os().filter(|(name, _)| !is_set(name));
        let env = inherited.chain(what.env.iter().cloned());
        let program = campanile_spawn::Program::new(&self.program, argv, env, what.cwd.as_deref())?;
        program.start_in(group.as_fd(), [stdin.as_fd(), what.stdout.as_fd(), what.stderr.as_fd()])
    }

    /// Starts it where we are; it enters the group by itself.
    fn start(&self, group: Option<&Path>, what: &LaunchSpec, stdin: OwnedFd) -> io::Result<u32> {
        let mut command = Command::new(&self.program);
        command.arg0(NAME).arg(group.map_or(NO_GROUP.as_ref(), Path::as_os_str)).args(&what.argv);
        command.envs(what.env.iter().map(|(name, value)| (name, value))).process_group(0);
        if let Some(cwd) = &what.cwd {
            command.current_dir(cwd);
        }
        command.stdin(stdin).stdout(what.stdout.try_clone()?).stderr(what.stderr.try_clone()?);
        Ok(command.spawn()?.id())
    }
}

/// What is to be run, and with what.
#[derive(Debug)]
pub struct LaunchSpec {
    /// The program, and its arguments.
    pub argv: Vec<OsString>,
    /// What is set in its environment, beside ours. A name stands in it once.
    pub env: Vec<(OsString, OsString)>,
    /// Where it runs, if not where we do.
    pub cwd: Option<PathBuf>,
    /// Where its standard output goes.
    pub stdout: File,
    /// Where its standard error goes.
    pub stderr: File,
}

/// A launcher that waits to become its program. It is a child that nobody else waits for, so its number stays its own.
#[derive(Debug)]
pub struct Launch {
    /// Why it could not enter its control group, if it could not; it goes without.
    pub no_entry: Option<String>,
    pid: u32,
    control: UnixStream,
}

impl Launch {
    /// Starts the launcher, in this control group if there is one, and waits until it is ready. Blocks.
    ///
    /// # Errors
    /// The system refuses. Nothing runs then.
    pub fn begin(launcher: &Launcher, group: Option<&Path>, what: &LaunchSpec) -> io::Result<Self> {
        if let Some(group) = group {
            match Self::begin_by(|stdin| launcher.start_in(group, what, &stdin)) {
                // It did not say what is wrong, or the kernel, its settings or a sandbox do not allow it. The other way
                // works, or tells what is wrong.
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    tracing::debug!(%error, group = %group.display(), "nothing can be started in the group");
                }
                done => return done,
            }
        }
        Self::begin_by(|stdin| launcher.start(group, what, stdin))
    }

    fn begin_by(start: impl FnOnce(OwnedFd) -> io::Result<u32>) -> io::Result<Self> {
        let (control, theirs) = UnixStream::pair()?;
        control.set_read_timeout(Some(READY_TIMEOUT))?;
        // Our copy of the other end does not outlive the start: what is read from ours ends with the launcher.
        let mut launch = Self { pid: start(OwnedFd::from(theirs))?, no_entry: None, control };
        match launch.wait_until_ready() {
            Ok(no_entry) => launch.no_entry = no_entry,
            Err(error) => {
                launch.cancel();
                return Err(error);
            }
        }
        Ok(launch)
    }

    /// Its process id, which will be that of the program.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    fn wait_until_ready(&mut self) -> io::Result<Option<String>> {
        let mut kind = [0];
        self.control.read_exact(&mut kind)?;
        if kind[0] == READY {
            return Ok(None);
        }
        let mut length = [0];
        self.control.read_exact(&mut length)?;
        let mut text = vec![0; usize::from(length[0])];
        self.control.read_exact(&mut text)?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Lets it become its program. Blocks until it has, or has failed to. `Err` has the system's words; the process
    /// has ended then, and is reaped.
    ///
    /// # Errors
    /// The program cannot be run.
    pub fn go(mut self) -> Result<(), String> {
        let mut why = Vec::new();
        let said = self.control.write_all(&[GO]).and_then(|()| self.control.set_read_timeout(None));
        // A launcher that was killed says nothing; that is an end like any other, and is seen as such.
        if said.is_ok() {
            let _ = Read::by_ref(&mut self.control).take(MAX_MESSAGE_BYTES).read_to_end(&mut why);
        }
        if why.is_empty() {
            return Ok(());
        }
        self.reap();
        Err(String::from_utf8_lossy(&why).into_owned())
    }

    /// Ends it without having begun.
    pub fn cancel(self) {
        if let Some(pid) = self.raw_pid() {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.reap();
    }

    /// Waits for its end.
    fn reap(&self) {
        let Some(pid) = self.raw_pid() else { return };
        while matches!(waitid(WaitId::Pid(pid), WaitIdOptions::EXITED), Err(rustix::io::Errno::INTR)) {}
    }

    fn raw_pid(&self) -> Option<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw)
    }
}

/// Whether this executable was run to be a launcher.
#[must_use]
pub fn is_meant() -> bool {
    std::env::args_os().next().is_some_and(|name| name == NAME)
}

/// Whether the process `pid` is a launcher that has not become its program yet.
#[must_use]
pub fn is_waiting(pid: u32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).next() == Some(NAME.as_bytes())
}

/// Is the launcher. Returns only if the program was not run.
#[must_use]
pub fn run() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (group, argv) = (arguments.next().unwrap_or_default(), arguments.collect::<Vec<_>>());
    match become_program(&group, &argv) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::from(CANNOT_RUN)
        }
    }
}

fn become_program(group: &OsString, argv: &[OsString]) -> io::Result<()> {
    let (program, arguments) =
        argv.split_first().ok_or_else(|| io::Error::other("it is part of campanile and not for people"))?;
    // A duplicate is closed by the exec.
    let mut control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    match enter(group) {
        Ok(()) => control.write_all(&[READY])?,
        Err(error) => {
            let text = error.to_string();
            let text = &text.as_bytes()[..text.len().min(usize::from(u8::MAX))];
            control.write_all(&[&[NO_ENTRY, text.len() as u8], text].concat())?;
        }
    }
    let mut go = [0];
    if control.read(&mut go)? == 0 {
        // The manager has died. Its successor does not know of us.
        return Ok(());
    }
    let error = Command::new(program).args(arguments).exec();
    control.write_all(error.to_string().as_bytes())?;
    Err(error)
}

fn enter(group: &OsString) -> io::Result<()> {
    if group == NO_GROUP {
        return Ok(());
    }
    let group = PathBuf::from(OsString::from_vec(group.as_bytes().to_vec()));
    std::fs::write(group.join("cgroup.procs"), "0")
}
