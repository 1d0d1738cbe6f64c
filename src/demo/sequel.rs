//! The demo's second month: July, a month later by the demo's clock. What came for June after its invoices were issued
//! is billed by July's documents, or given back by credit notes, and everything is compared with the simulator.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use tollbook_billing::document::{Document, DocumentKind, Line};
use tollbook_billing::issue::read_issued;
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

/// The issued documents of a month, by kind and partner.
pub(super) async fn documents(
    context: &JobContext,
    month: Month,
) -> anyhow::Result<BTreeMap<(DocumentKind, String), Document>> {
    let issued = read_issued(&context.lake, Some(month)).await?;
    let documents = issued.into_iter().map(|issued| issued.document).filter(|one| one.body.month == month);
    Ok(documents.map(|document| ((document.body.kind, document.body.partner_id.to_string()), document)).collect())
}

/// Compares each document with what the simulator expects.
pub(super) fn compare(sequel: &Sequel, found: &BTreeMap<(DocumentKind, String), Document>) -> Vec<Check> {
    let mut checks = Vec::new();
    let kinds = [(DocumentKind::Invoice, &sequel.invoices), (DocumentKind::CreditNote, &sequel.credit_notes)];
    for (kind, expected) in kinds {
        let of_kind = found.keys().filter(|(other, _)| *other == kind).map(|(_, partner)| partner);
        let partners: std::collections::BTreeSet<&String> = expected.keys().chain(of_kind).collect();
        for partner in partners {
            let got = found.get(&(kind, partner.clone()));
            checks.push(Check {
                class: "month after",
                figure: format!("{partner} {}", kind.as_str()),
                expected: expected.get(partner).map_or("none".to_owned(), expected_text),
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
    format!("{} {}: {}", document.total_minor, document.currency, lines.join("; "))
}

fn found_text(document: &Document) -> String {
    let line = |line: &Line| {
        let month = line.adjusts.as_ref().map_or(String::new(), |adjusts| format!("@{}", adjusts.month));
        format!("{}{month} {} = {}", line.price_id, line.quantity, line.amount_minor)
    };
    let lines: Vec<String> = document.body.lines.iter().map(line).collect();
    format!("{} {}: {}", document.body.total_minor, document.body.currency, lines.join("; "))
}
