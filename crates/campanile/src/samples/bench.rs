//! What every sample agent shares: where it finds itself in the site, how it acquires data, and how it ends.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use campanile_ocs::agent::{
    Agent, AgentBuilder, AgentConfig, FeedSpec, LogOptions, Param, ParamSpec, ParamType, Policy, ProcessSpec,
    unix_now_s,
};
use campanile_ocs::site_config::{InstanceConfig, Mode, Selected, SiteArgs, SiteConfig};
use campanile_wamp::net::client::ClientOptions;
use campanile_wamp::{Dict, Value};
use serde_json::{Map, json};

use crate::failure::{Failure, Outcome};
use crate::signals::Termination;
use crate::this_site;

/// How long running operations have to end after a signal.
const END_GRACE: Duration = Duration::from_secs(3);
/// Readings per second that an `acq` accepts.
pub(crate) const RATE_MIN_HZ: f64 = 0.1;
/// See [`RATE_MIN_HZ`].
pub(crate) const RATE_MAX_HZ: f64 = 100.0;

/// One reading: fields and values, in the order in which a recorder shall have them.
pub(crate) type Fields = Vec<(String, Value)>;

/// An instrument that its operations share.
pub(crate) struct Shared<I>(Arc<Mutex<I>>);

impl<I> Clone for Shared<I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I> Shared<I> {
    pub(crate) fn new(instrument: I) -> Self {
        Self(Arc::new(Mutex::new(instrument)))
    }

    /// Never held across an await: a simulation step takes microseconds.
    pub(crate) fn lock(&self) -> MutexGuard<'_, I> {
        // A simulation that panicked half-way is as good as any other.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An agent in the making, with its place in the site.
pub(crate) struct Bench {
    pub(crate) builder: AgentBuilder,
}

/// How `acq` runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acquisition {
    /// The feed, and the block that its readings are recorded as.
    pub(crate) feed: &'static str,
    /// Readings per second, unless a client asks for another rate.
    pub(crate) rate_hz: f64,
    /// Does it start with the agent?
    pub(crate) at_start: bool,
}

/// Where an agent belongs.
pub(crate) struct Place {
    site: SiteConfig,
    log_dir: Option<PathBuf>,
    instance_id: String,
    /// Its entry in the site config; `None` with `--site none`.
    pub(crate) instance: Option<InstanceConfig>,
}

impl Place {
    /// Finds the agent in the site config.
    ///
    /// What the options leave open may stand in the environment, by the names that `ocs-agent-cli` reads.
    pub(crate) fn find(agent_class: &str, args: &SiteArgs) -> Result<Self, Failure> {
        let args = with_environment(args.clone(), &|name| std::env::var(name).ok());
        let Selected { site, host, instance, .. } = this_site::select(Mode::Agent(agent_class), &args)?;
        let id = instance.as_ref().map(|instance| instance.instance_id.clone());
        let Some(instance_id) = id.or_else(|| args.instance_id.clone()) else {
            return Err(Failure::Usage("without a site config, --instance-id is needed".to_owned()));
        };
        Ok(Self { site, log_dir: host.and_then(|host| host.log_dir), instance_id, instance })
    }
}

fn with_environment(mut args: SiteArgs, env: &dyn Fn(&str) -> Option<String>) -> SiteArgs {
    let options = [
        (&mut args.instance_id, "INSTANCE_ID"),
        (&mut args.site_host, "SITE_HOST"),
        (&mut args.site_hub, "SITE_HUB"),
        (&mut args.site_http, "SITE_HTTP"),
    ];
    for (option, name) in options {
        if option.is_none() {
            *option = env(name).filter(|value| !value.is_empty());
        }
    }
    args
}

impl Bench {
    /// An agent at its place that can do nothing yet.
    pub(crate) fn new(place: Place, agent_class: &str) -> Result<Self, Failure> {
        let Place { site, log_dir, instance_id: id, .. } = place;
        let mut config = AgentConfig::new(&site.hub.address_root, &id, agent_class);
        config.wamp = Some(ClientOptions::new(&site.hub.wamp_server, &site.hub.wamp_realm));
        config.policy = Policy::parse(site.hub.access_policy.as_deref())
            .map_err(|error| Failure::Usage(error.to_string()))?;
        config.log = LogOptions { dir: log_dir, stdout: true };
        Ok(Self { builder: AgentBuilder::new(config) })
    }

    /// Adds the process `acq`, which reads the instrument again and again, shows the last reading as its data, and
    /// publishes it on a feed that recorders store.
    pub(crate) fn acq<I: Send + 'static>(
        mut self,
        instrument: &Shared<I>,
        how: Acquisition,
        read: fn(&mut I, f64) -> Fields,
    ) -> Self {
        let rate = Param::new("sampling_frequency").of_type(ParamType::Float).default(how.rate_hz);
        let mut spec = ProcessSpec::new("acq")
            .doc("acq(sampling_frequency=2.0)\n\n**Process** - Read the instrument and publish what it says.")
            .params(ParamSpec::of([rate.range(RATE_MIN_HZ, RATE_MAX_HZ)]));
        if how.at_start {
            spec = spec.startup(json!({}));
        }
        let instrument = instrument.clone();
        self.builder = self.builder.feed(FeedSpec::record(how.feed)).process(spec, move |context, params| {
            let instrument = instrument.clone();
            async move {
                let rate_hz = params["sampling_frequency"].as_f64().unwrap_or(how.rate_hz);
                let mut last = Instant::now();
                loop {
                    let dt_s = last.elapsed().as_secs_f64();
                    last = Instant::now();
                    let fields = read(&mut instrument.lock(), dt_s);
                    let now_s = unix_now_s();
                    context.set_data(session_data(&fields, now_s));
                    let message = Dict::new()
                        .with("block_name", how.feed)
                        .with("timestamp", now_s)
                        .with("data", fields.into_iter().collect::<Dict>());
                    // Without a router nobody listens; the instrument is read all the same.
                    let _ = context.agent().publish(how.feed, Value::Dict(message));
                    if !context.sleep(Duration::from_secs_f64(1.0 / rate_hz)).await {
                        return Ok("Acquisition exited cleanly.".to_owned());
                    }
                }
            }
        });
        self
    }

    /// Brings the agent to life, and keeps it until a signal ends it.
    pub(crate) async fn run(self) -> Outcome {
        let mut termination = Termination::listen()?;
        let agent = self.builder.spawn();
        let outcome = tokio::select! {
            signal = termination.requested() => {
                agent.log(format!("{signal}: ending"));
                Ok(())
            }
            explanation = conflict(&agent) => Err(Failure::World(anyhow::anyhow!(explanation))),
        };
        agent.shutdown(END_GRACE).await;
        outcome
    }
}

/// Waits until it is certain that another agent has this identity.
async fn conflict(agent: &Agent) -> String {
    let mut conflict = agent.identity_conflict();
    match conflict.wait_for(Option::is_some).await {
        Ok(explanation) => explanation.clone().unwrap_or_default(),
        // The agent has ended by itself, which is its own affair.
        Err(_) => std::future::pending().await,
    }
}

/// The last reading as clients see it: the fields and their common time.
fn session_data(fields: &Fields, now_s: f64) -> serde_json::Value {
    let fields: Map<_, _> = fields.iter().map(|(name, value)| (name.clone(), value.to_json())).collect();
    json!({ "timestamp": now_s, "fields": fields })
}

/// Noise for the simulations: -1..1, evenly.
pub(crate) fn noise() -> f64 {
    fastrand::f64() * 2.0 - 1.0
}

/// A field with a number.
pub(crate) fn field(name: impl Into<String>, value: impl Into<Value>) -> (String, Value) {
    (name.into(), value.into())
}

/// A parameter that must be a number.
pub(crate) fn number(name: &str) -> Param {
    Param::new(name).of_type(ParamType::Float)
}

/// The number that a checked parameter holds.
pub(crate) fn number_of(params: &serde_json::Value, name: &str) -> Result<f64, String> {
    params[name].as_f64().ok_or_else(|| format!("{name} must be a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_before_the_environment() {
        let given = SiteArgs { site_host: Some("dome".into()), ..SiteArgs::default() };
        let env = |name: &str| match name {
            "INSTANCE_ID" => Some("thermo1".to_owned()),
            "SITE_HOST" => Some("lab".to_owned()),
            "SITE_HUB" => Some(String::new()),
            _ => None,
        };
        let args = with_environment(given, &env);
        assert_eq!((args.instance_id.as_deref(), args.site_host.as_deref()), (Some("thermo1"), Some("dome")));
        assert_eq!(args.site_hub, None, "an empty variable says nothing");
    }
}
