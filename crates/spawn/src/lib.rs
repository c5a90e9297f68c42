//! Starts a program inside a control group, there from its first instruction on (clone3(2), `CLONE_INTO_CGROUP`).
//!
//! A process that is moved into a group after its start waits until every processor has passed a quiet state of the
//! kernel, some ten milliseconds; one that is born in it does not. `std` cannot do that, since it does not know control
//! groups.
//!
//! With `pages` this is the only crate with `unsafe`: until it has become the program, the new process runs in the memory of
//! this one, as with posix_spawn(3), so that nothing of it needs to be copied. Meanwhile the thread that starts it stands
//! still, and only the calls that signal-safety(7) lists may be made. Everything they need is made before.
//!
//! It is written for x86-64; on other processors it is an error (`ENOSYS`), as on a kernel that is too old.

use std::ffi::{CString, OsStr, OsString, c_void};
use std::io;
use std::iter::once;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr::null;

use libc::{c_char, c_int, c_long};

/// Handlers of signals are not copied: one that came before the program has begun would run here for both.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Room for the few calls of the new process, of which execve(2) is the deepest.
const STACK_BYTES: usize = 16 * 1024;
/// The exit code of a process that could not become the program, as shells have it.
const CANNOT_RUN: c_int = 127;

/// `struct clone_args` of clone3(2), of its third version (Linux 5.7).
#[repr(C)]
#[derive(Debug, Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// A program with all that it is started with.
#[derive(Debug)]
pub struct Program {
    path: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
    cwd: Option<CString>,
}

impl Program {
    /// The executable at `path`, with all its arguments (the first is its name for itself) and its whole environment.
    ///
    /// # Errors
    /// The path is not absolute (it would be looked for in `cwd`), or something holds a NUL.
    pub fn new<'a>(
        path: &Path,
        argv: impl IntoIterator<Item = &'a OsStr>,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        cwd: Option<&Path>,
    ) -> io::Result<Self> {
        if !path.is_absolute() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path of the program is not absolute",
            ));
        }
        let c_string = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
        let variable = |(name, value): (OsString, OsString)| {
            let bytes = [name.into_vec(), value.into_vec()].join(&b'=');
            CString::new(bytes).map_err(io::Error::from)
        };
        Ok(Self {
            path: c_string(path.as_os_str().as_bytes())?,
            argv: argv.into_iter().map(|word| c_string(word.as_bytes())).collect::<io::Result<_>>()?,
            env: env.into_iter().map(variable).collect::<io::Result<_>>()?,
            cwd: cwd.map(|cwd| c_string(cwd.as_os_str().as_bytes())).transpose()?,
        })
    }

    /// Starts it in a control group of version 2, of which `group` is the open directory (`O_PATH` is enough), as the
    /// leader of a process group of its own, with these files as standard input, output and error. Returns its process id;
    /// it is a child of this process, to be waited for. What goes wrong in the new process (no such program, no such
    /// directory) shows by its end with exit code 127.
    ///
    /// # Errors
    /// The kernel refuses: it is older than 5.7 (`ENOSYS`), the group may not be entered or is none; or one of the files
    /// is itself standard input, output or error. Nothing was started then.
    pub fn start_in(&self, group: BorrowedFd<'_>, stdio: [BorrowedFd<'_>; 3]) -> io::Result<u32> {
        let stdio = stdio.map(|file| file.as_raw_fd());
        if stdio.iter().any(|number| *number <= libc::STDERR_FILENO) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a standard file cannot be passed on"));
        }
        let pointers = |strings: &[CString]| -> Vec<*const c_char> {
            strings.iter().map(|string| string.as_ptr()).chain(once(null())).collect()
        };
        let (argv, env) = (pointers(&self.argv), pointers(&self.env));
        let way = Way { program: self, argv: &argv, env: &env, stdio };
        let mut stack = vec![Aligned([0; 16]); STACK_BYTES / size_of::<Aligned>()];
        let args = CloneArgs {
            flags: CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP | (libc::CLONE_VM | libc::CLONE_VFORK) as u64,
            exit_signal: libc::SIGCHLD as u64,
            stack: stack.as_mut_ptr() as u64,
            stack_size: STACK_BYTES as u64,
            cgroup: group.as_raw_fd() as u64,
            ..CloneArgs::default()
        };
        // SAFETY: `go` never returns and makes none but async-signal-safe calls: it takes no lock that another thread
        // holds, and allocates nothing. The stack and all that `way` points to are this thread's, which stands still
        // until the new process has another memory or has ended (CLONE_VFORK), and so outlive its use of them.
        #[expect(unsafe_code, reason = "clone3 has no safe form")]
        let pid = unsafe { clone(&args, go, (&raw const way).cast()) };
        match pid {
            errno if errno < 0 => {
                Err(io::Error::from_raw_os_error(i32::try_from(-errno).unwrap_or(libc::EINVAL)))
            }
            pid => u32::try_from(pid).map_err(io::Error::other),
        }
    }
}

/// A piece of a stack, which begins at a multiple of its size.
#[repr(align(16))]
#[derive(Clone, Copy)]
struct Aligned(#[expect(dead_code, reason = "only its room is used")] [u8; 16]);

/// What the new process needs on its way.
struct Way<'a> {
    program: &'a Program,
    argv: &'a [*const c_char],
    env: &'a [*const c_char],
    stdio: [c_int; 3],
}

/// The way of the new process; `way` is a [`Way`].
extern "C" fn go(way: *const c_void) -> ! {
    // SAFETY: `start_in` hands a `Way` over, which lives until this process has another memory. All calls are
    // async-signal-safe (signal-safety(7)); both lists end with a null pointer, and what they point to ends with a NUL.
    #[expect(unsafe_code, reason = "these calls have no safe form that allocates nothing")]
    unsafe {
        let Way { program, argv, env, stdio } = &*way.cast::<Way<'_>>();
        let is_ready = libc::setpgid(0, 0) == 0
            && program.cwd.as_ref().is_none_or(|cwd| libc::chdir(cwd.as_ptr()) == 0)
            && (0..).zip(stdio).all(|(standard, file)| libc::dup2(*file, standard) == standard);
        if is_ready {
            libc::execve(program.path.as_ptr(), argv.as_ptr(), env.as_ptr());
        }
        libc::_exit(CANNOT_RUN)
    }
}

/// clone3(2) with a stack for the new process, on which it calls `entry` with `argument`. Returns its number, or, negative,
/// that of the error.
///
/// # Safety
/// The new process shares this one's memory and begins with nothing but its stack and `argument`: `entry` must bear that.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "what returns on another stack than it was called on can only be written so")]
unsafe fn clone(
    args: &CloneArgs,
    entry: extern "C" fn(*const c_void) -> !,
    argument: *const c_void,
) -> c_long {
    let pid: c_long;
    // SAFETY: the registers are those of a system call of x86-64 (syscall(2)): rcx and r11 are lost, all others are the
    // same in both processes. The new one has an empty stack, aligned as a call demands, and never comes back from the
    // call, so nothing of this function's frame is used by it.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, {argument}",
            "call {entry}",
            "ud2",
            "2:",
            argument = in(reg) argument,
            entry = in(reg) entry,
            inlateout("rax") libc::SYS_clone3 => pid,
            in("rdi") &raw const *args,
            in("rsi") size_of::<CloneArgs>(),
            out("rcx") _,
            out("r11") _,
        );
    }
    pid
}

/// Nobody has written it for this processor.
///
/// # Safety
/// It does nothing.
#[cfg(not(target_arch = "x86_64"))]
#[expect(unsafe_code, reason = "its form is that of the other one")]
unsafe fn clone(_: &CloneArgs, _: extern "C" fn(*const c_void) -> !, _: *const c_void) -> c_long {
    -c_long::from(libc::ENOSYS)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::path::PathBuf;

    use super::*;

    fn shell(script: &str, cwd: Option<&Path>) -> Program {
        let argv = ["sh", "-c", script].map(OsStr::new);
        let env = [("A".into(), "a=b".into())];
        Program::new(Path::new("/bin/sh"), argv, env, cwd).unwrap()
    }

    /// Runs it with a file for its output, in the control group with this directory, and waits for its end.
    fn run(program: &Program, group: &Path) -> io::Result<(u32, String)> {
        let (null, group) = (File::open("/dev/null").unwrap(), File::open(group).unwrap());
        let (mut reader, writer) = io::pipe().unwrap();
        let stdio = [null.as_fd(), writer.as_fd(), writer.as_fd()];
        let pid = program.start_in(group.as_fd(), stdio)?;
        drop(writer);
        let mut output = String::new();
        reader.read_to_string(&mut output).unwrap();
        let process = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap());
        rustix::process::waitpid(process, rustix::process::WaitOptions::empty()).unwrap();
        Ok((pid, output))
    }

    /// A control group to try it with, if this process may make one.
    fn new_group(name: &str) -> Option<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let mount = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let at = fields.next()?;
            (fields.next() == Some("cgroup2")).then_some(at)
        })?;
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let group = Path::new(mount).join(own).join(format!("campanile-spawn-{name}-{}", std::process::id()));
        fs::create_dir(&group).ok()?;
        Some(group)
    }

    #[test]
    fn a_program_begins_in_the_group_with_all_it_was_given() {
        let Some(group) = new_group("one") else {
            eprintln!("not tried: no control groups of version 2 can be made here");
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let script = "pwd; echo $A; echo $0; ps -o pgid= -p $$; cat /proc/self/cgroup; env | wc -l";
        let (pid, output) = run(&shell(script, Some(dir.path())), &group).unwrap();
        let lines: Vec<&str> = output.lines().map(str::trim).collect();
        assert_eq!(lines[0], dir.path().to_str().unwrap());
        assert_eq!(lines[1..4], ["a=b", "sh", &pid.to_string()]);
        let of_group = format!("/{}", group.file_name().unwrap().to_str().unwrap());
        assert!(lines.iter().any(|line| line.starts_with("0::") && line.ends_with(&of_group)), "{output}");

        let gone = shell("echo it runs", Some(Path::new("/no/such/directory")));
        assert_eq!(run(&gone, &group).unwrap().1, "", "without its directory it does not begin");
        fs::remove_dir(&group).unwrap();
    }

    #[test]
    fn threads_that_start_programs_at_the_same_time_do_not_disturb_each_other() {
        let Some(group) = new_group("many") else {
            eprintln!("not tried: no control groups of version 2 can be made here");
            return;
        };
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let group = &group;
                scope.spawn(move || {
                    for round in 0..25 {
                        let word = format!("{thread}/{round}/{}", "x".repeat(round * 100));
                        let program = shell(&format!("echo {word}"), None);
                        assert_eq!(run(&program, group).unwrap().1.trim(), word);
                    }
                });
            }
        });
        fs::remove_dir(&group).unwrap();
    }

    #[test]
    fn what_cannot_be_is_an_error_and_starts_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let program = shell("echo it runs", None);
        assert!(run(&program, dir.path()).is_err(), "that is no control group");
        let (group, input) = (File::open(dir.path()).unwrap(), io::stdin());
        let standard = [input.as_fd(), input.as_fd(), input.as_fd()];
        assert_eq!(
            program.start_in(group.as_fd(), standard).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        let new = |path: &str, word: &str| Program::new(Path::new(path), [OsStr::new(word)], [], None);
        assert!(new("sh", "sh").is_err() && new("/bin/sh", "a\0b").is_err() && new("/bin/sh", "sh").is_ok());
    }
}
