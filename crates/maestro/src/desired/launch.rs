//! How a daemon is started: the command line of ldmsd that its configuration amounts to. Pure.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::extension;
use crate::config::model::{Cluster, Daemon};
use crate::generate;
use crate::model::{Desired, Launch, Start};

/// Memory for sets that an aggregator is given where the configuration does not say: the 512 kB that ldmsd takes by
/// itself are too little for more than a few dozen producers.
const AGGREGATOR_MEMORY: &str = "64M";

/// The program, where none is named.
pub const LDMSD: &str = "ldmsd";

/// How a daemon of the `start:` part of the file is started.
pub(super) fn start(cluster: &Cluster, daemon: &Daemon) -> Option<Arc<Start>> {
    let start = match cluster.extension.start.get(&daemon.name)? {
        extension::Start::Local { ldmsd, args } => {
            Start::Local(launch(cluster, daemon, ldmsd.as_deref().unwrap_or(Path::new(LDMSD)), args)?)
        }
        extension::Start::Instance { manager, instance } => {
            Start::Instance { manager: manager.as_str().into(), instance: instance.as_str().into() }
        }
    };
    Some(Arc::new(start))
}

/// Has all aggregators started on their machines that the file says nothing else of.
pub fn start_aggregators(desired: &mut Desired, cluster: &Cluster, program: &Path) {
    for daemon in desired.daemons.iter_mut().filter(|daemon| !daemon.member_of.is_empty()) {
        if daemon.start.is_none()
            && let Some(of) = cluster.daemon(&daemon.name)
        {
            daemon.start = launch(cluster, of, program, &[]).map(|launch| Arc::new(Start::Local(launch)));
        }
    }
}

/// The process of a daemon: it listens where it is managed; everything else it is told when it answers. None for one
/// that is not managed.
fn launch(cluster: &Cluster, daemon: &Daemon, program: &Path, more: &[String]) -> Option<Launch> {
    let endpoint = daemon.managed_at()?;
    let mut arguments: Vec<String> = Vec::new();
    let mut give = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
    let place = match endpoint.bind_all {
        Some(_) => format!("{}:{}", endpoint.xprt, endpoint.port),
        None => format!("{}:{}:{}", endpoint.xprt, endpoint.port, daemon.host_of(endpoint)),
    };
    give("-x", place);
    give("-a", endpoint.auth_plugin().to_owned());
    if let Some(conf) = endpoint.auth.as_deref().and_then(|auth| auth.conf.as_deref()) {
        give("-A", format!("conf={conf}"));
    }
    give("-n", daemon.name.clone());
    let aggregates = cluster.groups_of(&daemon.name).next().is_some();
    let sized = daemon.settings.options.iter().any(|(key, _)| key == "set_memory" || key == "m")
        || more.iter().any(|argument| argument == "-m" || argument.starts_with("--set_memory"));
    if aggregates && !sized {
        give("-m", AGGREGATOR_MEMORY.to_owned());
    }
    arguments.extend(more.iter().cloned());
    Some(Launch {
        host: daemon.host.clone(),
        program: PathBuf::from(program),
        arguments,
        environment: daemon.settings.environment.clone(),
        conf: generate::options(&daemon.settings),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Pairing};
    use crate::desired::desired;
    use crate::model::BalanceBy;

    const FILE: &str = r#"
daemons:
  - {names: s1, hosts: n1, endpoints: [{names: s1-ep, ports: 411, maestro_comm: True}]}
  - {names: "a[1-3]", hosts: m1, set_memory: 1g, environment: {X: "7"},
     endpoints: [{names: "a[1-3]-ep", ports: "[412-414]", maestro_comm: True, bind_all: True,
                  auth: {name: o, plugin: ovis, conf: /etc/secret}}]}
  - {names: "b", hosts: m2, endpoints: [{names: b-ep, ports: 411, maestro_comm: True}]}
aggregators:
  - daemons: "a[1-3]"
    peers: [{daemons: s1, endpoints: s1-ep, reconnect: 2s, type: active, updaters: [{interval: 1s}]}]
  - daemons: b
    peers: [{daemons: "a[1-3]", endpoints: "a[1-3]-ep", reconnect: 2s, type: active, updaters: [{interval: 1s}]}]
samplers: [{daemons: s1, plugins: [mem]}]
plugins: {mem: {name: meminfo, interval: 1s, config: [{schema: meminfo}]}}
campanile:
  start:
    a1: {ldmsd: /opt/ldmsd, args: [-v, INFO]}
    a2: {manager: hm-m1}
"#;

    #[test]
    fn a_daemon_is_started_with_what_its_configuration_says() {
        let (cluster, diagnostics) = config::parse(Path::new("c.yaml"), FILE.as_bytes(), Pairing::Written);
        assert!(!diagnostics.has_errors(), "{diagnostics:?}");
        let cluster = cluster.unwrap();
        let mut desired = desired(&cluster, BalanceBy::Producers);
        let starts = |desired: &Desired| -> Vec<Option<Start>> {
            desired.daemons.iter().map(|daemon| daemon.start.as_deref().cloned()).collect()
        };
        let before = starts(&desired);
        assert!(before[0].is_none() && before[3].is_none() && before[4].is_none());
        let Some(Start::Local(launch)) = &before[1] else { panic!("{:?}", before[1]) };
        assert_eq!(launch.program, Path::new("/opt/ldmsd"));
        let line = "-x sock:412 -a ovis -A conf=/etc/secret -n a1 -v INFO";
        assert_eq!(launch.arguments.join(" "), line);
        assert_eq!(launch.conf, "option --set_memory 1g\n");
        assert_eq!(launch.environment, [("X".to_owned(), "7".to_owned())]);
        assert_eq!(before[2], Some(Start::Instance { manager: "hm-m1".into(), instance: "a2".into() }));
        start_aggregators(&mut desired, &cluster, Path::new(LDMSD));
        let after = starts(&desired);
        assert_eq!((&after[0], &after[1], &after[2]), (&before[0], &before[1], &before[2]));
        let Some(Start::Local(launch)) = &after[4] else { panic!("{:?}", after[4]) };
        assert_eq!((launch.host.as_str(), launch.program.as_path()), ("m2", Path::new("ldmsd")));
        assert_eq!(launch.arguments.join(" "), "-x sock:411:m2 -a none -n b -m 64M");
        assert!(matches!(&after[3], Some(Start::Local(_))));
    }
}
