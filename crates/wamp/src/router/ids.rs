//! Ids of the global scope: sessions, subscriptions, registrations, publications (WAMP, "Identifiers").

/// Largest id the protocol allows: 2^53, what a double holds exactly.
const MAX_ID: u64 = 1 << 53;

/// A generator of random-looking ids, given its seed so that the core itself stays deterministic.
///
/// The ids tell sessions apart; nothing is secured by them, so a plain mixing function (SplitMix64) serves.
#[derive(Debug)]
pub(crate) struct Ids {
    state: u64,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next id, in 1..=2^53.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % MAX_ID) + 1
    }

    /// The next id for which `taken` is false.
    pub(crate) fn next_free(&mut self, taken: impl Fn(u64) -> bool) -> u64 {
        loop {
            let id = self.next();
            if !taken(id) {
                return id;
            }
        }
    }
}
