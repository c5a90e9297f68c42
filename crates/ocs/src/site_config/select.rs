//! What a program needs of the site config, from its options.

use std::path::PathBuf;

use campanile_yaml::{Diagnostic, Diagnostics, Severity};

use super::fields::{HTTP, WS, check_url, is_uri_component};
use super::find::find_file;
use super::pick::{pick_host, pick_instance};
use super::{HostConfig, Hub, InstanceConfig, SiteArgs, SiteConfig, load};
use crate::agent::Policy;

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
        let error = self.diagnostics.iter().find(|item| item.severity == Severity::Error);
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
    let mut diagnostics = Diagnostics::new();
    check_options(args, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(SelectError::new(SelectErrorKind::Usage, diagnostics));
    }
    let current = || std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let working_dir = match &args.working_dir {
        Some(dir) => current().join(dir),
        None => current(),
    };
    let Some(file) = find_file(args, env)? else {
        let site = site_from_options(args)?;
        return Ok(Selected { site, host: None, instance: None, working_dir, diagnostics });
    };
    let (site, of_file) = load(&file);
    diagnostics.extend(of_file);
    let Some(mut site) = site else {
        return Err(SelectError::new(SelectErrorKind::File, diagnostics));
    };
    let host = pick_host(mode, &site, args, hostname, &mut diagnostics)?;
    let host = host.map(|mut host| {
        override_hub(&mut site.hub, &host);
        host.log_dir = args.log_dir.clone().or(host.log_dir).map(|dir| working_dir.join(dir));
        host.crossbar_timeout_s = args.crossbar_timeout.unwrap_or(host.crossbar_timeout_s);
        host
    });
    apply_options(&mut site.hub, args);
    if mode != Mode::Control && Policy::parse(site.hub.access_policy.as_deref()).is_err() {
        // Said already, with its place. An agent without the protection that it was to have must not run.
        return Err(SelectError::new(SelectErrorKind::File, diagnostics));
    }
    let instance = match (mode, &host) {
        (Mode::Agent(class), Some(host)) => Some(pick_instance(class, &site, host, args, &mut diagnostics)?),
        _ => None,
    };
    Ok(Selected { site, host, instance, working_dir, diagnostics })
}

/// What is wrong with the options whatever the file says.
fn check_options(args: &SiteArgs, diagnostics: &mut Diagnostics) {
    let urls = [("--site-hub", &args.site_hub, WS), ("--site-http", &args.site_http, HTTP)];
    for (option, url, schemes) in urls {
        if let Some(Err(problem)) = url.as_deref().map(|url| check_url(url, schemes)) {
            diagnostics.push(Diagnostic::error(format!("{option} {problem}")));
        }
    }
    if let Err(problem) = Policy::parse(args.access_policy.as_deref()) {
        diagnostics.push(Diagnostic::error(format!("--access-policy: {problem}")));
    }
    if let Some(root) = args.address_root.as_deref().filter(|root| !root.split('.').all(is_uri_component)) {
        diagnostics.push(Diagnostic::error(format!("--address-root: addresses cannot begin with `{root}`")));
    }
}

/// With `--site none` the options must say everything.
fn site_from_options(args: &SiteArgs) -> Result<SiteConfig, SelectError> {
    let needed = [
        ("--site-hub", &args.site_hub),
        ("--site-realm", &args.site_realm),
        ("--address-root", &args.address_root),
    ];
    if let [(_, Some(server)), (_, Some(realm)), (_, Some(root))] = needed {
        let hub = Hub {
            wamp_server: server.clone(),
            wamp_http: args.site_http.clone(),
            wamp_realm: realm.clone(),
            address_root: root.clone(),
            access_policy: args.access_policy.clone(),
        };
        return Ok(SiteConfig { path: PathBuf::new(), hub, hosts: Vec::new() });
    }
    let missing = needed.iter().filter(|(_, value)| value.is_none()).map(|(option, _)| *option);
    let problem =
        Diagnostic::error(format!("--site none needs {}, too", missing.collect::<Vec<_>>().join(" and ")));
    Err(SelectError::new(
        SelectErrorKind::Usage,
        problem.hint("without a file the options must say where the router is"),
    ))
}

fn override_hub(hub: &mut Hub, host: &HostConfig) {
    let given = host.overrides.clone();
    if let Some(server) = given.wamp_server {
        hub.wamp_server = server;
    }
    hub.wamp_http = given.wamp_http.or(hub.wamp_http.take());
    if let Some(realm) = given.wamp_realm {
        hub.wamp_realm = realm;
    }
}

fn apply_options(hub: &mut Hub, args: &SiteArgs) {
    let given = [
        (&args.site_hub, &mut hub.wamp_server),
        (&args.site_realm, &mut hub.wamp_realm),
        (&args.address_root, &mut hub.address_root),
    ];
    for (option, value) in given {
        if let Some(option) = option {
            option.clone_into(value);
        }
    }
    hub.wamp_http = args.site_http.clone().or(hub.wamp_http.take());
    hub.access_policy = args.access_policy.clone().or(hub.access_policy.take());
}
