//! `campanile completions`: scripts that complete our command line in a shell.

use clap_complete::Shell;

use crate::cli;
use crate::failure::Outcome;
use crate::output;

/// Print a script that completes campanile's commands and options in your shell
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile completions bash > ~/.local/share/bash-completion/completions/campanile
  campanile completions zsh > ~/.zfunc/_campanile
  campanile completions fish > ~/.config/fish/completions/campanile.fish")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::grammar(), "campanile", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
