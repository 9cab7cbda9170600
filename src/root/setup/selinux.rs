//! SELinux labels of a tree, from the policy that is in it.
//!
//! What setfiles(8) does in a running system, without its kernel: `file_contexts(5)` and the files beside it are matched here.
//! Among expressions that match a path the last one counts, plain paths before all expressions (libselinux 3.4,
//! `label_file.c`, `sort_specs` and `lookup`). Expressions are PCRE; those with look-around or back references are refused.

use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_fstools::tree::{Kind, NodeId, Tree};
use regex::bytes::{Regex, RegexBuilder};
use std::collections::{BTreeMap, BTreeSet};

/// The attribute that holds a label.
pub const ATTRIBUTE: &[u8] = b"security.selinux";

/// The files of a policy that say which label a path has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// `file_contexts`
    pub contexts: String,
    /// `file_contexts.homedirs`
    pub homes: String,
    /// `file_contexts.local`
    pub local: String,
    /// `file_contexts.subs_dist`: a line has two paths; what is below the first is labelled as if it were below the second.
    pub distribution_aliases: String,
    /// `file_contexts.subs`, tried before the ones of the distribution.
    pub aliases: String,
}

/// The directory of a policy's files in the tree, of the text of `/etc/selinux/config`.
pub fn directory(config: &str) -> Option<String> {
    let value = config.lines().filter_map(|line| line.trim().strip_prefix("SELINUXTYPE=")).next_back()?;
    let value = value.trim();
    let good = !value.is_empty() && !value.contains('/') && value != "..";
    good.then(|| format!("/etc/selinux/{value}/contexts/files"))
}

/// Rules, ready for look-ups.
#[derive(Debug)]
pub struct Contexts {
    /// Plain paths, with the rules of each in their order.
    plain: BTreeMap<Vec<u8>, Vec<(Type, Option<String>)>>,
    /// Expressions in their order.
    rules: Vec<Rule>,
    /// Which of them can match below a first directory; those that may match anywhere are in each.
    below: BTreeMap<Vec<u8>, Vec<usize>>,
    /// Those that may match anywhere.
    anywhere: Vec<usize>,
    /// Tried in this order, the first that fits.
    aliases: [Vec<(String, String)>; 2],
}

#[derive(Debug)]
struct Rule {
    /// What each path that it matches begins with.
    prefix: Vec<u8>,
    expression: Regex,
    of: Type,
    /// `None`: no label.
    label: Option<String>,
}

/// Which files a rule is for: `-d`, `--`, ...; `None`: all.
type Type = Option<u8>;

/// `<<none>>`
const NONE: &str = "<<none>>";

impl Contexts {
    /// Reads the rules.
    ///
    /// # Errors
    /// A line that is no rule, or an expression that cannot be matched here.
    pub fn read(policy: &Policy) -> Result<Contexts, Refusal> {
        let files = [
            ("file_contexts", &policy.contexts),
            ("file_contexts.homedirs", &policy.homes),
            ("file_contexts.local", &policy.local),
        ];
        let (mut plain, mut rules) = (BTreeMap::<Vec<u8>, Vec<_>>::new(), Vec::new());
        for (file, text) in files {
            for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let at = || Spot::new("SELinux policy", format!("{file}:{number}"));
                let (expression, of, label) = fields(line).ok_or_else(|| {
                    Refusal::new(RefusalKind::Invalid, at(), format!("no rule of file_contexts(5): {line}"))
                })?;
                match literal(expression) {
                    (path, true) => plain.entry(path).or_default().push((of, label)),
                    (prefix, false) => {
                        let expression = compiled(expression).map_err(|reason| {
                            let reason =
                                format!("an expression that cannot be matched here: {expression}: {reason}");
                            Refusal::new(RefusalKind::Unsupported, at(), reason)
                                .hint("look-around and back references of PCRE are not known")
                        })?;
                        rules.push(Rule { prefix, expression, of, label });
                    }
                }
            }
        }
        let aliases = [aliases(&policy.aliases), aliases(&policy.distribution_aliases)];
        Ok(indexed(Contexts { plain, rules, below: BTreeMap::new(), anywhere: Vec::new(), aliases }))
    }

    /// The label of an absolute path; `None` where the policy has none for it.
    pub fn label(&self, path: &[u8], kind: &Kind) -> Option<&str> {
        let path = self.aliases.iter().fold(path.to_vec(), |path, list| replaced(list, path));
        let letter = letter(kind);
        let fits = |of: Type| of.is_none_or(|of| of == letter);
        if let Some((_, label)) = self.plain.get(&path).into_iter().flatten().rev().find(|(of, _)| fits(*of))
        {
            return label.as_deref();
        }
        let candidates = self.below.get(first(&path)).unwrap_or(&self.anywhere);
        let rules = candidates.iter().rev().map(|&index| &self.rules[index]);
        let mut matching = rules.filter(|rule| {
            fits(rule.of) && path.starts_with(&rule.prefix) && rule.expression.is_match(&path)
        });
        matching.next()?.label.as_deref()
    }
}

/// Sets the labels of all files; a file with several names has that of its first one. Those for which the policy has no label
/// lose what they had. The result: how many files have one.
pub fn label(tree: &mut Tree, contexts: &Contexts) -> u64 {
    let mut seen = BTreeSet::<NodeId>::new();
    let mut labels = Vec::new();
    for step in tree.walk() {
        if seen.insert(step.node) {
            let label = contexts.label(&step.path, &tree.node(step.node).kind).map(str::to_owned);
            labels.push((step.node, label));
        }
    }
    let labelled = labels.iter().filter(|(_, label)| label.is_some()).count() as u64;
    for (node, label) in labels {
        let mut xattrs = tree.xattrs(tree.node(node).meta.xattrs).clone();
        match label {
            // As libselinux writes it: with its zero byte.
            Some(label) => xattrs.insert(ATTRIBUTE.into(), [label.as_bytes(), b"\0"].concat()),
            None => xattrs.remove(ATTRIBUTE),
        };
        let id = tree.intern(xattrs);
        tree.meta_mut(node).xattrs = id;
    }
    labelled
}

/// Expression, kind of file, label.
fn fields(line: &str) -> Option<(&str, Type, Option<String>)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (expression, of, label) = match words[..] {
        [expression, label] => (expression, None, label),
        [expression, of, label] => match of.as_bytes() {
            [b'-', letter @ (b'-' | b'd' | b'c' | b'b' | b'l' | b'p' | b's')] => {
                (expression, Some(*letter), label)
            }
            _ => return None,
        },
        _ => return None,
    };
    Some((expression, of, (label != NONE).then(|| label.to_owned())))
}

/// What a path that an expression matches begins with, and whether that is all of it.
fn literal(expression: &str) -> (Vec<u8>, bool) {
    let mut prefix = Vec::new();
    let mut bytes = expression.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            // Escaped letters and digits are classes, not themselves.
            b'\\' => match bytes.next() {
                Some(byte) if !byte.is_ascii_alphanumeric() => prefix.push(byte),
                _ => return (prefix, false),
            },
            // Another branch may begin otherwise.
            b'|' => return (Vec::new(), false),
            b'?' | b'*' | b'{' => {
                prefix.pop();
                return (without_branches(expression, prefix), false);
            }
            b'.' | b'^' | b'$' | b'+' | b'[' | b'(' => return (without_branches(expression, prefix), false),
            byte => prefix.push(byte),
        }
    }
    (prefix, true)
}

/// The prefix, or none when the expression has branches outside of brackets.
fn without_branches(expression: &str, prefix: Vec<u8>) -> Vec<u8> {
    let (mut depth, mut escape) = (0_i32, false);
    for byte in expression.bytes() {
        match byte {
            _ if escape => escape = false,
            b'\\' => escape = true,
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'|' if depth == 0 => return Vec::new(),
            _ => {}
        }
    }
    prefix
}

fn compiled(expression: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(&format!("^{expression}$"));
    let built = builder.unicode(false).dot_matches_new_line(true).size_limit(1 << 20).build();
    built.map_err(|error| error.to_string().lines().last().unwrap_or_default().trim().to_owned())
}

/// Sorts the rules by the first directory of what they match.
fn indexed(mut contexts: Contexts) -> Contexts {
    let start = |rule: &Rule| {
        let name = first(&rule.prefix);
        // A prefix that ends within the first name says nothing about it.
        (rule.prefix.len() > name.len()).then(|| name.to_vec())
    };
    let names: BTreeSet<Vec<u8>> = contexts.rules.iter().filter_map(start).collect();
    contexts.below = names.into_iter().map(|name| (name, Vec::new())).collect();
    for (index, rule) in contexts.rules.iter().enumerate() {
        match start(rule) {
            Some(name) => contexts.below.entry(name).or_default().push(index),
            None => {
                contexts.below.values_mut().for_each(|list| list.push(index));
                contexts.anywhere.push(index);
            }
        }
    }
    contexts
}

/// `/usr` of `/usr/bin/x` and of `/usr`.
fn first(path: &[u8]) -> &[u8] {
    let end = path.iter().skip(1).position(|&byte| byte == b'/').map_or(path.len(), |end| end + 1);
    &path[..end]
}

/// Pairs of paths; a later line goes before an earlier one.
fn aliases(text: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (from, to) = (words.next()?, words.next()?);
        (!from.starts_with('#')).then(|| (from.to_owned(), to.to_owned()))
    };
    text.lines().rev().filter_map(line).collect()
}

/// A path, its beginning replaced by the first alias that fits.
fn replaced(aliases: &[(String, String)], path: Vec<u8>) -> Vec<u8> {
    for (from, to) in aliases {
        let Some(rest) = path.strip_prefix(from.as_bytes()) else { continue };
        match rest {
            [] | [b'/', ..] if to == "/" && !rest.is_empty() => return rest.to_vec(),
            [] | [b'/', ..] => return [to.as_bytes(), rest].concat(),
            _ => {}
        }
    }
    path
}

fn letter(kind: &Kind) -> u8 {
    match kind {
        Kind::Directory(_) => b'd',
        Kind::File(_) => b'-',
        Kind::Symlink(_) => b'l',
        Kind::CharDevice { .. } => b'c',
        Kind::BlockDevice { .. } => b'b',
        Kind::Fifo => b'p',
        Kind::Socket => b's',
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use diskwright_fstools::tree::{Meta, Node, Time};

    fn policy() -> Policy {
        Policy {
            contexts: "\
# a comment
/.* system:default
/usr(/.*)? system:usr
/usr/bin/su -- system:su
/usr/bin/.* system:bin
/usr/bin/.* -l system:link
/lib(64)?/.+ system:lib
/etc/\\.pwd\\.lock -- system:lock
/etc/.*lock system:never
/tmp/.* <<none>>
/(a|b)/x system:branch
/run/[^/]+ -s system:socket
"
            .to_owned(),
            homes: "/home/[^/]+ -d user:home\n/home/[^/]+/.+ user:file\n".to_owned(),
            local: "/usr/bin/mine system:mine\n/home/root/.+ user:root\n".to_owned(),
            distribution_aliases: "/opt/usr /usr\n/alt /\n".to_owned(),
            aliases: "/mine /opt/usr\n".to_owned(),
        }
    }

    #[test]
    fn the_last_rule_that_fits_counts_and_plain_paths_before_all() {
        let contexts = Contexts::read(&policy()).unwrap();
        let (file, directory, link) =
            (Kind::file(Vec::new()), Kind::directory(), Kind::Symlink((*b"x").into()));
        for (path, kind, expected) in [
            ("/", &directory, Some("system:default")),
            ("/usr", &directory, Some("system:usr")),
            ("/usrlocal", &directory, Some("system:default")),
            ("/usr/bin/su", &file, Some("system:su")),
            ("/usr/bin/su", &link, Some("system:link")),
            ("/usr/bin/ls", &file, Some("system:bin")),
            ("/usr/bin/mine", &link, Some("system:mine")),
            ("/lib/x", &file, Some("system:lib")),
            ("/lib64/x", &file, Some("system:lib")),
            ("/lib64", &directory, Some("system:default")),
            ("/etc/.pwd.lock", &file, Some("system:lock")),
            ("/etc/xpwd.lock", &file, Some("system:never")),
            ("/tmp/a", &file, None),
            ("/b/x", &file, Some("system:branch")),
            ("/run/a", &Kind::Socket, Some("system:socket")),
            ("/run/a", &file, Some("system:default")),
            ("/home/a", &directory, Some("user:home")),
            ("/home/a/b", &file, Some("user:file")),
            ("/home/root/b", &file, Some("user:root")),
            ("/opt/usr/bin/su", &file, Some("system:su")),
            ("/mine/bin/su", &file, Some("system:su")),
            ("/alt/usr", &directory, Some("system:usr")),
            ("/opt/usrx", &file, Some("system:default")),
        ] {
            assert_eq!(contexts.label(path.as_bytes(), kind), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_rule_is_named_with_its_line() {
        for (line, expected) in [
            ("/a -x system:a", "file_contexts:2: no rule"),
            ("/a", "file_contexts:2: no rule"),
            ("/(?!a) system:a", "file_contexts:2: an expression that cannot be matched here: /(?!a)"),
            ("/(a system:a", "cannot be matched here"),
            ("/(a)\\1 system:a", "cannot be matched here"),
        ] {
            let policy = Policy { contexts: format!("# first\n{line}\n"), ..Policy::default() };
            let refusal = Contexts::read(&policy).unwrap_err().to_string();
            assert!(refusal.contains(expected), "{refusal}");
        }
    }

    #[test]
    fn the_directory_is_named_by_the_configuration() {
        let config = "# SELINUXTYPE=no\nSELINUX=enforcing\n SELINUXTYPE=targeted \n";
        assert_eq!(directory(config).as_deref(), Some("/etc/selinux/targeted/contexts/files"));
        assert_eq!(directory("SELINUX=disabled\n"), None);
        assert_eq!(directory("SELINUXTYPE=../../x\n"), None);
    }

    #[test]
    fn labels_are_attributes_and_old_ones_go() {
        let meta = Meta::of_root(0o755, Time::seconds(0));
        let mut tree = Tree::new(meta);
        let old = tree.intern(BTreeMap::from([(ATTRIBUTE.to_vec(), b"old\0".to_vec())]));
        let node = |kind| Node { meta: Meta { xattrs: old, ..meta }, kind };
        for path in ["usr/bin/ls", "tmp/a"] {
            tree.put(path.as_bytes(), node(Kind::file(Vec::new())), meta).unwrap();
        }
        assert_eq!(label(&mut tree, &Contexts::read(&policy()).unwrap()), 5);
        let of = |path: &str| {
            let node = tree.node(tree.lookup(path.as_bytes()).unwrap());
            tree.xattrs(node.meta.xattrs).get(ATTRIBUTE).cloned()
        };
        assert_eq!(of("usr/bin/ls"), Some(b"system:bin\0".to_vec()));
        assert_eq!(of("tmp/a"), None);
    }
}
