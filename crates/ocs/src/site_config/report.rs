//! What `config check` says of a site config file.

use std::path::{Path, PathBuf};

use campanile_yaml::Diagnostics;
use serde_json::json;

use super::load::load;
use super::model::{HostConfig, SiteConfig};
use crate::agent::access::shown;

/// Everything that can be said of a site config file without running anything.
#[derive(Clone, Debug)]
pub struct ConfigReport {
    /// The file.
    pub path: PathBuf,
    /// What it says; `None` when it is unusable as a whole.
    pub site: Option<SiteConfig>,
    /// All that is wrong with it.
    pub diagnostics: Diagnostics,
}

impl ConfigReport {
    /// Reads and checks the file.
    pub fn of(path: &Path) -> Self {
        let (site, diagnostics) = load(path);
        Self { path: path.to_path_buf(), site, diagnostics }
    }

    /// 2 when there is any error, be it of the file or of one entry; else 0.
    pub fn exit_code(&self) -> u8 {
        if self.diagnostics.has_errors() { 2 } else { 0 }
    }

    /// One line for people: how much there is, and how much is wrong.
    pub fn summary(&self) -> String {
        let count =
            |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        let mut parts = Vec::new();
        match &self.site {
            Some(site) => {
                let instances: usize = site.hosts.iter().map(|host| host.instances.len()).sum();
                parts.push(count(site.hosts.len(), "host"));
                parts.push(count(instances, "instance"));
            }
            None => parts.push("unusable".to_owned()),
        }
        for (number, what) in
            [(self.diagnostics.error_count(), "error"), (self.diagnostics.warning_count(), "warning")]
        {
            if number > 0 {
                parts.push(count(number, what));
            }
        }
        format!("{}: {}", self.path.display(), parts.join(", "))
    }

    /// The JSON form: `path`, `usable`, `errors`, `warnings`, `diagnostics`, `hub`, and `hosts` with their instances and
    /// the reason why one is disabled.
    pub fn to_json(&self) -> serde_json::Value {
        let mut report = self.diagnostics.to_json();
        report["path"] = json!(self.path.display().to_string());
        report["usable"] = json!(self.site.is_some());
        report["hub"] = self.site.as_ref().map_or(serde_json::Value::Null, |site| {
            json!({
                "wamp_server": site.hub.wamp_server,
                "wamp_http": site.hub.wamp_http,
                "wamp_realm": site.hub.wamp_realm,
                "address_root": site.hub.address_root,
                "access_policy": site.hub.access_policy.as_deref().map(shown),
            })
        });
        let hosts = self.site.iter().flat_map(|site| &site.hosts);
        report["hosts"] = hosts.map(host_json).collect();
        report
    }
}

fn host_json(host: &HostConfig) -> serde_json::Value {
    let instances = host.instances.iter().map(|instance| {
        json!({
            "instance_id": instance.instance_id,
            "agent_class": instance.agent_class,
            "manage": instance.manage.as_str(),
            "problem": instance.problem,
        })
    });
    json!({
        "name": host.name,
        "problem": host.problem,
        "instances": instances.collect::<Vec<_>>(),
    })
}
