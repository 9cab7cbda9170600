//! What the tree's apt has dpkg do: told instead of done, so that most packages can be unpacked by us.
//!
//! apt decides what is unpacked and configured in which order, asks questions of debconf, and notes which packages it chose by
//! itself; then it runs dpkg a few times, at the end with `--configure --pending`. In dpkg's place it finds [`RECORDER`].

/// The program that stands in for dpkg, in the tree, while apt runs.
pub(super) const RECORDER: &str = "/var/lib/dpkg/diskwright-calls";

/// The lines by which it tells a call, and a word of it.
const CALL: &str = "[dpkg]";
const WORD: &str = "[dpkg] ";

/// Calls that change nothing are dpkg's. apt hands over many files as a directory of links, whose names have their order.
pub(super) fn recorder() -> String {
    format!(
        r#"#!/bin/sh
changes=
for word; do
    case $word in --unpack | --configure | --remove | --purge | --triggers-only) changes=yes ;; esac
done
[ "$changes" ] || exec dpkg "$@"
echo '{CALL}'
while [ $# -gt 0 ]; do
    case $1 in
    --status-fd) shift ;;
    --recursive)
        shift
        for file in "$1"/*.deb; do printf '{WORD}%s\n' "$(readlink -f "$file")"; done
        ;;
    *) printf '{WORD}%s\n' "$1" ;;
    esac
    shift
done
"#
    )
}

/// A call of dpkg.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Its arguments.
    pub words: Vec<String>,
}

impl Call {
    /// The calls that were told, in their order, among what else was printed.
    pub fn read(printed: &str) -> Vec<Call> {
        let mut calls: Vec<Call> = Vec::new();
        for line in printed.lines() {
            match (line.strip_prefix(WORD), calls.last_mut()) {
                (Some(word), Some(call)) => call.words.push(word.to_owned()),
                _ if line == CALL => calls.push(Call::default()),
                _ => {}
            }
        }
        calls
    }

    /// The packages that it unpacks, absolute in the tree.
    pub fn unpacked(&self) -> impl Iterator<Item = &str> {
        let unpacks = self.words.iter().any(|word| word == "--unpack");
        self.words.iter().filter(move |word| unpacks && is_package(word)).map(String::as_str)
    }

    /// The same without some of these packages; `None`: nothing is left to do.
    pub fn only(&self, wanted: impl Fn(&str) -> bool) -> Option<Call> {
        let words = self.words.iter().filter(|word| !is_package(word) || wanted(word)).cloned();
        Some(Call { words: words.collect() }).filter(|call| call.unpacked().next().is_some())
    }
}

fn is_package(word: &str) -> bool {
    word.starts_with('/') && word.ends_with(".deb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_among_other_lines() {
        let printed = "Selecting\n[dpkg]\n[dpkg] --unpack\n[dpkg] --force-unsafe-io\nother\n[dpkg] /a/b c.deb\n[dpkg] /d.deb\n\
                       [dpkg]\n[dpkg] --configure\n[dpkg] e:amd64\n";
        let calls = Call::read(printed);
        let shown: Vec<String> = calls.iter().map(|call| call.words.join(",")).collect();
        assert_eq!(shown, ["--unpack,--force-unsafe-io,/a/b c.deb,/d.deb", "--configure,e:amd64"]);
        assert_eq!(calls[0].unpacked().collect::<Vec<_>>(), ["/a/b c.deb", "/d.deb"]);
        assert_eq!(calls[1].unpacked().count(), 0);
        let rest = calls[0].only(|path| path == "/d.deb");
        assert_eq!(
            rest.map(|call| call.words.join(",")).as_deref(),
            Some("--unpack,--force-unsafe-io,/d.deb")
        );
        assert_eq!(calls[0].only(|_| false), None);
        assert_eq!(Call::read("[dpkg] word without a call\n"), []);
    }
}
