//! Dividing producers among the aggregators of a group, as the original does for files.

use indexmap::IndexMap;

use crate::config::model::AggregatorGroup;

/// Who collects what: for each aggregator of a group, in the order of the group, its producers.
#[derive(Debug)]
pub(crate) struct Split {
    blocks: Vec<Vec<Place>>,
}

/// A producer of the group: which entry of `peers`, which producer of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) peers: usize,
    pub(crate) producer: usize,
}

impl Split {
    /// Contiguous blocks of the numerically sorted producers, the first ones longer by one.
    pub(crate) fn of(group: &AggregatorGroup) -> Self {
        // A producer that is named twice counts once, with what is said of it last.
        let mut places: IndexMap<&str, Place> = IndexMap::new();
        for (peers, entry) in group.peers.iter().enumerate() {
            for (at, producer) in entry.producers.iter().enumerate() {
                places.insert(&producer.name, Place { peers, producer: at });
            }
        }
        let mut sorted: Vec<_> = places.into_iter().map(|(name, place)| (numeric_key(name), place)).collect();
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        let count = group.daemons.list.len().max(1);
        let (least, longer) = (sorted.len() / count, sorted.len() % count);
        let mut rest = sorted.into_iter().map(|(_, place)| place);
        let blocks =
            (0..count).map(|at| rest.by_ref().take(least + usize::from(at < longer)).collect()).collect();
        Self { blocks }
    }

    /// The producers of the aggregator at this position of its group.
    pub(crate) fn producers_of(&self, position: usize) -> &[Place] {
        self.blocks.get(position).map_or(&[], Vec::as_slice)
    }
}

/// What names are sorted by, so that n9 comes before n10: numbers and what is between them, in turn, beginning with
/// what is between.
fn numeric_key(name: &str) -> Vec<(&str, Option<(usize, &str)>)> {
    let mut key = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(text);
        let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        let (number, behind) = behind.split_at(digits);
        // A number of any length: first by how many digits it has without leading zeros, then by the digits.
        let value = number.trim_start_matches('0');
        key.push((word, (!number.is_empty()).then_some((value.len(), value))));
        rest = behind;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Names, Peers, Producer};

    fn group(aggregators: usize, producers: &[&str]) -> AggregatorGroup {
        let names = (0..aggregators).map(|at| format!("a{at}")).collect();
        let producers = producers.iter().map(|name| Producer {
            name: (*name).to_owned(),
            daemon: String::new(),
            peer_group: "g".into(),
        });
        let peers = Peers { producers: producers.collect(), ..Peers::default() };
        AggregatorGroup { daemons: Names::new("a", names), peers: vec![peers], ..AggregatorGroup::default() }
    }

    #[test]
    fn producers_are_divided_in_blocks_of_their_numeric_order() {
        for (aggregators, producers, expected) in [
            (3, "n1 n10 n2 n11 n9 m1 n3", "m1 n1 n2|n3 n9|n10 n11"),
            (3, "b a", "a|b|"),
            (1, "x2y 1a x10y x0 x 01b", "1a 01b x x0 x2y x10y"),
            (2, "", "|"),
            (2, "a a b", "a|b"),
        ] {
            let group = group(aggregators, &producers.split_whitespace().collect::<Vec<_>>());
            let split = Split::of(&group);
            let name = |place: &Place| group.peers[place.peers].producers[place.producer].name.as_str();
            let blocks = (0..aggregators)
                .map(|at| split.producers_of(at).iter().map(name).collect::<Vec<_>>().join(" "));
            assert_eq!(blocks.collect::<Vec<_>>().join("|"), expected);
        }
    }
}
