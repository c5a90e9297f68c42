//! Documents and their nodes.

use std::sync::Arc;

use crate::construct;
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::source::Source;
use crate::tag::Tag;
use crate::value::Value;

/// How scalars are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Schema {
    /// As PyYAML's `safe_load`: typed, with merge keys; unknown tags are errors.
    Safe,
    /// As PyYAML's `BaseLoader`: every scalar is the text that was written; `<<` is an ordinary key, tags mean nothing.
    Base,
}

/// One YAML document in memory. Nodes behind an alias are shared, not copied.
#[derive(Debug)]
pub struct Document {
    pub(crate) source: Arc<Source>,
    pub(crate) schema: Schema,
    pub(crate) nodes: Vec<NodeData>,
    pub(crate) root: NodeId,
}

/// Index into [`Document::nodes`].
pub(crate) type NodeId = u32;

/// A node in its place: where an alias stands there, the place is not the node's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    pub(crate) id: NodeId,
    pub(crate) alias: Option<Span>,
}

#[derive(Debug)]
pub(crate) struct NodeData {
    pub(crate) span: Span,
    pub(crate) tag: Tag,
    pub(crate) body: Body,
    /// Nodes in this one when every alias and merge is written out, itself included.
    pub(crate) expanded: u64,
    /// Levels below and including this one.
    pub(crate) depth: u32,
}

#[derive(Debug)]
pub(crate) enum Body {
    Scalar {
        text: Box<str>,
        plain: bool,
    },
    List(Vec<Child>),
    Map {
        /// As in the file.
        written: Vec<(Child, Child)>,
        /// With merges done and without repeated keys, where that makes a difference.
        effective: Option<Vec<(Child, Child)>>,
    },
}

impl Document {
    /// The outermost node; null for an empty file.
    pub fn root(&self) -> Node<'_> {
        Node { document: self, id: self.root, alias: None }
    }

    /// How its scalars are understood.
    pub fn schema(&self) -> Schema {
        self.schema
    }

    /// The text it was read from.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }
}

/// The general shape of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One value.
    Scalar,
    /// `[a, b]`.
    List,
    /// `{a: b}`.
    Map,
}

/// A node of a [`Document`]; cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Node<'d> {
    document: &'d Document,
    id: NodeId,
    alias: Option<Span>,
}

impl<'d> Node<'d> {
    pub(crate) fn data(self) -> &'d NodeData {
        // Ids are only made by the builder, for nodes of the same document.
        &self.document.nodes[self.id as usize]
    }

    fn child(self, child: Child) -> Self {
        Self { document: self.document, id: child.id, alias: child.alias }
    }

    pub(crate) fn tag(self) -> Tag {
        self.data().tag
    }

    /// Where it is written. Behind an alias that is the place of the anchor; see [`Node::place`].
    pub fn span(self) -> Span {
        self.data().span
    }

    /// Where it is used: the alias if there is one, else where it is written.
    pub fn place(self) -> Span {
        self.alias.unwrap_or_else(|| self.span())
    }

    /// Its general shape.
    pub fn kind(self) -> Kind {
        match self.data().body {
            Body::Scalar { .. } => Kind::Scalar,
            Body::List(_) => Kind::List,
            Body::Map { .. } => Kind::Map,
        }
    }

    /// The text of a scalar as it was written (the base view): `010` is `010`, and `yes` is `yes`.
    ///
    /// Quotes, escapes and line folding are resolved. An empty value has the empty text.
    pub fn text(self) -> Option<&'d str> {
        match &self.data().body {
            Body::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether it is a scalar without quotes or block marks.
    pub fn is_plain(self) -> bool {
        matches!(self.data().body, Body::Scalar { plain: true, .. })
    }

    /// Whether it is null, or nothing at all.
    pub fn is_null(self) -> bool {
        self.tag() == Tag::Null
    }

    /// Whether it could not be read; a diagnostic says why, and none need follow.
    pub fn is_broken(self) -> bool {
        self.tag() == Tag::Broken
    }

    /// What it is, for messages: `a list`, `the boolean yes`.
    pub fn description(self) -> String {
        let name = self.tag().name();
        match self.text() {
            Some(text) if !self.is_null() && text.chars().count() <= MAX_QUOTED_CHARS => {
                format!("{} `{text}`", name.replacen("an ", "the ", 1).replacen("a ", "the ", 1))
            }
            _ => name.to_owned(),
        }
    }

    /// The elements of a list; nothing for any other node.
    pub fn items(self) -> impl Iterator<Item = Self> + use<'d> {
        let items = match &self.data().body {
            Body::List(items) => items.as_slice(),
            _ => &[],
        };
        items.iter().map(move |item| self.child(*item))
    }

    /// The entries of a map as they count: merges done, and of a repeated key only the last value, at the place of the
    /// first. Nothing for any other node.
    pub fn entries(self) -> impl Iterator<Item = (Self, Self)> + use<'d> {
        let entries = match &self.data().body {
            Body::Map { effective: Some(entries), .. } => entries.as_slice(),
            Body::Map { written, .. } => written.as_slice(),
            _ => &[],
        };
        entries.iter().map(move |(key, value)| (self.child(*key), self.child(*value)))
    }

    /// The entries of a map as they are written, with `<<` and repeated keys. Nothing for any other node.
    pub fn written_entries(self) -> impl Iterator<Item = (Self, Self)> + use<'d> {
        let entries = match &self.data().body {
            Body::Map { written, .. } => written.as_slice(),
            _ => &[],
        };
        entries.iter().map(move |(key, value)| (self.child(*key), self.child(*value)))
    }

    /// The value of the key with this text, if this is a map that has it.
    pub fn get(self, key: &str) -> Option<Self> {
        self.entry(key).map(|(_, value)| value)
    }

    /// Key and value of the key with this text, if this is a map that has it.
    pub fn entry(self, key: &str) -> Option<(Self, Self)> {
        self.entries().find(|(name, _)| name.is_str() && name.text() == Some(key))
    }

    /// Whether it is a scalar that is a string.
    pub fn is_str(self) -> bool {
        matches!(self.tag(), Tag::Str | Tag::Value)
    }

    /// The value with its type under YAML 1.1; in the base schema, with strings only.
    ///
    /// What could not be read is null.
    pub fn safe(self) -> Value {
        let data = self.data();
        match &data.body {
            Body::Scalar { .. } if data.tag == Tag::Broken => Value::Null,
            Body::Scalar { text, .. } => construct::scalar(data.tag, text).unwrap_or(Value::Null),
            Body::List(_) if matches!(data.tag, Tag::OrderedMap | Tag::Pairs) => {
                let pairs = self.items().filter_map(|item| item.written_entries().next());
                Value::Pairs(pairs.map(|(key, value)| (key.safe(), value.safe())).collect())
            }
            Body::List(_) => Value::List(self.items().map(Self::safe).collect()),
            Body::Map { .. } if data.tag == Tag::Set => {
                Value::Set(self.entries().map(|(key, _)| key.safe()).collect())
            }
            Body::Map { .. } => {
                Value::Map(self.entries().map(|(key, value)| (key.safe(), value.safe())).collect())
            }
        }
    }

    /// The value with nothing but texts, lists and maps, as PyYAML's `BaseLoader` gives it. (With merges done, if the
    /// document was read in the safe schema.)
    pub fn base(self) -> Value {
        match &self.data().body {
            Body::Scalar { text, .. } => Value::Str(text.to_string()),
            Body::List(_) => Value::List(self.items().map(Self::base).collect()),
            Body::Map { .. } => {
                Value::Map(self.entries().map(|(key, value)| (key.base(), value.base())).collect())
            }
        }
    }

    /// A diagnostic about this node.
    pub fn diagnostic(self, severity: Severity, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(severity, message).in_source(&self.document.source).at(self.place())
    }

    /// An error about this node.
    pub fn error(self, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Error, message)
    }

    /// A warning about this node.
    pub fn warning(self, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Warning, message)
    }
}

/// Longer scalars are described, not quoted.
const MAX_QUOTED_CHARS: usize = 40;
