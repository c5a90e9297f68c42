//! Watching the engine: its event stream tells when to look, an inspection tells what is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use campanile_control::{Backoff, WorkerHandle};
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::containers::{self, Look, PROJECT, unix_ns};
use super::ends::{Ends, Run};
use super::{Shared, words};
use crate::services::{Engine, Tail};

/// An engine that does not begin to answer in this time is away.
const ANSWER_TIMEOUT_S: u64 = 10;
/// A ping is answered in a millisecond, or not at all.
const PING_TIMEOUT: Duration = Duration::from_secs(4);
const PING_EVERY: Duration = Duration::from_secs(5);
/// How often everything is looked at while there is no event stream.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// The stream may be slow to open while the engine starts; until it has proved itself, everything is looked at.
const PROVING: Duration = Duration::from_secs(ANSWER_TIMEOUT_S + 1);
const LOOK_WHILE_PROVING: Duration = Duration::from_secs(2);
/// How far back events are asked for at an opening; what happened in between is then told, not lost.
const LOOK_BACK_S: f64 = 3.0;
/// When a first process has ended and the engine says nothing of it, it is asked after this time, and again.
const CHECK_AFTER: Duration = Duration::from_millis(250);
const CHECK_AGAIN: Duration = Duration::from_secs(1);
/// Events that are taken together.
const MAX_BATCH: usize = 256;
/// Waits between attempts to reach an engine that is away.
const RETRY: Backoff = Backoff { first_ms: 250, max_ms: 5000, factor: 2.0 };

/// What makes a difference to us; health checks and executions in containers would be a steady noise.
const EVENTS: [&str; 18] = [
    "create", "start", "die", "destroy", "stop", "kill", "oom", "pause", "unpause", "rename", "restart",
    "update", "tag", "untag", "pull", "delete", "load", "import",
];

type Questions = mpsc::Receiver<oneshot::Sender<()>>;

/// Watches the engine for as long as anybody is interested.
pub(super) async fn watch(shared: Arc<Shared>, mut questions: Questions, worker: WorkerHandle) {
    let mut attempts = 0;
    loop {
        let before = Instant::now();
        let why = match Watch::open(&shared).await {
            Ok(mut watch) => watch.run(&mut questions, &worker).await,
            Err(why) => why,
        };
        worker.error(&why);
        away(&shared, &why);
        // One that worked for a while has earned a quick second try.
        attempts = if before.elapsed() > PROVING { 0 } else { attempts + 1 };
        let pause = tokio::time::sleep(Duration::from_millis(RETRY.wait_ms(attempts)));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                question = questions.recv() => match question {
                    // Nothing can be seen; whoever waits need not wait any longer.
                    Some(answer) => drop(answer),
                    None => return,
                },
            }
        }
    }
}

fn away(shared: &Shared, why: &str) {
    let text = format!("the docker engine at {} cannot be reached: {why}", shared.options.address.host);
    shared.change(|state| {
        let is_new = state.engine != Engine::Away(text.clone());
        if is_new && !matches!(state.engine, Engine::Away(_)) {
            state.say(format!("Docker services cannot be seen or changed: {text}"));
        }
        state.engine = Engine::Away(text);
    });
}

struct Watch<'a> {
    shared: &'a Shared,
    docker: Docker,
    /// Exit codes that events have told, by container.
    exits: HashMap<String, i64>,
    /// What the system tells of first processes.
    ends: Ends,
    /// When the engine is to be asked about those that have ended.
    check_at: Option<Instant>,
}

/// The end of a container, as an event tells it.
struct Death {
    id: String,
    exit_code: i64,
    at_ns: u64,
}

impl<'a> Watch<'a> {
    async fn open(shared: &'a Shared) -> Result<Self, String> {
        let docker = shared.options.address.connect(ANSWER_TIMEOUT_S)?;
        ping(&docker).await?;
        let agreed = tokio::time::timeout(PING_TIMEOUT, docker.negotiate_version()).await;
        let docker = agreed.map_err(|_| no_answer())?.map_err(|error| words(&error))?;
        Ok(Self { shared, docker, exits: HashMap::new(), ends: Ends::default(), check_at: None })
    }

    /// Until the engine is away; gives the reason.
    async fn run(&mut self, questions: &mut Questions, worker: &WorkerHandle) -> String {
        loop {
            let mut events = self.events();
            if let Err(why) = self.look_at_all().await {
                return why;
            }
            worker.busy("following the events of docker");
            let lost = match self.follow(&mut events, questions).await {
                Ok(lost) => lost,
                Err(why) => return why,
            };
            drop(events);
            worker.error(&format!("the event stream is lost: {lost}"));
            worker.busy("looking at all containers every 5 s, for want of an event stream");
            self.shared.tell(format!(
                "The event stream of docker is lost ({lost}); all containers are looked at every {} s until it is \
                 back.",
                POLL_EVERY.as_secs()
            ));
            if let Err(why) = self.poll_until_events(questions).await {
                return why;
            }
            self.shared.tell("The event stream of docker is back.".to_owned());
        }
    }

    fn events(&self) -> impl Stream<Item = Result<EventMessage, bollard::errors::Error>> + Unpin + use<> {
        let since = (self.shared.clock.now().unix_s - LOOK_BACK_S).floor();
        let filters = HashMap::from([("type", vec!["container", "image"]), ("event", EVENTS.to_vec())]);
        let options = EventsOptionsBuilder::new().since(&format!("{since:.0}")).filters(&filters).build();
        Box::pin(self.docker.events(Some(options)))
    }

    /// Follows the stream. `Ok`: the stream is lost, for this reason, and the engine answers all the same.
    async fn follow(
        &mut self,
        events: &mut (impl Stream<Item = Result<EventMessage, bollard::errors::Error>> + Unpin),
        questions: &mut Questions,
    ) -> Result<String, String> {
        let mut pings = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unproved = Some(Instant::now() + PROVING);
        let mut batch = Vec::new();
        loop {
            let look = unproved.map(|_| Instant::now() + LOOK_WHILE_PROVING);
            tokio::select! {
                event = events.next() => {
                    let mut next = event;
                    loop {
                        match next {
                            Some(Ok(event)) => batch.push(event),
                            Some(Err(error)) => return self.lost(&words(&error)).await,
                            None => return self.lost("it has ended").await,
                        }
                        match events.next().now_or_never() {
                            Some(another) if batch.len() < MAX_BATCH => next = another,
                            Some(Some(Ok(event))) => {
                                batch.push(event);
                                break;
                            }
                            _ => break,
                        }
                    }
                    unproved = None;
                    self.heed(std::mem::take(&mut batch)).await?;
                }
                question = questions.recv() => {
                    self.look_at_all().await?;
                    answer(question);
                }
                run = self.ends.next() => self.left(&run),
                () = sleep_until(self.check_at) => self.check().await?,
                _ = pings.tick() => ping(&self.docker).await?,
                () = sleep_until(look) => {
                    self.look_at_all().await?;
                    unproved = unproved.filter(|until| Instant::now() < *until);
                }
            }
        }
    }

    /// The stream is lost; whether the engine is, too, a ping tells.
    async fn lost(&self, why: &str) -> Result<String, String> {
        ping(&self.docker).await?;
        Ok(why.to_owned())
    }

    async fn poll_until_events(&mut self, questions: &mut Questions) -> Result<(), String> {
        let mut poll_at = Instant::now() + POLL_EVERY;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(poll_at) => poll_at = Instant::now() + POLL_EVERY,
                question = questions.recv() => {
                    self.look_at_all().await?;
                    answer(question);
                    continue;
                }
                run = self.ends.next() => {
                    self.left(&run);
                    continue;
                }
                () = sleep_until(self.check_at) => {
                    self.check().await?;
                    continue;
                }
            }
            self.look_at_all().await?;
            let mut events = self.events();
            // An opening that fails does so at once; one that works says nothing until something happens.
            match tokio::time::timeout(Duration::from_secs(1), events.next()).await {
                Err(_silence) => return Ok(()),
                Ok(Some(Ok(_event))) => return Ok(()),
                Ok(Some(Err(_)) | None) => {}
            }
        }
    }

    /// Looks at what events are about.
    async fn heed(&mut self, events: Vec<EventMessage>) -> Result<(), String> {
        let mut ids = BTreeSet::new();
        let mut images = false;
        let mut deaths: BTreeMap<String, Death> = BTreeMap::new();
        for event in events {
            let Some(actor) = event.actor else { continue };
            if event.typ == Some(EventMessageTypeEnum::IMAGE) {
                images = true;
                continue;
            }
            let attributes = actor.attributes.unwrap_or_default();
            let Some(id) = actor.id.filter(|_| attributes.contains_key(PROJECT)) else { continue };
            if let Some(exit_code) = attributes.get("exitCode").and_then(|code| code.parse().ok()) {
                self.exits.insert(id.clone(), exit_code);
                if event.action.as_deref() == Some("die") {
                    let at_ns = event.time_nano.and_then(|at_ns| u64::try_from(at_ns).ok()).unwrap_or(0);
                    deaths.insert(id.clone(), Death { id: id.clone(), exit_code, at_ns });
                }
            }
            if event.action.as_deref() == Some("start") {
                deaths.remove(&id);
            }
            ids.insert(id);
        }
        self.enter_deaths(deaths.into_values().collect()).await;
        if !ids.is_empty() {
            self.look_at(ids.into_iter().collect()).await?;
        }
        if images { self.look_at_images().await } else { Ok(()) }
    }

    /// Enters what events tell of ends. The engine still holds such a container for a while, so that an inspection would
    /// take as long again as the event has taken; that comes after, and has the last word.
    async fn enter_deaths(&mut self, deaths: Vec<Death>) {
        let is_news = |death: &Death| {
            let state = self.shared.lock();
            // An old event of a container that was started again is none.
            state.known.get(&death.id).is_some_and(|known| {
                known.container.running
                    && unix_ns(known.started_at()).is_some_and(|started_ns| started_ns < death.at_ns)
            })
        };
        let deaths: Vec<Death> = deaths.into_iter().filter(is_news).collect();
        if deaths.is_empty() {
            return;
        }
        let tails = deaths.iter().map(|death| containers::tail(&self.docker, &death.id));
        let tails: Vec<Tail> = futures_util::future::join_all(tails).await;
        let now_ms = self.shared.clock.now().mono_ms;
        self.shared.change(|state| {
            for (death, tail) in deaths.iter().zip(tails) {
                if let Some(known) = state.known.get_mut(&death.id) {
                    known.has_ended(death.exit_code, now_ms, tail);
                }
            }
        });
    }

    /// The first process of a container has ended: it is seen at once; how it ended, the engine will tell.
    fn left(&mut self, run: &Run) {
        self.shared.change(|state| {
            let known = state.known.get_mut(&run.id);
            if let Some(known) = known.filter(|known| known.run(&run.id).as_ref() == Some(run)) {
                known.container.leaving = true;
            }
        });
        self.check_at.get_or_insert(Instant::now() + CHECK_AFTER);
    }

    /// Looks at those whose first process has ended, if the engine has said nothing of them so far.
    async fn check(&mut self) -> Result<(), String> {
        let leaving = |shared: &Shared| -> Vec<String> {
            let state = shared.lock();
            let leaving = state.known.iter().filter(|(_, known)| known.container.leaving);
            leaving.map(|(id, _)| id.clone()).collect()
        };
        self.check_at = None;
        let ids = leaving(self.shared);
        if !ids.is_empty() {
            self.look_at(ids).await?;
        }
        if !leaving(self.shared).is_empty() {
            self.check_at = Some(Instant::now() + CHECK_AGAIN);
        }
        Ok(())
    }

    async fn look_at_all(&mut self) -> Result<(), String> {
        let ids = containers::list(&self.docker).await?;
        let is_listed: BTreeSet<&String> = ids.iter().collect();
        let missing: Vec<String> = {
            let state = self.shared.lock();
            state.known.keys().filter(|id| !is_listed.contains(id)).cloned().collect()
        };
        let looks = self.looks(ids, false).await?;
        self.enter(looks.into_iter().chain(missing.into_iter().map(|id| (id, Look::Gone))).collect(), false);
        self.look_at_images().await?;
        self.shared.change(|state| {
            if matches!(state.engine, Engine::Away(_)) {
                state.say("The docker engine answers again.".to_owned());
            }
            state.engine = Engine::Seen;
        });
        Ok(())
    }

    async fn look_at(&mut self, ids: Vec<String>) -> Result<(), String> {
        let looks = self.looks(ids, true).await?;
        self.enter(looks, true);
        Ok(())
    }

    async fn looks(&self, ids: Vec<String>, may_have_ended: bool) -> Result<Vec<(String, Look)>, String> {
        let before = {
            let state = self.shared.lock();
            ids.iter().filter_map(|id| Some((id.clone(), state.known.get(id)?.clone()))).collect()
        };
        containers::look(&self.docker, ids, &before, may_have_ended, self.shared.clock.now()).await
    }

    fn enter(&mut self, looks: Vec<(String, Look)>, publish: bool) {
        let now_ms = self.shared.clock.now().mono_ms;
        let enter = |state: &mut super::State| {
            for (id, look) in looks {
                match look {
                    Look::Found(known) => {
                        let container = &known.container;
                        state.gone.remove(&(container.project.clone(), container.service.clone()));
                        state.known.insert(id, *known);
                    }
                    Look::Other => {}
                    Look::Gone => {
                        let exit = self.exits.remove(&id);
                        let Some(mut container) = state.known.remove(&id).map(|known| known.container) else {
                            continue;
                        };
                        if container.running {
                            container.exit_code = exit;
                            container.ended_ms = now_ms;
                        }
                        (container.running, container.is_gone) = (false, true);
                        let key = (container.project.clone(), container.service.clone());
                        state.gone.insert(key, container);
                    }
                }
            }
        };
        if publish {
            self.shared.change(enter)
        } else {
            enter(&mut self.shared.lock())
        }
        let state = self.shared.lock();
        self.ends.watch(&state.known);
        self.exits.retain(|id, _| state.known.contains_key(id));
    }

    async fn look_at_images(&self) -> Result<(), String> {
        let tags: BTreeSet<String> = {
            let state = self.shared.lock();
            let documents = state.files.iter().filter_map(|file| file.document.as_ref());
            documents
                .flat_map(|document| document.services.values())
                .map(|service| service.image.clone())
                .collect()
        };
        let images = containers::image_ids(&self.docker, tags.into_iter().collect()).await?;
        self.shared.change(|state| state.images = images);
        Ok(())
    }
}

async fn ping(docker: &Docker) -> Result<(), String> {
    match tokio::time::timeout(PING_TIMEOUT, docker.ping()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(words(&error)),
        Err(_elapsed) => Err(no_answer()),
    }
}

fn no_answer() -> String {
    format!("it does not answer within {} s", PING_TIMEOUT.as_secs())
}

fn answer(question: Option<oneshot::Sender<()>>) {
    if let Some(answer) = question {
        let _ = answer.send(());
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
