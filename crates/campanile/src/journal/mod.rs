//! The journals of a site's managers, asked from wherever this runs.
//!
//! * [`ask`] — questions to managers: over the bus, by the control socket of this machine, or to the files they left;
//! * [`follow`] — events as they happen;
//! * [`show`] — events as lines (pure);
//! * [`why`] — an instance explained in plain words (pure).

pub(crate) mod ask;
pub(crate) mod follow;
pub(crate) mod show;
pub(crate) mod why;
