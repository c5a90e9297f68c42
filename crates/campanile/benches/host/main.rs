//! HostManager and client, ours and the original, measured in one run.
//!
//! Both sides get the same: our router, one HostManager over the same site config, and a stand-in in place of Python
//! that notes when it was started. See `docs/benchmarks.md` for what the figures mean.
//!
//!     cargo bench -p campanile --bench host -- [--quick] [--ours] [ROW...]

mod docker;
mod figures;
mod rows;
mod scale;
mod stage;
mod standin;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use campanile_testkit::Peers;
use clap::Parser;

use docker::DOCKER;
use figures::{Line, Unit};
use rows::{Effort, MANY, SMALL, TIMES};
use scale::SCALE;
use stage::{Side, Stage, World};
use standin::StandIn;

/// Measures HostManager and client, ours and the original.
#[derive(Parser)]
struct Args {
    /// Fewer and shorter measurements: a look, not a figure to quote
    #[arg(long)]
    quick: bool,
    /// Leave the original out
    #[arg(long)]
    ours: bool,
    /// Measure this build of campanile instead of the one that cargo has just made
    #[arg(long, env = "CAMPANILE_BIN", value_name = "FILE", default_value = env!("CARGO_BIN_EXE_campanile"), hide_default_value = true)]
    campanile: PathBuf,
    /// Only these: update, up, kill, status, many, scale, docker
    rows: Vec<String>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let known = || TIMES.iter().map(|row| row.0).chain([MANY, SCALE, DOCKER]);
    if let Some(unknown) = args.rows.iter().find(|name| known().all(|row| row != name.as_str())) {
        // Cargo hands a filter to all benchmarks of the workspace; it may be meant for another one.
        println!("host: no row {unknown}; there are {}", known().collect::<Vec<_>>().join(", "));
        return Ok(());
    }
    let wanted = |name: &str| args.rows.is_empty() || args.rows.iter().any(|row| row == name);
    let with_original = !args.ours && Peers::require().is_some();
    let effort = if args.quick {
        Effort { samples: 5, idle: Duration::from_secs(9), times: 1 }
    } else {
        Effort { samples: SMALL, idle: Duration::from_secs(60), times: 3 }
    };
    let standin = StandIn::build()?;
    let world = World { campanile: args.campanile, standin };
    let mut lines = Vec::new();
    if TIMES.iter().any(|row| wanted(row.0)) {
        let ours = Stage::start(Side::Ours, &world, SMALL)?;
        let original = if with_original { Some(Stage::start(Side::Original, &world, SMALL)?) } else { None };
        for (_, what, target, measure) in TIMES.into_iter().filter(|row| wanted(row.0)) {
            eprintln!("measuring: {what}");
            let line = Line {
                what: what.to_owned(),
                unit: Unit::Milliseconds,
                ours: measure(&ours, effort)?,
                original: original.as_ref().map(|stage| measure(stage, effort)).transpose()?,
                target,
            };
            lines.push(line);
        }
    }
    if wanted(MANY) {
        eprintln!("measuring: {} children", rows::LARGE);
        lines.extend(rows::many_lines(&world, with_original, effort)?);
    }
    if wanted(SCALE) {
        eprintln!("measuring: ten, a hundred, a thousand instances");
        lines.extend(scale::lines(&world)?);
    }
    if wanted(DOCKER) {
        eprintln!("measuring: containers");
        lines.extend(docker::lines(&world, with_original, effort)?);
    }
    figures::print(&lines);
    Ok(())
}
