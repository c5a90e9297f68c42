//! `campanile plan`: what the managers of the site would do next, and why.

use anyhow::Context as _;
use campanile_ocs::site_config::SiteArgs;
use clap::ArgAction;
use serde::Serialize;
use serde_json::Value;

use super::others::{self, Question, Sort};
use crate::client::{Client, unix_now};
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::render::duration::short;
use crate::render::table::{indented, plain_table};
use crate::{output, runtime};

/// Show what the managers of the site will do next, when, and why
///
/// Nothing is changed. Only Campanile's HostManagers can tell; those of OCS are listed as unable to. Pools of workers and LDMS
/// clusters that the site config names are asked, too.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile plan
  campanile plan -H host-1 --json

Exit codes:
  0 shown; 1 no manager could tell; 2 wrong options or site config")]
pub(crate) struct Args {
    /// Show this host only; may be repeated
    #[arg(long, short = 'H', value_name = "HOST", action = ArgAction::Append)]
    pub(crate) host: Vec<String>,
    /// Print JSON, of the form that the manual describes
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) site: SiteArgs,
}

/// The `--json` form; documented in the book's chapter on commands.
#[derive(Debug, Serialize)]
struct PlanReport {
    managers: Vec<ManagerPlan>,
    /// Pools of workers: `instance_id`, `host`, `problem`, `plan`.
    pools: Vec<Value>,
    /// LDMS clusters, in the same form.
    clusters: Vec<Value>,
}

/// What one HostManager is about to do.
#[derive(Debug, Serialize)]
struct ManagerPlan {
    instance_id: String,
    host: String,
    /// Why it could not tell.
    problem: Option<String>,
    /// As the HostManager gives them.
    instances: Vec<Value>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    runtime::block_on(show(args))?
}

async fn show(args: &Args) -> Outcome {
    let client = Client::open(&args.site).await?;
    let hosts = client.hosts(&args.host)?;
    client.bus.client()?;
    let mut asked = Vec::new();
    for host in &hosts {
        for id in host.managers() {
            let (bus, id, host) = (client.bus.clone(), id.to_owned(), host.name.clone());
            asked.push(tokio::spawn(async move {
                let (instances, problem) = match bus.plan(&id).await {
                    Ok(instances) => (instances, None),
                    Err(problem) => (Vec::new(), Some(problem)),
                };
                ManagerPlan { instance_id: id, host, problem, instances }
            }));
        }
    }
    let others = others::ask(&client.selected.site, &hosts, Question::Plan).await?;
    let mut report = PlanReport {
        managers: Vec::new(),
        pools: others::json(&others, Sort::Pool, "plan"),
        clusters: others::json(&others, Sort::Cluster, "plan"),
    };
    for task in asked {
        report.managers.push(task.await.context("a question to a HostManager failed")?);
    }
    let told = report.managers.iter().any(|manager| manager.problem.is_none())
        || others.iter().any(|other| other.answer.is_ok());
    if args.json {
        output::print_json(&report)?;
    } else {
        let hosts = text(&report, unix_now());
        output::print(&format!("{hosts}{}", others::text(&others, Question::Plan)))?;
        for manager in &report.managers {
            if let Some(problem) = &manager.problem {
                output::print_error(&format!("error: HostManager {}: {problem}\n", manager.instance_id));
            }
        }
    }
    if told { Ok(()) } else { Err(Failure::Told(EXIT_WORLD)) }
}

/// The plans for people.
fn text(report: &PlanReport, now: f64) -> String {
    let mut out = String::new();
    for manager in report.managers.iter().filter(|manager| manager.problem.is_none()) {
        out.push_str(&format!("{}  {}\n", manager.host, manager.instance_id));
        if manager.instances.is_empty() {
            out.push_str("  nothing is managed here\n");
            continue;
        }
        let mut table = plain_table();
        table.set_header(["INSTANCE", "STATE", "TARGET", "NEXT", "WHEN", "WHY"]);
        for instance in &manager.instances {
            let word = |key: &str| instance.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let when = match instance.get("at").and_then(Value::as_f64) {
                Some(at) if at > now => format!("in {}", short((at - now).ceil())),
                Some(_) => "now".to_owned(),
                None => String::new(),
            };
            table.add_row([
                word("instance_id"),
                word("state"),
                word("target"),
                word("next"),
                when,
                word("reason"),
            ]);
        }
        out.push_str(&indented(&table));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report() -> PlanReport {
        PlanReport {
            managers: vec![
                ManagerPlan {
                    instance_id: "hm-dome".into(),
                    host: "dome".into(),
                    problem: None,
                    instances: vec![
                        json!({"instance_id": "flaky1", "state": "start_at", "target": "up", "next": "start",
                            "at": 103.2, "reason": "waits 3 s after failure 2"}),
                        json!({"instance_id": "thermo1", "state": "up", "target": "up", "next": "nothing", "at": null,
                            "reason": "it runs as it should"}),
                    ],
                },
                ManagerPlan {
                    instance_id: "hm-old".into(),
                    host: "lab".into(),
                    problem: Some("it cannot tell".into()),
                    instances: vec![],
                },
            ],
            pools: vec![],
            clusters: vec![],
        }
    }

    #[test]
    fn the_json_form_of_the_plan_is_stable() {
        insta::assert_json_snapshot!(report());
    }

    #[test]
    fn a_plan_says_what_comes_next_when_and_why() {
        let shown = text(&report(), 100.0);
        let expected = "\
dome  hm-dome
  INSTANCE  STATE     TARGET  NEXT     WHEN   WHY
  flaky1    start_at  up      start    in 4s  waits 3 s after failure 2
  thermo1   up        up      nothing         it runs as it should

";
        assert_eq!(shown, expected, "\n{shown}");
    }
}
