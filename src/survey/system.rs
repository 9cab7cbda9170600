//! What a tree says of the system in it: its release, which loader reads it, what it wants of its fstab.
//!
//! os-release(5), of `/etc` first and of `/usr/lib` else, and mke2fs.conf(5). Nothing of the host is looked at.

use crate::boot::follow;
use crate::describe::kiwi::exclude_files;
use crate::model::System;
use diskwright_formats::layout::{ContentError, Contents};
use diskwright_fstools::registry::{Release, Target};
use diskwright_fstools::tree::{Data, Kind, NodeId, Tree};

/// Files that say something are no longer than this; what is behind is not read.
const LONGEST: u64 = 64 << 10;

/// One of these is there where GRUB 2 is.
const GRUB: [&[u8]; 5] =
    [b"/boot/grub", b"/boot/grub2", b"/usr/lib/grub", b"/usr/share/grub2", b"/usr/lib/grub2"];

/// What the tree says. `named` is a profile in the place of that.
pub fn system(tree: &Tree, contents: &dyn Contents, named: Option<&str>) -> Result<System, ContentError> {
    let first = |paths: &[&[u8]]| {
        let found = paths.iter().find_map(|path| file_at(tree, path));
        found.map(|node| text(tree, node, contents)).transpose()
    };
    let release = first(&[b"/etc/os-release", b"/usr/lib/os-release"])?;
    let target = Target {
        named: named.map(str::to_owned),
        release: release.as_deref().and_then(release_of),
        mke2fs_conf: first(&[b"/etc/mke2fs.conf"])?,
        boot: None,
    };
    let edit = |path: &[u8]| {
        // What is longer, or no text, stays what nobody knows how to do.
        let short = tree
            .lookup(path)
            .filter(|&node| matches!(&tree.node(node).kind, Kind::File(data) if data.size() <= LONGEST));
        let text = short.map(|node| text(tree, node, contents)).transpose()?;
        Ok(text.filter(|text| !text.contains(char::REPLACEMENT_CHARACTER)))
    };
    Ok(System {
        target,
        grub: GRUB.iter().any(|path| follow(tree, path).is_some()),
        fstab_append: edit(b"/etc/fstab.append")?,
        fstab_patch: edit(b"/etc/fstab.patch")?,
        fstab: if tree.lookup(b"/image/fstab.script").is_some() { edit(b"/etc/fstab")? } else { None },
        exclude_files: edit(b"/image/exclude_files.yaml")?.map(|text| exclude_files(&text)),
    })
}

fn file_at(tree: &Tree, path: &[u8]) -> Option<NodeId> {
    follow(tree, path).filter(|&node| matches!(tree.node(node).kind, Kind::File(_)))
}

/// The text of a file; a hole reads as zeros.
fn text(tree: &Tree, node: NodeId, contents: &dyn Contents) -> Result<String, ContentError> {
    let Kind::File(data) = &tree.node(node).kind else { return Ok(String::new()) };
    let mut bytes = vec![0; data.size().min(LONGEST) as usize];
    match data {
        Data::Bytes(all) => bytes.iter_mut().zip(all.iter()).for_each(|(byte, is)| *byte = *is),
        Data::Content { id, .. } => {
            let content = contents.open(*id)?;
            for run in data.runs() {
                let end = run.end.min(LONGEST);
                if run.start < end {
                    content.read_exact_at(run.start, &mut bytes[run.start as usize..end as usize])?;
                }
            }
            content.close()?;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The release of an os-release file; `None` without an `ID`.
fn release_of(text: &str) -> Option<Release> {
    let value = |key: &str| {
        let mut lines = text.lines().filter_map(|line| line.trim().split_once('='));
        // As in a shell, the last one counts.
        let value = lines.rfind(|(name, _)| *name == key)?.1;
        Some(unquoted(value)).filter(|value| !value.is_empty())
    };
    let codenames = ["VERSION_CODENAME", "UBUNTU_CODENAME", "DEBIAN_CODENAME"];
    Some(Release {
        id: value("ID")?,
        like: value("ID_LIKE")
            .map(|list| list.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default(),
        version: value("VERSION_ID"),
        codenames: codenames.into_iter().filter_map(value).collect(),
        pretty: value("PRETTY_NAME"),
    })
}

/// A value without the quotes of a shell.
fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    let mut plain = String::new();
    let mut characters = inner.unwrap_or(value).chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' && !value.starts_with('\'') {
            characters.next()
        } else {
            Some(character)
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use diskwright_formats::layout::{Bytes, Memory};
    use diskwright_fstools::tree::{Meta, Node, Time};

    fn put(tree: &mut Tree, path: &str, kind: Kind) {
        let meta = Meta::of_root(0o755, Time::default());
        tree.put(path.as_bytes(), Node { meta, kind }, meta).expect("a good path");
    }

    #[test]
    fn a_release_is_found_behind_a_link() {
        let mut tree = Tree::new(Meta::of_root(0o755, Time::default()));
        let text = "PRETTY_NAME=\"A \\\"B\\\"\"\nID=debian\nVERSION_ID='12'\nVERSION_CODENAME=bookworm\n# ID=no\nID_LIKE=\"a b\"\n";
        let contents = Memory(vec![Bytes::from(text.as_bytes().to_vec())]);
        let data = Data::Content {
            id: diskwright_formats::layout::ContentId(0),
            size: text.len() as u64,
            runs: None,
        };
        put(&mut tree, "/usr/lib/os-release", Kind::File(data));
        put(&mut tree, "/etc/os-release", Kind::Symlink(b"../usr/lib/os-release"[..].into()));
        put(&mut tree, "/etc/mke2fs.conf", Kind::file(b"[defaults]\n".to_vec()));
        put(&mut tree, "/boot/grub/grub.cfg", Kind::file(vec![]));
        let system = system(&tree, &contents, None).expect("in memory");
        let release = system.target.release.expect("an ID");
        assert_eq!((release.id.as_str(), release.version.as_deref()), ("debian", Some("12")));
        assert_eq!(
            (release.pretty.as_deref(), release.codenames),
            (Some("A \"B\""), vec!["bookworm".to_owned()])
        );
        assert_eq!(release.like, ["a", "b"]);
        assert_eq!(system.target.mke2fs_conf.as_deref(), Some("[defaults]\n"));
        assert!(system.grub);
    }

    #[test]
    fn a_tree_that_says_nothing_is_no_error() {
        let mut tree = Tree::new(Meta::of_root(0o755, Time::default()));
        let none = system(&tree, &Memory::default(), Some("debian-12")).expect("nothing to read");
        assert_eq!(
            (none.target.named.as_deref(), none.target.release, none.grub),
            (Some("debian-12"), None, false)
        );
        put(&mut tree, "/etc/os-release", Kind::file(b"=\nID\n\xFF\"\nNAME=x".to_vec()));
        assert_eq!(system(&tree, &Memory::default(), None).expect("in memory").target.release, None);
        put(&mut tree, "/etc/mke2fs.conf", Kind::file(vec![b'#'; 100_000]));
        let long = system(&tree, &Memory::default(), None).expect("in memory").target.mke2fs_conf;
        assert_eq!(long.map(|text| text.len() as u64), Some(LONGEST));
    }
}
