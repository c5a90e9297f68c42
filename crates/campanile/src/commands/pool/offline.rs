//! Without a daemon: the files are checked, the world is looked at.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use campanile_control::{Clock, Workers};
use campanile_pool::config::{Place, read};
use campanile_pool::cycle::{Memory, preview};
use campanile_pool::observe::Observers;
use campanile_pool::record::Record;
use campanile_pool::run::{config_files, state_path};
use campanile_pool::time::Time;
use serde_json::json;

use super::show;
use crate::failure::{Failure, Outcome};
use crate::output::{print, print_error, print_json, stderr_coloured};
use crate::this_pool::ThisPool;

/// `check`.
pub(super) fn check(given: &[PathBuf], as_json: bool) -> Outcome {
    let place = Place::here().context("there is no working directory")?;
    let files = config_files(given, &place).map_err(Failure::Config)?;
    let (config, diagnostics) = read(&files, &place);
    if as_json {
        print_json(&diagnostics.to_json())?;
        return if config.is_some() { Ok(()) } else { Err(Failure::Told(crate::failure::EXIT_USAGE)) };
    }
    let Some(config) = config else { return Err(Failure::Config(diagnostics)) };
    print_error(&diagnostics.render(stderr_coloured()));
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let clouds: Vec<&str> = config.clouds.iter().map(|cloud| cloud.name.as_str()).collect();
    let kinds: Vec<&str> = config.worker_types.iter().map(|kind| kind.name.as_str()).collect();
    print(&format!(
        "{}: good\n  our servers bear the mark {}\n  clouds: {}\n  worker types: {}\n  nodes: at least {}, at most {}, {} spare\n",
        names.join(", "),
        config.mark.value(),
        clouds.join(", "),
        kinds.join(", "),
        config.sizes.nodes_min,
        config.sizes.nodes_max,
        config.sizes.nodes_spare,
    ))
}

/// `plan FILE`: looks at clouds, batch system and record once, and says what a daemon would do now.
pub(super) async fn plan(given: &[PathBuf], state_dir: Option<&Path>, as_json: bool) -> Outcome {
    let pool = ThisPool::read(given)?;
    let state = state_path(state_dir, &pool.config).context("no place for state")?;
    let kept_here = state.exists();
    // Without a record there are no nodes but those that bear our mark; a directory of its own is not left behind.
    let scratch = tempfile::tempdir().context("no temporary directory")?;
    let dir = if kept_here { state.as_path() } else { scratch.path() };
    let sides = pool.sides(dir).await?;
    let record = Record::open(&pool.config.database, dir, &pool.config.mark)
        .await
        .context("the record cannot be opened")?;
    let (nodes, kept) = record.load().await.context("the record cannot be read")?;
    let clock = Clock::system();
    let time = Time::begin(clock.clone(), nodes.iter().map(|node| node.since_ms).max().unwrap_or(0));
    let observers = Observers::new(time, Workers::new(clock));
    // The flavors come with the first look, and only then the batch system can be asked what fits them.
    observers.look(&sides, &pool.config).await;
    let seen = observers.look(&sides, &pool.config).await;
    let memory = Memory { nodes, controls: kept.controls, last_cloud: kept.last_cloud, ..Memory::default() };
    let turn = preview(&memory, &seen, &pool.config);
    let silent: Vec<_> = observers.status(&sides).into_iter().filter(|side| side.error.is_some()).collect();
    let plan = json!({
        "at": campanile_pool::names::iso_time(seen.now_ms),
        "age_s": 0.0,
        "paused": memory.controls.paused,
        "create": turn.plan.create,
        "remove": turn.plan.remove,
        "why": turn.plan.why,
        "numbers": turn.plan.numbers,
        "coming": [],
        "going": [],
        "silent": silent,
    });
    if as_json {
        print_json(&plan)?
    } else {
        print(&show::plan(&plan))?
    }
    for side in &silent {
        print_error(&format!("{}: {}\n", side.name, side.error.as_deref().unwrap_or_default()));
    }
    if silent.is_empty() { Ok(()) } else { Err(Failure::Told(crate::failure::EXIT_WORLD)) }
}
