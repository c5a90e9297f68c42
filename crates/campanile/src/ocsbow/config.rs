//! `ocsbow config`: what the site config says, in the form of the original.

use std::path::{Path, PathBuf};

use campanile_ocs::site_config::{CrossbarConfig, HostConfig, SiteConfig};

use super::plugins::Plugins;
use super::python::{repr_list, summary};

/// Hosts and instances. `ocs` is where Python finds OCS, if it does.
pub(crate) fn overview(site: &SiteConfig, host: Option<&HostConfig>, ocs: Option<&str>) -> String {
    let mut out = String::from("ocs configuration summary\n-------------------------\n\n");
    let ocs = ocs.unwrap_or("(no Python with ocs was found; Campanile itself needs none)");
    out.push_str(&format!("ocs import led to:\n  {ocs}\n\n"));
    out.push_str(&format!("Site file was determined to be:\n  {}\n\n", site.path.display()));
    match host {
        None => out.push_str("No configuration block was found for the specified host.\n"),
        Some(host) => out.push_str(&format!("Specified host is:  {}\n\n", host.name)),
    }
    out.push_str(&format!("\nThe site file describes {} hosts:\n", site.hosts.len()));
    for host in &site.hosts {
        out.push_str(&format!("  Host {} includes {} agent instances:\n", host.name, host.instances.len()));
        for instance in &host.instances {
            out.push_str(&format!("    {}::{}\n", instance.agent_class, instance.instance_id));
        }
        out.push('\n');
    }
    out
}

/// The hub, and the router of this host.
pub(crate) fn crossbar(site: &SiteConfig, host: Option<&HostConfig>, search_path: &[PathBuf]) -> String {
    let hub = &site.hub;
    let mut entries = vec![("wamp_server", Some(hub.wamp_server.as_str()))];
    entries.extend(hub.wamp_http.as_deref().map(|url| ("wamp_http", Some(url))));
    entries.push(("wamp_realm", Some(&hub.wamp_realm)));
    entries.push(("address_root", Some(&hub.address_root)));
    // A policy may hold passwords, which the original prints.
    let policy = hub.access_policy.as_deref().map(campanile_ocs::agent::access::shown);
    entries.extend(policy.as_deref().map(|policy| ("access_policy", Some(policy))));
    let mut out = String::from("ocs crossbar configuration\n--------------------------\n\n");
    out.push_str(&format!("Configuration for the OCS hub:\n{}\n\n", summary(&entries)));
    match host.and_then(|host| host.crossbar.as_ref().map(|crossbar| (host, crossbar))) {
        None => out.push_str("This host is not known to the site config.\n"),
        Some((host, crossbar)) => {
            let bin = program(crossbar, search_path);
            let entries = [("bin", bin.as_deref()), ("config-dir", crossbar.config_dir.as_deref())];
            out.push_str(&format!("Configuration for crossbar service on this host ({}):\n", host.name));
            out.push_str(&format!("{}\n", summary(&entries)));
        }
    }
    out.push('\n');
    out
}

/// The program that the site config names, else the first `crossbar` of the search path.
fn program(crossbar: &CrossbarConfig, search_path: &[PathBuf]) -> Option<String> {
    crossbar.bin.clone().or_else(|| {
        let mut found = search_path.iter().map(|dir| dir.join("crossbar")).filter(|path| path.is_file());
        found.next().as_deref().map(Path::display).map(|path| path.to_string())
    })
}

/// The agent classes of the installed plugins.
pub(crate) fn plugins(plugins: &Plugins) -> String {
    let mut out = String::from("ocs plugin detection\n--------------------\n");
    out.push_str(&format!("Installed OCS Plugins: {}\n", repr_list(&plugins.names)));
    for (name, error) in &plugins.broken {
        out.push_str(&format!("Could not load plugin: {name}\n  Error: {error}\n"));
    }
    out.push_str("Found:\n");
    for (class, module) in &plugins.agents {
        out.push_str(&format!("  {class:25} : {module}\n"));
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use campanile_ocs::site_config::{Hub, HubOverrides};

    use super::*;

    fn site() -> SiteConfig {
        SiteConfig {
            path: "/home/ocs/site-config/proxy.yaml".into(),
            hub: Hub {
                wamp_server: "ws://127.0.0.1:8002/ws".into(),
                wamp_http: Some("http://127.0.0.1:8002/call".into()),
                wamp_realm: "test_realm".into(),
                address_root: "observatory".into(),
                access_policy: None,
            },
            hosts: vec![host(None)],
        }
    }

    fn host(crossbar: Option<CrossbarConfig>) -> HostConfig {
        HostConfig {
            name: "host-1".into(),
            instances: Vec::new(),
            log_dir: None,
            crossbar,
            crossbar_timeout_s: 10,
            overrides: HubOverrides::default(),
            span: campanile_yaml::Span::default(),
            problem: None,
        }
    }

    #[test]
    fn the_crossbar_report_is_the_original_one_to_the_byte() {
        let host = host(Some(CrossbarConfig {
            config_dir: Some("/home/ocs/site-config/dot_crossbar".into()),
            bin: Some("/opt/ocs/venv/bin/crossbar".into()),
        }));
        let expected = "\
ocs crossbar configuration
--------------------------

Configuration for the OCS hub:
{
  'wamp_server': 'ws://127.0.0.1:8002/ws',
  'wamp_http': 'http://127.0.0.1:8002/call',
  'wamp_realm': 'test_realm',
  'address_root': 'observatory',
}

Configuration for crossbar service on this host (host-1):
{
  'bin': '/opt/ocs/venv/bin/crossbar',
  'config-dir': '/home/ocs/site-config/dot_crossbar',
}

";
        assert_eq!(crossbar(&site(), Some(&host), &[]), expected);
    }

    #[test]
    fn a_host_without_a_router_of_its_own_says_so() {
        let text = crossbar(&site(), None, &[]);
        assert!(text.ends_with("}\n\nThis host is not known to the site config.\n\n"), "{text}");
    }

    #[test]
    fn the_overview_lists_hosts_as_the_original_does() {
        let text = overview(&site(), Some(&host(None)), Some("/opt/ocs/__init__.py"));
        let expected = "\
ocs configuration summary
-------------------------

ocs import led to:
  /opt/ocs/__init__.py

Site file was determined to be:
  /home/ocs/site-config/proxy.yaml

Specified host is:  host-1


The site file describes 1 hosts:
  Host host-1 includes 0 agent instances:

";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_plugins_are_listed_as_the_original_does() {
        let found = Plugins {
            names: vec!["ocs".into()],
            agents: vec![("RegistryAgent".into(), "ocs.agents.registry.agent".into())],
            broken: vec![],
        };
        let expected = "\
ocs plugin detection
--------------------
Installed OCS Plugins: ['ocs']
Found:
  RegistryAgent             : ocs.agents.registry.agent

";
        assert_eq!(plugins(&found), expected);
    }
}
