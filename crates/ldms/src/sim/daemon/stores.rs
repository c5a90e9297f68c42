//! Storage policies. Nothing is written: rows are counted.

use super::Daemon;
use super::answer::{Answer, Handled, json, refuse};
use super::object::{Expression, Rights};
use crate::auth::Peer;
use crate::time;
use crate::wire::errno;
use crate::wire::ids::{AttrId, RequestId};
use crate::wire::record::Message as Record;

/// A storage policy.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) plugin: String,
    container: Option<String>,
    schema: Option<String>,
    regex: Option<Expression>,
    decomposition: Option<String>,
    flush_us: i64,
    running: bool,
    producers: Vec<Expression>,
    metrics: Vec<String>,
    rows: u64,
    rights: Rights,
}

impl Daemon {
    pub(super) fn store_request(&mut self, peer: Peer, id: RequestId, message: &Record) -> Handled {
        match id {
            RequestId::STRGP_ADD => self.add_store(peer, message),
            RequestId::STRGP_DEL => {
                // The missing blank is ldmsd's.
                let none = || "The attribute 'name' is requiredby strgp_del.".to_owned();
                let name = self.args(message).require(AttrId::NAME, none)?;
                let missing = || refuse(errno::ENOENT, "The storage policy specified does not exist.");
                let store = self.stores.get(&name).ok_or_else(missing)?;
                store.rights.check_write(peer)?;
                if store.running {
                    return Err(refuse(errno::EBUSY, "The storage policy is in use."));
                }
                self.stores.remove(&name);
                self.log(|| format!("strgp_del name={name}"));
                Ok(Answer::Done)
            }
            RequestId::STRGP_START | RequestId::STRGP_STOP => self.switch_store(peer, id, message),
            RequestId::STRGP_PRDCR_ADD
            | RequestId::STRGP_PRDCR_DEL
            | RequestId::STRGP_METRIC_ADD
            | RequestId::STRGP_METRIC_DEL => self.change_store(peer, id, message),
            RequestId::STRGP_STATUS => self.show_stores(message),
            RequestId::STORE_TIME_STATS => Ok(Answer::Json("{}".to_owned())),
            RequestId::STRGP_PI_STATS => {
                let args = self.args(message);
                let name = args.require(AttrId::NAME, || "The 'name' parameter is required.".to_owned())?;
                let missing = || refuse(errno::ENOENT, format!("strgp '{name}' doesn't exist."));
                let store = self.stores.get(&name).ok_or_else(missing)?;
                let text = format!("strgp's plugin '{}' doesn't provide statistics.", store.plugin);
                Err(refuse(errno::ENOTSUP, text))
            }
            _ => Err(refuse(errno::ENOSYS, "The request is not implemented")),
        }
    }

    fn add_store(&mut self, peer: Peer, message: &Record) -> Handled {
        let result = self.try_add_store(peer, message);
        if result.is_err() {
            // ldmsd deletes the policy of that name whenever it refuses to add one; a running one resists.
            if let Some(name) = self.args(message).get(AttrId::NAME)
                && self.stores.get(&name).is_some_and(|store| !store.running)
            {
                self.stores.remove(&name);
            }
        }
        result
    }

    fn try_add_store(&mut self, peer: Peer, message: &Record) -> Handled {
        let args = self.args(message);
        let name = args.required_by(AttrId::NAME, "strgp_add")?;
        let plugin = args.required_by(AttrId::PLUGIN, "strgp_add")?;
        let container = args.get(AttrId::CONTAINER);
        let (schema, regex) = (args.get(AttrId::SCHEMA), args.get(AttrId::REGEX));
        let decomposition = args.get(AttrId::DECOMPOSITION);
        let invalid = |text: &str| Err(refuse(errno::EINVAL, text));
        match (&schema, &regex) {
            (Some(_), Some(_)) => {
                return invalid("The attributes 'schema' and 'regex' are mutually exclusive.");
            }
            (None, Some(_)) if decomposition.is_none() => {
                return invalid("The attributes 'decomposition' is required when 'regex' is used.");
            }
            (None, None) => return invalid("The attribute 'schema' or 'regex' is required by strgp_add."),
            _ => {}
        }
        let flush = args.get(AttrId::INTERVAL);
        let flush_us = match &flush {
            None => 0,
            Some(text) => time::parse_us(text).map_err(|_| {
                refuse(errno::ENOENT, format!("The specified flush interval, \"{text}\", is invalid."))
            })?,
        };
        if !self.store_plugins.contains_key(&plugin) {
            let text = format!("The plugin {plugin} does not exist. Forgot load?\n");
            return Err(refuse(errno::ENOENT, text));
        }
        if self.stores.contains_key(&name) {
            return Err(refuse(errno::EEXIST, format!("The strgp {name} already exists.")));
        }
        let perm = args.get(AttrId::PERM);
        let expression = match &regex {
            None => None,
            Some(text) => Some(
                Expression::new(text)
                    .map_err(|why| refuse(errno::EINVAL, format!("Regular expression error: {why}")))?,
            ),
        };
        let store = Store {
            plugin: plugin.clone(),
            container: container.clone(),
            schema: schema.clone(),
            regex: expression,
            decomposition: decomposition.clone(),
            flush_us,
            running: false,
            producers: Vec::new(),
            metrics: Vec::new(),
            rows: 0,
            rights: Rights::new(peer, perm.as_deref()),
        };
        self.stores.insert(name.clone(), store);
        self.log(|| {
            let part = |word: &str, value: Option<String>| {
                value.map(|value| format!(" {word}={value}")).unwrap_or_default()
            };
            let container = container.unwrap_or_else(|| "(null)".to_owned());
            let (schema, regex) = (part("schema", schema), part("regex", regex));
            let (decomp, flush) = (part("decomp", decomposition), part("flush", flush));
            let perm = part("perm", perm);
            format!("strgp_add name={name} plugin={plugin} container={container}{schema}{regex}{decomp}{flush}{perm}")
        });
        Ok(Answer::Done)
    }

    fn switch_store(&mut self, peer: Peer, id: RequestId, message: &Record) -> Handled {
        let start = id == RequestId::STRGP_START;
        let verb = if start { "strgp_start" } else { "strgp_stop" };
        // ldmsd puts the error number before this text, and only for this request.
        let number = if start { "22" } else { "" };
        let none = || format!("{number}The attribute 'name' is required by {verb}.");
        let name = self.args(message).require(AttrId::NAME, none)?;
        let missing = || refuse(errno::ENOENT, "The storage policy does not exist.");
        let store = self.stores.get_mut(&name).ok_or_else(missing)?;
        store.rights.check_write(peer)?;
        if store.running == start {
            let text = if start { "already running" } else { "not running" };
            return Err(refuse(errno::EBUSY, format!("The storage policy is {text}.")));
        }
        store.running = start;
        self.log(|| format!("{verb} name={name}"));
        Ok(Answer::Done)
    }

    fn change_store(&mut self, peer: Peer, id: RequestId, message: &Record) -> Handled {
        let verb = id.verb().unwrap_or_default();
        let producers = matches!(id, RequestId::STRGP_PRDCR_ADD | RequestId::STRGP_PRDCR_DEL);
        let add = matches!(id, RequestId::STRGP_PRDCR_ADD | RequestId::STRGP_METRIC_ADD);
        let args = self.args(message);
        let name = args.required_by(AttrId::NAME, verb)?;
        let (word, attribute) = if producers { ("regex", AttrId::REGEX) } else { ("metric", AttrId::METRIC) };
        let value = args.required_by(attribute, verb)?;
        let missing = || refuse(errno::ENOENT, "The storage policy specified does not exist.");
        let store = self.stores.get_mut(&name).ok_or_else(missing)?;
        store.rights.check_write(peer)?;
        if store.running {
            let text = "Configuration changes cannot be made while the storage policy is running.";
            return Err(refuse(errno::EBUSY, text));
        }
        match (producers, add) {
            (true, true) => {
                let regex = Expression::new(&value).map_err(|_| refuse(errno::EINVAL, "Error 22 EINVAL"))?;
                store.producers.push(regex);
            }
            (true, false) => take_out(&mut store.producers, |regex| regex.text == value)
                .ok_or_else(|| refuse(errno::ENOENT, "The specified regex does not match any condition."))?,
            (false, true) if store.metrics.contains(&value) => {
                return Err(refuse(errno::EEXIST, "The specified metric is already present."));
            }
            (false, true) => store.metrics.push(value.clone()),
            (false, false) => take_out(&mut store.metrics, |metric| *metric == value)
                .ok_or_else(|| refuse(errno::ENOENT, "The specified metric was not found."))?,
        }
        self.log(|| format!("{verb} name={name} {word}={value}"));
        Ok(Answer::Done)
    }

    fn show_stores(&mut self, message: &Record) -> Handled {
        let name = self.args(message).get(AttrId::NAME);
        let shown = name.as_ref().map(|name| format!(" name={name}")).unwrap_or_default();
        self.log(|| format!("strgp_status {shown}"));
        if let Some(name) = &name
            && !self.stores.contains_key(name)
        {
            return Err(refuse(errno::ENOENT, format!("strgp '{name}' doesn't exist.")));
        }
        let picked = self.stores.iter().filter(|(key, _)| name.as_ref().is_none_or(|name| *key == name));
        let rows: Vec<String> = picked.map(|(name, store)| self.store_status(name, store)).collect();
        Ok(Answer::Json(format!("[{}]", rows.join(",\n"))))
    }

    fn store_status(&self, name: &str, store: &Store) -> String {
        let quoted = |texts: Vec<&String>| {
            texts.into_iter().map(|text| format!("\"{}\"", json(text))).collect::<Vec<_>>().join(",")
        };
        let or_dash = |text: Option<&String>| json(text.map_or("-", String::as_str));
        let plugin = self.store_plugins.get(&store.plugin).map_or("", |plugin| &plugin.plugin);
        format!(
            "{{\"name\":\"{}\",\"container\":\"{}\",\"schema\":\"{}\",\"regex\":\"{}\",\"plugin\":\"{plugin}\",\
             \"flush\":\"{}.{:06}\",\"state\":\"{}\",\"decomp\":\"{}\",\"producers\":[{}],\"metrics\":[{}]}}",
            json(name),
            json(store.container.as_deref().unwrap_or("(null)")),
            or_dash(store.schema.as_ref()),
            or_dash(store.regex.as_ref().map(|regex| &regex.text)),
            store.flush_us / 1_000_000,
            store.flush_us % 1_000_000,
            if store.running { "RUNNING" } else { "STOPPED" },
            or_dash(store.decomposition.as_ref()),
            quoted(store.producers.iter().map(|regex| &regex.text).collect()),
            quoted(store.metrics.iter().collect()),
        )
    }

    /// A set of a producer has new contents: the policies it belongs to store a row.
    pub(super) fn store(&mut self, producer: &str, set: &str) {
        let Some(schema) = self.sets.get(set).map(|set| set.schema.clone()) else { return };
        for store in self.stores.values_mut().filter(|store| store.running) {
            let by_schema = match (&store.schema, &store.regex) {
                (Some(wanted), _) => *wanted == schema,
                (None, Some(regex)) => regex.matches(&schema),
                (None, None) => false,
            };
            let by_producer =
                store.producers.is_empty() || store.producers.iter().any(|regex| regex.matches(producer));
            if by_schema && by_producer {
                store.rows += 1;
            }
        }
    }

    /// How many rows a storage policy has stored.
    #[must_use]
    pub fn stored_rows(&self, policy: &str) -> Option<u64> {
        self.stores.get(policy).map(|store| store.rows)
    }
}

fn take_out<T>(list: &mut Vec<T>, which: impl Fn(&T) -> bool) -> Option<()> {
    let at = list.iter().position(which)?;
    list.remove(at);
    Some(())
}
