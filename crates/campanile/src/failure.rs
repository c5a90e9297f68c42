//! How a command ends when it cannot do what was asked.
//!
//! Exit codes, everywhere: 0 done, 1 the world did not play along (no router, no HostManager, an unknown target),
//! 2 the command line or a file is wrong and has to be corrected first. Whatever is wrong goes to stderr.

use std::fmt::Write as _;

use campanile_ocs::site_config::SelectError;
use campanile_yaml::Diagnostics;

/// Exit code for a failing world.
pub(crate) const EXIT_WORLD: u8 = 1;
/// Exit code for a wrong command line or file; the same that clap uses for options it does not know.
pub(crate) const EXIT_USAGE: u8 = 2;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense, beyond what clap can see.
    Usage(String),
    /// A file is wrong; everything that is wrong with it at once.
    Config(Diagnostics),
    /// Something outside did not work; with the chain of causes.
    World(anyhow::Error),
    /// It has been told to the operator already, on stderr.
    Told(u8),
}

impl Failure {
    /// The code the process ends with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) => EXIT_USAGE,
            Self::World(_) => EXIT_WORLD,
            Self::Told(code) => *code,
        }
    }

    /// What to print on stderr; empty when everything has been told.
    pub(crate) fn render(&self, colour: bool) -> String {
        match self {
            Self::Usage(message) => format!("error: {message}\n"),
            Self::Config(diagnostics) => diagnostics.render(colour),
            Self::World(error) => {
                let mut text = format!("error: {error}\n");
                for cause in error.chain().skip(1) {
                    // Writing to a String cannot fail.
                    let _ = writeln!(text, "  caused by: {cause}");
                }
                text
            }
            Self::Told(_) => String::new(),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::World(error)
    }
}

impl From<SelectError> for Failure {
    fn from(error: SelectError) -> Self {
        Self::Config(error.diagnostics)
    }
}

/// What every command returns.
pub(crate) type Outcome = Result<(), Failure>;

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_failing_world_is_told_with_its_chain_of_causes() {
        let error = anyhow!("connection refused").context("router at ws://h:8001 not reached");
        let failure = Failure::from(error);
        assert_eq!(
            failure.render(false),
            "error: router at ws://h:8001 not reached\n  caused by: connection refused\n"
        );
        assert_eq!(failure.exit_code(), 1);
    }

    #[test]
    fn usage_and_configuration_end_with_2() {
        assert_eq!(Failure::Usage("x".into()).exit_code(), 2);
        assert_eq!(Failure::Config(Diagnostics::new()).exit_code(), 2);
        assert_eq!((Failure::Told(1).exit_code(), Failure::Told(1).render(true)), (1, String::new()));
    }
}
