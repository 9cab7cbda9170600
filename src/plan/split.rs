//! One tree becomes several: what lies below a mount point goes into the file system that is mounted there.

use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_fstools::tree::{Kind, Meta, Node, NodeId, ROOT, Time, Tree, components};
use std::collections::BTreeMap;

/// Takes everything below `path` out of `tree`, as a tree of its own. The directory stays as the mount point, and is made
/// if it is missing. Hard links between the two become two files, as they must. Refused: a mount point that is no
/// directory, or lies behind a symbolic link.
pub(super) fn split(tree: &mut Tree, path: &str, epoch: i64) -> Result<Tree, Refusal> {
    let new = Meta::of_root(0o755, Time::seconds(epoch));
    let Some(at) = directory(tree, path)? else {
        tree.put(path.as_bytes(), Node { meta: new, kind: Kind::directory() }, new)?;
        return Ok(Tree::new(new));
    };
    let below = subtree(tree, at)?;
    let names: Vec<Vec<u8>> = tree.children(at).map(|(name, _)| name.to_vec()).collect();
    for name in names {
        tree.remove(at, &name);
    }
    Ok(below)
}

/// The directory at a path; `None` if there is nothing.
fn directory(tree: &Tree, path: &str) -> Result<Option<NodeId>, Refusal> {
    let mut at = ROOT;
    let mut way = String::new();
    for name in components(path.as_bytes()) {
        let Some(next) = tree.child(at, name) else { return Ok(None) };
        way = format!("{way}/{}", escaped(name));
        let kind = &tree.node(next).kind;
        if !matches!(kind, Kind::Directory(_)) {
            let reason = format!("the mount point {path} lies behind a {}: {way}", kind.name());
            let hint = "mount it at the directory itself";
            return Err(Refusal::new(RefusalKind::Kind, Spot::new("tree", way), reason).hint(hint));
        }
        at = next;
    }
    Ok(Some(at))
}

/// A copy of a directory and all below it as a tree of its own.
fn subtree(tree: &Tree, top: NodeId) -> Result<Tree, Refusal> {
    let mut copy = Tree::new(Meta::of_root(0o755, Time::default()));
    let meta = meta_in(tree, &mut copy, top);
    *copy.meta_mut(ROOT) = meta;
    let mut known: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    let mut open = vec![(top, ROOT)];
    while let Some((from, to)) = open.pop() {
        for (name, node) in tree.children(from) {
            if let Some(&same) = known.get(&node) {
                copy.link(to, name, same)?;
                continue;
            }
            let meta = meta_in(tree, &mut copy, node);
            let (kind, is_directory) = match &tree.node(node).kind {
                Kind::Directory(_) => (Kind::directory(), true),
                other => (other.clone(), false),
            };
            let id = copy.add(to, name, Node { meta, kind })?;
            known.insert(node, id);
            if is_directory {
                open.push((node, id));
            }
        }
    }
    Ok(copy)
}

/// The meta data of a node with its attributes known to another tree.
fn meta_in(tree: &Tree, other: &mut Tree, node: NodeId) -> Meta {
    let meta = tree.node(node).meta;
    Meta { xattrs: other.intern(tree.xattrs(meta.xattrs).clone()), ..meta }
}
