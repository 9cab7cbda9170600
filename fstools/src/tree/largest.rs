//! Where the data of a tree is, for messages about room.

use super::{Kind, Tree};
use diskwright_formats::bytes::escaped;
use std::collections::BTreeMap;

/// Directories further down are counted with those above them.
const DEEPEST: usize = 32;

impl Tree {
    /// The directories that hold the most data, with the bytes in each, the largest first. A directory that holds little
    /// but one other directory gives way to that one.
    pub fn largest(&self, count: usize) -> Vec<(String, u64)> {
        let mut seen = vec![false; self.nodes()];
        let mut sums: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for step in self.walk().skip(1) {
            let size = match &self.node(step.node).kind {
                Kind::File(data) if !seen[step.node.0 as usize] => {
                    data.runs().map(|run| run.end - run.start).sum()
                }
                _ => 0,
            };
            seen[step.node.0 as usize] = true;
            let slashes =
                step.path.iter().enumerate().filter(|&(at, &byte)| byte == b'/' && at > 0 && size > 0);
            let mut nested = false;
            for (at, _) in slashes.take(DEEPEST) {
                *sums.entry(step.path[..at].to_vec()).or_default() += size;
                nested = true;
            }
            if size > 0 && !nested {
                // The files of the root itself.
                *sums.entry(b"/".to_vec()).or_default() += size;
            }
        }
        let mut tells_more = sums.clone();
        for (path, size) in &sums {
            let parent = path.iter().rposition(|&byte| byte == b'/').map(|at| &path[..at]);
            let whole = parent.and_then(|parent| sums.get_key_value(parent));
            if let Some((parent, _)) = whole.filter(|(_, whole)| size * 10 >= **whole * 9) {
                tells_more.remove(parent);
            }
        }
        let mut all: Vec<(String, u64)> =
            tells_more.into_iter().map(|(path, size)| (escaped(&path), size)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(count);
        all
    }
}
