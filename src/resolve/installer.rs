//! `bootloadersettings`: what KIWI hands to `grub-install`, `shim-install` and `grub2-editenv`, and what of it means something
//! where none of them runs.
//!
//! | element | KIWI NG 11.1.6 | here |
//! |---|---|---|
//! | `installoption` | `grub-install`, which it runs for BIOS alone | `--modules`, `--no-bootsector`; the rest has no effect or is refused, each by name |
//! | `shimoption` | `shim-install`, for `firmware="uefi"` where the tree has it | none has an effect, or it is refused |
//! | `configoption` | nothing; KIWI 10 looks for `--set-trusted-boot` | that one, for SUSE's own tools |
//! | `environment` | `grub2-editenv - set` | variables in `grubenv` |

use crate::boot::grub::grubenv;
use crate::describe::{Diagnostic, Lack, Span};
use crate::model::elements::{BootloaderOption, BootloaderSettings, NamedValue, text};
use crate::model::{Firmware, GrubOptions, Loader, Type};

/// What becomes of an option of an installer.
enum Fate {
    /// It is read here.
    Used,
    /// What it asks for is so anyway, or there is nothing that it could change; why.
    Idle(&'static str),
    /// It asks for something else than is done; what that is.
    Refused(&'static str),
}
use Fate::{Idle, Refused, Used};

const REMOVABLE: &str =
    "the loader lies where firmware looks that remembers nothing, and nothing of the host is changed";
const NO_PROBE: &str = "nothing of the host is looked at";
const ALL_FILES: &str = "all modules, fonts and locales of the tree are copied";
const FOR_UEFI: &str = "KIWI runs grub-install for BIOS alone: firmware decides what UEFI starts";
const OF_APPLE: &str = "it is for machines of Apple";

/// Options of `grub-install` (GRUB 2.12, `util/grub-install.c` and `grub-install-common.c`; those of Debian and SUSE).
const INSTALL: &[(&str, Fate)] = &[
    ("--modules", Used),
    ("--no-bootsector", Used),
    ("--removable", Idle(REMOVABLE)),
    ("--no-nvram", Idle(REMOVABLE)),
    ("--auto-nvram", Idle(REMOVABLE)),
    ("--force-extra-removable", Idle(REMOVABLE)),
    ("--no-extra-removable", Idle(FOR_UEFI)),
    ("--skip-fs-probe", Idle(NO_PROBE)),
    ("-s", Idle(NO_PROBE)),
    ("--force", Idle(NO_PROBE)),
    ("-f", Idle(NO_PROBE)),
    ("--force-file-id", Idle(NO_PROBE)),
    ("--recheck", Idle(NO_PROBE)),
    ("--allow-floppy", Idle(NO_PROBE)),
    ("--no-floppy", Idle(NO_PROBE)),
    ("--verbose", Idle(NO_PROBE)),
    ("-v", Idle(NO_PROBE)),
    ("--no-rs-codes", Idle("no Reed-Solomon codes are written")),
    ("--install-modules", Idle(ALL_FILES)),
    ("--fonts", Idle(ALL_FILES)),
    ("--locales", Idle(ALL_FILES)),
    ("--themes", Idle("bootloader-theme says which theme is copied")),
    ("--compress", Idle("modules are copied as they are")),
    ("--core-compress", Idle("GRUB for BIOS always takes its image apart with LZMA")),
    ("--bootloader-id", Idle(FOR_UEFI)),
    ("--efi-directory", Idle(FOR_UEFI)),
    ("--uefi-secure-boot", Idle(FOR_UEFI)),
    ("--no-uefi-secure-boot", Idle(FOR_UEFI)),
    ("--disable-shim-lock", Idle(FOR_UEFI)),
    ("--sbat", Idle(FOR_UEFI)),
    ("--suse-enable-tpm", Idle(FOR_UEFI)),
    ("--suse-force-signed", Idle(FOR_UEFI)),
    ("--suse-inhibit-signed", Idle(FOR_UEFI)),
    ("--dtb", Idle(FOR_UEFI)),
    ("--label-font", Idle(OF_APPLE)),
    ("--label-color", Idle(OF_APPLE)),
    ("--label-bgcolor", Idle(OF_APPLE)),
    ("--macppc-directory", Idle(OF_APPLE)),
    ("--product-version", Idle(OF_APPLE)),
    ("--directory", Refused("GRUB's files from elsewhere than where its packages have them")),
    ("-d", Refused("GRUB's files from elsewhere than where its packages have them")),
    ("--boot-directory", Refused("GRUB's directory elsewhere than in /boot")),
    ("--locale-directory", Refused("GRUB's locales from elsewhere than where its packages have them")),
    ("--target", Refused("GRUB for another platform than that of the firmware")),
    ("--disk-module", Refused("GRUB's own drivers in the place of those of the BIOS")),
    ("--pubkey", Refused("signatures that GRUB checks")),
    ("-k", Refused("signatures that GRUB checks")),
];

/// Options of SUSE's `shim-install`.
const SHIM: &[(&str, Fate)] = &[
    ("--removable", Idle(REMOVABLE)),
    ("--no-nvram", Idle(REMOVABLE)),
    ("--no-grub-install", Idle("nothing of the two is run")),
    ("--bootloader-id", Idle("KIWI gives --removable, with which it names nothing")),
    ("--suse-enable-tpm", Refused("a GRUB that measures what it starts")),
    ("--config-file", Refused("another configuration than grub.cfg in GRUB's directory")),
    ("--efi-directory", Refused("the EFI system partition elsewhere than at /boot/efi")),
    ("--clean", Refused("the removal of what was installed")),
];

/// What the description makes of the machine.
pub(super) struct Setting {
    pub(super) loader: Loader,
    pub(super) firmware: Option<Firmware>,
    /// Whether GRUB for BIOS is installed.
    pub(super) bios: bool,
}

/// What `bootloadersettings` says to GRUB; what it says in vain is added to `problems`, what cannot be done yet to `lacks`.
pub(super) fn options(
    kind: &Type,
    setting: &Setting,
    problems: &mut Vec<Diagnostic>,
    lacks: &mut Vec<Diagnostic>,
) -> GrubOptions {
    let said = kind.said.bootloader.as_ref().and_then(|loader| loader.bootloadersettings.as_ref());
    let Some(said) = said else { return GrubOptions::default() };
    let mut reading = Reading { setting, problems, lacks };
    GrubOptions {
        environment: reading.environment(said),
        trusted_boot: reading.configure(&said.configoption),
        ..reading.install(said)
    }
}

struct Reading<'a> {
    setting: &'a Setting,
    problems: &'a mut Vec<Diagnostic>,
    lacks: &'a mut Vec<Diagnostic>,
}

/// Name and value, the latter perhaps behind an equals sign in the former, and where.
fn written(option: &BootloaderOption) -> Option<(&str, Option<&str>, &Span)> {
    let name = option.name.as_ref()?;
    let value = text(&option.value).filter(|value| !value.is_empty());
    Some(match name.value.split_once('=') {
        Some((one, other)) => (one, Some(other), &name.span),
        None => (&name.value, value, &name.span),
    })
}

impl Reading<'_> {
    fn is_grub(&self) -> bool {
        self.setting.loader == Loader::Grub
    }

    fn idle(&mut self, what: &str, span: &Span, why: &str) {
        self.problems.push(span.warning("no-effect", format!("{what} has no effect: {why}")));
    }

    /// Options of `grub-install` and `shim-install`.
    fn install(&mut self, said: &BootloaderSettings) -> GrubOptions {
        let mut made = GrubOptions::default();
        let is_uefi = self.setting.firmware == Some(Firmware::Uefi);
        let none = "only GRUB has such";
        let in_vain = match (self.is_grub(), self.setting.bios) {
            (false, _) => Some(none),
            (true, false) => Some(FOR_UEFI),
            (true, true) => None,
        };
        for (name, value, span) in said.installoption.iter().filter_map(written) {
            match (self.judged("installoption", INSTALL, (name, span), in_vain), name, value) {
                (true, "--no-bootsector", _) => made.no_bootsector = true,
                (true, "--modules", Some(value)) => {
                    let modules = value.split_whitespace();
                    if let Some(bad) = modules.clone().find(|name| !is_module(name)) {
                        let message = format!("no name of a module of GRUB's: {bad}");
                        self.problems.push(span.error("bad-value", message));
                    }
                    made.modules.extend(modules.map(str::to_owned));
                }
                (true, ..) => self.problems.push(span.error("bad-value", format!("{name} without a value"))),
                (false, ..) => {}
            }
        }
        let in_vain = match (self.is_grub(), is_uefi) {
            (false, _) => Some(none),
            (true, false) => Some("only firmware=\"uefi\" has a shim"),
            (true, true) => None,
        };
        for (name, _, span) in said.shimoption.iter().filter_map(written) {
            self.judged("shimoption", SHIM, (name, span), in_vain);
        }
        made
    }

    /// Whether an option is used. `in_vain`: why none of them has an effect.
    fn judged(
        &mut self,
        element: &str,
        table: &[(&str, Fate)],
        (name, span): (&str, &Span),
        in_vain: Option<&str>,
    ) -> bool {
        let what = format!("{element} {name}");
        let fate = table.iter().find(|(known, _)| *known == name).map(|(_, fate)| fate);
        match (in_vain, fate) {
            (Some(why), _) | (None, Some(&Idle(why))) => self.idle(&what, span, why),
            (None, Some(Used)) => return true,
            (None, Some(Refused(feature))) => {
                let message = format!("{what} is not supported yet: {feature}");
                let lack = Lack::new(format!("{element}@name={name}"), *feature);
                self.lacks.push(span.error("unsupported", message).lack(lack));
            }
            // KIWI would find out when it runs the program: the disk can be planned all the same.
            (None, None) => {
                let program = if element == "shimoption" { "shim-install" } else { "grub-install" };
                let message = format!("{what} is not supported: {program} has no such option");
                let hint =
                    format!("leave it out, or write it as {program} does: --name, with its value in value");
                let lack = Lack::new(format!("{element}@name={name}"), "an option that nobody knows");
                self.lacks.push(span.error("unsupported", message).hint(hint).lack(lack));
            }
        }
        false
    }

    /// Whether `--set-trusted-boot` is said.
    fn configure(&mut self, options: &[BootloaderOption]) -> bool {
        let mut trusted = false;
        for (name, _, span) in options.iter().filter_map(written) {
            match (self.is_grub(), name) {
                (true, "--set-trusted-boot") => trusted = true,
                (true, _) => {
                    self.idle(&format!("configoption {name}"), span, "KIWI does nothing with it, either")
                }
                (false, _) => self.idle(&format!("configoption {name}"), span, "only GRUB has such"),
            }
        }
        trusted
    }

    /// Variables of GRUB's, in their order.
    fn environment(&mut self, said: &BootloaderSettings) -> Vec<(String, String)> {
        let Some(environment) = &said.environment else { return Vec::new() };
        if !self.is_grub() {
            self.idle("environment", &environment.span, "only GRUB has one");
            return Vec::new();
        }
        let pair = |one: &NamedValue| {
            Some((text(&one.name)?.to_owned(), text(&one.value).unwrap_or_default().to_owned()))
        };
        let variables: Vec<(String, String)> = environment.env.iter().filter_map(pair).collect();
        if let Err(refusal) = grubenv(&variables) {
            self.problems
                .push(environment.span.error("bad-value", format!("environment: {}", refusal.reason)));
        }
        variables
    }
}

/// File names of modules.
fn is_module(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}
