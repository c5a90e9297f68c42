//! A cooled camera.

use std::time::{Duration, Instant};

use campanile_ocs::agent::{FeedSpec, ParamSpec, TaskSpec, unix_now_s};
use campanile_wamp::{Dict, Value};
use serde_json::json;

use super::bench::{Acquisition, Bench, Fields, Shared, field, noise, number, number_of};
use super::{Noise, relax};

/// The room the camera stands in, in degrees Celsius.
const ROOM_C: f64 = 18.0;
/// As cold as the cooler gets it, in degrees Celsius.
const COLDEST_C: f64 = -40.0;
/// The longest exposure, in seconds.
pub(crate) const EXPOSURE_MAX_S: f64 = 600.0;
/// Counts per second and pixel, of the sky and of the dark current at room temperature.
const SKY_COUNTS_S: f64 = 12.0;
const DARK_COUNTS_S: f64 = 40.0;

/// One finished exposure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) number: u64,
    pub(crate) exposure_s: f64,
    pub(crate) mean_counts: f64,
}

/// The camera.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Camera {
    goal_c: f64,
    sensor_c: f64,
    frames: u64,
}

impl Camera {
    /// Warm, with no frame taken.
    pub(crate) fn new() -> Self {
        Self { goal_c: -10.0, sensor_c: ROOM_C, frames: 0 }
    }

    /// Lets the cooler regulate to `celsius`; the reason when that is out of its range.
    pub(crate) fn set_temperature(&mut self, celsius: f64) -> Result<(), String> {
        if !(COLDEST_C..=ROOM_C).contains(&celsius) {
            return Err(format!("temperature {celsius} C is outside {COLDEST_C}..{ROOM_C} C"));
        }
        self.goal_c = celsius;
        Ok(())
    }

    /// Degrees Celsius the cooler regulates to.
    pub(crate) fn goal(&self) -> f64 {
        self.goal_c
    }

    /// Frames taken so far.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// Lets `dt_s` pass and reads the sensor's temperature, in degrees Celsius.
    pub(crate) fn read(&mut self, dt_s: f64, noise: Noise<'_>) -> f64 {
        self.sensor_c = relax(self.sensor_c, self.goal_c, dt_s, 15.0);
        self.sensor_c + 0.02 * noise()
    }

    /// Is this an exposure time that the camera accepts? The reason when not.
    pub(crate) fn check_exposure(exposure_s: f64) -> Result<(), String> {
        if exposure_s > 0.0 && exposure_s <= EXPOSURE_MAX_S {
            Ok(())
        } else {
            Err(format!("exposure of {exposure_s} s is outside 0..{EXPOSURE_MAX_S} s"))
        }
    }

    /// Reads out the frame at the end of an exposure.
    pub(crate) fn read_out(&mut self, exposure_s: f64, noise: Noise<'_>) -> Frame {
        self.frames += 1;
        // The dark current doubles every 6 degrees.
        let dark = DARK_COUNTS_S * 2f64.powf((self.sensor_c - ROOM_C) / 6.0);
        let mean_counts = 100.0 + exposure_s * (SKY_COUNTS_S + dark) + noise();
        Frame { number: self.frames, exposure_s, mean_counts }
    }
}

/// So often an exposure says how far it is.
const PROGRESS_EVERY_S: f64 = 0.5;

fn fields(camera: &mut Camera, dt_s: f64) -> Fields {
    let sensor_c = camera.read(dt_s, &mut noise);
    vec![field("sensor_c", sensor_c), field("goal_c", camera.goal()), field("frames", camera.frames() as i64)]
}

/// The agent: acquires the sensor's temperature, cools, and takes exposures.
pub(crate) fn agent(mut bench: Bench, rate_hz: f64, at_start: bool) -> Bench {
    let camera = Shared::new(Camera::new());
    bench = bench.acq(&camera, Acquisition { feed: "camera", rate_hz, at_start }, fields);
    let cool = TaskSpec::new("set_temperature")
        .doc("set_temperature(temperature)\n\n**Task** - Let the cooler regulate to a temperature in degrees Celsius.")
        .params(ParamSpec::of([number("temperature")]));
    let expose = TaskSpec::new("expose")
        .doc("expose(exposure=1.0)\n\n**Task** - Take one frame; the exposure is in seconds.")
        .params(ParamSpec::of([number("exposure").default(1.0)]))
        .abortable();
    let exposed = camera.clone();
    bench.builder = bench
        .builder
        .feed(FeedSpec::record("frames"))
        .task(cool, move |_, params| {
            let camera = camera.clone();
            async move {
                let celsius = number_of(&params, "temperature")?;
                camera.lock().set_temperature(celsius)?;
                Ok(format!("Cooling to {celsius} C."))
            }
        })
        .task(expose, move |context, params| {
            let camera = exposed.clone();
            async move {
                let exposure_s = number_of(&params, "exposure")?;
                Camera::check_exposure(exposure_s)?;
                let (begin, mut done_s) = (Instant::now(), 0.0);
                while done_s < exposure_s {
                    context.set_data(json!({ "exposure_s": exposure_s, "done_s": done_s }));
                    let step_s = PROGRESS_EVERY_S.min(exposure_s - done_s);
                    if !context.sleep(Duration::from_secs_f64(step_s)).await {
                        let after_s = begin.elapsed().as_secs_f64();
                        return Err(format!("Aborted after {after_s:.1} s; the frame is lost."));
                    }
                    done_s += step_s;
                }
                let frame = camera.lock().read_out(exposure_s, &mut noise);
                context.set_data(json!({
                    "exposure_s": exposure_s, "done_s": exposure_s, "number": frame.number,
                    "mean_counts": frame.mean_counts,
                }));
                let data = Dict::new()
                    .with("number", frame.number as i64)
                    .with("exposure_s", frame.exposure_s)
                    .with("mean_counts", frame.mean_counts);
                let message = Dict::new()
                    .with("block_name", "frames")
                    .with("timestamp", unix_now_s())
                    .with("data", data);
                // Without a router nobody listens; the frame is taken all the same.
                let _ = context.agent().publish("frames", Value::Dict(message));
                Ok(format!("Frame {} taken, {:.0} counts.", frame.number, frame.mean_counts))
            }
        });
    bench
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colder_sensor_has_less_dark_current() {
        let mut camera = Camera::new();
        let warm = camera.read_out(10.0, &mut || 0.0);
        camera.set_temperature(-30.0).unwrap();
        assert!((camera.read(600.0, &mut || 0.0) - -30.0).abs() < 0.1);
        let cold = camera.read_out(10.0, &mut || 0.0);
        assert!(cold.mean_counts < warm.mean_counts, "{cold:?} {warm:?}");
        assert_eq!((warm.number, cold.number, camera.frames()), (1, 2, 2));
    }

    #[test]
    fn exposures_and_temperatures_out_of_range_are_refused() {
        for seconds in [0.0, -1.0, 601.0, f64::NAN] {
            assert!(Camera::check_exposure(seconds).is_err(), "{seconds}");
        }
        assert!(Camera::check_exposure(600.0).is_ok());
        for celsius in [-41.0, 19.0, f64::NAN] {
            assert!(Camera::new().set_temperature(celsius).is_err(), "{celsius}");
        }
    }
}
