//! Which host block, and which instance of it.

use campanile_yaml::{Diagnostic, Diagnostics, did_you_mean};

use super::select::{Mode, SelectError, SelectErrorKind};
use super::{HostConfig, InstanceConfig, SiteArgs, SiteConfig};

/// The host block for machines that have none of their own.
const ANY_HOST: &str = "localhost";
/// Names that an error message lists.
const MAX_NAMED: usize = 20;

/// The block of `--site-host` or this machine, else that for any machine.
pub(super) fn pick_host(
    mode: Mode<'_>,
    site: &SiteConfig,
    args: &SiteArgs,
    hostname: &str,
    diagnostics: &mut Diagnostics,
) -> Result<Option<HostConfig>, SelectError> {
    let wanted = args.site_host.as_deref().unwrap_or(hostname);
    let host = site.host(wanted).or_else(|| site.host(ANY_HOST));
    let names = || site.hosts.iter().map(|host| host.name.as_str());
    let fail = |problem: Diagnostic, diagnostics: &mut Diagnostics| {
        let mut all = std::mem::take(diagnostics);
        all.push(problem);
        Err(SelectError::new(SelectErrorKind::Host, all))
    };
    let suggestion = did_you_mean(wanted, names()).map(|meant| format!("did you mean `{meant}`?"));
    match host {
        None => {
            let problem =
                format!("the site config has no host `{wanted}`, and no `{ANY_HOST}` for all others");
            let hint = match suggestion {
                Some(suggestion) => suggestion,
                None if site.hosts.is_empty() => {
                    format!("add a block for it to `hosts` in {}", site.path.display())
                }
                None => format!("it has {}; choose one with --site-host", listed(names())),
            };
            match mode {
                Mode::Control if args.site_host.is_none() => Ok(None),
                Mode::Control => {
                    diagnostics.push(Diagnostic::warning(problem).hint(hint));
                    Ok(None)
                }
                _ => fail(Diagnostic::error(problem).hint(hint), diagnostics),
            }
        }
        Some(host) => {
            if args.site_host.is_some() && host.name != wanted {
                let problem = Diagnostic::warning(format!(
                    "the site config has no host `{wanted}`; taking `{ANY_HOST}`"
                ));
                diagnostics.push(problem.maybe_hint(suggestion));
            }
            match &host.problem {
                // A client has no need of the block; what is wrong with it is among the diagnostics.
                Some(_) if mode == Mode::Control => Ok(None),
                Some(reason) => fail(
                    Diagnostic::error(format!("the block of host `{}` is unusable: {reason}", host.name)),
                    diagnostics,
                ),
                None => Ok(Some(host.clone())),
            }
        }
    }
}

/// The instance of `--instance-id`, else the only one of the class.
pub(super) fn pick_instance(
    class: &str,
    site: &SiteConfig,
    host: &HostConfig,
    args: &SiteArgs,
    diagnostics: &mut Diagnostics,
) -> Result<InstanceConfig, SelectError> {
    let found = match args.instance_id.as_deref() {
        Some(id) => host.instance(id).ok_or_else(|| Box::new(no_such_id(id, site, host))),
        None => the_one_of_class(class, host),
    };
    let problem = match found {
        Ok(InstanceConfig { problem: Some(reason), instance_id, .. }) => {
            Diagnostic::error(format!("the entry of {instance_id} is disabled: {reason}"))
        }
        Ok(instance) => return Ok(instance.clone()),
        Err(problem) => *problem,
    };
    let mut all = std::mem::take(diagnostics);
    all.push(problem);
    Err(SelectError::new(SelectErrorKind::Instance, all))
}

fn no_such_id(id: &str, site: &SiteConfig, host: &HostConfig) -> Diagnostic {
    let ids = || host.instances.iter().map(|instance| instance.instance_id.as_str());
    let elsewhere = site.hosts.iter().find(|other| other.instance(id).is_some());
    let hint = if let Some(other) = elsewhere {
        format!("host {0} has it: --site-host {0}", other.name)
    } else if let Some(meant) = did_you_mean(id, ids()) {
        format!("did you mean `{meant}`?")
    } else {
        format!("it has {}", listed(ids()))
    };
    Diagnostic::error(format!("host {} has no instance `{id}`", host.name)).hint(hint)
}

fn the_one_of_class<'h>(class: &str, host: &'h HostConfig) -> Result<&'h InstanceConfig, Box<Diagnostic>> {
    let mut fitting = host.instances.iter().filter(|instance| instance.agent_class == class);
    let Some(first) = fitting.next() else {
        let problem = Diagnostic::error(format!("host {} has no instance of the class {class}", host.name));
        let mut classes: Vec<&str> =
            host.instances.iter().map(|instance| instance.agent_class.as_str()).collect();
        classes.sort_unstable();
        classes.dedup();
        return Err(Box::new(problem.hint(format!("it has {}", listed(classes.into_iter())))));
    };
    let others: Vec<&str> = fitting.map(|instance| instance.instance_id.as_str()).collect();
    if others.is_empty() {
        return Ok(first);
    }
    let ids = std::iter::once(first.instance_id.as_str()).chain(others);
    let problem = Diagnostic::error(format!("host {} has several instances of the class {class}", host.name));
    Err(Box::new(problem.hint(format!("say which one with --instance-id: {}", listed(ids)))))
}

/// `a, b, c`, or "none"; long lists are cut.
pub(super) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    match names.len() {
        0 => "none".to_owned(),
        count if count > MAX_NAMED => format!("{}, … ({count} in all)", names[..MAX_NAMED].join(", ")),
        _ => names.join(", "),
    }
}
