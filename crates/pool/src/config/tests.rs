use std::path::PathBuf;

use campanile_yaml::Diagnostics;

use super::{
    Allocation, BatchConfig, CloudKind, Database, Place, PoolConfig, SlurmConfig, Window, find_file, read,
};
use crate::model::Resources;

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, files: &[PathBuf]) -> (Option<PoolConfig>, Diagnostics) {
        read(files, &Place { host_name: "master".to_owned(), working_dir: self.0.path().to_owned() })
    }
}

/// As the last version of EHOS has it.
const SAMPLE: &str = "\
clouds:
  bergen:
    backend: openstack
    auth_url: https://bergen.example.org:5000/v3
    project_name: elixir
    username: kim@example.org
    password: secret-1
    region_name: bgo
    user_domain_name: dataporten
    project_domain_name: dataporten
    image: 8a5e-image
    no_cache: 1
  oslo:
    auth_url: https://oslo.example.org:5000/v3
    project_name: elixir
    username: kim@example.org
    password: secret-2
    region_name: osl
    user_domain_name: dataporten
    project_domain_name: dataporten
    image: None
ehos:
  project_prefix: ehos_v1
  flavor: m1.medium
  image: GOLD CentOS 7
  network: dualStack
  key: mykey
  security_groups: slack-htcondor
  userdata_file: execute.yaml
  scratch_size: None
daemon:
  nodes_max: 6
  nodes_min: '2'
  nodes_spare: 3
  sleep: 15
  min_cores: 2
  min_ram: 4
  min_instances: 1
  node_allocation: fill first
  master_cloud: oslo
  node_log: /var/log/ehos/nodes.log
  database: postgresql+psycopg2://ehos:pw@127.0.0.1/ehos
  use_db_settings: false
condor:
  password: sharpy
  host_ip: None
influxdb:
  url: http://influx:8086
  db: ehos
";

#[test]
fn the_documented_file_is_read() {
    let dir = Dir::new();
    dir.write("execute.yaml", "#cloud-config\n");
    let (config, diagnostics) = dir.read(&[dir.write("ehos.yaml", SAMPLE)]);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    let config = config.unwrap();
    assert_eq!(config.mark.value(), "ehos_v1@master");
    let names: Vec<&str> = config.clouds.iter().map(|cloud| cloud.name.as_str()).collect();
    assert_eq!(names, ["bergen", "oslo"]);
    assert_eq!(config.clouds[0].image.as_deref(), Some("8a5e-image"));
    assert_eq!(config.clouds[1].image, None, "the word None is nothing");
    assert_eq!(config.clouds[0].security_groups, ["slack-htcondor"]);
    let CloudKind::OpenStack(access) = &config.clouds[1].kind else { panic!("not OpenStack") };
    assert_eq!(access.password.as_ref().unwrap().reveal(), "secret-2");
    assert_eq!((config.sizes.nodes_max, config.sizes.nodes_min, config.sizes.nodes_spare), (6, 2, 3));
    assert_eq!((config.step_ms, config.quotas.memory_mib), (15_000, 4096));
    assert_eq!(config.allocation, Allocation::FillFirst);
    assert_eq!(config.worker_types[0].flavors, ["m1.medium"]);
    assert_eq!(config.worker_types[0].userdata_file, Some(dir.0.path().join("execute.yaml")));
    assert!(
        matches!(&config.database, Database::Postgres(url) if url.reveal() == "postgresql://ehos:pw@127.0.0.1/ehos")
    );
    assert!(matches!(&config.batch, BatchConfig::Condor(condor) if condor.password.is_some()));
    let printed = format!("{config:?}");
    assert!(
        !printed.contains("secret-1") && !printed.contains("sharpy") && !printed.contains("pw@"),
        "{printed}"
    );
}

#[test]
fn the_section_of_the_first_version_is_known_too() {
    let dir = Dir::new();
    let text = SAMPLE.replace("daemon:", "ehos_daemon:").replace("userdata_file: execute.yaml", "");
    let (config, diagnostics) = dir.read(&[dir.write("ehos.yaml", &text)]);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    assert_eq!(config.unwrap().sizes.nodes_max, 6);
}

#[test]
fn several_files_are_merged_key_by_key() {
    let dir = Dir::new();
    dir.write("execute.yaml", "");
    let first = dir.write("ehos.yaml", SAMPLE);
    let second = dir.write(
        "local.yaml",
        "daemon: {nodes_max: 9, hostname: other}\nclouds: {oslo: {password: new}}\npool: {clouds: {oslo: {priority: 3}}}\n",
    );
    let (config, diagnostics) = dir.read(&[first, second]);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    let config = config.unwrap();
    assert_eq!((config.sizes.nodes_max, config.sizes.nodes_min), (9, 2));
    assert_eq!(config.mark.host, "other");
    assert_eq!((config.clouds[1].priority, config.clouds.len()), (3, 2));
}

#[test]
fn variables_of_a_keystone_file_do_no_harm() {
    // They are not asked for at all: a cloud that lacks a key is an error, whatever the environment has.
    let dir = Dir::new();
    let (config, diagnostics) =
        dir.read(&[dir.write("e.yaml", "clouds: {a: {auth_url: http://k}}\nehos: {flavor: m}\n")]);
    assert!(config.is_none());
    let text = diagnostics.render(false);
    assert!(text.contains("lacks `project_name`, `username`, `password`"), "{text}");
    assert!(text.contains("variables OS_* are not read"), "{text}");
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_line() {
    let dir = Dir::new();
    let text = SAMPLE
        .replace("nodes_max: 6", "nodes_max: many")
        .replace("sleep: 15", "sleep: soon")
        .replace("fill first", "fill frist")
        .replace("master_cloud: oslo", "master_cloud: osl")
        .replace("nodes_spare", "nodes_spre")
        // `execute.yaml` itself comes with Campanile.
        .replace("userdata_file: execute.yaml", "userdata_file: excute.yaml")
        .replace("postgresql+psycopg2://ehos:pw", "mysql://ehos:pw");
    let (config, diagnostics) = dir.read(&[dir.write("ehos.yaml", &text)]);
    assert!(config.is_none());
    let text = diagnostics.render(false);
    for part in [
        "expected a whole number from 0 on, found the string `many`",
        "expected a duration of at most a year, found the string `soon`",
        "there is no mode of allocation `fill frist`",
        "there is no cloud `osl`",
        "unknown key `nodes_spre`",
        "neither `postgresql://` nor `sqlite://`",
        "the cloud-init file excute.yaml is not found",
        "ehos.yaml:32",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn the_section_pool_says_what_ehos_could_not() {
    let dir = Dir::new();
    let text = "\
clouds: {}
ehos: {project_prefix: p, flavor: m1}
daemon: {nodes_min: 0, nodes_max: 50}
pool:
  clouds:
    a:
      clouds_yaml: site-a
      cacert: /etc/ssl/site.pem
      flavors: [m1, m2]
      limits: {nodes: 5, cores: 40, memory: 100G}
      costs: {m1: 0.25}
      windows: [mon-fri 18:00-08:00]
      floating_ip: yes
    b: {application_credential_id: i, application_credential_secret: s}
    here: {cloud: local, cores: 4, machines: {tiny: {cores: 1, memory: 512M}}}
  workers:
    - {name: small, flavors: m1, attributes: {HasGpu: 'true'}}
    - {name: big, flavors: [m2, m1], clouds: [a], reserved: {memory: 1G}, nodes_max: 2}
  limits: {cores: 100, cost_per_hour: 2.5}
  growth: {per_step: 3}
  shrink: {idle: 2m, windows: 20:00-06:00}
  deadlines: {join: 10m, drain: 1d, drain_kill: yes}
  lease: {lifetime: 7d}
  batch: {system: slurm, nodes: 'ehos[1-20]', partitions: cloud}
";
    let (config, diagnostics) = dir.read(&[dir.write("ehos.yaml", text)]);
    let told = diagnostics.render(false);
    assert!(config.is_none() && told.contains("cloud b lacks `auth_url`, `region_name`"), "{told}");
    let text = text.replace("clouds: {}\n", "clouds: {b: {auth_url: http://k/v3, region_name: R}}\n");
    let (config, diagnostics) = dir.read(&[dir.write("ehos.yaml", &text)]);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    let config = config.unwrap();
    let a = config.clouds.iter().find(|cloud| cloud.name == "a").unwrap();
    assert_eq!((a.limits.nodes, a.limits.memory_mib, a.costs["m1"]), (Some(5), Some(102_400), 0.25));
    assert_eq!(a.windows, [Window { days: 0x1f, from_min: 1080, to_min: 480 }]);
    assert!(a.floating_ip);
    let here = config.clouds.iter().find(|cloud| cloud.name == "here").unwrap();
    assert!(matches!(&here.kind, CloudKind::Local { cores: 4, flavors, .. } if flavors[0].0 == "tiny"));
    let names: Vec<&str> = config.worker_types.iter().map(|kind| kind.name.as_str()).collect();
    assert_eq!(names, ["small", "big"]);
    assert_eq!(config.worker_types[1].reserved, Resources::new(0, 1024));
    assert_eq!(config.worker_types[1].nodes_max, Some(2));
    assert_eq!((config.sizes.cores_max, config.sizes.cost_per_hour_max), (Some(100), Some(2.5)));
    assert_eq!((config.shrink.idle_ms, config.deadlines.join_ms), (120_000, 600_000));
    assert!(config.deadlines.drain_kill);
    let slurm = SlurmConfig {
        nodes: Some("ehos[1-20]".to_owned()),
        partitions: vec!["cloud".to_owned()],
        ..SlurmConfig::default()
    };
    assert_eq!(config.batch, BatchConfig::Slurm(slurm));
}

#[test]
fn a_file_is_found_beside_the_configuration() {
    let dir = Dir::new();
    let path = dir.write("execute.yaml", "");
    assert_eq!(find_file("execute.yaml".as_ref(), dir.0.path(), "/nowhere".as_ref()), Some(path));
}
