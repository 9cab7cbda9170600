//! One tree laid over another.

use super::Survey;
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::layout::ContentId;
use diskwright_fstools::tree::{Data, Kind, Meta, Node, NodeId, ROOT, Step, Tree};

/// Lays `top` over `base`, as `cp -a top/. base/` would: files of `top` take the place of what has their name,
/// directories merge and take the owner, mode and time that they have in `top` and add its attributes to their own, hard
/// links within `top` stay. Nothing is deleted from `base`.
///
/// Refused, as by `cp`: a directory in the place of a file or symlink, and the reverse.
pub fn overlay(base: Survey, top: Survey) -> Result<Survey, Refusal> {
    let Survey { mut tree, mut contents, mut notes } = base;
    let shift = contents.append(top.contents)?;
    let mut placed: Vec<Option<NodeId>> = vec![None; top.tree.nodes()];
    for step in top.tree.walk() {
        let node = place(&mut tree, &top.tree, &step, shift, &placed)?;
        placed[step.node.0 as usize] = Some(node);
    }
    tree.renumber();
    notes.extend(top.notes);
    Ok(Survey { tree, contents, notes })
}

/// Gives the node of one name of `top` to the tree. `placed` has the node of each of its nodes that has one already.
fn place(
    tree: &mut Tree,
    top: &Tree,
    step: &Step,
    shift: u32,
    placed: &[Option<NodeId>],
) -> Result<NodeId, Refusal> {
    let node = top.node(step.node);
    if step.node == ROOT {
        merge(tree, ROOT, top, node);
        return Ok(ROOT);
    }
    let parent = placed[step.parent.0 as usize].expect("a walk names the directory before what is in it");
    let name = step.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let is_directory = matches!(node.kind, Kind::Directory(_));
    if let Some(old) = tree.child(parent, name) {
        match (matches!(tree.node(old).kind, Kind::Directory(_)), is_directory) {
            (true, true) => {
                merge(tree, old, top, node);
                return Ok(old);
            }
            (false, false) => {
                tree.remove(parent, name);
            }
            _ => return Err(clash(step, tree.node(old), node)),
        }
    }
    if let Some(first) = placed[step.node.0 as usize] {
        tree.link(parent, name, first)?;
        return Ok(first);
    }
    let kind = match &node.kind {
        Kind::Directory(_) => Kind::directory(),
        Kind::File(Data::Content { id, size, runs }) => {
            Kind::File(Data::Content { id: ContentId(id.0 + shift), size: *size, runs: runs.clone() })
        }
        other => other.clone(),
    };
    let meta = Meta { xattrs: tree.intern(top.xattrs(node.meta.xattrs).clone()), ..node.meta };
    tree.add(parent, name, Node { meta, kind })
}

/// Gives a directory what its namesake in `top` has.
fn merge(tree: &mut Tree, directory: NodeId, top: &Tree, node: &Node) {
    let mut xattrs = tree.xattrs(tree.node(directory).meta.xattrs).clone();
    xattrs.extend(top.xattrs(node.meta.xattrs).clone());
    let xattrs = tree.intern(xattrs);
    *tree.meta_mut(directory) = Meta { xattrs, ..node.meta };
}

fn clash(step: &Step, old: &Node, new: &Node) -> Refusal {
    let path = escaped(&step.path);
    let reason = format!("a {} would take the place of a {}", new.kind.name(), old.kind.name());
    let refusal = Refusal::new(RefusalKind::Invalid, Spot::new("overlay", path.as_str()), reason);
    match &old.kind {
        Kind::Symlink(target) => {
            let target = escaped(target);
            refusal.hint(format!("{path} is a symlink to {target}: put the files where it points"))
        }
        _ => refusal,
    }
}
