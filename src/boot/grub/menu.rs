//! `grub.cfg` with an entry for every kernel, and entries of the Boot Loader Specification.
//!
//! The menu has the form and the ids of `grub-mkconfig` (`10_linux`), so that an entry that was saved as default is still
//! found after the distribution's own tool has made a new one: the newest kernel, then a submenu with all of them, each
//! normal and for recovery.

use super::early::search;
use super::settings::{FAILSAFE, Settings, Theme};
use super::words::{arguments, path, word};
use super::{Find, refused};
use crate::boot::Kernel;
use crate::model::TimeoutStyle;
use diskwright_formats::fault::{Refusal, RefusalKind};

/// The file system on which kernels and GRUB's directory are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootFs {
    /// How it is found.
    pub find: Find,
    /// What the tree's `/boot` is called on it: empty where it has a file system of its own, else `/boot`, with a
    /// subvolume in front where the default is another: `/@/boot`.
    pub boot: String,
    /// What the tree's `/` is called on it, if it is there: empty, or a subvolume. `None`: `/boot` is alone.
    pub root: Option<String>,
    /// GRUB's directory on it: `/boot/grub`, `/grub2`.
    pub directory: String,
    /// Modules that reading it takes: `part_gpt`, `ext2`, `lvm`.
    pub modules: Vec<String>,
}

/// A kernel by its paths on the file system that GRUB reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootKernel {
    /// As `uname -r` says it.
    pub version: String,
    /// The kernel.
    pub linux: String,
    /// Its initrd.
    pub initrd: Option<String>,
}

/// Kernels of a tree as GRUB finds them, in the same order. Refused: none, and what is not on the file system.
pub fn boot_kernels(kernels: &[Kernel], boot: &BootFs) -> Result<Vec<BootKernel>, Refusal> {
    if kernels.is_empty() {
        let reason = "a kernel is asked for and not in the tree";
        return Err(refused(RefusalKind::Missing, "kernel", reason).hint("install a kernel into the tree"));
    }
    let at = |path: &str| match path.strip_prefix("/boot/") {
        Some(rest) => Ok(format!("{}/{rest}", boot.boot)),
        None => boot.root.as_ref().map(|root| format!("{root}{path}")).ok_or_else(|| {
            let reason = format!("not below /boot, which has a file system of its own: {path}");
            refused(RefusalKind::Invalid, "kernel", reason)
                .hint("let the kernel's package put it into /boot, or give bootpartition=\"false\"")
        }),
    };
    let kernel = |kernel: &Kernel| {
        let initrd = kernel.initrd.as_ref().map(|(path, ..)| at(path)).transpose()?;
        Ok(BootKernel { version: kernel.version.clone(), linux: at(&kernel.path)?, initrd })
    };
    kernels.iter().map(kernel).collect()
}

/// The text of `grub.cfg`, the first kernel being the default. With [`Settings::bls`] entries come from
/// [`bls_entries`]. Refused: titles, paths and command lines that GRUB's parser cannot be given.
pub fn grub_cfg(settings: &Settings, boot: &BootFs, kernels: &[BootKernel]) -> Result<String, Refusal> {
    let mut text = String::from(HEAD);
    for module in &boot.modules {
        text.push_str(&format!("insmod {}\n", path(module)?));
    }
    text.push_str(&search(&boot.find)?);
    if settings.linux_efi {
        text.push_str(LINUX_EFI);
    }
    terminals(&mut text, settings)?;
    if let Some(theme) = &settings.theme {
        themed(&mut text, theme, &boot.directory)?;
    }
    let style = settings.timeout_style.unwrap_or(TimeoutStyle::Menu).name();
    text.push_str(&format!("set timeout_style={style}\nset timeout={}\n\n", settings.timeout));
    match settings.bls {
        true => text.push_str("insmod blscfg\nblscfg\n"),
        false => entries(&mut text, settings, boot, kernels)?,
    }
    text.push_str(TAIL);
    Ok(text)
}

const HEAD: &str = r#"# Made with the image. grub-mkconfig makes a new one from /etc/default/grub.
if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ]; then
  set default="${next_entry}"
  set next_entry=
  save_env next_entry
  set boot_once=true
else
  set default="${saved_entry}"
fi
if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
export menuentry_id_option

function savedefault {
  if [ -z "${boot_once}" ]; then
    saved_entry="${chosen}"
    save_env saved_entry
  fi
}

# Without the driver vga, which waits for ever where there is no display adapter.
function load_video {
  if [ x$grub_platform = xpc ]; then
    insmod vbe
    insmod video_bochs
    insmod video_cirrus
  elif [ x$feature_all_video_module = xy ]; then
    insmod all_video
  else
    insmod efi_gop
    insmod efi_uga
  fi
}

"#;

/// Submenus see only what is exported.
const LINUX_EFI: &str = r#"if [ x$grub_platform = xefi -a x$grub_cpu = xx86_64 ]; then
  set linux=linuxefi
  set initrd=initrdefi
else
  set linux=linux
  set initrd=initrd
fi
export linux initrd
"#;

const TAIL: &str = r#"
if [ -f ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
elif [ -z "${config_directory}" -a -f $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
"#;

fn terminals(text: &mut String, settings: &Settings) -> Result<(), Refusal> {
    let names = |list: &str| -> Result<Vec<String>, Refusal> { list.split_whitespace().map(path).collect() };
    let (input, output) = (names(&settings.input)?, names(&settings.output)?);
    if settings.is_serial() {
        // Words, so that nothing in the line is more than arguments.
        let line = settings.serial_line.as_deref().unwrap_or("serial");
        text.push_str(&format!("{}\n", names(line)?.join(" ")));
    }
    if !input.is_empty() {
        text.push_str(&format!("terminal_input {}\n", input.join(" ")));
    }
    let is_graphical = |name: &String| name == "gfxterm";
    if output.iter().any(is_graphical) {
        // Without a font there is nothing to draw with: the console takes its place.
        let mut plain: Vec<&str> = Vec::new();
        for name in &output {
            let name = if is_graphical(name) { "console" } else { name };
            if !plain.contains(&name) {
                plain.push(name);
            }
        }
        text.push_str(&format!(
            "if loadfont unicode; then\n  set gfxmode={}\n  load_video\n  insmod gfxterm\n  terminal_output {}\n\
             else\n  terminal_output {}\nfi\n",
            path(&settings.video_mode)?,
            output.join(" "),
            plain.join(" ")
        ));
    } else if !output.is_empty() {
        text.push_str(&format!("terminal_output {}\n", output.join(" ")));
    }
    Ok(())
}

fn themed(text: &mut String, theme: &Theme, directory: &str) -> Result<(), Refusal> {
    let at = |name: &str| path(&format!("{directory}/themes/{}/{name}", theme.name));
    text.push_str("insmod gfxmenu\ninsmod png\ninsmod jpeg\n");
    for font in &theme.fonts {
        text.push_str(&format!("loadfont ($root){}\n", at(font)?));
    }
    text.push_str(&format!("set theme=($root){}\nexport theme\n", at("theme.txt")?));
    if theme.background {
        text.push_str(&format!("background_image -m stretch ($root){}\n", at("background.png")?));
    }
    Ok(())
}

fn entries(
    text: &mut String,
    settings: &Settings,
    boot: &BootFs,
    kernels: &[BootKernel],
) -> Result<(), Refusal> {
    let Settings { title, command_line, .. } = settings;
    let id = match &boot.find {
        Find::Uuid(uuid) => uuid.as_str(),
        Find::File(_) => "image",
    };
    let Some(newest) = kernels.first() else { return Ok(()) };
    let simple = format!("gnulinux-simple-{id}");
    let commands = if settings.linux_efi { ["$linux", "$initrd"] } else { ["linux", "initrd"] };
    let menu = Menu { boot, commands };
    text.push_str(&menu.entry("", (title, &simple), newest, command_line)?);
    let advanced = word(&format!("Advanced options for {title}"))?;
    let id_of = word(&format!("gnulinux-advanced-{id}"))?;
    text.push_str(&format!("submenu {advanced} $menuentry_id_option {id_of} {{\n"));
    let failsafe = format!("{command_line} {FAILSAFE}");
    for kernel in kernels {
        let version = &kernel.version;
        let name = format!("{title}, with Linux {version}");
        let id_of = format!("gnulinux-{version}-advanced-{id}");
        text.push_str(&menu.entry("  ", (&name, &id_of), kernel, command_line)?);
        let name = format!("{name} (recovery mode)");
        let id_of = format!("gnulinux-{version}-recovery-{id}");
        text.push_str(&menu.entry("  ", (&name, &id_of), kernel, failsafe.trim())?);
    }
    text.push_str("}\n");
    Ok(())
}

/// What all entries have in common.
struct Menu<'a> {
    boot: &'a BootFs,
    /// The words for a kernel and an initrd.
    commands: [&'static str; 2],
}

impl Menu<'_> {
    fn entry(
        &self,
        indent: &str,
        (title, id): (&str, &str),
        kernel: &BootKernel,
        command_line: &str,
    ) -> Result<String, Refusal> {
        let (title, id) = (word(title)?, word(id)?);
        let [linux, initrd] = self.commands;
        let mut lines = vec![
            format!(
                "menuentry {title} --class gnu-linux --class gnu --class os $menuentry_id_option {id} {{"
            ),
            "  load_video".to_owned(),
            "  insmod gzio".to_owned(),
            format!("  {}", search(&self.boot.find)?.trim_end()),
            format!("  echo {}", word(&format!("Loading Linux {} ...", kernel.version))?),
            format!("  {linux} {} {}", path(&kernel.linux)?, arguments(command_line, &kernel.linux)?),
        ];
        if let Some(file) = &kernel.initrd {
            lines.push(format!("  echo {}", word("Loading initial ramdisk ...")?));
            lines.push(format!("  {initrd} {}", path(file)?));
        }
        lines.push("}".to_owned());
        Ok(lines.iter().map(|line| format!("{indent}{}\n", line.trim_end())).collect())
    }
}

/// Entries of type 1 (UAPI.1), as Fedora's and SUSE's `blscfg` read them below `/boot/loader/entries`: file names and
/// texts. `token` is the first part of the names, `class` the distribution's id.
pub fn bls_entries(
    settings: &Settings,
    kernels: &[BootKernel],
    token: &str,
    class: &str,
) -> Result<Vec<(String, String)>, Refusal> {
    let one_line = |what: &str, text: &str| match text.contains(|sign: char| sign.is_control()) {
        true => Err(refused(RefusalKind::Invalid, what, "a control character in a boot entry")),
        false => Ok(()),
    };
    one_line("title", &settings.title)?;
    one_line("kernelcmdline", &settings.command_line)?;
    one_line("class", class)?;
    kernels
        .iter()
        .map(|kernel| {
            let BootKernel { version, linux, initrd } = kernel;
            // GRUB's blscfg hands the line to its parser: nothing may be more than a word there.
            if settings.command_line.contains([';', '&', '|', '<', '>', '{', '}', '#']) {
                let reason =
                    "a kernel command line that GRUB's parser would not leave alone: ; & | < > { } #";
                return Err(refused(RefusalKind::Invalid, "kernelcmdline", reason));
            }
            arguments(&settings.command_line, linux)?;
            let mut text =
                format!("title {} ({version})\nversion {version}\nlinux {linux}\n", settings.title);
            if let Some(initrd) = initrd {
                text.push_str(&format!("initrd {initrd}\n"));
            }
            text.push_str(&format!("options {}\n", settings.command_line));
            text.push_str(&format!("grub_users $grub_users\ngrub_arg --unrestricted\ngrub_class {class}\n"));
            Ok((format!("{token}-{version}.conf"), text))
        })
        .collect()
}
