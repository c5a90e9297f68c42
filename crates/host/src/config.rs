//! From the site config to what is wanted on this host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use campanile_ocs::site_config::{HostConfig, InstanceConfig, Manage};

use crate::model::{Fate, Operable, Program, Spec, StopPolicy, Target};
use crate::relaunch::RestartPolicy;
use crate::reload::Wanted;
use crate::table::Table;

/// What every plugin agent is told at its launch, beside its own id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchContext {
    /// The interpreter.
    pub python: PathBuf,
    /// The site config file, an absolute path; empty if there is none.
    pub site_file: PathBuf,
    /// The host block that is ours.
    pub host_name: String,
    /// The directory that relative paths in the site config start from.
    pub working_dir: PathBuf,
}

/// What is said of an instance until the Python plugins are known.
const CLASSES_PENDING: &str = "waits for the list of agent classes from Python";
/// What is said of an instance that docker is to keep when no compose file is named.
const NO_DOCKER: &str = "docker is to keep it, and this HostManager has no --docker-compose file";
/// What is said of such an instance until the compose files and the engine have been looked at.
const SERVICES_PENDING: &str = "waits for what docker says of it";

/// How instances and docker services belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerNames {
    /// What the name of a service has before the instance-id; may be empty.
    pub prefix: String,
    /// Whether any compose file is managed.
    pub has_files: bool,
}

impl DockerNames {
    /// What service names begin with when nothing else is said (OCS documentation, `--docker-service-prefix`).
    pub const DEFAULT_PREFIX: &str = "ocs-";

    /// The name of an instance's service.
    #[must_use]
    pub fn service_of(&self, instance_id: &str) -> String {
        format!("{}{instance_id}", self.prefix)
    }
}

/// What this host should run, and what is to be told to people about it.
#[must_use]
pub fn wanted(host: &HostConfig, working_dir: &Path, docker: &DockerNames) -> (Vec<Wanted>, Vec<String>) {
    let mut messages = Vec::new();
    let mut wanted = Vec::new();
    for entry in host.instances.iter().filter(|entry| entry.manage != Manage::Ignore) {
        if let Some(problem) = &entry.problem {
            messages.push(problem.clone());
        }
        wanted.push(want(entry, working_dir, docker));
    }
    (wanted, messages)
}

fn want(entry: &InstanceConfig, working_dir: &Path, docker: &DockerNames) -> Wanted {
    let (program, operable) = match (&entry.command, entry.manage) {
        (_, Manage::DockerUp | Manage::DockerDown) => {
            let operable = match docker.has_files {
                true => Operable::Pending(SERVICES_PENDING.to_owned()),
                false => Operable::No(NO_DOCKER.to_owned()),
            };
            (Program::Docker(docker.service_of(&entry.instance_id)), operable)
        }
        (Some(command), _) => (Program::Command(command.clone()), Operable::Yes),
        (None, _) => (Program::Plugin, Operable::Pending(CLASSES_PENDING.to_owned())),
    };
    let suffix = if matches!(program, Program::Docker(_)) { "[d?]" } else { "" };
    let spec = Spec {
        instance_id: entry.instance_id.clone(),
        agent_class: format!("{}{suffix}", entry.agent_class),
        program,
        arguments: entry.arguments.clone(),
        env: entry.env.clone(),
        cwd: entry.cwd.as_ref().map(|cwd| working_dir.join(cwd)),
        stop: StopPolicy { grace_ms: entry.stop.grace_ms, kill: entry.stop.kill },
        restart: RestartPolicy { delay_ms: entry.restart.delay_ms, max_ms: entry.restart.max_ms },
        after: entry.after.clone(),
        ready: entry.ready.clone(),
        limits: entry.limits,
        start: if entry.manage.starts_up() { Target::Up } else { Target::Down },
    };
    Wanted { spec: Arc::new(spec), operable, problem: entry.problem.clone() }
}

/// What is known of the agent classes of the Python plugins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Classes {
    /// Nothing yet.
    Unknown,
    /// These there are.
    Known(BTreeSet<String>),
    /// They cannot be found out, for this reason.
    Failed(String),
}

/// Settles for every instance that waits for it whether its class can be launched. With `is_final`, classes that are
/// not among the known ones do not exist; else they may only be new. Returns what is to be told to people.
pub fn resolve_classes(table: &mut Table, classes: &Classes, is_final: bool) -> Vec<String> {
    let mut messages = Vec::new();
    for entry in table.iter_mut() {
        let instance = &mut entry.instance;
        settle_class(&instance.spec, &mut instance.operable, classes, is_final, &mut messages);
        if let Fate::Replaced { by, operable } = &mut instance.fate {
            settle_class(by, operable, classes, is_final, &mut messages);
        }
    }
    messages
}

fn settle_class(
    spec: &Spec,
    operable: &mut Operable,
    classes: &Classes,
    is_final: bool,
    messages: &mut Vec<String>,
) {
    if spec.program != Program::Plugin || !matches!(operable, Operable::Pending(_)) {
        return;
    }
    let class = &spec.agent_class;
    match classes {
        Classes::Known(known) if known.contains(class) => {
            messages.push(format!("Found plugin for \"{class}\""));
            *operable = Operable::Yes;
        }
        Classes::Known(_) if is_final => {
            messages.push(format!("No plugin found for agent_class \"{class}\"!"));
            *operable = Operable::No(format!("no Python plugin has the agent class {class}"));
        }
        Classes::Failed(why) if is_final => *operable = Operable::No(why.clone()),
        Classes::Unknown | Classes::Known(_) | Classes::Failed(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use campanile_ocs::site_config::{HubOverrides, Limits, Restart, Stop};
    use campanile_yaml::{Position, Span};

    fn entry(class: &str, id: &str, manage: Manage) -> InstanceConfig {
        InstanceConfig {
            agent_class: class.to_owned(),
            instance_id: id.to_owned(),
            arguments: vec!["--mode".to_owned(), "acq".to_owned()],
            manage,
            command: None,
            env: Vec::new(),
            cwd: None,
            stop: Stop { grace_ms: 7000, kill: false },
            after: Vec::new(),
            ready: None,
            limits: Limits::default(),
            restart: Restart::default(),
            span: span(),
            problem: None,
        }
    }

    fn no_docker() -> DockerNames {
        DockerNames { prefix: DockerNames::DEFAULT_PREFIX.to_owned(), has_files: false }
    }

    fn span() -> Span {
        let position = Position { offset: 0, line: 1, column: 1 };
        Span { start: position, end: position }
    }

    fn host(instances: Vec<InstanceConfig>) -> HostConfig {
        HostConfig {
            name: "host-1".to_owned(),
            instances,
            log_dir: None,
            crossbar: None,
            crossbar_timeout_s: 10,
            overrides: HubOverrides::default(),
            span: span(),
            problem: None,
        }
    }

    #[test]
    fn every_way_to_manage_an_instance_becomes_what_is_wanted() {
        let command = InstanceConfig {
            command: Some(vec!["./run".to_owned()]),
            cwd: Some(PathBuf::from("tools")),
            ..entry("Anything", "c", Manage::HostDown)
        };
        let entries = vec![
            entry("Fake", "a", Manage::HostUp),
            entry("Fake", "i", Manage::Ignore),
            entry("Fake", "d", Manage::DockerUp),
            command,
        ];
        let (wanted, messages) = wanted(&host(entries), Path::new("/site"), &no_docker());
        assert_eq!(messages, [""; 0]);
        let [a, d, c] = wanted.as_slice() else { panic!("{wanted:?}") };
        assert_eq!((a.spec.start, &a.spec.program), (Target::Up, &Program::Plugin));
        assert_eq!(a.spec.stop, StopPolicy { grace_ms: 7000, kill: false });
        assert_eq!(a.operable, Operable::Pending(CLASSES_PENDING.to_owned()));
        assert_eq!((d.spec.agent_class.as_str(), d.spec.full_name().as_str()), ("Fake[d?]", "Fake:d"));
        assert_eq!(d.operable, Operable::No(NO_DOCKER.to_owned()));
        assert_eq!((c.spec.start, &c.operable), (Target::Down, &Operable::Yes));
        assert_eq!(c.spec.cwd, Some(PathBuf::from("/site/tools")));
    }

    #[test]
    fn what_is_broken_is_said() {
        let broken =
            InstanceConfig { problem: Some("line 3: odd".to_owned()), ..entry("Fake", "b", Manage::HostUp) };
        let (wanted, messages) = wanted(&host(vec![broken]), Path::new("/site"), &no_docker());
        assert_eq!(messages, ["line 3: odd"]);
        assert_eq!(wanted[0].problem.as_deref(), Some("line 3: odd"));
    }

    #[test]
    fn classes_are_settled_when_they_become_known_and_not_before() {
        let entries = vec![entry("Fake", "a", Manage::HostUp), entry("Ghost", "g", Manage::HostUp)];
        let (wanted, _) = wanted(&host(entries), Path::new("/site"), &no_docker());
        let mut table = Table::default();
        crate::reload::reload(&mut table, &wanted, 0);
        assert_eq!(resolve_classes(&mut table, &Classes::Unknown, true), [""; 0]);
        let known = Classes::Known(["Fake".to_owned()].into());
        assert_eq!(resolve_classes(&mut table, &known, false), ["Found plugin for \"Fake\""]);
        assert_eq!(resolve_classes(&mut table, &known, true), ["No plugin found for agent_class \"Ghost\"!"]);
        let operable: Vec<bool> =
            table.iter().map(|entry| entry.instance.operable == Operable::Yes).collect();
        assert_eq!(operable, [true, false]);
    }

    #[test]
    fn without_python_only_those_that_need_it_cannot_be_manipulated() {
        let command =
            InstanceConfig { command: Some(vec!["true".to_owned()]), ..entry("C", "c", Manage::HostUp) };
        let entries = vec![entry("Fake", "a", Manage::HostUp), command];
        let (wanted, _) = wanted(&host(entries), Path::new("/site"), &no_docker());
        let mut table = Table::default();
        crate::reload::reload(&mut table, &wanted, 0);
        resolve_classes(&mut table, &Classes::Failed("there is no Python".to_owned()), true);
        let operable: Vec<Operable> = table.iter().map(|entry| entry.instance.operable.clone()).collect();
        assert_eq!(operable, [Operable::No("there is no Python".to_owned()), Operable::Yes]);
    }
}
