//! One bell tower from which every daemon on a scientific site is started, watched and kept in its place.
fn main() {}
