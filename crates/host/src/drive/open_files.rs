//! The limit of open files: a manager needs one per child, and its children need the limit as it was.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// Enough for any number of children, and no more than that: some programs loop over all possible files.
const WANTED: u64 = 65_536;

/// The limit as it was when we started, if we have raised it.
#[derive(Debug)]
pub(super) struct OpenFiles {
    before: Option<Rlimit>,
}

impl OpenFiles {
    /// Raises the soft limit of this process as far as the hard one allows.
    pub(super) fn raise() -> Self {
        let before = getrlimit(Resource::Nofile);
        let wanted = before.maximum.map_or(WANTED, |hard| hard.min(WANTED));
        let is_low = before.current.is_some_and(|soft| soft < wanted);
        let raised = Rlimit { current: Some(wanted), maximum: before.maximum };
        let is_raised = is_low && setrlimit(Resource::Nofile, raised).is_ok();
        Self { before: is_raised.then_some(before) }
    }

    /// Gives a child the limit that we had: programs that use select(2) rely on a low one.
    pub(super) fn restore_in(&self, pid: u32) {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        if let (Some(before), Some(pid)) = (&self.before, pid) {
            // It may have ended already, or have changed its user; then there is nothing to restore.
            let _ = prlimit(Some(pid), Resource::Nofile, *before);
        }
    }
}
