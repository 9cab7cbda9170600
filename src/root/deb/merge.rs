//! Trees in which `/bin`, `/sbin` and `/lib*` are links into `/usr`.

use super::DebError;
use super::archive::Deb;
use super::root::{Root, split};
use crate::survey::tar::members::{MemberKind, Members};
use rustix::fs::symlinkat;
use rustix::io::Errno;

/// Makes the links that base-files has from Debian 13 on and that debootstrap (`setup_merged_usr`) makes for releases
/// before it, unless base-files is among the packages and has them. What is there stays.
///
/// # Errors
/// A base-files that cannot be read; a tree that cannot be written.
pub fn merge_usr(root: &Root, packages: &[Deb], architecture: &str) -> Result<(), DebError> {
    for deb in packages.iter().filter(|deb| deb.control.name == "base-files") {
        if has_links(deb)? {
            return Ok(());
        }
    }
    for name in ["bin", "sbin", "lib"].iter().chain(library_directories(architecture)) {
        root.make_directories(format!("/usr/{name}").as_bytes())?;
        let path = format!("/{name}");
        let (_, name) = split(path.as_bytes());
        let made = root.directory(b"/").and_then(|top| symlinkat(&format!("usr{path}")[..], &top, name));
        match made {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(root.failed(path.as_bytes(), error)),
        }
    }
    Ok(())
}

fn has_links(base_files: &Deb) -> Result<bool, DebError> {
    let stream = base_files.data()?;
    let mut members = Members::new(&stream);
    while let Some(member) = members.next()? {
        if member.path == b"./bin" && matches!(member.kind, MemberKind::Symlink) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The directories of libraries that an architecture has beside `/lib`.
fn library_directories(architecture: &str) -> &'static [&'static str] {
    match architecture {
        "amd64" | "x32" => &["lib32", "lib64", "libx32"],
        "i386" => &["lib64", "libx32"],
        "mips" | "mipsel" | "loongarch64" | "ppc64" | "sparc64" => &["lib32", "lib64"],
        "mips64" | "mips64el" | "mipsn32" | "mipsn32el" => &["lib32", "lib64", "libo32"],
        "powerpc" | "ppc64el" | "sparc" => &["lib64"],
        "s390x" => &["lib32"],
        _ => &[],
    }
}
