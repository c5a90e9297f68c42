//! A cluster as the keys that the original's `maestro_ctrl` writes for it.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::config::model::{
    Advertise, AggregatorGroup, Auth, Cluster, ConfigLine, ConfigValue, Daemon, Interval, Listener, Names,
    OptionValue, Peers, Plugin, Producer, SamplerGroup, StoragePolicy, Updater,
};

/// The keys of a cluster, below its prefix; `last_updated` is not among them.
#[must_use]
pub fn to_keys(cluster: &Cluster) -> BTreeMap<String, String> {
    let mut keys = Keys::default();
    for daemon in cluster.daemons.values() {
        keys.daemon(daemon);
    }
    for group in &cluster.aggregators {
        keys.aggregators(group);
    }
    for group in &cluster.samplers {
        keys.samplers(group);
    }
    for plugin in cluster.plugins.values() {
        keys.plugin(plugin);
    }
    for store in cluster.stores.values() {
        keys.store(store);
    }
    keys.0
}

#[derive(Default)]
struct Keys(BTreeMap<String, String>);

impl Keys {
    fn put(&mut self, path: impl Into<String>, value: impl Into<String>) {
        self.0.insert(path.into(), value.into());
    }

    fn maybe(&mut self, at: &str, key: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.put(format!("{at}/{key}"), value);
        }
    }

    fn list<'v>(&mut self, at: &str, values: impl IntoIterator<Item = &'v String>) {
        for (number, value) in values.into_iter().enumerate() {
            self.put(format!("{at}/{number:06}"), value);
        }
    }

    fn auth(&mut self, at: &str, auth: Option<&Auth>) {
        let Some(auth) = auth else { return };
        self.put(format!("{at}/auth/name"), &auth.name);
        self.maybe(at, "auth/plugin", auth.plugin.as_ref());
        self.maybe(at, "auth/conf", auth.conf.as_ref());
    }

    fn daemon(&mut self, daemon: &Daemon) {
        let at = format!("daemons/{}", daemon.name);
        self.put(format!("{at}/addr"), &daemon.host);
        let settings = &daemon.settings;
        for (key, value) in &settings.environment {
            self.put(format!("{at}/environment/{key}"), value);
        }
        for (key, value) in &settings.options {
            match value {
                OptionValue::Word(word) => self.put(format!("{at}/cli_opt/{key}"), word),
                OptionValue::Arguments(arguments) => {
                    for (argument, value) in arguments {
                        self.put(format!("{at}/cli_opt/{key}/{argument}"), value);
                    }
                }
            }
        }
        self.maybe(&at, "stream_enable", settings.stream_enable.as_ref());
        self.maybe(&at, "msg_enable", settings.msg_enable.as_ref());
        for endpoint in &daemon.endpoints {
            let at = format!("{at}/endpoints/{}", endpoint.name);
            self.put(format!("{at}/name"), &endpoint.name);
            self.put(format!("{at}/port"), endpoint.port.to_string());
            self.put(format!("{at}/xprt"), &*endpoint.xprt);
            if endpoint.maestro_comm {
                self.put(format!("{at}/maestro_comm"), "True");
            }
            self.maybe(&at, "bind_all", endpoint.bind_all.as_ref());
            self.maybe(&at, "host", endpoint.host.as_ref());
            self.auth(&at, endpoint.auth.as_deref());
        }
    }

    fn aggregators(&mut self, group: &AggregatorGroup) {
        let text = &*group.daemons.text;
        for daemon in group.daemons.list.iter() {
            let at = format!("aggregators/{text}/{daemon}");
            self.put(format!("{at}/state"), "stopped");
            for (number, subscription) in group.subscribe.iter().enumerate() {
                for (key, value) in &subscription.raw {
                    self.put(format!("{at}/subscribe/{number:06}/{key}"), value);
                }
            }
            self.list(&format!("{at}/plugins"), &group.plugins);
        }
        // A producer that is named twice is what is said of it last.
        let producers: IndexMap<&str, _> =
            group.producers().map(|(peers, producer)| (producer.name.as_str(), (peers, producer))).collect();
        for (peers, producer) in producers.into_values() {
            self.producer(text, peers, producer);
        }
        for updater in group.updaters() {
            self.updater(text, updater);
        }
        for listener in &group.listeners {
            self.listener(text, listener);
        }
        if let Some(advertise) = &group.advertise {
            self.advertisers(text, advertise, &group.daemons);
        }
    }

    fn producer(&mut self, group: &str, peers: &Peers, producer: &Producer) {
        let at = format!("producers/{group}/{}", producer.name);
        self.put(format!("{at}/daemon"), &producer.daemon);
        self.put(format!("{at}/dmn_grp"), &*producer.peer_group);
        self.put(format!("{at}/name"), &producer.name);
        self.put(format!("{at}/endpoint"), &producer.name);
        self.put(format!("{at}/type"), &peers.kind);
        self.put(format!("{at}/group"), group);
        self.maybe(&at, "reconnect", peers.reconnect.as_ref().map(Interval::value));
        self.maybe(&at, "perm", peers.perm.as_ref());
        self.maybe(&at, "rail", peers.rail.as_ref());
        self.maybe(&at, "quota", peers.quota.as_ref());
        self.maybe(&at, "rx_rate", peers.rx_rate.as_ref());
        self.maybe(&at, "cache_ip", peers.cache_ip.as_ref());
        for (number, updater) in peers.updaters.iter().enumerate() {
            for (path, value) in &updater.raw.leaves {
                self.put(format!("{at}/updaters/{number:06}/{path}"), value);
            }
        }
    }

    fn updater(&mut self, group: &str, updater: &Updater) {
        let at = format!("updaters/{group}/{}", updater.name);
        self.put(format!("{at}/name"), &updater.name);
        self.put(format!("{at}/group"), group);
        self.put(format!("{at}/mode"), &updater.mode_text);
        self.maybe(&at, "perm", updater.perm.as_ref());
        self.list(&format!("{at}/producers"), &updater.producers);
        for (number, set) in updater.sets.iter().enumerate() {
            self.put(format!("{at}/sets/{number:06}/regex"), &set.regex);
            self.put(format!("{at}/sets/{number:06}/field"), &set.field);
        }
        for (key, interval) in [("interval", Some(&updater.interval)), ("offset", updater.offset.as_ref())] {
            self.maybe(&at, key, interval.filter(|interval| interval.us != Some(0)).map(Interval::value));
        }
    }

    fn listener(&mut self, group: &str, listener: &Listener) {
        let at = format!("prdcr_listeners/{group}/{}", listener.name);
        let reconnect = listener.reconnect.as_ref().filter(|reconnect| reconnect.us != Some(0));
        self.maybe(&at, "reconnect", reconnect.map(Interval::value));
        self.maybe(&at, "disable_start", listener.disable_start.as_ref());
        self.maybe(&at, "ip", listener.ip.as_ref());
        self.maybe(&at, "rail", listener.rail.as_ref());
        self.maybe(&at, "quota", listener.quota.as_ref());
        self.maybe(&at, "rx_rate", listener.rx_rate.as_ref());
        self.maybe(&at, "regex", listener.regex.as_ref());
        self.maybe(&at, "type", listener.kind.as_ref());
        self.maybe(&at, "advertiser_xprt", listener.advertiser_xprt.as_ref());
        self.maybe(&at, "advertiser_port", listener.advertiser_port.as_ref());
        self.maybe(&at, "advertiser_auth", listener.advertiser_auth.as_ref().map(|auth| &auth.name));
    }

    fn samplers(&mut self, group: &SamplerGroup) {
        let text = &*group.daemons.text;
        let at = format!("samplers/{text}");
        self.put(format!("{at}/daemons"), text);
        self.list(&format!("{at}/plugins"), &group.plugins);
        if let Some(advertise) = &group.advertise {
            self.advertise(&format!("{at}/advertise"), advertise);
            self.advertisers(text, advertise, &group.daemons);
        }
    }

    fn advertise(&mut self, at: &str, advertise: &Advertise) {
        self.put(format!("{at}/names"), &*advertise.names.text);
        self.put(format!("{at}/hosts"), &*advertise.hosts.text);
        self.put(format!("{at}/xprt"), &advertise.xprt);
        self.put(format!("{at}/port"), &advertise.port);
        self.put(format!("{at}/reconnect"), &advertise.reconnect.text);
        self.auth(at, advertise.auth.as_deref());
        self.maybe(at, "perm", advertise.perm.as_ref());
        self.maybe(at, "rail", advertise.rail.as_ref());
        self.maybe(at, "quota", advertise.quota.as_ref());
        self.maybe(at, "rx_rate", advertise.rx_rate.as_ref());
    }

    fn advertisers(&mut self, group: &str, advertise: &Advertise, daemons: &Names) {
        let at = format!("advertisers/{group}");
        self.advertise(&at, advertise);
        self.list(&format!("{at}/ad_list"), daemons.in_lexical_order());
    }

    fn plugin(&mut self, plugin: &Plugin) {
        let at = format!("plugins/{}", plugin.name);
        self.put(format!("{at}/name"), &plugin.library);
        self.maybe(&at, "interval", plugin.interval.as_ref().map(|interval| &interval.text));
        self.maybe(&at, "offset", plugin.offset.as_ref().map(|offset| &offset.text));
        self.maybe(&at, "perm", plugin.perm.as_ref());
        for (number, line) in plugin.config.iter().enumerate() {
            let at = format!("{at}/config/{number:06}");
            match line {
                ConfigLine::Verbatim(text) => self.put(at, text),
                ConfigLine::Options(options) => {
                    for (key, value) in options {
                        match value {
                            // The original has no other way to write a word without value.
                            ConfigValue::Keyword => self.put(format!("{at}/{key}"), ""),
                            ConfigValue::Text(text) => self.put(format!("{at}/{key}"), text),
                            ConfigValue::Repeated(texts) => {
                                for (number, text) in texts.iter().enumerate() {
                                    let text = text.clone().unwrap_or_default();
                                    self.put(format!("{at}/{key}/{number:06}"), text);
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn store(&mut self, store: &StoragePolicy) {
        let at = format!("stores/{}/{}", store.daemons.text, store.name);
        self.put(format!("{at}/name"), &store.name);
        self.put(format!("{at}/daemons"), &*store.daemons.text);
        self.put(format!("{at}/plugin"), &store.plugin);
        self.maybe(&at, "container", store.container.as_ref());
        self.maybe(&at, "schema", store.schema.as_ref());
        self.maybe(&at, "regex", store.regex.as_ref());
        self.maybe(&at, "decomposition", store.decomposition.as_ref());
        self.maybe(&at, "flush", store.flush.as_ref().map(|flush| &flush.text));
        self.maybe(&at, "perm", store.perm.as_ref());
        for (key, value) in &store.other {
            self.put(format!("{at}/{key}"), value);
        }
    }
}
