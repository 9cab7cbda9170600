//! What a guest says on its serial line: text without control sequences, and what is waited for in it. Pure: bytes in,
//! events out; what is kept is limited.

/// Bytes of text that are kept at least; at most twice as many.
const KEPT: usize = 64 << 10;

/// The longest text that can be waited for, in bytes.
pub const LONGEST: usize = 4 << 10;

/// A text that must not come, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The text.
    pub text: String,
    /// What its coming means.
    pub means: String,
}

/// Texts by which a guest says that it will not come up, and what each means.
pub const SIGNS: &[(&str, &str)] = &[
    ("Kernel panic - not syncing", "kernel panic"),
    ("You are in emergency mode", "emergency mode"),
    ("Entering emergency mode", "emergency mode"),
    ("Give root password for maintenance", "emergency mode"),
    ("(initramfs) ", "the initramfs found no root file system"),
    ("grub rescue>", "GRUB did not find its files"),
    ("BdsDxe: No bootable option or device was found", "the firmware found nothing to boot"),
    ("UEFI Interactive Shell", "the firmware found nothing to boot"),
    ("Failed to load OS from hard disk", "the firmware found nothing to boot"),
    ("): Access Denied", "Secure Boot refused a program"),
    ("Security Violation", "Secure Boot refused a program"),
];

/// What is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Texts that must all come, in this order, each behind the one before.
    pub expect: Vec<String>,
    /// Texts that must not come.
    pub reject: Vec<Reject>,
    /// When the first text comes, the second is sent with a carriage return; in this order, each once, a prompt counts only
    /// behind the answer before.
    pub send: Vec<(String, String)>,
}

/// What has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The next of the expected texts; `true` with the last.
    Seen(bool),
    /// A text that must not come; its place in [`Watch::reject`].
    Rejected(usize),
    /// A prompt, and its answer.
    Prompt(Vec<u8>),
}

/// Reads a serial line.
#[derive(Clone, Debug)]
pub struct Watcher {
    watch: Watch,
    state: State,
    text: Vec<u8>,
    /// Expected texts that have come, and text that has come since the last of them.
    seen: (usize, usize),
    /// Answers that were given, and text that has come since the last of them.
    sent: (usize, usize),
}

impl Watcher {
    /// Nothing has come yet.
    pub fn new(watch: Watch) -> Watcher {
        Watcher { watch, state: State::Text, text: Vec::new(), seen: (0, 0), sent: (0, 0) }
    }

    /// How many of the expected texts have come.
    pub fn seen(&self) -> usize {
        self.seen.0
    }

    /// The last text that came, without control sequences.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.text);
        text.chars().filter(|it| !it.is_control() || matches!(it, '\n' | '\t')).collect()
    }

    /// Takes a byte. What is expected counts before what is rejected, where both end with it.
    pub fn take(&mut self, byte: u8) -> Vec<Event> {
        let Some(byte) = self.state.step(byte) else { return vec![] };
        // Cursors that are moved make lines, of which one is enough.
        if byte == MOVED && self.text.last().is_none_or(|last| *last == b'\n') {
            return vec![];
        }
        if self.text.len() >= 2 * KEPT {
            self.text.drain(..KEPT);
        }
        self.text.push(if byte == MOVED { b'\n' } else { byte });
        self.seen.1 += 1;
        self.sent.1 += 1;
        let ends = |text: &str, since: usize| text.len() <= since && self.text.ends_with(text.as_bytes());
        let mut events = Vec::new();
        if self.watch.send.get(self.sent.0).is_some_and(|(when, _)| ends(when, self.sent.1)) {
            let (_, answer) = &self.watch.send[self.sent.0];
            events.push(Event::Prompt([answer.as_bytes(), b"\r"].concat()));
        }
        if self.watch.expect.get(self.seen.0).is_some_and(|text| ends(text, self.seen.1)) {
            events.push(Event::Seen(self.seen.0 + 1 == self.watch.expect.len()));
        } else if let Some(at) = self.watch.reject.iter().position(|it| ends(&it.text, usize::MAX)) {
            events.push(Event::Rejected(at));
        }
        for event in &events {
            match event {
                Event::Prompt(_) => self.sent = (self.sent.0 + 1, 0),
                Event::Seen(_) => self.seen = (self.seen.0 + 1, 0),
                Event::Rejected(_) => {}
            }
        }
        events
    }
}

/// Stands for a cursor that was moved; no text has it.
const MOVED: u8 = 0;

/// Where in a control sequence the line is (ECMA-48, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    /// Behind ESC.
    Escape,
    /// Behind ESC and an intermediate byte.
    Intermediate,
    /// In a control sequence: up to a final byte.
    Control,
    /// In a control string: up to ST or BEL, or the end of the line, since noise begins strings, too.
    String,
    /// Behind ESC in a control string.
    StringEscape,
}

impl State {
    /// What a byte adds to the text, if anything.
    fn step(&mut self, byte: u8) -> Option<u8> {
        let (next, text) = match (*self, byte) {
            (State::String | State::StringEscape, b'\n') => (State::Text, Some(byte)),
            (State::String, 0x07) | (State::StringEscape, b'\\') => (State::Text, None),
            (State::String, 0x1b) => (State::StringEscape, None),
            (State::String | State::StringEscape, _) => (State::String, None),
            (_, 0x1b) => (State::Escape, None),
            (State::Escape, b'[') => (State::Control, None),
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => (State::String, None),
            (State::Escape | State::Intermediate, 0x20..=0x2f) => (State::Intermediate, None),
            (State::Escape | State::Intermediate, 0x30..=0x7e) => (State::Text, None),
            (State::Control, b'H' | b'f') => (State::Text, Some(MOVED)),
            (State::Control, 0x40..=0x7e) => (State::Text, None),
            (State::Control, 0x20..=0x3f) => (State::Control, None),
            (_, b'\n' | b'\t') => (State::Text, Some(byte)),
            (_, 0..0x20 | 0x7f) => (*self, None),
            (_, _) => (State::Text, Some(byte)),
        };
        *self = next;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watcher(expect: &[&str], reject: &[&str], send: &[(&str, &str)]) -> Watcher {
        let owned = |text: &&str| (*text).to_owned();
        Watcher::new(Watch {
            expect: expect.iter().map(owned).collect(),
            reject: reject.iter().map(|text| Reject { text: owned(text), means: String::new() }).collect(),
            send: send.iter().map(|(when, text)| (owned(when), owned(text))).collect(),
        })
    }

    fn events(watcher: &mut Watcher, said: &[u8]) -> Vec<Event> {
        said.iter().flat_map(|&byte| watcher.take(byte)).collect()
    }

    #[test]
    fn control_sequences_are_no_text() {
        let cases: &[(&[u8], &str)] = &[
            (b"\x1b[0;32m  OK  \x1b[0m done\r\n", "  OK   done\n"),
            (b"\x1b]0;title\x07a\x1bP1$x\x1b\\b\x1b(Bc\x1b=d\x1bcE", "abcdE"),
            (b"a\x00\x08\x7fb\tc", "ab\tc"),
            (b"\x1b[2J\x1b[01;01H\x1b[02;01Hmenu\x1b[03;05fentry", "menu\nentry"),
            (b"\x1b]never ended\nnext", "\nnext"),
            ("gr\u{fc}n \u{85}\u{9b}x".as_bytes(), "gr\u{fc}n x"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"\x1b\x1b[31mred\x1b", "red"),
        ];
        for (said, text) in cases {
            let mut watcher = watcher(&[], &[], &[]);
            assert_eq!(events(&mut watcher, said), []);
            assert_eq!(watcher.text(), *text, "{said:?}");
        }
    }

    #[test]
    fn texts_come_in_order_each_behind_the_one_before() {
        let mut watcher = watcher(&["aa", "aa", "b"], &[], &[]);
        assert_eq!(events(&mut watcher, b"b aaa"), [Event::Seen(false)], "the two overlap");
        assert_eq!(events(&mut watcher, b"\x1b[1ma"), [Event::Seen(false)], "colour is no text");
        assert_eq!(watcher.seen(), 2);
        assert_eq!(events(&mut watcher, b"ab b"), [Event::Seen(true)], "none is left");
    }

    #[test]
    fn rejected_at_once_but_not_where_it_is_expected() {
        let mut watcher = watcher(&["panic: 1"], &["boom", "panic: 1", "panic"], &[]);
        assert_eq!(events(&mut watcher, b"panic: 1"), [Event::Rejected(2), Event::Seen(true)]);
        assert_eq!(events(&mut watcher, b"boom"), [Event::Rejected(0)]);
    }

    #[test]
    fn prompts_are_answered_once_each_in_order() {
        let mut watcher = watcher(&["# done"], &[], &[("login: ", "root"), ("# ", "one"), ("# ", "")]);
        let prompt = |text: &str| Event::Prompt(format!("{text}\r").into_bytes());
        assert_eq!(events(&mut watcher, b"# login: "), [prompt("root")]);
        assert_eq!(
            events(&mut watcher, b"root\r\n# one\r\n# # done"),
            [prompt("one"), prompt(""), Event::Seen(true)]
        );
    }

    #[test]
    fn memory_is_limited_and_nothing_is_missed_for_it() {
        let mut watcher = watcher(&["needle across"], &[], &[]);
        let most = (0..5 * KEPT).map(|at| {
            watcher.take(b'0' + (at % 10) as u8);
            watcher.text.len()
        });
        assert_eq!(most.max(), Some(2 * KEPT));
        // The text comes while the older half is dropped.
        while watcher.text.len() != 2 * KEPT - 5 {
            watcher.take(b'x');
        }
        assert_eq!(events(&mut watcher, b"needle across"), [Event::Seen(true)]);
    }
}
