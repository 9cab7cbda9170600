//! A command line in KIWI's words, read by docopt's rules: `--name VALUE` and `--name=VALUE`, names shortened as long as one
//! option alone begins so, KIWI's global options in front of the service (here also behind the command), `--` in front of
//! the options that a command hands on. Options of diskwright itself may stand anywhere.

use super::super::fail::{Code, Failure};
use super::table::{GLOBAL, Rest, Row, SERVICES, State, VERBS, Verb, verb};
use crate::describe::kiwi::nearest;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What a command line asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// The version.
    Version,
    /// Help: about everything, a service, a command.
    Help(Vec<&'static str>),
    /// A command.
    Call(Call),
}

/// A command and what was said with it.
#[derive(Debug)]
pub(super) struct Call {
    /// The command.
    pub(super) verb: &'static Verb,
    /// KIWI's options, in order.
    pub(super) given: Vec<Given>,
    /// Options of diskwright itself, as they were written.
    pub(super) own: Vec<OsString>,
    /// What stands behind `--`.
    pub(super) rest: Option<Vec<OsString>>,
}

/// An option of KIWI's and its value.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// The option.
    pub(super) row: &'static Row,
    /// Its value; `None`: it has none.
    pub(super) value: Option<OsString>,
}

/// An option of diskwright itself.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// Its name, without the two dashes.
    pub(super) long: String,
    /// Its letter.
    pub(super) short: Option<char>,
    /// Whether it has a value.
    pub(super) value: bool,
    /// Whether only commands that make images have it.
    pub(super) making: bool,
}

impl Call {
    /// The last value of an option.
    pub(super) fn value(&self, long: &str) -> Option<&OsStr> {
        let of = |given: &&Given| given.row.long == long;
        self.given.iter().rev().find(of).and_then(|given| given.value.as_deref())
    }

    /// All values of an option, in order.
    pub(super) fn values<'a>(&'a self, long: &'a str) -> impl Iterator<Item = &'a OsStr> {
        self.given
            .iter()
            .filter(move |given| given.row.long == long)
            .filter_map(|given| given.value.as_deref())
    }

    /// Whether an option was given.
    pub(super) fn has(&self, long: &str) -> bool {
        self.given.iter().any(|given| given.row.long == long)
    }
}

/// The first word that is no option, if all options in front of it are known: KIWI's global ones, or our own. Whether they
/// are right is for [`read`] to say.
pub(super) fn service(words: &[OsString], own: &[Own]) -> Option<OsString> {
    let reader = Reader { left: [].iter(), own, verb: None, call: Found::default() };
    let mut left = words.iter();
    loop {
        let word = left.next()?;
        if !is_option(word) {
            return Some(word.clone());
        }
        let text = word.to_string_lossy();
        let has_value = match text.strip_prefix("--") {
            Some(long) => {
                let long = long.split('=').next().unwrap_or_default();
                match reader.find(long).ok()? {
                    Some(Name::Kiwi(row)) => row.value.is_some(),
                    Some(Name::Own(own)) => own.value,
                    Some(Name::Help | Name::Version) => false,
                    // In the wrong place, and still KIWI's.
                    None => having(long, "system")?
                        .options
                        .iter()
                        .any(|row| row.long == long && row.value.is_some()),
                }
            }
            None => !text.chars().skip(1).all(|letter| {
                "hvV".contains(letter) || own.iter().any(|own| own.short == Some(letter) && !own.value)
            }),
        };
        if has_value && !text.contains('=') {
            left.next()?;
        }
    }
}

/// Reads a command line; the program's own name is not in it.
pub(super) fn read(words: &[OsString], own: &[Own]) -> Result<Asked, Failure> {
    let mut reader = Reader { left: words.iter(), own, verb: None, call: Found::default() };
    let Some(service) = reader.word()? else {
        return Ok(if reader.call.version { Asked::Version } else { Asked::Help(vec![]) });
    };
    if reader.call.version {
        return Ok(Asked::Version);
    }
    if service == "help" || reader.call.help {
        return Ok(Asked::Help(vec![]));
    }
    let (service, _) =
        SERVICES.iter().find(|(name, _)| service == *name).ok_or_else(|| no_service(service))?;
    let Some(name) = reader.word()? else {
        return match reader.call.help {
            true => Ok(Asked::Help(vec![service])),
            false => Err(no_verb(service, None)),
        };
    };
    if reader.call.help || name == "help" {
        return Ok(Asked::Help(vec![service]));
    }
    let verb =
        name.to_str().and_then(|name| verb(service, name)).ok_or_else(|| no_verb(service, Some(name)))?;
    reader.verb = Some(verb);
    if let Some(word) = reader.word()? {
        if word != "help" {
            let message = format!("{} {}: what is this: {}", verb.service, verb.name, word.display());
            return Err(usage(message).hint(all_options(verb)));
        }
        reader.call.help = true;
    }
    if reader.call.help {
        return Ok(Asked::Help(vec![verb.service, verb.name]));
    }
    let Found { given, own, rest, .. } = reader.call;
    let call = Call { verb, given, own, rest };
    whole(&call)?;
    Ok(Asked::Call(call))
}

/// The options that another command hands on, as if they stood behind `verb`.
pub(super) fn read_rest(words: &[OsString], verb: &'static Verb, own: &[Own]) -> Result<Call, Failure> {
    let mut reader = Reader { left: words.iter(), own, verb: Some(verb), call: Found::default() };
    if let Some(word) = reader.word()? {
        let message = format!("behind --: not an option: {}", word.display());
        return Err(usage(message).hint(all_options(verb)));
    }
    let Found { given, own, rest, .. } = reader.call;
    let call = Call { verb, given, own, rest };
    whole(&call)?;
    Ok(call)
}

/// Whether what must be there is, and what excludes each other is not.
fn whole(call: &Call) -> Result<(), Failure> {
    let Call { verb, given, rest, .. } = call;
    let title = format!("{} {}", verb.service, verb.name);
    if let Some(alone) = given.iter().find(|given| verb.alone.contains(&given.row.long)) {
        let other = given.iter().find(|given| {
            given.row.long != alone.row.long && verb.options.iter().any(|row| row.long == given.row.long)
        });
        return match other {
            None => Ok(()),
            Some(other) => {
                let message = format!("{title}: --{} stands alone", alone.row.long);
                Err(usage(message).hint(format!("take --{} away", other.row.long)))
            }
        };
    }
    let missing: Vec<String> = verb
        .needs
        .iter()
        .copied()
        .filter(|long| !call.has(long))
        .map(|long| {
            let row = verb.options.iter().find(|row| row.long == long);
            let value = row.and_then(|row| row.value);
            format!("--{long} {}", value.unwrap_or_default().to_uppercase())
        })
        .collect();
    if !missing.is_empty() {
        return Err(usage(format!("{title} lacks {}", missing.join(", "))).hint(all_options(verb)));
    }
    if verb.rest == Rest::Build && rest.is_none() {
        let hint = format!("{title} --box NAME -- --description DIR --target-dir DIR");
        return Err(usage(format!("{title} lacks `--` and the options of system build behind it")).hint(hint));
    }
    for group in verb.exclusive {
        let chosen: Vec<&str> = group.iter().filter(|long| call.has(long)).copied().collect();
        if let [first, second, ..] = chosen[..] {
            let message = format!("{title}: one of --{first} and --{second}, not both");
            return Err(usage(message).hint(format!("take --{second} away")));
        }
    }
    for (row, services) in GLOBAL {
        if call.has(row.long) && !services.contains(&verb.service) {
            let message = format!("--{}: {} commands do not have it", row.long, verb.service);
            return Err(usage(message).hint(format!("take it away: it is for {}", services.join(" and "))));
        }
    }
    Ok(())
}

/// What was found so far.
#[derive(Default)]
struct Found {
    given: Vec<Given>,
    own: Vec<OsString>,
    rest: Option<Vec<OsString>>,
    help: bool,
    version: bool,
}

struct Reader<'a> {
    left: std::slice::Iter<'a, OsString>,
    own: &'a [Own],
    verb: Option<&'static Verb>,
    call: Found,
}

/// What an option's name stands for.
enum Name<'a> {
    Kiwi(&'static Row),
    Own(&'a Own),
    Help,
    Version,
}

impl<'a> Reader<'a> {
    /// The next word that is no option; options in front of it are taken in. `None` at the end, or at `--`.
    fn word(&mut self) -> Result<Option<&'a OsStr>, Failure> {
        while let Some(word) = self.left.next() {
            if word == "--" {
                self.behind(word)?;
            } else if is_option(word) {
                self.option(word)?;
            } else {
                return Ok(Some(word));
            }
        }
        Ok(None)
    }

    fn behind(&mut self, word: &OsStr) -> Result<(), Failure> {
        match self.verb {
            Some(verb) if verb.rest != Rest::None => {
                self.call.rest = Some(self.left.by_ref().cloned().collect());
                Ok(())
            }
            Some(verb) => {
                let message = format!("{} {} has nothing behind --", verb.service, verb.name);
                Err(usage(message).hint("take the -- away"))
            }
            None => Err(unknown(word, None)),
        }
    }

    fn option(&mut self, word: &'a OsStr) -> Result<(), Failure> {
        if !word.as_bytes().starts_with(b"--") {
            return self.letters(word);
        }
        let bytes = &word.as_bytes()[2..];
        let (name, value) = match bytes.iter().position(|&byte| byte == b'=') {
            None => (bytes, None),
            Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]))),
        };
        let name = std::str::from_utf8(name).map_err(|_| unknown(word, self.verb))?;
        match self.find(name)?.ok_or_else(|| unknown(word, self.verb))? {
            Name::Help => self.call.help = true,
            Name::Version => self.call.version = true,
            Name::Own(own) => self.own_option(own, value)?,
            Name::Kiwi(row) => {
                let value = self.value(row.long, row.value, value)?;
                if !row.repeats && self.call.given.iter().any(|given| given.row.long == row.long) {
                    let message = format!("--{} is there twice", row.long);
                    return Err(usage(message).hint("it can be given once"));
                }
                self.call.given.push(Given { row, value });
            }
        }
        Ok(())
    }

    /// The value of an option that may have one: behind `=`, or the next word.
    fn value(
        &mut self,
        long: &str,
        kind: Option<&str>,
        value: Option<&OsStr>,
    ) -> Result<Option<OsString>, Failure> {
        match (kind, value) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(usage(format!("--{long} has no value")).hint(format!("write --{long}"))),
            (Some(_), Some(value)) => Ok(Some(value.to_owned())),
            (Some(kind), None) => {
                let lacks = format!("--{long} lacks its value: {}", kind.to_uppercase());
                match self.left.next() {
                    None => Err(usage(lacks)),
                    Some(next) if next.as_bytes().starts_with(b"--") => {
                        let next = next.display();
                        let hint = format!("if {next} is the value, write --{long}={next}");
                        Err(usage(lacks).hint(hint))
                    }
                    Some(next) => Ok(Some(next.clone())),
                }
            }
        }
    }

    fn own_option(&mut self, own: &Own, value: Option<&OsStr>) -> Result<(), Failure> {
        let kind = own.value.then_some("value");
        self.call.own.push(OsString::from(format!("--{}", own.long)));
        if let Some(value) = self.value(&own.long, kind, value)? {
            // Joined again: what begins with a dash is a value here, and would be none behind a blank.
            let mut joined = self.call.own.pop().unwrap_or_default();
            joined.push("=");
            joined.push(value);
            self.call.own.push(joined);
        }
        Ok(())
    }

    fn letters(&mut self, word: &'a OsStr) -> Result<(), Failure> {
        let text = word.to_str().unwrap_or("-");
        for letter in text.chars().skip(1) {
            let own = self.own.iter().find(|own| own.short == Some(letter) && self.allows(own));
            match (letter, own) {
                ('h', _) => self.call.help = true,
                ('v' | 'V', _) if self.verb.is_none() => self.call.version = true,
                (_, Some(own)) if !own.value => self.own_option(own, None)?,
                (_, Some(own)) => {
                    let hint = format!("write --{}=VALUE", own.long);
                    return Err(usage(format!("{text}: not here as a letter")).hint(hint));
                }
                _ => return Err(unknown(word, self.verb)),
            }
        }
        match text {
            "-" => Err(unknown(word, self.verb)),
            _ => Ok(()),
        }
    }

    fn allows(&self, own: &Own) -> bool {
        let making = self.verb.is_some_and(|verb| matches!(verb.name, "build" | "create"));
        !own.making || making
    }

    /// The option of this name, or the only one that begins so: of the command first, then of all.
    fn find(&self, name: &str) -> Result<Option<Name<'a>>, Failure> {
        let of_verb = self.verb.map_or(&[][..], |verb| verb.options);
        let own = self.own;
        let all: Vec<(&str, Name<'a>)> = of_verb
            .iter()
            .chain(GLOBAL.iter().map(|(row, _)| row))
            .map(|row| (row.long, Name::Kiwi(row)))
            .chain([("help", Name::Help)])
            .chain(self.verb.is_none().then_some(("version", Name::Version)))
            .chain(own.iter().filter(|own| self.allows(own)).map(|own| (own.long.as_str(), Name::Own(own))))
            .collect();
        if all.iter().any(|(long, _)| *long == name) {
            return Ok(all.into_iter().find(|(long, _)| *long == name).map(|(_, found)| found));
        }
        if name.is_empty() {
            return Ok(None);
        }
        let (first, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(long, _)| of_verb.iter().any(|row| row.long == *long));
        for group in [first, others] {
            let mut group: Vec<_> = group.into_iter().filter(|(long, _)| long.starts_with(name)).collect();
            match group.len() {
                0 => {}
                1 => return Ok(group.pop().map(|(_, found)| found)),
                _ => {
                    let names: Vec<String> = group.iter().map(|(long, _)| format!("--{long}")).collect();
                    let message = format!("--{name} can be more than one: {}", names.join(", "));
                    return Err(usage(message).hint("write it in full"));
                }
            }
        }
        Ok(None)
    }
}

fn is_option(word: &OsStr) -> bool {
    word.as_bytes().starts_with(b"-") && word != "-"
}

fn usage(message: String) -> Failure {
    Failure::new(Code::Usage, message)
}

fn all_options(verb: &Verb) -> String {
    format!("all options: diskwright {} {} --help", verb.service, verb.name)
}

fn unknown(word: &OsStr, verb: Option<&'static Verb>) -> Failure {
    let text = word.to_string_lossy();
    let name = text.trim_start_matches('-').split('=').next().unwrap_or_default();
    let Some(verb) = verb else {
        let hint = match having(name, "system") {
            Some(verb) => format!("it stands behind the command: {} {} --{name}", verb.service, verb.name),
            None => near(name, &[]).unwrap_or_else(|| "all options: diskwright system --help".to_owned()),
        };
        return usage(format!("no global option: {text}")).hint(hint);
    };
    let build = super::table::verb("system", "build").map_or(&[][..], |build| build.options);
    let handed_on = verb.rest != Rest::None && build.iter().any(|row| row.long == name);
    let hint = if handed_on {
        format!("options of system build stand behind `--`: {} {} ... -- --{name}", verb.service, verb.name)
    } else if let Some(near) = near(name, verb.options) {
        near
    } else if let Some(other) = having(name, verb.service) {
        format!("{} {} has it; {}", other.service, other.name, all_options(verb))
    } else {
        all_options(verb)
    };
    usage(format!("{} {}: no such option: {text}", verb.service, verb.name)).hint(hint)
}

/// A command that has an option: rather one that is there, and of this service.
fn having(name: &str, service: &str) -> Option<&'static Verb> {
    let have = VERBS.iter().filter(|verb| verb.options.iter().any(|row| row.long == name));
    have.min_by_key(|verb| (verb.absent.is_some(), verb.service != service))
}

fn near(name: &str, of_verb: &'static [Row]) -> Option<String> {
    let known = of_verb.iter().chain(GLOBAL.iter().map(|(row, _)| row)).map(|row| row.long);
    nearest(name, known).map(|near| format!("did you mean --{near}?"))
}

fn no_service(word: &OsStr) -> Failure {
    let message = format!("no service of KIWI's: {}", word.display());
    let known = VERBS.iter().find(|verb| word == verb.name);
    let hint = match known {
        Some(verb) => format!("in KIWI's words it is: {} {}", verb.service, verb.name),
        None => {
            "one of image, result, system; diskwright's own commands are there under its own name".to_owned()
        }
    };
    usage(message).hint(hint)
}

fn no_verb(service: &str, word: Option<&OsStr>) -> Failure {
    let names: Vec<&str> =
        VERBS.iter().filter(|verb| verb.service == service).map(|verb| verb.name).collect();
    let message = match word {
        None => format!("{service}: which command?"),
        Some(word) => format!("{service} has no command {}", word.display()),
    };
    let elsewhere = word.and_then(|word| VERBS.iter().find(|verb| word == verb.name));
    let near = word.and_then(OsStr::to_str).and_then(|word| nearest(word, names.iter().copied()));
    let hint = match (near, elsewhere) {
        (Some(near), _) => format!("did you mean {service} {near}?"),
        (None, Some(verb)) => format!("did you mean {} {}?", verb.service, verb.name),
        (None, None) => format!("one of {}", names.join(", ")),
    };
    usage(message).hint(hint)
}

/// Notes for options that nothing depends on, and a failure for those that are not there yet: all of them at once.
pub(super) fn judge(call: &Call) -> Result<Vec<String>, Failure> {
    if let Some((why, instead)) = call.verb.absent {
        let message = format!("{} {} is not there yet: {why}", call.verb.service, call.verb.name);
        return Err(usage(message).hint(instead));
    }
    let mut absent: Vec<(&str, &str, &str)> = Vec::new();
    let mut notes: Vec<(Vec<&str>, &str)> = Vec::new();
    for Given { row, .. } in &call.given {
        match row.state {
            State::Used(_) | State::Command(_) => {}
            State::Noted(why) => match notes.iter_mut().find(|(_, other)| *other == why) {
                Some((names, _)) if names.contains(&row.long) => {}
                Some((names, _)) => names.push(row.long),
                None => notes.push((vec![row.long], why)),
            },
            State::Absent { why, instead } if absent.iter().all(|(long, ..)| *long != row.long) => {
                absent.push((row.long, why, instead));
            }
            State::Absent { .. } => {}
        }
    }
    let lines: Vec<String> =
        absent.iter().map(|(long, why, _)| format!("--{long} is not there yet: {why}")).collect();
    let mut hints: Vec<&str> = absent.iter().map(|(_, _, instead)| *instead).collect();
    hints.dedup();
    if !lines.is_empty() {
        return Err(usage(lines.join("\nerror: ")).hint(hints.join("\nhint: ")));
    }
    let note = |(names, why): (Vec<&str>, &str)| {
        let names: Vec<String> = names.iter().map(|name| format!("--{name}")).collect();
        format!("{} without effect: {why}", names.join(", "))
    };
    Ok(notes.into_iter().map(note).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn own() -> Vec<Own> {
        super::super::own_options()
    }

    proptest! {
        /// Whatever is typed, it is a call with all that it needs, help, or a failure that says what to do.
        #[test]
        fn any_words_are_a_call_or_a_failure(picks in prop::collection::vec((0usize..200, 0u8..6), 0..12)) {
            let known: Vec<String> = VERBS
                .iter()
                .flat_map(|verb| [verb.service.to_owned(), verb.name.to_owned()])
                .chain(VERBS.iter().flat_map(|verb| verb.options.iter().map(|row| format!("--{}", row.long))))
                .chain(GLOBAL.iter().map(|(row, _)| format!("--{}", row.long)))
                .chain(["--", "-", "-h", "-qn", "--=", "-\u{e4}", "--json", "--seed", ""].map(str::to_owned))
                .collect();
            let word = |(pick, form): (usize, u8)| {
                let word = &known[pick % known.len()];
                match form {
                    0 => word.chars().take(7).collect(),
                    1 => format!("{word}=value"),
                    _ => word.clone(),
                }
            };
            let words: Vec<OsString> = picks.into_iter().map(|pick| OsString::from(word(pick))).collect();
            let _ = service(&words, &own());
            match read(&words, &own()) {
                Ok(Asked::Call(call)) => {
                    let alone = call.given.iter().any(|given| call.verb.alone.contains(&given.row.long));
                    prop_assert!(alone || call.verb.needs.iter().all(|long| call.has(long)));
                    for Given { row, value } in &call.given {
                        prop_assert_eq!(row.value.is_some(), value.is_some());
                        prop_assert!(row.repeats || call.given.iter().filter(|one| one.row.long == row.long).count() == 1);
                    }
                }
                Ok(_) => {}
                Err(failure) => prop_assert!(failure.code == Code::Usage && !failure.message.is_empty()),
            }
        }
    }

    #[test]
    fn words_are_kiwis_where_the_first_that_is_no_option_is_a_service() {
        let service = |line: &str| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            super::service(&words, &own()).map(|word| word.to_string_lossy().into_owned())
        };
        for (line, found) in [
            ("system build", Some("system")),
            ("--type system create", Some("create")),
            ("--json -q --profile=a --logfile system result list", Some("result")),
            ("--seed image inspect x", Some("inspect")),
            ("--type oem --type oem system", Some("system")),
            ("--nothing system", None),
            ("--type", None),
            ("-x system", None),
        ] {
            assert_eq!(service(line).as_deref(), found, "{line}");
        }
    }
}
