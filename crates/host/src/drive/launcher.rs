//! The launcher: what becomes the program. It is this very executable, run again under another name.
//!
//! Between fork and exec only unsafe code could run, so what has to be done in the new process before the program
//! begins is done by a process of ours that then execs the program: same pid, same parent, same open files.
//!
//! **Expected flow.** The manager starts it with one end of a socket as its standard input. It enters the control
//! group that it was told, says `ready` (or why it could not), and waits. The manager notes the run on disk and says
//! `go`. Then it execs; the socket closes by that, which tells the manager. If the exec fails it says why, and ends.
//!
//! **Guarantees.** A program never begins before its run is noted: a manager that dies before it has said `go` leaves
//! a launcher that sees the end of the socket and ends. So a manager's successor knows every program there is.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

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

    /// A command for the program `argv`, to be completed with environment, output and the like, and then given to
    /// [`Launch::begin`].
    #[must_use]
    pub fn command(&self, group: Option<&Path>, argv: &[OsString]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg0(NAME).arg(group.map_or(NO_GROUP.as_ref(), Path::as_os_str)).args(argv);
        command
    }
}

/// A launcher that waits to become its program.
#[derive(Debug)]
pub struct Launch {
    /// The process.
    pub child: Child,
    /// Why it could not enter its control group, if it could not; it goes without.
    pub no_entry: Option<String>,
    control: UnixStream,
}

impl Launch {
    /// Starts the launcher and waits until it is ready. Blocks.
    ///
    /// # Errors
    /// The system refuses. Nothing runs then.
    pub fn begin(mut command: Command) -> io::Result<Self> {
        let (control, theirs) = UnixStream::pair()?;
        control.set_read_timeout(Some(READY_TIMEOUT))?;
        let child = command.stdin(OwnedFd::from(theirs)).spawn()?;
        // The command holds the other end, which must not outlive the launcher.
        drop(command);
        let mut launch = Self { child, no_entry: None, control };
        match launch.wait_until_ready() {
            Ok(no_entry) => launch.no_entry = no_entry,
            Err(error) => {
                launch.cancel();
                return Err(error);
            }
        }
        Ok(launch)
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
    pub fn go(mut self) -> Result<Child, String> {
        let mut why = Vec::new();
        let said = self.control.write_all(&[GO]).and_then(|()| self.control.set_read_timeout(None));
        // A launcher that was killed says nothing; that is an end like any other, and is seen as such.
        if said.is_ok() {
            let _ = Read::by_ref(&mut self.control).take(MAX_MESSAGE_BYTES).read_to_end(&mut why);
        }
        if why.is_empty() {
            return Ok(self.child);
        }
        let _ = self.child.wait();
        Err(String::from_utf8_lossy(&why).into_owned())
    }

    /// Ends it without having begun.
    pub fn cancel(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
