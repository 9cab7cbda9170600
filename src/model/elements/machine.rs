//! `machine`: the virtual machine that a disk is for.

use super::{Said, element};
use crate::describe::Span;
use crate::model::lexical::{Mac, Mebibytes};
use crate::model::words::{DiskController, DiskMode, DvdController, GuestArch, OvfType, XenLoader};

element! {
    /// `machine`
    Machine {
        attributes {
            min_memory: Mebibytes,
            max_memory: Mebibytes,
            min_cpu: u64,
            max_cpu: u64,
            ovftype: OvfType,
            hwversion = "HWversion": i64,
            arch: GuestArch,
            xen_loader: XenLoader,
            guest_os = "guestOS": String,
            memory: Mebibytes,
            ncpus: u64,
        }
        elements {
            vmconfig_entry = "vmconfig-entry": Vec<Said<String>>,
            vmdisk: Option<VmDisk>,
            vmdvd: Option<VmDvd>,
            vmnic: Vec<VmNic>,
        }
    }

    /// `vmdisk`
    VmDisk {
        attributes { disktype: String, controller: DiskController, id: u64, device: String, diskmode: DiskMode }
    }

    /// `vmdvd`
    VmDvd {
        attributes { controller: DvdController, id: u64 }
    }

    /// `vmnic`
    VmNic {
        attributes { driver: String, interface: String, mode: String, mac: Mac }
    }
}
