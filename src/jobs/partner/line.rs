//! The lines of a file of partners: text in, events and billing profiles out, or every problem with its file, line
//! and column and what to do.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tollbook_schemas::catalog::Catalog;
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{PartnerId, SubscriptionId};
use tollbook_schemas::lifecycle::LifecycleEvent;
use tollbook_schemas::period::{parse_instant, parse_zone, print_instant};

use super::profile::Profile;
use super::{content, door, event_of};
use crate::configuration::ConfigurationError;

/// One line of the file. A partner may have several: each adds a consumer or a subscription.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    partner_id: String,
    display_name: Option<String>,
    segment: Option<String>,
    registered_at: Option<String>,
    consumer: Option<String>,
    consumer_from: Option<String>,
    environment: Option<String>,
    subscription_id: Option<String>,
    plan_id: Option<String>,
    time_zone: Option<String>,
    subscription_from: Option<String>,
    billing_starts_at: Option<String>,
    opening_meter: Option<String>,
    opening_price: Option<String>,
    opening_quantity: Option<String>,
    profile_from: Option<String>,
    legal_name: Option<String>,
    address: Option<String>,
    country: Option<String>,
    tax_id: Option<String>,
    billing_email: Option<String>,
    purchase_order: Option<String>,
    payment_terms_days: Option<String>,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) events: Vec<LifecycleEvent>,
    pub(super) profiles: Vec<Profile>,
    /// When the file says that each partner registered first.
    registered: BTreeMap<PartnerId, DateTime<Utc>>,
    /// Where the line of each event stands.
    places: Vec<String>,
}

impl Lines {
    /// Where the first line stands that says an event.
    pub(super) fn place_of(&self, event: &LifecycleEvent) -> Option<&str> {
        let says = |other: &LifecycleEvent| {
            (&other.event_type, &other.partner_id, other.occurred_at, &other.data)
                == (&event.event_type, &event.partner_id, event.occurred_at, &event.data)
        };
        self.places.get(self.events.iter().position(says)?).map(String::as_str)
    }
}

/// Longest name of a consumer.
const CONSUMER_LENGTH_MAX: usize = 200;
/// Longest terms of payment.
const TERMS_DAYS_MAX: i32 = 365;

/// Reads a file.
///
/// # Errors
/// [`ConfigurationError`] with one line for each problem.
pub(super) fn read(path: &Path, bytes: &[u8], catalog: &Catalog) -> Result<Lines, ConfigurationError> {
    let mut reading = Reading { catalog, place: String::new(), problems: Vec::new(), lines: Lines::default() };
    let mut once = Once::default();
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let template = "`tollbook partner import --template` prints a file that can be read";
    let unreadable = |number: u64, error: &csv::Error| {
        ConfigurationError(format!("{} line {number} cannot be read ({error}); {template}", path.display()))
    };
    let header = reader.headers().map_err(|error| unreadable(1, &error))?.clone();
    for record in reader.records() {
        let record = record.map_err(|error| unreadable(error.position().map_or(0, csv::Position::line), &error))?;
        let number = record.position().map_or(0, csv::Position::line);
        let line: Line = record.deserialize(Some(&header)).map_err(|error| unreadable(number, &error))?;
        reading.place = format!("{} line {number}", path.display());
        let (events, profiles) = (reading.lines.events.len(), reading.lines.profiles.len());
        reading.line(&line);
        reading.lines.places.resize(reading.lines.events.len(), reading.place.clone());
        let problem = once.check(number, &reading.lines.events[events..], &reading.lines.profiles[profiles..]);
        if let Some((column, problem)) = problem {
            reading.wrong(column, problem);
        }
    }
    if reading.problems.is_empty() {
        return Ok(reading.lines);
    }
    Err(ConfigurationError(reading.problems.join("\n")))
}

/// The first line that says something of a partner and an instant, and what.
type First<P, T> = BTreeMap<(P, DateTime<Utc>), (u64, T)>;

/// What a file may say of a partner only once: two names or two profiles in one file are one too many.
#[derive(Default)]
struct Once {
    registered: First<Option<PartnerId>, Map<String, Value>>,
    profiles: First<PartnerId, Profile>,
}

impl Once {
    fn check(
        &mut self,
        number: u64,
        events: &[LifecycleEvent],
        profiles: &[Profile],
    ) -> Option<(&'static str, String)> {
        for event in events.iter().filter(|event| event.event_type == "registered") {
            let key = (event.partner_id.clone(), event.occurred_at);
            let (first, data) = self.registered.entry(key).or_insert_with(|| (number, event.data.clone()));
            if *data != event.data {
                return Some(("display_name", format!("line {first} has another name or segment for the partner")));
            }
        }
        for profile in profiles {
            let key = (profile.partner_id.clone(), profile.effective_from);
            let (first, other) = self.profiles.entry(key).or_insert_with(|| (number, profile.clone()));
            if other != profile {
                return Some(("legal_name", format!("line {first} has another billing profile for the partner")));
            }
        }
        None
    }
}

struct Reading<'a> {
    catalog: &'a Catalog,
    /// File and line.
    place: String,
    problems: Vec<String>,
    lines: Lines,
}

impl Reading<'_> {
    fn wrong(&mut self, column: &str, what: impl std::fmt::Display) {
        self.problems.push(format!("{}: {what}; correct column {column}", self.place));
    }

    /// Reads one cell; a problem is noted, and an empty cell is none.
    fn cell<T, E: std::fmt::Display>(
        &mut self,
        column: &str,
        cell: Option<&String>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(cell?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(column, error);
                None
            }
        }
    }

    /// A cell that says nothing without another one.
    fn needs(&mut self, cell: Option<&String>, column: &str, is_there: bool, other: &str) {
        if cell.is_some() && !is_there {
            self.wrong(other, format!("{column} says nothing without {other}"));
        }
    }

    fn line(&mut self, line: &Line) {
        let before = self.problems.len();
        let partner = self.cell("partner_id", Some(&line.partner_id), |text| {
            PartnerId::parse(text).map_err(|_| "the partner is missing, or no id of a-z, A-Z, 0-9, '_', '.', '-'")
        });
        let registered_at = self.cell("registered_at", line.registered_at.as_ref(), parse_instant);
        let consumer_from = self.cell("consumer_from", line.consumer_from.as_ref(), parse_instant);
        let subscription_from = self.cell("subscription_from", line.subscription_from.as_ref(), parse_instant);
        let billing_starts_at = self.cell("billing_starts_at", line.billing_starts_at.as_ref(), parse_instant);
        let profile_from = self.cell("profile_from", line.profile_from.as_ref(), parse_instant);
        self.cell("consumer", line.consumer.as_ref(), consumer);
        self.cell("environment", line.environment.as_ref(), content::environment);
        self.cell("subscription_id", line.subscription_id.as_ref(), |text| SubscriptionId::parse(text));
        let catalog = self.catalog;
        self.cell("plan_id", line.plan_id.as_ref(), |text| content::plan(text, catalog));
        self.cell("time_zone", line.time_zone.as_ref(), parse_zone);
        self.cell("opening_meter", line.opening_meter.as_ref(), |text| content::meter(text, catalog));
        self.cell("opening_price", line.opening_price.as_ref(), |text| content::price(text, catalog));
        self.cell("opening_quantity", line.opening_quantity.as_ref(), |text| text.parse::<Decimal>());
        for (column, cell) in [
            ("display_name", &line.display_name),
            ("segment", &line.segment),
            ("legal_name", &line.legal_name),
            ("tax_id", &line.tax_id),
            ("purchase_order", &line.purchase_order),
        ] {
            self.cell(column, cell.as_ref(), content::printed);
        }
        // Its lines are lines.
        self.cell("address", line.address.as_ref(), |text| text.lines().try_for_each(content::printed));
        let (registers, links) = (line.registered_at.is_some(), line.consumer.is_some());
        let (subscribes, bills) = (line.subscription_id.is_some(), line.legal_name.is_some());
        self.needs(line.display_name.as_ref(), "display_name", registers, "registered_at");
        self.needs(line.segment.as_ref(), "segment", registers, "registered_at");
        self.needs(line.consumer_from.as_ref(), "consumer_from", links, "consumer");
        self.needs(line.environment.as_ref(), "environment", links, "consumer");
        self.needs(line.consumer.as_ref(), "consumer", line.consumer_from.is_some() || registers, "consumer_from");
        self.needs(line.plan_id.as_ref(), "plan_id", subscribes, "subscription_id");
        self.needs(line.time_zone.as_ref(), "time_zone", subscribes, "subscription_id");
        // A profile holds from this instant too.
        self.needs(line.subscription_from.as_ref(), "subscription_from", subscribes || bills, "subscription_id");
        // A line may name a subscription of another line, for its openings alone.
        let opens = line.opening_quantity.is_some();
        let subscription = line.subscription_id.as_ref().filter(|_| !opens || line.plan_id.is_some());
        self.needs(subscription, "subscription_id", line.plan_id.is_some(), "plan_id");
        let starts = line.subscription_from.is_some();
        self.needs(subscription, "subscription_id", starts, "subscription_from");
        let of = line.opening_meter.as_ref().or(line.opening_price.as_ref());
        self.needs(line.opening_quantity.as_ref(), "opening_quantity", of.is_some(), "opening_meter");
        self.needs(line.opening_quantity.as_ref(), "opening_quantity", subscribes, "subscription_id");
        self.needs(
            line.opening_quantity.as_ref(),
            "opening_quantity",
            billing_starts_at.is_some(),
            "billing_starts_at",
        );
        self.needs(line.opening_meter.as_ref(), "opening_meter", opens, "opening_quantity");
        self.needs(line.opening_price.as_ref(), "opening_price", opens, "opening_quantity");
        if line.opening_meter.is_some() && line.opening_price.is_some() {
            self.wrong("opening_price", "an opening is of a meter or of a flat price, not of both: write two lines");
        }
        for (column, cell) in [
            ("address", &line.address),
            ("country", &line.country),
            ("tax_id", &line.tax_id),
            ("billing_email", &line.billing_email),
            ("purchase_order", &line.purchase_order),
            ("payment_terms_days", &line.payment_terms_days),
            ("profile_from", &line.profile_from),
        ] {
            self.needs(cell.as_ref(), column, bills, "legal_name");
        }
        let goes_live = line.billing_starts_at.is_some();
        if !(registers || links || subscribes || bills || goes_live) && self.problems.len() == before {
            self.wrong("registered_at", "the line says nothing of the partner");
        }
        let Some(partner) = partner else { return };
        let profile = line.legal_name.as_ref().and_then(|legal_name| {
            self.profile(line, &partner, legal_name, profile_from.or(registered_at).or(subscription_from))
        });
        if self.problems.len() > before {
            return;
        }
        self.lines.profiles.extend(profile);
        if let Some(at) = registered_at {
            self.lines.registered.entry(partner.clone()).or_insert(at);
        }
        let data = json!({ "display_name": line.display_name, "segment": line.segment });
        self.event("registered", registered_at, &partner, data, "registered_at");
        if let Some(consumer) = &line.consumer {
            let data = json!({ "system": "gateway", "external_id": consumer, "environment": line.environment });
            self.event("identity.linked", consumer_from.or(registered_at), &partner, data, "consumer");
        }
        if let Some(subscription) = &line.subscription_id {
            let data = json!({ "subscription_id": subscription, "plan_id": line.plan_id, "time_zone": line.time_zone });
            self.event("subscription.started", subscription_from, &partner, data, "subscription_id");
        }
        if let Some(starts_at) = billing_starts_at {
            let data = json!({ "billing_starts_at": print_instant(starts_at) });
            // Said once and for all, so that of a file that was edited the last word holds, whichever instant it names.
            let at = self.lines.registered.get(&partner).copied().or(Some(starts_at));
            self.event("billing.started", at, &partner, data, "billing_starts_at");
        }
        if let Some(quantity) = &line.opening_quantity {
            let data = json!({ "subscription_id": line.subscription_id, "meter_id": line.opening_meter,
                "price_id": line.opening_price, "quantity": quantity });
            let at = self.lines.registered.get(&partner).copied().or(billing_starts_at);
            self.event("opening.recorded", at, &partner, data, "opening_quantity");
        }
    }

    /// Adds an event where there is an instant.
    fn event(&mut self, kind: &str, at: Option<DateTime<Utc>>, partner: &PartnerId, data: Value, column: &str) {
        let (Some(at), Value::Object(data)) = (at, data) else { return };
        let data = data.into_iter().filter(|(_, value)| !value.is_null()).collect();
        match event_of(door::IMPORT, kind, at, partner.as_str(), "system:import", data) {
            Ok(event) => self.lines.events.push(event),
            Err(problem) => self.wrong(column, problem),
        }
    }

    fn profile(
        &mut self,
        line: &Line,
        partner: &PartnerId,
        legal_name: &str,
        from: Option<DateTime<Utc>>,
    ) -> Option<Profile> {
        let before = self.problems.len();
        for (column, cell) in [
            ("address", &line.address),
            ("country", &line.country),
            ("billing_email", &line.billing_email),
            ("payment_terms_days", &line.payment_terms_days),
        ] {
            if cell.is_none() {
                self.wrong(column, format!("a billing profile needs {column}"));
            }
        }
        if line.registered_at.is_none() && line.subscription_from.is_none() && line.profile_from.is_none() {
            self.wrong(
                "profile_from",
                "a billing profile needs profile_from, registered_at or subscription_from, from when it holds",
            );
        }
        let country = self.cell("country", line.country.as_ref(), country);
        let billing_email = self.cell("billing_email", line.billing_email.as_ref(), email);
        let payment_terms_days = self.cell("payment_terms_days", line.payment_terms_days.as_ref(), terms);
        if self.problems.len() > before {
            return None;
        }
        Some(Profile {
            partner_id: partner.clone(),
            effective_from: from?,
            legal_name: legal_name.to_owned(),
            address: line.address.as_ref()?.replace("\\n", "\n"),
            country: country?,
            tax_id: line.tax_id.clone(),
            billing_email: billing_email?,
            purchase_order: line.purchase_order.clone(),
            payment_terms_days: payment_terms_days?,
        })
    }
}

fn consumer(text: &str) -> Result<(), String> {
    if text.len() <= CONSUMER_LENGTH_MAX && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!("a consumer's name has up to {CONSUMER_LENGTH_MAX} printable characters"))
}

fn country(text: &str) -> Result<String, &'static str> {
    let is_code = text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
    if is_code { Ok(text.to_owned()) } else { Err("country must be two capital letters, such as DE") }
}

fn email(text: &str) -> Result<String, &'static str> {
    let is_address = text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
        && !text.contains(char::is_whitespace);
    // The address itself is not told: messages end in logs.
    if is_address { Ok(text.to_owned()) } else { Err("billing_email is no address such as billing@example.org") }
}

fn terms(text: &str) -> Result<i32, String> {
    text.parse::<i32>()
        .ok()
        .filter(|days| (0..=TERMS_DAYS_MAX).contains(days))
        .ok_or_else(|| format!("payment_terms_days must be a whole number of days from 0 to {TERMS_DAYS_MAX}"))
}
