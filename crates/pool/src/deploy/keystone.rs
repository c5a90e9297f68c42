//! Reading a keystone rc file (`openrc.sh`) without ever running it. PURE.
//!
//! What is understood is what such files consist of: `export NAME=value` and `NAME=value`, with every kind of quotes,
//! and values that use what was set before. What only a shell could do (a question to the user, the output of a
//! command) is told, with its line.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use campanile_yaml::{Diagnostic, Diagnostics, Source, Span};

/// What the file sets, and what it would ask for.
#[derive(Debug)]
pub struct Keystone {
    values: BTreeMap<String, String>,
    /// Variables that the file asks the user for, or has a command compute: why, and where.
    open: BTreeMap<String, (String, Span)>,
    source: Arc<Source>,
}

/// What a login needs; `OS_PASSWORD` may come from elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Keystone's URL.
    pub auth_url: String,
    /// The region.
    pub region_name: String,
    /// How one identifies oneself: keys as the configuration has them, and their values.
    pub login: Vec<(&'static str, String)>,
    /// Whether these are of an application credential, which stands under `pool.clouds`.
    pub is_application_credential: bool,
}

impl Keystone {
    /// Reads the text of the file.
    #[must_use]
    pub fn read(name: &Path, text: &str) -> Self {
        let source = Arc::new(Source::new(name, text));
        let mut keystone = Self { values: BTreeMap::new(), open: BTreeMap::new(), source };
        let mut rest = Reader { text, at: 0 };
        while rest.at < text.len() {
            keystone.line(&mut rest);
        }
        keystone
    }

    /// A value; an empty one counts as none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn line(&mut self, reader: &mut Reader<'_>) {
        reader.skip_blanks();
        let begin = reader.at;
        let mut word = reader.word();
        if word == "export" {
            reader.skip_blanks();
            word = reader.word();
        }
        if word == "read" {
            // read -sr OS_PASSWORD_INPUT
            let line = reader.rest_of_line();
            let span = self.span(begin, reader.at);
            for name in line.split_whitespace().filter(|word| is_name(word)) {
                self.open.insert(name.to_owned(), ("the file asks the user for it".to_owned(), span));
            }
        } else if is_name(word) && reader.take('=') {
            let value = reader.value(self);
            let span = self.span(begin, reader.at);
            match value {
                Ok(value) => {
                    self.values.insert(word.to_owned(), value);
                    self.open.remove(word);
                }
                Err(why) => {
                    self.values.remove(word);
                    self.open.insert(word.to_owned(), (why, span));
                }
            }
            // More assignments may follow on the same line.
            reader.skip_blanks();
            if reader.peek() == Some(';') {
                reader.at += 1;
                return;
            }
            if reader.peek().is_some_and(|c| c != '\n' && c != '#') {
                return;
            }
        }
        reader.rest_of_line();
        reader.take('\n');
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { start: self.source.position(start), end: self.source.position(end) }
    }

    /// The credentials, if nothing is missing. `password`: instead of `OS_PASSWORD`, which most files ask for.
    ///
    /// # Errors
    /// All that is missing, at once.
    pub fn credentials(&self, password: Option<&str>) -> Result<Credentials, Diagnostics> {
        let mut lacks = Diagnostics::new();
        let mut need = |names: &[&str], given: Option<&str>| -> String {
            if let Some(value) = given.or_else(|| names.iter().find_map(|name| self.get(name))) {
                return value.to_owned();
            }
            lacks.push(self.lacks(names));
            String::new()
        };
        let auth_url = need(&["OS_AUTH_URL"], None);
        let region_name = need(&["OS_REGION_NAME"], None);
        let is_application_credential = self.get("OS_APPLICATION_CREDENTIAL_ID").is_some()
            || self.get("OS_APPLICATION_CREDENTIAL_SECRET").is_some();
        let login = if is_application_credential {
            vec![
                ("application_credential_id", need(&["OS_APPLICATION_CREDENTIAL_ID"], None)),
                ("application_credential_secret", need(&["OS_APPLICATION_CREDENTIAL_SECRET"], None)),
            ]
        } else {
            // The domain with the id `default` is called `Default` everywhere.
            let by_id = |name: &str| self.get(name).filter(|id| *id == "default").map(|_| "Default");
            vec![
                ("project_name", need(&["OS_PROJECT_NAME", "OS_TENANT_NAME"], None)),
                ("username", need(&["OS_USERNAME"], None)),
                ("password", need(&["OS_PASSWORD"], password)),
                (
                    "user_domain_name",
                    need(&["OS_USER_DOMAIN_NAME", "OS_DEFAULT_DOMAIN"], by_id("OS_USER_DOMAIN_ID")),
                ),
                (
                    "project_domain_name",
                    need(&["OS_PROJECT_DOMAIN_NAME", "OS_DEFAULT_DOMAIN"], by_id("OS_PROJECT_DOMAIN_ID")),
                ),
            ]
        };
        if lacks.is_empty() {
            Ok(Credentials { auth_url, region_name, login, is_application_credential })
        } else {
            Err(lacks)
        }
    }

    fn lacks(&self, names: &[&str]) -> Diagnostic {
        let name = names[0];
        match names.iter().find_map(|name| self.open.get(*name)) {
            Some((why, span)) => {
                let hint = if name == "OS_PASSWORD" {
                    "the file is not run; give the password in a file of its own: --password-file FILE"
                } else {
                    "the file is not run; write the value into it"
                };
                let problem = Diagnostic::error(format!("{name} has no value: {why}"));
                problem.in_source(&self.source).at(*span).hint(hint)
            }
            None => {
                let at = self.span(0, 0);
                let problem = Diagnostic::error(format!("{name} is not set in this file"));
                problem.in_source(&self.source).at(at).hint(format!("add a line `export {name}=…`"))
            }
        }
    }
}

fn is_name(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && word.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        if is_there {
            self.next();
        }
        is_there
    }

    fn skip_blanks(&mut self) {
        self.take_while(|c| c == ' ' || c == '\t' || c == '\r');
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn word(&mut self) -> &'t str {
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    fn rest_of_line(&mut self) -> &'t str {
        self.take_while(|c| c != '\n')
    }

    /// A value as the shell would read it.
    fn value(&mut self, known: &Keystone) -> Result<String, String> {
        let mut value = String::new();
        let mut problem = None;
        let mut in_double = false;
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    in_double = !in_double;
                    self.next();
                }
                '\'' if !in_double => {
                    self.next();
                    value.push_str(self.take_while(|c| c != '\''));
                    if !self.take('\'') {
                        return Err("its quote is never closed".to_owned());
                    }
                }
                '\\' => {
                    self.next();
                    match self.next() {
                        Some('\n') | None => {}
                        Some(next) if in_double && !matches!(next, '"' | '\\' | '$' | '`') => {
                            value.push('\\');
                            value.push(next);
                        }
                        Some(next) => value.push(next),
                    }
                }
                '`' => {
                    problem = Some("a command would compute it".to_owned());
                    self.next();
                }
                '$' => match self.variable(known) {
                    Ok(text) => value.push_str(&text),
                    Err(why) => problem = Some(why),
                },
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' if !in_double => break,
                _ => {
                    value.push(c);
                    self.next();
                }
            }
        }
        if in_double {
            return Err("its quote is never closed".to_owned());
        }
        problem.map_or(Ok(value), Err)
    }

    fn variable(&mut self, known: &Keystone) -> Result<String, String> {
        self.next();
        let name = match self.peek() {
            Some('(') => {
                self.next();
                return Err("a command would compute it".to_owned());
            }
            Some('{') => {
                self.next();
                let inner = self.take_while(|c| c != '}' && c != '\n');
                self.take('}');
                if !is_name(inner) {
                    return Err(format!("only a shell understands ${{{inner}}}"));
                }
                inner
            }
            _ => {
                let name = self.word();
                if name.is_empty() {
                    return Ok("$".to_owned());
                }
                name
            }
        };
        match (known.values.get(name), known.open.get(name)) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some((why, _))) => Err(why.clone()),
            (None, None) => Err(format!("it is taken from ${name}, which the file does not set")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Keystone {
        Keystone::read(Path::new("openrc.sh"), text)
    }

    const WHOLE: &str = r#"#!/usr/bin/env bash
# unset what was set
unset OS_TENANT_ID
export OS_AUTH_URL=https://api.example.org:5000/v3   # keystone
export OS_PROJECT_NAME="a project=b; c"
export OS_USERNAME='me\n@example.org'
OS_PASSWORD=p\ a"s\"s'\$w"=0rd; export OS_PASSWORD
export OS_REGION_NAME=bgo
if [ -z "$OS_REGION_NAME" ]; then unset OS_REGION_NAME; fi
export OS_USER_DOMAIN_NAME=${OS_REGION_NAME}dom OS_IDENTITY_API_VERSION=3
export OS_PROJECT_DOMAIN_ID=default
"#;

    #[test]
    fn values_are_read_as_a_shell_would() {
        let found = read(WHOLE).credentials(None).unwrap();
        assert_eq!(found.auth_url, "https://api.example.org:5000/v3");
        assert_eq!(found.region_name, "bgo");
        let login: Vec<&str> = found.login.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(login, ["a project=b; c", "me\\n@example.org", "p as\"s'$w=0rd", "bgodom", "Default"]);
        assert_eq!(read(WHOLE).get("OS_IDENTITY_API_VERSION"), Some("3"));
    }

    #[test]
    fn a_password_that_the_file_asks_for_is_told_with_its_line_and_may_come_from_elsewhere() {
        let text = WHOLE.replace(
            "OS_PASSWORD=p\\ a\"s\\\"s'\\$w\"=0rd; export OS_PASSWORD\n",
            "echo \"Please enter your Password: \"\nread -sr OS_PASSWORD_INPUT\nexport OS_PASSWORD=$OS_PASSWORD_INPUT\n",
        );
        let problems = read(&text).credentials(None).err().unwrap();
        let shown = problems.render(false);
        assert_eq!(problems.error_count(), 1, "{shown}");
        assert!(shown.contains("OS_PASSWORD has no value: the file asks the user for it"), "{shown}");
        assert!(shown.contains("openrc.sh:9") && shown.contains("--password-file"), "{shown}");
        assert!(read(&text).credentials(Some("x")).is_ok());
    }

    #[test]
    fn all_that_is_missing_is_told_at_once_and_nothing_is_run() {
        let text = "export OS_USERNAME=$(touch /tmp/no)\nexport OS_AUTH_URL=`id`\nOS_REGION_NAME=\"open";
        let problems = read(text).credentials(None).err().unwrap();
        assert_eq!(problems.error_count(), 7);
        let shown = problems.render(false);
        assert!(shown.contains("a command would compute it") && shown.contains("never closed"), "{shown}");
    }

    #[test]
    fn an_application_credential_needs_neither_user_nor_project() {
        let text = "export OS_AUTH_TYPE=v3applicationcredential\nexport OS_AUTH_URL=http://k\nexport OS_REGION_NAME=r\n\
                    export OS_APPLICATION_CREDENTIAL_ID=id\nexport OS_APPLICATION_CREDENTIAL_SECRET=s\n";
        let found = read(text).credentials(None).unwrap();
        assert!(found.is_application_credential);
        assert_eq!(found.login.len(), 2);
    }
}
