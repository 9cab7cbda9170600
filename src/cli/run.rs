//! `diskwright run`: an image in QEMU, in this terminal.

use super::fail::{Code, Failure};
use super::say::Voice;
use super::setting::Setting;
use crate::inspect::ImageFile;
use crate::lab::{
    self, Accelerator, Console, Disk, Firmware, Looked, Machine, Net, find_program, find_uefi, look, quoted,
};
use crate::model::{Arch, MIB, Size};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// `diskwright run`
#[derive(Args, Debug)]
#[command(after_help = "\
The serial line is in this terminal: Ctrl-A X ends the machine, Ctrl-A C is QEMU's monitor, Ctrl-A H lists more. What the \
guest writes is thrown away unless --write is given. The exit status is QEMU's.

Example: diskwright run disk.qcow2 --forward 2222:22")]
pub(super) struct Run {
    /// The image: raw, qcow2, or another container that QEMU reads
    image: PathBuf,
    /// Let the guest write to the image [default: to an overlay that is thrown away]
    #[arg(long)]
    write: bool,
    /// Open a window with the machine's screen
    #[arg(long)]
    display: bool,
    /// The network: `user` leads outwards through the host, `none` nowhere
    #[arg(long, value_name = "KIND", value_enum, default_value_t = NetKind::User)]
    net: NetKind,
    /// Print the command and run nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// The machine.
    #[command(flatten)]
    hardware: Hardware,
}

/// What machine an image runs in.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Machine")]
pub(super) struct Hardware {
    /// x86_64, ix86, aarch64, riscv64, ppc64le, s390x [default: the one that the image has a loader for, else x86_64]
    #[arg(long, value_name = "NAME")]
    arch: Option<String>,
    /// What starts the disk [default: uefi if the image has EFI/BOOT/BOOT*.EFI, bios if its first sector has code]
    #[arg(long, value_name = "KIND", value_enum)]
    firmware: Option<FirmwareKind>,
    /// UEFI that starts only what is signed with an enrolled key (Microsoft's)
    #[arg(long)]
    secure_boot: bool,
    /// The host's processor (kvm) or emulation (tcg); `auto` is kvm if a small guest comes up with it
    #[arg(long, value_name = "NAME", value_enum, default_value_t = Accel::Auto)]
    accel: Accel,
    /// Memory of the machine
    #[arg(long, short = 'm', value_name = "SIZE", default_value = "1G")]
    memory: String,
    /// Processors of the machine
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=255))]
    cpus: u16,
    /// Let a port of this host (loopback) lead to a TCP port of the guest; may be repeated
    #[arg(long, value_name = "HOST:GUEST", value_parser = forward)]
    pub(super) forward: Vec<(u16, u16)>,
    /// More options of QEMU, behind `--`
    #[arg(last = true, value_name = "QEMU OPTION")]
    more: Vec<OsString>,
}

/// Kinds of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum NetKind {
    /// None
    None,
    /// QEMU's user-mode network
    User,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FirmwareKind {
    Bios,
    Uefi,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Accel {
    Auto,
    Kvm,
    Tcg,
}

fn forward(text: &str) -> Result<(u16, u16), String> {
    let ports =
        text.split_once(':').and_then(|(host, guest)| Some((host.parse().ok()?, guest.parse().ok()?)));
    ports.ok_or_else(|| "two ports with a colon between them, like 2222:22".to_owned())
}

#[derive(Serialize)]
struct DryRun {
    schema: u32,
    #[serde(flatten)]
    machine: Described,
    tmpdir: String,
}

/// A machine in a report.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Described {
    image: String,
    format: String,
    arch: Arch,
    firmware: &'static str,
    secure_boot: bool,
    accelerator: &'static str,
    command: Vec<String>,
}

/// A machine for an image, and why it is this one.
pub(super) struct Chosen {
    /// QEMU.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<OsString>,
    /// In a report.
    pub(super) described: Described,
    /// In one line.
    pub(super) about: String,
}

/// Becomes QEMU.
pub(super) fn run(args: Run, setting: &Setting, voice: Voice) -> Result<(), Failure> {
    let Run { image, write, display, net, dry_run, hardware } = args;
    let scratch = setting.overlay_dir();
    let chosen = hardware.choose(&image, write, net, Console::Terminal { window: display }, setting)?;
    if dry_run {
        let words =
            [chosen.program.as_os_str()].into_iter().chain(chosen.arguments.iter().map(OsString::as_os_str));
        let text = format!("TMPDIR={} {}\n", quoted([scratch.as_os_str()]), quoted(words));
        let tmpdir = scratch.display().to_string();
        return voice.result(&DryRun { schema: 1, machine: chosen.described, tmpdir }, &text);
    }
    let fate = if write { "the guest writes to the image" } else { "what the guest writes is thrown away" };
    voice.note(&format!("{}; {fate}; Ctrl-A X ends it", chosen.about));
    let error = lab::exec(&chosen.program, &chosen.arguments, Some(&scratch));
    Err(Failure::new(Code::Environment, format!("{}: {error}", chosen.program.display())))
}

impl Hardware {
    /// The machine for an image, as far as asked for by the user, else by the image and the host.
    pub(super) fn choose(
        self,
        image: &Path,
        write: bool,
        net: NetKind,
        console: Console,
        setting: &Setting,
    ) -> Result<Chosen, Failure> {
        if write {
            // A file that cannot be written is our caller's, not QEMU's.
            fs_err::OpenOptions::new().read(true).write(true).open(image)?;
        }
        let looked = look(&ImageFile::open(image)?);
        let arch = self.arch(&looked)?;
        let program = program(arch, setting)?;
        let firmware = self.firmware(arch, &looked, image, setting)?;
        let memory = memory(&self.memory)?;
        let net = match (net, self.forward.is_empty()) {
            (NetKind::None, true) => Net::None,
            (NetKind::None, false) => return Err(usage("--forward needs --net user")),
            (NetKind::User, _) => Net::User(self.forward.clone()),
        };
        let (accelerator, why) = self.accelerator(&program, arch)?;
        let format = looked.format.to_owned();
        let disk = Disk { path: image.to_owned(), format: format.clone(), sector: looked.sector, write };
        let (firmware_name, words) = match (&firmware, self.secure_boot) {
            (Firmware::Own, _) if x86(arch) => ("bios", "BIOS"),
            (Firmware::Own, _) => ("built-in", "the machine's own firmware"),
            (Firmware::Uefi(_), false) => ("uefi", "UEFI"),
            (Firmware::Uefi(_), true) => ("uefi", "UEFI with Secure Boot"),
        };
        let cpus = self.cpus;
        let machine =
            Machine { arch, accelerator, firmware, memory, cpus, disk, net, console, more: self.more };
        let arguments = machine.arguments();
        let command = [program.as_os_str()].into_iter().chain(arguments.iter().map(OsString::as_os_str));
        let described = Described {
            image: image.display().to_string(),
            format,
            arch,
            firmware: firmware_name,
            secure_boot: self.secure_boot,
            accelerator: accelerator.name(),
            command: command.map(|word| word.to_string_lossy().into_owned()).collect(),
        };
        let about = format!("{}: {}, {arch}, {words}, {why}", image.display(), looked.format);
        Ok(Chosen { program, arguments, described, about })
    }

    fn arch(&self, looked: &Looked) -> Result<Arch, Failure> {
        match &self.arch {
            Some(name) => Arch::from_name(name).ok_or_else(|| {
                usage(&format!("no such machine: {name}"))
                    .hint("known are x86_64, ix86, aarch64, riscv64, ppc64le, s390x")
            }),
            None => Ok(looked.loaders.first().copied().unwrap_or(Arch::X86_64)),
        }
    }

    fn firmware(
        &self,
        arch: Arch,
        looked: &Looked,
        image: &Path,
        setting: &Setting,
    ) -> Result<Firmware, Failure> {
        // QEMU loads the kernel itself.
        let direct = self.more.iter().any(|word| word == "-kernel");
        let package = lab::firmware_package(arch);
        let kind = match self.firmware {
            Some(kind) => kind,
            None if self.secure_boot || looked.loaders.contains(&arch) => FirmwareKind::Uefi,
            None if direct || package.is_none() || (looked.boot_code && x86(arch)) => {
                return Ok(Firmware::Own);
            }
            None => return Err(unknown(looked, arch, image)),
        };
        let Some(package) = package else {
            return Err(usage(&format!(
                "{arch} has neither BIOS nor UEFI: it starts by a firmware of its own"
            )));
        };
        if kind == FirmwareKind::Bios {
            if self.secure_boot {
                return Err(usage("--secure-boot is UEFI's: --firmware uefi"));
            }
            return match x86(arch) || direct {
                true => Ok(Firmware::Own),
                false => Err(usage(&format!("{arch} has no BIOS: --firmware uefi"))),
            };
        }
        let found = find_uefi(arch, self.secure_boot, &firmware_directories(setting));
        found.map(Firmware::Uefi).ok_or_else(|| {
            let secure = if self.secure_boot { " with Secure Boot and enrolled keys" } else { "" };
            let message = format!("the UEFI firmware of QEMU for {arch}{secure} is not installed");
            let other = looked.boot_code && x86(arch) && !self.secure_boot;
            let hint = install(package) + if other { "; or start it with --firmware bios" } else { "" };
            Failure::new(Code::Environment, message).hint(hint)
        })
    }

    /// The accelerator, and what a user wants to know of it.
    fn accelerator(&self, program: &Path, arch: Arch) -> Result<(Accelerator, String), Failure> {
        let tried = || lab::kvm(program, arch);
        match self.accel {
            Accel::Tcg => Ok((Accelerator::Tcg, "under emulation".to_owned())),
            Accel::Auto => Ok(match tried() {
                Ok(()) => (Accelerator::Kvm, "on KVM".to_owned()),
                Err(why) => {
                    (Accelerator::Tcg, format!("under emulation, since KVM does not work here ({why})"))
                }
            }),
            // Who asks for it knows better than a probe.
            Accel::Kvm => Ok((Accelerator::Kvm, "on KVM".to_owned())),
        }
    }
}

fn x86(arch: Arch) -> bool {
    matches!(arch, Arch::X86_64 | Arch::Ix86)
}

/// Why nothing is known to start this image.
fn unknown(looked: &Looked, arch: Arch, image: &Path) -> Failure {
    let why = match (looked.known, looked.loaders.is_empty()) {
        (false, _) => format!("what starts a {} image cannot be seen from outside", looked.format),
        (true, true) => {
            "no firmware would start it: neither code in its first sector nor EFI/BOOT/BOOT*.EFI".to_owned()
        }
        (true, false) => format!("its loaders are for other machines than {arch}"),
    };
    Failure::new(Code::Refused, format!("{}: {why}", image.display())).hint(if x86(arch) {
        "say --firmware bios or --firmware uefi"
    } else {
        "say --firmware uefi"
    })
}

fn program(arch: Arch, setting: &Setting) -> Result<PathBuf, Failure> {
    let name = lab::system_program(arch);
    find_program(name, &setting.path).ok_or_else(|| {
        let message = format!("{name} is not installed");
        Failure::new(Code::Environment, message).hint(install(lab::system_package(arch)))
    })
}

/// Directories with descriptions of firmware, in the order of their rank.
pub(super) fn firmware_directories(setting: &Setting) -> Vec<PathBuf> {
    let user = setting.home.as_ref().map(|home| home.join(".config/qemu/firmware"));
    user.into_iter().chain(["/etc/qemu/firmware", "/usr/share/qemu/firmware"].map(PathBuf::from)).collect()
}

/// What to install, on whose system.
pub(super) fn install([debian, fedora, suse]: [&str; 3]) -> String {
    format!("install {debian} (Debian, Ubuntu), {fedora} (Fedora) or {suse} (SUSE)")
}

fn memory(text: &str) -> Result<u64, Failure> {
    match text.parse() {
        Ok(Size::Exact(bytes)) if (16 * MIB..=16 << 40).contains(&bytes.0) => Ok(bytes.0 / MIB),
        _ => Err(usage(&format!("no size of a memory: {text}")).hint("like 512M, 2G; at least 16M")),
    }
}

fn usage(message: &str) -> Failure {
    Failure::new(Code::Usage, message)
}
