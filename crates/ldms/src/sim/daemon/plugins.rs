//! Plugins: samplers with invented values, and stores that count.

use bytes::Bytes;

use super::answer::{Answer, Handled, json, refuse};
use super::sets::{Contents, HINT, SetInfo};
use super::updaters::Schedule;
use super::{Daemon, sets};
use crate::time;
use crate::wire::errno;
use crate::wire::ids::{AttrId, RequestId};
use crate::wire::record::Message as Record;
use crate::wire::set::{Layout, Metric, Owner, Sample};

/// Plugins of ldmsd that allow several instances.
const MULTI: &[&str] = &[
    "app_sampler",
    "curated_metrics",
    "cxi_sampler",
    "file_importer",
    "filesingle",
    "json_stream_sampler",
    "meminfo",
    "perfevent2",
    "procnetdev2",
    "test_sampler",
];

/// Plugins of ldmsd that allow one.
const SINGLE: &[&str] = &[
    "all_example",
    "array_example",
    "clock",
    "coretemp",
    "cray_power_sampler",
    "dcgm_sampler",
    "dstat",
    "generic_sampler",
    "hello_sampler",
    "hfclock",
    "ibnet",
    "jobinfo",
    "kgnilnd",
    "linux_proc_sampler",
    "lnet_stats",
    "loadavg",
    "lustre_client",
    "lustre_mdc",
    "lustre_mdt",
    "lustre_ost",
    "opa2",
    "papi_sampler",
    "perfevent",
    "procdiskstats",
    "procinterrupts",
    "procnet",
    "procnetdev",
    "procnfs",
    "procstat",
    "procstat2",
    "rdc_sampler",
    "slingshot_info",
    "slingshot_metrics",
    "slurm_sampler",
    "slurm_sampler2",
    "synthetic",
    "sysclassib",
    "syspapi_sampler",
    "timer_base",
    "tx2mon",
    "variable",
    "vmstat",
];

/// Store plugins; those that allow several instances first.
const STORES: (&[&str], &[&str]) = (
    &["store_csv", "store_sos", "store_avro_kafka", "stream_dump"],
    &[
        "store_flatfile",
        "store_function_csv",
        "store_none",
        "store_timescale",
        "stream_csv_store",
        "store_app",
    ],
);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sampler { multi: bool },
    Store { multi: bool },
}

fn kind_of(plugin: &str) -> Option<Kind> {
    if MULTI.contains(&plugin) {
        Some(Kind::Sampler { multi: true })
    } else if SINGLE.contains(&plugin) {
        Some(Kind::Sampler { multi: false })
    } else if STORES.0.contains(&plugin) {
        Some(Kind::Store { multi: true })
    } else if STORES.1.contains(&plugin) {
        Some(Kind::Store { multi: false })
    } else {
        None
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Loaded,
    Configured,
    Running,
}

/// A sampler.
#[derive(Debug)]
pub(super) struct Sampler {
    plugin: String,
    multi: bool,
    state: State,
    pub(super) producer: String,
    component_id: u64,
    owner: Owner,
    schema: String,
    pub(super) sets: Vec<String>,
    schedule: Schedule,
    started_us: u64,
    /// Samples taken before the last start, and when the last of them was.
    before: (u64, u64),
    /// Changes with every start and stop.
    pub(super) generation: u64,
}

/// How long a sample is said to take.
const SAMPLE_US: u64 = 50;

impl Sampler {
    /// How many samples there have been, and when the last one was.
    fn samples(&self, now_us: u64) -> (u64, u64) {
        if self.state != State::Running {
            return self.before;
        }
        let first_us = self.schedule.next(self.started_us);
        if now_us < first_us {
            return self.before;
        }
        let interval_us = self.schedule.interval_us.max(1);
        let more = (now_us - first_us) / interval_us;
        (self.before.0 + more + 1, first_us + more * interval_us)
    }

    /// When it samples next.
    pub(super) fn next_sample_us(&self, now_us: u64) -> Option<u64> {
        (self.state == State::Running).then(|| self.schedule.next(now_us.max(self.started_us)))
    }

    /// The sample its sets hold.
    pub(super) fn sample(&self, now_us: u64) -> Sample {
        let (count, time_us) = self.samples(now_us);
        let metrics = metric_count(&self.plugin) as u64;
        Sample {
            time_us,
            duration_us: if count > 0 { SAMPLE_US } else { 0 },
            consistent: count > 0,
            generation: 3 + count * metrics,
            meta_generation: 1,
        }
    }

    fn layout(&self) -> Layout {
        let instance = self.sets.first().map_or("", String::as_str);
        let metrics = metrics_of(&self.plugin);
        Layout::new(&self.producer, instance, &self.schema, self.owner, &metrics, &[self.component_id])
    }

    /// Description and values.
    pub(super) fn image(&self, now_us: u64) -> (Bytes, Bytes) {
        let layout = self.layout();
        let count = self.samples(now_us).0;
        let values: Vec<u64> = (0..metric_count(&self.plugin) as u64)
            // The first two are the job and the application, which nobody runs.
            .map(|index| if index < 2 { 0 } else { count * (index + 1) })
            .collect();
        let data = layout.data(&self.sample(now_us), &values);
        (layout.meta().clone(), data)
    }
}

/// How many metrics a plugin has: those of the real ones where sets are weighed by their size.
fn metric_count(plugin: &str) -> usize {
    match plugin {
        "meminfo" => 57,
        "vmstat" => 195,
        "loadavg" => 9,
        other => 12 + other.len() * 2,
    }
}

fn metrics_of(plugin: &str) -> Vec<Metric> {
    let metric = |name: &str, fixed| Metric { name: name.to_owned(), fixed };
    let mut metrics = vec![metric("component_id", true), metric("job_id", false), metric("app_id", false)];
    metrics.extend((3..metric_count(plugin)).map(|index| metric(&format!("{plugin}_{index}"), false)));
    metrics
}

/// A store plugin.
#[derive(Debug)]
pub(super) struct StorePlugin {
    pub(super) plugin: String,
    multi: bool,
    configured: bool,
}

impl Daemon {
    pub(super) fn plugin_request(&mut self, id: RequestId, message: &Record) -> Handled {
        match id {
            RequestId::PLUGN_LOAD => self.load(message),
            RequestId::PLUGN_CONFIG => self.configure(message),
            RequestId::PLUGN_START => self.start_sampler(message),
            RequestId::PLUGN_STOP => self.stop_sampler(message),
            RequestId::PLUGN_TERM => self.unload(message),
            RequestId::PLUGN_STATUS => {
                self.log(|| "plugn_status".to_owned());
                Ok(Answer::Json(self.plugin_status()))
            }
            RequestId::PLUGN_SETS => {
                let name = self.args(message).get(AttrId::NAME);
                let picked = self.samplers.iter().filter(|(key, _)| name.as_ref().is_none_or(|n| *key == n));
                let row = |(name, sampler): (&String, &Sampler)| {
                    let sets: Vec<String> =
                        sampler.sets.iter().map(|set| format!("\"{}\"", json(set))).collect();
                    format!("{{\"plugin\":\"{}\",\"sets\":[{}]}}", json(name), sets.join(","))
                };
                Ok(Answer::Json(format!("[{}]", picked.map(row).collect::<Vec<_>>().join(","))))
            }
            RequestId::PLUGN_USAGE => {
                self.log(|| "usage".to_owned());
                let name = self.args(message).get(AttrId::NAME);
                let names = self.samplers.keys().chain(self.store_plugins.keys());
                let picked: Vec<&String> =
                    names.filter(|key| name.as_ref().is_none_or(|name| *key == name)).collect();
                match name {
                    Some(name) if picked.is_empty() => {
                        Err(refuse(errno::ENOENT, format!("Plugin '{name}' not loaded.")))
                    }
                    _ => Ok(Answer::Text(picked.into_iter().map(|name| format!("{name}\n")).collect())),
                }
            }
            RequestId::ONESHOT => {
                let args = self.args(message);
                let name = args.required_by(AttrId::NAME, "oneshot")?;
                args.required_by(AttrId::TIME, "oneshot")?;
                let missing = || refuse(errno::ENOENT, "Sampler not found.");
                self.samplers.get(&name).map(|_| Answer::Done).ok_or_else(missing)
            }
            _ => Err(refuse(errno::ENOSYS, "The request is not implemented")),
        }
    }

    fn load(&mut self, message: &Record) -> Handled {
        let args = self.args(message);
        let name = args.required_by(AttrId::NAME, "load")?;
        let plugin = args.get(AttrId::PLUGIN).unwrap_or_else(|| name.clone());
        let exists = |kind: &str| {
            let text = format!("Error 17 adding {kind} named '{name}' with plugin '{plugin}'\n");
            refuse(errno::EEXIST, text)
        };
        match kind_of(&plugin) {
            None => {
                let text = format!(
                    "Error 2 plugin '{plugin}': failed to load the plugin, dlerror: lib{plugin}.so: cannot open shared object file: No such file or directory\n"
                );
                return Err(refuse(errno::ENOENT, text));
            }
            Some(Kind::Sampler { multi }) => {
                if self.samplers.contains_key(&name) {
                    return Err(exists("sampler"));
                }
                let sampler = Sampler {
                    plugin: plugin.clone(),
                    multi,
                    state: State::Loaded,
                    producer: String::new(),
                    component_id: 0,
                    owner: self.default_authz,
                    schema: String::new(),
                    sets: Vec::new(),
                    schedule: Schedule::default(),
                    started_us: 0,
                    before: (0, 0),
                    generation: 0,
                };
                self.samplers.insert(name.clone(), sampler);
            }
            Some(Kind::Store { multi }) => {
                if self.store_plugins.contains_key(&name) {
                    return Err(exists("store"));
                }
                let store = StorePlugin { plugin: plugin.clone(), multi, configured: false };
                self.store_plugins.insert(name.clone(), store);
            }
        }
        self.log(|| format!("load name={name} plugin={plugin}"));
        Ok(Answer::Done)
    }

    fn configure(&mut self, message: &Record) -> Handled {
        let args = self.args(message);
        let name = args.required_by(AttrId::NAME, "config")?;
        let options = args.get(AttrId::STRING);
        let failed =
            |errcode: u32| refuse(errcode, format!("Error {errcode} configuring plugin instance '{name}'."));
        let once = |kind: &str| {
            let text = format!("The {kind} '{name}' does not support multiple configurations.\n");
            refuse(errno::EINVAL, text)
        };
        let none = || refuse(errno::EINVAL, "No config attributes are provided.");
        if let Some(sampler) = self.samplers.get(&name) {
            if !sampler.multi && sampler.state != State::Loaded {
                return Err(once("sampler"));
            }
            let options = options.ok_or_else(none)?;
            if sampler.state == State::Running {
                let text = format!(
                    "The plugin instance '{name}' is running. Please stop it before re-configuring it."
                );
                return Err(refuse(errno::EBUSY, text));
            }
            if sampler.state == State::Configured {
                return Err(failed(errno::EBUSY));
            }
            self.configure_sampler(&name, &options).map_err(failed)?;
            self.log(|| format!("config name={name} {options}"));
            return Ok(Answer::Done);
        }
        let Some(store) = self.store_plugins.get_mut(&name) else {
            let text = format!("The specified plugin instance '{name}' does not exist.");
            return Err(refuse(errno::ENOENT, text));
        };
        if !store.multi && store.configured {
            return Err(once("store"));
        }
        let options = options.ok_or_else(none)?;
        if store.configured {
            return Err(failed(errno::EINVAL));
        }
        store.configured = true;
        self.log(|| format!("config name={name} {options}"));
        Ok(Answer::Done)
    }

    /// Creates the set of a sampler; an error number when that cannot be.
    fn configure_sampler(&mut self, name: &str, options: &str) -> Result<(), u32> {
        let default_owner = self.default_authz;
        let own_name = self.options.name.clone();
        let option = |key: &str| {
            let value =
                |word: &str| word.split_once('=').filter(|(k, _)| *k == key).map(|(_, v)| v.to_owned());
            options.split_whitespace().find_map(value)
        };
        let Some(sampler) = self.samplers.get_mut(name) else { return Err(errno::ENOENT) };
        let producer = option("producer").unwrap_or(own_name);
        let schema = option("schema").unwrap_or_else(|| sampler.plugin.clone());
        let instance = option("instance").unwrap_or_else(|| format!("{producer}/{schema}"));
        if self.sets.contains_key(&instance) {
            return Err(errno::EEXIST);
        }
        let number =
            |key: &str, default: u32| option(key).map_or(default, |text| super::object::guess_base(&text));
        sampler.owner = Owner {
            uid: number("uid", default_owner.uid),
            gid: number("gid", default_owner.gid),
            perm: number("perm", default_owner.perm),
        };
        sampler.component_id = option("component_id").and_then(|id| id.parse().ok()).unwrap_or(0);
        sampler.producer = producer;
        sampler.schema.clone_from(&schema);
        sampler.sets = vec![instance.clone()];
        sampler.state = State::Configured;
        let layout = sampler.layout();
        let bytes = (layout.meta().len() + layout.data_size()) as u64;
        let contents = Contents::Sampled { sampler: name.to_owned() };
        self.insert_set(&instance, &schema, contents, SetInfo::default());
        self.count_bytes(&instance, bytes);
        self.publish(&instance);
        Ok(())
    }

    fn start_sampler(&mut self, message: &Record) -> Handled {
        let args = self.args(message);
        let name = args.required_by(AttrId::NAME, "start")?;
        let interval = args.required_by(AttrId::INTERVAL, "start")?;
        let offset = args.get(AttrId::OFFSET);
        let now_us = self.now_us;
        let missing = || refuse(errno::ENOENT, format!("Sampler instance '{name}' not found."));
        let sampler = self.samplers.get_mut(&name).ok_or_else(missing)?;
        if sampler.state != State::Configured {
            let text = format!("Sampler instance '{name}' is already running.");
            return Err(refuse(errno::EBUSY, text));
        }
        let invalid = |_| refuse(errno::EINVAL, format!("interval '{interval}' invalid"));
        let interval_us = time::parse_us(&interval).map_err(invalid)?;
        let offset_us = match &offset {
            None => 0,
            Some(offset) => {
                let invalid = |_| refuse(errno::EINVAL, format!("The given 'offset' ({offset}) is invalid."));
                time::parse_us(offset).map_err(invalid)?
            }
        };
        let compatible = interval_us >= 10 && interval_us >= offset_us.abs().saturating_mul(2);
        if !compatible || interval_us <= 0 {
            let text = "Sampler parameters interval and offset are incompatible.";
            return Err(refuse(errno::EINVAL, text));
        }
        sampler.state = State::Running;
        sampler.schedule = Schedule { interval_us: interval_us.unsigned_abs(), offset_us: Some(offset_us) };
        sampler.started_us = now_us;
        sampler.generation += 1;
        let hint = sampler.schedule.hint();
        for set in sampler.sets.clone() {
            self.show_hint(&set, hint.clone());
            self.arm_push(&set);
        }
        self.announce_changes();
        self.log(|| {
            let offset = offset.map(|offset| format!(" offset={offset}")).unwrap_or_default();
            format!("start name={name} interval={interval}{offset}")
        });
        Ok(Answer::Done)
    }

    fn stop_sampler(&mut self, message: &Record) -> Handled {
        let name = self.args(message).required_by(AttrId::NAME, "stop")?;
        let now_us = self.now_us;
        let missing = || refuse(errno::ENOENT, format!("Sampler instance '{name}' not found."));
        let sampler = self.samplers.get_mut(&name).ok_or_else(missing)?;
        if sampler.state != State::Running {
            let text = format!("The sampler instance '{name}' is not running.");
            return Err(refuse(errno::EINVAL, text));
        }
        sampler.before = sampler.samples(now_us);
        sampler.state = State::Configured;
        sampler.generation += 1;
        self.log(|| format!("stop name={name}"));
        Ok(Answer::Done)
    }

    fn unload(&mut self, message: &Record) -> Handled {
        let name = self.args(message).required_by(AttrId::NAME, "term")?;
        let running = || {
            let text = format!(
                "The plugin instance '{name}' is running. The instance needs to be stopped before being terminated."
            );
            refuse(errno::EBUSY, text)
        };
        match self.samplers.get(&name) {
            Some(sampler) if sampler.state == State::Running => return Err(running()),
            Some(sampler) => {
                for set in sampler.sets.clone() {
                    self.delete_set(&set);
                }
                self.samplers.remove(&name);
            }
            None => {
                if !self.store_plugins.contains_key(&name) {
                    return Err(refuse(errno::ENOENT, format!("plugin instance '{name}' not found.")));
                }
                if self.stores.values().any(|store| store.plugin == name) {
                    return Err(running());
                }
                self.store_plugins.remove(&name);
            }
        }
        self.log(|| format!("term name={name}"));
        Ok(Answer::Done)
    }

    fn plugin_status(&self) -> String {
        let row = |name: &str, plugin: &str, kind: &str, multi: bool| {
            let flag = if multi { "M" } else { "S" };
            format!(
                "{{\"name\":\"{}\",\"plugin\":\"{plugin}\",\"type\":\"{kind}[{flag}]\",\"libpath\":\"lib{plugin}.so\"}}",
                json(name)
            )
        };
        let samplers = self.samplers.iter().map(|(name, s)| row(name, &s.plugin, "sampler", s.multi));
        let stores = self.store_plugins.iter().map(|(name, s)| row(name, &s.plugin, "store", s.multi));
        format!("[{}]", samplers.chain(stores).collect::<Vec<_>>().join(",\n"))
    }

    /// The interval and offset a set says it is sampled at.
    #[must_use]
    pub fn set_hint(&self, name: &str) -> Option<String> {
        let set: &sets::Set = self.sets.get(name)?;
        set.all_info().find(|(key, _)| key == HINT).map(|(_, value)| value.clone())
    }
}
