//! Values as a shell and as systemd read them (pure).

/// Characters that mean themselves to every shell.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./:,=@%+".contains(c)
}

/// One word for a shell: as it is where that is safe, else in single quotes.
pub(crate) fn shell(word: &str) -> String {
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A text in a unit file, where `%` begins a specifier (systemd.unit(5)) and lines must not be broken.
pub(crate) fn unit_text(text: &str) -> String {
    text.replace('%', "%%").replace(['\n', '\r'], " ")
}

/// The program of an `ExecStart=` (systemd.service(5)): quoted where it holds blanks or quotes, `$` doubled.
pub(crate) fn unit_program(path: &str) -> String {
    let text = unit_text(path).replace('$', "$$");
    if text.contains([' ', '\t', '"', '\'', '\\', ';']) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shell_would_change_is_quoted() {
        assert_eq!(shell("/home/ocs/site-config/default.yaml"), "/home/ocs/site-config/default.yaml");
        assert_eq!(shell("a,b=c:d@e%f+g"), "a,b=c:d@e%f+g");
        assert_eq!(shell("my lab/$x"), "'my lab/$x'");
        assert_eq!(shell("it's"), r"'it'\''s'");
        assert_eq!(shell(""), "''");
        assert_eq!(shell("~/x"), "'~/x'");
    }

    #[test]
    fn a_unit_file_keeps_paths_with_blanks_and_signs() {
        assert_eq!(unit_program("/home/ocs/launcher.sh"), "/home/ocs/launcher.sh");
        assert_eq!(unit_program("/home/my lab/50%.sh"), "\"/home/my lab/50%%.sh\"");
        assert_eq!(unit_program("/a\"b"), "\"/a\\\"b\"");
        assert_eq!(unit_text("host-1\nExecStart=x"), "host-1 ExecStart=x");
    }
}
