//! What is to be sent: lines that are checked, all of them, before the first leaves.

use campanile_ldms::api::Request;
use campanile_ldms::command;

/// One thing to ask.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// As it was written.
    pub(super) line: String,
    pub(super) ask: Ask,
}

/// What a daemon is asked for.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Request(Request),
    /// The metric sets; a message of the transport, no request of ldmsd.
    Directory,
}

/// The commands in `lines`, which bear the numbers they have in `origin`; or every line that is none.
pub(super) fn read(origin: &str, lines: &[(usize, String)]) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut wrong = Vec::new();
    for (number, line) in lines {
        let line = line.trim();
        if line == "dir" {
            steps.push(Step { line: line.to_owned(), ask: Ask::Directory });
            continue;
        }
        match command::parse(line) {
            Ok(None) => {}
            Ok(Some(request)) => steps.push(Step { line: line.to_owned(), ask: Ask::Request(request) }),
            Err(error) if lines.len() == 1 => wrong.push(error.to_string()),
            Err(error) => wrong.push(format!("{origin}:{number}: {error}")),
        }
    }
    if wrong.is_empty() {
        return Ok(steps);
    }
    let nothing = if lines.len() == 1 { "" } else { "\nnothing was sent" };
    Err(format!("{}{nothing}", wrong.join("\n")))
}

/// One command from the words of a command line; the shell has taken quotation marks off, so they are put back.
pub(super) fn from_words(words: &[String]) -> String {
    if let [whole] = words {
        return whole.clone();
    }
    let quoted = words.iter().map(|word| match word.split_once('=') {
        Some((name, value)) if value.contains(char::is_whitespace) && !value.contains('"') => {
            format!("{name}=\"{value}\"")
        }
        _ => word.clone(),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(text: &str) -> Vec<(usize, String)> {
        text.lines().enumerate().map(|(index, line)| (index + 1, line.to_owned())).collect()
    }

    #[test]
    fn every_line_that_is_no_command_is_told_with_its_number() {
        let error = read("FILE", &numbered("daemon_status\nprdcr_stat\n# note\n\nload nme=x\n")).unwrap_err();
        assert_eq!(
            error,
            "FILE:2: unknown command 'prdcr_stat'; did you mean 'prdcr_start'?\n\
             FILE:5: load: unknown attribute 'nme'; did you mean 'name'?\nnothing was sent"
        );
        let steps = read("FILE", &numbered("dir\n# note\nprdcr_status name=p\n")).unwrap();
        assert!(matches!(steps[0].ask, Ask::Directory));
        assert_eq!(steps[1].line, "prdcr_status name=p");
    }

    #[test]
    fn words_of_a_command_line_keep_their_blanks() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(from_words(&words(&["prdcr_add name=p"])), "prdcr_add name=p");
        assert_eq!(
            from_words(&words(&["updtr_add", "name=a b", "interval=1s"])),
            "updtr_add name=\"a b\" interval=1s"
        );
    }
}
