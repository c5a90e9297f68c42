//! One live connection to one daemon: it connects again and again, takes the pulse, carries out orders and looks.
//!
//! Each daemon has a task of its own, so that one that hangs or is far away delays no other. Nothing is decided here:
//! what is seen goes to the manager, and what the manager orders is sent.

use std::future::Future;
use std::os::unix::fs::FileTypeExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use campanile_ldms::api::update_times::UpdateTimes;
use campanile_ldms::auth;
use campanile_ldms::client::{Client, ConnectError, Endpoint, Options, RequestError};
use campanile_ldms::wire::ids::AttrId;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::conductor::{DueLook, Look, Outcome};
use crate::health::Figures;
use crate::model::Control;
use crate::observe::{self, MAX_MATCHED, Parts, Producers, Pulse, Role};
use crate::plan::{Step, Touched, names_of, touches};

/// How daemons are watched.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// Time between two probes.
    pub probe: Duration,
    /// So many unanswered probes make a daemon hung.
    pub strikes: u32,
    /// For a connection to be made.
    pub connect: Duration,
    /// How often everything is looked at, for safety.
    pub look: Duration,
    /// How often figures about performance are asked for.
    pub figures: Duration,
    /// How often coverage is measured at the top.
    pub coverage: Duration,
    /// How often aggregators are asked what became of their updates, which is judged from one answer to the next.
    pub updates: Duration,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            probe: Duration::from_secs(1),
            strikes: 3,
            connect: Duration::from_secs(3),
            look: Duration::from_secs(10),
            figures: Duration::from_secs(10),
            coverage: Duration::from_secs(1),
            updates: Duration::from_secs(30),
        }
    }
}

/// Waits between attempts to connect.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const MAX_RETRY: Duration = Duration::from_secs(1);
/// For requests whose daemon hangs. That it hangs is told by the probes, long before.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests of an order that are on their way at a time. More would be no faster, and each exists twice meanwhile.
const ON_THE_WAY: usize = 512;
/// Orders that wait for a link; the manager never has more than one under way.
const QUEUE: usize = 16;

/// What a link is told.
#[derive(Debug)]
pub enum Command {
    /// Send these, then look at what they touch.
    Order(Vec<Step>),
    /// Look at these producers, or at everything if it names none.
    Look(DueLook),
    /// The daemon is something else now; look at everything.
    Role(Role),
}

/// What a link says.
#[derive(Debug)]
pub enum Report {
    /// It answers; this is what it has.
    Up(Look),
    /// It does not answer.
    Hung(String),
    /// There is no connection.
    Down(String),
    /// A look that nobody has asked for.
    Seen(Look),
    /// A look that was asked for.
    Looked(Look),
    /// An order was carried out.
    Done(Vec<Outcome>, Look),
    /// How long a probe took, milliseconds.
    Pulse(f64),
    /// Figures about performance.
    Figures(Figures),
    /// Sets at the top, with the times of their samples.
    Samples(Vec<(String, u64)>),
    /// What became of the updates of an aggregator.
    Updates(UpdateTimes),
}

impl Report {
    fn look(&self) -> Option<&Look> {
        match self {
            Self::Up(look) | Self::Seen(look) | Self::Looked(look) | Self::Done(_, look) => Some(look),
            _ => None,
        }
    }
}

/// The sender's end of a link; the task ends when it is dropped.
#[derive(Debug)]
pub struct Link {
    commands: mpsc::Sender<Command>,
    role: Role,
    task: AbortHandle,
}

impl Drop for Link {
    /// The task may be waiting for a daemon that hangs; the connection is to be gone at once.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Starts a link. Its reports bear `id`.
    #[must_use]
    pub fn start(
        id: u64,
        control: Control,
        role: Role,
        watch: Watch,
        reports: mpsc::Sender<(u64, Report)>,
    ) -> Self {
        let (commands, queue) = mpsc::channel(QUEUE);
        let task = Task { id, control: Arc::new(control), role, watch, reports, queue };
        let task = tokio::spawn(task.run()).abort_handle();
        Self { commands, role, task }
    }

    /// What the daemon is, as the link was told.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Tells it something. False when it cannot take more.
    #[must_use]
    pub fn tell(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Tells it what the daemon is now; everything is looked at then. False when it cannot take more.
    #[must_use]
    pub fn tell_role(&mut self, role: Role) -> bool {
        self.role = role;
        self.tell(Command::Role(role))
    }
}

struct Task {
    id: u64,
    control: Arc<Control>,
    role: Role,
    watch: Watch,
    reports: mpsc::Sender<(u64, Report)>,
    queue: mpsc::Receiver<Command>,
}

/// The link is no longer wanted.
struct Over;

type Work = Pin<Box<dyn Future<Output = Result<Report, RequestError>> + Send>>;
type Probing = Pin<Box<dyn Future<Output = Result<Pulse, RequestError>> + Send>>;

impl Task {
    async fn run(mut self) {
        let mut wait = Duration::ZERO;
        let (control, watch) = (Arc::clone(&self.control), self.watch);
        loop {
            // In a box, since its state would be kept for as long as the link is.
            let connected = tokio::select! {
                connected = Box::pin(connect(&control, &watch)) => connected,
                over = self.drain() => { let Over = over; return }
            };
            let result = match connected {
                Ok(client) => {
                    wait = Duration::ZERO;
                    let Ok(reason) = self.converse(&client).await else { return };
                    self.report(Report::Down(reason)).await
                }
                Err((reason, true)) => self.report(Report::Hung(reason)).await,
                Err((reason, false)) => self.report(Report::Down(reason)).await,
            };
            if result.is_err() {
                return;
            }
            tokio::select! {
                () = sleep(wait) => {}
                over = self.drain() => { let Over = over; return }
            }
            wait = (wait * 2).clamp(FIRST_RETRY, MAX_RETRY);
        }
    }

    async fn report(&self, report: Report) -> Result<(), Over> {
        self.reports.send((self.id, report)).await.map_err(|_| Over)
    }

    /// Without a connection only the role matters; orders of before are void, and the manager knows.
    async fn drain(&mut self) -> Over {
        loop {
            match self.queue.recv().await {
                Some(Command::Role(role)) => self.role = role,
                Some(_) => {}
                None => return Over,
            }
        }
    }

    /// Talks until the connection is gone; gives the reason.
    async fn converse(&mut self, client: &Client) -> Result<String, Over> {
        let closed = client.closed();
        tokio::pin!(closed);
        let every = |period: Duration| {
            let mut ticks = interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut probes, mut looks) = (every(self.watch.probe), every(self.watch.look));
        let (mut figures, mut coverage) = (every(self.watch.figures), every(self.watch.coverage));
        let (mut updates, mut matched) = (every(self.watch.updates), 0);
        // Everything at once: the first look also is the first probe.
        let mut work: Option<Work> = Some(full_look(client, self.role, Report::Up));
        let mut side: Option<Work> = None;
        let mut probing: Option<Probing> = None;
        let (mut strikes, mut hung, mut up) = (0_u32, false, false);
        let mut known: Option<Pulse> = None;
        let mut look_due = false;
        let mut began = Instant::now();
        loop {
            tokio::select! {
                reason = &mut closed => return Ok(reason),
                command = self.queue.recv(), if work.is_none() && up => {
                    let Some(command) = command else { return Err(Over) };
                    work = Some(match command {
                        Command::Order(steps) => {
                            known = None;
                            order(client, self.role, steps)
                        }
                        Command::Look(look) if !look.producers.is_empty() => {
                            named_look(client, self.role, look)
                        }
                        Command::Look(_) => full_look(client, self.role, Report::Looked),
                        Command::Role(role) => {
                            self.role = role;
                            full_look(client, self.role, Report::Seen)
                        }
                    });
                }
                result = poll(&mut work) => {
                    work = None;
                    match result {
                        Ok(report) => {
                            if let Report::Up(_) = &report {
                                (up, hung, strikes) = (true, false, 0);
                            }
                            matched = report.look().and_then(observe::matched).unwrap_or(matched);
                            self.report(report).await?;
                        }
                        // The probes tell that it hangs; here only the order has no answer.
                        Err(_) if client.is_closed() => {}
                        Err(error) => {
                            if !hung {
                                hung = true;
                                self.report(Report::Hung(error.to_string())).await?;
                            }
                            up = false;
                        }
                    }
                }
                result = poll(&mut side) => {
                    side = None;
                    if let Ok(report) = result {
                        self.report(report).await?;
                    }
                }
                result = poll(&mut probing) => {
                    probing = None;
                    if let Ok(pulse) = result {
                        strikes = 0;
                        if up && !hung {
                            self.report(Report::Pulse(began.elapsed().as_secs_f64() * 1000.0)).await?;
                        }
                        look_due |= known.as_ref() != Some(&pulse);
                        known = Some(pulse);
                    }
                }
                _ = probes.tick() => {
                    if probing.is_some() || (!up && work.is_some()) {
                        strikes += 1;
                        if strikes >= self.watch.strikes && !hung {
                            hung = true;
                            up = false;
                            let waited = self.watch.probe * strikes;
                            let text = format!("no answer for {} s", waited.as_secs_f64());
                            self.report(Report::Hung(text)).await?;
                        }
                    } else {
                        began = Instant::now();
                        probing = Some(probe(client, self.role));
                    }
                }
                _ = looks.tick() => look_due = true,
                _ = figures.tick(), if up && side.is_none() => side = Some(ask_figures(client)),
                _ = coverage.tick(), if up && side.is_none() && self.role.top => side = Some(ask_samples(client)),
                _ = updates.tick(), if up && side.is_none() && self.role.aggregates && matched <= MAX_MATCHED => {
                    side = Some(ask_updates(client));
                }
            }
            if hung && !up && work.is_none() && probing.is_none() && strikes == 0 {
                // It has answered again: what it was told in between is done or refused by now.
                hung = false;
                work = Some(full_look(client, self.role, Report::Up));
            } else if look_due && up && work.is_none() {
                look_due = false;
                work = Some(full_look(client, self.role, Report::Seen));
            }
        }
    }
}

/// Waits for a piece of work, or for ever if there is none.
async fn poll<T>(work: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// What `conf` of the cluster file means to a plugin. As with LDMS, one that has no use for it does not mind it.
fn auth_options(control: &Control) -> Vec<(String, String)> {
    let is_socket = |path: &str| std::fs::metadata(path).is_ok_and(|about| about.file_type().is_socket());
    let option = match (&*control.plugin, &control.conf) {
        ("ovis", Some(conf)) => Some(("conf", conf)),
        ("munge", Some(conf)) if is_socket(conf) => Some(("socket", conf)),
        _ => None,
    };
    option.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

/// Connects; else the reason, and whether somebody is there who does not answer.
async fn connect(control: &Control, watch: &Watch) -> Result<Client, (String, bool)> {
    let endpoint = Endpoint { host: control.host.clone(), port: control.port, xprt: control.xprt.clone() };
    let given = auth_options(control);
    let auth = auth::config::load(&control.plugin, &given, &|name| std::env::var(name).ok())
        .map_err(|error| (with_source(&error), false))?;
    let options = Options {
        auth,
        connect_timeout: watch.connect,
        request_timeout: REQUEST_TIMEOUT,
        ..Options::default()
    };
    Client::connect(&endpoint, &options).await.map_err(|error| {
        let silent = matches!(error, ConnectError::TimedOut { .. });
        (with_source(&error), silent)
    })
}

/// An error with all its causes.
pub(crate) fn with_source(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn full_look(client: &Client, role: Role, report: fn(Look) -> Report) -> Work {
    let client = client.clone();
    Box::pin(async move { observe::look(&client, role, &Parts::all(role)).await.map(report) })
}

fn named_look(client: &Client, role: Role, look: DueLook) -> Work {
    let client = client.clone();
    let (producers, set_times) = (Producers::Named(look.producers), look.set_times);
    let parts = Parts { producers, set_times, ..Parts::default() };
    Box::pin(async move { observe::look(&client, role, &parts).await.map(Report::Looked) })
}

fn probe(client: &Client, role: Role) -> Probing {
    let client = client.clone();
    Box::pin(async move { observe::probe(&client, role).await })
}

fn ask_figures(client: &Client) -> Work {
    let client = client.clone();
    Box::pin(async move { observe::figures(&client).await.map(Report::Figures) })
}

fn ask_samples(client: &Client) -> Work {
    let client = client.clone();
    Box::pin(async move { observe::samples(&client).await.map(Report::Samples) })
}

fn ask_updates(client: &Client) -> Work {
    let client = client.clone();
    Box::pin(async move { observe::updates(&client).await.map(Report::Updates) })
}

/// Sends the steps in order, [`ON_THE_WAY`] at a time, and looks at what they touch.
fn order(client: &Client, role: Role, steps: Vec<Step>) -> Work {
    let client = client.clone();
    Box::pin(async move {
        let parts = parts_of(&steps, role);
        let mut outcomes = Vec::with_capacity(steps.len());
        let mut steps = steps.into_iter();
        while steps.len() > 0 {
            let some = steps.as_slice().iter().take(ON_THE_WAY);
            let requests = some.map(|step| step.request.clone()).collect();
            for (answer, step) in client.request_all(requests).await.into_iter().zip(&mut steps) {
                let answer = answer?;
                let refusal =
                    (answer.errcode != 0).then(|| (answer.errcode, answer.text().trim_end().to_owned()));
                outcomes.push(Outcome { step, refusal });
            }
        }
        let look = observe::look(&client, role, &parts).await?;
        Ok(Report::Done(outcomes, look))
    })
}

/// What is to be looked at after these steps.
fn parts_of(steps: &[Step], role: Role) -> Parts {
    let all = Parts::all(role);
    let mut parts = Parts::default();
    let mut names = Vec::new();
    for step in steps {
        match touches(step.request.id) {
            Touched::Producers => {
                let value = |id: AttrId| step.request.attributes.iter().find(|attribute| attribute.id == id);
                let named = match (value(AttrId::NAME), value(AttrId::REGEX)) {
                    (Some(name), _) => Some(vec![name.value().into_owned()]),
                    (None, Some(regex)) => names_of(&regex.value()),
                    (None, None) => None,
                };
                match named {
                    Some(named) => names.extend(named),
                    None => parts.producers = Producers::All,
                }
            }
            Touched::Updaters => parts.updaters = all.updaters,
            Touched::Plugins => parts.plugins = true,
            Touched::Stores => parts.stores = all.stores,
            Touched::Listeners => parts.listeners = all.listeners,
            Touched::Nothing => {}
        }
    }
    // Deletions cannot be seen by asking for what is gone.
    let deletes = steps.iter().any(|step| step.request.verb().ends_with("_del"));
    if deletes && all.producers == Producers::All {
        parts.producers = Producers::All;
    } else if !names.is_empty() && parts.producers == Producers::None {
        parts.producers = Producers::Named(names);
    }
    parts
}

#[cfg(test)]
mod tests {
    use campanile_ldms::command;
    use campanile_ldms::sim::daemon::Options as Simulated;
    use campanile_ldms::sim::fleet::Fleet;
    use campanile_ldms::wire::errno;

    use super::*;
    use crate::plan::Why;

    #[tokio::test]
    async fn a_long_order_is_carried_out_in_parts_and_each_step_has_its_own_answer() {
        let fleet = Fleet::new();
        let port = fleet.start(Simulated::new("l1", 0)).unwrap();
        let client = Client::connect(&Endpoint::sock("127.0.0.1", port), &Options::default()).await.unwrap();
        let number = 2 * ON_THE_WAY + 7;
        // The first is there already when its second comes, in the second part.
        let name = |at: usize| if at == ON_THE_WAY { 0 } else { at };
        let step = |at| {
            let line =
                format!("prdcr_add name=s-{} type=active xprt=sock host=h port=1 reconnect=1s", name(at));
            let request = command::parse(&line).unwrap().unwrap();
            Step { request, tolerates: &[], mark: None, why: Why::Missing }
        };
        let role = Role { aggregates: true, ..Role::default() };
        let done = order(&client, role, (0..number).map(step).collect()).await.unwrap();
        let Report::Done(outcomes, look) = done else { panic!("{done:?}") };
        let refused = |at: usize| outcomes[at].refusal.as_ref().map(|(errno, _)| *errno);
        assert_eq!(outcomes.len(), number);
        for (at, outcome) in outcomes.iter().enumerate() {
            assert_eq!(outcome.step.request, step(at).request);
            assert_eq!(refused(at), (at == ON_THE_WAY).then_some(errno::EEXIST), "{at}");
        }
        assert_eq!(look.producers.unwrap().len(), number - 1);
    }
}
