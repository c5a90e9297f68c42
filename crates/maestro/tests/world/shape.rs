//! What the invented cluster looks like: samplers, first and second tier, one plugin each.

use std::sync::Arc;

use campanile_maestro::balance::Limit;

use super::*;

pub(super) fn name(kind: &str, at: usize) -> Name {
    format!("{kind}-{at}").into()
}

fn daemon(name: Name, member_of: Vec<(usize, usize)>, plugins: Vec<Plugin>) -> Daemon {
    let control =
        Control { host: "h".into(), port: 1, xprt: "sock".into(), plugin: "none".into(), conf: None };
    Daemon {
        name,
        control: Some(control),
        stream_enable: false,
        msg_enable: false,
        listens: Vec::new(),
        plugins,
        advertisers: Vec::new(),
        domains: Vec::new(),
        member_of,
        start: None,
    }
}

fn producer(name: &Name, daemon: usize, extra: &Arc<ProducerExtra>) -> Producer {
    Producer {
        name: name.clone(),
        source: Source::Defined(ProducerType::Active),
        host: "h".into(),
        port: 1,
        xprt: "sock".into(),
        reconnect_us: 1_000_000,
        domain: None,
        extra: Arc::clone(extra),
        daemon: Some(daemon),
        weight: None,
    }
}

fn group(text: &str, aggregators: std::ops::Range<usize>, producers: Vec<Producer>) -> Group {
    let members =
        aggregators.map(|daemon| Member { daemon, capacity: 1.0, limit: Limit::default() }).collect();
    let mut group = Group::new(text, members, producers);
    group.updaters.push(Updater {
        key: "updtr_0".into(),
        schedule: Schedule { interval_us: 1_000_000, offset_us: Some(0) },
        mode: Mode::Auto,
        perm: None,
        covers: None,
        producers: vec![".*".to_owned()],
        matches: Vec::new(),
    });
    group
}

pub(super) fn desired(size: Size) -> Desired {
    let schedule = Schedule { interval_us: 1_000_000, offset_us: Some(0) };
    let plugin = |name: &Name| Plugin {
        name: "meminfo".into(),
        plugin: "meminfo".to_owned(),
        configs: vec!["schema=meminfo".to_owned()],
        schedule: Some(schedule),
        set: Some(format!("{name}/meminfo").into()),
    };
    let mut daemons: Vec<Daemon> = (0..size.samplers)
        .map(|at| {
            let name = name("sampler", at);
            let plugins = vec![plugin(&name)];
            daemon(name, Vec::new(), plugins)
        })
        .collect();
    daemons.extend((0..size.l1).map(|at| daemon(name("l1", at), vec![(0, at)], Vec::new())));
    daemons.extend((0..size.l2).map(|at| daemon(name("l2", at), vec![(1, at)], Vec::new())));
    let extra = Arc::default();
    let (first, second) = (size.samplers, size.samplers + size.l1);
    let samplers = (0..first).map(|at| producer(&daemons[at].name, at, &extra)).collect();
    let l1 = (first..second).map(|at| producer(&daemons[at].name, at, &extra)).collect();
    let groups =
        vec![group("l1-group", first..second, samplers), group("l2-group", second..second + size.l2, l1)];
    Desired { daemons, groups }
}
