//! A machine, and QEMU's arguments for it. Pure.

use super::accelerator::Accelerator;
use super::firmware::Uefi;
use crate::model::Arch;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What starts the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// The one that QEMU has for the machine: SeaBIOS on x86, SLOF on POWER, the channel loader on Z.
    Own,
    /// In flash; what a guest writes to its variables is forgotten.
    Uefi(Uefi),
}

/// The disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The image.
    pub path: PathBuf,
    /// Its container in QEMU's words.
    pub format: String,
    /// Bytes of a sector.
    pub sector: u32,
    /// Whether what the guest writes is written to the image, or to an overlay that is thrown away.
    pub write: bool,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Net {
    /// None.
    None,
    /// Outwards, through QEMU's own user-mode stack; and from ports of the host (loopback only) to ports of the guest (TCP).
    User(Vec<(u16, u16)>),
}

/// Where screen and serial line are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// The serial line on standard input and output, nothing else there; no screen.
    Watched {
        /// Whether a guest that restarts or powers off is stopped, to be told what to do, or QEMU ends.
        restarts: bool,
    },
    /// The serial line in the terminal, with QEMU's monitor behind Ctrl-A; and a screen in a window.
    Terminal {
        /// Whether there is one.
        window: bool,
    },
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its processor.
    pub arch: Arch,
    /// What runs it.
    pub accelerator: Accelerator,
    /// What starts the disk.
    pub firmware: Firmware,
    /// Memory in MiB.
    pub memory: u64,
    /// Processors.
    pub cpus: u16,
    /// The disk.
    pub disk: Disk,
    /// The network.
    pub net: Net,
    /// Where screen and serial line are.
    pub console: Console,
    /// More arguments of QEMU, behind ours.
    pub more: Vec<OsString>,
}

/// The program that is a machine with this processor. A 64-bit x86 runs 32-bit guests.
pub fn system_program(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 | Arch::Ix86 => "qemu-system-x86_64",
        Arch::Aarch64 => "qemu-system-aarch64",
        Arch::Riscv64 => "qemu-system-riscv64",
        Arch::Ppc64le => "qemu-system-ppc64",
        Arch::S390x => "qemu-system-s390x",
    }
}

/// Who brings it: packages of Debian, Fedora and SUSE.
pub fn system_package(arch: Arch) -> [&'static str; 3] {
    match arch {
        Arch::X86_64 | Arch::Ix86 => ["qemu-system-x86", "qemu-system-x86-core", "qemu-x86"],
        Arch::Aarch64 => ["qemu-system-arm", "qemu-system-aarch64-core", "qemu-arm"],
        Arch::Riscv64 => ["qemu-system-misc", "qemu-system-riscv-core", "qemu-extra"],
        Arch::Ppc64le => ["qemu-system-ppc", "qemu-system-ppc-core", "qemu-ppc"],
        Arch::S390x => ["qemu-system-misc", "qemu-system-s390x-core", "qemu-s390x"],
    }
}

impl Machine {
    /// QEMU's arguments, without the program's name.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut line = Line(Vec::new());
        let smm = matches!(&self.firmware, Firmware::Uefi(uefi) if uefi.smm);
        line.put(
            "-machine",
            match self.arch {
                Arch::X86_64 | Arch::Ix86 if smm => "q35,smm=on",
                Arch::X86_64 | Arch::Ix86 => "q35",
                Arch::Aarch64 | Arch::Riscv64 => "virt",
                Arch::Ppc64le => "pseries",
                Arch::S390x => "s390-ccw-virtio",
            },
        );
        let (accelerator, cpu) = match self.accelerator {
            Accelerator::Kvm => ("kvm", "host"),
            Accelerator::Tcg => ("tcg,thread=multi", "max"),
        };
        line.put("-accel", accelerator);
        // Older QEMUs have no such RISC-V.
        if self.arch != Arch::Riscv64 {
            line.put("-cpu", cpu);
        }
        line.put("-smp", self.cpus.to_string());
        line.put("-m", format!("{}M", self.memory));
        // Nothing that was not asked for: no floppy, CD, network, screen.
        line.flag("-nodefaults");
        self.flash(&mut line);
        self.drive(&mut line);
        self.network(&mut line);
        self.consoles(&mut line);
        line.0.extend(self.more.iter().cloned());
        line.0
    }

    /// What virtio devices are on.
    fn bus(&self) -> &'static str {
        if self.arch == Arch::S390x { "ccw" } else { "pci" }
    }

    fn flash(&self, line: &mut Line) {
        let Firmware::Uefi(Uefi { code, variables, smm }) = &self.firmware else { return };
        if *smm {
            line.put("-global", "driver=cfi.pflash01,property=secure,value=on");
            // OVMF resumes from a sleep with Secure Boot only where QEMU was built for it.
            line.put("-global", "ICH9-LPC.disable_s3=1");
        }
        let (path, format) = code;
        line.put("-drive", file(&format!("if=pflash,unit=0,format={format},readonly=on"), path));
        let (path, format) = variables;
        line.put("-drive", file(&format!("if=pflash,unit=1,format={format},snapshot=on"), path));
    }

    fn drive(&self, line: &mut Line) {
        let Disk { path, format, sector, write } = &self.disk;
        let snapshot = if *write { "off" } else { "on" };
        line.put("-drive", file(&format!("if=none,id=disk,format={format},snapshot={snapshot}"), path));
        let sectors = match sector {
            512 => String::new(),
            sector => format!(",logical_block_size={sector},physical_block_size={sector}"),
        };
        line.put("-device", format!("virtio-blk-{},drive=disk,bootindex=0{sectors}", self.bus()));
    }

    fn network(&self, line: &mut Line) {
        let Net::User(forwards) = &self.net else { return };
        let forwards = forwards.iter().map(|(host, guest)| format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"));
        line.put("-netdev", format!("user,id=net{}", forwards.collect::<String>()));
        // Without its ROM it is no way to boot.
        let rom = if self.bus() == "pci" { ",romfile=" } else { "" };
        line.put("-device", format!("virtio-net-{},netdev=net{rom}", self.bus()));
    }

    fn consoles(&self, line: &mut Line) {
        match self.console {
            Console::Watched { restarts } => {
                line.put("-display", "none");
                line.put("-serial", "stdio");
                line.flag("-no-reboot");
                if restarts {
                    line.flag("-no-shutdown");
                }
            }
            Console::Terminal { window } => {
                line.put("-serial", "mon:stdio");
                match (window, self.arch) {
                    (false, _) => line.put("-display", "none"),
                    (true, Arch::X86_64 | Arch::Ix86) => line.put("-device", "VGA"),
                    (true, Arch::S390x) => {
                        line.put("-device", "virtio-gpu-ccw");
                        line.put("-device", "virtio-keyboard-ccw");
                    }
                    (true, Arch::Aarch64 | Arch::Riscv64 | Arch::Ppc64le) => {
                        line.put("-device", "virtio-gpu-pci");
                        line.put("-device", "qemu-xhci");
                        line.put("-device", "usb-kbd");
                    }
                }
            }
        }
    }
}

/// A vector of arguments.
struct Line(Vec<OsString>);

impl Line {
    fn flag(&mut self, option: &str) {
        self.0.push(option.into());
    }

    fn put(&mut self, option: &str, value: impl Into<OsString>) {
        self.0.extend([option.into(), value.into()]);
    }
}

/// Options of a drive and its file. In QEMU's options a comma is doubled, and a colon before the first slash would end the
/// name of a protocol.
fn file(options: &str, path: &Path) -> OsString {
    let mut value = format!("{options},file=").into_bytes();
    if path.is_relative() {
        value.extend_from_slice(b"./");
    }
    for &byte in path.as_os_str().as_bytes() {
        value.extend(std::iter::repeat_n(byte, if byte == b',' { 2 } else { 1 }));
    }
    OsString::from_vec(value)
}

/// Words as a POSIX shell takes them.
pub fn quoted<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "_@%+=:,./-".contains(it);
    let one = |word: &OsStr| {
        let text = word.to_string_lossy();
        match !text.is_empty() && text.chars().all(plain) {
            true => text.into_owned(),
            false => format!("'{}'", text.replace('\'', r"'\''")),
        }
    };
    words.into_iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        let disk = Disk { path: "/a/disk.raw".into(), format: "raw".to_owned(), sector: 512, write: false };
        Machine {
            arch: Arch::X86_64,
            accelerator: Accelerator::Tcg,
            firmware: Firmware::Own,
            memory: 1024,
            cpus: 2,
            disk,
            net: Net::None,
            console: Console::Watched { restarts: false },
            more: vec![],
        }
    }

    fn line(machine: &Machine) -> String {
        quoted(machine.arguments().iter().map(OsString::as_os_str))
    }

    #[test]
    fn a_plain_machine() {
        assert_eq!(
            line(&machine()),
            "-machine q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1024M -nodefaults \
             -drive if=none,id=disk,format=raw,snapshot=on,file=/a/disk.raw \
             -device virtio-blk-pci,drive=disk,bootindex=0 -display none -serial stdio -no-reboot"
        );
    }

    #[test]
    fn a_machine_that_may_restart() {
        let may = Machine { console: Console::Watched { restarts: true }, ..machine() };
        assert_eq!(line(&may), format!("{} -no-shutdown", line(&machine())));
    }

    #[test]
    fn a_machine_with_everything() {
        let raw = |path: &str| (PathBuf::from(path), "raw".to_owned());
        let uefi = Uefi { code: raw("/f/code"), variables: raw("/f/vars"), smm: true };
        let machine = Machine {
            accelerator: Accelerator::Kvm,
            firmware: Firmware::Uefi(uefi),
            disk: Disk { path: "nbd:a,b c".into(), format: "qcow2".to_owned(), sector: 4096, write: true },
            net: Net::User(vec![(2222, 22), (8080, 80)]),
            console: Console::Terminal { window: true },
            more: vec!["-snapshot".into()],
            ..machine()
        };
        assert_eq!(
            line(&machine),
            "-machine q35,smm=on -accel kvm -cpu host -smp 2 -m 1024M -nodefaults \
             -global driver=cfi.pflash01,property=secure,value=on -global ICH9-LPC.disable_s3=1 \
             -drive if=pflash,unit=0,format=raw,readonly=on,file=/f/code \
             -drive if=pflash,unit=1,format=raw,snapshot=on,file=/f/vars \
             -drive 'if=none,id=disk,format=qcow2,snapshot=off,file=./nbd:a,,b c' \
             -device virtio-blk-pci,drive=disk,bootindex=0,logical_block_size=4096,physical_block_size=4096 \
             -netdev user,id=net,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:8080-:80 \
             -device virtio-net-pci,netdev=net,romfile= -serial mon:stdio -device VGA -snapshot"
        );
    }

    #[test]
    fn machines_of_other_processors() {
        let of = |arch| line(&Machine { arch, net: Net::User(vec![]), ..machine() });
        let expected = [
            (
                Arch::Ppc64le,
                "-machine pseries ",
                "virtio-blk-pci,drive=disk",
                "virtio-net-pci,netdev=net,romfile=",
            ),
            (
                Arch::S390x,
                "-machine s390-ccw-virtio ",
                "virtio-blk-ccw,drive=disk",
                "virtio-net-ccw,netdev=net ",
            ),
            (
                Arch::Aarch64,
                "-machine virt ",
                "virtio-blk-pci,drive=disk",
                "virtio-net-pci,netdev=net,romfile=",
            ),
        ];
        for (arch, machine, disk, net) in expected {
            let said = of(arch);
            assert!(said.contains(machine) && said.contains(disk) && said.contains(net), "{said}");
        }
    }

    #[test]
    fn words_of_a_shell() {
        let words = ["plain", "", "it's", "$x"].map(OsStr::new);
        assert_eq!(quoted(words), r"plain '' 'it'\''s' '$x'");
    }
}
