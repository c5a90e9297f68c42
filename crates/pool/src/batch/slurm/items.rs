//! A JSON document of which one array is long: its items are handed out one by one, the rest is kept. Pure.
//!
//! `squeue --json` writes some kilobytes for each job, and a queue may have a hundred thousand.

/// The longest item, bytes.
const ITEM_MAX_BYTES: usize = 1 << 20;
/// What may stand beside the array, bytes.
const REST_MAX_BYTES: usize = 1 << 20;

/// Reads a document in pieces of any size.
#[derive(Debug)]
pub(super) struct Items {
    key: String,
    /// Open brackets.
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// The string that was read last, at the top level of the document: the key, if an array follows.
    last_string: String,
    in_array: bool,
    item: String,
    rest: String,
    too_long: bool,
}

impl Items {
    /// Watches the array under this key of the document's outermost object.
    pub(super) fn of(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            depth: 0,
            in_string: false,
            escaped: false,
            last_string: String::new(),
            in_array: false,
            item: String::new(),
            rest: String::new(),
            too_long: false,
        }
    }

    /// Takes in a piece, and hands out what items it completes.
    pub(super) fn feed(&mut self, piece: &str, mut each: impl FnMut(&str)) {
        for c in piece.chars() {
            self.step(c, &mut each);
        }
    }

    fn step(&mut self, c: char, each: &mut impl FnMut(&str)) {
        let structural = self.look(c);
        // The items are at depth 3: document, array, item.
        if self.in_array && (self.depth >= 3 || (structural == Some(Bracket::Close) && self.depth == 2)) {
            keep(&mut self.item, c, ITEM_MAX_BYTES, &mut self.too_long);
            if self.depth == 2 {
                each(&self.item);
                self.item.clear();
            }
            return;
        }
        if self.in_array && self.depth == 2 && structural.is_none() {
            return; // commas and white space between items
        }
        match structural {
            Some(Bracket::Open) if self.depth == 2 && c == '[' => {
                self.in_array = self.last_string == self.key
            }
            Some(Bracket::Close) if self.depth == 1 => self.in_array = false,
            _ => {}
        }
        keep(&mut self.rest, c, REST_MAX_BYTES, &mut self.too_long);
    }

    /// Follows strings and brackets.
    fn look(&mut self, c: char) -> Option<Bracket> {
        if self.in_string {
            if self.escaped {
                self.escaped = false;
            } else if c == '\\' {
                self.escaped = true;
            } else if c == '"' {
                self.in_string = false;
                return None;
            }
            if self.depth == 1 {
                keep(&mut self.last_string, c, 256, &mut self.too_long);
            }
            return None;
        }
        match c {
            '"' => {
                self.in_string = true;
                if self.depth == 1 {
                    self.last_string.clear();
                }
                None
            }
            '{' | '[' => {
                self.depth += 1;
                Some(Bracket::Open)
            }
            '}' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                Some(Bracket::Close)
            }
            _ => None,
        }
    }

    /// The document without the items of the array; `None` where it is not one, or was too long.
    pub(super) fn rest(&self) -> Option<serde_json::Value> {
        if self.too_long || self.depth != 0 {
            return None;
        }
        serde_json::from_str(&self.rest).ok()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Open,
    Close,
}

fn keep(text: &mut String, c: char, limit: usize, too_long: &mut bool) {
    if text.len() < limit {
        text.push(c);
    } else {
        *too_long = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(text: &str, piece: usize) -> (Vec<Value>, Option<Value>) {
        let (mut items, mut found) = (Items::of("jobs"), Vec::new());
        let chars: Vec<char> = text.chars().collect();
        for part in chars.chunks(piece.max(1)) {
            let part: String = part.iter().collect();
            items.feed(&part, |item| found.push(serde_json::from_str(item).unwrap()));
        }
        (found, items.rest())
    }

    #[test]
    fn items_are_handed_out_and_the_rest_is_kept() {
        let document = json!({
            "meta": {"jobs": [1, 2]}, "jobs": [{"a": [1, {"b": "]}\"{["}]}, {"c": 2}], "errors": [{"error": "x"}],
        });
        let (items, rest) = read(&document.to_string(), 3);
        assert_eq!(items, [json!({"a": [1, {"b": "]}\"{["}]}), json!({"c": 2})]);
        assert_eq!(rest, Some(json!({"meta": {"jobs": [1, 2]}, "jobs": [], "errors": [{"error": "x"}]})));
    }

    #[test]
    fn a_document_that_is_cut_short_has_no_rest() {
        assert_eq!(read(r#"{"jobs": [{"a": 1}"#, 5).1, None);
        assert_eq!(read("", 1).1, None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,300}") {
            let mut items = Items::of("jobs");
            items.feed(&text, |_| {});
            items.rest();
        }

        #[test]
        fn what_goes_in_comes_out(values in proptest::collection::vec(".{0,12}", 0..8), piece in 1_usize..9) {
            let jobs: Vec<Value> = values.iter().map(|text| json!({"name": text, "n": [text]})).collect();
            let document = json!({"jobs": jobs, "errors": []});
            let (found, rest) = read(&document.to_string(), piece);
            prop_assert_eq!(found, jobs);
            prop_assert_eq!(rest, Some(json!({"jobs": [], "errors": []})));
        }
    }
}
