//! Words of other billing systems that a price book brings along: what they are called here. Only a hint in an error,
//! never read as ours: `unit_amount` of Stripe is in cents, `from` of Chargebee begins a tier that ours only end.

/// A word of another system (in lower case, without `_` and `-`), ours (which the table must know), and how to mend it.
/// The first line that fits is told.
type Word = (&'static str, &'static str, &'static str);

const IN_PRICE: &str = "it is a key of the price: write it inside of price";
const IN_SETTINGS: &str = "it is a setting: write it inside of settings";
const BESIDE_PRICE: &str = "an estimate has it beside price, and a price of a catalog has none";
const IN_USAGE: &str = "it is a key of a usage: write it inside of usage";
const USAGE_BESIDE_PRICE: &str = "it is of what was used: an estimate has it inside of usage, beside price";
const IN_INVOICE: &str = "it is a key of an invoice, whose lines are amounts: write it inside of invoice";

/// Keys.
const KEYS: &[Word] = &[
    // Prices.
    ("unitamount", "unit_price", "it is unit_price here, in major units: \"0.10\" for a unit_amount of 10 cents"),
    ("unitamountdecimal", "unit_price", "it is unit_price here, in major units: \"0.0005\" for 0.05 cents"),
    ("perunitamount", "unit_price", "it is unit_price here, in major units"),
    ("perunitprice", "unit_price", "it is unit_price here"),
    ("price", "unit_price", "it is unit_price here, or flat_price for what a tier costs at once"),
    ("amount", "unit_price", "it is unit_price here, in major units"),
    ("rate", "unit_price", "it is unit_price here"),
    ("unitprice", "package_price", "it is package_price here, of a whole package"),
    ("amount", "package_price", "it is package_price here, of a whole package"),
    ("packageamount", "package_price", "it is package_price here"),
    ("flatamount", "flat_price", "it is flat_price here, in major units: \"5\" for a flat_amount of 500 cents"),
    ("flatamountdecimal", "flat_price", "it is flat_price here, in major units"),
    ("flatfee", "flat_price", "it is flat_price here"),
    ("fixedfee", "flat_price", "it is flat_price here"),
    ("fixedprice", "flat_price", "it is flat_price here"),
    ("flatprice", "amount", "it is amount here"),
    ("unitprice", "amount", "it is amount here; per = \"unit\" in settings charges each unit"),
    ("unitamount", "amount", "it is amount here, in major units: \"49\" for a unit_amount of 4900 cents"),
    ("price", "amount", "it is amount here, in major units"),
    ("flatcap", "maximum", "it is maximum here"),
    ("cap", "maximum", "it is maximum here"),
    ("maximumamount", "maximum", "it is maximum here"),
    ("minimumamount", "minimum", "it is minimum here"),
    ("minimumspend", "minimum", "it is minimum here"),
    ("maximumspend", "maximum", "it is maximum here"),
    ("includedunits", "included", "it is included here"),
    ("allowance", "included", "it is included here"),
    ("allocation", "included", "it is included here"),
    ("freeunits", "included", "it is included here"),
    // Tiers.
    ("to", "up_to", "it is up_to here: the last quantity that belongs to the tier"),
    ("tovalue", "up_to", "it is up_to here: the last quantity that belongs to the tier"),
    ("endingunit", "up_to", "it is up_to here: the last quantity that belongs to the tier"),
    ("lastunit", "up_to", "it is up_to here: the last quantity that belongs to the tier"),
    ("maximumunits", "up_to", "it is up_to here: the last quantity that belongs to the tier"),
    ("max", "up_to", "it is up_to here: the last quantity that belongs to the tier"),
    ("upperbound", "up_to", "it is up_to here: the last quantity that belongs to the tier"),
    ("tierupperbound", "up_to", "it is up_to here: the last quantity that belongs to the tier"),
    ("endingquantity", "up_to", "it is up_to here: the last quantity that belongs to the tier"),
    ("from", "up_to", "remove it: a tier begins where the one before ends (up_to), the first at 0"),
    ("fromvalue", "up_to", "remove it: a tier begins where the one before ends (up_to), the first at 0"),
    ("startingunit", "up_to", "remove it: a tier begins where the one before ends (up_to), the first at 0"),
    ("firstunit", "up_to", "remove it: a tier begins where the one before ends (up_to), the first at 0"),
    ("lowerbound", "up_to", "remove it: a tier begins where the one before ends (up_to), the first at 0"),
    ("tierlowerbound", "up_to", "remove it: a tier begins where the one before ends (up_to), the first at 0"),
    ("min", "up_to", "remove it: a tier begins where the one before ends (up_to), the first at 0"),
    ("ranges", "tiers", "it is tiers here"),
    ("graduatedranges", "tiers", "it is tiers here"),
    ("volumeranges", "tiers", "it is tiers here"),
    ("graduatedpercentageranges", "tiers", "it is tiers here"),
    ("tieredconfig", "tiers", "it is tiers here, a list"),
    // Packages and conversions.
    ("blocksize", "package_size", "it is package_size here"),
    ("size", "package_size", "it is package_size here"),
    ("quantityperpackage", "package_size", "it is package_size here"),
    ("packageunits", "package_size", "it is package_size here"),
    ("transformquantity", "convert", "it is convert = { divide_by } and round_quantity = { direction } here"),
    ("divideby", "convert", "it is convert = { divide_by } here"),
    ("conversionfactor", "convert", "it is convert = { divide_by } or { multiply_by } here"),
    ("unitconfig", "convert", "it is convert = { divide_by } or { multiply_by } here"),
    ("round", "round_quantity", "it is round_quantity = { direction } here; an amount is rounded once, with its line"),
    ("round", "direction", "it is direction here"),
    ("mode", "direction", "it is direction here"),
    ("precision", "digits", "it is digits here"),
    ("scale", "digits", "it is digits here"),
    ("decimals", "digits", "it is digits here"),
    // Percentages.
    ("rate", "percent", "it is percent here: \"2.9\" for 0.029"),
    ("percentage", "percent", "it is percent here: \"2.9\" for 2.9 per cent"),
    ("percentoff", "percent", "it is percent here"),
    ("percentageoff", "percent", "it is percent here"),
    ("amountoff", "amount", "it is amount here, in major units"),
    ("discount", "discount_percent", "it is discount_percent here: \"10\" for ten per cent"),
    ("percentoff", "discount_percent", "it is discount_percent here"),
    ("fixedamount", "fixed_fee", "it is fixed_fee here, of each event"),
    ("freeunitsperevents", "free_events", "it is free_events here"),
    ("freeunitspertotalaggregation", "free_total", "it is free_total here"),
    ("pertransactionminamount", "event_minimum", "it is event_minimum here"),
    ("pertransactionmaxamount", "event_maximum", "it is event_maximum here"),
    ("perunitmaximum", "event_maximum", "it is event_maximum here"),
    ("taxrate", "tax_percent", "it is tax_percent here: \"19\" for nineteen per cent"),
    ("taxrates", "tax_percents", "it is tax_percents here: a list of per cents"),
    // Models.
    ("modeltype", "model", "it is model here"),
    ("chargemodel", "model", "it is model here"),
    ("billingscheme", "model", "it is model here: per_unit, graduated or volume"),
    ("tiersmode", "model", "it is model here: graduated or volume"),
    ("pricingmodel", "model", "it is model here"),
    ("type", "model", "it is model here"),
    ("dimension", "dimensions", "it is dimensions here, a list"),
    ("matrixvalues", "cells", "it is cells here: a list of { values, unit_price }"),
    ("defaultunitamount", "default_unit_price", "it is default_unit_price here"),
    ("dimensionvalues", "values", "it is values here"),
    // Usage, and what was billed before.
    ("previouslybilled", "billed", "it is billed here, a usage; billed_amount where it is an amount"),
    ("previousbilledamount", "billed_amount", "it is billed_amount here"),
    ("previouslybilledamount", "billed_amount", "it is billed_amount here"),
    ("alreadybilled", "billed_amount", "it is billed_amount here, an amount; billed is a usage"),
    ("previousquantity", "before", "it is before here: what was used before, with added or quantity"),
    ("prelineperiodqty", "before", "it is before here: what was used before, with added or quantity"),
    ("lineperiodqty", "added", "it is added here: what came with this split"),
    ("freeamount", "included_amount", "it is included_amount here: what the price comes to up to it is free"),
    ("includedspend", "included_amount", "it is included_amount here: what the price comes to up to it is free"),
    ("minimumquantity", "quantity_minimum", "it is quantity_minimum here"),
    ("minquantity", "quantity_minimum", "it is quantity_minimum here"),
    ("committedquantity", "quantity_minimum", "it is quantity_minimum here"),
    ("maximumquantity", "quantity_maximum", "it is quantity_maximum here"),
    ("maxquantity", "quantity_maximum", "it is quantity_maximum here"),
    ("maxrollover", "rollover_maximum", "it is rollover_maximum here"),
    ("resetmaxrollover", "rollover_maximum", "it is rollover_maximum here"),
    ("overagefactor", "overage", "it is overage here: { above, factor }"),
    ("commitmentamount", "minimum", "it is minimum here; overage says what is above it costs"),
    ("usagethresholds", "thresholds", "it is thresholds here, a list; recurring_threshold for one that comes again"),
    ("qty", "quantity", "it is quantity here"),
    ("units", "quantity", "it is quantity here"),
    ("value", "quantity", "it is quantity here"),
    ("usagequantity", "quantity", "it is quantity here"),
    ("count", "event_count", "it is event_count here"),
    ("roundingmode", "rounding", "it is rounding here"),
    ("items", "lines", "it is lines here"),
    ("lineitems", "lines", "it is lines here"),
    ("discounts", "coupons", "it is coupons here"),
    // Ours, in another table.
    ("minimum", "price", IN_PRICE),
    ("maximum", "price", IN_PRICE),
    ("discountpercent", "price", IN_PRICE),
    ("included", "price", IN_PRICE),
    ("convert", "price", IN_PRICE),
    ("roundquantity", "price", IN_PRICE),
    ("rolloverperiods", "price", IN_PRICE),
    ("model", "price", IN_PRICE),
    ("tiers", "price", IN_PRICE),
    ("unitprice", "price", IN_PRICE),
    ("percent", "price", IN_PRICE),
    ("packagesize", "price", IN_PRICE),
    ("packageprice", "price", IN_PRICE),
    ("fixedfee", "price", IN_PRICE),
    ("zerousagefirsttierflat", "settings", IN_SETTINGS),
    ("tieredge", "settings", IN_SETTINGS),
    ("packageremainder", "settings", IN_SETTINGS),
    ("volumebeforeend", "settings", IN_SETTINGS),
    ("limits", "settings", IN_SETTINGS),
    ("splitrounding", "settings", IN_SETTINGS),
    ("quantitybasis", "settings", IN_SETTINGS),
    ("negativetotal", "settings", IN_SETTINGS),
    ("fixedfeeatzerototal", "settings", IN_SETTINGS),
    ("proration", "settings", IN_SETTINGS),
    ("per", "settings", IN_SETTINGS),
    ("limitsinpart", "settings", IN_SETTINGS),
    ("due", "settings", IN_SETTINGS),
    ("charged", "settings", IN_SETTINGS),
    ("negativequantity", "model", BESIDE_PRICE),
    ("perevent", "model", BESIDE_PRICE),
    ("eventdigits", "model", BESIDE_PRICE),
    ("eventquantityminimum", "model", BESIDE_PRICE),
    ("quantityminimum", "model", BESIDE_PRICE),
    ("quantitymaximum", "model", BESIDE_PRICE),
    ("overage", "model", BESIDE_PRICE),
    ("includedamount", "model", BESIDE_PRICE),
    ("tierend", "model", BESIDE_PRICE),
    ("unusedunitprice", "model", BESIDE_PRICE),
    ("freetotalend", "model", BESIDE_PRICE),
    ("rounded", "model", BESIDE_PRICE),
    ("rounding", "model", BESIDE_PRICE),
    ("splitamounts", "model", BESIDE_PRICE),
    ("splitcredits", "model", BESIDE_PRICE),
    ("rollovermaximum", "model", BESIDE_PRICE),
    ("part", "model", BESIDE_PRICE),
    ("currency", "model", BESIDE_PRICE),
    ("quantity", "model", BESIDE_PRICE),
    ("usage", "model", BESIDE_PRICE),
    ("splits", "model", BESIDE_PRICE),
    ("periods", "model", BESIDE_PRICE),
    ("billed", "model", BESIDE_PRICE),
    ("events", "usage", IN_USAGE),
    ("eventcount", "usage", IN_USAGE),
    ("groups", "usage", IN_USAGE),
    ("quantities", "usage", IN_USAGE),
    ("served", "usage", IN_USAGE),
    ("prorated", "usage", IN_USAGE),
    ("carried", "usage", IN_USAGE),
    ("events", "model", USAGE_BESIDE_PRICE),
    ("eventcount", "model", USAGE_BESIDE_PRICE),
    ("groups", "model", USAGE_BESIDE_PRICE),
    ("quantities", "model", USAGE_BESIDE_PRICE),
    ("served", "model", USAGE_BESIDE_PRICE),
    ("prorated", "model", USAGE_BESIDE_PRICE),
    ("carried", "model", USAGE_BESIDE_PRICE),
    ("coupons", "invoice", IN_INVOICE),
    ("credits", "invoice", IN_INVOICE),
    ("lines", "invoice", IN_INVOICE),
    ("taxpercent", "invoice", IN_INVOICE),
    ("taxpercents", "invoice", IN_INVOICE),
    ("taxmode", "invoice", IN_INVOICE),
    ("compoundtax", "invoice", IN_INVOICE),
    ("creditspay", "invoice", IN_INVOICE),
];

/// Models, and what they are called here.
const MODELS: &[(&str, &str)] = &[
    (
        "tiered",
        "it is graduated here: each unit costs what its own tier says; volume: all cost what the last tier says",
    ),
    ("tieredvolume", "it is volume here"),
    ("tieredgraduated", "it is graduated here"),
    ("slab", "it is graduated here"),
    ("tieredpackage", "it is graduated here, with a package_size in the tiers"),
    ("standard", "it is per_unit here"),
    ("unit", "it is per_unit here"),
    ("linear", "it is per_unit here"),
    ("usage", "it is per_unit here"),
    ("onetime", "it is flat here, with charged = \"once\" in settings"),
    ("recurring", "it is flat here"),
    ("fixed", "it is flat here"),
    ("flatfee", "it is flat here"),
    ("bulk", "it is volume here"),
    ("stairstep", "it is volume here, with flat_price in the tiers"),
    ("stairsteps", "it is volume here, with flat_price in the tiers"),
    ("thresholdtotalamount", "it is volume here, with flat_price in the tiers"),
    ("block", "it is package here"),
    ("bps", "it is percentage here: 25 basis points are a percent of \"0.25\""),
    ("percent", "it is percentage here"),
    ("tieredpercentage", "it is graduated_percentage here"),
    ("tieredbps", "it is graduated_percentage here: 25 basis points are a percent of \"0.25\""),
    ("overage", "it is per_unit here, with included"),
];

fn plain(word: &str) -> String {
    word.chars().filter(|letter| !matches!(letter, '_' | '-' | ' ')).flat_map(char::to_lowercase).take(64).collect()
}

/// What a key of another system is here, where the table knows ours.
pub(super) fn meaning_of_key(word: &str, known: &[&str]) -> Option<&'static str> {
    let word = plain(word);
    // Ours in other capitals is a typo, and told as one.
    if known.iter().any(|known| plain(known) == word) {
        return None;
    }
    KEYS.iter().find(|(theirs, ours, _)| *theirs == word && known.contains(ours)).map(|(_, _, mend)| *mend)
}

/// What a model of another system is here.
pub(super) fn meaning_of_model(word: &str) -> Option<&'static str> {
    let word = plain(word);
    MODELS.iter().find(|(theirs, _)| *theirs == word).map(|(_, mend)| *mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_another_system_is_told_where_ours_is_known() {
        let tier = ["up_to", "unit_price", "flat_price", "package_size"];
        for (word, known, words) in [
            ("unit_amount", &tier[..], Some("unit_price here, in major units")),
            ("flatAmount", &tier[..], Some("flat_price here")),
            ("FLAT_AMOUNT", &tier[..], Some("flat_price here")),
            ("last_unit", &tier[..], Some("up_to here")),
            ("from_value", &tier[..], Some("remove it")),
            ("unit_amount", &["quantity"][..], None),
            ("unit_amount", &["amount"][..], Some("it is amount here")),
            ("upTo", &tier[..], None),
            ("percent_off", &["amount", "percent", "lines"][..], Some("percent here")),
            ("zz", &tier[..], None),
        ] {
            let told = meaning_of_key(word, known);
            assert_eq!(told.is_some(), words.is_some(), "{word}: {told:?}");
            assert!(told.unwrap_or_default().contains(words.unwrap_or_default()), "{word}: {told:?}");
        }
        assert_eq!(meaning_of_model("stair-step"), Some("it is volume here, with flat_price in the tiers"));
        assert_eq!(meaning_of_model("graduated"), None);
    }

    /// A line behind another one for the same two words would never be told.
    #[test]
    fn every_word_can_be_told() {
        for (theirs, ours, mend) in KEYS {
            assert_eq!(*theirs, plain(theirs));
            assert_eq!(meaning_of_key(theirs, &[ours]).is_none(), plain(ours) == *theirs, "{theirs}: {ours}");
            assert!(plain(ours) == *theirs || meaning_of_key(theirs, &[ours]) == Some(mend), "{theirs}: {ours}");
        }
    }
}
