//! A cluster file of any size, for tests and benchmarks.

/// A cluster of three tiers: samplers with two plugins each, aggregators, one above them.
pub(crate) fn cluster_text(samplers: usize, l1: usize) -> String {
    format!(
        r#"
daemons:
  - {{names: &s "s[1-{samplers}]", hosts: "n[1-{samplers}]",
      endpoints: [{{names: &se "s[1-{samplers}]-ep", ports: 411, maestro_comm: True}}]}}
  - {{names: &a "a[1-{l1}]", hosts: "m[1-{l1}]", endpoints: [{{names: &ae "a[1-{l1}]-ep", ports: 411, maestro_comm: True}}]}}
  - {{names: b, hosts: top, endpoints: [{{names: b-ep, ports: 411, maestro_comm: True}}]}}
aggregators:
  - daemons: *a
    peers: [{{daemons: *s, endpoints: *se, reconnect: 2s, type: active, updaters: [{{interval: 1s, mode: auto}}]}}]
  - daemons: b
    peers: [{{daemons: *a, endpoints: *ae, reconnect: 2s, type: active, updaters: [{{interval: 1s}}]}}]
samplers: [{{daemons: *s, plugins: [mem, vm]}}]
plugins:
  mem: {{name: meminfo, interval: 1s, config: [{{schema: meminfo}}]}}
  vm: {{name: vmstat, interval: 2s, config: [{{schema: vmstat}}]}}
"#
    )
}
