//! Planning alone: trees of 10,000 to 1,000,000 small files in memory become ext4, GPT and qcow2 layouts; no byte is
//! moved. Time and memory of each, in a process of its own.
use super::runs;
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{ContentId, Layout};
use diskwright_formats::registry::find_disk;
use diskwright_formats::table::gpt;
use diskwright_fstools::registry::{Geometry, find};
use diskwright_fstools::tree::{Data, Kind, Meta, Node, ROOT, Time, Tree};
use std::process::Command;
use std::time::Instant;

/// The table, a row for each number of files.
pub(crate) fn main(counts: &[u32]) -> std::io::Result<()> {
    println!(
        "| files | tree s | ext4 s | GPT and qcow2 s | all extents s | microseconds a file | VmHWM MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for files in counts {
        runs::run(Command::new(std::env::current_exe()?).args(["plan-one", &files.to_string()]))?;
    }
    Ok(())
}

/// Prints a row.
pub(crate) fn one(files: u32) {
    let begin = Instant::now();
    let mut last = begin;
    let mut stage = || std::mem::replace(&mut last, Instant::now()).elapsed().as_secs_f64();
    let tree = tree(files);
    let made = stage();
    let identity = Identity::new(b"bench", 1_700_000_000);
    let ext4 = (find("ext4").expect("a row").configure)(&[]).expect("defaults");
    let len = ext4.measure(&tree, 256 << 20, 512).expect("a size").next_multiple_of(1 << 20);
    let geometry = Geometry { len, sector_size: 512, hidden_sectors: 2048 };
    let root = ext4.lay(&tree, &geometry, &identity).expect("the measured size").layout;
    let laid = stage();
    let image = disk(root, &identity);
    let wrapped = stage();
    let covered: u64 = image.extents().map(|extent| extent.len).sum();
    let walked = stage();
    assert!(covered > u64::from(files), "every file is in the image");
    let each = (laid + wrapped + walked) * 1e6 / f64::from(files);
    let memory = runs::high_water(std::process::id()).expect("a process knows its own") >> 20;
    println!("| {files} | {made:.2} | {laid:.2} | {wrapped:.3} | {walked:.2} | {each:.2} | {memory} |");
}

/// 60 files in a directory, 70 directories side by side, sizes to 8 KiB.
fn tree(files: u32) -> Tree {
    let meta = Meta::of_root(0o644, Time::seconds(1_600_000_000));
    let directory = || Node { meta: Meta { mode: 0o755, ..meta }, kind: Kind::directory() };
    let mut tree = Tree::new(Meta { mode: 0o755, ..meta });
    let mut tops = Vec::new();
    let mut parent = ROOT;
    for number in 0..files {
        if number % 60 == 0 {
            let top = (number / 60 % 70) as usize;
            if tops.len() <= top {
                tops.push(tree.add(ROOT, format!("t{top:03}").as_bytes(), directory()).expect("a new name"));
            }
            let name = format!("d{number:07}");
            parent = tree.add(tops[top], name.as_bytes(), directory()).expect("a new name");
        }
        let size = u64::from(number.wrapping_mul(2_654_435_769) >> 19);
        let data = Data::Content { id: ContentId(number), size, runs: None };
        let node = Node { meta, kind: Kind::File(data) };
        tree.add(parent, format!("f{number:07}.txt").as_bytes(), node).expect("a new name");
    }
    tree
}

fn disk(root: Layout, identity: &Identity) -> Layout {
    let id = identity.role("root").uuid("guid");
    let partition = gpt::Partition {
        number: 1,
        type_guid: id,
        unique_guid: id,
        name: "root".to_owned(),
        attributes: 0,
        start: 1 << 20,
        len: root.len(),
    };
    let options = gpt::Options::new(root.len() + (2 << 20), 512);
    let disk = gpt::lay(&[(partition, root)], &options, identity).expect("a partition that fits");
    (find_disk("qcow2").expect("a row").lay)(&disk, identity, &[]).expect("a disk of whole sectors")
}
