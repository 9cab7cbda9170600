//! Whether the host's processor runs guests.

use super::bound;
use crate::model::Arch;
use rustix::fs::{Access, MemfdFlags};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// The host's processor.
    Kvm,
    /// QEMU's emulation.
    Tcg,
}

impl Accelerator {
    /// QEMU's name.
    pub fn name(self) -> &'static str {
        match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg => "tcg",
        }
    }
}

/// A boot sector that says 21 to port 0xf4 and sleeps: `mov al, 21; mov dx, 0xf4; out dx, al; hlt; jmp -3`.
const PROBE: [u8; 9] = [0xb0, 0x15, 0xba, 0xf4, 0x00, 0xee, 0xf4, 0xeb, 0xfd];

/// With which status QEMU ends when its isa-debug-exit device hears 21: twice that and one.
const SAID: i32 = 43;

/// SeaBIOS takes smaller disks for unreadable.
const PROBE_DISK: u64 = 1 << 20;

/// Where KVM works, a guest is here after some tens of milliseconds; where it hangs, it hangs for ever.
const LIMIT: Duration = Duration::from_secs(5);

/// Whether KVM runs guests here: a small one is started through SeaBIOS, since there are hosts with a device that opens and
/// guests that hang in their firmware.
///
/// # Errors
/// Why not, in a few words.
pub fn kvm(program: &Path, arch: Arch) -> Result<(), String> {
    let host = std::env::consts::ARCH;
    if !(host == "x86_64" && matches!(arch, Arch::X86_64 | Arch::Ix86)) {
        return Err(format!("tried only for x86 on x86: the host is {host}, the guest {}", arch.name()));
    }
    rustix::fs::access("/dev/kvm", Access::READ_OK | Access::WRITE_OK)
        .map_err(|error| format!("/dev/kvm: {}", std::io::Error::from(error)))?;
    match try_guest(program) {
        Ok(true) => Ok(()),
        Ok(false) => Err("a small guest did not come up".to_owned()),
        Err(error) => Err(format!("{}: {error}", program.display())),
    }
}

#[allow(clippy::disallowed_methods)] // a limit of time, not a measurement
fn try_guest(program: &Path) -> std::io::Result<bool> {
    // The disk is the program's standard input: no file is left behind.
    let disk = std::fs::File::from(rustix::fs::memfd_create("probe", MemfdFlags::CLOEXEC)?);
    disk.set_len(PROBE_DISK)?;
    disk.write_all_at(&PROBE, 0)?;
    disk.write_all_at(&[0x55, 0xaa], 510)?;
    let mut command = bound(program);
    command.args([
        "-machine",
        "q35",
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-m",
        "64",
        "-nodefaults",
        "-display",
        "none",
    ]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]);
    command.args(["-drive", "if=virtio,format=raw,readonly=on,file.locking=off,file=/proc/self/fd/0"]);
    let mut child = command.stdin(disk).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code() == Some(SAID));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
