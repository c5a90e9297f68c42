//! A small cluster of two tiers, for the tests of this module.

use crate::config::{self, Pairing};
use crate::model::{BalanceBy, Desired};

/// Its file: samplers `s1`…, aggregators `a1`…, one plugin and one updater of a second each.
pub(super) fn file(samplers: usize, aggregators: usize) -> String {
    let last = 10 + aggregators;
    format!(
        r#"
daemons:
  - {{names: "s[1-{samplers}]", hosts: n1, endpoints: [{{names: "s[1-{samplers}]-ep", ports: "[1-{samplers}]", maestro_comm: True}}]}}
  - {{names: "a[1-{aggregators}]", hosts: m1, endpoints: [{{names: "a[1-{aggregators}]-ep", ports: "[11-{last}]", maestro_comm: True}}]}}
aggregators:
  - daemons: "a[1-{aggregators}]"
    peers:
      - {{daemons: "s[1-{samplers}]", endpoints: "s[1-{samplers}]-ep", reconnect: 2s, type: active, updaters: [{{interval: 1s}}]}}
samplers: [{{daemons: "s[1-{samplers}]", plugins: [mem]}}]
plugins: {{mem: {{name: meminfo, interval: 1s, config: [{{schema: meminfo}}]}}}}
"#
    )
}

/// The same, and `t1` above the aggregators.
pub(super) fn two_tiers(samplers: usize, aggregators: usize) -> String {
    let top = r#"  - {names: "t1", hosts: m2, endpoints: [{names: "t1-ep", ports: "100", maestro_comm: True}]}
aggregators:
  - daemons: "t1"
    peers:
      - {daemons: "a[1-COUNT]", endpoints: "a[1-COUNT]-ep", reconnect: 2s, type: active, updaters: [{interval: 1s}]}
"#;
    let top = top.replace("COUNT", &aggregators.to_string());
    file(samplers, aggregators).replace("aggregators:\n", &top)
}

/// What a file asks for.
pub(super) fn desired(text: &str, balance: BalanceBy) -> Desired {
    let (cluster, _) = config::parse("c.yaml".as_ref(), text.as_bytes(), Pairing::Written);
    crate::desired::desired(&cluster.unwrap(), balance)
}
