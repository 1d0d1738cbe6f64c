//! From invoices and costs, one by one, to sums by currency and month. Exact; a sum that has no exact form is an error.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tollbook_schemas::decimal::Decimal;
use tollbook_schemas::money::{Currency, Money};
use tollbook_schemas::period::Month;

use super::{Compared, CostLine, CurrencySide, IssuedAmount, MonthSide, RecordedCost, TopRevenue};
use crate::amount::major;
use crate::error::ReportError;
use crate::ratio::{Roi, roi_of};

#[derive(Default)]
struct Sums {
    invoice_count: i64,
    revenue: Option<Decimal>,
    paid: Option<Decimal>,
    cost: Option<Decimal>,
}

fn add(sum: &mut Option<Decimal>, amount: Decimal, what: &'static str) -> Result<(), ReportError> {
    let before = sum.unwrap_or(Decimal::ZERO);
    *sum = Some(before.checked_add(amount).map_err(|source| ReportError::Decimal { what, source })?);
    Ok(())
}

fn in_major(total: Money) -> Result<Decimal, ReportError> {
    major(total).map_err(|source| ReportError::Decimal { what: "totals of invoices", source })
}

/// Sums by currency and month, with their ratios.
///
/// # Errors
/// [`ReportError::Decimal`] where a sum is not exact.
pub fn currency_sides(invoices: &[IssuedAmount], costs: &[RecordedCost]) -> Result<Vec<CurrencySide>, ReportError> {
    let mut sums: BTreeMap<Currency, BTreeMap<Month, Sums>> = BTreeMap::new();
    for invoice in invoices {
        let month = sums.entry(invoice.total.currency).or_default().entry(invoice.month).or_default();
        let total = in_major(invoice.total)?;
        // A credit note lowers the revenue of the month that issues it, and is no invoice.
        month.invoice_count += i64::from(invoice.total.minor >= 0);
        add(&mut month.revenue, total, "totals of invoices")?;
        add(&mut month.paid, if invoice.is_paid { total } else { Decimal::ZERO }, "totals of invoices")?;
    }
    for cost in costs {
        let month = sums.entry(cost.currency).or_default().entry(cost.month).or_default();
        add(&mut month.cost, cost.amount, "costs")?;
    }
    sums.into_iter().map(|(currency, months)| side_of(currency, months)).collect()
}

fn side_of(currency: Currency, months: BTreeMap<Month, Sums>) -> Result<CurrencySide, ReportError> {
    let (mut revenue, mut paid, mut cost) = (None, None, None);
    // A month with one side only would shift the ratio of all the others: it is shown, and left out of the total.
    let (mut compared_revenue, mut compared_paid, mut compared_cost) = (None, None, None);
    let (mut compared_invoice_count, mut months_compared) = (0, 0);
    let mut sides = Vec::new();
    for (month, sums) in months {
        for (whole, part) in [(&mut revenue, sums.revenue), (&mut paid, sums.paid)] {
            part.map_or(Ok(()), |part| add(whole, part, "totals of invoices"))?;
        }
        sums.cost.map_or(Ok(()), |part| add(&mut cost, part, "costs"))?;
        if let (Some(month_revenue), Some(month_cost)) = (sums.revenue, sums.cost) {
            add(&mut compared_revenue, month_revenue, "totals of invoices")?;
            add(&mut compared_paid, sums.paid.unwrap_or(Decimal::ZERO), "totals of invoices")?;
            add(&mut compared_cost, month_cost, "costs")?;
            compared_invoice_count += sums.invoice_count;
            months_compared += 1;
        }
        sides.push(MonthSide {
            month,
            invoice_count: sums.invoice_count,
            revenue: sums.revenue,
            paid: sums.paid,
            cost: sums.cost,
            roi: roi_of(sums.revenue, sums.cost),
        });
    }
    let roi = match months_compared {
        0 if revenue.is_some() && cost.is_some() => Roi::NoMonthWithBoth,
        0 => roi_of(revenue, cost),
        _ => roi_of(compared_revenue, compared_cost),
    };
    let compared = match (compared_revenue, compared_paid, compared_cost) {
        (Some(revenue), Some(paid), Some(cost)) => {
            Some(Compared { invoice_count: compared_invoice_count, revenue, paid, cost })
        }
        _ => None,
    };
    Ok(CurrencySide { currency, months: sides, revenue, paid, cost, months_compared, compared, roi })
}

/// Costs by month, currency and pool.
///
/// # Errors
/// [`ReportError::Decimal`] where a sum is not exact.
pub fn cost_lines(costs: &[RecordedCost]) -> Result<Vec<CostLine>, ReportError> {
    let mut lines: BTreeMap<(Month, Currency, &str), (Option<Decimal>, i64)> = BTreeMap::new();
    for cost in costs {
        let line = lines.entry((cost.month, cost.currency, &cost.pool)).or_default();
        add(&mut line.0, cost.amount, "costs")?;
        line.1 += 1;
    }
    let line = |((month, currency, pool), (amount, event_count)): ((Month, Currency, &str), (Option<Decimal>, i64))| {
        let amount = amount.unwrap_or(Decimal::ZERO);
        CostLine { month, currency, pool: pool.to_owned(), amount, event_count }
    };
    Ok(lines.into_iter().map(line).collect())
}

/// Revenue and name of each partner, by currency.
type PartnerSums<'a> = BTreeMap<(Currency, &'a str), (Option<Decimal>, Option<&'a String>)>;

/// Partners by revenue: of each currency the `count` with the most, largest first. Invoices of zero make nobody a top
/// partner.
///
/// # Errors
/// [`ReportError::Decimal`] where a sum is not exact.
pub fn top_revenue(invoices: &[IssuedAmount], count: usize) -> Result<Vec<TopRevenue>, ReportError> {
    let mut sums: PartnerSums<'_> = BTreeMap::new();
    for invoice in invoices {
        let entry = sums.entry((invoice.total.currency, &invoice.partner_id)).or_default();
        add(&mut entry.0, in_major(invoice.total)?, "totals of invoices")?;
        entry.1 = invoice.display_name.as_ref();
    }
    let currencies: BTreeSet<Currency> = sums.keys().map(|(currency, _)| *currency).collect();
    let mut top = Vec::new();
    for currency in currencies {
        let mut of_currency: Vec<TopRevenue> = sums
            .iter()
            .filter(|((other, _), (sum, _))| *other == currency && sum.is_some_and(|sum| sum > Decimal::ZERO))
            .map(|((_, partner_id), (sum, name))| TopRevenue {
                partner_id: (*partner_id).to_owned(),
                display_name: name.cloned(),
                currency,
                revenue: sum.unwrap_or(Decimal::ZERO),
            })
            .collect();
        of_currency.sort_by(|a, b| (Reverse(a.revenue), &a.partner_id).cmp(&(Reverse(b.revenue), &b.partner_id)));
        top.extend(of_currency.into_iter().take(count));
    }
    Ok(top)
}
