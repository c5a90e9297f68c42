//! The part of a file that collects and stores.

use std::fmt::Write as _;

use super::split::Place;
use super::words::{self, Line};
use super::{Style, Writer};
use crate::config::model::{
    AggregatorGroup, Listener, Peers, Producer, StoragePolicy, Subscription, UpdateMode, Updater,
};

impl<'c> Writer<'c> {
    pub(super) fn aggregator(&mut self, group: &'c AggregatorGroup, places: &[Place]) {
        self.listeners();
        let producers: Vec<_> = places
            .iter()
            .map(|place| {
                let peers = &group.peers[place.peers];
                (peers, &peers.producers[place.producer])
            })
            .collect();
        self.producers(&producers);
        self.prdcr_listeners(&group.listeners);
        self.advertisers(group.advertise.as_ref());
        self.subscriptions(&group.subscribe);
        for plugin in group.plugins.iter().filter_map(|name| self.cluster.plugins.get(name)) {
            words::load(plugin, &[], &mut self.out.text);
        }
        for updater in group.updaters() {
            self.updater(updater);
        }
        self.stores();
    }

    fn producers(&mut self, producers: &[(&'c Peers, &'c Producer)]) {
        for (_, producer) in producers {
            let Some(endpoint) = self.cluster.endpoint(&producer.daemon, &producer.name) else { continue };
            let auth = endpoint.auth.as_deref();
            let name = auth.map(|auth| auth.name.as_str());
            if self.auths.insert(name) {
                let plugin = auth.map_or("None", |auth| auth.plugin_name());
                let line = Line::new("auth_add").arg("name", name.unwrap_or("None")).arg("plugin", plugin);
                let line = line.maybe("conf", auth.and_then(|auth| auth.conf.as_deref()));
                self.out.text.push_str(&line.end());
            }
        }
        for (peers, producer) in producers {
            self.producer(peers, producer);
        }
    }

    fn producer(&mut self, peers: &'c Peers, producer: &'c Producer) {
        let Some(daemon) = self.cluster.daemon(&producer.daemon) else { return };
        let Some(endpoint) = self.cluster.endpoint(&producer.daemon, &producer.name) else { return };
        let line = Line::new("prdcr_add")
            .arg("name", &producer.name)
            .arg("host", daemon.host_of(endpoint))
            .arg("port", endpoint.port)
            .arg("xprt", &endpoint.xprt)
            .arg("type", &peers.kind)
            .maybe("reconnect", peers.reconnect.as_ref().map(|reconnect| reconnect.value()))
            .maybe("cache_ip", peers.cache_ip.as_deref())
            .maybe("perm", peers.perm.as_deref())
            .maybe("auth", endpoint.auth.as_deref().map(|auth| auth.name.as_str()));
        let limits = [("rail", &peers.rail), ("rx_rate", &peers.rx_rate), ("quota", &peers.quota)];
        let line = match self.style {
            Style::Complete => {
                limits.iter().fold(line, |line, (key, value)| line.maybe(key, value.as_deref()))
            }
            Style::Original => {
                for (key, value) in limits {
                    if let Some(value) = value {
                        self.left_out(format!("{key}={value} of the peers in {}", producer.peer_group));
                    }
                }
                line
            }
        };
        self.out.text.push_str(&line.end());
        let _ = writeln!(self.out.text, "prdcr_start name={}", producer.name);
    }

    fn prdcr_listeners(&mut self, listeners: &'c [Listener]) {
        let kept = match (self.style, listeners) {
            (Style::Original, [left_out @ .., last]) => {
                for listener in left_out {
                    self.left_out(format!(
                        "prdcr_listen {}: only the last one of a group is kept",
                        listener.name
                    ));
                }
                std::slice::from_ref(last)
            }
            _ => listeners,
        };
        for listener in kept {
            let auth = listener.advertiser_auth.as_deref();
            let line = Line::new("prdcr_listen_add")
                .arg("name", &listener.name)
                .maybe("disable_start", listener.disable_start.as_deref())
                .maybe("regex", listener.regex.as_deref())
                .maybe("ip", listener.ip.as_deref())
                .maybe("quota", listener.quota.as_deref())
                .maybe("rx_rate", listener.rx_rate.as_deref())
                .maybe("type", listener.kind.as_deref())
                .maybe("advertiser_xprt", listener.advertiser_xprt.as_deref())
                .maybe("advertiser_port", listener.advertiser_port.as_deref())
                .maybe("advertiser_auth", auth.map(|auth| auth.name.as_str()))
                .maybe("rail", listener.rail.as_deref())
                .maybe("reconnect", listener.reconnect.as_ref().map(|reconnect| reconnect.value()));
            self.out.text.push_str(&line.end());
            let _ = writeln!(self.out.text, "prdcr_listen_start name={}", listener.name);
        }
    }

    fn subscriptions(&mut self, subscriptions: &'c [Subscription]) {
        for subscription in subscriptions {
            let out = &mut self.out.text;
            out.push_str("prdcr_subscribe ");
            for (key, value) in subscription.raw.iter().filter(|(key, _)| key != "regex") {
                let _ = write!(out, "{key}={value} ");
            }
            let _ = writeln!(out, "regex={}", subscription.regex);
        }
    }

    fn updater(&mut self, updater: &'c Updater) {
        let name = &updater.name;
        let (key, value) = match updater.mode {
            UpdateMode::Push => ("push", "True"),
            UpdateMode::OnChange => ("push", "onchange"),
            UpdateMode::Pull | UpdateMode::Auto => ("auto_interval", "True"),
        };
        let line = Line::new("updtr_add")
            .arg("name", name)
            .arg(key, value)
            .arg("interval", updater.interval.value())
            .maybe("perm", updater.perm.as_deref())
            .maybe("offset", updater.offset.as_ref().map(|offset| offset.value()));
        let out = &mut self.out.text;
        out.push_str(&line.end());
        for producer in &updater.producers {
            let _ = writeln!(out, "updtr_prdcr_add name={name} regex={producer}");
        }
        for set in &updater.sets {
            let _ = writeln!(out, "updtr_match_add name={name} regex={} match={}", set.regex, set.field);
        }
        let _ = writeln!(out, "updtr_start name={name}");
    }

    /// The original goes through the stores group by group, and loads a plugin once in each.
    fn stores(&mut self) {
        let mut groups: Vec<(&str, Vec<&'c StoragePolicy>)> = Vec::new();
        for store in self.cluster.stores_of(&self.daemon.name) {
            match groups.iter_mut().find(|(text, _)| *text == &*store.daemons.text) {
                Some((_, stores)) => stores.push(store),
                None => groups.push((&store.daemons.text, vec![store])),
            }
        }
        for (_, stores) in groups {
            let mut loaded: Vec<&str> = Vec::new();
            for store in stores {
                if !loaded.contains(&store.plugin.as_str()) {
                    loaded.push(&store.plugin);
                    if let Some(plugin) = self.cluster.plugins.get(&store.plugin) {
                        words::load(plugin, &[], &mut self.out.text);
                    }
                }
                self.store(store);
            }
        }
    }

    fn store(&mut self, store: &'c StoragePolicy) {
        let out = &mut self.out.text;
        let _ = write!(out, "strgp_add name={} plugin={} ", store.name, store.plugin);
        let _ = write!(out, "container={} ", store.container.as_deref().unwrap_or_default());
        let line = Line::new("")
            .maybe("decomposition", store.decomposition.as_deref())
            .maybe("schema", store.schema.as_deref())
            .maybe("regex", store.regex.as_deref())
            .maybe("perm", store.perm.as_deref())
            .maybe("flush", store.flush.as_ref().map(|flush| flush.value()));
        out.push_str(&line.end());
        let _ = writeln!(out, "strgp_start name={}", store.name);
    }
}
