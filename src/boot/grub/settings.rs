//! What a description says about GRUB, and the two files that keep it for the distribution's own tools:
//! `/etc/default/grub`, which `grub-mkconfig` reads, and SUSE's `/etc/sysconfig/bootloader`, without which its
//! `update-bootloader` makes no new menu for a new kernel.
//!
//! Keys and values are KIWI's (`bootloader/config/grub2.py`, `_setup_default_grub`; in KIWI 10 `_setup_sysconfig_bootloader`).

use super::refused;
use crate::model::{Firmware, Naming, TimeoutStyle};
use diskwright_formats::fault::{Refusal, RefusalKind};

/// What KIWI adds to the command line of failsafe entries.
pub const FAILSAFE: &str = "ide=nodma apm=off noresume edd=off nomodeset 3";

/// A theme that is in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// The name of its directory below `themes`.
    pub name: String,
    /// Whether it has a `background.png`.
    pub background: bool,
    /// Names of its `*.pf2` files.
    pub fonts: Vec<String>,
}

/// The attributes of `bootloader`, and what else the files say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Title of the first entry.
    pub title: String,
    /// `displayname` of the image.
    pub display_name: Option<String>,
    /// `timeout` in seconds.
    pub timeout: u32,
    /// `timeout_style`.
    pub timeout_style: Option<TimeoutStyle>,
    /// `input_console`: GRUB's names of terminals, parted by spaces.
    pub input: String,
    /// `output_console`: the same.
    pub output: String,
    /// `serial_line`: a command for GRUB, `serial --unit=0 --speed=115200`.
    pub serial_line: Option<String>,
    /// `video_mode`; KIWI's default is `auto`.
    pub video_mode: String,
    /// `bootloader-theme`.
    pub theme: Option<Theme>,
    /// `bls`, where the tree's GRUB has it: [`has_bls`](super::has_bls).
    pub bls: bool,
    /// Whether kernels have commands of their own on 64-bit x86 with UEFI, `linuxefi` and `initrdefi` (SUSE).
    pub linux_efi: bool,
    /// The whole kernel command line, `root=` in it.
    pub command_line: String,
    /// `devicepersistency`.
    pub root: Naming,
    /// Whether GRUB opens LUKS containers.
    pub crypto_disk: bool,
    /// `btrfs_root_is_snapper_snapshot`.
    pub snapper: bool,
}

impl Settings {
    /// Whether a terminal is the serial line.
    pub fn is_serial(&self) -> bool {
        [&self.input, &self.output].into_iter().any(|names| names.split(' ').any(|name| name == "serial"))
    }

    /// The command line without `root=`, and the first of these.
    fn without_root(&self) -> (String, Option<&str>) {
        let words = self.command_line.split_ascii_whitespace();
        let (roots, rest): (Vec<&str>, Vec<&str>) = words.partition(|word| word.starts_with("root="));
        (rest.join(" "), roots.first().copied())
    }
}

/// `/etc/default/grub`: keys that are there get their new value in their place, new ones are added sorted, all else is
/// kept. `directory` is GRUB's in the tree: `/boot/grub`. Refused: a value with a line break in it.
pub fn default_grub(existing: &str, settings: &Settings, directory: &str) -> Result<String, Refusal> {
    let (command_line, root) = settings.without_root();
    let mut keys: Vec<(&str, String)> = vec![
        ("GRUB_TIMEOUT", settings.timeout.to_string()),
        ("GRUB_GFXMODE", quoted(&settings.video_mode)?),
        ("GRUB_TERMINAL_INPUT", quoted(&settings.input)?),
        ("GRUB_TERMINAL_OUTPUT", quoted(&settings.output)?),
    ];
    let truth = || "true".to_owned();
    if !command_line.is_empty() {
        keys.push(("GRUB_CMDLINE_LINUX_DEFAULT", quoted(&command_line)?));
    }
    if let Some(name) = &settings.display_name {
        keys.push(("GRUB_DISTRIBUTOR", quoted(name)?));
    }
    if let Some(style) = settings.timeout_style {
        keys.push(("GRUB_TIMEOUT_STYLE", style.name().to_owned()));
    }
    if let Some(line) = settings.serial_line.as_ref().filter(|_| settings.is_serial()) {
        keys.push(("GRUB_SERIAL_COMMAND", quoted(line)?));
    }
    match settings.root {
        Naming::Uuid => {}
        Naming::Label => {
            if let Some(root) = root.filter(|root| root.contains("LABEL")) {
                keys.push(("GRUB_CMDLINE_LINUX", quoted(root)?));
                keys.push(("SUSE_REMOVE_LINUX_ROOT_PARAM", truth()));
            }
            keys.extend([("GRUB_ENABLE_LINUX_LABEL", truth()), ("GRUB_DISABLE_LINUX_UUID", truth())]);
        }
        Naming::PartUuid => {
            keys.push(("GRUB_DISABLE_LINUX_UUID", truth()));
            keys.push(("GRUB_DISABLE_LINUX_PARTUUID", "false".to_owned()));
        }
    }
    if let Some(theme) = &settings.theme {
        let at = format!("{directory}/themes/{}", theme.name);
        keys.push(("GRUB_THEME", quoted(&format!("{at}/theme.txt"))?));
        if theme.background {
            keys.push(("GRUB_BACKGROUND", quoted(&format!("{at}/background.png"))?));
        }
    }
    if settings.snapper {
        keys.push(("SUSE_BTRFS_SNAPSHOT_BOOTING", truth()));
    }
    if settings.crypto_disk {
        keys.push(("GRUB_ENABLE_CRYPTODISK", "y".to_owned()));
    }
    if settings.bls {
        keys.push(("GRUB_ENABLE_BLSCFG", truth()));
    }
    let is_set = existing.lines().any(|line| key(line) == Some("GRUB_DEFAULT"));
    if !is_set {
        keys.push(("GRUB_DEFAULT", "saved".to_owned()));
    }
    Ok(assigned(existing, keys))
}

/// `/etc/sysconfig/bootloader` of SUSE. `trusted`: the description has the `configoption` named `--set-trusted-boot`.
pub fn sysconfig_bootloader(
    existing: &str,
    settings: &Settings,
    firmware: Firmware,
    trusted: bool,
) -> Result<String, Refusal> {
    let loader = match (settings.bls, firmware.is_efi()) {
        (true, _) => "grub2-bls",
        (false, true) => "grub2-efi",
        (false, false) => "grub2",
    };
    let failsafe = format!("{} {FAILSAFE}", settings.command_line);
    let mut keys = vec![
        ("LOADER_TYPE", quoted(loader)?),
        ("LOADER_LOCATION", quoted(if firmware.is_efi() { "none" } else { "mbr" })?),
        ("DEFAULT_APPEND", quoted(&settings.command_line)?),
        ("FAILSAFE_APPEND", quoted(failsafe.trim())?),
    ];
    match firmware {
        Firmware::Efi => keys.push(("SECURE_BOOT", quoted("no")?)),
        Firmware::Uefi => keys.push(("SECURE_BOOT", quoted("yes")?)),
        _ => {}
    }
    if trusted {
        keys.push(("TRUSTED_BOOT", quoted("yes")?));
    }
    Ok(assigned(existing, keys))
}

/// The key of a line that assigns something in a file for the shell.
fn key(line: &str) -> Option<&str> {
    let line = line.trim();
    let (key, _) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!key.is_empty() && key.bytes().all(good)).then_some(key)
}

fn assigned(existing: &str, mut keys: Vec<(&str, String)>) -> String {
    keys.sort();
    let mut text = String::new();
    let mut done = Vec::new();
    for line in existing.lines() {
        match key(line).and_then(|name| keys.iter().find(|(key, _)| *key == name)) {
            // A second assignment would win over the first: it goes.
            Some((key, _)) if done.contains(key) => {}
            Some((key, value)) => {
                text.push_str(&format!("{key}={value}\n"));
                done.push(key);
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    for (key, value) in keys.iter().filter(|(key, _)| !done.contains(key)) {
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}

/// A value for the shell, between double quotes.
fn quoted(value: &str) -> Result<String, Refusal> {
    if value.contains(|sign: char| sign.is_control()) {
        let reason = format!("a value with a control character in it: {value:?}");
        return Err(refused(RefusalKind::Invalid, "default/grub", reason));
    }
    let mut text = String::from("\"");
    for sign in value.chars() {
        if "\"\\$`".contains(sign) {
            text.push('\\');
        }
        text.push(sign);
    }
    text.push('"');
    Ok(text)
}
