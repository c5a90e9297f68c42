//! Names of nodes, and the time in them. PURE.

/// Longest name of a host (RFC 1035), which a node's name is on the worker.
const MAX_NAME_BYTES: usize = 63;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// Characters of the part that tells apart what is made in one second.
const LOT_DIGITS: usize = 5;

/// `<prefix>-<kind>-<YYYYMMDDTHHMMSS>-<lot>`, lower case, as EHOS has it, with a lot at its end: EHOS's own names
/// collide when two are made in one second. The time is in UTC.
#[must_use]
pub fn server_name(prefix: &str, kind: &str, now_ms: u64, lot: u64) -> String {
    let mut rest = lot;
    let mut digits = [b'0'; LOT_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(rest % 36).unwrap_or(0)];
        rest /= 36;
    }
    let tail = format!("-{kind}-{}-{}", compact_time(now_ms), String::from_utf8_lossy(&digits));
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let room = MAX_NAME_BYTES.saturating_sub(tail.len());
    let head: String = prefix.chars().map(safe).take(room).collect();
    format!("{head}{}", tail.to_ascii_lowercase())
}

/// `20201224T183000`.
fn compact_time(now_ms: u64) -> String {
    let (year, month, day) = civil(now_ms / 86_400_000);
    let second = now_ms / 1000 % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}")
}

/// `2020-12-24T18:30:00Z`.
#[must_use]
pub fn iso_time(now_ms: u64) -> String {
    let (year, month, day) = civil(now_ms / 86_400_000);
    let second = now_ms / 1000 % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a number of days since the epoch (proleptic Gregorian; H. Hinnant's `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_ehos_and_two_of_one_second_differ() {
        let at_ms = 1_608_834_600_000;
        assert_eq!(server_name("My_Site", "execute", at_ms, 0), "my-site-execute-20201224t183000-00000");
        assert_ne!(server_name("s", "execute", at_ms, 1), server_name("s", "execute", at_ms, 2));
        let long = server_name(&"x".repeat(80), "execute", at_ms, 35);
        assert_eq!((long.len(), long.ends_with("-0000z")), (63, true));
        assert_eq!(iso_time(951_782_400_000), "2000-02-29T00:00:00Z");
    }
}
