//! Sample agents: small simulated instruments that are real OCS agents.
//!
//! They make the demo live and give tests something to manage that needs no Python. Each instrument is a pure
//! simulation (its file holds the physics, such as it is) wrapped into an agent with an `acq` process, a few tasks and
//! a feed that a recorder can store.

pub(crate) mod bench;
pub(crate) mod camera;
pub(crate) mod flaky;
pub(crate) mod pump;
pub(crate) mod thermometer;
pub(crate) mod weather;

/// Where an instrument takes its noise from: each call gives a number in -1..1.
///
/// A function rather than a generator, so that simulations stay pure and a test can play a fixed sequence.
pub(crate) type Noise<'a> = &'a mut dyn FnMut() -> f64;

/// Moves `value` towards `goal` as a first-order system with time constant `tau_s` does in `dt_s`.
pub(crate) fn relax(value: f64, goal: f64, dt_s: f64, tau_s: f64) -> f64 {
    goal + (value - goal) * (-dt_s / tau_s).exp()
}

/// Moves `value` towards `goal` by at most `step`.
pub(crate) fn slew(value: f64, goal: f64, step: f64) -> f64 {
    value + (goal - value).clamp(-step, step)
}
