//! The words of `tollbook bill`: its steps, then what only looks.

use clap::Subcommand;
use tollbook::jobs::bill;
use tollbook_schemas::actor::Actor;
use tollbook_schemas::id::InvoiceId;
use tollbook_schemas::period::Month;

use super::{Accept, Period};
use crate::cli::{commands, examples};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BillStep {
    /// Rate usage into documents.
    #[command(after_help = examples::DRAFT)]
    Draft {
        #[command(flatten)]
        period: Period,
        /// Who drafts: staff:NAME or system:RULE; by default what TOLLBOOK_ACTOR says.
        #[arg(long, value_parser = Actor::parse)]
        actor: Option<Actor>,
    },
    /// Give drafts their numbers: from then on they are invoices.
    #[command(after_help = examples::ISSUE)]
    Issue {
        #[command(flatten)]
        period: Period,
        #[command(flatten)]
        accept: Accept,
    },
    /// Which months are due, for whom, and why one is not an invoice yet; nothing is written.
    ///
    /// Each place that is not issued, with everything that keeps it: its period runs or stays open (grace_hours), data
    /// are missing, it is not drafted, stale or held, its partner is blocked. What nothing keeps is ready: `bill issue`
    /// issues it.
    #[command(after_help = examples::DUE)]
    Due(commands::bill::due::Given),
    /// Stop drafts of a partner and month from being issued, until they are released.
    ///
    /// What is held is the place of the invoice, whatever is drafted there; or, by partner and month, every document of
    /// it.
    #[command(after_help = examples::HOLD)]
    Hold {
        #[command(flatten)]
        of: bill::hold::Of,
        #[command(flatten)]
        by: bill::hold::By,
    },
    /// End a hold that somebody made.
    #[command(after_help = examples::RELEASE)]
    Release {
        #[command(flatten)]
        of: bill::hold::Of,
        #[command(flatten)]
        by: bill::hold::By,
    },
    /// Charge or credit a partner by hand, beside what is metered; or take that back.
    ///
    /// It is a line of its month's invoice, also where the month bills nothing else. The same twice is one.
    #[command(after_help = examples::ADJUST)]
    Adjust(Box<bill::adjust::Adjustment>),
    /// What was charged and credited by hand and no issued document bears yet; or all of it.
    #[command(after_help = examples::ADJUSTMENTS)]
    Adjustments(commands::bill::adjustments::Given),
    /// Let drafts be issued that a policy holds: exactly these documents, and no later draft of their place.
    #[command(after_help = examples::APPROVE)]
    Approve {
        /// Drafts, such as inv_0123456789abcdef0123.
        #[arg(required = true)]
        drafts: Vec<InvoiceId>,
        #[command(flatten)]
        by: bill::hold::By,
    },
    /// Send issued invoices to Stripe.
    #[command(after_help = examples::PUSH)]
    Push(Period),
    /// Bring payments back from Stripe.
    #[command(after_help = examples::SYNC)]
    Sync,
    /// From a printed line to the usage slices and offsets that made it.
    #[command(after_help = examples::EXPLAIN)]
    Explain {
        /// Line id, such as lin_0123456789abcdef0123.
        line: String,
    },
    /// Re-derive issued invoices from the raw rows at their pin, by the second implementation; tell what differs.
    ///
    /// Offline, and without the configured catalog: everything is in the lake. Ends with 3 where an invoice differs.
    #[command(after_help = examples::VERIFY)]
    Verify {
        /// Invoice id (inv_…), number, a month such as 2026-06, `previous`, or `due`.
        #[arg(value_name = "INVOICE|PERIOD")]
        wanted: String,
    },
    /// Each invoice with its state, and why a partner has none.
    #[command(after_help = examples::REGISTER)]
    Register {
        #[command(flatten)]
        period: Period,
        /// As it would have been told when the invoices of this month were issued: as the run left the tables that
        /// issued the last.
        #[arg(long, value_name = "MONTH", conflicts_with = "as_of")]
        as_of_close: Option<Month>,
        /// Comma-separated values.
        #[arg(long)]
        csv: bool,
    },
    /// Invoices and drafts with their state, by month, partner or state.
    #[command(after_help = examples::LIST)]
    List(commands::bill::list::Given),
    /// The printed lines of issued invoices and credit notes, as table, CSV, JSON or Parquet: for ledgers and finance.
    #[command(after_help = examples::LINES)]
    Lines(commands::bill::lines::Given),
    /// Prepaid credits: what was granted, used and is left.
    #[command(after_help = examples::CREDITS)]
    Credits(commands::bill::credits::Given),
    /// One invoice or draft: its lines, how each came about, its total, its life.
    #[command(after_help = examples::SHOW)]
    Show {
        /// Invoice number, invoice id, or the first letters of the id.
        name: String,
    },
    /// The invoices so far, of a month that has not ended; on any day, nothing is written.
    ///
    /// The month as it would be if nothing more came: usage up to --as-of, in whole hours, and flat prices of the whole
    /// month.
    #[command(after_help = examples::PREVIEW)]
    Preview(commands::bill::preview::Given),
    /// All history under another price book: what each partner would have paid; nothing is written.
    ///
    /// Both catalogs price the usage that the present one metered, so a meter or a route that differs is an error. Who
    /// cannot be rated by one of them is listed and is in no sum.
    #[command(after_help = examples::REPRICE)]
    Reprice(commands::bill::reprice::Given),
    /// The cheapest plan for what each subscription really used, against the chosen one; nothing is written.
    ///
    /// Plans of the same issuer and currency, each with the price that an invoice would have. A plan without a price
    /// for a meter that the chosen plan charges for, and that was used, is no candidate.
    #[command(after_help = examples::FIT)]
    Fit(commands::bill::fit::Given),
    /// Who used more of a meter in a month than its plan's quota says; nothing is written, and nothing enforced.
    ///
    /// A quota is of a calendar month in the subscription's time zone, of production usage as it is known now.
    #[command(after_help = examples::QUOTA)]
    Quota(commands::bill::quota::Given),
    /// A parallel run: differences to what another system billed, by partner and line; nothing is written or sent.
    ///
    /// Compared are issued invoices, and for the rest what would be drafted today. Ends with 10 where a line differs.
    #[command(after_help = examples::COMPARE)]
    Compare(commands::bill::compare::Given),
    /// Price calculator: a JSON object a line on stdin, an answer a line on stdout. Needs no configuration.
    ///
    /// A line that is refused is answered with `error`, and the command ends with 6.
    #[command(after_help = examples::ESTIMATE)]
    Estimate,
}
