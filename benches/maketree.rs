//! Makes a tree to measure with: `cargo bench --bench maketree -- KIND FOLDER [AMOUNT]`.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // a tool beside the images

mod trees;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let kinds = trees::KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join("|");
    let [name, folder, amount @ ..] = &arguments[..] else {
        println!("usage: cargo bench --bench maketree -- {kinds} FOLDER [AMOUNT]");
        return Ok(());
    };
    let kind = trees::KINDS.iter().find(|kind| kind.name == name);
    let kind = kind.unwrap_or_else(|| panic!("no such kind: {name}; there are: {kinds}"));
    let amount = amount.first().map_or(kind.usual, |amount| amount.parse().expect("a number of files"));
    trees::make(kind, Path::new(folder), amount)
}
