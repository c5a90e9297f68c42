//! Commands as people write them (`prdcr_add name=p1 host=node-1 …`), as `ldmsd_controller`, `ldmsctl` and
//! configuration files take them, and their way to and from requests.

use std::fmt::Write as _;

use crate::api::Request;
use crate::wire::ids::{AttrId, RequestId};
use crate::wire::record::Attribute;

/// Why a line is not a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such command.
    #[error("unknown command '{verb}'{}", suggest(.suggestion))]
    UnknownVerb {
        /// What was written.
        verb: String,
        /// What may have been meant.
        suggestion: Option<&'static str>,
    },
    /// No such attribute.
    #[error("{verb}: unknown attribute '{word}'{}", suggest(.suggestion))]
    UnknownAttribute {
        /// The command.
        verb: &'static str,
        /// What was written.
        word: String,
        /// What may have been meant.
        suggestion: Option<&'static str>,
    },
    /// A quotation mark without its partner.
    #[error("a quotation mark is not closed")]
    OpenQuote,
    /// Something without a name before `=`.
    #[error("{verb}: '{word}' has no name before '='")]
    NoName {
        /// The command.
        verb: &'static str,
        /// What was written.
        word: String,
    },
}

fn suggest(suggestion: &Option<&'static str>) -> String {
    suggestion.map(|word| format!("; did you mean '{word}'?")).unwrap_or_default()
}

/// The request a line stands for; `None` for an empty line or a comment.
///
/// Words are separated by blanks; double quotes keep blanks in a value. Commands that pass options on to a plugin
/// (`config`, `auth_add`, `default_auth`, `env`, `option`) take any words; others only attributes that exist.
///
/// # Errors
/// When the line is not a command.
pub fn parse(line: &str) -> Result<Option<Request>, CommandError> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let id = RequestId::from_verb(word).ok_or_else(|| CommandError::UnknownVerb {
        verb: word.to_owned(),
        suggestion: nearest(word, RequestId::verbs()),
    })?;
    let verb = id.verb().unwrap_or_default();
    let mut request = Request::new(id);
    let mut loose: Vec<String> = Vec::new();
    for (name, value) in words(rest)? {
        if name.is_empty() {
            let word = format!("={}", value.unwrap_or_default());
            return Err(CommandError::NoName { verb, word });
        }
        match (own_attribute(id, &name), &value) {
            (Some(attribute), Some(value)) => request.attributes.push(Attribute::text(attribute, value)),
            (Some(attribute), None) => request.attributes.push(Attribute::keyword(attribute)),
            (None, _) if takes_options(id) => loose.push(match value {
                Some(value) => format!("{name}={value}"),
                None => name,
            }),
            (None, _) => {
                let suggestion = nearest(&name, AttrId::words());
                return Err(CommandError::UnknownAttribute { verb, word: name, suggestion });
            }
        }
    }
    if !loose.is_empty() {
        request.attributes.push(Attribute::text(AttrId::STRING, &loose.join(" ")));
    }
    match id {
        RequestId::BRIDGE_ADD => request.attributes.push(Attribute::text(AttrId::TYPE, "bridge")),
        RequestId::ADVERTISER_ADD | RequestId::ADVERTISER_START => {
            request.attributes.push(Attribute::text(AttrId::TYPE, "advertiser"));
        }
        _ => {}
    }
    Ok(Some(request))
}

/// The attribute a word of this command names, unless the word is an option to be passed on.
fn own_attribute(id: RequestId, word: &str) -> Option<AttrId> {
    match id {
        RequestId::PLUGN_CONFIG => (word == "name").then_some(AttrId::NAME),
        RequestId::AUTH_ADD => match word {
            "name" => Some(AttrId::NAME),
            "plugin" => Some(AttrId::PLUGIN),
            _ => None,
        },
        RequestId::DEFAULT_AUTH => (word == "plugin").then_some(AttrId::PLUGIN),
        RequestId::ENV | RequestId::OPTION => None,
        _ => AttrId::from_word(word),
    }
}

fn takes_options(id: RequestId) -> bool {
    matches!(
        id,
        RequestId::PLUGN_CONFIG
            | RequestId::AUTH_ADD
            | RequestId::DEFAULT_AUTH
            | RequestId::ENV
            | RequestId::OPTION
            | RequestId::LISTEN
            | RequestId::DAEMON_STATUS
    )
}

/// Names and values of the words of a line.
fn words(text: &str) -> Result<Vec<(String, Option<String>)>, CommandError> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        let (mut name, mut value, mut quoted) = (String::new(), None::<String>, false);
        while let Some(&c) = chars.peek() {
            if c.is_whitespace() && !quoted {
                break;
            }
            chars.next();
            match (c, &mut value) {
                ('"', Some(_)) => quoted = !quoted,
                ('=', None) => value = Some(String::new()),
                (c, Some(value)) => value.push(c),
                (c, None) => name.push(c),
            }
        }
        if quoted {
            return Err(CommandError::OpenQuote);
        }
        words.push((name, value));
    }
    Ok(words)
}

/// The known word that differs least from `word`, if it differs little.
fn nearest(word: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let close = |known: &'static str| (strsim::damerau_levenshtein(word, known), known);
    let (distance, best) = known.map(close).min()?;
    (distance <= 1 + word.len() / 5).then_some(best)
}

/// A request as the command that sends it, for logs and dry runs.
#[must_use]
pub fn render(request: &Request) -> String {
    let mut out = request.verb().to_owned();
    for attribute in &request.attributes {
        let word = attribute.id.word().unwrap_or("unknown");
        // Writing to a String cannot fail.
        let _ = match attribute.id {
            AttrId::STRING if takes_options(request.id) => write!(out, " {}", attribute.value()),
            _ if attribute.raw.is_empty() => write!(out, " {word}"),
            _ if attribute.value().contains(char::is_whitespace) => {
                write!(out, " {word}=\"{}\"", attribute.value())
            }
            _ => write!(out, " {word}={}", attribute.value()),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> (Option<&'static str>, Vec<(u32, String)>) {
        let request = parse(line).unwrap().unwrap();
        let attributes =
            request.attributes.iter().map(|attribute| (attribute.id.0, attribute.value().into_owned()));
        (request.id.verb(), attributes.collect())
    }

    #[test]
    fn commands_become_requests() {
        let words = |list: &[(u32, &str)]| {
            list.iter().map(|(id, text)| (*id, (*text).to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(
            parsed("prdcr_add name=p1 type=active xprt=sock host=n1 port=411 reconnect=2s auth=a"),
            (
                Some("prdcr_add"),
                words(&[(1, "p1"), (5, "active"), (8, "sock"), (9, "n1"), (10, "411"), (2, "2s"), (35, "a")])
            )
        );
        assert_eq!(
            parsed("config name=m1 producer=n1 instance=n1/m1 keyword component_id=${ID}"),
            (
                Some("config"),
                words(&[(1, "m1"), (16, "producer=n1 instance=n1/m1 keyword component_id=${ID}")])
            )
        );
        assert_eq!(
            parsed("auth_add name=a plugin=ovis conf=/etc/secret"),
            (Some("auth_add"), words(&[(1, "a"), (12, "ovis"), (16, "conf=/etc/secret")]))
        );
        assert_eq!(parsed("env A=1 B=2"), (Some("env"), words(&[(16, "A=1 B=2")])));
        assert_eq!(parsed("greeting test"), (Some("greeting"), words(&[(24, "")])));
        assert_eq!(
            parsed("advertiser_add name=a host=h").1.last(),
            Some(&(5, "advertiser".to_owned())),
            "the type is added"
        );
        assert_eq!(parsed("  exit\t"), (Some("daemon_exit"), vec![]));
        assert_eq!(
            parsed("updtr_add name=\"a b\" interval=1s"),
            (Some("updtr_add"), words(&[(1, "a b"), (2, "1s")]))
        );
        assert_eq!(
            parsed("updtr_match_add name=u regex=a=b"),
            (Some("updtr_match_add"), words(&[(1, "u"), (4, "a=b")]))
        );
        assert_eq!(parse(" # comment"), Ok(None));
        assert_eq!(parse("   "), Ok(None));
    }

    #[test]
    fn what_is_no_command_is_refused_with_a_suggestion() {
        let says = |line: &str| parse(line).unwrap_err().to_string();
        assert_eq!(says("prdcr_stat"), "unknown command 'prdcr_stat'; did you mean 'prdcr_start'?");
        assert_eq!(says("frobnicate"), "unknown command 'frobnicate'");
        assert_eq!(
            says("prdcr_add name=p recconnect=2s"),
            "prdcr_add: unknown attribute 'recconnect'; did you mean 'reconnect'?"
        );
        assert_eq!(says("prdcr_add name=\"p"), "a quotation mark is not closed");
        assert_eq!(says("prdcr_add =p"), "prdcr_add: '=p' has no name before '='");
    }

    #[test]
    fn requests_are_shown_as_the_commands_that_send_them() {
        for line in [
            "prdcr_add name=p1 type=active host=n1",
            "config name=m1 producer=n1 keyword",
            "greeting test",
            "updtr_add name=\"a b\" interval=1s",
            "daemon_status",
        ] {
            assert_eq!(render(&parse(line).unwrap().unwrap()), line);
        }
    }
}
