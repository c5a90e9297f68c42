//! What is checked of a node when it is read, beyond its syntax: its type, and what PyYAML would refuse.

use crate::build::Builder;
use crate::construct;
use crate::diagnostic::{Diagnostic, Span};
use crate::node::{Body, Child, Schema};
use crate::strict;
use crate::tag::Tag;

impl Builder<'_> {
    /// What PyYAML refuses in texts without quotes, but the parser does not.
    pub(crate) fn check_plain(&mut self, text: &str, span: Span, has_properties: bool) {
        let Some(open) = self.open.last() else { return };
        if open.flow && (text.contains('?') || text.starts_with(':')) {
            let c = if text.starts_with(':') { ':' } else { '?' };
            let problem =
                Diagnostic::error(format!("a text with this `{c}` must be in quotes inside of brackets"));
            self.report(problem.at(span).hint(format!("write '{text}'")));
            return;
        }
        let is_key = open.is_map && open.children.len() % 2 == 0;
        if is_key && text.is_empty() && !has_properties {
            let offset = span.start.offset as usize;
            let (before, after) = self.source.text().split_at(offset);
            if after.starts_with(':') && !before.trim_end_matches([' ', '\n', '\r']).ends_with('?') {
                self.report(Diagnostic::error("the key in front of this `:` is missing").at(span));
            }
        }
    }

    /// A tag must be followed by a space: PyYAML takes `,` and `]` for parts of it.
    pub(crate) fn check_end_of_tag(&mut self, tag: Span) {
        let next = self.source.text()[tag.end.offset as usize..].chars().next();
        if next.is_some_and(|next| !next.is_whitespace()) {
            let problem = Diagnostic::error("there must be a space behind this tag").at(tag);
            self.report(problem);
        }
    }

    pub(crate) fn check_anchor_name(&mut self, name: &str, span: Span) {
        if let Some(first) = self.anchor_names.insert(name.to_owned(), span) {
            let problem = Diagnostic::error(format!("the anchor `{name}` is repeated")).at(span);
            self.report(problem.related(first, "it is here, too").hint("give one of them another name"));
        }
        if !strict::is_anchor_name(name) {
            let problem = Diagnostic::error(format!("`{name}` cannot be the name of an anchor")).at(span);
            self.report(problem.hint("use ASCII letters, digits, `-` and `_`, with a space behind the name"));
        }
    }

    pub(crate) fn scalar_tag(
        &mut self,
        tag: Option<&granit_parser::Tag>,
        plain: bool,
        text: &str,
        span: Span,
        tagged: Span,
    ) -> Tag {
        if self.schema == Schema::Base {
            return Tag::Str;
        }
        let name = tag.map(full_name);
        let found = match name.as_deref() {
            None if plain => Tag::implicit(text),
            None => Tag::Str,
            Some("!") => Tag::implicit(text),
            Some(name) => match Tag::explicit(name) {
                Some(tag @ (Tag::List | Tag::Map | Tag::Set | Tag::OrderedMap | Tag::Pairs)) => {
                    self.report(
                        Diagnostic::error(format!("a single value cannot be {}", tag.name())).at(tagged),
                    );
                    return Tag::Broken;
                }
                Some(tag) => tag,
                None => return self.unknown_tag(name, tagged),
            },
        };
        match construct::scalar(found, text) {
            Ok(_) => found,
            Err(reason) => {
                let mut problem =
                    Diagnostic::error(format!("this cannot be read as {}: {reason}", found.name())).at(span);
                if name.is_none() {
                    problem = problem.hint("if it is meant as text, put it in quotes");
                }
                self.report(problem);
                Tag::Broken
            }
        }
    }

    pub(crate) fn collection_tag(&mut self, tag: Option<&granit_parser::Tag>, usual: Tag, span: Span) -> Tag {
        let Some(name) = tag.map(full_name).filter(|name| name != "!" && self.schema == Schema::Safe) else {
            return usual;
        };
        match (usual, Tag::explicit(&name)) {
            (Tag::List, Some(tag @ (Tag::List | Tag::OrderedMap | Tag::Pairs))) => tag,
            (Tag::Map, Some(tag @ (Tag::Map | Tag::Set))) => tag,
            (_, Some(tag)) => {
                let problem = Diagnostic::error(format!("{} is tagged as {}", usual.name(), tag.name()));
                self.report(problem.at(span));
                Tag::Broken
            }
            (_, None) => self.unknown_tag(&name, span),
        }
    }

    pub(crate) fn unknown_tag(&mut self, name: &str, span: Span) -> Tag {
        let problem = Diagnostic::error(format!("unknown tag `{name}`")).at(span);
        self.report(problem.hint("only the tags of the YAML 1.1 types are known, such as !!str and !!int"));
        Tag::Broken
    }

    /// An `!!omap` or `!!pairs` must be a list of maps with one entry each.
    pub(crate) fn check_pairs(&mut self, tag: Tag, body: &Body, span: Span) -> Tag {
        let (Tag::OrderedMap | Tag::Pairs, Body::List(items)) = (tag, body) else { return tag };
        let is_pair = |item: &Child| match &self.nodes[item.id as usize].body {
            Body::Map { written, .. } => written.len() == 1,
            _ => false,
        };
        if items.iter().all(is_pair) {
            return tag;
        }
        self.report(Diagnostic::error("each element must be a map with one entry").at(span));
        Tag::Broken
    }

    /// `<<` and `=` have a meaning only as keys.
    pub(crate) fn check_special(&mut self) {
        let mut as_values = vec![self.root];
        for node in &self.nodes {
            match &node.body {
                Body::Scalar { .. } => {}
                Body::List(items) => as_values.extend(items.iter().map(|item| Some(item.id))),
                Body::Map { written, .. } => {
                    as_values.extend(written.iter().map(|(_, value)| Some(value.id)))
                }
            }
        }
        as_values.sort_unstable();
        as_values.dedup();
        for id in as_values.into_iter().flatten() {
            let node = &mut self.nodes[id as usize];
            if let Tag::Merge | Tag::Value = node.tag {
                node.tag = Tag::Broken;
                let span = node.span;
                let problem =
                    Diagnostic::error("this word has a meaning of its own in YAML, and cannot be a value");
                self.report(problem.at(span).hint("put it in quotes"));
            }
        }
    }
}

fn full_name(tag: &granit_parser::Tag) -> String {
    format!("{}{}", tag.handle(), tag.suffix())
}
