//! From the parser's events to a [`Document`].

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, StructureStyle};

use crate::diagnostic::{Diagnostic, Diagnostics, Span};
use crate::input::MAX_FILE_BYTES;
use crate::merge;
use crate::node::{Body, Child, Document, NodeData, NodeId, Schema};
use crate::source::{Source, to_u32};
use crate::strict::{self, Rewriting};
use crate::syntax;
use crate::tag::Tag;

/// Levels of lists and maps in one another, also through aliases.
pub const MAX_DEPTH: u32 = 128;
/// Nodes in a document, also counted with every alias and merge written out.
pub const MAX_NODES: u64 = 1_000_000;

/// Builds the document; `None` when the text is not YAML, or beyond a limit.
pub(crate) fn build(source: &Arc<Source>, schema: Schema, diagnostics: &mut Diagnostics) -> Option<Document> {
    let mut rewriting = Rewriting::of(source);
    loop {
        let mut builder = Builder {
            source,
            schema,
            diagnostics: Diagnostics::new(),
            nodes: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            anchor_names: HashMap::new(),
            root: None,
            documents: 0,
            read_to: 0,
            merged: 0,
            exceeded: false,
            tabs_allowed: Vec::new(),
        };
        let end = builder.read(&rewriting);
        if let End::Error(error) = &end {
            if rewriting.rewrite(error) {
                continue;
            }
            let place = rewriting.original_position(error.marker());
            let problem = syntax::explain(error, place, builder.read_to, source);
            builder.report(problem);
        }
        let read_until = match &end {
            End::Error(error) => rewriting.original_position(error.marker()).offset,
            _ => u32::MAX,
        };
        for problem in strict::misplaced_characters(source, &builder.tabs_allowed, read_until) {
            builder.report(problem);
        }
        let document = if let End::Complete = end { builder.finish() } else { None };
        diagnostics.extend(builder.diagnostics);
        return document;
    }
}

/// How reading ended.
enum End {
    Complete,
    Error(ScanError),
    /// A limit was exceeded, and reported.
    Limit,
}

pub(crate) struct Builder<'s> {
    pub(crate) source: &'s Arc<Source>,
    pub(crate) schema: Schema,
    diagnostics: Diagnostics,
    pub(crate) nodes: Vec<NodeData>,
    /// Lists and maps that have not ended yet.
    pub(crate) open: Vec<Open>,
    /// By the parser's number for the anchor; `None` while the anchored node has not ended.
    anchors: HashMap<usize, Option<NodeId>>,
    /// Where each name is given to an anchor.
    pub(crate) anchor_names: HashMap<String, Span>,
    pub(crate) root: Option<NodeId>,
    documents: usize,
    /// The end of what has been read, in bytes.
    read_to: u32,
    /// Entries that merge keys have copied so far.
    merged: u64,
    /// A limit was exceeded, and reported.
    exceeded: bool,
    /// Comments, and quoted and block scalars.
    tabs_allowed: Vec<Range<u32>>,
}

pub(crate) struct Open {
    span: Span,
    tag: Tag,
    anchor: usize,
    pub(crate) is_map: bool,
    /// In brackets.
    pub(crate) flow: bool,
    pub(crate) children: Vec<Child>,
}

impl Builder<'_> {
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic.in_source(self.source));
    }

    fn read(&mut self, rewriting: &Rewriting<'_>) -> End {
        let options = granit_parser::options! {
            emit_unresolved_aliases: true,
            emit_anchor_events: true,
            block_scalar_eof_without_line_feed: true,
            bom_inside_document_as_content: true,
            max_buffered_comment_events: MAX_FILE_BYTES,
            flow_nesting_limit: MAX_DEPTH as usize,
            block_nesting_limit: MAX_DEPTH as usize,
        };
        for event in Parser::new_from_str_with_options(rewriting.text(), options) {
            let (event, span) = match event {
                Ok((event, span)) => (event, span),
                Err(error) => return End::Error(error),
            };
            let original = |span: granit_parser::Span| Span {
                start: rewriting.original_position(&span.start),
                end: rewriting.original_position(&span.end),
            };
            let tag_span = span.tag_span().map(original);
            let span = original(span);
            self.read_to = self.read_to.max(span.end.offset);
            if !self.take(event, span, tag_span) {
                return End::Limit;
            }
            if self.documents > 1 {
                break;
            }
        }
        End::Complete
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
    fn take(&mut self, event: Event<'_>, span: Span, tag_span: Option<Span>) -> bool {
        let tagged = tag_span.unwrap_or(span);
        if let Some(tag_span) = tag_span {
            self.check_end_of_tag(tag_span);
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let problem =
                        Diagnostic::error("a second document begins here, but the file must be one document");
                    let hint = "remove the line with `---`, or put the rest into a file of its own";
                    self.report(problem.at(span).hint(hint));
                }
                true
            }
            Event::Comment(..) => {
                self.tabs_allowed.push(span.start.offset..span.end.offset);
                true
            }
            Event::Anchor(_, name) => {
                self.check_anchor_name(&name, span);
                true
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                if !plain {
                    self.tabs_allowed.push(span.start.offset..span.end.offset);
                }
                // The parser shows a value that is not there as `~`.
                let text = if plain && span.start == span.end { "" } else { &*text };
                if plain {
                    self.check_plain(text, span, anchor > 0 || tag.is_some());
                }
                let tag = self.scalar_tag(tag.as_deref(), plain, text, span, tagged);
                let body = Body::Scalar { text: text.into(), plain };
                self.add(NodeData { span, tag, body, expanded: 1, depth: 1 }, anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                let tag = self.collection_tag(tag.as_deref(), Tag::List, tagged);
                self.open(Open {
                    span,
                    tag,
                    anchor,
                    is_map: false,
                    flow: style == StructureStyle::Flow,
                    children: Vec::new(),
                })
            }
            Event::MappingStart(style, anchor, tag) => {
                let tag = self.collection_tag(tag.as_deref(), Tag::Map, tagged);
                self.open(Open {
                    span,
                    tag,
                    anchor,
                    is_map: true,
                    flow: style == StructureStyle::Flow,
                    children: Vec::new(),
                })
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

    fn finish(&mut self) -> Option<Document> {
        if self.root.is_none() {
            let body = Body::Scalar { text: "".into(), plain: true };
            let tag = Tag::Null;
            self.add(NodeData { span: Span::default(), tag, body, expanded: 1, depth: 1 }, 0);
        }
        if self.schema == Schema::Safe {
            self.check_special();
        }
        let root = self.root?;
        Some(Document {
            source: Arc::clone(self.source),
            schema: self.schema,
            nodes: std::mem::take(&mut self.nodes),
            root,
        })
    }
}
