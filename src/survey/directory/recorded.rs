//! A directory with its record: the record gives owner, mode, time, attributes, device numbers and hard links; the
//! directory gives data and the targets of symlinks.
//!
//! - A path only in the record, or of another type in the directory, is refused: something was lost.
//! - Device nodes, fifos and sockets may be missing from the directory, be of any of these types, or be an empty file:
//!   without privileges they cannot all be made, and what gives all files to the caller may leave a placeholder.
//! - Names that the record says are one file must be one file in the directory; names that it says are several may be one.
//! - A path only in the directory is 0:0 with its own mode, time and attributes.

use super::super::Options;
use super::MOST_NAMED;
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_fstools::tree::{Kind, Meta, Node, NodeId, ROOT, Step, Tree};

/// Gives the tree of a directory what its record says. Returns notes.
pub(super) fn apply(tree: &mut Tree, record: &Tree, options: &Options) -> Result<Option<String>, Refusal> {
    let mut matching = Matching {
        live: vec![None; record.nodes()],
        claimed: vec![false; tree.nodes()],
        matched: 0,
        tree,
        record,
        options,
    };
    let mut problems = Vec::new();
    for step in record.walk() {
        if let Err(problem) = matching.step(&step)? {
            problems.push((escaped(&step.path), problem));
        }
    }
    let matched = matching.matched;
    if let Some((path, problem)) = problems.first() {
        return Err(refusal(path, problem, &problems));
    }
    let others = tree.walk().count() - matched;
    Ok((others > 0)
        .then(|| format!("paths that are not in the record: {others}, taken as 0:0 with their own mode")))
}

fn refusal(path: &str, problem: &str, problems: &[(String, String)]) -> Refusal {
    let all =
        problems.iter().skip(1).take(MOST_NAMED - 1).map(|(path, problem)| format!("; {path}: {problem}"));
    let all: String = all.collect();
    let more = match problems.len().checked_sub(MOST_NAMED) {
        Some(more @ 1..) => format!("; and {more} more"),
        _ => String::new(),
    };
    Refusal::new(RefusalKind::Missing, Spot::new("record", path), format!("{problem}{all}{more}")).hint(
        "restore these paths in the directory, or take their lines from the record (and mend its last line)",
    )
}

struct Matching<'a> {
    tree: &'a mut Tree,
    record: &'a Tree,
    options: &'a Options,
    /// The node in the tree for each of the record.
    live: Vec<Option<NodeId>>,
    /// Nodes of the tree that the record has named.
    claimed: Vec<bool>,
    /// Names in both.
    matched: usize,
}

impl Matching<'_> {
    /// Applies one line. The inner error is what is wrong with the path.
    fn step(&mut self, step: &Step) -> Result<Result<(), String>, Refusal> {
        let Some(parent) = self.live[step.parent.0 as usize].or((step.node == ROOT).then_some(ROOT)) else {
            // The directory is missing, and that was said.
            return Ok(Ok(()));
        };
        let name = step.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let child = if step.node == ROOT { Some(ROOT) } else { self.tree.child(parent, name) };
        let recorded = self.record.node(step.node);
        let node = match (self.live[step.node.0 as usize], child) {
            (Some(first), _) if is_special(&recorded.kind) => self
                .replace(parent, name, child, recorded)?
                .map(|()| self.tree.link(parent, name, first).map(|()| first)),
            (Some(first), Some(child)) if first == child => Ok(Ok(first)),
            (Some(_), Some(_)) => Err("no longer a hard link, as the record says".to_owned()),
            (None, _) if is_special(&recorded.kind) => {
                self.replace(parent, name, child, recorded)?.map(|()| {
                    let node = Node { meta: self.meta(recorded), kind: recorded.kind.clone() };
                    self.tree.add(parent, name, node)
                })
            }
            (None, Some(child)) => {
                self.same_kind(child, recorded).map(|()| self.claim(parent, name, child, recorded))
            }
            (_, None) => Err("in the record, and not in the directory".to_owned()),
        };
        Ok(match node {
            Ok(node) => {
                self.live[step.node.0 as usize] = Some(node?);
                self.matched += 1;
                Ok(())
            }
            Err(problem) => Err(problem),
        })
    }

    fn same_kind(&self, child: NodeId, recorded: &Node) -> Result<(), String> {
        let (is, says) = (self.tree.node(child).kind.name(), recorded.kind.name());
        (is == says).then_some(()).ok_or_else(|| format!("a {says} in the record, a {is} in the directory"))
    }

    /// Makes room for a device node, fifo or socket.
    fn replace(
        &mut self,
        parent: NodeId,
        name: &[u8],
        child: Option<NodeId>,
        recorded: &Node,
    ) -> Result<Result<(), String>, Refusal> {
        let Some(child) = child else { return Ok(Ok(())) };
        let placeholder = match &self.tree.node(child).kind {
            Kind::File(data) => data.size() == 0,
            kind => is_special(kind),
        };
        if !placeholder {
            return Ok(self.same_kind(child, recorded));
        }
        self.tree.remove(parent, name);
        Ok(Ok(()))
    }

    /// Gives a node of the directory what the record says. A second file of the record gets a node of its own.
    fn claim(
        &mut self,
        parent: NodeId,
        name: &[u8],
        child: NodeId,
        recorded: &Node,
    ) -> Result<NodeId, Refusal> {
        let meta = self.meta(recorded);
        let claimed = self.claimed.get_mut(child.0 as usize);
        if claimed.is_some_and(|claimed| std::mem::replace(claimed, true)) {
            let kind = self.tree.node(child).kind.clone();
            self.tree.remove(parent, name);
            return self.tree.add(parent, name, Node { meta, kind });
        }
        *self.tree.meta_mut(child) = meta;
        Ok(child)
    }

    fn meta(&mut self, recorded: &Node) -> Meta {
        let meta = recorded.meta;
        let xattrs = self.tree.intern(self.record.xattrs(meta.xattrs).clone());
        let (uid, gid) = self.options.owner.unwrap_or((meta.uid, meta.gid));
        Meta { uid, gid, xattrs, mtime: self.options.clamped(meta.mtime), ..meta }
    }
}

fn is_special(kind: &Kind) -> bool {
    matches!(kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo | Kind::Socket)
}
