//! The command line as plain data. Help, completions and man pages are made from this.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Builds disk images from KIWI descriptions and root trees: no root, no loop devices, no mounts, the same bytes every
/// time.
#[derive(Debug, Parser)]
#[command(name = "diskwright", version, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "\
Exit codes: 0 done; 1 the description, tree or image is refused; 2 wrong usage; 3 the host lacks something (space, a \
tool); 4 a program that was run failed; 70 a bug of diskwright; 130 ended by a signal.

Sizes: N with a unit (512M, 20G), `min` (the smallest that holds the content), `min+N`, `min*P%`.")]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
    /// What every command takes.
    #[command(flatten)]
    pub(super) common: Common,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(super) struct Common {
    /// Results as JSON on standard output
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// No progress, no notes
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    /// Every id in the image is derived from this text [default: a digest of the resolved description]
    #[arg(long, global = true, value_name = "TEXT", help_heading = "Reproducibility")]
    pub(super) seed: Option<String>,
    /// Latest time in the image, in seconds since 1970 [default: SOURCE_DATE_EPOCH, else that of the repositories or of
    /// the tree's record, else 1577836800 (2020-01-01)]
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        help_heading = "Reproducibility",
        allow_negative_numbers = true
    )]
    pub(super) epoch: Option<i64>,
    /// Threads; the bytes do not depend on it [default: one a processor]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Where things that can be made again are kept [default: XDG_CACHE_HOME/diskwright]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) cache_dir: Option<PathBuf>,
    /// Where spools of compressed archives are made [default: the output's directory, else TMPDIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) work_dir: Option<PathBuf>,
    /// Time, bytes and calls of every stage on standard error
    #[arg(long, global = true, value_name = "FORM", value_enum)]
    pub(super) timings: Option<Timings>,
}

/// Forms of `--timings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Timings {
    /// One JSON object
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make images from a description and a root tree that is ready, or from a root tree alone
    Create(Create),
    /// Make images from a description: install its packages, run its scripts, write its disks
    Build(Build),
    /// Show what would be made: partitions, sizes, ids, and why
    Plan(Plan),
    /// Show what is in a description, and where each value is from; or what of many is not supported
    Info(Info),
    /// Make one file system image from a tree, with the options of its own mkfs
    Mkfs(Mkfs),
    /// Print a tree as text: every file with owner, mode, time, attributes (its record)
    Tree(Tree),
    /// Show what is in an image
    Inspect(Inspect),
    /// Check an image: container, partition table, file systems
    Check(Check),
    /// Give a copy of an image ids of its own: table, partitions, file systems
    Reid(Reid),
    /// Make the root tree of a description: packages, overlay, users, scripts
    Prepare(super::prepare::Prepare),
    /// Fetch all packages of a description, so that it can be built offline
    Fetch(super::prepare::Fetch),
    /// Run a program in a prepared tree, as its root, in the sandbox that it was made in
    Enter(super::sandbox::Enter),
    /// Run an image in QEMU, with its serial line in this terminal
    Run(super::run::Run),
    /// Boot an image without a screen, and say whether it came up: wait for texts on its serial line
    Boot(super::boot::Boot),
    /// Say what this host offers, what is missing and what mends it
    Doctor,
    /// Say more about a code: what stands in brackets behind `error` and `warning`
    Explain {
        /// The code [default: all of them, a line each]
        code: Option<String>,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a directory
    Man {
        /// The directory
        directory: PathBuf,
    },
    /// Make a sandbox and work in it, as standard input says
    #[command(name = crate::root::sandbox::ENTRANCE, hide = true)]
    Entrance,
    /// Become a program that dies with its parent
    #[command(name = crate::lab::BOUND, hide = true)]
    Bound {
        /// The program and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

/// Which part of a description.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Description")]
pub(super) struct Selection {
    /// A profile of the description; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Vec<String>,
    /// The image type, where the description has several
    #[arg(long = "type", value_name = "IMAGE")]
    pub(super) image_type: Option<String>,
    /// The description file, where its directory has several
    #[arg(long, value_name = "FILE")]
    pub(super) kiwi_file: Option<String>,
}

/// What replaces a description's values, or stands for them where there is none.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Image")]
pub(super) struct Shape {
    /// Size of the disk, or of the file system where that is all: N, min, min+N, min*P%
    #[arg(long, value_name = "SIZE")]
    pub(super) size: Option<String>,
    /// File system of the root [default: ext4]
    #[arg(long, value_name = "NAME")]
    pub(super) fs: Option<String>,
    /// Disk container; may be repeated: all are written from one reading [default: by the ending of the output, else raw]
    #[arg(long, value_name = "NAME")]
    pub(super) format: Vec<String>,
    /// Label of the root file system
    #[arg(long, value_name = "TEXT")]
    pub(super) label: Option<String>,
    /// A partition that is made of an image of its contents, raw or in a container; its clones are copies with ids of their
    /// own; may be repeated
    #[arg(long, value_name = "NAME=FILE")]
    pub(super) partition: Vec<OsString>,
    /// Size of the EFI system partition
    #[arg(long, value_name = "SIZE")]
    pub(super) esp_size: Option<String>,
    /// Kernel command line, without root=
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(super) cmdline: Option<String>,
    /// The machine that the image is for [default: what the tree's loader says, else x86_64]
    #[arg(long, value_name = "NAME")]
    pub(super) arch: Option<String>,
    /// The release that the image is for: its ext file systems have the defaults of that release's mke2fs, as far as its
    /// kernel, e2fsck and GRUB read them [default: what os-release in the tree says, else its mke2fs.conf]
    #[arg(long, value_name = "RELEASE")]
    pub(super) target: Option<String>,
    /// Owner and group of every file, in the place of what the tree says
    #[arg(long, value_name = "UID:GID", value_parser = owner)]
    pub(super) owner: Option<(u32, u32)>,
    /// Make no boot files, even where they are asked for
    #[arg(long)]
    pub(super) no_boot: bool,
    /// Take KIWI's arithmetic of sizes, and the types that its tools leave in an MBR
    #[arg(long)]
    pub(super) kiwi_sizes: bool,
}

/// `diskwright create`
#[derive(Args, Debug)]
#[command(after_help = "\
Without a description: a GPT, an EFI system partition if the tree has systemd-boot, and an ext4 root with 20 % (at \
least 256 MiB) of room; -o names the file, whose ending is the format.")]
pub(super) struct Create {
    /// Directory of the description, or its file
    pub(super) description: Option<PathBuf>,
    /// The root tree: a directory (with or without a record), a tar (plain, gz, zst, xz), or `-` for a tar on standard input
    #[arg(long, value_name = "TREE")]
    pub(super) root: OsString,
    /// The record of the tree's directory [default: TREE.tree, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// With a description: the directory for the results; without: the image file
    #[arg(long, short, value_name = "PATH")]
    pub(super) output: PathBuf,
    /// Which part of the description.
    #[command(flatten)]
    pub(super) selection: Selection,
    /// What is changed in it.
    #[command(flatten)]
    pub(super) changes: Changes,
    /// What replaces its values.
    #[command(flatten)]
    pub(super) shape: Shape,
    /// How results are written.
    #[command(flatten)]
    pub(super) writing: Writing,
    /// How packages come.
    #[command(flatten)]
    pub(super) fetching: super::prepare::Fetching,
    /// How sandboxes are made.
    #[command(flatten)]
    pub(super) sandboxed: super::sandbox::Sandboxed,
}

/// `diskwright build`
#[derive(Args, Debug)]
pub(super) struct Build {
    /// Directory of the description, or its file
    pub(super) description: PathBuf,
    /// The directory for the results
    #[arg(long, short, value_name = "DIR")]
    pub(super) output: PathBuf,
    /// Which part of the description.
    #[command(flatten)]
    pub(super) selection: Selection,
    /// What is changed in it.
    #[command(flatten)]
    pub(super) changes: Changes,
    /// What replaces its values.
    #[command(flatten)]
    pub(super) shape: Shape,
    /// How results are written.
    #[command(flatten)]
    pub(super) writing: Writing,
    /// How packages come.
    #[command(flatten)]
    pub(super) fetching: super::prepare::Fetching,
    /// How sandboxes are made.
    #[command(flatten)]
    pub(super) sandboxed: super::sandbox::Sandboxed,
}

/// `diskwright plan`
#[derive(Args, Debug)]
pub(super) struct Plan {
    /// Directory of the description, or its file
    pub(super) description: Option<PathBuf>,
    /// The root tree: with it, sizes are numbers; without, rules and bounds
    #[arg(long, value_name = "TREE", required_unless_present = "description")]
    pub(super) root: Option<OsString>,
    /// The record of the tree's directory
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// Which part of the description.
    #[command(flatten)]
    pub(super) selection: Selection,
    /// What is changed in it.
    #[command(flatten)]
    pub(super) changes: Changes,
    /// What replaces its values.
    #[command(flatten)]
    pub(super) shape: Shape,
}

/// What is changed in a description before it is read, in KIWI's words.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Changes of the description")]
pub(super) struct Changes {
    /// Set an attribute of the selected type; may be repeated
    #[arg(long, value_name = "ATTRIBUTE=VALUE")]
    pub(super) set_type_attr: Vec<String>,
    /// Set the release version
    #[arg(long, value_name = "VERSION")]
    pub(super) set_release_version: Option<String>,
    /// Take none of the description's repositories
    #[arg(long)]
    pub(super) ignore_repos: bool,
    /// Take of the description's repositories only those that are for the image alone
    #[arg(long)]
    pub(super) ignore_repos_used_for_build: bool,
    /// A repository in the place of the first one
    #[arg(long, value_name = "SOURCE,TYPE,ALIAS,...")]
    pub(super) set_repo: Option<String>,
    /// Its credentials
    #[arg(long, value_name = "USER:PASSWORD")]
    pub(super) set_repo_credentials: Option<String>,
    /// One more repository: source, type, alias, priority, imageinclude, package_gpgcheck, {key;key}, components,
    /// distribution, repo_gpgcheck, sourcetype; may be repeated
    #[arg(long, value_name = "SOURCE,TYPE,ALIAS,...")]
    pub(super) add_repo: Vec<String>,
    /// Credentials of the repositories that are added, in their order
    #[arg(long, value_name = "USER:PASSWORD")]
    pub(super) add_repo_credentials: Vec<String>,
    /// One more package; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) add_package: Vec<String>,
    /// One more package of the first phase; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) add_bootstrap_package: Vec<String>,
    /// A package to take away; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) delete_package: Vec<String>,
    /// One more certificate of an authority; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(super) ca_cert: Vec<String>,
    /// Whose trust store: suse, redhat, debian, archlinux
    #[arg(long, value_name = "NAME")]
    pub(super) ca_target_distribution: Option<String>,
    /// The base container, where the type has one
    #[arg(long, value_name = "URI")]
    pub(super) set_container_derived_from: Option<String>,
    /// The container's tag, where it has one
    #[arg(long, value_name = "NAME")]
    pub(super) set_container_tag: Option<String>,
    /// A label of the container; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) add_container_label: Vec<String>,
}

impl Changes {
    /// As the room of descriptions takes them.
    pub(super) fn overrides(&self) -> crate::describe::kiwi::Overrides {
        let Changes {
            set_type_attr,
            set_release_version,
            ignore_repos,
            ignore_repos_used_for_build,
            set_repo,
            set_repo_credentials,
            add_repo,
            add_repo_credentials,
            add_package,
            add_bootstrap_package,
            delete_package,
            ca_cert,
            ca_target_distribution,
            set_container_derived_from,
            set_container_tag,
            add_container_label,
        } = self.clone();
        crate::describe::kiwi::Overrides {
            set_type_attr,
            set_release_version,
            ignore_repos,
            ignore_repos_used_for_build,
            set_repo,
            set_repo_credentials,
            add_repo,
            add_repo_credentials,
            add_package,
            add_bootstrap_package,
            delete_package,
            ca_cert,
            ca_target_distribution,
            set_container_derived_from,
            set_container_tag,
            add_container_label,
        }
    }
}

/// `diskwright info`
#[derive(Args, Debug)]
#[command(after_help = "\
With --support each description has a line: what of it would be refused today, over all its profiles and types. A total \
says what blocks how many descriptions and images, and how many images nothing else blocks. It ends with exit code 0, \
whatever it finds.")]
pub(super) struct Info {
    /// Directory of the description, or its file
    #[arg(required = true, value_name = "DESCRIPTION")]
    pub(super) descriptions: Vec<PathBuf>,
    /// Say what would be refused: of many descriptions, and of all those below a directory that is none itself
    #[arg(long, conflicts_with_all = ["profile", "image_type", "size", "fs", "format", "label", "esp_size", "cmdline", "no_boot", "kiwi_sizes", "set_type_attr", "set_release_version", "ignore_repos", "ignore_repos_used_for_build", "set_repo", "set_repo_credentials", "add_repo", "add_repo_credentials", "add_package", "add_bootstrap_package", "delete_package", "ca_cert", "ca_target_distribution", "set_container_derived_from", "set_container_tag", "add_container_label"])]
    pub(super) support: bool,
    /// Add what a package manager would install besides (not yet: needs a solver)
    #[arg(long)]
    pub(super) resolve_package_list: bool,
    /// Which part of the description.
    #[command(flatten)]
    pub(super) selection: Selection,
    /// What replaces its values.
    #[command(flatten)]
    pub(super) shape: Shape,
    /// What is changed in it.
    #[command(flatten)]
    pub(super) changes: Changes,
}

/// How results are written.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Writing")]
pub(super) struct Writing {
    /// Replace results that exist
    #[arg(long)]
    pub(super) force: bool,
    /// Do not wait until the data is on the disk
    #[arg(long)]
    pub(super) no_sync: bool,
    /// Do all but write: read, plan, lay, and say what would be written
    #[arg(long, short = 'n')]
    pub(super) dry_run: bool,
}

/// `diskwright mkfs`
#[derive(Args, Debug)]
#[command(after_help = "\
Example: diskwright mkfs ext4 --size min+64M TREE root.ext4 -L root -m 1

Options behind the image are those of the file system's own mkfs; an option that would be ignored is refused by name. \
--help lists them.", after_long_help = super::mkfs::help())]
pub(super) struct Mkfs {
    /// The file system
    #[arg(value_name = "TYPE")]
    pub(super) fs: String,
    /// The tree: a directory, a tar, or `-`
    pub(super) tree: OsString,
    /// The image
    pub(super) image: PathBuf,
    /// Options of the file system's own mkfs
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    pub(super) options: Vec<String>,
    /// The record of the tree's directory
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// N, min, min+N, min*P% [default: min plus 20 %, at least 256 MiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) size: Option<String>,
    /// The release that the image is for: its ext file systems have the defaults of that release's mke2fs, as far as its
    /// kernel, e2fsck and GRUB read them [default: what os-release in the tree says, else its mke2fs.conf]
    #[arg(long, value_name = "RELEASE")]
    pub(super) target: Option<String>,
    /// Owner and group of every file
    #[arg(long, value_name = "UID:GID", value_parser = owner)]
    pub(super) owner: Option<(u32, u32)>,
    /// Sector size of the disk it will lie on
    #[arg(long, value_name = "BYTES", default_value_t = 512)]
    pub(super) sector_size: u32,
    /// How results are written.
    #[command(flatten)]
    pub(super) writing: Writing,
}

/// `diskwright tree`
#[derive(Args, Debug)]
pub(super) struct Tree {
    /// A directory, a tar, `-`, or an image of a file system
    pub(super) source: OsString,
    /// The record of the directory
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// Owner and group of every file
    #[arg(long, value_name = "UID:GID", value_parser = owner)]
    pub(super) owner: Option<(u32, u32)>,
}

/// `diskwright inspect`
#[derive(Args, Debug)]
pub(super) struct Inspect {
    /// The image
    pub(super) image: PathBuf,
    /// Every byte of every layer: what lies where
    #[arg(long)]
    pub(super) map: bool,
    /// The files in it, as `diskwright tree` prints them
    #[arg(long)]
    pub(super) files: bool,
}

/// `diskwright reid`
#[derive(Args, Debug)]
#[command(after_help = "\
ext2, ext3, ext4, FAT, swap, and disks with a GPT or an MBR, raw or in a container. Every id that tells copies apart changes and \
nothing else: checksums that start from it are written again, labels, hash seeds and files stay.

The new ids follow from the old ones: the same image gets the same ids every time, and done twice it gets others again. \
Two copies of one image get the same ids unless each has a --seed of its own.")]
pub(super) struct Reid {
    /// The image; it is replaced when its successor is complete
    pub(super) image: PathBuf,
    /// Write the result to this file, and leave the image as it is
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// On a disk: change the file systems, too, and not the table alone. What names them by UUID in the image (fstab, boot
    /// entries) is not changed
    #[arg(long)]
    pub(super) filesystems: bool,
    /// How results are written.
    #[command(flatten)]
    pub(super) writing: Writing,
}

/// `diskwright check`
#[derive(Args, Debug)]
pub(super) struct Check {
    /// The images
    #[arg(required = true)]
    pub(super) images: Vec<PathBuf>,
    /// NAME.clones.json of the images: which partitions are clones [default: what the names of a GPT say]
    #[arg(long, value_name = "FILE")]
    pub(super) clones: Option<PathBuf>,
}

fn owner(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    parts.ok_or_else(|| "two numbers with a colon between them, like 0:0".to_owned())
}
