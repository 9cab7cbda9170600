//! GRUB of a plan: what it adds to the tree, to the EFI system partition, and to the disk in front of the partitions.
//!
//! ```text
//! /boot/grub/grub.cfg, grubenv, i386-pc/*.mod, ...      in the tree
//! /etc/default/grub                                     so that the distribution's grub-mkconfig says the same later
//! EFI/BOOT/BOOTX64.EFI, grub.cfg, ...                   on the EFI system partition
//! boot.img, core.img                                    on the disk, for machines with BIOS
//! ```

use super::grub::{
    BootFs, CoreImage, Embedded, Find, Piece, Platform, Room, SECTOR, Settings, Start, Target, bls_entries,
    boot_directory, boot_files, boot_kernels, core_img, default_grub, efi_image, find_signed, find_theme,
    find_unsigned, grub_cfg, grubenv, has_bls, image_modules, place, platform_directory, program_in,
    set_variables, sysconfig_bootloader, variables, vendor_of_image,
};
use super::{BootEntry, BootFiles, Kernel, copy, file_at, find_kernels, follow, no_kernel};
use crate::model::{Firmware, Table};
use crate::plan::{GrubPlan, Part, Place, Plan, ROOT};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::layout::{ContentError, Contents};
use diskwright_fstools::tree::{Data, Kind, Meta, Node, NodeId, Time, Tree};

/// The longest file that is read: modules, loaders, configuration.
const LONGEST: u64 = 64 << 20;
/// The longest kernel command line that any machine takes (Linux: `COMMAND_LINE_SIZE`).
const LONGEST_LINE: usize = 2047;

/// Firmware starts what is signed with a key that it knows, and most knows Microsoft's alone.
const NO_SHIM: &str = "no shim in the tree (Debian: shim-signed; Fedora: shim-x64; SUSE: shim): with Secure Boot, the signed GRUB starts only where the firmware has its signer's key";

/// What a BIOS starts.
#[derive(Clone, Debug)]
pub struct BiosCore {
    platform: Platform,
    core: CoreImage,
}

/// Everything that GRUB needs of a plan. Refused: loader files or kernels that are missing; a command line that is too
/// long; what GRUB's parser would take for something else.
pub(super) fn grub(
    plan: &Plan,
    grub: &GrubPlan,
    tree: &Tree,
    contents: &dyn Contents,
) -> Result<BootFiles, Refusal> {
    let install = Install { plan, grub, tree, contents, directory: boot_directory(tree) };
    install.all()
}

struct Install<'a> {
    plan: &'a Plan,
    grub: &'a GrubPlan,
    tree: &'a Tree,
    contents: &'a dyn Contents,
    /// GRUB's directory in the tree.
    directory: &'static str,
}

impl Install<'_> {
    fn all(&self) -> Result<BootFiles, Refusal> {
        let mut notes = Vec::new();
        self.refuse_unread()?;
        let boot = self.boot()?;
        let (settings, theme) = self.settings(&mut notes)?;
        let mut kernels = find_kernels(self.tree)?;
        if !self.grub.initrd {
            kernels.iter_mut().for_each(|kernel| kernel.initrd = None);
        }
        if kernels.is_empty() {
            return Err(no_kernel());
        }
        let found = boot_kernels(&kernels, &boot)?;
        let mut root = Vec::new();
        let in_directory = |path: &str| format!("{}/{path}", self.directory);
        let targets = self.targets();
        for file in boot_files(self.tree, &targets).into_iter().chain(theme) {
            root.push((in_directory(&file.path), copy(self.tree, file.node)));
        }
        root.push((
            in_directory("grub.cfg"),
            self.text(grub_cfg(&settings, &boot, &found)?.into_bytes(), 0o600),
        ));
        root.push((in_directory("grubenv"), self.text(self.environment()?, 0o644)));
        if settings.bls {
            let token = self.plan.boot.as_ref().map_or("linux", |boot| boot.token.as_str());
            for (kernel, (name, text)) in found.iter().zip(bls_entries(&settings, &found, token, token)?) {
                let name = self.entry_of(&kernel.version).unwrap_or(name);
                root.push((format!("/boot/loader/entries/{name}"), self.text(text.into_bytes(), 0o644)));
            }
        }
        root.extend(self.copied_kernels(&kernels, &boot));
        root.extend(self.default_file(&settings)?);
        root.extend(self.sysconfig_file(&settings)?);
        let entries = kernels.into_iter().map(|kernel| BootEntry {
            file: in_directory("grub.cfg"),
            version: kernel.version,
            kernel: kernel.path,
            initrd: kernel.initrd.map(|(path, ..)| path),
        });
        let entries = entries.collect();
        let core = self.core(&boot)?;
        if core.is_none() && self.grub.options.no_bootsector {
            notes.push(
                "--no-bootsector: nothing is put in front of the partitions, and no BIOS starts the disk"
                    .to_owned(),
            );
        } else if core.is_none() && self.has_room_for_bios() {
            let why = match self.sector_size() == SECTOR {
                true => "no files of GRUB for BIOS in the tree (i386-pc)",
                false => "GRUB for BIOS reads disks with sectors of 512 bytes alone",
            };
            notes.push(format!("{why}: the disk starts from UEFI alone"));
        }
        let esp = self.esp(&boot, &mut notes)?;
        Ok(BootFiles { root, esp, entries, core, notes })
    }

    /// The part that `/boot` is on.
    fn boot_part(&self) -> Result<&Part, Refusal> {
        let mounted = |path: &str| {
            self.plan.parts.iter().find(|part| {
                part.filesystem.as_ref().is_some_and(|one| one.mountpoint.as_deref() == Some(path))
            })
        };
        let missing = || refused(RefusalKind::Invalid, "/boot", "no partition that /boot is on");
        mounted("/boot").or_else(|| mounted("/")).ok_or_else(missing)
    }

    /// A file system with something that the release's GRUB is known not to read starts nothing.
    fn refuse_unread(&self) -> Result<(), Refusal> {
        let filesystem = self.boot_part()?.filesystem.as_ref();
        let profile = filesystem.and_then(|one| one.profile.as_ref());
        let Some((profile, why)) = profile.and_then(|one| Some((one, one.unbootable.first()?))) else {
            return Ok(());
        };
        let reason = format!("GRUB cannot read the file system that it is on: {why} ({})", profile.name);
        let hint = "leave the feature out of fscreateoptions, or give /boot a file system of its own \
                    (bootpartition=\"true\")";
        Err(refused(RefusalKind::Unsupported, "/boot", reason).hint(hint))
    }

    fn boot(&self) -> Result<BootFs, Refusal> {
        let part = self.boot_part()?;
        let filesystem = part.filesystem.as_ref();
        let uuid = filesystem.map(|one| one.id.clone()).unwrap_or_default();
        let own = part.role != ROOT;
        let table = self.plan.disk.as_ref().map(|disk| disk.table);
        let module = match filesystem.map(|one| one.kind()).as_deref() {
            Some("vfat") => "fat",
            Some("xfs") => "xfs",
            Some("btrfs") => "btrfs",
            _ => "ext2",
        };
        let label = if matches!(table, Some(Table::Mbr { .. })) { "part_msdos" } else { "part_gpt" };
        let below = |path: &str| match own {
            true => path.strip_prefix("/boot").unwrap_or(path).to_owned(),
            false => path.to_owned(),
        };
        Ok(BootFs {
            find: Find::Uuid(uuid),
            boot: below("/boot"),
            root: (!own).then(String::new),
            directory: below(self.directory),
            modules: vec![label.to_owned(), module.to_owned()],
        })
    }

    /// Settings, and the files of the theme.
    fn settings(&self, notes: &mut Vec<String>) -> Result<(Settings, Vec<super::grub::BootFile>), Refusal> {
        let GrubPlan { input, output, theme, .. } = self.grub;
        let mut output = output.clone();
        let found = theme.as_deref().map(|name| find_theme(self.tree, name));
        let (theme, files) = match found {
            None => (None, Vec::new()),
            Some(Ok((theme, files))) => (Some(theme), files),
            // As KIWI: without its theme, the menu is text.
            Some(Err(refusal)) => {
                notes.push(format!("{refusal}: the menu is on the console, without a theme"));
                output = "console".to_owned();
                (None, Vec::new())
            }
        };
        let command_line = self.plan.command_line.clone().unwrap_or_default();
        if command_line.len() > LONGEST_LINE {
            let reason =
                format!("{} bytes, and no kernel takes more than {LONGEST_LINE}", command_line.len());
            return Err(refused(RefusalKind::Limit, "kernelcmdline", reason).hint("a shorter kernelcmdline"));
        }
        let settings = Settings {
            title: self.plan.boot.as_ref().map(|boot| boot.title.clone()).unwrap_or_default(),
            display_name: self.grub.display_name.clone(),
            timeout: self.grub.timeout,
            timeout_style: self.grub.timeout_style,
            input: input.clone(),
            output,
            serial_line: self.grub.serial_line.clone(),
            video_mode: self.grub.video_mode.clone(),
            theme,
            bls: self.has_entries()?,
            linux_efi: self.says(file_at(self.tree, b"/etc/grub.d/10_linux"), "linuxefi")?,
            command_line,
            root: self.grub.naming,
            crypto_disk: false,
            snapper: false,
        };
        Ok((settings, files))
    }

    /// `/etc/default/grub`, where there is an `/etc/default`.
    fn default_file(&self, settings: &Settings) -> Result<Option<(String, Node)>, Refusal> {
        if follow(self.tree, b"/etc/default").is_none() {
            return Ok(None);
        }
        let text = default_grub(&self.there("/etc/default/grub")?, settings, self.directory)?;
        Ok(Some(("/etc/default/grub".to_owned(), self.text(text.into_bytes(), 0o644))))
    }

    /// Kernels that are links out of `/boot` (SUSE), where that has a file system of its own: GRUB cannot follow them.
    fn copied_kernels(&self, kernels: &[Kernel], boot: &BootFs) -> Vec<(String, Node)> {
        let is_link = |path: &str| {
            let there = self.tree.lookup(path.as_bytes());
            there.is_some_and(|node| matches!(self.tree.node(node).kind, Kind::Symlink(_)))
        };
        let files = kernels.iter().flat_map(|kernel| {
            let initrd = kernel.initrd.as_ref().map(|(path, _, node)| (path.clone(), *node));
            std::iter::once((kernel.path.clone(), kernel.node)).chain(initrd)
        });
        let files = files.filter(|(path, _)| boot.root.is_none() && is_link(path));
        files.map(|(path, node)| (path, self.tree.node(node).clone())).collect()
    }

    /// The entry that the distribution has made for a kernel, in a tree that was no machine yet: it is written anew.
    fn entry_of(&self, version: &str) -> Option<String> {
        let directory = follow(self.tree, b"/boot/loader/entries")?;
        let names = self.tree.children(directory).map(|(name, _)| escaped(name));
        let mut of_kernel = names.filter(|name| {
            name.strip_suffix(".conf")
                .and_then(|name| name.strip_suffix(version))
                .is_some_and(|token| token.ends_with('-'))
        });
        of_kernel.next()
    }

    /// Whether a script of the distribution's says this.
    fn says(&self, script: Option<NodeId>, word: &str) -> Result<bool, Refusal> {
        let text = script.map(|node| self.read(node)).transpose()?.unwrap_or_default();
        Ok(text.windows(word.len()).any(|window| window == word.as_bytes()))
    }

    /// Whether the menu is made of boot entries: asked for, known to the tree's GRUB and, as in KIWI, to its grub-mkconfig.
    fn has_entries(&self) -> Result<bool, Refusal> {
        let asked = self.grub.bls && self.targets().into_iter().any(|target| has_bls(self.tree, target));
        let script =
            program_in(self.tree, "grub2-mkconfig").or_else(|| program_in(self.tree, "grub-mkconfig"));
        Ok(asked && (script.is_none() || self.says(script, "GRUB_ENABLE_BLSCFG")?))
    }

    /// SUSE's `/etc/sysconfig/bootloader`, where its tools are.
    fn sysconfig_file(&self, settings: &Settings) -> Result<Option<(String, Node)>, Refusal> {
        const PATH: &str = "/etc/sysconfig/bootloader";
        let tools = [PATH, "/usr/sbin/update-bootloader", "/sbin/update-bootloader"];
        if !tools.iter().any(|path| file_at(self.tree, path.as_bytes()).is_some()) {
            return Ok(None);
        }
        let (firmware, trusted) = (self.grub.firmware, self.grub.options.trusted_boot);
        let text = sysconfig_bootloader(&self.there(PATH)?, settings, firmware, trusted)?;
        Ok(Some((PATH.to_owned(), self.text(text.into_bytes(), 0o644))))
    }

    /// The text of a file of the tree; none where there is no such file.
    fn there(&self, path: &str) -> Result<String, Refusal> {
        let bytes = file_at(self.tree, path.as_bytes()).map(|node| self.read(node)).transpose()?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default())
    }

    /// The environment block: variables of the tree's, and those of the description.
    fn environment(&self) -> Result<Vec<u8>, Refusal> {
        let path = format!("{}/grubenv", self.directory);
        let there = file_at(self.tree, path.as_bytes()).map(|node| self.read(node)).transpose()?;
        grubenv(&set_variables(variables(&there.unwrap_or_default()), &self.grub.options.environment))
    }

    /// Platforms whose modules the configuration may load.
    fn targets(&self) -> Vec<Target> {
        let bios = self.has_room_for_bios().then_some(Target::I386Pc);
        let efi = self.grub.firmware.is_efi().then(|| Target::efi(self.plan.arch)).flatten();
        bios.into_iter().chain(efi).collect()
    }

    /// Whether a BIOS is to start the disk: it is what the firmware is, or there is a partition for it.
    fn has_room_for_bios(&self) -> bool {
        !self.grub.firmware.is_efi() || self.plan.parts.iter().any(|part| part.role == "efi_csm")
    }

    /// Bytes of a sector of the disk.
    fn sector_size(&self) -> usize {
        self.plan.disk.as_ref().map_or(SECTOR, |disk| disk.sector_size.bytes() as usize)
    }

    fn core(&self, boot: &BootFs) -> Result<Option<BiosCore>, Refusal> {
        let optional = self.grub.firmware.is_efi();
        let sector = self.sector_size();
        let possible = sector == SECTOR && platform_directory(self.tree, Target::I386Pc).is_some();
        let unwanted = self.grub.options.no_bootsector;
        if unwanted || !self.has_room_for_bios() || (optional && !possible) {
            return Ok(None);
        }
        if sector != SECTOR {
            let reason = format!("sectors of {sector} bytes: GRUB for BIOS reads disks of {SECTOR} alone");
            return Err(refused(RefusalKind::Unsupported, "target_blocksize", reason)
                .hint("target_blocksize=\"512\", or firmware=\"efi\""));
        }
        let platform = self.platform(Target::I386Pc, boot)?;
        let core = core_img(&platform, &self.embedded(boot)?)?;
        Ok(Some(BiosCore { platform, core }))
    }

    fn platform(&self, target: Target, boot: &BootFs) -> Result<Platform, Refusal> {
        let mut extra: Vec<&str> = boot.modules.iter().map(String::as_str).collect();
        if target == Target::I386Pc {
            extra.extend(self.grub.options.modules.iter().map(String::as_str));
        }
        let modules = image_modules(self.tree, target, &extra);
        Platform::load(self.tree, target, &modules, |node| self.read(node))
    }

    fn embedded(&self, boot: &BootFs) -> Result<Embedded, Refusal> {
        Ok(Embedded { prefix: boot.directory.clone(), config: start(boot).embedded()? })
    }

    fn esp(&self, boot: &BootFs, notes: &mut Vec<String>) -> Result<Vec<(String, Node)>, Refusal> {
        let arch = self.plan.arch;
        let stub = start(boot).stub()?.into_bytes();
        let config = |directory: &str| (format!("EFI/{directory}/grub.cfg"), self.text(stub.clone(), 0o644));
        match self.grub.firmware {
            Firmware::Uefi => {
                let signed = find_signed(self.tree, arch)?;
                if !signed.has_shim() {
                    notes.push(NO_SHIM.to_owned());
                }
                // An image looks where it was made for, wherever it lies.
                let told = vendor_of_image(&self.read(signed.grub())?);
                let vendor = signed.vendor().map(str::to_owned).or_else(|| told.clone());
                let files = signed.files(vendor.as_deref()).into_iter();
                let mut files: Vec<(String, Node)> =
                    files.map(|file| (file.path, copy(self.tree, file.node))).collect();
                let mut directories = vec!["BOOT".to_owned()];
                for vendor in vendor.into_iter().chain(told) {
                    if !directories.iter().any(|there| there.eq_ignore_ascii_case(&vendor)) {
                        directories.push(vendor);
                    }
                }
                files.extend(directories.iter().map(|directory| config(directory)));
                Ok(files)
            }
            Firmware::Efi => {
                if let Some(file) = find_unsigned(self.tree, arch) {
                    let vendor = vendor_of_image(&self.read(file.node)?).filter(|vendor| vendor != "BOOT");
                    let mut files = vec![(file.path, copy(self.tree, file.node)), config("BOOT")];
                    files.extend(vendor.map(|vendor| config(&vendor)));
                    return Ok(files);
                }
                let Some(target) = Target::efi(arch) else { return Ok(Vec::new()) };
                let platform = self.platform(target, boot)?;
                let image = efi_image(&platform, &self.embedded(boot)?)?;
                let path = format!("EFI/BOOT/BOOT{}.EFI", arch.efi_suffix().to_uppercase());
                Ok(vec![(path, self.text(image, 0o644)), config("BOOT")])
            }
            _ => Ok(Vec::new()),
        }
    }

    fn text(&self, bytes: Vec<u8>, mode: u16) -> Node {
        Node { meta: Meta::of_root(mode, Time::seconds(self.plan.epoch)), kind: Kind::file(bytes) }
    }

    /// The bytes of a file of the tree; a hole reads as zeros.
    fn read(&self, node: NodeId) -> Result<Vec<u8>, Refusal> {
        let Kind::File(data) = &self.tree.node(node).kind else { return Ok(Vec::new()) };
        if data.size() > LONGEST {
            let reason = format!("a file of {} bytes, which no part of GRUB has", data.size());
            return Err(refused(RefusalKind::Limit, "", reason));
        }
        let mut bytes = vec![0; data.size() as usize];
        match data {
            Data::Bytes(all) => bytes.iter_mut().zip(all.iter()).for_each(|(byte, is)| *byte = *is),
            Data::Content { id, .. } => {
                let unread = |error: ContentError| {
                    refused(RefusalKind::Missing, &error.path.clone(), error.to_string())
                };
                let content = self.contents.open(*id).map_err(unread)?;
                for run in data.runs() {
                    let range = run.start as usize..run.end as usize;
                    content.read_exact_at(run.start, &mut bytes[range]).map_err(unread)?;
                }
                content.close().map_err(unread)?;
            }
        }
        Ok(bytes)
    }
}

/// Where the core lies once partitions have their places. Refused: where it does not fit.
pub fn placed(core: &BiosCore, places: &[Place], sector_size: u32) -> Result<[Piece; 2], Refusal> {
    let sector = SECTOR as u64;
    let csm = places.iter().find(|one| one.part.role == "efi_csm" && one.part.is_in_gpt());
    let first = places.iter().map(|one| one.start).min().unwrap_or(0);
    let room = match csm {
        Some(part) => Room::Partition { start: part.start / sector, sectors: part.len / sector },
        None => Room::Gap { end: first / sector },
    };
    place(&core.platform, &core.core, room, sector_size)
}

/// Where GRUB's directory is.
fn start(boot: &BootFs) -> Start {
    Start { unlock: None, find: boot.find.clone(), directory: boot.directory.clone(), btrfs_relative: false }
}

fn refused(kind: RefusalKind, object: &str, reason: impl Into<String>) -> Refusal {
    Refusal::new(kind, Spot::new("boot", object), reason)
}
