//! `campanile agent`: the sample agents.

use campanile_ocs::site_config::{InstanceConfig, SiteArgs};
use clap::{Subcommand, ValueEnum};

use crate::failure::{Failure, Outcome};
use crate::samples::bench::{self, Bench, Place};
use crate::samples::flaky::{self, Crash, Mood};
use crate::samples::{camera, pump, thermometer, weather};
use crate::{cli, runtime};

/// The longest mean time between crashes, in seconds: a day.
const EVERY_MAX_S: f64 = 86_400.0;

/// Run one of the sample agents: simulated instruments that are real OCS agents
///
/// They take the site options of every OCS agent, find themselves in the site config by --instance-id, and merge the
/// arguments that stand there with the command line.
#[derive(clap::Args, Debug)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  campanile agent thermometer --instance-id thermo1 --channels 4
  campanile agent flaky --instance-id flaky1 --every 20 --crash panic"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) instrument: Instrument,
}

/// The instruments.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Instrument {
    /// A thermometer with a heater that can be given a set-point
    Thermometer {
        #[command(flatten)]
        common: Common,
        /// Number of sensors
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
        channels: u8,
    },
    /// A weather station that says whether the dome may open
    Weather {
        #[command(flatten)]
        common: Common,
    },
    /// A turbo pump on a vacuum vessel, with a vent valve
    Pump {
        #[command(flatten)]
        common: Common,
        /// The speed to run up to at the start, in Hz
        #[arg(long, value_name = "HZ", default_value_t = 0.0)]
        speed: f64,
    },
    /// A cooled camera that takes exposures
    Camera {
        #[command(flatten)]
        common: Common,
    },
    /// An instrument that crashes now and then, each time in another way
    Flaky {
        #[command(flatten)]
        common: Common,
        /// Mean time to a crash, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 20.0)]
        every: f64,
        /// A way to crash; may be repeated [default: any]
        #[arg(long, value_enum, value_name = "WAY")]
        crash: Vec<Crash>,
    },
}

/// What all instruments take.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Common {
    /// What to do after the start: acquire data, or wait for somebody to start `acq`
    #[arg(long, value_enum, default_value_t = StartMode::Acq)]
    pub(crate) mode: StartMode,
    /// Readings per second
    #[arg(long, value_name = "HZ", default_value_t = 2.0)]
    pub(crate) sample_rate: f64,
    #[command(flatten)]
    pub(crate) site: SiteArgs,
}

/// What an instrument does after its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StartMode {
    /// Wait.
    Idle,
    /// Acquire data.
    Acq,
}

impl Instrument {
    fn common(&self) -> &Common {
        match self {
            Self::Thermometer { common, .. }
            | Self::Weather { common }
            | Self::Pump { common, .. }
            | Self::Camera { common }
            | Self::Flaky { common, .. } => common,
        }
    }

    /// The word on the command line.
    fn name(&self) -> &'static str {
        match self {
            Self::Thermometer { .. } => "thermometer",
            Self::Weather { .. } => "weather",
            Self::Pump { .. } => "pump",
            Self::Camera { .. } => "camera",
            Self::Flaky { .. } => "flaky",
        }
    }

    /// The class in the site config.
    fn agent_class(&self) -> &'static str {
        match self {
            Self::Thermometer { .. } => "ThermometerAgent",
            Self::Weather { .. } => "WeatherAgent",
            Self::Pump { .. } => "PumpAgent",
            Self::Camera { .. } => "CameraAgent",
            Self::Flaky { .. } => "FlakyAgent",
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Outcome {
    runtime::block_on(operate(args.instrument))?
}

/// The command line once more, with the arguments that the site config has for this instance merged into it.
fn reread(given: &Instrument, instance: &InstanceConfig) -> Result<Instrument, Failure> {
    let name = given.name();
    let own = std::env::args().skip_while(|arg| arg != "agent").skip_while(|arg| arg != name).skip(1);
    let mut line = vec!["campanile".to_owned(), "agent".to_owned(), name.to_owned()];
    line.extend(instance.merged_arguments(own));
    let cli = cli::parse(line.into_iter().map(Into::into).collect()).map_err(|error| {
        let said = error.to_string();
        Failure::Usage(format!("the arguments of {} in the site config: {said}", instance.instance_id))
    })?;
    match cli.command {
        cli::Command::Agent(args) => Ok(args.instrument),
        _ => Err(Failure::Usage(format!("the arguments of {} make no agent", instance.instance_id))),
    }
}

async fn operate(given: Instrument) -> Outcome {
    let place = Place::find(given.agent_class(), &given.common().site)?;
    let instrument = match &place.instance {
        Some(instance) => reread(&given, instance)?,
        None => given,
    };
    let common = instrument.common();
    let rate_hz = common.sample_rate;
    if !(bench::RATE_MIN_HZ..=bench::RATE_MAX_HZ).contains(&rate_hz) {
        return Err(Failure::Usage(format!(
            "--sample-rate {rate_hz} is outside {}..{} Hz",
            bench::RATE_MIN_HZ,
            bench::RATE_MAX_HZ
        )));
    }
    let at_start = common.mode == StartMode::Acq;
    let bench = Bench::new(place, instrument.agent_class())?;
    match instrument {
        Instrument::Thermometer { channels, .. } => {
            thermometer::agent(bench, usize::from(channels), rate_hz, at_start).run().await
        }
        Instrument::Weather { .. } => weather::agent(bench, rate_hz, at_start).run().await,
        Instrument::Pump { speed, .. } => {
            let bench = pump::agent(bench, speed, rate_hz, at_start)
                .map_err(|reason| Failure::Usage(format!("--speed: {reason}")))?;
            bench.run().await
        }
        Instrument::Camera { .. } => camera::agent(bench, rate_hz, at_start).run().await,
        Instrument::Flaky { every, crash, .. } => {
            if !(every > 0.0 && every <= EVERY_MAX_S) {
                return Err(Failure::Usage(format!("--every {every} is outside 0..{EVERY_MAX_S} s")));
            }
            let mood = Mood::new(&crash, every, [fastrand::f64(), fastrand::f64()]);
            flaky::run(bench, mood, rate_hz, at_start).await
        }
    }
}
