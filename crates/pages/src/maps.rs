//! The list of a process's mappings (proc_pid_smaps(5)). Pure.

/// A mapping of a program file that this process has never changed, and cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Untouched {
    /// Where it begins.
    pub(crate) begin: usize,
    /// Its length in bytes.
    pub(crate) length: usize,
}

/// All of them. A mapping whose lines cannot be read is left out.
///
/// Data that the loader has relocated lies in mappings that cannot be written to either, by now; their pages are no
/// longer those of the file, which shows as `Anonymous`.
pub(crate) fn untouched(smaps: &str) -> Vec<Untouched> {
    let mut result = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        if let Some(mapping) = mapping(line) {
            candidate = mapping;
        } else if let Some(rest) = line.strip_prefix("Anonymous:")
            && let Some(range) = candidate.take()
            && rest.trim() == "0 kB"
        {
            result.push(range);
        }
    }
    result
}

/// Whether this is the first line of a mapping; and the mapping, if it is a private one of a file for reading.
fn mapping(line: &str) -> Option<Option<Untouched>> {
    let mut fields = line.split_ascii_whitespace();
    let (begin, end) = fields.next()?.split_once('-')?;
    let [begin, end] = [begin, end].map(|hex| usize::from_str_radix(hex, 16).ok());
    let (begin, end) = (begin?, end?);
    let is_private = matches!(fields.next(), Some("r-xp" | "r--p"));
    let is_file = fields.nth(2).is_some_and(|inode| inode != "0");
    let range = Untouched { begin, length: end.saturating_sub(begin) };
    Some((is_private && is_file && range.length > 0).then_some(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55bb8b60a000-55bb8b9fd000 r--p 00000000 fe:00 4851                       /usr/bin/campanile
Size:               4044 kB
Rss:                 704 kB
Anonymous:             0 kB
VmFlags: rd mr mw me sd
55bb8b9fd000-55bb8c7d3000 r-xp 003f3000 fe:00 4851                       /usr/bin/campanile
Rss:                3624 kB
Anonymous:             0 kB
55bb8c7d3000-55bb8c82a000 r--p 011c9000 fe:00 4851                       /usr/bin/campanile
Rss:                 348 kB
Anonymous:           348 kB
55bb8c82a000-55bb8c833000 rw-p 01220000 fe:00 4851                       /usr/bin/campanile
Anonymous:             0 kB
55bbca3f5000-55bbca69e000 rw-p 00000000 00:00 0                          [heap]
Anonymous:          2708 kB
7f0000000000-7f0000001000 r--s 00000000 fe:00 99                         /var/lib/x/journal.db-shm
Anonymous:             0 kB
7ffc0d7f6000-7ffc0d7fa000 r--p 00000000 00:00 0                          [vvar]
Anonymous:             0 kB
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
Anonymous:             0 kB
";

    #[test]
    fn only_unchanged_private_mappings_of_files_are_taken() {
        let text = Untouched { begin: 0x55bb_8b9f_d000, length: 0xdd_6000 };
        let constants = Untouched { begin: 0x55bb_8b60_a000, length: 0x3f_3000 };
        assert_eq!(untouched(SMAPS), [constants, text]);
        assert!(untouched("").is_empty());
        assert!(untouched("Anonymous: 0 kB\nzz-yy r-xp 0 0 1 x\nAnonymous: 0 kB\n").is_empty());
    }
}
