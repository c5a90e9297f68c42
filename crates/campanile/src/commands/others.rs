//! Managers that keep no host: pools of workers and LDMS clusters. `status`, `plan` and `why` ask them beside the
//! HostManagers.

use campanile_maestro::args::AGENT_CLASS as MAESTRO_CLASS;
use campanile_ocs::site_config::SiteConfig;
use campanile_pool::run::AGENT_CLASS as POOL_CLASS;
use serde_json::{Value, json};

use super::{ldms, pool};
use crate::failure::Failure;
use crate::fleet::declared::DeclaredHost;
use crate::journal::ask::{Managers, Wanted};
use crate::render::table::indented_text;

/// What is managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Workers of a batch queue.
    Pool,
    /// Daemons of an LDMS cluster.
    Cluster,
}

impl Sort {
    /// By the class of the agent.
    pub(crate) fn of_class(class: &str) -> Option<Self> {
        match class {
            POOL_CLASS => Some(Self::Pool),
            MAESTRO_CLASS => Some(Self::Cluster),
            _ => None,
        }
    }

    /// In headings.
    fn word(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Cluster => "cluster",
        }
    }
}

/// A question that all of them answer, each in its own form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Status,
    Plan,
}

impl Question {
    fn procedure(self) -> &'static str {
        match self {
            Self::Status => ".status",
            Self::Plan => ".plan",
        }
    }
}

/// One of them, and what it said.
#[derive(Debug)]
pub(crate) struct Other {
    pub(crate) instance_id: String,
    pub(crate) host: String,
    pub(crate) sort: Sort,
    pub(crate) answer: Result<Value, String>,
}

/// Those that the site config names on these hosts: id, host and sort.
pub(crate) fn declared(hosts: &[DeclaredHost]) -> Vec<(String, String, Sort)> {
    let of_host = |host: &DeclaredHost| {
        let name = host.name.clone();
        let each = host.instances.iter().filter(|instance| instance.problem.is_none());
        let each = each.filter_map(move |instance| {
            Some((instance.instance_id.clone(), name.clone(), Sort::of_class(&instance.agent_class)?))
        });
        each.collect::<Vec<_>>()
    };
    hosts.iter().flat_map(of_host).collect()
}

/// Asks all of these hosts at the same time, over the bus, or by their control sockets on this machine.
///
/// # Errors
/// There is no place for state.
pub(crate) async fn ask(
    site: &SiteConfig,
    hosts: &[DeclaredHost],
    question: Question,
) -> Result<Vec<Other>, Failure> {
    let declared = declared(hosts);
    if declared.is_empty() {
        return Ok(Vec::new());
    }
    let managers = Managers::open(site, None).await?;
    let mut asked = Vec::new();
    for (instance_id, host, sort) in declared {
        let (managers, id) = (managers.clone(), instance_id.clone());
        let answer = tokio::spawn(async move { managers.call(&id, question.procedure(), json!({})).await });
        asked.push((instance_id, host, sort, answer));
    }
    let mut others = Vec::new();
    for (instance_id, host, sort, answer) in asked {
        let answer = answer.await.unwrap_or_else(|error| Err(error.to_string()));
        others.push(Other { instance_id, host, sort, answer });
    }
    Ok(others)
}

/// Those of one sort, for programs: `instance_id`, `host`, `problem`, and the answer as `key`.
pub(crate) fn json(others: &[Other], sort: Sort, key: &str) -> Vec<Value> {
    let one = |other: &Other| {
        json!({
            "instance_id": other.instance_id,
            "host": other.host,
            "problem": other.answer.as_ref().err(),
            key: other.answer.as_ref().ok(),
        })
    };
    others.iter().filter(|other| other.sort == sort).map(one).collect()
}

/// For people: a heading and what it says.
pub(crate) fn text(others: &[Other], question: Question) -> String {
    let mut out = String::new();
    for other in others {
        let heading = format!("{}  {} {}", other.host, other.sort.word(), other.instance_id);
        match &other.answer {
            Err(problem) => out.push_str(&format!("{heading}: {problem}\n\n")),
            Ok(answer) => {
                let said = match (other.sort, question) {
                    (Sort::Pool, Question::Status) => pool::show::status(answer, false),
                    (Sort::Pool, Question::Plan) => pool::show::plan(answer),
                    (Sort::Cluster, Question::Status) => ldms::status::render(answer, false),
                    (Sort::Cluster, Question::Plan) => ldms::plan::render(answer),
                };
                out.push_str(&format!("{heading}\n{}\n", indented_text(&said)));
            }
        }
    }
    out
}

/// Events of a node that are told.
const EVENTS: usize = 30;

/// Something of theirs, explained.
pub(crate) struct Explained {
    pub(crate) text: String,
    pub(crate) json: Value,
}

/// Explains a pool or a cluster by its id, and, where `may_be_inside`, a node of a pool or a daemon of a cluster by its name;
/// `None` where none of them knows it.
pub(crate) async fn why(
    managers: &Managers,
    hosts: &[DeclaredHost],
    name: &str,
    may_be_inside: bool,
) -> Option<Explained> {
    for (id, host, sort) in declared(hosts) {
        let said = if id == name {
            itself(managers, &id, sort).await
        } else if may_be_inside {
            inside(managers, &id, sort, name).await
        } else {
            None
        };
        if let Some((text, key, answer)) = said {
            let heading = format!("{name} ({} {id}, on {host})\n", sort.word());
            let json = json!({"name": name, "manager": id, "host": host, key: answer});
            return Some(Explained { text: format!("{heading}{}", indented_text(&text)), json });
        }
    }
    None
}

async fn itself(managers: &Managers, id: &str, sort: Sort) -> Option<(String, &'static str, Value)> {
    match sort {
        Sort::Pool => {
            let plan = managers.call(id, Question::Plan.procedure(), json!({})).await.ok()?;
            Some((pool::show::why(&plan), "plan", plan))
        }
        Sort::Cluster => {
            let status = managers.call(id, Question::Status.procedure(), json!({})).await.ok()?;
            Some((ldms::status::render(&status, false), "status", status))
        }
    }
}

async fn inside(
    managers: &Managers,
    id: &str,
    sort: Sort,
    name: &str,
) -> Option<(String, &'static str, Value)> {
    match sort {
        Sort::Pool => {
            let wanted = Wanted { subject: Some(name.to_owned()), last: Some(EVENTS), ..Wanted::default() };
            let found = managers.events(id, &wanted).await.ok()?;
            let page = json!({ "events": found.events });
            let text = pool::show::events(&page);
            (!text.is_empty()).then(|| (text, "events", page["events"].clone()))
        }
        Sort::Cluster => {
            let why = managers.call(id, ".why", json!(name)).await.ok()?;
            Some((ldms::why::render(name, &why), "daemon", why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(answer: Result<Value, String>) -> Other {
        Other { instance_id: "pool1".to_owned(), host: "head".to_owned(), sort: Sort::Pool, answer }
    }

    #[test]
    fn each_has_a_heading_and_says_its_own_or_why_it_says_nothing() {
        let plan = json!({"at": "2026-11-26T08:00:00Z", "why": ["no job waits for a worker"]});
        let others = [other(Ok(plan.clone())), other(Err("it is down".to_owned()))];
        assert_eq!(
            text(&others, Question::Plan),
            "head  pool pool1\n  no job waits for a worker\n\nhead  pool pool1: it is down\n\n"
        );
        let expected = json!([
            {"instance_id": "pool1", "host": "head", "problem": null, "plan": plan},
            {"instance_id": "pool1", "host": "head", "problem": "it is down", "plan": null},
        ]);
        assert_eq!(Value::from(json(&others, Sort::Pool, "plan")), expected);
        assert!(json(&others, Sort::Cluster, "plan").is_empty());
    }
}
