//! What each code of a [`Diagnostic`](super::Diagnostic) means, at more length than a message has.

/// Codes, what they mean, and what to do.
pub const CODES: &[(&str, &str)] = &[
    (
        "bad-value",
        "A value is not what its attribute or element takes: a word that is not in the list, a text that is no number, a size \
         with a unit that does not exist.\n\nClosed lists, numbers, sizes, names and truth values are those of KIWI's schema. \
         Truth values are true, false, 1 and 0, and nothing else. Some values are legal in KIWI and make no sense on any disk \
         (a size of nothing, two partitions at one mount point); they have this code, too.",
    ),
    (
        "check",
        "One of the checks that KIWI runs before it builds (its runtime checks) fails: no single attribute is wrong, but what \
         is selected does not go together.\n\nThe name in brackets is that of the check in KIWI. Run `diskwright info` to see what is selected. A check can be switched off by its \
         name in the runtime configuration (runtime_checks: disable).",
    ),
    (
        "clone",
        "Clones would not stay what they are: copies that nothing takes for their origin.\n\nA clone has the label of its origin, so \
         that a system that finds its file systems by label may take the clone; and a root that grows at the first boot is no \
         longer as long as its clones. KIWI checks neither.",
    ),
    (
        "differs",
        "The description is used, and diskwright does something else with it than KIWI does, because what KIWI does is a mistake \
         there. The message says what happens here.",
    ),
    (
        "dropped",
        "An older schema version had this, and a later one dropped it. KIWI takes it away in silence. It has no effect.",
    ),
    (
        "duplicate",
        "Something is there twice that may be there once: an element, a partition name, a mount point, an image type in what \
         is selected.",
    ),
    (
        "duplicate-key",
        "In YAML or JSON a key is there twice in one place. KIWI's reader keeps the last one and forgets the others without a \
         word; so does diskwright, with this one. Elements that repeat are a list below one key. In a runtime configuration \
         file the first one counts.",
    ),
    (
        "include",
        "A file that is included cannot be read. `file:///PATH` is absolute; `this://PATH` and a path that does not start with / \
         start at the directory of the description.",
    ),
    (
        "missing-attribute",
        "An element lacks an attribute that KIWI's schema requires of it, or that what it says elsewhere makes necessary.",
    ),
    (
        "missing-element",
        "An element is missing that KIWI's schema requires, or that an image cannot be made without: a version, a type.",
    ),
    (
        "needs-preparation",
        "The root tree has to be made first: packages, users and settings go into a tree. `diskwright build` cannot do this \
         yet. `diskwright create DESCRIPTION --root TREE` takes a tree that another tool made.",
    ),
    (
        "nested-include",
        "A file that is included includes another one. KIWI goes one level deep; so does diskwright.",
    ),
    ("no-effect", "This is read, and changes nothing in the image that is made here. The message says why."),
    (
        "not-an-image",
        "The file is well-formed, and no image description: its root element (or, in YAML, JSON and TOML, its only key at the top) \
         is not `image`.",
    ),
    (
        "not-here",
        "KIWI knows this attribute or element, and does not allow it here: it belongs to other image types, to another loader, or \
         needs something beside it.",
    ),
    ("not-json", "The file is no JSON (RFC 8259): no comments, no commas at the end of lists."),
    ("not-toml", "The file is no TOML 1.1."),
    ("not-utf8", "The file is no UTF-8 text. The place is that of the first byte that cannot be."),
    (
        "not-xml",
        "The file is no well-formed XML 1.0, or it has a document type definition, which descriptions do not need.",
    ),
    ("not-yaml", "The file is no YAML 1.2, holds several documents, or has keys that are no text."),
    (
        "refused",
        "The description is good, and the tree does not go with it: most often it does not fit. The hint says the size that would \
         do, and where to write it.",
    ),
    (
        "too-large",
        "A limit that keeps hostile files from taking all memory: 4 MiB a file, 32768 elements and attributes, 32 elements in one \
         another, 64 includes. No description that people write comes near.",
    ),
    (
        "unexpected-text",
        "There is text where KIWI's schema has only elements, or nothing. Often it is the rest of a tag.",
    ),
    (
        "unknown-attribute",
        "KIWI's schema (8.5, after all upgrades) has no such attribute at this element. Names are case-sensitive. \
         What older versions had is renamed or dropped if schemaversion says that the description is that old.",
    ),
    (
        "unknown-element",
        "KIWI's schema (8.5, after all upgrades) has no such element in this one. Data of others goes into `extension`, in a \
         namespace of its own.",
    ),
    (
        "unknown-key",
        "KIWI reads no such section or key of a runtime configuration file; it ignores it without a word. Names are \
         case-sensitive, and a key counts in its own section alone.",
    ),
    (
        "unquoted-number",
        "In YAML, JSON and TOML a number without quotes is a number, and KIWI's reader writes it its own way: 1.10 becomes 1.1, \
         0644 becomes 420. diskwright keeps what is written. With quotes both do.",
    ),
    (
        "unsupported",
        "KIWI can do this and diskwright cannot yet. `diskwright info --support DESCRIPTION...` lists all of it, for many \
         descriptions at once.",
    ),
];

/// What a code means.
pub fn explain(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, text)| *text)
}
