//! Programs timed as whole processes, with the memory of the largest process among them.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// One run of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// From the start to the end of the process.
    pub(crate) seconds: f64,
    /// The largest `VmHWM` of the process and its descendants in bytes, looked at every 2 ms: what a process adds in its
    /// last 2 ms is not seen.
    pub(crate) memory: u64,
}

/// Runs a program to its end; one that fails ends the bench.
pub(crate) fn run(command: &mut Command) -> io::Result<Run> {
    Ok(attempt(command)?.unwrap_or_else(|| panic!("failed: {command:?}")))
}

/// Runs a program to its end; none, if it fails.
pub(crate) fn attempt(command: &mut Command) -> io::Result<Option<Run>> {
    let begin = Instant::now();
    let mut child = command.spawn()?;
    let over = AtomicBool::new(false);
    let id = child.id();
    let (status, memory, seconds) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(id, &over));
        let status = child.wait();
        let seconds = begin.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        (status, watcher.join().expect("only reads"), seconds)
    });
    Ok(status?.success().then_some(Run { seconds, memory }))
}

fn watch(id: u32, over: &AtomicBool) -> u64 {
    let mut most = 0;
    while !over.load(Ordering::Relaxed) {
        let mut processes = vec![id];
        while let Some(id) = processes.pop() {
            most = most.max(high_water(id).unwrap_or(0));
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
            processes.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
        thread::sleep(Duration::from_millis(2));
    }
    most
}

/// proc(5): `VmHWM`, in bytes.
pub(crate) fn high_water(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

/// Contestants in turn, `rounds` times: first all once uncounted, so that the sources are in the page cache.
pub(crate) fn interleaved(
    rounds: usize,
    contestants: &mut [(&str, &mut dyn FnMut() -> io::Result<Run>)],
) -> io::Result<Vec<Result>> {
    let mut runs = vec![Vec::new(); contestants.len()];
    for round in 0..=rounds {
        for ((_, contestant), runs) in contestants.iter_mut().zip(&mut runs) {
            rustix::fs::sync(); // nobody pays for the writes of the one before
            let run = contestant()?;
            if round > 0 {
                runs.push(run);
            }
        }
    }
    Ok(contestants.iter().zip(runs).map(|((name, _), runs)| Result::new(name, runs)).collect())
}

/// The runs of one contestant.
pub(crate) struct Result {
    name: String,
    /// Sorted by time.
    runs: Vec<Run>,
}

impl Result {
    pub(crate) fn new(name: &str, mut runs: Vec<Run>) -> Result {
        runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        Result { name: name.to_owned(), runs }
    }

    /// The median of the wall times.
    pub(crate) fn median(&self) -> f64 {
        self.runs[self.runs.len() / 2].seconds
    }

    /// The most memory of any run, in MiB.
    fn memory(&self) -> u64 {
        self.runs.iter().map(|run| run.memory).max().unwrap_or(0) >> 20
    }
}

/// A table in Markdown; ratios to the first contestant.
pub(crate) fn table(results: &[Result]) -> String {
    let first = results[0].median();
    let rows = results.iter().map(|result| {
        let (runs, median) = (&result.runs, result.median());
        let (least, most) = (runs[0].seconds, runs[runs.len() - 1].seconds);
        let (name, memory, ratio) = (&result.name, result.memory(), median / first);
        format!("| {name} | {median:.2} ({least:.2} to {most:.2}) | {ratio:.2} | {memory} |\n")
    });
    let head = "| | wall s: median (range) | to the first | VmHWM MiB |\n| --- | --- | --- | --- |\n";
    head.to_owned() + &rows.collect::<String>()
}

/// The length of a file and what the host allocated for it, in MiB.
pub(crate) fn size(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path)?;
    Ok((metadata.len() >> 20, (metadata.blocks() * 512) >> 20))
}
