//! What is wrong with a description, and where.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A range of bytes in a description.
pub type Span = Range<usize>;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether it stops the work.
    pub severity: Severity,
    /// Stable and short, to match on: `unsupported`, `unknown-attribute`.
    pub code: &'static str,
    /// The file, as the user named it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// In bytes of the file.
    pub span: Span,
    /// Lower case, no full stop, values after a colon.
    pub message: String,
    /// What to change.
    pub hint: Option<String>,
}

/// `FILE:LINE:COLUMN: error: MESSAGE`
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { file, line, column, message, .. } = self;
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

impl SourceText {
    /// An error at `span`.
    pub fn error(&self, code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Error, code, span, message.into())
    }

    /// A warning at `span`.
    pub fn warning(&self, code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Warning, code, span, message.into())
    }

    fn diagnostic(&self, severity: Severity, code: &'static str, span: Span, message: String) -> Diagnostic {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Diagnostic {
            severity,
            code,
            file: self.file.clone(),
            line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span,
            message: printable(&message),
            hint: None,
        }
    }
}

impl Diagnostic {
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

/// All that is wrong with a description, in the order of its text, and the text itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// What the spans point into.
    pub source: Arc<SourceText>,
    /// Errors and warnings.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Sorted by place; what is said twice is said once.
    pub fn new(source: Arc<SourceText>, mut list: Vec<Diagnostic>) -> Diagnostics {
        list.sort_by(|a, b| {
            (a.span.start, a.span.end, &a.message).cmp(&(b.span.start, b.span.end, &b.message))
        });
        list.dedup();
        Diagnostics { source, list }
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

    fn group<'a>(&'a self, diagnostic: &'a Diagnostic) -> Group<'a> {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let span = AnnotationKind::Primary.span(diagnostic.span.clone());
        let snippet = Snippet::source(&self.source.text).path(&self.source.file).annotation(span);
        let group = level.primary_title(&diagnostic.message).element(snippet);
        match &diagnostic.hint {
            Some(hint) => group.element(Level::HELP.message(hint)),
            None => group,
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.iter().try_for_each(|diagnostic| writeln!(f, "{diagnostic}"))
    }
}

impl std::error::Error for Diagnostics {}
