//! What is wrong with a description, and where.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Most problems that are kept: nobody reads more.
const MOST_SHOWN: usize = 200;

/// A range of bytes in a file of a description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub source: Arc<SourceText>,
    /// Bytes of its text.
    pub range: Range<usize>,
}

/// Whether it stops the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The description is refused.
    Error,
    /// The description is used; this is what the user should know.
    Warning,
}

/// One thing about a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the work.
    pub severity: Severity,
    /// Stable and short, to match on: `unsupported`, `unknown-attribute`.
    pub code: &'static str,
    /// In bytes of the file.
    pub span: Range<usize>,
    /// Lower case, no full stop, values after a colon.
    pub message: String,
    /// What to change.
    pub hint: Option<String>,
    /// What is not supported yet, where nothing else is wrong.
    pub lack: Option<Box<Lack>>,
    /// The file: what the span points into.
    pub source: Arc<SourceText>,
}

/// Something that is not supported yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lack {
    /// The part of the description, as the table of the schema writes it, from the last element on: `type@luks`,
    /// `bootloader@name=grub2`, `oem-swap`.
    pub part: String,
    /// What it would need; empty where the part says it.
    pub feature: String,
}

impl Lack {
    /// A part, and what it would need.
    pub fn new(part: impl Into<String>, feature: impl Into<String>) -> Lack {
        Lack { part: part.into(), feature: feature.into() }
    }
}

/// `PART (FEATURE)`
impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.feature.as_str() {
            "" => f.write_str(&self.part),
            feature => write!(f, "{} ({feature})", self.part),
        }
    }
}

/// `FILE:LINE:COLUMN: error: MESSAGE`
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { message, source, .. } = self;
        let (file, (line, column)) = (&source.file, self.position());
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{file}:{line}:{column}: {severity}: {message}")
    }
}

/// A file of a description: what spans point into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceText {
    /// As the user named it.
    pub file: String,
    /// Its text.
    pub text: String,
}

impl Span {
    /// An error here.
    pub fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Error, code, message.into())
    }

    /// A warning here.
    pub fn warning(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Warning, code, message.into())
    }

    /// Line and column, both from 1; the column in characters.
    pub fn position(&self) -> (usize, usize) {
        let text = &self.source.text;
        let before = text.get(..self.range.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    fn diagnostic(&self, severity: Severity, code: &'static str, message: String) -> Diagnostic {
        Diagnostic {
            severity,
            code,
            span: self.range.clone(),
            message: printable(&message),
            hint: None,
            lack: None,
            source: self.source.clone(),
        }
    }
}

/// `FILE:LINE`
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source.file, self.position().0)
    }
}

impl Diagnostic {
    /// The same because something is not supported yet.
    pub fn lack(self, lack: Lack) -> Diagnostic {
        Diagnostic { lack: Some(Box::new(lack)), ..self }
    }

    /// Line and column, both from 1; the column in characters. They are counted when they are asked for: of problems
    /// without number few are shown.
    pub fn position(&self) -> (usize, usize) {
        Span { source: self.source.clone(), range: self.span.clone() }.position()
    }

    /// The same with advice.
    pub fn hint(self, hint: impl Into<String>) -> Diagnostic {
        Diagnostic { hint: Some(printable(&hint.into())), ..self }
    }
}

/// Text of a stranger, safe for a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c.is_control() {
            true => c.escape_default().collect::<Vec<char>>(),
            false => vec![c],
        })
        .collect()
}

/// All that is wrong with a description, in the order of its text; what it includes comes behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// Errors and warnings.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Sorted by place; what is said twice is said once.
    pub fn new(list: Vec<Diagnostic>) -> Diagnostics {
        let mut files: Vec<String> = Vec::new();
        for one in &list {
            if !files.contains(&one.source.file) {
                files.push(one.source.file.clone());
            }
        }
        let key = |one: &Diagnostic| {
            let file = files.iter().position(|file| *file == one.source.file);
            (file, one.span.start, one.span.end, one.message.clone())
        };
        let mut list = list;
        list.sort_by_cached_key(key);
        list.dedup();
        if list.len() > MOST_SHOWN {
            // Errors count more than warnings, and those in front more than those behind.
            let mut order: Vec<usize> = (0..list.len()).collect();
            order.sort_by_key(|&at| (list[at].severity, at));
            order.truncate(MOST_SHOWN);
            order.sort_unstable();
            list = order.into_iter().map(|at| list[at].clone()).collect();
        }
        Diagnostics { list }
    }

    /// Whether any of them stops the work.
    pub fn stop(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// As text with the lines of the file and carets below them.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let texts = self.list.iter().map(|diagnostic| renderer.render(&[self.group(diagnostic)]));
        texts.collect::<Vec<String>>().join("\n\n")
    }

    fn group<'a>(&self, diagnostic: &'a Diagnostic) -> Group<'a> {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let (window, span) = window(&diagnostic.source.text, &diagnostic.span);
        let span = AnnotationKind::Primary.span(span);
        let snippet =
            Snippet::source(window).line_start(diagnostic.position().0).path(&diagnostic.source.file);
        let snippet = snippet.annotation(span);
        let group = level.primary_title(&diagnostic.message).id(diagnostic.code).element(snippet);
        match &diagnostic.hint {
            Some(hint) => group.element(Level::HELP.message(hint)),
            None => group,
        }
    }
}

/// The lines of a text that a span is in, and the span in them: a picture costs what it shows, and not what the file is.
fn window<'a>(text: &'a str, span: &Range<usize>) -> (&'a str, Range<usize>) {
    let (Some(before), Some(_)) = (text.get(..span.start), text.get(span.clone())) else {
        return ("", 0..0);
    };
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let end = text[span.end..].find('\n').map_or(text.len(), |at| span.end + at);
    (&text[start..end], span.start - start..span.end - start)
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.iter().try_for_each(|diagnostic| writeln!(f, "{diagnostic}"))
    }
}

impl std::error::Error for Diagnostics {}
