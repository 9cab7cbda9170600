//! What KIWI takes where a type says nothing (KIWI NG 10.3.9 `defaults.py`, `xml_state.py`).

use super::Selection;
use crate::model::Bytes;
use crate::model::elements::{is_set, value};
use crate::model::lexical::{Lexical, Mebibytes, Seconds, StartSector};
use crate::model::words::{BootloaderName, DevicePersistency, Firmware, ImageType, InitrdSystem, Machine};

/// What KIWI takes where a type says nothing; `None`: nothing for this type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// `initrd_system`
    pub initrd_system: InitrdSystem,
    /// `firmware`
    pub firmware: Option<Firmware>,
    /// `bootloader@name`
    pub bootloader: Option<BootloaderName>,
    /// `bootloader@timeout`
    pub timeout: Option<Seconds>,
    /// `devicepersistency`
    pub devicepersistency: Option<DevicePersistency>,
    /// What only disks have.
    pub disk: Option<DiskDefaults>,
    /// `systemdisk@name`, where there is a `systemdisk`.
    pub volume_group: Option<&'static str>,
}

/// The same of `image="oem"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskDefaults {
    /// `rootfs_label`
    pub rootfs_label: &'static str,
    /// `eficsm`
    pub eficsm: bool,
    /// `efipartsize`
    pub efipartsize: Mebibytes,
    /// `disk_start_sector`
    pub disk_start_sector: StartSector,
    /// `target_blocksize`
    pub target_blocksize: Bytes,
    /// `oem-resize`
    pub resize: bool,
    /// `oem-swap`
    pub swap: bool,
}

const DISK: DiskDefaults = DiskDefaults {
    rootfs_label: "ROOT",
    eficsm: true,
    efipartsize: Mebibytes(super::ESP_MIB),
    disk_start_sector: StartSector(2048),
    target_blocksize: Bytes(512),
    resize: true,
    swap: false,
};

impl Defaults {
    /// By paths from `type` on, each with its text.
    pub fn entries(&self) -> Vec<(&'static str, String)> {
        let word = |name: Option<&str>| name.map(str::to_owned);
        let disk = self.disk.as_ref();
        let all = [
            ("type@initrd_system", word(Some(self.initrd_system.name()))),
            ("type@firmware", self.firmware.map(|it| it.to_string())),
            ("type/bootloader@name", self.bootloader.map(|it| it.to_string())),
            ("type/bootloader@timeout", self.timeout.map(|it| it.to_string())),
            ("type@devicepersistency", self.devicepersistency.map(|it| it.to_string())),
            ("type@rootfs_label", word(disk.map(|it| it.rootfs_label))),
            ("type@eficsm", disk.map(|it| it.eficsm.canonical())),
            ("type@efipartsize", disk.map(|it| it.efipartsize.canonical())),
            ("type@disk_start_sector", disk.map(|it| it.disk_start_sector.canonical())),
            ("type@target_blocksize", disk.map(|it| it.target_blocksize.canonical())),
            ("type/oemconfig/oem-resize", disk.map(|it| it.resize.canonical())),
            ("type/oemconfig/oem-swap", disk.map(|it| it.swap.canonical())),
            ("type/systemdisk@name", word(self.volume_group)),
        ];
        all.into_iter().filter_map(|(path, text)| text.map(|text| (path, text))).collect()
    }
}

impl Selection<'_> {
    /// What KIWI takes where the type says nothing; `None` without a type.
    pub fn defaults(&self) -> Option<Defaults> {
        let said = self.said()?;
        let image = self.image();
        let boots = matches!(image, Some(ImageType::Oem | ImageType::Iso));
        let bios = matches!(self.machine, Machine::X86_64 | Machine::I686);
        Some(Defaults {
            initrd_system: match image {
                Some(ImageType::Oem | ImageType::Iso | ImageType::Kis) => InitrdSystem::Dracut,
                Some(ImageType::Pxe) => InitrdSystem::Kiwi,
                _ => InitrdSystem::None,
            },
            firmware: boots.then_some(if bios { Firmware::Bios } else { Firmware::Efi }),
            bootloader: boots.then_some(BootloaderName::Grub2),
            timeout: boots.then_some(Seconds(10)),
            devicepersistency: boots.then_some(DevicePersistency::ByUuid),
            disk: (image == Some(ImageType::Oem)).then_some(DISK),
            volume_group: said.systemdisk.as_ref().map(|_| "systemVG"),
        })
    }

    /// Who makes the initrd.
    pub fn initrd_system(&self) -> Option<InitrdSystem> {
        self.said().and_then(|said| value(&said.initrd_system)).or(self.defaults().map(|it| it.initrd_system))
    }

    /// The firmware that starts the loader.
    pub fn firmware(&self) -> Option<Firmware> {
        self.said().and_then(|said| value(&said.firmware)).or(self.defaults().and_then(|it| it.firmware))
    }

    /// What starts the kernel.
    pub fn bootloader(&self) -> Option<BootloaderName> {
        let said = self.said().and_then(|said| said.bootloader.as_ref()).and_then(|one| value(&one.name));
        said.or(self.defaults().and_then(|it| it.bootloader))
    }

    /// The name of the volume group.
    pub fn volume_group(&self) -> Option<&str> {
        let disk = self.said().and_then(|said| said.systemdisk.as_ref())?;
        Some(crate::model::elements::text(&disk.name).unwrap_or("systemVG"))
    }

    /// Whether the root grows at the first boot.
    pub fn resizes(&self) -> bool {
        let oem = self.said().and_then(|said| said.oemconfig.as_ref());
        match oem.and_then(|oem| oem.resize.as_ref()) {
            Some(resize) => resize.value,
            None => self.defaults().and_then(|it| it.disk).is_some_and(|it| it.resize),
        }
    }

    /// Whether there is swap.
    pub fn swaps(&self) -> bool {
        self.said().and_then(|said| said.oemconfig.as_ref()).is_some_and(|oem| is_set(&oem.swap))
    }
}
