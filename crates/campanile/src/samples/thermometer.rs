//! A multi-channel thermometer with a heater.

use std::time::Duration;

use campanile_ocs::agent::{Param, ParamSpec, ParamType, TaskSpec};

use super::bench::{Acquisition, Bench, Fields, Shared, field, noise, number, number_of};
use super::{Noise, relax};

/// What the cold stage reaches with the heater off, in kelvin.
const BASE_K: f64 = 4.2;
/// Hotter than this the heater refuses to go, in kelvin.
pub(crate) const SETPOINT_MAX_K: f64 = 40.0;
/// How sluggish the first channel is; each further one a little more, in seconds.
const TAU_S: f64 = 8.0;
const NOISE_K: f64 = 0.004;

/// The stage with its sensors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Thermometer {
    setpoint_k: f64,
    stage_k: Vec<f64>,
}

impl Thermometer {
    /// A stage at its base temperature.
    pub(crate) fn new(channels: usize) -> Self {
        Self { setpoint_k: BASE_K, stage_k: vec![BASE_K; channels] }
    }

    /// Lets the heater regulate to `kelvin`; the reason when that is out of its range.
    pub(crate) fn set_setpoint(&mut self, kelvin: f64) -> Result<(), String> {
        if !(BASE_K..=SETPOINT_MAX_K).contains(&kelvin) {
            return Err(format!("set-point {kelvin} K is outside {BASE_K}..{SETPOINT_MAX_K} K"));
        }
        self.setpoint_k = kelvin;
        Ok(())
    }

    /// Are all sensors at the set-point?
    pub(crate) fn is_settled(&self) -> bool {
        self.stage_k.iter().all(|stage| (stage - self.setpoint_k).abs() < SETTLED_K)
    }

    /// Lets `dt_s` pass and reads all channels, in kelvin.
    pub(crate) fn read(&mut self, dt_s: f64, noise: Noise<'_>) -> Vec<f64> {
        let goal = self.setpoint_k;
        for (index, stage) in self.stage_k.iter_mut().enumerate() {
            // Sensors further from the heater lag behind.
            let lag = 1.0 + index as f64 * 0.5;
            *stage = relax(*stage, goal, dt_s, TAU_S * lag);
        }
        self.stage_k.iter().map(|stage| stage + NOISE_K * noise()).collect()
    }
}

/// How near all sensors must be to the set-point to be called settled, in kelvin.
const SETTLED_K: f64 = 0.05;

fn fields(thermometer: &mut Thermometer, dt_s: f64) -> Fields {
    let readings = thermometer.read(dt_s, &mut noise);
    let channels = readings.into_iter().enumerate();
    channels.map(|(index, kelvin)| field(format!("channel_{}", index + 1), kelvin)).collect()
}

/// The agent: acquires temperatures, and takes set-points.
pub(crate) fn agent(mut bench: Bench, channels: usize, rate_hz: f64, at_start: bool) -> Bench {
    let thermometer = Shared::new(Thermometer::new(channels));
    bench = bench.acq(&thermometer, Acquisition { feed: "temperatures", rate_hz, at_start }, fields);
    let params =
        ParamSpec::of([number("temperature"), Param::new("wait").of_type(ParamType::Bool).default(false)]);
    let spec = TaskSpec::new("set_setpoint")
        .doc(
            "set_setpoint(temperature, wait=False)\n\n**Task** - Let the heater regulate to a temperature in kelvin; \
             with wait, the task ends when all sensors have settled there.",
        )
        .params(params)
        .abortable();
    bench.builder = bench.builder.task(spec, move |context, params| {
        let thermometer = thermometer.clone();
        async move {
            let kelvin = number_of(&params, "temperature")?;
            thermometer.lock().set_setpoint(kelvin)?;
            context.message(format!("Set-point is {kelvin} K."));
            while params["wait"] == true && !thermometer.lock().is_settled() {
                if !context.sleep(Duration::from_millis(200)).await {
                    return Err("Aborted; the set-point stays.".to_owned());
                }
            }
            Ok(format!("Set-point {kelvin} K taken over."))
        }
    });
    bench
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stage_settles_at_its_setpoint_and_far_sensors_lag() {
        let mut thermometer = Thermometer::new(3);
        thermometer.set_setpoint(10.0).unwrap();
        let early = thermometer.read(4.0, &mut || 0.0);
        assert!(early[0] > early[1] && early[1] > early[2], "{early:?}");
        assert!(!thermometer.is_settled());
        let late = thermometer.read(500.0, &mut || 0.0);
        assert!(thermometer.is_settled());
        assert!(late.iter().all(|kelvin| (kelvin - 10.0).abs() < 0.01), "{late:?}");
    }

    #[test]
    fn a_setpoint_out_of_range_is_refused_and_changes_nothing() {
        let mut thermometer = Thermometer::new(1);
        for kelvin in [-1.0, 0.0, 41.0, f64::NAN, f64::INFINITY] {
            assert!(thermometer.set_setpoint(kelvin).is_err(), "{kelvin}");
        }
        assert_eq!(thermometer, Thermometer::new(1));
    }
}
