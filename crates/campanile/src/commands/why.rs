//! `campanile why`: one instance, pool, cluster, or one of their machines, explained.

use std::path::PathBuf;

use super::others;
use crate::client::unix_now;
use crate::failure::{Failure, Outcome};
use crate::fleet::declared;
use crate::fleet::report::{Child, ManagerReport};
use crate::journal::ask::{Managers, Wanted};
use crate::journal::why::Facts;
use crate::{output, runtime, this_site};
use campanile_ocs::site_config::{Mode, SiteArgs};

/// Events that are looked at; a day of crashes every half minute is some thousands.
const EVENTS: usize = 1000;

/// Explain one instance in plain words: how it is, why, what happened to it, who asked, and what comes next
///
/// Its HostManager is asked over the bus, or by its control socket on this machine; when it is down, the journal that
/// it left here is read. A pool of workers or an LDMS cluster tells its last decision; one of its nodes or daemons is
/// explained by its name, too. Times are UTC.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  campanile why thermo1
  thermo1 (on lab-1, by hm-1): start_at, 3 restarts in the last hour,
    last crash 14:02:11 UTC SIGSEGV, next attempt in 8 s

Exit codes:
  0 explained; 1 no such instance, or nobody knows it; 2 wrong options or site
  config")]
pub(crate) struct Args {
    /// The id of the instance; or the name of a pool's node, or of a cluster's daemon
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Where the managers of this machine keep their state [default: as `campanile host`]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    site: SiteArgs,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    runtime::block_on(explain(args))?
}

async fn explain(args: &Args) -> Outcome {
    let site = this_site::select(Mode::Control, &args.site)?.site;
    let managers = Managers::open(&site, args.state_dir.as_ref()).await?;
    let id = args.instance.as_str();
    let hosts = declared::hosts(&site);
    let home = hosts.iter().find(|host| host.instances.iter().any(|known| known.instance_id == id));
    if let Some(explained) = others::why(&managers, &hosts, id, home.is_none()).await {
        let others::Explained { text, json } = explained;
        return if args.json { output::print_json(&json) } else { output::print(&text) };
    }
    let mut problems = Vec::new();
    for manager in managers.of_instance(id) {
        let wanted = Wanted { subject: Some(id.to_owned()), last: Some(EVENTS), ..Wanted::default() };
        let (status, events) =
            tokio::join!(child(&managers, &manager, id), managers.events(&manager, &wanted));
        let (events, note) = events.map_or_else(|_| (Vec::new(), None), |found| (found.events, found.note));
        // A manager that knows nothing of it explains nothing.
        let child = match status {
            Ok(child) => Ok(child),
            Err(why) if events.is_empty() => {
                problems.push(format!("{manager}: {why}"));
                continue;
            }
            Err(why) => Err(why),
        };
        let facts = Facts {
            instance_id: id,
            manager: &manager,
            host: home.map(|host| host.name.as_str()),
            child: child.as_ref().map_err(String::as_str),
            events: &events,
            note: note.as_deref(),
            now_s: unix_now(),
        };
        return if args.json { output::print_json(&facts.json()) } else { output::print(&facts.text()) };
    }
    Err(Failure::World(match (home, problems.is_empty()) {
        (None, _) => anyhow::anyhow!("nothing on this site is called {id}; see `campanile status`"),
        (Some(_), true) => anyhow::anyhow!("no HostManager manages {id}"),
        (Some(_), false) => anyhow::anyhow!("nobody knows how {id} is: {}", problems.join("; ")),
    }))
}

/// What a HostManager says of an instance, or why it says nothing.
async fn child(managers: &Managers, manager: &str, id: &str) -> Result<Child, String> {
    let reply = managers.status(manager, "manager").await?;
    let session = serde_json::from_value(reply[2].clone()).ok();
    let report = ManagerReport::from_session(manager, session.as_ref());
    match report.child(id) {
        Some(child) => Ok(child.clone()),
        None => Err(report.problem.unwrap_or_else(|| "it does not manage it".to_owned())),
    }
}
