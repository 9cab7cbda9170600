//! `bootloader`: what starts the kernel.

use super::{Environment, Said, element};
use crate::describe::Span;
use crate::model::lexical::{GrubInputs, GrubOutputs, Seconds};
use crate::model::words::{BootloaderName, TargetType, TimeoutStyle};

element! {
    /// `bootloader`
    Bootloader {
        attributes {
            name: BootloaderName,
            bls: bool,
            output_console: GrubOutputs,
            input_console: GrubInputs,
            serial_line: String,
            video_mode: String,
            timeout: Seconds,
            timeout_style: TimeoutStyle,
            targettype: TargetType,
            use_disk_password: bool,
            grub_template: String,
        }
        elements {
            bootloadersettings: Option<BootloaderSettings>,
            securelinux: Vec<SecureLinux>,
        }
    }

    /// `bootloadersettings`: options of the programs that install a loader, and what it starts with.
    BootloaderSettings {
        elements {
            shimoption: Vec<BootloaderOption>,
            installoption: Vec<BootloaderOption>,
            environment: Option<Environment>,
            configoption: Vec<BootloaderOption>,
        }
    }

    /// `shimoption`, `installoption`, `configoption`
    BootloaderOption {
        attributes { name: String, value: String }
    }

    /// `securelinux`: secure execution on s390.
    SecureLinux {
        attributes { hkd_ca_cert: String, hkd_sign_cert: String }
        elements {
            hkd_cert: Vec<HostKey>,
            hkd_revocation_list: Vec<HostKey>,
        }
    }

    /// `hkd_cert`, `hkd_revocation_list`
    HostKey {
        attributes { name: String }
    }
}
