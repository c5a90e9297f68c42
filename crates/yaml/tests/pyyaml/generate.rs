//! Texts to read: scalars, documents, and documents with something broken in them.

use fastrand::Rng;

/// Plain scalars close to what the implicit types of YAML 1.1 look like.
pub(crate) fn scalar(rng: &mut Rng) -> String {
    const WHOLE: &[&str] = &[
        "yes",
        "no",
        "Yes",
        "NO",
        "on",
        "off",
        "true",
        "False",
        "null",
        "~",
        "Null",
        "y",
        "n",
        ".inf",
        "-.INF",
        ".nan",
        "<<",
        "=",
        "2001-12-14",
        "2001-12-14t21:59:43.10-05:00",
        "2001-12-14 21:59:43.10 -5",
        "2001-02-30",
        "1:20",
        "1:20.5",
        "0o17",
        "0x1f",
        "0b101",
        "010",
        "1_000",
        "1e3",
        "1.0e+3",
        "1.",
        ".5",
        "-.5",
        "host/up",
        "a b",
        "127.0.0.1:8001",
        "-",
        "12e03",
    ];
    let pieces: &[&str] = match rng.u8(..4) {
        0 => return (*rng.choice(WHOLE).unwrap()).to_owned(),
        1 => &["0", "1", "2", "7", "8", "9", "_", ".", ":", "-", "+", "e", "E", "x", "b", "a", "f", "o"],
        2 => &["2001", "20", "-", "1", "0", "9", "31", ":", "T", "t", " ", ".", "Z", "+", "59", "3"],
        _ => &["0", "1", "5", "9", ":", "_", ".", "-", "59", "60", "e+2", "E-1", "0x", "0b"],
    };
    let mut text = String::new();
    for _ in 0..rng.usize(1..9) {
        text.push_str(rng.choice(pieces).unwrap());
    }
    text
}

/// Words for keys and texts, with a few that need quoting.
fn word(rng: &mut Rng) -> String {
    const WORDS: &[&str] = &[
        "hub",
        "hosts",
        "agent-class",
        "instance-id",
        "a",
        "b",
        "c",
        "thermo1",
        "ws://host:8001/ws",
        "yes",
        "1",
        "1.0",
        "true",
        "it's",
        "say \"hi\"",
        "a: b",
        "#no",
        "x # y",
        "[z",
        "",
        " lead",
        "tail ",
        "two\nlines",
        "tab\there",
        "é",
        "日本",
        "-",
        "- x",
        "? y",
        "!t",
        "&n",
        "*m",
        "%d",
        "@at",
        "`tick",
        "{q",
        "a,b",
        "null",
        "~",
        "<<",
        "=",
        "0",
        "010",
        "back\\slash",
        "long word with spaces",
    ];
    (*rng.choice(WORDS).unwrap()).to_owned()
}

/// A document in some mixture of styles. Most are valid, but quoting is careless now and then.
pub(crate) fn document(rng: &mut Rng) -> String {
    let mut writer = Writer { text: String::new(), anchors: Vec::new(), rng };
    if writer.rng.u8(..10) == 0 {
        writer
            .text
            .push_str(["%YAML 1.1\n---\n", "---\n", "# comment\n", "--- # c\n"][writer.rng.usize(..4)]);
    }
    writer.block(0, 0, false);
    if writer.rng.u8(..20) == 0 {
        writer.text.push_str(["...\n", "---\n", "\n\n# end", "--- a\n"][writer.rng.usize(..4)]);
    }
    writer.text
}

struct Writer<'r> {
    text: String,
    anchors: Vec<String>,
    rng: &'r mut Rng,
}

impl Writer<'_> {
    fn chance(&mut self, one_in: u8) -> bool {
        self.rng.u8(..one_in) == 0
    }

    fn properties(&mut self, scalar: bool) -> String {
        let mut properties = String::new();
        if self.chance(8) {
            let name = format!("n{}", self.anchors.len());
            properties.push_str(&format!("&{name} "));
            self.anchors.push(name);
        }
        if self.chance(25) {
            let tags: &[&str] = if scalar {
                &[
                    "!!str",
                    "!!int",
                    "!!float",
                    "!!bool",
                    "!!null",
                    "!",
                    "!!binary",
                    "!!timestamp",
                    "!local",
                    "!!nosuch",
                ]
            } else {
                &["!!map", "!!seq", "!!set", "!!omap", "!!pairs", "!"]
            };
            properties.push_str(&format!("{} ", self.rng.choice(tags).unwrap()));
        }
        properties
    }

    fn indent(&mut self, columns: usize) {
        self.text.extend(std::iter::repeat_n(' ', columns));
    }

    /// A value in block style, from the beginning of a line at `columns`.
    fn block(&mut self, columns: usize, depth: usize, after_dash: bool) {
        let choice = if depth > 4 { 9 } else { self.rng.u8(..10) };
        match choice {
            0..=4 => {
                let step = self.rng.usize(1..4);
                for index in 0..self.rng.usize(1..5) {
                    if index > 0 || !after_dash {
                        self.indent(columns);
                    }
                    let key =
                        if self.chance(9) && !self.anchors.is_empty() { "<<".to_owned() } else { self.key() };
                    self.text.push_str(&key);
                    self.text.push(':');
                    self.value_after_colon(columns, step, depth, key == "<<");
                    if self.chance(12) {
                        self.text.push_str(["\n", "  # note\n", "# note\n"][self.rng.usize(..3)]);
                    }
                }
            }
            5..=7 => {
                for index in 0..self.rng.usize(1..4) {
                    if index > 0 || !after_dash {
                        self.indent(columns);
                    }
                    self.text.push_str("- ");
                    if self.chance(2) {
                        let properties = self.properties(true);
                        let inline = self.flow(depth + 1);
                        self.text.push_str(&format!("{properties}{inline}\n"));
                    } else {
                        self.block(columns + 2, depth + 1, true);
                    }
                }
            }
            _ => {
                if !after_dash {
                    self.indent(columns);
                }
                let inline = self.flow(depth);
                self.text.push_str(&inline);
                self.text.push('\n');
            }
        }
    }

    fn value_after_colon(&mut self, columns: usize, step: usize, depth: usize, merge: bool) {
        if merge || (self.chance(8) && !self.anchors.is_empty()) {
            let names: Vec<String> = (0..self.rng.usize(1..3)).map(|_| self.anchor()).collect();
            let text = if names.len() == 1 {
                format!(" *{}\n", names[0])
            } else {
                format!(" [*{}]\n", names.join(", *"))
            };
            self.text.push_str(&text);
            return;
        }
        match self.rng.u8(..8) {
            0..=2 => {
                let properties = self.properties(false);
                self.text.push_str(&format!(" {}\n", properties.trim_end()));
                self.block(columns + step, depth + 1, false);
            }
            3 => self.block_scalar(columns + step),
            _ => {
                let properties = self.properties(true);
                let inline = self.flow(depth + 1);
                self.text.push_str(&format!(" {properties}{inline}\n"));
            }
        }
    }

    fn block_scalar(&mut self, columns: usize) {
        const HEADERS: &[&str] = &[" |\n", " >\n", " |-\n", " >-\n", " |+\n", " >+ # c\n", " |2\n", " >1-\n"];
        self.text.push_str(HEADERS[self.rng.usize(..HEADERS.len())]);
        for _ in 0..self.rng.usize(..4) {
            match self.rng.u8(..5) {
                0 => self.text.push('\n'),
                1 => {
                    self.indent(columns + 1);
                    self.text.push_str("more # text\n");
                }
                _ => {
                    self.indent(columns);
                    self.text.push_str("line: of text \n");
                }
            }
        }
    }

    fn key(&mut self) -> String {
        if self.chance(6) {
            return scalar(self.rng);
        }
        let text = word(self.rng);
        self.quoted(&text)
    }

    fn anchor(&mut self) -> String {
        if self.anchors.is_empty() || self.chance(30) {
            return "unknown".to_owned();
        }
        let index = self.rng.usize(..self.anchors.len());
        self.anchors[index].clone()
    }

    /// A value on one line (or, for long ones, on several).
    fn flow(&mut self, depth: usize) -> String {
        let choice = if depth > 5 { 9 } else { self.rng.u8(..12) };
        let gap = [" ", "", "\n", "\n   ", "  # c\n "][if self.chance(3) { self.rng.usize(..5) } else { 0 }];
        match choice {
            0 => {
                let items: Vec<String> = (0..self.rng.usize(..4)).map(|_| self.flow(depth + 1)).collect();
                let comma = if self.chance(5) { "," } else { "" };
                format!("[{gap}{}{comma}{gap}]", items.join(&format!(",{gap}")))
            }
            1 => {
                let mut entries = Vec::new();
                for _ in 0..self.rng.usize(..4) {
                    let key = self.key();
                    let colon =
                        [": ", ":", " : ", ":\n "][if self.chance(4) { self.rng.usize(..4) } else { 0 }];
                    let value = self.flow(depth + 1);
                    entries.push(format!("{key}{colon}{value}"));
                }
                let comma = if self.chance(5) { "," } else { "" };
                format!("{{{gap}{}{comma}{gap}}}", entries.join(&format!(",{gap}")))
            }
            2 if !self.anchors.is_empty() => format!("*{} ", self.anchor()),
            3..=6 => scalar(self.rng),
            _ => {
                let text = word(self.rng);
                self.quoted(&text)
            }
        }
    }

    fn quoted(&mut self, text: &str) -> String {
        match self.rng.u8(..5) {
            0 => format!("'{}'", text.replace('\'', "''")),
            1 | 2 => {
                let escaped =
                    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
                format!("\"{escaped}\"")
            }
            // Anchors in front of colons are read in different ways; see `is_known_difference`.
            _ if text.starts_with('&') => format!("'{text}'"),
            // Careless: as it is, whether that is allowed or not.
            _ => text.to_owned(),
        }
    }
}

/// Breaks a text: characters are dropped, doubled, swapped, or replaced by ones that mean something in YAML.
pub(crate) fn damage(rng: &mut Rng, text: &str) -> String {
    const SPECIAL: &[&str] = &[
        " ", "\t", "\n", ":", "-", "#", "[", "]", "{", "}", ",", "'", "\"", "&a", "*a", "!", "|", ">", "%",
        "?", "@", "\\", "\r\n", "  ", ": ", "- ", "---\n", "\u{feff}", "\0", "é", "<<: ", "\u{7}",
    ];
    let mut characters: Vec<String> = text.chars().map(String::from).collect();
    for _ in 0..rng.usize(1..4) {
        if characters.is_empty() {
            break;
        }
        let at = rng.usize(..characters.len());
        match rng.u8(..4) {
            0 => drop(characters.remove(at)),
            1 => characters.insert(at, (*rng.choice(SPECIAL).unwrap()).to_owned()),
            2 => characters[at] = (*rng.choice(SPECIAL).unwrap()).to_owned(),
            _ => {
                let other = rng.usize(..characters.len());
                characters.swap(at, other);
            }
        }
    }
    characters.concat()
}
