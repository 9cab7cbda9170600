//! The command line of mke2fs: letters with and without values, as getopt(3) reads them.

use super::invalid;
use diskwright_formats::fault::Refusal;

/// Options that take a value; `-C` and `-s` are known so that they are refused by name.
const WITH_VALUE: &str = "bCdeEgGiIJlLmMNoOrRstTUz";
/// Options without one.
const FLAGS: &str = "cDFjKnqSvV";

/// An option and its value.
pub(super) type Argument = (char, Option<String>);

/// Splits `-Fq -Lroot -b 4096` into its options. Whether they are supported is not asked here.
pub(super) fn split(arguments: &[String]) -> Result<Vec<Argument>, Refusal> {
    let mut found = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            return Err(positional(argument));
        };
        if letters == "-" {
            return arguments.next().map_or(Ok(found), |argument| Err(positional(argument)));
        }
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            if FLAGS.contains(letter) {
                found.push((letter, None));
            } else if WITH_VALUE.contains(letter) {
                let attached = Some(letters.as_str()).filter(|rest| !rest.is_empty()).map(str::to_owned);
                let value = attached.or_else(|| arguments.next().cloned());
                let value =
                    value.ok_or_else(|| invalid(format!("an option without its value: -{letter}")))?;
                found.push((letter, Some(value)));
                break;
            } else {
                let known: Vec<&str> = super::HELP.iter().map(|(option, _)| *option).collect();
                let refusal = invalid(format!("an unknown option: -{letter} in {argument}"));
                return Err(refusal.hint(format!("known are: {}", known.join("; "))));
            }
        }
    }
    Ok(found)
}

fn positional(argument: &str) -> Refusal {
    invalid(format!("an argument that is no option: {argument}"))
        .hint("the image and its size are not among these options: the size is given with --size")
}
