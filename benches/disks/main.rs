//! Measurements of whole programs, and the trees for them: see `benches/README.md`.
//! `cargo bench --bench disks -- COMMAND`
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // a tool beside the images

mod copy;
mod ext4;
mod plan;
mod runs;
mod trees;
mod whole_disk;

use std::path::{Path, PathBuf};

const USAGE: &str = "usage: cargo bench --bench disks -- COMMAND
  whole-disk [--tree FOLDER] [--work FOLDER] [--rounds N]   tree to qcow2: diskwright, the shell's tools, the floor
  ext4 [--tree KIND[:AMOUNT]|FOLDER ...] [--work FOLDER] [--rounds N] [--only NAME,...]
                                                            tree to ext4: diskwright, mke2fs, two crates, the floor
  plan [FILES...]                                           planning alone: time and memory
  floor TREE OUT [THREADS]                                  all data of a tree into one file
  tree KIND FOLDER [AMOUNT]                                 makes a tree: system, many, big, crowd, sparse, esp";

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &arguments[..] {
        ["whole-disk", options @ ..] => {
            let option =
                |name| options.chunks(2).find(|pair| pair[0] == name).and_then(|pair| pair.get(1).copied());
            let work = PathBuf::from(option("--work").unwrap_or("target/bench"));
            let tree = option("--tree").map_or_else(|| work.join("system"), PathBuf::from);
            whole_disk::main(&tree, &work, option("--rounds").map_or(5, number))
        }
        ["ext4", options @ ..] => {
            let all = |name| {
                options.chunks(2).filter(move |pair| pair[0] == name).filter_map(|pair| pair.get(1).copied())
            };
            ext4::main(&ext4::Options {
                trees: all("--tree").collect(),
                work: Path::new(all("--work").next().unwrap_or("target/bench")),
                rounds: all("--rounds").next().map_or(5, number),
                only: all("--only").next(),
            })
        }
        ["plan"] => plan::main(&[10_000, 100_000, 300_000, 1_000_000]),
        ["plan", counts @ ..] => plan::main(&counts.iter().map(|&count| number(count)).collect::<Vec<_>>()),
        ["plan-one", files] => {
            plan::one(number(files));
            Ok(())
        }
        ["floor", tree, out, threads @ ..] => {
            let threads = match threads.first() {
                Some(threads) => number(threads),
                None => std::thread::available_parallelism()?.get(),
            };
            copy::copy(Path::new(tree), Path::new(out), threads)
        }
        ["tree", name, folder, amount @ ..] => {
            let kind = trees::KINDS.iter().find(|kind| kind.name == *name).expect(USAGE);
            trees::make(kind, Path::new(folder), amount.first().map_or(kind.usual, |&amount| number(amount)))
        }
        _ => {
            println!("{USAGE}");
            Ok(())
        }
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}
