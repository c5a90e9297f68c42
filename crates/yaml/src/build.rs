//! From the parser's events to a [`Document`].

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle};

use crate::construct;
use crate::diagnostic::{Diagnostic, Diagnostics, Position, Span};
use crate::merge;
use crate::node::{Body, Child, Document, NodeData, NodeId, Schema};
use crate::source::{Source, to_u32};
use crate::syntax;
use crate::tag::Tag;

/// Levels of lists and maps in one another, also through aliases.
pub const MAX_DEPTH: u32 = 128;
/// Nodes in a document, also counted with every alias and merge written out.
pub const MAX_NODES: u64 = 1_000_000;

/// Builds the document; `None` when the text is not YAML, or beyond a limit.
pub(crate) fn build(source: &Arc<Source>, schema: Schema, diagnostics: &mut Diagnostics) -> Option<Document> {
    let mut builder = Builder {
        source,
        schema,
        diagnostics,
        nodes: Vec::new(),
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        merged: 0,
        exceeded: false,
    };
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: MAX_DEPTH as usize,
        block_nesting_limit: MAX_DEPTH as usize,
    };
    let mut documents = 0;
    for event in Parser::new_from_str_with_options(source.text(), options) {
        let (event, span) = match event {
            Ok((event, span)) => (event, span_of(&span)),
            Err(error) => {
                builder.report(syntax::explain(&error, source));
                return None;
            }
        };
        if let Event::DocumentStart(..) = event {
            documents += 1;
            if documents > 1 {
                let problem =
                    Diagnostic::error("a second document begins here, but the file must be one document");
                builder.report(
                    problem
                        .at(span)
                        .hint("remove the line with `---`, or put the rest into a file of its own"),
                );
                break;
            }
        }
        if !builder.take(event, span) {
            return None;
        }
    }
    builder.finish()
}

pub(crate) struct Builder<'s> {
    source: &'s Arc<Source>,
    pub(crate) schema: Schema,
    diagnostics: &'s mut Diagnostics,
    pub(crate) nodes: Vec<NodeData>,
    /// Lists and maps that have not ended yet.
    open: Vec<Open>,
    /// By the parser's number for the anchor; `None` while the anchored node has not ended.
    anchors: HashMap<usize, Option<NodeId>>,
    root: Option<NodeId>,
    /// Entries that merge keys have copied so far.
    merged: u64,
    /// A limit was exceeded, and reported.
    exceeded: bool,
}

struct Open {
    span: Span,
    tag: Tag,
    anchor: usize,
    is_map: bool,
    children: Vec<Child>,
}

impl Builder<'_> {
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic.in_source(self.source));
    }

    /// Whether a merge key may copy that many entries.
    pub(crate) fn allow_merging(&mut self, entries: usize) -> bool {
        self.merged += entries as u64;
        if self.merged > MAX_NODES && !self.exceeded {
            self.exceeded = true;
            self.report(Diagnostic::error(format!("merge keys add more than {MAX_NODES} entries")));
        }
        !self.exceeded
    }

    /// `false` ends the reading: a limit was exceeded.
    fn take(&mut self, event: Event<'_>, span: Span) -> bool {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                // The parser shows a value that is not there as `~`.
                let text = if plain && span.start == span.end { "" } else { &*text };
                let tag = self.scalar_tag(tag.as_deref(), plain, text, span);
                let body = Body::Scalar { text: text.into(), plain };
                self.add(NodeData { span, tag, body, expanded: 1, depth: 1 }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let tag = self.collection_tag(tag.as_deref(), Tag::List, span);
                self.open(Open { span, tag, anchor, is_map: false, children: Vec::new() })
            }
            Event::MappingStart(_, anchor, tag) => {
                let tag = self.collection_tag(tag.as_deref(), Tag::Map, span);
                self.open(Open { span, tag, anchor, is_map: true, children: Vec::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => match self.anchors.get(&anchor).copied().flatten() {
                Some(id) => self.place(Child { id, alias: Some(span) }),
                None => {
                    let problem =
                        Diagnostic::error("this alias stands inside the value that it repeats").at(span);
                    self.report(problem.hint("a value cannot contain itself"));
                    self.broken(span)
                }
            },
            Event::UnresolvedAlias(name) => {
                let problem =
                    Diagnostic::error(format!("there is no anchor `&{name}` above this alias")).at(span);
                self.report(problem);
                self.broken(span)
            }
            _ => true,
        }
    }

    fn open(&mut self, open: Open) -> bool {
        if open.anchor > 0 {
            self.anchors.insert(open.anchor, None);
        }
        self.open.push(open);
        true
    }

    fn close(&mut self, end: Span) -> bool {
        let Some(open) = self.open.pop() else { return true };
        let mut span = Span { start: open.span.start, end: end.end };
        if let (true, Some(last)) = (end.start == end.end, open.children.last()) {
            // A block collection ends where the next thing begins, which may be many empty lines later.
            span.end = last.alias.unwrap_or_else(|| self.nodes[last.id as usize].span).end.max(span.start);
        }
        let expanded = open.children.iter().map(|child| self.nodes[child.id as usize].expanded);
        let mut expanded = expanded.fold(1u64, u64::saturating_add);
        let depth =
            1 + open.children.iter().map(|child| self.nodes[child.id as usize].depth).max().unwrap_or(0);
        let body = if open.is_map {
            let written: Vec<(Child, Child)> =
                open.children.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            let effective = merge::effective(self, &written, span);
            if let Some(effective) = &effective {
                let size = |child: Child| self.nodes[child.id as usize].expanded;
                let merged = effective.iter().map(|(key, value)| size(*key).saturating_add(size(*value)));
                expanded = expanded.max(merged.fold(1u64, u64::saturating_add));
            }
            Body::Map { written, effective }
        } else {
            Body::List(open.children)
        };
        let tag = self.check_pairs(open.tag, &body, span);
        !self.exceeded && self.add(NodeData { span, tag, body, expanded, depth }, open.anchor)
    }

    fn add(&mut self, node: NodeData, anchor: usize) -> bool {
        if node.depth > MAX_DEPTH {
            self.report(Diagnostic::error(format!("nested more than {MAX_DEPTH} levels deep")).at(node.span));
            return false;
        }
        if node.expanded > MAX_NODES || self.nodes.len() as u64 >= MAX_NODES {
            let problem =
                Diagnostic::error(format!("more than {MAX_NODES} values, with every alias written out"));
            self.report(problem.at(node.span));
            return false;
        }
        let id = to_u32(self.nodes.len());
        self.nodes.push(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Some(id));
        }
        self.place(Child { id, alias: None })
    }

    fn place(&mut self, child: Child) -> bool {
        match self.open.last_mut() {
            Some(open) => open.children.push(child),
            None => self.root = Some(child.id),
        }
        true
    }

    fn broken(&mut self, span: Span) -> bool {
        let body = Body::Scalar { text: "".into(), plain: true };
        self.add(NodeData { span, tag: Tag::Broken, body, expanded: 1, depth: 1 }, 0)
    }

    fn scalar_tag(&mut self, tag: Option<&granit_parser::Tag>, plain: bool, text: &str, span: Span) -> Tag {
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
                    self.report(Diagnostic::error(format!("this cannot be {}", tag.name())).at(span));
                    return Tag::Broken;
                }
                Some(tag) => tag,
                None => return self.unknown_tag(name, span),
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

    fn collection_tag(&mut self, tag: Option<&granit_parser::Tag>, usual: Tag, span: Span) -> Tag {
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

    fn unknown_tag(&mut self, name: &str, span: Span) -> Tag {
        let problem = Diagnostic::error(format!("unknown tag `{name}`")).at(span);
        self.report(problem.hint("only the tags of the YAML 1.1 types are known, such as !!str and !!int"));
        Tag::Broken
    }

    /// An `!!omap` or `!!pairs` must be a list of maps with one entry each.
    fn check_pairs(&mut self, tag: Tag, body: &Body, span: Span) -> Tag {
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
    fn check_special(&mut self) {
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

    fn finish(mut self) -> Option<Document> {
        if self.root.is_none() {
            let body = Body::Scalar { text: "".into(), plain: true };
            let tag = if self.schema == Schema::Base { Tag::Str } else { Tag::Null };
            self.add(NodeData { span: Span::default(), tag, body, expanded: 1, depth: 1 }, 0);
        }
        if self.schema == Schema::Safe {
            self.check_special();
        }
        let root = self.root?;
        Some(Document { source: Arc::clone(self.source), schema: self.schema, nodes: self.nodes, root })
    }
}

fn full_name(tag: &granit_parser::Tag) -> String {
    format!("{}{}", tag.handle(), tag.suffix())
}

fn span_of(span: &granit_parser::Span) -> Span {
    Span { start: position_of(&span.start), end: position_of(&span.end) }
}

pub(crate) fn position_of(mark: &granit_parser::Marker) -> Position {
    Position {
        line: to_u32(mark.line()),
        column: to_u32(mark.col() + 1),
        offset: to_u32(mark.byte_offset().unwrap_or(0)),
    }
}
