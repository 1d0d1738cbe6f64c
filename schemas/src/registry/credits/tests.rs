use super::super::tests::events;
use super::super::{Registry, fold};
use super::*;

/// Grants as `partner credit amount priority from..expires/voided`, then what is told, with `!` where it blocks
/// billing.
fn told(registry: &Registry) -> Vec<String> {
    let day = |instant: DateTime<Utc>| instant.format("%m-%d").to_string();
    let grant = |grant: &Grant| {
        let end = grant.expires_at.map(day).unwrap_or_default();
        let voided = grant.voided_at.map(|at| format!("/{}", day(at))).unwrap_or_default();
        format!(
            "{} {} {} {} {}..{end}{voided}",
            grant.partner_id,
            grant.credit_id,
            grant.amount,
            grant.priority,
            day(grant.granted_at)
        )
    };
    let finding = |finding: &super::super::Finding| {
        format!("{}{}", if finding.blocks_billing() { "! " } else { "" }, finding.what)
    };
    registry.credits.values().map(grant).chain(registry.findings.iter().map(finding)).collect()
}

const C: &str = "credit.granted credit_id=c amount=100.5 currency=EUR issuer_id=acme description=Prepaid";

/// Each row: events in any order, and what comes of them.
#[test]
fn grants_are_read_and_voided() {
    let other = C.replace("100.5", "50");
    for (table, wanted) in [
        (format!("01 acme {C}"), &["acme c 100.50 EUR 0 06-01.."][..]),
        (
            format!("05 acme {C} priority=json:-2 effective_at=2026-06-01T00:00:00Z expires_at=2027-06-01T00:00:00Z"),
            &["acme c 100.50 EUR -2 06-01..06-01"],
        ),
        // The same again is the same.
        (
            format!("01 acme {C} effective_at=2026-06-01T00:00:00Z\n 02 acme {C} effective_at=2026-06-01T00:00:00Z"),
            &["acme c 100.50 EUR 0 06-01.."],
        ),
        // Voided: the earliest counts, in whatever order it was said.
        (
            format!("01 acme {C}\n 05 acme credit.voided credit_id=c\n 03 acme credit.voided credit_id=c"),
            &["acme c 100.50 EUR 0 06-01../06-03"],
        ),
        // What contradicts itself, or cannot be read, blocks until it is voided.
        (
            format!("01 acme {C}\n 02 acme {other}"),
            &[
                "acme c 100.50 EUR 0 06-01..",
                "! credit.granted: c was granted before, with other content or to somebody else",
            ],
        ),
        (
            format!("01 acme {C}\n 02 acme {other}\n 03 acme credit.voided credit_id=c"),
            &[
                "acme c 100.50 EUR 0 06-01../06-03",
                "credit.granted: c was granted before, with other content or to somebody else",
            ],
        ),
        (format!("01 acme {}", C.replace("100.5", "100.505")), &["! credit.granted: amount is missing or wrong"]),
        (format!("01 acme {}", C.replace("100.5", "-1")), &["! credit.granted: amount is missing or wrong"]),
        (format!("01 acme {}", C.replace("EUR", "EURO")), &["! credit.granted: currency is missing or wrong"]),
        (format!("01 acme {C} priority=high"), &["! credit.granted: priority is missing or wrong"]),
        (format!("01 acme {C} expires_at=soon"), &["! credit.granted: expires_at is missing or wrong"]),
        (
            format!("01 acme {C} expires_at=soon\n 02 acme credit.voided credit_id=c"),
            &["credit.granted: expires_at is missing or wrong"],
        ),
        ("01 acme credit.voided credit_id=c".to_owned(), &["credit.voided: c was never granted to the partner"]),
        (
            format!("01 acme {C}\n 02 bolt credit.voided credit_id=c"),
            &["acme c 100.50 EUR 0 06-01..", "credit.voided: c was never granted to the partner"],
        ),
    ] {
        assert_eq!(told(&fold(events(&table), None)), wanted, "{table}");
        let twice = [events(&table), events(&table)].concat();
        assert_eq!(told(&fold(twice, None)), wanted, "{table}");
    }
}

/// What ends with a document's period may still pay it.
#[test]
fn a_grant_is_usable_from_its_begin_until_its_end() {
    let registry = fold(events(&format!("05 acme {C} expires_at=2026-07-01T00:00:00Z")), None);
    let grant = registry.credits.values().next().unwrap();
    for (period_end, is_usable) in [
        ("2026-06-05T00:00:00Z", false),
        ("2026-06-30T22:00:00Z", true),
        ("2026-07-01T00:00:00Z", true),
        ("2026-07-01T00:00:01Z", false),
    ] {
        let period_end = crate::period::parse_instant(period_end).unwrap();
        assert_eq!(grant.is_usable(period_end), is_usable, "{period_end}");
        let voided = Grant { expires_at: None, voided_at: grant.expires_at, ..grant.clone() };
        assert_eq!(voided.is_usable(period_end), is_usable, "{period_end}");
    }
}
