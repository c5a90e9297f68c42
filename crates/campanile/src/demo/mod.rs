//! The demo: a small site on one machine, its story told as it happens.
//!
//! * [`script`] — what is done to the site for the sake of the show, and when (pure);
//! * [`events`] — what happened between two looks at the site, in words (pure);
//! * [`view`] — the picture on the terminal, or lines on a pipe (pure);
//! * [`place`] — the directory with the site config, logs, state and commands of this demo;
//! * [`stage`] — the router and the managers, as processes of this program;
//! * [`cluster`] — a simulated LDMS cluster, and what its manager says of it;
//! * [`pool`] — a small pool, its jobs and its workers;
//! * [`show`] — the loop that looks, tells and acts.

pub(crate) mod cluster;
pub(crate) mod events;
pub(crate) mod place;
pub(crate) mod pool;
pub(crate) mod script;
pub(crate) mod show;
pub(crate) mod stage;
pub(crate) mod view;
