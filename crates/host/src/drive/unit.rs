//! The unit of systemd that this manager may run in, and whether it would kill the agents with their manager.

use std::process::Stdio;
use std::time::Duration;

/// `systemctl` answers at once, or is not worth waiting for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What is to be said to people about the unit; `None` if there is none, or nothing is wrong with it.
pub async fn advice() -> Option<String> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let (unit, is_of_user) = unit_of(&groups)?;
    let mut command = tokio::process::Command::new("systemctl");
    if is_of_user {
        command.arg("--user");
    }
    command.args(["show", "--property=KillMode", &unit]).stdin(Stdio::null()).stderr(Stdio::null());
    let output = tokio::time::timeout(TIMEOUT, command.kill_on_drop(true).output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    judge(&unit, text.trim().strip_prefix("KillMode=")?)
}

fn judge(unit: &str, kill_mode: &str) -> Option<String> {
    (kill_mode == "control-group" || kill_mode == "mixed").then(|| {
        format!(
            "{unit} has KillMode={kill_mode}: systemd kills the agents when this manager ends, however it ends. \
             Write KillMode=process and Delegate=yes into the [Service] section of the unit."
        )
    })
}

/// The service unit in whose group we are, and whether it belongs to a user's own systemd.
fn unit_of(groups: &str) -> Option<(String, bool)> {
    let path = |prefix: &str| groups.lines().find_map(|line| line.split_once(prefix).map(|(_, path)| path));
    // The unified hierarchy, or systemd's own one of version 1.
    let units = [path(":name=systemd:"), path("0::")];
    units.into_iter().flatten().find_map(|path| {
        let parts: Vec<&str> = path.split('/').collect();
        let unit = parts.iter().rposition(|part| part.ends_with(".service"))?;
        // Deeper than a subgroup, or in a scope, it is not the unit that ends us.
        let is_own = parts.len() <= unit + 2 && !parts.iter().skip(unit).any(|part| part.ends_with(".scope"));
        let is_manager_of_users = parts[unit].starts_with("user@");
        let is_of_user = parts[..unit].iter().any(|part| part.starts_with("user@"));
        (is_own && !is_manager_of_users).then(|| (parts[unit].to_owned(), is_of_user))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_found_in_either_hierarchy_and_in_its_subgroup() {
        let own = |text: &str| unit_of(text);
        let hm = Some(("hm.service".to_owned(), false));
        assert_eq!(own("0::/system.slice/hm.service\n"), hm);
        assert_eq!(own("0::/system.slice/hm.service/manager\n"), hm);
        assert_eq!(own("3:cpu:/x\n1:name=systemd:/system.slice/hm.service\n0::/\n"), hm);
        let users = "0::/user.slice/user-7.slice/user@7.service/app.slice/hm.service\n";
        assert_eq!(own(users), Some(("hm.service".to_owned(), true)));
        assert_eq!(own("0::/user.slice/user-7.slice/user@7.service/app.slice/x.scope\n"), None);
        assert_eq!(own("0::/user.slice/user-7.slice/session-2.scope\n1:name=systemd:/\n"), None);
    }

    #[test]
    fn only_modes_that_kill_the_agents_are_remarked_on() {
        assert!(judge("hm.service", "control-group").unwrap().contains("KillMode=process"));
        assert!(judge("hm.service", "mixed").is_some());
        assert_eq!(judge("hm.service", "process"), None);
        assert_eq!(judge("hm.service", "none"), None);
    }
}
