//! Trees as values: names in any order, numbering.

use diskwright_fstools::tree::{Kind, Meta, Node, NodeId, ROOT, Time, Tree, Xattrs};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn meta() -> Meta {
    Meta::of_root(0o755, Time::seconds(0))
}

fn node() -> Node {
    Node { meta: meta(), kind: Kind::Fifo }
}

fn names(tree: &Tree) -> Vec<Vec<u8>> {
    tree.children(ROOT).map(|(name, _)| name.to_vec()).collect()
}

#[test]
fn names_may_come_in_any_order() {
    const COUNT: u32 = 20_000;
    for step in [1, COUNT - 1, 7919] {
        let mut tree = Tree::new(meta());
        for index in 0..COUNT {
            let name = format!("{:05}", (u64::from(index) * u64::from(step)) % u64::from(COUNT));
            tree.add(ROOT, name.as_bytes(), node()).unwrap();
        }
        let expected: Vec<Vec<u8>> = (0..COUNT).map(|index| format!("{index:05}").into_bytes()).collect();
        assert_eq!(names(&tree), expected, "step {step}");
        assert_eq!(tree.children(ROOT).len(), COUNT as usize);
        assert_eq!(tree.walk().count(), COUNT as usize + 1);
        assert!(tree.add(ROOT, b"00700", node()).is_err(), "a name that is taken");
    }
}

#[test]
fn equal_trees_are_numbered_alike() {
    let build = |order: &[&str]| {
        let mut tree = Tree::new(meta());
        for path in order {
            let xattrs = Xattrs::from([(b"user.path".to_vec(), path.as_bytes().to_vec())]);
            let xattrs = tree.intern(xattrs);
            let node = Node { meta: Meta { xattrs, ..meta() }, kind: Kind::Fifo };
            tree.put(path.as_bytes(), node, meta()).unwrap();
        }
        tree.remove(ROOT, b"gone");
        tree.renumber();
        tree
    };
    let one = build(&["a/b", "a/c", "d", "gone"]);
    let other = build(&["gone", "d", "a/c", "gone", "a/b", "d"]);
    let seen = |tree: &Tree| -> Vec<(Vec<u8>, NodeId, Meta)> {
        tree.walk().map(|step| (step.path, step.node, tree.node(step.node).meta)).collect()
    };
    assert_eq!(seen(&one), seen(&other));
    assert_eq!(one.nodes(), 5, "the root, a, a/b, a/c, d");
    let numbers: Vec<u32> = one.walk().map(|step| step.node.0).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    let paths = one.walk().skip(2).map(|step| one.xattrs(one.node(step.node).meta.xattrs).len());
    assert_eq!(paths.collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn a_hard_link_keeps_its_node_when_numbered() {
    let mut tree = Tree::new(meta());
    let file = tree.add(ROOT, b"z", node()).unwrap();
    tree.link(ROOT, b"a", file).unwrap();
    tree.add(ROOT, b"m", node()).unwrap();
    tree.renumber();
    assert_eq!(tree.child(ROOT, b"a"), Some(NodeId(1)));
    assert_eq!(tree.child(ROOT, b"z"), Some(NodeId(1)));
    assert_eq!(tree.child(ROOT, b"m"), Some(NodeId(2)));
    assert_eq!(tree.links(), [1, 2, 1]);
}

proptest! {
    /// A directory is a sorted map, whatever is added and removed in whatever order.
    #[test]
    fn a_directory_is_a_map(steps in prop::collection::vec((any::<bool>(), 0..2000_u32), 0..6000)) {
        let mut tree = Tree::new(meta());
        let mut map = BTreeMap::new();
        for (add, number) in steps {
            let name = number.to_string().into_bytes();
            match add {
                true => {
                    let added = tree.add(ROOT, &name, node());
                    prop_assert_eq!(added.is_ok(), !map.contains_key(&name));
                    if let Ok(id) = added {
                        map.insert(name, id);
                    }
                }
                false => prop_assert_eq!(tree.remove(ROOT, &name), map.remove(&name).is_some()),
            }
        }
        let children: Vec<(Vec<u8>, NodeId)> = tree.children(ROOT).map(|(name, id)| (name.to_vec(), id)).collect();
        prop_assert_eq!(children, map.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn files_of_the_root_itself_count_among_the_largest_directories() {
    let meta = Meta::of_root(0o755, Time::default());
    let file = |len| Node { meta, kind: Kind::file(vec![1; len]) };
    let mut tree = Tree::new(meta);
    tree.add(ROOT, b"large", file(3000)).unwrap();
    let dir = tree.add(ROOT, b"d", Node { meta, kind: Kind::directory() }).unwrap();
    tree.add(dir, b"small", file(10)).unwrap();
    assert_eq!(tree.largest(5), [("/".to_owned(), 3000), ("/d".to_owned(), 10)]);
}
