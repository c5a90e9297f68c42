//! How campanile's own commands show things; `ocsbow`'s tables are its own affair.

pub(crate) mod change;
pub(crate) mod duration;
pub(crate) mod json;
pub(crate) mod progress;
pub(crate) mod status;
pub(crate) mod summary;
pub(crate) mod table;
