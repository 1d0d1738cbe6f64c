//! Lists: `limit`, `starting_after`, `ending_before`, `created[…]`, and the list object they give.

use serde_json::{Value, json};

use super::answers::Refusal;
use super::form::{Fields, Param};

/// Which page is asked for.
#[derive(Debug, Clone)]
pub(super) struct PageAsk {
    limit: usize,
    starting_after: Option<String>,
    ending_before: Option<String>,
}

/// One page.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub items: Vec<T>,
    pub has_more: bool,
}

impl PageAsk {
    /// Reads the three parameters. The limit is 1 to 100, 10 without one.
    pub fn read(fields: &mut Fields) -> Result<Self, Refusal> {
        let limit = fields.integer("limit")?.unwrap_or(10);
        let limit = usize::try_from(limit).ok().filter(|limit| (1..=100).contains(limit)).ok_or_else(|| {
            Refusal::invalid("Invalid integer: limit must be between 1 and 100")
                .code("parameter_invalid_integer")
                .param("limit")
        })?;
        let (starting_after, ending_before) =
            (fields.filled("starting_after", 255)?, fields.filled("ending_before", 255)?);
        if starting_after.is_some() && ending_before.is_some() {
            return Err(Refusal::invalid(
                "You may only specify one of these parameters: starting_after, ending_before",
            ));
        }
        Ok(Self { limit, starting_after, ending_before })
    }

    /// Cuts the page out of `ordered`. The cursor may name an item that `wanted` leaves out.
    pub fn cut<'a, T>(
        &self,
        noun: &str,
        ordered: &[&'a T],
        id: impl Fn(&T) -> &str,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Page<&'a T>, Refusal> {
        let place = |param: &str, cursor: &str| {
            ordered.iter().position(|item| id(item) == cursor).ok_or_else(|| Refusal::no_such_in(param, noun, cursor))
        };
        let (mut items, backwards): (Vec<&T>, bool) = match (&self.starting_after, &self.ending_before) {
            (Some(cursor), _) => {
                let after = place("starting_after", cursor)? + 1;
                (ordered.iter().skip(after).copied().filter(|item| wanted(item)).take(self.limit + 1).collect(), false)
            }
            (None, Some(cursor)) => {
                let before = place("ending_before", cursor)?;
                let nearest = ordered.iter().take(before).rev().copied().filter(|item| wanted(item));
                (nearest.take(self.limit + 1).collect(), true)
            }
            (None, None) => (ordered.iter().copied().filter(|item| wanted(item)).take(self.limit + 1).collect(), false),
        };
        let has_more = items.len() > self.limit;
        items.truncate(self.limit);
        if backwards {
            items.reverse();
        }
        Ok(Page { items, has_more })
    }
}

/// The list object.
pub(super) fn list(url: &str, data: Vec<Value>, has_more: bool) -> Value {
    json!({ "object": "list", "url": url, "has_more": has_more, "data": data })
}

/// `created=…` or `created[gte]=…` and its kin; both bounds inclusive.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeRange {
    from: i64,
    to: i64,
}

impl TimeRange {
    /// Reads the range in `field`; without it, all of time.
    pub fn read(fields: &mut Fields, field: &str) -> Result<Self, Refusal> {
        let mut range = Self { from: i64::MIN, to: i64::MAX };
        if let Some(Param::Text(_)) = fields.peek(field) {
            if let Some(at) = fields.integer(field)? {
                range = Self { from: at, to: at };
            }
            return Ok(range);
        }
        if let Some(mut bounds) = fields.group(field)? {
            if let Some(at) = bounds.integer("gte")? {
                range.from = range.from.max(at);
            }
            if let Some(at) = bounds.integer("gt")? {
                range.from = range.from.max(at.saturating_add(1));
            }
            if let Some(at) = bounds.integer("lte")? {
                range.to = range.to.min(at);
            }
            if let Some(at) = bounds.integer("lt")? {
                range.to = range.to.min(at.saturating_sub(1));
            }
            bounds.finish()?;
        }
        Ok(range)
    }

    /// Whether an instant is inside.
    pub fn contains(self, at: i64) -> bool {
        (self.from..=self.to).contains(&at)
    }
}
