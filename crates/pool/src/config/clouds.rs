//! The section `clouds`, and `pool.clouds`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use campanile_yaml::Diagnostics;

use super::daemon::groups;
use super::model::{Access, CloudConfig, CloudKind, OwnLimits, PoolConfig, Secret};
use super::section::{Section, unknown_name};
use super::units::{mib, windows};
use crate::model::Resources;

/// Of the documented section; `backend` and `no_cache` mean nothing and are known all the same.
const KEYS: &[&str] = &[
    "auth_url",
    "project_name",
    "username",
    "password",
    "region_name",
    "user_domain_name",
    "project_domain_name",
    "image",
    "no_cache",
    "backend",
];
const POOL_KEYS: &[&str] = &[
    "cloud",
    "clouds_yaml",
    "application_credential_id",
    "application_credential_secret",
    "cacert",
    "verify",
    "interface",
    "flavors",
    "image",
    "network",
    "key",
    "security_groups",
    "priority",
    "limits",
    "floating_ip",
    "scratch_size",
    "boot_volume",
    "costs",
    "cost_per_core_hour",
    "windows",
    "enabled",
    "cores",
    "memory",
    "machines",
];
/// What is needed to log in with a password.
const REQUIRED: [&str; 7] = [
    "auth_url",
    "project_name",
    "username",
    "password",
    "region_name",
    "user_domain_name",
    "project_domain_name",
];
/// What a local cloud pretends to have, where the file says nothing.
const LOCAL_CORES: u32 = 8;
const LOCAL_MEMORY_MIB: u64 = 16_384;

pub(super) fn clouds(
    root: &Section<'_>,
    pool: &Section<'_>,
    config: &mut PoolConfig,
    diagnostics: &mut Diagnostics,
) {
    let documented = root.section(&["clouds"], diagnostics);
    let ours = pool.section(&["clouds"], diagnostics);
    let mut names = documented.keys();
    for name in ours.keys() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let login = documented.section(&[name], diagnostics);
        let more = ours.section(&[name], diagnostics);
        login.warn_of_misspelt_keys(KEYS, diagnostics);
        more.warn_of_misspelt_keys(POOL_KEYS, diagnostics);
        if let Some(cloud) = cloud(name, &login, &more, config, diagnostics) {
            config.clouds.push(cloud);
        }
    }
    if config.clouds.is_empty() && !diagnostics.has_errors() {
        let text = "no cloud is named: there is no section `clouds`";
        match root.node() {
            Some(node) => diagnostics.push(node.error(text).at(start_of(node))),
            None => diagnostics.push(campanile_yaml::Diagnostic::error(text)),
        }
    }
}

fn start_of(node: campanile_yaml::Node<'_>) -> campanile_yaml::Span {
    let start = node.place().start;
    campanile_yaml::Span { start, end: start }
}

fn cloud(
    name: &str,
    login: &Section<'_>,
    more: &Section<'_>,
    config: &PoolConfig,
    diagnostics: &mut Diagnostics,
) -> Option<CloudConfig> {
    let kind = match more.get("cloud").and_then(|node| Some((node, node.want_text(diagnostics)?))) {
        None | Some((_, "openstack")) => {
            CloudKind::OpenStack(Box::new(access(name, login, more, diagnostics)))
        }
        Some((_, "local")) => local(more, diagnostics),
        Some((node, other)) => {
            unknown_name(node, "kind of cloud", other, ["openstack", "local"].into_iter(), diagnostics);
            return None;
        }
    };
    let ehos = &config.ehos;
    let own_groups = groups(more, diagnostics);
    let limits = more.section(&["limits"], diagnostics);
    limits.warn_of_misspelt_keys(&["nodes", "cores", "memory"], diagnostics);
    Some(CloudConfig {
        priority: more.get("priority").and_then(|node| node.want_int(diagnostics)).unwrap_or(0),
        flavors: more.texts("flavors", diagnostics),
        image: more.text("image", diagnostics).or_else(|| login.text("image", diagnostics)),
        network: more.text("network", diagnostics).or_else(|| ehos.network.clone()),
        key: more.text("key", diagnostics).or_else(|| ehos.key.clone()),
        security_groups: if own_groups.is_empty() { ehos.security_groups.clone() } else { own_groups },
        floating_ip: more.flag("floating_ip", diagnostics).unwrap_or(false),
        scratch_gib: more.number("scratch_size", diagnostics).unwrap_or(ehos.scratch_gib),
        boot_gib: more.number("boot_volume", diagnostics).unwrap_or(0),
        limits: OwnLimits {
            nodes: limits.number("nodes", diagnostics),
            cores: limits.number("cores", diagnostics),
            memory_mib: mib(&limits, "memory", diagnostics),
        },
        costs: costs(more, diagnostics),
        cost_per_core_hour: more.amount("cost_per_core_hour", diagnostics).unwrap_or(0.0),
        windows: windows(more, "windows", diagnostics),
        enabled: more.flag("enabled", diagnostics).unwrap_or(true),
        ..CloudConfig::new(name, kind)
    })
}

fn costs(more: &Section<'_>, diagnostics: &mut Diagnostics) -> BTreeMap<String, f64> {
    let section = more.section(&["costs"], diagnostics);
    let keys = section.keys();
    keys.into_iter().filter_map(|key| Some((key.to_owned(), section.amount(key, diagnostics)?))).collect()
}

fn access(name: &str, login: &Section<'_>, more: &Section<'_>, diagnostics: &mut Diagnostics) -> Access {
    let secret = |section: &Section<'_>, key: &str, diagnostics: &mut Diagnostics| {
        section.text(key, diagnostics).map(Secret::new)
    };
    let access = Access {
        clouds_yaml: more.text("clouds_yaml", diagnostics),
        auth_url: login.text("auth_url", diagnostics),
        region_name: login.text("region_name", diagnostics),
        project_name: login.text("project_name", diagnostics),
        project_domain_name: login.text("project_domain_name", diagnostics),
        username: login.text("username", diagnostics),
        user_domain_name: login.text("user_domain_name", diagnostics),
        password: secret(login, "password", diagnostics),
        application_credential_id: more.text("application_credential_id", diagnostics),
        application_credential_secret: secret(more, "application_credential_secret", diagnostics),
        cacert: more.text("cacert", diagnostics).map(PathBuf::from),
        insecure: !more.flag("verify", diagnostics).unwrap_or(true),
        interface: more.text("interface", diagnostics),
    };
    if access.insecure
        && let Some(node) = more.get("verify")
    {
        let problem = node.warning(format!("certificates of {name} are not checked"));
        diagnostics.push(problem.hint("give the authority's certificate as `cacert` instead"));
    }
    let missing = |needed: &[&str]| -> Vec<String> {
        needed.iter().filter(|key| login.get(key).is_none()).map(|key| format!("`{key}`")).collect()
    };
    let lacks = match (&access.clouds_yaml, &access.application_credential_id) {
        (Some(_), _) => Vec::new(),
        (None, Some(_)) => {
            let mut lacks = missing(&["auth_url", "region_name"]);
            if access.application_credential_secret.is_none() {
                lacks.push("`application_credential_secret`".to_owned());
            }
            lacks
        }
        (None, None) => missing(&REQUIRED),
    };
    if !lacks.is_empty()
        && let Some(node) = login.node().or_else(|| more.node())
    {
        let problem = node.error(format!("cloud {name} lacks {}", lacks.join(", "))).at(start_of(node));
        diagnostics.push(problem.hint(
            "variables OS_* are not read; `pool.clouds` may name an entry of clouds.yaml or an application credential",
        ));
    }
    access
}

fn local(more: &Section<'_>, diagnostics: &mut Diagnostics) -> CloudKind {
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let machines = more.section(&["machines"], diagnostics);
    let mut flavors = Vec::new();
    for name in machines.keys() {
        let machine = machines.section(&[name], diagnostics);
        machine.warn_of_misspelt_keys(&["cores", "memory", "disk", "gpus"], diagnostics);
        let resources = Resources {
            cores: narrow(machine.number("cores", diagnostics).unwrap_or(1)),
            memory_mib: mib(&machine, "memory", diagnostics).unwrap_or(1024),
            disk_mib: mib(&machine, "disk", diagnostics).unwrap_or(10_240),
            gpus: narrow(machine.number("gpus", diagnostics).unwrap_or(0)),
        };
        flavors.push((name.to_owned(), resources));
    }
    if flavors.is_empty() {
        let resources = Resources { cores: 1, memory_mib: 1024, disk_mib: 10_240, gpus: 0 };
        flavors.push(("local".to_owned(), resources));
    }
    CloudKind::Local {
        cores: more.number("cores", diagnostics).map_or(LOCAL_CORES, narrow),
        memory_mib: mib(more, "memory", diagnostics).unwrap_or(LOCAL_MEMORY_MIB),
        flavors,
    }
}
