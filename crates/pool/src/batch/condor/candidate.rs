//! The ad of a machine that does not exist yet, for HTCondor's own matchmaking (`condor_q -unmatchable -slotads`). Pure.

use std::fmt::Write as _;

use super::super::Candidate;

/// What the head says of itself, which its workers will say, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PoolFacts {
    pub(super) uid_domain: String,
    pub(super) filesystem_domain: String,
    pub(super) version: String,
}

/// The slot ad of a candidate, in the long form of ClassAds. Attributes of the configuration come last, so they win.
pub(super) fn slot_ad(candidate: &Candidate, facts: &PoolFacts) -> String {
    let have = &candidate.resources;
    let disk_kib = have.disk_mib.saturating_mul(1024);
    let mut ad = String::from(
        "MyType = \"Machine\"\nName = \"slot1@candidate\"\nMachine = \"candidate\"\nSlotID = 1\n\
         SlotType = \"Partitionable\"\nPartitionableSlot = true\nState = \"Unclaimed\"\nActivity = \"Idle\"\n\
         Arch = \"X86_64\"\nOpSys = \"LINUX\"\nHasFileTransfer = true\nHasJobDeferral = true\nHasPerFileEncryption = true\n\
         HasReconnect = true\nHasTDP = true\nStart = true\nRequirements = START\nRank = 0.0\nDraining = false\n",
    );
    let amounts = [
        ("Cpus", u64::from(have.cores)),
        ("Memory", have.memory_mib),
        ("Disk", disk_kib),
        ("GPUs", u64::from(have.gpus)),
    ];
    for (name, amount) in amounts {
        // A String takes any text.
        let _always_ok =
            writeln!(ad, "{name} = {amount}\nTotal{name} = {amount}\nTotalSlot{name} = {amount}");
    }
    for (name, value) in [
        ("UidDomain", &facts.uid_domain),
        ("FileSystemDomain", &facts.filesystem_domain),
        ("CondorVersion", &facts.version),
    ] {
        if !value.is_empty() {
            let _always_ok = writeln!(ad, "{name} = {}", quoted(value));
        }
    }
    let _always_ok = writeln!(ad, "ElasticType = {}", quoted(&candidate.worker_type));
    for (name, expression) in &candidate.attributes {
        // One attribute, one line: a line break would begin another one.
        let _always_ok = writeln!(ad, "{name} = {}", expression.replace(['\n', '\r'], " "));
    }
    ad
}

/// A string of the ClassAd language.
pub(super) fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .flat_map(|c| match c {
            '"' | '\\' => vec!['\\', c],
            '\n' | '\r' => vec![' '],
            other => vec![other],
        })
        .collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Resources;

    #[test]
    fn the_configuration_has_the_last_word() {
        let candidate = Candidate {
            worker_type: "gold".to_owned(),
            resources: Resources { cores: 4, memory_mib: 8192, disk_mib: 1024, gpus: 1 },
            attributes: vec![
                ("HasGoldCard".to_owned(), "true".to_owned()),
                ("Arch".to_owned(), "\"AARCH64\"".to_owned()),
            ],
        };
        let facts = PoolFacts { uid_domain: "site.local".to_owned(), ..PoolFacts::default() };
        let ad = slot_ad(&candidate, &facts);
        for line in [
            "Cpus = 4",
            "TotalSlotDisk = 1048576",
            "GPUs = 1",
            "UidDomain = \"site.local\"",
            "HasGoldCard = true",
        ] {
            assert!(ad.lines().any(|one| one == line), "{line} is not in\n{ad}");
        }
        assert!(ad.rfind("Arch = \"AARCH64\"") > ad.find("Arch = \"X86_64\""));
        assert_eq!(quoted("a\"b\\c"), "\"a\\\"b\\\\c\"");
    }
}
