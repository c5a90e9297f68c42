//! Lines of a v4 file.

use std::fmt::{Display, Write as _};

use crate::config::model::{ConfigLine, ConfigValue, Plugin};

/// A command with `key=value` arguments.
#[derive(Debug)]
pub(super) struct Line(String);

impl Line {
    pub(super) fn new(verb: &str) -> Self {
        Self(verb.to_owned())
    }

    pub(super) fn arg(mut self, key: &str, value: impl Display) -> Self {
        let _ = write!(self.0, " {key}={value}");
        self
    }

    pub(super) fn maybe(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.arg(key, value),
            None => self,
        }
    }

    pub(super) fn end(mut self) -> String {
        self.0.push('\n');
        self.0
    }
}

/// The lines that load a plugin and configure it. `defaults` are added to the first map of options, where they are
/// missing.
pub(super) fn load(plugin: &Plugin, defaults: &[(&str, String)], out: &mut String) {
    let name = &plugin.name;
    let _ = writeln!(out, "load name={name} plugin={}", plugin.library);
    let mut defaults = Some(defaults);
    for line in &plugin.config {
        let options = match line {
            ConfigLine::Verbatim(text) => text.clone(),
            ConfigLine::Options(options) => words_of(options, defaults.take().unwrap_or_default()),
        };
        let _ = writeln!(out, "config name={name} {options}");
    }
}

/// Options as words. The blanks are where the original puts them: none behind a single character, two before a list.
fn words_of(options: &[(String, ConfigValue)], defaults: &[(&str, String)]) -> String {
    let mut out = String::new();
    let blank = |out: &mut String| {
        if out.chars().count() > 1 {
            out.push(' ');
        }
    };
    for (key, value) in options {
        blank(&mut out);
        match value {
            ConfigValue::Keyword => out.push_str(key),
            ConfigValue::Text(text) => {
                let _ = write!(out, "{key}={text}");
            }
            ConfigValue::Repeated(texts) => {
                for text in texts {
                    blank(&mut out);
                    out.push_str(key);
                    if let Some(text) = text {
                        let _ = write!(out, "={text}");
                    }
                }
            }
        }
    }
    for (key, value) in defaults {
        if !options.iter().any(|(known, _)| known == key) {
            blank(&mut out);
            let _ = write!(out, "{key}={value}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_words_with_the_blanks_of_the_original() {
        let text = |text: &str| ConfigValue::Text(text.to_owned());
        let list = ConfigValue::Repeated(vec![Some("x".into()), None]);
        for (options, expected) in [
            (vec![("schema", text("s")), ("timing", ConfigValue::Keyword)], "schema=s timing instance=i"),
            (vec![("instance", text("own"))], "instance=own"),
            (vec![("a", ConfigValue::Keyword), ("b", text("1"))], "ab=1 instance=i"),
            (vec![("k", text("")), ("l", list)], "k=  l=x l instance=i"),
            (vec![], "instance=i"),
        ] {
            let options: Vec<_> = options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            assert_eq!(words_of(&options, &[("instance", "i".to_owned())]), expected);
        }
    }
}
