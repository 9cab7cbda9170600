//! The typed model carries the whole schema: each row of its table, written down with a value that says which one it is, is
//! found again in the model with its type, at its place. A row without a field fails here, and so does a vocabulary that is
//! not the one of its enum.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

use diskwright::describe::kiwi::{Row, parse, rows};

/// Rows that are gone before there is a model, and why.
const GONE: [(&str, &str); 4] = [
    ("image/include@from", "what is included is in its place"),
    ("image/extension", "data of others are not read"),
    ("image@xsi:noNamespaceSchemaLocation", "attributes of other namespaces are not read"),
    ("image@xsi:schemaLocation", "attributes of other namespaces are not read"),
];

/// For the example of each kind of value: another text, and the one that means the same.
const TEXTS: [(&str, &str, &str); 17] = [
    ("text", "a text of its own", "a text of its own"),
    ("true", "1", "true"),
    ("1", "007", "7"),
    ("2048", "+4096", "4096"),
    ("name", "n4m-e", "n4m-e"),
    ("en_US", "POSIX,de_DE", "POSIX,de_DE"),
    ("100M", "3G", "3072"),
    ("x86_64", "aarch64,ppc64le", "aarch64,ppc64le"),
    (
        "01234567-89ab-cdef-0123-456789abcdef",
        "ffffffff-89ab-cdef-0123-456789abcdef",
        "ffffffff-89ab-cdef-0123-456789abcdef",
    ),
    ("80/tcp", "0053/udp", "53/udp"),
    ("serial gfxterm", "morse  vga_text", "morse vga_text"),
    ("serial console", "usb_keyboard  serial", "usb_keyboard serial"),
    ("no-copy-on-write", "synchronous-updates,no-copy-on-write", "synchronous-updates,no-copy-on-write"),
    ("1.2.3.4", "10.0.65535.7", "10.0.65535.7"),
    ("00:0c:6e:aa:57:2f", "AB:CD:EF:01:23:45", "ab:cd:ef:01:23:45"),
    ("file:///key", "https://host/key", "https://host/key"),
    ("", "", ""),
];

/// A description with nothing but what a path needs, each start tag and attribute on a line of its own.
fn description(path: &str, text: &str) -> (String, usize) {
    let (elements, attribute) = path.split_once('@').map_or((path, None), |(path, name)| (path, Some(name)));
    let names: Vec<&str> = elements.split('/').collect();
    let mut xml = String::new();
    for name in &names {
        let own = if *name == "image" && attribute != Some("schemaversion") {
            " schemaversion=\"8.5\""
        } else {
            ""
        };
        xml += &format!("<{name}{own}");
        xml += if name == names.last().unwrap() { "" } else { ">\n" };
    }
    match attribute {
        Some(name) => xml += &format!("\n{name}=\"{text}\">"),
        None => xml += &format!(">{text}"),
    }
    let line = xml.matches('\n').count() + 1;
    names.iter().rev().for_each(|name| xml += &format!("</{name}>"));
    (xml, line)
}

/// What is wrong with how the model carries a row that has this text.
fn judge(row: &Row, text: &str, canonical: &str) -> Option<String> {
    let (xml, line) = description(&row.path, text);
    let model = match parse("d.xml", xml.clone().into_bytes()) {
        Ok(model) => model,
        Err(problems) => return Some(format!("{}: {problems}\n{xml}", row.path)),
    };
    let entries = model.entries();
    if let Some(refused) = entries.iter().find(|entry| entry.value.is_none()) {
        return Some(format!("{}: no field takes it: {refused:?}\n{xml}", row.path));
    }
    let found: Vec<_> = entries.iter().filter(|entry| entry.path == row.path).collect();
    let [entry] = found.as_slice() else {
        return Some(format!("{}: {} times\n{xml}", row.path, found.len()));
    };
    let value = entry.value.unwrap();
    let found = (entry.text, value.canonical(), entry.span.position().0);
    if found != (text, canonical.to_owned(), line) {
        return Some(format!("{}: {found:?} instead of {:?}", row.path, (text, canonical, line)));
    }
    // The Debug form of a text has quotes, that of a value the name of its type.
    let is_text = format!("{value:?}").starts_with('"');
    if is_text && row.example != Some("text") {
        return Some(format!("{}: {value:?} for values like {:?}", row.path, row.example));
    }
    (value.words() != row.words).then(|| format!("{}: {:?} is not {:?}", row.path, value.words(), row.words))
}

#[test]
fn the_model_carries_every_row_of_the_schema() {
    let (mut wrong, mut carried) = (Vec::new(), 0);
    let rows = rows();
    for row in rows.iter().filter(|row| !row.path.contains('=')) {
        let Some(example) = row.example else { continue };
        if GONE.iter().any(|(path, _)| *path == row.path) {
            continue;
        }
        if row.words.is_empty() {
            let known = TEXTS.iter().find(|(one, ..)| *one == example);
            let (_, text, canonical) =
                known.unwrap_or_else(|| panic!("{}: no text like {example}", row.path));
            wrong.extend(judge(row, text, canonical));
        }
        wrong.extend(row.words.iter().filter_map(|word| judge(row, word, word)));
        carried += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{carried} rows are carried");
    assert!(carried > 300, "{carried}");
}

#[test]
fn elements_without_a_text_hold_a_row_that_has_one() {
    let rows = rows();
    let paths = || rows.iter().map(|row| row.path.as_str());
    for row in rows.iter().filter(|row| row.example.is_none() && row.path != "image/extension") {
        let within =
            |path: &str| path.strip_prefix(&row.path).is_some_and(|rest| rest.starts_with(['@', '/']));
        assert!(paths().any(within), "{}: nothing shows that the model has it", row.path);
    }
}

/// A text that the schema refuses is said, is no value, and is still shown where it is written.
#[test]
fn what_the_schema_refuses_is_no_value() {
    let xml = r#"<image schemaversion="8.5" name="t"><preferences><version>1</version><type image="oem" filesystem="ext4"
efipartsize="much" eficsm="perhaps" unknown="x"><oemconfig><oem-swap>no</oem-swap><what at="y">z</what></oemconfig></type>
</preferences></image>"#;
    let model = parse("d.xml", xml.as_bytes().to_vec()).unwrap();
    let said = &model.preferences[0].types[0].said;
    assert!(said.efipartsize.is_none() && said.eficsm.is_none() && said.filesystem.is_some());
    assert!(said.oemconfig.as_ref().unwrap().swap.is_none());
    let shown: Vec<String> = said
        .entries("type")
        .iter()
        .map(|entry| {
            format!("{}={}{}", entry.path, entry.text, if entry.value.is_some() { "" } else { " (refused)" })
        })
        .collect();
    let expected = [
        "type@image=oem",
        "type@filesystem=ext4",
        "type@efipartsize=much (refused)",
        "type@eficsm=perhaps (refused)",
        "type@unknown=x (refused)",
        "type/oemconfig/oem-swap=no (refused)",
        "type/oemconfig/what@at=y (refused)",
        "type/oemconfig/what=z (refused)",
    ];
    assert_eq!(shown, expected);
    let told: Vec<String> = model.problems.iter().map(ToString::to_string).collect();
    for name in ["efipartsize", "eficsm", "unknown", "oem-swap", "what"] {
        assert!(told.iter().any(|one| one.contains(name)), "{name}: {told:?}");
    }
}
