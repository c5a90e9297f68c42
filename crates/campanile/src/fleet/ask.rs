//! The calls to HostManagers: all of them at the same time, each with a deadline, so that a dead one costs nobody else
//! anything.

use std::collections::BTreeMap;
use std::time::Duration;

use campanile_ocs::client::{Action, Endpoint, OcsClient, OcsError, OpReply, Passwords};
use campanile_ocs::codes::OpStatus;
use campanile_ocs::site_config::{Hub, SiteConfig};
use campanile_wamp::Dict;
use serde_json::Value;
use tokio::task::JoinSet;

use super::declared::{self, DeclaredHost};
use super::report::{ManagerReport, ManagerState};
use super::request::{self, Request, Target};
use super::select::ManagerTargets;
use super::survey::Fleet;
use crate::failure::Failure;

/// How long the router has to accept a connection, and an agent to answer a question.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a HostManager has to take over new targets; with a reload it reads files and asks Python for its plugins.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(15);
/// So often a request is repeated that met another client's, each time after that one has ended.
const UPDATE_TRIES_MAX: usize = 5;

/// A site as a client reaches it.
#[derive(Clone)]
pub(crate) struct Bus {
    site: SiteConfig,
    declared: Vec<DeclaredHost>,
    link: Link,
}

#[derive(Clone)]
enum Link {
    Open(OcsClient),
    Closed { reason: String },
}

/// What was found out about the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RouterState {
    Reached,
    /// Nobody is there.
    Unreachable {
        reason: String,
    },
}

/// The picture of a site.
pub(crate) struct Survey {
    pub(crate) router: RouterState,
    pub(crate) fleet: Fleet,
}

/// What became of the request to one HostManager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) manager: String,
    /// Its `manager` process was asleep and was started.
    pub(crate) woken: bool,
    /// Targets for which it had to read its site config again.
    pub(crate) not_known: Vec<String>,
    /// Why the request was not carried out, or not in full.
    pub(crate) problem: Option<String>,
}

impl Bus {
    /// Connects to the router of a site: over its HTTP bridge, or its websocket where the site config has no bridge.
    ///
    /// A router that is away is no error here: commands differ in what they make of it.
    ///
    /// # Errors
    /// When the site config names no usable URL, or the router does not serve this site's realm.
    pub(crate) async fn open(site: &SiteConfig) -> Result<Self, Failure> {
        let link = match OcsClient::connect(endpoint(&site.hub), ANSWER_TIMEOUT).await {
            Ok(client) => Link::Open(client),
            Err(OcsError::RouterUnreachable { reason, .. }) => Link::Closed { reason },
            Err(error @ OcsError::Protocol(_)) => return Err(Failure::Usage(error.to_string())),
            Err(error) => Link::Closed { reason: error.to_string() },
        };
        Ok(Self { site: site.clone(), declared: declared::hosts(site), link })
    }

    /// The same, sending these passwords where an agent demands them.
    pub(crate) fn with_passwords(mut self, passwords: Passwords) -> Self {
        if let Link::Open(client) = self.link {
            self.link = Link::Open(client.with_passwords(passwords));
        }
        self
    }

    /// The URL by which the router is reached.
    pub(crate) fn url(&self) -> &str {
        self.site.hub.wamp_http.as_deref().unwrap_or(&self.site.hub.wamp_server)
    }

    /// The site config's hosts.
    pub(crate) fn declared(&self) -> &[DeclaredHost] {
        &self.declared
    }

    /// The connection.
    ///
    /// # Errors
    /// When the router was not reached.
    pub(crate) fn client(&self) -> Result<&OcsClient, Failure> {
        match &self.link {
            Link::Open(client) => Ok(client),
            Link::Closed { reason } => Err(self.unreachable(reason)),
        }
    }

    /// The failure of a command that cannot do without the router.
    pub(crate) fn unreachable(&self, reason: &str) -> Failure {
        Failure::World(
            anyhow::anyhow!("{reason}").context(format!("the router at {} was not reached", self.url())),
        )
    }

    /// Asks the router and all HostManagers of these hosts how they are.
    ///
    /// # Errors
    /// When the router does not serve this site's addresses.
    pub(crate) async fn survey(&self, hosts: &[DeclaredHost]) -> Result<Survey, Failure> {
        let ids = hosts.iter().flat_map(DeclaredHost::managers).map(str::to_owned).collect();
        let client = match &self.link {
            Link::Open(client) => client,
            Link::Closed { reason } => {
                let router = RouterState::Unreachable { reason: reason.clone() };
                return Ok(Survey { router, fleet: Fleet::build(hosts, &BTreeMap::new()) });
            }
        };
        let (check, reports) =
            tokio::join!(client.router_check(&self.site.hub.address_root), self.reports(ids));
        let router = match check {
            Err(OcsError::NotAuthorized(reason)) => return Err(self.mismatch(&reason)),
            Err(OcsError::RouterUnreachable { reason, .. }) => RouterState::Unreachable { reason },
            // A router that answers anything else is one, whatever it thinks of the question.
            Ok(()) | Err(_) => RouterState::Reached,
        };
        Ok(Survey { router, fleet: Fleet::build(hosts, &reports) })
    }

    fn mismatch(&self, reason: &str) -> Failure {
        let hub = &self.site.hub;
        Failure::Usage(format!(
            "the router at {} does not serve the addresses of this site: address root `{}` (realm `{}`) of the site \
             config and the router's configuration must agree\n  the router says: {reason}",
            self.url(),
            hub.address_root,
            hub.wamp_realm
        ))
    }

    /// Asks these HostManagers how they are.
    pub(crate) async fn reports(&self, ids: Vec<String>) -> BTreeMap<String, ManagerReport> {
        let mut asked = JoinSet::new();
        for id in ids {
            let bus = self.clone();
            asked.spawn(async move {
                let report = bus.report(&id).await;
                (id, report)
            });
        }
        let mut reports = BTreeMap::new();
        while let Some(done) = asked.join_next().await {
            // A panic in one question leaves that HostManager unknown.
            if let Ok((id, report)) = done {
                reports.insert(id, report);
            }
        }
        reports
    }

    async fn report(&self, id: &str) -> ManagerReport {
        let Link::Open(client) = &self.link else {
            return ManagerReport::silent(id, ManagerState::Unknown, None);
        };
        match client.op(&self.site.address(id), Action::Status, "manager", Value::Null, None).await {
            Ok(reply) if reply.is_ok() => ManagerReport::from_session(id, reply.session.as_ref()),
            Ok(reply) => ManagerReport::silent(id, ManagerState::Unknown, Some(reply.message)),
            Err(OcsError::NoSuchAgent { .. }) => {
                ManagerReport::silent(id, ManagerState::Down, Some("no such agent on the bus".to_owned()))
            }
            Err(OcsError::RouterUnreachable { .. } | OcsError::NotAuthorized(_)) => {
                ManagerReport::silent(id, ManagerState::Unknown, None)
            }
            Err(error) => ManagerReport::silent(id, ManagerState::Unknown, Some(told(error))),
        }
    }

    /// Has one HostManager read its site config again; the reason when it did not, or could not use it.
    pub(crate) async fn reload(&self, id: &str) -> Result<(), String> {
        let params = serde_json::json!({ "reload_config": true });
        self.start_and_wait(id, "update", &params).await?;
        // The task succeeds even when the file was refused; the parse status tells.
        let report = self.report(id).await;
        match report.unreadable.iter().find(|(file, _)| file == "[SCF]") {
            Some((_, message)) => Err(format!("it cannot use its site config: {message}")),
            None => Ok(()),
        }
    }

    /// Asks one HostManager for new targets.
    pub(crate) async fn change(
        &self,
        report: &ManagerReport,
        targets: &ManagerTargets,
        expected: &[&str],
        target: Target,
    ) -> Answer {
        let id = &report.instance_id;
        let mut answer = Answer { manager: id.clone(), woken: false, not_known: Vec::new(), problem: None };
        match report.state {
            ManagerState::Up | ManagerState::Sleeping => {}
            ManagerState::Down => {
                answer.problem = Some("it is not running".to_owned());
                return answer;
            }
            ManagerState::Unknown => {
                let reason = report.problem.clone();
                answer.problem = Some(reason.unwrap_or_else(|| "the router was not reached".to_owned()));
                return answer;
            }
        }
        let Request { op, params, not_known } = request::compose(report, targets, expected, target);
        answer.woken = op == "manager";
        answer.not_known = not_known;
        answer.problem = if answer.woken {
            self.wake(id, &params).await.err()
        } else {
            self.start_and_wait(id, op, &params).await.err()
        };
        answer
    }

    /// Starts the `manager` process, which then runs until it is stopped.
    async fn wake(&self, id: &str, params: &Value) -> Result<(), String> {
        let reply = self.op(id, Action::Start, "manager", params, None).await?;
        if reply.is_ok() { Ok(()) } else { Err(reply.message) }
    }

    /// Runs a task of a HostManager to its end. When another client's run of it is in the way, waits for that first.
    async fn start_and_wait(&self, id: &str, op: &str, params: &Value) -> Result<(), String> {
        for _ in 0..UPDATE_TRIES_MAX {
            let started = self.op(id, Action::Start, op, params, None).await?;
            let busy = started.session.as_ref().is_some_and(|session| session.status != OpStatus::Done);
            if !started.is_ok() && !busy {
                return Err(started.message);
            }
            let ended = self.op(id, Action::Wait, op, &Value::Null, Some(UPDATE_TIMEOUT)).await?;
            if !started.is_ok() {
                continue;
            }
            return outcome(&ended);
        }
        Err("other clients keep it busy".to_owned())
    }

    /// What a HostManager of ours is about to do; the reason when it cannot tell.
    pub(crate) async fn plan(&self, id: &str) -> Result<Vec<Value>, String> {
        let Link::Open(client) = &self.link else { return Err("the router was not reached".to_owned()) };
        match client.call(&format!("{}.plan", self.site.address(id)), Vec::new(), Dict::new()).await {
            Ok(answer) => {
                let answer = answer.to_json();
                let instances = answer.get("instances").and_then(Value::as_array);
                Ok(instances.cloned().unwrap_or_default())
            }
            Err(OcsError::NoSuchAgent { .. }) => Err(match self.report(id).await.state {
                ManagerState::Down => "it is not running".to_owned(),
                _ => "it cannot tell; only Campanile's HostManager plans ahead".to_owned(),
            }),
            Err(error) => Err(told(error)),
        }
    }

    async fn op(
        &self,
        id: &str,
        action: Action,
        op: &str,
        params: &Value,
        timeout: Option<Duration>,
    ) -> Result<OpReply, String> {
        let Link::Open(client) = &self.link else { return Err("the router was not reached".to_owned()) };
        client.op(&self.site.address(id), action, op, params.clone(), timeout).await.map_err(told)
    }
}

/// Where a client reaches the bus: the HTTP bridge, or the websocket where the site config has no bridge.
pub(crate) fn endpoint(hub: &Hub) -> Endpoint {
    match &hub.wamp_http {
        Some(url) => Endpoint::Http(url.clone()),
        None => Endpoint::Ws(hub.wamp_server.clone(), hub.wamp_realm.clone()),
    }
}

/// An error of a request to a HostManager, as something that can be said of it.
fn told(error: OcsError) -> String {
    match error {
        OcsError::NoSuchAgent { .. } => "it is not running".to_owned(),
        OcsError::CalleeLost { .. } => "it was lost while it worked on the request".to_owned(),
        OcsError::TimedOut { after, .. } => format!("it did not answer within {} s", after.as_secs()),
        error => error.to_string(),
    }
}

/// What a finished `update` says about itself. It succeeds also when it had to ignore some of what was asked for; its
/// messages tell.
fn outcome(reply: &OpReply) -> Result<(), String> {
    let Some(session) = &reply.session else { return Err(reply.message.clone()) };
    if session.status != OpStatus::Done {
        return Err(format!("it has not taken the request over within {} s", UPDATE_TIMEOUT.as_secs()));
    }
    let ignored: Vec<&str> = session
        .messages
        .iter()
        .map(|(_, text)| text.as_str())
        .filter(|text| text.starts_with("Ignoring"))
        .collect();
    if session.success != Some(true) {
        let last =
            session.messages.iter().rev().map(|(_, text)| text).find(|text| !text.starts_with("Status is"));
        return Err(last.cloned().unwrap_or_else(|| reply.message.clone()));
    }
    if ignored.is_empty() { Ok(()) } else { Err(ignored.join(" ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ended(success: bool, messages: &[&str]) -> OpReply {
        let messages: Vec<_> = messages.iter().map(|text| json!([1.0, text])).collect();
        OpReply::from_json(json!([0, "Operation \"update\" is currently not running (SUCCEEDED).", {
            "session_id": 1, "op_name": "update", "status": "done", "success": success, "start_time": 1.0,
            "end_time": 2.0, "data": {}, "messages": messages}]))
        .unwrap()
    }

    #[test]
    fn an_update_that_ignored_a_target_is_not_taken_for_done() {
        assert_eq!(outcome(&ended(true, &["Status is now \"running\".", "Update requested."])), Ok(()));
        assert_eq!(
            outcome(&ended(true, &["Ignoring invalid target, nosuch", "Update requested."])),
            Err("Ignoring invalid target, nosuch".to_owned())
        );
    }

    #[test]
    fn a_failed_update_says_why_in_its_last_words() {
        let reply =
            ended(false, &["Manager process is not running; params not updated.", "Status is now \"done\"."]);
        assert_eq!(outcome(&reply), Err("Manager process is not running; params not updated.".to_owned()));
    }
}
