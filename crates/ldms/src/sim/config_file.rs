//! Configuration files of ldmsd (version 4): a command a line, carried out in the order ldmsd has for them.

use crate::api::Request;
use crate::command;
use crate::wire::ids::RequestId;

/// A line that is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ConfigLineError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// The requests of a file in the order ldmsd carries them out: environment, log, options, authentication and ports
/// come first, starts of producers, updaters and storage policies last, everything else in between as written.
///
/// A backslash at the end of a line continues it.
///
/// # Errors
/// All lines that are no command, at once.
pub fn read(text: &str) -> Result<Vec<Request>, Vec<ConfigLineError>> {
    let mut stages: [Vec<Request>; 3] = Default::default();
    let mut errors = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let mut whole = first.to_owned();
        while let Some(begun) = whole.strip_suffix('\\') {
            let more = lines.next().map_or("", |(_, line)| line);
            whole = format!("{begun} {more}");
        }
        match command::parse(&whole) {
            Ok(None) => {}
            Ok(Some(request)) => stages[stage(request.id)].push(request),
            Err(error) => errors.push(ConfigLineError { line: index + 1, problem: error.to_string() }),
        }
    }
    if errors.is_empty() { Ok(stages.into_iter().flatten().collect()) } else { Err(errors) }
}

fn stage(id: RequestId) -> usize {
    match id {
        RequestId::ENV
        | RequestId::LOG_LEVEL
        | RequestId::LOG_FILE
        | RequestId::OPTION
        | RequestId::MEMORY
        | RequestId::DAEMON_NAME
        | RequestId::DEFAULT_AUTH
        | RequestId::AUTH_ADD
        | RequestId::LISTEN => 0,
        RequestId::PRDCR_START
        | RequestId::PRDCR_START_REGEX
        | RequestId::UPDTR_START
        | RequestId::STRGP_START => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_first_and_starts_last() {
        let text = "prdcr_add name=p type=active \\\n  xprt=sock host=h port=1 reconnect=2s\nprdcr_start name=p\n\
                    # note\nlisten xprt=sock port=411\nupdtr_add name=u interval=1s\nauth_add name=a plugin=none\n";
        let verbs: Vec<&str> = read(text).unwrap().iter().map(Request::verb).collect();
        assert_eq!(verbs, ["listen", "auth_add", "prdcr_add", "updtr_add", "prdcr_start"]);
    }

    #[test]
    fn every_line_that_is_no_command_is_told() {
        let errors = read("frob\nload name=x\nprdcr_add nme=x\n").unwrap_err();
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "line 1: unknown command 'frob'",
                "line 3: prdcr_add: unknown attribute 'nme'; did you mean 'name'?"
            ]
        );
    }
}
