//! The funnel registered → sandbox → production → revenue, pure: milestones of partners in, counted steps out.
//!
//! Semantics are strict and printed with every result, because the same words with other semantics give other
//! numbers: a partner reaches a step only if it reached all steps before, each at or before this one.

use chrono::{DateTime, Utc};
use tollbook_schemas::decimal::Decimal;

/// The rules, for the foot of every table and chart.
pub const SEMANTICS: &str = "Funnel of partners, strict order, no time limit: registered = first registration event; \
    sandbox = first 2xx in the sandbox; production = first 2xx in production; revenue = first issued invoice above \
    zero. A partner reaches a step only if it reached every step before it, none later than this one; one that did it \
    in another order is counted as skipped. Internal and test partners are left out. Conversion is reached / reached \
    before; dropped = reached before and not (yet) here.";

/// When one partner did what, up to the instant of the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartnerMilestones {
    /// First registration.
    pub registered_at: Option<DateTime<Utc>>,
    /// First 2xx in the sandbox.
    pub sandbox_at: Option<DateTime<Utc>>,
    /// First 2xx in production.
    pub production_at: Option<DateTime<Utc>>,
    /// Issue of the first invoice above zero.
    pub revenue_at: Option<DateTime<Utc>>,
}

/// Names of the steps, in order.
pub const STEPS: [&str; 4] = ["registered", "sandbox", "production", "revenue"];

impl PartnerMilestones {
    fn steps(&self) -> [Option<DateTime<Utc>>; 4] {
        [self.registered_at, self.sandbox_at, self.production_at, self.revenue_at]
    }

    /// How many steps were reached, in order.
    #[must_use]
    pub fn level(&self) -> usize {
        let mut before = None;
        self.steps()
            .iter()
            .take_while(|at| {
                let in_order = at.is_some() && before <= **at;
                before = **at;
                in_order
            })
            .count()
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunnelStep {
    /// Name.
    pub step: &'static str,
    /// Partners that reached it in order.
    pub reached: i64,
    /// Partners that reached the step before and not this one.
    pub dropped: i64,
    /// Partners that did it without having reached the step before in order.
    pub skipped: i64,
    /// Reached of all registered, in percent.
    pub conversion_from_start_percent: Option<Decimal>,
    /// Reached of the step before, in percent.
    pub conversion_from_previous_percent: Option<Decimal>,
    /// Median seconds from the step before, of those who reached it.
    pub median_seconds_from_previous: Option<i64>,
}

/// The four steps.
pub type Funnel = Vec<FunnelStep>;

/// Percent with two decimals, cut: it is for reading, the counts are the figures.
fn percent(part: i64, whole: i64) -> Option<Decimal> {
    if whole == 0 {
        return None;
    }
    let hundredths = i128::from(part) * 10_000 / i128::from(whole);
    Decimal::from_unscaled(hundredths * 10_000_000_000).ok()
}

/// The lower median, so that it is a time that some partner really took.
fn median(mut seconds: Vec<i64>) -> Option<i64> {
    seconds.sort_unstable();
    let middle = seconds.len().checked_sub(1)? / 2;
    seconds.get(middle).copied()
}

/// Counts the funnel.
#[must_use]
pub fn fold_funnel(partners: &[PartnerMilestones]) -> Funnel {
    let levels: Vec<usize> = partners.iter().map(PartnerMilestones::level).collect();
    let count = |at: usize| i64::try_from(levels.iter().filter(|level| **level > at).count()).unwrap_or(i64::MAX);
    (0..STEPS.len())
        .map(|at| {
            let reached = count(at);
            let before = if at == 0 { reached } else { count(at - 1) };
            let skipped = partners.iter().zip(&levels).filter(|(p, level)| **level <= at && p.steps()[at].is_some());
            let times =
                partners.iter().zip(&levels).filter(|(_, level)| at > 0 && **level > at).filter_map(|(p, _)| {
                    let steps = p.steps();
                    Some((steps[at]? - steps[at - 1]?).num_seconds())
                });
            FunnelStep {
                step: STEPS[at],
                reached,
                dropped: before - reached,
                skipped: i64::try_from(skipped.count()).unwrap_or(i64::MAX),
                conversion_from_start_percent: percent(reached, count(0)),
                conversion_from_previous_percent: percent(reached, before),
                median_seconds_from_previous: median(times.collect()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row is one partner: days of the four steps, `-` for never.
    fn funnel(table: &str) -> Vec<String> {
        let partners: Vec<PartnerMilestones> = table
            .lines()
            .map(|line| {
                let days: Vec<Option<DateTime<Utc>>> = line
                    .split_whitespace()
                    .map(|day| day.parse::<i64>().ok().and_then(|day| DateTime::from_timestamp(day * 86_400, 0)))
                    .collect();
                PartnerMilestones {
                    registered_at: days[0],
                    sandbox_at: days[1],
                    production_at: days[2],
                    revenue_at: days[3],
                }
            })
            .collect();
        fold_funnel(&partners)
            .iter()
            .map(|s| {
                let percent = s.conversion_from_previous_percent.map_or("-".to_owned(), |p| p.to_string());
                let days = s.median_seconds_from_previous.map_or("-".to_owned(), |s| (s / 86_400).to_string());
                format!("{} {} {} {percent}% {days}d", s.reached, s.dropped, s.skipped)
            })
            .collect()
    }

    #[test]
    fn steps_are_reached_in_order_or_skipped() {
        for (table, expected) in [
            ("1 2 3 4", ["1 0 0 100% -d", "1 0 0 100% 1d", "1 0 0 100% 1d", "1 0 0 100% 1d"]),
            ("1 1 1 1", ["1 0 0 100% -d", "1 0 0 100% 0d", "1 0 0 100% 0d", "1 0 0 100% 0d"]),
            // Production without sandbox: the step counts as skipped, and so does what follows it.
            ("1 - 3 4", ["1 0 0 100% -d", "0 1 0 0% -d", "0 0 1 -% -d", "0 0 1 -% -d"]),
            // Sandbox before registration, as of an imported partner.
            ("5 2 6 -", ["1 0 0 100% -d", "0 1 1 0% -d", "0 0 1 -% -d", "0 0 0 -% -d"]),
            ("- 2 3 -", ["0 0 0 -% -d", "0 0 1 -% -d", "0 0 1 -% -d", "0 0 0 -% -d"]),
            (
                "1 2 - -\n1 4 6 -\n1 8 9 10\n1 - - -",
                ["4 0 0 100% -d", "3 1 0 75% 3d", "2 1 0 66.66% 1d", "1 1 0 50% 1d"],
            ),
        ] {
            assert_eq!(funnel(table), expected, "{table}");
        }
    }

    #[test]
    fn order_of_partners_does_not_matter_and_nobody_is_lost() {
        let one = funnel("1 2 3 4\n1 2 - -\n1 - - -");
        assert_eq!(one, funnel("1 - - -\n1 2 3 4\n1 2 - -"));
        // Conservation: entered = reached the last step + dropped on the way.
        assert_eq!(one, ["3 0 0 100% -d", "2 1 0 66.66% 1d", "1 1 0 50% 1d", "1 0 0 100% 1d"]);
    }
}
