//! Questions to managers: over the bus, by the control socket of this machine, or to the files they left.

use std::path::PathBuf;
use std::time::Duration;

use campanile_control::journal::{self, Event, Page, Query};
use campanile_control::state_dir::{self, file_name};
use campanile_host::run::{CONTROL_SOCKET, ROLE};
use campanile_ocs::agent::events::EVENTS;
use campanile_ocs::client::{Endpoint, OcsClient, OcsError};
use campanile_ocs::site_config::SiteConfig;
use campanile_pool::run::ADDRESS_FILE;
use campanile_wamp::{Dict, Value};
use serde_json::json;
use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::fleet::declared;

/// How long the router has to accept a connection, and a manager to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
/// Events of a page.
const PAGE_EVENTS: usize = 1000;
/// No command takes more events than this from one manager.
const MAX_EVENTS: usize = 200_000;
/// The classes of agents that have a journal.
const MANAGER_CLASSES: [&str; 3] = [crate::fleet::HOSTMANAGER_CLASS, "CampanilePool", "Maestro"];
/// The parts of a base directory in which the managers keep their states, by what they manage.
const ROLES: [&str; 3] = [ROLE, "pool", "maestro"];

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) subject: Option<String>,
    pub(crate) kinds: Vec<String>,
    /// Not older, in unix seconds.
    pub(crate) since: Option<f64>,
    /// After this event.
    pub(crate) after: Option<u64>,
    /// So many of the newest.
    pub(crate) last: Option<usize>,
}

impl Wanted {
    pub(crate) fn matches(&self, event: &Event) -> bool {
        self.subject.as_ref().is_none_or(|subject| *subject == event.subject)
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
    }

    fn query(&self) -> Query {
        Query {
            subject: self.subject.clone(),
            kinds: self.kinds.clone(),
            since_ms: self.since.map(|since| (since.max(0.0) * 1000.0) as u64),
            after_id: self.after,
            newest: self.last.is_some(),
            limit: self.last.map_or(PAGE_EVENTS, |last| last.min(PAGE_EVENTS)),
            ..Query::default()
        }
    }
}

/// What a manager said.
#[derive(Debug)]
pub(crate) struct Found {
    /// The oldest first.
    pub(crate) events: Vec<Event>,
    /// What is to be known about the answer.
    pub(crate) note: Option<String>,
}

/// The managers of a site, and the ways to them.
#[derive(Clone)]
pub(crate) struct Managers {
    site: SiteConfig,
    base: PathBuf,
    bus: Result<OcsClient, String>,
}

impl Managers {
    /// Connects to the router of a site. Without one the managers of this machine can still be asked.
    pub(crate) async fn open(site: &SiteConfig, state_dir: Option<&PathBuf>) -> Result<Self, Failure> {
        let env = |name: &str| std::env::var(name).ok();
        let base = state_dir::base(state_dir.map(PathBuf::as_path), &env, state_dir::is_root())
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let endpoint = match &site.hub.wamp_http {
            Some(url) => Endpoint::Http(url.clone()),
            None => Endpoint::Ws(site.hub.wamp_server.clone(), site.hub.wamp_realm.clone()),
        };
        let bus = OcsClient::connect(endpoint, ANSWER_TIMEOUT).await.map_err(|error| error.to_string());
        Ok(Self { site: site.clone(), base, bus })
    }

    pub(crate) const fn site(&self) -> &SiteConfig {
        &self.site
    }

    /// The ids of all agents of the site config that have a journal, each once.
    pub(crate) fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for instance in declared::hosts(&self.site).iter().flat_map(|host| &host.instances) {
            let is_manager = MANAGER_CLASSES.contains(&instance.agent_class.as_str());
            if is_manager && !ids.contains(&instance.instance_id) {
                ids.push(instance.instance_id.clone());
            }
        }
        ids
    }

    /// The managers that could know this instance: those of its host, or all if no host has it.
    pub(crate) fn of_instance(&self, instance_id: &str) -> Vec<String> {
        let hosts = declared::hosts(&self.site);
        let home =
            hosts.iter().find(|host| host.instances.iter().any(|known| known.instance_id == instance_id));
        match home {
            Some(home) if self.ids().iter().all(|id| id != instance_id) => {
                home.managers().map(str::to_owned).collect()
            }
            _ if self.ids().iter().any(|id| id == instance_id) => vec![instance_id.to_owned()],
            _ => self.ids(),
        }
    }

    /// Asks all of these at the same time; in their order.
    pub(crate) async fn events_of_all(
        &self,
        ids: &[String],
        wanted: &Wanted,
    ) -> Vec<(String, Result<Found, String>)> {
        let mut asked = JoinSet::new();
        for (index, id) in ids.iter().cloned().enumerate() {
            let (managers, wanted) = (self.clone(), wanted.clone());
            asked.spawn(async move { (index, managers.events(&id, &wanted).await, id) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_by_key(|(index, ..)| *index);
        answers.into_iter().map(|(_, answer, id)| (id, answer)).collect()
    }

    /// The events of one manager, page after page.
    pub(crate) async fn events(&self, id: &str, wanted: &Wanted) -> Result<Found, String> {
        let mut query = wanted.query();
        let limit = wanted.last.unwrap_or(MAX_EVENTS).min(MAX_EVENTS);
        let (mut events, mut note): (Vec<Event>, Option<String>) = (Vec::new(), None);
        loop {
            let (page, from) = self.page(id, &query).await?;
            note = page
                .incomplete
                .map(|why| format!("not all events of {id} are here: {why}"))
                .or(from)
                .or(note);
            if query.newest {
                query.before_id = page.events.first().map(|event| event.id).or(query.before_id);
                events.splice(0..0, page.events);
            } else {
                query.after_id = page.events.last().map(|event| event.id).or(query.after_id);
                events.extend(page.events);
            }
            if !page.more || events.len() >= limit {
                return Ok(Found { events, note });
            }
            query.limit = (limit - events.len()).min(PAGE_EVENTS);
        }
    }

    async fn page(&self, id: &str, query: &Query) -> Result<(Page, Option<String>), String> {
        let question = json!({
            "subject": query.subject, "kinds": query.kinds, "since": query.since_ms.map(|ms| ms as f64 / 1000.0),
            "after": query.after_id, "before": query.before_id, "newest": query.newest, "limit": query.limit,
        });
        match self.call(id, EVENTS, question).await {
            Ok(answer) => {
                let page = serde_json::from_value(answer)
                    .map_err(|error| format!("an unexpected answer: {error}"))?;
                Ok((page, None))
            }
            Err(why) => {
                for dir in self.dirs(id) {
                    if let Ok(page) = journal::read_file(&dir.join(journal::FILE), query).await {
                        let note = format!("{id} does not answer; this is what it has left here");
                        return Ok((page, Some(note)));
                    }
                }
                Err(why)
            }
        }
    }

    /// Calls a procedure of a manager with one argument: over the bus, else by its control socket on this machine.
    pub(crate) async fn call(
        &self,
        id: &str,
        suffix: &str,
        question: serde_json::Value,
    ) -> Result<serde_json::Value, String> {
        self.call_with(id, suffix, vec![question.into()]).await
    }

    /// Asks a manager how one of its operations is: `[code, message, session]`.
    pub(crate) async fn status(&self, id: &str, op_name: &str) -> Result<serde_json::Value, String> {
        self.call_with(id, ".ops", vec!["status".into(), op_name.into()]).await
    }

    async fn call_with(&self, id: &str, suffix: &str, args: Vec<Value>) -> Result<serde_json::Value, String> {
        let address = self.site.address(id);
        let procedure = format!("{address}{suffix}");
        let on_bus = match &self.bus {
            Ok(client) => client.call(&procedure, args.clone(), Dict::new()).await,
            Err(reason) => Err(OcsError::RouterUnreachable {
                endpoint: self.site.hub.wamp_server.clone(),
                reason: reason.clone(),
            }),
        };
        let why = match on_bus {
            Ok(answer) => return Ok(answer.to_json()),
            Err(error @ OcsError::Remote { .. }) => return Err(error.to_string()),
            Err(OcsError::NoSuchAgent { .. }) => {
                "it is down, or has no journal (only Campanile's have)".to_owned()
            }
            Err(OcsError::RouterUnreachable { reason, .. }) => reason,
            Err(error) => error.to_string(),
        };
        let Ok(local) = self.local(id).await else { return Err(why) };
        match local.call(&procedure, args, Dict::new()).await {
            Ok(answer) => Ok(answer.to_json()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The control socket of a manager of this machine.
    pub(crate) async fn local(&self, id: &str) -> Result<OcsClient, OcsError> {
        let mut answer = self.knock(&self.dir(ROLE, id)).await;
        for dir in self.dirs(id).iter().skip(1) {
            if answer.is_err() {
                answer = self.knock(dir).await;
            }
        }
        answer
    }

    async fn knock(&self, dir: &std::path::Path) -> Result<OcsClient, OcsError> {
        let socket = dir.join(CONTROL_SOCKET);
        OcsClient::connect(Endpoint::Unix(socket), ANSWER_TIMEOUT + Duration::from_secs(10)).await
    }

    /// Where a manager of this id may keep its state on this machine, whatever it manages. The states of pools and clusters
    /// go by the names of those; a file in them says by which address their manager is known.
    fn dirs(&self, id: &str) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = ROLES.iter().map(|role| self.dir(role, id)).collect();
        let address = self.site.address(id);
        let entries =
            ROLES[1..].iter().flat_map(|role| std::fs::read_dir(self.base.join(role)).into_iter().flatten());
        dirs.extend(entries.flatten().map(|entry| entry.path()).filter(|dir| {
            std::fs::read_to_string(dir.join(ADDRESS_FILE)).is_ok_and(|text| text.trim() == address)
        }));
        dirs
    }

    fn dir(&self, role: &str, id: &str) -> PathBuf {
        self.base.join(role).join(file_name(&self.site.address(id)))
    }
}
