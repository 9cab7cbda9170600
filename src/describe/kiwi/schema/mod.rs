//! KIWI's schema (8.5) as a table, and what becomes of each part of it here.
//!
//! Every element and attribute is a row: under which element, how often, which values, and its [`State`]. What is in no
//! row is unknown. Closed lists of words, and what a text has to be to be a value, are those of the [model](crate::model::words),
//! which has a field for each row. A row says [`State::Used`] only if a test changes its value and sees another plan, tree or image.
//! Source: KIWI NG 10.3.9 `schema/kiwi.rnc`, and the attributes that 11.1.6 has more ([`NEWER`]).

mod image;
mod kind;
pub(super) mod rules;
mod values;

pub(super) use image::IMAGE;
pub(super) use kind::TYPE;
pub(super) use values::Wrong;

use diskwright_formats::registry::find_disk;
use diskwright_fstools::registry::find;
use std::fmt;

/// What becomes of an element, an attribute or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It changes the plan, the tree or the image.
    Used,
    /// It is read and changes no image; why.
    Recorded(&'static str),
    /// It is read and changes nothing here, which is worth a warning; why.
    Noted(&'static str),
    /// It shapes the tree, which is not done yet: `build` refuses it, `create` is given a tree; what it is.
    Shapes(&'static str),
    /// It may be false or 0; what it is else, which is not supported yet.
    Off(&'static str),
    /// It is not supported yet; what it is.
    Refused(&'static str),
    /// It is used if the name is that of a file system or disk format that is written here.
    Written,
    /// That of what it belongs to.
    Same,
}

impl State {
    /// `used`, `recorded` or `refused`.
    pub fn name(self) -> &'static str {
        match self {
            State::Used | State::Written | State::Same => "used",
            State::Recorded(_) | State::Noted(_) | State::Shapes(_) => "recorded",
            State::Off(_) | State::Refused(_) => "refused",
        }
    }

    /// Why it is recorded or refused.
    pub fn why(self) -> &'static str {
        match self {
            State::Used | State::Written | State::Same => "",
            State::Recorded(why)
            | State::Noted(why)
            | State::Shapes(why)
            | State::Off(why)
            | State::Refused(why) => why,
        }
    }

    /// The same for this value: what may be off is only read where it is.
    pub fn name_with(self, value: &str) -> &'static str {
        match self {
            State::Off(_) if State::is_off(value) => "recorded",
            state => state.name(),
        }
    }

    /// Whether a value says that something is not wanted.
    pub(super) fn is_off(value: &str) -> bool {
        matches!(value.trim(), "false" | "0" | "0M" | "0G")
    }

    pub(super) fn or(self, outer: State) -> State {
        if self == State::Same { outer } else { self }
    }
}

/// Which values an attribute or a text may have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Text,
    Boolean,
    /// `xs:nonNegativeInteger`
    Number,
    /// `xs:integer`
    Integer,
    /// `xs:integer` from 2048.
    StartSector,
    /// Decimal digits.
    Digits,
    /// Letters, digits, `_`, `-` and `.`.
    PosixName,
    /// The same, at most 32.
    ShortName,
    /// ECMA-119 a-characters and lower case letters, at most 128.
    IsoText,
    Locale,
    /// `N`, `NM`, `NG`
    PartitionSize,
    /// The same, or `all`.
    VolumeSize,
    /// `N` or `all`, or nothing.
    Blocks,
    /// A comma list of machines.
    Arches,
    Guid,
    Groups,
    /// `N`, `N/udp`, `N/tcp`
    Port,
    GrubOutput,
    GrubInput,
    FsAttributes,
    /// Four numbers of 16 bits.
    PackageVersion,
    Mac,
    /// `file:`, `this:`, `http:`, `https:`, `ftp:`
    Uri,
    OneOf(&'static [&'static str]),
    /// The same where their states differ.
    Each(&'static [(&'static str, State)]),
    /// The same, or one of a disk in a container: `oci:qcow2`.
    DiskFormat(&'static [(&'static str, State)]),
}

/// An attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) value: Value,
    pub(super) state: State,
    pub(super) required: bool,
    /// Of `type`: the values of `image` that have it, with blanks between; empty: all.
    pub(super) only: &'static str,
}

/// How often an element may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occurs {
    One,
    Optional,
    Several,
    Any,
}

/// What is between the tags.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    Empty,
    Elements,
    Holds(Value),
    /// Elements of other namespaces.
    Foreign,
}

/// An element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub(super) name: &'static str,
    pub(super) content: Content,
    pub(super) state: State,
    pub(super) attributes: &'static [Attribute],
    pub(super) children: &'static [(Occurs, &'static Element)],
}

const fn element(name: &'static str, content: Content, state: State) -> Element {
    Element { name, content, state, attributes: &[], children: &[] }
}

const fn at(name: &'static str, value: Value, state: State) -> Attribute {
    Attribute { name, value, state, required: false, only: "" }
}

impl Attribute {
    const fn required(self) -> Attribute {
        Attribute { required: true, ..self }
    }

    const fn only(self, only: &'static str) -> Attribute {
        Attribute { only, ..self }
    }
}

impl Element {
    const fn attributes(self, attributes: &'static [Attribute]) -> Element {
        Element { attributes, ..self }
    }

    const fn children(self, children: &'static [(Occurs, &'static Element)]) -> Element {
        Element { children, ..self }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn child(&self, name: &str) -> Option<&'static Element> {
        self.children.iter().map(|(_, child)| *child).find(|child| child.name == name)
    }
}

impl Value {
    /// The values of a closed list, each with its state.
    pub(super) fn words(&self, outer: State) -> Vec<(&'static str, State)> {
        match self {
            Value::OneOf(words) => words.iter().map(|word| (*word, outer)).collect(),
            Value::Each(words) | Value::DiskFormat(words) => {
                words.iter().map(|(word, state)| (*word, state.or(outer))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A text that is a value.
    fn example(&self) -> &'static str {
        match self {
            Value::Text => "text",
            Value::Boolean => "true",
            Value::Number | Value::Integer | Value::Digits | Value::Blocks => "1",
            Value::StartSector => "2048",
            Value::PosixName | Value::ShortName | Value::IsoText | Value::Groups => "name",
            Value::Locale => "en_US",
            Value::PartitionSize | Value::VolumeSize => "100M",
            Value::Arches => "x86_64",
            Value::Guid => "01234567-89ab-cdef-0123-456789abcdef",
            Value::Port => "80/tcp",
            Value::GrubOutput => "serial gfxterm",
            Value::GrubInput => "serial console",
            Value::FsAttributes => "no-copy-on-write",
            Value::PackageVersion => "1.2.3.4",
            Value::Mac => "00:0c:6e:aa:57:2f",
            Value::Uri => "file:///key",
            Value::OneOf(words) => words.first().copied().unwrap_or(""),
            Value::Each(words) | Value::DiskFormat(words) => words.last().map_or("", |(word, _)| *word),
        }
    }

    /// What becomes of this value.
    pub(super) fn state(&self, value: &str, outer: State) -> State {
        let container = ["oci:", "docker:"].iter().any(|prefix| value.starts_with(prefix));
        if matches!(self, Value::DiskFormat(_)) && container {
            return State::Refused("disks in containers");
        }
        let found = self.words(outer).into_iter().find(|(word, _)| *word == value);
        match found {
            Some((name, State::Written)) if find(name).is_none() && find_disk(name).is_none() => {
                State::Refused("")
            }
            Some((_, State::Written)) => State::Used,
            Some((_, state)) => state,
            None => outer,
        }
    }
}

/// Rows of KIWI 11 that schema 8.5 of KIWI 10 does not have.
pub const NEWER: &[&str] = &[
    "image/preferences/type@efimountoptions",
    "image/preferences/type@apply_dps_codes",
    "image/preferences/type@overlayroot_readonly_createoptions",
];

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `image/preferences/type@image=oem`: elements, the attribute, and the value where values differ.
    pub path: String,
    /// Whether it must be there.
    pub required: bool,
    /// Whether it may be there more than once.
    pub repeats: bool,
    /// The words that it may be; empty where they are no closed list.
    pub words: Vec<&'static str>,
    /// A value that it may have; `None` for an element without text.
    pub example: Option<&'static str>,
    /// What becomes of it.
    pub state: State,
}

/// `PATH STATE: WHY`
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.state.name())?;
        match self.state.why() {
            "" => Ok(()),
            why => write!(f, ": {why}"),
        }
    }
}

/// All rows, those of an element in front of those in it.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    element_rows(&IMAGE, "", (true, false), State::Used, &mut rows);
    rows
}

fn element_rows(
    element: &Element,
    above: &str,
    (required, repeats): (bool, bool),
    outer: State,
    rows: &mut Vec<Row>,
) {
    let path = if above.is_empty() { element.name.to_owned() } else { format!("{above}/{}", element.name) };
    let state = element.state.or(outer);
    match element.content {
        Content::Holds(value) => value_rows(&path, value, state, (required, repeats), rows),
        Content::Empty | Content::Elements | Content::Foreign => {
            rows.push(Row { path: path.clone(), required, repeats, words: Vec::new(), example: None, state });
        }
    }
    for attribute in element.attributes {
        let path = format!("{path}@{}", attribute.name);
        value_rows(&path, attribute.value, attribute.state.or(state), (attribute.required, false), rows);
    }
    for (occurs, child) in element.children {
        let often = (
            matches!(occurs, Occurs::One | Occurs::Several),
            matches!(occurs, Occurs::Several | Occurs::Any),
        );
        element_rows(child, &path, often, state, rows);
    }
}

fn value_rows(
    path: &str,
    value: Value,
    state: State,
    (required, repeats): (bool, bool),
    rows: &mut Vec<Row>,
) {
    let words = value.words(state);
    let names = words.iter().map(|(word, _)| *word).collect();
    let example = Some(value.example());
    rows.push(Row { path: path.to_owned(), required, repeats, words: names, example, state });
    if words.iter().any(|(_, other)| *other != state) {
        let one = |(word, _): &(&'static str, State)| Row {
            path: format!("{path}={word}"),
            required: false,
            repeats: false,
            words: Vec::new(),
            example: Some(word),
            state: value.state(word, state),
        };
        rows.extend(words.iter().map(one));
    }
}
