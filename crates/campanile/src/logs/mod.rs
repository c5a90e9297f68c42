//! What instances printed: found, read in pages, chosen by time, shown.
//!
//! * [`source`] — the HostManager's control socket, or the files that it left;
//! * [`since`] — the times that begin lines (pure);
//! * [`mod@print`] — lines of two streams in one terminal, as `tail` does it (pure).

pub(crate) mod print;
pub(crate) mod since;
pub(crate) mod source;
