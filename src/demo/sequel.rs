//! The demo's second month: July, a month later by the demo's clock. What came for June after its invoices were issued
//! is billed by July's documents, or given back by credit notes, which a person approves; one draft is held. Everything
//! is compared with the simulator, and both months are derived once more by the second implementation.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use tollbook_billing::document::{Document, DocumentKind, Line, Shadow, read_documents};
use tollbook_billing::hold::{Act, Target, act};
use tollbook_billing::issue::{Issued, read_issued};
use tollbook_schemas::actor::Actor;
use tollbook_schemas::period::{Month, print_instant};
use tollbook_simulate::{ExpectedDocument, Sequel, World};

use super::broker::Broker;
use super::verdict::Check;
use crate::context::JobContext;
use crate::jobs;

/// Sets the clock of a demo's configuration: its commands see the month after from now on.
pub(super) fn set_clock(config: &Path, world: &World) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(config).context("the demo's configuration")?;
    let (before, after) = (print_instant(world.now()), print_instant(world.later()));
    let text = text.replace(&format!("fixed = \"{before}\""), &format!("fixed = \"{after}\""));
    std::fs::write(config, text).context("the demo's configuration")
}

/// Takes in what came in July.
pub(super) async fn ingest(context: &JobContext, broker: &Broker, sequel: &Sequel) -> anyhow::Result<()> {
    let ingestors = jobs::ingest::ingestors(context, tollbook_ingest::Budget::default())?;
    if let Some(access) = ingestors.first() {
        broker.produce_all(&access.kafka.topic, sequel.messages.clone()).await?;
    }
    for ingestor in ingestors {
        ingestor.until_caught_up(context.clock.now(), &|_| {}).await?;
    }
    Ok(())
}

/// Holds the draft of the last partner by name, as a person would who wants to ask it something first.
pub(super) async fn hold_one(context: &JobContext, month: Month) -> anyhow::Result<String> {
    let documents = read_documents(&context.lake, month).await?;
    let invoices = documents.values().filter(|document| document.body.kind == DocumentKind::Invoice);
    let plain = invoices.filter(|document| document.body.lines.iter().all(|line| line.adjusts.is_none()));
    let held = plain.max_by_key(|document| document.body.partner_id.clone()).context("July has no plain invoice")?;
    let target = Target::of(held);
    let said = (&Actor::parse("staff:demo")?, "their new contract is not signed yet");
    let policy = context.configuration.hold_policy()?;
    act(&context.lake, Act::Hold, &[target], said, &policy, context.clock.now()).await?;
    Ok(held.body.partner_id.to_string())
}

/// Approves the credit notes that what came late makes, as a person would who has looked at them: a policy holds them.
pub(super) async fn approve_credit_notes(context: &JobContext, month: Month) -> anyhow::Result<()> {
    let documents = read_documents(&context.lake, month).await?;
    let notes = documents.values().filter(|document| document.body.kind == DocumentKind::CreditNote);
    let targets: Vec<Target> = notes.map(Target::of).collect();
    let said = (&Actor::parse("staff:demo")?, "the gateway took these requests back");
    let policy = context.configuration.hold_policy()?;
    act(&context.lake, Act::Approve, &targets, said, &policy, context.clock.now()).await?;
    Ok(())
}

/// Whether the held draft, and nothing else, was left.
pub(super) fn is_held(partner: &str, issued: &Issued) -> Check {
    let held: Vec<&str> = issued.held.iter().map(|held| held.partner_id.as_str()).collect();
    let figure = "drafts that are held".to_owned();
    Check { class: "month after", figure, expected: partner.to_owned(), found: held.join(", ") }
}

/// Whether the second implementation comes to the same documents of a month, byte for byte: to all of them.
pub(super) async fn verified(context: &JobContext, month: Month) -> anyhow::Result<Check> {
    let issued = documents(context, month).await?.len();
    let verified = jobs::bill::verify_month(context, month).await?;
    let different: Vec<String> = verified.iter().filter(|one| !one.holds()).map(ToString::to_string).collect();
    let found = match different.is_empty() {
        // Whoever has no document of the month has no id: what earlier months come to and nobody bills is told of him.
        true => format!("{} of {issued}", verified.iter().filter(|one| !one.invoice_id.is_empty()).count()),
        false => different.join("; "),
    };
    let figure = format!("documents of {month} that verify re-derives");
    Ok(Check { class: "month after", figure, expected: format!("{issued} of {issued}"), found })
}

/// The issued documents of a month, by kind and partner.
pub(super) async fn documents(
    context: &JobContext,
    month: Month,
) -> anyhow::Result<BTreeMap<(DocumentKind, String), Document>> {
    let issued = read_issued(&context.lake, Some(month)).await?;
    let documents = issued.into_iter().map(|issued| issued.document).filter(|one| one.body.month == month);
    Ok(documents.map(|document| ((document.body.kind, document.body.partner_id.to_string()), document)).collect())
}

/// Compares each document with what the simulator expects; of the partner that is held, no invoice.
pub(super) fn compare(sequel: &Sequel, found: &BTreeMap<(DocumentKind, String), Document>, held: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    let kinds = [(DocumentKind::Invoice, &sequel.invoices), (DocumentKind::CreditNote, &sequel.credit_notes)];
    for (kind, expected) in kinds {
        let of_kind = found.keys().filter(|(other, _)| *other == kind).map(|(_, partner)| partner);
        let partners: std::collections::BTreeSet<&String> = expected.keys().chain(of_kind).collect();
        for partner in partners {
            let got = found.get(&(kind, partner.clone()));
            let is_held = kind == DocumentKind::Invoice && partner == held;
            checks.push(Check {
                class: "month after",
                figure: format!("{partner} {}", kind.as_str()),
                expected: expected.get(partner).filter(|_| !is_held).map_or("none".to_owned(), expected_text),
                found: got.map_or("none".to_owned(), found_text),
            });
        }
    }
    checks
}

fn expected_text(document: &ExpectedDocument) -> String {
    let line =
        |line: &tollbook_simulate::ExpectedLine| format!("{} {} = {}", line.price_id, line.quantity, line.amount_minor);
    let lines: Vec<String> = document.lines.iter().map(line).collect();
    let shadow =
        document.shadow.as_ref().map_or(String::new(), |(currency, minor)| format!("; shadow {minor} {currency}"));
    format!("{} {}: {}{shadow}", document.total_minor, document.currency, lines.join("; "))
}

fn found_text(document: &Document) -> String {
    let line = |line: &Line| {
        let month = line.adjusts.as_ref().map_or(String::new(), |adjusts| format!("@{}", adjusts.month));
        format!("{}{month} {} = {}", line.price_id, line.quantity, line.amount_minor)
    };
    let lines: Vec<String> = document.body.lines.iter().map(line).collect();
    let shadow = |shadow: &Shadow| format!("; shadow {} {}", shadow.total_minor, shadow.currency);
    let shadows: Vec<String> = document.body.shadows.iter().map(shadow).collect();
    format!("{} {}: {}{}", document.body.total_minor, document.body.currency, lines.join("; "), shadows.concat())
}
