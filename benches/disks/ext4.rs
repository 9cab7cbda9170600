//! One ext4 image from a tree, raw: by diskwright, `mke2fs -d`, the crates in `benches/compare`, and the floor; the data on
//! the disk at the end of each. Interleaved, median of the rounds.
use super::runs::{self, Run, interleaved, table};
use super::trees;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The trees that are measured when none is named.
const TREES: &[&str] = &["system", "many", "big", "crowd"];

/// The crates in `benches/compare`, each a program `compare-NAME TREE IMAGE BYTES INODES`.
const CRATES: &[&str] = &["mkext4", "fstool"];

/// A run longer than this counts at once and is not repeated.
const LONG: f64 = 60.0;

/// `cargo bench --bench disks -- ext4 ...`
pub(crate) struct Options<'a> {
    /// Folders, or kinds of trees with an amount (`many:10000`); those are made in `work` where they are missing.
    pub(crate) trees: Vec<&'a str>,
    /// Where everything is written.
    pub(crate) work: &'a Path,
    /// Counted runs of each contestant.
    pub(crate) rounds: usize,
    /// Contestants beside diskwright and the floor; all, if none is named.
    pub(crate) only: Option<&'a str>,
}

pub(crate) fn main(options: &Options<'_>) -> io::Result<()> {
    fs::create_dir_all(options.work)?;
    let trees = if options.trees.is_empty() { TREES } else { &options.trees[..] };
    let wanted = |name: &str| options.only.is_none_or(|only| only.split(',').any(|only| only == name));
    let crates: Vec<(&str, PathBuf)> =
        CRATES.iter().filter(|name| wanted(name)).filter_map(|name| Some((*name, build(name)?))).collect();
    for name in trees {
        let tree = tree(name, options.work)?;
        let (bytes, inodes) = measure(&tree)?;
        println!(
            "\n{name}: {inodes} inodes, an image of {} MiB; median of {}\n",
            bytes >> 20,
            options.rounds
        );
        let image = options.work.join("image");
        let mut contestants = vec![
            ("diskwright".to_owned(), diskwright(&tree, &image, bytes)),
            ("floor: every byte read and written once".to_owned(), floor(&tree, &image)?),
        ];
        if wanted("mke2fs") {
            contestants.push(("mke2fs -d".to_owned(), mke2fs(&tree, &image, bytes, inodes)));
        }
        for (name, program) in &crates {
            let mut command = Command::new(program);
            command.args([&tree, &image]).args([bytes.to_string(), inodes.to_string()]);
            contestants.push((format!("crate {name}"), command));
        }
        compete(contestants, &image, options.rounds)?;
    }
    Ok(())
}

/// A folder as it is, or the kind of tree that `KIND` or `KIND:AMOUNT` names.
fn tree(name: &str, work: &Path) -> io::Result<PathBuf> {
    if Path::new(name).is_dir() {
        return Ok(PathBuf::from(name));
    }
    let (kind, amount) = name.split_once(':').unwrap_or((name, ""));
    let kind = trees::KINDS.iter().find(|known| known.name == kind);
    let kind =
        kind.ok_or_else(|| io::Error::other(format!("neither a folder nor a kind of tree: {name}")))?;
    let folder = work.join(name.replace(':', "-"));
    if !folder.exists() {
        let amount = if amount.is_empty() { kind.usual } else { super::number(amount) };
        trees::make(kind, &folder, amount)?;
    }
    Ok(folder)
}

/// Size (whole MiB) and inodes of the image that diskwright makes by default: everybody gets the same.
fn measure(tree: &Path) -> io::Result<(u64, u64)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    command.args(["mkfs", "ext4"]).arg(tree).args(["none", "--dry-run", "--json", "--quiet"]);
    let output = command.output()?;
    let made: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let number = |name: &str| made[name].as_u64().ok_or_else(|| io::Error::other(format!("no {name}")));
    // A writer that does not know hard links needs more.
    let room = |inodes: u64| inodes + inodes / 100 + 1000;
    Ok((number("bytes")?.next_multiple_of(1 << 20), room(number("inodes_used")?)))
}

fn diskwright(tree: &Path, image: &Path, bytes: u64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    command.args(["mkfs", "ext4"]).args([tree, image]).args([
        "--quiet",
        "--size",
        &format!("{}M", bytes >> 20),
    ]);
    command
}

fn floor(tree: &Path, image: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("floor").args([tree, image]);
    Ok(command)
}

fn mke2fs(tree: &Path, image: &Path, bytes: u64, inodes: u64) -> Command {
    let mut command = Command::new("mke2fs");
    command.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-N", &inodes.to_string(), "-d"]);
    command.args([tree, image]).arg(format!("{}k", bytes >> 10));
    command
}

/// Builds a program of `benches/compare`, or says why not.
fn build(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target/compare");
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]);
    command.arg(root.join("benches/compare").join(name).join("Cargo.toml")).arg("--target-dir").arg(&target);
    match command.status() {
        Ok(status) if status.success() => Some(target.join("release").join(format!("compare-{name}"))),
        Ok(status) => {
            println!("SKIP crate {name}: it cannot be built: {status}");
            None
        }
        Err(error) => {
            println!("SKIP crate {name}: cargo cannot be started: {error}");
            None
        }
    }
}

/// Runs all once, sorts out those that fail or take very long, and lets the rest compete.
fn compete(contestants: Vec<(String, Command)>, image: &Path, rounds: usize) -> io::Result<()> {
    let (mut able, mut long) = (Vec::new(), Vec::new());
    for (name, mut command) in contestants {
        command.stdout(Stdio::null());
        clear(image)?;
        rustix::fs::sync();
        match runs::attempt(&mut command) {
            Err(error) => println!("SKIP {name}: it cannot be started: {error}\n"),
            Ok(None) => println!("SKIP {name}: it fails on this tree\n"),
            Ok(Some(run)) if run.seconds > LONG => long.push(runs::Result::new(&name, vec![run])),
            Ok(Some(_)) => able.push((name, command)),
        }
    }
    let mut turns: Vec<_> = able
        .iter_mut()
        .map(|(name, command)| {
            let turn = move || -> io::Result<Run> {
                clear(image)?;
                rustix::fs::sync(); // nobody pays for what the one before left
                runs::run(command)
            };
            (name.as_str(), turn)
        })
        .collect();
    let mut turns: Vec<(&str, &mut dyn FnMut() -> io::Result<Run>)> =
        turns.iter_mut().map(|(name, turn)| (*name, turn as &mut dyn FnMut() -> io::Result<Run>)).collect();
    let mut results = interleaved(rounds, &mut turns)?;
    results.extend(long);
    clear(image)?;
    println!("{}", table(&results));
    if let [ours, floor, ..] = &results[..] {
        println!("diskwright to the floor: {:.2}", ours.median() / floor.median());
    }
    Ok(())
}

fn clear(image: &Path) -> io::Result<()> {
    match fs::remove_file(image) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
