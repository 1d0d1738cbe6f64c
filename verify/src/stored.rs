//! What was issued: the text of a document with the event that made it an invoice, and whether everything that the lake
//! keeps beside the text says the same. Nothing stored is believed: ids are derived anew, rows are compared with the
//! text.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tollbook_lake::{Lake, as_text};
use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::id::{InvoiceId, LineId, SlotId};
use tollbook_schemas::period::parse_instant;
use tollbook_schemas::tables::billing::{BILLED_USAGE, INVOICE, INVOICE_EVENT, INVOICE_LINE};
use tollbook_schemas::tables::{Row, Table, Value as Cell};

use crate::Wanted;
use crate::compare::Difference;
use crate::error::VerifyError;

/// The JSON object of a document or line.
pub(crate) type Object = Map<String, Value>;

/// An issued invoice as stored.
pub(crate) struct Stored {
    /// As the row has it.
    pub(crate) invoice_id: String,
    pub(crate) text: String,
    pub(crate) body: Object,
    pub(crate) row: Row,
    /// The `issued` event.
    pub(crate) event: Row,
}

impl Stored {
    /// A text of the document; empty where it has none.
    pub(crate) fn text_of(&self, key: &str) -> &str {
        self.body.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The issuer that the document names.
    pub(crate) fn issuer_id(&self) -> &str {
        self.body.get("issuer").and_then(|issuer| issuer.get("issuer_id")?.as_str()).unwrap_or_default()
    }

    /// Its printed lines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Object> {
        self.body.get("lines").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
    }

    /// The versions of billing profiles that it names: the one that is billed, and those that chose a tax rate.
    pub(crate) fn profile_ids(&self) -> impl Iterator<Item = &str> {
        let of_tax = self.lines().filter_map(|line| line.get("tax")?.get("profile_version_id")?.as_str());
        let all: BTreeSet<&str> = of_tax.chain([self.text_of("profile_version_id")]).collect();
        all.into_iter()
    }

    /// Whether an invoice was voided at Stripe before this document was issued.
    pub(crate) fn came_after_voiding(&self, voided: &HashMap<String, DateTime<Utc>>, invoice_id: &str) -> bool {
        let issued_at = self.event.instant("at");
        voided.get(invoice_id).is_some_and(|at| issued_at.is_none_or(|issued| *at <= issued))
    }

    pub(crate) fn number(&self) -> &str {
        self.event.text("number").unwrap_or_default()
    }
}

/// Everything that was issued, as its events tell it.
pub(crate) struct Issued {
    pub(crate) events: Vec<Row>,
    slots: HashMap<String, usize>,
    invoices: HashMap<String, usize>,
    /// By issuer and place in its sequence.
    numbers: HashMap<(String, Option<i64>), usize>,
    /// The places of events, by the id of their invoice.
    places: HashMap<String, usize>,
    /// When an invoice was voided at Stripe, first, by its id.
    pub(crate) voided: HashMap<String, DateTime<Utc>>,
}

impl Issued {
    /// Reads all `issued` events.
    pub(crate) async fn read(lake: &Lake) -> Result<Self, VerifyError> {
        let events = lake.rows(&INVOICE_EVENT, Some("kind in ('issued', 'voided')")).await?;
        let (events, voidings): (Vec<Row>, Vec<Row>) =
            events.into_iter().partition(|event| event.text("kind") == Some("issued"));
        let mut issued = Self {
            events: Vec::new(),
            slots: HashMap::new(),
            invoices: HashMap::new(),
            numbers: HashMap::new(),
            places: HashMap::new(),
            voided: HashMap::new(),
        };
        for event in &voidings {
            let at = event.instant("at").unwrap_or_default();
            let first = issued.voided.entry(event.text("invoice_id").unwrap_or_default().to_owned()).or_insert(at);
            *first = at.min(*first);
        }
        for (place, event) in events.iter().enumerate() {
            let text = |column: &str| event.text(column).unwrap_or_default().to_owned();
            issued.places.entry(text("invoice_id")).or_insert(place);
            *issued.slots.entry(text("slot_id")).or_default() += 1;
            *issued.invoices.entry(text("invoice_id")).or_default() += 1;
            *issued.numbers.entry((text("issuer_id"), event.int("number_sequence"))).or_default() += 1;
        }
        Ok(Self { events, ..issued })
    }

    /// The event that issued an invoice.
    pub(crate) fn event_of(&self, invoice_id: &str) -> Option<&Row> {
        self.events.get(*self.places.get(invoice_id)?)
    }
}

/// What the lake keeps beside the texts of some documents.
#[derive(Default)]
pub(crate) struct Beside {
    lines: HashMap<String, Vec<Row>>,
    days: HashMap<String, Vec<Row>>,
}

impl Beside {
    /// Reads the rows of lines and days of some invoices.
    pub(crate) async fn read(lake: &Lake, invoice_ids: &BTreeSet<&str>) -> Result<Self, VerifyError> {
        let mut beside = Self::default();
        if invoice_ids.is_empty() {
            return Ok(beside);
        }
        let condition = one_of("invoice_id", invoice_ids.iter().copied());
        for (table, by_invoice) in [(&INVOICE_LINE, &mut beside.lines), (&BILLED_USAGE, &mut beside.days)] {
            for row in lake.rows(table, Some(&condition)).await? {
                by_invoice.entry(row.text("invoice_id").unwrap_or_default().to_owned()).or_default().push(row);
            }
        }
        Ok(beside)
    }
}

/// The SQL condition that a column has one of some texts.
pub(crate) fn one_of<'a>(column: &str, texts: impl Iterator<Item = &'a str>) -> String {
    format!("{column} in ({})", texts.map(as_text).collect::<Vec<_>>().join(", "))
}

/// What is wanted of what was issued.
pub(crate) struct Read<'a> {
    /// The documents, by issuer and number.
    pub(crate) found: Vec<Stored>,
    /// The events of those whose documents are gone. They have no month in which they would be missed: with a month all
    /// of them are told.
    pub(crate) lost: Vec<&'a Row>,
}

/// Reads what is wanted.
///
/// # Errors
/// [`VerifyError::NotIssued`] where nobody issued it; the lake's.
pub(crate) async fn read<'a>(lake: &Lake, wanted: &Wanted, issued: &'a Issued) -> Result<Read<'a>, VerifyError> {
    let named = |event: &&Row| match wanted {
        Wanted::Month(_) => true,
        Wanted::Invoice(name) => [event.text("invoice_id"), event.text("number")].contains(&Some(name)),
    };
    let mut chosen: BTreeMap<&str, &Row> = BTreeMap::new();
    for event in issued.events.iter().filter(named) {
        chosen.entry(event.text("invoice_id").unwrap_or_default()).or_insert(event);
    }
    if let (Wanted::Invoice(name), true) = (wanted, chosen.is_empty()) {
        return Err(VerifyError::NotIssued(name.clone()));
    }
    let condition = match wanted {
        Wanted::Month(month) => format!("period = '{month}'"),
        Wanted::Invoice(_) => one_of("invoice_id", chosen.keys().copied()),
    };
    let found = stored_of(lake, &condition, &chosen).await?;
    let there = match wanted {
        Wanted::Month(_) => document_ids(lake).await?,
        Wanted::Invoice(_) => found.iter().map(|stored| stored.invoice_id.clone()).collect(),
    };
    let lost = chosen.iter().filter(|(id, _)| !there.contains(**id)).map(|(_, event)| *event);
    let mut lost: Vec<&Row> = lost.collect();
    lost.sort_by_key(|event| (event.text("issuer_id"), event.text("number")));
    Ok(Read { found, lost })
}

/// The documents that are there, of all months.
async fn document_ids(lake: &Lake) -> Result<BTreeSet<String>, VerifyError> {
    let context = lake.empty_session()?;
    lake.register(&context, &INVOICE, None).await?;
    let mut there = BTreeSet::new();
    for batch in lake.query(&context, "select invoice_id from invoice").await? {
        there.extend(crate::cells::texts(&batch));
    }
    Ok(there)
}

/// Every issued document of some partners, by issuer and number.
pub(crate) async fn of_partners(
    lake: &Lake,
    partner_ids: &BTreeSet<&str>,
    issued: &Issued,
) -> Result<HashMap<String, Vec<Stored>>, VerifyError> {
    let mut by_partner: HashMap<String, Vec<Stored>> = HashMap::new();
    if partner_ids.is_empty() {
        return Ok(by_partner);
    }
    let is_theirs = |event: &&Row| event.text("partner_id").is_some_and(|id| partner_ids.contains(id));
    let theirs = issued.events.iter().filter(is_theirs);
    let theirs = theirs.map(|event| (event.text("invoice_id").unwrap_or_default(), event)).collect();
    for one in stored_of(lake, &one_of("partner_id", partner_ids.iter().copied()), &theirs).await? {
        by_partner.entry(one.row.text("partner_id").unwrap_or_default().to_owned()).or_default().push(one);
    }
    Ok(by_partner)
}

/// The documents that meet a condition and were issued by some events, by issuer and number.
async fn stored_of(lake: &Lake, condition: &str, issued: &BTreeMap<&str, &Row>) -> Result<Vec<Stored>, VerifyError> {
    let mut found: BTreeMap<(String, String, String), Stored> = BTreeMap::new();
    for row in lake.rows(&INVOICE, Some(condition)).await? {
        let invoice_id = row.text("invoice_id").unwrap_or_default().to_owned();
        let Some(event) = issued.get(invoice_id.as_str()).map(|event| (*event).clone()) else { continue };
        let text = row.text("document").unwrap_or_default().to_owned();
        // What is no JSON object says nothing: `Ground::of` tells it.
        let body = serde_json::from_str(&text).unwrap_or_default();
        let key = |column: &str| event.text(column).unwrap_or_default().to_owned();
        let key = (key("issuer_id"), key("number"), invoice_id.clone());
        found.insert(key, Stored { invoice_id, text, body, row, event });
    }
    Ok(found.into_values().collect())
}

/// A cell as a person reads it.
fn shown(cell: &Cell) -> Option<String> {
    Some(match cell {
        Cell::Null => return None,
        Cell::Text(text) => text.clone(),
        Cell::Int(number) => number.to_string(),
        Cell::Decimal(number) => number.to_string(),
        Cell::Instant(at) => tollbook_schemas::period::print_instant(*at),
        Cell::Date(date) => date.to_string(),
        other => format!("{other:?}"),
    })
}

/// The columns of a row that are not as expected.
fn columns(table: &Table, row: &Row, expected: &[(&str, Cell)]) -> Option<Difference> {
    let (column, cell) = expected.iter().find(|(column, cell)| row.get(column) != cell)?;
    Some(Difference {
        field: format!("{}.{column}", table.name),
        stored: shown(row.get(column)),
        rederived: shown(cell),
        ..Difference::default()
    })
}

fn text(object: &Object, key: &str) -> Cell {
    object.get(key).and_then(Value::as_str).into()
}

fn int(object: &Object, key: &str) -> Cell {
    object.get(key).and_then(Value::as_i64).into()
}

fn instant(object: &Object, key: &str) -> Cell {
    object.get(key).and_then(Value::as_str).and_then(|text| parse_instant(text).ok()).into()
}

fn decimal(object: &Object, key: &str) -> Cell {
    object.get(key).and_then(Value::as_str).and_then(|text| text.parse::<Decimal>().ok()).into()
}

fn length(length: usize) -> Cell {
    i64::try_from(length).unwrap_or(i64::MAX).into()
}

/// How a line came about, as its row has it: with who made it, of a line by hand; with what was billed elsewhere of its
/// period before everything else.
fn working_of(line: &Object) -> Option<String> {
    let working = line.get("working")?;
    if let Some(opening) = line.get("opening") {
        return Some(format!("{{\"opening\":{opening},{}", working.to_string().strip_prefix('{')?));
    }
    let Some(by_hand) = line.get("by_hand") else { return Some(working.to_string()) };
    let mut working = working.as_object()?.clone();
    working.insert("by_hand".to_owned(), by_hand.clone());
    Some(Value::Object(working).to_string())
}

/// Everything that the lake keeps beside the text of one invoice, compared with it.
pub(crate) fn check(stored: &Stored, beside: &mut Beside, issued: &Issued) -> Vec<Difference> {
    let mut found = Vec::new();
    let invoice_id = InvoiceId::derive([&stored.text]);
    let period = || text(&stored.body, "month");
    let month = stored.text_of("month");
    let [issuer_id, partner_id, currency] =
        [stored.issuer_id(), stored.text_of("partner_id"), stored.text_of("currency")];
    let slot = [issuer_id, partner_id, currency, month];
    // A credit note fills a slot of its own: one in a month for each invoice.
    let slot_id = match stored.body.get("credits").and_then(Value::as_object) {
        None => SlotId::derive(slot),
        Some(credits) => {
            let credited = credits.get("invoice_id").and_then(Value::as_str).unwrap_or_default();
            SlotId::derive(slot.into_iter().chain([stored.text_of("kind"), credited]))
        }
    };
    let mut lines = by_key(&INVOICE_LINE, beside.lines.remove(&stored.invoice_id), &mut found);
    let mut days = by_key(&BILLED_USAGE, beside.days.remove(&stored.invoice_id), &mut found);
    for line in stored.lines() {
        let number = line.get("line_number").and_then(Value::as_u64).unwrap_or_default();
        let named = |found: Difference| found.of_line(number, line["description"].as_str().unwrap_or_default());
        let line_id = LineId::derive([stored.invoice_id.as_str(), &number.to_string()]);
        let expected = [
            ("line_number", int(line, "line_number")),
            ("partner_id", partner_id.into()),
            ("subscription_id", text(line, "subscription_id")),
            ("plan_id", text(line, "plan_id")),
            ("plan_version", int(line, "plan_version")),
            ("price_id", text(line, "price_id")),
            ("meter_id", text(line, "meter_id")),
            ("price_model", text(line, "price_model")),
            ("description", text(line, "description")),
            ("quantity", decimal(line, "quantity")),
            ("working", working_of(line).into()),
            ("amount_minor", int(line, "amount_minor")),
            ("currency", currency.into()),
            ("period_start", instant(line, "span_start")),
            ("period_end", instant(line, "span_end")),
            ("period", period()),
        ];
        found.extend(match lines.remove(&vec![line_id.to_string()]) {
            Some(row) => columns(&INVOICE_LINE, &row, &expected).map(named),
            None => Some(named(Difference::told(INVOICE_LINE.name, format!("it has no row {line_id}")))),
        });
        // What a line adjusts was billed on its days before: its evidence of now is in the text alone.
        let own = line.get("usage").filter(|_| line.get("adjusts").is_none());
        for day in own.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
            let date = day.get("event_date").and_then(Value::as_str).unwrap_or_default();
            let expected = [
                ("quantity", decimal(day, "quantity")),
                ("event_count", int(day, "event_count")),
                ("slice_count", int(day, "slice_count")),
                ("usage_sha256", text(day, "usage_sha256")),
                ("period", period()),
            ];
            let of_day = |found: Difference| Difference { note: Some(format!("of {date}")), ..named(found) };
            found.extend(match days.remove(&vec![line_id.to_string(), date.to_owned()]) {
                Some(row) => columns(&BILLED_USAGE, &row, &expected).map(of_day),
                None => Some(named(Difference::told(BILLED_USAGE.name, format!("it has no row of {line_id}, {date}")))),
            });
        }
    }
    for (table, key) in
        lines.into_keys().map(|key| (&INVOICE_LINE, key)).chain(days.into_keys().map(|key| (&BILLED_USAGE, key)))
    {
        found.push(Difference::told(table.name, format!("row {} is of no line of the document", key.join(", "))));
    }
    let expected = [
        ("invoice_id", invoice_id.as_str().into()),
        ("slot_id", slot_id.as_str().into()),
        ("issuer_id", issuer_id.into()),
        ("partner_id", partner_id.into()),
        ("profile_version_id", text(&stored.body, "profile_version_id")),
        ("currency", currency.into()),
        ("period_start", instant(&stored.body, "period_start")),
        ("period_end", instant(&stored.body, "period_end")),
        ("line_count", length(stored.lines().count())),
        ("total_minor", int(&stored.body, "total_minor")),
        ("pin", text(&stored.body, "pin")),
        ("catalog_sha256", text(&stored.body, "catalog_sha256")),
        ("period", period()),
    ];
    found.extend(columns(&INVOICE, &stored.row, &expected));
    found.extend(issuing(stored, issued, &slot_id));
    found
}

/// The rows of a table by its key; one that is there twice is told.
fn by_key(table: &'static Table, rows: Option<Vec<Row>>, found: &mut Vec<Difference>) -> BTreeMap<Vec<String>, Row> {
    let mut by_key = BTreeMap::new();
    for row in rows.into_iter().flatten() {
        let key: Vec<String> = table.key.iter().map(|column| shown(row.get(column)).unwrap_or_default()).collect();
        if by_key.insert(key.clone(), row).is_some() {
            found.push(Difference::told(table.name, format!("row {} is there twice", key.join(", "))));
        }
    }
    by_key
}

/// What the event that made it an invoice must say: that slot, that partner, that issuer; and nothing else was issued
/// in the slot, or under the number.
fn issuing(stored: &Stored, issued: &Issued, slot_id: &SlotId) -> Option<Difference> {
    let expected = [
        ("slot_id", slot_id.as_str().into()),
        ("partner_id", stored.text_of("partner_id").into()),
        ("issuer_id", stored.issuer_id().into()),
        ("event_month", stored.event.instant("at").map(|at| at.format("%Y-%m").to_string()).into()),
    ];
    let wrong = columns(&INVOICE_EVENT, &stored.event, &expected);
    let text = |column: &str| stored.event.text(column).unwrap_or_default().to_owned();
    let is_twice = |count: Option<&usize>| count.is_some_and(|count| *count > 1);
    let number = (text("issuer_id"), stored.event.int("number_sequence"));
    let before = number.1.map(|sequence| sequence - 1).filter(|before| *before > 0);
    let is_after_gap = before.is_some_and(|before| !issued.numbers.contains_key(&(number.0.clone(), Some(before))));
    let twice = match () {
        () if is_twice(issued.slots.get(&text("slot_id"))) => Some("two invoices were issued in its slot"),
        () if is_twice(issued.invoices.get(&text("invoice_id"))) => Some("it was issued twice"),
        () if is_twice(issued.numbers.get(&number)) => Some("two invoices have its number"),
        // Numbers have no gap, so an invoice that is gone is missed by the next one.
        () if is_after_gap => Some("nobody has the number before it: an issued invoice is gone"),
        () => None,
    };
    wrong.or_else(|| twice.map(|note| Difference::told(INVOICE_EVENT.name, note)))
}

/// Whether the number is the one that the issuer gives at its place in the sequence.
pub(crate) fn check_number(stored: &Stored, prefix: &str) -> Option<Difference> {
    let sequence = stored.event.int("number_sequence").unwrap_or_default();
    let expected = [("number", Cell::from(format!("{prefix}{sequence:06}")))];
    columns(&INVOICE_EVENT, &stored.event, &expected)
}
