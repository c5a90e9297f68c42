//! The router without I/O: broker, dealer, and who may do what.
