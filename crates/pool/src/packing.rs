//! Placing jobs on machines: first fit, the largest jobs first. PURE.
//!
//! Machines that are alike are one [`Class`] with a count, so that the work depends on how many shapes there are, not
//! on how many jobs and nodes.

use crate::model::Resources;

/// A set of worker types; bit n is the n-th of the configuration.
pub type Types = u64;

/// What a machine is, in the order in which jobs are placed on them: so the ones that could be removed stay empty as
/// long as possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Has a job already, or is not ours.
    Working,
    /// Ours, joined, without a job.
    Idle,
    /// Ours, on its way.
    Coming,
    /// About to be requested.
    New,
}

/// Machines that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// What each has free.
    pub free: Resources,
    /// Which types' jobs they take.
    pub types: Types,
    /// What they are.
    pub kind: Kind,
    /// Names the class among those of its kind; stays with the parts when a class is split.
    pub label: usize,
    /// Whether nothing was placed on them.
    pub untouched: bool,
    /// How many.
    pub count: u64,
}

/// Jobs that ask for the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What each asks for.
    pub request: Resources,
    /// Which types can run them.
    pub types: Types,
    /// How many.
    pub jobs: u64,
}

/// Groups beyond this number are joined with their neighbours (their memory is rounded up), which bounds the work.
pub const MAX_GROUPS: usize = 2_000;

/// The largest first: GPUs, then cores, then memory, then disk.
pub fn sort_groups(groups: &mut Vec<Group>) {
    let key = |group: &Group| {
        let request = group.request;
        (request.gpus, request.cores, request.memory_mib, request.disk_mib, group.types)
    };
    groups.sort_unstable_by_key(|group| std::cmp::Reverse(key(group)));
    groups.dedup_by(|next, kept| {
        let is_same = next.request == kept.request && next.types == kept.types;
        if is_same {
            kept.jobs += next.jobs;
        }
        is_same
    });
    groups.retain(|group| group.jobs > 0);
}

/// Joins groups until there are at most [`MAX_GROUPS`]: memory and disk are rounded up to ever coarser steps, as far as
/// the largest machine (`largest`) still takes them.
pub fn coarsen(groups: &mut Vec<Group>, largest: &Resources) {
    let mut step_mib = 64;
    while groups.len() > MAX_GROUPS && step_mib < 1 << 40 {
        for group in groups.iter_mut() {
            let up = |value: u64, limit: u64| {
                value.div_ceil(step_mib).saturating_mul(step_mib).min(limit.max(value))
            };
            group.request.memory_mib = up(group.request.memory_mib, largest.memory_mib);
            group.request.disk_mib = up(group.request.disk_mib, largest.disk_mib);
        }
        sort_groups(groups);
        step_mib *= 4;
    }
}

/// Machines and what was placed on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packing {
    classes: Vec<Class>,
}

impl Packing {
    /// Of these machines; those that are alike are put together.
    #[must_use]
    pub fn new(mut classes: Vec<Class>) -> Self {
        let key = |class: &Class| (class.kind, class.free, class.types, class.label, class.untouched);
        classes.sort_unstable_by_key(key);
        classes.dedup_by(|next, kept| {
            let is_same = key(next) == key(kept);
            if is_same {
                kept.count += next.count;
            }
            is_same
        });
        Self { classes }
    }

    /// Places as many of a group's jobs as there is room for; returns how many found none.
    pub fn place(&mut self, group: &Group) -> u64 {
        self.place_up_to(group, Kind::New)
    }

    /// The same, on machines of this kind and of those before it.
    pub fn place_up_to(&mut self, group: &Group, kind: Kind) -> u64 {
        let mut left = group.jobs;
        let mut index = 0;
        while left > 0 && index < self.classes.len() {
            let class = &self.classes[index];
            if class.kind > kind {
                break;
            }
            let is_room = class.types & group.types != 0 && group.request.fits(&class.free);
            if !is_room {
                index += 1;
                continue;
            }
            let each = group.request.times_in(&class.free, left);
            let full = (left / each).min(class.count);
            let rest = left - full * each;
            let mut parts = Vec::with_capacity(2);
            parts.push(touched(class, &group.request, each, full));
            let partial = u64::from(rest > 0 && full < class.count);
            if partial > 0 {
                parts.push(touched(class, &group.request, rest, 1));
                left = 0;
            } else {
                left = rest;
            }
            self.classes[index].count -= full + partial;
            let at = if self.classes[index].count == 0 {
                self.classes.remove(index);
                index
            } else {
                index + 1
            };
            parts.retain(|part| part.count > 0 && part.free.cores > 0);
            index = at + parts.len();
            self.classes.splice(at..at, parts);
        }
        left
    }

    /// Adds one machine.
    pub fn add(&mut self, class: Class) {
        self.classes.push(class);
    }

    /// How many machines of this kind and label had nothing placed on them.
    #[must_use]
    pub fn untouched(&self, kind: Kind, label: usize) -> u64 {
        let alike = |class: &&Class| class.kind == kind && class.label == label && class.untouched;
        self.classes.iter().filter(alike).map(|class| class.count).sum()
    }

    /// How many of our machines had nothing placed on them.
    #[must_use]
    pub fn untouched_of_kinds(&self, kinds: &[Kind]) -> u64 {
        let alike = |class: &&Class| kinds.contains(&class.kind) && class.untouched;
        self.classes.iter().filter(alike).map(|class| class.count).sum()
    }
}

fn touched(class: &Class, request: &Resources, jobs: u64, count: u64) -> Class {
    Class { free: class.free.minus(&request.times(jobs)), untouched: false, count, ..class.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn class(cores: u32, memory: u64, count: u64, kind: Kind) -> Class {
        Class { free: Resources::new(cores, memory), types: 1, kind, label: 0, untouched: true, count }
    }

    fn group(cores: u32, memory: u64, jobs: u64) -> Group {
        Group { request: Resources::new(cores, memory), types: 1, jobs }
    }

    #[test]
    fn working_machines_are_filled_before_idle_ones_and_those_before_what_is_coming() {
        let mut packing = Packing::new(vec![
            class(4, 8000, 2, Kind::Coming),
            class(4, 8000, 2, Kind::Idle),
            Class { untouched: false, ..class(2, 8000, 1, Kind::Working) },
        ]);
        assert_eq!(packing.place(&group(1, 1000, 7)), 0);
        assert_eq!(packing.untouched(Kind::Idle, 0), 0);
        assert_eq!(packing.untouched(Kind::Coming, 0), 2);
        assert_eq!(packing.place(&group(4, 1000, 3)), 1);
    }

    #[test]
    fn memory_counts_as_much_as_cores_and_other_types_do_not_count() {
        let mut packing = Packing::new(vec![class(8, 8000, 1, Kind::Idle)]);
        assert_eq!(packing.place(&group(1, 4000, 5)), 3);
        let mut packing = Packing::new(vec![class(8, 8000, 1, Kind::Idle)]);
        let other = Group { types: 2, ..group(1, 1, 1) };
        assert_eq!(packing.place(&other), 1);
    }

    proptest! {
        /// Never more is placed than there is room for, and none is refused while one machine has room for it.
        #[test]
        fn room_is_neither_invented_nor_forgotten(
            machines in prop::collection::vec((1_u32..9, 1_u64..9, 1_u64..4), 0..6),
            jobs in prop::collection::vec((1_u32..5, 1_u64..5, 0_u64..20), 0..6),
        ) {
            let classes = machines.iter().map(|(c, m, n)| class(*c, *m, *n, Kind::Idle)).collect();
            let cores: u64 = machines.iter().map(|(c, _, n)| u64::from(*c) * n).sum();
            let mut packing = Packing::new(classes);
            let mut groups: Vec<Group> = jobs.iter().map(|(c, m, n)| group(*c, *m, *n)).collect();
            sort_groups(&mut groups);
            let mut placed = 0;
            for group in &groups {
                let left = packing.place(group);
                placed += (group.jobs - left) * u64::from(group.request.cores);
                let roomy = packing.classes.iter().any(|class| group.request.fits(&class.free));
                prop_assert!(left == 0 || !roomy);
            }
            let free: u64 = packing.classes.iter().map(|class| u64::from(class.free.cores) * class.count).sum();
            prop_assert!(placed + free <= cores);
        }

        #[test]
        fn joining_groups_loses_no_job_and_asks_for_no_less(
            jobs in prop::collection::vec((1_u32..5, 1_u64..100_000), 0..50),
        ) {
            let mut groups: Vec<Group> = jobs.iter().map(|(c, m)| group(*c, *m, 1)).collect();
            let before: u64 = groups.iter().map(|group| group.request.memory_mib * group.jobs).sum();
            coarsen(&mut groups, &Resources::new(8, 100_000));
            prop_assert_eq!(groups.iter().map(|group| group.jobs).sum::<u64>(), jobs.len() as u64);
            let after: u64 = groups.iter().map(|group| group.request.memory_mib * group.jobs).sum();
            prop_assert!(after >= before);
        }
    }
}
