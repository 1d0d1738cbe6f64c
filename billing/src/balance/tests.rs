use tollbook_schemas::id::{CreditId, IssuerId};
use tollbook_schemas::money::Currency;

use super::*;
use crate::draft::tests::at;

/// One row: begin, expiry, voiding, and what is told in July of a credit of 10.00 of which nothing was used.
#[test]
fn a_credit_says_whether_it_can_be_used() {
    for (granted_at, expires_at, voided_at, expected) in [
        ("2026-01-01", None, None, CreditState::Usable),
        ("2026-08-01", None, None, CreditState::Later),
        ("2026-01-01", Some("2026-07-02"), None, CreditState::Usable),
        ("2026-01-01", Some("2026-07-01"), None, CreditState::Expired),
        ("2026-01-01", Some("2026-06-01"), Some("2026-05-01"), CreditState::Voided),
        ("2026-01-01", None, Some("2026-08-01"), CreditState::Usable),
    ] {
        let credit_id = CreditId::parse("c").unwrap();
        let grant = Grant {
            credit_id: credit_id.clone(),
            partner_id: PartnerId::parse("acme").unwrap(),
            issuer_id: IssuerId::parse("berlin").unwrap(),
            amount: Money { minor: 1000, currency: Currency::parse("EUR").unwrap() },
            description: "C".to_owned(),
            priority: 0,
            granted_at: at(granted_at),
            expires_at: expires_at.map(at),
            voided_at: voided_at.map(at),
        };
        let registry = Registry { credits: [(credit_id, grant)].into(), ..Registry::default() };
        let found = balances(&registry, &[], None, at("2026-07-01")).unwrap();
        let told: Vec<_> = found.iter().map(|one| (one.used.minor, one.left.minor, one.state)).collect();
        assert_eq!(told, [(0, 1000, expected)], "{granted_at} {expires_at:?} {voided_at:?}");
        let others = balances(&registry, &[], Some(&PartnerId::parse("bolt").unwrap()), at("2026-07-01")).unwrap();
        assert!(others.is_empty());
    }
}
