//! Dates and times of directory entries, in UTC (fatgen103, section 6): 1980 to 2107 in steps of two seconds.

use crate::tree::Time;
use zerocopy::little_endian::U16;

/// 1980-01-01 00:00:00, the first moment.
const FIRST: i64 = 315_532_800;
/// 2107-12-31 23:59:59, the last second.
const LAST: i64 = 4_354_819_199;
const DAY: i64 = 86_400;

/// A moment as an entry stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Year since 1980 << 9, month << 5, day.
    pub(super) date: U16,
    /// Hour << 11, minute << 5, seconds / 2.
    pub(super) time: U16,
    /// What `time` rounds away, in steps of 10 ms: 0 to 199.
    pub(super) rest: u8,
}

impl Stamp {
    /// The moment, rounded down; clamped to what can be stored.
    pub(super) fn new(time: Time) -> Stamp {
        let (sec, nsec) = match time.sec {
            ..FIRST => (FIRST, 0),
            FIRST..=LAST => (time.sec, time.nsec),
            _ => (LAST, 999_999_999),
        };
        let (year, month, day) = civil(sec.div_euclid(DAY));
        let of_day = sec.rem_euclid(DAY);
        let date = (year - 1980) << 9 | month << 5 | day;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let time = hour << 11 | minute << 5 | (second / 2);
        let rest = second % 2 * 100 + i64::from(nsec) / 10_000_000;
        Stamp { date: U16::new(date as u16), time: U16::new(time as u16), rest: rest as u8 }
    }
}

/// The moment of a date and time; `None` when there is no such day or time.
pub(super) fn moment(date: u16, time: u16) -> Option<Time> {
    let (year, month, day) = (i64::from(date >> 9) + 1980, i64::from(date >> 5 & 15), i64::from(date & 31));
    let (hour, minute, second) = (i64::from(time >> 11), i64::from(time >> 5 & 63), i64::from(time & 31) * 2);
    let days = days(year, month, day);
    let is_date = (1..=12).contains(&month) && civil(days) == (year, month, day);
    let is_time = hour < 24 && minute < 60 && second < 60;
    (is_date && is_time).then(|| Time::seconds(days * DAY + hour * 3600 + minute * 60 + second))
}

/// Year, month and day of a day since 1970. Years are counted from March, so that the leap day is their last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // since 0000-03-01
    let era = days.div_euclid(146_097); // 400 years
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// The day since 1970 of a date; the inverse of [`civil`] for days that exist.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        let cases: [(i64, u16, u16, u8, i64); 6] = [
            (FIRST, 1 << 5 | 1, 0, 0, FIRST),
            (0, 1 << 5 | 1, 0, 0, FIRST),
            (LAST, 127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29, 100, LAST - 1),
            (LAST + 99, 127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29, 199, LAST - 1),
            // 2000-02-29 12:34:57
            (951_827_697, 20 << 9 | 2 << 5 | 29, 12 << 11 | 34 << 5 | 28, 100, 951_827_696),
            // 2026-11-21 00:00:00
            (1_795_219_200, 46 << 9 | 11 << 5 | 21, 0, 0, 1_795_219_200),
        ];
        for (sec, date, time, rest, back) in cases {
            let stamp = Stamp::new(Time::seconds(sec));
            assert_eq!((stamp.date.get(), stamp.time.get(), stamp.rest), (date, time, rest), "{sec}");
            assert_eq!(moment(date, time), Some(Time::seconds(back)), "{sec}");
        }
    }

    #[test]
    fn every_day_comes_back() {
        for day in FIRST / DAY..=LAST / DAY {
            let time = Time::seconds(day * DAY + (day * 2_654_435_761 % DAY) / 2 * 2);
            let stamp = Stamp::new(time);
            assert_eq!(moment(stamp.date.get(), stamp.time.get()), Some(time));
        }
    }

    #[test]
    fn days_that_do_not_exist() {
        let date = |year: u16, month: u16, day: u16| (year - 1980) << 9 | month << 5 | day;
        for (date, time) in [
            (0, 0),
            (date(2001, 2, 29), 0),
            (date(2100, 2, 29), 0),
            (date(2000, 13, 1), 0),
            (date(2000, 1, 0), 0),
            (date(2000, 1, 1), 24 << 11),
            (date(2000, 1, 1), 60 << 5),
            (date(2000, 1, 1), 30),
        ] {
            assert_eq!(moment(date, time), None, "{date:#x} {time:#x}");
        }
    }
}
