//! Checks of the project on itself, run by `make test`: promises and their proof, invariants, documents.

mod documents;
mod junit;
mod problem;
mod promises;
mod purity;
mod tree;
mod upkeep;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use problem::Problem;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tree::Tree;

#[derive(Parser)]
#[command(name = "xtask", about = "Checks of the project on itself")]
struct Cli {
    #[command(subcommand)]
    check: Check,
}

#[derive(Subcommand)]
enum Check {
    /// Every promise is either proved by tests that passed in this run, or says "not yet".
    Promises {
        /// The table of promises.
        #[arg(long, default_value = "docs/promises.md")]
        table: PathBuf,
        /// The report that cargo-nextest wrote in this run.
        #[arg(long)]
        junit: PathBuf,
        /// The file in which tests note that they were skipped; it need not exist.
        #[arg(long)]
        skips: Option<PathBuf>,
    },
    /// What ARCHITECTURE.md says holds in the sources; links and contents of the documents are complete.
    Invariants,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().check {
        Check::Promises { table, junit, skips } => check_promises(&table, &junit, skips.as_deref()),
        Check::Invariants => check_invariants(),
    };
    let (name, summary, problems) = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() {
        println!("{name}: {summary}");
        return ExitCode::SUCCESS;
    }
    eprintln!("{name}: {} problems; {summary}", problems.len());
    ExitCode::FAILURE
}

type Outcome = (&'static str, String, Vec<Problem>);

fn check_promises(table: &Path, junit: &Path, skips: Option<&Path>) -> Result<Outcome> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let mut runs = junit::parse(&read(junit)?).with_context(|| format!("in {}", junit.display()))?;
    if let Some(skips) = skips.filter(|path| path.exists()) {
        junit::mark_skipped(&mut runs, &read(skips)?);
    }
    let (rows, mut problems) = promises::parse(table, &read(table)?);
    problems.extend(promises::check(table, &rows, &runs));
    let summary = format!("{}; {}", junit::summary(&runs), promises::summary(&rows));
    Ok(("promises", summary, problems))
}

fn check_invariants() -> Result<Outcome> {
    let tree = Tree::of_this_project()?;
    let mut problems = purity::check(&tree);
    problems.extend(upkeep::check(&tree));
    problems.extend(documents::check(&tree));
    Ok(("invariants", format!("{} files looked at", tree.files.len()), problems))
}
