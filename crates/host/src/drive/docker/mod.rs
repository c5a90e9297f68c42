//! Docker: the compose files that are managed, the engine's containers, and the calls that change them.
//!
//! ```text
//! files ─ watch ─▶ compose config ─▶ ╲
//!                                     State ─ join ─▶ View ─▶ the manager settles it into its table
//! engine ─ events, inspect ────────▶ ╱
//! calls ◀─ launch, stop (of a plan); tasks ◀─ docker_pull, remove_orphans
//! ```
//!
//! **Guarantees.** What is seen comes from the engine by its event stream; the stream is only a hint, an inspection is
//! the truth, and after every opening of the stream all containers are looked at. Nothing is polled while it works. That
//! a container has ended the system tells before the engine does; how it ended, the engine.
//! Every call to the engine and to compose has a time limit. Calls for one service never overlap.
//!
//! **Errors.** An engine that is away makes its services unseen, with the reason, until it answers again; a file that
//! cannot be read keeps its last good form. Neither is heard of by native instances.

mod address;
mod calls;
mod cli;
mod containers;
mod ends;
mod engine;
mod files;
mod output;
mod tasks;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use campanile_control::{Clock, Workers};
use tokio::sync::{Notify, mpsc, oneshot};

pub use address::Address;
use calls::Calls;
pub use cli::Compose;
use containers::Known;

use crate::services::{Container, Engine, FileState, Launch, View, join};

/// Messages that nobody has taken yet; the oldest go first.
const MAX_MESSAGES: usize = 1000;
/// Questions to a background loop that it has not come to yet.
const MAX_QUESTIONS: usize = 64;
/// What an answer of a background loop is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Which files are managed, and by what means.
#[derive(Clone, Debug)]
pub struct Options {
    /// The compose files, as they were named.
    pub files: Vec<String>,
    /// What relative paths begin at.
    pub working_dir: PathBuf,
    /// The compose program, if one is named.
    pub compose_bin: Option<PathBuf>,
    /// Where the engine is.
    pub address: Address,
}

/// The docker side of a HostManager. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Dockers {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    compose: Compose,
    clock: Clock,
    state: Mutex<State>,
    changed: Notify,
    calls: Calls,
    /// To the loop that watches the engine: look at everything again.
    look_again: mpsc::Sender<oneshot::Sender<()>>,
    /// To the loop that watches the files: read them all again.
    read_again: mpsc::Sender<oneshot::Sender<()>>,
}

struct State {
    engine: Engine,
    known: BTreeMap<String, Known>,
    /// Containers that were removed, by project and service; remembered for how they ended.
    gone: BTreeMap<(String, String), Container>,
    /// The images that were asked for, by tag.
    images: BTreeMap<String, Option<String>>,
    files: Vec<FileState>,
    paths: BTreeMap<String, PathBuf>,
    launches: BTreeMap<String, Launch>,
    foreign: BTreeSet<String>,
    messages: Vec<String>,
    view: Arc<View>,
}

impl Dockers {
    /// Begins to watch the files and the engine. Needs a tokio runtime.
    #[must_use]
    pub fn start(options: Options, clock: Clock, workers: &Workers) -> Self {
        let (look_again, looks) = mpsc::channel(MAX_QUESTIONS);
        let (read_again, reads) = mpsc::channel(MAX_QUESTIONS);
        let unread = |name: &String| FileState { name: name.clone(), status: None, document: None };
        let files: Vec<FileState> = options.files.iter().map(unread).collect();
        let view = View {
            engine: Engine::Waiting,
            files: files.clone(),
            services: BTreeMap::new(),
            orphans: BTreeMap::new(),
            launches: BTreeMap::new(),
        };
        let state = State {
            engine: Engine::Waiting,
            known: BTreeMap::new(),
            gone: BTreeMap::new(),
            images: BTreeMap::new(),
            files,
            paths: BTreeMap::new(),
            launches: BTreeMap::new(),
            foreign: BTreeSet::new(),
            messages: Vec::new(),
            view: Arc::new(view),
        };
        let shared = Arc::new(Shared {
            compose: Compose::new(
                options.compose_bin.as_deref(),
                &options.working_dir,
                &options.address.host,
            ),
            calls: Calls::new(&options.files),
            options,
            clock,
            state: Mutex::new(state),
            changed: Notify::new(),
            look_again,
            read_again,
        });
        tokio::spawn(files::watch(Arc::clone(&shared), reads, workers.register("docker files")));
        tokio::spawn(engine::watch(Arc::clone(&shared), looks, workers.register("docker engine")));
        calls::start(&shared, workers);
        Self { shared }
    }

    /// What is known at this moment.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.shared.lock().view)
    }

    /// What is to be told to people since the last time.
    #[must_use]
    pub fn take_messages(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().messages)
    }

    /// Waits until there is something new in [`Dockers::view`] or [`Dockers::take_messages`].
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Reads all compose files again, and waits until that is done.
    ///
    /// # Errors
    /// In words: which of them cannot be used.
    pub async fn read_again(&self) -> Result<(), String> {
        ask(&self.shared.read_again).await;
        let view = self.view();
        let broken = view.files.iter().filter_map(|file| match &file.status {
            Some((false, _, why)) => Some(why.clone()),
            _ => None,
        });
        broken.reduce(|all, why| format!("{all}\n{why}")).map_or(Ok(()), Err)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is whole before anything in it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, message: String) {
        self.lock().say(message);
        self.changed.notify_one();
    }

    /// Changes the state and lets the manager see what came of it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let told = state.messages.len();
        let result = change(&mut state);
        if state.join() || state.messages.len() != told {
            self.changed.notify_one();
        }
        result
    }

    /// Has everything looked at again, and waits until that is done, or the engine is found to be away.
    async fn look_again(&self) {
        ask(&self.look_again).await;
    }

    fn path(&self, file: &str) -> PathBuf {
        self.options.working_dir.join(file)
    }
}

impl State {
    fn say(&mut self, message: String) {
        self.messages.push(message);
        let surplus = self.messages.len().saturating_sub(MAX_MESSAGES);
        self.messages.drain(..surplus);
    }

    /// Puts together what is known; says whether anything is new.
    fn join(&mut self) -> bool {
        let live = self.known.values().map(|known| known.container.clone());
        let containers: Vec<Container> = live.chain(self.gone.values().cloned()).collect();
        let joined = join::join(&self.files, &self.paths, &containers, &self.images);
        let new: Vec<String> = joined.foreign.difference(&self.foreign).cloned().collect();
        new.into_iter().for_each(|text| self.say(text));
        self.foreign = joined.foreign;
        let view = View {
            engine: self.engine.clone(),
            files: self.files.clone(),
            services: joined.services,
            orphans: joined.orphans,
            launches: self.launches.clone(),
        };
        let is_new = view != *self.view;
        if is_new {
            self.view = Arc::new(view);
        }
        is_new
    }
}

/// Puts a question to a background loop and waits for the answer; not for ever, and not if the loop has other worries.
async fn ask(to: &mpsc::Sender<oneshot::Sender<()>>) {
    let (answer, answered) = oneshot::channel();
    if to.send(answer).await.is_ok() {
        let _ = tokio::time::timeout(ANSWER_TIMEOUT, answered).await;
    }
}

/// An error with its causes, in one line; what stands in the text of the one before is not repeated.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    // The name of the library that says it helps nobody.
    text.strip_prefix("Error in the hyper legacy client: ").map_or(text.clone(), str::to_owned)
}
