//! Every element of KIWI's schema (8.5) as a struct: its attributes, its text and the elements in it, each with its type and
//! its place. They are filled once, when a description is read; behind that nobody asks for a text by its name.
//!
//! `element!` takes the list of an element's fields and makes the struct, its reader and its [entries](Entry). A text that
//! the schema refuses (which was said then) is no value: the field is empty, and `refused` keeps it for those who show what
//! is written. `elsewhere` names elements that have a place of their own in the [`Model`](super::Model).

mod container;
mod disk;
mod image;
mod kind;
mod loader;
mod machine;
mod oem;

pub use container::{
    Argument, Command, ContainerConfig, Environment, Expose, ExposedPort, History, Labels, NamedValue,
};
pub use disk::{
    Dracut, Initrd, InstallMedia, LuksFormat, LuksOption, Partition, Partitions, Size, SystemDisk,
    VagrantConfig, Volume, Volumes,
};
pub use image::{
    Archive, Certificate, Certificates, CollectionModule, Container, Containers, Description, Drivers, File,
    Image, NamedPackage, Package, Packages, Preferences, Profile, Profiles, Repository, Requires, Signing,
    Source, Strip, User, Users,
};
pub use kind::Type;
pub use loader::{Bootloader, BootloaderOption, BootloaderSettings, HostKey, SecureLinux};
pub use machine::{Machine, VmDisk, VmDvd, VmNic};
pub use oem::OemConfig;

use super::lexical::Lexical;
use crate::describe::Span;

/// A value, as it is written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<T> {
    /// The value.
    pub value: T,
    /// Its text, without blanks around it.
    pub text: String,
    /// Where: an attribute with its name, or the start tag of an element with text.
    pub span: Span,
    /// The value of the attribute alone, or all of the element.
    pub whole: Span,
    /// How many attributes, or elements, its element has in front of it.
    pub(crate) at: usize,
}

/// The value of a field, where there is one.
pub fn value<T: Copy>(said: &Option<Said<T>>) -> Option<T> {
    said.as_ref().map(|said| said.value)
}

/// The text of a field, where there is one.
pub fn text(said: &Option<Said<String>>) -> Option<&str> {
    said.as_ref().map(|said| said.value.as_str())
}

/// Whether a field says yes.
pub fn is_set(said: &Option<Said<bool>>) -> bool {
    value(said).unwrap_or(false)
}

/// What the schema refuses, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// From the element that has it: `@name`, `/element@name`, or nothing for its own text.
    pub path: String,
    /// Its text, without blanks around it.
    pub text: String,
    /// Where.
    pub span: Span,
    /// How many attributes, or elements, the element has in front of it.
    pub(crate) at: usize,
}

/// A text of a description, in the form in which all of them are listed.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Elements and attribute: `type@filesystem`, `type/oemconfig/oem-resize`.
    pub path: String,
    /// As it is written, without blanks around it.
    pub text: &'a str,
    /// What it means; `None`: the schema refuses it.
    pub value: Option<&'a dyn Lexical>,
    /// Where.
    pub span: &'a Span,
}

impl Entry<'_> {
    /// Whether it is the empty text of an element, which says nothing.
    pub fn is_blank(&self) -> bool {
        self.text.is_empty() && !self.path.contains('@')
    }
}

/// What elements are read out of: the tree of a front-end.
pub(crate) trait Written {
    /// The name of the element.
    fn name(&self) -> &str;
    /// Its start tag.
    fn span(&self) -> &Span;
    /// All of it.
    fn whole(&self) -> &Span;
    /// Name, text and place of its attributes, the latter with the name and without.
    fn attributes(&self) -> impl Iterator<Item = (&str, &str, [&Span; 2])>;
    /// Its text without blanks around it.
    fn text(&self) -> &str;
    /// The elements in it, without those of others.
    fn children(&self) -> impl Iterator<Item = &Self>;
}

/// An element.
pub(crate) trait Part: Sized {
    /// Reads it, so many elements being in front of it; `None`: its text is no value.
    fn read<W: Written>(node: &W, at: usize) -> Option<Self>;
    /// How many elements are in front of it.
    fn at(&self) -> usize;
    /// Adds all that it says, `path` being its own: attributes, its text, the elements in it, each in the order of the
    /// description.
    fn list<'a>(&'a self, path: &str, entries: &mut Vec<Entry<'a>>);
}

/// An element of text alone.
impl<T: Lexical> Part for Said<T> {
    fn read<W: Written>(node: &W, at: usize) -> Option<Said<T>> {
        let text = node.text();
        let alone = node.attributes().next().is_none() && node.children().next().is_none();
        let value = T::of(text).filter(|_| alone)?;
        let (span, whole) = (node.span().clone(), node.whole().clone());
        Some(Said { value, text: text.to_owned(), span, whole, at })
    }

    fn at(&self) -> usize {
        self.at
    }

    fn list<'a>(&'a self, path: &str, entries: &mut Vec<Entry<'a>>) {
        entries.push(self.entry(path.to_owned()));
    }
}

impl<T: Lexical> Said<T> {
    fn entry(&self, path: String) -> Entry<'_> {
        Entry { path, text: &self.text, value: Some(&self.value), span: &self.span }
    }
}

/// Room for elements of one name.
trait Room {
    type Part: Part;
    /// Takes an element in; whether there was room, and it could be read.
    fn add<W: Written>(&mut self, node: &W, at: usize) -> bool;
    fn parts(&self) -> impl Iterator<Item = &Self::Part>;
}

impl<P: Part> Room for Option<P> {
    type Part = P;

    fn add<W: Written>(&mut self, node: &W, at: usize) -> bool {
        if self.is_some() {
            return false;
        }
        *self = P::read(node, at);
        self.is_some()
    }

    fn parts(&self) -> impl Iterator<Item = &P> {
        self.iter()
    }
}

impl<P: Part> Room for Vec<P> {
    type Part = P;

    fn add<W: Written>(&mut self, node: &W, at: usize) -> bool {
        let part = P::read(node, at);
        let good = part.is_some();
        self.extend(part);
        good
    }

    fn parts(&self) -> impl Iterator<Item = &P> {
        self.iter()
    }
}

/// Puts a value where none is yet; whether it is one.
fn fill<T: Lexical>(field: &mut Option<Said<T>>, text: &str, [span, whole]: [&Span; 2], at: usize) -> bool {
    let text = text.trim();
    let Some(value) = T::of(text).filter(|_| field.is_none()) else { return false };
    let (span, whole) = (span.clone(), whole.clone());
    *field = Some(Said { value, text: text.to_owned(), span, whole, at });
    true
}

/// Most texts of an element that are kept although the schema refuses them, and most characters of a strange name.
const MOST_REFUSED: usize = 500;
const LONGEST_NAME: usize = 64;

/// Keeps a text, as far as there is reason to.
fn keep(refused: &mut Vec<Refused>, path: String, text: &str, span: &Span, at: usize) {
    if refused.len() < MOST_REFUSED {
        refused.push(Refused { path, text: text.trim().to_owned(), span: span.clone(), at });
    }
}

/// The path of an attribute (`@`) or element (`/`) that the schema may not know.
fn stranger(path: &str, sign: char, name: &str) -> String {
    name.chars().take(LONGEST_NAME).fold(format!("{path}{sign}"), |mut path, c| {
        path.push(c);
        path
    })
}

/// Keeps an element and all in it, as it is written.
fn refuse<W: Written>(node: &W, path: &str, at: usize, refused: &mut Vec<Refused>) {
    for (name, text, [span, _]) in node.attributes() {
        keep(refused, stranger(path, '@', name), text, span, at);
    }
    if !node.text().is_empty() {
        keep(refused, path.to_owned(), node.text(), node.span(), at);
    }
    node.children().for_each(|child| refuse(child, &stranger(path, '/', child.name()), at, refused));
}

/// Entries, and how many attributes or elements are in front of them.
type Placed<'a> = Vec<(usize, Vec<Entry<'a>>)>;

/// In the order of the description.
fn ordered<'a>(mut placed: Placed<'a>, entries: &mut Vec<Entry<'a>>) {
    placed.sort_by_key(|(at, _)| *at);
    entries.extend(placed.into_iter().flat_map(|(_, list)| list));
}

/// What is refused of an element: its attributes (`@`), its elements (`/`), or its text (neither).
fn refused_entries<'a>(refused: &'a [Refused], path: &str, sign: &str) -> Placed<'a> {
    let here =
        refused.iter().filter(|one| one.path.starts_with(sign) && one.path.is_empty() == sign.is_empty());
    let entry = |one: &'a Refused| {
        let path = format!("{path}{}", one.path);
        (one.at, vec![Entry { path, text: &one.text, value: None, span: &one.span }])
    };
    here.map(entry).collect()
}

/// The name of a field: its own, or the one that is given.
macro_rules! name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $name:literal) => {
        $name
    };
}

/// Structs of elements.
macro_rules! element {
    ($($(#[$doc:meta])* $element:ident {
        $(attributes { $($attribute:ident $(= $aname:literal)? : $atype:ty),* $(,)? })?
        $(text: $ttype:ty;)?
        $(elements { $($child:ident $(= $cname:literal)? : $ctype:ty),* $(,)? })?
        $(elsewhere { $($other:literal),* $(,)? })?
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $element {
            /// Its start tag.
            pub span: Span,
            $($(
                #[doc = concat!("`", $crate::model::elements::name!($attribute $($aname)?), "`")]
                pub $attribute: Option<Said<$atype>>,
            )*)?
            $(
                /// Its text.
                pub text: Option<Said<$ttype>>,
            )?
            $($(
                #[doc = concat!("`<", $crate::model::elements::name!($child $($cname)?), ">`")]
                pub $child: $ctype,
            )*)?
            /// What the schema refuses in it, as it is written.
            pub refused: Vec<$crate::model::elements::Refused>,
            /// How many elements are in front of it.
            pub(crate) at: usize,
        }

        impl $element {
            /// All that it says under its path, in the order of the description.
            pub fn entries(&self, path: &str) -> Vec<$crate::model::elements::Entry<'_>> {
                let mut entries = Vec::new();
                $crate::model::elements::Part::list(self, path, &mut entries);
                entries
            }
        }

        impl $crate::model::elements::Part for $element {
            fn read<W: $crate::model::elements::Written>(node: &W, at: usize) -> Option<$element> {
                #[allow(unused_imports, reason = "not every element has fields of all kinds")]
                use $crate::model::elements::{Room, Written, fill, keep, name, refuse, stranger};
                let mut element = $element { span: node.span().clone(), at, ..$element::default() };
                for (at, (name, text, spans)) in node.attributes().enumerate() {
                    let taken = match name {
                        $($(_ if name == name!($attribute $($aname)?) => fill(&mut element.$attribute, text, spans, at),)*)?
                        _ => false,
                    };
                    if !taken {
                        keep(&mut element.refused, stranger("", '@', name), text, spans[0], at);
                    }
                }
                let text = node.text();
                let taken = text.is_empty() $(|| fill::<$ttype>(&mut element.text, text, [node.span(), node.whole()], 0))?;
                if !taken {
                    keep(&mut element.refused, String::new(), text, node.span(), 0);
                }
                for (at, child) in node.children().enumerate() {
                    let taken = match child.name() {
                        $($(name if name == name!($child $($cname)?) => element.$child.add(child, at),)*)?
                        $($($other => true,)*)?
                        _ => false,
                    };
                    if !taken {
                        refuse(child, &stranger("", '/', child.name()), at, &mut element.refused);
                    }
                }
                Some(element)
            }

            fn at(&self) -> usize {
                self.at
            }

            fn list<'a>(&'a self, path: &str, entries: &mut Vec<$crate::model::elements::Entry<'a>>) {
                #[allow(unused_imports, reason = "the same")]
                use $crate::model::elements::{Part, Room, name, ordered, refused_entries};
                #[allow(unused_mut, reason = "the same")]
                let mut attributes = refused_entries(&self.refused, path, "@");
                $($(if let Some(said) = &self.$attribute {
                    let path = format!("{path}@{}", name!($attribute $($aname)?));
                    attributes.push((said.at, vec![said.entry(path)]));
                })*)?
                ordered(attributes, entries);
                ordered(refused_entries(&self.refused, path, ""), entries);
                $(if let Some(said) = &self.text as &Option<Said<$ttype>> {
                    entries.push(said.entry(path.to_owned()));
                })?
                #[allow(unused_mut, reason = "the same")]
                let mut elements = refused_entries(&self.refused, path, "/");
                $($(for part in self.$child.parts() {
                    let mut below = Vec::new();
                    part.list(&format!("{path}/{}", name!($child $($cname)?)), &mut below);
                    elements.push((part.at(), below));
                })*)?
                ordered(elements, entries);
            }
        }
    )*};
}

use {element, name};
