//! The fuzz targets (`fuzz/ldms/src/lib.rs`), on stable and bounded: bytes that a real ldmsd has sent, mutilated.
//! More rounds with `PROPTEST_CASES` (`make soak`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

#[path = "../../../fuzz/ldms/src/lib.rs"]
#[allow(unreachable_pub, reason = "a crate of its own for cargo fuzz")]
mod targets;

/// What there is to begin with: each piece of the recorded conversations, and texts.
fn seeds() -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/real");
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let mut seeds =
        vec![b"node-[001-128],login[1-2]".to_vec(), b"prdcr_add name=\"a b\" host=h port=1".to_vec()];
    let times = r#"{"all":{"histogram":{"n_warmup":10},"s1":{"s1/m":{"min":1.5,"max":2.5,"cnt":2,"skipped_cnt":0}},}}"#;
    seeds.push(times.into());
    for name in ["plain.txt", "rail.txt", "naive.txt", "collect.txt"] {
        let text = std::fs::read_to_string(dir.join(name)).unwrap();
        for line in text.lines().filter(|line| line.starts_with(['>', '<'])) {
            let bytes: Vec<u8> = line.as_bytes()[2..].chunks(2).map(byte).collect();
            // A frame, and what the frames of this kind carry, which begins after 24 bytes, and 20 later.
            seeds.extend([0, 24, 44].iter().filter_map(|at| bytes.get(*at..)).map(<[u8]>::to_vec));
        }
    }
    seeds
}

/// One thing done to some bytes.
#[derive(Debug, Clone)]
enum Mutation {
    Set(Index, u8),
    /// A length that is a lie.
    Number(Index, u32),
    Cut(Index),
    Repeat(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let number =
        prop_oneof![any::<u32>(), Just(0), Just(u32::MAX), Just(0x7fff_ffff), Just(0x10_0001), 0_u32..64];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (any::<Index>(), number).prop_map(|(at, number)| Mutation::Number(at, number)),
        any::<Index>().prop_map(Mutation::Cut),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

fn apply(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    match mutation {
        Mutation::Set(at, byte) => bytes[at.index(len)] = *byte,
        Mutation::Number(at, number) => {
            // Fields lie at multiples of four.
            let at = at.index(len) / 4 * 4;
            for (place, byte) in bytes[at..].iter_mut().zip(number.to_be_bytes()) {
                *place = byte;
            }
        }
        Mutation::Cut(at) => bytes.truncate(at.index(len)),
        Mutation::Repeat(from, to) => {
            let (from, to) = (from.index(len), to.index(len));
            let part = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.extend(part);
        }
    }
}

proptest! {
    #[test]
    fn mutilated_bytes_of_a_real_daemon_never_make_a_reader_panic(
        seed in any::<Index>(), mutations in prop::collection::vec(mutation(), 0..6)
    ) {
        thread_local! {
            static SEEDS: Vec<Vec<u8>> = seeds();
        }
        let mut bytes = SEEDS.with(|seeds| seed.get(seeds).clone());
        for mutation in &mutations {
            apply(&mut bytes, mutation);
        }
        for (_, target) in targets::TARGETS {
            target(&bytes);
        }
    }
}
