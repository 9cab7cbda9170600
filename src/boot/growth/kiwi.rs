//! KIWI's dracut module `kiwi-repart` (KIWI NG `dracut/modules.d/*kiwi-repart`). It runs in the initrd, before the root is
//! mounted, and reads two files there: `/.profile`, what the description says, and `/config.partids`, the numbers of the
//! partitions. KIWI makes the initrd last of all and puts them in; here it is in the tree before there is a plan. So they are
//! put into an archive behind it, as Linux takes them. Releases up to 10.2 stop the boot where one is missing.

use super::initrd::{self, Found};
use crate::boot::{Kernel, file_at, find_kernels, follow};
use crate::model::{Growth, Loader, Table};
use crate::plan::{DiskPlan, Plan, ROOT, Slot};
use diskwright_formats::layout::Contents;
use diskwright_fstools::tree::{Kind, Node, Tree};

/// The longest initrd that is read in one piece.
const LONGEST: u64 = 512 << 20;

/// What KIWI's module does with a disk.
#[derive(Default)]
pub(super) struct Kiwi {
    /// Whether it acts when the newest kernel starts.
    pub(super) acts: bool,
    /// Initrds with what it reads.
    pub(super) files: Vec<(String, Node)>,
    /// Why it does not act, for people.
    pub(super) notes: Vec<String>,
}

/// The module in the initrds of a tree; `growth` is `None` where nothing is to grow.
pub(super) fn kiwi(
    plan: &Plan,
    disk: &DiskPlan,
    growth: Option<Growth>,
    tree: &Tree,
    contents: &dyn Contents,
) -> Kiwi {
    let mut kiwi = Kiwi::default();
    if !has_module(tree) || !uses_initrd(plan) {
        return kiwi;
    }
    for (at, Kernel { initrd, .. }) in find_kernels(tree).unwrap_or_default().into_iter().enumerate() {
        let Some((path, _, node)) = initrd else { continue };
        let Node { meta, kind: Kind::File(data) } = tree.node(node) else { continue };
        let found = initrd::look(data, contents);
        if let Some(why) = idle(&found) {
            if growth.is_some() && at == 0 {
                kiwi.notes
                    .push(format!("KIWI's dracut module kiwi-repart is in the tree, and {why}: {path}"));
            }
            continue;
        }
        kiwi.acts |= at == 0;
        let files = [
            (".profile", profile(plan, disk, growth, read(tree, contents, "/.profile"))),
            ("config.partids", partids(plan)),
        ];
        if let Some(mut bytes) = initrd::read(data, contents, LONGEST) {
            initrd::append(&mut bytes, &files, plan.epoch);
            kiwi.files.push((path, Node { meta: *meta, kind: Kind::file(bytes) }));
        } else {
            kiwi.notes.push(format!(
                "kiwi-repart does not get to know the partitions: {path} is too long to be read"
            ));
        }
    }
    kiwi
}

/// Why the module does nothing.
fn idle(found: &Found) -> Option<String> {
    match (found.repart, found.readable, &found.shell) {
        (false, true, _) => Some("the initrd lacks it (dracut --force --add kiwi-repart)".to_owned()),
        (false, false, _) => Some("the initrd cannot be read".to_owned()),
        (true, _, Some(shell)) if shell != "bash" => Some(format!(
            "the shell of the initrd is {shell}, and it is written for bash (dracut --add bash --omit {shell})"
        )),
        (true, ..) => None,
    }
}

fn has_module(tree: &Tree) -> bool {
    let modules = ["/usr/lib/dracut/modules.d", "/lib/dracut/modules.d"];
    let modules = modules.into_iter().filter_map(|path| follow(tree, path.as_bytes()));
    modules.flat_map(|modules| tree.children(modules)).any(|(name, _)| name.ends_with(b"kiwi-repart"))
}

fn uses_initrd(plan: &Plan) -> bool {
    match plan.boot.as_ref().map(|boot| (boot.loader, &boot.grub)) {
        Some((Loader::SystemdBoot { initrd, .. }, _)) => initrd,
        Some((_, Some(grub))) => grub.initrd,
        _ => true,
    }
}

fn read(tree: &Tree, contents: &dyn Contents, path: &str) -> Option<Vec<u8>> {
    let Kind::File(data) = &tree.node(file_at(tree, path.as_bytes())?).kind else { return None };
    initrd::read(data, contents, LONGEST)
}

/// What the module looks at; of a key that is there twice, the last counts. To grow once ends when the root has another
/// PARTUUID than this: with none, nothing ever grows.
fn profile(plan: &Plan, disk: &DiskPlan, growth: Option<Growth>, there: Option<Vec<u8>>) -> Vec<u8> {
    let mut text = there.unwrap_or_default();
    if text.last().is_some_and(|byte| *byte != b'\n') {
        text.push(b'\n');
    }
    let root = plan.parts.iter().find(|part| part.role == ROOT).and_then(|part| part.entry.as_ref());
    let uuid = root.map(|entry| match &entry.slot {
        Slot::Gpt { guid, .. } => guid.to_string(),
        Slot::Mbr { .. } | Slot::Dasd => format!("{:08x}-{:02x}", disk.signature, entry.number),
    });
    let once = growth.is_none_or(|growth| growth.once);
    let most = growth.and_then(|growth| growth.most).map(|most| (most.0 / crate::model::MIB).to_string());
    let hybrid = matches!(disk.table, Table::Gpt { hybrid: true });
    let lines = [
        ("kiwi_gpt_hybrid_mbr", hybrid.then(|| "true".to_owned())),
        ("kiwi_oemresizeonce", Some(once.to_string())),
        ("kiwi_oemrootMB", Some(most.unwrap_or_default())),
        ("kiwi_rootpartuuid", Some(uuid.filter(|_| growth.is_some()).unwrap_or_else(|| "none".to_owned()))),
    ];
    for (key, value) in lines {
        if let Some(value) = value {
            text.extend(format!("{key}='{value}'\n").bytes());
        }
    }
    text
}

/// `/config.partids` as it is in the root.
fn partids(plan: &Plan) -> Vec<u8> {
    let file = plan.files.iter().find(|file| file.path == "/config.partids");
    file.map(|file| file.text.clone().into_bytes()).unwrap_or_default()
}
