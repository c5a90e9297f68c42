//! Which type a node has: by its tag, or by what a plain scalar looks like.
//!
//! The patterns are those of the YAML 1.1 type repository in the variant that PyYAML uses; where the two differ
//! (`1e3` and `-.5` are strings, `y` is no boolean) PyYAML's are meant, since that is what the files were written for.

/// The types that a safe loader knows, and those that only the reader itself needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tag {
    Null,
    Bool,
    Int,
    Float,
    Str,
    Binary,
    Timestamp,
    List,
    Map,
    Set,
    OrderedMap,
    Pairs,
    /// `<<`: the entries of another map are put here.
    Merge,
    /// `=`: no type of its own; as a key it is an ordinary string.
    Value,
    /// Something was wrong with the node, and has been reported.
    Broken,
}

const PREFIX: &str = "tag:yaml.org,2002:";

impl Tag {
    /// The type that an explicit, fully resolved tag names.
    pub(crate) fn explicit(tag: &str) -> Option<Self> {
        Some(match tag.strip_prefix(PREFIX)? {
            "null" => Self::Null,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "float" => Self::Float,
            "str" => Self::Str,
            "binary" => Self::Binary,
            "timestamp" => Self::Timestamp,
            "seq" => Self::List,
            "map" => Self::Map,
            "set" => Self::Set,
            "omap" => Self::OrderedMap,
            "pairs" => Self::Pairs,
            "merge" => Self::Merge,
            "value" => Self::Value,
            _ => return None,
        })
    }

    /// The type of a plain scalar without a tag.
    pub(crate) fn implicit(text: &str) -> Self {
        // A word of letters is the usual case, and only few words mean anything but themselves.
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "<<" => Self::Merge,
            "=" => Self::Value,
            _ if bool_of(text).is_some() && is_one_case(text) => Self::Bool,
            _ if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) => {
                Self::Str
            }
            _ if is_float(text) => Self::Float,
            _ if is_int(text) => Self::Int,
            _ if is_timestamp(text) => Self::Timestamp,
            _ => Self::Str,
        }
    }

    /// What it is called in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool => "a boolean",
            Self::Int => "an integer",
            Self::Float => "a number",
            Self::Str | Self::Value | Self::Merge => "a string",
            Self::Binary => "binary data",
            Self::Timestamp => "a date",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Set => "a set",
            Self::OrderedMap | Self::Pairs => "a list of pairs",
            Self::Broken => "something that cannot be read",
        }
    }
}

/// What a word means as a boolean, in whatever letter case.
pub(crate) fn bool_of(text: &str) -> Option<bool> {
    const WORDS: [(&str, bool); 6] =
        [("yes", true), ("no", false), ("true", true), ("false", false), ("on", true), ("off", false)];
    WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, value)| *value)
}

/// `yes`, `Yes` or `YES`, but not `yEs`.
fn is_one_case(text: &str) -> bool {
    let rest = text.get(1..).unwrap_or("");
    rest.bytes().all(|byte| byte.is_ascii_lowercase()) || text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Walks over a text from the left; each step says whether it took anything.
struct Cursor<'t>(&'t [u8]);

impl Cursor<'_> {
    fn at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn take_one(&mut self, set: &[u8]) -> bool {
        let fits = self.0.first().is_some_and(|byte| set.contains(byte));
        if fits {
            self.0 = &self.0[1..];
        }
        fits
    }

    /// Takes as many as there are; says how many.
    fn take_while(&mut self, fits: impl Fn(u8) -> bool) -> usize {
        let count = self.0.iter().take_while(|byte| fits(**byte)).count();
        self.0 = &self.0[count..];
        count
    }

    /// Takes one to `most` digits; says how many.
    fn take_digits(&mut self, most: usize) -> usize {
        let count = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        self.0 = &self.0[count..];
        count
    }

    /// `:` and the digits of one place in base 60, any number of times; `None` when a `:` is not followed by one.
    fn take_base_60(&mut self) -> Option<usize> {
        let mut places = 0;
        while self.take_one(b":") {
            match self.0 {
                [b'0'..=b'5', b'0'..=b'9', ..] => self.0 = &self.0[2..],
                [b'0'..=b'9', ..] => self.0 = &self.0[1..],
                _ => return None,
            }
            places += 1;
        }
        Some(places)
    }
}

fn digit_or_underscore(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

fn is_int(text: &str) -> bool {
    let mut rest = Cursor(text.as_bytes());
    rest.take_one(b"+-");
    match rest.0 {
        [b'0'] => true,
        [b'0', b'b', digits @ ..] => !digits.is_empty() && digits.iter().all(|byte| b"01_".contains(byte)),
        [b'0', b'x', digits @ ..] => {
            !digits.is_empty() && digits.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'_')
        }
        [b'0', digits @ ..] => digits.iter().all(|byte| matches!(byte, b'0'..=b'7' | b'_')),
        [b'1'..=b'9', ..] => {
            rest.take_while(digit_or_underscore);
            rest.take_base_60().is_some() && rest.at_end()
        }
        _ => false,
    }
}

fn is_float(text: &str) -> bool {
    fn exponent(rest: &mut Cursor<'_>) -> bool {
        !rest.take_one(b"eE") || (rest.take_one(b"+-") && rest.take_while(|byte| byte.is_ascii_digit()) > 0)
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let mut rest = Cursor(text.as_bytes());
    let signed = rest.take_one(b"+-");
    if rest.take_one(b".") {
        if matches!(rest.0, b"inf" | b"Inf" | b"INF") {
            return true;
        }
        // `.5` is a number, but `-.5` is not.
        let digits =
            rest.0.first().is_some_and(u8::is_ascii_digit) && rest.take_while(digit_or_underscore) > 0;
        return !signed && digits && exponent(&mut rest) && rest.at_end();
    }
    if !rest.0.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    rest.take_while(digit_or_underscore);
    let Some(places) = rest.take_base_60() else { return false };
    if !rest.take_one(b".") {
        return false;
    }
    rest.take_while(digit_or_underscore);
    (places > 0 || exponent(&mut rest)) && rest.at_end()
}

fn is_timestamp(text: &str) -> bool {
    let mut rest = Cursor(text.as_bytes());
    let mut parts = [0; 3];
    for (index, part) in parts.iter_mut().enumerate() {
        if index > 0 && !rest.take_one(b"-") {
            return false;
        }
        *part = rest.take_digits(if index == 0 { 4 } else { 2 });
    }
    let [year, month, day] = parts;
    if year != 4 || month == 0 || day == 0 {
        return false;
    }
    if rest.at_end() {
        return month == 2 && day == 2;
    }
    if !rest.take_one(b"Tt") && rest.take_while(is_blank) == 0 {
        return false;
    }
    let time = rest.take_digits(2) > 0
        && rest.take_one(b":")
        && rest.take_digits(2) == 2
        && rest.take_one(b":")
        && rest.take_digits(2) == 2;
    if !time {
        return false;
    }
    if rest.take_one(b".") {
        rest.take_while(|byte| byte.is_ascii_digit());
    }
    if rest.at_end() {
        return true;
    }
    rest.take_while(is_blank);
    if rest.take_one(b"Z") {
        return rest.at_end();
    }
    rest.take_one(b"+-")
        && rest.take_digits(2) > 0
        && (!rest.take_one(b":") || rest.take_digits(2) == 2)
        && rest.at_end()
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

#[cfg(test)]
mod tests {
    use super::Tag;

    #[test]
    fn plain_scalars_have_the_types_of_yaml_1_1() {
        let cases: [(Tag, &[&str]); 7] = [
            (Tag::Null, &["", "~", "null", "Null", "NULL"]),
            (Tag::Bool, &["yes", "Yes", "YES", "no", "on", "Off", "TRUE", "false"]),
            (
                Tag::Int,
                &[
                    "0",
                    "-0",
                    "10",
                    "010",
                    "0_7",
                    "0x1F",
                    "0b1_0",
                    "1_000",
                    "1:20",
                    "190:20:30",
                    "0x_",
                    "+1",
                    "1_",
                ],
            ),
            (
                Tag::Float,
                &["1.", ".5", "1.5", "1.0e+3", "09.5", "1:20.5", "0:1.", ".inf", "-.INF", "+.Inf", ".NaN"],
            ),
            (
                Tag::Timestamp,
                &["2001-12-14", "2001-1-1 1:02:03", "2001-12-14T21:59:43.10-05:00", "2001-12-14 1:00:00Z"],
            ),
            (Tag::Merge, &["<<"]),
            (
                Tag::Str,
                &[
                    "y",
                    "yEs",
                    "nULL",
                    "08",
                    "1e3",
                    "-.5",
                    "1.e3",
                    "0b2",
                    "0x",
                    "1:60",
                    "1:",
                    "0:1",
                    "._5",
                    "-",
                    "+",
                    ".",
                    "-.nan",
                    "2001-1-1",
                    "2001-12-14 21:59",
                    "1.5:2",
                    "12e03",
                    "0o7",
                    "--1",
                    "1 2",
                    "...",
                ],
            ),
        ];
        for (tag, texts) in cases {
            for text in texts {
                assert_eq!(Tag::implicit(text), tag, "{text:?}");
            }
        }
    }
}
