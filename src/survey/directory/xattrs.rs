//! Extended attributes of a live directory.
//!
//! Only security.capability, POSIX ACLs and user.* are taken: the labels of the build host must not leak into an image.

use crate::sys;
use diskwright_fstools::tree::Xattrs;
use rustix::fd::BorrowedFd;
use rustix::fs::{fgetxattr, flistxattr, lgetxattr, llistxattr};
use rustix::io::Errno;
use rustix::path::Arg;
use std::ffi::CString;
use std::io;

/// What attributes are read from.
pub(super) enum Of<'a> {
    /// A name behind the magic link of its open directory: no more than that name is looked up, and it is not followed.
    Name(CString),
    /// The open file.
    Open(BorrowedFd<'a>),
}

/// Whether this kernel lists the attributes of a name in an open directory: then most files cost one short call.
pub(super) fn lists_names(directory: BorrowedFd) -> bool {
    !matches!(list_at(directory, b".", &mut []), Err(Errno::NOSYS | Errno::PERM | Errno::INVAL))
}

/// Whether a name in an open directory has attributes, where the kernel [lists them](lists_names); it is not followed.
pub(super) fn has_some(directory: BorrowedFd, name: &[u8]) -> io::Result<bool> {
    match list_at(directory, name, &mut []) {
        Err(Errno::OPNOTSUPP) => Ok(false),
        len => Ok(len? > 0),
    }
}

fn list_at(directory: BorrowedFd, name: &[u8], list: &mut [u8]) -> rustix::io::Result<usize> {
    name.into_with_c_str(|name| {
        sys::list_xattrs(directory, name, list)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    })
}

/// The attributes that are taken, and the names of those that are not.
pub(super) fn read(of: &Of) -> io::Result<(Xattrs, Vec<Vec<u8>>)> {
    let list = grown(|buffer| match of {
        Of::Name(path) => llistxattr(path.as_c_str(), buffer),
        Of::Open(file) => flistxattr(file, buffer),
    });
    let list = match list {
        Err(Errno::OPNOTSUPP) => return Ok(Default::default()),
        list => list?,
    };
    let (mut taken, mut left_out) = (Xattrs::new(), Vec::new());
    for name in list.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        if !is_taken(name) {
            left_out.push(name.to_vec());
            continue;
        }
        let value = grown(|buffer| match of {
            Of::Name(path) => lgetxattr(path.as_c_str(), name, buffer),
            Of::Open(file) => fgetxattr(file, name, buffer),
        });
        taken.insert(name.to_vec(), value?);
    }
    Ok((taken, left_out))
}

fn is_taken(name: &[u8]) -> bool {
    matches!(name, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
        || name.starts_with(b"user.")
}

/// What a call writes to a buffer that is large enough for it.
fn grown(call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut small = [0; 256];
    let mut len = 4096;
    match call(&mut small) {
        Err(Errno::RANGE) => {}
        len => return len.map(|len| small[..len].to_vec()),
    }
    loop {
        let mut buffer = vec![0; len];
        match call(&mut buffer) {
            // Linux has no more than 64 KiB of either.
            Err(Errno::RANGE) if len < 1 << 20 => len *= 4,
            Err(error) => return Err(error),
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
        }
    }
}
