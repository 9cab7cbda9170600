//! What the tests share: directories to survey, surveys as text, tools, headers of archives.

use diskwright::survey::{Options, Origin, Survey, SurveyError, survey, survey_stream};
use diskwright_formats::layout::Contents;
use diskwright_fstools::tree::{Data, Kind, NodeId, record};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// 2023-11-14 22:13:20 UTC.
pub(crate) const EPOCH: i64 = 1_700_000_000;
pub(crate) const WINDOW: usize = 64 << 10;

pub(crate) fn options() -> Options {
    Options { epoch: EPOCH, owner: None, work_dir: std::env::temp_dir(), threads: 2 }
}

pub(crate) fn scratch() -> TempDir {
    let scratch = tempfile::tempdir().unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    scratch
}

pub(crate) fn directory(path: &Path) -> Origin {
    Origin::Directory { path: path.to_owned(), record: None }
}

pub(crate) fn surveyed(path: &Path) -> Survey {
    survey(&directory(path), &options()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Surveys an archive in memory, as a stream.
pub(crate) fn streamed(archive: &[u8]) -> Result<Survey, SurveyError> {
    survey_stream(&mut &archive[..], "stream", &options())
}

/// Surveys an archive in memory, as a file of a directory.
pub(crate) fn filed(scratch: &TempDir, archive: &[u8], options: &Options) -> Result<Survey, SurveyError> {
    let mut file = tempfile::NamedTempFile::new_in(scratch.path()).unwrap();
    file.write_all(archive).unwrap();
    // To delete it would change it.
    let (_, path) = file.keep().unwrap();
    survey(&Origin::Tar(path), options)
}

pub(crate) fn failure(result: Result<Survey, SurveyError>) -> String {
    match result {
        Ok(survey) => panic!("accepted:\n{}", text(&survey)),
        Err(SurveyError::Refused(refusal)) => {
            let hint = refusal.hint.as_ref().map(|hint| format!(" [{hint}]"));
            format!("{refusal}{}", hint.unwrap_or_default())
        }
        Err(SurveyError::Io(error)) => error.to_string(),
    }
}

/// The record of a survey.
pub(crate) fn text(survey: &Survey) -> String {
    let mut text = Vec::new();
    record::write(&survey.tree, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The line of a path in the record.
pub(crate) fn line(survey: &Survey, path: &str) -> String {
    let start = format!("{path} ");
    let text = text(survey);
    let line = text.lines().find(|line| line.starts_with(&start));
    line.unwrap_or_else(|| panic!("no {path} in:\n{text}"))[start.len()..].to_owned()
}

pub(crate) fn node(survey: &Survey, path: &str) -> NodeId {
    survey.tree.lookup(path.as_bytes()).unwrap_or_else(|| panic!("no {path} in:\n{}", text(survey)))
}

/// The bytes of a file, holes as zeros; each run is read in odd pieces, and again where the file has them as they are.
pub(crate) fn bytes(survey: &Survey, node: NodeId) -> Vec<u8> {
    let Kind::File(data) = &survey.tree.node(node).kind else { panic!("not a file") };
    let mut bytes = vec![0; data.size() as usize];
    let Data::Content { id, .. } = data else { panic!("no content") };
    let content = survey.contents.open(*id).unwrap();
    for run in data.runs() {
        let part = &mut bytes[run.start as usize..run.end as usize];
        for (index, piece) in part.chunks_mut(10_007).enumerate() {
            let offset = run.start + index as u64 * 10_007;
            content.read_exact_at(offset, piece).unwrap();
            if let Some((fd, at)) = content.file_range(offset, piece.len() as u64) {
                let file = File::from(fd.try_clone_to_owned().unwrap());
                let mut again = vec![0; piece.len()];
                file.read_exact_at(&mut again, at).unwrap();
                assert!(again == piece, "file_range gives other bytes");
            }
        }
    }
    content.close().unwrap();
    bytes
}

/// Everything about a survey: its record, and the runs and bytes of each file.
#[derive(PartialEq, Eq)]
pub(crate) struct Whole(String, Vec<(NodeId, Vec<std::ops::Range<u64>>, Vec<u8>)>);

impl std::fmt::Debug for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files: Vec<_> = self.1.iter().map(|(id, runs, bytes)| (id, runs, bytes.len())).collect();
        write!(f, "{}\n{files:?}", self.0)
    }
}

pub(crate) fn whole(survey: &Survey) -> Whole {
    let files = (0..survey.tree.nodes()).map(|id| NodeId(id as u32)).filter_map(|id| {
        let Kind::File(data) = &survey.tree.node(id).kind else { return None };
        Some((id, data.runs().collect(), bytes(survey, id)))
    });
    Whole(text(survey), files.collect())
}

pub(crate) fn set_time(path: &Path, sec: i64, nsec: u32) {
    let since = SystemTime::UNIX_EPOCH;
    let whole = Duration::from_secs(sec.unsigned_abs());
    let time = if sec < 0 { since - whole } else { since + whole };
    let times = fs::FileTimes::new().set_modified(time + Duration::from_nanos(nsec.into()));
    File::open(path).unwrap().set_times(times).unwrap();
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A directory of what every format of tar can hold: short names, whole seconds.
pub(crate) fn plain_sample(top: &Path) {
    for path in ["", "bin", "etc", "empty"] {
        fs::create_dir(top.join(path)).unwrap();
    }
    let mut noise = vec![0; 3 * WINDOW + 100];
    noise.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * at / 7) as u8 | 1);
    fs::write(top.join("bin/tool"), &noise).unwrap();
    fs::write(top.join("bin/nothing"), b"").unwrap();
    fs::write(top.join("etc/conf"), b"one line\n").unwrap();
    fs::hard_link(top.join("bin/tool"), top.join("bin/other")).unwrap();
    fs::hard_link(top.join("bin/tool"), top.join("a-tool")).unwrap();
    symlink("bin/tool", top.join("link")).unwrap();
    symlink("../nowhere", top.join("etc/dangling")).unwrap();
    // Zeros that are written, and holes, in one file.
    let mut zeros = vec![0; 8 * WINDOW];
    zeros[2 * WINDOW] = 1;
    zeros[6 * WINDOW - 1] = 2;
    fs::write(top.join("zeros"), &zeros).unwrap();
    let sparse = File::create(top.join("sparse")).unwrap();
    sparse.set_len(20 * WINDOW as u64 + 5).unwrap();
    sparse.write_all_at(b"x", 3 * WINDOW as u64).unwrap();
    sparse.write_all_at(&noise, 10 * WINDOW as u64 + 17).unwrap();
    fs::write(top.join("all-zero"), vec![0; 2 * WINDOW]).unwrap();
    for (path, mode) in
        [("bin/tool", 0o4755), ("etc/conf", 0o600), ("empty", 0o1777), ("etc", 0o750), ("", 0o711)]
    {
        fs::set_permissions(top.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    for path in
        ["bin/tool", "bin/nothing", "etc/conf", "zeros", "sparse", "all-zero", "bin", "etc", "empty", ""]
    {
        set_time(&top.join(path), 1_600_000_000 + path.len() as i64, 0);
    }
    set_time(&top.join("etc/conf"), EPOCH + 1000, 0);
    assert!(
        Command::new("touch")
            .args(["-h", "-d", "@1500000000"])
            .arg(top.join("link"))
            .status()
            .unwrap()
            .success()
    );
    let dangling = top.join("etc/dangling");
    assert!(
        Command::new("touch").args(["-h", "-d", "@1500000000"]).arg(dangling).status().unwrap().success()
    );
    set_time(&top.join("etc"), 1_600_000_000, 0);
    set_time(top, 1_600_000_000, 0);
}

/// The same with what pax archives can hold besides: names of any bytes and length, nanoseconds, times before 1970,
/// attributes, a fifo, and as root devices and owners.
pub(crate) fn rich_sample(top: &Path) {
    plain_sample(top);
    let names: [&[u8]; 5] =
        [b"not-\xff-utf8", b"new\nline", b"space and =", "\u{fc}ber".as_bytes(), &[b'n'; 255]];
    for name in names {
        fs::write(top.join("empty").join(OsStr::from_bytes(name)), name).unwrap();
    }
    let deep = top.join("d".repeat(150)).join("e".repeat(150));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), b"deep").unwrap();
    symlink("t".repeat(300), deep.join("long-link")).unwrap();
    fs::hard_link(deep.join("file"), top.join("deep")).unwrap();
    fs::write(top.join("old"), b"old").unwrap();
    set_time(&top.join("old"), -2, 500_000_000);
    set_time(&top.join("bin/tool"), 1_600_000_000, 123_456_789);
    let conf = top.join("etc/conf");
    let set = |path: &Path, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
    };
    set(&conf, "user.empty", b"");
    set(&conf, "user.bytes", b"\0\xff\n=% ");
    set(&top.join("etc"), "user.of-a-directory", &[b'v'; 1000]);
    rustix::fs::mknodat(rustix::fs::CWD, top.join("fifo"), rustix::fs::FileType::Fifo, 0o640.into(), 0)
        .unwrap();
    if is_root() {
        use rustix::fs::{CWD, FileType, makedev, mknodat};
        mknodat(CWD, top.join("null"), FileType::CharacterDevice, 0o666.into(), makedev(1, 3)).unwrap();
        mknodat(CWD, top.join("disk"), FileType::BlockDevice, 0o660.into(), makedev(259, 70_000)).unwrap();
        std::os::unix::fs::lchown(top.join("old"), Some(1234), Some(70_000)).unwrap();
        std::os::unix::fs::lchown(top.join("link"), Some(4_000_000_000), Some(1)).unwrap();
        set(&conf, "security.capability", CAPABILITY);
    }
}

/// `cap_net_raw+ep`.
pub(crate) const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Says that a test was not run because something is missing; a failure where nothing may be.
pub(crate) fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("DISKWRIGHT_STRICT").is_none_or(|strict| strict != "1"), "SKIP {test}: {why}");
    inapplicable(test, why);
}

/// Says that a test cannot run here, which nothing that could be installed would mend.
pub(crate) fn inapplicable(test: &str, why: &str) {
    let line = format!("SKIP {test}: {why}");
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("DISKWRIGHT_SKIPS") {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// A program on PATH, or where administrators' programs are; without it the test is skipped.
pub(crate) fn tool(test: &str, name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = dirs.map(|dir| dir.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skip(test, &format!("{name} missing (package {package})"));
    }
    found
}

pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What a filter makes of bytes.
pub(crate) fn filtered(program: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    run(Command::new(program).args(arguments).stdin(file)).stdout
}

/// This test again, alone, as another user or in another environment: the last command of a shell script that `wrap`
/// starts. It finds `dir` with [`inside`].
pub(crate) fn again(test: &str, wrap: &[&str], script: &str, dir: &Path) {
    let script = format!("{script}\nexec \"$0\" --exact {test} --nocapture");
    let mut words = wrap.iter().chain(&["sh", "-c"]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg(script).arg(std::env::current_exe().unwrap()).current_dir(dir).env(INSIDE, dir);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

const INSIDE: &str = "DISKWRIGHT_TEST_INSIDE";

pub(crate) fn inside() -> Option<PathBuf> {
    std::env::var_os(INSIDE).map(PathBuf::from)
}

/// The words that make a command run without privileges, as root.
pub(crate) const UNPRIVILEGED: [&str; 6] =
    ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];

/// An archive, made by hand.
#[derive(Clone, Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

/// A header block; change what you like and [`Header::sealed`] it.
#[derive(Clone)]
pub(crate) struct Header(pub(crate) [u8; 512]);

impl Header {
    pub(crate) fn new(name: &[u8], kind: u8, size: usize) -> Header {
        let mut header = Header([0; 512]);
        header.set(0, name);
        header.set(100, b"0000644\0");
        header.set(108, b"0000001\0");
        header.set(116, b"0000002\0");
        header.set(124, format!("{size:011o}\0").as_bytes());
        header.set(136, format!("{:011o}\0", 1_600_000_000).as_bytes());
        header.set(156, &[kind]);
        header.set(257, b"ustar\x0000");
        header.set(329, b"0000007\0");
        header.set(337, b"0000011\0");
        header
    }

    pub(crate) fn set(&mut self, at: usize, bytes: &[u8]) -> &mut Header {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn with(mut self, at: usize, bytes: &[u8]) -> Header {
        self.set(at, bytes);
        self
    }

    /// With its checksum.
    pub(crate) fn sealed(mut self) -> [u8; 512] {
        self.set(148, b"        ");
        let sum: u32 = self.0.iter().map(|&byte| u32::from(byte)).sum();
        self.set(148, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

impl Tar {
    pub(crate) fn raw(mut self, header: Header, data: &[u8]) -> Tar {
        self.0.extend_from_slice(&header.sealed());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &str, data: &[u8]) -> Tar {
        self.raw(Header::new(name.as_bytes(), b'0', data.len()), data)
    }

    pub(crate) fn directory(self, name: &str) -> Tar {
        self.raw(Header::new(name.as_bytes(), b'5', 0).with(100, b"0000700\0"), b"")
    }

    /// A hard link (`1`) or symlink (`2`).
    pub(crate) fn link(self, name: &str, kind: u8, target: &str) -> Tar {
        self.raw(Header::new(name.as_bytes(), kind, 0).with(157, target.as_bytes()), b"")
    }

    /// An extended header (`x` or `g`) of these records.
    pub(crate) fn pax(self, kind: u8, records: &[(&str, &[u8])]) -> Tar {
        let mut text = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let len =
                (1..).map(|digits| rest + digits).find(|len| len.to_string().len() + rest == *len).unwrap();
            text.extend_from_slice(format!("{len} {key}=").as_bytes());
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        self.raw(Header::new(b"pax", kind, text.len()), &text)
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
