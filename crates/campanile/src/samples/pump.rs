//! A turbo pump on a vacuum vessel.

use std::time::Duration;

use campanile_ocs::agent::{ParamSpec, TaskSpec};

use super::bench::{Acquisition, Bench, Fields, Shared, field, noise, number, number_of};
use super::{Noise, relax, slew};

/// Full speed, in revolutions per second.
pub(crate) const SPEED_MAX_HZ: f64 = 1000.0;
/// How fast the rotor may change its speed, in Hz per second.
const RAMP_HZ_S: f64 = 50.0;
/// Above this speed the vent valve stays shut, or the rotor would touch, in Hz.
pub(crate) const VENT_BELOW_HZ: f64 = 100.0;
const ATMOSPHERE_MBAR: f64 = 1013.0;

/// One set of readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) speed_hz: f64,
    pub(crate) pressure_mbar: f64,
    pub(crate) current_a: f64,
}

/// The pump and its vessel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pump {
    goal_hz: f64,
    speed_hz: f64,
    /// Logarithm to base 10 of the pressure in mbar: vacuum is a matter of orders of magnitude.
    log_pressure: f64,
    venting: bool,
}

impl Pump {
    /// At rest, with air in the vessel.
    pub(crate) fn new() -> Self {
        Self { goal_hz: 0.0, speed_hz: 0.0, log_pressure: ATMOSPHERE_MBAR.log10(), venting: false }
    }

    /// Runs up or down to `hz`; the reason when it must not.
    pub(crate) fn set_speed(&mut self, hz: f64) -> Result<(), String> {
        if !(0.0..=SPEED_MAX_HZ).contains(&hz) {
            return Err(format!("speed {hz} Hz is outside 0..{SPEED_MAX_HZ} Hz"));
        }
        if self.venting && hz > 0.0 {
            return Err("the vent valve is open".to_owned());
        }
        self.goal_hz = hz;
        Ok(())
    }

    /// Opens the vent valve, or says why not.
    pub(crate) fn vent(&mut self) -> Result<(), String> {
        if self.speed_hz > VENT_BELOW_HZ {
            return Err(format!(
                "rotor at {:.0} Hz; below {VENT_BELOW_HZ} Hz the vessel may be vented",
                self.speed_hz
            ));
        }
        self.goal_hz = 0.0;
        self.venting = true;
        Ok(())
    }

    /// Shuts the vent valve.
    pub(crate) fn close_vent(&mut self) {
        self.venting = false;
    }

    /// Hz the rotor runs towards.
    pub(crate) fn goal(&self) -> f64 {
        self.goal_hz
    }

    /// Is the vent valve open?
    pub(crate) fn is_venting(&self) -> bool {
        self.venting
    }

    /// Is the vessel at the pressure of the room?
    pub(crate) fn is_vented(&self) -> bool {
        self.log_pressure > (0.98 * ATMOSPHERE_MBAR).log10()
    }

    /// Lets `dt_s` pass and reads the instrument.
    pub(crate) fn read(&mut self, dt_s: f64, noise: Noise<'_>) -> Reading {
        self.speed_hz = slew(self.speed_hz, self.goal_hz, RAMP_HZ_S * dt_s);
        let atmosphere = ATMOSPHERE_MBAR.log10();
        self.log_pressure = if self.venting {
            relax(self.log_pressure, atmosphere, dt_s, 3.0)
        } else {
            // From air at rest to 1e-7 mbar at full speed.
            let floor = atmosphere - (atmosphere + 7.0) * self.speed_hz / SPEED_MAX_HZ;
            // A standing pump holds its vacuum for a while.
            relax(self.log_pressure, floor, dt_s, if floor < self.log_pressure { 6.0 } else { 120.0 })
        };
        let accelerating = if self.goal_hz > self.speed_hz { 2.5 } else { 0.0 };
        Reading {
            speed_hz: (self.speed_hz + 0.2 * noise()).max(0.0),
            pressure_mbar: 10f64.powf(self.log_pressure + 0.01 * noise()),
            current_a: (0.1 + 0.6 * self.speed_hz / SPEED_MAX_HZ + accelerating + 0.02 * noise()).max(0.0),
        }
    }
}

fn fields(pump: &mut Pump, dt_s: f64) -> Fields {
    let reading = pump.read(dt_s, &mut noise);
    vec![
        field("speed_hz", reading.speed_hz),
        field("pressure_mbar", reading.pressure_mbar),
        field("current_a", reading.current_a),
        field("venting", pump.is_venting()),
    ]
}

/// The agent: acquires speed and pressure, runs the rotor up and down, and vents.
///
/// # Errors
/// When `speed_hz` is none that the pump can run at.
pub(crate) fn agent(mut bench: Bench, speed_hz: f64, rate_hz: f64, at_start: bool) -> Result<Bench, String> {
    let mut pump = Pump::new();
    pump.set_speed(speed_hz)?;
    let pump = Shared::new(pump);
    bench = bench.acq(&pump, Acquisition { feed: "pump", rate_hz, at_start }, fields);
    let set_speed = TaskSpec::new("set_speed")
        .doc("set_speed(speed)\n\n**Task** - Run the rotor up or down to a speed in Hz.")
        .params(ParamSpec::of([number("speed")]));
    let vent = TaskSpec::new("vent")
        .doc("vent()\n\n**Task** - Let air into the vessel; refused while the rotor is fast.")
        .abortable();
    let at_vent = pump.clone();
    bench.builder = bench
        .builder
        .task(set_speed, move |_, params| {
            let pump = pump.clone();
            async move {
                pump.lock().set_speed(number_of(&params, "speed")?)?;
                let goal = pump.lock().goal();
                Ok(format!("Running to {goal} Hz."))
            }
        })
        .task(vent, move |context, _| {
            let pump = at_vent.clone();
            async move {
                pump.lock().vent()?;
                context.message("Vent valve open.");
                let mut vented = true;
                while vented && !pump.lock().is_vented() {
                    vented = context.sleep(Duration::from_millis(200)).await;
                }
                pump.lock().close_vent();
                if vented {
                    Ok("Vessel vented.".to_owned())
                } else {
                    Err("Aborted; vent valve shut.".to_owned())
                }
            }
        });
    Ok(bench)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> f64 {
        0.0
    }

    #[test]
    fn at_full_speed_the_vessel_is_evacuated() {
        let mut pump = Pump::new();
        pump.set_speed(SPEED_MAX_HZ).unwrap();
        let reading = (0..120).map(|_| pump.read(1.0, &mut quiet)).last().unwrap();
        assert_eq!(reading.speed_hz, SPEED_MAX_HZ);
        assert!(reading.pressure_mbar < 1e-6, "{reading:?}");
    }

    #[test]
    fn a_fast_rotor_is_never_vented() {
        let mut pump = Pump::new();
        pump.set_speed(500.0).unwrap();
        for _ in 0..20 {
            pump.read(1.0, &mut quiet);
        }
        assert!(pump.vent().unwrap_err().contains("rotor at 500 Hz"));
        pump.set_speed(0.0).unwrap();
        for _ in 0..20 {
            pump.read(1.0, &mut quiet);
        }
        pump.vent().unwrap();
        assert!(pump.set_speed(100.0).is_err(), "not while the valve is open");
        for _ in 0..30 {
            pump.read(1.0, &mut quiet);
        }
        assert!(pump.is_vented());
        pump.close_vent();
        assert!(pump.set_speed(100.0).is_ok());
    }
}
