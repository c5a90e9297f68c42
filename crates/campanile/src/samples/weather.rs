//! A weather station that decides whether the dome may open.

use std::f64::consts::TAU;

use campanile_ocs::agent::{ParamSpec, TaskSpec};

use super::bench::{Acquisition, Bench, Fields, Shared, field, noise, number, number_of};
use super::{Noise, relax};

/// One simulated day, short enough that somebody who watches sees it change, in seconds.
const DAY_S: f64 = 600.0;

/// One set of readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) air_c: f64,
    pub(crate) humidity_percent: f64,
    pub(crate) wind_m_s: f64,
    pub(crate) pressure_hpa: f64,
    /// Is everything within the limits?
    pub(crate) safe: bool,
}

/// The station and its limits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weather {
    time_s: f64,
    wind_m_s: f64,
    wind_limit_m_s: f64,
    humidity_limit_percent: f64,
}

impl Weather {
    /// A calm morning.
    pub(crate) fn new() -> Self {
        Self { time_s: 0.0, wind_m_s: 3.0, wind_limit_m_s: 15.0, humidity_limit_percent: 80.0 }
    }

    /// Sets what counts as safe; the reason when a limit makes no sense.
    pub(crate) fn set_limits(&mut self, wind_m_s: f64, humidity_percent: f64) -> Result<(), String> {
        if !(0.0..=40.0).contains(&wind_m_s) {
            return Err(format!("wind limit {wind_m_s} m/s is outside 0..40 m/s"));
        }
        if !(0.0..=100.0).contains(&humidity_percent) {
            return Err(format!("humidity limit {humidity_percent} % is outside 0..100 %"));
        }
        self.wind_limit_m_s = wind_m_s;
        self.humidity_limit_percent = humidity_percent;
        Ok(())
    }

    /// Wind in m/s and humidity in percent above which it is not safe.
    pub(crate) fn limits(&self) -> (f64, f64) {
        (self.wind_limit_m_s, self.humidity_limit_percent)
    }

    /// Lets `dt_s` pass and reads all sensors.
    pub(crate) fn read(&mut self, dt_s: f64, noise: Noise<'_>) -> Reading {
        self.time_s += dt_s;
        let phase = TAU * self.time_s / DAY_S;
        let gusts = 6.0 + 5.0 * phase.sin() + 6.0 * noise();
        self.wind_m_s = relax(self.wind_m_s, gusts.max(0.0), dt_s, 5.0);
        let air_c = 9.0 + 7.0 * phase.sin() + 0.1 * noise();
        let humidity_percent = (55.0 - 2.0 * (air_c - 9.0) + noise()).clamp(0.0, 100.0);
        Reading {
            air_c,
            humidity_percent,
            wind_m_s: self.wind_m_s,
            pressure_hpa: 550.0 + 1.5 * (phase / 3.0).cos() + 0.05 * noise(),
            safe: self.wind_m_s <= self.wind_limit_m_s && humidity_percent <= self.humidity_limit_percent,
        }
    }
}

fn fields(weather: &mut Weather, dt_s: f64) -> Fields {
    let reading = weather.read(dt_s, &mut noise);
    vec![
        field("air_c", reading.air_c),
        field("humidity_percent", reading.humidity_percent),
        field("wind_m_s", reading.wind_m_s),
        field("pressure_hpa", reading.pressure_hpa),
        field("safe", reading.safe),
    ]
}

/// The agent: acquires the weather, and takes limits.
pub(crate) fn agent(mut bench: Bench, rate_hz: f64, at_start: bool) -> Bench {
    let weather = Shared::new(Weather::new());
    bench = bench.acq(&weather, Acquisition { feed: "weather", rate_hz, at_start }, fields);
    let spec = TaskSpec::new("set_limits")
        .doc("set_limits(wind, humidity)\n\n**Task** - Set the wind (m/s) and the humidity (%) above which it is not safe.")
        .params(ParamSpec::of([number("wind"), number("humidity")]));
    bench.builder = bench.builder.task(spec, move |_, params| {
        let weather = weather.clone();
        async move {
            weather.lock().set_limits(number_of(&params, "wind")?, number_of(&params, "humidity")?)?;
            let (wind, humidity) = weather.lock().limits();
            Ok(format!("Safe up to {wind} m/s and {humidity} %."))
        }
    });
    bench
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_stay_physical_over_a_day_of_wild_noise() {
        let mut sign = 1.0;
        let mut noise = || {
            sign = -sign;
            sign
        };
        let mut weather = Weather::new();
        for _ in 0..700 {
            let reading = weather.read(1.0, &mut noise);
            assert!(reading.wind_m_s >= 0.0, "{reading:?}");
            assert!((0.0..=100.0).contains(&reading.humidity_percent), "{reading:?}");
            assert!((-5.0..25.0).contains(&reading.air_c), "{reading:?}");
        }
    }

    #[test]
    fn a_lower_limit_makes_the_same_weather_unsafe() {
        let mut weather = Weather::new();
        assert!(weather.clone().read(1.0, &mut || 0.0).safe);
        weather.set_limits(1.0, 80.0).unwrap();
        assert!(!weather.read(1.0, &mut || 0.0).safe);
        assert!(weather.set_limits(f64::NAN, 80.0).is_err());
        assert!(weather.set_limits(10.0, 101.0).is_err());
        assert_eq!(weather.limits(), (1.0, 80.0));
    }
}
