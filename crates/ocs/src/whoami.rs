//! Who runs this program, for those who want to know who asked them for something.

use std::fs;

use crate::agent::host_name;

/// What a client of ours says it is: `campanile/0.1.0 (alice on lab-7)`. Nobody checks it; it is for people who look
/// for each other, not a proof.
pub(crate) fn user_agent() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let user = user_name(uid).unwrap_or_else(|| format!("uid {uid}"));
    // It becomes an HTTP header, too.
    let plain = |text: String| text.replace(|c: char| !c.is_ascii_graphic() && c != ' ', "?");
    format!("campanile/{} ({} on {})", env!("CARGO_PKG_VERSION"), plain(user), plain(host_name()))
}

/// The name of a user in /etc/passwd; users from elsewhere have their number only.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let mut entries = passwd.lines().map(|line| line.split(':'));
    entries.find_map(|mut fields| {
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_everywhere_and_the_header_is_plain() {
        assert_eq!(user_name(0).as_deref(), Some("root"));
        assert_eq!(user_name(4_000_000_000), None);
        let agent = user_agent();
        assert!(agent.starts_with("campanile/") && agent.contains(" on "), "{agent}");
        assert!(agent.chars().all(|c| c.is_ascii_graphic() || c == ' '));
    }
}
