//! Carrying out what a plan asks for.

use std::ffi::OsString;
use std::sync::Arc;

use crate::config::LaunchContext;
use crate::drive::process::{CommandLine, Processes};
use crate::model::{Key, Program, Spec};
use crate::plan::Action;

/// Carries out one action for an instance. Returns at once; what comes of it is observed later.
pub fn act(processes: &Processes, context: &LaunchContext, key: Key, spec: &Arc<Spec>, action: &Action) {
    match action {
        Action::Launch { launch } => {
            processes.launch(key, *launch, spec, command_line(spec, context));
        }
        // The original sends SIGINT to the agent alone. A command may be a shell around the program that is meant, and
        // a shell ends on SIGINT only after its child has; so it goes to both, as a terminal's Ctrl-C does.
        Action::Interrupt => processes.interrupt(key, matches!(spec.program, Program::Command(_))),
        Action::Terminate => processes.terminate(key),
        Action::Kill => processes.kill(key),
    }
}

/// How an instance is launched. A plugin agent is launched as OCS does it: it reads everything else from the site
/// config by itself.
#[must_use]
pub fn command_line(spec: &Spec, context: &LaunchContext) -> CommandLine {
    let argv = match &spec.program {
        Program::Command(command) => command.iter().chain(&spec.arguments).map(OsString::from).collect(),
        Program::Plugin | Program::Docker(_) => plugin_argv(&spec.instance_id, context),
    };
    CommandLine { argv, env: spec.env.clone(), cwd: spec.cwd.clone() }
}

fn plugin_argv(instance_id: &str, context: &LaunchContext) -> Vec<OsString> {
    let mut argv: Vec<OsString> = vec![context.python.clone().into(), "-m".into(), "ocs.agent_cli".into()];
    argv.extend(["--instance-id".into(), instance_id.into()]);
    if !context.site_file.as_os_str().is_empty() {
        argv.extend(["--site-file".into(), context.site_file.clone().into()]);
    }
    argv.extend(["--site-host".into(), context.host_name.clone().into()]);
    argv.extend(["--working-dir".into(), context.working_dir.clone().into()]);
    argv
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{StopPolicy, Target};
    use crate::relaunch::RestartPolicy;

    fn argv(program: Program) -> Vec<String> {
        let spec = Spec {
            instance_id: "thermo1".to_owned(),
            agent_class: "Lakeshore".to_owned(),
            program,
            arguments: vec!["--mode".to_owned(), "acq".to_owned()],
            env: Vec::new(),
            cwd: None,
            stop: StopPolicy { grace_ms: 1, kill: true },
            restart: RestartPolicy::default(),
            after: Vec::new(),
            ready: None,
            limits: Default::default(),
            start: Target::Up,
        };
        let context = LaunchContext {
            python: "/opt/python".into(),
            site_file: "/site/default.yaml".into(),
            host_name: "host-1".to_owned(),
            working_dir: "/work dir".into(),
        };
        let line = command_line(&spec, &context);
        line.argv.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn a_plugin_agent_is_launched_as_ocs_launches_it() {
        assert_eq!(
            argv(Program::Plugin),
            [
                "/opt/python",
                "-m",
                "ocs.agent_cli",
                "--instance-id",
                "thermo1",
                "--site-file",
                "/site/default.yaml",
                "--site-host",
                "host-1",
                "--working-dir",
                "/work dir"
            ]
        );
    }

    #[test]
    fn a_command_is_followed_by_the_arguments_of_the_entry() {
        let command = Program::Command(vec!["./run".to_owned(), "-v".to_owned()]);
        assert_eq!(argv(command), ["./run", "-v", "--mode", "acq"]);
    }
}
