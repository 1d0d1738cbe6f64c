use crate::catalog::CatalogFile;
use crate::id::{PartnerId, PlanId, SubscriptionId};
use crate::period::{parse_instant, print_instant};
use crate::registry::{Course, Ending, Term};

use super::*;

const ISSUER: &str = r#"
[[issuer]]
id = "acme"
legal_name = "Acme"
address = []
number_prefix = "A-"
time_zone = "UTC"
payment_terms_days = 14
"#;

/// Plans `length-anchor`; and `changing`, whose version 2 is billed by the year.
fn catalog() -> Catalog {
    let mut text = ISSUER.to_owned();
    let mut plan = |id: &str, version: u32, from: &str, length: &str, anchor: &str| {
        text.push_str(&format!(
            "[[plan]]\nid = \"{id}\"\nversion = {version}\neffective_from = \"{from}\"\nname = \"P\"\nissuer = \"acme\"\n\
             currency = \"EUR\"\nbilling_period = \"{length}\"\nanchor = \"{anchor}\"\n\
             price = [{{ id = \"base\", description = \"Base\", model = \"flat\", amount = \"1\" }}]\n"
        ));
    };
    for length in ["weekly", "monthly", "quarterly", "yearly"] {
        for anchor in ["calendar", "anniversary"] {
            plan(&format!("{length}-{anchor}"), 1, "2020-01-01T00:00:00Z", length, anchor);
        }
    }
    plan("changing", 1, "2026-02-01T00:00:00Z", "monthly", "calendar");
    plan("changing", 2, "2026-04-01T00:00:00Z", "yearly", "calendar");
    Catalog::parse(&[CatalogFile { path: "c.toml".into(), text }]).unwrap()
}

fn instant(text: &str) -> DateTime<Utc> {
    let text = if text.contains('T') { format!("{text}:00Z") } else { format!("{text}T00:00:00Z") };
    parse_instant(&text).unwrap()
}

/// Reads `start..end word=value…`: `first=`, `term=12` or `term=12!` (which does not renew) or `term=12!+1`, `period=`
/// and `ends_term=` for cancellations that wait.
fn subscription(plan: &str, text: &str) -> Subscription {
    let mut words = text.split_whitespace();
    let (start, end) = words.next().unwrap().split_once("..").unwrap();
    let mut course = Course::default();
    for word in words {
        let (key, value) = word.split_once('=').unwrap();
        let ending = |with| Ending { with, at: instant(value), said_at: instant(value) };
        match key {
            "first" => course.first_started_at = Some(instant(value)),
            "period" => course.endings.push(ending(EndsWith::Period)),
            "ends_term" => course.endings.push(ending(EndsWith::Term)),
            _ => {
                let (months, more) = value.split_once('!').map_or((value, None), |(months, more)| (months, Some(more)));
                let renewal = if more.is_some() { Renewal::None } else { Renewal::Automatic };
                let renewal_count =
                    more.and_then(|more| more.strip_prefix('+')).map_or(0, |more| more.parse().unwrap());
                course.term = Some(Term { months: months.parse().unwrap(), renewal, renewal_count });
            }
        }
    }
    Subscription {
        subscription_id: SubscriptionId::parse("s1").unwrap(),
        partner_id: PartnerId::parse("acme").unwrap(),
        plan_id: PlanId::parse(plan).unwrap(),
        time_zone: None,
        started_at: instant(start),
        ended_at: (!end.is_empty()).then(|| instant(end)),
        course,
    }
}

/// Midnights in UTC lose their hour.
fn told(period: Period) -> String {
    let short = |at| {
        let text = print_instant(at).replace(":00Z", "");
        text.strip_suffix("T00:00").map_or(text.clone(), str::to_owned)
    };
    format!("{}..{}", short(period.start), short(period.end))
}

/// One row: plan, zone, subscription, until when, and its periods: what is billed, of which whole where that is
/// another, and the month of the run.
#[test]
fn periods_follow_each_other_from_start_to_end() {
    let catalog = catalog();
    for (plan, zone, text, until, expected) in [
        // As it was before there were other periods.
        (
            "monthly-calendar",
            "UTC",
            "2026-01-20T10:00..2026-03-10",
            "2026-06-01",
            "2026-01-20T10:00..2026-02-01 of 2026-01-01..2026-02-01 in 2026-01; 2026-02-01..2026-03-01 in 2026-02; \
             2026-03-01..2026-03-10 of 2026-03-01..2026-04-01 in 2026-03",
        ),
        // A plan that nobody has is billed by the month, so that its error is told in the right run.
        ("nosuch", "UTC", "2026-01-20..", "2026-02-01", "2026-01-20..2026-02-01 of 2026-01-01..2026-02-01 in 2026-01"),
        // The first period begins with the subscription and is whole; 31 January, 28 February, 31 March.
        (
            "monthly-anniversary",
            "UTC",
            "2026-01-31T10:00..",
            "2026-04-01",
            "2026-01-31T10:00..2026-02-28 in 2026-02; 2026-02-28..2026-03-31 in 2026-03; 2026-03-31..2026-04-30 in 2026-04",
        ),
        // Midnights of Berlin; a period that ends as the month begins is billed in the month before.
        (
            "monthly-anniversary",
            "Europe/Berlin",
            "2026-02-28T23:00..",
            "2026-04-01",
            "2026-02-28T23:00..2026-03-31T22:00 in 2026-03; 2026-03-31T22:00..2026-04-30T22:00 in 2026-04",
        ),
        // A change of plan keeps the anchor: the parts are those of one whole.
        (
            "monthly-anniversary",
            "UTC",
            "2026-02-10.. first=2026-01-20T10:00",
            "2026-03-01",
            "2026-02-10..2026-02-20 of 2026-01-20T10:00..2026-02-20 in 2026-02; 2026-02-20..2026-03-20 in 2026-03",
        ),
        // Four weeks in June's run, the one that straddles its end in July's.
        (
            "weekly-calendar",
            "UTC",
            "2026-05-27..",
            "2026-07-01",
            "2026-05-27..2026-06-01 of 2026-05-25..2026-06-01 in 2026-05; 2026-06-01..2026-06-08 in 2026-06; \
             2026-06-08..2026-06-15 in 2026-06; 2026-06-15..2026-06-22 in 2026-06; 2026-06-22..2026-06-29 in 2026-06; \
             2026-06-29..2026-07-06 in 2026-07",
        ),
        (
            "quarterly-calendar",
            "UTC",
            "2024-05-20..2024-06-20",
            "2024-12-01",
            "2024-05-20..2024-06-20 of 2024-04-01..2024-07-01 in 2024-06",
        ),
        ("quarterly-anniversary", "UTC", "2024-05-20..", "2024-06-01", "2024-05-20..2024-08-20 in 2024-08"),
        // A leap day; a cancellation inside the year is billed in its own month.
        (
            "yearly-anniversary",
            "UTC",
            "2024-02-29..2025-06-30T12:00",
            "2030-01-01",
            "2024-02-29..2025-02-28 in 2025-02; 2025-02-28..2025-06-30T12:00 of 2025-02-28..2026-02-28 in 2025-06",
        ),
        // The version in force when a period begins says how long it is.
        (
            "changing",
            "UTC",
            "2026-01-15..",
            "2026-12-01",
            "2026-01-15..2026-02-01 of 2026-01-01..2026-02-01 in 2026-01; 2026-02-01..2026-03-01 in 2026-02; \
             2026-03-01..2026-04-01 in 2026-03; 2026-04-01..2027-01-01 of 2026-01-01..2027-01-01 in 2026-12",
        ),
        // Cancelled to the end of its period, or of its term.
        (
            "quarterly-calendar",
            "UTC",
            "2026-01-01.. period=2026-02-10",
            "2027-01-01",
            "2026-01-01..2026-04-01 in 2026-03",
        ),
        (
            "yearly-calendar",
            "UTC",
            "2025-01-01.. period=2026-01-01",
            "2030-01-01",
            "2025-01-01..2026-01-01 in 2025-12; 2026-01-01..2027-01-01 in 2026-12",
        ),
        (
            "quarterly-calendar",
            "UTC",
            "2026-01-01..2026-02-20 period=2026-02-10",
            "2027-01-01",
            "2026-01-01..2026-02-20 of 2026-01-01..2026-04-01 in 2026-02",
        ),
        (
            "quarterly-anniversary",
            "UTC",
            "2026-01-31.. term=4 ends_term=2026-06-01",
            "2027-01-01",
            "2026-01-31..2026-04-30 in 2026-04; 2026-04-30..2026-07-31 in 2026-07; \
             2026-07-31..2026-09-30 of 2026-07-31..2026-10-31 in 2026-09",
        ),
        ("monthly-calendar", "UTC", "2026-01-01.. term=1!", "2027-01-01", "2026-01-01..2026-02-01 in 2026-01"),
        (
            "monthly-calendar",
            "UTC",
            "2026-01-01.. term=1!+1",
            "2027-01-01",
            "2026-01-01..2026-02-01 in 2026-01; 2026-02-01..2026-03-01 in 2026-02",
        ),
        // A term renews by itself.
        ("yearly-calendar", "UTC", "2026-01-01.. term=3", "2026-02-01", "2026-01-01..2027-01-01 in 2026-12"),
        ("monthly-calendar", "UTC", "2026-01-05..2026-01-05", "2027-01-01", ""),
    ] {
        let zone = zone.parse().unwrap();
        let subscription = subscription(plan, text);
        let found = periods(&catalog, &subscription, zone, instant(until)).unwrap();
        let each = found.iter().map(|one| {
            let whole = if one.whole == one.billed { String::new() } else { format!(" of {}", told(one.whole)) };
            format!("{}{whole} in {}", told(one.billed), one.month(zone))
        });
        assert_eq!(each.collect::<Vec<_>>().join("; "), expected, "{plan} {text}");
        // Where it ends is where its last period does.
        let end = ends_at(&catalog, &subscription, zone).unwrap();
        let all = periods(&catalog, &subscription, zone, instant("2031-01-01")).unwrap();
        let last = all.last().map(|last| last.billed.end);
        match end {
            Some(end) => assert_eq!(Some(end.max(subscription.started_at)), last.or(subscription.ended_at), "{text}"),
            None => assert!(last >= Some(instant("2031-01-01")), "{text}"),
        }
    }
}

/// The table of `docs/money.md`.
#[test]
fn every_row_of_the_page_is_right() {
    let catalog = catalog();
    let page = include_str!("../../../docs/money.md");
    let (_, section) = page.split_once("## Billing periods").unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let mut count = 0;
    for row in rows.take_while(|line| line.starts_with('|')) {
        let [words, zone, text, until, expected] =
            row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>()[..]
        else {
            panic!("{row}")
        };
        let zone = zone.parse().unwrap();
        let (start, end) = text.trim_start_matches("from ").split_once(" until ").unwrap_or((&text[5..], ""));
        let subscription = subscription(&words.replace(", ", "-"), &format!("{start}..{end}"));
        let found = periods(&catalog, &subscription, zone, instant(until)).unwrap();
        let each = found.iter().map(|one| {
            let days = crate::period::days_of(one.whole, zone);
            let whole = if one.whole == one.billed { String::new() } else { format!(" (of {days} days)") };
            format!("{}{whole} in {}", told(one.billed).replace("..", " to "), one.month(zone))
        });
        assert_eq!(each.collect::<Vec<_>>().join("; "), expected, "{row}");
        count += 1;
    }
    assert_eq!(count, 7);
}
