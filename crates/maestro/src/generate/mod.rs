//! Configuration files of the form `ldmsd -c` reads ("v4"), one per daemon, byte for byte those of the original.
//!
//! The original's oddities are kept, since sites compare files: a pulling updater gets `auto_interval=True`, two spaces
//! follow `container=…`, a producer without authentication brings `auth_add name=None plugin=None` (which ldmsd takes).
//! It also leaves things out; those are left out here, too, and [`Generated::left_out`] says so, unless [`Style`] asks
//! for complete files. What makes the original fail (a plugin of an aggregator with a map of options, a store without
//! container) is written as it must be meant.

mod aggregator;
mod sampler;
mod split;
mod words;

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::config::model::{Cluster, Daemon, DaemonSettings, OptionValue};

pub(crate) use split::Split;

/// Whether files repeat what the original leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Style {
    /// Byte for byte the original's.
    #[default]
    Original,
    /// With everything that the cluster file says: `rail`, `quota` and `rx_rate` of peers, every `prdcr_listen`.
    Complete,
}

/// The files of a cluster.
#[derive(Debug)]
pub struct Generator<'c> {
    cluster: &'c Cluster,
    style: Style,
    /// Who collects what, for each group of aggregators.
    splits: Vec<Split>,
}

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generated {
    /// Its text; empty for a daemon with nothing to do.
    pub text: String,
    /// What the cluster file says and the text does not, one sentence each.
    pub left_out: Vec<String>,
}

impl<'c> Generator<'c> {
    /// Divides the producers of every group among its aggregators.
    #[must_use]
    pub fn new(cluster: &'c Cluster, style: Style) -> Self {
        let splits = cluster.aggregators.iter().map(Split::of).collect();
        Self { cluster, style, splits }
    }

    /// The file of one daemon; none if there is no such daemon.
    #[must_use]
    pub fn daemon(&self, name: &str) -> Option<Generated> {
        let daemon = self.cluster.daemons.get(name)?;
        let mut writer = Writer {
            cluster: self.cluster,
            style: self.style,
            daemon,
            out: Generated::default(),
            auths: HashSet::new(),
            ports: HashSet::new(),
        };
        writer.settings();
        for group in self.cluster.samplers_of(name) {
            writer.sampler(group);
        }
        for (group, split) in self.cluster.aggregators.iter().zip(&self.splits) {
            if let Some(position) = group.daemons.position(name) {
                writer.aggregator(group, split.producers_of(position));
            }
        }
        Some(writer.out)
    }

    /// The files of all daemons that have something to do, in the order of the daemons.
    pub fn all(&self) -> impl Iterator<Item = (&'c str, Generated)> {
        let names = self.cluster.daemons.keys().map(String::as_str);
        let files = names.filter_map(|name| Some((name, self.daemon(name)?)));
        files.filter(|(_, file)| !file.text.is_empty())
    }
}

/// The lines that give a daemon its options.
pub(crate) fn options(settings: &DaemonSettings) -> String {
    let mut out = String::new();
    for (key, value) in &settings.options {
        match value {
            OptionValue::Word(word) => {
                let _ = writeln!(out, "option --{key} {word}");
            }
            OptionValue::Arguments(arguments) => {
                out.push_str(key);
                for (argument, value) in arguments {
                    let _ = write!(out, " {argument}={value}");
                }
                out.push('\n');
            }
        }
    }
    out
}

/// One file in the making.
struct Writer<'c> {
    cluster: &'c Cluster,
    style: Style,
    daemon: &'c Daemon,
    out: Generated,
    /// Authentication domains that have been added; none stands for "no domain", which the original adds as `None`.
    auths: HashSet<Option<&'c str>>,
    /// Ports that are listened on.
    ports: HashSet<u16>,
}

impl<'c> Writer<'c> {
    fn settings(&mut self) {
        let settings = &self.daemon.settings;
        let out = &mut self.out.text;
        for (key, value) in &settings.environment {
            let _ = writeln!(out, "env {key}={value}");
        }
        out.push_str(&options(settings));
        if settings.stream_enable.is_some() {
            out.push_str("stream_enable\n");
        }
        if settings.msg_enable.is_some() {
            out.push_str("msg_enable\n");
        }
    }

    /// Where the daemon listens; written once, by whichever part comes first.
    fn listeners(&mut self) {
        for endpoint in &self.daemon.endpoints {
            let auth = endpoint.auth.as_deref();
            if let Some(auth) = auth.filter(|auth| self.auths.insert(Some(&auth.name))) {
                let line = words::Line::new("auth_add").arg("name", &auth.name);
                let line = line.maybe("plugin", auth.plugin.as_deref()).maybe("conf", auth.conf.as_deref());
                self.out.text.push_str(&line.end());
            }
            if !self.ports.insert(endpoint.port) {
                continue;
            }
            let host = match &endpoint.bind_all {
                Some(_) => "0.0.0.0",
                None => self.daemon.host_of(endpoint),
            };
            let line = words::Line::new("listen").arg("xprt", &endpoint.xprt).arg("port", endpoint.port);
            let line = line
                .maybe("auth", auth.map(|auth| auth.name.as_str()))
                .maybe("conf", auth.and_then(|auth| auth.conf.as_deref()))
                .arg("host", host);
            self.out.text.push_str(&line.end());
        }
    }

    fn left_out(&mut self, what: String) {
        if !self.out.left_out.contains(&what) {
            self.out.left_out.push(what);
        }
    }
}
