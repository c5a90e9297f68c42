//! Which file, which host, which instance.

use std::path::PathBuf;

use campanile_yaml::{Diagnostic, Diagnostics};

use super::{HostConfig, InstanceConfig, SiteArgs, SiteConfig};

/// What a program needs of the site config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode<'a> {
    /// A client: neither host nor instance is needed; the host block is used when there is one.
    Control,
    /// A program of a host: the host block is needed.
    Host,
    /// An agent of this class: host block and instance are needed.
    Agent(&'a str),
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The site, with the overrides of host block and options applied to its hub.
    pub site: SiteConfig,
    /// The host block, with the overrides of the options applied; always there but in [`Mode::Control`] and with
    /// `--site none`.
    pub host: Option<HostConfig>,
    /// The instance: always there in [`Mode::Agent`], but with `--site none`.
    pub instance: Option<InstanceConfig>,
    /// The directory that relative paths start from: `--working-dir`, else the current directory.
    pub working_dir: PathBuf,
    /// Warnings, and the errors of disabled entries.
    pub diagnostics: Diagnostics,
}

/// Why nothing could be selected. The diagnostics say it in full; the exit code of a program is 2.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.first_message())]
pub struct SelectError {
    /// What kind of failure it is.
    pub kind: SelectErrorKind,
    /// All that is to be told to the user, warnings included.
    pub diagnostics: Diagnostics,
}

impl SelectError {
    pub(super) fn new(kind: SelectErrorKind, diagnostics: impl Into<Diagnostics>) -> Self {
        Self { kind, diagnostics: diagnostics.into() }
    }

    fn first_message(&self) -> String {
        let error = self.diagnostics.iter().find(|item| item.severity == campanile_yaml::Severity::Error);
        error.map_or_else(|| "no usable site config".to_owned(), Diagnostic::one_line)
    }
}

/// Kinds of failures of [`select`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectErrorKind {
    /// The options contradict each other, or do not say enough.
    Usage,
    /// The file cannot be read or used as a whole.
    File,
    /// There is no such host block, or it is unusable.
    Host,
    /// There is no such instance, there are several, or it is disabled.
    Instance,
}

/// Finds and reads the site config, and picks host and instance.
///
/// `hostname` is this machine's name, used without `--site-host`; `env` looks up an environment variable.
///
/// # Errors
/// [`SelectError`], with everything that is wrong in its diagnostics.
pub fn select(
    mode: Mode<'_>,
    args: &SiteArgs,
    hostname: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Selected, SelectError> {
    let _ = (mode, args, hostname, env);
    Err(SelectError::new(SelectErrorKind::Usage, Diagnostic::error("cannot select yet")))
}
