//! The part of a file that samples and advertises.

use std::fmt::Write as _;

use super::Writer;
use super::words::{self, Line};
use crate::config::model::{Advertise, SamplerGroup};

impl<'c> Writer<'c> {
    pub(super) fn sampler(&mut self, group: &'c SamplerGroup) {
        self.listeners();
        self.advertisers(group.advertise.as_ref());
        let daemon = &self.daemon.name;
        for plugin in group.plugins.iter().filter_map(|name| self.cluster.plugins.get(name)) {
            let instance = format!("{daemon}/{}", plugin.name);
            let defaults = [("producer", daemon.clone()), ("instance", instance)];
            words::load(plugin, &defaults, &mut self.out.text);
            let interval = plugin.interval.as_ref().map(|interval| interval.value()).unwrap_or_default();
            let line = Line::new("start").arg("name", &plugin.name).arg("interval", interval);
            let line = line.maybe("offset", plugin.offset.as_ref().map(|offset| offset.value()));
            self.out.text.push_str(&line.end());
        }
    }

    pub(super) fn advertisers(&mut self, advertise: Option<&'c Advertise>) {
        let Some(advertise) = advertise else { return };
        let auth = advertise.auth.as_deref();
        let auth_name = auth.map(|auth| auth.name.as_str());
        let daemon = &self.daemon.name;
        for host in advertise.hosts.list.iter() {
            if self.auths.insert(auth_name) {
                let line = Line::new("auth_add").arg("name", auth_name.unwrap_or("None"));
                let line = line
                    .maybe("plugin", auth.and_then(|auth| auth.plugin.as_deref()))
                    .maybe("conf", auth.and_then(|auth| auth.conf.as_deref()));
                self.out.text.push_str(&line.end());
            }
            let line = Line::new("advertiser_add")
                .arg("name", format_args!("{daemon}-{host}"))
                .arg("host", host)
                .arg("xprt", &advertise.xprt)
                .arg("port", &advertise.port)
                .arg("reconnect", &advertise.reconnect.text)
                .maybe("auth", auth_name)
                .maybe("perm", advertise.perm.as_deref())
                .maybe("rail", advertise.rail.as_deref())
                .maybe("quota", advertise.quota.as_deref())
                .maybe("rx_rate", advertise.rx_rate.as_deref());
            self.out.text.push_str(&line.end());
            let _ = writeln!(self.out.text, "advertiser_start name={daemon}-{host}");
        }
    }
}
