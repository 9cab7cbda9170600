//! Dates of Release files, which are those of mail (RFC 5322, 3.3): `Sat, 11 Jul 2026 10:16:37 UTC`.

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970. The day of the week may be left out; of zones UTC, GMT, Z and offsets in digits are known.
pub(super) fn date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.split_once(',').map_or(text, |(_, rest)| rest);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let [day, month, year, time, zone] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? as i64 + 1;
    let (day, year) = (number(day, 1..=31)?, number(year, 1970..=9999)?);
    let parts: Vec<&str> = time.split(':').collect();
    let [hour, minute, second] = parts[..] else { return None };
    let time = number(hour, 0..=23)? * 3600 + number(minute, 0..=59)? * 60 + number(second, 0..=60)?;
    Some(days(year, month, day) * 86400 + time - offset(zone)?)
}

fn number(text: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let digits = text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && range.contains(number))
}

/// Seconds east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    if ["UTC", "GMT", "Z"].contains(&zone) {
        return Some(0);
    }
    let (sign, digits) =
        zone.strip_prefix('+').map(|rest| (1, rest)).or(zone.strip_prefix('-').map(|rest| (-1, rest)))?;
    let digits = Some(digits).filter(|digits| digits.len() == 4)?;
    let number = number(digits, 0..=1459)?;
    Some(sign * (number / 100 * 3600 + number % 100 * 60))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, years counted from March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

/// `2026-07-11 10:16:37 UTC`
pub(super) fn shown(seconds: i64) -> String {
    let (day, time) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    // Eras of 400 years, counted from March.
    let (era, rest) = ((day + 719_468).div_euclid(146_097), (day + 719_468).rem_euclid(146_097));
    let year = (rest - rest / 1460 + rest / 36524 - rest / 146_096) / 365;
    let rest = rest - (365 * year + year / 4 - year / 100);
    let month = (5 * rest + 2) / 153;
    let day = rest - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + later;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", time / 3600, time / 60 % 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_there_and_back() {
        for (text, seconds, back) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", 0, "1970-01-01 00:00:00 UTC"),
            ("Sat, 11 Jul 2026 10:16:37 UTC", 1_783_764_997, "2026-07-11 10:16:37 UTC"),
            ("29 Feb 2000 23:59:59 GMT", 951_868_799, "2000-02-29 23:59:59 UTC"),
            ("Sat, 01 Mar 2100 00:00:00 +0000", 4_107_542_400, "2100-03-01 00:00:00 UTC"),
            ("Fri,  5 Jun 2026 01:30:00 +0130", 1_780_617_600, "2026-06-05 00:00:00 UTC"),
            ("Thu, 31 Dec 2026 19:00:00 -0500", 1_798_761_600, "2027-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(text.as_bytes()), Some(seconds), "{text}");
            assert_eq!(shown(seconds), back);
        }
        for text in [
            "",
            "yesterday",
            "Sat, 11 Jul 2026 10:16:37",
            "Sat, 11 Jul 2026 10:16:37 CEST",
            "Sat, 32 Jul 2026 10:16:37 UTC",
            "11 Foo 2026 10:16:37 UTC",
            "11 Jul 2026 25:16:37 UTC",
            "11 Jul 2026 10:16 UTC",
            "11 Jul 20266 10:16:37 UTC",
            "11 Jul 2026 10:16:+7 UTC",
        ] {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
    }
}
