//! The settings where billing systems differ, each with its words and its default. `docs/money.md` has a worked
//! example of each.

use crate::words::words;

words!(/// Whether the first tier's flat price is due when nothing was used.
ZeroUsageFirstTierFlat {
    /// As OpenMeter and Lago.
    Charged = "charged",
    /// As Meteroid and UniBee.
    NotCharged = "not_charged",
});
words!(/// Which tier of a volume price a fraction of a unit above a bound lies in.
TierEdge {
    /// Tiers are `(from, up_to]` over decimals: 100.5 lies above 100.
    HalfOpen = "half_open",
    /// The quantity is rounded up to a whole unit to choose the tier, and only for that: 99.5 lies in the tier of 100.
    Ceil = "ceil",
});
words!(/// What a started package costs.
PackageRemainder {
    /// A whole package.
    Full = "full",
    /// Nothing.
    Down = "down",
});
words!(/// Whether a volume price, whose tier is known at the end only, is billed at splits before the end.
VolumeBeforeEnd {
    /// Not before the last split.
    Held = "held",
    /// At each split, by the quantity so far.
    Billed = "billed",
});
words!(/// Whether minimum and maximum hold for the line before or after its discount.
Limits {
    /// The line is held within its limits, then the discount is taken off.
    BeforeDiscount = "before_discount",
    /// The discount is taken off, then the line is held within its limits.
    AfterDiscount = "after_discount",
});
words!(/// What a quantity that comes in splits is converted and rounded by.
SplitRounding {
    /// The sum of the splits so far: no split costs more for being one.
    Cumulative = "cumulative",
    /// Each split alone.
    Each = "each",
});
words!(/// Whether units are priced in full, or by the part of the period for which they were there.
QuantityBasis {
    /// In full.
    Full = "full",
    /// By their prorated part; full units choose the tier.
    Prorated = "prorated",
});
words!(/// What a quantity below zero is.
NegativeTotal {
    /// An error.
    Refused = "refused",
    /// Nothing is due, flat prices of tiers neither.
    NothingDue = "nothing_due",
});
words!(/// Whether the events of a percentage price pay their fixed fee when their amounts add up to zero.
FixedFeeAtZeroTotal {
    /// As Lago.
    NotCharged = "not_charged",
    /// Each event pays.
    Charged = "charged",
});

words!(/// What a flat price costs in a part of its period: where its subscription started, changed, paused or ended inside.
Proration {
    /// The whole, once, if the subscription ran at all. As OpenMeter with proration off.
    None = "none",
    /// The part by time: microseconds that it ran over those of the period. As OpenMeter.
    ByTime = "by_time",
    /// The part by calendar days of the subscription's zone: the day on which it starts is paid, the one on which it
    /// ends is not. As Kill Bill, Meteroid.
    ByDay = "by_day",
});
words!(/// What a flat price is charged for.
Per {
    /// Each subscription once.
    Subscription = "subscription",
    /// Each unit of its quantity, such as seats; without `proration` the most that there were at once.
    Unit = "unit",
});
words!(/// Whether included units, minimum and maximum are whole in a part of a period. Tiers and free units always are.
LimitsInPart {
    /// Whole.
    Whole = "whole",
    /// Their part by time, as of `proration`.
    ByTime = "by_time",
    /// Their part by calendar days.
    ByDay = "by_day",
});

words!(/// When a flat price is billed.
Due {
    /// When its period is over, with its usage.
    InArrears = "in_arrears",
    /// Before its period begins, with the invoice of the month before; the first one with the first invoice.
    InAdvance = "in_advance",
});
words!(/// For which periods a flat price is charged.
Charged {
    /// For each.
    EachPeriod = "each_period",
    /// Once, when the subscription begins to be on the plan: a setup fee. It is due with the first invoice, whole.
    Once = "once",
});

/// All settings of a price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// `zero_usage_first_tier_flat`.
    pub zero_usage_first_tier_flat: ZeroUsageFirstTierFlat,
    /// `tier_edge`.
    pub tier_edge: TierEdge,
    /// `package_remainder`.
    pub package_remainder: PackageRemainder,
    /// `volume_before_end`.
    pub volume_before_end: VolumeBeforeEnd,
    /// `limits`.
    pub limits: Limits,
    /// `split_rounding`.
    pub split_rounding: SplitRounding,
    /// `quantity_basis`.
    pub quantity_basis: QuantityBasis,
    /// `negative_total`.
    pub negative_total: NegativeTotal,
    /// `fixed_fee_at_zero_total`.
    pub fixed_fee_at_zero_total: FixedFeeAtZeroTotal,
    /// `proration`, of a flat price.
    pub proration: Proration,
    /// `per`, of a flat price.
    pub per: Per,
    /// `limits_in_part`.
    pub limits_in_part: LimitsInPart,
    /// `due`, of a flat price.
    pub due: Due,
    /// `charged`, of a flat price.
    pub charged: Charged,
}
