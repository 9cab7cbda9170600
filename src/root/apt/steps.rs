//! What the tree's own apt and dpkg are asked to do.

use super::MIRROR;
use super::calls::{Call, RECORDER, recorder};
use crate::root::deb::{Filter, Left, Script};
use crate::root::sandbox::{BINDS, Operation, Run};
use crate::root::setup::Step;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Tells maintainer scripts to start no services (invoke-rc.d(8)); it is there while packages are installed.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// How packages are installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether recommended packages come along (`patternType="plusRecommended"`).
    pub recommends: bool,
    /// What dpkg leaves out.
    pub filters: Vec<Filter>,
    /// `SOURCE_DATE_EPOCH` of what runs, in seconds since 1970.
    pub epoch: i64,
}

impl Settings {
    /// apt's settings, which lie in the mirror and not in the tree (apt.conf(5)).
    pub fn apt_conf(&self) -> String {
        let mirror = format!("{BINDS}/{MIRROR}");
        let mut text = format!(
            "Dir::Etc::SourceList \"/dev/null\";\n\
             Dir::Etc::SourceParts \"{mirror}/sources\";\n\
             Dir::Etc::Preferences \"{mirror}/preferences\";\n\
             APT::Install-Recommends \"{}\";\n\
             APT::Install-Suggests \"false\";\n\
             APT::Get::Assume-Yes \"true\";\n\
             APT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Check-Date \"false\";\n\
             Dir::Cache::srcpkgcache \"\";\n\
             DPkg::Use-Pty \"false\";\n\
             DPkg::Inhibit-Shutdown \"0\";\n",
            self.recommends
        );
        for option in self.dpkg_options() {
            let _ = writeln!(text, "DPkg::Options:: \"{option}\";");
        }
        text
    }

    fn dpkg_options(&self) -> Vec<String> {
        let filters = self.filters.iter().map(|filter| {
            let word = if filter.include { "include" } else { "exclude" };
            format!("--path-{word}={}", filter.pattern)
        });
        // A tree that was interrupted is made again: nothing is gained by forcing it to the disk.
        ["--force-unsafe-io".to_owned(), "--force-confold".to_owned()].into_iter().chain(filters).collect()
    }

    /// The environment of apt, dpkg and maintainer scripts.
    fn environment(&self) -> BTreeMap<String, String> {
        let epoch = self.epoch.to_string();
        let conf = format!("{BINDS}/{MIRROR}/apt.conf");
        [
            ("APT_CONFIG", conf.as_str()),
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
            ("DEBCONF_NOWARNINGS", "yes"),
            ("SOURCE_DATE_EPOCH", &epoch),
            // Initrds are made once, at the end.
            ("INITRD", "No"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn run<'a>(&self, what: &str, words: impl IntoIterator<Item = &'a str>) -> Run {
        Run { environment: self.environment(), ..Run::new(what, words) }
    }

    /// Services are not started while packages are installed.
    pub fn hold_services(&self) -> Operation {
        let text = "#!/bin/sh\nexit 101\n".to_owned();
        Operation::Setup(Step::Write { path: POLICY.to_owned(), text, mode: 0o755, owner: (0, 0) })
    }

    /// The reverse.
    pub fn release_services(&self) -> Operation {
        Operation::Setup(Step::Remove { paths: vec![POLICY.to_owned()] })
    }

    /// `preinst` scripts, the essential packages, then everything else that is unpacked. All at once, dpkg would configure
    /// some before what they silently rely on: passwd before login, for one.
    pub fn configure(&self, left: &Left) -> Vec<Operation> {
        let script = |script: &Script| {
            let words =
                std::iter::once(script.path.as_str()).chain(script.arguments.iter().map(String::as_str));
            let mut run = self.run(&format!("preinst of {}", script.package), words);
            run.environment.extend(script.environment.iter().cloned());
            Operation::Run(run)
        };
        let configure = |names: &[&str]| {
            let words = ["dpkg", "--force-depends", "--configure"].iter().chain(names);
            Operation::Run(self.run("configure packages", words.copied()))
        };
        let essential: Vec<&str> = left.essential.iter().map(String::as_str).collect();
        let first = (!essential.is_empty()).then(|| configure(&essential));
        left.scripts.iter().map(script).chain(first).chain([configure(&["-a"])]).collect()
    }

    /// apt reads the mirror.
    pub fn update(&self) -> Operation {
        Operation::Run(self.run("read the repositories", ["apt-get", "--quiet", "update"]))
    }

    /// apt solves what is asked for; its result names the files that it needs.
    pub fn solve(&self, names: &[String]) -> Operation {
        let words = ["apt-get", "--quiet", "--quiet", "--print-uris", "install"];
        let words = words.into_iter().chain(names.iter().map(String::as_str));
        Operation::Run(Run { capture: true, ..self.run("solve packages", words) })
    }

    /// apt installs them, as far as it does it itself; its result names what dpkg is to do: [`Call::read`].
    pub fn choose(&self, names: &[String]) -> Vec<Operation> {
        let dpkg = format!("Dir::Bin::dpkg={RECORDER}");
        let words = ["apt-get", "--quiet", "--quiet", "-o", &dpkg, "install"];
        let words = words.into_iter().chain(names.iter().map(String::as_str));
        let run = Run { capture: true, ..self.run("install packages", words) };
        let write = Step::Write { path: RECORDER.to_owned(), text: recorder(), mode: 0o755, owner: (0, 0) };
        let remove = Step::Remove { paths: vec![RECORDER.to_owned()] };
        vec![Operation::Setup(write), Operation::Run(run), Operation::Setup(remove)]
    }

    /// dpkg does what apt wanted of it.
    pub fn call(&self, call: &Call) -> Operation {
        let configures = call.words.iter().any(|word| word == "--configure");
        let what = if configures { "configure packages" } else { "install packages" };
        Operation::Run(self.run(what, std::iter::once("dpkg").chain(call.words.iter().map(String::as_str))))
    }

    /// apt forgets the mirror of so many repositories: its lists are links into it, its cache is as large as a system.
    pub fn forget(&self, repositories: usize) -> Operation {
        let list = |number| {
            let uri = format!("{BINDS}/{MIRROR}/{number}/.").replace('/', "_");
            ["Packages", "Release"].map(|name| format!("/var/lib/apt/lists/{uri}_{name}"))
        };
        let lists = (0..repositories).flat_map(list);
        let paths = lists.chain(["/var/cache/apt/pkgcache.bin".to_owned()]).collect();
        Operation::Setup(Step::Remove { paths })
    }

    /// Takes packages away with those that nothing needs any more.
    pub fn uninstall(&self, names: &[String]) -> Operation {
        let words = ["apt-get", "--quiet", "--auto-remove", "remove"];
        let words = words.into_iter().chain(names.iter().map(String::as_str));
        Operation::Run(self.run("uninstall packages", words))
    }

    /// Takes packages away, whatever needs them, without their scripts.
    pub fn delete(&self, names: &[String]) -> Vec<Operation> {
        let scripts = names
            .iter()
            .flat_map(|name| ["prerm", "postrm"].map(|it| format!("/var/lib/dpkg/info/{name}.{it}")));
        let words =
            ["dpkg", "--remove", "--force-remove-reinstreq", "--force-remove-essential", "--force-depends"];
        let words = words.into_iter().chain(names.iter().map(String::as_str));
        vec![
            Operation::Setup(Step::Remove { paths: scripts.collect() }),
            Operation::Run(self.run("delete packages", words)),
        ]
    }
}
