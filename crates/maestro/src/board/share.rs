//! To which of several managers a daemon falls. Pure.

use std::collections::BTreeSet;

use campanile_control::state_dir::fnv1a;

/// To which of the members a daemon falls: as evenly as a hash does, and when a member goes only its daemons move.
#[must_use]
pub fn share<'m>(members: &'m BTreeSet<String>, daemon: &str) -> Option<&'m String> {
    members.iter().max_by_key(|member| mixed(fnv1a(format!("{member}\u{0}{daemon}").as_bytes())))
}

/// The upper bits of FNV-1a hardly depend on the last bytes, and the largest value is decided by them: the finalizer of
/// MurmurHash3 spreads every bit over all.
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn when_a_member_goes_only_its_daemons_move() {
        let three: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
        let two: BTreeSet<String> = ["a", "c"].map(str::to_owned).into();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for at in 0..3_000 {
            let daemon = format!("sampler-{at}");
            let (before, after) = (share(&three, &daemon).unwrap(), share(&two, &daemon).unwrap());
            assert!(before == "b" || before == after);
            *counts.entry(before).or_default() += 1;
        }
        assert!(counts.values().all(|count| (700..1_300).contains(count)), "{counts:?}");
    }
}
