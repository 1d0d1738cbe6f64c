//! One document once more. Of the stored one it takes only what says which document it is and what it stands on: issuer,
//! partner, currency, month, pin, catalog, billing profile. Everything else comes from the raw rows, the registry at the
//! pin and the kept catalog.

use std::collections::BTreeMap;

use tollbook_schemas::catalog::{Catalog, Meter, Price};
use tollbook_schemas::id::{MeterId, PartnerId};
use tollbook_schemas::meter::Aggregation;
use tollbook_schemas::money::Currency;
use tollbook_schemas::period::{Month, Period, print_instant};
use tollbook_schemas::registry::{LinkSystem, Registry};

use crate::compare::Difference;
use crate::document::{Body, IssuedBy, Line};
use crate::error::VerifyError;
use crate::evidence::{Evidence, Kept, Pins};
use crate::number::Ratio;
use crate::owner::Links;
use crate::rating::{Used, price};
use crate::raw::{self, Question};
use crate::spans::{Span, spans_of};
use crate::stored::{Stored, check_number};
use crate::usage::{Origin, Usage};

/// The form of a document that this program writes.
const FORMAT: u32 = 1;

/// A document as re-derived.
pub(crate) struct Rederived {
    pub(crate) body: Body,
    /// What was found on the way: a kept catalog that is not what it was, a number that the issuer does not give.
    pub(crate) found: Vec<Difference>,
    /// Rows of `access_log` that it was made from.
    pub(crate) rows_read: usize,
}

/// What a document cannot be re-derived for.
pub(crate) enum Stopped {
    /// The lake cannot be read.
    Lake(VerifyError),
    /// What is missing or wrong, in words.
    Here(Difference),
}

impl From<VerifyError> for Stopped {
    fn from(error: VerifyError) -> Self {
        Self::Lake(error)
    }
}

impl From<Difference> for Stopped {
    fn from(difference: Difference) -> Self {
        Self::Here(difference)
    }
}

/// Which document it is.
struct Place {
    partner_id: PartnerId,
    currency: Currency,
    month: Month,
}

impl Place {
    fn of(stored: &Stored) -> Result<Self, Difference> {
        let wrong = |key: &str| Difference::told(key, "it cannot be read");
        Ok(Self {
            partner_id: PartnerId::parse(stored.text_of("partner_id")).map_err(|_| wrong("partner_id"))?,
            currency: Currency::parse(stored.text_of("currency")).map_err(|_| wrong("currency"))?,
            month: stored.text_of("month").parse().map_err(|_| wrong("month"))?,
        })
    }
}

/// Re-derives a document.
///
/// # Errors
/// [`Stopped`].
pub(crate) async fn rederive(evidence: &mut Evidence<'_>, stored: &Stored) -> Result<Rederived, Stopped> {
    let place = Place::of(stored)?;
    let pins = Pins::read(stored.text_of("pin"))?;
    let tables = [
        (&tollbook_schemas::tables::access_log::TABLE, &pins.access),
        (&tollbook_schemas::tables::partner_event::TABLE, &pins.events),
    ];
    for (table, pin) in tables {
        if let Some(beyond) = evidence.beyond(table, pin).await? {
            return Err(beyond.into());
        }
    }
    let kept = evidence.catalog(stored.text_of("catalog_sha256")).await??;
    let Kept { catalog, damage } = kept.as_ref();
    let registry = evidence.registry(&pins.events).await?;
    let issuer = catalog.issuers.iter().find(|(id, _)| id.as_str() == stored.issuer_id());
    let (issuer_id, issuer) =
        issuer.ok_or_else(|| Difference::told("issuer", format!("the catalog has none {}", stored.issuer_id())))?;
    let mut found: Vec<Difference> =
        damage.iter().cloned().chain(check_number(stored, &issuer.number_prefix)).collect();

    let wrong = |what: String| Stopped::Here(Difference::told("document", what));
    let spans = spans_of(&registry, catalog, &place.partner_id, place.month).map_err(wrong)?;
    let own = |span: &&Span<'_>| span.version.issuer == *issuer_id && span.version.currency == place.currency;
    let spans: Vec<&Span<'_>> = spans.iter().filter(own).collect();
    let start = spans.iter().map(|span| span.month.start).min();
    let end = spans.iter().map(|span| span.month.end).max();
    let (Some(start), Some(end)) = (start, end) else {
        return Err(wrong("no subscription of the partner is billed in the month".to_owned()));
    };
    let metering = Metering::of(evidence, catalog, &registry, &place.partner_id, &pins, &spans).await?;
    let mut lines = Vec::new();
    for span in &spans {
        for price in &span.version.prices {
            let line = line_of(catalog, &metering.usage, span, price, lines.len() + 1, place.currency);
            let told = |what| Difference::told("line", what).of_line(number_of(lines.len() + 1), &price.description);
            lines.push(line.map_err(told)?);
        }
    }
    let profile_version_id = stored.text_of("profile_version_id");
    let profile = evidence.profile(profile_version_id).await?;
    let profile = profile.filter(|row| row.text("partner_id") == Some(place.partner_id.as_str()));
    let Some(profile) = profile else {
        let what = format!("the partner has no billing profile {profile_version_id}; import it again");
        return Err(Difference::told("profile_version_id", what).into());
    };
    let issued_at = stored.event.instant("at");
    if profile.instant("effective_from") > issued_at {
        found.push(Difference::told("profile_version_id", "the profile was not in force when the invoice was issued"));
    }
    let total_minor = lines.iter().try_fold(0_i64, |sum, line| sum.checked_add(line.amount_minor));
    let body = Body {
        catalog_sha256: catalog.sha256.clone(),
        currency: place.currency.code().to_owned(),
        format: FORMAT,
        issuer: IssuedBy {
            address: issuer.address.clone(),
            issuer_id: issuer_id.to_string(),
            legal_name: issuer.legal_name.clone(),
            tax_id: issuer.tax_id.clone(),
        },
        lines,
        month: place.month.to_string(),
        partner_id: place.partner_id.to_string(),
        payment_terms_days: profile.int("payment_terms_days").unwrap_or_default(),
        period_end: print_instant(end),
        period_start: print_instant(start),
        pin: stored.text_of("pin").to_owned(),
        profile_version_id: profile_version_id.to_owned(),
        total_minor: total_minor.ok_or_else(|| wrong("the lines do not add up in 63 bits".to_owned()))?,
    };
    Ok(Rederived { body, found, rows_read: metering.rows_read })
}

fn number_of(place: usize) -> u64 {
    u64::try_from(place).unwrap_or(u64::MAX)
}

/// The usage of every meter that some spans of one partner are billed by.
struct Metering<'a> {
    usage: BTreeMap<&'a MeterId, Usage<'a>>,
    rows_read: usize,
}

impl<'a> Metering<'a> {
    async fn of(
        evidence: &Evidence<'_>,
        catalog: &'a Catalog,
        registry: &'a Registry,
        partner_id: &'a PartnerId,
        pins: &Pins,
        spans: &[&Span<'a>],
    ) -> Result<Self, Stopped> {
        let mut meters: BTreeMap<&MeterId, &Meter> = BTreeMap::new();
        for price in spans.iter().flat_map(|span| &span.version.prices) {
            let Some(id) = &price.meter else { continue };
            let known = catalog.meters.get_key_value(id);
            let (id, meter) =
                known.ok_or_else(|| Difference::told("meter_id", format!("the catalog has no meter {id}")))?;
            meters.insert(id, meter);
        }
        let start = spans.iter().map(|span| span.billed.start).min();
        let end = spans.iter().map(|span| span.billed.end).max();
        let (Some(start), Some(end), false) = (start, end, meters.is_empty()) else {
            return Ok(Self { usage: BTreeMap::new(), rows_read: 0 });
        };
        let links = Links::of(registry);
        let question = Question {
            pin: &pins.access,
            consumers: links.names(LinkSystem::Consumer, partner_id),
            credentials: links.names(LinkSystem::Credential, partner_id),
            span: Period { start, end },
            with_all_before: meters.values().any(|meter| meter.aggregation == Aggregation::TimeWeighted),
            meters: meters.values().copied().collect(),
        };
        let rows = raw::read(evidence.lake, &question).await?;
        let origin = Origin::of(catalog, registry, partner_id, &rows);
        let usage =
            meters.iter().enumerate().map(|(at, (id, meter))| (*id, Usage::of(&origin, partner_id, at, id, meter)));
        Ok(Self { usage: usage.collect(), rows_read: rows.deliveries.len() })
    }
}

fn line_of(
    catalog: &Catalog,
    usage: &BTreeMap<&MeterId, Usage<'_>>,
    span: &Span<'_>,
    priced: &Price,
    line_number: usize,
    currency: Currency,
) -> Result<Line, String> {
    let (used, days, unit) = match &priced.meter {
        None => (Used { quantity: Ratio::whole(1), event_count: None, groups: None }, Vec::new(), None),
        Some(id) => {
            let measured = usage.get(id).ok_or_else(|| format!("no usage of meter {id}"))?.measure(span.billed)?;
            (measured.used, measured.days, catalog.meters.get(id).map(|meter| meter.unit.clone()))
        }
    };
    let (amount_minor, working) = price(&priced.tariff, &used, currency)?;
    Ok(Line {
        amount_minor,
        description: priced.description.clone(),
        line_number,
        meter_id: priced.meter.as_ref().map(ToString::to_string),
        plan_id: span.subscription.plan_id.to_string(),
        plan_version: span.version.version,
        price_id: priced.price_id.to_string(),
        price_model: priced.tariff.model.as_str().to_owned(),
        quantity: used.quantity.text(),
        span_end: print_instant(span.billed.end),
        span_start: print_instant(span.billed.start),
        subscription_id: span.subscription.subscription_id.to_string(),
        unit,
        usage: days,
        working,
    })
}
