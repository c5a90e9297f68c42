//! The texts of launcher script and service file (pure).

use super::quote::{shell, unit_program, unit_text};

/// What stands in the two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The interpreter of the launcher script, such as `/bin/bash`.
    pub(crate) shell: String,
    /// The site config file, absolute.
    pub(crate) site_file: String,
    /// This program.
    pub(crate) campanile: String,
    /// The Python interpreter for agents without a command of their own.
    pub(crate) python: String,
    pub(crate) instance_id: String,
    /// The host block of the site config.
    pub(crate) host: String,
    /// Compose files, absolute.
    pub(crate) docker_compose: Vec<String>,
    /// Further options of the HostManager: name and value.
    pub(crate) options: Vec<(String, String)>,
    /// The launcher script, absolute.
    pub(crate) launcher: String,
    /// Where the service file was written to, as the user named it.
    pub(crate) service_file: String,
    pub(crate) user: String,
}

/// The launcher script.
pub(crate) fn launcher(settings: &Settings) -> String {
    let Settings { shell: interpreter, site_file, campanile, python, service_file, .. } = settings;
    let mut args = vec![
        format!("--instance-id={}", shell(&settings.instance_id)),
        format!("--site-host={}", shell(&settings.host)),
    ];
    args.extend(settings.options.iter().map(|(name, value)| format!("{name}={}", shell(value))));
    if !settings.docker_compose.is_empty() {
        args.push(format!("--docker-compose={}", shell(&settings.docker_compose.join(","))));
    }
    format!(
        "#!{interpreter}

# This launcher script is for use by systemd; a corresponding systemd
# service file was probably installed to {}.

### Add / modify environment and launch variables here.

SITE_FILE={}
CAMPANILE={}
PYTHON={}

###

exec \"${{CAMPANILE}}\" host \\
  --site-file=\"${{SITE_FILE}}\" \\
  --python=\"${{PYTHON}}\" \\
  {}
",
        unbroken(service_file),
        shell(site_file),
        shell(campanile),
        shell(python),
        args.join("  \\\n  ")
    )
}

/// A comment must stay on its line.
fn unbroken(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// The service file. `KillMode=process` leaves agents running when the HostManager is killed, for its successor to
/// adopt; `Delegate=yes` lets it make cgroups for them.
pub(crate) fn service(settings: &Settings) -> String {
    format!(
        "[Unit]
Description=OCS HostManager for {}

[Service]
ExecStart={}
User={}
Restart=always
RestartSec=10s
KillMode=process
Delegate=yes

[Install]
WantedBy=multi-user.target
",
        unit_text(&settings.host),
        unit_program(&settings.launcher),
        unit_text(&settings.user),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            shell: "/bin/bash".into(),
            site_file: "/home/ocs/site-config/default.yaml".into(),
            campanile: "/usr/local/bin/campanile".into(),
            python: "/opt/ocs/venv/bin/python3".into(),
            instance_id: "hm-host-1-docker".into(),
            host: "host-1-docker".into(),
            docker_compose: vec!["/home/ocs/other.yaml".into()],
            options: Vec::new(),
            launcher: "/home/ocs/out/systemd/launcher-hm-host-1-docker.sh".into(),
            service_file: "out/systemd/ocs-hostmanager-host-1-docker.service".into(),
            user: "ocs".into(),
        }
    }

    #[test]
    fn the_launcher_is_that_of_the_original_but_for_what_it_runs() {
        let original = include_str!("../../tests/data/systemd/launcher-hm-host-1-docker.sh");
        let ours = launcher(&settings());
        let different: Vec<&str> =
            ours.lines().filter(|line| !original.lines().any(|other| other == *line)).collect();
        assert_eq!(
            different,
            [
                "CAMPANILE=/usr/local/bin/campanile",
                "exec \"${CAMPANILE}\" host \\",
                "  --site-file=\"${SITE_FILE}\" \\",
                "  --python=\"${PYTHON}\" \\",
            ]
        );
        let dropped: Vec<&str> =
            original.lines().filter(|line| !ours.lines().any(|other| other == *line)).collect();
        assert_eq!(dropped, ["${PYTHON} -m ocs.agent_cli \\", "  --site-file=${SITE_FILE} \\"]);
    }

    #[test]
    fn the_service_file_is_that_of_the_original_and_two_lines() {
        let original = include_str!("../../tests/data/systemd/ocs-hostmanager-host-1-docker.service");
        let expected =
            original.replace("RestartSec=10s\n\n", "RestartSec=10s\nKillMode=process\nDelegate=yes\n");
        assert_eq!(service(&settings()), expected);
    }

    #[test]
    fn further_options_and_odd_paths_are_quoted() {
        let settings = Settings {
            site_file: "/home/my lab/default.yaml".into(),
            options: vec![("--log-dir".into(), "/var/log/my lab".into())],
            docker_compose: vec!["/a.yaml".into(), "/b c.yaml".into()],
            ..settings()
        };
        let text = launcher(&settings);
        assert!(text.contains("SITE_FILE='/home/my lab/default.yaml'\n"), "{text}");
        assert!(
            text.contains("  --log-dir='/var/log/my lab'  \\\n  --docker-compose='/a.yaml,/b c.yaml'\n"),
            "{text}"
        );
    }
}
