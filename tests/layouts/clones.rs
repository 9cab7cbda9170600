//! Clones of everything that can be cloned, for a tree of 420 MiB, by KIWI's arithmetic.

use crate::cases::{Case, Kiwi, check, names};
use crate::trees;
use diskwright::build::{identity, lay};
use diskwright::describe::kiwi::parse;
use diskwright::model::MIB;
use diskwright::plan::plan;
use diskwright::resolve::{Choice, resolve};
use diskwright::survey::Images;
use diskwright_formats::layout::Memory;

const CLONES: &[Case] = &[
    Case {
        name: "one root",
        attributes: r#"firmware="uefi" root_clone="1""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 1282 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxrootclone1 23+625 | 4 p.lxroot 648+625",
    },
    Case {
        name: "two roots and two boots",
        attributes: r#"firmware="uefi" root_clone="2" boot_clone="2" bootpartition="true""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 2812 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxbootclone1 23+300 | 4 p.lxbootclone2 323+300 | 5 p.lxboot 623+300 | 6 p.lxrootclone1 923+626 | 7 p.lxrootclone2 1549+626 | 8 p.lxroot 2175+626",
    },
    Case {
        name: "twelve roots",
        attributes: r#"firmware="uefi" root_clone="12""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 8212 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxrootclone1 23+629 | 4 p.lxrootclone2 652+629 | 5 p.lxrootclone3 1281+629 | 6 p.lxrootclone4 1910+629 | 7 p.lxrootclone5 2539+629 | 8 p.lxrootclone6 3168+629 | 9 p.lxrootclone7 3797+629 | 10 p.lxrootclone8 4426+629 | 11 p.lxrootclone9 5055+629 | 12 p.lxrootclone10 5684+629 | 13 p.lxrootclone11 6313+629 | 14 p.lxrootclone12 6942+629 | 15 p.lxroot 7571+629",
    },
    Case {
        name: "three roots in an MBR",
        attributes: r#"firmware="bios" root_clone="3""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "msdos 2520 | 1 p.lxrootclone1 1+627 | 2 p.lxrootclone2 628+627 | 3 p.lxrootclone3 1255+627 | 4 p.lxroot 1882+627",
    },
    Case {
        name: "four roots are too many for an MBR",
        attributes: r#"firmware="bios" root_clone="4""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Fails("an MBR has no fifth primary partition"),
        layout: "! 5 partitions with their clones, and an MBR holds 4",
    },
    Case {
        name: "five roots, the last of them logical",
        attributes: r#"firmware="bios" dosparttable_extended_layout="true" root_clone="5""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "msdos 3780 | 1 p.lxrootclone1 1+628 | 2 p.lxrootclone2 629+628 | 3 p.lxrootclone3 1257+628 | 5 p.lxrootclone4 1886+628 | 6 p.lxrootclone5 2515+628 | 7 p.lxroot 3144+628",
    },
    Case {
        name: "logical clones of all",
        attributes: r#"firmware="uefi" efiparttable="msdos" dosparttable_extended_layout="true" root_clone="1" boot_clone="2" bootpartition="true""#,
        oem: "",
        children: r#"<partitions><partition name="var" size="100" mountpoint="/var" filesystem="ext4" clone="2"/></partitions>"#,
        kiwi: Kiwi::Fails("the partition of the description is not counted when the rest is divided"),
        layout: "msdos 2371 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxbootclone1 23+300 | 5 p.lxbootclone2 324+300 | 6 p.lxboot 625+300 | 7 p.lxvarclone1 926+100 | 8 p.lxvarclone2 1027+100 | 9 p.lxvar 1128+100 | 10 p.lxrootclone1 1229+569 | 11 p.lxroot 1799+569",
    },
    Case {
        name: "logical clones of all on 3 GiB",
        attributes: r#"firmware="uefi" efiparttable="msdos" dosparttable_extended_layout="true" root_clone="1" boot_clone="2" bootpartition="true""#,
        oem: "<oem-systemsize>700</oem-systemsize>",
        children: r#"<partitions><partition name="var" size="100" mountpoint="/var" filesystem="ext4" clone="2"/></partitions><size unit="G">3</size>"#,
        kiwi: Kiwi::Same,
        layout: "msdos 3072 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxbootclone1 23+300 | 5 p.lxbootclone2 324+300 | 6 p.lxboot 625+300 | 7 p.lxvarclone1 926+100 | 8 p.lxvarclone2 1027+100 | 9 p.lxvar 1128+100 | 10 p.lxrootclone1 1229+700 | 11 p.lxroot 1930+700",
    },
    Case {
        name: "one of the description",
        attributes: r#"firmware="uefi""#,
        oem: "",
        children: r#"<partitions><partition name="var" size="100" mountpoint="/var" filesystem="ext4" clone="1"/></partitions>"#,
        kiwi: Kiwi::Same,
        layout: "gpt 778 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxvarclone1 23+100 | 4 p.lxvar 123+100 | 5 p.lxroot 223+554",
    },
    Case {
        name: "twelve without a file system",
        attributes: r#"firmware="uefi""#,
        oem: "",
        children: r#"<partitions><partition name="raw" size="5" clone="12"/></partitions>"#,
        kiwi: Kiwi::Same,
        layout: "gpt 652 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxrawclone1 23+5 | 4 p.lxrawclone2 28+5 | 5 p.lxrawclone3 33+5 | 6 p.lxrawclone4 38+5 | 7 p.lxrawclone5 43+5 | 8 p.lxrawclone6 48+5 | 9 p.lxrawclone7 53+5 | 10 p.lxrawclone8 58+5 | 11 p.lxrawclone9 63+5 | 12 p.lxrawclone10 68+5 | 13 p.lxrawclone11 73+5 | 14 p.lxrawclone12 78+5 | 15 p.lxraw 83+5 | 16 p.lxroot 88+563",
    },
    Case {
        name: "twelve and three of the description",
        attributes: r#"firmware="uefi""#,
        oem: "",
        children: r#"<partitions><partition name="home" size="20" mountpoint="/home" filesystem="ext3" clone="12"/><partition name="srv" size="30" mountpoint="/srv" filesystem="ext4" clone="3"/></partitions>"#,
        kiwi: Kiwi::Same,
        layout: "gpt 930 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxhomeclone1 23+20 | 4 p.lxhomeclone2 43+20 | 5 p.lxhomeclone3 63+20 | 6 p.lxhomeclone4 83+20 | 7 p.lxhomeclone5 103+20 | 8 p.lxhomeclone6 123+20 | 9 p.lxhomeclone7 143+20 | 10 p.lxhomeclone8 163+20 | 11 p.lxhomeclone9 183+20 | 12 p.lxhomeclone10 203+20 | 13 p.lxhomeclone11 223+20 | 14 p.lxhomeclone12 243+20 | 15 p.lxhome 263+20 | 16 p.lxsrvclone1 283+30 | 17 p.lxsrvclone2 313+30 | 18 p.lxsrvclone3 343+30 | 19 p.lxsrv 373+30 | 20 p.lxroot 403+526",
    },
    Case {
        name: "two read-only roots",
        attributes: r#"firmware="uefi" overlayroot="true" root_clone="2""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 2212 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxboot 23+300 | 4 p.lxrootclone1 323+220 | 5 p.lxrootclone2 543+220 | 6 p.lxreadonly 763+220 | 7 p.lxroot 983+1228",
    },
    Case {
        name: "two read-only roots that grow behind",
        attributes: r#"firmware="uefi" overlayroot="true" root_clone="2""#,
        oem: "<oem-resize>true</oem-resize>",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 2212 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxboot 23+300 | 4 p.lxrootclone1 323+220 | 5 p.lxrootclone2 543+220 | 6 p.lxreadonly 763+220 | 7 p.lxroot 983+1228",
    },
    Case {
        name: "read-only roots and no other",
        attributes: r#"firmware="uefi" overlayroot="true" overlayroot_write_partition="false" bootpartition="false" root_clone="3""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 2542 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxrootclone1 23+220 | 4 p.lxrootclone2 243+220 | 5 p.lxrootclone3 463+220 | 6 p.lxreadonly 683+220",
    },
    Case {
        name: "read-only roots and boots",
        attributes: r#"firmware="uefi" overlayroot="true" bootfilesystem="ext4" root_clone="1" boot_clone="1" bootpartition="true""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 1882 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxbootclone1 23+300 | 4 p.lxboot 323+300 | 5 p.lxrootclone1 623+220 | 6 p.lxreadonly 843+220 | 7 p.lxroot 1063+818",
    },
    Case {
        name: "a root with swap",
        attributes: r#"firmware="uefi" root_clone="1""#,
        oem: "<oem-swap>true</oem-swap><oem-swapsize>64</oem-swapsize>",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 1346 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.swap 23+64 | 4 p.lxrootclone1 87+625 | 5 p.lxroot 712+625",
    },
    Case {
        name: "a root with a spare partition",
        attributes: r#"firmware="uefi" spare_part="50M" root_clone="1""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Fails("the spare partition is not counted when the rest is divided"),
        layout: "gpt 1332 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.spare 23+50 | 4 p.lxrootclone1 73+625 | 5 p.lxroot 698+625",
    },
    Case {
        name: "a root of its own size with a spare partition",
        attributes: r#"firmware="uefi" spare_part="50M" root_clone="1""#,
        oem: "<oem-systemsize>700</oem-systemsize>",
        children: "<size>1600</size>",
        kiwi: Kiwi::Same,
        layout: "gpt 1600 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.spare 23+50 | 4 p.lxrootclone1 73+700 | 5 p.lxroot 773+700",
    },
    Case {
        name: "two roots with a spare partition behind",
        attributes: r#"firmware="uefi" spare_part="50M" spare_part_is_last="true" root_clone="2""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 1962 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxrootclone1 23+626 | 4 p.lxrootclone2 649+626 | 5 p.lxroot 1275+626 | 6 p.spare 1901+60",
    },
    Case {
        name: "a root of its own size with the rest behind",
        attributes: r#"firmware="uefi" spare_part_is_last="true" spare_part_fs="ext4" spare_part_mountpoint="/data" root_clone="1""#,
        oem: "<oem-systemsize>700</oem-systemsize>",
        children: r#"<size unit="G">2</size>"#,
        kiwi: Kiwi::Same,
        layout: "gpt 2048 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxrootclone1 23+700 | 4 p.lxroot 723+700 | 5 p.spare 1423+624",
    },
    Case {
        name: "a spare partition with clones of another",
        attributes: r#"firmware="uefi" spare_part="50M""#,
        oem: "",
        children: r#"<partitions><partition name="var" size="100" mountpoint="/var" filesystem="ext4" clone="2"/></partitions>"#,
        kiwi: Kiwi::Same,
        layout: "gpt 891 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxvarclone1 23+100 | 4 p.lxvarclone2 123+100 | 5 p.lxvar 223+100 | 6 p.spare 323+50 | 7 p.lxroot 373+517",
    },
    Case {
        name: "LVM with a clone",
        attributes: r#"firmware="uefi" root_clone="1""#,
        oem: "",
        children: "<systemdisk/>",
        kiwi: Kiwi::Same,
        layout: "gpt 1662 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxboot 23+300 | 4 p.lxrootclone1 323+665 | 5 p.lxlvm 988+665",
    },
    Case {
        name: "LVM with boots",
        attributes: r#"firmware="uefi" root_clone="2" boot_clone="1" bootpartition="true""#,
        oem: "",
        children: "<systemdisk/>",
        kiwi: Kiwi::Same,
        layout: "gpt 2592 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxbootclone1 23+300 | 4 p.lxboot 323+300 | 5 p.lxrootclone1 623+653 | 6 p.lxrootclone2 1276+653 | 7 p.lxlvm 1929+653",
    },
    Case {
        name: "RAID with a clone",
        attributes: r#"firmware="uefi" mdraid="mirroring" root_clone="1""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 1582 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxboot 23+300 | 4 p.lxrootclone1 323+625 | 5 p.lxraid 948+625",
    },
    Case {
        name: "LUKS",
        attributes: r#"firmware="uefi" luks="secret" bootpartition="true" bootpartsize="100" root_clone="1""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 1382 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxboot 23+100 | 4 p.lxrootclone1 123+625 | 5 p.lxroot 748+625",
    },
    Case {
        name: "btrfs",
        attributes: r#"firmware="uefi" filesystem="btrfs" root_clone="1""#,
        oem: "",
        children: "<systemdisk/>",
        kiwi: Kiwi::Same,
        layout: "gpt 1282 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxrootclone1 23+625 | 4 p.lxroot 648+625",
    },
    Case {
        name: "a boot of chosen number",
        attributes: r#"firmware="uefi" boot_clone="2" bootpartition="true" bootpart_id="5""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Fails("the root is numbered behind its predecessor, as a clone is"),
        layout: "gpt 1552 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 6 p.lxbootclone6 23+300 | 7 p.lxbootclone7 323+300 | 5 p.lxboot 623+300 | 8 p.lxroot 923+628",
    },
    Case {
        name: "roots of chosen numbers",
        attributes: r#"firmware="uefi" root_clone="2" rootpart_id="10""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 1912 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 11 p.lxrootclone11 23+626 | 12 p.lxrootclone12 649+626 | 10 p.lxroot 1275+626",
    },
    Case {
        name: "one of the description of chosen number",
        attributes: r#"firmware="uefi""#,
        oem: "",
        children: r#"<partitions><partition name="var" size="100" mountpoint="/var" filesystem="ext4" clone="2" part_id="20"/></partitions>"#,
        kiwi: Kiwi::Fails("the root is numbered behind its predecessor, as a clone is"),
        layout: "gpt 841 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 21 p.lxvarclone21 23+100 | 22 p.lxvarclone22 123+100 | 20 p.lxvar 223+100 | 23 p.lxroot 323+517",
    },
    Case {
        name: "all of chosen numbers",
        attributes: r#"firmware="uefi" root_clone="1" boot_clone="1" bootpartition="true" eficsmpart_id="14" efipart_id="15" bootpart_id="2" rootpart_id="4""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 1882 | 14 p.legacy 1+2 | 15 p.UEFI 3+20 | 3 p.lxbootclone3 23+300 | 2 p.lxboot 323+300 | 5 p.lxrootclone5 623+625 | 4 p.lxroot 1248+625",
    },
    Case {
        name: "a number that a clone has",
        attributes: r#"firmware="uefi" root_clone="1" boot_clone="1" bootpartition="true" bootpart_id="3" rootpart_id="4""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Fails("sgdisk does not make a partition twice"),
        layout: "! a partition number that is taken: 4",
    },
    Case {
        name: "chosen numbers of logical partitions",
        attributes: r#"firmware="bios" dosparttable_extended_layout="true" root_clone="1" boot_clone="2" bootpartition="true" rootpart_id="9""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Fails("sfdisk makes no partition 9 behind 6"),
        layout: "! a chosen number together with logical partitions",
    },
    Case {
        name: "the example of the documentation",
        attributes: r#"firmware="uefi" root_clone="1" boot_clone="1" filesystem="xfs" bootpartition="true" bootfilesystem="ext4""#,
        oem: "<oem-systemsize>2048</oem-systemsize>",
        children: r#"<partitions><partition name="home" size="10" mountpoint="/home" filesystem="ext3" clone="2"/></partitions><size unit="G">100</size>"#,
        kiwi: Kiwi::Same,
        layout: "gpt 102400 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxbootclone1 23+300 | 4 p.lxboot 323+300 | 5 p.lxhomeclone1 623+10 | 6 p.lxhomeclone2 633+10 | 7 p.lxhome 643+10 | 8 p.lxrootclone1 653+2048 | 9 p.lxroot 2701+2048",
    },
    Case {
        name: "eight roots on 16 GiB",
        attributes: r#"firmware="uefi" root_clone="8""#,
        oem: "",
        children: r#"<size unit="G">16</size>"#,
        kiwi: Kiwi::Same,
        layout: "gpt 16384 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxrootclone1 23+1816 | 4 p.lxrootclone2 1839+1816 | 5 p.lxrootclone3 3655+1816 | 6 p.lxrootclone4 5471+1816 | 7 p.lxrootclone5 7287+1816 | 8 p.lxrootclone6 9103+1816 | 9 p.lxrootclone7 10919+1816 | 10 p.lxrootclone8 12735+1816 | 11 p.lxroot 14551+1816",
    },
    Case {
        name: "two roots of their own size on 4 GiB",
        attributes: r#"firmware="uefi" root_clone="2""#,
        oem: "<oem-systemsize>700</oem-systemsize>",
        children: r#"<size unit="G">4</size>"#,
        kiwi: Kiwi::Same,
        layout: "gpt 4096 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxrootclone1 23+700 | 4 p.lxrootclone2 723+700 | 5 p.lxroot 1423+700",
    },
    Case {
        name: "clones of roots and an unpartitioned tail",
        attributes: r#"firmware="uefi" root_clone="1""#,
        oem: "",
        children: r#"<size unit="G" unpartitioned="1">4</size>"#,
        kiwi: Kiwi::Same,
        layout: "gpt 4096 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxrootclone1 23+1520 | 4 p.lxroot 1543+1520",
    },
    Case {
        name: "clones of roots with an additive size",
        attributes: r#"firmware="uefi" root_clone="1""#,
        oem: "",
        children: r#"<size additive="true">301</size>"#,
        kiwi: Kiwi::Same,
        layout: "gpt 1583 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxrootclone1 23+775 | 4 p.lxroot 798+775",
    },
    Case {
        name: "sectors of 4096 bytes",
        attributes: r#"firmware="uefi" root_clone="1" boot_clone="1" bootpartition="true" target_blocksize="4096""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 1882 | 1 p.legacy 8+2 | 2 p.UEFI 10+20 | 3 p.lxbootclone1 30+300 | 4 p.lxboot 330+300 | 5 p.lxrootclone1 630+625 | 6 p.lxroot 1255+625",
    },
    Case {
        name: "hybrid",
        attributes: r#"firmware="uefi" gpt_hybrid_mbr="true" root_clone="1" boot_clone="1" bootpartition="true""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 1882 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxbootclone1 23+300 | 4 p.lxboot 323+300 | 5 p.lxrootclone1 623+625 | 6 p.lxroot 1248+625",
    },
    Case {
        name: "a GPT made an MBR",
        attributes: r#"firmware="uefi" force_mbr="true" root_clone="1""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 1282 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxrootclone1 23+625 | 4 p.lxroot 648+625",
    },
    Case {
        name: "discoverable partitions",
        attributes: r#"firmware="uefi" apply_dps_codes="true" root_clone="1" boot_clone="1" bootpartition="true""#,
        oem: "",
        children: r#"<partitions><partition name="home" size="20" mountpoint="/home" filesystem="ext3" clone="1"/></partitions>"#,
        kiwi: Kiwi::Fails("the partition of the description is not counted when the rest is divided"),
        layout: "gpt 1910 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxbootclone1 23+300 | 4 p.lxboot 323+300 | 5 p.lxhomeclone1 623+20 | 6 p.lxhome 643+20 | 7 p.lxrootclone1 663+619 | 8 p.lxroot 1282+619",
    },
    Case {
        name: "discoverable partitions on 3 GiB",
        attributes: r#"firmware="uefi" apply_dps_codes="true" root_clone="1" boot_clone="1" bootpartition="true""#,
        oem: "<oem-systemsize>700</oem-systemsize>",
        children: r#"<partitions><partition name="h" size="20" partition_name="home" mountpoint="/home" filesystem="ext3" clone="1"/></partitions><size unit="G">3</size>"#,
        kiwi: Kiwi::Differs(
            "KIWI gives a partition of the description its discoverable type, and then sets the plain one over it",
        ),
        layout: "gpt 3072 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxbootclone1 23+300 | 4 p.lxboot 323+300 | 5 p.lxhclone1 623+20 | 6 home 643+20 | 7 p.lxrootclone1 663+700 | 8 p.lxroot 1363+700",
    },
    Case {
        name: "aarch64 roots and boots",
        attributes: r#"firmware="efi" root_clone="2" boot_clone="1" bootpartition="true""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 2510 | 1 p.UEFI 1+20 | 2 p.lxbootclone1 21+300 | 3 p.lxboot 321+300 | 4 p.lxrootclone1 621+626 | 5 p.lxrootclone2 1247+626 | 6 p.lxroot 1873+626",
    },
    Case {
        name: "ppc64le roots and boots",
        attributes: r#"firmware="ofw" root_clone="1" boot_clone="1" bootpartition="true""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 1868 | 1 p.prep 1+8 | 2 p.lxbootclone1 9+300 | 3 p.lxboot 309+300 | 4 p.lxrootclone1 609+625 | 5 p.lxroot 1234+625",
    },
    Case {
        name: "a little more than the rest",
        attributes: r#"firmware="uefi" root_clone="1""#,
        oem: "",
        children: r#"<partitions><partition name="raw" size="4" clone="1"/></partitions>"#,
        kiwi: Kiwi::Same,
        layout: "gpt 1282 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxrawclone1 23+4 | 4 p.lxraw 27+4 | 5 p.lxrootclone1 31+625 | 6 p.lxroot 656+625",
    },
    Case {
        name: "by partuuid",
        attributes: r#"firmware="uefi" devicepersistency="by-partuuid" root_clone="1" boot_clone="1" bootpartition="true""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Same,
        layout: "gpt 1882 | 1 p.legacy 1+2 | 2 p.UEFI 3+20 | 3 p.lxbootclone1 23+300 | 4 p.lxboot 323+300 | 5 p.lxrootclone1 623+625 | 6 p.lxroot 1248+625",
    },
    Case {
        name: "labels that origin and clone have",
        attributes: r#"firmware="uefi" devicepersistency="by-label" root_clone="1""#,
        oem: "",
        children: "",
        kiwi: Kiwi::Differs("labels are the same, and the system may take the clone for its origin"),
        layout: r#"! clones together with devicepersistency="by-label""#,
    },
    Case {
        name: "roots that grow",
        attributes: r#"firmware="uefi" root_clone="1""#,
        oem: "<oem-resize>true</oem-resize>",
        children: "",
        kiwi: Kiwi::Differs("the root grows at the first boot, and is no longer what its clones are"),
        layout: "! clones of the root together with oem-resize",
    },
    Case {
        name: "more than a GPT holds",
        attributes: r#"firmware="uefi""#,
        oem: "",
        children: r#"<partitions><partition name="raw" size="1" clone="127"/></partitions>"#,
        kiwi: Kiwi::Unasked("it fails, after seven minutes: each partition takes sgdisk three seconds"),
        layout: "! 131 partitions with their clones, and a GPT holds 128",
    },
    Case {
        name: "clones that do not fit",
        attributes: r#"firmware="uefi""#,
        oem: "",
        children: r#"<partitions><partition name="var" size="100" mountpoint="/var" filesystem="ext4" clone="5"/></partitions><size>500</size>"#,
        kiwi: Kiwi::Fails("sgdisk finds no room"),
        layout: "! the tree does not fit",
    },
    Case {
        name: "two roots that do not fit",
        attributes: r#"firmware="uefi" root_clone="2""#,
        oem: "<oem-systemsize>700</oem-systemsize>",
        children: "<size>2000</size>",
        kiwi: Kiwi::Fails("sgdisk finds no room"),
        layout: "! the partitions do not fit on a disk of 2000 MiB",
    },
];

#[test]
fn clones_are_kiwis() {
    names(CLONES);
    check("clones_are_kiwis", CLONES, &trees::oracle());
}

/// First and last sectors of the example of the documentation, which prints another length of the roots than it asks for.
const SECTORS: [(u32, &str, u64, u64); 9] = [
    (1, "p.legacy", 2048, 6143),
    (2, "p.UEFI", 6144, 47103),
    (3, "p.lxbootclone1", 47104, 661_503),
    (4, "p.lxboot", 661_504, 1_275_903),
    (5, "p.lxhomeclone1", 1_275_904, 1_296_383),
    (6, "p.lxhomeclone2", 1_296_384, 1_316_863),
    (7, "p.lxhome", 1_316_864, 1_337_343),
    (8, "p.lxrootclone1", 1_337_344, 5_531_647),
    (9, "p.lxroot", 5_531_648, 9_725_951),
];

const PARTIDS: &str = "kiwi_BiosGrub=\"1\"\nkiwi_BootPart=\"4\"\nkiwi_EfiPart=\"2\"\nkiwi_HomePart=\"7\"\nkiwi_RootPart=\"9\"\n\
                       kiwi_bootPartClone1=\"3\"\nkiwi_homePartClone1=\"5\"\nkiwi_homePartClone2=\"6\"\nkiwi_rootPartClone1=\"8\"\n";

/// Planned with its xfs root; laid with an ext4 one, whose table is the same.
#[test]
fn the_example_of_the_documentation_is_laid() {
    let example =
        CLONES.iter().find(|case| case.name == "the example of the documentation").expect("it is a case");
    for filesystem in ["xfs", "ext4"] {
        let xml = example.xml().replace("filesystem=\"xfs\"", &format!("filesystem=\"{filesystem}\""));
        let xml = xml.replace("<oemconfig>", "<bootloader name=\"custom\"/><oemconfig>");
        let model = parse("example.xml", xml.into_bytes()).expect("it is accepted");
        let image = resolve(&model, &Choice::new(example.arch())).expect("it is accepted").image;
        let identity = identity(&image, None, 0);
        let plan = plan(&image, &identity).expect("it can be planned");
        let partids = plan.files.iter().find(|file| file.path == "/config.partids").expect("KIWI's ids");
        assert_eq!(partids.text, PARTIDS);
        let fit = match filesystem {
            "ext4" => {
                let (fit, outputs) = lay(
                    &image,
                    &identity,
                    trees::oracle(),
                    &Memory(Vec::new()),
                    &Images::default(),
                    &mut |_| {},
                )
                .expect("it is laid");
                assert_eq!(outputs[0].layout.len(), (100 << 10) * MIB);
                fit
            }
            _ => diskwright::plan::draft(&plan, trees::oracle(), &Memory(Vec::new())).expect("it fits"),
        };
        let found: Vec<(u32, &str, u64, u64)> = fit
            .places
            .iter()
            .map(|place| {
                let entry = place.part.entry.as_ref().expect("it is in a table");
                let end = (place.start + place.len) / 512 - 1;
                (entry.number, entry.name.as_str(), place.start / 512, end)
            })
            .collect();
        assert_eq!(found, SECTORS, "{filesystem}");
    }
}
