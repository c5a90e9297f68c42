//! The sections `ehos`, `daemon` (`ehos_daemon`) and `influxdb`, and what `pool` adds to them.

use std::path::PathBuf;

use campanile_yaml::Diagnostics;

use super::model::{Allocation, Database, EhosSection, InfluxConfig, PoolConfig, RestConfig, Secret};
use super::section::{Section, unknown_name};
use super::units::{duration_ms, windows};

const EHOS_KEYS: &[&str] = &[
    "project_prefix",
    "flavor",
    "image",
    "network",
    "key",
    "security_groups",
    "userdata_file",
    "scratch_size",
];
/// Those of the last version and of v1.0.0; what the original reads and never uses is known, too.
const DAEMON_KEYS: &[&str] = &[
    "nodes_max",
    "nodes_min",
    "nodes_spare",
    "sleep",
    "sleep_min",
    "sleep_max",
    "min_cores",
    "min_ram",
    "min_instances",
    "node_allocation",
    "master_cloud",
    "node_log",
    "purge_floating_ips",
    "database",
    "use_db_settings",
    "hostname",
    "execute_config",
    "influxdb",
    "submission_nodes",
];
const ALLOCATIONS: &[&str] = &["round-robin", "random", "fill first", "cheapest"];
/// The manager looks no oftener.
const MIN_STEP_MS: u64 = 1_000;
/// One GB of `min_ram`, in MiB: the original compares with MB × 1024.
const MIB_PER_GB: f64 = 1024.0;

pub(super) fn ehos(section: &Section<'_>, diagnostics: &mut Diagnostics) -> EhosSection {
    section.warn_of_misspelt_keys(EHOS_KEYS, diagnostics);
    EhosSection {
        flavor: section.text("flavor", diagnostics),
        image: section.text("image", diagnostics),
        network: section.text("network", diagnostics),
        key: section.text("key", diagnostics),
        security_groups: groups(section, diagnostics),
        userdata_file: section.text("userdata_file", diagnostics).map(PathBuf::from),
        scratch_gib: section.number("scratch_size", diagnostics).unwrap_or(0),
    }
}

/// Names of security groups: a list, or one text with commas.
pub(super) fn groups(section: &Section<'_>, diagnostics: &mut Diagnostics) -> Vec<String> {
    let given = section.texts("security_groups", diagnostics);
    let split = given.iter().flat_map(|text| text.split(',')).map(str::trim);
    split.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

pub(super) fn daemon(
    section: &Section<'_>,
    pool: &Section<'_>,
    config: &mut PoolConfig,
    diagnostics: &mut Diagnostics,
) {
    section.warn_of_misspelt_keys(DAEMON_KEYS, diagnostics);
    let set = |to: &mut u64, key: &str, diagnostics: &mut Diagnostics| {
        if let Some(value) = section.number(key, diagnostics) {
            *to = value;
        }
    };
    set(&mut config.sizes.nodes_max, "nodes_max", diagnostics);
    // The defaults of v1.0.0 must not contradict a small `nodes_max`.
    config.sizes.nodes_min = config.sizes.nodes_min.min(config.sizes.nodes_max);
    config.sizes.nodes_spare = config.sizes.nodes_spare.min(config.sizes.nodes_max);
    set(&mut config.sizes.nodes_min, "nodes_min", diagnostics);
    set(&mut config.sizes.nodes_spare, "nodes_spare", diagnostics);
    set(&mut config.quotas.cores, "min_cores", diagnostics);
    set(&mut config.quotas.servers, "min_instances", diagnostics);
    if let Some(gb) = section.amount("min_ram", diagnostics) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and saturating"
        )]
        let mib = (gb * MIB_PER_GB) as u64;
        config.quotas.memory_mib = mib;
    }
    let sleep = ["sleep", "sleep_min"].into_iter().find(|key| section.get(key).is_some());
    if let Some(ms) = sleep.and_then(|key| duration_ms(section, key, diagnostics)) {
        config.step_ms = ms.max(MIN_STEP_MS);
    }
    if let Some(node) = section.get("node_allocation")
        && let Some(text) = node.want_text(diagnostics)
    {
        match text.trim().to_ascii_lowercase().replace('_', " ").as_str() {
            "round-robin" | "round robin" => config.allocation = Allocation::RoundRobin,
            "random" => config.allocation = Allocation::Random,
            "fill first" | "fill-first" => config.allocation = Allocation::FillFirst,
            "cheapest" => config.allocation = Allocation::Cheapest,
            _ => unknown_name(node, "mode of allocation", text, ALLOCATIONS.iter().copied(), diagnostics),
        }
    }
    config.node_log = section.text("node_log", diagnostics).map(PathBuf::from);
    config.master_cloud = section.text("master_cloud", diagnostics);
    config.use_db_settings = section.flag("use_db_settings", diagnostics).unwrap_or(false);
    database(section, config, diagnostics);
    rest(pool, config, diagnostics);
    limits(pool, config, diagnostics);
    times(pool, config, diagnostics);
}

fn database(section: &Section<'_>, config: &mut PoolConfig, diagnostics: &mut Diagnostics) {
    let Some(node) = section.get("database") else { return };
    let Some(url) = node.want_text(diagnostics) else { return };
    // SQLAlchemy names the driver in the scheme.
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match scheme.split('+').next().unwrap_or_default() {
        "postgresql" | "postgres" => {
            config.database = Database::Postgres(Secret::new(format!("postgresql://{rest}")));
        }
        "sqlite" => {
            let path = rest.strip_prefix('/').unwrap_or(rest);
            config.database = Database::Sqlite((!path.is_empty()).then(|| PathBuf::from(path)));
        }
        _ => {
            // The URL may hold a password, so it is not quoted.
            let problem = node.error("the database is neither `postgresql://` nor `sqlite://`");
            diagnostics.push(problem.hint("leave it out for a file in the state directory"));
        }
    }
}

/// The port of EHOS, on loopback only.
const REST_LISTEN: &str = "127.0.0.1:8888";

fn rest(pool: &Section<'_>, config: &mut PoolConfig, diagnostics: &mut Diagnostics) {
    let rest = pool.section(&["rest"], diagnostics);
    if rest.is_empty() {
        return;
    }
    rest.warn_of_misspelt_keys(&["listen", "token_file"], diagnostics);
    let listen = rest.text("listen", diagnostics).unwrap_or_else(|| REST_LISTEN.to_owned());
    if listen.parse::<std::net::SocketAddr>().is_err()
        && let Some(node) = rest.get("listen")
    {
        diagnostics.push(node.error("expected an address and a port").hint("such as `127.0.0.1:8888`"));
    }
    let token_file = rest.text("token_file", diagnostics).map(PathBuf::from);
    config.rest = Some(RestConfig { listen, token_file });
}

fn limits(pool: &Section<'_>, config: &mut PoolConfig, diagnostics: &mut Diagnostics) {
    let limits = pool.section(&["limits"], diagnostics);
    limits.warn_of_misspelt_keys(&["cores", "cost_per_hour"], diagnostics);
    config.sizes.cores_max = limits.number("cores", diagnostics);
    config.sizes.cost_per_hour_max = limits.amount("cost_per_hour", diagnostics);
    let growth = pool.section(&["growth"], diagnostics);
    growth.warn_of_misspelt_keys(&["per_step", "per_minute", "coming_max"], diagnostics);
    for (to, key) in [
        (&mut config.growth.per_step, "per_step"),
        (&mut config.growth.per_minute, "per_minute"),
        (&mut config.growth.coming_max, "coming_max"),
    ] {
        if let Some(value) = growth.number(key, diagnostics) {
            *to = value;
        }
    }
}

fn times(pool: &Section<'_>, config: &mut PoolConfig, diagnostics: &mut Diagnostics) {
    let shrink = pool.section(&["shrink"], diagnostics);
    shrink.warn_of_misspelt_keys(&["idle", "cool_down", "per_step", "windows"], diagnostics);
    if let Some(value) = shrink.number("per_step", diagnostics) {
        config.shrink.per_step = value;
    }
    config.shrink.windows = windows(&shrink, "windows", diagnostics);
    let deadlines = pool.section(&["deadlines"], diagnostics);
    let known = ["request", "build", "join", "lost", "drain", "delete", "drain_kill"];
    deadlines.warn_of_misspelt_keys(&known, diagnostics);
    if let Some(value) = deadlines.flag("drain_kill", diagnostics) {
        config.deadlines.drain_kill = value;
    }
    let lease = pool.section(&["lease"], diagnostics);
    lease.warn_of_misspelt_keys(&["lifetime", "idle_shutdown"], diagnostics);
    for (section, to, key) in [
        (&shrink, &mut config.shrink.idle_ms, "idle"),
        (&shrink, &mut config.shrink.cool_down_ms, "cool_down"),
        (&deadlines, &mut config.deadlines.request_ms, "request"),
        (&deadlines, &mut config.deadlines.build_ms, "build"),
        (&deadlines, &mut config.deadlines.join_ms, "join"),
        (&deadlines, &mut config.deadlines.lost_ms, "lost"),
        (&deadlines, &mut config.deadlines.drain_ms, "drain"),
        (&deadlines, &mut config.deadlines.delete_ms, "delete"),
        (&lease, &mut config.lease.lifetime_ms, "lifetime"),
        (&lease, &mut config.lease.idle_shutdown_ms, "idle_shutdown"),
    ] {
        if let Some(ms) = duration_ms(section, key, diagnostics) {
            *to = ms;
        }
    }
    if config.lease.idle_shutdown_ms <= config.shrink.idle_ms
        && let Some(node) = lease.get("idle_shutdown").or_else(|| shrink.get("idle"))
    {
        let problem = node.warning("workers switch themselves off before the manager lets them go");
        diagnostics.push(problem.hint("`lease.idle_shutdown` should be longer than `shrink.idle`"));
    }
}

pub(super) fn influx(section: &Section<'_>, config: &mut PoolConfig, diagnostics: &mut Diagnostics) {
    if section.is_empty() {
        return;
    }
    section.warn_of_misspelt_keys(&["url", "db", "username", "password"], diagnostics);
    let url = section.text("url", diagnostics);
    let db = section.text("db", diagnostics);
    let (Some(url), Some(db)) = (url, db) else {
        if let Some(node) = section.node() {
            diagnostics.push(node.error("`influxdb` needs `url` and `db`"));
        }
        return;
    };
    config.influx = Some(InfluxConfig {
        url,
        db,
        username: section.text("username", diagnostics),
        password: section.text("password", diagnostics).map(Secret::new),
    });
}
