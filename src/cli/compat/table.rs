//! Every option of KIWI NG 10.3.9 and of its plugins (boxed 0.2.60, stackbuild 1.0.14), one row each, and what becomes of
//! it here. Names, values and what may be repeated are those of the usage texts in KIWI's `cli.py` and `tasks/*.py`.

use State::{Absent, Command, Noted, Used};

/// What becomes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does what it does in KIWI, or what comes nearest: what that is.
    Used(&'static str),
    /// Accepted; nothing here depends on it: why. Said in a note whenever it is given.
    Noted(&'static str),
    /// Refused by name.
    Absent {
        /// What is not there yet.
        why: &'static str,
        /// What to do today.
        instead: &'static str,
    },
    /// Its whole command is refused: what it is for.
    Command(&'static str),
}

/// An option.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name, without the two dashes.
    pub long: &'static str,
    /// What its value is; `None`: it has none.
    pub value: Option<&'static str>,
    /// Whether it may be given more than once.
    pub repeats: bool,
    /// What becomes of it.
    pub state: State,
}

/// A command: `system build`.
#[derive(Clone, Copy, Debug)]
pub struct Verb {
    /// `image`, `result`, `system`.
    pub service: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Its options.
    pub options: &'static [Row],
    /// Options that must be there.
    pub needs: &'static [&'static str],
    /// Options that stand alone, instead of all others.
    pub alone: &'static [&'static str],
    /// Options of which one may be given.
    pub exclusive: &'static [&'static [&'static str]],
    /// What stands behind `--`.
    pub rest: Rest,
    /// Why there is no such command yet, and what to do today.
    pub absent: Option<(&'static str, &'static str)>,
}

/// What stands behind `--`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing may.
    None,
    /// Options of `system build`; they must be there.
    Build,
    /// Options of `system build` or `system create`, if any.
    Optional,
}

/// A service and what its commands are about.
pub const SERVICES: [(&str, &str); 3] = [
    ("image", "KIWI's image commands: info, resize"),
    ("result", "KIWI's result commands: list, bundle"),
    ("system", "KIWI's system commands: build, prepare, create, update, boxbuild, stash, stackbuild"),
];

const fn flag(long: &'static str, state: State) -> Row {
    Row { long, value: None, repeats: false, state }
}

const fn one(long: &'static str, value: &'static str, state: State) -> Row {
    Row { long, value: Some(value), repeats: false, state }
}

const fn many(long: &'static str, value: &'static str, state: State) -> Row {
    Row { long, value: Some(value), repeats: true, state }
}

/// Options in front of the service, and the services that have them. They may also stand behind the command.
pub const GLOBAL: &[(Row, &[&str])] = &[
    (many("profile", "name", Used("Select this profile; may be repeated")), &["image", "system"]),
    (
        many(
            "setenv",
            "variable=value",
            Used(
                "SOURCE_DATE_EPOCH is the latest time in the image; others are for scripts, and none is run",
            ),
        ),
        &["image", "system"],
    ),
    (
        one(
            "shared-cache-dir",
            "directory",
            Noted("packages are not downloaded, so there is nothing to share"),
        ),
        &["system"],
    ),
    (
        one(
            "temp-dir",
            "directory",
            Used("Where spools of compressed archives are made [default: the target directory]"),
        ),
        &["image", "system"],
    ),
    (
        one("target-arch", "name", Used("The machine that the image is for [default: x86_64, on any host]")),
        &["image", "system"],
    ),
    (
        one("type", "build_type", Used("The image type, where the description has several")),
        &["image", "system"],
    ),
    (
        one("logfile", "filename", Used("What is said is also written to this file; `stdout`: only there")),
        ALL,
    ),
    (
        one("logsocket", "socketfile", Noted("nothing is sent to a socket: --logfile FILE has what is said")),
        ALL,
    ),
    (
        one("loglevel", "number", Used("40 and above: errors alone; below: everything that there is to say")),
        ALL,
    ),
    (
        flag(
            "debug",
            Noted("there is nothing more to say: `diskwright plan` shows what would be made, and why"),
        ),
        ALL,
    ),
    (flag("debug-run-scripts-in-screen", Noted("no scripts are run")), ALL),
    (flag("color-output", Used("Colours even where standard error is no terminal")), ALL),
    (
        one(
            "config",
            "configfile",
            Used(
                "A runtime configuration file over /usr/share/kiwi/kiwi.yml, /etc/kiwi.yml, ~/.config/kiwi/config.yml",
            ),
        ),
        ALL,
    ),
    (
        one("kiwi-file", "kiwifile", Used("The description file, where its directory has several")),
        &["image", "system"],
    ),
];

const ALL: &[&str] = &["image", "result", "system"];

const REPO: &str = "source,type,alias,priority,...";
const CREDENTIALS: &str = "user:pass_or_filename";

const NO_CONTAINERS: State =
    Absent { why: "container images are not made yet", instead: "take the option away" };
const REPOSITORIES: &str = "Take none of the description's repositories";
const REPOSITORY: &str = "One more repository; may be repeated";
const REPOSITORY_USER: &str =
    "User and password of a repository that is added, or a file with them, in their order";

/// The options of `build` and `prepare`: what both have, and those of their own.
macro_rules! build_options {
    ($($own:expr),*) => {
        &[
            one("description", "directory", Used("Directory of the description")),
            $($own,)*
            flag("clear-cache", Noted("what earlier builds have finished counts only where nothing has changed; `diskwright build --fresh` starts anew")),
            flag("ignore-repos", Used(REPOSITORIES)),
            flag("ignore-repos-used-for-build", Used("Take only those repositories that are for the image alone")),
            one("set-repo", REPO, Used("A repository in the place of the first one")),
            one("set-repo-credentials", CREDENTIALS, Used("Its user and password, or a file with them")),
            many("add-repo", REPO, Used(REPOSITORY)),
            many("add-repo-credentials", CREDENTIALS, Used(REPOSITORY_USER)),
            many("add-package", "name", Used("One more package")),
            many("add-bootstrap-package", "name", Used("One more package of the first phase")),
            many("ca-cert", "cert-file", Used("One more certificate")),
            one("ca-target-distribution", "suse,redhat,debian,archlinux", Used("Whose trust store has the certificates")),
            many("delete-package", "name", Used("A package to take away")),
            one("set-container-derived-from", "uri", NO_CONTAINERS),
            one("set-container-tag", "name", NO_CONTAINERS),
            many("add-container-label", "label", NO_CONTAINERS),
            many("set-type-attr", "attribute=value", Used("Set an attribute of the selected type; may be repeated")),
            one("set-release-version", "version", Noted("apt does not know it")),
            many("signing-key", "key-file", Noted("keys are those of the description (signing key=) and of the host's keyrings")),
        ]
    };
}

const BUILD: &[Row] = build_options!(
    one("target-dir", "directory", Used("The directory for the results")),
    flag("allow-existing-root", Used("Replace the results of an earlier build"))
);

const PREPARE: &[Row] = build_options!(
    one("root", "directory", Used("The directory that becomes the tree")),
    flag("allow-existing-root", Noted("a tree is made anew, in a directory that is not there or is empty"))
);

const CREATE: &[Row] = &[
    one("root", "directory", Used("The prepared tree, whose description is in its directory image")),
    one(
        "target-dir",
        "directory",
        Used("The directory for the results; those of an earlier call are replaced"),
    ),
    many("signing-key", "key-file", Noted("packages are not installed, so no signature is checked")),
];

const UPDATE: &[Row] = &[
    one("root", "directory", Command("the tree")),
    many("add-package", "name", Command("installed")),
    many("delete-package", "name", Command("removed")),
];

const NO_BOX: State = Noted("there is no box: the image is built right here, without privileges");

const BOXBUILD: &[Row] = &[
    one("box", "name", NO_BOX),
    flag("list-boxes", Used("There are none, and none is needed")),
    one("box-memory", "vmgb", NO_BOX),
    one("box-console", "ttyname", NO_BOX),
    one("box-smp-cpus", "number", NO_BOX),
    flag("box-debug", NO_BOX),
    flag("container", NO_BOX),
    one("kiwi-version", "version", NO_BOX),
    one("shared-path", "path", NO_BOX),
    flag("no-update-check", NO_BOX),
    flag("no-snapshot", NO_BOX),
    flag("no-accel", NO_BOX),
    flag("9p-sharing", NO_BOX),
    flag("virtiofs-sharing", NO_BOX),
    flag("sshfs-sharing", NO_BOX),
    one("ssh-key", "name", NO_BOX),
    one("ssh-port", "port", NO_BOX),
    flag("x86_64", Used("The image is for x86_64")),
    flag("aarch64", Used("The image is for aarch64")),
    one("machine", "qemu_machine", NO_BOX),
    one("cpu", "qemu_cpu", NO_BOX),
];

const STASH: &[Row] = &[
    one("root", "directory", Command("the tree to keep")),
    one("tag", "name", Command("the container's tag")),
    one("container-name", "name", Command("the container's name")),
    flag("list", Command("which stashes there are")),
];

const STACKBUILD: &[Row] = &[
    many("stash", "name", Command("containers, the lowest first")),
    one("from-registry", "URI", Command("where they are pulled from")),
    one("description", "directory", Command("the description of the new image")),
    one("target-dir", "directory", Command("the directory for the results")),
];

const INFO: &[Row] = &[
    one("description", "directory", Used("Directory of the description")),
    flag(
        "resolve-package-list",
        Absent {
            why: "dependencies of packages are not resolved yet",
            instead: "without it, the packages that the description names are shown",
        },
    ),
    flag("list-profiles", Noted("the profiles are always shown")),
    flag(
        "print-kiwi-env",
        Absent {
            why: "the variables of scripts are not shown yet",
            instead: "without it, the values that they are made of are shown, each with its place",
        },
    ),
    flag("ignore-repos", Used(REPOSITORIES)),
    many("add-repo", REPO, Used(REPOSITORY)),
    many("add-repo-credentials", CREDENTIALS, Used(REPOSITORY_USER)),
    flag("print-xml", NO_MARKUP),
    flag("print-yaml", NO_MARKUP),
    flag("print-toml", NO_MARKUP),
];

const NO_MARKUP: State = Absent {
    why: "descriptions are not written yet",
    instead: "without it, everything that the description says is shown; --json for programs",
};

const RESIZE: &[Row] = &[
    one("target-dir", "directory", Used("The target directory of a system build or system create")),
    one("size", "size", Used("The new size of the disk: bytes, or a number with m (MiB) or g (GiB)")),
    one("root", "directory", Noted("the results say which disks there are")),
];

const LIST: &[Row] =
    &[one("target-dir", "directory", Used("The target directory of a system build or system create"))];

const BUNDLE: &[Row] = &[
    one("target-dir", "directory", Used("The target directory of a system build or system create")),
    one("id", "bundle_id", Used("Text behind the version in each name")),
    one("bundle-dir", "directory", Used("The directory for the bundle")),
    one(
        "bundle-format",
        "format",
        Used(
            "The name of every file: %N name, %P profiles, %A machine, %I id, %T type, %M %m %p parts of the version, %v version",
        ),
    ),
    one(
        "zsync-source",
        "download_location",
        Absent {
            why: "zsync control files are not made yet",
            instead: "make the bundle without it, and then run: zsyncmake -e -u LOCATION/FILE -o FILE.zsync FILE",
        },
    ),
    flag(
        "package-as-rpm",
        Absent {
            why: "bundles are not packed as RPM yet",
            instead: "make the bundle without it, and pack its directory with rpmbuild",
        },
    ),
    flag("no-compress", Used("Do not compress images")),
];

/// Nothing special: to be changed field by field.
const PLAIN: Verb = Verb {
    service: "system",
    name: "",
    about: "",
    options: &[],
    needs: &[],
    alone: &[],
    exclusive: &[],
    rest: Rest::None,
    absent: None,
};

/// All commands.
pub const VERBS: &[Verb] = &[
    Verb {
        service: "image",
        name: "info",
        about: "Show what a description says and selects, and where each value came from",
        options: INFO,
        needs: &["description"],
        exclusive: &[&["print-xml", "print-yaml", "print-toml"]],
        ..PLAIN
    },
    Verb {
        service: "image",
        name: "resize",
        about: "Make the disk of a build longer; the room behind its partitions is free",
        options: RESIZE,
        needs: &["target-dir", "size"],
        ..PLAIN
    },
    Verb {
        service: "result",
        name: "list",
        about: "List the results in a target directory",
        options: LIST,
        needs: &["target-dir"],
        ..PLAIN
    },
    Verb {
        service: "result",
        name: "bundle",
        about: "Copy the results under names with an id, compressed, with checksums",
        options: BUNDLE,
        needs: &["target-dir", "id", "bundle-dir"],
        ..PLAIN
    },
    Verb {
        name: "build",
        about: "Make images from a description: install its packages, run its scripts, write its disks",
        options: BUILD,
        needs: &["description", "target-dir"],
        ..PLAIN
    },
    Verb {
        name: "prepare",
        about: "Make a root tree",
        options: PREPARE,
        needs: &["description", "root"],
        ..PLAIN
    },
    Verb {
        name: "create",
        about: "Make images from a prepared root tree",
        options: CREATE,
        needs: &["root", "target-dir"],
        ..PLAIN
    },
    Verb {
        name: "update",
        about: "Update the packages of a root tree",
        options: UPDATE,
        needs: &["root"],
        absent: Some((
            "packages are not installed yet",
            "update the tree with its own package manager (chroot, or an --installroot option)",
        )),
        ..PLAIN
    },
    Verb {
        name: "boxbuild",
        about: "The same as system build: no box is needed",
        options: BOXBUILD,
        needs: &["box"],
        alone: &["list-boxes"],
        exclusive: &[&["9p-sharing", "virtiofs-sharing", "sshfs-sharing"], &["x86_64", "aarch64"]],
        rest: Rest::Build,
        ..PLAIN
    },
    Verb {
        name: "stash",
        about: "Keep a root tree as a container",
        options: STASH,
        needs: &["root"],
        alone: &["list"],
        absent: Some((
            "containers are not written yet",
            "a tar keeps a tree with its owners: `tar -C ROOT --xattrs --numeric-owner -cf TREE.tar .`; \
             `diskwright create DESCRIPTION --root TREE.tar -o DIR` makes images of it",
        )),
        ..PLAIN
    },
    Verb {
        name: "stackbuild",
        about: "Make images from containers",
        options: STACKBUILD,
        needs: &["stash", "target-dir"],
        rest: Rest::Optional,
        absent: Some((
            "containers are not read yet",
            "`podman create NAME` and `podman export` give a tar: `diskwright create DESCRIPTION --root TREE.tar -o DIR`",
        )),
        ..PLAIN
    },
];

/// The command of this name.
pub fn verb(service: &str, name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.service == service && verb.name == name)
}
