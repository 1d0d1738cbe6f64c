//! Coupons that partners redeemed, from events.
//!
//! `coupon.redeemed` begins at its `effective_at`, else when it occurred; `coupon.withdrawn` ends it likewise, for the
//! months that begin then or later. With a `subscription_id` it is of this subscription alone. The same again is the
//! same. What a coupon takes off is the catalog's to say. One that cannot be read blocks its partner until the same is
//! said as it was meant.

use chrono::{DateTime, Utc};

use super::{Concern, Folding, NoInstant, Position, instant_of};
use crate::id::{CouponId, PartnerId, SubscriptionId};
use crate::lifecycle::LifecycleEvent;

/// A coupon of a partner, for as long as it was not withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RedeemedCoupon {
    /// Who redeemed it.
    pub partner_id: PartnerId,
    /// From when it holds.
    pub redeemed_at: DateTime<Utc>,
    /// Coupon of the catalog.
    pub coupon_id: CouponId,
    /// The one subscription whose lines it reduces; `None` for all.
    pub subscription_id: Option<SubscriptionId>,
    /// First instant of its end.
    pub withdrawn_at: Option<DateTime<Utc>>,
}

/// What was said of coupons, in the order of the fold.
#[derive(Default)]
pub(super) struct Redemptions {
    said: Vec<Redemption>,
    unusable: Vec<Unusable>,
}

struct Redemption {
    position: Position,
    coupon: RedeemedCoupon,
    said_at: DateTime<Utc>,
    is_end: bool,
}

struct Unusable {
    finding: usize,
    partner_id: PartnerId,
    /// The coupon, where that can be read.
    coupon_id: Option<CouponId>,
    is_end: bool,
    said_at: DateTime<Utc>,
    /// How many had been said before.
    place: usize,
}

impl Folding {
    pub(super) fn redeem(&mut self, position: &Position, event: &LifecycleEvent, partner_id: &PartnerId) {
        let coupon_id = event.text("coupon_id").map(CouponId::parse);
        let subscription_id = event.text("subscription_id").map(SubscriptionId::parse).transpose();
        let is_wrong = !event.wrong_fields().is_empty();
        match (coupon_id, subscription_id, instant_of(event, "effective_at")) {
            (Some(Ok(coupon_id)), Ok(subscription_id), Ok(at)) if !is_wrong => {
                self.redemptions.said.push(Redemption {
                    position: position.clone(),
                    coupon: RedeemedCoupon {
                        partner_id: partner_id.clone(),
                        redeemed_at: at.unwrap_or(event.occurred_at),
                        coupon_id,
                        subscription_id,
                        withdrawn_at: None,
                    },
                    said_at: event.occurred_at,
                    is_end: event.event_type == "coupon.withdrawn",
                });
            }
            (.., Err(NoInstant)) => self.unusable_redemption(position, event, partner_id, "effective_at"),
            (_, Err(_), _) => self.unusable_redemption(position, event, partner_id, "subscription_id"),
            _ => self.unusable_redemption(position, event, partner_id, "coupon_id"),
        }
    }

    fn unusable_redemption(
        &mut self,
        position: &Position,
        event: &LifecycleEvent,
        partner_id: &PartnerId,
        field: &str,
    ) {
        let what = format!("{}: {field} is missing or not valid", event.event_type);
        self.find(position, partner_id, Concern::Subscription, what);
        self.redemptions.unusable.push(Unusable {
            finding: self.registry.findings.len() - 1,
            partner_id: partner_id.clone(),
            coupon_id: event.text("coupon_id").and_then(|id| CouponId::parse(id).ok()),
            is_end: event.event_type == "coupon.withdrawn",
            said_at: event.occurred_at,
            place: self.redemptions.said.len(),
        });
    }

    /// Gives the coupons to the registry.
    pub(super) fn conclude_coupons(&mut self) {
        let Redemptions { mut said, unusable } = std::mem::take(&mut self.redemptions);
        for Unusable { finding, partner_id, coupon_id, is_end, said_at, place } in unusable {
            // The same of the same coupon: another one says nothing of it.
            let mends = |later: &Redemption| {
                later.coupon.partner_id == partner_id
                    && later.said_at >= said_at
                    && coupon_id.as_ref().is_none_or(|id| later.is_end == is_end && later.coupon.coupon_id == *id)
            };
            let is_mended = said.iter().skip(place).any(mends);
            if let Some(finding) = self.registry.findings.get_mut(finding).filter(|_| is_mended) {
                finding.concern = Concern::SettledSubscription;
            }
        }
        // Of one instant in the order in which it was said.
        said.sort_by_key(|redemption| redemption.coupon.redeemed_at);
        let mut coupons: Vec<RedeemedCoupon> = Vec::new();
        for Redemption { position, coupon, is_end, .. } in said {
            let is_same = |other: &RedeemedCoupon| {
                other.partner_id == coupon.partner_id
                    && other.coupon_id == coupon.coupon_id
                    && other.withdrawn_at.is_none()
            };
            if is_end {
                let is_meant = |other: &RedeemedCoupon| {
                    is_same(other)
                        && (coupon.subscription_id.is_none() || other.subscription_id == coupon.subscription_id)
                };
                let mut running = coupons.iter_mut().filter(|other| is_meant(other)).peekable();
                if running.peek().is_none() {
                    let what = format!("coupon.withdrawn: {} is no coupon that the partner has", coupon.coupon_id);
                    self.find(&position, &coupon.partner_id, Concern::Cancellation, what);
                    continue;
                }
                running.for_each(|other| other.withdrawn_at = Some(coupon.redeemed_at));
            } else if !coupons.iter().any(|other| is_same(other) && other.subscription_id == coupon.subscription_id) {
                coupons.push(coupon);
            }
        }
        coupons.retain(|coupon| coupon.withdrawn_at != Some(coupon.redeemed_at));
        coupons.sort();
        self.registry.coupons = coupons;
    }
}

#[cfg(test)]
mod tests;
