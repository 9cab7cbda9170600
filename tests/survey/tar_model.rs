//! Archives of arbitrary members against a model of what extracting them does.

use crate::support::*;
use diskwright_fstools::tree::{Kind, NodeId};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Member {
    File(String, Vec<u8>),
    Directory(String),
    Symlink(String),
    HardLink(String, String),
}

/// What a name is: a directory, a symlink, or a file by number.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Is {
    Directory,
    Symlink,
    File(usize),
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..4)
        .prop_map(|names| names.join("/"))
}

fn member() -> impl Strategy<Value = Member> {
    let size = prop_oneof![0..2000_usize, 60_000..140_000_usize];
    let data = (size, any::<bool>()).prop_map(|(size, zero)| {
        let mut data = vec![0; size];
        if let (false, Some(last)) = (zero, data.last_mut()) {
            *last = 1;
        }
        data
    });
    prop_oneof![
        3 => (path(), data).prop_map(|(path, data)| Member::File(path, data)),
        2 => path().prop_map(Member::Directory),
        1 => path().prop_map(Member::Symlink),
        2 => (path(), path()).prop_map(|(path, target)| Member::HardLink(path, target)),
    ]
}

#[derive(Clone, Default)]
struct Model {
    names: BTreeMap<String, Is>,
    files: Vec<Vec<u8>>,
}

impl Model {
    /// `None`: refused.
    fn extract(&mut self, member: &Member) -> Option<()> {
        let path = match member {
            Member::File(path, _)
            | Member::Directory(path)
            | Member::Symlink(path)
            | Member::HardLink(path, _) => path,
        };
        let parents: Vec<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
        for parent in parents {
            if *self.names.entry(parent.to_owned()).or_insert(Is::Directory) != Is::Directory {
                return None;
            }
        }
        let is = match member {
            Member::File(_, data) => {
                self.files.push(data.clone());
                Is::File(self.files.len() - 1)
            }
            Member::Directory(_) => Is::Directory,
            Member::Symlink(_) => Is::Symlink,
            Member::HardLink(_, target) => match self.names.get(target)? {
                Is::Directory => return None,
                // In this model a symlink has one name.
                Is::Symlink if target == path => return Some(()),
                Is::Symlink => return None,
                file => file.clone(),
            },
        };
        let below = format!("{path}/");
        let has_files = self.names.keys().any(|name| name.starts_with(&below));
        if has_files && is != Is::Directory {
            return None;
        }
        self.names.insert(path.clone(), is);
        Some(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn members_make_the_tree_that_extracting_makes(members in prop::collection::vec(member(), 0..12)) {
        let mut model = Model::default();
        let mut tar = Tar::default();
        for member in members {
            let next = match &member {
                Member::File(path, data) => tar.clone().file(path, data),
                Member::Directory(path) => tar.clone().directory(&format!("./{path}/")),
                Member::Symlink(path) => tar.clone().link(path, b'2', "target"),
                Member::HardLink(path, target) => tar.clone().link(path, b'1', target),
            };
            let mut tried = model.clone();
            match tried.extract(&member) {
                Some(()) => (model, tar) = (tried, next),
                None if matches!(&member, Member::HardLink(_, target) if model.names.get(target) == Some(&Is::Symlink)) => {}
                None => prop_assert!(streamed(&next.end()).is_err(), "{member:?} must be refused"),
            }
        }
        let survey = streamed(&tar.end()).unwrap();
        let mut nodes: BTreeMap<usize, NodeId> = BTreeMap::new();
        let mut seen = BTreeMap::new();
        for step in survey.tree.walk().skip(1) {
            let path = String::from_utf8(step.path[1..].to_vec()).unwrap();
            let is = match (&survey.tree.node(step.node).kind, model.names.get(&path)) {
                (Kind::Directory(_), _) => Is::Directory,
                (Kind::Symlink(_), _) => Is::Symlink,
                (_, Some(Is::File(file))) => {
                    prop_assert_eq!(*nodes.entry(*file).or_insert(step.node), step.node, "names of one file");
                    prop_assert!(bytes(&survey, step.node) == model.files[*file], "{}", path);
                    Is::File(*file)
                }
                (kind, model) => panic!("{path}: {kind:?}, expected {model:?}"),
            };
            seen.insert(path, is);
        }
        prop_assert_eq!(seen, model.names);
    }
}
