//! What KIWI takes where a type says nothing (KIWI NG 10.3.9 `defaults.py`, `xml_state.py`).

use super::Selection;

impl Selection<'_> {
    /// What KIWI takes where a type says nothing.
    pub fn defaults(&self) -> Vec<(&'static str, &'static str)> {
        let Some(kind) = self.kind else { return Vec::new() };
        let image = kind.image.as_str();
        let firmware = if matches!(self.machine, "x86_64" | "i686") { "bios" } else { "efi" };
        let initrd = match image {
            "oem" | "iso" | "kis" => "dracut",
            "pxe" => "kiwi",
            _ => "none",
        };
        let mut defaults = vec![("initrd_system", initrd)];
        if matches!(image, "oem" | "iso") {
            defaults.push(("firmware", firmware));
            defaults.push(("bootloader@name", "grub2"));
            defaults.push(("bootloader@timeout", "10"));
            defaults.push(("devicepersistency", "by-uuid"));
        }
        if image == "oem" {
            defaults.extend([
                ("rootfs_label", "ROOT"),
                ("eficsm", "true"),
                ("efipartsize", "20"),
                ("disk_start_sector", "2048"),
                ("target_blocksize", "512"),
                ("oemconfig/oem-resize", "true"),
                ("oemconfig/oem-swap", "false"),
            ]);
        }
        if kind.has("systemdisk") {
            defaults.push(("systemdisk@name", "systemVG"));
        }
        defaults
    }

    /// What a type says at a path, or KIWI's default.
    pub fn value(&self, path: &str) -> Option<&str> {
        let default = || self.defaults().into_iter().find(|(name, _)| *name == path).map(|(_, value)| value);
        self.kind.and_then(|kind| kind.text(path)).or_else(default)
    }
}
