//! The usage of one meter and partner, from its requests: slices as `usage` would have them, and what a span of time
//! comes to. Only what is of production is looked at (I8).
//!
//! A slice is there where a delivery passed the meter's filter, also where it came again or was left out by a rule:
//! such a slice counts nothing and is part of the evidence all the same.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use tollbook_schemas::catalog::{Catalog, Meter};
use tollbook_schemas::digest::{sha256_hex, sha256_parts};
use tollbook_schemas::id::{MeterId, PartnerId};
use tollbook_schemas::meter::{Aggregation, Exclusion};
use tollbook_schemas::period::{Period, hour_of, print_instant};
use tollbook_schemas::registry::{Environment, Registry};

use crate::deliveries::{Standing, Verdicts};
use crate::document::BilledDay;
use crate::known::Known;
use crate::meter::{Seen, in_order, level_after, quantity, state_json};
use crate::number::{Ratio, read_value};
use crate::owner::{Links, Products};
use crate::rating::{Dimensions, Used};
use crate::raw::Request;
use crate::slices::Cuts;

/// A delivery of the partner in production that passed the meter's filter.
struct Passed<'a> {
    request: &'a Request,
    product: &'a str,
    dimensions: Dimensions,
    value: Option<&'a str>,
    is_counted: bool,
}

/// What orders slices: product, dimensions, start.
type SliceKey = (String, Dimensions, DateTime<Utc>);

/// One slice.
struct Slice {
    end: DateTime<Utc>,
    /// Requests that count.
    events: i64,
    /// Those of them that have a value.
    seen: Vec<Seen>,
}

/// What is folded as one: of a level, all with the same values of dimensions.
#[derive(Default)]
struct Series<'a> {
    events: i64,
    seen: Vec<&'a Seen>,
    /// Before the span.
    earlier: Vec<&'a Seen>,
}

/// The usage of one meter and partner.
pub(crate) struct Usage<'a> {
    meter_id: &'a MeterId,
    meter: &'a Meter,
    partner_id: &'a PartnerId,
    slices: BTreeMap<SliceKey, Slice>,
}

/// What a span comes to.
pub(crate) struct Measured {
    pub(crate) used: Used,
    pub(crate) days: Vec<BilledDay>,
}

/// A delivery that is the partner's, in production, and there.
struct Judged<'a> {
    request: &'a Request,
    product: &'a str,
    is_counted: bool,
}

/// Where usage comes from: the deliveries of one partner, each judged once.
pub(crate) struct Origin<'a> {
    catalog: &'a Catalog,
    registry: &'a Registry,
    partner_id: &'a PartnerId,
    judged: Vec<Judged<'a>>,
    /// Where time ends: behind the last request.
    until: DateTime<Utc>,
}

/// By what deliveries are judged.
pub(crate) struct Judge<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) known: &'a Known,
    pub(crate) links: Links<'a>,
    pub(crate) products: Products<'a>,
    pub(crate) verdicts: Verdicts<'a>,
}

impl<'a> Origin<'a> {
    /// Whose they are.
    pub(crate) fn partner_id(&self) -> &'a PartnerId {
        self.partner_id
    }

    /// Judges what may be a partner's.
    pub(crate) fn of(judge: &Judge<'a>, partner_id: &'a PartnerId, claimed: &[&'a Request]) -> Self {
        let Judge { catalog, known, links, products, verdicts } = judge;
        let registry = known.of_one(partner_id);
        let judge = |request: &&'a Request| {
            let standing = verdicts.standing(request);
            let is_theirs = links.owner(request) == Some((partner_id, Environment::Production));
            let is_counted = standing == Standing::Counted;
            let product = products.product_of(request);
            (is_theirs && standing != Standing::Absent).then_some(Judged { request, product, is_counted })
        };
        let judged = claimed.iter().filter_map(judge).collect();
        let last = claimed.iter().map(|request| request.at).max().unwrap_or_default();
        Self { catalog, registry, partner_id, judged, until: hour_of(last) + TimeDelta::hours(1) }
    }
}

impl<'a> Usage<'a> {
    /// Counts the requests of the origin's partner. `at` is the meter's place among those that were asked for.
    pub(crate) fn of(origin: &Origin<'a>, at: usize, meter_id: &'a MeterId, meter: &'a Meter) -> Self {
        let mut passed = Vec::new();
        for Judged { request, product, is_counted } in &origin.judged {
            let Some(metered) = request.metered.get(at).filter(|metered| metered.passes) else { continue };
            let of_product = meter.product.as_ref().is_none_or(|wanted| wanted.as_str() == *product);
            // What has no value does not count for a meter of values.
            let has_value = meter.value.is_none() || metered.value.is_some();
            if !of_product || !has_value {
                continue;
            }
            let dimensions = meter.group_by.keys().zip(&metered.dimensions);
            passed.push(Passed {
                request,
                product,
                dimensions: dimensions
                    .filter_map(|(name, value)| Some((name.clone(), value.as_deref()?.to_owned())))
                    .collect(),
                value: metered.value.as_deref(),
                is_counted: *is_counted,
            });
        }
        leave_out(&mut passed, meter, origin);
        let mut cuts = Cuts::of(origin.registry, origin.catalog, origin.partner_id, origin.until);
        let mut slices: BTreeMap<SliceKey, Slice> = BTreeMap::new();
        for one in passed {
            let Period { start, end } = cuts.slice(one.request.at);
            let key = (one.product.to_owned(), one.dimensions, start);
            let slice = slices.entry(key).or_insert_with(|| Slice { end, events: 0, seen: Vec::new() });
            if !one.is_counted {
                continue;
            }
            slice.events += 1;
            let number = match (meter.aggregation.takes_number(), one.value) {
                (true, value) => value.and_then(read_value).filter(|number| *number >= 0 || meter.allow_negative),
                (false, value) => value.map(|_| 0),
            };
            if let (Some(text), Some(number)) = (one.value, number) {
                let (at, place) = (one.request.at, one.request.place.clone());
                slice.seen.push(Seen { at, place, text: text.to_owned(), number });
            }
        }
        Self { meter_id, meter, partner_id: origin.partner_id, slices }
    }

    /// What some times come to together, with their evidence by UTC day.
    ///
    /// # Errors
    /// What cannot be said, in words.
    pub(crate) fn measure(&self, times: &[Period]) -> Result<Measured, String> {
        let mut slices: Vec<(&SliceKey, &Slice)> = Vec::new();
        for (key, slice) in &self.slices {
            let own = Period { start: key.2, end: slice.end };
            let Some(time) = times.iter().find(|time| time.intersect(&own).is_some()) else { continue };
            if own.start < time.start || own.end > time.end {
                return Err(format!("usage of meter {} at {own} lies across the edge of {time}", self.meter_id));
            }
            slices.push((key, slice));
        }
        let days: BTreeSet<_> = slices.iter().map(|(key, _)| key.2.date_naive()).collect();
        let mut billed = Vec::new();
        for event_date in days {
            let of_day: Vec<_> = slices.iter().filter(|(key, _)| key.2.date_naive() == event_date).copied().collect();
            let start = event_date.and_time(NaiveTime::MIN).and_utc();
            let day = Period { start, end: start + TimeDelta::days(1) };
            let of_times: Vec<Period> = times.iter().filter_map(|time| time.intersect(&day)).collect();
            let mut parts = Vec::new();
            for (key, slice) in &of_day {
                parts.extend(self.parts(key, slice)?);
            }
            billed.push(BilledDay {
                event_count: of_day.iter().map(|(_, slice)| slice.events).sum(),
                event_date,
                quantity: self.fold(&of_day, &of_times)?.text(),
                slice_count: of_day.len(),
                usage_sha256: sha256_hex(&sha256_parts(parts)),
            });
        }
        let whole = self.fold(&slices, times)?;
        let valued: usize = slices.iter().map(|(_, slice)| slice.seen.len()).sum();
        let events: i64 = slices.iter().map(|(_, slice)| slice.events).sum();
        let event_count = match self.meter.aggregation.takes_number() {
            true => i64::try_from(valued).map_err(|_| "too many requests")?,
            false => events,
        };
        let adds_up = matches!(self.meter.aggregation, Aggregation::Count | Aggregation::Sum);
        let groups = (adds_up && !self.meter.group_by.is_empty()).then(|| self.groups(&slices, times)).transpose()?;
        let amounts = (self.meter.aggregation == Aggregation::SumByEvent).then(|| {
            let seen: Vec<&Seen> = slices.iter().flat_map(|(_, slice)| &slice.seen).collect();
            in_order(&seen).into_iter().map(|one| Ratio::unscaled(one.number)).collect()
        });
        let used = Used { event_count: Some(event_count), amounts, groups, ..Used::of(whole) };
        Ok(Measured { used, days: billed })
    }

    /// The quantity by dimensions, of what has a value.
    fn groups(&self, slices: &[(&SliceKey, &Slice)], times: &[Period]) -> Result<BTreeMap<Dimensions, Ratio>, String> {
        let takes_number = self.meter.aggregation.takes_number();
        let counts = |slice: &Slice| if takes_number { !slice.seen.is_empty() } else { slice.events > 0 };
        let valued: Vec<_> = slices.iter().filter(|(_, slice)| counts(slice)).copied().collect();
        // What a request does not tell counts as the empty text.
        let whole = |told: &Dimensions| -> Dimensions {
            self.meter.group_by.keys().map(|name| (name.clone(), told.get(name).cloned().unwrap_or_default())).collect()
        };
        let all: BTreeSet<Dimensions> = valued.iter().map(|(key, _)| whole(&key.1)).collect();
        let group = |dimensions: Dimensions| {
            let own: Vec<_> = valued.iter().filter(|(key, _)| whole(&key.1) == dimensions).copied().collect();
            let quantity = self.fold(&own, times)?;
            Ok((dimensions, quantity))
        };
        all.into_iter().map(group).collect()
    }

    /// The quantity of some slices over some times. What a level comes to depends on how long it held, so that each
    /// time counts by itself; of anything else all slices are one.
    fn fold(&self, slices: &[(&SliceKey, &Slice)], times: &[Period]) -> Result<Ratio, String> {
        let (Some(first), Some(last)) = (times.first(), times.last()) else { return Ok(Ratio::whole(0)) };
        if self.meter.aggregation != Aggregation::TimeWeighted {
            return self.fold_one(slices, Period { start: first.start, end: last.end });
        }
        let mut sum = Ratio::whole(0);
        for time in times {
            let inside = |(key, slice): &&(&SliceKey, &Slice)| key.2 < time.end && slice.end > time.start;
            let inside: Vec<_> = slices.iter().filter(inside).copied().collect();
            sum = &sum + &self.fold_one(&inside, *time)?;
        }
        Ok(sum)
    }

    /// The quantity of some slices over one time: of a level one for each combination of dimensions, added up; of
    /// anything else one over all.
    fn fold_one(&self, slices: &[(&SliceKey, &Slice)], span: Period) -> Result<Ratio, String> {
        let is_level = matches!(self.meter.aggregation, Aggregation::Latest | Aggregation::TimeWeighted);
        let nothing = Dimensions::new();
        let series_of = |key: &'_ SliceKey| if is_level { key.1.clone() } else { nothing.clone() };
        let mut series: BTreeMap<Dimensions, Series<'_>> = BTreeMap::new();
        for (key, slice) in slices {
            let one = series.entry(series_of(key)).or_default();
            one.events += slice.events;
            one.seen.extend(&slice.seen);
        }
        // What held when the span began goes on, also of what is not heard of in it.
        if self.meter.aggregation == Aggregation::TimeWeighted {
            for (key, slice) in self.slices.iter().filter(|(_, slice)| slice.end <= span.start) {
                series.entry(series_of(key)).or_default().earlier.extend(&slice.seen);
            }
        }
        let mut sum = Ratio::whole(0);
        for Series { events, seen, earlier } in series.into_values() {
            sum = &sum + &quantity(self.meter.aggregation, &seen, events, span, &level_after(&earlier))?;
        }
        Ok(sum)
    }

    /// A slice as the evidence hashes it.
    fn parts(&self, key: &SliceKey, slice: &Slice) -> Result<Vec<String>, String> {
        let (product, dimensions, start) = key;
        let seen: Vec<&Seen> = slice.seen.iter().collect();
        let span = Period { start: *start, end: slice.end };
        let aggregation = self.meter.aggregation;
        let own = quantity(aggregation, &seen, slice.events, span, &Ratio::whole(0))?;
        let mut parts = vec![self.meter_id.to_string(), self.partner_id.to_string(), "production".to_owned()];
        parts.extend([product.clone(), dimensions.len().to_string()]);
        parts.extend(dimensions.iter().flat_map(|(name, value)| [name.clone(), value.clone()]));
        parts.extend([print_instant(*start), print_instant(slice.end), own.text()]);
        parts.extend([state_json(aggregation, &seen)?, slice.events.to_string()]);
        Ok(parts)
    }
}

/// Takes the requests that a rule of the meter leaves out of the count.
fn leave_out(passed: &mut [Passed<'_>], meter: &Meter, origin: &Origin<'_>) {
    let partner = origin.registry.partners.get(origin.partner_id);
    let (is_internal, is_test) = partner.map_or((false, false), |partner| (partner.is_internal, partner.is_test));
    for rule in &meter.exclude {
        for one in passed.iter_mut() {
            let tag = one.request.client_tag.as_deref();
            let is_out = match rule {
                Exclusion::HealthChecks => {
                    let paths = ["/health", "/healthz", "/livez", "/readyz", "/status", "/ping"];
                    tag == Some("health_check") || one.request.path.as_deref().is_some_and(|path| paths.contains(&path))
                }
                Exclusion::CacheHits => {
                    one.request.cache_status.as_deref().is_some_and(|is| is.to_lowercase() == "hit")
                }
                Exclusion::TryIt => tag == Some("try_it"),
                Exclusion::InternalPartners => is_internal,
                Exclusion::TestPartners => is_test,
                // Behind all others: what they leave out is no first attempt.
                Exclusion::Retries => false,
            };
            one.is_counted &= !is_out;
        }
    }
    if meter.exclude.contains(&Exclusion::Retries) {
        // In the order in which they were tried; the first one with its key in its hour counts.
        passed
            .sort_by(|one, other| (one.request.at, &one.request.place).cmp(&(other.request.at, &other.request.place)));
        let mut tried = BTreeSet::new();
        for one in passed.iter_mut().filter(|one| one.is_counted) {
            if let Some(key) = &one.request.idempotency_key_hash {
                one.is_counted = tried.insert((key, hour_of(one.request.at)));
            }
        }
    }
}
