//! Every name of a tree in order.

use super::children::Position;
use super::{Kind, NodeId, ROOT, Tree};

/// One name of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Path from the root with a leading `/`; the root is `/`.
    pub path: Vec<u8>,
    /// The directory that holds the name; the root holds itself.
    pub parent: NodeId,
    /// The node of this name.
    pub node: NodeId,
}

/// See [`Tree::walk`].
pub struct Walk<'a> {
    tree: &'a Tree,
    /// Directories on the way down: the node, the length of its path, the next child.
    open: Vec<(NodeId, usize, Position)>,
    path: Vec<u8>,
    started: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(tree: &'a Tree) -> Walk<'a> {
        Walk { tree, open: vec![(ROOT, 0, Position::default())], path: Vec::new(), started: false }
    }
}

impl Iterator for Walk<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if !std::mem::replace(&mut self.started, true) {
            return Some(Step { path: b"/".to_vec(), parent: ROOT, node: ROOT });
        }
        loop {
            let (parent, len, next) = self.open.last_mut()?;
            let (parent, len) = (*parent, *len);
            let child = self.tree.child_at(parent, *next);
            self.path.truncate(len);
            let Some((name, node, behind)) = child else {
                self.open.pop();
                continue;
            };
            *next = behind;
            self.path.push(b'/');
            self.path.extend_from_slice(name);
            if matches!(self.tree.node(node).kind, Kind::Directory(_)) {
                self.open.push((node, self.path.len(), Position::default()));
            }
            return Some(Step { path: self.path.clone(), parent, node });
        }
    }
}
