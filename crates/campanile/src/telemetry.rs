//! Diagnostic messages of the program itself, on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::failure::Failure;
use crate::output::stderr_coloured;

/// The option that every command takes.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct LogArgs {
    /// What to report on stderr: off, error, warn, info, debug or trace; also by part, as in
    /// `info,campanile_wamp=debug`
    #[arg(long, global = true, env = "CAMPANILE_LOG", value_name = "LEVEL", hide_env_values = true)]
    pub(crate) log_level: Option<String>,
}

/// A level by the word of Python's programs, which ours take the place of, in the words of ours.
fn level_of(wanted: &str) -> &str {
    match wanted.trim().to_ascii_lowercase().as_str() {
        "fatal" | "critical" => "error",
        "warning" => "warn",
        _ => wanted,
    }
}

/// Installs the log; `default` is the level without the option: daemons say more than clients.
pub(crate) fn install(args: &LogArgs, default: &str) -> Result<(), Failure> {
    let wanted = args.log_level.as_deref().filter(|level| !level.trim().is_empty()).unwrap_or(default);
    let wanted = level_of(wanted);
    // A single word that is no level would be taken for a part of the program, and silence everything.
    let word = wanted.trim();
    if !word.contains(['=', ',', ':'])
        && !word.starts_with("campanile")
        && word.parse::<LevelFilter>().is_err()
    {
        return Err(Failure::Usage(format!(
            "--log-level {wanted}: there is no such level; try info or debug"
        )));
    }
    let targets: Targets = wanted
        .parse()
        .map_err(|error| Failure::Usage(format!("--log-level {wanted}: {error}; try info or debug")))?;
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(stderr_coloured())
        // Whoever reads this on a terminal needs no module paths; in a collected log they help to find the place.
        .with_target(!std::io::stderr().is_terminal());
    // A second installation can only happen in tests of this process; the first one then stays.
    let _ = tracing_subscriber::registry().with(layer).with(targets).try_init();
    Ok(())
}
